"""Chapter 03: where instance norms go. Drawings of blocks and trunks, paired differences, the tone exam, two widgets."""

import copy
from dataclasses import replace
from statistics import mean

import numpy as np
import torch
import torch.nn.functional as F

from ...augment import normalize
from ...layers.norms import IBN, InstanceNorm
from ...layers.residual import NormedSum
from ...recipes.exams import TONES
from ...recipes.norms import TABLES, network
from ...stats import t_interval
from ...teach.figures import grid, pixels
from ...teach.recorded import Recorded
from ...teach.widgets import Frame, choice, slider, switch

PLACES = (
    "none",
    "stem",
    "early",
    "early and middle",
    "everywhere",
)  # how far instance norms reach, in our trunk
OTHERS = ("the rule for ResNets", "IBN-a", "IBN-b")
WITHOUT = ", no feature norm"
STAGES = {
    "bn1": "stem",
    "layer1": "stage 1",
    "layer2": "stage 2",
    "layer3": "stage 3",
    "layer4": "stage 4",
}
EXAMS = {
    "home": ("new people, places of training", "o"),
    "away": ("new people, unseen places", "s"),
    "tone": ("tone exam", "^"),
}

# ---- recorded rows


def rows(table):
    """{row's name: Recorded} of the table of placements, in the order of the recipe."""
    known = {row["row"] for row in table.rows}
    return {
        name: Recorded(table.name, [row for row in table.rows if row["row"] == name])
        for name in TABLES["places"]
        if name in known
    }


def paired(one, other, column):
    """Differences one - other of a column, a seed that both rows have each: a list in the order of the seeds."""
    first, second = (
        {int(row["SEED"]): float(row[column]) for row in side.rows if row.get(column, "") != ""}
        for side in (one, other)
    )
    return [first[seed] - second[seed] for seed in sorted(set(first) & set(second))]


def lower(differences):
    """Lower end of the t interval over seeds; of one seed, its difference."""
    return differences[0] if len(differences) == 1 else t_interval(differences)[0]


def words(differences):
    """ "+2.1 points, 95 % interval -0.3 to +4.5 over 5 seeds"; without an interval for one seed."""
    (low, high), n = t_interval(differences), len(differences)
    spread = "" if low is None else f", 95 % interval {low:+.1f} to {high:+.1f}"
    return f"{mean(differences):+.1f} points{spread} over {n} seed{'s' if n > 1 else ''}"


def _ends(cell, column, over="seeds"):
    """(mean, low, high) of a column: t interval over seeds (of one seed: its score), or the mean bootstrap interval over people."""
    middle, (low, high) = cell.mean(column), cell.interval(column)
    if over == "people":
        return middle, cell.mean(f"{column}_low"), cell.mean(f"{column}_high")
    return (middle, middle, middle) if low is None else (middle, low, high)


def marks(name):
    """Where a row of the table has instance norm, read from its network: {"bn1": "replaced", "layer1": "behind the sum" or "half"
    or "", ..., "feature": "norm" or ""}."""
    with torch.device("meta"):  # the structure is enough
        model, found = network(TABLES["places"][name], 2), {}
    for stage in STAGES:
        kinds = [
            type(layer) for layer in model.trunk.get_submodule(stage).modules()
        ]  # the stage's own type first
        found[stage] = (
            "replaced"
            if kinds[0] is InstanceNorm
            else "behind the sum"
            if NormedSum in kinds
            else "half"
            if IBN in kinds
            else ""
        )
    return found | {"feature": "norm" if model.neck is not None else ""}


# ---- pictures of blocks, trunks and scores


def blocks_picture():
    """Three residual blocks, top to bottom, with their norms and where DualNorm adds one -> figure."""
    from matplotlib import pyplot

    blocks = {
        "Basic block\n(our tiny trunk)": [48, "3×3 conv, BN*, ReLU", 48, "3×3 conv, BN", 48],
        "Bottleneck\n(ResNet-50)": [
            256,
            "1×1 conv, BN*, ReLU",
            64,
            "3×3 conv, BN, ReLU",
            64,
            "1×1 conv, BN",
            256,
        ],
        "Inverted residual\n(MobileNetV2)": [
            24,
            "1×1 conv, BN, ReLU6",
            144,
            "3×3 depthwise, BN, ReLU6",
            144,
            "1×1 conv, BN (linear)",
            24,
        ],
    }
    fig, axes = pyplot.subplots(1, 3, figsize=(9.4, 4.6))
    for ax, (title, steps) in zip(axes, blocks.items()):
        widest, y = max(steps[::2]), 0.0
        for step in steps:
            if isinstance(step, str):
                ax.text(0.05, y, f"↓ {step}", ha="left", va="center", fontsize=8)
            else:
                half = 0.15 + 0.85 * step / widest
                ax.add_patch(
                    pyplot.Rectangle(
                        (-half, y - 0.32), 2 * half, 0.64, facecolor="0.9", edgecolor="black"
                    )
                )
                ax.text(
                    0,
                    y,
                    f"{step} channels" if half > 0.4 else f"{step}",
                    ha="center",
                    va="center",
                    fontsize=8,
                )
            y -= 0.85
        ax.plot(
            [-0.15 - 0.85 * steps[0] / widest, -1.35, -1.35, -0.2],
            [0, 0, y, y],
            color="black",
            linewidth=1.2,
            linestyle="-",
            marker="none",
        )
        ax.text(-1.42, y / 2, "shortcut", rotation=90, ha="right", va="center", fontsize=8)
        ax.text(
            0,
            y,
            "+",
            ha="center",
            va="center",
            fontsize=13,
            bbox={"boxstyle": "circle,pad=0.1", "facecolor": "white"},
        )
        ax.add_patch(
            pyplot.Rectangle(
                (-0.7, y - 1.15),
                1.4,
                0.6,
                facecolor="white",
                edgecolor="C1",
                hatch="////",
                linewidth=2,
            )
        )
        ax.text(
            0,
            y - 0.85,
            "IN",
            ha="center",
            va="center",
            fontsize=10,
            weight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
        ax.text(
            0,
            y - 1.55,
            "no ReLU" if "linear" in str(steps) else "↓ ReLU",
            ha="center",
            va="center",
            fontsize=8,
        )
        ax.set(xlim=(-1.75, 1.9), ylim=(-8.0, 0.6), title=title)
        ax.axis("off")
    return fig


def _strip(
    ax,
    found,
    sizes=("24 × 32 × 16", "24 × 32 × 16", "48 × 16 × 8", "96 × 8 × 4", "192 × 8 × 4", "192"),
):
    """One trunk as a row of boxes on ax; hatched: where instance norm stands. found: see marks."""
    from matplotlib.patches import Rectangle

    names = {
        "replaced": "IN for BN",
        "behind the sum": "IN behind\nthe sum",
        "half": "half of the\nfirst BN: IN",
        "norm": "feature\nnorm",
    }
    ax.set(xlim=(-0.1, 6.1), ylim=(-0.45, 1.05))
    ax.axis("off")
    for x, (stage, size) in enumerate(zip([*STAGES, "feature"], sizes)):
        ax.add_patch(Rectangle((x + 0.05, 0), 0.9, 0.78, facecolor="0.93", edgecolor="black"))
        if found[stage]:
            hatch = {"norm": "....", "half": "//"}.get(found[stage], "////")
            ax.add_patch(
                Rectangle(
                    (x + 0.05, 0),
                    0.9,
                    0.46,
                    facecolor="white",
                    edgecolor="C0" if stage == "feature" else "C1",
                    hatch=hatch,
                )
            )
            ax.text(
                x + 0.5,
                0.23,
                names[found[stage]],
                ha="center",
                va="center",
                fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        ax.text(x + 0.5, 0.62, STAGES.get(stage, "pooled"), ha="center", va="center", fontsize=8)
        ax.text(x + 0.5, -0.2, size, ha="center", va="center", fontsize=7)


def trunks_picture():
    """Our trunk under each of the eight placements -> figure."""
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(4, 2, figsize=(10, 3.9))
    for ax, name in zip(axes.flat, (*PLACES, *OTHERS)):
        _strip(ax, marks(name))
        ax.set_title(name, fontsize=9, pad=1)
    return fig


def goal_picture(table):
    """Rank-1 against how far instance norms reach, a line for each exam -> figure."""
    from matplotlib import pyplot

    found = rows(table)
    fig, axes = pyplot.subplots(1, 2, figsize=(8.6, 3.3), width_ratios=[3, 2])
    for index, (exam, (label, marker)) in enumerate(EXAMS.items()):
        ax, column = axes[int(exam == "tone")], f"{exam}_{'map' if exam == 'tone' else 'rank1'}"
        here = [name for name in PLACES if name in found]
        middle, low, high = zip(*(_ends(found[name], column) for name in here))
        error = [
            [m - end for m, end in zip(middle, low)],
            [end - m for m, end in zip(middle, high)],
        ]
        ax.errorbar(
            [PLACES.index(name) for name in here],
            middle,
            yerr=error,
            marker=marker,
            color=f"C{index}",
            linestyle=["-", "--", "-."][index],
            capsize=3,
            label=label,
        )
    for ax, score, title in zip(
        axes, ("rank-1 (%)", "mAP (%)"), ("The usual question", "The price: the tone exam")
    ):
        ax.set(
            xticks=range(len(PLACES)),
            ylabel=score,
            ylim=(0, 100 if score[0] == "r" else None),
            title=title,
        )
        ax.set_xticklabels(
            [name.replace(" and ", "\nand ") for name in PLACES],
            fontsize=8 if score[0] == "r" else 7,
        )
        ax.set_xlabel("instance norm reaches ...")
    axes[0].legend(fontsize=8)
    return fig


def changes_picture(table, score="rank1"):
    """Paired differences by seed: each placement against none, and with against without feature norm -> figure."""
    from matplotlib import pyplot

    found = rows(table)
    pairs = [(name, name, "none") for name in (*PLACES[1:], *OTHERS)] + [
        (f"feature norm, IN {name}", name, name + WITHOUT) for name in PLACES
    ]
    pairs = [pair for pair in pairs if set(pair[1:]) <= set(found)]
    fig, axes = pyplot.subplots(1, 3, figsize=(9.4, 0.28 * len(pairs) + 1.2), sharey=True)
    for index, (ax, (exam, (label, marker))) in enumerate(zip(axes, EXAMS.items())):
        for y, (_, one, other) in enumerate(reversed(pairs)):
            change = paired(
                found[one], found[other], f"{exam}_{'map' if exam == 'tone' else score}"
            )
            low, high = t_interval(change)
            bars = None if low is None else [[mean(change) - low], [high - mean(change)]]
            ax.errorbar(
                mean(change),
                y,
                xerr=bars,
                marker=marker,
                color=f"C{index}",
                capsize=2,
                linestyle="none",
                markerfacecolor=f"C{index}" if low is not None and low * high > 0 else "white",
            )
        ax.axvline(0, color="black", linewidth=0.9, linestyle="-")
        ax.set_title(label, fontsize=9)
        ax.set(
            xlabel=f"points of {'mAP' if exam == 'tone' else 'rank-1' if score == 'rank1' else 'mAP'}"
        )
        ax.axhline(
            sum(one == other.removesuffix(WITHOUT) for _, one, other in pairs) - 0.5,
            color="0.5",
            linewidth=0.8,
            linestyle=":",
        )
    axes[0].set_yticks(range(len(pairs)), [pair[0] for pair in reversed(pairs)], fontsize=8)
    return fig


# ---- the tone exam


def before_wall(data, grey):
    """The same people before a wall of this grey level (0 .. 255) instead of the black one."""
    return replace(
        data,
        images=torch.where(
            data.masks[:, None] > 0, data.images, torch.tensor(grey, dtype=torch.uint8)
        ),
    )


def repeated_border(model):
    """A copy whose first convolution sees the edge pixels repeated beyond the border instead of zeros."""
    model = copy.deepcopy(model).eval()
    model.trunk.conv1.padding_mode = "replicate"
    return model


def tones_picture(exam, body=0):
    """One person of the exam in all tones: as taken, and below after instance norm of the pixels -> montage, uint8 (H', W', 3)."""
    data = exam.gallery[(exam.gallery.attributes["body"] == body) & (exam.gallery.cameras == 0)]
    data = data[data.attributes["tone"].argsort()]
    normed = F.instance_norm(data.images.float() / 255)  # (tones, 3, H, W)
    shown = ((normed + 1.0) / 5.0).clamp(0, 1).mul(255).byte()
    labels = [f"as taken, tone {tone:.2f}" for tone in TONES] + ["after IN"] * len(TONES)
    return grid(torch.cat([data.images, shown]), len(TONES), labels)


# ---- widgets


def _figure(artists, size):
    """A figure that is no pyplot figure (nobody has to close it), without the layout engine, which costs half of a frame."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    artists["fig"] = Figure(figsize=size, dpi=90, layout="none")
    FigureCanvasAgg(artists["fig"])
    return artists["fig"]


def placement_explorer(table):
    """Choose where the norms go and what is asked: the trunk, and the scores of all rows -> (draw, controls)."""
    found, drawn = rows(table), {}
    names = [name for name in (*PLACES, *OTHERS) if name in found]
    lines = {
        name + suffix: len(names) - 1 - y + side
        for y, name in enumerate(names)  # a row's height in the picture
        for suffix, side in (("", 0.13), (WITHOUT, -0.13))
        if name + suffix in found
    }

    def prepare(artists):
        ax = artists["ax"] = _figure(artists, (7.4, 3.2)).add_axes([0.2, 0.15, 0.78, 0.83])
        ax.set_yticks(range(len(names)), names[::-1], fontsize=8)
        ax.set_ylim(-0.6, len(names) - 0.4)
        artists["whiskers"] = ax.hlines(list(lines.values()), 0, 1, color="C0")
        artists["dots"] = [
            ax.plot(
                [],
                [],
                marker=marker,
                color="C0",
                markerfacecolor=face,
                linestyle="none",
                label=label,
            )[0]
            for marker, face, label in (("o", "C0", "with feature norm"), ("s", "white", "without"))
        ]
        artists["frame"] = ax.axhspan(0, 1, facecolor="none", edgecolor="black", linestyle="--")
        ax.legend(fontsize=7, loc="lower left")

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        if "fig" not in artists:
            prepare(artists)
        chosen = state["placement"] + ("" if state["feature norm"] else WITHOUT)
        chosen = (
            chosen if chosen in found else state["placement"]
        )  # some rows exist with the feature norm only
        column = f"{state['exam']}_{'map' if state['score'] == 'mAP' else 'rank1'}"
        ends = {name: _ends(found[name], column, state["whiskers"]) for name in lines}
        if chosen not in drawn:  # a trunk is drawn once and kept as pixels
            _strip(
                _figure(own := {}, (7.4, 1.3)).add_axes([0.2, 0.0, 0.78, 0.85], title=chosen),
                marks(chosen),
            )
            drawn[chosen] = pixels(own["fig"])
        artists["whiskers"].set_segments(
            [[(ends[name][1], y), (ends[name][2], y)] for name, y in lines.items()]
        )
        for dots, without in zip(artists["dots"], (False, True)):
            dots.set_data(
                *zip(
                    *(
                        (ends[name][0], y)
                        for name, y in lines.items()
                        if name.endswith(WITHOUT) == without
                    )
                )
            )
        artists["frame"].set_y(len(names) - 1 - names.index(state["placement"]) - 0.45)
        artists["frame"].set_height(0.9)
        artists["ax"].set_xlim(0, 1.05 * max(high for _, _, high in ends.values()))
        artists["ax"].set_xlabel(f"{state['score']}, {EXAMS[state['exam']][0]} (%)")
        text = f"{chosen}, {EXAMS[state['exam']][0]}: {state['score']} {ends[chosen][0]:.1f} %."
        if chosen != "none":
            text += f" Against none with feature norm, paired by seed: {words(paired(found[chosen], found['none'], column))}."
        return Frame(
            np.concatenate([drawn[chosen], pixels(artists["fig"])]),
            text + f" Whiskers: 95 % over {state['whiskers']}.",
        )

    return draw, {
        "placement": choice(
            names, "early and middle" if "early and middle" in names else names[0], "instance norm"
        ),
        "exam": choice(list(EXAMS), "away", "exam"),
        "score": choice(["rank-1", "mAP"], "rank-1", "score"),
        "feature norm": switch(True, "feature norm"),
        "whiskers": choice(["seeds", "people"], "seeds", "whiskers over"),
    }


def tone_explorer(models, exam):
    """Make a person darker and read how far two networks think she moved, beside the distance to somebody else -> (draw, controls).

    models: {name: model}; distances are 1 - cosine of the features that retrieval uses."""
    copies = {
        name: (copy.deepcopy(model).eval().cpu(), repeated_border(model).cpu())
        for name, model in models.items()
    }
    brightest = exam.gallery[(exam.gallery.attributes["tone"] == 0) & (exam.gallery.cameras == 0)]
    people = len(brightest)

    @torch.inference_mode()
    def distances(pictures, border):
        found = {}
        for name, both in copies.items():
            output = both[border](normalize(pictures))
            unit = F.normalize(
                output.feature if output.neck is None else output.neck, dim=1
            )  # (3, D)
            found[name] = (1 - unit[0] @ unit[1:].T).tolist()  # to herself darker, to the other
        return found

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        three = brightest[[state["person"], state["person"], (state["person"] + 1) % people]]
        tone = torch.tensor([1.0, state["tone"], 1.0])[:, None, None, None]
        pictures = before_wall(
            replace(three, images=(three.images * tone).round().byte()), state["wall"]
        ).images  # (3, 3, H, W)
        found = distances(pictures, state["border"])
        if "fig" not in artists:
            fig = _figure(artists, (7.4, 3.1))
            artists["pictures"] = [
                fig.add_axes([0.02 + 0.14 * i, 0.1, 0.13, 0.74]) for i in range(3)
            ]
            for ax, title in zip(artists["pictures"], ("she", "she, darker", "the other")):
                ax.set(title=title, xticks=[], yticks=[])
            artists["images"] = [
                ax.imshow(pictures[0].permute(1, 2, 0).numpy()) for ax in artists["pictures"]
            ]
            ax = fig.add_axes([0.6, 0.2, 0.38, 0.62])
            places = [y + side for y in range(len(found)) for side in (0.18, -0.18)]
            artists["bars"] = ax.barh(
                places,
                1,
                height=0.32,
                edgecolor="black",
                color=["C0", "white"] * len(found),
                hatch=["", "//"] * len(found),
            )
            ax.set(
                yticks=range(len(found)),
                yticklabels=list(found),
                xlim=(0, 1.4),
                xlabel="distance to her (1 − cosine)",
            )
            ax.legend(
                artists["bars"][:2],
                ["herself, darker", "the other"],
                fontsize=7,
                loc="lower center",
                bbox_to_anchor=(0.5, 1.0),
                ncols=2,
            )
        for image, picture in zip(artists["images"], pictures):
            image.set_data(picture.permute(1, 2, 0).numpy())
        for bar, value in zip(artists["bars"], sum(found.values(), [])):
            bar.set_width(value)
        text = "; ".join(
            f"{name}: {dark:.2f} to herself, {other:.2f} to the other"
            for name, (dark, other) in found.items()
        )
        return Frame(artists["fig"], f"Distances at tone {state['tone']:.2f}. {text}.")

    return draw, {
        "tone": slider(0.3, 1.0, 0.05, 0.5, "tone"),
        "person": slider(0, people - 1, 1, 0, "person"),
        "wall": slider(0, 200, 20, 0, "wall (grey level)"),
        "border": switch(False, "edge pixels repeated in the stem"),
    }

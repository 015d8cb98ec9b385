"""Chapter 03, its pictures: blocks and trunks with their norms, scores against how far instance
norms reach, paired differences, and the tone exam.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...recipes.exams import TONES
from ...record import Exam
from ...teach.figures import grid
from ...teach.plots import EXAM_LOOKS, dot, line, make_figure
from ...teach.recorded import Recorded
from .experiments import COLUMNS, EXAMS, OTHERS, PLACES, STAGES, WITHOUT, read_marks, split_rows

# ---- blocks

# Top to bottom: how many channels each map has, and the layers between two maps.
BLOCKS = {
    "Basic block\n(our tiny trunk)": (
        (48, 48, 48),
        ("3×3 conv, BN*, ReLU", "3×3 conv, BN"),
    ),
    "Bottleneck\n(ResNet-50)": (
        (256, 64, 64, 256),
        ("1×1 conv, BN*, ReLU", "3×3 conv, BN, ReLU", "1×1 conv, BN"),
    ),
    "Inverted residual\n(MobileNetV2)": (
        (24, 144, 144, 24),
        ("1×1 conv, BN, ReLU6", "3×3 depthwise, BN, ReLU6", "1×1 conv, BN (linear)"),
    ),
}
STEP = 0.85  # from a map to the layers below it, and on to the next map
ON_WHITE = {"facecolor": "white", "edgecolor": "none"}
CIRCLE = {"boxstyle": "circle,pad=0.1", "facecolor": "white"}


def blocks_picture() -> Any:
    """Three residual blocks, top to bottom, with their norms and where DualNorm adds one ->
    figure.
    """
    figure, panels = make_figure(1, 3, (9.4, 4.6))
    for ax, (title, (channels, layers)) in zip(panels, BLOCKS.items()):
        _draw_maps(ax, channels)
        for index, layer in enumerate(layers):
            _write(ax, 0.05, -STEP * (2 * index + 1), f"↓ {layer}", ha="left")
        y = -STEP * (len(channels) + len(layers))
        _draw_shortcut(ax, -_half_width(channels[0], channels), y)
        _draw_sum(ax, y, "no ReLU" if "linear" in layers[-1] else "↓ ReLU")
        ax.set(xlim=(-1.75, 1.9), ylim=(-8.0, 0.6), title=title)
        ax.axis("off")
    return figure


def _draw_maps(ax, channels):
    """Bars as wide as the maps have channels, the first on top at y = 0."""
    for index, count in enumerate(channels):
        y = -STEP * 2 * index
        half = _half_width(count, channels)
        _draw_box(ax, -half, y - 0.32, 2 * half, 0.64, facecolor="0.9", edgecolor="black")
        _write(ax, 0, y, f"{count} channels" if half > 0.4 else f"{count}")


def _half_width(count, channels):
    """Half of a map's width; the widest map of a block is 2 wide."""
    return 0.15 + 0.85 * count / max(channels)


def _draw_shortcut(ax, left, y):
    """From the left end of the first map past all layers to the sum at height y."""
    style = {"color": "black", "linewidth": 1.2, "linestyle": "-", "marker": "none"}
    ax.plot([left, -1.35, -1.35, -0.2], [0, 0, y, y], **style)
    _write(ax, -1.42, y / 2, "shortcut", rotation=90, ha="right")


def _draw_sum(ax, y, last):
    """The sum at height y, the instance norm that DualNorm adds, and what comes last."""
    _write(ax, 0, y, "+", fontsize=13, bbox=CIRCLE)
    added = {"facecolor": "white", "edgecolor": "C1", "hatch": "////", "linewidth": 2}
    _draw_box(ax, -0.7, y - 1.15, 1.4, 0.6, **added)
    _write(ax, 0, y - 0.85, "IN", fontsize=10, weight="bold", bbox=ON_WHITE | {"pad": 1.5})
    _write(ax, 0, y - 1.55, last)


def _write(ax, x, y, text, **options):
    ax.text(x, y, text, **({"ha": "center", "va": "center", "fontsize": 8} | options))


def _draw_box(ax, x, y, width, height, **options):
    """A rectangle whose lower left corner is (x, y)."""
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x, y), width, height, **options))


# ---- trunks

# Channels x height x width behind each stage of our tiny trunk, for pictures of 64 x 32 pixels.
SIZES = {
    "bn1": "24 × 32 × 16",
    "layer1": "24 × 32 × 16",
    "layer2": "48 × 16 × 8",
    "layer3": "96 × 8 × 4",
    "layer4": "192 × 8 × 4",
    "feature": "192",
}
MARK_NAMES = {
    "replaced": "IN for BN",
    "behind the sum": "IN behind\nthe sum",
    "half": "half of the\nfirst BN: IN",
    "norm": "feature\nnorm",
}
HATCHES = {"replaced": "////", "behind the sum": "////", "half": "//", "norm": "...."}


def trunks_picture() -> Any:
    """Our trunk under each of the eight placements -> figure."""
    figure, panels = make_figure(4, 2, (10, 3.9))
    for ax, name in zip(panels.flat, (*PLACES, *OTHERS)):
        draw_trunk(ax, read_marks(name))
        ax.set_title(name, fontsize=9, pad=1)
    return figure


def draw_trunk(ax: Any, marks: dict[str, str]) -> None:
    """One trunk as a row of boxes; hatched: where instance norm stands.

    Args:
        ax: axes to draw on.
        marks: see experiments.read_marks.
    """
    ax.set(xlim=(-0.1, 6.1), ylim=(-0.45, 1.05))
    ax.axis("off")
    for x, (stage, size) in enumerate(SIZES.items()):
        _draw_box(ax, x + 0.05, 0, 0.9, 0.78, facecolor="0.93", edgecolor="black")
        if marks[stage]:
            _draw_mark(ax, x, marks[stage])
        _write(ax, x + 0.5, 0.62, STAGES.get(stage, "pooled"))
        _write(ax, x + 0.5, -0.2, size, fontsize=7)


def _draw_mark(ax, x, mark):
    edge = "C0" if mark == "norm" else "C1"
    style = {"facecolor": "white", "edgecolor": edge, "hatch": HATCHES[mark]}
    _draw_box(ax, x + 0.05, 0, 0.9, 0.46, **style)
    _write(ax, x + 0.5, 0.23, MARK_NAMES[mark], fontsize=7, bbox=ON_WHITE | {"pad": 1})


# ---- scores


def goal_picture(table: Recorded) -> Any:
    """Scores against how far instance norms reach, a line for each exam -> figure."""
    rows = split_rows(table)
    names = [name for name in PLACES if name in rows]
    reach = [PLACES.index(name) for name in names]
    figure, (question, price) = make_figure(1, 2, (8.6, 3.3), width_ratios=[3, 2])
    for exam, label in EXAMS.items():
        ax = price if exam == "tone" else question
        estimates = [rows[name].estimate(COLUMNS[exam]) for name in names]
        line(ax, reach, estimates, EXAM_LOOKS[exam], label=label)
    question.set(title="The usual question", ylabel="rank-1 (%)", ylim=(0, 100))
    price.set(title="The price: the tone exam", ylabel="mAP (%)", ylim=(0, None))
    _name_places(question, fontsize=8)
    _name_places(price, fontsize=7)
    question.legend(fontsize=8)
    return figure


def _name_places(ax, fontsize):
    labels = [name.replace(" and ", "\nand ") for name in PLACES]
    ax.set_xticks(range(len(PLACES)), labels, fontsize=fontsize)
    ax.set_xlabel("instance norm reaches ...")


def changes_picture(table: Recorded) -> Any:
    """Paired differences by seed: each placement against none, and with against without feature
    norm -> figure.
    """
    rows = split_rows(table)
    pairs = _pairs(rows)
    feature_norms = sum(other.endswith(WITHOUT) for _, other in pairs.values())
    size = (9.4, 0.28 * len(pairs) + 1.2)
    figure, panels = make_figure(1, 3, size, sharey=True)
    for ax, exam in zip(panels, EXAMS):
        _draw_changes(ax, rows, list(pairs.values()), exam)
        # Placements stand above this line, feature norms below.
        ax.axhline(feature_norms - 0.5, color="0.5", linewidth=0.8, linestyle=":")
    panels[0].set_yticks(range(len(pairs)), list(reversed(pairs)), fontsize=8)
    return figure


def _pairs(rows):
    """{what stands beside it: (row, row that it is compared with)}, where the table has both."""
    placements = {name: (name, "none") for name in (*PLACES[1:], *OTHERS)}
    feature_norms = {f"feature norm, IN {name}": (name, name + WITHOUT) for name in PLACES}
    pairs = placements | feature_norms
    return {label: pair for label, pair in pairs.items() if rows.keys() >= set(pair)}


def _draw_changes(ax, rows, pairs, exam):
    """A dot for each pair, the first on top; filled where the interval leaves out 0."""
    column = COLUMNS[exam]
    for y, (name, other) in enumerate(reversed(pairs)):
        change = rows[name].change(rows[other], column)
        dot(ax, change, y, EXAM_LOOKS[exam], filled=change.sign != 0, capsize=2)
    ax.axvline(0, color="black", linewidth=0.9, linestyle="-")
    ax.set_title(EXAMS[exam], fontsize=9)
    ax.set_xlabel("points of mAP" if column.endswith("map") else "points of rank-1")


# ---- the tone exam

# How the tone is told: as it is, and with what the stem sees beyond the border (or the wall)
# changed -> (hatch, distance from the middle of the network's bars).
WAYS = {
    "as it is": ("", -0.27),
    "edges repeated": ("//", 0),
    "edges repeated, grey wall": ("..", 0.27),
}


def tones_picture(exam: Exam, body: int = 0) -> np.ndarray:
    """One person of the exam in all tones: as taken, and below after instance norm of the pixels
    -> montage, uint8 (H', W', 3).

    Args:
        exam: a tone exam.
        body: number of the person.
    """
    gallery = exam.gallery
    person = (gallery.attributes["body"] == body) & (gallery.cameras == 0)
    pictures = gallery[person]
    pictures = pictures[pictures.attributes["tone"].argsort()]
    normed = F.instance_norm(pictures.images.float() / 255)  # (tones, 3, H, W)
    shown = ((normed + 1.0) / 5.0).clamp(0, 1).mul(255).byte()
    labels = [f"as taken, tone {tone:.2f}" for tone in TONES]
    labels += ["after IN"] * len(TONES)
    return grid(torch.cat([pictures.images, shown]), len(TONES), labels)


def frame_picture(picture: Tensor, changes: dict[str, Tensor]) -> Any:
    """Where half the tone changes what comes out of the stem, by kind of padding -> figure.

    Args:
        picture: (1, 3, H, W) values 0 .. 255.
        changes: {"zeros": (h, w), "replicate": (h, w)} mean change over the channels.
    """
    figure, panels = make_figure(1, 3, (7.6, 3.6))
    panels[0].imshow(picture[0].permute(1, 2, 0) / 255)  # (3, H, W) -> (H, W, 3)
    panels[0].set(title="the picture", xticks=[], yticks=[])
    largest = changes["zeros"].max().item()
    for ax, (padding, change) in zip(panels[1:], changes.items()):
        image = ax.imshow(change, vmin=0, vmax=largest)
        ax.set(title=f"padding: {padding}", xticks=[], yticks=[])
    label = "change by half the tone\n(mean over 24 channels)"
    figure.colorbar(image, ax=panels[1:], label=label)
    return figure


def told_picture(shares: dict[tuple[str, str], float], tones: int) -> Any:
    """How often each network tells the tone right, as it is and with the stem's view changed ->
    figure.

    Args:
        shares: {(name of the network, a key of WAYS): percent}, of two networks.
        tones: how many there are to choose from.
    """
    figure, ax = make_figure(size=(8, 2.9))
    names = list(dict.fromkeys(name for name, _ in shares))
    for y, (name, color) in enumerate(zip(names, ("0.6", "0.9"))):
        for way, (hatch, shift) in WAYS.items():
            share = shares[name, way]
            label = None if y else way
            style = {"color": color, "edgecolor": "black", "hatch": hatch, "label": label}
            ax.barh(y + shift, share, 0.25, **style)
            ax.text(101, y + shift, f"{share:.0f} %", va="center", fontsize=8)
    ax.axvline(100 / tones, color="C1", linestyle="--", marker="none", label="chance")
    ax.set_yticks(range(2), [f"IN {name}" for name in names])
    ax.set(xlabel="tone told right (%)", xlim=(0, 110), ylim=(1.5, -0.5))
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure

"""Chapter 11: real people. Its exams, probes, pictures and the knob explorer.

    REIDKIT_DATA_ROOT=/folder/of/data/sets python -m reidkit.chapters.real_people.figures

writes data/results/11_outline.safetensors, the outline of real people (the development half of PKU-Reid): a deviation
for each pixel, no picture.
"""

import pathlib
from statistics import mean

import safetensors.torch
import torch

from ... import datasets, files, recipes, retrieval, store, world
from ...recipes import study
from ...record import Exam
from ...stats import t_interval
from ...teach.recorded import Recorded
from ...teach.widgets import Frame, choice

EXAMS = {
    "validation": ("drawn people", "o"),
    "pku_development": ("real people", "s"),
    "pku_development_camera": ("real, statistics per camera", "^"),
}
# Our measurement of published networks, one code, 256x128, cosine, rectangle AP: rank-1 and mAP in % on a half of
# PKU-Reid, camera 1 searched in camera 2; _camera: batch norm statistics re-estimated per camera
PUBLISHED = {
    "random MobileNetV1": {"development": (0.7, 3.4), "report": (1.0, 3.7)},
    "MobileNetV1, ImageNet": {"development": (20.9, 14.3), "report": (20.9, 13.5)},
    "OSNet x0.25, Market-1501": {
        "development": (38.2, 31.1),
        "report": (41.9, 34.2),
        "development_camera": (69.6, 58.3),
        "report_camera": (74.3, 55.7),
    },
    "OSNet x0.25, MSMT17": {
        "development": (62.8, 46.7),
        "report": (61.1, 49.5),
        "development_camera": (76.7, 61.4),
        "report_camera": (74.3, 60.1),
    },
}
OURS = {"untrained": "ours, not trained at all", "drawn-laptop": "ours, drawn people only"}

# ---- exams and probes


def real_exam(run, size):
    """The real people that DATA names -> Exam, or None for "world". Of PKU-Reid, the development half: the other is for
    reporting, and stands in recorded tables only."""
    if run.source == "world":
        return None
    name, _, path = run.data.partition(":")
    return datasets.read(name, path, size, half="development" if name == "pku-reid" else "all").exam


def drawn_exam(people, pictures, size, seed=0, device="cpu"):
    """One drawn validation place in PKU-Reid's form: two cameras, the first searched in the second -> Exam."""
    data = world.make_exam(
        [("validation", 0)], people, 2, pictures, size, seed, device=device
    ).both()
    return Exam(data[data.cameras == 0], data[data.cameras == 1], "drawn, two cameras")


def style(pictures):
    """uint8 (N, 3, H, W) -> (N, 6), 0 to 1: mean and deviation of red, green, blue over each picture."""
    flat = pictures.float().flatten(2) / 255
    return torch.cat([flat.mean(2), flat.std(2)], 1)


def outline(pictures, cameras):
    """Where pictures of one camera differ from each other: uint8 (N, 3, H, W) -> (H, W) deviation in grey levels. Dark
    where a background stays as it is; people differ, so that their common outline shows, and nobody in particular."""
    grey = pictures.float().mean(1)
    return torch.stack([grey[cameras == camera].std(0) for camera in cameras.unique()]).mean(0)


def scaled_per_camera(values, cameras):
    """(N, D) with each camera's mean taken away and divided by its deviation."""
    made = torch.empty_like(values)
    for camera in cameras.unique():
        here = cameras == camera
        made[here] = (values[here] - values[here].mean(0)) / values[here].std(0)
    return made


def same_camera(features, ids, cameras):
    """How often the nearest stranger stands in the same camera, and how often by chance, in %. Features (N, D)."""
    stranger, same = ids[:, None] != ids[None], cameras[:, None] == cameras[None]  # (N, N)
    nearest = torch.cdist(features, features).masked_fill(~stranger, torch.inf).argmin(1)
    chance = ((same & stranger).sum(1) / stranger.sum(1)).mean()
    return 100 * (cameras[nearest] == cameras).float().mean().item(), 100 * chance.item()


def camera_told(features, ids, cameras):
    """How often the nearest camera mean is that of the picture's own camera, in %. Means are taken over half of the
    people, the question is asked of the other half."""
    learn, kinds = torch.isin(ids, ids.unique()[::2]), cameras.unique()
    means = torch.stack(
        [features[learn & (cameras == camera)].mean(0) for camera in kinds]
    )  # (cameras, D)
    told = kinds[torch.cdist(features[~learn], means).argmin(1)]
    return 100 * (told == cameras[~learn]).float().mean().item()


def first_in_second(features, ids, cameras):
    """Metrics of camera 0's pictures searched among those of camera 1."""
    query, gallery = (
        [part[cameras == camera] for part in (features, ids, cameras)] for camera in (0, 1)
    )
    return retrieval.evaluate(*query, *gallery)


def recorded_features():
    """{name: tensor} recorded on the development half (592 pictures): "bn", "bn_camera", "bin", "bin_camera" (592, 256),
    the features of two networks on their strongest axes; "ids", "cameras" (592,); "style_pku" (592, 6); "outline"."""
    found = {}
    for name in ("11_features", "11_outline"):
        path = files.results_dir() / f"{name}.safetensors"
        store.check_file(path, **store.hashes(path)[path.name])
        found |= safetensors.torch.load_file(path)
    return {
        name: value.float() if value.is_floating_point() else value for name, value in found.items()
    }


# ---- the study


def usual(table):
    """Recorded rows of the usual recipe."""
    return Recorded(table.name, [row for row in table.rows if row["knob"] == "usual"])


def groups(table):
    """{knob: {value: Recorded}} in the study's order. The usual recipe stands in every group, under its value there."""
    rows, made = {}, {}
    for row in table.rows:
        rows.setdefault((row["knob"], row["value"]), []).append(row)
    for knob, values in study.STUDY.items():
        if any((knob, value) in rows for value in values):
            cells = {
                value: rows.get((knob, value) if changes else ("usual", ""))
                for value, changes in values.items()
            }
            made[knob] = {
                value: Recorded(table.name, cell) for value, cell in cells.items() if cell
            }
    return made


def changes(table, column):
    """{(knob, value): differences to the usual recipe, seed by seed} of a column, for every value that is not usual."""

    def by_seed(recorded):
        return {
            row["SEED"]: float(row[column]) for row in recorded.rows if row.get(column, "") != ""
        }

    before = by_seed(usual(table))
    found = {
        (knob, value): by_seed(cell)
        for knob, cells in groups(table).items()
        for value, cell in cells.items()
        if study.STUDY[knob][value]
    }
    found = {
        key: [value - before[seed] for seed, value in cell.items() if seed in before]
        for key, cell in found.items()
    }
    return {key: differences for key, differences in found.items() if differences}


def agreement(table, column="map"):
    """Rank correlation (Spearman) between what a change does to drawn and to real people: 1 same order, 0 none."""
    real, drawn_ones = (
        changes(table, f"{exam}_{column}") for exam in ("pku_development", "validation")
    )
    both = torch.tensor(
        [[mean(side[key]) for key in real if key in drawn_ones] for side in (real, drawn_ones)]
    )
    return torch.corrcoef(both.argsort(1).argsort(1).float())[0, 1].item()


def surely(differences):
    """Whether the t interval over seeds leaves out 0."""
    low, high = t_interval(differences)
    return low is not None and (low > 0 or high < 0)


# ---- pictures


def number_picture(models, half="report"):
    """Rank-1 on a half of PKU-Reid: published networks, and ours with its interval over people -> figure."""
    from matplotlib import pyplot

    rows = [
        (
            name,
            *(
                (values[key][0], None, None) if key in values else None
                for key in (half, f"{half}_camera")
            ),
        )
        for name, values in PUBLISHED.items()
    ]
    for name in dict.fromkeys(row["model"] for row in models.rows):
        own = Recorded(models.name, [row for row in models.rows if row["model"] == name])
        columns = f"pku_{half}_rank1", f"pku_{half}_camera_rank1"
        points = (
            [own.mean(f"{one}{end}") for end in ("", "_low", "_high")] for one in columns
        )  # with other people
        rows.append((OURS[name], *points))
    rows.sort(key=lambda row: row[1][0])
    fig, ax = pyplot.subplots(figsize=(8, 0.55 * len(rows) + 1.1))
    looks = [
        ("o", "C0", "C0", "as trained"),
        ("s", "C1", "white", "statistics per camera (transductive)"),
    ]
    for y, (_, *points) in enumerate(rows):
        for point, (marker, colour, face, _), side in zip(
            points, looks, (1, -1)
        ):  # above and below the line
            if point is not None:
                whiskers(
                    ax,
                    point,
                    y + 0.12 * side,
                    marker=marker,
                    color=colour,
                    markerfacecolor=face,
                    markersize=7,
                )
                ax.text(
                    point[0],
                    y + 0.36 * side,
                    f"{point[0]:.0f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                )
    for marker, colour, face, label in looks:
        ax.plot(
            [],
            [],
            marker=marker,
            color=colour,
            markerfacecolor=face,
            markersize=7,
            linestyle="none",
            label=label,
        )
    ax.set(
        yticks=range(len(rows)),
        yticklabels=[row[0] for row in rows],
        xlim=(-2, 100),
        ylim=(-0.6, len(rows) - 0.4),
        xlabel=f"rank-1 on PKU-Reid, {half} half (%)",
    )
    ax.legend(fontsize=8, loc="lower right")
    return fig


def whiskers(ax, point, y, **looks):
    """A dot at height y with its interval. point: mean, low, high; low None for no interval."""
    middle, low, high = point
    ends = None if low is None else [[middle - low], [high - middle]]
    ax.errorbar(middle, y, xerr=ends, linestyle="none", **{"capsize": 3, **looks})


def feature_picture(found):
    """The real features on two principal axes: BN above, BIN below, plain left, per camera right -> figure."""
    from matplotlib import pyplot

    ids, cameras = found["ids"], found["cameras"]
    crowd = torch.isin(ids, ids.unique()[::3])  # a third, so that dots stay apart
    fig, axes = pyplot.subplots(2, 2, figsize=(7.2, 5.6))
    for ax, name in zip(axes.flat, ("bn", "bn_camera", "bin", "bin_camera")):
        values, centred = found[name], found[name] - found[name].mean(0)
        plane = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T  # (N, 2)
        for camera, marker in ((0, "o"), (1, "^")):
            ax.scatter(
                *plane[crowd & (cameras == camera)].T,
                s=9,
                marker=marker,
                color=("0.82", "0.5")[camera],
                label=f"camera {camera + 1}",
            )
        for index, person in enumerate(ids.unique()[1::10].tolist()):  # four people, A to D
            sides = [plane[(cameras == camera) & (ids == person)] for camera in (0, 1)]
            for side, marker in zip(sides, "o^"):
                ax.scatter(*side.T, s=22, marker=marker, color=f"C{index}")
            ends = torch.stack([side.mean(0) for side in sides])  # (2, 2)
            ax.plot(*ends.T, color="black", linewidth=1.2, linestyle="-", marker="none")
            for end in ends:
                ax.text(
                    *end,
                    "ABCD"[index],
                    fontsize=7,
                    bbox={"boxstyle": "round,pad=0.1", "facecolor": "white"},
                )
        title = name.partition("_")[0].upper() + (
            ", statistics per camera" if "_" in name else ", as trained"
        )
        same, score = (
            same_camera(values, ids, cameras)[0],
            first_in_second(values, ids, cameras).map,
        )
        ax.set_title(
            f"{title}\nstranger in same camera {same:.0f} %, mAP {100 * score:.0f} %", fontsize=9
        )
        ax.set(xticklabels=[], yticklabels=[], xlabel="first axis", ylabel="second axis")
    axes[0, 0].legend(fontsize=7)
    return fig


def study_picture(table):
    """Every value of every knob, by family: the change of mAP against the usual recipe, real left, drawn right -> figure."""
    from matplotlib import pyplot

    sides = [
        ("real people", changes(table, "pku_development_map"), "s", "C1"),
        ("drawn people", changes(table, "validation_map"), "o", "C0"),
    ]
    order = sorted(sides[0][1], key=lambda key: mean(sides[0][1][key]))  # best last: drawn on top
    rows = []  # (knob, value), or the name of the family above them
    for family, knobs in reversed(study.FAMILIES.items()):
        rows += [*(key for key in order if key[0] in knobs), family]
    fig, axes = pyplot.subplots(1, 2, figsize=(8.6, 0.22 * len(rows) + 1.1), sharey=True)
    for ax, (title, found, marker, colour) in zip(axes, sides):
        for y, key in enumerate(rows):
            if key in study.FAMILIES:
                ax.axhspan(y - 0.5, y + 0.5, color="0.92")
            elif key in found:
                shade, face = (colour, colour) if surely(found[key]) else ("0.65", "white")
                whiskers(
                    ax,
                    (mean(found[key]), *t_interval(found[key])),
                    y,
                    marker=marker,
                    markersize=5,
                    color=shade,
                    markerfacecolor=face,
                    capsize=2,
                    linewidth=1.1,
                )
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set(title=title, xlabel="change of mAP (points)", ylim=(-0.6, len(rows) - 0.4))
    labels = [key.upper() if key in study.FAMILIES else f"{key[0]}: {key[1]}" for key in rows]
    axes[0].set_yticks(range(len(rows)), labels, fontsize=7.5)
    return fig


def knob_explorer(table):
    """One knob of the recorded study: what each value scores on drawn and real people -> (draw, controls)."""
    found = groups(table)

    def ends(cell, column, interval):
        """(mean, whisker downwards, whisker upwards)"""
        middle, (low, high) = cell.mean(column), cell.interval(column)
        if interval == "people":
            low, high = cell.mean(f"{column}_low"), cell.mean(f"{column}_high")
        return (middle, 0, 0) if low is None else (middle, middle - low, high - middle)

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        if "fig" not in artists:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            artists["fig"] = Figure(figsize=(6, 3.4), dpi=90)
            FigureCanvasAgg(artists["fig"])
            artists["ax"] = artists["fig"].add_subplot()
        ax, cells, words = artists["ax"], found[state["knob"]], []
        ax.clear()
        for index, (exam, (label, marker)) in enumerate(EXAMS.items()):
            column = f"{exam}_{'map' if state['score'] == 'mAP' else 'rank1'}"
            middle, down, up = zip(
                *(ends(cell, column, state["interval"]) for cell in cells.values())
            )
            ax.errorbar(
                [x + 0.12 * (index - 1) for x in range(len(cells))],
                middle,
                yerr=[down, up],
                marker=marker,
                color=f"C{index}",
                capsize=3,
                linestyle="none",
                label=label,
            )
            words.append(
                f"{label}: "
                + ", ".join(f"{value} {score:.1f}" for value, score in zip(cells, middle))
            )
        names = [value if study.STUDY[state["knob"]][value] else f"{value}*" for value in cells]
        ax.set(
            xticks=range(len(cells)),
            xticklabels=names,
            xlim=(-0.5, len(cells) - 0.5),
            ylim=(0, 100),
            xlabel=f"{state['knob']} (*: the usual recipe)",
            ylabel=f"{state['score']} (%)",
        )
        ax.legend(fontsize=7, loc="upper right")
        words.append(f"Whiskers: 95 % over {state['interval']}.")
        return Frame(artists["fig"], f"{state['score']} in %. " + ". ".join(words))

    first = next(iter(found))
    return draw, {
        "knob": choice(list(found), first, "knob"),
        "score": choice(["rank-1", "mAP"], "rank-1", "score"),
        "interval": choice(["seeds", "people"], "seeds", "whiskers over"),
    }


# ---- an album, and the recorded outline


def draw_album(folder, seed=0):
    """Write a small album of drawn people as PNG files, "p1_c0_0.png" -> the folder."""
    from PIL import Image

    data = world.sample(
        [("demo", 0)], people=6, cameras=3, pictures=2, size=(128, 64), seed=seed, cache=False
    )
    for i, (person, camera) in enumerate(zip(data.ids.tolist(), data.cameras.tolist())):
        picture = Image.fromarray(data.images[i].permute(1, 2, 0).numpy())
        picture.save(pathlib.Path(folder) / f"p{person + 1}_c{camera}_{i % 2}.png")
    return folder


if __name__ == "__main__":
    data = recipes.real_exams(recipes.PRESETS["smoke"])["pku_development"].both()
    values = outline(data.pictures(), data.cameras).half()
    path = files.results_dir() / "11_outline.safetensors"
    files.write_atomic(path, safetensors.torch.save({"outline": values}))
    store.record_hash(path)

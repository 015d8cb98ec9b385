"""Readers of real data sets. A data set is one row of LAYOUTS: where its pictures lie, how their names are built, and
how many there are."""

import pathlib
import re
from dataclasses import dataclass

import torch

from ..pictures import picture_names
from ..record import Exam, ReIDData


@dataclass(frozen=True)
class Layout:
    """inside: the set's own folder name. splits: name -> (folder, the one camera that belongs to it, or None for all).
    pattern: matches a whole picture path relative to its folder; groups id and camera are labels, others become
    attributes. first_camera: what the set calls its first camera. counts: split -> (pictures, ids without junk) as
    published. size: (H, W) of its pictures. halves: whether it has a development and a report half."""

    inside: str
    splits: dict
    pattern: str
    first_camera: int
    counts: dict
    size: tuple
    tree: str
    halves: bool = False


LAYOUTS = {
    # Zheng et al., ICCV 2015; 15,913 gallery pictures and 3,819 of junk (-1)
    "market1501": Layout(
        inside="Market-1501-v15.09.15",
        splits={
            "train": ("bounding_box_train", None),
            "query": ("query", None),
            "gallery": ("bounding_box_test", None),
        },
        pattern=r"(?P<id>-1|\d{4})_c(?P<camera>[1-6])s\d+_\d+_\d+\.jpg",
        first_camera=1,
        counts={"train": (12936, 751), "query": (3368, 750), "gallery": (19732, 751)},
        size=(128, 64),
        tree="""Market-1501-v15.09.15/
    bounding_box_train/    0002_c1s1_000451_03.jpg ...
    query/                 0001_c1s1_001051_00.jpg ...
    bounding_box_test/     -1_c1s1_000401_03.jpg  0000_c1s1_000151_01.jpg ...""",
    ),
    # Ma et al., 2016, the public part; protocol here: camera 1 is searched in camera 2
    "pku-reid": Layout(
        inside="pku-reid",
        splits={"query": (".", 1), "gallery": (".", 2)},
        pattern=r"(?P<id>\d+)/(?P<camera>0[12])_(?P<pose>\d+)\.png",
        first_camera=1,
        counts={"query": (592, 74), "gallery": (592, 74)},
        size=(128, 48),
        halves=True,
        tree="""pku-reid/
    001/    01_1.png ... 01_8.png  02_1.png ... 02_8.png
    003/    ...""",
    ),
}


@dataclass(frozen=True)
class Splits:
    """A data set as read: train is empty where the set has none; note says what is unusual about this copy."""

    train: ReIDData
    query: ReIDData
    gallery: ReIDData
    name: str
    note: str = ""

    @property
    def exam(self):
        return Exam(self.query, self.gallery, self.name)


def read(name, path, size=None, half="all", strict=None):
    """A real data set from its folder (or the folder around it) -> Splits, pictures left on disk until they are needed.

    name: "market1501" or "pku-reid". size (H, W): what pictures are decoded to, the set's own by default. Ids are the
    set's own (-1 junk, 0 distractors of Market-1501), cameras count from 0, pictures are in sorted order. half, for
    pku-reid: "development" or "report", the sorted identities at even or odd positions. strict: True insists on the
    published counts, False never looks, None insists unless every split holds less than a tenth of them: a sample.
    Raises FileNotFoundError for a path without the expected folders or pictures, ValueError for names that do not
    parse, counts that differ, and a split in which no query has its person in another camera; each shows the expected
    tree. A picture that cannot be read raises a ValueError, with the tree, when it is decoded.
    """
    if name not in LAYOUTS:
        raise ValueError(
            f"data set {name!r} has no reader; there are {', '.join(map(repr, LAYOUTS))}"
        )
    layout = LAYOUTS[name]
    if half not in ("all", "development", "report") or (half != "all" and not layout.halves):
        raise ValueError(
            f"half is {half!r} for {name}; expected 'all'"
            + (
                ", 'development' or 'report'"
                if layout.halves
                else ": its splits are the published ones"
            )
        )
    root = _find_root(name, layout, path)
    splits = {split: _read_split(name, layout, split, root, size) for split in layout.splits}
    note = _check_counts(name, layout, splits, root, strict)
    if half != "all":
        people = torch.unique(torch.cat([data.ids for data in splits.values()]))[
            half == "report" :: 2
        ]
        splits = {split: data[torch.isin(data.ids, people)] for split, data in splits.items()}
        note = f"{half} half, {len(people)} people. {note}".strip()
    note = (
        f"{note} {_check_matches(name, layout, root, splits['query'], splits['gallery'])}".strip()
    )
    return Splits(
        splits.get("train", splits["query"][:0]), splits["query"], splits["gallery"], name, note
    )


def _expected(layout, root):
    return f"Read from {str(root)!r}. Expected:\n{layout.tree}"


def _find_root(name, layout, path):
    """The folder that holds the splits: `path`, or the set's own folder inside it."""
    path = pathlib.Path(path).expanduser()
    folders = [folder for folder, _ in layout.splits.values()]
    for root in (path / layout.inside, path):
        if all((root / folder).is_dir() for folder in folders):
            return root
    missing = [folder for folder in dict.fromkeys(folders) if not (path / folder).is_dir()]
    what = f"holds no folder {', '.join(map(repr, missing))}" if path.is_dir() else "is no folder"
    raise FileNotFoundError(f"{name}: {str(path)!r} {what}. {_expected(layout, path)}")


def _read_split(name, layout, split, root, size):
    folder, camera = layout.splits[split]
    folder = root / folder
    # only as deep as names go: a wrong path may be a whole disk
    deep = "*/" * layout.pattern.count("/") + "*"
    names = picture_names(folder, folder.glob(deep))
    names = [(path, re.fullmatch(layout.pattern, path)) for path in names]
    bad = [path for path, match in names if not match]
    if bad:
        raise ValueError(
            f"{name}: {len(bad)} of {len(names)} picture names in {str(folder)!r} do not parse, the first "
            f"{', '.join(map(repr, bad[:3]))}. {_expected(layout, root)}"
        )
    names = [
        (path, match) for path, match in names if camera is None or int(match["camera"]) == camera
    ]
    if not names:
        where = f"{str(folder)!r}" + ("" if camera is None else f" of camera {camera}")
        raise FileNotFoundError(
            f"{name}: there is no picture in {where}. {_expected(layout, root)}"
        )

    def label(group):
        return torch.tensor([int(match[group]) for _, match in names])

    others = [
        group for group in re.compile(layout.pattern).groupindex if group not in ("id", "camera")
    ]
    return ReIDData(
        tuple(folder / path for path, _ in names),
        label("id"),
        label("camera") - layout.first_camera,
        torch.zeros(len(names), dtype=torch.int64),
        None,
        {group: label(group) for group in others},
        f"{name} {split}",
        tuple(size or layout.size),
        _expected(layout, root),
    )


def _check_counts(name, layout, splits, root, strict):
    found = {split: (len(data), data.numbers()["ids"]) for split, data in splits.items()}
    if strict is None and all(10 * found[split][0] < layout.counts[split][0] for split in splits):
        return f"A sample of the set: {', '.join(f'{found[split][0]} {split}' for split in found)} pictures."
    for split in splits if strict is not False else ():
        if found[split] != layout.counts[split]:
            (pictures, ids), (all_pictures, all_ids) = found[split], layout.counts[split]
            raise ValueError(
                f"{name} {split}: found {pictures} pictures of {ids} ids, the published set has "
                f"{all_pictures} of {all_ids}. Unpack it again, or pass strict=False for a copy of your "
                f"own. {_expected(layout, root)}"
            )
    return ""


def _check_matches(name, layout, root, query, gallery):
    """A note on queries without a match; an error where no query has one."""
    cameras = 1 + max(int(query.cameras.max()), int(gallery.cameras.max()))
    seen = torch.zeros(
        1 + max(int(query.ids.max()), int(gallery.ids.max())), cameras, dtype=torch.bool
    )
    kept = gallery.ids >= 0
    seen[gallery.ids[kept], gallery.cameras[kept]] = (
        True  # (ids, cameras) whether the gallery has this person there
    )
    shared = (query.ids >= 0) & seen[query.ids].any(1)
    seen = seen[query.ids].scatter(
        1, query.cameras[:, None], False
    )  # (Q, cameras) and in another camera
    matched = int(((query.ids >= 0) & seen.any(1)).sum())
    if not matched:
        why = "share no id" if not shared.any() else "share ids in the same camera only"
        raise ValueError(
            f"{name}: query and gallery {why}, so no query has a match in another camera. "
            f"{_expected(layout, root)}"
        )
    missing = len(query) - matched
    return f"{missing} of {len(query)} queries have no match in another camera." if missing else ""

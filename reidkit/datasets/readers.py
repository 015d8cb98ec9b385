"""Readers of real data sets.

A data set is one row of LAYOUTS: where its pictures lie, how their names are built, and how many
there are.
"""

import pathlib
import re
from dataclasses import dataclass

import torch

from ..pictures import check_size, folder_path, picture_names
from ..record import Exam, ReIDData, is_junk


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk.

    Args:
        inside: the set's own folder name.
        splits: name -> (folder, the one camera that belongs to it, or None for all).
        pattern: matches a whole picture path relative to its folder; the groups id and camera are
            labels, other groups become attributes. All are numbers that int64 holds.
        first_camera: what the set calls its first camera.
        counts: split -> (pictures, ids without junk) as published.
        size: (H, W) of its pictures.
        tree: the expected folders and names, as errors show them.
        halves: whether it has a development and a report half.
    """

    inside: str
    splits: dict[str, tuple[str, int | None]]
    pattern: str
    first_camera: int
    counts: dict[str, tuple[int, int]]
    size: tuple[int, int]
    tree: str
    halves: bool = False


# Zheng et al., ICCV 2015; 15,913 gallery pictures and 3,819 of junk (-1)
MARKET_1501 = Layout(
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
)

# Ma et al., 2016, the public part; protocol here: camera 1 is searched in camera 2
PKU_REID = Layout(
    inside="pku-reid",
    splits={"query": (".", 1), "gallery": (".", 2)},
    pattern=r"(?P<id>\d{1,18})/(?P<camera>0[12])_(?P<pose>\d{1,18})\.png",
    first_camera=1,
    counts={"query": (592, 74), "gallery": (592, 74)},
    size=(128, 48),
    halves=True,
    tree="""pku-reid/
    001/    01_1.png ... 01_8.png  02_1.png ... 02_8.png
    003/    ...""",
)

LAYOUTS = {"market1501": MARKET_1501, "pku-reid": PKU_REID}


@dataclass(frozen=True)
class Splits:
    """A data set as read.

    Args:
        train: what a model may learn from; empty where the set has none.
        query: the pictures that are searched with.
        gallery: the pictures that are searched.
        name: of the set, as in LAYOUTS.
        note: what is unusual about this copy.
    """

    train: ReIDData
    query: ReIDData
    gallery: ReIDData
    name: str
    note: str = ""

    @property
    def exam(self) -> Exam:
        return Exam(self.query, self.gallery, self.name)


def read(
    name: str,
    path: str | pathlib.Path,
    size: tuple[int, int] | None = None,
    half: str = "all",
    strict: bool | None = None,
) -> Splits:
    """Read a real data set from its folder; pictures stay on disk until they are needed.

    Ids are the set's own (-1 junk, 0 distractors of Market-1501), cameras count from 0, pictures
    are in sorted order. A picture that cannot be read raises a ValueError, with the expected tree,
    when it is decoded.

    Args:
        name: "market1501" or "pku-reid".
        path: the set's folder, or the folder around it.
        size: (H, W) that pictures are decoded to; the set's own by default.
        half: for pku-reid "development" or "report", the sorted identities at even or odd
            positions; else "all".
        strict: True insists on the published counts, False never looks, None insists unless every
            split holds less than a tenth of them, which is a sample.
    Raises:
        FileNotFoundError: a path without the expected folders or pictures; shows the expected tree.
        ValueError: an unknown name or half, a path or size that is none; and, showing the expected
            tree, names that do not parse, counts that differ, or a set in which no query has its
            person in another camera.
    """
    if not isinstance(name, str) or name not in LAYOUTS:
        raise ValueError(
            f"data set {name!r} has no reader; there are {', '.join(map(repr, LAYOUTS))}"
        )
    layout = LAYOUTS[name]
    _check_half(name, layout, half)
    size = check_size(layout.size if size is None else size)
    root = _find_root(name, layout, path)
    splits = {split: _read_split(name, layout, split, root, size) for split in layout.splits}
    notes = [_check_counts(name, layout, splits, root, strict)]
    if half != "all":
        people = _people_of_half(splits, half)
        for split, data in splits.items():
            splits[split] = data[torch.isin(data.ids, people)]
        notes.insert(0, f"{half} half, {len(people)} people.")
    query = splits["query"]
    gallery = splits["gallery"]
    notes.append(_check_matches(name, layout, root, query, gallery))
    no_pictures = query[:0]
    return Splits(
        train=splits.get("train", no_pictures),
        query=query,
        gallery=gallery,
        name=name,
        note=" ".join(note for note in notes if note),
    )


def _check_half(name, layout, half):
    if half == "all" or (layout.halves and half in ("development", "report")):
        return
    if layout.halves:
        expected = "'all', 'development' or 'report'"
    else:
        expected = "'all': its splits are the published ones"
    raise ValueError(f"half is {half!r} for {name}; expected {expected}")


def _people_of_half(splits, half):
    """Every other identity of the set, in sorted order: (people / 2,) ids."""
    ids = torch.cat([data.ids for data in splits.values()])
    people = torch.unique(ids[~is_junk(ids)])
    first = 1 if half == "report" else 0
    return people[first::2]


def _expected(layout, root):
    return f"Read from {str(root)!r}. Expected:\n{layout.tree}"


def _find_root(name, layout, path):
    """The folder that holds the splits: `path`, or the set's own folder inside it."""
    path = folder_path(path, "path")
    # Splits that share a folder name it once.
    folders = list(dict.fromkeys(folder for folder, _ in layout.splits.values()))
    for root in (path / layout.inside, path):
        if all((root / folder).is_dir() for folder in folders):
            return root
    if path.is_dir():
        missing = [repr(folder) for folder in folders if not (path / folder).is_dir()]
        problem = f"holds no folder {', '.join(missing)}"
    else:
        problem = "is no folder"
    raise FileNotFoundError(f"{name}: {str(path)!r} {problem}. {_expected(layout, path)}")


def _read_split(name, layout, split, root, size):
    folder_name, camera = layout.splits[split]
    folder = root / folder_name
    matches = _parse_names(name, layout, folder, root)
    if camera is not None:
        matches = [match for match in matches if int(match["camera"]) == camera]
    if not matches:
        where = f"{str(folder)!r}" + ("" if camera is None else f" of camera {camera}")
        raise FileNotFoundError(
            f"{name}: there is no picture in {where}. {_expected(layout, root)}"
        )
    labels = {}
    for group in matches[0].groupdict():
        labels[group] = torch.tensor([int(match[group]) for match in matches])
    ids = labels.pop("id")
    cameras = labels.pop("camera") - layout.first_camera
    return ReIDData(
        images=tuple(folder / match.string for match in matches),
        ids=ids,
        cameras=cameras,
        domains=torch.zeros(len(matches), dtype=torch.int64),
        attributes=labels,
        name=f"{name} {split}",
        size=size,
        source=_expected(layout, root),
    )


def _parse_names(name, layout, folder, root):
    """Matches of the layout's pattern, in the order of the sorted picture names of a folder."""
    # Only as deep as names go: a wrong path may be a whole disk.
    depth = layout.pattern.count("/")
    names = picture_names(folder, folder.glob("*/" * depth + "*"))
    matches = [re.fullmatch(layout.pattern, picture) for picture in names]
    bad_names = [repr(picture) for picture, match in zip(names, matches) if not match]
    if bad_names:
        raise ValueError(
            f"{name}: {len(bad_names)} of {len(names)} picture names in {str(folder)!r} do not "
            f"parse, the first {', '.join(bad_names[:3])}. {_expected(layout, root)}"
        )
    return matches


def _check_counts(name, layout, splits, root, strict):
    """A note where this is a sample; an error where pictures or identities are missing."""
    counts = {split: (len(data), data.numbers()["ids"]) for split, data in splits.items()}
    published = layout.counts
    if strict is None and all(10 * counts[split][0] < published[split][0] for split in splits):
        pictures = [f"{number} {split}" for split, (number, _) in counts.items()]
        return f"A sample of the set: {', '.join(pictures)} pictures."
    if strict is False:
        return ""
    for split in splits:
        if counts[split] != published[split]:
            pictures, ids = counts[split]
            all_pictures, all_ids = published[split]
            raise ValueError(
                f"{name} {split}: found {pictures} pictures of {ids} ids, the published set has "
                f"{all_pictures} of {all_ids}. Unpack it again, or pass strict=False for a copy of "
                f"your own. {_expected(layout, root)}"
            )
    return ""


def _check_matches(name, layout, root, query, gallery):
    """A note on queries without a match; an error where no query has one."""
    cameras_of = {}  # id -> the cameras that the gallery has this person in
    for person, camera in _people_seen(gallery):
        cameras_of.setdefault(person, set()).add(camera)
    shared = 0
    matched = 0
    for person, camera in _people_seen(query):
        cameras = cameras_of.get(person, set())
        shared += bool(cameras)
        matched += bool(cameras - {camera})
    if not matched:
        why = "share no id" if not shared else "share ids in the same camera only"
        raise ValueError(
            f"{name}: query and gallery {why}, so no query has a match in another camera. "
            f"{_expected(layout, root)}"
        )
    missing = len(query) - matched
    return f"{missing} of {len(query)} queries have no match in another camera." if missing else ""


def _people_seen(data):
    """(id, camera) of each picture that is no junk."""
    counted = ~is_junk(data.ids)
    return zip(data.ids[counted].tolist(), data.cameras[counted].tolist())

"""Readers of real data sets: a folder as `layouts` describes it becomes query, gallery and, where
there is one, a training set.
"""

import pathlib
import re
from dataclasses import dataclass

import torch

from ..pictures import check_size, folder_path, picture_names
from ..record import Exam, ReIDData, is_junk
from .layouts import LAYOUTS


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
    when it is decoded. In 3dpes the sequence stands for the camera, and query and gallery are the
    same pictures. An id of vehicles is one of folder, class and number together.

    Args:
        name: "market1501", "pku-reid", "caviar4reid", "3dpes" or "vehicles".
        path: the set's folder, or the folder around it.
        size: (H, W) that pictures are decoded to; the layout's by default.
        half: for pku-reid and 3dpes "development" or "report", the sorted identities at even or odd
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
    matches, skipped = _parse_folders(name, layout, root)
    splits = {}
    for split in layout.splits:
        splits[split] = _read_split(name, layout, split, root, matches, size)
    notes = [_check_counts(name, layout, splits, root, strict), _note_skipped(layout, skipped)]
    if half != "all":
        people = _people_of_half(splits, half)
        for split, data in splits.items():
            splits[split] = data[torch.isin(data.ids, people)]
        notes.insert(0, f"{half} half, {len(people)} people.")
    if layout.paired:
        notes.append(_leave_out_unpaired(splits))
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
        expected = "'all': it is not divided into halves"
    raise ValueError(f"half is {half!r} for {name}; expected {expected}")


def _people_of_half(splits, half):
    """Every other identity of the set, in sorted order: (people / 2,) ids."""
    ids = torch.cat([data.ids for data in splits.values()])
    people = torch.unique(ids[~is_junk(ids)])
    first = 1 if half == "report" else 0
    return people[first::2]


def _leave_out_unpaired(splits):
    """Take those out of query and gallery whom only one of them shows; a note says how many."""
    query = splits["query"].ids.unique()
    gallery = splits["gallery"].ids.unique()
    in_both = query[torch.isin(query, gallery)]
    for split in ("query", "gallery"):
        data = splits[split]
        splits[split] = data[torch.isin(data.ids, in_both)]
    left_out = len(query) + len(gallery) - 2 * len(in_both)
    return f"People whom only one camera saw are left out: {left_out}." if left_out else ""


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


def _parse_folders(name, layout, root):
    """({folder: matches of the layout's pattern}, names that the layout skips)."""
    matches = {}
    skipped = []
    for folder, _ in layout.splits.values():
        if folder not in matches:
            matches[folder], wrong = _parse_names(name, layout, root / folder, root)
            skipped += wrong
    return matches, skipped


def _parse_names(name, layout, folder, root):
    """(matches in the order of the sorted picture names of a folder, names that are skipped)."""
    # Only as deep as names go: a wrong path may be a whole disk.
    depth = layout.pattern.count("/")
    names = picture_names(folder, folder.glob("*/" * depth + "*"))
    wrong, _ = layout.skipped or ("", "")
    skipped = [picture for picture in names if re.fullmatch(wrong, picture)]
    names = [picture for picture in names if picture not in skipped]
    matches = [re.fullmatch(layout.pattern, picture) for picture in names]
    bad_names = [repr(picture) for picture, match in zip(names, matches) if not match]
    if bad_names:
        raise ValueError(
            f"{name}: {len(bad_names)} of {len(names)} picture names in {str(folder)!r} do not "
            f"parse, the first {', '.join(bad_names[:3])}. {_expected(layout, root)}"
        )
    return matches, skipped


def _note_skipped(layout, skipped):
    if not skipped:
        return ""
    _, what_they_show = layout.skipped
    return f"{len(skipped)} skipped (named like {skipped[0]!r}): {what_they_show}."


def _read_split(name, layout, split, root, matches, size):
    folder_name, camera = layout.splits[split]
    folder = root / folder_name
    paths = []
    rows = []  # the labels of each picture
    for match in matches[folder_name]:
        labels = layout.labels(match.groupdict())
        if camera in (None, labels["camera"]):
            paths.append(folder / match.string)
            rows.append(labels)
    if not rows:
        where = f"{str(folder)!r}" + ("" if camera is None else f" of camera {camera}")
        raise FileNotFoundError(
            f"{name}: there is no picture in {where}. {_expected(layout, root)}"
        )
    columns = {key: torch.tensor([row[key] for row in rows]) for key in rows[0]}
    ids = columns.pop("id")
    cameras = columns.pop("camera") - layout.first_camera
    return ReIDData(
        images=tuple(paths),
        ids=ids,
        cameras=cameras,
        domains=torch.zeros(len(rows), dtype=torch.int64),
        attributes=columns,
        name=f"{name} {split}",
        size=size,
        source=_expected(layout, root),
    )


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

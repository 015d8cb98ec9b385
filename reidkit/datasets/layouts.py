"""How real data sets lie on disk, one row of LAYOUTS each: where their pictures are, how their
names are built, and how many there are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


def numbers_of(groups: Mapping[str, str]) -> dict[str, int]:
    """The labels of a set whose names hold them as they are.

    Args:
        groups: of the layout's pattern, matched by a picture's name.
    """
    return {name: int(text) for name, text in groups.items()}


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk.

    Args:
        inside: the set's own folder name.
        splits: name -> (folder, the one camera that belongs to it, or None for all).
        pattern: matches a whole picture path relative to its folder.
        first_camera: what the set calls its first camera.
        counts: split -> (pictures, ids without junk) as published, without what is skipped.
        size: (H, W) that its pictures have, or that those of many sizes are decoded to.
        tree: the expected folders and names, as errors show them.
        halves: whether it has a development and a report half.
        labels: takes the pattern's groups and returns "id", "camera" and any attributes, all of
            them numbers that int64 holds; by default the groups are these numbers.
        skipped: (pattern of names that are known to be wrong, what they show); such pictures are
            left out, with a note.
        paired: whether only people count whom both query and gallery show.
    """

    inside: str
    splits: dict[str, tuple[str, int | None]]
    pattern: str
    first_camera: int
    counts: dict[str, tuple[int, int]]
    size: tuple[int, int]
    tree: str
    halves: bool = False
    labels: Callable[[Mapping[str, str]], dict[str, int]] = numbers_of
    skipped: tuple[str, str] | None = None
    paired: bool = False


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


def caviar_labels(groups: Mapping[str, str]) -> dict[str, int]:
    """The camera from the running number: 1 to 10 are of camera 1, 11 to 20 of camera 2.

    Args:
        groups: "id" and "number".
    """
    labels = numbers_of(groups)
    return {**labels, "camera": 1 if labels["number"] <= 10 else 2}


# Cheng et al., BMVC 2011, as a part of PETA (Deng et al., 2014); camera 1 is searched in camera 2.
# The second camera never saw 22 of the 72 people.
CAVIAR4REID = Layout(
    inside="caviar4reid",
    splits={"query": (".", 1), "gallery": (".", 2)},
    pattern=r"(?P<id>\d{4})_(?P<number>00[1-9]|01\d|020)\.jpg",
    first_camera=1,
    counts={"query": (720, 72), "gallery": (500, 50)},
    size=(128, 64),
    labels=caviar_labels,
    paired=True,
    tree="""caviar4reid/
    0001_001.jpg ... 0001_010.jpg (camera 1)  0001_011.jpg ... 0001_020.jpg (camera 2)
    0002_001.jpg ...""",
)

# Baltieri et al., 2011, as a part of PETA. Names hold person, sequence and frame. Eight cameras are
# not named; the sequence stands for the camera, and every picture in turn is the query.
THREE_DPES = Layout(
    inside="3dpes",
    splits={"query": (".", None), "gallery": (".", None)},
    pattern=r"(?P<id>\d{1,18})_(?P<camera>\d{1,18})_FRAME_(?P<frame>\d{1,18})_RGB\.bmp",
    first_camera=0,
    counts={"query": (1006, 193), "gallery": (1006, 193)},
    size=(128, 64),
    halves=True,
    skipped=(
        r"\d+_[A-Z]_\d+_FRAME_\d+_RGB\.bmp",
        "each shows another person than the rest of its number",
    ),
    tree="""3dpes/
    100_3_FRAME_26_RGB.bmp  100_4_FRAME_70_RGB.bmp  100_4_FRAME_185_RGB.bmp ...
    102_23_FRAME_12_RGB.bmp ...""",
)

VEHICLE_CLASSES = ("bus", "car", "motorcycle", "truck")
VEHICLE_FOLDERS = ("train", "test")


def vehicle_labels(groups: Mapping[str, str]) -> dict[str, int]:
    """An identity from folder, class and number, since numbers restart in each.

    Args:
        groups: "folder", "class", "number" and "camera".
    Returns:
        "id", "camera", and as attributes the number and the places of folder and class in
        VEHICLE_FOLDERS and VEHICLE_CLASSES.
    """
    folder = VEHICLE_FOLDERS.index(groups["folder"])
    kind = VEHICLE_CLASSES.index(groups["class"])
    number = int(groups["number"])
    group = folder * len(VEHICLE_CLASSES) + kind
    return {
        "id": 10_000 * group + number,
        "camera": int(groups["camera"]),
        "folder": folder,
        "class": kind,
        "number": number,
    }


# Vehicle Re-ID Dataset, Apache-2.0; no people. Number plates are legible: it may be measured on,
# its pictures are never shown. Both folders, camera 1 is searched in camera 2.
VEHICLES = Layout(
    inside="vehicles",
    splits={"query": ("images", 1), "gallery": ("images", 2)},
    pattern=(
        rf"(?P<folder>{'|'.join(VEHICLE_FOLDERS)})/(?P<class>{'|'.join(VEHICLE_CLASSES)})"
        r"_(?P<number>\d{3,4})_cam(?P<camera>[12])\.jpg"
    ),
    first_camera=1,
    counts={"query": (567, 567), "gallery": (567, 567)},
    size=(128, 128),
    labels=vehicle_labels,
    tree="""vehicles/
    images/
        train/    car_0003_cam1.jpg  car_0003_cam2.jpg ...
        test/     car_0001_cam1.jpg  car_0001_cam2.jpg ...  truck_0004_cam1.jpg ...""",
)

LAYOUTS = {
    "market1501": MARKET_1501,
    "pku-reid": PKU_REID,
    "caviar4reid": CAVIAR4REID,
    "3dpes": THREE_DPES,
    "vehicles": VEHICLES,
}

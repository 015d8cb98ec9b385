"""Folders of drawn people in the layouts of real data sets, with the quirks that these have."""

import functools

from PIL import Image

from reidkit import world


@functools.cache
def _crowd(people):
    """{(person, camera): three PIL pictures} of drawn people before two cameras."""
    data = world.sample([("demo", 0)], people, 2, 3, (64, 32), seed=7, cache=False)
    pictures = {}
    for image, person, camera in zip(data.images, data.ids.tolist(), data.cameras.tolist()):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
        pictures.setdefault((person, camera), []).append(picture)
    order = data.ids.unique().tolist()
    return {(order.index(who), camera): rows for (who, camera), rows in pictures.items()}


def _save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def pku(root, people=4):
    """Poses 1 to 3 of each person before each camera."""
    for (person, camera), pictures in _crowd(people).items():
        for pose, picture in enumerate(pictures, 1):
            _save(root / f"{person + 1:03}" / f"{camera + 1:02}_{pose}.png", picture)
    return root


def caviar(root, people=4):
    """Pictures of several sizes; the last person is seen by camera 1 alone."""
    for (person, camera), pictures in _crowd(people).items():
        if camera and person == people - 1:
            continue
        for number, picture in enumerate(pictures, 1 + 10 * camera):
            wide = 16 + number  # the second camera stands nearer
            name = f"{person + 1:04}_{number:03}.jpg"
            _save(root / name, picture.resize((wide, 2 * wide)))
    (root / "Label.txt").write_text("0001 personalMale hairBlack\n")
    return root


def dpes(root, people=4):
    """A sequence a camera; the last person has one sequence, and one name has a letter in it."""
    for (person, camera), pictures in _crowd(people).items():
        sequence = 10 * person
        if person < people - 1:
            sequence += camera
        for frame, picture in enumerate(pictures, 20 + 5 * camera):
            _save(root / f"{9 + person}_{sequence}_FRAME_{frame}_RGB.bmp", picture)
    stranger = _crowd(people)[1, 0][0]
    _save(root / "9_B_459_FRAME_92_RGB.bmp", stranger)
    (root / "Label.txt").write_text("9 personalMale hairBlack\n")
    return root


def vehicles(root, people=4):
    """Numbers that restart in each class and folder, with three digits or four."""
    names = ("train/car_0001", "train/truck_0001", "test/car_0001", "train/motorcycle_153")
    for (number, camera), pictures in _crowd(people).items():
        _save(root / "images" / f"{names[number]}_cam{camera + 1}.jpg", pictures[0])
    return root


TREES = {"pku-reid": pku, "caviar4reid": caviar, "3dpes": dpes, "vehicles": vehicles}


def draw_all(root):
    """Every set in a folder of its own, as REIDKIT_DATA_ROOT has them."""
    for name, draw in TREES.items():
        draw(root / name)
    return root

"""The chapter's pictures, and what is drawn for them."""

import nbformat
import torch
from matplotlib import pyplot

from reidkit import world
from reidkit.chapters.start_here import experiments, figures
from reidkit.teach import build


def test_one_person_keeps_her_mask_through_many_cameras():
    drawn, masks = experiments.one_person_many_cameras()
    assert drawn.shape == (16, 3, 128, 64)
    assert (masks == masks[:, :1]).all()


def test_the_mixed_gallery_holds_all_pictures_of_the_first_person():
    crowd = world.sample([("train", 2)], people=12, cameras=4, pictures=1, size=(64, 32))
    others = crowd[crowd.cameras > 0]
    gallery = experiments.mixed_gallery(others, seed=3)
    assert len(gallery) == 16
    assert (gallery.ids == others.ids[0]).sum() == 3


def test_the_search_picture_is_as_high_as_the_higher_side():
    images = torch.randint(256, (9, 3, 128, 64), dtype=torch.uint8)
    picture = figures.search_picture(images[0], images[1:])
    assert picture.shape[2] == 3


def test_the_map_shows_what_is_written():
    figure, written = figures.course_map()
    assert {"00", "01", "01b"} <= set(written)
    assert len(figure.axes) == 1
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "02\nbatch against\ninstance statistics" in words
    pyplot.close(figure)


def test_the_map_in_the_gallery_lists_every_chapter():
    """Its code does not change with the headers of other chapters, so nothing else would notice."""
    _, written = figures.course_map()
    pyplot.close("all")
    path = build.gallery_folder() / "00_start_here.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "map")
    captions = [output.data.get("text/markdown", "") for output in cell.outputs]
    assert f"({', '.join(written)})" in "\n".join(captions)


def test_a_chapter_that_is_coming_leaves_its_place_to_the_written_one():
    boxes = figures.boxes_of_map()
    numbers = [box.number for box in boxes]
    assert numbers == sorted(set(numbers))
    assert {box.number for box in boxes if box.written} >= {"00", "01", "11"}
    rows = list(dict.fromkeys(box.row for box in boxes))
    assert rows[:2] == ["the task", "normalisation"]

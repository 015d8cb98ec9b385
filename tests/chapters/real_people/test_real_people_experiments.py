"""The chapter's probes, its drawn exam and its album."""

import torch

from reidkit.chapters.real_people import experiments


def test_camera_probes_by_hand():
    ids = torch.tensor([0, 0, 1, 1])
    cameras = torch.tensor([0, 1, 0, 1])
    by_camera = torch.tensor([[0.0, 0], [9, 0], [0, 1], [9, 1]])
    assert experiments.same_camera(by_camera, ids, cameras) == (100, 50)
    assert experiments.camera_told(by_camera, ids, cameras) == 100
    # The nearest stranger stands in the other camera.
    by_person = torch.tensor([[0.0, 0], [1, 0], [1, 9], [0, 9]])
    assert experiments.same_camera(by_person, ids, cameras) == (0, 50)
    assert experiments.first_in_second(by_person, ids, cameras).cmc[1] == 1
    scaled = experiments.scaled_per_camera(by_camera, cameras)
    assert torch.allclose(scaled[:, 1], torch.tensor([-1.0, -1, 1, 1]) / 2**0.5)
    assert scaled[:, 0].isnan().all()


def test_the_drawn_exam_has_the_form_of_the_real_one():
    exam = experiments.drawn_exam(3, 2, (64, 32))
    query = exam.query
    assert len(query) == len(exam.gallery) == 6
    assert set(query.cameras.tolist()) == {0}
    assert set(exam.gallery.cameras.tolist()) == {1}
    assert experiments.style(query.images).shape == (6, 6)
    assert experiments.outline(query.images, query.cameras).shape == (64, 32)


def test_the_album_tells_person_and_camera_by_name(tmp_path):
    experiments.draw_album(tmp_path)
    names = sorted(path.name for path in tmp_path.glob("p?_c?_?.png"))
    assert len(names) == 36
    cameras = experiments.cameras_in_names([names[0], "p1_c2_0.png", "holiday.png"])
    assert cameras.tolist() == [0, 2, 0]

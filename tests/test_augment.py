"""Augmentation: what it does to a picture, a draw for each, the same for the same generator."""

import itertools
from functools import partial

import pytest
import torch

from reidkit import augment
from reidkit.sampling import generator

IMAGES = torch.randint(0, 256, (64, 3, 50, 20), generator=torch.Generator().manual_seed(0)).float()
ALL = (augment.flip, augment.shift, augment.colour_jitter, augment.random_erasing)


def test_normalize():
    grey = torch.full((1, 3, 2, 2), 128, dtype=torch.uint8)
    share = 128 / 255
    expected = torch.tensor(
        [(share - 0.485) / 0.229, (share - 0.456) / 0.224, (share - 0.406) / 0.225]
    )
    torch.testing.assert_close(augment.normalize(grey)[0, :, 0, 0], expected)
    torch.testing.assert_close(augment.normalize(grey), augment.normalize(grey.float()))


def test_normalize_in_inference_mode_leaves_nothing_that_training_cannot_use():
    augment._kept_colour.cache_clear()
    with torch.inference_mode():
        augment.normalize(IMAGES[:1])
    images = IMAGES[:1].clone().requires_grad_()
    augment.normalize(images).sum().backward()
    assert images.grad.isfinite().all()


@pytest.mark.parametrize("step", ALL)
def test_deterministic_in_range_and_not_in_place(step):
    before = IMAGES.clone()
    first = step(IMAGES, generator(1, 5))
    second = step(IMAGES, generator(1, 5))
    assert torch.equal(first, second)
    assert torch.equal(IMAGES, before)
    assert not torch.equal(first, step(IMAGES, generator(1, 6)))
    assert first.shape == IMAGES.shape
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 255


def test_flip_half_of_them():
    got = augment.flip(IMAGES, generator(2))
    same = (got == IMAGES).flatten(1).all(1)
    mirrored = (got == IMAGES.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 16 < mirrored.sum() < 48
    assert torch.equal(augment.flip(IMAGES, generator(2), probability=1.0), IMAGES.flip(3))


def test_shift_moves_each_picture_by_its_own_whole_pixels():
    got = augment.shift(IMAGES, generator(3), pixels=2)
    moves = set()
    for picture, moved in zip(IMAGES, got):
        fitting = []
        for dy, dx in itertools.product(range(-2, 3), repeat=2):
            part = picture[:, 2 + dy : 48 + dy, 2 + dx : 18 + dx]
            if torch.equal(moved[:, 2:-2, 2:-2], part):
                fitting.append((dy, dx))
        assert len(fitting) == 1
        moves.update(fitting)
    assert len(moves) > 15
    dark = torch.zeros(4, 3, 8, 4)
    dark[:, :, 0] = 9.0  # the border is repeated, not filled with black
    assert (augment.shift(dark, generator(3), pixels=3)[:, :, 0] % 9 == 0).all()
    assert torch.equal(augment.shift(IMAGES[:, :, :24], generator(3), pixels=0), IMAGES[:, :, :24])


def test_colour_jitter():
    still = augment.colour_jitter(IMAGES, generator(4), 0, 0, 0, 0)
    torch.testing.assert_close(still, IMAGES)
    grey = torch.full((32, 3, 4, 4), 100.0)
    # On one flat grey, only brightness shows.
    brighter = augment.colour_jitter(grey, generator(4), 0.2, 0.2, 0.2, 0)
    assert 80 <= brighter.min() < 90
    assert 110 < brighter.max() <= 120
    assert (brighter == brighter[:, :1, :1, :1]).all()
    tinted = augment.colour_jitter(grey, generator(4), 0, 0, 0, 0.1)
    assert (tinted[:, 0] != tinted[:, 1]).all()
    assert 90 <= tinted.min()
    assert tinted.max() <= 110.01


def test_random_erasing():
    bright = torch.full((400, 3, 64, 32), 255.0)
    got = augment.random_erasing(bright, generator(5))
    erased = (got != 255).all(1)  # (B, H, W)
    touched = erased.flatten(1).any(1)
    assert 0.4 < touched.float().mean() < 0.6
    for mask in erased[touched]:
        rows = mask.any(1).sum()
        columns = mask.any(0).sum()
        assert mask.sum() == rows * columns  # one full rectangle
        assert 0.013 < mask.float().mean() < 0.42
        assert 0.2 < rows / columns < 4.5
        assert rows < 64
        assert columns < 32
    mean = torch.tensor(augment.MEAN) * 255
    torch.testing.assert_close(got.permute(0, 2, 3, 1)[erased], mean.expand(int(erased.sum()), 3))
    assert erased[touched].float().mean((1, 2)).std() > 0.05
    none_fits = augment.random_erasing(bright, generator(5), area=(0.99, 1.0), aspect=(30, 40))
    assert torch.equal(none_fits, bright)


def test_the_aspect_of_an_erased_rectangle_is_uniform():
    got = augment.random_erasing(
        torch.full((1500, 3, 100, 100), 255.0), generator(5), probability=1.0, area=(0.1, 0.1)
    )
    erased = (got != 255).all(1)  # (B, H, W)
    aspect = erased.any(2).sum(1) / erased.any(1).sum(1)  # height : width, rounded to pixels
    shares = torch.histogram(aspect.clamp(0.3, 3.33), torch.linspace(0.3, 3.33, 5))[0] / len(aspect)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.04, rtol=0)


def test_a_mask_rides_along_and_compose_runs_in_turn():
    masked = torch.cat([IMAGES, IMAGES[:, :1]], 1)  # the fourth channel is a copy of red
    moved = augment.compose(augment.flip, partial(augment.shift, pixels=2))(masked, generator(6))
    assert torch.equal(moved[:, 3], moved[:, 0])
    assert not torch.equal(moved[:, 3], masked[:, 3])
    for step in (augment.colour_jitter, augment.random_erasing):
        assert torch.equal(step(masked, generator(6))[:, 3], masked[:, 3])
    draw = generator(7)
    expected = augment.shift(augment.flip(IMAGES, draw), draw)
    assert torch.equal(augment.standard(IMAGES, generator(7)), expected)


@pytest.mark.parametrize("step", [*ALL, lambda images, _: augment.normalize(images)])
@pytest.mark.parametrize("images", [IMAGES[0], IMAGES[:, :2], IMAGES[None], IMAGES.numpy(), None])
def test_what_is_no_batch_of_pictures_is_named(step, images):
    with pytest.raises(ValueError, match=r"images is .*expected a tensor \(B, 3 or more, H, W\)"):
        step(images, generator(0))


@pytest.mark.parametrize(
    "step, name, values",
    [
        (augment.flip, "probability", [-0.1, 1.1, "0.5", None, float("nan"), True]),
        (augment.random_erasing, "probability", [-0.1, 2]),
        (augment.shift, "pixels", [-1, 1.5, "2", True]),
        (augment.colour_jitter, "brightness", [-0.1, float("inf"), "0.2", None]),
        (augment.colour_jitter, "gains", [-1]),
        (augment.random_erasing, "area", [0.4, (0.4, 0.02), (0, 0.4), (0.1, 1.2), (0.1,), None]),
        (augment.random_erasing, "aspect", [3, (3, 0.3), (-1, 1), ("0.3", 3), [0.3, float("inf")]]),
        (augment.random_erasing, "tries", [0, 2.0, None, True]),
    ],
)
def test_arguments_of_an_augmentation_are_named(step, name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{name} is .*; expected "):
            step(IMAGES, generator(0), **{name: value})


@pytest.mark.parametrize("wrong", ["flip", None, 3, (augment.flip, 0.5)])
def test_compose_takes_functions(wrong):
    with pytest.raises(ValueError, match="step 1 of compose is .*functools.partial"):
        augment.compose(augment.flip, wrong)

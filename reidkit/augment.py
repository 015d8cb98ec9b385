"""Augmentation of whole batches on their device; every picture draws its own numbers.

Each function takes images (B, 3, H, W) float in 0..255 and a torch.Generator on the same device,
and returns a new batch. Channels after the third (a mask) move with the picture and keep their
values.
"""

import functools
import inspect
import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

MEAN = (0.485, 0.456, 0.406)  # ImageNet, of pictures scaled to 0..1
STD = (0.229, 0.224, 0.225)

Augmentation = Callable[..., Tensor]  # (images, generator) -> images; some take labels too


def normalize(
    images: Tensor, mean: tuple = MEAN, std: tuple = STD, dtype: torch.dtype | None = None
) -> Tensor:
    """Pictures as networks like them: (x / 255 - mean) / std of each colour channel.

    A model does this itself, in the first line of its forward.

    Args:
        images: (B, 3, H, W) uint8 or float in 0..255.
        mean: of each channel of pictures scaled to 0..1; ImageNet's by default.
        std: likewise, the deviation.
        dtype: what the network computes in; None is the type of the pictures, and float32 for whole
            numbers. Half precision is too coarse to compute in: it is what goes out.
    Returns:
        (B, 3, H, W) in this type.
    Raises:
        ValueError: images of another shape.
    """
    _check_images(images)
    if dtype is None:
        dtype = images.dtype if images.is_floating_point() else torch.float32
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    centred = images.to(wide) - _colour(mean, images.device, wide)
    return (centred / _colour(std, images.device, wide)).to(dtype)


def _colour(values, device, dtype=torch.float32):
    """Three numbers for pictures scaled to 0..1 -> (1, 3, 1, 1) in 0..255."""
    # What is made while torch exports is no real tensor, and would be found in its place later.
    if torch.compiler.is_compiling():
        return _make_colour(values, device, dtype)
    return _kept_colour(values, device, dtype)


def _make_colour(values, device, dtype):
    # What is made in inference mode could not be used in training later on.
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype).view(1, 3, 1, 1) * 255


_kept_colour = functools.lru_cache(_make_colour)  # made once per device and type


def compose(*steps: Augmentation) -> Augmentation:
    """One augmentation out of several, applied left to right.

    A step with a parameter `labels` gets the batch whose pictures these are, such as the camera of
    each.

    Args:
        steps: augmentations; settings go in with functools.partial.
    Returns:
        The augmentation.
    Raises:
        ValueError: a step is no function.
    """
    for number, step in enumerate(steps):
        if not callable(step):
            raise ValueError(
                f"step {number} of compose is {step!r}; expected a function such as augment.flip; "
                "settings go in with functools.partial"
            )
    return functools.partial(_in_turn, steps)


def _in_turn(steps, images, generator, labels=None):
    for step in steps:
        if takes_labels(step):
            images = step(images, generator, labels=labels)
        else:
            images = step(images, generator)
    return images


def takes_labels(augment: Augmentation) -> bool:
    """Whether an augmentation asks for the labels of its pictures: a parameter of that name.

    Args:
        augment: the augmentation.
    Returns:
        True if it is to be called with labels=batch.
    """
    try:
        return "labels" in inspect.signature(augment).parameters
    except (TypeError, ValueError):  # without a signature
        return False


def _check_images(images):
    fits = isinstance(images, Tensor) and images.ndim == 4 and images.shape[1] >= 3
    if not fits:
        found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(
            f"images is {found}; expected a tensor (B, 3 or more, H, W): a single picture becomes "
            "one with picture[None]"
        )


def _check_share(name, value):
    """ValueError where a probability is none."""
    _expect(_is_number(value) and 0 <= value <= 1, name, value, "a number from 0 to 1")


def _check_span(name, value, highest):
    """ValueError where a smallest and a largest value are none."""
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    fits = is_pair and all(map(_is_number, value)) and 0 < value[0] <= value[1] <= highest
    limit = "" if highest == math.inf else f" and at most {highest}"
    _expect(fits, name, value, f"(smallest, largest), both above 0{limit}")


def _is_number(value):
    kind = isinstance(value, (int, float)) and not isinstance(value, bool)
    return kind and math.isfinite(value)


def _expect(fits, name, value, expected):
    if not fits:
        raise ValueError(f"{name} is {value!r}; expected {expected}")


def _uniform(images, generator, low, high, *shape):
    """(B, *shape) numbers from low to high, drawn for each picture."""
    numbers = torch.rand(len(images), *shape, generator=generator, device=images.device)
    return numbers * (high - low) + low


def flip(images: Tensor, generator: Generator, probability: float = 0.5) -> Tensor:
    """Mirror left and right.

    Args:
        images: (B, 3 or more, H, W) float in 0..255.
        generator: on the same device.
        probability: of a picture to be mirrored.
    Returns:
        The new batch, of the same shape.
    """
    _check_images(images)
    _check_share("probability", probability)
    mirrored = _uniform(images, generator, 0, 1, 1, 1, 1) < probability  # (B, 1, 1, 1)
    return torch.where(mirrored, images.flip(3), images)


def shift(images: Tensor, generator: Generator, pixels: int | None = None) -> Tensor:
    """Pad and crop: move by up to `pixels` in each direction, repeating the border.

    Args:
        images: (B, 3 or more, H, W) float in 0..255.
        generator: on the same device.
        pixels: largest move; None for a 25th of the height (BoT's 10 of 256), at least one.
    Returns:
        The new batch, of the same shape.
    """
    _check_images(images)
    is_whole = isinstance(pixels, int) and not isinstance(pixels, bool) and pixels >= 0
    _expect(pixels is None or is_whole, "pixels", pixels, "a whole number from 0, or None")
    batch, _, height, width = images.shape
    device = images.device
    reach = max(1, height // 25) if pixels is None else pixels
    moves = torch.randint(-reach, reach + 1, (2, batch, 1), generator=generator, device=device)
    row_offset, column_offset = moves  # (B, 1) each
    # Which row and which column of the old picture comes to each place of the new one.
    rows = torch.arange(height, device=device) + row_offset
    rows = rows.clamp(0, height - 1)[:, :, None]  # (B, H) -> (B, H, 1)
    columns = torch.arange(width, device=device) + column_offset
    columns = columns.clamp(0, width - 1)[:, None, :]  # (B, W) -> (B, 1, W)
    picture = torch.arange(batch, device=device)[:, None, None]  # (B, 1, 1)
    moved = images[picture, :, rows, columns]  # (B, H, W, C)
    return moved.permute(0, 3, 1, 2)  # -> (B, C, H, W)


def colour_jitter(
    images: Tensor,
    generator: Generator,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
    gains: float = 0.1,
) -> Tensor:
    """Another camera's look.

    Each number is the reach of a uniform factor around one.

    Args:
        images: (B, 3 or more, H, W) float in 0..255.
        generator: on the same device.
        brightness: of the whole picture.
        contrast: about the picture's mean grey.
        saturation: about each pixel's grey.
        gains: one factor for each colour channel.
    Returns:
        The new batch, of the same shape.
    """
    _check_images(images)
    reaches = {
        "brightness": brightness,
        "contrast": contrast,
        "saturation": saturation,
        "gains": gains,
    }
    for name, value in reaches.items():
        _expect(_is_number(value) and value >= 0, name, value, "a number from 0, a reach around 1")

    def factor(reach, channels=1):
        return _uniform(images, generator, 1 - reach, 1 + reach, channels, 1, 1)

    colours = images[:, :3]
    colours = colours * factor(brightness)
    colours = colours * factor(gains, 3)
    grey = colours.mean(1, keepdim=True)  # (B, 1, H, W)
    colours = grey + (colours - grey) * factor(saturation)
    mean_grey = grey.mean((2, 3), keepdim=True)  # (B, 1, 1, 1)
    colours = mean_grey + (colours - mean_grey) * factor(contrast)
    colours = colours.clamp(0, 255)
    return torch.cat([colours, images[:, 3:]], 1)


def random_erasing(
    images: Tensor,
    generator: Generator,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    aspect: tuple[float, float] = (0.3, 3.33),
    tries: int = 20,
) -> Tensor:
    """A rectangle gets the mean colour (Zhong et al. 2017).

    Of `tries` rectangles drawn at once the first that fits is used. The fill is 0 after
    `normalize`, as in FastReID; BoT's code writes +0.485 there.

    Args:
        images: (B, 3 or more, H, W) float in 0..255.
        generator: on the same device.
        probability: of a picture to lose a rectangle.
        area: smallest and largest share of the picture, uniform between them.
        aspect: smallest and largest height : width, uniform between them.
        tries: rectangles drawn for each picture.
    Returns:
        The new batch, of the same shape.
    """
    _check_images(images)
    _check_share("probability", probability)
    _check_span("area", area, 1)
    _check_span("aspect", aspect, math.inf)
    is_count = isinstance(tries, int) and not isinstance(tries, bool) and tries >= 1
    _expect(is_count, "tries", tries, "a whole number from 1")
    _, _, height, width = images.shape
    # T rectangles for each picture, (B, T), and of them the first that fits, (B, 1), in pixels.
    share = _uniform(images, generator, *area, tries)
    ratio = _uniform(images, generator, *aspect, tries)
    pixels = share * height * width
    tall = (pixels * ratio).sqrt().round()
    wide = (pixels / ratio).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(1, keepdim=True)
    tall = tall.gather(1, first)
    wide = wide.gather(1, first)

    # Where it is, and which pictures get one: (B, 1) each.
    top = _uniform(images, generator, 0, 1, 1) * (height - tall + 1)
    top = top.floor()
    left = _uniform(images, generator, 0, 1, 1) * (width - wide + 1)
    left = left.floor()
    chosen = _uniform(images, generator, 0, 1, 1) < probability
    chosen = chosen & fits.any(1, keepdim=True)

    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= top) & (rows < top + tall)  # (B, H)
    in_columns = (columns >= left) & (columns < left + wide)  # (B, W)
    in_rows = in_rows & chosen
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]  # (B, 1, H, W)
    mean = _colour(MEAN, images.device)
    colours = torch.where(inside, mean, images[:, :3])
    return torch.cat([colours, images[:, 3:]], 1)


standard = compose(flip, shift)  # of a plain training

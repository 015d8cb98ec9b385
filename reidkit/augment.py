"""Augmentation of whole batches on their device. Each function takes images (B, 3, H, W) float in
0..255 and a torch.Generator on the same device, and returns a new batch; every picture draws its
own numbers.

Channels after the third (a mask) move with the picture and keep their values.
"""

import functools
import inspect

import torch

MEAN = (0.485, 0.456, 0.406)  # ImageNet, of pictures scaled to 0..1
STD = (0.229, 0.224, 0.225)


def normalize(images, mean=MEAN, std=STD):
    """Pictures as networks like them: float32, (x / 255 - mean) / std of each colour channel.

    A model does this itself, in the first line of its forward.

    Args:
        images: (B, 3, H, W) uint8 or float in 0..255.
        mean: of each channel of pictures scaled to 0..1; ImageNet's by default.
        std: likewise, the deviation.
    Returns:
        (B, 3, H, W) float32.
    """
    return (images.float() - _row(mean, images.device)) / _row(std, images.device)


@functools.lru_cache
def _row(values, device):
    """Three numbers as (1, 3, 1, 1), times 255, on a device; made once."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1) * 255


def compose(*steps):
    """One augmentation out of several, applied left to right; settings go in with
    functools.partial.

    A step with a parameter `labels` gets the batch whose pictures these are, such as the camera of
    each.
    """
    return functools.partial(_in_turn, steps)


def _in_turn(steps, images, generator, labels=None):
    for step in steps:
        if takes_labels(step):
            images = step(images, generator, labels=labels)
        else:
            images = step(images, generator)
    return images


def takes_labels(augment):
    """Whether an augmentation asks for the labels of its pictures: a parameter of that name."""
    try:
        return "labels" in inspect.signature(augment).parameters
    except (TypeError, ValueError):  # without a signature
        return False


def _uniform(images, generator, low, high, *shape):
    return (
        torch.rand(len(images), *shape, generator=generator, device=images.device) * (high - low)
        + low
    )


def flip(images, generator, probability=0.5):
    """Mirror left and right."""
    chosen = _uniform(images, generator, 0, 1, 1, 1, 1) < probability
    return torch.where(chosen, images.flip(3), images)


def shift(images, generator, pixels=None):
    """Pad and crop: move by up to `pixels` (default a 25th of the height, BoT's 10 of 256),
    repeating the border.
    """
    batch, _, height, width = images.shape
    reach = max(1, height // 25) if pixels is None else pixels
    move = torch.randint(
        -reach, reach + 1, (2, batch, 1), generator=generator, device=images.device
    )
    rows = (torch.arange(height, device=images.device) + move[0]).clamp(0, height - 1)  # (B, H)
    columns = (torch.arange(width, device=images.device) + move[1]).clamp(0, width - 1)  # (B, W)
    picture = torch.arange(batch, device=images.device)[:, None, None]
    moved = images[picture, :, rows[:, :, None], columns[:, None, :]]  # (B, H, W, C)
    return moved.permute(0, 3, 1, 2)  # -> (B, C, H, W)


def colour_jitter(images, generator, brightness=0.2, contrast=0.2, saturation=0.2, gains=0.1):
    """Another camera's look: brightness, contrast about the picture's mean grey, saturation, one
    gain a colour channel.

    Each number is the reach of a uniform factor around one.
    """

    def factor(reach, channels=1):
        return _uniform(images, generator, 1 - reach, 1 + reach, channels, 1, 1)

    colours = images[:, :3] * factor(brightness) * factor(gains, 3)
    grey = colours.mean(1, keepdim=True)  # (B, 1, H, W)
    colours = grey + (colours - grey) * factor(saturation)
    middle = grey.mean((2, 3), keepdim=True)  # (B, 1, 1, 1)
    colours = (middle + (colours - middle) * factor(contrast)).clamp(0, 255)
    return torch.cat([colours, images[:, 3:]], 1)


def random_erasing(
    images, generator, probability=0.5, area=(0.02, 0.4), aspect=(0.3, 3.33), tries=20
):
    """Zhong et al. 2017: a rectangle gets the mean colour; `area` (share) and `aspect` (height :
    width) uniform.

    Of `tries` rectangles drawn at once the first that fits is used. The fill is 0 after
    `normalise`, as in FastReID; BoT's code writes +0.485 there.
    """
    _, _, height, width = images.shape
    size = _uniform(images, generator, *area, tries) * height * width  # (B, T)
    ratio = _uniform(images, generator, *aspect, tries)
    tall, wide = (size * ratio).sqrt().round(), (size / ratio).sqrt().round()  # (B, T) in pixels
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(1, keepdim=True)  # (B, 1) the first rectangle that fits
    tall, wide = tall.gather(1, first), wide.gather(1, first)
    top = (_uniform(images, generator, 0, 1, 1) * (height - tall + 1)).floor()
    left = (_uniform(images, generator, 0, 1, 1) * (width - wide + 1)).floor()
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows, in_columns = (
        (rows >= top) & (rows < top + tall),
        (columns >= left) & (columns < left + wide),
    )
    chosen = (_uniform(images, generator, 0, 1, 1) < probability) & fits.any(
        1, keepdim=True
    )  # (B, 1)
    inside = ((chosen & in_rows)[:, :, None] & in_columns[:, None, :])[:, None]  # (B, 1, H, W)
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1) * 255
    return torch.cat([torch.where(inside, mean, images[:, :3]), images[:, 3:]], 1)


standard = compose(flip, shift)

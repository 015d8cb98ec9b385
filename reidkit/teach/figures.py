"""Pictures of a notebook: small PNGs with alt text and a caption, montages, ranked strips; nothing
by colour alone.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .display import emit, in_markdown
from .messages import say
from .rooms import load_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

LIMIT = 60_000  # bytes a picture may have, so that a notebook stays under 1 MB
PAPER, INK = (255, 255, 255), (26, 26, 26)  # opaque: readable on light and on dark themes
RIGHT, WRONG = (
    (0, 114, 178),
    (213, 94, 0),
)  # blue and vermilion of Okabe and Ito; with a sign and line style
SMOOTH, HARD = Image.Resampling.LANCZOS, Image.Resampling.NEAREST


def pixels(picture: Figure | ArrayLike | torch.Tensor) -> np.ndarray:
    """The pixels of a picture, uint8 (H, W, 3).

    Args:
        picture: a matplotlib figure, or an array or tensor (H, W), (H, W, 3) or (3, H, W), uint8,
            bool or 0..1.
    Raises:
        ValueError: the picture has another shape, or other values.
    """
    if hasattr(
        picture, "canvas"
    ):  # a matplotlib figure; its artists may be reused for the next frame
        picture.canvas.draw()
        return np.array(picture.canvas.buffer_rgba())[..., :3]
    array = (
        picture.detach().cpu().numpy() if isinstance(picture, torch.Tensor) else np.asarray(picture)
    )
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)  # (3, H, W) -> (H, W, 3)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)  # (H, W) -> (H, W, 3)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ValueError(say("figure shape", shape=tuple(array.shape)))
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind != "f" or not 0 <= array.min() <= array.max() <= 1:
        raise ValueError(say("figure values", dtype=array.dtype, low=array.min(), high=array.max()))
    return (array * 255).round().astype(np.uint8)


def enlarge(array: np.ndarray, factor: int, smooth: bool = True) -> np.ndarray:
    """A picture that is larger by a whole factor.

    Args:
        array: uint8 (H, W, 3).
        factor: how many times as high and as wide.
        smooth: True to look at people; False, hard-edged, to look at pixels.
    Returns:
        uint8 (H * factor, W * factor, 3)
    """
    size = (array.shape[1] * factor, array.shape[0] * factor)
    return np.asarray(Image.fromarray(array).resize(size, SMOOTH if smooth else HARD))


def png(array: np.ndarray, limit: int | None = LIMIT) -> bytes:
    """A picture as a PNG of at most `limit` bytes.

    It keeps all colours if they fit, else it has fewer, then it is a smaller picture.

    Args:
        array: uint8 (H, W, 3).
        limit: in bytes; None is quick and as large as it comes, for a live widget.
    """
    image = Image.fromarray(np.ascontiguousarray(array))
    while True:
        for colours in (0, 256, 96):
            small = (
                image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
                if colours
                else image
            )
            stream = io.BytesIO()
            small.save(
                stream, "PNG", **({"compress_level": 1} if limit is None else {"optimize": True})
            )
            if limit is None or stream.tell() <= limit:
                return stream.getvalue()
        scale = min(0.8, (limit / stream.tell()) ** 0.5)
        image = image.resize([max(1, int(side * scale)) for side in image.size], SMOOTH)


def need_alt(alt: str | None) -> str:
    """An alt text without the blanks around it.

    Raises:
        ValueError: it is missing or shorter than 20 characters.
    """
    if not isinstance(alt, str) or len(alt.strip()) < 20:
        raise ValueError(say("figure alt", alt=alt))
    return alt.strip()


def show(
    picture: Figure | ArrayLike | torch.Tensor,
    name: str | None = None,
    *,
    alt: str | None = None,
    caption: str | None = None,
    width: int | None = None,
    smooth: bool = False,
    **values: Any,
) -> None:
    """Show one figure or picture with its alt text, and below it the caption: a "What you see"
    sentence.

    Args:
        picture: a matplotlib figure (closed afterwards) or what `pixels` takes; small ones grow by
            a whole factor.
        name: "02-shares": alt text and caption are those of `shares` in the figures.toml of chapter
            02's room.
        alt: alt text of a picture that no room describes; at least 20 characters.
        caption: its caption; None shows none.
        width: pixels on the page.
        smooth: enlarge a small picture smoothly instead of pixel by pixel.
        **values: fill the {blanks} of alt text and caption.
    Raises:
        ValueError: the alt text is missing or too short.
        KeyError: no room describes a figure of this name, or a blank has no value.
    """
    alt, caption = words_of(name, alt, caption, values)
    array = pixels(picture)
    if hasattr(picture, "canvas"):
        from matplotlib import pyplot

        pyplot.close(picture)
    else:
        factor = min(256 // array.shape[0], 640 // array.shape[1])
        array = enlarge(array, max(1, factor), smooth)
    metadata = {"alt": alt}
    if width:
        metadata["width"] = width
    emit(f"[{name or 'figure'}] {alt}", metadata={"image/png": metadata}, png=png(array))
    if caption:
        words = in_markdown(caption)
        emit(caption, markdown=words if "*" in words else f"*{words}*")


def words_of(
    name: str | None,
    alt: str | None = None,
    caption: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> tuple[str, str | None]:
    """Alt text and caption of a figure: as given, else those of its chapter's room.

    Args:
        name: of the figure in the room, "02-shares".
        alt: given alt text; None takes alt text and caption from the room.
        caption: given with `alt`.
        values: fill the {blanks} of both.
    Returns:
        (alt text, caption), blanks filled in.
    Raises:
        ValueError: the alt text is missing or too short.
        KeyError: no room describes a figure of this name, or a blank has no value.
    """
    if alt is None:
        described = load_words(name) if name else {}
        alt = described.get("alt")
        caption = described.get("caption", "")
    alt = need_alt(alt)
    if values:
        return alt.format(**values), caption.format(**values)
    return alt, caption


def _images(images):
    images = torch.as_tensor(images)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(say("figure images", shape=tuple(images.shape), dtype=images.dtype))
    return images.cpu().permute(0, 2, 3, 1).numpy()  # (N, 3, H, W) -> (N, H, W, 3)


def _same_count(pictures, labels, marks):
    if not len(pictures) == len(labels) == len(marks):
        raise ValueError(
            say("figure count", pictures=len(pictures), labels=len(labels), marks=len(marks))
        )


def _mark(draw, box, right):
    """Right: solid frame and tick. Wrong: dashed frame and cross. The sign stands on white, lower
    right.
    """
    x0, y0, x1, y1 = box
    colour = RIGHT if right else WRONG
    if right:
        draw.rectangle(box, outline=colour, width=4)
    else:
        for start in range(x0, x1, 14):  # dashes of 8 pixels every 14
            for edge in (y0, y1 - 3):
                draw.rectangle((start, edge, min(start + 8, x1), edge + 3), fill=colour)
        for start in range(y0, y1, 14):
            for edge in (x0, x1 - 3):
                draw.rectangle((edge, start, edge + 3, min(start + 8, y1)), fill=colour)
    cx, cy = x1 - 14, y1 - 14
    draw.ellipse((cx - 11, cy - 11, cx + 11, cy + 11), fill=PAPER, outline=colour, width=2)
    signs = [((-6, 0), (-2, 5), (6, -5))] if right else [((-5, -5), (5, 5)), ((-5, 5), (5, -5))]
    for sign in signs:
        draw.line([(cx + x, cy + y) for x, y in sign], fill=colour, width=3, joint="curve")


def grid(
    images: ArrayLike | torch.Tensor,
    columns: int = 8,
    labels: Sequence | None = None,
    height: int = 128,
    smooth: bool = True,
    right: Sequence[bool | None] | None = None,
) -> np.ndarray:
    """Montage of pictures, uint8 (H', W', 3), with a label under each.

    Args:
        images: uint8 (N, 3, H, W).
        columns: pictures in a row, at most.
        labels: N, several lines allowed; those wider than a picture are wrapped between words.
        height: the least height of a picture, which grows by a whole factor.
        smooth: enlarge smoothly instead of pixel by pixel.
        right: N; True or False draws the mark of a right or wrong match, None leaves a picture
            alone.
    Raises:
        ValueError: the pictures have another form, or labels or marks are not N.
    """
    stack = _images(images)
    factor = max(1, -(-height // stack.shape[1]))
    tiles = [enlarge(tile, factor, smooth) for tile in stack]
    labels = [""] * len(tiles) if labels is None else [str(label) for label in labels]
    right = [None] * len(tiles) if right is None else list(right)
    _same_count(tiles, labels, right)
    font = ImageFont.load_default(size=13)
    high, wide = tiles[0].shape[:2]
    letters = max(4, wide // 6)  # a letter of this font is some 6 pixels wide
    labels = [
        [line for part in label.split("\n") for line in textwrap.wrap(part, letters)]
        for label in labels
    ]
    text = 17 * max(len(lines) for lines in labels)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * (wide + 12) + 12, rows * (high + text + 12) + 8), PAPER)
    draw = ImageDraw.Draw(page)
    for index, (tile, lines, mark) in enumerate(zip(tiles, labels, right)):
        x, y = 12 + index % columns * (wide + 12), 8 + index // columns * (high + text + 12)
        page.paste(Image.fromarray(tile), (x, y))
        if mark is not None:
            _mark(draw, (x - 4, y - 4, x + wide + 3, y + high + 3), bool(mark))
        for number, line in enumerate(lines):
            draw.text(
                (x + wide / 2, y + high + 6 + 17 * number), line, fill=INK, font=font, anchor="ma"
            )
    return np.asarray(page)


def strip(
    query: ArrayLike | torch.Tensor,
    gallery: ArrayLike | torch.Tensor,
    right: Sequence[bool] | np.ndarray | torch.Tensor,
    captions: Sequence[str] | None = None,
    height: int = 128,
    smooth: bool = True,
) -> np.ndarray:
    """Ranked strip, uint8 (H', W', 3): the query, then the gallery with rank and tick or cross.

    Args:
        query: uint8 (3, H, W) or (1, 3, H, W).
        gallery: uint8 (N, 3, H, W), in rank order.
        right: N booleans: whether each is a right match.
        captions: N strings, below the ranks.
        height: the least height of a picture, which grows by a whole factor.
        smooth: enlarge smoothly instead of pixel by pixel.
    Raises:
        ValueError: the pictures have another form, or captions or marks are not N.
    """
    query, gallery = torch.as_tensor(query), torch.as_tensor(gallery)
    captions = [""] * len(gallery) if captions is None else list(captions)
    _same_count(gallery, captions, right)
    labels = ["query"] + [f"{rank}\n{caption}".strip() for rank, caption in enumerate(captions, 1)]
    images = torch.cat([query.reshape(1, *query.shape[-3:]), gallery])  # (1 + N, 3, H, W)
    return grid(images, len(images), labels, height, smooth, right=[None, *map(bool, right)])

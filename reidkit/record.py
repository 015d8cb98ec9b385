"""The one record of the course: pictures with their labels, drawn or real, in memory or on disk."""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

import numpy
import torch
from torch import Tensor

from .files import digest
from .pictures import read_picture


def is_junk(ids: Tensor | numpy.ndarray) -> Tensor | numpy.ndarray:
    """Which pictures show nobody who counts: those whose id is below 0.

    The one rule of the whole package: junk is no class in training, no query that counts, and
    neither right nor wrong where it is found in a gallery.

    Args:
        ids: (N,) identities.
    Returns:
        (N,) truth values.
    """
    return ids < 0


@dataclass(frozen=True)
class ReIDData:
    """N pictures of people with their labels; every label follows its picture.

    Args:
        images: (N, 3, H, W) uint8, or a tuple of N paths, decoded on demand at `size`.
        ids: (N,) int64 identities. Ids below 0 are junk; in Market-1501 id 0 is a distractor.
        cameras: (N,) int64.
        domains: (N,) int64.
        masks: (N, H, W) uint8 or None: 0 background, 1 head, 2 upper body, 3 lower body, 4 shoes.
        attributes: name -> (N,) int64.
        name: what messages call this set.
        size: (H, W) that paths are decoded to; pictures in memory have their own.
        source: where paths come from and what is expected there; errors end with it.
    Raises:
        ValueError: labels and pictures do not fit together.
    """

    images: Tensor | tuple
    ids: Tensor
    cameras: Tensor
    domains: Tensor
    masks: Tensor | None = None
    attributes: dict[str, Tensor] = field(default_factory=dict)
    name: str = "unnamed"
    size: tuple[int, int] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        self._check_labels()
        if self.loaded:
            self._check_images()
            object.__setattr__(self, "size", tuple(self.images.shape[2:]))
        elif self.size is None:
            raise ValueError(
                f"{self.name}: pictures on disk need size=(height, width), so that they can be "
                "stacked"
            )
        if self.masks is not None:
            self._check_masks()

    def _check_labels(self):
        count = len(self.images)
        labels = {"ids": self.ids, "cameras": self.cameras, "domains": self.domains}
        for label, values in {**labels, **self.attributes}.items():
            whole_numbers = isinstance(values, Tensor) and values.dtype == torch.int64
            if not whole_numbers or values.shape != (count,):
                raise ValueError(
                    f"{self.name}: {label} is {_describe(values)}; expected an int64 tensor of "
                    f"shape ({count},), one value a picture"
                )

    def _check_images(self):
        images = self.images
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"{self.name}: images is {_describe(images)}; expected uint8 (N, 3, H, W)"
            )

    def _check_masks(self):
        shape = (len(self.images), *self.size)
        if self.masks.dtype != torch.uint8 or tuple(self.masks.shape) != shape:
            raise ValueError(
                f"{self.name}: masks is {_describe(self.masks)}; expected uint8 {shape}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice | Sequence | Tensor) -> Self:
        """The record of some pictures.

        Args:
            index: a number, a slice, or a list, boolean or int64 tensor.
        """
        numbers = self._picture_numbers(index)
        if self.loaded:
            images = self.images[numbers]
        else:
            images = tuple(self.images[number] for number in numbers.tolist())
        return replace(
            self,
            images=images,
            ids=self.ids[numbers],
            cameras=self.cameras[numbers],
            domains=self.domains[numbers],
            masks=None if self.masks is None else self.masks[numbers],
            attributes={name: values[numbers] for name, values in self.attributes.items()},
        )

    def _picture_numbers(self, index):
        """Any index -> int64 picture numbers (n,)."""
        if isinstance(index, (list, tuple, numpy.ndarray)):
            # An empty list would become a tensor of floats.
            index = torch.as_tensor(index) if len(index) else torch.empty(0, dtype=torch.int64)
        if isinstance(index, Tensor):
            index = index.cpu()
        return torch.arange(len(self))[index].reshape(-1)  # one number: () -> (1,)

    @classmethod
    def cat(cls, parts: Sequence[Self], name: str | None = None) -> Self:
        """One record of several of the same picture size.

        Masks and attributes are kept where every part has them. Labels are joined as they are: sets
        whose ids count from the same number need shifting first.

        Args:
            parts: one record or more.
            name: of the whole; by default the names of the parts.
        Raises:
            ValueError: no part, or parts of several picture sizes.
        """
        if not parts or len({part.size for part in parts}) > 1:
            raise ValueError(
                "can only join at least one record, all of one picture size; got sizes "
                f"{[part.size for part in parts]}"
            )
        if len({part.loaded for part in parts}) > 1:
            parts = [part.in_memory() for part in parts]
        if parts[0].loaded:
            images = _join(parts, "images")
        else:
            images = tuple(path for part in parts for path in part.images)
        has_masks = all(part.masks is not None for part in parts)
        attributes = {}
        for key in parts[0].attributes:
            if all(key in part.attributes for part in parts):
                attributes[key] = torch.cat([part.attributes[key] for part in parts])
        sources = dict.fromkeys(part.source for part in parts if part.source)
        return cls(
            images=images,
            ids=_join(parts, "ids"),
            cameras=_join(parts, "cameras"),
            domains=_join(parts, "domains"),
            masks=_join(parts, "masks") if has_masks else None,
            attributes=attributes,
            name=name or "+".join(part.name for part in parts),
            size=parts[0].size,
            source="\n".join(sources),
        )

    @property
    def loaded(self) -> bool:
        """Whether the pictures are in memory."""
        return isinstance(self.images, Tensor)

    def in_memory(self) -> Self:
        """The same record with its pictures decoded once and for all: N x 3 x H x W bytes."""
        return replace(self, images=self.pictures())

    def pictures(self, index: int | slice | Sequence | Tensor | None = None) -> Tensor:
        """The chosen pictures, decoded now if they are on disk.

        Args:
            index: as in `data[index]`; all pictures by default.
        Returns:
            (n, 3, H, W) uint8.
        Raises:
            ValueError: names a broken file.
        """
        if index is None:
            index = slice(None)
        if self.loaded:
            # A slice stays a slice, which copies nothing.
            numbers = index if isinstance(index, slice) else self._picture_numbers(index)
            return self.images[numbers]
        paths = [self.images[number] for number in self._picture_numbers(index).tolist()]
        pictures = torch.empty(len(paths), 3, *self.size, dtype=torch.uint8)
        read = functools.partial(read_picture, size=self.size)
        with ThreadPoolExecutor(4) as pool:  # Pillow decodes outside Python's lock
            try:
                for place, picture in enumerate(pool.map(read, paths)):
                    pictures[place] = picture
            except ValueError as error:
                raise ValueError(f"{self.name}: {error}\n{self.source}".rstrip()) from None
        return pictures

    def relabelled(self) -> Self:
        """The same pictures with ids 0 .. C-1 in sorted order.

        This is what a classifier needs, and it is the same in every process.
        """
        _, classes = torch.unique(self.ids, sorted=True, return_inverse=True)
        return replace(self, ids=classes)

    def unlabelled(self) -> Self:
        """The same pictures without identities, as of a new place: every id is -1.

        What they were is the attribute `truth`, which only an oracle may look at. `fit` keeps such
        a record whole, where it leaves single pictures of id -1 out as junk.
        """
        nobody = torch.full_like(self.ids, -1)
        return replace(self, ids=nobody, attributes={**self.attributes, "truth": self.ids})

    def fingerprint(self) -> str:
        """Short hex of everything that a training run could depend on.

        Files count by path, size and time of change.
        """
        parts = [self.ids, self.cameras, self.domains]
        if self.loaded:
            parts.append(self.images)
        else:
            facts = []
            for path in self.images:
                status = path.stat()
                facts.append((str(path), status.st_size, status.st_mtime_ns))
            parts += [facts, list(self.size)]
        if self.masks is not None:
            parts.append(self.masks)
        names = sorted(self.attributes)
        parts.append(names)
        parts += [self.attributes[name] for name in names]
        return digest(*parts)

    def numbers(self) -> dict[str, int]:
        """What a data set's table prints; ids leaves junk out."""
        return {
            "pictures": len(self),
            "ids": int((~is_junk(torch.unique(self.ids))).sum()),
            "cameras": len(torch.unique(self.cameras)),
            "domains": len(torch.unique(self.domains)),
        }


def _join(parts, label):
    """One label of all parts, one behind the other."""
    return torch.cat([getattr(part, label) for part in parts])


def _describe(value):
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return type(value).__name__


@dataclass(frozen=True)
class Exam:
    """A retrieval exam: every query is to be found again in pictures of other cameras.

    Args:
        query: the pictures that are searched with.
        gallery: the pictures that are searched.
        name: what messages call the exam.
    """

    query: ReIDData
    gallery: ReIDData
    name: str = "exam"

    def both(self) -> ReIDData:
        """Query, then gallery, as one record."""
        return ReIDData.cat((self.query, self.gallery), self.name)

"""The one record of the course: pictures with their labels, drawn or real, in memory or on disk."""

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

import numpy
import torch
from torch import Tensor

from .arguments import describe, tensor_of
from .files import digest
from .pictures import check_size, read_picture


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
        if self.loaded:
            self._check_images()
            object.__setattr__(self, "size", tuple(self.images.shape[2:]))
        else:
            self._check_paths()
        self._check_labels()
        if self.masks is not None:
            self._check_masks()

    def _check_images(self):
        images = self.images
        fits = images.dtype == torch.uint8 and images.ndim == 4 and images.shape[1] == 3
        if not fits or 0 in images.shape[2:]:
            raise ValueError(
                f"{self.name}: images is {describe(images)}; expected uint8 (N, 3, H, W)"
            )

    def _check_paths(self):
        """Paths, and the size that they are decoded to."""
        paths = self.images
        if not isinstance(paths, (tuple, list)):
            raise ValueError(
                f"{self.name}: images is {describe(paths)}; expected a uint8 tensor (N, 3, H, W), "
                "or a tuple of paths of picture files"
            )
        for number, path in enumerate(paths):
            if not isinstance(path, (str, os.PathLike)):
                raise ValueError(
                    f"{self.name}: images[{number}] is {describe(path)}; expected the path of a "
                    "picture file, a text or a Path"
                )
        object.__setattr__(self, "images", tuple(paths))
        if self.size is None:
            raise ValueError(
                f"{self.name}: pictures on disk need size=(height, width), so that they can be "
                "stacked"
            )
        try:
            object.__setattr__(self, "size", check_size(self.size))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _check_labels(self):
        count = len(self.images)
        if not isinstance(self.attributes, dict):
            raise ValueError(
                f"{self.name}: attributes is {describe(self.attributes)}; expected a dict of "
                "tensors"
            )
        labels = {"ids": self.ids, "cameras": self.cameras, "domains": self.domains}
        for label, values in {**labels, **self.attributes}.items():
            whole_numbers = isinstance(values, Tensor) and values.dtype == torch.int64
            if not whole_numbers or values.shape != (count,):
                raise ValueError(
                    f"{self.name}: {label} is {describe(values)}; expected an int64 tensor of "
                    f"shape ({count},), one value a picture: torch.tensor([...]) of whole numbers"
                )

    def _check_masks(self):
        masks = self.masks
        shape = (len(self.images), *self.size)
        is_bytes = isinstance(masks, Tensor) and masks.dtype == torch.uint8
        if not is_bytes or tuple(masks.shape) != shape:
            raise ValueError(f"{self.name}: masks is {describe(masks)}; expected uint8 {shape}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice | Sequence | Tensor) -> Self:
        """The record of some pictures.

        Args:
            index: a number, a slice, or a list or tensor of numbers or of a truth value a picture.
        Raises:
            IndexError: a picture that is not there.
            ValueError: an index of another kind.
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
        count = len(self)
        if isinstance(index, slice):
            chosen = range(*index.indices(count))
            return torch.tensor(chosen, dtype=torch.int64)
        expected = f"whole numbers below {count}, a slice, or a truth value for each picture"
        if isinstance(index, (list, tuple)) and not len(index):
            index = torch.empty(0, dtype=torch.int64)  # torch would make it one of floats
        if index is None or isinstance(index, bool):
            raise ValueError(f"{self.name}: the indices are {index!r}; expected {expected}")
        numbers = tensor_of(index, f"{self.name}: the indices", expected).cpu()
        if numbers.dtype == torch.bool and numbers.shape == (count,):
            return numbers.nonzero()[:, 0]
        # torch takes bytes for truth values, numpy for numbers: nobody knows which is meant
        unclear = (torch.bool, torch.uint8)
        if numbers.dtype in unclear or numbers.is_floating_point() or numbers.is_complex():
            raise ValueError(
                f"{self.name}: the indices are {describe(numbers)}; expected {expected}"
            )
        numbers = numbers.long().reshape(-1)  # one number: () -> (1,)
        outside = (numbers < -count) | (numbers >= count)
        if outside.any():
            raise IndexError(
                f"{self.name}: there is no picture {int(numbers[outside][0])}; it has {count}, "
                "counted from 0"
            )
        return numbers % max(count, 1)  # from the end where it is below 0

    @classmethod
    def cat(cls, parts: Sequence[Self], name: str | None = None) -> Self:
        """One record of several of the same picture size.

        Masks and attributes are kept where every part has them. Labels are joined as they are: sets
        whose ids count from the same number need shifting first.

        Args:
            parts: one record or more.
            name: of the whole; by default the names of the parts.
        Raises:
            ValueError: no part, what is no record, or parts of several picture sizes.
        """
        for part in parts:
            if not isinstance(part, ReIDData):
                raise ValueError(f"can only join records (ReIDData); got {describe(part)}")
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
            if isinstance(index, slice) and index.step in (None, 1):
                return self.images[index]  # a view, which copies nothing
            return self.images[self._picture_numbers(index)]
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
        """The same pictures with ids 0 .. C-1 in sorted order; junk is no class and gets id -1.

        This is what a classifier needs, and it is the same in every process.
        """
        junk = is_junk(self.ids)
        classes = torch.full_like(self.ids, -1)
        _, counted = torch.unique(self.ids[~junk], sorted=True, return_inverse=True)
        classes[~junk] = counted
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

        Raises:
            ValueError: names a file that is not there.
        """
        parts = [self.ids, self.cameras, self.domains]
        if self.loaded:
            parts.append(self.images)
        else:
            facts = [self._facts(path) for path in self.images]
            parts += [facts, list(self.size)]
        if self.masks is not None:
            parts.append(self.masks)
        names = sorted(self.attributes)
        parts.append(names)
        parts += [self.attributes[name] for name in names]
        return digest(*parts)

    def _facts(self, path):
        """What a file's content is known by: its path, size and time of change."""
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self.name}: picture {str(path)!r} cannot be found ({error}); correct the path\n"
                f"{self.source}".rstrip()
            ) from None
        return (str(path), status.st_size, status.st_mtime_ns)

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

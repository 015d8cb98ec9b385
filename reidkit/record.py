"""ReIDData, the one record type of the course: pictures with their labels, drawn or real, in memory or on disk."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy
import torch

from .files import digest
from .pictures import read_picture


@dataclass(frozen=True)
class ReIDData:
    """N pictures of people.

    images (N, 3, H, W) uint8, or a tuple of N paths decoded on demand at `size`; ids, cameras, domains (N,) int64;
    masks (N, H, W) uint8 or None: 0 background, 1 head, 2 upper body, 3 lower body, 4 shoes; attributes: name -> (N,)
    int64. Id -1 is junk; in Market-1501 id 0 is a distractor. size (H, W) is what paths are decoded to; source says
    where paths come from and what is expected there. Raises ValueError where labels and pictures do not fit together.
    """

    images: torch.Tensor | tuple
    ids: torch.Tensor
    cameras: torch.Tensor
    domains: torch.Tensor
    masks: torch.Tensor | None = None
    attributes: dict = field(default_factory=dict)
    name: str = "unnamed"
    size: tuple | None = None
    source: str = ""

    def __post_init__(self):
        count, images = len(self.images), self.images
        labels = {
            "ids": self.ids,
            "cameras": self.cameras,
            "domains": self.domains,
            **self.attributes,
        }
        for label, value in labels.items():
            if (
                not isinstance(value, torch.Tensor)
                or value.dtype != torch.int64
                or value.shape != (count,)
            ):
                raise ValueError(
                    f"{self.name}: {label} is {_describe(value)}; expected an int64 tensor of shape "
                    f"({count},), one value a picture"
                )
        if isinstance(images, torch.Tensor):
            if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
                raise ValueError(
                    f"{self.name}: images is {_describe(images)}; expected uint8 (N, 3, H, W)"
                )
            object.__setattr__(self, "size", tuple(images.shape[2:]))
        elif self.size is None:
            raise ValueError(
                f"{self.name}: pictures on disk need size=(height, width), so that they can be stacked"
            )
        shape = (count, *self.size)
        if self.masks is not None and (
            self.masks.dtype != torch.uint8 or tuple(self.masks.shape) != shape
        ):
            raise ValueError(
                f"{self.name}: masks is {_describe(self.masks)}; expected uint8 {shape}"
            )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        """The record of some pictures: a slice, list, boolean or int64 tensor. Every label follows."""
        chosen = self._numbers(index)
        images = (
            self.images[chosen] if self.loaded else tuple(self.images[i] for i in chosen.tolist())
        )
        return replace(
            self,
            images=images,
            ids=self.ids[chosen],
            cameras=self.cameras[chosen],
            domains=self.domains[chosen],
            masks=None if self.masks is None else self.masks[chosen],
            attributes={name: value[chosen] for name, value in self.attributes.items()},
        )

    def _numbers(self, index):
        """Any index -> int64 picture numbers (n,)."""
        if isinstance(index, (list, tuple, numpy.ndarray)):
            index = torch.as_tensor(index) if len(index) else torch.empty(0, dtype=torch.int64)
        return torch.arange(len(self))[
            index.cpu() if isinstance(index, torch.Tensor) else index
        ].reshape(-1)

    @classmethod
    def cat(cls, parts, name=None):
        """One record of several of the same size; masks and attributes are kept where every part has them.

        Labels are joined as they are: sets whose ids count from the same number need shifting first.
        """
        if not parts or len({part.size for part in parts}) > 1:
            raise ValueError(
                "can only join at least one record, all of one picture size; got sizes "
                f"{[part.size for part in parts]}"
            )
        shared = [
            key for key in parts[0].attributes if all(key in part.attributes for part in parts)
        ]
        if len({part.loaded for part in parts}) > 1:
            parts = [part.in_memory() for part in parts]

        def join(label):
            return torch.cat([getattr(part, label) for part in parts])

        return cls(
            join("images") if parts[0].loaded else sum((part.images for part in parts), ()),
            join("ids"),
            join("cameras"),
            join("domains"),
            join("masks") if all(part.masks is not None for part in parts) else None,
            {key: torch.cat([part.attributes[key] for part in parts]) for key in shared},
            name or "+".join(part.name for part in parts),
            parts[0].size,
            "\n".join(dict.fromkeys(part.source for part in parts if part.source)),
        )

    @property
    def loaded(self):
        """Whether the pictures are in memory."""
        return isinstance(self.images, torch.Tensor)

    def in_memory(self):
        """The same record with its pictures decoded once and for all: N x 3 x H x W bytes."""
        return replace(self, images=self.pictures())

    def pictures(self, index=None):
        """uint8 (n, 3, H, W) of the chosen pictures, decoded now if on disk. ValueError names a broken file."""
        index = slice(None) if index is None else index
        if self.loaded:
            return self.images[index if isinstance(index, slice) else self._numbers(index)]
        chosen = self._numbers(index).tolist()
        pictures = torch.empty(len(chosen), 3, *self.size, dtype=torch.uint8)
        with ThreadPoolExecutor(4) as pool:  # Pillow decodes outside Python's lock
            try:
                for place, picture in enumerate(
                    pool.map(lambda i: read_picture(self.images[i], self.size), chosen)
                ):
                    pictures[place] = picture
            except ValueError as error:
                raise ValueError(f"{self.name}: {error}\n{self.source}".rstrip()) from None
        return pictures

    def relabelled(self):
        """The same pictures with ids 0 .. C-1 in sorted order: what a classifier needs, the same in every process."""
        return replace(self, ids=torch.unique(self.ids, sorted=True, return_inverse=True)[1])

    def fingerprint(self):
        """Short hex of everything a training run could depend on; files count by path, size and time of change."""
        if self.loaded:
            content = [self.images]
        else:
            facts = [(str(path), path.stat()) for path in self.images]
            content = [
                [(path, fact.st_size, fact.st_mtime_ns) for path, fact in facts],
                list(self.size),
            ]
        return digest(
            self.ids,
            self.cameras,
            self.domains,
            *content,
            *([] if self.masks is None else [self.masks]),
            sorted(self.attributes),
            *(self.attributes[key] for key in sorted(self.attributes)),
        )

    def numbers(self):
        """What a data set's table prints; ids leaves junk (-1) out."""
        return {
            "pictures": len(self),
            "ids": int((torch.unique(self.ids) >= 0).sum()),
            "cameras": len(torch.unique(self.cameras)),
            "domains": len(torch.unique(self.domains)),
        }


def _describe(value):
    return (
        f"{value.dtype} {tuple(value.shape)}"
        if isinstance(value, torch.Tensor)
        else type(value).__name__
    )


@dataclass(frozen=True)
class Exam:
    """A retrieval exam: every query is to be found again in the gallery, in pictures of other cameras."""

    query: ReIDData
    gallery: ReIDData
    name: str = "exam"

    def both(self):
        """Query, then gallery, as one record."""
        return ReIDData.cat((self.query, self.gallery), self.name)

"""ReIDData, the one record type of the course: pictures with their labels, drawn or real, in memory or on disk."""

from dataclasses import dataclass, field, replace

import numpy
import torch
from PIL import Image

from ..files import digest


@dataclass(frozen=True)
class ReIDData:
    """N pictures of people.

    images (N, 3, H, W) uint8, or a tuple of N paths decoded on demand at `size`; ids, cameras, domains (N,) int64;
    masks (N, H, W) uint8 or None: 0 background, 1 head, 2 upper body, 3 lower body, 4 shoes; attributes name -> (N,) int64.
    Id -1 is junk, id 0 may be a distractor (METHODS of Market-1501); size (H, W) is what paths are decoded to.
    """
    images: torch.Tensor | tuple
    ids: torch.Tensor
    cameras: torch.Tensor
    domains: torch.Tensor
    masks: torch.Tensor | None = None
    attributes: dict = field(default_factory=dict)
    name: str = "unnamed"
    size: tuple | None = None

    def __post_init__(self):
        count = len(self.images)
        for label in ("ids", "cameras", "domains", *self.attributes):
            value = self.attributes[label] if label in self.attributes else getattr(self, label)
            if not isinstance(value, torch.Tensor) or value.dtype != torch.int64 or value.shape != (count,):
                got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
                raise ValueError(f"{self.name}: {label} is {got}; expected an int64 tensor of shape ({count},), one value a picture")
        if isinstance(self.images, torch.Tensor):
            if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
                raise ValueError(f"{self.name}: images are {self.images.dtype} {tuple(self.images.shape)}; expected uint8 (N, 3, H, W)")
            object.__setattr__(self, "size", tuple(self.images.shape[2:]))
        elif self.size is None:
            raise ValueError(f"{self.name}: pictures on disk need size=(height, width), so that they can be stacked")
        if self.masks is not None and (self.masks.dtype != torch.uint8 or tuple(self.masks.shape) != (count, *self.size)):
            raise ValueError(f"{self.name}: masks are {self.masks.dtype} {tuple(self.masks.shape)}; expected uint8 {(count, *self.size)}")

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        """The record of some pictures: a slice, list, boolean or int64 tensor. Every label follows."""
        chosen = torch.arange(len(self))[torch.as_tensor(index) if isinstance(index, (list, tuple, numpy.ndarray)) else index].reshape(-1)
        images = self.images[chosen] if isinstance(self.images, torch.Tensor) else tuple(self.images[i] for i in chosen.tolist())
        return replace(self, images=images, ids=self.ids[chosen], cameras=self.cameras[chosen], domains=self.domains[chosen],
                       masks=None if self.masks is None else self.masks[chosen],
                       attributes={name: value[chosen] for name, value in self.attributes.items()})

    @classmethod
    def cat(cls, parts, name=None):
        """One record of several of the same size; masks and attributes are kept where every part has them."""
        if not parts or len({part.size for part in parts}) > 1:
            raise ValueError(f"can only join at least one record of one picture size, got sizes {[part.size for part in parts]}")
        shared = [key for key in parts[0].attributes if all(key in part.attributes for part in parts)]
        in_memory = all(isinstance(part.images, torch.Tensor) for part in parts)
        images = torch.cat([part.images for part in parts]) if in_memory else sum((tuple(part.images) for part in parts), ())
        join = lambda key: torch.cat([getattr(part, key) for part in parts])
        return cls(images, join("ids"), join("cameras"), join("domains"),
                   join("masks") if all(part.masks is not None for part in parts) else None,
                   {key: torch.cat([part.attributes[key] for part in parts]) for key in shared},
                   name or "+".join(part.name for part in parts), parts[0].size)

    def pictures(self, index=None):
        """uint8 (n, 3, H, W) of the chosen pictures, decoded now where they are on disk."""
        if isinstance(self.images, torch.Tensor):
            return self.images if index is None else self.images[index]
        wanted = range(len(self)) if index is None else torch.arange(len(self))[index].reshape(-1).tolist()
        return torch.stack([read_picture(self.images[i], self.size) for i in wanted]) if len(wanted) else torch.empty(0, 3, *self.size, dtype=torch.uint8)

    def relabelled(self):
        """The same pictures with ids 0 .. C-1 in sorted order: what a classifier's cross-entropy needs, the same in every process."""
        return replace(self, ids=torch.unique(self.ids, sorted=True, return_inverse=True)[1])

    def fingerprint(self):
        """Short hex of everything a training run could depend on; pictures on disk count by path, size and time of change."""
        if isinstance(self.images, torch.Tensor):
            content = [self.images]
        else:
            content = [[(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self.images], list(self.size)]
        return digest(self.ids, self.cameras, self.domains, *content, *([] if self.masks is None else [self.masks]),
                      *(self.attributes[key] for key in sorted(self.attributes)))

    def numbers(self):
        """What a data set's table prints; ids leaves junk (-1) out."""
        return {"pictures": len(self), "ids": int((torch.unique(self.ids) >= 0).sum()),
                "cameras": len(torch.unique(self.cameras)), "domains": len(torch.unique(self.domains))}


def read_picture(path, size):
    """One picture file -> uint8 (3, H, W), bilinear to `size` (H, W). ValueError names a file that cannot be read."""
    try:
        with Image.open(path) as picture:
            picture = picture.convert("RGB").resize((size[1], size[0]), Image.Resampling.BILINEAR)
    except OSError as error:
        raise ValueError(f"picture {str(path)!r} cannot be read ({error}); copy it again from its source or remove it") from None
    return torch.from_numpy(numpy.asarray(picture).copy()).permute(2, 0, 1)     # (H, W, 3) -> (3, H, W)


@dataclass(frozen=True)
class Exam:
    """A retrieval exam: every query is to be found again in the gallery, in pictures of other cameras."""
    query: ReIDData
    gallery: ReIDData
    name: str = "exam"

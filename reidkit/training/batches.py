"""From indices to batches on the device: pictures, labels, augmentation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from .. import sampling
from ..augment import takes_labels
from ..record import ReIDData, is_junk
from .given import check_augmented, check_range, sets_of
from .plan import TRAIN

IN_MEMORY = 8e9  # bytes of pictures that are decoded once and kept


@dataclass(frozen=True)
class Batch:
    """B pictures on the device.

    images (B, 3, H, W) in 0..255, augmented, of the type of the model's parameters (float32 as a
    rule); ids 0..C-1 (-1 where unlabelled), cameras,
    domains and index (into the record as it was handed to `fit`) (B,) int64; attributes name ->
    (B,); masks (B, H, W) uint8 or None; step: which one.
    """

    images: torch.Tensor
    ids: torch.Tensor
    cameras: torch.Tensor
    domains: torch.Tensor
    index: torch.Tensor
    attributes: dict
    masks: torch.Tensor | None
    step: int

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, chosen):
        """Some of its pictures with their labels, by slice, mask or indices."""
        names = ("images", "ids", "cameras", "domains", "index")
        parts = {name: getattr(self, name)[chosen] for name in names}
        attributes = {name: value[chosen] for name, value in self.attributes.items()}
        masks = None if self.masks is None else self.masks[chosen]
        return replace(self, **parts, attributes=attributes, masks=masks)


def is_unlabelled(data: ReIDData) -> bool:
    """Whether nobody in a record has an identity: then its pictures are material, not junk."""
    return len(data) > 0 and bool(is_junk(data.ids).all())


def prepare(
    data: ReIDData | Mapping[str, ReIDData],
) -> tuple[ReIDData | dict[str, ReIDData], dict[str, Tensor]]:
    """Records as samplers meet them: without junk, ids 0..C-1 in sorted order. An unlabelled record
    stays whole.

    Args:
        data: a ReIDData, or {name: ReIDData}.
    Returns:
        (data of the same form, {name: (N,) where its pictures stood}), a single record under the
        name "train".
    """
    records, positions = {}, {}
    for name, record in by_name(data).items():
        kept = torch.arange(len(record))
        if not is_unlabelled(record):
            junk = is_junk(record.ids)
            if junk.any():
                kept = (~junk).nonzero().flatten()
                record = record[kept]
            record = record.relabelled()
        records[name] = record
        positions[name] = kept
    return (records if isinstance(data, Mapping) else records[TRAIN]), positions


def by_name(data: ReIDData | Mapping[str, ReIDData]) -> dict:
    """{name: record}, a single record under the name "train"."""
    return dict(data) if isinstance(data, Mapping) else {TRAIN: data}


def count_people(data: ReIDData | Mapping[str, ReIDData]) -> int:
    """How many classes a network for these records needs: the people of the first labelled one.

    Args:
        data: as `prepare` gives it.
    Returns:
        The number; 0 where no record is labelled.
    """
    labelled = [record for record in by_name(data).values() if not is_unlabelled(record)]
    return len(labelled[0].ids.unique()) if labelled else 0


def pictures_type(model: nn.Module) -> torch.dtype:
    """The type of the pictures that a model takes: that of its first parameter of real numbers."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.dtype
    return torch.float32


def count_pictures(batches: Mapping[str, Any]) -> int:
    """How many pictures the batches of a step hold, lists included."""
    sets = [batch if isinstance(batch, list) else [batch] for batch in batches.values()]
    return sum(len(batch) for several in sets for batch in several)


class Assembler:
    """Turns what a sampler yields into batches.

    All sets of one record are put together, augmented in one call and split again: a set's
    augmentation thus does not depend on how a method names its sets. A set belongs to the record of
    its name, or of its name up to the first dot ("source.hard" to "source"); with a single record,
    every set is of it.

    Args:
        data: as `prepare` gives it.
        positions: likewise.
        plan: augment and seed.
        device: where batches go.
        dtype: of their pictures, see `pictures_type`. They are augmented in float32.
    """

    def __init__(self, data, positions, plan, device, dtype=torch.float32):
        self.single = not isinstance(data, Mapping)
        self.records = {
            name: _Loaded(name, record, positions[name], plan, device, dtype)
            for name, record in by_name(data).items()
        }

    def __call__(self, drawn, step: int) -> dict:
        """Batches of one step: {name: Batch or list of Batch}, in the sampler's order.

        Args:
            drawn: indices, or {name: indices or list of indices}, as the sampler yields them.
            step: which one.
        """
        sets = sets_of(drawn, step, TRAIN)
        batches = dict.fromkeys(sets)
        for record in self.records.values():
            own = {name: part for name, part in sets.items() if self._record_of(name) is record}
            batches |= record.batches(own, step)
        return batches

    def _record_of(self, name):
        if self.single:
            return self.records[TRAIN]
        record = self.records.get(str(name).partition(".")[0])
        if record is None:
            raise ValueError(
                f"the sampler yields a set {name!r}; expected the name of a record, or one before "
                f"a dot: {', '.join(self.records)}"
            )
        return record


class _Loaded:
    """One record, its labels on the device; pictures on disk are decoded once where they fit into
    memory.
    """

    def __init__(self, name, data, positions, plan, device, dtype):
        self.data, self.device, self.plan = data, device, plan
        self.name, self.dtype = name, dtype
        # A single record's augmentation has the numbers that it had before records had names.
        self.stream = () if name == TRAIN else (name,)
        height, width = data.size
        fits = len(data) * 3 * height * width <= IN_MEMORY
        self.images = data.pictures().to(device) if fits else None
        self.labels = {
            "ids": data.ids.to(device),
            "cameras": data.cameras.to(device),
            "domains": data.domains.to(device),
            "index": positions.to(device),
        }
        self.attributes = {name: value.to(device) for name, value in data.attributes.items()}
        self.masks = None if data.masks is None else data.masks.to(device)

    def batches(self, sets, step):
        """{name: Batch or list of Batch} of the sets {name: indices or list of indices} of this
        record.
        """
        if not sets:
            return {}
        parts = []
        for several in sets.values():
            for part in _as_list(several):
                parts.append(check_range(part, len(self.data), self.name, step))
        if not parts:  # lists without a set
            return sets
        whole = self._batch(torch.cat(parts), step)
        ends = torch.tensor([len(part) for part in parts]).cumsum(0).tolist()
        starts = [0, *ends[:-1]]
        pieces = iter([whole[begin:end] for begin, end in zip(starts, ends)])
        split = {}
        for name, several in sets.items():
            taken = [next(pieces) for _ in _as_list(several)]
            split[name] = taken if isinstance(several, list) else taken[0]
        return split

    def _batch(self, index, step):
        here = index.to(self.device)
        stored = (
            self.data.pictures(index).to(self.device) if self.images is None else self.images[here]
        )
        images = stored.float()  # (B, 3, H, W)
        masks = None if self.masks is None else self.masks[here]
        labels = Batch(
            images=images,
            attributes={name: value[here] for name, value in self.attributes.items()},
            masks=masks,
            step=step,
            **{name: value[here] for name, value in self.labels.items()},
        )
        if self.plan.augment is not None:
            images, masks = self._augmented(labels)
        images = images.contiguous(memory_format=torch.channels_last).to(self.dtype)
        return replace(labels, images=images, masks=masks)

    def _augmented(self, batch):
        """(images, masks) after augmentation; a mask rides along as a fourth channel."""
        images = batch.images
        if batch.masks is not None:
            images = torch.cat([images, batch.masks[:, None].float()], 1)  # (B, 4, H, W)
        counters = ("augment", batch.step, *self.stream)
        generator = sampling.generator(self.plan.seed, *counters, device=self.device)
        augment = self.plan.augment
        more = {"labels": batch} if takes_labels(augment) else {}
        images = check_augmented(augment(images, generator, **more), images)
        masks = None if batch.masks is None else images[:, 3].to(torch.uint8)
        return images[:, :3], masks


def _as_list(several):
    return several if isinstance(several, list) else [several]

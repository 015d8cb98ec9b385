"""What may stand in the ids that a loss is given.

Numbers are looked at in one go, for which the CPU waits for the device once. They are not looked at
where that cannot be: while torch compiles or transforms the loss, or captures a CUDA graph.
"""

import torch
from torch import Tensor

from .tracing import is_traced


def check_ids(name: str, values: Tensor | None, ids: Tensor, classes: int | None = None) -> None:
    """Refuse ids that a loss cannot take: of another shape or type, junk, or of no class.

    Args:
        name: of the loss, for the message.
        values: (B, D) features or (B, C) logits that the ids belong to; None if there are none.
        ids: (B,) identities.
        classes: C, if the ids are numbers of classes; None if they only tell people apart.
    Raises:
        ValueError: ids are no int64 tensor (B,), are none at all, or some are below 0 (junk) or C
            and above.
    """
    if not isinstance(ids, Tensor):
        raise ValueError(
            f"{name}: ids are a {type(ids).__name__}; expected an int64 tensor (B,), as "
            "torch.tensor(ids) makes it"
        )
    if values is not None and not isinstance(values, Tensor):
        raise ValueError(
            f"{name}: values are a {type(values).__name__}; expected a tensor (B, D) or (B, C)"
        )
    if values is None:
        is_fit = ids.ndim == 1
        place = "no values"
    else:
        is_fit = values.ndim == 2 and ids.shape == values.shape[:1]
        place = f"values {tuple(values.shape)}"
    if not is_fit or ids.dtype != torch.int64:
        raise ValueError(
            f"{name}: got {place} with ids {ids.dtype} {tuple(ids.shape)}; "
            "expected (B, D) or (B, C) with int64 ids (B,)"
        )
    if ids.shape[0] == 0:
        raise ValueError(
            f"{name}: the batch is empty; expected one picture or more: the mean of nothing is NaN"
        )
    if not _can_be_looked_at(ids):
        return
    lowest, highest = torch.stack(ids.aminmax()).tolist()
    if lowest < 0:
        raise ValueError(
            f"{name}: the lowest of the ids is {lowest}; expected 0 or more. An id below 0 is "
            "junk, which shows nobody: leave such pictures out, "
            "data[~reidkit.record.is_junk(data.ids)]"
        )
    if classes is not None and highest >= classes:
        raise ValueError(
            f"{name}: the highest of the ids is {highest}; expected 0 to {classes - 1}, as there "
            f"are {classes} classes. Number the people from 0 without gaps, data.relabelled(), and "
            "make the network for as many classes as there are people"
        )


def check_classes(name: str, logits: Tensor, ids: Tensor) -> None:
    """Refuse ids that are no column of the logits.

    Args:
        name: of the loss, for the message.
        logits: (B, C).
        ids: (B,) identities, 0..C-1.
    Raises:
        ValueError: there are no logits, or see `check_ids`.
    """
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"{name}: logits are {logits!r:.80}; expected a tensor (B, C). Give the model a "
            "classifier, or leave this loss out"
        )
    classes = logits.shape[1] if logits.ndim == 2 else None
    check_ids(name, logits, ids, classes)


def check_rows(name: str, features: Tensor, ids: Tensor, rows: Tensor) -> None:
    """Refuse ids that are no row of a table with one row for each identity.

    Args:
        name: of the loss, for the message.
        features: (B, D).
        ids: (B,) identities, 0..C-1.
        rows: (C, D).
    Raises:
        ValueError: features and rows differ in D, or see `check_ids`.
    """
    if rows.ndim != 2 or features.shape[1:] != rows.shape[1:]:
        raise ValueError(
            f"{name}: got features {tuple(features.shape)} with rows {tuple(rows.shape)}; "
            "expected (B, D) and (C, D)"
        )
    check_ids(name, features, ids, len(rows))


def check_attributes(name: str, logits: dict[str, Tensor], labels: dict[str, Tensor]) -> None:
    """Refuse labels of attributes that are none of their values.

    Args:
        name: of the loss, for the message.
        logits: attribute -> (B, values that it has).
        labels: attribute -> (B,) int64, 0 to values - 1, or -1 where it is not known.
    Raises:
        ValueError: no logits, no labels for some of them, or labels of another shape, type or
            range.
    """
    missing = sorted(set(logits) - set(labels))
    if missing or not logits:
        raise ValueError(
            f"{name}: no labels for {missing or 'an empty set'}; known are {sorted(labels)}"
        )
    ends = []  # the least and the greatest label of each attribute
    for attribute, value in logits.items():
        label = labels[attribute]
        is_fit = value.ndim == 2 and label.shape == value.shape[:1]
        if not is_fit or label.dtype != torch.int64:
            raise ValueError(
                f"{name}: {attribute} has logits {tuple(value.shape)} with labels {label.dtype} "
                f"{tuple(label.shape)}; expected (B, values) with int64 labels (B,)"
            )
        if label.numel() and _can_be_looked_at(label):
            ends.extend(label.aminmax())
    if not ends:
        return
    ends = torch.stack(ends).tolist()
    for (attribute, value), lowest, highest in zip(logits.items(), ends[::2], ends[1::2]):
        if lowest < -1 or highest >= value.shape[1]:
            raise ValueError(
                f"{name}: the labels of {attribute} go from {lowest} to {highest}; expected 0 to "
                f"{value.shape[1] - 1}, as the head has {value.shape[1]} values, or -1 where it is "
                "not known. Make the head for as many values as the data have"
            )


def check_pairs(name: str, values: Tensor, same: Tensor) -> None:
    """Refuse what does not say of each pair whether it shows one person.

    Args:
        name: of the loss, for the message.
        values: (n,) one per pair.
        same: (n,) bool.
    Raises:
        ValueError: the shapes differ, or `same` holds numbers, which would choose pairs instead of
            telling them apart.
    """
    is_fit = isinstance(values, Tensor) and isinstance(same, Tensor)
    if not is_fit or values.shape != same.shape or same.dtype != torch.bool:
        given = [_described(values), _described(same)]
        raise ValueError(
            f"{name}: got {given[0]} with same {given[1]}; expected (n,) with bool (n,), as "
            "ids[a] == ids[b] gives it"
        )


def _described(value):
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _can_be_looked_at(numbers):
    is_captured = numbers.is_cuda and torch.cuda.is_current_stream_capturing()
    return not (is_captured or numbers.is_meta or is_traced(numbers))

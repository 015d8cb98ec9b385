"""Arguments, looked at before they are converted: what is wrong ends in a sentence of ours.

Every error is a ValueError that says what was given, what was expected, and where it helps, how to
get there.
"""

import operator
import reprlib
from typing import Any

import numpy
import torch
from torch import Tensor

NUMBER_TEXTS = "number the texts: numpy.unique(ids, return_inverse=True)[1]"


def describe(value: Any) -> str:
    """What a value is, in a few words: type and shape of an array, type and beginning of others."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, numpy.ndarray):
        return f"numpy.{value.dtype} {value.shape}"
    if value is None:
        return "None"
    return f"{type(value).__name__} {reprlib.repr(value)}"


def whole_number(value: Any, what: str, lowest: int | None = None) -> int:
    """A whole number, after a look at it.

    Args:
        value: an int, or what counts as one (numpy's integers, a tensor of one).
        what: what the error calls it, such as "batch".
        lowest: that is allowed; None for no limit.
    Returns:
        The number as a Python int.
    Raises:
        ValueError: anything else; True and 3.0 are no whole numbers either.
    """
    truth = isinstance(value, bool) or getattr(value, "dtype", None) in (torch.bool, bool)
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if truth or number is None or (lowest is not None and number < lowest):
        limit = "" if lowest is None else f" from {lowest} up"
        raise ValueError(f"{what} is {reprlib.repr(value)}; expected a whole number{limit}")
    return number


def tensor_of(value: Any, what: str, expected: str) -> Tensor:
    """A tensor of numbers made of an array or a list, after a look at it.

    Args:
        value: a tensor, an array or nested lists of one shape.
        what: what the error calls it, such as "query features".
        expected: what the error says was expected.
    Raises:
        ValueError: nothing that a tensor can be made of.
    """
    try:
        if isinstance(value, numpy.ndarray):
            # torch takes neither negative strides nor the other order of bytes
            value = numpy.ascontiguousarray(value, value.dtype.newbyteorder("="))
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"{what} are {describe(value)}; expected {expected}") from None
    if tensor.layout != torch.strided:
        raise ValueError(f"{what} are sparse; expected {expected}: make them dense (.to_dense())")
    return tensor.detach()


def features_of(value: Any, what: str) -> Tensor:
    """(N, D) features, after a look at them.

    Args:
        value: a tensor or an array of real numbers of any width.
        what: what the error calls them, such as "query features".
    Returns:
        The tensor without gradients, where it is.
    Raises:
        ValueError: another shape, no picture, no numbers, or complex ones.
    """
    expected = "real numbers of shape (pictures, numbers), one picture and one number or more"
    features = tensor_of(value, what, expected)
    if features.ndim != 2 or not features.numel():
        raise ValueError(f"{what} have shape {tuple(features.shape)}; expected {expected}")
    if features.is_complex() or features.dtype == torch.bool:
        raise ValueError(f"{what} are {describe(features)}; expected {expected}")
    return features


def labels_of(value: Any, what: str, count: int, side: str = "pictures") -> Tensor:
    """(N,) whole numbers, one for each picture, after a look at them.

    Args:
        value: a tensor, an array or a list of whole numbers.
        what: what the error calls them, such as "query ids".
        count: N, how many are expected.
        side: what they belong to, such as "query features".
    Returns:
        (N,) int64, where they are.
    Raises:
        ValueError: texts, fractions, truth values, None, numbers beyond int64, or another length.
    """
    expected = f"whole numbers of shape ({count},), one for each of the {side}"
    remedy = f": {NUMBER_TEXTS}" if _holds_texts(value) else ""
    labels = tensor_of(value, what, expected + remedy)
    real_numbers = labels.is_floating_point() or labels.is_complex()
    if labels.shape != (count,) or real_numbers or labels.dtype == torch.bool:
        raise ValueError(f"{what} are {describe(labels)}; expected {expected}")
    numbers = labels.long()
    if labels.dtype == torch.uint64 and (numbers < 0).any():
        raise ValueError(f"{what} go beyond 2**63 - 1, the largest of int64; number them anew")
    return numbers


def _holds_texts(value):
    if isinstance(value, numpy.ndarray):
        return value.dtype.kind in "USO"
    return isinstance(value, (list, tuple)) and any(isinstance(item, str) for item in value)

"""Chance without a state: every random number of the world is a hash of the words that name it.

So person 7 of seed 1 is the same whoever else is drawn, in any order, in any process, on CPU and
GPU.
"""

import zlib
from dataclasses import fields, replace
from typing import Self

import torch
from torch import Tensor

MASK = 0xFFFFFFFF


def scramble(x: Tensor) -> Tensor:
    """Mix 32 bits (constants of C. Wellons' lowbias32).

    Args:
        x: int64 in 0 .. 2^32-1; products wrap, the mask keeps the low bits.
    Returns:
        int64 of the same shape, in 0 .. 2^32-1.
    """
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def hash32(*words: str | int | Tensor) -> Tensor:
    """Hash words into an int64 tensor of values 0 .. 2^32-1.

    Args:
        words: strings, whole numbers or int64 tensors that broadcast.
    Returns:
        one hash for each element of the broadcast tensors; a scalar where there is none.
    """
    state = torch.tensor(0x9E3779B9)
    for word in words:
        if isinstance(word, str):
            word = zlib.crc32(word.encode())
        if not isinstance(word, Tensor):
            word = torch.tensor(int(word) & MASK)
        state = scramble(state ^ (word & MASK))
        state = scramble(state + 0x632BE5AB & MASK)
    return state


def uniform(count: int, *words: str | int | Tensor) -> Tensor:
    """Uniform numbers in [0, 1), of 24 bits, so that the conversion is exact everywhere.

    Args:
        count: how many numbers for each key; number k is the same however many are asked for.
        words: what they are hashed from, see hash32.
    Returns:
        (..., count) float32.
    """
    keys = hash32(*words)[..., None]  # (..., 1)
    return (hash32(keys, torch.arange(count)) >> 8).float() / (1 << 24)


def uniform_by_name(names: type, *words: str | int | Tensor) -> tuple:
    """One uniform number for each field of a NamedTuple, so that each says what it decides.

    Args:
        names: a NamedTuple class; its fields are drawn in their order.
        words: what the numbers are hashed from, see hash32.
    Returns:
        an instance of `names` whose fields are float32 of the keys' shape.
    """
    numbers = uniform(len(names._fields), *words)
    return names(*numbers.unbind(-1))


def bell(count: int, *words: str | int | Tensor) -> Tensor:
    """Numbers of mean 0 and variance 1 within -3 .. 3, so that no outlier breaks a picture.

    Each is the sum of three uniform numbers; they change with `count`.

    Args:
        count: how many numbers for each key.
        words: what they are hashed from, see hash32.
    Returns:
        (..., count) float32.
    """
    u = uniform(3 * count, *words)
    first, second, third = u.split(count, -1)  # (..., count) each
    return (first + second + third - 1.5) * 2


def pick(u: Tensor, weights: Tensor) -> Tensor:
    """Index of the bin that a number falls into.

    Args:
        u: (...) numbers in [0, 1).
        weights: (K,) or (..., K) how common each bin is.
    Returns:
        (...) int64 in 0 .. K-1.
    """
    weights = weights.double()
    edges = torch.cumsum(weights, -1) / weights.sum(-1, keepdim=True)
    passed = u[..., None].double() >= edges[..., :-1]  # (..., K-1) the edges below u
    return passed.sum(-1)


class Rows:
    """What People, Cameras and Poses share: every field is a tensor with one row each."""

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, index) -> Self:
        """Rows by int, slice, list, boolean or int64 tensor; an int gives a table of one row."""
        if isinstance(index, (list, tuple)):
            index = torch.as_tensor(index)
        if not isinstance(index, slice):
            index = torch.arange(len(self))[index].reshape(-1)
        return self._map(lambda column: column[index])

    def to(self, device: torch.device | str) -> Self:
        """The same rows on another device."""
        return self._map(lambda column: column.to(device))

    def _map(self, change):
        columns = {field.name: change(getattr(self, field.name)) for field in fields(self)}
        return replace(self, **columns)

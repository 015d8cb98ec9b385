"""Chance without a state: every random number of the world is a hash of the words that name it.

So person 7 of seed 1 is the same whoever else is drawn, in any order, in any process, on CPU and GPU.
"""

import zlib
from dataclasses import fields, make_dataclass, replace

import torch

MASK = 0xFFFFFFFF


def scramble(x):
    """Mix 32 bits (constants of C. Wellons' lowbias32). x int64 in 0 .. 2^32-1; products wrap, the mask keeps the low
    bits."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def hash32(*words):
    """Hash words (str, int, or int64 tensors that broadcast) into an int64 tensor of values 0 .. 2^32-1."""
    state = torch.tensor(0x9E3779B9)
    for word in words:
        if isinstance(word, str):
            word = zlib.crc32(word.encode())
        if not isinstance(word, torch.Tensor):
            word = torch.tensor(int(word) & MASK)
        state = scramble(scramble(state ^ (word & MASK)) + 0x632BE5AB & MASK)
    return state


def uniform(count, *words):
    """(..., count) float32 in [0, 1): 24 bits, so that the conversion is exact everywhere."""
    keys = hash32(*words)[..., None]  # (..., 1)
    return (hash32(keys, torch.arange(count)) >> 8).float() / (1 << 24)


def bell(count, *words):
    """(..., count) of mean 0, variance 1, within -3 .. 3: the sum of three uniforms, so no outlier breaks a picture."""
    u = uniform(3 * count, *words)
    return (u[..., :count] + u[..., count : 2 * count] + u[..., 2 * count :] - 1.5) * 2


def pick(u, weights):
    """Index of the bin that u in [0, 1) falls into: u (...), weights (K,) or (..., K) -> int64 (...)."""
    edges = torch.cumsum(weights.double(), -1) / weights.double().sum(-1, keepdim=True)
    return (u[..., None].double() >= edges[..., :-1]).sum(-1)


class Rows:
    """What People, Cameras and Poses share: every field is a tensor with one row each."""

    def __len__(self):
        return len(self.key)

    def __getitem__(self, index):
        """Rows by int, slice, list, boolean or int64 tensor; an int gives a table of one row."""
        if isinstance(index, (list, tuple)):
            index = torch.as_tensor(index)
        chosen = index if isinstance(index, slice) else torch.arange(len(self))[index].reshape(-1)
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def to(self, device):
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def table(names):
    """A frozen dataclass of tensors, one row for each person, camera or pose; dataclasses.replace changes a field."""
    return make_dataclass(
        "Table", [(name, torch.Tensor) for name in names.split()], bases=(Rows,), frozen=True
    )

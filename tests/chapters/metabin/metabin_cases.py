"""Made-up tables and features for the tests of chapter 4, and a look at a drawn figure."""

import torch

from reidkit.chapters.metabin import experiments
from reidkit.teach import figures
from reidkit.teach.recorded import Recorded

FIVE = ("BN", "IN", "half and half", "BIN", "MetaBIN")


def make_table(name="04_norms", seeds=(0, 1, 2), rows=FIVE):
    """Row number i scores 10 i + seed in every exam."""
    lines = []
    for i, row in enumerate(rows):
        for seed in seeds:
            line = {"row": row, "SEED": str(seed), "gate_mean": "0.5"}
            for exam in ("home", "away", "style", "tone", "validation"):
                line[f"{exam}_rank1"] = str(10 * i + seed)
                line[f"{exam}_map"] = str(10 * i + seed)
            lines.append(line)
    return Recorded(name, lines)


def without(table, name, seed):
    """The table less one run, as while it is still being recorded."""
    rows = [row for row in table.rows if (row["row"], row["SEED"]) != (name, seed)]
    return Recorded("x", rows)


def make_features():
    """What 04_features.safetensors holds, made up: 8 people, 2 places of 4 cameras, 2 pictures."""
    chance = torch.Generator().manual_seed(0)
    ids = torch.arange(8).repeat_interleave(8)
    domains = ids // 4
    cameras = torch.arange(4).repeat_interleave(2).repeat(8)
    tensors = {"ids": ids, "domains": domains, "cameras": cameras + 100 * domains}
    for name in experiments.NAMES:
        noise = torch.randn(64, 8, generator=chance)
        tensors[f"features {name}"] = torch.nn.functional.one_hot(ids, 8).float() + 0.05 * noise
    for name in ("BIN", "MetaBIN"):
        for layer in ("bn1", "layer1.0.bn1", "layer1.0.bn2", "layer4.0.bn1"):
            tensors[f"gates {name} trunk.{layer}"] = torch.rand(6, generator=chance)
    return tensors


def drawn(picture):
    """The pixels of a figure, which is closed; they are not all alike."""
    from matplotlib import pyplot

    array = figures.pixels(picture)
    pyplot.close(picture)
    assert array.std() > 5
    return array

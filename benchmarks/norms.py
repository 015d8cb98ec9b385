"""Forward and backward of the norms, side by side: batch norm, its mixture with instance norm in one pass and as two
branches, and instance norm three ways; each map shape, summed over the norms of two trunks, and in the trunks.

    python benchmarks/norms.py [--threads 1 2] [--batch 64] [--seconds 0.5] [--device auto]

The ways take turns and the best of each counts: on a machine with other work the slow ones measure the others. Only the
ratios mean something elsewhere. "norms": the sum over the trunk's norms; "whole": the trunk's own forward and backward pass.
"""

import argparse
import collections
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from reidkit import runtime  # noqa: E402
from reidkit.backbones import make_trunk  # noqa: E402
from reidkit.layers.norms import BatchInstanceNorm, InstanceNorm, swap_norms  # noqa: E402

SHAPES = ((24, 32, 16), (64, 64, 32), (48, 16, 8), (192, 8, 4))
TRUNKS = (("tiny", (64, 32)), ("resnet18", (128, 64)))
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
WAYS = ("BN", "BIN", "two", "IN", "torch IN", "group")
RATIOS = (("BIN", "BN"), ("two", "BIN"), ("torch IN", "IN"), ("group", "IN"))


def norm_shapes(name, size):
    """The maps (C, H, W) that the norms of a trunk meet, with how many norms meet each."""
    model, met = make_trunk(name), collections.Counter()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(
                lambda norm, given, made: met.update([tuple(made.shape[1:])])
            )
    with torch.no_grad():
        model(torch.zeros(2, 3, *size))
    return met


def steps(shape, layout, device):
    """way -> one forward and backward pass, to the input and to every parameter."""
    torch.manual_seed(0)
    channels = shape[1]
    x, dy = (torch.randn(shape, device=device).contiguous(memory_format=layout) for _ in range(2))
    x.requires_grad_()
    mixture, instance = (
        BatchInstanceNorm(channels, gate=0.6).to(device),
        InstanceNorm(channels).to(device),
    )
    forms = {
        "BN": nn.BatchNorm2d(channels).to(device),
        "BIN": mixture,
        "two": mixture.two_branches,
        "IN": instance,
        "torch IN": nn.InstanceNorm2d(channels, affine=True).to(device),
        "group": lambda x: F.group_norm(x, channels, instance.weight, instance.bias),
    }
    owners = {**forms, "two": mixture, "group": instance}

    def step(way):
        inputs = x, *owners[way].parameters()
        return lambda: torch.autograd.grad(forms[way](x), inputs, dy)

    return {way: step(way) for way in WAYS}


def fastest(runs, seconds, device):
    """way -> the fastest of its runs, in microseconds; five at a time, in turn, until `seconds` a way are over."""
    best, number = dict.fromkeys(runs, float("inf")), 0
    end = time.perf_counter() + seconds * len(runs)
    while number < 2 or time.perf_counter() < end:
        for way, run in runs.items():
            for _ in range(5):  # the first of a turn meets what the last way left in the cache
                begun = time.perf_counter()
                run()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                best[way] = min(best[way], 1e6 * (time.perf_counter() - begun))
        number += 1
    return best


def trunk_steps(name, size, batch, layout, device):
    """way -> forward and backward of a whole trunk with norms of one kind: what the norms cost beside the convolutions."""
    images = torch.randn(batch, 3, *size, device=device).contiguous(memory_format=layout)
    kinds = {
        "BN": nn.BatchNorm2d,
        "BIN": BatchInstanceNorm,
        "two": BatchInstanceNorm,
        "IN": InstanceNorm,
    }

    def step(way):
        model = swap_norms(make_trunk(name), kinds[way]).to(device, memory_format=layout)
        for module in model.modules():
            if isinstance(module, BatchInstanceNorm):
                module.second_order = way == "two"
        return lambda: model(images).sum().backward()

    return {way: step(way) for way in kinds}


def line(title, layout, threads, found):
    print(
        f"{title:<18}{layout:>14}{threads:>8}"
        + "".join(f"{found.get(way, float('nan')):>10.0f}" for way in WAYS)
        + "".join(f"{found.get(a, float('nan')) / found[b]:>9.2f}" for a, b in RATIOS),
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    device = runtime.pick_device(asked.device)
    trunks = {(name, size): norm_shapes(name, size) for name, size in TRUNKS}
    shapes = [*SHAPES, *(shape for met in trunks.values() for shape in met if shape not in SHAPES)]
    print(
        f"microseconds of one forward and backward pass, batch {asked.batch}, {device}, torch {torch.__version__}"
    )
    print(
        f"{'map':<18}{'layout':>14}{'threads':>8}"
        + "".join(f"{way:>10}" for way in WAYS)
        + "".join(f"{title:>9}" for title in ("BIN/BN", "two/BIN", "tIN/IN", "group/IN"))
    )
    for threads in asked.threads if device.type == "cpu" else [0]:
        threads = runtime.set_threads(threads)
        for layout in LAYOUTS:
            found = {}
            for shape in shapes:
                runs = steps((asked.batch, *shape), LAYOUTS[layout], device)
                found[shape] = fastest(runs, asked.seconds, device)
                line(" x ".join(map(str, shape)), layout, threads, found[shape])
            for (name, size), met in trunks.items():
                total = {
                    way: sum(count * found[shape][way] for shape, count in met.items())
                    for way in WAYS
                }
                line(f"{name} norms", layout, threads, total)
                whole = trunk_steps(name, size, asked.batch, LAYOUTS[layout], device)
                line(f"{name}, whole", layout, threads, fastest(whole, asked.seconds, device))


if __name__ == "__main__":
    main()

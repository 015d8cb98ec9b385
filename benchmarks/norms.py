"""Forward and backward of the norms, side by side.

    python -m benchmarks norms [--threads 1 2] [--batch 64] [--seconds 0.5] [--device auto]

Batch norm, its mixture with instance norm in one pass and as two branches, and instance norm three
ways; each map shape, summed over the norms of two trunks, and in the trunks. The ways take turns
and the best of each counts: on a machine with other work the slow ones measure the others. Only the
ratios mean something elsewhere. "norms": the sum over the trunk's norms; "whole": the trunk's own
forward and backward pass.
"""

import collections

import torch
import torch.nn.functional as F
from torch import nn

from reidkit import runtime
from reidkit.backbones import make_trunk
from reidkit.console import each_once, real_number, whole_number
from reidkit.layers.norms import BatchInstanceNorm, InstanceNorm, swap_norms

from .timing import fastest, make_parser

SHAPES = ((24, 32, 16), (64, 64, 32), (48, 16, 8), (192, 8, 4))
TRUNKS = (("tiny", (64, 32)), ("resnet18", (128, 64)))
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
WAYS = ("BN", "BIN", "two", "IN", "torch IN", "group")
RATIOS = {  # title -> the two ways that are compared
    "BIN/BN": ("BIN", "BN"),
    "two/BIN": ("two", "BIN"),
    "tIN/IN": ("torch IN", "IN"),
    "group/IN": ("group", "IN"),
}


def norm_shapes(name, size):
    """The maps (C, H, W) that the norms of a trunk meet, with how many norms meet each."""
    model = make_trunk(name)
    shapes = collections.Counter()

    def count(norm, inputs, output):
        shapes[tuple(output.shape[1:])] += 1

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(2, 3, *size))
    return shapes


def steps(shape, layout, device):
    """way -> one forward and backward pass, to the input and to every parameter."""
    torch.manual_seed(0)
    channels = shape[1]
    x = torch.randn(shape, device=device).contiguous(memory_format=layout).requires_grad_()
    grad_y = torch.randn(shape, device=device).contiguous(memory_format=layout)
    batch = nn.BatchNorm2d(channels).to(device)
    mixture = BatchInstanceNorm(channels, gate=0.6).to(device)
    instance = InstanceNorm(channels).to(device)
    torch_instance = nn.InstanceNorm2d(channels, affine=True).to(device)

    def group_norm(x):
        return F.group_norm(x, channels, instance.weight, instance.bias)

    # way -> the function, the module that has its parameters
    forms = {
        "BN": (batch, batch),
        "BIN": (mixture, mixture),
        "two": (mixture.two_branches, mixture),
        "IN": (instance, instance),
        "torch IN": (torch_instance, torch_instance),
        "group": (group_norm, instance),
    }

    def step(way):
        form, owner = forms[way]
        inputs = (x, *owner.parameters())
        return lambda: torch.autograd.grad(form(x), inputs, grad_y)

    return {way: step(way) for way in WAYS}


def trunk_steps(name, size, batch, layout, device):
    """way -> forward and backward of a whole trunk with norms of one kind.

    What the norms cost beside the convolutions.
    """
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
            if way == "two" and isinstance(module, BatchInstanceNorm):
                module.forward = module.two_branches
        return lambda: model(images).sum().backward()

    return {way: step(way) for way in kinds}


def print_head(batch, device):
    print(
        f"microseconds of one forward and backward pass, batch {batch}, {device}, "
        f"torch {torch.__version__}"
    )
    ways = "".join(f"{way:>10}" for way in WAYS)
    ratios = "".join(f"{title:>9}" for title in RATIOS)
    print(f"{'map':<18}{'layout':>14}{'threads':>8}{ways}{ratios}")


def print_line(title, layout, threads, microseconds):
    """One line of the table; microseconds: way -> time, where a way is missing NaN is printed."""
    nothing = float("nan")
    times = "".join(f"{microseconds.get(way, nothing):>10.0f}" for way in WAYS)
    ratios = ""
    for way, other_way in RATIOS.values():
        ratios += f"{microseconds.get(way, nothing) / microseconds[other_way]:>9.2f}"
    print(f"{title:<18}{layout:>14}{threads:>8}{times}{ratios}", flush=True)


def measure(layout, threads, batch, seconds, device, trunks):
    """Print the lines of one layout; trunks: (name, size) -> the shapes that its norms meet."""
    memory_format = LAYOUTS[layout]
    shapes = list(SHAPES)
    for counts in trunks.values():
        shapes += [shape for shape in counts if shape not in shapes]
    best = {}  # shape -> way -> microseconds
    for shape in shapes:
        runs = steps((batch, *shape), memory_format, device)
        best[shape] = fastest(runs, seconds, device)
        print_line(" x ".join(map(str, shape)), layout, threads, best[shape])
    for (name, size), counts in trunks.items():
        total = dict.fromkeys(WAYS, 0)
        for shape, count in counts.items():
            for way in WAYS:
                total[way] += count * best[shape][way]
        print_line(f"{name} norms", layout, threads, total)
        runs = trunk_steps(name, size, batch, memory_format, device)
        print_line(f"{name}, whole", layout, threads, fastest(runs, seconds, device))


def main(words=None):
    parser = make_parser("norms", __doc__)
    parser.add_argument("--threads", type=whole_number(1, 1024), nargs="+", default=(1, 2))
    parser.add_argument("--batch", type=whole_number(1), default=64)
    parser.add_argument("--seconds", type=real_number(0), default=0.5)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args(words)
    device = runtime.pick_device(asked.device)
    trunks = {(name, size): norm_shapes(name, size) for name, size in TRUNKS}
    print_head(asked.batch, device)
    for threads in each_once("--threads", asked.threads) if device.type == "cpu" else [0]:
        threads = runtime.set_threads(threads)
        for layout in LAYOUTS:
            measure(layout, threads, asked.batch, asked.seconds, device, trunks)

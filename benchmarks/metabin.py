"""A MetaBIN step against the base step of the same batch size, and a BIN step against a BN step.

    python -m benchmarks metabin [--trunk tiny] [--size 64 32] [--people 16] [--threads 1 2]

The base step: P x K pictures, both losses, backward, Adam, with BIN everywhere. A MetaBIN step is
that and an episode: a forward and backward pass to the gates on each half of a second batch of
P x K pictures. The ways take turns; only the ratios mean something elsewhere. On a GPU,
channels_last and bfloat16.
"""

import argparse
from collections.abc import Callable

import torch

from reidkit import runtime
from reidkit.console import each_once, real_number, whole_number
from reidkit.methods.baseline import baseline_losses, make
from reidkit.methods.metabin import MetaBIN, base_step
from reidkit.training import MAIN, Batch

from .timing import MICRO, fastest, make_parser

DOMAINS = 4
PROGRESS = 0.3  # share of the steps done, which the inner step's size depends on


def make_batch(people: int, pictures: int, size: tuple[int, int], device) -> Batch:
    """P x K pictures of noise, `people` / DOMAINS people of each domain.

    Args:
        people: P.
        pictures: K.
        size: (height, width) of a picture.
        device: where they lie.
    """
    count = people * pictures
    images = 255 * torch.rand(count, 3, *size, device=device)
    index = torch.arange(count, device=device)  # (P K,)
    ids = index // pictures
    domains = ids * DOMAINS // people
    return Batch(
        images=images.contiguous(memory_format=torch.channels_last),
        ids=ids,
        cameras=domains,
        domains=domains,
        index=index,
        attributes={},
        masks=None,
        step=1,
    )


def make_ways(
    trunk: str, size: tuple[int, int], people: int, pictures: int, device
) -> dict[str, Callable]:
    """One training step each: "bn" and "bin", base steps, and "meta", a MetaBIN step.

    Args:
        trunk: see `backbones.make_trunk`.
        size: (height, width) of a picture.
        people: P, a multiple of DOMAINS.
        pictures: K.
        device: to train on.
    """
    torch.manual_seed(0)
    base = make_batch(people, pictures, size, device)
    meta = make_batch(people, pictures, size, device)
    method = MetaBIN(gate_lr=1.0)
    bn_model, bn_optimizer = _make_model(people, trunk, "bn", device)
    bin_model, bin_optimizer = _make_model(people, trunk, "bin", device)

    def bn_step():
        base_step(bn_model, base, bn_optimizer, baseline_losses)

    def bin_step():
        base_step(bin_model, base, bin_optimizer, baseline_losses)

    def meta_step():
        batches = {"base": [base], "meta": meta}
        method.step(bin_model, batches, {MAIN: bin_optimizer}, PROGRESS)

    return {"bn": bn_step, "bin": bin_step, "meta": meta_step}


def _make_model(classes, trunk, norm, device):
    model = make(classes, trunk, norm, gate=0.5)
    model.to(device, memory_format=torch.channels_last).train()
    return model, torch.optim.Adam(model.parameters(), 3e-4)


def _people(word):
    """P for argparse: a multiple of DOMAINS."""
    count = whole_number(DOMAINS)(word)
    if count % DOMAINS:
        raise argparse.ArgumentTypeError(f"{count} is no multiple of {DOMAINS}; expected one")
    return count


def main(words: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("metabin", __doc__)
    parser.add_argument("--trunk", default="tiny")
    parser.add_argument("--size", type=whole_number(1), nargs=2, default=(64, 32))
    parser.add_argument("--people", type=_people, default=16, help=f"P, a multiple of {DOMAINS}")
    parser.add_argument("--pictures", type=whole_number(1), default=4, help="K")
    parser.add_argument("--threads", type=whole_number(1, 1024), nargs="+", default=(1, 2))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=real_number(0), default=5.0)
    options = parser.parse_args(words)
    device = runtime.pick_device(options.device)
    height, width = options.size
    print(
        f"{options.trunk} at {height} x {width}, {options.people} x {options.pictures} pictures, "
        f"{device}, torch {torch.__version__}"
    )
    print(
        f"{'threads':>7}{'BN ms':>10}{'BIN ms':>10}{'MetaBIN ms':>12}"
        f"{'BIN/BN':>9}{'MetaBIN/BIN':>13}{'pictures/s of BIN':>20}"
    )
    for threads in each_once("--threads", options.threads) if device.type == "cpu" else [0]:
        threads = runtime.set_threads(threads)
        ways = make_ways(options.trunk, options.size, options.people, options.pictures, device)
        best = fastest(ways, options.seconds, device)
        milliseconds = {way: value / 1000 for way, value in best.items()}
        speed = MICRO * options.people * options.pictures / best["bin"]
        print(
            f"{threads:7d}{milliseconds['bn']:10.1f}{milliseconds['bin']:10.1f}"
            f"{milliseconds['meta']:12.1f}{best['bin'] / best['bn']:9.2f}"
            f"{best['meta'] / best['bin']:13.2f}{speed:20.0f}",
            flush=True,
        )

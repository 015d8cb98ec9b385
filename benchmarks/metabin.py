"""A MetaBIN step against the base step of the same batch size, and a BIN training step against a BN one, in turn.

    python benchmarks/metabin.py [--trunk tiny] [--size 64 32] [--people 16] [--threads 1 2] [--device auto]

The base step: P x K pictures, both losses, backward, Adam, with BIN everywhere. A MetaBIN step is that and an episode: a forward and
backward pass to the gates on each half of a second batch of P x K pictures. The ways take turns and the best of each counts; only
the ratios mean something elsewhere. On a GPU, channels_last and bfloat16.
"""

import argparse
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from norms import fastest  # noqa: E402

from reidkit import runtime  # noqa: E402
from reidkit.methods.baseline import baseline_losses, make  # noqa: E402
from reidkit.methods.metabin import MetaBIN, base_step, rows  # noqa: E402
from reidkit.training import Batch  # noqa: E402

DOMAINS = 4


def batch_of(people, pictures, size, device):
    """Two P x K batches, one behind the other, the second with `people` / DOMAINS people of each domain."""
    count = people * pictures
    images = torch.randn(2 * count, 3, *size, device=device).contiguous(
        memory_format=torch.channels_last
    )
    ids = (torch.arange(2 * count, device=device) // pictures) % people
    domains = ids * DOMAINS // people
    return Batch(images, ids, domains, domains, torch.arange(2 * count, device=device), {}, None, 1)


def ways(trunk, size, people, pictures, device):
    """way -> one training step."""
    torch.manual_seed(0)
    both = batch_of(people, pictures, size, device)
    base = rows(both, slice(people * pictures))
    method = MetaBIN(1.0, domain_people=people // DOMAINS, pictures=pictures)
    made = {}
    for norm in ("bn", "bin"):
        model = (
            make(people, trunk, norm, gate=0.5)
            .to(device, memory_format=torch.channels_last)
            .train()
        )
        optimizer = torch.optim.Adam(model.parameters(), 3e-4)
        made[norm] = lambda model=model, optimizer=optimizer: base_step(
            model, base, optimizer, baseline_losses
        )
    made["meta"] = lambda: method.step(model, both, optimizer, 0.3)
    return made


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trunk", default="tiny")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 32))
    parser.add_argument("--people", type=int, default=16, help="P, a multiple of 4")
    parser.add_argument("--pictures", type=int, default=4, help="K")
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    device = runtime.pick_device(asked.device)
    print(
        f"{asked.trunk} at {asked.size[0]} x {asked.size[1]}, {asked.people} x {asked.pictures} pictures, {device}, torch {torch.__version__}"
    )
    print(
        f"{'threads':>7}{'BN ms':>10}{'BIN ms':>10}{'MetaBIN ms':>12}{'BIN/BN':>9}{'MetaBIN/BIN':>13}{'pictures/s of BIN':>20}"
    )
    for threads in asked.threads if device.type == "cpu" else [0]:
        threads = runtime.set_threads(threads)
        found = fastest(
            ways(asked.trunk, asked.size, asked.people, asked.pictures, device),
            asked.seconds,
            device,
        )
        speed = 1e6 * asked.people * asked.pictures / found["bin"]
        print(
            f"{threads:7d}"
            + "".join(
                f"{found[way] / 1000:{width}.1f}"
                for way, width in (("bn", 10), ("bin", 10), ("meta", 12))
            )
            + f"{found['bin'] / found['bn']:9.2f}{found['meta'] / found['bin']:13.2f}{speed:20.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Chapter 02: batch and instance statistics. Deep nets trained side by side, layer statistics, pictures, the explorer."""

import copy
import math
from dataclasses import replace

import torch
import torch.nn.functional as F

from ... import files, world
from ...augment import normalise
from ...layers.norms import InstanceNorm
from ...measures import divergence
from .. import recorded as tables
from ..figures import grid
from ..widgets import Frame, slider

LAYERS = ("pixels", "stem", "layer1", "layer2", "layer3", "layer4")
DEPTH, WIDTH = 12, 64                                       # of the deep nets
SATURATED = 0.97                                            # beyond, tanh passes on less than 6 % of a gradient


def recorded(name, column=None):
    """teach.recorded, or None where the table was not recorded yet: the chapter's own table is made from its runs."""
    return tables.recorded(name, column) if (files.results_dir() / f"{name}.csv").is_file() else None


# ---- 1: a deep net, many times side by side


def thumbnails(people, seed):
    """People of one drawn place at 16 x 8 pixels -> (x (N, 384), y (N,)) to learn from, and the same of other pictures."""
    data = world.sample([("demo", 1)], people, cameras=3, pictures=8, seed=seed).relabelled()
    x, new = F.avg_pool2d(normalise(data.pictures()), 4).flatten(1), torch.arange(len(data)) % 8 >= 6
    return (x[~new], data.ids[~new]), (x[new], data.ids[new])


class DeepNets:
    """R nets of DEPTH linear layers, each followed by tanh, and a classifier, trained at once: run r multiplies by its own
    weights (R, in, out). norm: None, "before" (linear, batch norm, tanh) or "after" (linear, tanh, batch norm)."""

    def __init__(self, seeds, scales, inputs, classes, norm=None, dropout=0.0):
        self.norm, self.dropout = norm, dropout
        sizes = [inputs] + [WIDTH] * DEPTH
        self.weights = [torch.stack([scale / math.sqrt(a) * torch.randn(a, b, generator=torch.Generator().manual_seed(97 * seed + i))
                                     for seed, scale in zip(seeds, scales)]) for i, (a, b) in enumerate(zip(sizes, sizes[1:]))]
        runs = len(seeds)
        self.out = [torch.zeros(runs, WIDTH, classes), torch.zeros(runs, 1, classes)]
        self.gains, self.shifts = ([value(runs, 1, WIDTH) for _ in range(DEPTH)] for value in (torch.ones, torch.zeros))
        self.running = [(torch.zeros(runs, 1, WIDTH), torch.ones(runs, 1, WIDTH)) for _ in range(DEPTH)]
        self.parameters = [*self.weights, *self.out, *self.gains, *self.shifts]
        self.velocity = [torch.zeros_like(value) for value in self.parameters]
        for value in self.parameters:
            value.requires_grad_()

    def forward(self, x, training, seen=None):
        """x (R, B, in) -> logits (R, B, classes); seen, a list, takes what each tanh was given, (R, B, WIDTH)."""
        for i, weight in enumerate(self.weights):
            x = x @ weight
            if self.norm == "before":
                x = self._normalise(x, i, training)
            elif self.norm is None:
                x = x + self.shifts[i]
            if seen is not None:
                seen.append(x.detach())
            x = x.tanh()
            x = self._normalise(x, i, training) if self.norm == "after" else x
            x = F.dropout(x, self.dropout, training)
        return x @ self.out[0] + self.out[1]

    def _normalise(self, x, i, training):
        mean, var = self.running[i]
        if training:
            found = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
            bessel = x.shape[1] / (x.shape[1] - 1)
            self.running[i] = mean.lerp(found[0].detach(), 0.1), var.lerp(bessel * found[1].detach(), 0.1)
            mean, var = found
        return self.gains[i] * (x - mean) / (var + 1e-5).sqrt() + self.shifts[i]

    def step(self, x, y, rates):
        """One step of each run, SGD with momentum 0.9; rates (R, 1, 1) -> losses (R,)."""
        losses = F.cross_entropy(self.forward(x, True).flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)
        grads = torch.autograd.grad(losses.sum(), self.parameters, allow_unused=True)       # runs do not meet in the sum
        with torch.no_grad():
            for value, grad, velocity in zip(self.parameters, grads, self.velocity):
                if grad is not None:
                    value.sub_(rates * velocity.mul_(0.9).add_(grad))
        return losses.detach()


def deep_runs(known, new, norm=None, rates=(0.03,), scales=(1.0,), seeds=(0,), steps=60, dropout=0.0):
    """Train a net for every scale of the first weights, rate and seed -> dict.

    loss (scales, rates, seeds): mean of the last ten steps; known, new: accuracy in evaluation mode; before, after: what
    each layer's tanh was given before and after training, a list of (runs, N, WIDTH).
    """
    (x, y), shape, batch = known, (len(scales), len(rates), len(seeds)), 64
    cases = [(scale, rate, seed) for scale in scales for rate in rates for seed in seeds]
    each_scale, each_rate, each_seed = zip(*cases)
    torch.manual_seed(0)                                    # dropout
    nets = DeepNets(each_seed, each_scale, x.shape[1], int(y.max()) + 1, norm, dropout)
    orders = {seed: torch.randint(len(x), (steps, batch), generator=torch.Generator().manual_seed(seed)) for seed in seeds}
    before, after, losses = [], [], []
    with torch.no_grad():
        nets.forward(x[:256].expand(len(cases), -1, -1), norm is not None, before)
    nets.running = [(torch.zeros_like(mean), torch.ones_like(var)) for mean, var in nets.running]
    rates = torch.tensor(each_rate).view(-1, 1, 1)
    for step in range(steps):
        chosen = torch.stack([orders[seed][step] for seed in each_seed])                    # (R, batch)
        losses.append(nets.step(x[chosen], y[chosen], rates))
    with torch.no_grad():
        right = [(nets.forward(a.expand(len(cases), -1, -1), False).argmax(2) == b).float().mean(1).view(shape) for a, b in (known, new)]
        nets.forward(x[:256].expand(len(cases), -1, -1), norm is not None, after)
    return {"loss": torch.stack(losses[-10:]).mean(0).view(shape), "known": right[0], "new": right[1], "before": before, "after": after}


def saturated(inputs):
    """Share of tanh's outputs beyond SATURATED."""
    return (inputs.tanh().abs() > SATURATED).float().mean().item()


def histogram_picture(plain, normed, columns):
    """What tanh is given, by depth: without batch norm above, with it below; columns: (title, "before" or "after", run)."""
    from matplotlib import pyplot
    fig, axes = pyplot.subplots(2, len(columns), figsize=(8.4, 4.2), sharex=True)
    edges = torch.linspace(-4, 4, 41)
    for row, (name, runs) in enumerate((("without BN", plain), ("with BN", normed))):
        for ax, (title, when, run) in zip(axes[row], columns):
            for layer in (0, DEPTH // 2 - 1, DEPTH - 1):
                values = runs[when][layer][run].flatten()
                counts = torch.histogram(values.clamp(-4, 4), edges)[0] / len(values)
                ax.plot((edges[1:] + edges[:-1]) / 2, counts, marker="none",
                        label=f"layer {layer + 1}: {100 * saturated(values):.0f} % saturated")
            ax.set_yscale("symlog", linthresh=0.02, linscale=0.6)
            ax.set(ylim=(0, 1.2), title=f"{name}, {title}", yticks=[0, 0.02, 0.1, 1], yticklabels=["0", "0.02", "0.1", "1"])
            ax.title.set_fontsize(9)
            ax.legend(fontsize=6.5, loc="upper left")
    for ax in axes[1]:
        ax.set(xlabel="input of tanh (outermost bins: beyond)")
    axes[0, 0].set(ylabel="share of values")
    axes[1, 0].set(ylabel="share of values")
    return fig


def rate_picture(found, rates, scales):
    """Loss after training for every scale and rate, without and with batch norm, as two tables of shades -> figure."""
    from matplotlib import pyplot
    fig, axes = pyplot.subplots(1, 2, figsize=(8.4, 2.5), sharey=True)
    for ax, (name, runs) in zip(axes, found.items()):
        loss = runs["loss"].mean(2)                         # (scales, rates)
        ax.imshow(loss.nan_to_num(9).clamp(0, 3.5), vmin=0, vmax=3.5, cmap="cividis", aspect="auto")
        for i, row in enumerate(loss.tolist()):
            for k, value in enumerate(row):
                ax.text(k, i, f"{value:.1f}" if value < 9.95 else "far", ha="center", va="center", fontsize=9,
                        color="black" if value > 1.9 else "white")
        ax.set(xticks=range(len(rates)), xticklabels=[f"{rate:g}" for rate in rates], yticks=range(len(scales)),
               yticklabels=[f"{scale:g} x" for scale in scales], xlabel="learning rate", title=name)
        ax.grid(False)
    axes[0].set(ylabel="first weights")
    return fig


# ---- 2: what stands in a layer


@torch.no_grad()
def activations(model, pictures, batch=256):
    """uint8 (N, 3, H, W) -> [maps (N, C, h, w) of each of LAYERS], the model in evaluation mode."""
    trunk, found = model.trunk, []
    for part in pictures.split(batch):
        x = normalise(part)
        found.append([x, trunk.relu(trunk.bn1(trunk.conv1(x))), *trunk.maps(x, LAYERS[2:])])
    return [torch.cat(maps) for maps in zip(*found)]


def crowd_through_chains(people, chains, size, seed, device="cpu", poses=2):
    """The very same people, poses and walls through the imaging chains of several places -> (People, who (N,), [uint8 N
    pictures of each chain])."""
    crowd, who = world.make_people(people, seed), torch.arange(people).repeat_interleave(poses)
    here = torch.zeros_like(who)
    first = [world.make_cameras(world.make_place("demo", place), 1)[here] for place in range(chains)]
    stand = world.make_poses(len(who), seed, world.EASY)
    return crowd, who, [world.restyle(crowd[who], first[0], stand, other, size=size, device=device, raw=False).images for other in first]


def style_and_content(layers, light):
    """Divergence by layer, median over channels: dict of lists, one number for each of LAYERS.

    layers: for each chain, the maps of each layer; light (N,) bool: who wears a light top. style: the same pictures through
    two chains; content: light against dark tops through one chain; nothing: two random halves of the people.
    """
    half = torch.arange(len(light)) // 2 % 2 == 0           # pairs of pictures: each person stays in one half
    pairs = [(a, b) for b in range(len(layers)) for a in range(b)]

    def mean(divergences):
        return (sum(value.median() for value in divergences) / len(divergences)).item()
    found = {"style": [], "content": [], "nothing": []}
    for number in range(len(LAYERS)):
        maps = [chain[number].mean((2, 3)) for chain in layers]                             # (N, C) each
        found["style"].append(mean([divergence(maps[a], maps[b], 1e-6) for a, b in pairs]))
        for name, group in (("content", light), ("nothing", half)):
            found[name].append(mean([divergence(each[group], each[~group], 1e-6) for each in maps]))
    return found


def depth_picture(curves):
    """Style and content by depth for each network of curves -> figure."""
    from matplotlib import pyplot
    fig, axes = pyplot.subplots(1, len(curves), figsize=(8.4, 3.2), sharey=True)
    names = {"style": "style: same people, two chains", "content": "content: light against dark tops, one chain",
             "nothing": "nothing: two random halves"}
    for ax, (title, found) in zip(axes, curves.items()):
        for name, label in names.items():
            ax.plot(found[name], label=label, markersize=7)
        ax.set(yscale="log", title=title, xticks=range(len(LAYERS)), xticklabels=LAYERS, ylim=(0.01, 100))
    axes[0].set(ylabel="divergence (nats, median channel)")
    axes[0].legend(fontsize=7.5, loc="upper right")
    return fig


def shares_picture(shares):
    """Bars by layer: what explains the variance between pictures; shares: {layer: {"between", "camera", "person", "rest"}}."""
    from matplotlib import pyplot
    fig, (left, right) = pyplot.subplots(1, 2, figsize=(8.4, 3), width_ratios=[1, 1.5])
    places, base = range(len(shares)), torch.zeros(len(shares))
    left.bar(places, [100 * row["between"] for row in shares.values()], color="0.7", edgecolor="black")
    left.set(ylabel="of all variance (%)", title="between pictures: IN throws it away", ylim=(0, 100))
    for index, (name, hatch) in enumerate((("camera", "//"), ("person", ".."), ("rest", ""))):
        heights = torch.tensor([100 * row[name] for row in shares.values()])
        right.bar(places, heights, bottom=base, color=["C1", "C0", "0.9"][index], hatch=hatch, edgecolor="black", label=name)
        for x, (height, low) in enumerate(zip(heights.tolist(), base.tolist())):
            right.text(x, low + height / 2, f"{height:.0f}", ha="center", va="center", fontsize=8,
                       bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"})
        base = base + heights
    right.set(ylabel="of that part (%)", title="what it is made of", ylim=(0, 100))
    right.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    for ax in (left, right):
        ax.set_xticks(places, shares, fontsize=8)
        ax.grid(axis="x", visible=False)
    return fig

"""Chapter 02: batch and instance statistics. Deep nets trained side by side, layer statistics, pictures, the explorer."""

import copy
import itertools
import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from ... import files, retrieval, world
from ...augment import normalize
from ...layers.norms import InstanceNorm
from ...measures import divergence
from ...teach.figures import grid
from ...teach.recorded import recorded as read_table
from ...teach.widgets import Frame, slider

LAYERS = ("pixels", "stem", "layer1", "layer2", "layer3", "layer4")
DEPTH, WIDTH, SATURATED = (
    12,
    64,
    0.97,
)  # of the deep nets; beyond 0.97 tanh passes on less than 6 % of a gradient
apart = lambda a, b: (a - b).square().mean().sqrt().item()  # root mean square difference


def recorded(name, column=None):
    """teach.recorded, or None where the table was not recorded yet: the chapter's own table is made from its runs."""
    return read_table(name, column) if (files.results_dir() / f"{name}.csv").is_file() else None


# ---- 1: a deep net, many times side by side


def thumbnails(people, seed):
    """People of one drawn place at 16 x 8 pixels -> (x (N, 384), y (N,)) to learn from, and the same of other pictures."""
    data = world.sample([("demo", 1)], people, cameras=3, pictures=8, seed=seed).relabelled()
    x, new = (
        F.avg_pool2d(normalize(data.pictures()), 4).flatten(1),
        torch.arange(len(data)) % 8 >= 6,
    )
    return (x[~new], data.ids[~new]), (x[new], data.ids[new])


class DeepNets:
    """R nets of DEPTH linear layers, each followed by tanh, and a classifier, trained at once: run r multiplies by its own
    weights (R, in, out). norm: None, "before" (linear, batch norm, tanh) or "after" (linear, tanh, batch norm)."""

    def __init__(self, seeds, scales, inputs, classes, norm=None, dropout=0.0):
        self.norm, self.dropout = norm, dropout
        sizes = [inputs] + [WIDTH] * DEPTH
        self.weights = [
            torch.stack(
                [
                    scale
                    / math.sqrt(a)
                    * torch.randn(a, b, generator=torch.Generator().manual_seed(97 * seed + i))
                    for seed, scale in zip(seeds, scales)
                ]
            )
            for i, (a, b) in enumerate(zip(sizes, sizes[1:]))
        ]
        self.out = [torch.zeros(len(seeds), WIDTH, classes), torch.zeros(len(seeds), 1, classes)]
        self.gains, self.shifts = (
            [value(len(seeds), 1, WIDTH) for _ in range(DEPTH)]
            for value in (torch.ones, torch.zeros)
        )
        self.running = [
            (torch.zeros(len(seeds), 1, WIDTH), torch.ones(len(seeds), 1, WIDTH))
            for _ in range(DEPTH)
        ]
        self.parameters = [*self.weights, *self.out, *self.gains, *self.shifts]
        self.velocity = [torch.zeros_like(value.requires_grad_()) for value in self.parameters]

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
            x = self._normalise(x.tanh(), i, training) if self.norm == "after" else x.tanh()
            x = F.dropout(x, self.dropout, training)
        return x @ self.out[0] + self.out[1]

    def _normalise(self, x, i, training):
        mean, var = self.running[i]
        if training:
            old, mean, var = self.running[i], x.mean(1, keepdim=True), x.var(1, keepdim=True)
            self.running[i] = tuple(
                before.lerp(now.detach(), 0.1) for before, now in zip(old, (mean, var))
            )
            var = var * (1 - 1 / x.shape[1])  # kept unbiased, divided by biased, as torch does
        return self.gains[i] * (x - mean) / (var + 1e-5).sqrt() + self.shifts[i]

    def step(self, x, y, rates):
        """One step of each run, SGD with momentum 0.9; rates (R, 1, 1) -> losses (R,)."""
        losses = (
            F.cross_entropy(self.forward(x, True).flatten(0, 1), y.flatten(), reduction="none")
            .view(y.shape)
            .mean(1)
        )
        grads = torch.autograd.grad(
            losses.sum(), self.parameters, allow_unused=True
        )  # runs do not meet in the sum
        with torch.no_grad():
            for value, grad, velocity in zip(self.parameters, grads, self.velocity):
                if grad is not None:
                    value.sub_(rates * velocity.mul_(0.9).add_(grad))
        return losses.detach()


def deep_runs(
    known, new, norm=None, rates=(0.03,), scales=(1.0,), seeds=(0,), steps=60, dropout=0.0
):
    """Train a net for every scale of the first weights, rate and seed -> dict.
    loss (scales, rates, seeds): mean of the last ten steps; known, new: accuracy in evaluation mode; before, after: what
    each layer's tanh was given before and after training, a list of (runs, N, WIDTH).
    """
    (x, y), shape, batch = known, (len(scales), len(rates), len(seeds)), 64
    each_scale, each_rate, each_seed = zip(*itertools.product(scales, rates, seeds))
    nets = DeepNets(each_seed, each_scale, x.shape[1], int(y.max()) + 1, norm, dropout)
    orders = {
        seed: torch.randint(len(x), (steps, batch), generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    }
    before, after, losses = [], [], []
    rates, some = torch.tensor(each_rate).view(-1, 1, 1), x[::2].expand(len(each_seed), -1, -1)
    with torch.no_grad():
        nets.forward(some, norm is not None, before)
    for step in range(steps):
        chosen = torch.stack([orders[seed][step] for seed in each_seed])  # (R, batch)
        losses.append(nets.step(x[chosen], y[chosen], rates))
    with torch.no_grad():
        right = [
            (nets.forward(a.expand(len(each_seed), -1, -1), False).argmax(2) == b)
            .float()
            .mean(1)
            .view(shape)
            for a, b in (known, new)
        ]
        nets.forward(some, norm is not None, after)
    return {
        "loss": torch.stack(losses[-10:]).mean(0).view(shape),
        "known": right[0],
        "new": right[1],
        "before": before,
        "after": after,
    }


def histogram_picture(plain, normed, columns):
    """What tanh is given, by depth: without batch norm above, with it below; columns: (title, "before" or "after", run)."""
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(2, len(columns), figsize=(8.4, 5.0), sharex=True)
    edges = torch.linspace(-4, 4, 41)
    for row, (name, runs) in enumerate((("without BN", plain), ("with BN", normed))):
        for ax, (title, when, run) in zip(axes[row], columns):
            for layer in (0, DEPTH // 2 - 1, DEPTH - 1):
                values = runs[when][layer][run].flatten()
                counts = torch.histogram(values.clamp(-4, 4), edges)[0] / len(values)
                ax.plot(
                    (edges[1:] + edges[:-1]) / 2,
                    counts,
                    marker="none",
                    label=f"layer {layer + 1}: {100 * (values.tanh().abs() > SATURATED).float().mean():.0f} % saturated",
                )
            ax.set_yscale("symlog", linthresh=0.02, linscale=0.6)
            ax.set(ylim=(0, 1.02), yticks=[0, 0.02, 0.1, 1], yticklabels=["0", "0.02", "0.1", "1"])
            ax.set_title(
                f"{name}, {title}", fontsize=9, pad=42
            )  # the legend stands between: a share ends at 1
            ax.legend(
                fontsize=6.5,
                loc="lower left",
                bbox_to_anchor=(0, 1),
                borderaxespad=0.2,
                frameon=False,
            )
            ax.set_xlabel("input of tanh (ends: and beyond)" if row else "", fontsize=8)
        axes[row, 0].set_ylabel("share of values")
    return fig


# ---- 2: one formula, and what stands in a layer


def by_formula(x, axes, eps=1e-5):
    """The one formula without gamma and beta: what exercise 2.1 asks for."""
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()


def pair_gap(norm, pair):
    """(2, 3, H, W), both in one batch through norm -> mean absolute difference: what exercise 2.2 asks for."""
    return norm(pair).diff(dim=0).abs().mean().item()


@torch.no_grad()
def activations(model, pictures, batch=256):
    """uint8 (N, 3, H, W) -> [maps (N, C, h, w) of each of LAYERS], the model in evaluation mode."""
    trunk, found = model.trunk, []
    for part in pictures.split(batch):
        x = normalize(part)
        found.append([x, trunk.relu(trunk.bn1(trunk.conv1(x))), *trunk.maps(x, LAYERS[2:])])
    return [torch.cat(maps) for maps in zip(*found)]


def crowd_through_chains(people, chains, size, seed, device="cpu", poses=2):
    """The very same people, poses and walls through the imaging chains of several places -> (People, who (N,), [uint8 N
    pictures of each chain])."""
    crowd, who = world.make_people(people, seed), torch.arange(people).repeat_interleave(poses)
    first = [
        world.make_cameras(world.make_place("demo", place), 1)[0 * who] for place in range(chains)
    ]
    stand = world.make_poses(len(who), seed, world.EASY)
    return (
        crowd,
        who,
        [
            world.restyle(
                crowd[who], first[0], stand, other, size=size, device=device, raw=False
            ).images
            for other in first
        ],
    )


def style_and_content(layers, light):
    """Divergence by layer, median over channels -> {"style": the same pictures through two chains, "content": light against
    dark tops through one chain, "nothing": two halves of the people at random}: lists, one number for each of LAYERS.
    layers: for each chain, the maps of each layer; light (N,) bool: who wears a light top."""
    half = (
        torch.arange(len(light)) // 2 % 2 == 0
    )  # pairs of pictures: each person stays in one half
    pairs = [(a, b) for b in range(len(layers)) for a in range(b)]
    mean = lambda divergences: (
        sum(value.median() for value in divergences) / len(divergences)
    ).item()
    found = {"style": [], "content": [], "nothing": []}
    for number in range(len(LAYERS)):
        maps = [chain[number].mean((2, 3)) for chain in layers]  # (N, C) each
        found["style"].append(mean([divergence(maps[a], maps[b], 1e-6) for a, b in pairs]))
        for name, group in (("content", light), ("nothing", half)):
            found[name].append(mean([divergence(each[group], each[~group], 1e-6) for each in maps]))
    return found


# ---- 3: in whose company a picture is normalised


@torch.no_grad()
def company(model, images, batches):
    """Features of normalised images when somebody forgot eval: each batch, a tensor of indices, by its own statistics.

    -> (features (N, D) of length 1, the model afterwards: a copy, whose running statistics have moved)."""
    moved = copy.deepcopy(model).train()
    features = torch.empty(len(images), model.neck.num_features, device=images.device)
    for chosen in batches:
        features[chosen] = moved(images[chosen]).neck
    return F.normalize(features, dim=1), moved.eval()


def scores(features, exam):
    """Features (N, D) of exam.both() -> {"pooled": (rank-1, mAP) in %, one gallery, "by place": mean of a gallery a place}."""
    both, asks = exam.both(), torch.arange(len(features)) < len(exam.query)
    found = []
    for here in (
        torch.ones_like(asks),
        *(both.domains == place for place in both.domains.unique()),
    ):
        q, g = here & asks, here & ~asks
        m = retrieval.evaluate(
            features[q], both.ids[q], both.cameras[q], features[g], both.ids[g], both.cameras[g]
        )
        found.append((100 * m.cmc[1], 100 * m.map))
    return {
        "pooled": found[0],
        "by place": tuple(sum(values) / len(values) for values in zip(*found[1:])),
    }


# ---- pixels through the norms: the goal picture and the explorer


class PixelNorms:
    """Batch norm with the statistics of a crowd, as after training, and instance norm, on pixels 0 to 1: no weights."""

    def __init__(self, size, seed=0, people=32):
        self.size, self.seed = size, seed
        self.crowd = world.make_people(people, seed)
        self.camera = world.neutral(world.make_cameras(world.make_place("demo", 0), 1))
        self.poses = replace(
            world.make_poses(people, seed, replace(world.EASY, views=0.25)),
            occluder=torch.zeros(people, dtype=torch.int64),
        )
        pixels = self.draw(range(people), range(people), [self.camera] * people).float() / 255
        self.mean, self.std = (
            pixels.mean((0, 2, 3)),
            pixels.std((0, 2, 3), unbiased=False),
        )  # (3,) each

    def draw(self, people, poses, cameras):
        """uint8 (N, 3, H, W): person, pose and imaging chain of each picture; wall and view are the same for all."""
        who, how = torch.tensor(list(people)), torch.tensor(list(poses))
        chains = replace(
            cameras[0],
            **{
                name: torch.cat([getattr(one, name) for one in cameras])
                for name in vars(cameras[0])
            },
        )
        return world.restyle(
            self.crowd[who],
            self.camera[0 * who],
            self.poses[how],
            chains,
            size=self.size,
            raw=False,
        ).images

    def __call__(self, pictures):
        """-> {"pixels", "BN", "IN"}: (N, 3, H, W) each."""
        x = pictures.float() / 255
        return {
            "pixels": x,
            "BN": (x - self.mean[:, None, None]) / self.std[:, None, None],
            "IN": InstanceNorm(3)(x).detach(),
        }


def goal_picture(size, seed, chains=4):
    """One person through the chains of several places, then a stranger; as pixels, after BN, after IN -> (montage,
    {norm: (mean distance of the chains to the first, the stranger's)})."""
    norms = PixelNorms(size, seed)
    cameras = [world.make_cameras(world.make_place("demo", place), 1) for place in range(chains)]
    pictures = norms.draw([0] * chains + [1], [0] * (chains + 1), [*cameras, cameras[0]])
    rows, labels, distances = [], [], {}
    for name, y in norms(pictures).items():
        far = [apart(y[0], other) for other in y]
        rows.append(
            y if name == "pixels" else (0.5 + y / 6).clamp(0, 1)
        )  # three deviations each way
        labels += [f"{name}: A, chain {i + 1}\n{value:.2f}" for i, value in enumerate(far[:-1])] + [
            f"{name}: B, chain 1\n{far[-1]:.2f}"
        ]
        distances[name] = sum(far[1:-1]) / (chains - 1), far[-1]
    return grid(
        (255 * torch.cat(rows)).round().to(torch.uint8), chains + 1, labels, height=110
    ), distances


def normalisation_explorer(size, seed=0, people=6):
    """Push a camera's gain, warmth and contrast: histograms before and after BN and IN, and the distance between two
    pictures of one person, beside a stranger's -> (draw, controls)."""
    norms, edges = PixelNorms(size, seed), torch.linspace(-3, 3, 37)
    spans = {
        "pixels": (0.5, 6),
        "BN": (0, 1),
        "IN": (0, 1),
    }  # middle and scale: each histogram covers -3 to 3

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        if "fig" not in artists:
            artists |= _panels(
                size,
                {
                    name: (edges[1:] + edges[:-1]) / 2 / scale + middle
                    for name, (middle, scale) in spans.items()
                },
            )
        warm, one = 2 ** (0.8 * state["warmth"]), norms.camera
        pushed = replace(
            one,
            gain=one.gain * 2 ** state["gain"],
            contrast=one.contrast * state["contrast"],
            white_balance=one.white_balance * torch.tensor([[warm, 1.0, 1 / warm]]),
        )
        person, stranger = state["person"], (state["person"] + 1) % people
        if artists.get("of") != person:  # what no slider but this one changes
            artists |= {
                "of": person,
                "first, stranger": norms.draw([person, stranger], [0, 1], [one, one]).split(1),
            }
        first, other = artists["first, stranger"]
        pictures, words = torch.cat([first, norms.draw([person], [1], [pushed]), other]), []
        for shown, picture in zip(artists["pictures"], pictures):
            shown.set_data(picture.permute(1, 2, 0).numpy())
        for name, y in norms(pictures).items():
            (middle, scale), (*lines, title) = spans[name], artists[name]
            for line, values in zip(lines, y):
                grey = ((values.mean(0) - middle) * scale).clamp(-3, 3).flatten()
                line.set_ydata(torch.histogram(grey, edges)[0] / len(grey))
            own, far = apart(y[0], y[1]), apart(y[0], y[2])
            title.set_text(f"{name}: own {own:.2f}\nstranger {far:.2f}")
            words.append(
                f"{name}: second picture {own:.2f} away, stranger {far:.2f}, {'own' if own < far else 'STRANGER'} closer"
            )
        artists["fig"].canvas.restore_region(artists["still"])
        for artist in (*artists["pictures"], *(each for name in spans for each in artists[name])):
            artist.axes.draw_artist(artist)
        return Frame(np.array(artists["fig"].canvas.buffer_rgba())[..., :3], "; ".join(words) + ".")

    return draw, {
        "person": slider(0, people - 1, 1, 0, "person"),
        "gain": slider(-1.0, 1.0, 0.1, 0.0, "gain (powers of two)"),
        "warmth": slider(-1.0, 1.0, 0.1, 0.0, "white balance (cold to warm)"),
        "contrast": slider(0.4, 1.6, 0.1, 1.0, "contrast (factor)"),
    }


def _panels(size, centres):
    """Two pictures and a histogram for each norm, what never changes painted once -> artists."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig, artists = Figure(figsize=(7.8, 3.1), dpi=90, layout="none"), {"pictures": []}
    FigureCanvasAgg(fig)
    for left, title in ((0.01, "first picture"), (0.125, "second, pushed")):
        ax = fig.add_axes([left, 0.16, 0.11, 0.68], xticks=[], yticks=[])
        ax.set_title(title, fontsize=7.5)
        artists["pictures"].append(ax.imshow(torch.zeros(*size, 3).numpy(), animated=True))
    for index, (name, x) in enumerate(centres.items()):
        ax = fig.add_axes(
            [0.33 + 0.225 * index, 0.17, 0.2, 0.62],
            ylim=(0, 0.3),
            xlabel="deviations" if index else "brightness",
        )
        ax.tick_params(labelsize=7, labelleft=not index)
        ax.set_ylabel("" if index else "share of pixels")
        artists[name] = [
            ax.plot(
                x, 0 * x, marker="none", linestyle=line, color=f"C{k}", label=label, animated=True
            )[0]
            for k, (line, label) in enumerate((("-", "first"), ("--", "second")))
        ]
        artists[name].append(
            ax.text(0, 1.03, "", transform=ax.transAxes, fontsize=9, animated=True)
        )
        ax.legend(fontsize=7)
    fig.canvas.draw()
    return artists | {"fig": fig, "still": fig.canvas.copy_from_bbox(fig.bbox)}

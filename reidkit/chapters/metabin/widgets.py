"""Chapter 04: the losses of MetaBIN's episode, on points of a plane that you can push about; and maps of features."""

import torch

from ... import losses, measures
from ...methods import metabin
from ...teach.widgets import Frame, choice, slider
from .figures import MARKS

PLACES, PEOPLE, PICTURES = 3, 3, 3  # of the plane; three people in each place
LOSSES = {
    "scatter": ("scatter",),
    "shuffle": ("shuffle",),
    "triplet": ("triplet",),
    "all three": ("scatter", "shuffle", "triplet"),
}


def plane():
    """(ids, domains, corners, places, noise) of 27 points: people 3 to a place, pictures 3 to a person, all fixed."""
    domains = torch.arange(PLACES).repeat_interleave(PEOPLE * PICTURES)  # (27,)
    ids = torch.arange(PLACES * PEOPLE).repeat_interleave(PICTURES)
    turn = torch.arange(PLACES) * 2 * torch.pi / PLACES + torch.pi / 2
    places = torch.stack([turn.cos(), turn.sin()], 1)  # (3, 2) on a circle
    chance = torch.Generator().manual_seed(2)
    return (
        ids,
        domains,
        torch.randn(PLACES * PEOPLE, 2, generator=chance),
        places,
        torch.randn(len(ids), 2, generator=chance),
    )


def downhill(points, ids, domains, names, stride=0.05):
    """Endless row of (points, -gradient, {loss: value}), a step downhill of the named losses each; points (N, 2).

    The point with the steepest slope moves by `stride`, the others in proportion: losses differ a hundredfold in slope."""
    while True:
        points = points.detach().requires_grad_()
        parts = metabin.episode_losses(names, _Feature(points), ids, domains)
        slope = torch.autograd.grad(sum(parts.values()), points)[0]
        yield points.detach(), -slope, {name: value.item() for name, value in parts.items()}
        points = points - stride * slope / slope.norm(dim=1).max().clamp_min(1e-9)


class _Feature:
    """What `episode_losses` reads of a network's output."""

    def __init__(self, feature):
        self.feature, self.logits = feature, None


def neighbours(points, ids, domains):
    """Of the strangers, how often the nearest is of the same place, in %: by chance it would be 25 here."""
    distance = losses.pairwise_distance(points).masked_fill(ids[:, None] == ids[None], losses.FAR)
    return 100 * (domains[distance.argmin(1)] == domains).float().mean().item()


def loss_explorer():
    """Three places on a plane; arrows show where a step of each loss would move every picture -> (draw, controls)."""
    ids, domains, people, places, noise = plane()

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        start = (
            torch.tensor([3.0, 2.6])
            + state["apart"] * places[domains]
            + 0.5 * people[ids]
            + 0.15 * noise
        )
        way, row = artists.setdefault(
            (state["loss"], state["apart"]),
            ([], downhill(start, ids, domains, LOSSES[state["loss"]])),
        )
        while len(way) <= state["steps"]:  # steps once taken are kept: the slider only draws
            way.append(next(row))
        where, step, parts = way[state["steps"]]
        if "fig" not in artists:
            _prepare(artists, domains, ids)
        for place in range(PLACES):
            artists[place].set_offsets(where[domains == place].numpy())
        length = step.norm(dim=1, keepdim=True)
        arrows = (0.8 * step / length.max().clamp_min(1e-9)).numpy()  # the longest is 0.8 long
        artists["arrows"].set_offsets(where.numpy())
        artists["arrows"].set_UVC(*arrows.T)
        for person, label in enumerate(artists["labels"]):
            label.set_position((where[ids == person].mean(0) + torch.tensor([0.12, 0.12])).tolist())
        words = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
        return Frame(
            artists["fig"],
            f"{words}. The nearest stranger is of the same place for {neighbours(where, ids, domains):.0f} % "
            "of the points (by chance 25 %).",
        )

    return draw, {
        "loss": choice(list(LOSSES), "scatter", "loss"),
        "apart": slider(0.0, 2.0, 0.25, 1.5, "places apart"),
        "steps": slider(0, 40, 2, 0, "steps downhill"),
    }


def _prepare(artists, domains, ids):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = artists["fig"] = Figure(
        figsize=(5.2, 4.2), dpi=90, layout="none"
    )  # not pyplot's: nobody has to close it
    fig.subplots_adjust(
        left=0.1, right=0.99, bottom=0.11, top=0.98
    )  # a fixed layout draws twice as fast
    FigureCanvasAgg(fig)
    ax = fig.add_subplot()
    zeros = [0.0] * int((domains == 0).sum())
    for place in range(PLACES):
        artists[place] = ax.scatter(
            zeros,
            zeros,
            marker=MARKS[place],
            s=30,
            color=f"C{place}",
            edgecolor="black",
            label=f"place {place + 1}",
        )
    nothing = [0.0] * len(ids)
    artists["arrows"] = ax.quiver(
        nothing,
        nothing,
        nothing,
        nothing,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.005,
        color="black",
    )
    artists["labels"] = [
        ax.text(0, 0, "abcdefghi"[person], fontsize=8) for person in range(PLACES * PEOPLE)
    ]
    ax.plot(0, 0, marker="+", color="black", markersize=10, linestyle="none", label="origin")
    ax.set(
        xlim=(-0.5, 7),
        ylim=(-0.5, 6),
        xlabel="first feature",
        ylabel="second feature",
        aspect="equal",
    )
    ax.legend(fontsize=7, loc="upper right")
    ax.grid(True, linewidth=0.4)


# ---- maps of features


def umap_plane(features, seed):
    """UMAP's map of features (N, D) of unit length, by cosine -> (N, 2). The first call of a kernel compiles for a while."""
    from umap import UMAP

    made = UMAP(
        n_neighbors=15, min_dist=0.1, metric="cosine", random_state=seed, n_jobs=1
    ).fit_transform(features.numpy())
    return torch.as_tensor(made)


def probe_numbers(features, domains, ids, cameras):
    """Shares in % that a linear classifier reads of features: {"place": ..., "person": ...}, each with its chance in %.

    Places are read of people it has not learnt from, a person in a camera that it has not learnt from."""
    number = torch.zeros_like(cameras)  # the camera within its place
    for domain in domains.unique():
        number[domains == domain] = torch.unique(cameras[domains == domain], return_inverse=True)[1]
    return {
        "place": (100 * measures.probe(features, domains, ids), 100 / len(domains.unique())),
        "person": (
            100 * measures.probe(features, ids, number, min(4, len(number.unique()))),
            100 / len(ids.unique()),
        ),
    }


def map_picture(maps, labels, kind, titles, most=8):
    """One panel a map, a marker and colour a label -> figure. maps: {name: (N, 2)}; labels (N,); of people, `most` are marked
    and the rest is grey; titles: {name: second line}."""
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(1, len(maps), figsize=(2.3 * len(maps), 2.9))
    shown = labels.unique()
    shown = shown[torch.linspace(0, len(shown) - 1, min(most, len(shown))).round().long()]
    for ax, (name, plane_) in zip(axes, maps.items()):
        rest = ~torch.isin(labels, shown)
        ax.scatter(*plane_[rest].T, s=3, color="0.8", marker="o")
        for index, label in enumerate(shown.tolist()):
            here = labels == label
            word = f"{kind} {'ABCDEFGH'[index] if rest.any() else label}"
            ax.scatter(
                *plane_[here].T,
                s=12 if rest.any() else 6,
                marker=MARKS[index],
                color=f"C{index % 7}",
                label=word,
                linewidths=0.4,
            )
        ax.set_title(f"{name}\n{titles[name]}", fontsize=8)
        ax.set(
            xticks=[],
            yticks=[],
            xlabel="map axis 1 (no unit)",
            ylabel="map axis 2" if ax is axes[0] else "",
        )
    handles, words = axes[0].get_legend_handles_labels()
    fig.legend(
        handles, words, loc="outside lower center", ncols=len(words), fontsize=7, markerscale=1.6
    )
    return fig

"""Chapter 01b: the collapse lab, the triplet explorer and two pictures."""

import torch

from ... import losses, world
from ...methods.three_ways import WAYS
from ...teach.display import emit, table
from ...teach.widgets import Frame, choice, slider
from ...training import fit

MARGIN, PEOPLE, PICTURES, STEPS = 0.3, 8, 4, 100
COLLAPSED = {"rate": 0.05, "warmup": 0, "mining": "hard", "identity": False}
COLLAPSE_ROWS = {
    "collapsed": COLLAPSED,
    "small rate": {**COLLAPSED, "rate": 0.0007},
    "warm-up": {**COLLAPSED, "warmup": 60},
    "weighted mining": {**COLLAPSED, "mining": "weighted"},
    "with identity loss": {**COLLAPSED, "identity": True},
}


def collapse_lab(run, rate, warmup, mining, identity):
    """Train a tiny network on a few drawn people with the triplet loss -> {"loss", "distance"}: lists, one value a step.

    rate: Adam's learning rate, warmup: steps until it is reached, mining "hard" or "weighted", identity: add cross-entropy.
    distance is the mean distance between pictures of a batch. run: the chapter's Run, or None for seed 0 on the CPU; the
    smoke preset takes a tenth of the steps, too few to collapse.
    """
    from ...methods.baseline import Baseline

    seed, device = (run.seed, run.device) if run else (0, "cpu")
    steps = STEPS // 10 if run and run.preset.name == "smoke" else STEPS
    data = world.sample(
        [("train", 0)], people=24, cameras=3, pictures=2, size=(64, 32), seed=seed
    ).relabelled()
    torch.manual_seed(seed)
    distances = []

    def triplet(output, batch):
        distances.append(losses.pairwise_distance(output.feature.detach()).mean().item())
        loss = losses.batch_hard_triplet if mining == "hard" else losses.weighted_triplet
        parts = {"triplet": loss(output.feature, batch.ids, margin=MARGIN).mean()}
        if identity:
            parts["identity"] = losses.cross_entropy(output.logits, batch.ids).mean()
        return parts

    history = fit(
        Baseline(24),
        data,
        triplet,
        steps=steps,
        people=PEOPLE,
        pictures=PICTURES,
        rate=rate,
        warmup=warmup,
        device=device,
        seed=seed,
        progress=False,
    )
    return {"loss": [row["triplet"] for row in history], "distance": distances}


def collapse_picture(lab):
    """Loss and mean distance by step of every row of the lab -> figure."""
    from matplotlib import pyplot

    fig, (left, right) = pyplot.subplots(1, 2, figsize=(8.5, 3.2))
    for index, (name, row) in enumerate(lab.items()):
        style = {
            "markevery": 12,
            "color": f"C{index}",
            "linestyle": ["-", "--", "-.", ":", (0, (5, 1, 1, 1))][index % 5],
            "label": name,
        }
        left.plot(row["loss"], **style)
        right.plot(row["distance"], **style)
    left.axhline(MARGIN, color="black", linewidth=0.8, linestyle="--")
    left.text(len(row["loss"]) * 0.6, MARGIN * 1.05, "margin", fontsize=8)
    left.set(xlabel="step", ylabel="triplet loss", ylim=(0, 1))
    right.set(xlabel="step", ylabel="mean distance in the batch", yscale="log")
    right.legend(fontsize=7)
    return fig


def ways_picture(recorded):
    """Dots with intervals: rank-1 at home and in unseen places of every recorded way -> (figure, ways)."""
    from matplotlib import pyplot

    columns = list(recorded.rows[0])
    ways = [
        way
        for way in (*WAYS, "identity+triplet", "identity+verification")
        if f"{way}_home_rank1" in columns
    ]
    fig, ax = pyplot.subplots(figsize=(6.5, 3))
    for exam, marker, face, shift in (("home", "o", "C0", 0.12), ("away", "s", "white", -0.12)):
        for y, way in enumerate(reversed(ways)):
            mean, (low, high) = (
                recorded.mean(f"{way}_{exam}_rank1"),
                recorded.interval(f"{way}_{exam}_rank1"),
            )
            ax.errorbar(
                mean,
                y + shift,
                xerr=None if low is None else [[mean - low], [high - mean]],
                marker=marker,
                color="C0" if exam == "home" else "C1",
                markerfacecolor=face,
                capsize=3,
                linestyle="none",
                label={"home": "new people, same places", "away": "unseen places"}[exam]
                if not y
                else None,
            )
    ax.set(
        yticks=range(len(ways)),
        yticklabels=list(reversed(ways)),
        xlabel="rank-1 (%)",
        xlim=(0, 100),
    )
    ax.legend(fontsize=8)
    return fig, ways


def attribute_table(data):
    """Print each attribute of the training people: its values, and the share of the commonest (what a blind guess earns)."""
    if not data.attributes:
        emit("These pictures come without attributes: the third way cannot be trained on them.")
        return
    rows = []
    for name, values in data.attributes.items():
        counts = values.bincount(minlength=len(world.ATTRIBUTES[name]))
        commonest = world.ATTRIBUTES[name][counts.argmax()]
        rows.append(
            [
                name,
                str(len(counts)),
                f"{commonest} ({100 * counts.max() / counts.sum():.0f} %)",
                f"{100 / (counts > 0).sum():.0f} %",
            ]
        )
    emit(
        *table(
            [
                "attribute",
                "values",
                "commonest value: accuracy of a blind guess",
                "its balanced accuracy",
            ],
            rows,
            "",
        )
    )


def triplet_explorer():
    """Three people on a plane, four pictures each; arrows show where a step of the loss would move them."""
    draw_from = torch.Generator().manual_seed(4)
    ids = torch.arange(3).repeat_interleave(4)  # (12,)
    corners = torch.tensor([[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]])  # (3, 2)
    noise = torch.randn(12, 2, generator=draw_from)

    def draw(state, artists=None):
        points = (
            state["apart"] * corners[ids] + state["spread"] * noise
        ).requires_grad_()  # (12, 2)
        loss = losses.batch_hard_triplet if state["loss"] == "hard" else losses.weighted_triplet
        each = loss(points, ids, margin=state["margin"])  # (12,)
        step = -torch.autograd.grad(each.sum(), points)[0]
        artists = {} if artists is None else artists
        if "fig" not in artists:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            artists["fig"] = Figure(
                figsize=(4.5, 3.8), dpi=90
            )  # not pyplot's: nobody has to close it
            FigureCanvasAgg(artists["fig"])
            artists["ax"] = artists["fig"].add_subplot()
        ax, where = artists["ax"], points.detach()
        ax.clear()
        for person, marker in enumerate("o^s"):
            ax.scatter(
                *where[ids == person].T.numpy(),
                marker=marker,
                s=50,
                color=f"C{person}",
                label=f"person {person}",
                edgecolor="black",
            )
        ax.quiver(
            *where.T.numpy(),
            *step.T.numpy(),
            angles="xy",
            scale_units="xy",
            scale=4,
            width=0.006,
            color="black",
        )
        ax.set(xlim=(-3, 3), ylim=(-2.6, 2.6), xlabel="first feature", ylabel="second feature")
        ax.legend(fontsize=7, loc="upper right")
        return Frame(
            artists["fig"],
            f"mean loss {each.mean():.3f}, margin {state['margin']:.1f}; {int((each > 0).sum())} of 12 anchors are active, "
            f"mean distance {losses.pairwise_distance(where).mean():.2f}.",
        )

    return draw, {
        "apart": slider(0.0, 2.0, 0.1, 0.8, "people apart"),
        "spread": slider(0.0, 1.0, 0.05, 0.4, "spread of one person"),
        "margin": slider(0.0, 1.0, 0.1, 0.3, "margin"),
        "loss": choice(["hard", "weighted"], "hard", "mining"),
    }

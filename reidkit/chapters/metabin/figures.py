"""Chapter 04: MetaBIN. Recorded features and gates, differences by seed, and the pictures of the chapter.

The points on a plane that its losses push about are in `planes`.
"""

import copy
from dataclasses import replace
from statistics import mean

import safetensors.torch
import torch

from ... import files, losses, sampling, store, world
from ...augment import normalize
from ...layers.norms import BatchInstanceNorm, gates, swap_norms
from ...layers.statistics import held_statistics
from ...methods import metabin
from ...stats import t_interval
from ...teach.recorded import Recorded
from ...training import Batch

NAMES = ("BN", "IN", "BIN", "MetaBIN")  # whose features were recorded
MARKS = "o^sDvPX*"
LOOKS = {
    "BN": ("o", "C0"),
    "IN": ("^", "C2"),
    "half and half": ("v", "C4"),
    "BIN": ("s", "C1"),
    "MetaBIN": ("D", "C3"),
}
STAGES = ("bn1", "layer1", "layer2", "layer3", "layer4")
# Reported by a third party from the paper's tables 5, 3 and 4: rank-1, mean of VIPeR, PRID, GRID and i-LIDS (none trained on)
# and, for the norms, trained and examined on Market-1501
PAPER_AWAY = {"BN": 50.9, "IN": 54.9, "half and half": 56.5, "BIN": 54.8, "MetaBIN": 64.7}
PAPER_HOME = {"BN": 87.2, "IN": 71.9, "half and half": 79.5, "BIN": 87.5, "MetaBIN": 87.9}
PAPER_LADDER = {
    "BN": 50.9,
    "BIN": 54.8,
    "CE only": 60.6,
    "triplet": 62.8,
    "triplet + scatter": 63.0,
    "triplet + shuffle": 63.1,
    "all, fixed step": 63.5,
    "MetaBIN": 64.7,
}
STEPS = {
    "BIN": "BN",
    "CE only": "BIN",
    "triplet": "CE only",
    "triplet + scatter": "triplet",
    "triplet + shuffle": "triplet",
    "all, fixed step": "triplet",
    "MetaBIN": "all, fixed step",
}  # name -> what it adds to

# ---- recorded tables


def rows(table, name):
    """The runs of one row of a table of norms."""
    return Recorded(table.name, [row for row in table.rows if row["row"] == name])


def paired(table, name, other, column, base=None):
    """Differences name - other of a column, seed by seed, over the seeds that both have; base: another table for `other`."""
    sides = [
        {
            row["SEED"]: float(row[column])
            for row in one.rows
            if row["row"] == key and row.get(column, "") != ""
        }
        for one, key in ((table, name), (base or table, other))
    ]
    return [value - sides[1][seed] for seed, value in sides[0].items() if seed in sides[1]]


def interval_text(values):
    """ "+2.1 [+0.8, +3.4]": mean and 95 % t interval; the mean alone where there is one value."""
    low, high = t_interval(values)
    return f"{mean(values):+.1f}" + ("" if low is None else f" [{low:+.1f}, {high:+.1f}]")


def lowest(values):
    """The lower end of the 95 % t interval; with a single value, that value."""
    low, _ = t_interval(values)
    return values[0] if low is None else low


def agreement(ours, theirs):
    """Do our differences, one a seed, bear out the paper's? -> (True, False or None, remark): None where we cannot say."""
    if abs(theirs) <= 1:
        return None, "a difference of at most one point there"
    sign = 1 if theirs > 0 else -1
    if lowest([sign * value for value in ours]) > 0:
        return True, ""
    if lowest([-sign * value for value in ours]) > 0:
        return False, ""
    smaller = -lowest([-sign * value for value in ours]) < abs(theirs)  # all of our interval
    return None, "no sign of ours decided, but smaller than theirs" if smaller else "ours undecided"


def whiskers(ax, table, column, y, **looks):
    """A dot at height y with its 95 % t interval over seeds."""
    middle, (low, high) = table.mean(column), table.interval(column)
    ends = None if low is None else [[middle - low], [high - middle]]
    ax.errorbar(middle, y, xerr=ends, linestyle="none", capsize=3, **looks)


def row_picture(table, names, exams, unit="_rank1", lines=()):
    """A line for each row of the table, a marker for each exam -> figure. exams: {column stem: label}; lines, dotted: {label: %}."""
    from matplotlib import pyplot

    fig, ax = pyplot.subplots(figsize=(6.4, 0.42 * len(names) + 1.5))
    for index, (stem, label) in enumerate(exams.items()):
        for y, name in enumerate(reversed(names)):
            whiskers(
                ax,
                rows(table, name),
                f"{stem}{unit}",
                y + 0.16 * (len(exams) / 2 - index - 0.5),
                marker="os^D"[index],
                color=f"C{index}",
                markerfacecolor=("white" if index % 2 else f"C{index}"),
                label=None if y else label,
            )
    for label, value in dict(lines).items():
        ax.axvline(value, color="0.4", linewidth=0.9, linestyle=":")
        ax.text(value + 0.5, len(names) - 0.55, label, fontsize=7, va="top")
    ax.set(
        yticks=range(len(names)),
        yticklabels=list(names)[::-1],
        ylim=(-0.6, len(names) - 0.4),
        xlim=(0, 100),
        xlabel="rank-1 (%)" if unit == "_rank1" else "mAP (%)",
    )
    fig.legend(
        *ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=len(exams)
    )
    return fig


def travel_picture(table):
    """How far gates may come in a run against rank-1 and the gates' mean, on drawn validation places -> figure."""
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(1, 2, figsize=(8, 2.9))
    found = travels(table)
    for index, length in enumerate(sorted({length for _, length in found}, reverse=True)):
        points = sorted(
            (travel, own) for (travel, own_length), own in found.items() if own_length == length
        )
        for ax, column in zip(axes, ("validation_rank1", "gate_mean")):
            middle = [own.mean(column) for _, own in points]
            ends = [
                [abs(end - m) if end is not None else 0 for end in own.interval(column)]
                for m, (_, own) in zip(middle, points)
            ]
            ax.errorbar(
                [travel * (1 + 0.06 * index) for travel, _ in points],
                middle,
                yerr=list(zip(*ends)),
                capsize=3,
                marker="os"[index],
                color=f"C{index}",
                linestyle=("-", "--")[index],
                label=f"{'half the' if length < 1 else 'all'} steps",
            )
    for ax, label in zip(axes, ("rank-1, validation places (%)", "mean gate (1: BN, 0: IN)")):
        ax.set(xscale="log", xlabel="travel = gate rate x steps", ylabel=label)
        ax.set_xticks(
            sorted({travel for travel, _ in found}),
            [f"{travel:g}" for travel in sorted({travel for travel, _ in found})],
        )
        ax.minorticks_off()
    axes[1].set_ylim(0, 1.02)
    axes[0].legend(fontsize=8)
    return fig


def travels(table):
    """{(travel, length): Recorded} of the table 04_gates, whose rows are called "travel 1000, length 0.5"."""
    found = {}
    for name in dict.fromkeys(row["row"] for row in table.rows):
        travel, length = name.removeprefix("travel ").split(", length ")
        found[float(travel), float(length)] = rows(table, name)
    return found


def ladder_picture(ladder):
    """MetaBIN's ingredients: the paper's rank-1 beside ours. ladder: {name: [our rank-1, a seed each]} -> figure."""
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(1, 2, figsize=(8, 0.34 * len(ladder) + 1.1), sharey=True)
    names = list(ladder)[::-1]
    axes[0].plot(
        [PAPER_LADDER[name] for name in names],
        range(len(names)),
        marker="D",
        color="C3",
        linestyle="none",
    )
    axes[0].set(
        title="the paper's, real people",
        yticks=range(len(names)),
        yticklabels=names,
        xlabel="rank-1 (%), mean of four sets",
    )
    for y, name in enumerate(names):
        middle, (low, high) = mean(ladder[name]), t_interval(ladder[name])
        ends = None if low is None else [[middle - low], [high - middle]]
        axes[1].errorbar(middle, y, xerr=ends, marker="o", color="C0", capsize=3, linestyle="none")
    axes[1].set(title="ours, drawn people", xlabel="rank-1 (%), unseen places")
    return fig


def ladder(parts, norms, column):
    """{name: values of the column over the seeds that every rung has}, from BN over MetaBIN's ingredients to MetaBIN."""
    tables = {
        name: rows(norms if name in ("BN", "BIN", "MetaBIN") else parts, name)
        for name in PAPER_LADDER
    }
    seeds = sorted(set.intersection(*(set(table.seeds) for table in tables.values())))
    found = {}
    for name, table in tables.items():
        own = {int(row["SEED"]): float(row[column]) for row in table.rows}
        found[name] = [own[seed] for seed in seeds]
    return found


# ---- recorded features and gates


def recorded_features():
    """data/results/04_features.safetensors, after a look at its hash -> {name: tensor}, floating-point ones as float32."""
    path = files.results_dir() / "04_features.safetensors"
    store.check_file(path, **store.hashes(path)[path.name])
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in safetensors.torch.load_file(path).items()
    }


def recorded_gates(found, name):
    """{"bn1": all gates of the stem, "layer1": ...} of a recorded network ("BIN" or "MetaBIN")."""
    stages = {}
    for key, gate in found.items():  # "gates BIN trunk.layer1.0.bn1"
        if key.startswith(f"gates {name} "):
            stage = key.removeprefix(f"gates {name} ").removeprefix("trunk.").split(".")[0]
            stages.setdefault(stage, []).append(gate)
    return {stage: torch.cat(stages[stage]) for stage in STAGES if stage in stages}


def gates_picture(found, names=("BIN", "MetaBIN")):
    """Where the gates ended, stage by stage: a dot a channel, a bar for the mean -> figure."""
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(1, len(names), figsize=(8, 2.9), sharey=True)
    chance = torch.Generator().manual_seed(0)
    for ax, name in zip(axes, names):
        own = recorded_gates(found, name)
        marker, colour = LOOKS[name]
        for x, gate in enumerate(own.values()):
            spread = x + 0.3 * (2 * torch.rand(len(gate), generator=chance) - 1)
            ax.scatter(spread, gate, s=5, marker=marker, color=colour, alpha=0.45)
            ax.plot(
                [x - 0.38, x + 0.38],
                [gate.mean()] * 2,
                color="black",
                linewidth=2,
                linestyle="-",
                marker="none",
            )
            ax.text(x, 1.06, f"{gate.mean():.2f}", ha="center", fontsize=8)
        ax.set(xticks=range(len(own)), xticklabels=["stem", *list(own)[1:]], ylim=(-0.05, 1.14))
        ax.set_title(name, pad=10)
    axes[0].set_ylabel("gate (1: BN, 0: IN)")
    return fig


# ---- one iteration, watched


def still_or_moved(before, model):
    """{"weights": ..., "gates": ..., "running statistics": ...}: "moved" or "still", against a copy of model.state_dict()."""
    kinds = {"weights": False, "gates": False, "running statistics": False}
    for name, value in model.state_dict().items():
        last = name.rpartition(".")[2]
        kind = (
            "gates"
            if last == "gate"
            else "running statistics"
            if last.startswith(("running", "num_batches"))
            else "weights"
        )
        kinds[kind] |= not torch.equal(value, before[name])
    return {kind: "moved" if changed else "still" for kind, changed in kinds.items()}


def copies(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def iteration_data(seed=0, people=2, pictures=4):
    """Four training places, two people each, four pictures a person in a row -> training.Batch, as `fit` makes them, unaugmented."""
    data = world.sample(
        [("train", place) for place in range(4)],
        people,
        pictures,
        1,
        (64, 32),
        seed=seed,
        cache=False,
    ).relabelled()
    order = torch.argsort(data.ids, stable=True)
    data = data[order]
    return Batch(
        normalize(data.pictures().float()),
        data.ids,
        data.cameras,
        data.domains,
        torch.arange(len(data)),
        {},
        None,
        0,
    )


def rehearsals(model, data, method, factor, count=6, seed=5):
    """What the trial step does, over `count` meta batches of a ReIDData -> (count, 2): how far a gate is moved on average, and the
    cosine of the outer gradient at the trial gates and at the gates as they stood. factor: on the gate rate, as `metabin.cycle`."""
    domains, found, device = getattr(data, method.domains), [], next(model.parameters()).device
    size = (
        len(domains.unique()) * method.domain_people * method.pictures
    )  # the meta batch comes last
    batches = method.sampler(data, max(2, method.domain_people), method.pictures, seed, 1)
    model.train()
    for _ in range(count):
        index = next(batches)[-size:]
        batch = Batch(
            normalize(data.pictures(index).float()).to(device),
            *(value[index].to(device) for value in (data.ids, data.cameras, domains)),
            index,
            {},
            None,
            0,
        )
        names = batch.domains.unique()
        train, start = torch.isin(batch.domains, names[: (len(names) + 1) // 2]), gates(model)
        with held_statistics(model):
            by = replace(method, domains="domains")
            _, slopes = by.slopes(model, metabin.rows(batch, train), method.inner, start, start)
            trial = {
                name: metabin.trial(gate, slope, method.gate_rate * factor)
                for (name, gate), slope in zip(start.items(), slopes)
            }
            there, here = (
                _flat(by.slopes(model, metabin.rows(batch, ~train), method.outer, at, at)[1])
                for at in (trial, start)
            )
        step = (_flat(trial.values()) - _flat(start.values())).abs().mean()
        found.append([step.item(), torch.cosine_similarity(there, here, dim=0).item()])
    model.eval()
    return torch.tensor(found)


def _flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def gated(model):
    """A copy of a network with BN whose norms have gates, all at 1: the same function, so that gates can be asked where to go."""
    made = swap_norms(copy.deepcopy(model), BatchInstanceNorm)
    for module in made.modules():
        if isinstance(
            module, BatchInstanceNorm
        ):  # the instance branch scales and shifts as the other has learnt to
            (
                module.instance_weight.data.copy_(module.weight),
                module.instance_bias.data.copy_(module.bias),
            )
    return made


def pushes(model, data, people, one_camera, count=12, seed=3):
    """Where the triplet loss would push the gates of a `gated` network, a number a batch -> (count,): the sum of the gates'
    gradients, above 0 towards IN. A batch holds `people` people with two pictures each, from one camera or from any."""
    groups = data.ids * (data.cameras.max() + 1) + data.cameras if one_camera else data.ids
    batches, found, device = (
        sampling.pk_batches(groups, people, 2, seed),
        [],
        next(model.parameters()).device,
    )
    model.train()
    with held_statistics(model):
        for _ in range(count):
            index = next(batches)
            output = metabin.forward(model, normalize(data.pictures(index).float()).to(device))
            loss = losses.batch_hard_triplet(output.feature, data.ids[index].to(device)).mean()
            found.append(_flat(torch.autograd.grad(loss, list(gates(model).values()))).sum())
    model.eval()
    return torch.stack(found).cpu()

"""Chapter 04, MetaBIN: recorded features and gates, the iteration watched, two questions to the
gates, and maps of features. What the recorded tables say stands in `results`.
"""

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ... import files, losses, measures, sampling, store, world
from ...datasets import Journey
from ...layers.norms import BatchInstanceNorm, gates, swap_norms
from ...layers.statistics import held_statistics
from ...methods import metabin
from ...recipes import norms as recipe
from ...record import ReIDData
from ...teach.start import Run
from ...training import Batch, History

# What `make tables` runs for this chapter.
TABLES = (
    # How fast gates should move, on drawn validation places.
    "reidkit.recipes gates --seeds 0 --jobs 2 --threads 1 --out data/results/04_gates.csv",
    # Networks that differ in their norms alone, in every exam.
    "reidkit.recipes norms --seeds 0 1 2 3 4 --jobs 2 --threads 1 --out data/results/04_norms.csv",
    # What MetaBIN's episode consists of.
    "reidkit.recipes losses --seeds 0 1 2 --jobs 2 --threads 1 --out data/results/04_losses.csv",
    # Features and gates of seed 0's networks, for the maps and the picture of the gates.
    "reidkit.recipes norm-features --threads 2 --out data/results/04_features.safetensors",
)

NAMES = ("BN", "IN", "BIN", "MetaBIN")  # whose features were recorded
STAGES = ("bn1", "layer1", "layer2", "layer3", "layer4")


# ---- recorded features and gates


def load_features() -> dict[str, Tensor]:
    """data/results/04_features.safetensors, after a look at its hash.

    Returns:
        {name: tensor}, floating-point ones as float32: "ids", "domains", "cameras" (N,),
        "features BN" (N, D), "gates BIN trunk.bn1" (C,) and so on.
    """
    tensors, _ = store.load_checked(files.results_dir() / "04_features.safetensors")
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor.float()
    return tensors


def gates_by_stage(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The gates of a recorded network, stage by stage.

    Args:
        tensors: see `load_features`.
        name: of the network, "BIN" or "MetaBIN".
    Returns:
        {"bn1": all gates of the stem, "layer1": ...}.
    """
    beginning = f"gates {name} trunk."
    gates_of_stage = {}
    for key, gate in tensors.items():
        # "gates BIN trunk.layer1.0.bn1" is one of the gates of "layer1".
        if key.startswith(beginning):
            stage = key.removeprefix(beginning).split(".")[0]
            gates_of_stage.setdefault(stage, []).append(gate)
    return {stage: torch.cat(gates_of_stage[stage]) for stage in STAGES if stage in gates_of_stage}


# ---- one iteration, watched


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of model.state_dict(), which later steps do not change."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def still_or_moved(before: dict[str, Tensor], model: nn.Module) -> dict[str, str]:
    """What has moved in a model since a copy of its state.

    Args:
        before: see `copy_state`.
        model: as it is now.
    Returns:
        {"weights": ..., "gates": ..., "running statistics": ...}: "moved" or "still".
    """
    moved = {"weights": False, "gates": False, "running statistics": False}
    for name, value in model.state_dict().items():
        if not torch.equal(value, before[name]):
            moved[_kind_of_state(name)] = True
    return {kind: "moved" if changed else "still" for kind, changed in moved.items()}


def _kind_of_state(name):
    """Which of the three kinds an entry of a state dict is: "trunk.bn1.gate" is of the gates."""
    last = name.rpartition(".")[2]
    if last == "gate":
        return "gates"
    if last.startswith(("running", "num_batches")):
        return "running statistics"
    return "weights"


def _make_batch(data, index, domains, device="cpu"):
    """Pictures of a ReIDData by number, as `fit` hands them to a step, but not augmented.

    domains (N,): what stands for the places of the data.
    """
    return Batch(
        images=data.pictures(index).float().to(device),
        ids=data.ids[index].to(device),
        cameras=data.cameras[index].to(device),
        domains=domains[index].to(device),
        index=index,
        attributes={},
        masks=None,
        step=0,
    )


def make_iteration_batch(seed: int = 0, people: int = 2, pictures: int = 4) -> Batch:
    """Four training places, two people each, four pictures of a person in a row: a batch as `fit`
    makes them, but not augmented.

    Args:
        seed: of the people.
        people: of each place.
        pictures: of each person, one from each of as many cameras.
    """
    places = [("train", place) for place in range(4)]
    data = world.sample(
        places, people, cameras=pictures, pictures=1, size=(64, 32), seed=seed, cache=False
    )
    data = data.relabelled()
    data = data[torch.argsort(data.ids, stable=True)]
    return _make_batch(data, torch.arange(len(data)), data.domains)


# ---- networks trained live, and two questions to their gates


def train(
    name: str, journey: Journey, run: Run, steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train a network of the table 04_norms as its rows were trained.

    Args:
        name: of the row, such as "BN" or "MetaBIN".
        journey: whose training people it learns from.
        run: preset, seed and device, from `teach.start`.
        steps: how long; None for as long as the rows of this preset.
    """
    row = replace(recipe.NORMS[name], steps=steps)
    return recipe.train_norm(row, journey, run.preset, run.seed, run.device)


def make_gated(model: nn.Module) -> nn.Module:
    """A copy of a network with BN whose norms have gates, all at 1: the same function, so that
    gates can be asked where to go.
    """
    gated = swap_norms(copy.deepcopy(model), BatchInstanceNorm)
    for module in gated.modules():
        if isinstance(module, BatchInstanceNorm):
            # The instance branch scales and shifts as the other has learnt to.
            module.instance_weight.data.copy_(module.weight)
            module.instance_bias.data.copy_(module.bias)
    return gated


def pushes(
    model: nn.Module,
    data: ReIDData,
    people: int,
    one_camera: bool,
    count: int = 12,
    seed: int = 3,
) -> Tensor:
    """Where the triplet loss would push the gates of a network from `make_gated`.

    Args:
        model: the network.
        data: training people.
        people: in a batch, each with two pictures.
        one_camera: whether both pictures of a person come from one camera, or from any.
        count: of batches.
        seed: of the batches.
    Returns:
        (count,) the sum of the gates' gradients in each batch, above 0 towards IN.
    """
    device = next(model.parameters()).device
    groups = data.ids
    if one_camera:
        # A person in one camera is a group of its own.
        groups = data.ids * (data.cameras.max() + 1) + data.cameras
    batches = sampling.pk_batches(groups, people, 2, seed)
    sums = []
    model.train()
    with held_statistics(model):
        for _ in range(count):
            batch = _make_batch(data, next(batches), data.domains, device)
            output = metabin.forward(model, batch.images)
            loss = losses.batch_hard_triplet(output.feature, batch.ids).mean()
            grads = torch.autograd.grad(loss, list(gates(model).values()))
            sums.append(_joined(grads).sum())
    model.eval()
    return torch.stack(sums).cpu()


def make_method(data: ReIDData, steps: int, pictures: int) -> metabin.MetaBIN:
    """MetaBIN for a run on this data; a single source takes its cameras for places.

    Args:
        data: training people.
        steps: of the run; the gates' learning rate belongs to them.
        pictures: of each person in a meta batch.
    """
    domains = "domains" if len(data.domains.unique()) > 1 else "cameras"
    return metabin.MetaBIN(recipe.gate_lr(steps), domains=domains, pictures=pictures)


def rehearsals(
    model: nn.Module,
    data: ReIDData,
    method: metabin.MetaBIN,
    factor: float,
    count: int = 6,
    seed: int = 5,
) -> Tensor:
    """What the trial step does, over some meta batches.

    Args:
        model: a network with gates.
        data: training people.
        method: its losses, its gate_lr and its batches.
        factor: on the gates' learning rate, as `metabin.cycle`.
        count: of meta batches.
        seed: of the batches.
    Returns:
        (count, 2): how far a gate is moved on average, and the cosine of the outer gradient at the
        trial gates and at the gates as they stood.
    """
    device = next(model.parameters()).device
    domains = getattr(data, method.domains)
    people = max(2, method.domain_people)
    indices = method.sampler(data, people, method.pictures, seed, 1)
    by_domains = replace(method, domains="domains")  # what stands for the places, see _make_batch
    measured = []
    model.train()
    for _ in range(count):
        batch = _make_batch(data, next(indices)["meta"], domains, device)
        measured.append(_rehearse(model, batch, by_domains, factor))
    model.eval()
    return torch.tensor(measured)


def _rehearse(model, batch, method, factor):
    """(how far a trial step moves a gate, how alike the outer gradients are) on one meta batch."""
    places = batch.domains.unique()
    known_places = places[: (len(places) + 1) // 2]
    is_known = torch.isin(batch.domains, known_places)  # (B,)
    known = batch[is_known]
    new = batch[~is_known]
    start = gates(model)
    with held_statistics(model):
        _, grads = method.gate_grads(model, known, method.inner, start)
        trial = {}
        for (name, gate), grad in zip(start.items(), grads):
            trial[name] = metabin.trial(gate, grad, method.gate_lr * factor)
        _, grads_at_trial = method.gate_grads(model, new, method.outer, trial)
        _, grads_at_start = method.gate_grads(model, new, method.outer, start)
    way = (_joined(trial.values()) - _joined(start.values())).abs().mean()
    cosine = torch.cosine_similarity(_joined(grads_at_trial), _joined(grads_at_start), dim=0)
    return way.item(), cosine.item()


def _joined(tensors: Iterable[Tensor]) -> Tensor:
    """All numbers of some tensors in one row, without their graph."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


# ---- maps of features


class Reading(NamedTuple):
    """What a linear classifier reads of a feature, and what guessing would give, both in %."""

    share: float
    chance: float


def umap_plane(features: Tensor, seed: int) -> Tensor:
    """UMAP's map of features, by cosine. The first call of a kernel compiles for a while.

    Args:
        features: (N, D) of unit length.
        seed: of the map.
    Returns:
        (N, 2) places on the plane.
    """
    from umap import UMAP

    reducer = UMAP(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=seed, n_jobs=1)
    return torch.as_tensor(reducer.fit_transform(features.numpy()))


def probe_numbers(
    features: Tensor, domains: Tensor, ids: Tensor, cameras: Tensor
) -> dict[str, Reading]:
    """How well a linear classifier reads place and person of features.

    Places are read of people it has not learnt from, a person in a camera that it has not learnt
    from.

    Args:
        features: (N, D).
        domains: (N,) places.
        ids: (N,) people.
        cameras: (N,) cameras, whatever their numbers.
    Returns:
        {"place": Reading, "person": Reading}.
    """
    places = domains.unique()
    numbers = torch.zeros_like(cameras)  # the camera within its place
    for place in places:
        at_place = domains == place
        numbers[at_place] = torch.unique(cameras[at_place], return_inverse=True)[1]
    folds = min(4, len(numbers.unique()))
    place_share = 100 * measures.probe(features, domains, ids)
    person_share = 100 * measures.probe(features, ids, numbers, folds)
    return {
        "place": Reading(place_share, 100 / len(places)),
        "person": Reading(person_share, 100 / len(ids.unique())),
    }

"""Chapter 02: what stands in a layer, in whose company a picture is normalised, pixels through the
norms."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import files, retrieval, world
from ...augment import normalize
from ...layers.norms import InstanceNorm
from ...measures import divergence
from ...recipes.presets import Preset
from ...record import Exam, ReIDData
from ...teach.recorded import Recorded
from ...teach.recorded import recorded as read_table

# What `make tables` runs for this chapter.
TABLES = (
    # The chapter itself with three seeds: the numbers of its claims.
    "reidkit.teach.rerun 02 -p SEED=0,1,2 --jobs 2 --threads 1 --out build/rerun/02"
    " --record 02_chapter",
)

LAYERS = ("pixels", "stem", "layer1", "layer2", "layer3", "layer4")


def recorded(name: str, column: str | None = None) -> Recorded | None:
    """teach.recorded, or None where the table was not recorded yet: the chapter's own table is made
    from its runs.

    Args:
        name: of the table.
        column: what a claim speaks of; None: the table as a whole.
    """
    if not (files.results_dir() / f"{name}.csv").is_file():
        return None
    return read_table(name, column)


def root_mean_square(first: Tensor, second: Tensor) -> float:
    """Root mean square difference of two pictures, in the unit of their values.

    Args:
        first: (3, H, W), or any other shape.
        second: of the same shape.
    """
    return (first - second).square().mean().sqrt().item()


# ---- one formula


def by_formula(x: Tensor, axes: tuple[int, ...], eps: float = 1e-5) -> Tensor:
    """The one formula without gamma and beta: what exercise 2.1 asks for.

    Args:
        x: of any shape.
        axes: over which mean and (biased) variance are taken.
        eps: added to the variance, under the root.
    Returns:
        x normalised, of the same shape.
    """
    centred = x - x.mean(axes, keepdim=True)
    variance = centred.square().mean(axes, keepdim=True)
    return centred / (variance + eps).sqrt()


def draw_grey_pair(size: tuple[int, int] = (64, 32), seed: int = 3) -> Tensor:
    """One drawn person twice before a black wall, all in mid-grey and all in light grey.

    Args:
        size: (height, width) of the pictures.
        seed: of person and pose.
    Returns:
        (2, 3, H, W), 0.4 and 0.8 on the person.
    """
    person = world.make_people(1, seed=seed)
    pose = world.make_poses(1, seed=seed, knobs=world.EASY)
    camera = world.make_cameras(world.make_place("demo", 0), 1)
    masks = world.render(person, camera, pose, size=size, raw=False).masks  # (1, H, W)
    shape = (masks > 0).float().expand(3, -1, -1)  # (1, H, W) -> (3, H, W), 1 on the person
    return torch.stack([0.4 * shape, 0.8 * shape])


def pair_gap(norm: nn.Module, pair: Tensor) -> float:
    """Mean absolute difference of two pictures that went through a norm in one batch: what exercise
    2.2 asks for.

    Args:
        norm: a layer for (N, 3, H, W).
        pair: (2, 3, H, W).
    """
    return norm(pair).diff(dim=0).abs().mean().item()


# ---- what stands in a layer


@torch.no_grad()
def activations(model: nn.Module, pictures: Tensor, batch: int = 256) -> list[Tensor]:
    """Maps of each of LAYERS, the model in evaluation mode.

    Args:
        model: a Baseline with a residual trunk.
        pictures: (N, 3, H, W) uint8.
        batch: pictures that go through at once.
    Returns:
        A list of (N, C, h, w), one for each of LAYERS.
    """
    trunk = model.trunk
    batches = []
    for part in pictures.split(batch):
        pixels = normalize(part, model.mean, model.std)
        stem = trunk.relu(trunk.bn1(trunk.conv1(pixels)))
        batches.append([pixels, stem, *trunk.maps(pixels, LAYERS[2:])])
    return [torch.cat(maps) for maps in zip(*batches)]


def sample_crowds(preset: Preset, seed: int) -> list[ReIDData]:
    """People of several new places, everybody seen equally often by every camera of the place.

    Args:
        preset: of recipes.presets; "smoke" takes fewer places, people, cameras and pictures.
        seed: of the people.
    """
    small = preset.name == "smoke"
    people, cameras, pictures = (6, 3, 2) if small else (16, 6, 4)
    crowds = []
    for place in range(2 if small else 4):
        places = [("demo", place)]
        crowds.append(world.sample(places, people, cameras, pictures, preset.size, seed))
    return crowds


def mean_shares(
    model: nn.Module,
    crowds: Sequence[ReIDData],
    shares_of: Callable[[Tensor, ReIDData], dict[str, Tensor]],
) -> dict[str, dict[str, float]]:
    """Shares of variance in each layer, means over channels and crowds.

    Args:
        model: a Baseline with a residual trunk.
        crowds: people of one place each.
        shares_of: (maps (N, C, h, w), crowd) -> {name: share (C,)}.
    Returns:
        {layer: {name: share in %}}. A channel that never moves has no share and is left out.
    """
    means = {layer: {} for layer in LAYERS}
    for crowd in crowds:
        maps_of_layers = activations(model, crowd.pictures())
        for layer, maps in zip(LAYERS, maps_of_layers):
            for name, share in shares_of(maps, crowd).items():
                percent = 100 * share.nanmean().item()
                means[layer][name] = means[layer].get(name, 0) + percent / len(crowds)
    return means


def draw_through_chains(
    people: int,
    chains: int,
    size: tuple[int, int],
    seed: int,
    device: str = "cpu",
    poses: int = 2,
) -> tuple[world.People, Tensor, list[Tensor]]:
    """The very same people, poses and walls through the imaging chains of several places.

    Args:
        people: how many.
        chains: how many.
        size: (height, width) of the pictures.
        seed: of people and poses.
        device: where they are drawn.
        poses: of each person.
    Returns:
        (the people, who a picture shows (N,), (N, 3, H, W) uint8 pictures of each chain).
    """
    crowd = world.make_people(people, seed)
    who = torch.arange(people).repeat_interleave(poses)  # (N,)
    pose = world.make_poses(len(who), seed, world.EASY)
    cameras = []
    for place in range(chains):
        camera = world.make_cameras(world.make_place("demo", place), 1)
        cameras.append(camera[0 * who])  # the same one for each picture
    pictures = []
    for camera in cameras:
        drawn = world.restyle(
            crowd[who], cameras[0], pose, camera, size=size, device=device, raw=False
        )
        pictures.append(drawn.images)
    return crowd, who, pictures


def style_and_content(layers: Sequence[list[Tensor]], light: Tensor) -> dict[str, list[float]]:
    """Divergence by layer, median over channels (Pan et al. 2018, IBN-Net).

    Args:
        layers: for each chain, the maps of each layer.
        light: (N,) bool, who wears a light top.
    Returns:
        "style": the same pictures through two chains; "content": light against dark tops through
        one chain; "nothing": two halves of the people at random. A number for each of LAYERS.
    """
    # Pictures come in pairs of one person: each person stays in one half.
    half = torch.arange(len(light)) // 2 % 2 == 0
    curves = {"style": [], "content": [], "nothing": []}
    for layer in range(len(LAYERS)):
        means = [maps[layer].mean((2, 3)) for maps in layers]  # (N, C) of each chain
        two_chains = [(means[a], means[b]) for b in range(len(means)) for a in range(b)]
        two_tops = [(mean[light], mean[~light]) for mean in means]
        two_halves = [(mean[half], mean[~half]) for mean in means]
        curves["style"].append(_mean_divergence(two_chains))
        curves["content"].append(_mean_divergence(two_tops))
        curves["nothing"].append(_mean_divergence(two_halves))
    return curves


def _mean_divergence(pairs):
    """The mean over pairs of sets, (N, C) and (M, C), of the median channel's divergence."""
    medians = [divergence(first, second, 1e-6).median() for first, second in pairs]
    return (sum(medians) / len(medians)).item()


def ends_of_curves(curves: dict[str, dict[str, list[float]]]) -> dict[str, float]:
    """What the caption of `figures.depth_picture` says of "trained" and "not trained".

    Returns:
        "style", "content": divergence in the last stage; "halves": of random halves, pixels over
        last stage; and the same of the untrained network, "..._untrained".
    """
    values = {}
    for network, ending in (("trained", ""), ("not trained", "_untrained")):
        lines = curves[network]
        values["style" + ending] = lines["style"][-1]
        values["content" + ending] = lines["content"][-1]
        values["halves" + ending] = lines["nothing"][0] / lines["nothing"][-1]
    return values


# ---- in whose company a picture is normalised


def make_fresh_exam(preset: Preset, seed: int, device: str = "cpu") -> Exam:
    """An exam of new people in new places, of the size that the preset says.

    Args:
        preset: of recipes.presets.
        seed: of people and pictures.
        device: where it is drawn.
    """
    places = [("validation", place) for place in range(preset.unseen_places)]
    pictures = max(2, preset.pictures)  # of each person and camera; one of them asks
    people = preset.exam_people
    return world.make_exam(
        places, people, preset.cameras, pictures, preset.size, seed, device=device
    )


def one_batch_each(labels: Tensor) -> list[Tensor]:
    """Where each label is: labels (N,) -> a tensor of indices for each of them."""
    return [(labels == label).nonzero().flatten() for label in labels.unique()]


@torch.no_grad()
def embed_in_company(
    model: nn.Module, pictures: Tensor, batches: Iterable[Tensor]
) -> tuple[Tensor, nn.Module]:
    """Features when somebody forgot eval: each batch by its own statistics.

    Args:
        model: it stays as it is.
        pictures: (N, 3, H, W) in 0..255, on the model's device.
        batches: indices of the pictures that go through together.
    Returns:
        ((N, D) features of length 1, the model afterwards: a copy in evaluation mode, whose running
        statistics have moved).
    """
    moved = copy.deepcopy(model).train()
    features = torch.empty(len(pictures), model.neck.num_features, device=pictures.device)
    for chosen in batches:
        features[chosen] = moved(pictures[chosen]).neck
    return F.normalize(features, dim=1), moved.eval()


def score_exam(features: Tensor, exam: Exam) -> dict[str, tuple[float, float]]:
    """Rank-1 and mAP with one gallery for all places, and with one for each.

    Args:
        features: (N, D) of exam.both().
        exam: queries and gallery.
    Returns:
        {"pooled": (rank-1, mAP) in %, one gallery; "by place": the mean of a gallery per place}.
    """
    both = exam.both()  # queries first
    is_query = torch.arange(len(features)) < len(exam.query)  # (N,)
    pooled = _score(features, both, is_query, torch.ones_like(is_query))
    scores = []
    for place in both.domains.unique():
        scores.append(_score(features, both, is_query, both.domains == place))
    rank1, mean_ap = (sum(values) / len(values) for values in zip(*scores))
    return {"pooled": pooled, "by place": (rank1, mean_ap)}


def _score(features, both, is_query, takes_part):
    """(rank-1, mAP) in % of the pictures that take part, (N,) bool."""
    query = takes_part & is_query
    gallery = takes_part & ~is_query
    metrics = retrieval.evaluate(
        features[query],
        both.ids[query],
        both.cameras[query],
        features[gallery],
        both.ids[gallery],
        both.cameras[gallery],
    )
    return 100 * metrics.cmc[1], 100 * metrics.map


def score_columns(scores: dict[str, tuple[float, float]]) -> str:
    """Scores of `score_exam` as two columns of a printed table: by place, pooled."""
    columns = ""
    for gallery in ("by place", "pooled"):
        rank1, mean_ap = scores[gallery]
        columns += f"{rank1:8.1f} /{mean_ap:5.1f}"
    return columns


# ---- pixels through the norms: for the goal picture and the explorer


class PixelNorms:
    """Batch norm with the statistics of a crowd, as after training, and instance norm, on pixels
    0 to 1: no weights.

    Args:
        size: (height, width) of the pictures.
        seed: of people and poses.
        people: of the crowd.
    """

    def __init__(self, size, seed=0, people=32):
        self.size = size
        self.seed = seed
        self.crowd = world.make_people(people, seed)
        self.camera = world.neutral(world.make_cameras(world.make_place("demo", 0), 1))
        knobs = replace(world.EASY, views=0.25)
        nothing_in_the_way = torch.zeros(people, dtype=torch.int64)
        self.poses = replace(world.make_poses(people, seed, knobs), occluder=nothing_in_the_way)
        pictures = self.draw(range(people), range(people), [self.camera] * people)
        pixels = pictures.float() / 255
        self.mean = pixels.mean((0, 2, 3))  # (3,)
        self.std = pixels.std((0, 2, 3), unbiased=False)  # (3,)

    def draw(
        self, people: Iterable[int], poses: Iterable[int], cameras: Sequence[world.Cameras]
    ) -> Tensor:
        """Pictures of people; wall and view are the same for all.

        Args:
            people: N numbers of persons of the crowd.
            poses: N numbers of poses.
            cameras: N cameras, whose imaging chains are taken.
        Returns:
            (N, 3, H, W) uint8.
        """
        who = torch.tensor(list(people))
        how = torch.tensor(list(poses))
        walls = self.camera[0 * who]
        drawn = world.restyle(
            self.crowd[who], walls, self.poses[how], _join(cameras), size=self.size, raw=False
        )
        return drawn.images

    def __call__(self, pictures):
        """uint8 (N, 3, H, W) -> {"pixels", "BN", "IN"}, (N, 3, H, W) each."""
        pixels = pictures.float() / 255
        mean = self.mean[:, None, None]  # (3,) -> (3, 1, 1)
        std = self.std[:, None, None]
        instance = InstanceNorm(3)(pixels).detach()
        return {"pixels": pixels, "BN": (pixels - mean) / std, "IN": instance}


def _join(cameras):
    """Cameras of one each -> one record of all."""
    fields = {}
    for name in vars(cameras[0]):
        fields[name] = torch.cat([getattr(camera, name) for camera in cameras])
    return replace(cameras[0], **fields)

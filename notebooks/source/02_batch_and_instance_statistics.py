# ---
# jupyter:
#   reidkit:
#     chapter: "02"
#     title: Batch against instance statistics
#     about: "What each remembers, what instance norm throws away, statistics per camera"
#     row: normalisation
#     map: "batch against\ninstance statistics"
#     minutes_study: 60
#     minutes_compute: 2
#     prerequisites: ["01"]
# ---

# %% [markdown] key="title" tags=["slide"]
# # 2 · Batch against instance statistics
#
# **Promise:** you will see, number by number, why batch norm lets a camera's style pass, why instance norm takes it away, and which part of the person goes with it.
#
# | | |
# |---|---|
# | **Study** | 60 minutes, of which the computer needs about 2 |
# | **You need** | chapter 1 |
# | **Afterwards you can** | write three norms as one formula · split a layer's variance into camera and person · avoid four classic accidents with batch norm · exchange its memory, and say what that borrows |
#
# **Recall from chapter 1.** Answer before you unfold.
# <details><summary>1. What is the fall?</summary>A network loses much of its score in camera networks that it was not trained in.</details>
# <details><summary>2. What does mAP ask that rank-1 does not?</summary>Whether all right answers stand near the top, not only the first.</details>
# <details><summary>3. In plain pixels, who is mostly closer: the same person in another camera, or a stranger in the same camera?</summary>The stranger. Cameras differ more than people.</details>

# %% key="parameters" tags=["parameters"]
PRESET: str = "laptop"  # smoke (seconds) | laptop (minutes) | gpu (bigger network, bigger pictures)
SEED: int = 0  # people, order of the batches and first weights all follow from it
DATA: str = "world"  # "world", "market1501:PATH" or "pku-reid:PATH": what the network learns from
DEVICE: str = "auto"  # "auto", "cpu" or "cuda"
THREADS: int = 2  # CPU threads; the same number gives the same digits on one machine

# %% key="setup" tags=["setup", "skip"]
import dataclasses

import torch
from torch import nn

from reidkit import datasets, retrieval, teach
from reidkit.augment import normalize
from reidkit.chapters.batch_and_instance_statistics import checks as check
from reidkit.chapters.batch_and_instance_statistics import (
    claims,
    deep_nets,
    experiments,
    figures,
    widgets,
)
from reidkit.layers import norms
from reidkit.layers.statistics import reestimated_statistics
from reidkit.measures import variance_shares
from reidkit.methods.baseline import Baseline
from reidkit.recipes.baseline import train_baseline

run = teach.start("02", PRESET=PRESET, SEED=SEED, DATA=DATA, DEVICE=DEVICE, THREADS=THREADS)
small = run.preset.name == "smoke"

# %% [markdown] key="goal" tags=["slide"]
# ## Where this chapter ends
#
# A camera's **imaging chain** is all that happens between the light and the file: gain, white balance, contrast, blur. Below, person A through four chains (same pose, same wall), and a stranger B through the first. Row two went through **batch norm (BN)**: each colour has a mean taken away and is divided by a **deviation** (short for standard deviation), both remembered from a crowd. Row three went through **instance norm (IN)**: the same, with each picture's *own* mean and deviation.

# %% key="ask-closer" tags=["prediction"]
teach.ask(
    "02-closer",
    "Does BN bring A's pictures closer together, compared with how far the stranger is?",
    ["much closer", "a little", "hardly at all"],
)

# %% key="goal-picture" tags=["slide"]
montage, distances = figures.goal_picture(run.preset.size, run.seed)
ratios = {name: same / stranger for name, (same, stranger) in distances.items()}
teach.show(montage, "02-goal", **ratios)

# %% [markdown] key="why" tags=["slide"]
# ## 1. Why normalise at all?
#
# In a deep net each layer feeds the next. When early weights move, what later layers receive moves too, in mean and in spread. Ioffe and Szegedy (2015) called this **internal covariate shift**, and put BN between layers so that each sees numbers of mean 0 and deviation 1.
#
# We train a plain net of twelve layers (linear, then tanh) to tell 24 drawn people apart, with and without BN. Beyond 0.97 a tanh is **saturated**: it passes on less than 6 % of a gradient.

# %% key="histograms" tags=["slide"]
rates = (0.01, 0.03, 0.1, 0.3, 1.0)
scales = (0.5, 1.0, 4.0)  # of the first weights
seeds = (0,) if small else (0, 1, 2)
steps = 10 if small else 60
# Known pictures and new ones of the same people: (N, 384) thumbnails, (N,) who they show.
thumbnails = deep_nets.make_thumbnails(24, run.seed)
without_bn = deep_nets.train_deep_nets(thumbnails, None, rates, scales, seeds, steps)
with_bn = deep_nets.train_deep_nets(thumbnails, "before", rates, scales, seeds, steps)
run_number = deep_nets.number_runs(scales, rates, seeds)
columns = [
    ("first weights", "before", run_number[1.0, 0.03, 0]),
    ("trained", "after", run_number[1.0, 0.03, 0]),
    ("weights 4 x", "before", run_number[4.0, 0.03, 0]),
]
teach.show(figures.histogram_picture(without_bn, with_bn, columns), "02-histograms")

# %% key="ask-rate" tags=["prediction"]
teach.ask(
    "02-rate",
    "A learning rate of 0.3 is too large for the plain net. With BN, the same net ...",
    [
        "fails too",
        "learns, but less than the plain net at its best rate",
        "learns more than the plain net at its best rate",
    ],
)

# %% key="rates" tags=["slide"]
nets = {"without BN": without_bn, "with BN": with_bn}
teach.show(figures.rates_picture(nets, rates, scales), "02-rates", seeds=len(seeds))

# %% key="scale" tags=["check"]
torch.manual_seed(0)
x = torch.randn(8, 3, 6, 6)  # (B, C, H, W)
conv = nn.Conv2d(3, 4, 3, bias=False)
bn = nn.BatchNorm2d(4)
target = torch.randn(8, 4, 4, 4)


def through_bn(weight, bias):
    """BN of a convolution: output (8, 4, 4, 4), and the gradient of the weight."""
    weight = weight.detach().requires_grad_()
    output = bn(nn.functional.conv2d(x, weight) + bias)
    loss = ((output - target) ** 2).mean()
    return output, torch.autograd.grad(loss, weight)[0]


usual_output, usual_gradient = through_bn(conv.weight, 0)
changes = {
    "weights ten times as large": (10 * conv.weight, 0),
    "a bias of 5 before BN": (conv.weight, 5),
}
for what, (weight, bias) in changes.items():
    output, gradient = through_bn(weight, bias)
    change = (output - usual_output).abs().max()
    ratio = gradient.norm() / usual_gradient.norm()
    print(f"{what}: output changes by less than 0.001: {change < 1e-3}; gradient times {ratio:.2f}")

# %% key="variants"
variants = {
    "neither": {},
    "BN before tanh": {"norm": "before"},
    "BN after tanh": {"norm": "after"},
    "dropout 0.2": {"dropout": 0.2},
    "BN and dropout": {"norm": "before", "dropout": 0.2},
}
print("rate 0.03          loss   right on known   right on new pictures")
for name, options in variants.items():
    runs = deep_nets.train_deep_nets(thumbnails, seeds=seeds, steps=steps, **options)
    loss = runs["loss"].mean()
    known = 100 * runs["known"].mean()
    new = 100 * runs["new"].mean()
    low = 100 * runs["new"].min()
    high = 100 * runs["new"].max()
    print(f"{name:16}{loss:7.2f}{known:13.0f} %{new:17.0f} %   (seeds {low:.0f} to {high:.0f})")
print(
    "Loss: last ten training steps, batch statistics. "
    "Shares: afterwards, running statistics (section 5)."
)

# %% [markdown] key="why-read" tags=["slide"]
# - **Scale of the weights**: BN divides it out, and the gradient shrinks in turn: large weights take small steps.
# - **No bias**: BN takes any constant away, so a convolution before BN has none.
# - **Before or after** the activation: both learn. The classic place is before it.
# - **Noise**: in training a picture is normalised by the company it happens to have. The paper counts that noise as regularisation, in place of dropout. There is a gap (see known against new), but in sixty steps dropout only slows, so the table cannot say whether noise or dropout closes it.
#
# **A dissent.** That BN steadies the numbers *and* helps does not prove that it helps *because* it steadies them. Santurkar et al. (2018) put noise behind BN so that the numbers shifted again; training stayed about as good. Their reason is a smoother loss.
#
# ## 2. One formula
#
# $$y=\gamma\,\frac{x-\mu_A}{\sqrt{\sigma^2_A+\varepsilon}}+\beta$$
#
# $A$ is the set of **axes** over which mean and (biased) variance are taken. Activations have shape (N pictures, C channels, H, W):
#
# | norm | axes | each channel has |
# |---|---|---|
# | batch (BN) | N, H, W | one mean for the batch |
# | instance (IN) | H, W | one mean for each picture |
# | feature (FN) | N, of the pooled (N, C) | one mean for the batch, at the network's end (as chapter 1's BNNeck) |
#
# $\gamma$, $\beta$ are learnt for each channel; $\varepsilon=10^{-5}$. **Take a pencil:** one channel, two pictures of two pixels, (1, 3) and (5, 7). What do BN and IN make of them?

# %% key="by-hand" tags=["check", "slide"]
tiny = torch.tensor([[1.0, 3], [5, 7]]).view(2, 1, 1, 2)  # (N, C, H, W) = (2, 1, 1, 2)
deviation = 5**0.5
by_hand = [round(value / deviation, 2) for value in (-3, -1, 1, 3)]
print("BN: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5:", by_hand)
print("IN: means 2 and 6, variances 1 and 1:        ", [-1.0, 1.0, -1.0, 1.0])
print("FN: pooled 2 and 6, mean 4, variance 4:      ", [-1.0, 1.0])
layers = {"BN": nn.BatchNorm2d(1), "IN": norms.InstanceNorm(1), "FN": norms.FeatureNorm(1)}
for name, layer in layers.items():
    x = tiny.mean((2, 3)) if name == "FN" else tiny  # FN takes pooled features, (N, C)
    normed = layer(x).flatten().tolist()
    print(f"{name} by the layer:", [round(value, 2) for value in normed])

# %% [markdown] key="normalise" tags=["exercise"]
# ### Exercise 2.1 · One formula
# *8 minutes · easy.* Write `normalise_over`, the formula without $\gamma$ and $\beta$, for any axes.


# %% key="normalise-stub" tags=["exercise", "stub", "check"]
def normalise_over(x, axes, eps=1e-5):
    """x: float tensor of any shape, axes: tuple of int -> the same shape, normalised over these
    axes.
    """
    ...


check.normalise_over(normalise_over)

# %% [markdown] key="normalise-hint1" tags=["hint"]
# `x.mean(axes)` drops the axes; to subtract it from `x` they must stay, with length 1.

# %% [markdown] key="normalise-hint2" tags=["hint"]
# `x.var` divides by n - 1 unless you say `unbiased=False`.

# %% [markdown] key="normalise-hint3" tags=["hint"]
# `eps` is added to the variance, under the root: `(x - mean) / (var + eps).sqrt()`.


# %% key="normalise-solution" tags=["solution"]
def normalise_over(x, axes, eps=1e-5):
    """x: float tensor of any shape, axes: tuple of int -> the same shape, normalised over these
    axes.
    """
    mean = x.mean(axes, keepdim=True)
    var = x.var(axes, keepdim=True, unbiased=False)
    return (x - mean) / (var + eps).sqrt()


# %% key="layers-equal" tags=["check"]
maps = torch.randn(6, 5, 8, 4, generator=torch.Generator().manual_seed(0)) * 3 + 2  # (N, C, H, W)
pooled = maps.mean((2, 3))  # (N, C)
layers = {"BN": nn.BatchNorm2d(5), "IN": norms.InstanceNorm(5), "FN": norms.FeatureNorm(5)}
axes = {"BN": (0, 2, 3), "IN": (2, 3), "FN": (0,)}
largest = {}
for name, layer in layers.items():
    x = pooled if name == "FN" else maps
    difference = layer(x) - experiments.by_formula(x, axes[name])
    largest[name] = difference.abs().max().item()
print({name: f"equal to 1e-5: {gap < 1e-5}" for name, gap in largest.items()})

# %% [markdown] key="law" tags=["slide"]
# ## 3. What instance norm throws away
#
# One channel varies *inside* each picture (edges, sleeves) and *between* pictures (this camera is dark, she wears white). The **law of total variance** adds them up:
#
# $$\underbrace{\sigma^2}_{\text{BN divides by this}}=\underbrace{\operatorname{mean}_n\sigma^2_n}_{\text{inside}}+\underbrace{\operatorname{var}_n\mu_n}_{\text{between}}$$
#
# On your two pictures: 5 = 1 + 4. IN makes every $\mu_n$ zero: the second term is gone. **Who is in it?** We train the small BN baseline of chapter 1 briefly and let every person be seen by every camera of a new place, equally often. Then the part between pictures splits exactly: what the *camera* explains (its light, chain, view and wall), what the *person* explains (mostly clothes), and the rest (pose, and both together). Measured after each stage, as if an IN stood there. (stem = first convolution, BN, ReLU; layer1 to layer4 = the residual stages.)

# %% key="train"
p = dataclasses.replace(run.preset, steps=6 if small else 100)
journey = datasets.load_journey(run.data, p, seed=run.seed, device=run.device)
model, history = train_baseline(journey, p, run.seed, run.device, keep="02-baseline")
people = journey.train.numbers()["ids"]
loss_before = history[0]["loss"]
loss_after = history[-1]["loss"]
print(f"{p.steps} steps on {people} people; loss {loss_before:.1f} -> {loss_after:.1f}")

# %% key="ask-share" tags=["prediction"]
teach.ask(
    "02-share",
    "After the first convolution, its BN and ReLU, of the variance between pictures the person "
    "explains ...",
    ["next to nothing", "about a third", "almost all"],
)


# %% key="shares" tags=["slide"]
def between_shares(means, cameras, ids):
    """What camera and person explain of the variance of means (N, C), one per picture: (C,) each.

    Everybody was seen equally often by every camera.
    """
    total = means.var(0, unbiased=False)

    def explained(labels):
        group_means = [means[labels == label].mean(0) for label in labels.unique()]
        return torch.stack(group_means).var(0, unbiased=False) / total

    return explained(cameras), explained(ids)


def shares_of(maps, crowd):
    """maps (N, C, h, w), what the next layer is given -> {name of a share: (C,)}."""
    inside, between = variance_shares(maps)  # (C,) each
    camera, person = between_shares(maps.mean((2, 3)), crowd.cameras, crowd.ids)
    return {"between": between / (inside + between), "camera": camera, "person": person}


crowds = experiments.sample_crowds(p, run.seed)  # people of a new place each
shares = experiments.mean_shares(model, crowds, shares_of)

# %% key="shares-picture" tags=["slide"]
teach.show(figures.shares_picture(shares), "02-shares", places=len(crowds))

# %% [markdown] key="twins" tags=["exercise"]
# ### Exercise 2.2 · Two people in grey
# *10 minutes · medium · predict, then measure.* Two people of one shape, one dressed all in mid-grey, one all in light grey, before a black wall. Write `gap`: normalise both **in one batch**, return the mean absolute difference. Which norm gives almost zero? The cell behind the solution measures a drawn pair.


# %% key="twins-stub" tags=["exercise", "stub", "check"]
def gap(norm, a, b):
    """norm: a layer, for (N, 3, H, W); a, b: (3, H, W) -> float, mean absolute difference of the
    normalised pictures.
    """
    ...


check.gap(gap)

# %% [markdown] key="twins-hint1" tags=["hint"]
# A norm takes a batch: `torch.stack([a, b])` has shape (2, 3, H, W).

# %% [markdown] key="twins-hint2" tags=["hint"]
# Call the norm once. Two calls would give BN two batches of one picture, and then BN *is* IN.

# %% [markdown] key="twins-hint3" tags=["hint"]
# `y = norm(...)`, then `(y[0] - y[1]).abs().mean()`, as a Python float.


# %% key="twins-solution" tags=["solution"]
def gap(norm, a, b):
    """norm: a layer, for (N, 3, H, W); a, b: (3, H, W) -> float, mean absolute difference of the
    normalised pictures.
    """
    y = norm(torch.stack([a, b]))  # (2, 3, H, W)
    return (y[0] - y[1]).abs().mean().item()


# %% [markdown] key="twins-why" tags=["solution"]
# Each picture has two values only: the wall's and the clothes'. After IN the darker and the lighter land on the same two numbers. The wall must be darker than both: before a wall of a shade between them, one would come out darker than it, the other lighter, and IN could tell them apart.

# %% key="twins-drawn" tags=["check"]
pair = experiments.draw_grey_pair()  # (2, 3, H, W): one shape in mid-grey and in light grey
twins = {}
for name, layer in (("BN", nn.BatchNorm2d(3)), ("IN", norms.InstanceNorm(3))):
    twins[name] = experiments.pair_gap(layer, pair)
    print(f"{name}: mean difference {twins[name]:.2f}")

# %% [markdown] key="depth" tags=["slide"]
# ## 4. Style and content by depth
#
# So IN deletes camera and person together. *Where* in the network is it the better bargain? Pan et al. (2018) asked this for IBN-Net. Fit a Gaussian to the pictures' means of a channel, in two sets of pictures; their **divergence** (KL both ways, in nats; 0 = same) says how far the sets lie apart. Compare two pairs of sets:
#
# - **style**: the very same people, poses and walls, through two imaging chains;
# - **content**: people in light tops against people in dark ones, through one chain. (And two random halves: what "nothing" looks like.)

# %% key="ask-depth" tags=["prediction"]
teach.ask(
    "02-depth",
    "From pixels to the last stage, the divergence by style ...",
    ["grows", "stays", "falls to a half", "falls to a tenth or less"],
)

# %% key="depth-picture" tags=["slide"]
people = 12 if small else 96
crowd, who, chains = experiments.draw_through_chains(people, 4, p.size, run.seed, run.device)
brightness = crowd.upper.mean(1)  # (people,) of the upper garment
light = brightness[who] > brightness.median()  # (N,) bool
torch.manual_seed(run.seed)
untrained_model = Baseline(2, p.trunk).to(run.device)


def divergences(network):
    """By style and by content, in each layer."""
    layers = [experiments.activations(network, pictures) for pictures in chains]
    return experiments.style_and_content(layers, light)


curves = {"trained": divergences(model)}
every_fourth = torch.cat(chains)[::4]
with reestimated_statistics(untrained_model, every_fourth, batch=256):
    curves["not trained"] = divergences(untrained_model)
ends = experiments.ends_of_curves(curves)
teach.show(figures.depth_picture(curves), "02-depth", pictures=len(who), **ends)

# %% [markdown] key="modes" tags=["slide"]
# Style falls with depth, as in the paper. But random halves fall too: that much is no news about style. And look at the right panel before you credit the training: without any, style falls as well. A hundred steps leave less style *for each bit of content* in the last stage: so it was in three recorded seeds, in two of them by little. (The untrained net's running statistics were re-estimated on these very pictures, the trained net's were not.) And **content does not grow here as it did there**: their contents were kinds of objects, ours is the colour of clothes, which pixels show already. For people, style and content share the shallow layers, as the bars of section 3 showed. One reason to give IN only half of the channels (chapter 3), or a gate (chapter 4).
#
# ## 5. Two faces of BN
#
# In training BN takes the batch's statistics. At test it uses **running** ones: after each batch, 0.9 of the old plus 0.1 of the batch's mean and *unbiased* variance. This memory holds the training cameras. IN has none. Four classic accidents follow:
#
# 1. **A batch of one**: in training mode BN silently becomes IN; at a pooled feature it raises.
# 2. **Forgotten `eval()`**: features depend on who else is in the batch, and looking *changes the model*.
# 3. **Tiny batches**: the statistics of two pictures are noisy.
# 4. **Mixed domains in a batch**: one mean for all, so each camera keeps its offset, as it does in eval mode. No repair.

# %% key="batch-of-one" tags=["check"]
picture = torch.randn(1, 3, 8, 4, generator=torch.Generator().manual_seed(1))
bn = nn.BatchNorm2d(3)
instance = norms.InstanceNorm(3)
difference = (bn(picture) - instance(picture)).abs().max().item()
print("accident 1: one picture, training mode: BN equals IN to 1e-5:", difference < 1e-5)
try:
    nn.BatchNorm1d(3)(picture.mean((2, 3)))  # (1, 3) a pooled feature
except ValueError as error:
    print("at the feature:", type(error).__name__)
bn = nn.BatchNorm1d(1)
bn(torch.tensor([[2.0], [6.0]]))  # mean 4, biased variance 4, unbiased 8
mean = bn.running_mean.item()
var = bn.running_var.item()
print(
    f"running mean 0.9 x 0 + 0.1 x 4 = {mean:.1f}, running variance 0.9 x 1 + 0.1 x 8 = {var:.1f}"
)

# %% key="ask-company" tags=["prediction"]
teach.ask(
    "02-company",
    "Eval was forgotten, and the folder is read person by person, a batch each. mAP ...",
    ["rises: people are kept together", "stays", "falls a little", "falls to almost nothing"],
)

# %% key="company" tags=["slide"]
fresh = experiments.make_fresh_exam(p, run.seed, run.device)  # new people in new places
both = fresh.both()  # queries first
pictures = both.pictures().to(run.device)  # (N, 3, H, W)
mixed = torch.randperm(len(both), generator=torch.Generator().manual_seed(run.seed))
batches = {
    "forgotten: 32, cameras mixed": mixed.split(32),
    "forgotten: 2, cameras mixed": mixed.split(2),
    "forgotten: one batch a person": experiments.one_batch_each(both.ids),
    "one batch of all places": [mixed],
    "one batch a camera": experiments.one_batch_each(both.cameras),
}


def mean_ap(features):
    return experiments.score_exam(features, fresh)["by place"][1]  # a gallery for each place


score = {"eval mode, as it should be": mean_ap(retrieval.embed(model, both, device=run.device))}
for label, company in batches.items():
    features, moved = experiments.embed_in_company(model, pictures, company)
    score[label] = mean_ap(features)
    if label.startswith("forgotten"):
        again = mean_ap(retrieval.embed(moved, both))
        print(f"{label}: the model afterwards, in eval mode again, {again:.1f} mAP")

# %% key="company-picture" tags=["slide"]
pixels = normalize(both.pictures())  # (N, 3, H, W)
deviation = pixels.std((0, 2, 3))  # (3,)
for size in (2, 8, 32):
    draws = [torch.randperm(len(pixels))[:size] for _ in range(200)]
    means = torch.stack([pixels[batch].mean((0, 2, 3)) for batch in draws])  # (200, 3)
    error = (means.std(0) / deviation).mean()
    print(f"in pixels, a batch of {size:2}: its mean is off by {error:.2f} deviations")
pixels_by_camera = [pixels[both.cameras == camera] for camera in both.cameras.unique()]
offsets = torch.stack([part.mean((0, 2, 3)) for part in pixels_by_camera])  # (cameras, 3)
apart = (offsets.std(0) / deviation).mean()
print(f"all in one batch, the cameras' means keep lying {apart:.2f} deviations apart")
teach.show(figures.company_picture(score), "02-company")

# %% [markdown] key="repair" tags=["exercise"]
# ### Exercise 2.3 · The exam that changed the model
# *10 minutes · medium · repair a bug.* A colleague's scores change with the batch size, and her training got worse after each validation. Repair her function: features of one picture must not depend on the others, and the model must come back **exactly** as it was, each of its layers.


# %% key="repair-stub" tags=["exercise", "stub", "check"]
def features_of(model, images, batch=4):
    """model: a module, images (N, 3, H, W) -> (N, D) features without gradients; the model is
    afterwards as before.
    """
    return torch.cat([model(part) for part in images.split(batch)])


check.features_of(features_of)

# %% [markdown] key="repair-hint1" tags=["hint"]
# `model.eval()` makes BN use its running statistics, and stops it from changing them.

# %% [markdown] key="repair-hint2" tags=["hint"]
# The model may come in training mode or in evaluation mode, or in training mode with one BN frozen in evaluation mode. Remember the mode of every module, not of the model alone.

# %% [markdown] key="repair-hint3" tags=["hint"]
# `model.modules()` lists them all, the model first; each has its own `.training`. Keep the pairs, give them back at the end; `with torch.no_grad():` around the loop.


# %% key="repair-solution" tags=["solution"]
def features_of(model, images, batch=4):
    """model: a module, images (N, 3, H, W) -> (N, D) features without gradients; the model is
    afterwards as before.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        features = torch.cat([model(part) for part in images.split(batch)])
    for module, training in modes:  # model.train() would wake a frozen BN
        module.training = training
    return features


# %% [markdown] key="per-camera" tags=["slide"]
# ### The accident that helps
#
# The last row is no accident: one batch a camera *raises* the score. Keep the weights, let BN forget its cameras, and re-estimate mean and variance in every layer on the new camera's pictures, without a label. Li et al. (2016) did so with one statistic for the whole new domain (**AdaBN**), Zhuang et al. (2020) for each camera (**CBN**).
#
# Two galleries are scored below: one a place, as in life, and one of all places together. Mind the difference: nobody is in two places, so in the second a network *gains* by remembering the place.
#
# **What it borrows.** A feature now depends on which other *test* pictures exist. That is **transductive**: fine if you own a pile from each camera, impossible for a camera's first picture, unfair beside methods that see one picture at a time. And it assumes that all cameras see the same mix of people. Here that holds perfectly (everybody is seen equally often by every camera), which flatters CBN; real cameras see different people.


# %% key="ways" tags=["slide"]
def embed_by_place(model, data):
    """Features (N, D), each place's pictures under statistics re-estimated on them (AdaBN)."""
    features = torch.empty(len(data), model.neck.num_features, device=run.device)
    for place in data.domains.unique():
        chosen = data.domains == place
        with reestimated_statistics(model, data[chosen].pictures()):  # no label used
            part = retrieval.embed(model, data[chosen], device=run.device)
        features[chosen.to(run.device)] = part
    return features


ways = {}  # (where, way) -> {gallery: (rank-1, mAP)}
print("rank-1 / mAP, one gallery for:   each place    all places")
for where, exam in (("home", journey.home), ("new places", fresh)):
    everybody = exam.both()
    features = {
        "as trained": retrieval.embed(model, everybody, device=run.device),
        "per place (AdaBN)": embed_by_place(model, everybody),
        "per camera (CBN)": retrieval.embed_by_camera(model, everybody, device=run.device),
    }
    for way, embedding in features.items():
        ways[where, way] = experiments.score_exam(embedding, exam)
        print(f"{where:11}{way:20}{experiments.score_columns(ways[where, way])}")

# %% key="explorer" tags=["widget", "slide"]
draw, controls = widgets.normalisation_explorer((64, 32), run.seed)
film = [{"gain": 1.0}, {"warmth": 0.8}, {"contrast": 0.5}, {"gain": -0.8, "person": 3}]
teach.explore(draw, controls, film, "02-explorer")

# %% [markdown] key="held" tags=["slide"]
# Before you push: IN has already lost some distance to the stranger, this chapter's price. (The second picture has another pose, so no norm brings it to 0.) Now push the gain up: from where on is the stranger closer, and after which norm? BN at test is one fixed multiply and add, so it can only pass the push on.
#
# The table above the widget, once more: one statistic for a whole new place hardly helped; one for each camera did, at home too: it takes away what sets cameras apart.
#
# ## What held here
#
# Each sentence is measured in this run and judged; recorded seeds stand beside it where there are some.

# %% key="claims" tags=["claim", "slide"]
stem = shares["stem"]
last_stage = shares["layer4"]
trained = curves["trained"]
untrained = curves["not trained"]
eval_mode = score["eval mode, as it should be"]
usual_scale = scales.index(1.0)
large_rate = rates.index(0.3)
measured = claims.loss_gaps(without_bn, with_bn, usual_scale, large_rate)
measured["camera_falls"] = stem["camera"] - last_stage["camera"]
measured["person_lost"] = stem["person"]
measured["style_falls"] = trained["style"][0] / trained["style"][-1]
measured["person_batches"] = eval_mode - score["forgotten: one batch a person"]
measured["content_growth"] = trained["content"][-1] / trained["content"][0]
measured["parted"] = claims.parted(trained, untrained)
measured |= claims.gains(ways)
claims.judge("at_large_rate", measured["at_large_rate"], run)
claims.judge("any_scale", measured["any_scale"], run)
claims.judge("camera_falls", measured["camera_falls"], run)
claims.judge("person_lost", measured["person_lost"], run)

# %% key="claims-more" tags=["claim"]
claims.judge("style_falls", measured["style_falls"], run)
claims.judge("content_growth", measured["content_growth"], run)
claims.judge("person_batches", measured["person_batches"], run)
claims.judge("per_camera_gain", measured["per_camera_gain"], run)
claims.judge("beyond_adabn", measured["beyond_adabn"], run)
claims.judge("home_gain", measured["home_gain"], run)
claims.judge("pooled_loss", measured["pooled_loss"], run)
claims.judge("one_formula", max(largest.values()), run)
claims.judge("grey_twins", twins["BN"] - twins["IN"], run)
teach.record(**measured, **claims.name_scores(ways))

# %% [markdown] key="paper" tags=["slide"]
# ## What papers measured
#
# Other data, other networks: compare directions. Zhuang et al. went from one real data set (Duke) to another (Market).

# %% key="paper-table"
teach.compare_with_paper(claims.paper_rows(ways, trained), title="Directions")

# %% [markdown] key="end" tags=["slide"]
# ## What this does not show
#
# The deep net is a toy: tanh, thumbnails, sixty steps. The baseline is trained for a hundred steps, by one seed in a run. Another thread count moves these scores by some points; believe no smaller difference. "Camera" contains wall and view, not light alone. Splitting variance does not say which part the network *uses*; exchanging BN's memory does, but only for mean and variance. Nothing here trained with IN: chapters 3 and 4 do. On real people, see chapter 11.
#
# ## In five lines
#
# 1. BN, IN and feature norm are one formula over different axes.
# 2. BN lets a deep net learn at larger rates, and over a wider range of first weights; why, is disputed.
# 3. Variance = inside + between pictures. IN deletes what lies between: camera and person.
# 4. Style stands mostly in shallow layers; the colour of drawn clothes stands there too.
# 5. One statistic for a whole new place hardly helped; one for each camera did, at home too: it takes away what sets cameras apart. The price: it is transductive, and with one gallery of all places nothing of the gain at home was left.
#
# ## References
#
# - S. Ioffe, C. Szegedy. *Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift.* ICML 2015, arXiv 1502.03167.
# - S. Santurkar, D. Tsipras, A. Ilyas, A. Madry. *How Does Batch Normalization Help Optimization?* NeurIPS 2018, arXiv 1805.11604.
# - D. Ulyanov, A. Vedaldi, V. Lempitsky. *Instance Normalization: The Missing Ingredient for Fast Stylization.* arXiv 1607.08022, 2016.
# - X. Pan, P. Luo, J. Shi, X. Tang. *Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net.* ECCV 2018, arXiv 1807.09441.
# - Y. Li, N. Wang, J. Shi, J. Liu, X. Hou. *Revisiting Batch Normalization for Practical Domain Adaptation.* arXiv 1603.04779, 2016. AdaBN.
# - Z. Zhuang, L. Wei, L. Xie, T. Zhang, H. Zhang, H. Wu, H. Ai, Q. Tian. *Rethinking the Distribution Gap of Person Re-identification with Camera-based Batch Normalization.* ECCV 2020, arXiv 2001.08680. CBN.
#
# **Next:** chapter 3 mixes both norms in one network.

# %% [markdown] key="notes" tags=["notes"]
# *For lecturers.* 15 minutes: goal picture, the pencil (1, 3), (5, 7), the two shares, the last row of the company figure. 45 minutes: all slides; let the room vote on "one batch a person" before it is drawn, then push the gain in the explorer until the stranger is closer. The question that always comes: "so why not IN everywhere?" Show the two grey people.

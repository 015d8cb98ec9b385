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

import matplotlib.pyplot as plt
import torch
from torch import nn

from reidkit import datasets, recipes, retrieval, teach, world
from reidkit.augment import normalize
from reidkit.chapters.batch_and_instance_statistics import checks as check
from reidkit.chapters.batch_and_instance_statistics import figures as c02
from reidkit.layers import norms
from reidkit.layers.statistics import reestimated_statistics
from reidkit.measures import variance_shares
from reidkit.methods.baseline import Baseline

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
montage, apart = c02.goal_picture(run.preset.size, run.seed)
teach.show(
    montage,
    name="02-goal",
    alt="Three rows of five pictures: person A through four imaging chains, then a stranger. In pixels and after "
    "batch norm the four differ in colour and light; after instance norm they look more alike.",
    caption="What you see: pixels, after BN, after IN (grey is the mean, three deviations to black and white). Numbers: root mean square "
    "difference to the first picture of the row; compare within a row only. The ratio of A's mean to the stranger's is "
    + ", ".join(f"{name} {own / stranger:.2f}" for name, (own, stranger) in apart.items())
    + ".",
)

# %% [markdown] key="why" tags=["slide"]
# ## 1. Why normalise at all?
#
# In a deep net each layer feeds the next. When early weights move, what later layers receive moves too, in mean and in spread. Ioffe and Szegedy (2015) called this **internal covariate shift**, and put BN between layers so that each sees numbers of mean 0 and deviation 1.
#
# We train a plain net of twelve layers (linear, then tanh) to tell 24 drawn people apart, with and without BN. Beyond 0.97 a tanh is **saturated**: it passes on less than 6 % of a gradient.

# %% key="histograms" tags=["slide"]
rates, scales, seeds = (0.01, 0.03, 0.1, 0.3, 1.0), (0.5, 1.0, 4.0), (0,) if small else (0, 1, 2)
known, new = c02.thumbnails(24, run.seed)  # (N, 384) thumbnails, (N,) people, twice
found = {
    name: c02.deep_runs(known, new, norm, rates, scales, seeds, steps=10 if small else 60)
    for name, norm in (("without BN", None), ("with BN", "before"))
}
place = lambda scale, rate: (
    (scales.index(scale) * len(rates) + rates.index(rate)) * len(seeds)
)  # of its first seed
columns = [
    ("first weights", "before", place(1.0, 0.03)),
    ("trained", "after", place(1.0, 0.03)),
    ("weights 4 x", "before", place(4.0, 0.03)),
]
teach.show(
    c02.histogram_picture(found["without BN"], found["with BN"], columns),
    name="02-histograms",
    alt="Six panels of histograms of the input of tanh at layers 1, 6 and 12: without batch norm they narrow with depth, "
    "spread by training and leave tanh's range at four times the weights; with batch norm they coincide.",
    caption="What you see: what tanh is given, by depth (line styles), before training, after it, and with first weights four "
    "times as large. Above without BN, below with it. Rate 0.03; the share axis is stretched near 0. Beyond 2.1 either way an input "
    "is saturated. Without BN the first numbers shrink with depth, and at 4 x most saturate; with BN depth hardly shows.",
)

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
fig, axes = plt.subplots(1, 2, figsize=(8.4, 2.6), sharey=True)
for ax, (name, runs) in zip(axes, found.items()):
    loss = runs["loss"].mean(2)  # (scales, rates), mean over seeds
    ax.imshow(loss.nan_to_num(9).clamp(0, 3.5), vmin=0, vmax=3.5, aspect="auto")
    for i, row in enumerate(loss.tolist()):
        for k, value in enumerate(row):
            ax.text(
                k,
                i,
                f"{value:.1f}",
                ha="center",
                va="center",
                fontsize=9,
                color="black" if value > 1.8 else "white",
            )
    ax.set(
        xticks=range(len(rates)),
        xticklabels=rates,
        yticks=range(len(scales)),
        yticklabels=[f"{s:g} x" for s in scales],
        xlabel="learning rate",
        title=name,
    )
    ax.grid(False)
axes[0].set_ylabel("first weights")
teach.show(
    fig,
    name="02-rates",
    alt="Two tables of the loss after training, by size of the first weights and learning rate: without batch norm one or two "
    "fields are low, with it a broad band in every row.",
    caption=f"What you see: the loss at the end, mean of {len(seeds)} seeds; dark is good, guessing costs 3.2. Rows: first weights "
    "half, as usual, four times as large.",
)

# %% key="scale" tags=["check"]
torch.manual_seed(0)
x, conv, bn = torch.randn(8, 3, 6, 6), nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
target, gradients, outputs = torch.randn(8, 4, 4, 4), [], []
for times, bias in ((1, 0), (10, 0), (1, 5)):
    weight = (times * conv.weight).detach().requires_grad_()
    outputs.append(bn(nn.functional.conv2d(x, weight) + bias))  # (8, 4, 4, 4)
    gradients.append(torch.autograd.grad(((outputs[-1] - target) ** 2).mean(), weight)[0])
for n, what in ((1, "weights ten times as large"), (2, "a bias of 5 before BN")):
    change, ratio = (outputs[n] - outputs[0]).abs().max(), gradients[n].norm() / gradients[0].norm()
    print(f"{what}: output changes by less than 0.001: {change < 1e-3}; gradient times {ratio:.2f}")

# %% key="variants"
print("rate 0.03          loss   right on known   right on new pictures")
for name, how in {
    "neither": {},
    "BN before tanh": {"norm": "before"},
    "BN after tanh": {"norm": "after"},
    "dropout 0.2": {"dropout": 0.2},
    "BN and dropout": {"norm": "before", "dropout": 0.2},
}.items():
    runs = c02.deep_runs(known, new, seeds=seeds, steps=10 if small else 60, **how)
    found[name] = runs
    print(
        f"{name:16}{runs['loss'].mean():7.2f}{100 * runs['known'].mean():13.0f} %{100 * runs['new'].mean():17.0f} %"
        f"   (seeds {100 * runs['new'].min():.0f} to {100 * runs['new'].max():.0f})"
    )
print(
    "Loss: last ten training steps, batch statistics. Shares: afterwards, running statistics (section 5)."
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
print(
    "BN: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5:", [round(v / 5**0.5, 2) for v in (-3, -1, 1, 3)]
)
print("IN: means 2 and 6, variances 1 and 1:        ", [-1.0, 1.0, -1.0, 1.0])
print("FN: pooled 2 and 6, mean 4, variance 4:      ", [-1.0, 1.0])
layers = {"BN": nn.BatchNorm2d(1), "IN": norms.InstanceNorm(1), "FN": norms.FeatureNorm(1)}
for name, layer in layers.items():
    given = tiny.mean((2, 3)) if name == "FN" else tiny
    print(f"{name} by the layer:", [round(v, 2) for v in layer(given).flatten().tolist()])

# %% [markdown] key="normalise" tags=["exercise"]
# ### Exercise 2.1 · One formula
# *8 minutes · easy.* Write `normalise_over`, the formula without $\gamma$ and $\beta$, for any axes.


# %% key="normalise-stub" tags=["exercise", "stub", "check"]
def normalise_over(x, axes, eps=1e-5):
    """x: float tensor of any shape, axes: tuple of int -> the same shape, normalised over these axes."""
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
    """x: float tensor of any shape, axes: tuple of int -> the same shape, normalised over these axes."""
    mean = x.mean(axes, keepdim=True)
    var = x.var(axes, keepdim=True, unbiased=False)
    return (x - mean) / (var + eps).sqrt()


# %% key="layers-equal" tags=["check"]
maps = torch.randn(6, 5, 8, 4, generator=torch.Generator().manual_seed(0)) * 3 + 2  # (N, C, H, W)
pooled = maps.mean((2, 3))  # (N, C)
pairs = {
    "BN": (nn.BatchNorm2d(5)(maps), c02.by_formula(maps, (0, 2, 3))),
    "IN": (norms.InstanceNorm(5)(maps), c02.by_formula(maps, (2, 3))),
    "FN": (norms.FeatureNorm(5)(pooled), c02.by_formula(pooled, (0,))),
}
largest = {name: (layer - formula).abs().max().item() for name, (layer, formula) in pairs.items()}
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
model, history = recipes.train_baseline(
    journey, p, seed=run.seed, device=run.device, cache="02-baseline"
)
print(
    f"{p.steps} steps on {journey.train.numbers()['ids']} people; loss {history[0]['loss']:.1f} -> {history[-1]['loss']:.1f}"
)

# %% key="ask-share" tags=["prediction"]
teach.ask(
    "02-share",
    "After the first convolution, its BN and ReLU, of the variance between pictures the person explains ...",
    ["next to nothing", "about a third", "almost all"],
)


# %% key="shares" tags=["slide"]
def between_shares(means, cameras, ids):
    """means (N, C), one a picture, everybody equally often in every camera -> what camera and person explain, (C,) each."""
    total = means.var(0, unbiased=False)

    def explained(labels):
        return (
            torch.stack([means[labels == k].mean(0) for k in labels.unique()]).var(
                0, unbiased=False
            )
            / total
        )

    return explained(cameras), explained(ids)


crowds = [
    world.sample(
        [("demo", place)], *((6, 3, 2) if small else (16, 6, 4)), size=p.size, seed=run.seed
    )
    for place in range(2 if small else 4)
]  # people, cameras, pictures
shares = {name: {"between": 0, "camera": 0, "person": 0} for name in c02.LAYERS}
for crowd in crowds:
    for (name, row), maps in zip(
        shares.items(), c02.activations(model, crowd.pictures())
    ):  # (N, C, h, w)
        inside, between = variance_shares(maps)  # (C,) each, of what the next layer is given
        camera, person = between_shares(maps.mean((2, 3)), crowd.cameras, crowd.ids)
        for key, value in (
            ("between", between / (inside + between)),
            ("camera", camera),
            ("person", person),
        ):
            row[key] += (
                100 * value.nanmean().item() / len(crowds)
            )  # a channel that never moves has no share

# %% key="shares-picture" tags=["slide"]
fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), width_ratios=[1, 1.5])
left.bar(list(shares), [row["between"] for row in shares.values()], color="0.75", edgecolor="black")
left.set(ylabel="of all variance (%)", title="between pictures: IN deletes it", ylim=(0, 100))
base = torch.zeros(len(shares))
for name, hatch, colour in (("camera", "//", "C1"), ("person", "..", "C0"), ("rest", "", "0.9")):
    heights = torch.tensor(
        [row.get(name, 100 - row["camera"] - row["person"]) for row in shares.values()]
    )
    bars = right.bar(
        list(shares), heights, bottom=base, color=colour, hatch=hatch, edgecolor="black", label=name
    )
    right.bar_label(
        bars,
        fmt="%.0f",
        label_type="center",
        fontsize=8,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white"},
    )
    base += heights
right.set(ylabel="of that part (%)", title="what that part is made of", ylim=(0, 100))
right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
for ax in (left, right):
    ax.tick_params(axis="x", labelsize=8)
teach.show(
    fig,
    name="02-shares",
    alt="Left, bars by layer: the share of variance between pictures shrinks with depth. Right, stacked bars: the camera's "
    "part of it shrinks with depth, the person's stays large throughout.",
    caption="What you see: left, how much of a channel's variance lies between pictures; right, who explains it. Means over "
    f"channels and {len(crowds)} places that the network never saw.",
)

# %% [markdown] key="twins" tags=["exercise"]
# ### Exercise 2.2 · Two people in grey
# *10 minutes · medium · predict, then measure.* Two people of one shape, one dressed all in mid-grey, one all in light grey, before a black wall. Write `gap`: normalise both **in one batch**, return the mean absolute difference. Which norm gives almost zero? The cell behind the solution measures a drawn pair.


# %% key="twins-stub" tags=["exercise", "stub", "check"]
def gap(norm, a, b):
    """norm: a layer, for (N, 3, H, W); a, b: (3, H, W) -> float, mean absolute difference of the normalised pictures."""
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
    """norm: a layer, for (N, 3, H, W); a, b: (3, H, W) -> float, mean absolute difference of the normalised pictures."""
    y = norm(torch.stack([a, b]))  # (2, 3, H, W)
    return (y[0] - y[1]).abs().mean().item()


# %% [markdown] key="twins-why" tags=["solution"]
# Each picture has two values only: the wall's and the clothes'. After IN the darker and the lighter land on the same two numbers. The wall must be darker than both: before a wall of a shade between them, one would come out darker than it, the other lighter, and IN could tell them apart.

# %% key="twins-drawn" tags=["check"]
people = world.make_people(1, seed=3)
stand, eye = (
    world.make_poses(1, seed=3, knobs=world.EASY),
    world.make_cameras(world.make_place("demo", 0), 1),
)
shape = (
    world.render(people, eye, stand, size=(64, 32), raw=False).masks > 0
).float()  # (1, H, W) 1 on the person
pair = torch.stack(
    [0.4 * shape.expand(3, -1, -1), 0.8 * shape.expand(3, -1, -1)]
)  # mid-grey, light grey
twins = {}
for name, layer in (("BN", nn.BatchNorm2d(3)), ("IN", norms.InstanceNorm(3))):
    twins[name] = c02.pair_gap(layer, pair)
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
crowd, who, chains = c02.crowd_through_chains(12 if small else 96, 4, p.size, run.seed, run.device)
light = crowd.upper.mean(1)[who] > crowd.upper.mean(1).median()  # (N,) bool
torch.manual_seed(run.seed)
untrained = Baseline(2, p.trunk).to(run.device)
curves = {
    "trained": c02.style_and_content(
        [c02.activations(model, pictures) for pictures in chains], light
    )
}
with reestimated_statistics(untrained, normalize(torch.cat(chains)[::4]), batch=256):
    curves["not trained"] = c02.style_and_content(
        [c02.activations(untrained, pictures) for pictures in chains], light
    )
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True)
for ax, (title, lines) in zip(axes, curves.items()):
    for name, label in (
        ("style", "style: two chains"),
        ("content", "content: light, dark tops"),
        ("nothing", "random halves"),
    ):
        ax.plot(lines[name], label=label, markersize=7)
    ax.set(yscale="log", title=title, xticks=range(6), xticklabels=c02.LAYERS)
axes[0].set_ylabel("divergence (nats), median channel")
axes[1].legend(fontsize=8)
teach.show(
    fig,
    name="02-depth",
    alt="Two panels, a trained and an untrained network: divergence by layer on a log axis. Style lies highest and falls "
    "with depth, content below it, two random halves lowest.",
    caption=f"What you see: how far two sets lie apart in each layer ({len(who)} pictures through four chains). In the last stage, "
    "style and content: "
    + "; ".join(
        f"{name} {each['style'][-1]:.2f} and {each['content'][-1]:.2f}"
        for name, each in curves.items()
    )
    + ". Random halves, pixels over last stage: "
    + ", ".join(
        f"{name} {each['nothing'][0] / each['nothing'][-1]:.1f}" for name, each in curves.items()
    )
    + ".",
)

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
one = torch.randn(1, 3, 8, 4, generator=torch.Generator().manual_seed(1))
bn, instance = nn.BatchNorm2d(3), norms.InstanceNorm(3)
print(
    "accident 1: one picture, training mode: BN equals IN to 1e-5:",
    ((bn(one) - instance(one)).abs().max() < 1e-5).item(),
)
try:
    nn.BatchNorm1d(3)(one.mean((2, 3)))  # (1, 3) a pooled feature
except ValueError as error:
    print("at the feature:", type(error).__name__)
bn = nn.BatchNorm1d(1)
bn(torch.tensor([[2.0], [6.0]]))  # mean 4, biased variance 4, unbiased 8
print(
    f"running mean 0.9 x 0 + 0.1 x 4 = {bn.running_mean.item():.1f}, running variance 0.9 x 1 + 0.1 x 8 = {bn.running_var.item():.1f}"
)

# %% key="ask-company" tags=["prediction"]
teach.ask(
    "02-company",
    "Eval was forgotten, and the folder is read person by person, a batch each. mAP ...",
    ["rises: people are kept together", "stays", "falls a little", "falls to almost nothing"],
)

# %% key="company" tags=["slide"]
fresh = world.make_exam(
    [("validation", place) for place in range(p.unseen_places)],
    p.exam_people,
    p.cameras,
    max(2, p.pictures),
    p.size,
    run.seed,
    device=run.device,
)  # new people in new places
both = fresh.both()  # queries first
images = normalize(both.pictures()).to(run.device)  # (N, 3, H, W)
mean_ap = lambda features: c02.scores(features, fresh)["by place"][1]  # a gallery for each place
mixed = torch.randperm(len(both), generator=torch.Generator().manual_seed(run.seed))
each = lambda labels: [
    (labels == k).nonzero().flatten() for k in labels.unique()
]  # one batch a label
batches = {
    "forgotten: 32, cameras mixed": mixed.split(32),
    "forgotten: 2, cameras mixed": mixed.split(2),
    "forgotten: one batch a person": each(both.ids),
    "one batch of all places": [mixed],
    "one batch a camera": each(both.cameras),
}
score = {"eval mode, as it should be": mean_ap(retrieval.embed(model, both, device=run.device))}
for label, company in batches.items():
    features, moved = c02.company(model, images, company)
    score[label] = mean_ap(features)
    if label.startswith("forgotten"):
        print(
            f"{label}: the model afterwards, in eval mode again, {mean_ap(retrieval.embed(moved, both)):.1f} mAP"
        )

# %% key="company-picture" tags=["slide"]
pixels = normalize(both.pictures())  # (N, 3, H, W)
for size in (2, 8, 32):
    means = torch.stack(
        [pixels[torch.randperm(len(pixels))[:size]].mean((0, 2, 3)) for _ in range(200)]
    )
    print(
        f"in pixels, a batch of {size:2}: its mean is off by {(means.std(0) / pixels.std((0, 2, 3))).mean():.2f} deviations"
    )
offsets = torch.stack(
    [pixels[both.cameras == camera].mean((0, 2, 3)) for camera in both.cameras.unique()]
)
print(
    f"all in one batch, the cameras' means keep lying {(offsets.std(0) / pixels.std((0, 2, 3))).mean():.2f} deviations apart"
)
fig, ax = plt.subplots(figsize=(7.5, 2.7))
start = score["eval mode, as it should be"]
for y, (label, value) in enumerate(reversed(score.items())):
    ax.plot(
        value,
        y,
        marker="o" if value >= start else "X",
        color="C0" if value >= start else "C1",
        markersize=8,
        linestyle="none",
    )
    ax.text(
        value + 1.5,
        y,
        f"{value:.0f}",
        va="center",
        fontsize=9,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    )
ax.axvline(start, color="black", linewidth=0.9, linestyle=":", marker="none")
ax.set(
    yticks=range(len(score)),
    yticklabels=list(score)[::-1],
    xlabel="mAP in new places, one gallery a place (%)",
    xlim=(0, max(score.values()) + 8),
)
teach.show(
    fig,
    name="02-company",
    alt="Dots of mAP for one network: in eval mode, then normalised in different company; worst with one batch for each "
    "person, best with one batch for each camera.",
    caption="What you see: one network, one exam; only the pictures that are normalised together differ. Crosses: worse than "
    "eval mode; circles: not worse. One batch a person: what a person's pictures share is their mean, and the batch takes "
    "the mean away: identity goes first.",
)

# %% [markdown] key="repair" tags=["exercise"]
# ### Exercise 2.3 · The exam that changed the model
# *10 minutes · medium · repair a bug.* A colleague's scores change with the batch size, and her training got worse after each validation. Repair her function: features of one picture must not depend on the others, and the model must come back **exactly** as it was, each of its layers.


# %% key="repair-stub" tags=["exercise", "stub", "check"]
def features_of(model, images, batch=4):
    """model: a module, images (N, 3, H, W) -> (N, D) features without gradients; the model is afterwards as before."""
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
    """model: a module, images (N, 3, H, W) -> (N, D) features without gradients; the model is afterwards as before."""
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
ways = {}  # (where, way, gallery) -> (rank-1, mAP)
print("rank-1 / mAP, one gallery for:   each place    all places")
for where, exam in (("home", journey.home), ("new places", fresh)):
    everybody = exam.both()
    adapted = torch.empty(len(everybody), model.neck.num_features, device=run.device)
    for place in everybody.domains.unique():
        here = everybody.domains == place
        with reestimated_statistics(model, normalize(everybody[here].pictures())):  # no label used
            adapted[here.to(run.device)] = retrieval.embed(
                model, everybody[here], device=run.device
            )
    for way, features in {
        "as trained": retrieval.embed(model, everybody, device=run.device),
        "per place (AdaBN)": adapted,
        "per camera (CBN)": retrieval.embed_by_camera(model, everybody, device=run.device),
    }.items():
        found_here = c02.scores(features, exam)
        ways |= {(where, way, gallery): both_scores for gallery, both_scores in found_here.items()}
        print(
            f"{where:11}{way:20}"
            + "".join(
                "{:8.1f} /{:5.1f}".format(*found_here[gallery])
                for gallery in ("by place", "pooled")
            )
        )

# %% key="explorer" tags=["widget", "slide"]
draw, controls = c02.normalisation_explorer((64, 32), run.seed)
teach.explore(
    draw,
    controls,
    film=[{"gain": 1.0}, {"warmth": 0.8}, {"contrast": 0.5}, {"gain": -0.8, "person": 3}],
    name="02-explorer",
    alt="Two pictures of one person, the second pushed in gain, white balance and contrast; histograms of both as pixels, "
    "after batch norm and after instance norm; distances between them and to a stranger.",
)

# %% [markdown] key="held" tags=["slide"]
# Before you push: IN has already lost some distance to the stranger, this chapter's price. (The second picture has another pose, so no norm brings it to 0.) Now push the gain up: from where on is the stranger closer, and after which norm? BN at test is one fixed multiply and add, so it can only pass the push on.
#
# The table above the widget, once more: one statistic for a whole new place hardly helped; one for each camera did, at home too: it takes away what sets cameras apart.
#
# ## What held here
#
# Each sentence is measured in this run and judged; recorded seeds stand beside it where there are some.

# %% key="claims" tags=["claim", "slide"]
plain, normed = (
    found[name]["loss"] for name in ("without BN", "with BN")
)  # (scales, rates, seeds)
best = [
    losses.nan_to_num(99).amin(1) for losses in (plain, normed)
]  # (scales, seeds) each, at its best rate
half = torch.log(torch.tensor(24.0)) / 2  # half of what guessing costs
fast = [losses[1, rates.index(0.3)].nan_to_num(99) for losses in (plain, normed)]  # (seeds,) each
ratio = {
    name: found_here["style"][-1] / found_here["content"][-1] for name, found_here in curves.items()
}
gain = lambda where, way, gallery="by place": (
    ways[where, way, gallery][1] - ways[where, "as trained", gallery][1]
)
measured = {
    "at_large_rate": min((fast[0] - half).min(), (half - fast[1]).min()),
    "any_scale": (best[0] - best[1]).min(),
    "camera_falls": shares["stem"]["camera"] - shares["layer4"]["camera"],
    "person_lost": shares["stem"]["person"],
    "style_falls": curves["trained"]["style"][0] / curves["trained"]["style"][-1],
    "person_batches": start - score["forgotten: one batch a person"],
    "content_growth": curves["trained"]["content"][-1] / curves["trained"]["content"][0],
    "parted": ratio["not trained"] / ratio["trained"],
    "per_camera_gain": gain("new places", "per camera (CBN)"),
    "home_gain": gain("home", "per camera (CBN)"),
    "pooled_loss": gain("home", "per camera (CBN)") - gain("home", "per camera (CBN)", "pooled"),
    "beyond_adabn": gain("new places", "per camera (CBN)")
    - gain("new places", "per place (AdaBN)"),
}
measured = {name: float(value) for name, value in measured.items()}


def judged(sentence, name, holds, unit):
    teach.claim(
        sentence,
        measured=measured[name],
        holds=holds,
        unit=unit,
        run=run,
        recorded=c02.recorded("02_chapter", name),
    )


judged(
    "At a rate of 0.3 and first weights as usual, every net with BN ends below half of what guessing costs, every net without above it",
    "at_large_rate",
    lambda gap: gap > 0,
    "of loss between that line and the nearest net",
)
judged(
    "With BN the net learns better than without at every size of the first weights, each at its best rate",
    "any_scale",
    lambda gap: gap > 0,
    "of loss, worst case",
)
judged(
    "In the stem, more of the variance between pictures is camera than in the last stage",
    "camera_falls",
    lambda more: more > 0,
    "points",
)
judged(
    "What IN deletes in the stem is to more than a tenth person",
    "person_lost",
    lambda share: share > 10,
    "% of the variance between pictures",
)

# %% key="claims-more" tags=["claim"]
judged(
    "From pixels to the last stage, the divergence by style falls to less than a tenth",
    "style_falls",
    lambda times: times > 10,
    "times",
)
judged(
    "Content is smaller in the last stage than in pixels",
    "content_growth",
    lambda times: times < 1,
    "times",
)
judged(
    "A forgotten eval with one batch a person costs more than ten points of mAP",
    "person_batches",
    lambda loss: loss > 10,
    "points of mAP",
)
judged(
    "In new places, statistics per camera win more than five points of mAP",
    "per_camera_gain",
    lambda more: more > 5,
    "points of mAP",
)
judged(
    "They win more than one statistic for each place does",
    "beyond_adabn",
    lambda more: more > 0,
    "points of mAP",
)
judged(
    "They win at home too, with one gallery a place",
    "home_gain",
    lambda more: more > 0,
    "points of mAP",
)
judged(
    "At home they win less, or lose, in one gallery of all places",
    "pooled_loss",
    lambda less: less > 0,
    "points of mAP",
)
everywhere = {
    "run": run,
    "presets": ("smoke", "laptop", "gpu"),
    "data": ("world", "market1501", "pku-reid"),
}
teach.claim(
    "The three layers are the one formula",
    measured=max(largest.values()),
    holds=lambda gap: gap < 1e-5,
    unit="largest difference",
    **everywhere,
)
teach.claim(
    "IN cannot tell mid-grey from light grey before black, BN can",
    measured=twins["BN"] - twins["IN"],
    holds=lambda more: more > 0.1,
    unit="deviations",
    **everywhere,
)
teach.record(
    **measured,
    **{
        "_".join(key).replace(" ", "_").replace("(", "").replace(")", "").lower(): value[1]
        for key, value in ways.items()
    },
)

# %% [markdown] key="paper" tags=["slide"]
# ## What papers measured
#
# Other data, other networks: compare directions. Zhuang et al. went from one real data set (Duke) to another (Market).


# %% key="paper-table"
def step(where, way):
    return " -> ".join(
        "{:.1f}/{:.1f}".format(*ways[where, each_way, "by place"])
        for each_way in ("as trained", way)
    )


past, new_place = c02.recorded("02_chapter"), "new_places_{}_by_place".format
steps = (
    []
    if past is None
    else [
        after - before
        for before, after in zip(
            past.values(new_place("as_trained")), past.values(new_place("per_place_adabn"))
        )
    ]
)
zhuang, pan, trained = (
    "Zhuang et al., ECCV 2020 (reported)",
    "Pan et al., ECCV 2018, figure (reported)",
    curves["trained"],
)
teach.compare_with_paper(
    [
        (
            "new place, one statistic for it (AdaBN), rank-1/mAP",
            "53.2/25.1 -> 55.8/28.1",
            zhuang,
            step("new places", "per place (AdaBN)"),
            gain("new places", "per place (AdaBN)") > 0,
            "in recorded seeds, mAP by "
            + (", ".join(f"{value:+.1f}" for value in steps) or "(no table)"),
        ),
        (
            "new place, per camera (CBN)",
            "53.2/25.1 -> 72.7/43.0",
            zhuang,
            step("new places", "per camera (CBN)"),
            gain("new places", "per camera (CBN)") > 0,
            "one gallery a place, as there",
        ),
        (
            "at home (Duke), per camera",
            "81.5/66.6 -> 82.5/67.3",
            zhuang,
            step("home", "per camera (CBN)"),
            gain("home", "per camera (CBN)") > 0,
            "same sign, far larger here: our network is hardly trained",
        ),
        (
            "divergence by style, shallow to deep",
            "falls",
            pan,
            f"{trained['style'][0]:.1f} -> {trained['style'][-1]:.1f}",
            trained["style"][0] > trained["style"][-1],
        ),
        (
            "divergence by content, shallow to deep",
            "grows",
            pan,
            f"{trained['content'][0]:.2f} -> {trained['content'][-1]:.2f}",
            trained["content"][0] < trained["content"][-1],
            "kinds of objects there, colour of clothes here",
        ),
    ],
    title="Directions",
)

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

# ---
# jupyter:
#   reidkit:
#     chapter: "01b"
#     title: Three ways to train, and one way to collapse
#     about: "Optional: identities, pairs, attributes; a triplet collapse repaired"
#     row: the task
#     map: "three ways\nto train"
#     minutes_study: 45
#     minutes_compute: 2
#     prerequisites: ["01"]
# ---

# %% [markdown] key="title" tags=["slide"]
# # 1b · Three ways to train, and one way to collapse
#
# **Promise:** you will train one network three ways, as a classifier of people, as a judge of pairs and as a reader of attributes, see which one retrieves best, then break the triplet loss on purpose and repair it.
#
# | | |
# |---|---|
# | **Study** | 45 minutes, of which the computer needs about 2 · an optional companion to chapter 1 |
# | **You need** | chapter 1 |
# | **Afterwards you can** | write the three losses · say what each one asks of a feature · recognise a collapsed triplet loss from its curve and repair it |
#
# **Recall from chapter 1.**
# <details><summary>1. Training and exam share no person. Why is a classifier useful at all, then?</summary>Its last layer is thrown away; the feature below it is compared. To tell many people apart, that feature must say what they look like.</details>
# <details><summary>2. What is junk?</summary>Same identity and same camera as the query, or id −1.</details>
# <details><summary>3. A network gives every picture the same feature. What is its honest rank-1?</summary>Zero: a tie must never help.</details>

# %% key="parameters" tags=["parameters"]
PRESET: str = "laptop"  # smoke (seconds) | laptop (minutes) | gpu (bigger network, bigger pictures)
SEED: int = 0  # people, order of the batches and first weights all follow from it
DATA: str = "world"  # "world", "market1501:PATH" or "pku-reid:PATH"
DEVICE: str = "auto"  # "auto", "cpu" or "cuda"
THREADS: int = 2  # CPU threads; the same number gives the same digits on one machine
WAYS: str = "identity verification"  # which ways to train live; + joins losses: "identity+triplet"

# %% key="setup" tags=["setup", "skip"]
import functools

import torch

from reidkit import datasets, losses, teach
from reidkit.chapters.three_ways_to_train import checks as check
from reidkit.chapters.three_ways_to_train import experiments, figures, widgets
from reidkit.methods import three_ways
from reidkit.recipes.ways import train_way

run = teach.start("01b", PRESET=PRESET, SEED=SEED, DATA=DATA, DEVICE=DEVICE, THREADS=THREADS)
ways = WAYS.split()
for way in ways:
    three_ways.way_losses(way)  # an unknown way stops here

# %% [markdown] key="goal" tags=["slide"]
# ## Where this chapter ends
#
# One trunk, one feature, the same pictures, the same number of steps. Only the question that the loss asks differs. The table was recorded over several seeds; below you train two of its rows yourself. **Guess before you look:** names, pairs or words, which teaches best?

# %% key="ask-ways" tags=["prediction"]
teach.ask(
    "01b-ways",
    "Same trunk, same pictures, same steps. Trained on names (identification), on pairs "
    "(verification) or on words (attributes): which retrieves best at home?",
    ["identification", "verification", "attributes"],
)

# %% key="goal-picture" tags=["slide"]
table = teach.recorded("01b_ways")
teach.show(figures.scores_of_ways(table), "01b-goal", provenance=table.provenance())

# %% [markdown] key="identification" tags=["slide"]
# ## 1. "Who is this?" Identification
#
# Treat every training person as a class: cross-entropy over $C$ people, $\;L=-\log p_y$. Each picture is compared with *all* class weights at once, so every step teaches much. But nothing ever compares two pictures directly, and the classes are gone on exam day.
#
# A network that knows nothing gives every class the same probability, so its loss is $\log C$. A curve that stays there means that the pipeline is broken, not that the task is hard.

# %% key="load" tags=["check"]
journey = datasets.load_journey(run.data, run.preset, seed=run.seed, device=run.device)
people = len(journey.train.ids.unique())
ours = torch.tensor(float(people)).log()
market = torch.tensor(751.0).log()
print(f"{people} training people: chance loss {ours:.2f}. Market-1501 has 751: {market:.2f}.")

# %% key="by-hand" tags=["check"]
logits = torch.tensor([[2.0, 0.0, 0.0]])  # (1, 3): three people, fairly sure of the first
p = logits.softmax(1)[0]  # (3,)
loss = -p[0].log()
smoothed = losses.cross_entropy(logits, torch.tensor([0]), smoothing=0.1)[0]
print(f"loss -log p_y: {loss:.4f}, with a tenth of the label spread over all: {smoothed:.4f}")
onehot = torch.tensor([1.0, 0, 0])
grad = [round(x, 3) for x in (p - onehot).tolist()]
print("gradient on the logits, p - onehot:", grad)

# %% [markdown] key="verification" tags=["slide"]
# ## 2. "Are these the same?" Verification
#
# Now the question of the exam itself, for a pair of pictures. Two forms:
#
# - **Contrastive:** $\;y\,d^2+(1-y)\,[m-d]_+^2$. Same person: come together. Strangers: keep at least $m$ apart, and beyond that I do not care.
# - **Pair classifier:** a logit $w\cdot(a-b)^2+c$ and a yes-or-no cross-entropy. It learns *which* channels matter for a difference.
#
# Pairs grow with the square of the batch, and nearly all of them are strangers. In a batch of P people with K pictures, a picture has $K-1$ partners among $PK-1$ others. So weigh the two kinds equally, or the loss learns to say "no".

# %% key="rare" tags=["check"]
for P, K in [(16, 4), (4, 16), (8, 2)]:
    ids = torch.arange(P).repeat_interleave(K)  # (P * K,)
    first, second, same = losses.pairs(ids)
    share = 100 * same.float().mean()
    print(f"P={P:2} K={K:2}: {len(same):4} pairs, {share:4.1f} % show one person")

# %% [markdown] key="contrastive" tags=["exercise"]
# ### Exercise 1b.1 · Repair the contrastive loss
# *8 minutes · easy.* One mistake, with consequences. Try strangers 0.5 apart, then strangers 5 apart: which way does a step move them, and which way should it?


# %% key="contrastive-stub" tags=["exercise", "stub", "check"]
def contrastive(d, same, margin=1.0):
    """d: (n,) distances of pairs, same: (n,) bool
    -> (n,) loss of each pair: y d^2 + (1 - y) [m - d]_+^2.
    """
    return torch.where(same, d**2, (d - margin) ** 2)


check.contrastive(contrastive)

# %% [markdown] key="contrastive-hint1" tags=["hint"]
# Strangers five apart are far enough. What should their loss be, and what is it here?

# %% [markdown] key="contrastive-hint2" tags=["hint"]
# $[x]_+$ is `x.clamp_min(0)`. Where does it belong, and with which sign inside?

# %% [markdown] key="contrastive-hint3" tags=["hint"]
# Strangers: `(margin - d).clamp_min(0) ** 2`.


# %% key="contrastive-solution" tags=["solution"]
def contrastive(d, same, margin=1.0):
    """d: (n,) distances of pairs, same: (n,) bool
    -> (n,) loss of each pair: y d^2 + (1 - y) [m - d]_+^2.
    """
    return torch.where(same, d**2, (margin - d).clamp_min(0) ** 2)


# %% [markdown] key="attributes" tags=["slide"]
# ## 3. "What is she wearing?" Attributes
#
# Predict hair, sleeves, colours, bag: one small classifier each, $\;L=\frac1M\sum_m L_m$. People who differ in an attribute move apart, and the machine can say *why* two pictures match. But strangers who dress alike are the same to it. And accuracy flatters: when most people carry no bag, "no bag" is right most of the time. So look at the **balanced** accuracy, the mean over the values of an attribute. (One of ours, *facing*, says how a person stands, not what she wears; it is trained, too.)

# %% key="attribute-table"
figures.attribute_table(journey.train)

# %% key="fit" tags=["slide"]
scores = {}
histories = {}
for way in ways:
    trained = train_way(way, journey, run.preset, seed=run.seed, device=run.device)
    scores[way] = trained.scores
    histories[way] = trained.history
    print(f"{way:14} home {trained.scores['home']}")
    print(f"{'':14} away {trained.scores['away']}")

# %% key="curves"
teach.show(figures.relative_losses(histories), "01b-curves")


# %% key="recorded-ways"
def chance(exam, near=False):
    """Rank-1 in % of a random ranking; near: of one that knows the place and nothing else."""
    q = exam.query
    g = exam.gallery
    same_id = q.ids[:, None] == g.ids[None]  # (Q, G)
    same_camera = q.cameras[:, None] == g.cameras[None]
    stay = ~(same_id & same_camera)  # all but junk
    if near:
        stay &= q.domains[:, None] == g.domains[None]
    right = stay & same_id
    share = right.sum(1) / stay.sum(1).clamp(min=1)  # (Q,)
    return 100 * share.mean().item()


print(f"{'way':22} home  away")
for way in experiments.recorded_ways(table):
    home = experiments.mean_rank1(table, way)
    away = experiments.mean_rank1(table, way, "away")
    print(f"{way:22} {home:4.0f}  {away:4.0f}")
for name, near in [("chance", False), ("chance, place known", True)]:
    home = chance(journey.home, near)
    away = chance(journey.away, near)
    print(f"{name:22} {home:4.0f}  {away:4.0f}")

# %% [markdown] key="why" tags=["slide"]
# ### Three things that ask for a reason
#
# **Verification is far behind.** Its question is the exam's own question, so why? A batch mixes six places. Five of six strangers come from *another* place, and there the wall and the light give the answer away: "different" is learnt without a look at the person. *Judging only pairs of one place* (`verification-near`) tests this explanation: nothing else changes, and it rises, though not to the level of the others: the place is one reason, not the only one. (Compare the last line above: plain verification is not far above knowing the place and guessing the person.) Batch-hard triplets (section 4) look for the hardest stranger themselves.
#
# **Attributes are strong.** At home they come near identification, abroad they are ahead. Our reading, not tested here: a name says nothing about a person, exact words do, and with few people and short training words teach faster. Real attribute labels are coarser and sometimes wrong.
#
# **Attributes and near pairs keep more abroad than names do.** "Red coat, short hair" means the same in every place, and a judge who only meets strangers of one place gains nothing from the wall. What a loss does not reward, a network has less reason to store. Keep that thought for chapter 2.

# %% key="easy-strangers" tags=["check"]
domains = journey.train.domains
shares = [(domains != place).float().mean() for place in domains.unique()]
share = sum(shares) / len(shares)
print(f"share of pictures from another place than one's own: {share:.2f}")

# %% key="ask-collapse" tags=["prediction"]
teach.ask(
    "01b-collapse",
    "A triplet loss asks: my farthest own picture closer than my nearest stranger, by a margin. "
    "Trained alone, with a large learning rate, for 100 steps, it will ...",
    ["fall towards zero", "freeze at the margin", "grow"],
)

# %% [markdown] key="triplet" tags=["slide"]
# ## 4. The triplet loss, and how it collapses
#
# The triplet asks only for *order*: my farthest own picture must be closer than my nearest stranger, by a margin $m$:
#
# $$L_a=\Big[\,m+\max_{p}d(a,p)-\min_{n}d(a,n)\Big]_+$$
#
# **Batch-hard** takes the worst of each. That is strong, and dangerous: early on, the hardest stranger is nearly always closer than the farthest own picture. The quickest way to shrink *that* difference is to shrink everything. When all features are one point, every distance is zero, the loss is exactly $m$, and no direction helps any more: pulls and pushes cancel.

# %% [markdown] key="batch-hard" tags=["exercise"]
# ### Exercise 1b.2 · Batch-hard mining
# *10 minutes · medium.* From the table of distances to the hardest positive and the hardest negative of each anchor.


# %% key="batch-hard-stub" tags=["exercise", "stub", "check"]
def batch_hard(distance, ids):
    """distance: (B, B), ids: (B,)
    -> hardest positive (B,), hardest negative (B,) distances of each anchor.
    """
    ...


check.batch_hard(batch_hard)

# %% [markdown] key="batch-hard-hint1" tags=["hint"]
# The table "same person" has the anchor itself on its diagonal: does it matter for a maximum?

# %% [markdown] key="batch-hard-hint2" tags=["hint"]
# Hide what must not win: with 0 before a maximum, with infinity before a minimum. `masked_fill` does it.

# %% [markdown] key="batch-hard-hint3" tags=["hint"]
# `distance.masked_fill(~same, 0).amax(1)`, and the mirror image of it for strangers.


# %% key="batch-hard-solution" tags=["solution"]
def batch_hard(distance, ids):
    """distance: (B, B), ids: (B,)
    -> hardest positive (B,), hardest negative (B,) distances of each anchor.
    """
    same = ids[:, None] == ids[None]
    return distance.masked_fill(~same, 0).amax(1), distance.masked_fill(same, float("inf")).amin(1)


# %% key="collapse" tags=["slide"]
lab = {}
for name, settings in experiments.COLLAPSE_ROWS.items():
    lab[name] = experiments.collapse_lab(run, **settings)
teach.show(figures.collapse_curves(lab), "01b-collapse")

# %% [markdown] key="rescue" tags=["exercise"]
# ### Exercise 1b.3 · Rescue it
# *10 minutes · run an experiment.* You have seen four other runs; now find your own. Below are the settings of the collapsed run. Change as few as you can so that the loss ends clearly below the margin and the features stay apart. `rate`: learning rate; `warmup`: steps until it is reached; `mining`: "hard" or "weighted" (all pairs count, hard ones more); `identity`: True adds the identity loss.


# %% key="rescue-stub" tags=["exercise", "stub", "check"]
def rescue():
    """-> dict of settings for experiments.collapse_lab: rate, warmup, mining, identity."""
    return experiments.COLLAPSED


check.rescue(rescue)

# %% [markdown] key="rescue-hint1" tags=["hint"]
# What made the first steps so large and so wrong?

# %% [markdown] key="rescue-hint2" tags=["hint"]
# "weighted" lets every pair count, so that one wrong extreme no longer decides.

# %% [markdown] key="rescue-hint3" tags=["hint"]
# Try `{**experiments.COLLAPSED, "rate": ...}` with a rate thirty times smaller.


# %% key="rescue-solution" tags=["solution"]
def rescue():
    """-> dict of settings for experiments.collapse_lab: rate, warmup, mining, identity."""
    return {**experiments.COLLAPSED, "rate": experiments.COLLAPSED["rate"] / 30}


# %% key="triplet-explorer" tags=["widget", "slide"]
draw, controls = widgets.triplet_explorer()
film = [{"spread": 0.2}, {"spread": 1.0}, {"margin": 0.6}, {"loss": "weighted"}]
teach.explore(draw, controls, film, "01b-triplet")

# %% key="claims" tags=["claim", "slide"]
claim = functools.partial(teach.claim, run=run)
ends = experiments.ends_of(lab)
collapsed = ends["collapsed"]
frozen_gap = abs(collapsed["loss"] - 0.3)
shrunk_to = collapsed["distance"] / lab["collapsed"]["distance"][0]
claim(
    "A collapsed batch-hard loss freezes at its margin",
    measured=frozen_gap,
    holds=lambda gap: gap < 0.01,
    unit="away from 0.3",
    recorded=teach.recorded("01b_chapter", "frozen_gap"),
)
claim(
    "... and its features are one point",
    measured=shrunk_to,
    holds=lambda share: share < 0.02,
    unit="of the first mean distance",
    recorded=teach.recorded("01b_chapter", "shrunk_to"),
)

# %% key="claims-repairs" tags=["claim", "slide"]
worst_repair = max(ends[name]["loss"] for name in experiments.REPAIRS)
with_identity = ends["with identity loss"]
claim(
    "A small rate, a warm-up and weighted mining all end below the margin",
    measured=worst_repair,
    holds=lambda loss: loss < 0.25,
    unit="the largest of their losses",
    recorded=teach.recorded("01b_chapter", "worst_repair"),
)
claim(
    "An identity loss keeps the features apart ...",
    measured=with_identity["distance"],
    holds=lambda distance: distance > 0.05,
    unit="mean distance",
    recorded=teach.recorded("01b_chapter", "identity_distance"),
)
claim(
    "... but does not bring the triplet loss down",
    measured=with_identity["loss"],
    holds=lambda loss: loss > 0.25,
    unit="triplet loss",
    recorded=teach.recorded("01b_chapter", "identity_triplet"),
)

# %% key="claims-recorded" tags=["claim"]
teach.claim(
    "In every recorded seed, triplets retrieve better at home than identification",
    measured=experiments.smallest_gain(table, "triplet", ["identity"], "home"),
    holds=lambda gap: gap > 0,
    unit="points in the worst seed",
)
teach.claim(
    "In every recorded seed, identification and triplets together are better than each alone",
    measured=experiments.smallest_gain(table, "identity+triplet", ["identity", "triplet"], "home"),
    holds=lambda gap: gap > 0,
    unit="points in the worst seed",
)
teach.claim(
    "In every recorded seed, attributes retrieve better abroad than identification",
    measured=experiments.smallest_gain(table, "attributes", ["identity"], "away"),
    holds=lambda gap: gap > 0,
    unit="points of rank-1 in the worst seed",
)
teach.claim(
    "In every recorded seed, verification gains when it judges only pairs of one place",
    measured=experiments.smallest_gain(table, "verification-near", ["verification"], "home"),
    holds=lambda gap: gap > 0,
    unit="points in the worst seed",
)

# %% key="record" tags=["skip"]
rank1 = {}
for way in ways:
    for exam in ("home", "away"):
        rank1[f"{way}_{exam}_rank1"] = 100 * scores[way][exam].cmc[1]
teach.record(
    **rank1,
    frozen_gap=frozen_gap,
    shrunk_to=shrunk_to,
    worst_repair=worst_repair,
    identity_distance=with_identity["distance"],
    identity_triplet=with_identity["loss"],
)

# %% [markdown] key="paper" tags=["slide"]
# ## What papers measured
#
# Zheng, Zheng and Yang (TOMM 2018) trained identification and verification together and gained by it. Read the gaps, not the levels: their people are real, their network had seen ImageNet, and all their people walk in one place.

# %% key="paper-table"
rows = experiments.paper_together(table)
teach.compare_with_paper(rows, title="Together or alone?")

# %% [markdown] key="end" tags=["slide"]
# ## What this does not show
#
# Few people, short training; with more of both the order may change. Drawn attributes are exact; real ones are not. The learning rate was the same for all ways, chosen for none of them.
#
# ## In five lines
#
# 1. Identification compares a picture with all people at once; verification compares two pictures; attributes say what is worn, and of the three they keep most abroad.
# 2. Nearly all pairs are strangers: balance them, and beware of strangers that the place gives away.
# 3. A triplet asks for order only; batch-hard takes the worst case of each anchor.
# 4. A triplet loss that sits at its margin has collapsed: look at the distances, not at the loss alone.
# 5. A smaller step, a warm-up or softer mining repairs it; at this large rate an identity loss only keeps the features apart.
#
# ## References
#
# - Z. Zheng, L. Zheng, Y. Yang. *A Discriminatively Learned CNN Embedding for Person Re-identification.* ACM TOMM 2018. Identification and verification together.
# - Z. Zheng, L. Zheng, Y. Yang. *Unlabeled Samples Generated by GAN Improve the Person Re-identification Baseline in vitro.* ICCV 2017. The numbers above.
# - Y. Lin, L. Zheng, Z. Zheng, Y. Wu, Z. Hu, C. Yan, Y. Yang. *Improving Person Re-identification by Attribute and Identity Learning.* Pattern Recognition 95, 2019, arXiv 1703.07220.
# - R. Hadsell, S. Chopra, Y. LeCun. *Dimensionality Reduction by Learning an Invariant Mapping.* CVPR 2006. The contrastive loss, there with a factor of ½ and 0 for "same".
# - A. Hermans, L. Beyer, B. Leibe. *In Defense of the Triplet Loss for Person Re-identification.* arXiv 1703.07737, 2017. Batch-hard, and its collapse.
#
# **Next:** chapter 2, what batch and instance statistics remember.

# %% [markdown] key="notes" tags=["notes"]
# *For lecturers.* 15 minutes: the three questions, then the collapse picture; ask what the loss curve alone would have told. 45 minutes: solve 1b.2 at the board, let groups compete in 1b.3 for the fewest changed settings.

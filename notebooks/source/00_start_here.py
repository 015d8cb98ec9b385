# ---
# jupyter:
#   reidkit:
#     chapter: "00"
#     title: Start here
#     about: "The question, how to study, ethics and law, glossary"
#     row: the task
#     map: "start here"
#     minutes_study: 20
#     minutes_compute: 0.3
#     prerequisites: []
# ---

# %% [markdown] key="title" tags=["slide"]
# # 0 · Start here
#
# **Promise:** in twenty minutes you will know what person re-identification is, what this course is after, and that everything runs on your machine.
#
# | | |
# |---|---|
# | **Study** | 20 minutes, of which the computer needs a few seconds |
# | **You need** | Python and a little PyTorch (tensors, `nn.Module`, a training loop); no re-ID |
# | **Afterwards you can** | say what the course is about · use its exercises, widgets and predictions · lecture from it and rerun it · say what drawn people avoid and what they hide |
#
# **Recall** comes here in later chapters: three questions on what you learnt before, answers folded. Try the form:
# <details><summary>1. What does <code>torch.cdist(a, b)</code> return?</summary>The matrix of distances between every row of a and every row of b.</details>
# <details><summary>2. What is the shape of <code>x[:, None] + y[None]</code> for vectors of length 3 and 4?</summary>(3, 4): a column meets a row, and broadcasting fills the table.</details>
# <details><summary>3. What does <code>model.eval()</code> change?</summary>Dropout is off and batch norm uses its stored statistics. Chapter 2 shows why that matters here.</details>

# %% key="parameters" tags=["parameters"]
PRESET: str = "laptop"  # smoke (seconds) | laptop (minutes) | gpu (bigger network, bigger pictures)
SEED: int = 0  # which people are drawn
DATA: str = "world"  # this chapter draws its people; later ones also take real data sets by path
DEVICE: str = "auto"  # "auto", "cpu" or "cuda"
THREADS: int = 2  # CPU threads; the same number gives the same digits on one machine

# %% key="setup" tags=["setup", "skip"]
import torch

from reidkit import teach, world
from reidkit.chapters.start_here import checks as check
from reidkit.chapters.start_here import experiments, figures, widgets

run = teach.start("00", PRESET=PRESET, SEED=SEED, DATA=DATA, DEVICE=DEVICE, THREADS=THREADS)

# %% [markdown] key="one-picture" tags=["slide"]
# ## Re-identification in one picture
#
# Someone walks past one camera. Later, other cameras see many people. **Which of them is she?** Not by her face, which is a few pixels wide, and not by a name, which nobody knows: by what she looks like as a whole. The picture to find is the **query**; the pile to search is the **gallery**.

# %% key="picture" tags=["slide"]
crowd = world.sample(
    [("train", 2)], people=12, cameras=4, pictures=1, size=(128, 64), seed=run.seed
)
query = crowd[(crowd.ids == crowd.ids[0]) & (crowd.cameras == 0)]
others = crowd[crowd.cameras > 0]  # 12 people x 3 other cameras, person by person
gallery = experiments.mixed_gallery(others, seed=run.seed)
picture = figures.search_picture(query.images[0], gallery.images)
teach.show(picture, "00-search")

# %% key="answer" tags=["check"]
same = gallery.ids == query.ids[0]  # (16,)
positions = 1 + torch.nonzero(same)[:, 0]
text = ", ".join(map(str, positions.tolist()))
print(f"She stands at positions {text} of 16 (rows of eight, counted from the top left).")

# %% [markdown] key="question" tags=["slide"]
# ## The question of this course
#
# > *Why does a model that recognises people in one camera network fail in the next, and what repairs it?*
#
# A camera network, here a **place**, papers say **domain**, has its own light, walls, angles and habits of dress. A network trained in some places learns the people *and* the places. The course takes that apart, one method at a time.

# %% key="map" tags=["slide"]
picture, written = figures.course_map()
teach.show(picture, "00-map", chapters=", ".join(written))

# %% [markdown] key="style-content" tags=["slide"]
# ## People, cameras, places
#
# Our people are drawn. That gives us something no real data set has: the same person, in the same pose, through *any* camera. What the camera does to the picture is called **style**; who stands there, how and before what is **content**.

# %% key="ask-style" tags=["prediction"]
teach.ask(
    "00-style",
    "Which two pictures differ more in mean colour: of one person through cameras of "
    "two places, or of two people through the same camera?",
    ["one person, two places", "two people, one camera", "about the same"],
)

# %% key="restyle" tags=["slide"]
drawn, masks = experiments.one_person_many_cameras(seed=run.seed)
teach.show(teach.grid(drawn, columns=8), "00-styles")

# %% key="measured-style"
mean = drawn.float().mean((2, 3)).view(2, 2, 4, 3)  # (person, place, camera, RGB)
between_places = (mean[:, 0] - mean[:, 1]).abs().mean()
between_people = (mean[0] - mean[1]).abs().mean()
print(f"mean colour, one person in two places: {between_places:.0f} grey levels apart")
print(f"mean colour, two people in one camera: {between_people:.0f} grey levels apart")

# %% key="world-walk" tags=["widget", "slide"]
draw, controls = widgets.world_walk(seed=run.seed)
film = [{"person": 3}, {"facing": 180}, {"place": 1}, {"camera": 3}]
teach.explore(draw, controls, film, "00-walk")

# %% [markdown] key="study" tags=["slide"]
# ## How to study
#
# - **Predict first.** Where a cell asks, choose an answer before you run on. Being wrong is the fastest way to learn.
# - **Your copy is in `work/`.** `make lab` opens it. Change what you like; `make update` brings newer chapters in and keeps your answers.
# - **Exercises check themselves.** Replace the `...`, run the cell, read the verdict. Hints and the solution are folded below; `teach.solution("same-person")` puts the solution into a new cell. No later cell needs your answer.
#
# Try it:

# %% [markdown] key="same-person" tags=["exercise"]
# ### Exercise 0.1 · Who is who
# *3 minutes · easy · used in every chapter.* From a vector of identities to the table that says which pictures show the same person.


# %% key="same-person-stub" tags=["exercise", "stub", "check"]
def same_person(ids):
    """ids: (N,) int64 -> (N, N) bool, True where two pictures show the same person."""
    ...


check.same_person(same_person)

# %% [markdown] key="same-person-hint1" tags=["hint"]
# Compare a column with a row; broadcasting fills the table.

# %% [markdown] key="same-person-hint2" tags=["hint"]
# `ids[:, None]` is the column.

# %% [markdown] key="same-person-hint3" tags=["hint"]
# `return ids[:, None] == ...`


# %% key="same-person-solution" tags=["solution"]
def same_person(ids):
    """ids: (N,) int64 -> (N, N) bool, True where two pictures show the same person."""
    return ids[:, None] == ids[None]  # (N, 1) against (1, N)


# %% [markdown] key="cross-camera-pairs" tags=["exercise"]
# ### Exercise 0.2 · The pairs that matter
# *5 minutes · easy.* Re-identification happens *across* cameras. Count the pairs of pictures that show the same person in two different cameras, each pair once.


# %% key="cross-camera-pairs-stub" tags=["exercise", "stub", "check"]
def cross_camera_pairs(ids, cameras):
    """ids, cameras: (N,) int64 -> int, how many unordered pairs show one person in two cameras."""
    ...


check.cross_camera_pairs(cross_camera_pairs)

# %% [markdown] key="cross-camera-pairs-hint1" tags=["hint"]
# Build two tables: same person, same camera.

# %% [markdown] key="cross-camera-pairs-hint2" tags=["hint"]
# You want the first and not the second. Each pair stands in the table twice.

# %% [markdown] key="cross-camera-pairs-hint3" tags=["hint"]
# `(same_id & ~same_camera).sum()`, halved, as an int.


# %% key="cross-camera-pairs-solution" tags=["solution"]
def cross_camera_pairs(ids, cameras):
    """ids, cameras: (N,) int64 -> int, how many unordered pairs show one person in two cameras."""
    same_id = ids[:, None] == ids[None]
    same_camera = cameras[:, None] == cameras[None]
    return (same_id & ~same_camera).sum().item() // 2


# %% [markdown] key="lecture-rerun" tags=["slide"]
# ## How to lecture and how to rerun
#
# (Students may skip this part.)
#
# `make lecture CH=01` builds a copy with hidden code, large type and speaker notes, by a 15- or a 45-minute route, and opens it. `make course` runs every chapter and prints which claims held. Researchers vary parameters from a terminal:
#
# ```
# python -m reidkit.teach.rerun 01 -p SEED=0,1,2 -p PRESET=smoke --jobs 2 --out runs/
# ```
#
# A name or type that the chapter does not have stops the run before it starts. These are the parameters of chapter 1:

# %% key="rerun-parameters" tags=["check"]
from reidkit.teach import rerun, source

parameters = rerun.declared(source.notebook(rerun.find("01")))
for name, about in parameters.items():
    print("{:8} {inferred_type_name:4} {default:10} {help}".format(name, **about))

# %% [markdown] key="doctor-text"
# ## Is everything all right here?
#
# The doctor looks at versions, device, threads, memory, disk and widgets, and gives a remedy for each problem. The board shows what you have solved.

# %% key="doctor" tags=["local"]
teach.doctor()

# %% key="board"
teach.progress()

# %% [markdown] key="ethics" tags=["slide"]
# ## Before you use this on people
#
# Re-identification follows a person from camera to camera without asking. That is its use where a network of cameras is meant to understand how a crowd moves, and its harm in the hands of whoever wants to know where someone goes, with whom, how often. Errors fall on people too: a false match puts a stranger at a scene.
#
# **Consent.** The people in most public re-ID sets were never asked. **DukeMTMC** filmed students on a campus; Duke University withdrew it in 2019, and its authors do not redistribute it. This course links to no mirror, and every notebook works without it. Papers from those years report it, so our comparisons name it.
#
# **Law** (a pointer, not advice). In the European Union, biometric data that single out a person are a special category (GDPR, article 9); whether a whole-body appearance counts as biometric is debated. The AI Act (Regulation 2024/1689, article 5) forbids live remote biometric identification by police in public spaces, with listed exceptions. China's Personal Information Protection Law (article 26) ties cameras and recognition in public places to public security, with visible signs. Ask before you film; ask your ethics board before you collect.
#
# **What drawn people avoid:** nobody was filmed, nothing can leak, every label is exact. **What they hide:** real bodies, real clothes and real bias. Our skin, hair and dress come from distributions that *we* chose; a model fair on them can be unfair on people. Chapter 11 measures on real pictures, with their terms, and shows no face.

# %% [markdown] key="glossary" tags=["skip"]
# ## Notation and glossary
#
# $N$ pictures, $B$ in a batch, $P \times K$ = P people with K pictures each, $C$ classes, $D$ feature length, $d(\cdot,\cdot)$ distance, $[x]_+ = \max(x, 0)$. Pictures are (N, 3, height, width). Domain = place.
#
# <details><summary>The field's terms in English and Chinese</summary>
#
# | English | 中文 | in a few words |
# |---|---|---|
# | person re-identification (re-ID) | 行人重识别 | find a person again across cameras |
# | query / probe | 查询图像 | the picture to find |
# | gallery | 图库 | the pictures to search |
# | identity | 身份 | who it is, a number |
# | domain; source, target | 域；源域、目标域 | a camera network; trained on, tested on |
# | domain generalisation | 域泛化 | train once, work in unseen places |
# | domain adaptation | 域自适应 | use unlabelled pictures of the new place |
# | feature, embedding | 特征、嵌入 | the vector that is compared |
# | metric learning | 度量学习 | learn distances instead of classes |
# | identity loss | 身份分类损失 | cross-entropy over training people |
# | triplet loss | 三元组损失 | own pictures closer than strangers |
# | hard mining | 难样本挖掘 | train on the worst pairs |
# | verification | 验证 | same person or not, for a pair |
# | batch / instance normalisation | 批归一化 / 实例归一化 | statistics of the batch / of one picture |
# | style, content | 风格、内容 | what the camera does, who stands there |
# | backbone | 骨干网络 | the trunk before the head |
# | global average pooling | 全局平均池化 | mean over positions |
# | label smoothing | 标签平滑 | a little doubt in every label |
# | random erasing | 随机擦除 | blank a rectangle in training |
# | warm-up | 学习率预热 | start with small steps |
# | CMC, rank-k | 累积匹配特性 | right answer among the first k |
# | mean average precision (mAP) | 平均精度均值 | are all right answers near the top |
# | re-ranking | 重排序 | repair a ranking by its neighbours |
# | k-reciprocal neighbours | k-互近邻 | each among the other's nearest k |
# | pseudo label | 伪标签 | a guessed identity, used as if true |
# | memory bank | 记忆库 | stored features of all training pictures |
# | meta-learning | 元学习 | rehearse the exam inside training |
# | human parsing | 人体解析 | a body-part label for each pixel |
# | bilinear pooling | 双线性池化 | outer products of two maps, summed |
# | graph neural network | 图神经网络 | nodes that exchange messages |
# | occlusion, misalignment | 遮挡、不对齐 | part hidden, crop off |
#
# </details>

# %% key="claims" tags=["claim", "check"]
again, _ = experiments.one_person_many_cameras(seed=run.seed)
largest_gap = (again.int() - drawn.int()).abs().max()
changed_pixels = (masks != masks[:, :1]).sum()
everywhere = (("smoke", "laptop", "gpu"), ("world",))
teach.claim(
    "The same seed draws the same picture",
    measured=largest_gap.item(),
    holds=lambda gap: gap == 0,
    unit="grey levels",
    run=run,
    at=everywhere,
)
teach.claim(
    "Another imaging chain leaves the body-part mask as it is",
    measured=changed_pixels.item(),
    holds=lambda n: n == 0,
    unit="pixels",
    run=run,
    at=everywhere,
)
teach.record(between_places=between_places.item(), between_people=between_people.item())

# %% [markdown] key="end" tags=["slide"]
# ## What this does not show
#
# Nothing is trained here, so nothing is proved about recognising people. The two pictures in a row above are a demonstration, not a measurement of how far real cameras differ.
#
# ## In five lines
#
# 1. Re-identification: find a person again, across cameras, in a gallery of pictures.
# 2. The course asks why a model fails in the next camera network, and what repairs it.
# 3. Style is what the camera does, content who stands there; drawn people let us change one without the other.
# 4. Predict, run, look, solve; your answers live in `work/`.
# 5. It follows people: consent, law and harm come before accuracy.
#
# ## References
#
# - E. Ristani, F. Solera, R. Zou, R. Cucchiara, C. Tomasi. *Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking.* ECCV Workshops 2016. DukeMTMC, withdrawn in 2019.
# - Regulation (EU) 2016/679 (General Data Protection Regulation), article 9. Regulation (EU) 2024/1689 (Artificial Intelligence Act), article 5. Personal Information Protection Law of the People's Republic of China, article 26.
#
# **Next:** chapter 1, what is re-ID.

# %% [markdown] key="notes" tags=["notes"]
# *For lecturers.* 15 minutes: the search picture (let the room find her), the question, the map, ethics. Turn the person in the widget and ask what is still the same. In 45 minutes, solve exercise 0.1 together to show how checks answer.

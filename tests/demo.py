"""A tiny chapter for the tests: parameters, a record, a claim, each kind of control."""

DEMO = """# ---
# jupyter:
#   reidkit:
#     chapter: "90"
#     title: A demo
#     minutes_study: 1
#     minutes_compute: 1
#     prerequisites: []
# ---

# %% [markdown] key="title" tags=["slide"]
# # A demo

# %% key="parameters" tags=["parameters"]
SEED: int = 0           # of everything
SCALE: float = 1.5      # a factor
WORD: str = "red"       # a word
FAIL: bool = False      # raise in the middle
PAUSE: float = 0.0      # seconds of work
THREADS: int = 2        # CPU threads

# %% key="setup" tags=["setup", "skip"]
import os, time
import numpy as np
from reidkit import teach
print("this line is for nobody's screen in a lecture")

# %% [markdown] key="middle"
# ## The middle
# Text of the long route only.

# %% [markdown] key="say-this" tags=["notes"]
# Ask the room before you move the slider.

# %% key="guess" tags=["prediction"]
teach.ask("90-guess", "How many?", ["none", "a few", "many"])

# %% key="work" tags=["slide"]
time.sleep(PAUSE)
if FAIL:
    raise RuntimeError("planted")
score = SCALE * 10 + SEED
threads_seen = int(os.environ.get("OMP_NUM_THREADS", 0))
teach.record(score=score, word=WORD, threads_seen=threads_seen, asked=THREADS)
teach.claim("the score is positive", measured=score, holds=lambda v: v > 0, unit="points")

# %% [markdown] key="double" tags=["exercise"]
# Exercise: double it.

# %% key="double-stub" tags=["exercise", "stub"]
def double(x):
    ...
check = lambda f: print(f(2))
check(double)

# %% [markdown] key="double-hint1" tags=["hint"]
# Twice.

# %% key="double-solution" tags=["solution"]
def double(x):
    return 2 * x

# %% key="explorer" tags=["widget", "slide"]
def draw(state, artists=None):
    width = {"left": 40, "middle": 80, "right": 120}[state["side"]]
    picture = np.full((120, 240, 3), 255, np.uint8)
    picture[: state["height"], :width] = (0, 114, 178)
    if state["dark"]:
        picture //= 2
    light = "dark" if state["dark"] else "bright"
    return teach.Frame(picture, f"{state['height']} rows, {state['side']}, {light}")

teach.explore(draw, {"height": teach.slider(10, 110, 10, 30, "height"),
                     "side": teach.choice(["left", "middle", "right"], "left", "side"),
                     "dark": teach.switch(False, "dark")},
              film=[{}, {"height": 60}, {"height": 110, "dark": True}],
              alt="A blue rectangle on white paper, as high as the slider says", name="demo")
"""


def write_demo(folder, name="90_demo.py"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DEMO, encoding="utf-8")
    return path

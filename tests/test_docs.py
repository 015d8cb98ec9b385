"""What a newcomer meets: pictures and numbers of the README, the API page, a chapter from the
template.
"""

import importlib.util
import pathlib
import re
import runpy
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

import reidkit
from reidkit import chapters
from reidkit.chapters.start_here.figures import COMING
from reidkit.teach import face, new, questions, rooms, source

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_BYTES = 60_000
LEAST_WIDTH = 500  # pixels


# ---- the README


def test_the_pictures_of_the_readme_are_there_and_described():
    pictures = dict(re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README))
    assert set(pictures.values()) == {"docs/people.png", "docs/headline.png"}
    for alt, name in pictures.items():
        path = ROOT / name
        assert len(alt) > 40
        assert path.stat().st_size <= MOST_BYTES
        assert Image.open(path).width >= LEAST_WIDTH


def test_the_pictures_are_the_same_each_time():
    assert np.array_equal(face.draw_people(), face.draw_people())
    assert np.array_equal(face.draw_headline(), face.draw_headline())


def test_the_numbers_of_the_headline_are_the_recorded_ones():
    alt = re.search(r"!\[([^\]]+)\]\(docs/headline.png\)", README)[1]
    numbers = [int(number) for number in re.findall(r"\b(\d+) %", alt)]
    assert numbers == [round(rank1.mean) for _, _, rank1 in face.headline()]


def test_links_inside_the_project_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "STYLE.md", "CHANGELOG.md", "docs/TEACHING.md"):
        path = ROOT / name
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{name} links to {target}"


# ---- the page for lecturers

TEACHING = (ROOT / "docs" / "TEACHING.md").read_text(encoding="utf-8")


def test_the_readme_leads_to_the_page_for_lecturers():
    assert "(docs/TEACHING.md)" in README


def test_each_plan_has_every_chapter_that_is_written_once():
    written = [path.stem for path in source.paths()]
    numbers = {name.partition("_")[0] for name in written}
    announced = {number for number, _, _ in COMING} - numbers
    plans = re.split(r"(?m)^##+ ", TEACHING)
    plans = {plan.split(":")[0]: plan for plan in plans if "| week |" in plan}
    assert list(plans) == ["Four weeks", "Eight weeks", "Thirteen weeks"]
    for name, plan in plans.items():
        assert re.findall(r"notebooks/(\w+)\.ipynb", plan) == written, name
        later = re.findall(r"\*(\w+) \(to come\)\*", plan)
        assert set(later) <= announced, name
        weeks = re.findall(r"(?m)^\| (\d+) \|", plan)
        expected = {"Four weeks": 4, "Eight weeks": 8, "Thirteen weeks": 13}[name]
        assert list(map(int, weeks)) == list(range(1, expected + 1)), name
    assert set(later) == announced  # the longest plan has them all


def test_the_page_says_what_goes_wrong_in_each_exercise():
    named = re.findall(r"(?m)^- `([\w-]+)`: ", TEACHING)
    assert named == [
        f"{chapter.number}-{name}" for chapter in source.chapters() for name in chapter.exercises
    ]
    shown = re.findall(r"(?m)^\| (\w+) \| [^|]+ \| [^|]+ \|$", TEACHING)
    assert shown[1:] == [chapter.number for chapter in source.chapters()]  # below the heading


def test_one_version():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changes, re.MULTILINE)[1]
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert newest == reidkit.__version__
    assert f"version: {reidkit.__version__}\n" in cited


# ---- the API page


@pytest.fixture(scope="module")
def course():
    """course.py as a module."""
    spec = importlib.util.spec_from_file_location("course", ROOT / "course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def public_modules():
    """Names of all modules that have a page: no private ones, no commands, no chapter's room."""
    names = []
    for path in sorted((ROOT / "reidkit").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        room = parts[:2] == ("reidkit", "chapters") and len(parts) > 3
        private = any(part.startswith("_") for part in parts if part != "__init__")
        if not room and not private:
            names.append(".".join(parts).removesuffix(".__init__"))
    return names


@pytest.mark.slow
def test_every_public_module_has_a_page(course, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(course, "setup", lambda: None)
    monkeypatch.setattr(course, "PYTHON", sys.executable)
    monkeypatch.setattr(course, "API_PAGES", tmp_path)
    monkeypatch.setattr(course, "_call", lambda command: commands.append(command) or 0)
    course.docs([])
    ended = subprocess.run(commands[0], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Warn" not in ended.stderr
    pages = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.html")}
    expected = {pathlib.Path(*name.split(".")).with_suffix(".html") for name in public_modules()}
    assert pages == expected | {pathlib.Path("index.html")}
    text = (tmp_path / "reidkit" / "augment.html").read_text(encoding="utf-8")
    assert '<h6 id="arguments">Arguments:</h6>' in text  # Args: is read as a list


# ---- a chapter from the template

TITLE = 'Ninety: a "tried" chapter'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, in which `reidkit.chapters` has its rooms."""
    folder = tmp_path / "reidkit" / "chapters"
    folder.mkdir(parents=True)
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_PROGRESS", "off")
    monkeypatch.setattr(rooms, "CHAPTERS", folder)
    monkeypatch.setattr(rooms, "room_folder", lambda number: folder / rooms.room_of(number))
    monkeypatch.setattr(chapters, "__path__", [str(folder)])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("reidkit.chapters.tried")]:
        del sys.modules[name]
    if hasattr(chapters, "tried"):
        del chapters.tried


def test_a_new_chapter_has_the_form_of_one(project):
    written = new.new_chapter("90", "tried", TITLE)
    chapter = source.read(written[0])
    assert chapter.name == "90_tried"
    assert chapter.header["title"] == TITLE
    assert chapter.exercises == ["mean-colour"]
    assert rooms.load_words("90-goal")["alt"]
    assert questions.load_questions("90")[0].exercise == "90-mean-colour"
    tagged = [tag for cell in chapter.cells for tag in source.tags(cell)]
    assert tagged.count("parameters") == 1
    assert tagged.count("check") == chapter.header["least_checks"]
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--line-length=100", *written[:4]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_exercise_of_a_new_chapter_is_checked(project, capsys):
    written = new.new_chapter("90", "tried", TITLE)
    check = rooms.load_part("90", "checks").mean_colour
    assert check.key == "90-mean-colour"
    names = {"torch": torch}
    exec(source.read(written[0]).cell("mean-colour-solution").source, names)
    assert check(names["mean_colour"]).state == "well done"
    wrong_answers = runpy.run_path(str(written[-2]))["WRONG"][check.key]
    for code, word in wrong_answers:
        exec(code, names)
        assert check(names["f"]).state == "wrong"
        assert word in capsys.readouterr().out


def test_a_new_chapter_runs(project):
    """All its code, with the solution in the stub's place."""
    written = new.new_chapter("90", "tried", TITLE)
    notebook = source.notebook(source.read(written[0]), "solution")
    names = {}
    threads = torch.get_num_threads()
    with matplotlib.rc_context(), torch.random.fork_rng():
        for cell in notebook.cells:
            if cell.cell_type == "code":
                exec(cell.source.replace('"laptop"', '"smoke"'), names)
    torch.set_num_threads(threads)
    assert names["between_cameras"] > 1


@pytest.mark.parametrize(
    "number, name, title, error, word",
    [
        ("5", "tried", TITLE, ValueError, "two digits"),
        ("90", "Not-a-name", TITLE, ValueError, "underscores"),
        ("90", "tried", " ", ValueError, "empty"),
        ("91", "other", TITLE, FileExistsError, "number 91"),
        ("90", "first", TITLE, FileExistsError, "room first"),
    ],
)
def test_what_a_new_chapter_cannot_be(project, number, name, title, error, word):
    new.new_chapter("91", "first", TITLE)
    with pytest.raises(error, match=word):
        new.new_chapter(number, name, title)


def test_nothing_that_exists_is_touched(project):
    answers = project / "tests" / "chapters" / "tried" / "answers.py"
    answers.parent.mkdir(parents=True)
    answers.write_text("WRONG = {}\n")
    with pytest.raises(FileExistsError, match=r"answers\.py"):
        new.new_chapter("90", "tried", TITLE)
    assert not list((project / "notebooks" / "source").glob("*.py"))
    assert answers.read_text() == "WRONG = {}\n"


def test_the_command_says_what_it_wrote(project, capsys):
    new.main(["90", "tried", TITLE])
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "notebooks/source/90_tried.py"
    with pytest.raises(SystemExit):
        new.main(["90", "tried", TITLE])

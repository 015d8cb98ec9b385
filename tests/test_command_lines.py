"""Every command line of a researcher ends in a sentence and status 2 for what a user can mend."""

import os
import subprocess
import sys

import pytest

from benchmarks.__main__ import main as benchmarks
from reidkit import files, table_files
from reidkit.recipes.__main__ import main as recipes
from reidkit.teach import build, face, new, rerun, tables, toc

ROOT = files.project_root()

# What a user may type -> words of the answer. FILE is a file, FOLDER a folder, and NOWHERE a path
# that cannot be made.
LINES = [
    (recipes, "nope --out x.csv", "invalid choice: 'nope'"),
    (recipes, "baseline", "--out"),
    (recipes, "baseline --out FOLDER", "a file like x.csv"),
    (recipes, "baseline --out FOLDER.csv", "name a file in it"),
    (recipes, "baseline --out FILE/x.csv", "name another place"),
    (recipes, "baseline --out NOWHERE/x.csv", "correct the path"),
    (recipes, "baseline --out x.safetensors", "a file like x.csv"),
    (recipes, "drawn-laptop --out x.csv", "a file like x.safetensors"),
    (recipes, "norm-features --out x.csv", "a file like x.safetensors"),
    (recipes, "baseline --out T --seeds x", "'x' is none; expected a whole number from 0"),
    (recipes, "baseline --out T --seeds -1", "from 0"),
    (recipes, "baseline --out T --seeds 4294967296", "to 2147483647"),
    (recipes, "baseline --out T --jobs 0", "from 1"),
    (recipes, "baseline --out T --jobs two", "'two'"),
    (recipes, "baseline --out T --threads -1", "from 0"),
    (recipes, "baseline --out T --threads 1.5", "'1.5'"),
    (recipes, "baseline --out T --device cudda", "use 'auto' or 'cpu'"),
    (recipes, "baseline --out T --preset big", "invalid choice: 'big'"),
    (recipes, "baseline --out T --preset smoke --data nope", "market1501:PATH"),
    (recipes, "baseline --out T --preset smoke --data pku-reid:/nope", "'/nope'"),
    (recipes, "baseline --out T --preset smoke --weights /nope.pth", "correct the path"),
    (recipes, "baseline --out T --preset smoke --weights FOLDER", "folder"),
    (recipes, "ways --out T --weights x.pth", "belongs to the baseline"),
    (recipes, "baseline --out T --check", "no row of these cases"),
    (recipes, "baseline --out T --restamp", "nothing to stamp"),
    (recipes, "baseline --out T --redo --check", "not allowed with"),
    (recipes, "baseline --out FILE.csv --preset smoke", "record it again"),
    (recipes, "study --knobs hats --out T", "hats"),
    (build.main, "77", "no chapter 77"),
    (build.main, "-p SEED=1", "belongs to --course"),
    (build.main, "--course -p SEDE=1", "SEDE"),
    (build.main, "--course -p PRESET=[", "list of JSON"),
    (new.main, "5 x y", "two digits"),
    (new.main, "٠٥ x y", "two digits"),
    (new.main, "95 ../x y", "small letters"),
    (new.main, "95 class y", "Python's own"),
    (new.main, "95 X y", "small letters"),
    (new.main, "95 x a\nb", "in one line"),
    (toc.main, "--wriite", "unrecognized"),
    (face.main, "x", "unrecognized"),
    (table_files.main, "FOLDER", "folder"),
    (table_files.main, "/nope.csv", "correct the path"),
    (table_files.main, "FILE", "is empty"),
    (rerun.main, "77", "there are 00_start_here"),
    (rerun.main, "00 -p SEED", "NAME=VALUE"),
    (rerun.main, "00 -p DATA=pku-reid:/a, b", "list of JSON"),
    (benchmarks, "speed", "no benchmark 'speed'"),
    (benchmarks, "evaluate --runs 0", "from 1"),
    (benchmarks, "evaluate --width x", "'x'"),
    (benchmarks, "training --threads -1", "from 1"),
    (benchmarks, "training --batch 0", "from 1"),
    (benchmarks, "training --seconds nan", "a number from 0"),
    (benchmarks, "training --device cudda", "use 'auto' or 'cpu'"),
    (benchmarks, "training --trunk nope --seconds 0 --batch 4", "nope"),
    (benchmarks, "metabin --people 6", "no multiple of 4"),
    (benchmarks, "metabin --size 0 4", "from 1"),
    (benchmarks, "norms --seconds -1", "a number from 0"),
    (benchmarks, "world --device mps", "use 'auto' or 'cpu'"),
    (benchmarks, "world --threads 0", "from 1"),
    (benchmarks, "gpu --out FILE", "name a folder"),
    (benchmarks, "gpu --out x --minutes soon", "'soon'"),
]


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.delenv("REIDKIT_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "file.csv").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.csv").mkdir()
    return {
        "FILE": str(tmp_path / "file"),
        "FOLDER": str(tmp_path / "folder"),
        "NOWHERE": "/proc/nowhere",
        "T": str(tmp_path / "t.csv"),
    }


def fill(line, places):
    """The words of a line, with the places of this test."""
    words = []
    for word in line.split(" "):
        for name, place in places.items():
            if word == name or word.startswith((f"{name}/", f"{name}.")):
                word = place + word.removeprefix(name)
        words.append(word)
    if "b" in words and words[-2].startswith("DATA="):  # a value with a blank
        words[-2:] = [" ".join(words[-2:])]
    return words


@pytest.mark.parametrize("main, line, said", LINES, ids=[line for _, line, _ in LINES])
def test_a_wrong_line_ends_in_a_sentence_and_status_2(main, line, said, places, capsys):
    if "NOWHERE" in line and not os.path.isdir("/proc"):
        pytest.skip("there is no /proc here")
    try:
        status = main(fill(line, places))
    except SystemExit as ended:  # argparse's
        status = ended.code
    told = capsys.readouterr().err
    assert status == 2, told
    assert said in told and "Traceback" not in told, told


MODULES = [
    ("reidkit.teach.rerun", "77"),
    ("reidkit.teach.rerun", "00 --jobs 0"),
    ("reidkit.teach.build", "77"),
    ("reidkit.teach.new", "5 x y"),
    ("reidkit.teach.toc", "--wriite"),
    ("reidkit.teach.face", "x"),
    ("reidkit.recipes", "baseline --out /dev/null/x.csv"),
    ("reidkit.table_files", "/nope.csv"),
    ("benchmarks", "training --device cudda"),
]


@pytest.mark.slow
@pytest.mark.parametrize("module, line", MODULES)
def test_each_command_as_a_user_starts_it(module, line):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}  # a pipe that knows few letters
    environment.pop("REIDKIT_DEBUG", None)
    done = subprocess.run(
        [sys.executable, "-m", module, *line.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "__main__" not in done.stderr
    assert module in done.stderr.splitlines()[-1] or "usage" in done.stderr


def test_all_tables_have_a_help_that_runs_nothing(capsys, monkeypatch):
    monkeypatch.setattr(tables.subprocess, "run", None)
    with pytest.raises(SystemExit) as ended:
        tables.main(["--help"])
    assert ended.value.code == 0 and "make tables" in capsys.readouterr().out
    assert tables.command_of("04_norms").startswith("python -m reidkit.recipes norms --seeds 0 1")
    assert tables.command_of("02_chapter").endswith("--record 02_chapter")
    assert tables.command_of("nothing") == ""


def test_a_header_that_cannot_be_read_is_named(tmp_path):
    for text in (
        "# ---\n# jupyter:\n#   - [\n# ---\n",
        "# ---\n# jupyter:\n#   reidkit: 3\n# ---\n",
    ):
        (tmp_path / "05_x.py").write_text(text)
        with pytest.raises(ValueError, match="05_x.py: its header"):
            toc.read_entries(tmp_path)
    (tmp_path / "05_x.py").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="05_x.py: its header cannot be read"):
        toc.read_entries(tmp_path)

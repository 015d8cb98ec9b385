"""What a student's commands print reaches a log of any coding, whatever it and the paths hold."""

import os
import subprocess
import sys

import chapter_demo
import pytest

from reidkit.teach import copies

CODINGS = {
    "Windows' Latin": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "no language": {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
}
SCRIPT = """
import runpy, sys
from reidkit import teach
from reidkit.teach import copies, lecture
from reidkit.teach.exercises import exercise, expect

@exercise("91-add-one")
def add_one(answer):
    expect(answer(1) == 2, "1 plus 1 is 2 ✗ 行人")

statuses = [copies.main([]), copies.main(["--update"])]
statuses += [lecture.main(["91"]), lecture.main(["行人"])]
add_one(lambda x: x + 1)
add_one(lambda x: x)
teach.ask("91-guess", "Which way → ?", ["行人", "←"])
teach.guess("91-guess", "行人")
teach.progress()
teach.start("91", PRESET="smoke", THREADS=1)
print("end of", statuses)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", CODINGS)
def test_every_line_is_printed(name, tmp_path):
    root = tmp_path / "行人 ✓"
    chapter_demo.write(root)
    surroundings = {key: value for key, value in os.environ.items() if "UTF8" not in key}
    surroundings |= CODINGS[name] | {
        "REIDKIT_HOME": str(root),
        "REIDKIT_WORK_DIR": str(root / "wörk"),
        "REIDKIT_PROGRESS": "on",
        "PYTHONPATH": copies.__file__.partition("reidkit")[0],
    }
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, str(script)], env=surroundings, capture_output=True, timeout=120
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0 and b"Traceback" not in said, said
    assert b"end of [0, 0, 0, 2]" in ended.stdout
    assert b"91-add-one [well done]" in said and b"1 of 1 exercises done" in said

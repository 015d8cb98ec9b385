"""What is printed beside the work, and how a command line ends."""

import argparse
import errno
import io
import os
import subprocess
import sys
import types

import pytest

from reidkit import console, files


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_drawn_in_a_terminal_and_not_in_a_log(monkeypatch):
    monkeypatch.setattr(console, "is_watched", lambda: False)
    log = io.StringIO()
    assert list(console.bar(range(3), file=log)) == [0, 1, 2]
    assert log.getvalue() == ""
    monkeypatch.setattr(console, "is_watched", lambda: True)
    assert list(console.bar(range(3), file=log)) == [0, 1, 2]
    assert "3/3" in log.getvalue()
    hidden = io.StringIO()
    list(console.bar(range(3), show=False, file=hidden))
    assert hidden.getvalue() == ""


def test_somebody_watches_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not console.is_watched()  # a tool of Jupyter's may have loaded one without the other
    shell = types.ModuleType("IPython")
    shell.get_ipython = object
    monkeypatch.setitem(sys.modules, "IPython", shell)
    assert console.is_watched()  # a notebook
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert not console.is_watched()
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert console.is_watched()
    monkeypatch.setattr(sys, "stderr", None)  # pythonw on Windows
    assert not console.is_watched()


def test_glyphs_that_a_pipe_lacks_become_escapes():
    code = (
        "from reidkit import console\n"
        "@console.command\n"
        "def main(words):\n"
        "    print('\\N{CHECK MARK} 行人')\n"
        "    console.say('\\N{CHECK MARK}')\n"
        "raise SystemExit(main([]))"
    )
    for encoding in ("cp1252", "ascii"):
        surroundings = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=files.project_root(),
            env=surroundings,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(b"\\u2713 \\u884c") and b"\\u2713" in done.stderr


@pytest.mark.parametrize(
    "error, expected",
    [
        (ValueError("batch is 0; expected 1"), "batch is 0; expected 1"),
        (OSError(errno.ENOSPC, "No space left", "x.npz"), "'x.npz'; make room on the disk"),
        (PermissionError(errno.EACCES, "Permission denied"), "name another place"),
        (FileNotFoundError("no weights; name others"), "no weights; name others"),
        (ModuleNotFoundError("No module named 'umap'"), "make setup"),
    ],
)
def test_what_a_user_can_mend_ends_in_a_sentence(error, expected, capsys, monkeypatch):
    @console.command
    def main(words):
        raise error

    monkeypatch.delenv("REIDKIT_DEBUG", raising=False)
    assert main([]) == 2
    told = capsys.readouterr().err
    assert expected in told and len(told.splitlines()) == 1 and "Traceback" not in told
    monkeypatch.setenv("REIDKIT_DEBUG", "1")
    with pytest.raises(type(error)):
        main([])


def test_a_module_that_is_run_is_called_by_its_name():
    """Python calls it "__main__", which tells a user nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "reidkit.retrieval", "nowhere", "nowhere", "--out", "x.csv"],
        cwd=files.project_root(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("reidkit.retrieval: --out is 'x.csv'"), done.stderr


def test_a_fault_of_the_program_keeps_its_traceback():
    @console.command
    def main(words):
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        main([])


def test_a_stopped_command_says_so(capsys):
    @console.command
    def main(words):
        raise KeyboardInterrupt

    assert main([]) == 130 and "stopped" in capsys.readouterr().err
    assert console.command(lambda words: None)([]) == 0
    assert console.command(lambda words: 3)([]) == 3


def test_whole_numbers_have_limits():
    read = console.whole_number(1, 8)
    assert read("8") == 8
    for word in ("0", "9", "-1", "1.5", "one", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 8"):
            read(word)
    with pytest.raises(argparse.ArgumentTypeError, match="from 0$"):
        console.whole_number(0)("-3")

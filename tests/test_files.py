"""Files are whole or absent, digests tell content apart, a run knows what it stands on."""

import functools
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import torch

from reidkit import files, runtime


def test_folders_hang_together():
    root = files.project_root()
    assert (root / "reidkit" / "files.py").is_file()
    assert files.data_dir() == root / "data"
    assert files.results_dir() == root / "data" / "results"


def test_folders_follow_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.delenv("REIDKIT_CACHE_DIR", raising=False)
    monkeypatch.delenv("REIDKIT_WORK_DIR", raising=False)
    assert files.project_root() == tmp_path
    assert files.work_dir() == tmp_path / "work"
    assert files.cache_dir() == tmp_path / "data" / "cache"
    assert not files.cache_dir().exists()  # asking for its name makes nothing
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "mine"))
    assert files.cache_dir() == tmp_path / "elsewhere"
    assert files.work_dir() == tmp_path / "mine"
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="REIDKIT_HOME"):
        files.project_root()


def test_write_atomic(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_atomic(path, "grün")
    assert path.read_bytes() == "grün".encode()
    files.write_atomic(path, b"\x00\n")
    assert path.read_bytes() == b"\x00\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="file modes of POSIX")
def test_written_files_follow_the_usual_mask(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_atomic(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    files.write_atomic(path, "old")
    with pytest.raises(RuntimeError):
        with files.atomic_path(path) as temporary:
            assert temporary.parent == tmp_path
            temporary.write_text("half of the new")
            raise RuntimeError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    files.write_atomic(path, "old")
    code = (
        "import os, signal, sys; from reidkit import files\n"
        "with files.atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=files.project_root())
    assert done.returncode == -signal.SIGKILL and path.read_text() == "old"


def test_sha256_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert (
        files.sha256_file(tmp_path / "abc")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    (tmp_path / "big").write_bytes(b"a" * (3 << 20))
    assert (
        files.sha256_file(tmp_path / "big")
        == "6f850bc94ae6f7de14297c01616c36d712d22864497b28a63b81d776b035e656"
    )


def test_digest_tells_content_apart():
    numbers = torch.arange(6)
    different = [
        (1,),
        (1, 2),
        (12,),
        ("1",),
        (None,),
        (1.0,),
        ([1],),
        ({"a": 1},),
        (numbers,),
        (numbers.float(),),
        (numbers.view(2, 3),),
        (numbers.view(3, 2),),
        (numbers.flip(0),),
        (numbers, numbers),
        (numbers.bfloat16(),),
    ]
    assert len({files.digest(*parts) for parts in different}) == len(different)
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1})
    assert files.digest(numbers.view(2, 3).T) == files.digest(numbers.view(2, 3).T.contiguous())
    code = "from reidkit import files; print(files.digest('reidkit', 1), end='')"
    other_process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=files.project_root(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert other_process.stdout == files.digest("reidkit", 1)


def test_pick_device():
    assert runtime.pick_device("cpu") == torch.device("cpu")
    assert runtime.pick_device() == torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "cuda:99", "", 3.5):
        with pytest.raises(ValueError, match="cannot be used here .*use 'auto' or 'cpu'"):
            runtime.pick_device(wrong)
    for wrong in ("mps", "meta"):  # a Mac's GPU has no float64
        with pytest.raises(
            ValueError, match=f"device '{wrong}' .*float64.*expected 'auto', 'cpu', 'cuda'"
        ):
            runtime.pick_device(wrong)


def test_set_threads():
    before = torch.get_num_threads()
    try:
        assert runtime.set_threads(1) == 1 == torch.get_num_threads() and runtime.set_threads() == 1
        for wrong in (-1, 1.0, "2", True, 5000):
            with pytest.raises(ValueError, match="whole number from 0"):
                runtime.set_threads(wrong)
    finally:
        torch.set_num_threads(before)


def test_versions_and_commit(tmp_path, monkeypatch):
    found = runtime.versions(("torch", "no-such-package"))
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["no-such-package"] == "not installed" and found["python"].count(".") == 2
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    assert runtime.git_commit() == "unknown"

    def git(*words):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "a")
    clean = runtime.git_commit()
    assert len(clean) == 10
    (tmp_path / "a").write_text("2")
    assert runtime.git_commit() == clean + "+"
    # A copy of the course inside another clone has no commit of its own.
    (tmp_path / "copy").mkdir()
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path / "copy"))
    assert runtime.git_commit() == "unknown"
    # A git hook names its own repository.
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert runtime.git_commit() == clean + "+"


@pytest.mark.skipif(os.name == "nt", reason="a git of sh")
def test_the_commit_is_unknown_where_git_does_not_tell(tmp_path, monkeypatch):
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    git = bin_folder / "git"
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(bin_folder), prepend=os.pathsep)
    # A clone of another owner: git refuses, in words that are for its own users.
    git.write_text("#!/bin/sh\necho 'fatal: detected dubious ownership' >&2\nexit 128\n")
    git.chmod(0o755)
    assert runtime.git_commit() == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert runtime.git_commit() == "unknown"


def test_device_name():
    name = runtime.device_name("cpu")
    assert "CPU" in name
    assert f"{torch.get_num_threads()} threads" in name


def test_import_is_light():
    """The package imports nothing heavy.

    Its ground floors need no Jupyter, matplotlib, torchvision or pandas.
    """
    code = (
        "import sys, reidkit; assert 'torch' not in sys.modules\n"
        "import reidkit.files, reidkit.runtime, reidkit.datasets, reidkit.retrieval\n"
        "import reidkit.world\n"
        "heavy = {'torchvision', 'matplotlib', 'ipywidgets', 'umap', 'pandas', 'IPython',"
        " 'numba', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=files.project_root(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_nothing_is_read_from_the_working_directory(tmp_path):
    """Folders are found the same way from notebooks/, work/ or anywhere else."""
    code = "from reidkit import files; print(files.project_root(), end='')"
    environment = {**os.environ, "PYTHONPATH": str(files.project_root())}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert pathlib.Path(done.stdout) == files.project_root()


@pytest.mark.parametrize("name", ["baseline", "04_norms", "a.b-c_d", "7"])
def test_names_are_names(name):
    assert files.check_name(name, "keep") == name


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", "", ".", "..", ".x", "x.", "-x", "a b", "C:x", "a\n", "x" * 121, 3],
)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="keep is .*expected a name of letters"):
        files.check_name(name, "keep")


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    old, new, other = (tmp_path / name for name in (".a.1.reidkit.part", ".b.2.reidkit.part", "c"))
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    files.write_atomic(tmp_path / "d", "whole")
    assert not old.exists() and new.exists() and other.exists()
    files.remove_old(tmp_path / "nowhere", "*", 0)  # no such folder: nothing to do


def test_a_leftover_that_another_process_removes_first_is_no_error(tmp_path, monkeypatch):
    path = tmp_path / ".a.1.reidkit.part"
    path.write_text("half")
    monkeypatch.setattr(pathlib.Path, "glob", lambda self, pattern: [path, tmp_path / "gone"])
    files.remove_old(tmp_path, "*", -1)
    assert not path.exists()


COUNT = """
import json, pathlib, sys
from reidkit import files
path = pathlib.Path(sys.argv[1])
for _ in range(100):
    with files.locked(path):
        count = json.loads(path.read_text())
        files.write_atomic(path, json.dumps(count + 1))
"""


def test_under_a_lock_no_change_of_two_processes_is_lost(tmp_path):
    path = tmp_path / "count.json"
    path.write_text("0")
    words = [sys.executable, "-c", COUNT, str(path)]
    writers = [subprocess.Popen(words, cwd=files.project_root()) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert path.read_text() == "200"


def test_a_lock_that_is_held_is_waited_for_and_then_named(tmp_path):
    path = tmp_path / "x.json"
    with files.locked(path):
        with pytest.raises(TimeoutError, match="another process .*x.json"):
            with files.locked(path, seconds=0.1):
                pass
    with files.locked(path, seconds=0.1):
        pass


def test_what_cannot_be_kept_costs_a_line(tmp_path, capsys):
    assert files.keep("the set", lambda: files.write_atomic(tmp_path / "a", "x"))
    assert capsys.readouterr().err == ""
    (tmp_path / "file").write_text("")
    assert not files.keep("the set", lambda: files.write_atomic(tmp_path / "file" / "a", "x"))
    told = capsys.readouterr().err
    assert "the set was not kept" in told and "REIDKIT_CACHE_DIR" in told
    assert len(told.splitlines()) == 1


def test_it_is_said_once_for_a_folder_where_a_loop_asks(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for place in ("file", "file", "file2"):
        folder = tmp_path / "file" / place
        write = functools.partial(files.write_atomic, folder / "a", "x")
        assert not files.keep("a set", write, once_in=folder)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and all("a set was not kept" in line for line in told)


@pytest.mark.parametrize("variable", ["REIDKIT_CACHE_DIR", "REIDKIT_WORK_DIR"])
def test_a_named_folder_is_read_as_a_shell_reads_it(tmp_path, monkeypatch, variable):
    asked = {"REIDKIT_CACHE_DIR": files.cache_dir, "REIDKIT_WORK_DIR": files.work_dir}[variable]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv(variable, "~/mine")
    assert asked() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here/../there")
    assert asked() == tmp_path / "there"
    monkeypatch.setenv(variable, "~nobody-of-this-name/x")  # no home: it is taken as it is
    assert asked() == tmp_path / "~nobody-of-this-name" / "x"


def test_long_names_that_begin_alike_have_locks_of_their_own(tmp_path):
    first, second = (tmp_path / ("x" * 240 + ending) for ending in ("a", "b"))
    assert files.lock_path(first) != files.lock_path(second)
    with files.locked(first, seconds=0.1), files.locked(second, seconds=0.1):
        pass
    first, second = (tmp_path / ("x" * 120 + ending) for ending in ("a", "b"))
    with files.locked(first, seconds=0.1), files.locked(second, seconds=0.1):
        pass


def test_a_disk_without_modes_or_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    files.write_atomic(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"

    def no_locks(self, **_):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(files.filelock.FileLock, "acquire", no_locks)
    with pytest.raises(OSError, match="this disk has no locks"):
        with files.locked(tmp_path / "a"):
            pass


def test_a_folder_that_may_not_be_looked_into_has_no_leftovers(tmp_path, monkeypatch):
    def refuse(self, pattern):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "glob", refuse)
    files.remove_old(tmp_path, "*", 0)


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_what_a_link_points_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "real")
    files.write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "real").read_text() == "new"

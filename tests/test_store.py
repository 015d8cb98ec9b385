"""Files with their hashes: nothing is lost between two processes, and a damaged hashes.json is
named and left as it is.
"""

import json
import subprocess
import sys

import pytest
import safetensors.torch
import torch

from reidkit import files, store

SHA = "0" * 64


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "a.safetensors"
    store.write_recorded(path, {"x": torch.arange(3)}, {"seed": 0})
    return path


def test_what_is_recorded_is_read(recorded):
    tensors, about = store.load_checked(recorded)
    assert tensors["x"].tolist() == [0, 1, 2] and about == {"seed": 0}
    whole = recorded.read_bytes()
    store.write_recorded(recorded, tensors, about)
    assert recorded.read_bytes() == whole


def test_a_header_without_or_with_another_about(recorded):
    for about, said in (("[1]", None), ("{", None), (None, {})):
        header = None if about is None else {"about": about}
        safetensors.torch.save_file({"x": torch.zeros(1)}, recorded, header)
        store.record_hash(recorded)
        if said is None:
            with pytest.raises(ValueError, match="a.safetensors does not say where it comes from"):
                store.load_checked(recorded)
        else:
            assert store.load_checked(recorded)[1] == said


NOTE = """
import pathlib, sys
from reidkit import store
for number in range(40):
    path = pathlib.Path(sys.argv[1]) / f"{sys.argv[2]}-{number}"
    path.write_bytes(b"x")
    store.record_hash(path)
"""


def test_two_processes_that_note_hashes_lose_none(tmp_path):
    words = [sys.executable, "-c", NOTE, str(tmp_path)]
    writers = [subprocess.Popen([*words, name], cwd=files.project_root()) for name in "ab"]
    assert [writer.wait(100) for writer in writers] == [0, 0]
    assert len(store.hashes(tmp_path / "x")) == 80


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "is no JSON text"),
        ('{"a.safetensors": ', "is no JSON text"),
        ("<<<<<<< HEAD\n{}\n", "is no JSON text .*line 1"),
        ("version https://git-lfs.github.com/spec/v1\n", "is no JSON text"),
        (b"\xff\xfe\x00", "is no JSON text"),
        ("[" * 100_000, "is no JSON text"),
        ("[]", "holds a list"),
        ("null", "holds a NoneType"),
        ('"x"', "holds a str"),
        (json.dumps({"a.safetensors": SHA}), f"says '{SHA}' of 'a.safetensors'"),
        (json.dumps({"b": None}), "says None of 'b'"),
        (json.dumps({"b": []}), r"says \[\] of 'b'"),
        (json.dumps({"b": {"sha256": SHA}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": 3}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": "3", "sha256": SHA}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": True, "sha256": SHA}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": -1, "sha256": SHA}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": 3, "sha256": "x"}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": 3, "sha256": ""}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": 3, "sha256": 7}}), "says .* of 'b'"),
        (json.dumps({"b": {"size": 3, "sha256": SHA, "md5": "x"}}), "says .* of 'b'"),
    ],
)
def test_a_damaged_hashes_json_is_named_and_kept(recorded, text, said):
    table = recorded.with_name("hashes.json")
    content = text if isinstance(text, bytes) else text.encode()
    table.write_bytes(content)
    said = f"hashes.json' {said}.*expected a JSON object.*git checkout -- .*hashes.json"
    for call in (
        lambda: store.load_checked(recorded),
        lambda: store.record_hash(recorded),
        lambda: store.hashes(recorded),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    assert table.read_bytes() == content


def test_a_hashes_json_that_an_editor_marked(recorded):
    table = recorded.with_name("hashes.json")
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert store.load_checked(recorded)[0]["x"].tolist() == [0, 1, 2]


def test_a_training_does_not_begin_beside_a_damaged_hashes_json(tmp_path, monkeypatch):
    from reidkit.recipes import drawn

    (tmp_path / "hashes.json").write_text("[]")
    monkeypatch.setattr(drawn, "train_drawn", lambda *_: pytest.fail("trained"))
    with pytest.raises(ValueError, match="hashes.json' holds a list"):
        drawn.write_weights(tmp_path / "m.safetensors")


def test_a_kept_file_that_is_none(tmp_path):
    path = tmp_path / "k.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="k.safetensors is damaged .it has no notes and digest"):
        store.load(path)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"notes": "{}", "digest": "0"})
    with pytest.raises(ValueError, match="its content does not match its digest"):
        store.load(path)


def test_the_committed_files_are_as_hashes_json_says():
    for folder in (files.results_dir(), files.weights_dir()):
        for name, entry in store.hashes(folder / "x").items():
            store.check_file(folder / name, entry["sha256"], entry["size"])

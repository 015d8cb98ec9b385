"""Tensors as files: the same bytes for the same content, kinds told by content, and no code run."""

import os
import random
import re
import subprocess
import sys
import time

import hostile
import pytest
import safetensors.torch
import torch

from reidkit import backbones, file_kinds, files, store, tensor_files, weights
from reidkit.retrieval.model_file import load_model


def tensors_of_many_kinds():
    numbers = torch.arange(24).reshape(2, 3, 4)
    found = {str(kind): numbers.to(kind) for kind in tensor_files.DTYPES}
    more = {
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 7),
        "turned": numbers.float().T,
        "expanded": torch.ones(1).expand(5),
        "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "a name with 'quotes\" and ä": torch.zeros(1),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    return found | more


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and bits(one) == bits(other)


def bits(value):
    return value.detach().contiguous().reshape(-1).view(torch.uint8).tolist()


@pytest.mark.filterwarnings("ignore:.*T.* on tensors of dimension")
def test_what_is_written_is_read_by_us_and_by_the_library(tmp_path):
    tensors = tensors_of_many_kinds()
    path = tmp_path / "new" / "x.safetensors"
    tensor_files.write(path, tensors, {"b": "2", "a": "grün"})
    for found, header in (tensor_files.read(path), tensor_files.read_any(path)):
        assert header == {"b": "2", "a": "grün"} and found.keys() == tensors.keys()
        assert all(same(value, tensors[name]) for name, value in found.items())
    library = safetensors.torch.load_file(path)
    assert all(same(value, tensors[name]) for name, value in library.items())
    assert os.listdir(path.parent) == ["x.safetensors"]


def test_without_tensors_or_header(tmp_path):
    tensor_files.write(tmp_path / "x", {}, {})
    assert tensor_files.read(tmp_path / "x") == ({}, {})


WRITE = """
import sys, pathlib, torch
from reidkit import store
names = ["b", "a", "c"][::int(sys.argv[2])]
store.save(pathlib.Path(sys.argv[1]), {name: torch.arange(3.0) for name in names}, {"x": 1})
"""


@pytest.mark.slow
def test_the_same_content_is_the_same_bytes_in_every_process(tmp_path):
    found = set()
    for number in (1, -1, 1):
        path = tmp_path / f"{number}.safetensors"
        words = [sys.executable, "-c", WRITE, str(path), str(number)]
        environment = {**os.environ, "PYTHONPATH": str(files.project_root())}
        environment["PYTHONHASHSEED"] = str(2 + number)
        subprocess.run(words, env=environment, check=True)
        found.add(path.read_bytes())
    assert len(found) == 1
    header = {name: name for name in "abcdefgh"}
    for _ in range(5):
        tensor_files.write(path, {"a": torch.zeros(2)}, dict(reversed(header.items())))
        found.add(path.read_bytes())
    assert len(found) == 2


def test_what_the_format_cannot_hold_is_refused(tmp_path):
    for value in (torch.eye(3).to_sparse(), torch.zeros(2, dtype=torch.complex128)):
        with pytest.raises(ValueError, match="'odd' is a tensor of torch.*make it dense"):
            tensor_files.write(tmp_path / "x", {"odd": value}, {})
    with pytest.raises(ValueError, match="'__metadata__' is a tensor"):
        tensor_files.write(tmp_path / "x", {"__metadata__": torch.zeros(1)}, {})
    assert os.listdir(tmp_path) == []


# ---- what a file really is


def load_trunk(path):
    return weights.load_trunk(backbones.make_trunk("tiny"), path)


def load_checked(path):
    store.record_hash(path)
    return store.load_checked(path)


LOADERS = [load_trunk, load_model, store.load, load_checked]


@pytest.mark.parametrize("load", LOADERS)
def test_every_loader_says_what_a_file_is_instead(load, tmp_path):
    for path, said in hostile.write_all(tmp_path):
        with pytest.raises(ValueError) as error:
            load(path)
        told = str(error.value)
        if load in (load_trunk, load_model, load_checked):
            # A torch file is none of ours before it is opened.
            ours = "file of torch.save, expected a safetensors file"
            assert re.search(said, told) or (load != load_trunk and ours in told), (path, told)
            assert told.startswith(f"{path.name} cannot be read: "), told
        assert path.name in told and "\n" not in told and len(told) < 600, told
        assert not any(word in told for word in hostile.ADVICE), told


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".bin", ""])
def test_no_loader_runs_what_a_file_holds(load, suffix, tmp_path):
    place = tmp_path / "ran"
    for name, content in hostile.bombs(place).items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        with pytest.raises(ValueError) as error:
            load(path)
        assert not place.exists(), name
        assert path.name in str(error.value)
        assert not any(word in str(error.value) for word in hostile.ADVICE), str(error.value)


def test_the_bombs_are_live(tmp_path):
    place = tmp_path / "ran"
    path = tmp_path / "x.pth"
    path.write_bytes(hostile.bombs(place)["torch, zip True"])
    torch.load(path, weights_only=False)
    assert place.exists()


@pytest.mark.parametrize("load", LOADERS)
def test_folders_pipes_and_links_to_nowhere(load, tmp_path):
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ValueError, match="folder.pth .*it is a folder"):
        load(tmp_path / "folder.pth")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.pth")
        with pytest.raises(ValueError, match="pipe.pth .*it is a pipe or a device"):
            load(tmp_path / "pipe.pth")
    (tmp_path / "link.pth").symlink_to("annex/objects/x")
    with pytest.raises((FileNotFoundError, ValueError), match="a link to .*annex/objects/x"):
        load(tmp_path / "link.pth")
    with pytest.raises((FileNotFoundError, ValueError), match="no weights at .*nowhere"):
        load(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("load", [load_trunk, load_model])
def test_a_file_that_may_not_be_read(load, tmp_path, monkeypatch):
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(3)}, path)

    def refuse(self, *rest):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", refuse)  # root may read everything
    with pytest.raises(PermissionError, match="x.pth' may not be read; give yourself the right"):
        load(path)
    with pytest.raises(ValueError, match="x.pth is damaged .*may not be read"):
        store.load(path)


def test_a_header_that_looks_like_a_pickle_is_none(tmp_path):
    """640 bytes of header: the file begins with 80 02, as pickles do."""
    path = tmp_path / "x.safetensors"
    tensor_files.write(path, {"a": torch.arange(3.0)}, {"note": "x" * 557})
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert file_kinds.identify(path) == "safetensors"
    assert tensor_files.read(path)[0]["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_flipped_bit_in_a_torch_file(zipped, tmp_path):
    """The sums of a zip archive are looked at, which torch does not do; older files have none."""
    state = {"a": torch.full((400,), 3.0)}
    content = bytearray(hostile.torch_bytes(state, _use_new_zipfile_serialization=zipped))
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    assert torch.equal(tensor_files.read_any(path)[0]["a"], state["a"])
    content[bytes(content).index(state["a"].numpy().tobytes()) + 800] ^= 1
    path.write_bytes(content)
    if zipped:
        with pytest.raises(ValueError, match="a sum over one of its parts is wrong.*Copy it again"):
            tensor_files.read_any(path)


# ---- damage


def damaged(whole, dice):
    """The bytes with one damage: a flipped bit, a cut, a hole, noise, a wrong length."""
    content = bytearray(whole)
    header = 8 + int.from_bytes(whole[:8], "little")
    kind = dice.randrange(7)
    place = dice.randrange(len(content))
    if kind == 0:
        content[place] ^= 1 << dice.randrange(8)
    elif kind == 1:
        content[dice.randrange(header)] ^= 1 << dice.randrange(8)
    elif kind == 2:
        del content[place:]
    elif kind == 3:
        content[place : place + 64] = bytes(len(content[place : place + 64]))
    elif kind == 4:
        at = dice.randrange(header)
        content[at : at + 4] = dice.randbytes(4)
    elif kind == 5:
        content[:8] = dice.choice([2**63, 2**40, 99_999_999, 0, header, 10]).to_bytes(8, "little")
    else:
        content += dice.randbytes(dice.randrange(1, 50))
    return bytes(content)


def test_every_damage_of_a_kept_file_is_noticed(tmp_path):
    dice = random.Random(0)
    path = tmp_path / "kept.safetensors"
    tensors = {f"layer{n}.weight": torch.rand(3, n + 1) for n in range(4)}
    tensors["ids"] = torch.arange(9)
    notes = {"history": [{"step": 0, "loss": 1.5}], "seconds": 2.0}
    store.save(path, tensors, notes)
    whole = path.read_bytes()
    refused = 0
    start = time.monotonic()
    for _ in range(600):
        path.write_bytes(damaged(whole, dice))
        try:
            found, told = store.load(path)
        except ValueError as error:
            refused += 1
            assert str(error).startswith("kept.safetensors is damaged (") and "\n" not in str(error)
            continue
        assert told == notes and found.keys() == tensors.keys()
        assert all(same(value, tensors[name]) for name, value in found.items())
    assert refused > 500
    assert time.monotonic() - start < 30


def test_every_damage_of_outside_weights_ends_in_a_sentence(tmp_path):
    dice = random.Random(1)
    trunk = backbones.make_trunk("tiny")
    for suffix in (".pth", ".legacy.pth", ".safetensors"):
        path = tmp_path / f"x{suffix}"
        state = trunk.state_dict()
        if suffix == ".safetensors":
            safetensors.torch.save_file(state, path)
        else:
            torch.save(state, path, _use_new_zipfile_serialization=suffix == ".pth")
        whole = path.read_bytes()
        for _ in range(60):
            content = bytearray(whole[: dice.choice([len(whole), dice.randrange(len(whole))])])
            for _ in range(dice.randrange(1, 4)):
                reach = dice.choice([200, 3000, len(content)])
                if content:
                    content[dice.randrange(min(reach, len(content)))] ^= 1 << dice.randrange(8)
            path.write_bytes(content)
            try:
                weights.load_trunk(trunk, path)
            except ValueError as error:
                assert path.name in str(error)
                assert not any(word in str(error) for word in hostile.ADVICE), str(error)


def test_files_of_before_are_read_as_before(tmp_path):
    """What the library wrote, whose texts in the header are in any order."""
    path = tmp_path / "x.safetensors"
    tensors = {"b": torch.rand(3), "a": torch.arange(4)}
    digest = tensor_files.content_digest(tensors, '{"x": 1}')
    safetensors.torch.save_file(tensors, path, {"notes": '{"x": 1}', "digest": digest})
    found, notes = store.load(path)
    assert notes == {"x": 1} and all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert files.digest('{"x": 1}', "a", tensors["a"], "b", tensors["b"]) == digest

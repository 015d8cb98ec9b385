"""Files that stand in the place of weights: other kinds, damaged ones, and such that would run code
if they were opened by pickle.
"""

import gzip
import io
import os
import pathlib
import pickle
import struct
import tarfile
import warnings
import zipfile

import safetensors.torch
import torch

ADVICE = ("weights_only", "add_safe_globals", "allowlist", "file an issue", "pytorch.org")


class Bomb:
    """What pickle would run: it makes a folder."""

    def __init__(self, place):
        self.place = str(place)

    def __reduce__(self):
        return os.mkdir, (self.place,)


def bombs(place):
    """{name: bytes} of pickles that would make a folder at `place`, in every wrapping."""
    bomb = Bomb(place)
    state = {"conv1.weight": torch.zeros(24, 3, 3, 3), "bomb": bomb}
    found = {f"pickle {version}": pickle.dumps(bomb, version) for version in range(6)}
    for zipped in (True, False):
        stream = io.BytesIO()
        torch.save(state, stream, _use_new_zipfile_serialization=zipped)
        found[f"torch, zip {zipped}"] = stream.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(bomb, 2))
        archive.writestr("archive/version", "3\n")
    found["compressed zip"] = packed.getvalue()
    found["tar of torch"] = tar({"sys_info": pickle.dumps(bomb), "pickle": pickle.dumps(bomb)})
    found["pickle in gzip"] = gzip.compress(pickle.dumps(bomb))
    header = struct.pack("<Q", 640) + b"{" + pickle.dumps(bomb)
    found["pickle behind a header"] = header
    found["header like a pickle"] = b"\x80\x02" + bytes(6) + b"{}" + pickle.dumps(bomb)
    return found


def tar(members):
    """Bytes of a tar archive of {name: bytes}."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def zip_of(members):
    """Bytes of a zip archive of {name: bytes}."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def torchscript():
    """Bytes of a TorchScript archive."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and met in the wild all the same
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), stream)
    return stream.getvalue()


def torch_bytes(content, **options):
    """Bytes of torch.save."""
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:9dce8fa0ebbb4d4d3d165c51dc93f8bc2b76ec69eb40378318a181cdebe24a2d\n"
    "size 3635032\n"
)
SOUND = safetensors.torch.save({"a": torch.arange(100.0)})

# name -> (bytes, what must be said)
OTHERS = {
    "lfs": (POINTER.encode(), "git-lfs pointer.*git lfs pull"),
    "lfs on Windows": (POINTER.replace("\n", "\r\n").encode("utf-8-sig"), "git lfs pull"),
    "old lfs": (b"version https://hawser.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s12--0.pth\n", "git-annex pointer.*git annex get"),
    "page": (b"<!DOCTYPE html>\n<html><title>Sign in</title>", "web page.*Download"),
    "page in Latin-1": (b"\n <html><title>Ger\xe4t</title>" + b"x" * 90, "web page"),
    "page in UTF-16": ("<html></html>".encode("utf-16"), "web page"),
    "refusal": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "web page"),
    "message": (b"Entry not found", "a text file that begins with 'Entry not found'"),
    "JSON": (b'{"error": "Repository not found"}', "a text file that begins with"),
    "empty": (b"", "it is empty.*Copy it again"),
    "gzip": (gzip.compress(SOUND), "gzip.*Unpack"),
    "bzip2": (b"BZh91AY&SY" + bytes(range(99)), "bzip2.*Unpack"),
    "tar": (tar({"a.pth": b"x"}), "tar archive.*Unpack"),
    "old torch": (tar({"sys_info": b"x", "pickle": b"x"}), "before 2018.*torch.save"),
    "zip": (zip_of({"model.pth": b"x" * 99}), "zip archive with 'model.pth'.*Unpack"),
    "empty zip": (zip_of({}), "zip archive with nothing"),
    "npz": (zip_of({"a.npy": b"\x93NUMPY"}), "zip archive with 'a.npy'"),
    "npy": (b"\x93NUMPY\x01\x00", "numpy array"),
    "script": (torchscript(), "TorchScript.*state_dict"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
    "noise": (bytes(range(200, 256)) * 9, "of no kind that is known|no sound safetensors"),
    "module": (torch_bytes(torch.nn.Linear(2, 2)), r"asks for code \(torch.nn.*state_dict"),
    "cut": (SOUND[:-100], f"of {len(SOUND)} bytes that is cut off after {len(SOUND) - 100}"),
    "cut in its header": (SOUND[:40], "cut off or damaged"),
    "torch, cut": (torch_bytes({"a": torch.zeros(500)})[:-900], "cut off or damaged"),
    "huge header": (b"\xff" * 6 + b"\0\0" + SOUND[8:], "no sound safetensors"),
    "negative": (SOUND.replace(b"[100]", b"[-10]"), "damaged"),
    "larger": (SOUND.replace(b"[100]", b"[1e9]"), "damaged"),
    "no table": (SOUND[:8] + b"[" + SOUND[9:], "safetensors|of no kind"),
}


def write_all(folder):
    """Write OTHERS under both suffixes -> [(path, what must be said)]."""
    found = []
    for name, (content, said) in OTHERS.items():
        for suffix in (".pth", ".safetensors"):
            path = pathlib.Path(folder) / f"{name}{suffix}"
            path.write_bytes(content)
            found.append((path, said))
    return found

"""What a file really is, told from its first bytes before anything decodes it.

Its name proves nothing: a download may have saved a web page, git a note in place of the file, and
a pickle runs code as soon as it is opened. Two kinds hold tensors and nothing else, safetensors
files and what torch.save writes. Everything else is refused in a sentence that says what it is.
"""

import os
import pathlib
import zipfile

HEAD = 1024  # bytes that are looked at
LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
TORCH_NUMBER = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # what torch.save began with before it wrote zip files

AGAIN = "Copy it again, or download it again"
UNPACK = "Unpack it, and give the file of weights that is inside"
OTHER = "Expected a .safetensors file, or a file of torch.save that holds tensors only"
RESAVE = (
    "Where it was made, and only there, write its tensors alone: "
    "torch.save(model.state_dict(), PATH)"
)

# How text files begin -> what they are, the remedy.
TEXTS = (
    (
        "version https://git-lfs",
        "it is a git-lfs pointer, the note that git keeps in place of a large file",
        "Fetch the file itself in its repository: git lfs pull",
    ),
    (
        "version https://hawser",
        "it is a git-lfs pointer, the note that git keeps in place of a large file",
        "Fetch the file itself in its repository: git lfs pull",
    ),
    (
        "/annex/objects/",
        "it is a git-annex pointer, the note that git keeps in place of a large file",
        "Fetch the file itself in its repository: git annex get",
    ),
    (
        "<",
        "it is a web page (HTML or XML), perhaps the one that the download stands on or that asks "
        "for a login",
        "Download the file that the page offers",
    ),
)

# How other files begin -> what they are, the remedy.
BYTES = (
    (b"\x1f\x8b", "it is compressed (gzip)", UNPACK),
    (b"BZh", "it is compressed (bzip2)", UNPACK),
    (b"\xfd7zXZ", "it is compressed (xz)", UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is compressed (zstandard)", UNPACK),
    (b"7z\xbc\xaf", "it is a 7z archive", UNPACK),
    (b"Rar!", "it is a rar archive", UNPACK),
    (b"\x93NUMPY", "it is a numpy array (.npy)", OTHER),
    (b"\x89HDF", "it is an HDF5 file, as Keras writes it", OTHER),
    (b"GGUF", "it is a GGUF file", OTHER),
    (b"%PDF", "it is a PDF document", OTHER),
    (b"\x89PNG", "it is a picture (PNG)", OTHER),
    (b"\xff\xd8\xff", "it is a picture (JPEG)", OTHER),
)


class NotTensors(ValueError):
    """A file that cannot be read as tensors.

    Args:
        path: of the file.
        what: it is, or what is wrong with it.
        remedy: a sentence.
    """

    def __init__(self, path: pathlib.Path, what: str, remedy: str):
        super().__init__(f"{path.name or path} cannot be read: {what}. {remedy}")
        self.what = what


def find_file(path: str | os.PathLike) -> pathlib.Path:
    """The path of a file of weights, after a look at whether a file is there.

    Args:
        path: of the file.
    Raises:
        FileNotFoundError: nothing is there.
        NotTensors: a folder, a pipe or a device is there; reading a pipe could wait for ever.
    """
    path = pathlib.Path(path)
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(
            f"no weights at {str(path)!r}: it is a link to {os.readlink(path)!r}, where there is "
            "nothing. Fetch that file (of git-annex: git annex get), or correct the link"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"no weights at {str(path)!r}; give the path of a .safetensors file, for a trunk also "
            ".pth"
        )
    if path.is_dir():
        raise NotTensors(path, "it is a folder", "Give the path of the file of weights")
    if not path.is_file():
        raise NotTensors(
            path,
            "it is a pipe or a device, no ordinary file",
            "Write its content to a file, and give the path of that",
        )
    return path


def identify(path: str | os.PathLike) -> str:
    """The kind of a file that may hold tensors.

    Args:
        path: of the file; its suffix plays no part.
    Returns:
        "safetensors" or "torch".
    Raises:
        FileNotFoundError: nothing is there.
        PermissionError: it may not be read.
        NotTensors: it is of another kind, or certainly damaged.
    """
    path = find_file(path)
    head = _read_head(path)
    if not head:
        raise NotTensors(path, "it is empty", AGAIN)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER:
        return "safetensors"
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path)
        return "torch"
    if head[:1] == b"\x80" and TORCH_NUMBER in head[:32]:
        return "torch"
    what, remedy = _foreign(head) or _text(head) or _unknown(head, path)
    raise NotTensors(path, what, remedy)


def _read_head(path):
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD)
    except PermissionError:
        raise PermissionError(
            f"{str(path)!r} may not be read; give yourself the right to read it (chmod u+r), or "
            "ask its owner for a copy"
        ) from None


def _check_zip(path):
    """NotTensors where a zip archive is none of torch.save, or where a sum over a part is wrong:
    torch itself looks at no sum.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            length = sum(entry.file_size for entry in entries)
            # An archive whose parts overlap or grow when they are unpacked is not opened.
            sound = packed or length > path.stat().st_size or archive.testzip() is None
    except Exception:  # the module raises a dozen kinds for damaged archives
        raise NotTensors(
            path, "it is a zip archive, as torch.save writes it, but cut off or damaged", AGAIN
        ) from None
    parts = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in parts:
        raise NotTensors(
            path, "it is a TorchScript archive (torch.jit.save), which holds a program", RESAVE
        )
    if "data.pkl" not in parts:
        some = ", ".join(map(repr, names[:3]))
        raise NotTensors(path, f"it is a zip archive with {some or 'nothing inside'}", UNPACK)
    if packed or length > path.stat().st_size:
        raise NotTensors(path, "its parts are compressed, which torch.save never does", RESAVE)
    if not sound:
        raise NotTensors(
            path,
            "a sum over one of its parts is wrong, so it is damaged, or was written without sums",
            f"{AGAIN}; written without (torch.serialization.set_crc32_options), write it with them",
        )


def _foreign(head):
    """(what, remedy) for a file of a well-known other kind, or None."""
    for beginning, what, remedy in BYTES:
        if head.startswith(beginning):
            return what, remedy
    if head[257:262] == b"ustar":
        if head.startswith(b"sys_info\0"):
            return "it is a torch file of the years before 2018 (tar)", RESAVE
        return "it is a tar archive", UNPACK
    if head.startswith(b"PK"):
        return "it is a zip archive with nothing inside, or a part of one", AGAIN
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "it is a Python pickle, which can run any code, and was not opened", RESAVE
    return None


def _text(head):
    """(what, remedy) for a text file, or None."""
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")  # what a Windows shell writes with >
    text = head.decode("utf-16" if wide else "utf-8-sig", errors="replace").strip()
    legible = [letter for letter in text if letter.isprintable() or letter.isspace()]
    readable = [letter for letter in legible if letter != "\N{REPLACEMENT CHARACTER}"]
    if len(readable) < 0.9 * len(text) or not text:
        return None
    for beginning, what, remedy in TEXTS:
        if text.startswith(beginning):
            return what, remedy
    return f"it is a text file that begins with {text[:40]!r}", f"{OTHER}. {AGAIN}"


def _unknown(head, path):
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return "it begins like no sound safetensors file: it is damaged or of another kind", AGAIN
    return f"it is of no kind that is known here (it begins with {head[:8].hex(' ')})", OTHER

"""Ways to damage bytes, JSON and tables, all drawn from one generator."""

import io
import json
import pickle
import zipfile

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in</body></html>\n"
SCRIPT = "<img src=x onerror=alert(1)>"
ODD_VALUES = (
    None,
    True,
    -1,
    0,
    1e308,
    "",
    "nan",
    SCRIPT,
    [],
    {},
    [[[]]],
    "x" * 5000,
    "../../x",
    "\u0000",
    "行人 \U0001f6b6",
)


class CodeInside:
    """A pickle of this would write a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def _place(draw, data):
    return draw.randrange(len(data) + 1)


def cut(draw, data):
    return data[: _place(draw, data)]


def cut_the_end(draw, data):
    return data[: max(0, len(data) - draw.randint(1, 40))]


def flip_a_bit(draw, data):
    return _flipped(draw, data, 1)


def flip_many_bits(draw, data):
    return _flipped(draw, data, draw.randint(2, 50))


def _flipped(draw, data, count):
    changed = bytearray(data)
    for _ in range(count if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def blank_a_block(draw, data):
    start = _place(draw, data)
    length = min(draw.randint(1, 4096), len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]


def drop_a_block(draw, data):
    start = _place(draw, data)
    return data[:start] + data[start + draw.randint(1, 512) :]


def repeat_a_block(draw, data):
    start = _place(draw, data)
    length = draw.randint(1, 512)
    return data[: start + length] + data[start:]


def insert_noise(draw, data):
    start = _place(draw, data)
    return data[:start] + draw.randbytes(draw.randint(1, 64)) + data[start:]


def damage_the_beginning(draw, data):
    return draw.randbytes(draw.randint(1, 16)) + data[16:]


def append_noise(draw, data):
    return data + draw.randbytes(draw.randint(1, 64))


def nothing_left(draw, data):
    return b""


def pointer(draw, data):
    return POINTER


def page(draw, data):
    return PAGE


def archive(draw, data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("inside.bin", data[:1000])
    return stream.getvalue()


def plain_pickle(draw, data):
    return pickle.dumps({"weight": [1, 2, 3]})


BYTES = (
    cut,
    cut_the_end,
    flip_a_bit,
    flip_many_bits,
    blank_a_block,
    drop_a_block,
    repeat_a_block,
    insert_noise,
    damage_the_beginning,
    append_noise,
    nothing_left,
    pointer,
    page,
    archive,
    plain_pickle,
)

# ---- text


def byte_order_mark(draw, data):
    return b"\xef\xbb\xbf" + data


def windows_line_ends(draw, data):
    return data.replace(b"\n", b"\r\n")


def sixteen_bits(draw, data):
    return data.decode("utf-8", "replace").encode("utf-16")


def latin(draw, data):
    text = data.decode("utf-8", "replace")
    place = _place(draw, text)
    return (text[:place] + "é" + text[place:]).encode("latin-1", "replace")


def odd_json(draw, data):
    """One value of a JSON text replaced by another of any kind."""
    content = json.loads(data)
    places = list(_json_places(content))
    if not places:
        return b"null"
    holder, key = draw.choice(places)
    holder[key] = draw.choice(ODD_VALUES)
    return json.dumps(content).encode()


def missing_json(draw, data):
    """One entry of a JSON text taken out."""
    content = json.loads(data)
    places = list(_json_places(content))
    if not places:
        return b"[]"
    holder, key = draw.choice(places)
    del holder[key]
    return json.dumps(content).encode()


def other_json(draw, data):
    return json.dumps(draw.choice(ODD_VALUES)).encode()


def _json_places(content):
    """(holder, key) of every value inside a JSON content."""
    if isinstance(content, dict):
        keys = list(content)
    elif isinstance(content, list):
        keys = list(range(len(content)))
    else:
        return
    for key in keys:
        yield content, key
        yield from _json_places(content[key])


TEXT = (byte_order_mark, windows_line_ends, sixteen_bits, latin)
JSON = (odd_json, odd_json, odd_json, missing_json, other_json)

# ---- tables


def _lines(data):
    return data.decode("utf-8").splitlines(keepends=True)


def _joined(lines):
    return "".join(lines).encode("utf-8")


def double_a_row(draw, data):
    lines = _lines(data)
    place = draw.randrange(1, len(lines))
    return _joined([*lines[: place + 1], *lines[place:]])


def drop_a_row(draw, data):
    lines = _lines(data)
    del lines[draw.randrange(len(lines))]
    return _joined(lines)


def swap_rows(draw, data):
    lines = _lines(data)
    draw.shuffle(lines)
    return _joined(lines)


def odd_cell(draw, data):
    lines = _lines(data)
    place = draw.randrange(len(lines))
    cells = lines[place].rstrip("\n").split(",")
    cells[draw.randrange(len(cells))] = draw.choice(("nan", "", "inf", "-1", SCRIPT, '"', "1e999"))
    lines[place] = ",".join(cells) + "\n"
    return _joined(lines)


def another_digit(draw, data):
    text = data.decode("utf-8")
    places = [place for place, sign in enumerate(text) if sign.isdigit()]
    place = draw.choice(places)
    digit = draw.choice([sign for sign in "0123456789" if sign != text[place]])
    return (text[:place] + digit + text[place + 1 :]).encode("utf-8")


def semicolons(draw, data):
    return data.replace(b",", b";")


TABLE = (double_a_row, drop_a_row, swap_rows, odd_cell, odd_cell, another_digit, semicolons)


def damaged(draw, data, ways):
    """The bytes, damaged in one of the ways; never what they were."""
    while True:
        way = draw.choice(ways)
        changed = way(draw, data)
        if changed != data:
            return way.__name__, changed

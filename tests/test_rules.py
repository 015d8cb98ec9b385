"""The project keeps the rules of tests/rules.py and of ruff; the rules see what breaks them."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest
import rules

ROOT = rules.ROOT


@pytest.mark.parametrize("path", rules.files(), ids=str)
def test_every_file_keeps_the_rules(path):
    found = rules.breaches(path, (ROOT / path).read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("floor", rules.DENSITY)
def test_no_floor_is_denser_than_its_bar(floor):
    nodes, statements, ratio = rules.density()[floor]
    assert statements > 100 and ratio <= rules.DENSITY[floor], f"{ratio:.2f} nodes a statement"


def test_reasons_belong_to_functions_that_are_there():
    for key, reason in rules.MANY_PARAMETERS.items():
        path, _, name = key.partition(" ")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, rules.FUNCTIONS)]
        lengths = [len(rules.parameters(node)) for node in functions if node.name == name]
        assert lengths and max(lengths) > rules.MOST_PARAMETERS, f"{key} needs no exception"
        assert len(reason) > 20


def found_in(code, path="reidkit/some.py"):
    return rules.breaches(pathlib.Path(path), code)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def f(a, b, c, d, e, *, g, h, i): ...\n", "8 parameters"),
        ("def f():\n" + "    x = 1\n" * 60, "61 lines"),
        ("x = 1\n" * 401, "401 lines"),
        ("x = a if b else (c if d else e)\n", "conditional expression inside another"),
        ("x = [[a for a in b] for b in c if {d for d in e}]\n", "3 comprehensions"),
        ("for x in [a for a in b], [a for a in b], (a for a in b):\n    x\n", "3 comprehensions"),
    ],
)
def test_a_planted_breach_is_seen(code, words):
    (breach,) = found_in(code)
    assert words in breach and breach.startswith("reidkit/some.py")


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n    def f(self, a, b, c, d, e, g, h): ...\n",
        "def f():\n" + "    x = 1\n" * 59,
        "x = 1\n" * 400,
        "x = a if b else c\ny = d if x else e\n",
        "if [a for a in b]:\n    x = [a for a in b]\n    y = {a for a in b}\n",
    ],
)
def test_what_keeps_the_rules_is_left_alone(code):
    assert found_in(code) == []


def test_density_counts_nodes_and_no_constants():
    nodes, statements = rules.nodes_and_statements(ast.parse("x = 1\ny = f(x, 2)\n"))
    assert (nodes, statements) == (
        2 + 5,
        2,
    )  # x and its statement; y, f, x, the call, the statement


def test_code_lines_are_those_with_code():
    text = '"""Doc.\n\nmore"""\n\nx = 1  # why\n# a comment\n\ndef f():\n    """Doc."""\n'
    assert rules.code_lines(text + "    return (1,\n            2)\n") == 4


@pytest.mark.parametrize("words", [["check", "."], ["format", "--check", "--quiet", "."]])
def test_ruff_is_content(words):
    command = [sys.executable, "-m", "ruff", *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_code_of_chapters_is_100_columns_wide():
    """ruff does not look at the sources' lines, since their markdown is one line a paragraph."""
    long = []
    for path in sorted((ROOT / "notebooks" / "source").glob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        numbers = [number for number, line in enumerate(lines, 1) if is_long_code(line)]
        long += [f"{path.name}:{number}" for number in numbers]
    assert not long, long


def is_long_code(line):
    return len(line) > 100 and not re.match(r"#(\s|$)", line)

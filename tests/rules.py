"""What the project asks of its code, measured from the syntax tree: `python tests/rules.py` prints
it by floor.

Sizes (parameters, lines of a function and of a file, comprehensions in a statement, conditional
expressions inside another) are limits. Density, the number of syntax-tree nodes a statement, is a
bar for a whole floor: a formatter cannot change it, and code that does one thing a line has 5 to 7
(nanoGPT 5.8, segment-anything 6.7, pytorch-metric-learning 5.1). Complexity and line length are
left to ruff. Standard library only.
"""

import ast
import io
import pathlib
import sys
import tokenize

ROOT = pathlib.Path(__file__).resolve().parents[1]
MOST_PARAMETERS = 7
MOST_LINES_OF_A_FUNCTION = 60
MOST_LINES_OF_A_FILE = 400
MOST_COMPREHENSIONS = 2

# Nodes a statement, at most, by floor.
DENSITY = {"core": 6.7, "world": 8.0, "chapters": 7.0, "sources": 7.0}

# Functions that may have more parameters -> why.
MANY_PARAMETERS = {
    "reidkit/layers/one_pass.py forward": "an autograd.Function takes its tensors one by one: only "
    "arguments, not what they hold, are followed by autograd",
    "reidkit/retrieval/metrics.py evaluate": "a query and a gallery of features, ids and cameras "
    "each: the field's call",
    "reidkit/world/render.py restyle": "render's seven, and the cameras that the style comes from",
    "reidkit/world/sets.py sample": "one call draws a whole set: what, how many, how hard, where; "
    "all but four have defaults",
    "reidkit/world/sets.py make_exam": "the arguments of sample, so that an exam is asked for "
    "like a training set",
}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def floor_of(path):
    """The name in DENSITY that a file (relative to the project) counts to; None for files without a
    bar.
    """
    parts = path.parts
    if parts[0] == "notebooks":
        return "sources"
    if parts[0] != "reidkit":
        return None
    if parts[1] == "world":
        return "world"
    if "chapters" in parts or "checks" in parts:
        return "chapters"
    return "core"


def nodes_and_statements(tree):
    """(expressions and statements but for constants, statements) of a syntax tree."""
    nodes = 0
    statements = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            statements += 1
        if isinstance(node, (ast.expr, ast.stmt)) and not isinstance(node, ast.Constant):
            nodes += 1
    return nodes, statements


def own_nodes(statement):
    """The nodes of one statement without those of the statements inside it (the body of an `if`,
    say).
    """
    todo = [statement]
    while todo:
        node = todo.pop()
        yield node
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.stmt):
                todo.append(child)


def parameters(function):
    """Names of a function's parameters; `self` and `cls` do not count."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def breaches(path, text):
    """Sentences on every rule that a file (relative path, text) breaks, with the line."""
    found = []
    lines = text.count("\n")
    # A chapter's source is prose, too; its cells have limits of their own.
    if lines > MOST_LINES_OF_A_FILE and floor_of(path) != "sources":
        found.append(f"{path}: {lines} lines; at most {MOST_LINES_OF_A_FILE}")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS):
            found += _function_breaches(path, node)
        if isinstance(node, ast.stmt):
            found += _statement_breaches(path, node)
    return found


def _function_breaches(path, function):
    where = f"{path}:{function.lineno} {function.name}"
    length = function.end_lineno - function.lineno + 1
    if length > MOST_LINES_OF_A_FUNCTION:
        yield f"{where}: {length} lines; at most {MOST_LINES_OF_A_FUNCTION}"
    count = len(parameters(function))
    if count > MOST_PARAMETERS and f"{path} {function.name}" not in MANY_PARAMETERS:
        yield f"{where}: {count} parameters; at most {MOST_PARAMETERS}, or a reason in rules.py"


def _statement_breaches(path, statement):
    where = f"{path}:{statement.lineno}"
    inside = list(own_nodes(statement))
    count = sum(isinstance(node, COMPREHENSIONS) for node in inside)
    if count > MOST_COMPREHENSIONS:
        yield f"{where}: {count} comprehensions in one statement; at most {MOST_COMPREHENSIONS}"
    for node in inside:
        if isinstance(node, ast.IfExp) and _holds_a_conditional(node):
            yield f"{where}: a conditional expression inside another"


def _holds_a_conditional(expression):
    return any(
        isinstance(node, ast.IfExp) for node in ast.walk(expression) if node is not expression
    )


def files():
    """Every Python file that the rules hold for, relative to the project."""
    folders = ("reidkit", "notebooks/source", "benchmarks", "tests")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in [*paths, ROOT / "course.py"]]


def density():
    """{floor: (nodes, statements, nodes a statement)}"""
    sums = {}
    for path in files():
        floor = floor_of(path)
        if floor is None:
            continue
        nodes, statements = nodes_and_statements(
            ast.parse((ROOT / path).read_text(encoding="utf-8"))
        )
        before = sums.get(floor, (0, 0))
        sums[floor] = (before[0] + nodes, before[1] + statements)
    return {floor: (nodes, count, nodes / count) for floor, (nodes, count) in sums.items()}


def code_lines(text):
    """How many lines hold code: no blanks, comments or docstrings."""
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            if ast.get_docstring(node, clean=False) is not None:
                text_node = node.body[0]
                lines.difference_update(range(text_node.lineno, text_node.end_lineno + 1))
    return len(lines)


def report():
    """A line for each floor of the package and for the sources: how much code, and how dense."""
    sums = {}
    for path in files():
        if floor_of(path) is None:
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        nodes, statements = nodes_and_statements(ast.parse(text))
        place = path.parts[1].removesuffix(".py")
        before = sums.get(place, (0, 0, 0))
        here = (code_lines(text), nodes, statements)
        sums[place] = tuple(old + new for old, new in zip(before, here))
    print(f"{'floor':14} {'code lines':>10} {'nodes a line':>13} {'nodes a statement':>18}")
    for place, (lines, nodes, statements) in sorted(sums.items()):
        if lines:
            print(f"{place:14} {lines:10} {nodes / lines:13.2f} {nodes / statements:18.2f}")


def main(paths=()):
    """Print density by floor and every breach; with paths, density and breaches of these files
    only.
    """
    if paths:
        for name in paths:
            path = pathlib.Path(name).resolve().relative_to(ROOT)
            text = (ROOT / path).read_text(encoding="utf-8")
            nodes, statements = nodes_and_statements(ast.parse(text))
            print(f"{path}: {nodes / max(statements, 1):.2f} nodes a statement")
            print(*breaches(path, text), sep="\n")
        return 0
    report()
    for floor, (nodes, statements, ratio) in density().items():
        print(
            f"{floor:10} {nodes:7} nodes {statements:6} statements {ratio:6.2f} a statement; at "
            f"most {DENSITY[floor]}"
        )
    found = [
        line
        for path in files()
        for line in breaches(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

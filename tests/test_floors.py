"""One floor stands on the next: no file imports from a floor above its own, and none in a circle.

Every import counts, also one inside a function: that it runs late hides a circle and does not
open it.
"""

import ast
import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# From the ground up. A room is a file or a folder of reidkit; rooms of one floor may use each
# other.
FLOORS = [
    (
        "arguments",
        "console",
        "files",
        "runtime",
        "code_digest",
        "fingerprints",
        "file_kinds",
        "tensor_files",
        "store",
        "table_files",
        "stats",
        "workers",
    ),
    ("pictures", "record"),
    ("world",),
    ("datasets",),
    ("sampling", "augment", "layers", "losses"),
    ("_vision", "backbones", "weights"),
    ("training",),
    ("methods",),
    ("retrieval", "measures"),
    ("recipes",),
    ("teach",),
    ("chapters",),
]

# What only these rooms import: the core works without it.
COURSE = ("teach", "chapters")
COURSE_ONLY = {
    "ipywidgets",
    "matplotlib",
    "umap",
    "IPython",
    "jupytext",
    "nbformat",
    "nbclient",
    "nbconvert",
    "papermill",
}


def find_modules(root):
    """{full name: path} of every file of the package in a folder; a package is its __init__.py."""
    modules = {}
    for path in sorted((root / "reidkit").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        modules[".".join(parts).removesuffix(".__init__")] = path
    return modules


def imports(module, modules):
    """Full names of what a module imports, wherever it does; `from . import x` is the module x."""
    path = modules[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            origin = importlib.util.resolve_name(relative, package)
            for alias in node.names:
                submodule = f"{origin}.{alias.name}"
                names.add(submodule if submodule in modules else origin)
    return names


def graph_of(imported):
    """{module: all names that it imports} -> {module: the modules of reidkit that it imports}"""
    return {module: names & imported.keys() for module, names in imported.items()}


def reachable(graph, start):
    """The modules that imports lead to from `start`; `start` itself only through a circle."""
    met = set()
    waiting = [start]
    while waiting:
        for module in graph[waiting.pop()] - met:
            met.add(module)
            waiting.append(module)
    return met


def circles(graph):
    """Groups of modules in which each imports every other, directly or by way of others."""
    met_from = {module: reachable(graph, module) for module in graph}
    groups = set()
    for module, met in met_from.items():
        if module in met:
            groups.add(frozenset(other for other in met if module in met_from[other]))
    return sorted(sorted(group) for group in groups)


def room_of(module):
    """The file or folder of reidkit that a module is in; empty for the package itself."""
    _, _, inside = module.partition(".")
    return inside.partition(".")[0]


def floor_of(module):
    """The number of a module's floor; None for the package itself, which stands below them all."""
    room = room_of(module)
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    if room:
        pytest.fail(f"{module} stands on no floor; add it to FLOORS")
    return None


def back_arrows(graph):
    """Sentences on every import from a floor above the importing module's own."""
    sentences = []
    for module, imported in graph.items():
        floor = floor_of(module)
        for name in sorted(imported):
            imported_floor = floor_of(name)
            if imported_floor is not None and (floor is None or imported_floor > floor):
                sentences.append(f"{module} imports {name}")
    return sentences


# ---- the project


@pytest.fixture(scope="module")
def imported():
    """{module of reidkit: all names that it imports}"""
    modules = find_modules(ROOT)
    return {module: imports(module, modules) for module in modules}


def test_no_module_imports_from_a_floor_above(imported):
    assert back_arrows(graph_of(imported)) == []


def test_no_imports_run_in_a_circle(imported):
    assert circles(graph_of(imported)) == []


def test_only_the_course_imports_what_the_core_works_without(imported):
    wrong = []
    for module, names in imported.items():
        packages = {name.partition(".")[0] for name in names}
        if packages & COURSE_ONLY and room_of(module) not in COURSE:
            wrong.append(f"{module} imports {sorted(packages & COURSE_ONLY)}")
    assert wrong == []


def test_every_room_of_a_floor_exists(imported):
    rooms = [room for floor in FLOORS for room in floor]
    assert [room for room in rooms if f"reidkit.{room}" not in imported] == []


# ---- what the tests above would see


def plant(folder, sources):
    """A package of these sources (path inside reidkit -> text) -> its graph of imports."""
    for name, text in {"__init__.py": "", **sources}.items():
        path = folder / "reidkit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    modules = find_modules(folder)
    return graph_of({module: imports(module, modules) for module in modules})


@pytest.mark.parametrize(
    "line, imported",
    [
        ("import torch", set()),
        ("import reidkit.files, torch", {"reidkit.files"}),
        ("from reidkit.files import digest", {"reidkit.files"}),
        ("from .. import files, __version__", {"reidkit.files", "reidkit"}),
        ("from ..files import digest as name", {"reidkit.files"}),
        ("from . import people", {"reidkit.world.people"}),
        ("from .people import make_people", {"reidkit.world.people"}),
        ("from . import sample", {"reidkit.world"}),
        ("def late():\n    if True:\n        from . import people", {"reidkit.world.people"}),
    ],
)
@pytest.mark.parametrize("importer", ["body.py", "figures/__init__.py"])
def test_every_form_of_import_is_seen(tmp_path, importer, line, imported):
    """Seen from a module of a package, and from the __init__.py of a package inside it."""
    deep = importer.endswith("__init__.py")
    line = line.replace("from .", "from ..") if deep else line
    sources = {"files.py": "", "world/__init__.py": "", "world/people.py": ""}
    graph = plant(tmp_path, {**sources, f"world/{importer}": line})
    assert graph["reidkit.world.figures" if deep else "reidkit.world.body"] == imported


def test_a_planted_circle_is_found(tmp_path):
    """Three modules in a circle, one import of which runs late; what leads to it is not of it."""
    sources = {
        "files.py": "",
        "record.py": "from .files import digest",
        "world/__init__.py": "from .sets import sample",
        "world/sets.py": "from ..record import ReIDData\nfrom .people import make_people",
        "world/people.py": "def late():\n    from .places import make_place",
        "world/places.py": "from . import sets",
    }
    graph = plant(tmp_path, sources)
    circle = ["reidkit.world.people", "reidkit.world.places", "reidkit.world.sets"]
    assert circles(graph) == [circle]
    assert back_arrows(graph) == []


def test_a_package_that_its_own_module_imports_is_a_circle(tmp_path):
    sources = {
        "world/__init__.py": "from .sets import sample",
        "world/sets.py": "def late():\n    from . import sample",
    }
    assert circles(plant(tmp_path, sources)) == [["reidkit.world", "reidkit.world.sets"]]


def test_circles_are_told_apart():
    graph = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c"}, "e": {"e"}, "f": {"a"}}
    assert circles(graph) == [["a", "b"], ["c", "d"], ["e"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_a_planted_back_arrow_is_found(tmp_path):
    sources = {
        "recipes.py": "from . import files",
        "files.py": "",
        "world/body.py": "def late():\n    from .. import recipes",
        "world/__init__.py": "from ..files import digest",
        "__init__.py": "from .files import digest",
    }
    graph = plant(tmp_path, sources)
    assert sorted(back_arrows(graph)) == [
        "reidkit imports reidkit.files",
        "reidkit.world.body imports reidkit.recipes",
    ]
    assert circles(graph) == []


def test_a_room_without_a_floor_fails():
    with pytest.raises(pytest.fail.Exception, match="reidkit.attic.box stands on no floor"):
        floor_of("reidkit.attic.box")

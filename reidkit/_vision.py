"""torchvision, importable also beside a torch that it was not compiled for.

A CPU build of torch beside the torchvision of a CUDA build (what a plain `pip install` easily
leaves) dies on import with "operator torchvision::nms does not exist": its compiled library cannot
be loaded, and two operators that it registers are missing. The course needs neither, so we state
their signatures and the import works. With a matched pair nothing is done.
"""

import functools
import importlib
import importlib.util
import pathlib
import types
from collections.abc import Callable

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def stand_in_operators(
    folder: str | pathlib.Path,
    load_library: Callable[[str], object],
    define: Callable[[str], object],
) -> bool:
    """Define torchvision's operators if none of its compiled libraries loads.

    Args:
        folder: where the libraries are.
        load_library: path of a library; raises OSError where it does not load.
        define: schema of an operator.
    Returns:
        True if the operators were defined.
    """
    for library in sorted(pathlib.Path(folder).glob("_C*")):
        if library.suffix not in (".so", ".pyd", ".dylib"):
            continue
        try:
            load_library(str(library))
            return False
        except OSError:
            continue
    for schema in SCHEMAS:
        define(schema)
    return True


@functools.cache
def torchvision() -> types.ModuleType:
    """The torchvision package.

    Returns:
        The module.
    Raises:
        ImportError: it is not installed; with the remedy.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None:
        raise ImportError(
            "torchvision is not installed; pip install the torchvision that belongs to your torch"
        )
    library = torch.library.Library("torchvision", "FRAGMENT")
    torchvision.keep = library  # the operators live as long as this object
    stand_in_operators(spec.submodule_search_locations[0], torch.ops.load_library, library.define)
    return importlib.import_module("torchvision")

"""IBN-Net: instance norm beside batch norm, in the first stages only.

Pan, Luo, Shi, Tang, "Two at Once", ECCV 2018. Style lives in shallow layers and content in deep
ones, so instance norm stays out of the last stage.
"""

from torch import nn

from ..backbones import make_trunk
from ..layers.norms import IBN, InstanceNorm, swap_norms
from ..layers.residual import norm_last_sum
from .baseline import Baseline

SHALLOW = ("layer1", "layer2", "layer3")


def ibn_a(trunk: nn.Module) -> nn.Module:
    """IBN in place of the first norm of every block of layer1 to layer3, in place.

    The branch's later norms, the shortcut and the stem keep batch norm: branch and shortcut must
    stay comparable, and half of each branch's channels keep what instance norm would forget.
    ResNet-50: 13 IBN layers, parameters unchanged.

    Args:
        trunk: a residual trunk.
    Returns:
        The trunk.
    """
    return swap_norms(
        trunk, IBN, lambda name, _: name.startswith(SHALLOW) and name.endswith(".bn1")
    )


def ibn_b(trunk: nn.Module) -> nn.Module:
    """Instance norm in place of the stem's norm, and behind the last sum of layer1 and of layer2.

    In place. ResNet-50: 3 instance norms, 1,536 parameters more.

    Args:
        trunk: a residual trunk.
    Returns:
        The trunk.
    """
    swap_norms(trunk, InstanceNorm, lambda name, _: name == "bn1")
    for name in SHALLOW[:2]:
        norm_last_sum(trunk.get_submodule(name))
    return trunk


def make(classes: int, trunk: str = "tiny", form: str = "a") -> Baseline:
    """An IBN network.

    Args:
        classes: identities to train on.
        trunk: a name of a residual trunk for `backbones.make_trunk`.
        form: "a" or "b", see `ibn_a` and `ibn_b`.
    Raises:
        ValueError: there is no form of this name.
    """
    if form not in FORMS:
        raise ValueError(f"form is {form!r}; expected one of {', '.join(map(repr, FORMS))}")
    return Baseline(classes, FORMS[form](make_trunk(trunk)))


FORMS = {"a": ibn_a, "b": ibn_b}

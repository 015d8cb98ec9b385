"""When a layer must be made of plain operations: where torch follows it by other means than the
tape that a backward pass runs along.
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad


def is_traced(*tensors: Tensor | None) -> bool:
    """Whether torch compiles, exports or transforms what is computed now.

    True inside torch.compile, torch.export and torch.jit.trace, inside the transforms of torch.func
    (grad, vmap, jvp, jacrev, ...), and for tensors that carry a tangent of forward-mode
    differentiation. An autograd.Function with a backward of its own suits none of these, and what
    depends on the numbers themselves (an error for a wrong id) cannot be asked for there.

    Args:
        tensors: what is computed with; None is passed over.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transformed():
        return True
    for tensor in tensors:
        if tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None:
            return True
    return False


def is_transformed() -> bool:
    """Whether a transform of torch.func is running. Function.apply asks torch the same way."""
    return torch._C._are_functorch_transforms_active()

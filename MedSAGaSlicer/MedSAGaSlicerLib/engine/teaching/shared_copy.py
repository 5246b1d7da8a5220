"""Copies of networks whose tensors lie where the original's do."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

ModuleType = TypeVar("ModuleType", bound=nn.Module)


def shared_copy(network: ModuleType) -> ModuleType:
    """The same network built of new modules, frozen, around the same weights in memory.

    Modules of the copy can be replaced, or get further parameters, without the original noticing,
    and the copy needs no memory for weights. Whoever wants to change a tensor of it puts another
    in its place.
    """
    # To deepcopy the tensors look as if they had been copied already. New objects all the same,
    # since whether a parameter is trained is written on the object.
    shared: dict[int, Tensor] = {
        id(tensor): nn.Parameter(tensor.detach(), requires_grad=False)
        for tensor in network.parameters()
    }
    shared |= {id(tensor): tensor for tensor in network.buffers()}
    return copy.deepcopy(network, shared)

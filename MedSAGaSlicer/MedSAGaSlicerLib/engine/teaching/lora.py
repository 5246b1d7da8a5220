"""Low-rank changes of an encoder's attention (LoRA, Hu et al. 2022), placed as SAMed does.

Each block's projection to queries and values gets a change B A of low rank; keys, everything else
and the weights themselves stay (SAMed, Zhang and Liu 2023, arXiv 2304.13785). B is zero at first:
before the first step the encoder is exactly the base's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.products import QuickLinear
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy
from MedSAGaSlicerLib.engine.tiny_vit import TinyViT
from MedSAGaSlicerLib.errors import InputError

DOWN: Final = "low_rank_down"
UP: Final = "low_rank_up"
_PROJECTION: Final = "qkv"


class LowRankProjection(QuickLinear):
    """A projection to queries, keys and values, with changes of queries and values.

    Attributes:
        low_rank_down: A of queries and of values, (2, rank, inputs).
        low_rank_up: B of queries and of values, (2, inputs, rank).
        rows: outputs that are queries, then those that are values, (2 * inputs,).
    """

    low_rank_down: nn.Parameter
    low_rank_up: nn.Parameter
    rows: Tensor

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., inputs) to (..., 3 * inputs) floating point."""
        # As the encoder without changes computes it, to the last bit.
        projected = super().forward(tokens)
        low = functional.linear(tokens, self.low_rank_down.flatten(0, 1))
        parts = zip(low.chunk(2, dim=-1), self.low_rank_up, strict=True)
        change = torch.cat([functional.linear(part, up) for part, up in parts], dim=-1)
        return projected.index_add(-1, self.rows, change.to(projected.dtype))


def with_low_rank(encoder: nn.Module, rank: int, seed: int) -> nn.Module:
    """A copy of an encoder with trainable low-rank changes; weights are shared with the original.

    Args:
        encoder: a ViT of segment-anything's classes, or a TinyViT.
        rank: of the changes.
        seed: of their first factor; the second one is zero.

    Raises:
        InputError: the encoder has no such projection, or the rank is none of a real change.
    """
    changed = shared_copy(encoder)
    projections = projections_of(changed)
    if not projections:
        msg = (
            f"The method lora finds no projection to queries and values in this encoder "
            f"({type(encoder).__name__}); teach it by another method, as decoder"
        )
        raise InputError(msg)
    smallest = min(layer.in_features for layer in projections.values())
    if not 1 <= rank <= smallest:
        msg = (
            f"LoRA's rank is {rank}; on this model it must be from 1 to {smallest}, the smaller "
            "side of its smallest projection. 4 is usual"
        )
        raise InputError(msg)
    by_head = isinstance(encoder, TinyViT)
    generator = torch.Generator().manual_seed(seed)
    for name, layer in projections.items():
        size = layer.in_features
        heads = int(vars(changed.get_submodule(name.rpartition(".")[0]))["heads"]) if by_head else 1
        bound = 1 / math.sqrt(size)
        down = torch.empty(2, rank, size).uniform_(-bound, bound, generator=generator)
        device = layer.weight.device
        layer.__class__ = LowRankProjection
        layer.register_parameter(DOWN, nn.Parameter(down.to(device)))
        layer.register_parameter(UP, nn.Parameter(torch.zeros(2, size, rank, device=device)))
        layer.register_buffer("rows", _rows(size, heads).to(device), persistent=False)
    return changed


def merged(encoder: nn.Module, changes: Mapping[str, Tensor]) -> nn.Module:
    """A copy of an encoder with low-rank changes added to its weights; the rest is shared.

    Args:
        encoder: the base's.
        changes: factors, by their names within the encoder.

    Raises:
        KeyError, RuntimeError: they do not belong to this encoder.
    """
    result = shared_copy(encoder)
    by_head = isinstance(encoder, TinyViT)
    expected = projections_of(result)
    named = {name.rpartition(".")[0] for name in changes}
    if named != expected.keys():
        raise KeyError(*sorted(named ^ expected.keys())[:3])
    for name, layer in expected.items():
        down, up = changes[f"{name}.{DOWN}"].float(), changes[f"{name}.{UP}"].float()
        heads = int(vars(result.get_submodule(name.rpartition(".")[0]))["heads"]) if by_head else 1
        weight = layer.weight.detach().clone()
        change = (up @ down).flatten(0, 1).to(weight)
        weight.index_add_(0, _rows(layer.in_features, heads).to(weight.device), change)
        layer.weight = nn.Parameter(weight, requires_grad=False)
    return result


def projections_of(encoder: nn.Module) -> dict[str, nn.Linear]:
    """The layers of an encoder that make queries, keys and values together, by name."""
    return {
        name: layer
        for name, layer in encoder.named_modules()
        if name.rpartition(".")[2] == _PROJECTION
        and isinstance(layer, nn.Linear)
        and layer.out_features == 3 * layer.in_features
    }


def _rows(size: int, heads: int) -> Tensor:
    """Outputs that are queries, then values; with several heads each head's three lie together."""
    parts = torch.arange(3 * size).view(heads, 3, size // heads)
    return torch.cat([parts[:, 0].flatten(), parts[:, 2].flatten()])

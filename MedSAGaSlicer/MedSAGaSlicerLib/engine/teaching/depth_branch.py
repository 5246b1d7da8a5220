"""A branch over depth: tokens that attend to those at their own place on neighbouring slices.

After the space-depth branch of Medical SAM Adapter (Wu et al. 2023, 2304.12620), written from the
paper. There the frozen attention is used a second time, across slices; here a small one of its own
works on few channels and knows how far away a slice is. Its last layer is zero at first, so that an
untaught encoder is exactly its base. All slices go through the blocks, side by side in the batch,
which takes as many times the base's time; what comes out is the slice in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.teaching.block_adapters import (
    attending_blocks,
    narrow_width,
    seeded,
)
from MedSAGaSlicerLib.engine.tiny_vit import TinyViT

_NEARNESS: Final = "nearness"


class DepthAttention(nn.Module):
    """Attention along the slices of a stack alone; gives zero until it has learned."""

    def __init__(self, width: int, narrow: int, depth: int) -> None:
        """For tokens of `width` channels, `narrow` of which are compared; `depth` slices."""
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * narrow)
        self.up = nn.Linear(narrow, width)
        # By the distance of two slices: both sides count the same.
        self.nearness = nn.Parameter(torch.zeros(depth))
        for zero in (self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    @property
    def depth(self) -> int:
        """Slices in a stack."""
        return len(self.nearness)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B x depth, H, W, width) to the same shape; slices of a stack follow each other."""
        depth = self.depth
        stacks = self.qkv(self.norm(tokens)).unflatten(0, (-1, depth)).movedim(1, 3)
        queries, keys, values = stacks.chunk(3, dim=-1)
        at = torch.arange(depth, device=tokens.device)
        scores = queries @ keys.transpose(-1, -2) * keys.shape[-1] ** -0.5
        weights = (scores + self.nearness[(at[:, None] - at).abs()]).softmax(-1)
        output: Tensor = self.up(weights @ values).movedim(3, 1).flatten(0, 1)
        return output


class AcrossSlices(nn.Module):
    """A block of an encoder whose tokens have looked at the neighbouring slices before."""

    def __init__(
        self, inner: nn.Module, adapter: DepthAttention, *, first: bool, last: bool
    ) -> None:
        """Take the block over.

        Args:
            inner: the block.
            adapter: the branch.
            first: channels come first in the block's tokens: (B, C, H, W), not (B, H, W, C).
            last: only the slice in the middle goes on from here.
        """
        super().__init__()
        self.inner = inner
        self.adapter = adapter
        self._first = first
        self._last = last

    def forward(self, tokens: Tensor) -> Tensor:
        """As the block; of the last one the batch is smaller by the depth."""
        seen = tokens.movedim(1, 3) if self._first else tokens
        seen = self.adapter(seen)
        tokens = tokens + (seen.movedim(3, 1) if self._first else seen)
        if self._last:
            depth = self.adapter.depth
            tokens = tokens[depth // 2 :: depth]
        output: Tensor = self.inner(tokens)
        return output


class _OverStacks(nn.Module):
    """Comes before an encoder's own class: it takes stacks then."""

    depth: int

    def forward(self, stacks: Tensor) -> Any:
        """(B, depth, 3, S, S) to the embeddings (B, C, h, w) of the slices in the middle."""
        return super().forward(stacks.flatten(0, 1))


def add_depth_branches(encoder: nn.Module, depth: int, seed: int) -> None:
    """Give each block with attention a branch over `depth` slices, in place.

    From then on the encoder takes stacks, see `engine.neighbours`: (B, depth, 3, S, S).

    Raises:
        InputError: there is no block with attention.
    """
    own, first = type(encoder), isinstance(encoder, TinyViT)
    blocks = attending_blocks(encoder)
    with seeded(seed):
        for number, (name, block, width) in enumerate(blocks, 1):
            branch = DepthAttention(width, narrow_width(width), depth)
            branch.to(next(block.parameters()).device)
            parent, _, place = name.rpartition(".")
            changed = AcrossSlices(block, branch, first=first, last=number == len(blocks))
            setattr(encoder.get_submodule(parent), place, changed)
    encoder.__class__ = type(f"Stacked{own.__name__}", (_OverStacks, own), {"depth": depth})


def encoder_depth(encoder: nn.Module) -> int:
    """How many slices an encoder looks at, 1 without such branches."""
    return encoder.depth if isinstance(encoder, _OverStacks) else 1


def depth_in(tensors: Mapping[str, Tensor]) -> int:
    """The depth for which an adapter's tensors were taught, 1 if they have no such branches."""
    found = (t for name, t in tensors.items() if name.rpartition(".")[2] == _NEARNESS)
    nearness = next(found, None)
    return 1 if nearness is None else len(nearness)

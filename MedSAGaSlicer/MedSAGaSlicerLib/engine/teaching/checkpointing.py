"""Encoder blocks that keep their input alone and compute the rest again for the gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from MedSAGaSlicerLib.engine.tiny_vit import TinyViT


class _Checkpointed(nn.Module):
    """Comes before a block's own class: its numbers stay, what they need in memory does not."""

    def forward(self, *inputs: Tensor) -> Any:
        """As the block's own."""
        if not torch.is_grad_enabled():
            return super().forward(*inputs)
        # Nothing in these blocks is drawn by chance, so there is no state to be restored.
        return checkpoint(super().forward, *inputs, use_reentrant=False, preserve_rng_state=False)


def checkpoint_blocks(encoder: nn.Module) -> None:
    """Make an encoder's blocks forget what is inside them until the gradients come; in place.

    The encoder needs the memory of all blocks' inputs and of one block, and the time of two forward
    passes (Chen et al. 2016, "Training deep nets with sublinear memory cost"). Parameters, their
    names and all results stay as they are.
    """
    for block in _blocks(encoder):
        own = type(block)
        if not issubclass(own, _Checkpointed):
            block.__class__ = type(f"Checkpointed{own.__name__}", (_Checkpointed, own), {})


def _blocks(encoder: nn.Module) -> list[nn.Module]:
    if not isinstance(encoder, TinyViT):
        return list(encoder.get_submodule("blocks").children())
    blocks: list[nn.Module] = []
    for stage in encoder.layers:
        blocks += stage.get_submodule("blocks").children()
        blocks += [part for name, part in stage.named_children() if name == "downsample"]
    return blocks

"""An image encoder cut in two: a trunk that stays, and the last blocks with what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.tiny_vit import TinyViT

_QUARTER: Final = 4


class EncoderSplit:
    """The trunk and the top of an encoder; together they are the encoder.

    Attributes:
        blocks: how many blocks the top has.
        trained: beginnings of the names of the top's parameters, within the encoder.
    """

    def __init__(self, encoder: nn.Module, last: int = 0) -> None:
        """Cut before the `last` blocks; 0: a quarter of them, at least one.

        Blocks are those with attention. There is always a block left in the trunk, if the encoder
        has more than one.
        """
        self._encoder = encoder
        units = _units(encoder)
        counted = [number for number, (_, _, attends) in enumerate(units) if attends]
        wanted = last or max(1, len(counted) // _QUARTER)
        self.blocks = max(1, min(wanted, len(counted) - 1))
        cut = counted[-self.blocks]
        self._trunk = [(name, unit) for name, unit, _ in units[:cut]]
        self._top = [(name, unit) for name, unit, _ in units[cut:]]
        self.trained = (*(f"{name}." for name, _ in self._top), "neck.")

    def trunk(self, images: Tensor) -> Tensor:
        """What the first trained block takes: images (B, 3, S, S) to its input.

        (B, h, w, C) of a ViT, (B, C, h, w) of a TinyViT.
        """
        tokens = images
        if isinstance(self._encoder, TinyViT):
            # As the encoder's own forward does.
            tokens = images.contiguous(memory_format=torch.channels_last)
        tokens = self._encoder.get_submodule("patch_embed")(tokens)
        position = getattr(self._encoder, "pos_embed", None)
        if isinstance(position, Tensor):
            tokens = tokens + position
        return _through(self._trunk, tokens)

    def top(self, tokens: Tensor) -> Tensor:
        """The embedding (B, 256, G, G) from what `trunk` gave."""
        tokens = _through(self._top, tokens)
        if not isinstance(self._encoder, TinyViT):
            tokens = tokens.permute(0, 3, 1, 2)
        output: Tensor = self._encoder.get_submodule("neck")(tokens)
        return output

    def fingerprint(self) -> str:
        """SHA-256 in hex over all that the trunk's output depends on, apart from the image."""
        state = hashlib.sha256(f"{type(self._encoder).__name__} {len(self._trunk)}\n".encode())
        for name, tensor in sorted(self._encoder.state_dict().items()):
            if not name.startswith(self.trained):
                state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
                state.update(tensor.detach().cpu().contiguous().numpy())
        return state.hexdigest()


def _through(units: Sequence[tuple[str, nn.Module]], tokens: Tensor) -> Tensor:
    for _, unit in units:
        tokens = unit(tokens)
    return tokens


def _units(encoder: nn.Module) -> Sequence[tuple[str, nn.Module, bool]]:
    """What an encoder does between its patches and its neck: name, module, whether it attends."""
    if not isinstance(encoder, TinyViT):
        blocks = encoder.get_submodule("blocks").named_children()
        return [(f"blocks.{name}", block, True) for name, block in blocks]
    units: list[tuple[str, nn.Module, bool]] = []
    for number, stage in enumerate(encoder.layers):
        start = f"layers.{number}"
        for name, block in stage.get_submodule("blocks").named_children():
            attends = "attn" in dict(block.named_children())
            units.append((f"{start}.blocks.{name}", block, attends))
        merging = dict(stage.named_children()).get("downsample")
        if merging is not None:
            units.append((f"{start}.downsample", merging, False))
    return units

"""Teaching small networks inside a frozen model, as Medical SAM Adapter does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from MedSAGaSlicerLib.engine.families import SamModel
from MedSAGaSlicerLib.engine.teaching.block_adapters import (
    add_decoder_adapters,
    add_encoder_adapters,
    is_adapter,
)
from MedSAGaSlicerLib.engine.teaching.depth_branch import add_depth_branches, depth_in
from MedSAGaSlicerLib.engine.teaching.encoder_method import ENCODER, EncoderMethod
from MedSAGaSlicerLib.engine.teaching.method import with_copies
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy

_DECODER = "mask_decoder."


class AdapterMethod(EncoderMethod):
    """The model's own weights stay all of them; an adapter folder keeps the small networks."""

    name = "adapter"
    # All of its networks begin at zero and have further to go than weights that know something: at
    # the others' rates, one click from 15 masks of the hippocampus gains .01 in 100 steps, at these
    # .08 (two seeds).
    encoder_rate: ClassVar[float] = 4.0
    encoder_start: ClassVar[float] = 0.3

    @classmethod
    def assemble(cls, base: SamModel, tensors: Mapping[str, Tensor]) -> SamModel:
        """Encoder and decoder with the small networks in them, the base's weights shared.

        Raises:
            KeyError, RuntimeError: the tensors do not fit the base.
        """
        model = with_copies(base, ())
        model.image_encoder = cls._taught_encoder(base.image_encoder, _within(ENCODER, tensors))
        model.mask_decoder = shared_copy(base.mask_decoder)
        add_decoder_adapters(model.mask_decoder, seed=0)
        _fill(model.mask_decoder, _within(_DECODER, tensors))
        return model

    def tensors(self, share: float = 1.0) -> dict[str, Tensor]:
        """The small networks, float32."""
        found = {}
        for part in (ENCODER, _DECODER):
            own = _shares(self.model.get_submodule(part.rstrip(".")), share)
            found.update({part + name: tensor.cpu() for name, tensor in own.items()})
        return found

    def facts(self) -> dict[str, Any]:
        """How many numbers are trained besides the learned prompts, and the slices looked at."""
        count = sum(tensor.numel() for tensor in self.tensors().values())
        return {"adapter_trained": count, "depth": self.config.depth}

    def _copied(self, base: SamModel) -> SamModel:
        model = with_copies(base, ())
        model.image_encoder = self._encoder(base.image_encoder)
        # Whoever trains freezes what it does not train: not on the base's own modules.
        model.prompt_encoder = shared_copy(base.prompt_encoder)
        model.mask_decoder = shared_copy(base.mask_decoder)
        add_decoder_adapters(model.mask_decoder, self.config.seed)
        return model

    def _learns(self, name: str) -> bool:
        return is_adapter(name)

    def _rate(self, name: str) -> float:
        return self.config.encoder_rate if is_adapter(name) else super()._rate(name)

    def _encoder(self, encoder: nn.Module) -> nn.Module:
        return _with_networks(encoder, self.config.depth, self.config.seed)

    def _encoder_learns(self, name: str) -> bool:
        return is_adapter(name)

    def _encoder_tensors(self, share: float) -> dict[str, Tensor]:
        return _shares(self.model.image_encoder, share)

    @classmethod
    def _taught_encoder(cls, encoder: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        changed = _with_networks(encoder, depth_in(tensors), seed=0)
        _fill(changed, tensors)
        return changed


def _with_networks(encoder: nn.Module, depth: int, seed: int) -> nn.Module:
    """The encoder with the small networks in it, and across slices where it is shown several."""
    changed = shared_copy(encoder)
    if depth > 1:
        add_depth_branches(changed, depth, seed)
    add_encoder_adapters(changed, seed)
    return changed


def _shares(network: nn.Module, share: float) -> dict[str, Tensor]:
    """The small networks' tensors; their last layers take the share, for all they add."""
    return {
        name: parameter.detach() * (share if ".up." in name else 1.0)
        for name, parameter in network.named_parameters()
        if is_adapter(name)
    }


def _fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put values into all small networks of a module.

    Raises:
        KeyError: names are missing or unknown.
        RuntimeError: a shape is another.
    """
    own = {name: p for name, p in network.named_parameters() if is_adapter(name)}
    if own.keys() != tensors.keys():
        raise KeyError(*sorted(own.keys() ^ tensors.keys())[:3])
    for name, parameter in own.items():
        parameter.requires_grad_(False).copy_(tensors[name])


def _within(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}

"""Small networks inside a frozen model, after Medical SAM Adapter (Wu et al. 2023, 2304.12620).

Two in each block of the encoder: one after the attention, one beside the perceptron, added by
half; three in each block of the decoder: after the prompts' look at the picture, beside the
perceptron, after the picture's look at the prompts. Written from the paper; unlike its code, the
last layer of each is zero at first, so that an untaught model is exactly its base.

The paper's branch over neighbouring slices is in `depth_branch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.sam_modules import TwoWayAttentionBlock
from MedSAGaSlicerLib.errors import InputError

MARK: Final = "adapter"
"""The last but one word of the name of every parameter that belongs to one of them."""
_RATIO: Final = 0.25
_BESIDE: Final = 0.5


class Bottleneck(nn.Module):
    """Fewer channels, a bend, as many channels as before; gives zero until it has learned."""

    def __init__(self, width: int, narrow: int) -> None:
        """For tokens of `width` channels, passed through `narrow`."""
        super().__init__()
        self.down = nn.Linear(width, narrow)
        self.up = nn.Linear(narrow, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., width) to (..., width)."""
        output: Tensor = self.up(nn.functional.gelu(self.down(tokens)))
        return output


class AfterAttention(nn.Module):
    """An attention whose answer goes on through a bottleneck, with a shortcut."""

    def __init__(self, inner: nn.Module, adapter: Bottleneck) -> None:
        """Take the attention over."""
        super().__init__()
        self.inner = inner
        self.adapter = adapter

    def forward(self, *arguments: Any, **named: Any) -> Tensor:
        """As the attention."""
        answer: Tensor = self.inner(*arguments, **named)
        output: Tensor = answer + self.adapter(answer)
        return output


class BesidePerceptron(nn.Module):
    """A perceptron with a bottleneck beside it, added by half."""

    def __init__(self, inner: nn.Module, adapter: Bottleneck) -> None:
        """Take the perceptron over."""
        super().__init__()
        self.inner = inner
        self.adapter = adapter

    def forward(self, tokens: Tensor) -> Tensor:
        """As the perceptron."""
        output: Tensor = self.inner(tokens) + _BESIDE * self.adapter(tokens)
        return output


_ENCODER_PLACES: Final = (("attn", AfterAttention), ("mlp", BesidePerceptron))
_DECODER_PLACES: Final = (
    ("cross_attn_token_to_image", AfterAttention),
    ("mlp", BesidePerceptron),
    ("cross_attn_image_to_token", AfterAttention),
)


def add_encoder_adapters(encoder: nn.Module, seed: int) -> None:
    """Put two into each block with attention, in place.

    Raises:
        InputError: there is no such block.
    """
    blocks = attending_blocks(encoder)
    with seeded(seed):
        for _, block, width in blocks:
            _insert(block, _ENCODER_PLACES, width)


def add_decoder_adapters(decoder: nn.Module, seed: int) -> None:
    """Put three into each block of a mask decoder's transformer, in place."""
    blocks = [block for block in decoder.modules() if isinstance(block, TwoWayAttentionBlock)]
    with seeded(seed):
        for block in blocks:
            width = block.get_submodule("norm1").get_parameter("weight").numel()
            _insert(block, _DECODER_PLACES, width)


def attending_blocks(encoder: nn.Module) -> list[tuple[str, nn.Module, int]]:
    """The names of an encoder's blocks with attention, the blocks, and their channels, in order.

    Raises:
        InputError: there is no such block.
    """
    blocks = [
        (name, block)
        for name, block in encoder.named_modules()
        if {"attn", "mlp"} <= dict(block.named_children()).keys()
    ]
    if not blocks:
        msg = (
            f"The method adapter finds no block with attention in this encoder "
            f"({type(encoder).__name__}); teach it by another method, as decoder"
        )
        raise InputError(msg)
    return [(name, block, _width(block.get_submodule("attn"))) for name, block in blocks]


def narrow_width(width: int) -> int:
    """Of a small network's middle, for tokens of `width` channels."""
    return max(1, round(width * _RATIO))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what is drawn in here from a seed, and leave what is drawn afterwards as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name belongs to a bottleneck added here."""
    return MARK in name.split(".")[-3:-1]


def _insert(block: nn.Module, places: tuple[tuple[str, Any], ...], width: int) -> None:
    weight = next(block.parameters())
    for place, kind in places:
        made = Bottleneck(width, narrow_width(width)).to(weight.device)
        setattr(block, place, kind(block.get_submodule(place), made))


def _width(attention: nn.Module) -> int:
    return attention.get_submodule("proj").get_parameter("weight").shape[0]

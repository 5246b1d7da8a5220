"""Adapters in the blocks: how many, where, and nothing before they have learned."""

import pytest
import torch
from small_encoders import SMALL, encoder_of
from torch import nn

from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.sam_modules import TwoWayAttentionBlock
from MedSAGaSlicerLib.engine.teaching.block_adapters import (
    Bottleneck,
    add_decoder_adapters,
    add_encoder_adapters,
    is_adapter,
)
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy
from MedSAGaSlicerLib.errors import InputError


def count(module: nn.Module) -> int:
    return sum(isinstance(part, Bottleneck) for part in module.modules())


@pytest.mark.parametrize("family", ["starter", *SMALL])
def test_two_in_each_block_of_the_encoder_change_nothing_at_first(family: str) -> None:
    encoder, side = encoder_of(family)
    image = torch.randn(1, 3, side, side)
    changed = shared_copy(encoder)
    add_encoder_adapters(changed, seed=0)
    attending = sum(name.endswith("qkv") for name, _ in encoder.named_modules())
    assert count(changed) == 2 * attending
    with torch.no_grad():
        assert torch.equal(changed(image), encoder(image))
    assert count(encoder) == 0
    assert not any(is_adapter(name) for name, _ in encoder.named_parameters())


def test_three_in_each_block_of_the_decoder_change_nothing_at_first() -> None:
    torch.manual_seed(0)
    model = build("starter")
    features = torch.randn(1, 128, 24, 24)
    prompts = {
        "image_embeddings": features,
        "image_pe": model.prompt_encoder.get_dense_pe(),
        "sparse_prompt_embeddings": torch.randn(1, 2, 128),
        "dense_prompt_embeddings": torch.randn(1, 128, 24, 24),
    }
    changed = shared_copy(model.mask_decoder)
    add_decoder_adapters(changed, seed=0)
    blocks = sum(isinstance(part, TwoWayAttentionBlock) for part in changed.modules())
    assert count(changed) == 3 * blocks == 6
    with torch.no_grad():
        one = model.mask_decoder.predict_masks(**prompts)
        other = changed.predict_masks(**prompts)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


def test_their_own_parameters_are_told_from_the_models() -> None:
    encoder, side = encoder_of("sam_med2d_b")
    changed = shared_copy(encoder)
    add_encoder_adapters(changed, seed=0)
    changed(torch.randn(1, 3, side, side)).sum().backward()
    learning = {name for name, tensor in changed.named_parameters() if tensor.requires_grad}
    assert learning == {name for name, _ in changed.named_parameters() if is_adapter(name)}
    # SAM-Med2D's own adapters are part of the model.
    assert any("Adapter" in name for name, _ in changed.named_parameters())
    assert not any("Adapter" in name for name in learning)


def test_an_encoder_without_attention_is_refused() -> None:
    with pytest.raises(InputError, match="no block with attention"):
        add_encoder_adapters(nn.Sequential(nn.Conv2d(3, 8, 3)), seed=0)

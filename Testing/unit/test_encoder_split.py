"""Trunk and top of an encoder: together they are the encoder."""

import pytest
import torch
from small_encoders import SMALL, encoder_of

from MedSAGaSlicerLib.engine.teaching.encoder_split import EncoderSplit


@pytest.mark.parametrize("family", ["starter", *SMALL])
@pytest.mark.parametrize("last", [0, 1, 2, 99])
def test_trunk_and_top_are_the_encoder(family: str, last: int) -> None:
    encoder, side = encoder_of(family)
    split = EncoderSplit(encoder, last)
    image = torch.randn(2, 3, side, side)
    with torch.no_grad():
        assert torch.equal(split.top(split.trunk(image)), encoder(image))
    names = [name for name, _ in encoder.named_parameters()]
    assert 0 < sum(name.startswith(split.trained) for name in names) < len(names)


def test_a_quarter_of_the_blocks_by_default_and_never_all() -> None:
    encoder, _ = encoder_of("starter")
    assert EncoderSplit(encoder).blocks == 2
    assert EncoderSplit(encoder, 5).blocks == 5
    assert EncoderSplit(encoder, 99).blocks == 7


def test_the_fingerprint_follows_the_trunk_and_the_cut_alone() -> None:
    encoder, _ = encoder_of("starter")
    before = EncoderSplit(encoder).fingerprint()
    assert EncoderSplit(encoder, 3).fingerprint() != before
    with torch.no_grad():
        encoder.get_parameter("blocks.7.attn.qkv.weight").add_(1)
        encoder.get_parameter("neck.0.weight").add_(1)
        assert EncoderSplit(encoder).fingerprint() == before
        encoder.get_parameter("blocks.5.attn.qkv.weight")[0, 0].add_(1e-3)
        assert EncoderSplit(encoder).fingerprint() != before

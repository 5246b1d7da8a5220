"""Low-rank changes: nothing at first, exact once merged, refused where they make no sense."""

import pytest
import torch
from small_encoders import SMALL, encoder_of
from torch import nn

from MedSAGaSlicerLib.engine.teaching.lora import DOWN, UP, merged, with_low_rank
from MedSAGaSlicerLib.errors import InputError


def factors(encoder: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p for n, p in encoder.named_parameters() if n.endswith((DOWN, UP))}


@pytest.mark.parametrize("family", ["starter", *SMALL])
def test_nothing_changes_before_the_first_step_and_merging_is_exact(family: str) -> None:
    encoder, side = encoder_of(family)
    image = torch.randn(1, 3, side, side)
    changed = with_low_rank(encoder, 4, seed=0)
    with torch.no_grad():
        before = encoder(image)
        assert torch.equal(changed(image), before)
        for name, factor in factors(changed).items():
            if name.endswith(UP):
                factor.normal_(std=0.1)
        taught = changed(image)
        assert not torch.allclose(taught, before, atol=1e-3)
        torch.testing.assert_close(merged(encoder, factors(changed))(image), taught)
        assert torch.equal(encoder(image), before)


@pytest.mark.parametrize("family", ["starter", "lite_medsam"])
def test_queries_and_values_change_and_keys_do_not(family: str) -> None:
    encoder, _ = encoder_of(family)
    changed = with_low_rank(encoder, 2, seed=0)
    with torch.no_grad():
        for factor in factors(changed).values():
            factor.fill_(1.0)
    after = merged(encoder, factors(changed))
    name = "blocks.0.attn" if family == "starter" else "layers.1.blocks.0.attn"
    attention = encoder.get_submodule(name)
    heads = attention.num_heads if family == "starter" else attention.heads
    difference = after.get_submodule(f"{name}.qkv").weight - attention.qkv.weight
    # (parts, heads, channels) in segment-anything, (heads, parts, channels) in TinyViT.
    order = (3, heads, -1) if family == "starter" else (heads, 3, -1)
    by_part = difference.abs().sum(1).view(order).sum(2).sum(1 if family == "starter" else 0)
    assert by_part[1] == 0
    assert by_part[0] > 0
    assert by_part[2] > 0


def test_only_the_factors_learn_and_the_base_takes_no_gradient() -> None:
    encoder, side = encoder_of("starter")
    changed = with_low_rank(encoder, 4, seed=0)
    changed(torch.randn(1, 3, side, side)).sum().backward()
    learning = {name for name, parameter in changed.named_parameters() if parameter.requires_grad}
    assert learning == set(factors(changed))
    # q and v, two factors each, of 160 channels and rank 4, in eight blocks.
    assert sum(factor.numel() for factor in factors(changed).values()) == 8 * 2 * 2 * 160 * 4
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("rank", [0, -1, 161])
def test_a_rank_that_is_none_is_refused(rank: int) -> None:
    encoder, _ = encoder_of("starter")
    with pytest.raises(InputError, match=rf"rank is {rank}; on this model .* from 1 to 160"):
        with_low_rank(encoder, rank, seed=0)


def test_an_encoder_without_such_a_matrix_is_refused() -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 256, 3))
    with pytest.raises(InputError, match="finds no projection to queries and values"):
        with_low_rank(encoder, 4, seed=0)


def test_changes_of_another_encoder_do_not_merge() -> None:
    encoder, _ = encoder_of("starter")
    other, _ = encoder_of("sam_vit_b")
    with pytest.raises(KeyError):
        merged(encoder, factors(with_low_rank(other, 4, seed=0)))

"""A branch over neighbouring slices in an encoder: nothing at first, then what it has learned."""

import numpy as np
import pytest
import torch
from lessons import slice_with, tiny_predictor
from small_encoders import SMALL, encoder_of
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.neighbours import stacked
from MedSAGaSlicerLib.engine.teaching.block_adapters import add_encoder_adapters, is_adapter
from MedSAGaSlicerLib.engine.teaching.checkpointing import checkpoint_blocks
from MedSAGaSlicerLib.engine.teaching.depth_branch import (
    DepthAttention,
    add_depth_branches,
    depth_in,
    encoder_depth,
)
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy
from MedSAGaSlicerLib.errors import InputError


def deepened(encoder: nn.Module, depth: int = 3, *, learned: bool = False) -> nn.Module:
    changed = shared_copy(encoder)
    add_depth_branches(changed, depth, seed=0)
    add_encoder_adapters(changed, seed=0)
    for part in changed.modules() if learned else ():
        if isinstance(part, DepthAttention):
            nn.init.normal_(part.up.weight, std=0.2)
    return changed


def added(encoder: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in encoder.named_parameters() if is_adapter(name)}


@pytest.mark.parametrize("family", ["starter", *SMALL])
def test_untaught_it_is_the_base_bit_for_bit(family: str) -> None:
    encoder, side = encoder_of(family)
    changed, stacks = deepened(encoder), torch.randn(2, 3, 3, side, side)
    with torch.no_grad():
        assert torch.equal(changed(stacks), encoder(stacks[:, 1]))
    assert (encoder_depth(changed), encoder_depth(encoder)) == (3, 1)
    assert depth_in(added(changed)) == 3
    assert depth_in({"blocks.0.attn.adapter.up.weight": torch.zeros(1)}) == 1


@pytest.mark.parametrize("family", ["starter", *SMALL])
def test_once_it_has_learned_the_neighbours_count_and_both_sides_alike(family: str) -> None:
    encoder, side = encoder_of(family)
    changed, stacks = deepened(encoder, learned=True), torch.randn(1, 3, 3, side, side)
    others = stacks.clone()
    others[:, 0] += 1
    with torch.no_grad():
        features, other, turned = changed(stacks), changed(others), changed(stacks.flip(1))
    assert not torch.allclose(features, other, atol=1e-4)
    torch.testing.assert_close(features, turned, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["starter", "lite_medsam"])
def test_gradients_reach_every_part_of_it_and_none_of_the_base(family: str) -> None:
    encoder, side = encoder_of(family)
    changed = deepened(encoder, learned=True)
    for name, parameter in changed.named_parameters():
        parameter.requires_grad_(is_adapter(name))
    checkpoint_blocks(changed)
    changed(torch.randn(1, 3, 3, side, side)).square().sum().backward()
    branches = {n: t for n, t in added(changed).items() if ".attn." not in n and ".mlp." not in n}
    assert len(branches) == 5 * sum(isinstance(m, DepthAttention) for m in changed.modules())
    assert all(tensor.grad is not None and tensor.grad.any() for tensor in branches.values())
    assert all(p.grad is None for n, p in changed.named_parameters() if not is_adapter(n))


def test_it_is_drawn_from_the_seed_and_leaves_the_other_networks_as_they_were() -> None:
    encoder, _ = encoder_of("starter")
    plain = shared_copy(encoder)
    add_encoder_adapters(plain, seed=0)
    one, again = added(deepened(encoder)), added(deepened(encoder))
    assert all(torch.equal(one[name], again[name]) for name in one)
    for name, tensor in added(plain).items():
        blocks, number, rest = name.split(".", 2)
        assert torch.equal(one[f"{blocks}.{number}.inner.{rest}"], tensor)


def test_a_model_for_single_slices_refuses_a_stack() -> None:
    pixels = slice_with(np.zeros((20, 24), bool), 0)
    with pytest.raises(InputError, match=r"Got 3 slices .* this model looks at single slices"):
        tiny_predictor().encode(stacked([pixels] * 3))

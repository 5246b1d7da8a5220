import copy
from functools import partial

import pytest
import torch
from torch import nn

from MedSAGaSlicerLib.engine import attention
from MedSAGaSlicerLib.engine.attention import fuse_attention
from MedSAGaSlicerLib.engine.sam_modules import ImageEncoderViT


def encoder(*, rel_pos: bool) -> nn.Module:
    torch.manual_seed(0)
    made = ImageEncoderViT(
        img_size=160,
        patch_size=16,
        embed_dim=48,
        depth=3,
        num_heads=3,
        out_chans=16,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=rel_pos,
        window_size=4,
        global_attn_indexes=(1,),
    )
    for name, weights in made.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            nn.init.normal_(weights, std=0.5)
    return made.eval()


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("rel_pos", [True, False])
@pytest.mark.parametrize("scores_at_once", [64, 4096, 1 << 20])
def test_the_fused_encoder_gives_the_official_numbers(
    image: torch.Tensor, rel_pos: bool, scores_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", scores_at_once)
    official = encoder(rel_pos=rel_pos)
    ours = copy.deepcopy(official)
    fuse_attention(ours)
    with torch.inference_mode():
        assert relative_error(ours(image), official(image)) <= 1e-5


def test_gradients_through_the_fused_encoder_are_the_official_ones(image: torch.Tensor) -> None:
    official = encoder(rel_pos=True)
    ours = copy.deepcopy(official)
    fuse_attention(ours)
    for model in (official, ours):
        found = model(image)
        aims = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
        (found * aims).sum().backward()  # the last norm makes plain squares constant
    pairs = zip(ours.named_parameters(), official.named_parameters(), strict=True)
    for (name, mine), (_, theirs) in pairs:
        assert mine.grad is not None, name
        assert relative_error(mine.grad, theirs.grad) <= 1e-4, name


def test_fusing_keeps_the_names_and_values_of_all_weights() -> None:
    official = encoder(rel_pos=True)
    before = {name: value.clone() for name, value in official.state_dict().items()}
    fuse_attention(official)
    after = official.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("scores_at_once", [64, 4096, 1 << 20])
def test_gradients_do_not_depend_on_the_chunks(
    scores_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", scores_at_once)
    block = encoder(rel_pos=True).blocks[1]
    official = copy.deepcopy(block).double()
    ours = copy.deepcopy(official)
    fuse_attention(ours)
    tokens = torch.randn(2, 10, 10, 48, dtype=torch.float64)
    inputs = [tokens.clone().requires_grad_(True) for _ in range(2)]
    for module, given in zip((official, ours), inputs, strict=True):
        module(given).sin().sum().backward()
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad)
    for one, other in zip(official.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)


def test_no_scores_are_kept_for_the_gradients() -> None:
    block = encoder(rel_pos=True).blocks[1]
    fuse_attention(block)
    largest = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        block(torch.randn(1, 10, 10, 48))
    # The perceptron's hidden layer is the largest; the scores of three heads would be 30000.
    assert largest == 100 * 4 * 48


@pytest.mark.parametrize("half", [False, True])
def test_the_one_call_for_graphics_cards_has_the_same_gradients(half: bool) -> None:
    made = attention.FusedAttention(48, num_heads=3, use_rel_pos=True, input_size=(10, 10))
    nn.init.normal_(made.rel_pos_h, std=0.5)
    nn.init.normal_(made.rel_pos_w, std=0.5)
    tokens = torch.randn(2, 10, 10, 48)
    found = []
    for one_call in (False, True):
        if one_call:
            made._in_chunks = made._fused  # type: ignore[method-assign]
        with torch.autocast("cpu", torch.bfloat16, enabled=half and one_call):
            mixed = made(tokens)
        assert mixed.dtype == (torch.bfloat16 if half and one_call else torch.float32)
        made.zero_grad()
        mixed.float().sin().sum().backward()
        found.append([p.grad.clone() for p in made.parameters()])
    for one, other in zip(*found, strict=True):
        assert relative_error(other, one) <= (0.05 if half else 1e-4)

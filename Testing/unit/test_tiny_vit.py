from __future__ import annotations

import itertools

import pytest
import torch

from MedSAGaSlicerLib.engine.tiny_vit import TinyViT, _WindowAttention


@pytest.mark.parametrize(("kernel", "side", "grid"), [(3, 128, 8), (1, 32, 8), (3, 96, 6)])
def test_the_grid_follows_the_stem_and_the_image(kernel: int, side: int, grid: int) -> None:
    encoder = TinyViT(side, kernel, classifier=False).eval()
    with torch.inference_mode():
        assert encoder(torch.rand(2, 3, side, side)).shape == (2, 256, grid, grid)


def test_the_classifier_is_kept_but_takes_no_part() -> None:
    encoder = TinyViT(64, 3, classifier=True).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = encoder(image)
        encoder.head.weight.fill_(float("nan"))
        after = encoder(image)

    assert {"norm_head.weight", "head.weight"} <= encoder.state_dict().keys()
    assert torch.equal(before, after)


def test_offsets_are_numbered_as_the_checkpoints_met_them() -> None:
    places = list(itertools.product(range(3), range(3)))
    numbers: dict[tuple[int, int], int] = {}
    for (row, column), (other_row, other_column) in itertools.product(places, places):
        numbers.setdefault((abs(row - other_row), abs(column - other_column)), len(numbers))
    expected = [[numbers[abs(a - c), abs(b - d)] for c, d in places] for a, b in places]

    assert _WindowAttention(4, 2, 3).attention_bias_idxs.tolist() == expected


def test_offsets_keep_their_values_under_the_meta_device() -> None:
    with torch.device("meta"):
        attention = _WindowAttention(4, 2, 3)

    assert attention.attention_bias_idxs.device.type == "cpu"
    assert attention.qkv.weight.device.type == "meta"


def test_gradients_reach_every_weight_of_the_encoding() -> None:
    encoder = TinyViT(32, 1, classifier=False)
    encoder(torch.rand(2, 3, 32, 32)).square().mean().backward()

    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize(("kernel", "side"), [(3, 64), (1, 32)])
def test_normalisation_within_the_convolutions_gives_the_same_numbers(
    kernel: int, side: int
) -> None:
    torch.manual_seed(0)
    encoder = TinyViT(side, kernel, classifier=False).eval()
    for name, tensor in [*encoder.named_buffers(), *encoder.named_parameters()]:
        if name.endswith(("running_var", "bn.weight")):
            tensor.data.uniform_(0.5, 2.0)
        elif name.endswith(("running_mean", "bn.bias")):
            tensor.data.normal_()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    image = torch.rand(2, 3, side, side)
    one_by_one = encoder(image).detach()
    with torch.inference_mode():
        in_one = encoder(image)

    torch.testing.assert_close(in_one, one_by_one, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[name], now) for name, now in encoder.state_dict().items())
    encoder.get_parameter("layers.2.downsample.conv3.bn.bias").data.normal_()
    with torch.inference_mode():
        assert not torch.allclose(encoder(image), in_one, atol=1e-3)

"""Products by either library: the same numbers, whatever this machine's processor."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from MedSAGaSlicerLib.engine import products

AMD = "vendor_id : AuthenticAMD\nflags : avx512f"


@pytest.fixture(params=["onednn", "torch"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    chosen = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if request.param == "onednn" and chosen is None:
        pytest.skip("this torch is built without oneDNN")
    monkeypatch.setattr(products, "onednn", lambda: chosen if request.param == "onednn" else None)
    return str(request.param)


@pytest.fixture
def forgetful() -> Iterator[None]:
    products.onednn.cache_clear()
    yield
    products.onednn.cache_clear()


@pytest.mark.usefixtures("library")
@torch.inference_mode()
def test_products_are_right_for_any_strides() -> None:
    kept = torch.randn(70, 96, dtype=torch.float64)
    rows, weights, bias = kept[:50, :32], kept[20:60, 40:72], kept[:40, 3]
    right = rows @ weights.t()
    single = [tensor.float() for tensor in (rows, weights, bias)]
    added = torch.randn(50, 40)
    torch.testing.assert_close(products.product(*single), (right + bias).float())
    torch.testing.assert_close(
        products.product(single[0], single[1].t().contiguous().t()), right.float()
    )
    gelu = functional.gelu(right + bias).float()
    torch.testing.assert_close(products.product_gelu(*single), gelu, atol=2e-5, rtol=1e-5)
    summed = right.float() + added
    torch.testing.assert_close(products.product_plus(single[0], single[1], added), summed)


@pytest.mark.usefixtures("library")
@torch.inference_mode()
def test_leading_axes_stay_and_nothing_gives_nothing() -> None:
    weights = torch.randn(5, 8)
    assert products.product(torch.randn(2, 3, 8), weights).shape == (2, 3, 5)
    assert products.product(torch.randn(0, 8), weights).shape == (0, 5)
    assert products.product(torch.randn(4, 8).double(), weights.double()).dtype == torch.float64


@pytest.mark.usefixtures("library")
def test_hastened_layers_keep_names_values_gradients_and_numbers() -> None:
    plain = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 8, bias=False))
    quick = copy.deepcopy(plain)
    products.hasten(quick)
    assert list(quick.state_dict()) == list(plain.state_dict())
    rows = torch.randn(33, 24)
    with torch.no_grad():
        torch.testing.assert_close(quick(rows), plain(rows))
    arrived = []
    for network in (plain, quick):
        given = rows.clone().view(3, 11, 24).requires_grad_(True)
        network(given).sin().sum().backward()
        arrived.append(given.grad)
    torch.testing.assert_close(*arrived)
    for one, other in zip(quick.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.usefixtures("library")
def test_what_stays_gets_no_gradient_and_what_lies_before_it_does() -> None:
    frozen = nn.Sequential(nn.Linear(8, 6))
    products.hasten(frozen.requires_grad_(False))
    rows = torch.randn(5, 8, requires_grad=True)
    frozen(rows).sum().backward()
    torch.testing.assert_close(rows.grad, frozen[0].weight.sum(0).expand(5, -1))
    assert frozen[0].weight.grad is None
    taught = copy.deepcopy(frozen).requires_grad_(True)
    taught(rows.detach()).sum().backward()
    torch.testing.assert_close(taught[0].weight.grad, rows.detach().sum(0).expand(6, -1))
    torch.testing.assert_close(taught[0].bias.grad, torch.full((6,), 5.0))


@pytest.mark.usefixtures("library")
def test_subclasses_of_a_linear_layer_are_left_alone() -> None:
    class Own(nn.Linear):
        pass

    network = nn.Sequential(Own(3, 3))
    products.hasten(network)
    assert type(network[0]) is Own


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(
    ("capability", "processor", "chosen"),
    [("AVX512", AMD, True), ("AVX2", AMD, False), ("AVX512", "GenuineIntel", False)],
)
def test_onednn_is_taken_on_wide_processors_of_amd_alone(
    capability: str, processor: str, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(products, "_processor", lambda: processor)
    has = getattr(torch.ops.mkldnn, "_linear_pointwise", None) is not None
    assert (products.onednn() is not None) == (chosen and has)


@pytest.mark.usefixtures("forgetful")
def test_a_torch_without_onednn_computes_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert products.onednn() is None


def test_the_processor_is_named_by_the_environment_where_there_is_no_proc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(*_arguments: object, **_named: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setenv("PROCESSOR_IDENTIFIER", "AMD64 Family 25 Model 97, AuthenticAMD")
    assert "AuthenticAMD" in products._processor()

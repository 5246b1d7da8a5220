"""What lessons are predicted to need, what `auto` makes of it, and what happens without memory."""

import importlib.util
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lessons import discs, tiny_predictor
from torch import nn

from MedSAGaSlicerLib.engine.families import FAMILIES, build
from MedSAGaSlicerLib.engine.teaching.config import METHODS
from MedSAGaSlicerLib.engine.teaching.encoder_split import EncoderSplit
from MedSAGaSlicerLib.engine.teaching.guard import choose_held_out
from MedSAGaSlicerLib.engine.teaching.memory_plan import (
    Circumstances,
    plan_memory,
    projected_state,
    recomputes,
    trained_parameters,
)
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.errors import InputError


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class TestCosts:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_parameters_are_those_of_the_network(self, family: str) -> None:
        model, cost = build(family, "meta"), cost_of(family)
        assert cost.encoder_parameters == count(model.image_encoder)
        decoder = count(model.mask_decoder) + count(model.prompt_encoder)
        assert cost.decoder_parameters == pytest.approx(decoder, rel=0.01)
        assert cost.side == model.input_size

    @pytest.mark.parametrize("family", ["starter", "lite_medsam", "sam_vit_b"])
    def test_numbers_kept_for_gradients_are_those_that_torch_keeps(self, family: str) -> None:
        encoder = build(family, "meta").image_encoder
        split, cost = EncoderSplit(encoder), cost_of(family)
        assert len(cost.top) == len([name for name in split.trained if name != "neck."])
        block = encoder.get_submodule(split.trained[-2].rstrip("."))
        unit = cost.units[-1]
        assert sum(p.numel() for p in block.parameters()) == unit.parameters
        shape = list(split_shape(encoder, cost.side, split))
        assert torch.Size(shape).numel() == unit.enters

    def test_a_family_that_is_not_known_is_refused(self) -> None:
        with pytest.raises(InputError, match="'sam9000'"):
            cost_of("sam9000")

    @pytest.mark.parametrize("method", ["full", "late", "lora", "adapter"])
    @pytest.mark.parametrize("family", ["starter", "sam_vit_b", "mobile_sam"])
    def test_what_a_method_trains_is_counted(self, method: str, family: str) -> None:
        base = build(family, "meta")
        encoder = learning(method, base.image_encoder)
        trained, _ = trained_parameters(cost_of(family), method, 4)
        expected = sum(p.numel() for p in encoder if p.requires_grad)
        assert trained == pytest.approx(expected, rel=0.06)


@pytest.mark.skipif(
    importlib.util.find_spec("galore_torch") is None, reason="galore-torch is not installed"
)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_galore_keeps_of_the_blocks_is_counted(family: str) -> None:
    from MedSAGaSlicerLib.engine.teaching.galore import GaloreOptimizer, GaloreSettings

    cost, rank = cost_of(family), 16
    encoder = build(family, "meta").image_encoder
    blocks = {n: p for n, p in encoder.named_parameters() if n.startswith(("blocks.", "layers."))}
    kept = GaloreOptimizer(blocks, GaloreSettings(rank, 50, 1e-4, 0.0, 0)).facts()["state_bytes"]
    # What is gathered for the next step comes on top: of a matrix, its longer side and the rank.
    planned = 4 * (projected_state(cost, rank) - 2 * cost.ends_parameters)
    assert kept <= planned <= max(1.6 * kept, kept + (64 << 20))


def split_shape(encoder: nn.Module, side: int, split: EncoderSplit) -> torch.Size:
    images = torch.empty(1, 3, side, side, device="meta")
    with torch.no_grad():
        return split.trunk(images).shape


def learning(method: str, encoder: nn.Module) -> Iterator[nn.Parameter]:
    from MedSAGaSlicerLib.engine.teaching.block_adapters import add_encoder_adapters
    from MedSAGaSlicerLib.engine.teaching.lora import with_low_rank
    from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy

    if method == "lora":
        return with_low_rank(encoder, 4, 0).parameters()
    changed = shared_copy(encoder)
    if method == "adapter":
        add_encoder_adapters(changed, 0)
    for name, parameter in changed.named_parameters():
        late = method == "late" and name.startswith(EncoderSplit(encoder).trained)
        if method == "full" or late:
            parameter.requires_grad_(True)
    return changed.parameters()


class TestMemory:
    def test_methods_come_in_the_order_that_their_makers_promise(self) -> None:
        peak = {m: plan_memory(cost_of("sam_vit_b"), m, Circumstances()).total for m in METHODS}
        assert peak["decoder"] < peak["lora"] < peak["full"]
        assert peak["galore"] < peak["full"]
        assert peak["late"] < peak["full"]

    def test_more_slices_objects_and_larger_models_need_more(self) -> None:
        def peak(family: str = "sam_vit_b", **changes: Any) -> int:
            return plan_memory(cost_of(family), "late", Circumstances(**changes)).total

        assert peak() < peak(slices=30) < peak(slices=30, at_once=4)
        assert peak("starter") < peak("sam_vit_b") < peak("sam_vit_l") < peak("sam_vit_h")

    def test_blocks_that_keep_next_to_nothing_are_not_computed_again(self) -> None:
        again = {
            (family, method)
            for family, method in itertools.product(FAMILIES, METHODS[1:])
            if recomputes(cost_of(family), method)
        }
        every = set(itertools.product(FAMILIES, METHODS[1:]))
        assert every - again == {("starter", method) for method in METHODS[1:]}

    def test_the_slices_kept_aside_are_as_many_as_the_guard_takes(self) -> None:
        for number in (1, 7, 8, 10, 12, 15, 20):
            expected = len(choose_held_out(discs(number), ()))
            assert Circumstances(slices=number).held_out == expected


def base() -> Any:
    return tiny_predictor(0, depth=3)

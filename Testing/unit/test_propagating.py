"""Prompted slices carried through volumes, with a model that sees bright things near its box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from seeing_predictor import SIZE, SeeingPredictor, ball, box, dice, volume_of

from MedSAGaSlicerLib.engine.images import Volume
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.engine.propagating import Slices, journey, propagate, travel
from MedSAGaSlicerLib.engine.propagation.names import STRATEGIES
from MedSAGaSlicerLib.engine.propagation.strategies import guide_for
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.errors import InputError


@pytest.fixture
def model():
    return SeeingPredictor()


def carried(truth, model, *places, volume=None, **options):
    segments = (SegmentPrompts("thing", None, places),)
    (mask,) = propagate(volume or volume_of(truth), segments, model, **options)
    return mask.mask_kji


def test_one_box_finds_the_object_and_nothing_beyond_its_ends(model):
    truth = ball()
    found = carried(truth, model, box(truth, 8))
    assert dice(found, truth) > 0.9
    assert not found[~truth.any(axis=(1, 2))].any()


def test_the_model_is_given_a_box_and_the_mask_that_is_expected(model):
    truth = ball()
    carried(truth, model, box(truth, 8))
    for prompts, mask in model.asked[1:]:
        assert prompts.box is not None
        assert mask.dtype == bool
        assert mask.shape == SIZE[1:]
        assert mask.any()


def test_an_object_at_the_border_is_followed_along_it_and_to_the_last_slice(model):
    truth = ball((15, 2, 20), (9, 8, 9))
    found = carried(truth, model, box(truth, 12))
    assert dice(found, truth) > 0.85
    assert found[15].any()


def test_an_object_that_vanishes_is_left_and_found_again_from_its_other_side(model):
    truth = np.zeros(SIZE, bool)
    truth[2:6, 12:22, 14:26] = True
    truth[9:14, 14:24, 12:24] = True
    alone = carried(truth, model, box(truth, 3))
    assert alone[2:6].any(axis=(1, 2)).all()
    assert not alone[6:].any()
    both = carried(truth, model, box(truth, 3), box(truth, 12))
    assert dice(both, truth) > 0.9
    assert not both[6:9].any()


def test_an_object_of_one_slice_stays_on_it(model):
    truth = np.zeros(SIZE, bool)
    truth[7, 12:22, 14:26] = True
    found = carried(truth, model, box(truth, 7))
    assert np.array_equal(found.any(axis=(1, 2)), truth.any(axis=(1, 2)))


def test_two_parts_are_prompted_one_by_one(model):
    truth = ball((8, 10, 10), (4, 6, 6)) | ball((8, 26, 28), (4, 6, 6))
    both = Prompts(((10.0, 10.0), (28.0, 26.0)), (True, True))
    found = carried(truth, model, SlicePrompts("k", 8, both))
    assert dice(found, truth) > 0.9
    widths = [p.box[2] - p.box[0] for p, _ in model.asked[1:]]
    assert max(widths) < 16


def test_slices_prompted_on_another_axis_are_united(model):
    truth = ball()
    found = carried(truth, model, box(truth, 7), box(truth, 9), box(truth, 18, "j"))
    assert dice(found, truth) > 0.9
    expected = carried(truth, model, box(truth, 7), box(truth, 9))
    assert (found[:, 18] & ~expected[:, 18]).sum() <= truth[:, 18].sum()
    assert not (expected & ~found).any()


def test_it_goes_along_the_axis_that_was_prompted(model):
    truth = ball((8, 18, 20), (6, 12, 9))
    found = carried(truth, model, box(truth, 18, "j"))
    assert dice(found, truth) > 0.85


def test_thick_slices_are_crossed(model):
    truth = ball((3, 18, 20), (2.6, 12, 12), size=(7, 36, 40))
    volume = volume_of(truth, spacing=(1.0, 1.0, 20.0))
    found = carried(truth, model, box(truth, 3), volume=volume)
    assert found[2].any()
    assert found[4].any()
    assert not found[0].any()
    assert not found[6].any()


@pytest.mark.parametrize("missing", [6, 9])
def test_a_slice_without_data_in_the_middle_is_bridged(model, missing):
    truth = ball()
    volume = volume_of(truth)
    volume.array_kji[missing] = np.nan
    found = carried(truth, model, box(truth, 8), volume=volume)
    assert found[missing].any()
    assert dice(found, truth) > 0.9
    between = carried(truth, model, box(truth, 5), box(truth, 11), volume=volume)
    assert dice(between, truth) > 0.9


def test_slices_without_data_beyond_the_end_stay_empty(model):
    truth = ball((8, 18, 20), (4, 9, 9))
    volume = volume_of(truth)
    volume.array_kji[11:] = np.nan
    found = carried(truth, model, box(truth, 8), volume=volume)
    assert found[10].any()
    assert not found[11:].any()


def test_segments_share_embeddings_and_keep_their_own_voxels(model):
    one, other = ball((6, 14, 14), (4, 7, 7)), ball((9, 20, 24), (4, 7, 7))
    volume = volume_of(one | other)
    segments = (
        SegmentPrompts("one", None, (box(one, 6),)),
        SegmentPrompts("other", None, (box(other, 9),)),
    )
    first, second = propagate(volume, segments, model)
    assert dice(first.mask_kji, one) > 0.5
    assert dice(second.mask_kji, other) > 0.5
    asked = {i for mask in (one, other) for i in np.flatnonzero(mask.any(axis=(1, 2)))}
    assert model.encoded <= len(asked) + 4


def test_stopping_anywhere_leaves_what_was_found(model):
    truth = ball()
    slices = Slices(volume_of(truth))
    trips = [journey(slices, "k", {8: truth[8]}, guide_for("tracked", (2, 1, 1)), model)]
    whole = [found.index for _, found in travel(trips, slices)]
    assert sorted([*whole, 8]) == list(range(4, 13))
    for count in range(len(whole)):
        again = [journey(slices, "k", {8: truth[8]}, guide_for("tracked", (2, 1, 1)), model)]
        way = travel(again, slices)
        assert [next(way)[1].index for _ in range(count)] == whole[:count]
        way.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_fills_what_lies_between(model, strategy):
    truth = ball()
    found = carried(truth, model, box(truth, 5), box(truth, 8), box(truth, 11), strategy=strategy)
    assert found[5:12].any(axis=(1, 2)).all()
    assert dice(found[5:12], truth[5:12]) > 0.8


def test_interpolation_does_not_leave_the_prompted_slices(model):
    truth = ball()
    for strategy in ("box-interpolation", "shape-interpolation"):
        found = carried(truth, model, box(truth, 6), box(truth, 9), strategy=strategy)
        assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [6, 7, 8, 9]


def test_shape_interpolation_needs_the_model_only_where_prompts_are(model):
    truth = ball()
    carried(truth, model, box(truth, 6), box(truth, 9), strategy="shape-interpolation")
    assert model.encoded == 2


def test_nothing_outside_a_region_is_written(model):
    truth = ball()
    region = RegionChoice.parse("8:36,4:34,5:11")
    found = carried(truth, model, box(truth, 8), region=region)
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == list(range(5, 11))
    assert dice(found[5:11], truth[5:11]) > 0.9


def test_colour_volumes_are_followed(model):
    truth = ball()
    grey = np.clip(volume_of(truth).array_kji, 0, 255).astype(np.uint8)
    colour = Volume(
        np.repeat(grey[..., None], 3, axis=3),
        volume_of(truth).geometry,
        is_2d=False,
        path=Path("c"),
    )

    class Seeing(SeeingPredictor):
        def encode(self, pixels):
            assert pixels.shape[2] == 3
            return super().encode(np.ascontiguousarray(pixels[..., 0]))

    assert dice(carried(truth, Seeing(), box(truth, 8), volume=colour), truth) > 0.9


def test_a_segment_whose_prompts_find_nothing_stays_empty(model):
    truth = ball()
    nothing = SlicePrompts("k", 0, Prompts(box=(2.0, 2.0, 6.0, 6.0)))
    segments = (
        SegmentPrompts("none", None, (nothing,)),
        SegmentPrompts("thing", None, (box(truth, 8),)),
    )
    none, thing = propagate(volume_of(truth), segments, model)
    assert not none.mask_kji.any()
    assert dice(thing.mask_kji, truth) > 0.9


def test_an_unknown_strategy_or_direction_is_refused(model):
    truth = ball()
    slices, guide = Slices(volume_of(truth)), guide_for("tracked", (2, 1, 1))
    with pytest.raises(InputError, match="direction 'up'"):
        journey(slices, "k", {8: truth[8]}, guide, model, "up")
    with pytest.raises(InputError, match="nothing to go on from"):
        journey(slices, "k", {8: truth[0]}, guide, model)
    with pytest.raises(InputError, match="strategy 'best' is unknown"):
        carried(truth, model, box(truth, 8), strategy="best")

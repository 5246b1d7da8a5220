"""Finishing without a network: findings made by hand, and what becomes of them."""

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.finishing.cleaning import clean_up
from MedSAGaSlicerLib.engine.finishing.components import reach_of
from MedSAGaSlicerLib.engine.finishing.evidence import (
    Finding,
    compete,
    disagreement,
    doubt,
    weigh,
)
from MedSAGaSlicerLib.engine.finishing.finisher import Finisher
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.finishing.smoothing import Smoother, weights_for
from MedSAGaSlicerLib.errors import InputError

RAW = FinishSettings.raw()


def ball(center, radius, shape=(12, 40, 48)):
    grid = np.indices(shape)
    away = sum((axis - at) ** 2 for axis, at in zip(grid, center, strict=True))
    return away <= radius**2


def finding(*logits, score=0.9):
    pooled = np.array([float(np.mean(logits))], np.float32)
    return Finding(weigh(np.stack(logits)), (score,) * len(logits), pooled)


def cleaned(labels, settings, step_mm=1.0, pixel_mm=1.0):
    result = labels.copy()
    steps = clean_up(
        settings,
        int(labels.max()),
        len(labels),
        step_mm,
        pixel_mm,
        lambda index: result[index],
        result.__setitem__,
    )
    for _ in steps:
        pass
    return result


def finished(findings, settings=RAW, step_mm=1.0, pixel_mm=1.0):
    finisher = Finisher(settings, step_mm, pixel_mm)
    slices = []
    for index, one in enumerate(findings):
        slices += finisher.feed(index, one)
    return slices + list(finisher.close())


def test_evidence_has_the_sign_of_the_logits_however_small():
    logits = np.array([-50.0, -0.001, 0.0, 0.001, 50.0], np.float32)
    assert (weigh(logits) > 0).tolist() == [False, False, False, True, True]
    assert np.abs(weigh(logits).astype(int)).max() == 127


def test_where_two_segments_compete_the_surer_one_wins_and_none_gets_what_nobody_wants():
    one = np.array([[2.0, 1.0, -1.0, 3.0]])
    two = np.array([[1.0, 2.0, -2.0, 3.0]])
    assert compete(weigh(np.stack([one, two]))).tolist() == [[1, 2, 0, 1]]


def test_doubt_grows_as_logits_near_zero_and_is_none_where_all_is_clear():
    square = np.zeros((60, 60))
    square[20:40, 20:40] = 1
    sure, unsure = (doubt(weigh((square - 0.5) * scale)) for scale in (16, 2))
    assert sure == pytest.approx(0, abs=0.01)
    assert unsure > 0.3
    assert doubt(weigh(np.full((60, 60), -9.0))) == pytest.approx(0, abs=0.01)


def test_something_almost_found_on_an_empty_slice_is_doubtful():
    nearly = np.full((60, 60), -9.0)
    nearly[20:40, 20:40] = -0.2
    assert doubt(weigh(nearly)) > 0.5


def test_a_speck_against_nothing_is_hardly_a_disagreement():
    nothing, speck = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    speck[3, 3] = True
    assert disagreement(nothing, speck) < 0.1
    assert disagreement(nothing, ~nothing) > 0.9


def test_neighbours_count_less_the_thicker_the_slices_and_nothing_at_twenty_to_one():
    near, thick = weights_for(1.0, 1.0), weights_for(3.0, 1.0)
    assert near[1] > thick[1] > 0.05
    assert len(near) == 4
    assert weights_for(20.0, 1.0) == (1.0,)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_smoothing_gives_every_slice_back_in_order(count):
    smoother = Smoother((1.0, 0.5, 0.2))
    slices = [np.full((2, 3, 4), 10 * n, np.int8) for n in range(count)]
    given = [one for each in slices for one in smoother.feed(each)] + list(smoother.close())
    assert len(given) == count
    values = [int(one[0, 0, 0]) for one in given]
    assert values == sorted(values)


def test_smoothing_bridges_a_slice_that_is_missed_and_drops_one_that_is_invented():
    volume = ball((6, 20, 24), 6, (14, 40, 48))
    missed = [finding(np.where(mask, 3.0, -3.0)) for mask in volume]
    missed[6] = finding(np.full((40, 48), -0.5))
    plain, smooth = finished(missed), finished(missed, FinishSettings(smooth=True))
    assert not plain[6].labels.any()
    assert smooth[6].labels.sum() > 0.8 * volume[5].sum()
    thick = finished(missed, FinishSettings(smooth=True), step_mm=20.0)
    assert not thick[6].labels.any()


def test_slices_come_back_in_order_with_their_doubts():
    volume = ball((6, 20, 24), 5)
    slices = finished(
        [finding(np.where(mask, 4.0, -4.0)) for mask in volume], FinishSettings(smooth=True)
    )
    assert [one.index for one in slices] == list(range(12))
    assert all(len(one.opinion.doubts) == 1 for one in slices)
    middle = slices[6].opinion.doubts[0]
    assert middle.step is not None
    assert middle.step < 0.1
    assert middle.score == pytest.approx(0.1)
    assert slices[0].opinion.doubts[0].score is None


def test_a_slice_unlike_both_neighbours_is_the_least_sure():
    volume = ball((6, 20, 24), 6, (12, 40, 48))
    volume[5] = np.roll(volume[5], 9, axis=0)
    slices = finished([finding(np.where(mask, 4.0, -4.0)) for mask in volume])
    inner = range(3, 9)
    assert max(inner, key=lambda n: slices[n].opinion.doubts[0].uncertainty) == 5


def test_what_the_mirrored_slice_shows_otherwise_counts():
    mask = ball((6, 20, 24), 6)[6]
    finisher = Finisher(RAW, 1.0, 1.0)
    same, other = finding(np.where(mask, 4.0, -4.0)), finding(np.where(mask, -4.0, -4.0))
    first = [*finisher.feed(0, same, same), *finisher.close()]
    second = [*finisher.feed(0, same, other), *finisher.close()]
    assert first[0].opinion.doubts[0].flip < 0.1
    assert second[0].opinion.doubts[0].flip > 0.7
    assert second[0].opinion.doubts[0].uncertainty > first[0].opinion.doubts[0].uncertainty


def test_what_a_person_gave_is_kept_and_speaks_for_its_neighbours():
    mask = ball((6, 20, 24), 6)[6]
    finisher = Finisher(FinishSettings(smooth=True), 1.0, 1.0)
    nothing = finding(np.full(mask.shape, -0.5))
    slices = [*finisher.feed(0, nothing), *finisher.feed(1, nothing, given={0: mask})]
    slices += [*finisher.feed(2, nothing), *finisher.close()]
    assert slices[1].opinion.doubts == (None,)
    assert slices[1].opinion.uncertainty == 0
    assert np.array_equal(slices[1].labels > 0, mask)
    assert np.array_equal(slices[0].labels > 0, mask)


def test_parts_far_smaller_than_the_largest_are_removed():
    labels = (ball((6, 20, 14), 6) | ball((6, 8, 40), 2)).astype(np.uint8)
    assert np.array_equal(cleaned(labels, RAW), labels)
    kept = cleaned(labels, FinishSettings(holes=False))
    assert np.array_equal(kept > 0, ball((6, 20, 14), 6))
    assert np.array_equal(cleaned(labels, FinishSettings(smallest=0.01)), labels)


def test_each_segment_has_its_own_largest_part():
    labels = ball((6, 20, 14), 6).astype(np.uint8)
    labels[ball((6, 8, 40), 2)] = 2
    labels[ball((6, 30, 40), 1)] = 1
    kept = cleaned(labels, FinishSettings())
    assert (kept == 2).sum() == ball((6, 8, 40), 2).sum()
    assert not kept[ball((6, 30, 40), 1)].any()


def test_a_part_is_followed_over_slices_that_branch():
    """A U is two parts on all slices but the last."""
    labels = np.zeros((6, 20, 30), np.uint8)
    labels[:, 5:15, 4:8] = labels[:5, 5:15, 20:22] = labels[5, 5:15, 4:22] = 1
    assert np.array_equal(cleaned(labels, FinishSettings(smallest=0.6)), labels)


def test_with_slices_twenty_times_as_thick_what_steps_aside_stays_together():
    labels = np.zeros((6, 30, 80), np.uint8)
    for index in range(6):
        labels[index, 10:14, 4 + 11 * index : 9 + 11 * index] = 1
    settings = FinishSettings(smallest=0.5)
    assert np.array_equal(cleaned(labels, settings, step_mm=20.0), labels)
    labels[0, 6:24, 4:9] = 1
    assert not cleaned(labels, settings, step_mm=1.0)[2:].any()
    assert reach_of(20.0, 1.0) == 10


def test_small_closed_holes_are_filled_and_open_ones_are_not():
    labels = ball((6, 20, 24), 6).astype(np.uint8)
    hole = labels.copy()
    hole[6, 20, 24] = hole[5, 20, 24] = 0
    assert np.array_equal(cleaned(hole, FinishSettings()), labels)
    drilled = labels.copy()
    drilled[:7, 20, 24] = 0
    assert np.array_equal(cleaned(drilled, FinishSettings()), drilled)
    hollow = labels.copy()
    hollow[ball((6, 20, 24), 4)] = 0
    assert np.array_equal(cleaned(hollow, FinishSettings()), hollow)


def test_a_hole_between_two_segments_belongs_to_neither():
    labels = ball((6, 20, 24), 6).astype(np.uint8)
    labels[..., 24:] *= 2
    labels[6, 20, 24] = 0
    assert cleaned(labels, FinishSettings())[6, 20, 24] == 0


def test_a_hole_in_a_picture_is_filled():
    labels = ball((0, 20, 24), 6, (1, 40, 48)).astype(np.uint8)
    labels[0, 20, 24] = 0
    assert cleaned(labels, FinishSettings())[0, 20, 24] == 1


def test_a_slice_edited_during_the_clean_up_stays_as_edited():
    labels = (ball((6, 20, 14), 6) | ball((6, 8, 40), 2)).astype(np.uint8)
    result = labels.copy()
    steps = clean_up(
        FinishSettings(holes=False), 1, 12, 1.0, 1.0, lambda n: result[n], result.__setitem__
    )
    for _ in range(12):
        next(steps)
    result[6, 30, 44:47] = 1
    for _ in steps:
        pass
    assert result[6, 8, 40] == result[6, 30, 45] == 1
    assert result[5, 8, 40] == 0


def test_an_empty_volume_stays_empty():
    labels = np.zeros((4, 20, 20), np.uint8)
    labels[0, 0, 0] = 1
    assert cleaned(labels, FinishSettings()).sum() == 1
    assert not cleaned(labels * 0, FinishSettings()).any()


def test_settings_survive_a_file_and_refuse_what_is_no_share():
    settings = FinishSettings(smooth=False, smallest=0.3)
    assert FinishSettings.from_dict(settings.to_dict()) == settings
    with pytest.raises(InputError, match="smallest is 3"):
        FinishSettings(smallest=3)
    with pytest.raises(InputError, match="colour"):
        FinishSettings.from_dict({"colour": 1})

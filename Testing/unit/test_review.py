"""Which slices are suggested next."""

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.review import Reviewed, suggest


def slices(doubts, pooled=None):
    return [
        Reviewed(n, doubt, None if pooled is None else np.asarray(pooled[n], np.float32))
        for n, doubt in enumerate(doubts)
    ]


def indices(chosen):
    return [one.index for one in chosen]


def test_without_diversity_the_least_sure_come_first():
    chosen = suggest(slices([0.1, 0.9, 0.5, 0.7]), [], 3, diversity=0.0)
    assert indices(chosen) == [1, 3, 2]


def test_of_two_alike_the_second_waits_for_one_that_differs():
    looks = [[0, 0], [0.01, 0], [5, 5], [9, 1]]
    chosen = suggest(slices([0.9, 0.85, 0.7, 0.3], looks), [], 4)
    assert indices(chosen)[:2] == [0, 2]
    assert sorted(indices(chosen)) == [0, 1, 2, 3]


def test_what_looks_like_a_confirmed_slice_is_worth_less():
    looks = [[0, 0], [5, 5], [9, 1]]
    candidates = slices([0.9, 0.7, 0.1], looks)
    known = [Reviewed(7, 0.0, np.array([0, 0.1], np.float32))]
    assert indices(suggest(candidates, [], 1)) == [0]
    assert indices(suggest(candidates, known, 1)) == [1]


def test_without_embeddings_the_place_in_the_volume_tells_what_is_alike():
    doubts = [0.1] * 20
    doubts[4], doubts[5], doubts[15] = 0.9, 0.85, 0.7
    assert indices(suggest(slices(doubts), [], 2)) == [4, 15]


def test_embeddings_that_do_not_fit_together_are_not_used():
    candidates = [Reviewed(0, 0.5, np.zeros(3, np.float32)), Reviewed(1, 0.6, np.zeros(0))]
    assert indices(suggest(candidates, [Reviewed(2, 0.0)], 5)) == [1, 0]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_never_more_than_there_are_and_none_twice(count):
    chosen = suggest(slices([0.3, 0.3, 0.3]), [], count)
    assert len(set(indices(chosen))) == min(count, 3)


def test_nothing_to_suggest():
    assert suggest([], slices([0.5]), 5) == []


def test_slices_that_look_all_the_same_go_by_uncertainty():
    looks = [[1.0, 2.0]] * 3
    assert indices(suggest(slices([0.2, 0.6, 0.4], looks), [], 3)) == [1, 2, 0]


def test_where_the_model_is_sure_of_all_the_strangest_slice_goes_first():
    looks = [[0, 0], [0.1, 0], [9, 9]]
    known = [Reviewed(7, 0.0, np.array([0, 0], np.float32))]
    assert indices(suggest(slices([0.0, 0.0, 0.0], looks), known, 1)) == [2]

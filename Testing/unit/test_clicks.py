"""A simulated person clicks where a careful one would."""

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.clicks import components, next_click, tight_box
from MedSAGaSlicerLib.errors import InputError


def rectangle(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Rows and columns from the first to the last inside."""
    mask = np.zeros((20, 30), bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


NOTHING = np.zeros((20, 30), bool)


def test_the_box_names_the_first_and_last_column_and_row() -> None:
    assert tight_box(rectangle(3, 7, 10, 20)) == (10, 3, 20, 7)
    assert tight_box(rectangle(4, 4, 9, 9)) == (9, 4, 9, 4)


def test_there_is_no_box_around_nothing() -> None:
    with pytest.raises(InputError):
        tight_box(NOTHING)


def test_the_first_click_is_the_innermost_place() -> None:
    assert next_click(rectangle(3, 7, 10, 14), NOTHING) == ((12, 5), True)


def test_the_border_of_the_slice_counts_as_an_edge() -> None:
    assert next_click(rectangle(0, 4, 0, 4), NOTHING) == ((2, 2), True)
    assert next_click(np.ones((5, 9), bool), np.zeros((5, 9), bool)) == ((2, 2), True)


def test_a_later_click_goes_to_the_deeper_error() -> None:
    truth = rectangle(3, 9, 5, 11)
    missed_most = rectangle(3, 9, 5, 6)
    assert next_click(truth, missed_most) == ((9, 5), True)
    too_much = truth | rectangle(1, 17, 15, 27)
    assert next_click(truth, too_much)[1] is False


def test_of_equal_errors_the_missed_one_comes_first() -> None:
    truth, found = rectangle(2, 6, 2, 6), rectangle(2, 6, 20, 24)
    assert next_click(truth, found) == ((4, 4), True)


def test_a_place_is_clicked_once() -> None:
    truth = rectangle(3, 7, 10, 14)
    clicked = rectangle(5, 5, 12, 12)
    assert next_click(truth, NOTHING, clicked) != ((12, 5), True)


def test_there_is_nothing_to_correct_when_all_is_right_or_clicked() -> None:
    truth = rectangle(3, 7, 10, 14)
    assert next_click(truth, truth) is None
    assert next_click(truth, NOTHING, truth) is None


def test_parts_that_touch_at_a_corner_are_one() -> None:
    mask = rectangle(2, 3, 2, 3) | rectangle(4, 5, 4, 5) | rectangle(10, 11, 2, 3)
    found = components(mask)
    assert [int(part.sum()) for part in found] == [8, 4]
    assert (np.logical_or.reduce(found) == mask).all()

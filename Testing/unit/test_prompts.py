"""Prompts on one slice are checked before a model sees them."""

import math

import pytest

from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts, check_inside
from MedSAGaSlicerLib.errors import InputError

SIZE = (10, 20)


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(((0, 0),), (True,)),
        Prompts(((19, 9), (-0.5, 9.5)), (True, False)),
        Prompts(box=(0, 0, 19, 9)),
        Prompts(box=(4, 4, 4, 4)),
        Prompts(((3, 3), (3.2, 2.9)), (True, True)),
        Prompts(),
    ],
)
def test_prompts_inside_the_slice_are_taken(prompts: Prompts) -> None:
    prompts.validate(SIZE)


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (Prompts(((20, 0),), (True,)), r"\[20, 0\] lies outside .* \[19, 9\]"),
        (Prompts(((0, -1),), (True,)), "outside"),
        (Prompts(((math.nan, 0),), (True,)), "outside"),
        (Prompts(((math.inf, 0),), (True,)), "outside"),
        (Prompts(box=(0, 0, 20, 9)), "outside"),
        (Prompts(box=(0, math.nan, 5, 5)), "outside"),
        (Prompts(box=(5, 0, 4, 9)), "inside out"),
        (Prompts(((1, 1), (2, 2)), (True,)), "2 points came with 1 sign"),
        (Prompts(((3, 3), (3.2, 2.9)), (True, False)), r"\[3, 3\] .* both positive and negative"),
    ],
)
def test_prompts_that_make_no_sense_are_refused_by_name(prompts: Prompts, said: str) -> None:
    with pytest.raises(InputError, match=said):
        prompts.validate(SIZE)


def test_a_prompt_outside_the_volume_names_segment_slice_and_limit() -> None:
    straight = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    geometry = Geometry((20, 10, 5), (1, 1, 1), (0, 0, 0), straight)

    def place(axis: str, index: int, point: tuple[float, float]) -> tuple[SegmentPrompts, ...]:
        given = SlicePrompts(axis, index, Prompts((point,), (True,)))
        return (SegmentPrompts("tumour", None, (given,)),)

    check_inside(place("j", 9, (19, 4)), geometry, is_2d=False)
    with pytest.raises(InputError, match=r"'tumour', axis j, index 10: .* last index .* is 9"):
        check_inside(place("j", 10, (0, 0)), geometry, is_2d=False)
    with pytest.raises(InputError, match=r"'tumour', axis i, index 3: .*\[9, 5\] lies outside"):
        check_inside(place("i", 3, (9, 5)), geometry, is_2d=False)
    with pytest.raises(InputError, match="2-D, its only slice is axis 'k', index 0"):
        check_inside(place("j", 0, (0, 0)), geometry, is_2d=True)

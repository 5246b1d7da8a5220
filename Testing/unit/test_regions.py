"""Which part of a slice a model is shown, what that costs, and that nothing is lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.logits import OUTSIDE, to_pixels, to_slice, to_window
from MedSAGaSlicerLib.engine.regions.window import Window, window_around, window_of
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    pass


class TestChoice:
    @pytest.mark.parametrize("text", ["auto", "whole", "tiles", "tiles:256", "3:9,0:,0:40"])
    def test_what_is_written_is_read(self, text: str) -> None:
        assert str(RegionChoice.parse(text)) == text

    def test_ends_may_be_left_out(self) -> None:
        choice = RegionChoice.parse(" :20, 5: ,:")
        assert choice.bounds == ((0, 20), (5, None), (0, None))
        assert choice.window("k", (30, 40)) == Window(5, 0, 30, 20)
        assert choice.window("j", (9, 40)) == Window(0, 0, 9, 20)
        assert choice.window("i", (9, 30)) == Window(0, 5, 9, 30)
        assert choice.has_slice("i", 19)
        assert not choice.has_slice("i", 20)
        assert not choice.has_slice("j", 4)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("everything", "unclear"),
            ("1:2,3:4", "unclear"),
            ("1,2,3", "unclear"),
            ("a:b,0:1,0:1", "unclear"),
            ("tiles:3", "unclear"),
            ("5:5,:,:", "no voxel along i"),
            (":,9:3,:", "no voxel along j"),
            (":,:,-2:3", "no voxel along k"),
        ],
    )
    def test_nonsense_is_refused_with_the_spelling(self, text: str, problem: str) -> None:
        with pytest.raises(InputError, match=problem):
            RegionChoice.parse(text)

    def test_a_region_outside_the_volume_is_refused(self) -> None:
        RegionChoice.parse("0:10,19:20,:").check_fits((10, 20, 30))
        for text in ("0:11,:,:", ":,20:,:", ":,:,30:31"):
            with pytest.raises(InputError, match=r"outside the volume: along [ijk] .* 0 to"):
                RegionChoice.parse(text).check_fits((10, 20, 30))


class TestWindow:
    def test_prompts_move_along_and_masks_come_back(self) -> None:
        window = Window(10, 20, 30, 50)
        prompts = Prompts(((25.0, 12.0), (2.0, 12.0)), (True, False), (15.0, 12.0, 60.0, 14.0))
        inside = window.seen_from_within(prompts)
        assert inside == Prompts(((5.0, 2.0),), (True,), (0.0, 2.0, 29.0, 4.0))
        inside.validate(window.size)
        mask = window.put_back(np.ones(window.size, bool), (40, 60))
        assert window_of(mask) == window

    def test_a_box_elsewhere_is_gone(self) -> None:
        assert Window(0, 0, 5, 5).seen_from_within(Prompts(box=(6, 6, 9, 9))).box is None

    def test_prompts_outside_are_named(self) -> None:
        window = Window(10, 20, 30, 50)
        with pytest.raises(InputError, match=r"point \[5.0, 5.0\] lies outside the region"):
            window.check_inside(Prompts(((5.0, 5.0),), (True,)))
        with pytest.raises(InputError, match=r"box .* \[20, 10\] to \[49, 29\]"):
            window.check_inside(Prompts(box=(15.0, 12.0, 30.0, 14.0)))

    @pytest.mark.parametrize("seed", range(5))
    def test_surroundings_hold_the_object_and_stay_in_the_slice(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(200):
            size = int(rng.integers(1, 300)), int(rng.integers(1, 300))
            top, left = (int(rng.integers(0, side)) for side in size)
            inner = Window(
                top,
                left,
                int(rng.integers(top, size[0])) + 1,
                int(rng.integers(left, size[1])) + 1,
            )
            around = window_around(inner, size, 2.0, 16)
            assert around.holds(inner)
            assert Window.whole(size).holds(around)
            assert max(around.size) >= min(max(size), max(16, 2 * max(inner.size)) * 0.5)

    def test_what_touches_the_border_still_does(self) -> None:
        around = window_around(Window(0, 90, 8, 100), (100, 100), 2.0, 16)
        assert (around.top, around.right) == (0, 100)

    def test_the_next_slice_has_the_same_surroundings(self) -> None:
        first = window_around(Window(100, 100, 140, 140), (512, 512), 2.0, 16)
        assert window_around(Window(101, 99, 141, 141), (512, 512), 2.0, 16) == first


class TestLogits:
    def test_a_window_and_back_is_the_same_there(self) -> None:
        size, window = (100, 80), Window(20, 10, 60, 50)
        rows, columns = np.mgrid[:16, :16]
        logits = (rows * 0.5 - columns * 0.25).astype(np.float32)
        extent, inner = (1.0, 0.8), (1.0, 1.0)
        near = to_window(logits, extent, size, window, inner)
        at_pixels = to_pixels(near, inner, window.size)
        whole = to_pixels(logits, extent, size)
        assert np.allclose(at_pixels[4:-4, 4:-4], window.cut(whole)[4:-4, 4:-4], atol=0.05)
        back = to_slice(near, window, inner, size, extent)
        seen = back != OUTSIDE
        assert np.allclose(back[seen], logits[seen], atol=0.3)
        assert seen.mean() == pytest.approx(0.16, abs=0.02)

    def test_a_single_pixel_has_one_value(self) -> None:
        assert to_pixels(np.full((16, 16), 3, np.float32), (1.0, 1.0), (1, 1)).tolist() == [[3]]

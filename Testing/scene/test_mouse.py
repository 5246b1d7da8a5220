"""Prompts placed by real mouse events in rendered slice views."""

import numpy as np
import pytest
from harness.fake_client import FakeClient

from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.mouse import MouseTool
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import shown_slice
from MedSAGaSlicerLib.scene.volumes import grid_of

VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class Hand:
    """A person with one tool in one view."""

    def __init__(self, annotator, view, kind="point"):
        self.annotator, self.view, self.refusals = annotator, view, []
        self.tool = MouseTool(annotator, "tumour", kind, self.refusals.append)
        self.tool.add_view(view.node, view.interactor)

    @property
    def position(self):
        return shown_slice(self.view.node, grid_of(self.annotator.volume))

    def xy(self, column, row):
        """Where a place of the shown slice is in the view."""
        ijk = np.zeros(3)
        ijk[self.position.normal] = self.position.index
        ijk[list(self.position.in_plane)] = column, row
        return self.view.xy_of(grid_of(self.annotator.volume).to_ras(ijk))

    def mask(self):
        self.annotator.wait()
        volume, segmentation = self.annotator.volume, self.annotator.segmentation
        return read_slice(segmentation, "tumour", grid_of(volume), self.position)


@pytest.fixture
def annotator(volume, segmentation):
    annotator = Annotator(volume, segmentation, FakeClient())
    yield annotator
    if annotator.closed is None:
        annotator.close()


@pytest.fixture
def hand(annotator, slice_view):
    hands = []

    def take(kind="point", name="Red"):
        view = slice_view(name, VIEWS[name])
        view.show(annotator.volume)
        view.render()
        hands.append(Hand(annotator, view, kind))
        return hands[-1]

    yield take
    for each in hands:
        each.tool.close()


@pytest.mark.parametrize("name", VIEWS)
def test_a_click_puts_the_mask_under_the_mouse(hand, name):
    person = hand(name=name)
    place = person.xy(9, 6)
    before = person.view.pixel(place)
    person.view.click(place)
    (prompt,) = person.annotator.prompts("tumour")
    assert prompt.position == person.position
    assert np.allclose(prompt.point, (9, 6), atol=0.5)
    assert person.mask()[6, 9]
    away = np.array(person.xy(11, 6))
    assert person.view.pixel(away) != before
    assert not person.refusals


@pytest.mark.parametrize("name", VIEWS)
def test_a_drag_makes_a_box_of_the_voxels_under_it(hand, name):
    person = hand("box", name)
    person.view.drag(person.xy(5, 3), person.xy(10, 7))
    (prompt,) = person.annotator.prompts("tumour")
    assert prompt.box == (5, 3, 10, 7)
    assert person.mask()[3:8, 5:11].all()
    assert person.mask().sum() == 5 * 6


def test_with_ctrl_prompts_are_negative(hand):
    person = hand()
    person.view.click(person.xy(9, 6))
    person.view.click(person.xy(15, 12), ctrl=True)
    assert [p.positive for p in person.annotator.prompts()] == [True, False]


def test_a_click_does_not_reach_slicers_own_reaction(hand, application):
    person = hand()
    display = person.annotator.volume.GetDisplayNode()
    application.interaction.SetCurrentInteractionMode(application.interaction.AdjustWindowLevel)
    before = display.GetWindow(), display.GetLevel()
    person.view.drag(person.xy(5, 3), person.xy(10, 7))
    assert (display.GetWindow(), display.GetLevel()) == before
    person.tool.close()
    person.view.drag(person.xy(15, 12), person.xy(20, 17))
    assert (display.GetWindow(), display.GetLevel()) != before


def test_after_the_tool_is_put_down_a_click_places_nothing(hand):
    person = hand()
    person.tool.close()
    person.view.click(person.xy(9, 6))
    assert person.annotator.prompts() == ()


def test_the_wheel_scrolls_with_the_tool_in_hand(hand):
    person = hand()
    before = person.position
    person.view.wheel(person.xy(9, 6))
    assert abs(person.position.index - before.index) == 1


def test_a_press_on_a_prompt_moves_it(hand):
    person = hand()
    person.view.click(person.xy(9, 6))
    person.mask()
    person.view.render()
    person.view.drag(person.xy(9, 6), person.xy(14, 10))
    (prompt,) = person.annotator.prompts()
    assert np.allclose(prompt.point, (14, 10), atol=0.5)
    assert person.mask()[10, 14]


def test_a_click_beside_the_image_says_so(hand):
    person = hand()
    person.view.click(person.xy(-3, 6))
    assert person.annotator.prompts() == ()
    assert "outside the volume" in person.refusals[0]


def test_a_drag_beyond_the_image_ends_at_its_border(hand):
    person = hand("box")
    person.view.drag(person.xy(18, 15), person.xy(40, 40))
    (prompt,) = person.annotator.prompts()
    assert prompt.box == (18, 15, 23, 19)


def test_a_mere_click_is_no_box(hand):
    person = hand("box")
    person.view.click(person.xy(9, 6))
    assert person.annotator.prompts() == ()


@pytest.mark.parametrize("how", ["escape", "scrolling"])
def test_a_drag_can_be_called_off(hand, how):
    person = hand("box")
    start, end = person.xy(5, 3), person.xy(10, 7)
    person.view.press(start)
    person.view.move(end)
    if how == "escape":
        person.view.key("Escape")
    else:
        person.view.wheel(end)
    person.view.release(end)
    assert person.annotator.prompts() == ()


def test_a_frame_is_drawn_while_dragging_and_gone_afterwards(hand):
    person = hand("box")
    start, end = np.array(person.xy(5, 3)), np.array(person.xy(10, 7))
    edge = (start[0], (start[1] + end[1]) / 2)
    before = person.view.pixel(edge)
    person.view.move(start)
    person.view.press(start)
    person.view.move(end)
    assert person.view.pixel(edge) != before
    person.view.key("Escape")
    assert person.view.pixel(edge) == before


@pytest.mark.parametrize("second", [["Press"], ["Press", "DoubleClick"], ["DoubleClick"]])
def test_two_quick_clicks_are_two_points(hand, second):
    person = hand()
    person.view.click(person.xy(5, 3))
    person.view.move(person.xy(16, 14))
    for event in [*second, "Release"]:
        person.view.interactor.InvokeEvent(f"LeftButton{event}Event")
    assert len(person.annotator.prompts()) == 2


def test_an_oblique_view_says_why_it_takes_no_prompts(hand):
    person = hand()
    place = person.xy(9, 6)
    person.view.node.SetOrientation("Coronal")
    matrix = person.view.node.GetSliceToRAS()
    matrix.SetElement(0, 0, 0.8)
    matrix.SetElement(1, 0, 0.6)
    matrix.SetElement(0, 2, -0.6)
    matrix.SetElement(1, 2, 0.8)
    person.view.node.UpdateMatrices()
    person.view.click(place)
    assert person.annotator.prompts() == ()
    assert "obliquely" in person.refusals[0]

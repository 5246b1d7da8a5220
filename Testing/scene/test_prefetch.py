import numpy as np
import pytest
import slicer
from harness.fake_client import FakeClient

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import SliceReady
from MedSAGaSlicerLib.scene.prefetch import SliceKeys
from MedSAGaSlicerLib.scene.slices import SlicePosition, align, show_slice
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.events import Encoded


class SlowEncoder(FakeClient):
    """Embeds one slice after the other, ``seconds`` each, while ``pass_time`` says time goes by."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.now = self.free_at = 0.0
        self.visible, self.ahead, self.news = [], [], []

    def encode(self, key, pixels):
        number = self._next()
        if key not in self.encoded and key not in self.visible:
            self.visible.append(key)
        return number

    def prefetch(self, slices):
        self.prefetch_lists.append([key for key, _ in slices])
        self.ahead = [key for key, _ in slices if key not in self.encoded]
        return self._next()

    def pass_time(self, seconds):
        self.now += seconds
        while self.free_at <= self.now and (self.visible or self.ahead):
            key = (self.visible or self.ahead).pop(0)
            if key in self.encoded:
                continue
            self.free_at = max(self.free_at, self.now - seconds) + self.seconds
            self.encoded.append(key)
            self.news.append(Encoded(0, key, self.seconds * 1000, cached=False))

    def poll(self):
        ready = [e for e in self.news if self.encoded.index(e.key) >= 0]
        # The slice in the encoder is told of when it is done.
        done = ready if self.free_at <= self.now else ready[:-1]
        self.news = self.news[len(done) :]
        return [*done, *super().poll()]


@pytest.fixture
def stack(scene):
    """80 different slices of 16 x 16 voxels."""
    voxels = np.random.default_rng(0).integers(0, 255, (80, 16, 16)).astype(np.uint8)
    return slicer.util.addVolumeFromArray(voxels, name="stack")


@pytest.fixture
def segmentation(scene):
    return scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")


def keys_of(volume, indices, axis="k"):
    keys = SliceKeys(volume)
    return [keys.key(SlicePosition(axis, index)) for index in indices]


def test_a_slice_looked_at_is_embedded_first_then_its_neighbours_outward(stack, segmentation):
    client = FakeClient()
    annotator = Annotator(stack, segmentation, client)
    annotator.look_at("k", 40)
    for _ in range(12):
        annotator.poll()
    expected = keys_of(stack, [40, 41, 39, 42, 38, 43, 37])
    assert client.encoded[:7] == expected
    assert annotator.is_ready("k", 38)
    assert not annotator.is_ready("j", 8)


def test_while_scrolling_the_slices_ahead_come_first(stack, segmentation):
    client = FakeClient()
    annotator = Annotator(stack, segmentation, client)
    annotator.look_at("k", 40)
    client.hold = True
    annotator.look_at("k", 39)
    for _ in range(12):
        annotator.poll()
    planned = client.prefetch_lists[-1]
    ahead = keys_of(stack, range(38, 22, -1))
    assert [key for key in planned if key in ahead] == ahead
    behind = keys_of(stack, range(40, 44))
    assert planned.index(behind[1]) > planned.index(ahead[3])
    assert set(planned) == set(ahead) | set(behind)


def test_a_jump_drops_what_was_wanted_before(stack, segmentation):
    client = FakeClient()
    annotator = Annotator(stack, segmentation, client)
    annotator.look_at("k", 10)
    for _ in range(12):
        annotator.poll()
    client.hold = True
    annotator.look_at("k", 60)
    for _ in range(12):
        annotator.poll()
    near = set(keys_of(stack, range(52, 69)))
    assert set(client.prefetch_lists[-1]) <= near
    annotator.look_at("j", 5)
    assert not set(client.prefetch_lists[-1]) & near


def test_scrolling_at_two_slices_a_second_finds_every_slice_ready_that_can_be(stack, segmentation):
    client = SlowEncoder(seconds=0.35)
    annotator = Annotator(stack, segmentation, client)
    annotator.look_at("k", 20)
    # On, back over what was seen and beyond, a jump, and on from there.
    way = [*range(21, 45), *range(43, 5, -1), 60, *range(61, 80)]
    late = []
    for index in way:
        for _ in range(50):
            client.pass_time(0.01)
            annotator.poll()
        annotator.look_at("k", index)
        if not annotator.is_ready("k", index):
            late.append(index)
    # The first slice takes 0.35 s, the next 0.70, the third 1.05: not before that is the encoder
    # ahead of somebody who goes on every half second.
    assert late == [21, 22, 60, 61, 62]
    assert 1 - len(late) / len(way) > 0.93
    assert len(client.encoded) == len(set(client.encoded))


def test_views_that_are_watched_tell_where_the_person_looks(stack, segmentation, slice_view):
    client = FakeClient()
    annotator = Annotator(stack, segmentation, client)
    client.start()
    view = slice_view("Red", "Axial", (200, 200))
    view.show(stack)
    grid = grid_of(stack)
    align(view.node, grid)
    show_slice(view.node, grid, SlicePosition("k", 20))
    annotator.watch_view(view.node)
    events = [event for _ in range(5) for event in annotator.poll()]
    assert SliceReady(SlicePosition("k", 20), 1.0) in events
    view.wheel((100, 100), 1)
    events = [event for _ in range(5) for event in annotator.poll()]
    assert any(isinstance(e, SliceReady) and e.position.index in (21, 19) for e in events)
    annotator.unwatch_view(view.node)
    show_slice(view.node, grid, SlicePosition("k", 70))
    for _ in range(5):
        annotator.poll()
    assert not annotator.is_ready("k", 70)


def test_an_oblique_view_embeds_nothing_and_says_nothing(stack, segmentation, slice_view):
    client = FakeClient()
    annotator = Annotator(stack, segmentation, client)
    client.start()
    view = slice_view("Red", "Axial", (200, 200))
    view.show(stack)
    matrix = view.node.GetSliceToRAS()
    matrix.SetElement(2, 0, 0.3)
    view.node.UpdateMatrices()
    annotator.watch_view(view.node)
    assert [event for _ in range(5) for event in annotator.poll()] == []
    assert client.encoded == []


def test_changed_voxels_get_other_keys(stack):
    keys = SliceKeys(stack)
    before = keys.key(SlicePosition("k", 3)), keys.key(SlicePosition("k", 4))
    slicer.util.arrayFromVolume(stack)[3, 0, 0] ^= 255
    slicer.util.arrayFromVolumeModified(stack)
    after = keys.key(SlicePosition("k", 3)), keys.key(SlicePosition("k", 4))
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_another_model_makes_everything_anew(stack, segmentation):
    client = FakeClient()
    annotator = Annotator(stack, segmentation, client)
    annotator.look_at("k", 40)
    for _ in range(12):
        annotator.poll()
    assert annotator.is_ready("k", 41)
    client.hold = True
    annotator.use_model("other")
    assert not annotator.is_ready("k", 41)
    client.hold = False
    for _ in range(12):
        annotator.poll()
    assert annotator.is_ready("k", 41)


def test_a_slice_that_is_not_there_is_refused(stack, segmentation):
    with pytest.raises(InputError, match="slices 0 to 79"):
        Annotator(stack, segmentation, FakeClient()).look_at("k", 80)

"""Somebody who does anything to an annotation, in any order."""

import numpy as np
import slicer
from harness.fake_client import FakeClient
from harness.scene_files import load_scene, save_bundle

from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.segments import read_slice, segment_ids, write_slice
from MedSAGaSlicerLib.scene.session import sessions_in
from MedSAGaSlicerLib.scene.slices import SlicePosition, from_plane
from MedSAGaSlicerLib.scene.volumes import grid_of, voxels_of

WEIGHTS = {
    "click": 20,
    "box": 6,
    "wait": 18,
    "poll": 10,
    "undo": 12,
    "redo": 8,
    "remove_prompt": 4,
    "move_prompt": 4,
    "paint": 6,
    "stroke": 6,
    "confirm": 4,
    "unconfirm": 1,
    "scroll": 6,
    "add_segment": 1,
    "rename_segment": 1,
    "clear_slice": 2,
    "switch_model": 1,
    "save_and_reload": 0.5,
}


class Person:
    """Does random things to an annotation, and checks after each what must hold."""

    def __init__(self, application, volume, segmentation, seed, folder):
        self.random = np.random.default_rng(seed)
        self.application, self.folder = application, folder
        self.log = []
        self.bystander = "spleen"
        mask = np.zeros((12, 20, 24), bool)
        mask[4:8, 6:14, 8:16] = True
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask.astype(np.uint8), segmentation, self.bystander, volume
        )
        self.begin(Annotator(volume, segmentation, FakeClient()))

    def begin(self, annotator):
        self.annotator = annotator
        self.voxels = voxels_of(annotator.volume).copy()
        self.history = slicer.vtkSegmentationHistory()
        self.history.SetMaximumNumberOfStates(100)
        self.history.SetSegmentation(annotator.segmentation.GetSegmentation())
        self.start = self.content()
        self.painted = {}
        self.confirmed = {}

    def content(self):
        node, grid = self.annotator.segmentation, grid_of(self.annotator.volume)
        return {
            segment: np.stack(
                [
                    read_slice(node, segment, grid, SlicePosition("k", k))
                    for k in range(grid.shape_ijk[2])
                ]
            )
            for segment in segment_ids(node)
        }

    def act(self):
        names, weights = list(WEIGHTS), np.array(list(WEIGHTS.values()))
        name = str(self.random.choice(names, p=weights / weights.sum()))
        getattr(self, name)()
        self.check()

    def check(self):
        confirmed = set(self.annotator.confirmed())
        content = self.content()
        assert np.array_equal(voxels_of(self.annotator.volume), self.voxels)
        expected = self.start[self.bystander].copy()
        where, value = self.painted.get(self.bystander, (False, False))
        expected = np.where(where, value, expected)
        assert np.array_equal(content[self.bystander], expected)
        for position, masks in self.confirmed.items():
            if position in confirmed:
                for segment, mask in masks.items():
                    assert np.array_equal(self.slice_of(content[segment], position), mask)

    def slice_of(self, voxels, position):
        return voxels.take(position.index, axis="kji".index(position.axis))

    # what a person does

    def click(self):
        position, place = self.anywhere()
        ras = grid_of(self.annotator.volume).to_ras(from_plane(position, *place))
        positive = bool(self.random.random() < 0.75)
        self.say("click", position, place, positive)
        self.annotator.point(self.segment(), ras, positive, position.axis)

    def box(self):
        position, start = self.anywhere()
        _, end = self.anywhere(position)
        positive = bool(self.random.random() < 0.8)
        self.say("box", position, start, end, positive)
        self.annotator.box_on(self.segment(), position, start, end, positive=positive)

    def wait(self):
        self.say("wait")
        self.annotator.wait()
        self.note_confirmed()

    def poll(self):
        self.say("poll")
        self.annotator.poll()

    def undo(self):
        self.say("undo", self.annotator.undo())
        self.note_confirmed()

    def redo(self):
        self.say("redo", self.annotator.redo())
        self.note_confirmed()

    def remove_prompt(self):
        prompts = self.annotator.prompts()
        if prompts:
            prompt = prompts[int(self.random.integers(len(prompts)))]
            self.say("remove", prompt.number)
            self.annotator.remove_prompt(prompt.number)

    def move_prompt(self):
        lists = self.application.scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode")
        if lists:
            node = self.application.scene.GetNthNodeByClass(
                int(self.random.integers(lists)), "vtkMRMLMarkupsFiducialNode"
            )
            at = int(self.random.integers(node.GetNumberOfControlPoints()))
            position, place = self.anywhere()
            ras = grid_of(self.annotator.volume).to_ras(from_plane(position, *place))
            self.say("move", node.GetNthControlPointDescription(at), position, place)
            node.SetNthControlPointPositionWorld(at, *(float(x) for x in ras))

    def paint(self):
        """Paint by a tool that tells nobody."""
        segment = self.segment(bystander=True)
        position, before, after = self.daub(segment)
        where, value = self.painted.setdefault(
            segment, (np.zeros((12, 20, 24), bool), np.zeros((12, 20, 24), bool))
        )
        slot = ("kji".index(position.axis), position.index)
        changed = before != after
        np.moveaxis(where, slot[0], 0)[slot[1]] |= changed
        plane = np.moveaxis(value, slot[0], 0)[slot[1]]
        plane[changed] = after[changed]

    def stroke(self):
        """Paint with the embedded editor, which we are told of."""
        segment = self.segment()
        self.annotator.poll()
        self.history.SaveState()
        self.daub(segment)
        self.annotator.record_edit(
            "Stroke", self.history.RestorePreviousState, self.history.RestoreNextState
        )

    def daub(self, segment):
        position, (column, row) = self.anywhere()
        node, grid = self.annotator.segmentation, grid_of(self.annotator.volume)
        before = read_slice(node, segment, grid, position)
        rows, columns = np.mgrid[: before.shape[0], : before.shape[1]]
        brush = (rows - row) ** 2 + (columns - column) ** 2 < self.random.integers(1, 16)
        after = before | brush if self.random.random() < 0.6 else before & ~brush
        self.say("paint", segment, position, (column, row))
        write_slice(node, segment, self.annotator.volume, position, after)
        return position, before, after

    def confirm(self):
        position, _ = self.anywhere()
        self.say("confirm", position)
        self.annotator.confirm(position.axis, position.index)
        self.note_confirmed()

    def unconfirm(self):
        confirmed = self.annotator.confirmed()
        if confirmed:
            self.say("unconfirm", confirmed[0])
            self.annotator.unconfirm(confirmed[0].axis, confirmed[0].index)

    def scroll(self):
        position, _ = self.anywhere()
        self.annotator.look_at(position.axis, position.index)

    def add_segment(self):
        self.say("add segment")
        core = self.annotator.segmentation.GetSegmentation()
        # An identifier of its own: Slicer's are random, and the order of things hangs on them.
        added = core.AddEmptySegment(f"extra_{core.GetNumberOfSegments()}", "extra")
        self.start[added] = np.zeros((12, 20, 24), bool)

    def rename_segment(self):
        segment = self.segment(bystander=True)
        self.say("rename", segment)
        self.annotator.segmentation.GetSegmentation().GetSegment(segment).SetName(
            f"ново/名 {self.random.integers(1000)}"
        )

    def clear_slice(self):
        prompts = self.annotator.prompts()
        if prompts:
            p = prompts[int(self.random.integers(len(prompts)))]
            self.say("clear", p.segment_id, p.position)
            self.annotator.clear_slice(p.segment_id, p.position.axis, p.position.index)

    def switch_model(self):
        self.say("switch model")
        self.annotator.use_model(str(self.random.choice(["starter", "other"])))

    def save_and_reload(self):
        self.say("save and reload")
        self.annotator.wait()
        before, confirmed = self.content(), self.annotator.confirmed()
        prompts = [(p.segment_id, p.position, p.positive) for p in self.annotator.prompts()]
        path = self.folder / "scene.mrb"
        save_bundle(self.application, path)
        load_scene(self.application, path)
        session = next(sessions_in(self.application.scene))
        client = FakeClient(model=session.model or "starter")
        self.begin(Annotator(session.volume, session.segmentation, client))
        after = self.content()
        assert list(after) == list(before)
        for segment, mask in before.items():
            assert np.array_equal(after[segment], mask)
        assert self.annotator.confirmed() == confirmed
        again = [(p.segment_id, p.position, p.positive) for p in self.annotator.prompts()]
        assert again == prompts
        self.note_confirmed()

    # helpers

    def say(self, *words):
        self.log.append(words)

    def note_confirmed(self):
        confirmed = self.annotator.confirmed()
        content = self.content()
        # A segment that came later was never confirmed there.
        self.confirmed = {
            position: {
                segment: self.slice_of(voxels, position).copy()
                for segment, voxels in content.items()
                if position in self.annotator.confirmed(segment)
            }
            for position in confirmed
        }

    def segment(self, *, bystander=False):
        ids = [s for s in segment_ids(self.annotator.segmentation) if s != self.bystander]
        choices = [*ids, self.bystander] if bystander else ids
        return str(self.random.choice(choices))

    def anywhere(self, position=None):
        if position is None:
            axis = str(self.random.choice(["k", "k", "j", "i"]))
            count = {"k": 12, "j": 20, "i": 24}[axis]
            # Mostly in the middle, where prompts meet.
            index = int(np.clip(self.random.normal(count / 2, 1.5), 0, count - 1))
            position = SlicePosition(axis, index)
        shape = {"k": (20, 24), "j": (12, 24), "i": (12, 20)}[position.axis]
        place = [float(np.round(self.random.uniform(-0.4, n - 0.6), 2)) for n in shape[::-1]]
        return position, (place[0], place[1])

    def undo_everything(self):
        self.annotator.wait()
        while self.annotator.undo() is not None:
            self.annotator.wait()
        content = self.content()
        for segment, voxels in content.items():
            where = self.painted.get(segment, (np.zeros(voxels.shape, bool), None))[0]
            assert np.array_equal(voxels[~where], self.start[segment][~where]), segment

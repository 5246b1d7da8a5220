"""A worker that can be taught, and lessons that tell what a test says."""

from pathlib import Path

from fake_lesson import leave_adapter
from harness.fake_client import FakeClient, draw

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Started,
    Stopped,
)
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of


class TeachableClient(FakeClient):
    """A fake client that knows adapters: they answer the opposite of the model as it is."""

    device = "cpu"

    def __post_init__(self):
        super().__post_init__()
        self.paused, self.moves, self.asked_of = False, [], []

    def decode(self, key, prompts, *, taught=None, **options):
        self.asked_of.append(taught)
        return super().decode(key, prompts, **options)

    def predict(self, size, prompts):
        mask = super().predict(size, prompts)
        return mask if self.asked_of[-1] is None else ~mask

    def pause_prefetch(self, *, paused):
        self.paused = paused

    def use_device(self, device):
        self.moves.append(device)
        self.device = device
        return self._next()


class FakeTeachClient:
    """Gives the lesson that a test has written, one event a poll."""

    def __init__(self, *events):
        self.events, self.lessons, self.running = list(events), [], False
        self.stopped = False

    def start(self, lesson):
        self.lessons.append(lesson)
        self.running = True

    def stop(self):
        self.events = [Stopped(7, resumable=True)]

    def close(self):
        self.events, self.running = [], False

    def poll(self):
        return [self._next()] if self.events else []

    def wait(self, timeout_s=None):
        if not self.events:
            msg = "too long"
            raise WorkerError(msg)
        return [self._next() for _ in range(len(self.events))]

    def _next(self):
        event = self.events.pop(0)
        if isinstance(event, Finished):
            leave_adapter(self.lessons[-1].output, event.accepted)
            return Finished(self.lessons[-1].output, event.accepted, event.report)
        return event


STARTED = Started("0", "decoder", "cpu", 10, 0, 9, 2, ("tumour",))


def finished(accepted):
    return Finished(Path(), accepted, {"accepted": accepted, "before": 0.5, "after": 0.7})


def disc(column, row):
    return draw((20, 24), Prompts(((column, row),), (True,)))


def confirm(annotator, *indices, segment="tumour"):
    for index in indices:
        position = SlicePosition("k", index)
        mask = disc(5 + index, 8)
        write_slice(annotator.segmentation, segment, annotator.volume, position, mask)
        annotator.confirm("k", index)


def taught_by(annotator, *events, **options):
    """A job on the given events, with its client."""
    lessons = FakeTeachClient(*events)
    annotator.make_teach_client = lambda: lessons
    return annotator.teach(**options), lessons


def click(annotator, place, index=5):
    annotator.point_on("tumour", SlicePosition("k", index), place)
    annotator.wait()
    grid = grid_of(annotator.volume)
    return read_slice(annotator.segmentation, "tumour", grid, SlicePosition("k", index))

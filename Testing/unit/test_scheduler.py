import threading

import pytest

from MedSAGaSlicerLib.worker.scheduler import PREFETCH, SWITCH, VISIBLE, Lane

SAFETY_S = 300


class Recorder:
    """A lane that stands still until ``finish``, and then tells the order it went in."""

    def __init__(self) -> None:
        self.lane = Lane("test")
        self.done: list[str] = []
        self._go, self._end, busy = threading.Event(), threading.Event(), threading.Event()

        def hold() -> None:
            busy.set()
            self._go.wait(SAFETY_S)

        self.first = self.lane.add(hold, SWITCH)
        assert busy.wait(SAFETY_S)

    def add(self, name: str, priority: int) -> object:
        return self.lane.add(lambda: self.done.append(name), priority)

    def finish(self) -> list[str]:
        self.lane.add(self._end.set, 99)
        self._go.set()
        assert self._end.wait(SAFETY_S)
        return self.done


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_a_model_goes_before_what_is_looked_at_and_that_before_prefetching(
    recorder: Recorder,
) -> None:
    recorder.add("ahead 1", PREFETCH)
    recorder.add("visible 1", VISIBLE)
    recorder.add("ahead 2", PREFETCH)
    recorder.add("model", SWITCH)
    recorder.add("visible 2", VISIBLE)
    assert recorder.finish() == ["model", "visible 1", "visible 2", "ahead 1", "ahead 2"]


def test_a_promoted_job_keeps_its_age_and_is_never_set_back(recorder: Recorder) -> None:
    old = recorder.add("ahead, then visible", PREFETCH)
    recorder.add("visible", VISIBLE)
    recorder.lane.promote(old, VISIBLE)
    recorder.lane.promote(old, PREFETCH)
    assert recorder.finish() == ["ahead, then visible", "visible"]


def test_a_waiting_job_can_be_cancelled_and_a_running_one_cannot(recorder: Recorder) -> None:
    job = recorder.add("unwanted", VISIBLE)
    recorder.add("wanted", VISIBLE)
    assert recorder.lane.cancel(job)
    assert not recorder.lane.cancel(job)
    assert not recorder.lane.cancel(recorder.first)
    assert len(recorder.lane) == 1
    assert recorder.finish() == ["wanted"]

"""The life of an annotation: started on two nodes, kept up to date by polling, ended with them."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.regions.plan import plan_region
from MedSAGaSlicerLib.errors import InputError, MedSAGaError, WorkerError
from MedSAGaSlicerLib.scene.annotation import Annotation
from MedSAGaSlicerLib.scene.asking import Asking
from MedSAGaSlicerLib.scene.events import Closed, Problem
from MedSAGaSlicerLib.scene.jobs import Job, Jobs, Workplace
from MedSAGaSlicerLib.scene.prefetch import Prefetcher, SliceKeys
from MedSAGaSlicerLib.scene.reacting import Reactions
from MedSAGaSlicerLib.scene.region import choose_region, chosen_region
from MedSAGaSlicerLib.scene.slices import SlicePosition, check_position
from MedSAGaSlicerLib.scene.stepping_down import SteppingDown
from MedSAGaSlicerLib.scene.watching import Watch
from MedSAGaSlicerLib.worker.events import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import slicer

    from MedSAGaSlicerLib.scene.events import AnnotationEvent
    from MedSAGaSlicerLib.scene.volumes import Grid
    from MedSAGaSlicerLib.worker.client import InferenceClient
    from MedSAGaSlicerLib.worker.events import Event


class AnnotationLoop:
    """What an ``Annotator`` is made of beside what a person can tell it to do."""

    def __init__(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        segmentation: slicer.vtkMRMLSegmentationNode,
        client: InferenceClient,
        *,
        editor: slicer.vtkMRMLSegmentEditorNode | None = None,
    ) -> None:
        if volume.GetScene() is None or volume.GetScene() is not segmentation.GetScene():
            msg = "Volume and segmentation must be in one scene. Add both to it first."
            raise InputError(msg)
        self._client = client
        self._closed: str | None = None
        self._news: list[AnnotationEvent] = []
        self._watch = Watch(self._end)
        self._annotation = Annotation(
            volume,
            segmentation,
            editor,
            discard=client.release,
            markups_changed=self._watch.note_markups,
        )
        self._keys = SliceKeys(volume, partial(chosen_region, self._annotation.session))
        self._asking = Asking(self._annotation, client, self._keys)
        self._prefetcher = Prefetcher(volume, client, self._keys)
        self._reactions = Reactions(self._annotation, self._asking, self._prefetcher, self._watch)
        self._jobs = Jobs()
        self._stepping_down = SteppingDown(client)
        self._loading = (0, "")
        self._complaint = ""
        self._watch.observe(volume, segmentation, self._annotation.session.node)

    @property
    def volume(self) -> slicer.vtkMRMLVolumeNode:
        """The volume that is annotated."""
        return self._annotation.volume

    @property
    def segmentation(self) -> slicer.vtkMRMLSegmentationNode:
        """The segmentation that masks go into."""
        return self._annotation.segmentation

    @property
    def closed(self) -> str | None:
        """Why the annotation has ended, None while it goes on."""
        return self._closed

    @property
    def busy(self) -> bool:
        """Whether masks are still to come: poll often then."""
        return bool(self._asking.requests or self._jobs.running)

    def look_at(self, axis: str, index: int) -> None:
        """Say which slice is looked at, so that it and its neighbours are embedded.

        Raises:
            InputError: there is no such slice; the annotation has ended.
        """
        position = SlicePosition(axis, index)
        check_position(self._grid(), position)
        self._start()
        self._prefetcher.visit(position)

    def watch_view(self, view: slicer.vtkMRMLSliceNode) -> None:
        """Follow a slice view: what it shows is embedded, and what it will show next."""
        self._react()
        self._watch.add_view(view)

    def unwatch_view(self, view: slicer.vtkMRMLSliceNode) -> None:
        """No longer follow a slice view."""
        self._watch.remove_view(view)

    def is_ready(self, axis: str, index: int) -> bool:
        """Whether prompts on a slice are answered at once, as far as is known."""
        return self._closed is None and self._prefetcher.is_ready(SlicePosition(axis, index))

    @property
    def encoding(self) -> tuple[int, int, float | None]:
        """Slices around the one looked at: embedded, to be embedded, and the seconds that takes.

        The seconds are None before the first; where nothing is to be done, all are embedded.
        """
        done, total = self._prefetcher.progress
        seconds = self._prefetcher.seconds_per_encode
        return done, total, None if seconds is None else (total - done) * seconds

    @property
    def model(self) -> str:
        """The model chosen last for this annotation, "" if none ever was."""
        return self._annotation.session.model

    @property
    def region(self) -> slicer.vtkMRMLMarkupsROINode | str:
        """What of the slices models are shown: the voxels of a ROI, "auto" or "whole".

        "auto" is the whole slice, and what is in small boxes from near. Set to a ROI its voxels
        alone are looked at and written, wherever it is moved afterwards; None means "auto". It is
        saved with the scene.

        Raises:
            InputError: when set: it is no such thing, the ROI is turned against the volume or lies
                beside it, or the annotation has ended.
        """
        session = self._annotation.session
        return session.region_node or session.region_strategy

    @region.setter
    def region(self, region: slicer.vtkMRMLMarkupsROINode | str | None) -> None:
        self._react()
        choose_region(self._annotation.session, region)
        self._jobs.stop("Stopped: another region is looked at. What was done is kept.")
        self._annotation.forget_answers()
        self._asking.ask_again()
        self._prefetcher.restart()

    @property
    def region_plan(self) -> str:
        """For people: what models are shown of the slices looked at, and what that costs.

        Raises:
            InputError: a ROI cannot be used any more; the annotation has ended.
        """
        self._check_open()
        here = self._prefetcher.here or SlicePosition("k", 0)
        size, seconds = self._keys.size(here), self._prefetcher.seconds_per_encode
        input_size = self._client.input_size or max(size)
        region = self._keys.region
        plan = plan_region(region, size, input_size, axis=here.axis, seconds_per_encode=seconds)
        return plan.sentence

    def use_model(self, model: str, adapter: str | None = None) -> None:
        """Have another model answer from now on. Masks there are stay until they are prompted."""
        self._react()
        self._jobs.stop("Stopped: another model answers now. What was done is kept.")
        self._loading = (self._client.load_model(model, adapter), self.model)
        self._annotation.session.model = model
        self._annotation.forget_answers()
        self._asking.ask_again()
        self._prefetcher.restart()

    def poll(self) -> list[AnnotationEvent]:
        """Write what answers have come, see what others did; the news. Never waits."""
        self._tick(None, None)
        news, self._news = self._news, []
        return news

    def wait(self, timeout_s: float | None = None) -> list[AnnotationEvent]:
        """Poll until every prompt has its mask; the news.

        Raises:
            InputError: a prompt was refused.
            WorkerError: the worker failed, or ``timeout_s`` passed.
        """
        limit = math.inf if timeout_s is None else time.monotonic() + timeout_s
        news = self.poll()
        while self._asking.requests:
            left_s = None if timeout_s is None else max(0.0, limit - time.monotonic())
            self._heed(self._client.wait(self._asking.requests[0], left_s))
            news += self.poll()
        for event in news:
            if isinstance(event, Problem):
                raise (InputError if event.kind == "input" else WorkerError)(event.message)
        return news

    def close(self) -> None:
        """End the annotation: nothing of ours goes on, everything stays in the scene."""
        if self._closed is None:
            self._annotation.restore_surface()
            self._end("The annotation was closed.")

    def _end(self, reason: str) -> None:
        if self._closed is not None:
            return
        self._closed = reason
        self._news.append(Closed(reason))
        self._watch.close()
        self._annotation.markups.close()
        self._asking.call_off()
        self._jobs.stop(f"Stopped: {reason} What was done is kept.")
        self._annotation.forget_answers()
        if self._client.running:
            self._prefetcher.stop()

    def _tick(self, request: int | None, timeout_s: float | None) -> None:
        """Poll once, or until a request is answered, and let everything go on."""
        client = self._client
        self._heed(client.poll() if request is None else client.wait(request, timeout_s))
        if self._closed is not None:
            return
        try:
            self._news += self._reactions.react()
            if client.running:
                self._reactions.look_around()
        except MedSAGaError as error:
            self._complain(error)
        else:
            self._complaint = ""
        self._jobs.step()

    def _workplace(self) -> Workplace:
        return Workplace(
            self._annotation,
            self._client,
            self._keys,
            self._watch,
            self._tick,
            self._news_of_job,
            self._job_ended,
        )

    def _job_ended(self, job: Job) -> None:
        """Use what a job has learned."""

    def _news_of_job(self, event: AnnotationEvent) -> None:
        self._news.append(event)

    def _heed(self, events: Sequence[Event]) -> None:
        notices, asks_again = self._stepping_down.heed(events, self._loading[0])
        events = [event for event in events if not self._jobs.heed(event)]
        for event in events:
            if isinstance(event, Failed) and event.request == self._loading[0]:
                # The worker keeps its former model; so do we.
                self._annotation.session.model = self._loading[1]
        self._news += [*self._reactions.heed(events), *notices]
        if asks_again and self._closed is None:
            self._ask_unasked()

    def _ask_unasked(self) -> None:
        waited, self._asking.waits = self._asking.waits, False
        try:
            self._news += self._reactions.settle(self._asking.unasked)
        finally:
            self._asking.waits = waited

    def _check_open(self) -> None:
        if self._closed is not None:
            msg = f"The annotation has ended: {self._closed} Start another one."
            raise InputError(msg)

    def _react(self) -> None:
        self._check_open()
        self._news += self._reactions.react()

    def _grid(self) -> Grid:
        self._react()
        return self._annotation.editing.check()

    def _start(self) -> None:
        if not self._client.running:
            self._client.start()

    def _complain(self, error: MedSAGaError) -> None:
        # Said once, not with every tick of the panel's timer.
        if str(error) != self._complaint:
            self._complaint = str(error)
            self._news.append(Problem(str(error), "input"))

"""What an annotator does with a whole volume: finish it, and tell which slices to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.finishing.axes import taught_axis
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.geometry import check_axis
from MedSAGaSlicerLib.engine.teaching.adapter_folder import read_description
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.finishing import FinishJob
from MedSAGaSlicerLib.scene.propagating import PropagateJob, PropagatingLoop
from MedSAGaSlicerLib.scene.review import Review
from MedSAGaSlicerLib.scene.segments import segment_ids
from MedSAGaSlicerLib.scene.taught_segments import decode_options, taught_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import slicer

    from MedSAGaSlicerLib.engine.review import Suggestion
    from MedSAGaSlicerLib.scene.jobs import Job
    from MedSAGaSlicerLib.scene.taught_segments import Taught
    from MedSAGaSlicerLib.worker.client import InferenceClient


class VolumeJobs(PropagatingLoop):
    """An annotation's loop that can go through a whole volume."""

    def __init__(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        segmentation: slicer.vtkMRMLSegmentationNode,
        client: InferenceClient,
        *,
        editor: slicer.vtkMRMLSegmentEditorNode | None = None,
    ) -> None:
        super().__init__(volume, segmentation, client, editor=editor)
        self._review = Review(self._annotation.session)

    def finish(
        self,
        segments: Sequence[str] | str | None = None,
        axis: str | None = None,
        clean: bool = True,
        settings: FinishSettings | None = None,
    ) -> FinishJob:
        """Have taught models segment every slice without prompts, as far as nobody settled it.

        Confirmed slices, slices with prompts, and what a person painted stay as they are, and speak
        for their neighbours. Where segments compete for a voxel the surer one gets it. The masks
        come while others go on; stopping keeps those that are there, and all of it is one undo
        step. Afterwards ``suggestions`` knows which slices to look at. While something else goes
        through the volume it waits for its turn.

        Args:
            segments: names or identifiers; by default all that a taught model answers for.
            axis: the slices' normal; by default the one that the model was mostly taught on.
            clean: weigh slices against each other, and remove small parts and holes in the end.
            settings: the same in detail, in place of ``clean``.

        Raises:
            InputError: no taught model answers for a segment, or the annotation has ended.
            CheckpointError: the taught model's folder cannot be read.
            WorkerError: the worker cannot be started.
        """
        plain = FinishSettings() if clean else FinishSettings.raw()
        return self._begin_finish(segments, axis, settings or plain, writes=True)

    def review(
        self, segments: Sequence[str] | str | None = None, axis: str | None = None
    ) -> FinishJob:
        """Look how sure taught models are of every slice, for ``suggestions``; writes nothing.

        Raises:
            InputError, CheckpointError, WorkerError: as ``finish``.
        """
        return self._begin_finish(segments, axis, FinishSettings.raw(), writes=False)

    def suggestions(self, segment: str) -> tuple[Suggestion, ...]:
        """The slices of a segment worth correcting next, the most useful first.

        Known after ``finish``, ``review`` or ``propagate``; after teaching again they are looked at
        anew by themselves. Empty as long as nothing is known.

        Raises:
            InputError: there is no such segment; the annotation has ended.
        """
        segment_id = self._known(segment)
        return self._review.suggestions(segment_id, self._annotation.confirmations)

    def _begin_finish(
        self,
        segments: Sequence[str] | str | None,
        axis: str | None,
        settings: FinishSettings,
        *,
        writes: bool,
    ) -> FinishJob:
        self._settle_confirmations()
        taught = self._taught_ones([segments] if isinstance(segments, str) else segments)
        if axis is None:
            axis = taught_axis(read_description(Path(next(iter(taught.values())).folder)))
        check_axis(axis)
        self._start()
        job = FinishJob(self._workplace(), taught, axis, settings, writes=writes)
        self._jobs.add(job)
        return job

    def _taught_ones(self, segments: Sequence[str] | None) -> dict[str, Taught]:
        session = self._annotation.session
        ids = segment_ids(self.segmentation) if segments is None else map(self._known, segments)
        found = {segment_id: taught_of(session, segment_id) for segment_id in ids}
        chosen: dict[str, Taught] = {}
        for segment_id, taught in found.items():
            if taught is not None and decode_options(session, segment_id):
                chosen[segment_id] = taught
            elif taught is not None and segments is not None:
                msg = (
                    f"What was taught for {segment_id!r} belongs to the model {taught.base!r}, and "
                    f"{session.model!r} is in use. Choose {taught.base!r}, or teach this one."
                )
                raise InputError(msg)
            elif segments is not None:
                msg = f"No taught model answers for {segment_id!r}. Teach one, or choose one."
                raise InputError(msg)
        if not chosen:
            msg = "No taught model answers for any segment. Confirm some slices and teach."
            raise InputError(msg)
        return chosen

    def _job_ended(self, job: Job) -> None:
        super()._job_ended(job)
        if self._closed is not None:
            return
        if isinstance(job, FinishJob) and job.opinions:
            self._review.note(job.segment_ids, job.axis, job.opinions)
        elif isinstance(job, PropagateJob) and job.doubts:
            self._review.note_passes(job.segment_id, job.axis, job.doubts)

    def _answer_by(self, choices: Mapping[str, Taught | None]) -> None:
        for job in self._jobs.running:
            if isinstance(job, FinishJob) and not choices.keys().isdisjoint(job.segment_ids):
                job.stop("Stopped: another model answers now. What was done is kept.")
        super()._answer_by(choices)
        reviewed = self._review.forget(choices)
        session = self._annotation.session
        again = [segment_id for segment_id in reviewed if decode_options(session, segment_id)]
        if again:
            # What another model was unsure of says little about this one.
            self.review(again)

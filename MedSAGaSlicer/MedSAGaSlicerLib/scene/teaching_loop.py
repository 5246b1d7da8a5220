"""What an annotator does about teaching: lessons from confirmed slices, and who answers then."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.example_file import write_examples
from MedSAGaSlicerLib.engine.example_library import ExampleLibrary
from MedSAGaSlicerLib.engine.examples import merged
from MedSAGaSlicerLib.engine.regions.choice import TILES
from MedSAGaSlicerLib.engine.teaching.adapter_folder import read_description, taught_region
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Finished
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene import taught_segments
from MedSAGaSlicerLib.scene.annotation_loop import AnnotationLoop
from MedSAGaSlicerLib.scene.exporting import confirmed_examples, segment_names, teachable_segments
from MedSAGaSlicerLib.scene.own_folders import lessons_folder, taught_folder
from MedSAGaSlicerLib.scene.region import chosen_region
from MedSAGaSlicerLib.scene.segments import segment_id_of
from MedSAGaSlicerLib.scene.taught_segments import Taught, choose_taught, taught_of
from MedSAGaSlicerLib.scene.teaching import TeachingJob
from MedSAGaSlicerLib.worker.lesson import Lesson
from MedSAGaSlicerLib.worker.teach_client import TeachClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from MedSAGaSlicerLib.engine.examples import ExampleSet


class TeachingLoop(AnnotationLoop):
    """An annotation's loop that can teach the model it asks."""

    make_teach_client: Callable[[], TeachClient] | None = None
    """Makes the client for a lesson; None: one beside the annotator's own client."""

    def teach(
        self,
        method: str = "auto",
        segments: Sequence[str] | None = None,
        *,
        title: str | None = None,
        config: TeachingConfig | None = None,
        earlier: Sequence[str] = (),
    ) -> TeachingJob:
        """Teach the model from the confirmed slices, in a process of its own.

        Returns at once; annotating goes on meanwhile. ``segments``, by name or identifier, are all
        that a confirmed slice shows unless given. ``config`` has the settings besides the method,
        ``earlier`` names examples of the library to be learned from as well. The examples of this
        scene replace in the library those it had put there before. A lesson that was stopped goes
        on if nothing has changed since.

        Raises:
            InputError: nothing is confirmed, a segment is unknown or on no confirmed slice; a
                folder cannot be written; the annotation has ended.
            WorkerError: the worker cannot be started.
        """
        self._settle_confirmations()
        annotation, session = self._annotation, self._annotation.session
        region = str(chosen_region(session))
        settings = {**(config or TeachingConfig()).to_dict(), "method": method, "region": region}
        config = TeachingConfig.from_dict(settings)
        chosen = self._chosen(segments)
        examples = confirmed_examples(annotation, chosen, config.depth)
        library = ExampleLibrary()
        former = taught_segments.library_entry(session)
        parts = tuple(library.read(name) for name in earlier if name != former)
        own = examples
        if parts:
            examples = merged((examples, *parts), examples.segments)
        taught, work = self._folders()
        write_examples(work / "examples", examples)
        self._keep_in_library(library, own, former)
        stamp = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        lesson = Lesson(
            work / "examples",
            taught / stamp,
            work,
            self._base_model(),
            title,
            config,
            taught_segments.slices_aside(session),
        )
        return self._begin(lesson, segment_names(annotation, chosen))

    def taught(self, segment: str) -> Path | None:
        """The folder of the taught model that answers for a segment, None for the model as it is.

        Raises:
            InputError: there is no such segment; the annotation has ended.
        """
        found = taught_of(self._annotation.session, self._known(segment))
        return None if found is None else Path(found.folder)

    def use_taught(self, segment: str, folder: Path | None, known_as: str | None = None) -> None:
        """Have a taught model answer for a segment from now on; None: the model as it is.

        ``known_as`` is what the segment was called when it was taught, its own name unless given.
        Masks there are stay until they are prompted.

        Raises:
            InputError: the taught model does not know the segment or looks at tiles, or there is no
                such segment; the annotation has ended.
            CheckpointError: the folder holds no taught model that can be read.
        """
        segment_id = self._known(segment)
        if folder is None:
            self._answer_by({segment_id: None})
            return
        description = read_description(folder)
        if taught_region(folder).strategy == TILES:
            msg = (
                f"The taught model {description.name!r} looks at tiles, which takes too long while "
                "somebody waits. Use it by the command line (medsaga finish), or teach without "
                "tiles."
            )
            raise InputError(msg)
        own = segment_names(self._annotation, (segment_id,))[segment_id]
        names = description.segments
        name = known_as or (names[0] if len(names) == 1 else own)
        if name not in names:
            msg = (
                f"The taught model {description.name!r} knows {', '.join(map(repr, names))}, not "
                f"{name!r}. Say which of them this segment is."
            )
            raise InputError(msg)
        taught = Taught(str(folder), name, description.base, description.depth)
        self._answer_by({segment_id: taught})

    def _begin(self, lesson: Lesson, names: Mapping[str, str]) -> TeachingJob:
        former: dict[str, Taught | None] = {}

        def use(job: TeachingJob) -> None:
            self._check_open()
            folder, base = str(job.lesson.output), job.lesson.model
            former.update({i: taught_of(self._annotation.session, i) for i in names})
            depth = job.lesson.config.depth
            self._answer_by({i: Taught(folder, name, base, depth) for i, name in names.items()})

        client = (self.make_teach_client or partial(TeachClient.beside, self._client))()
        return TeachingJob(
            lesson,
            names,
            client,
            self._client,
            finished=self._finish_lesson,
            use=use,
            go_back=partial(self._answer_by, former),
        )

    def _finish_lesson(self, job: TeachingJob) -> None:
        # The scene may be gone by now; the taught model is not.
        if self._closed is not None or not isinstance(job.outcome, Finished):
            return
        aside = read_description(job.lesson.output).held_out
        taught_segments.keep_aside(self._annotation.session, aside)
        if job.outcome.accepted:
            job.adopt()

    def _answer_by(self, choices: Mapping[str, Taught | None]) -> None:
        self._react()
        for segment_id, taught in choices.items():
            choose_taught(self._annotation.session, segment_id, taught)
        self._annotation.forget_answers()
        self._asking.ask_again()

    def _settle_confirmations(self) -> None:
        self._react()
        while self._reactions.is_checking:
            self._react()

    def _chosen(self, segments: Sequence[str] | None) -> tuple[str, ...]:
        if segments is None:
            return teachable_segments(self._annotation)
        return tuple(self._known(segment) for segment in segments)

    def _known(self, segment: str) -> str:
        self._check_open()
        found = segment_id_of(self.segmentation, segment)
        if found is None:
            msg = f"There is no segment {segment!r}. Give the name of one that is there."
            raise InputError(msg)
        return found

    def _base_model(self) -> str:
        return self.model or self._client.model

    def _folders(self) -> tuple[Path, Path]:
        """Where taught models lie, and where this annotation's lessons do; both are there."""
        taught = taught_folder()
        fresh = secrets.token_hex(8)
        work = taught_segments.lesson_folder(
            self._annotation.session, lessons_folder(taught), fresh
        )
        try:
            work.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            msg = f"Cannot make the folder {work}: {error.strerror or error}. Choose another."
            raise InputError(msg) from error
        return taught, work

    def _keep_in_library(self, library: ExampleLibrary, examples: ExampleSet, former: str) -> None:
        taught_segments.note_library_entry(self._annotation.session, library.add(examples))
        if former in {entry.name for entry in library.entries()}:
            library.delete(former)

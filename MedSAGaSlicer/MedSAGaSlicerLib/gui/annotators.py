"""The annotator in use and the worker it asks: one of each, for the panel and the console."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache, default_folder
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.errors import CheckpointError
from MedSAGaSlicerLib.gui import overview
from MedSAGaSlicerLib.gui.machine_settings import MachineSettings
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.editor_node import editor_node
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.teach_client import TeachClient

if TYPE_CHECKING:
    from collections.abc import Callable

    import slicer


class Annotators:
    """Hands out the annotator of a volume and a segmentation.

    There is one worker, so there is one annotator at a time: asking for another pair ends the one
    before. All of it is in the scene then, and it goes on when it is asked for again.
    ``make_client`` makes the worker's client for a model's name, ``make_teach_client`` one for
    lessons beside it; ``changed`` is called when another annotator is in use.
    """

    def __init__(self, make_client: Callable[[str], InferenceClient] | None = None) -> None:
        """Nothing is started yet."""
        self.settings = MachineSettings()
        self.make_client = make_client or self.settings.make_client
        self.make_teach_client: Callable[[InferenceClient], TeachClient] = TeachClient.beside
        self.changed: Callable[[], None] = _ignore
        self._client: InferenceClient | None = None
        self._current: Annotator | None = None

    @property
    def current(self) -> Annotator | None:
        """The annotator in use, None if there is none or it has ended."""
        if self._current is not None and self._current.closed is not None:
            self._current = None
        return self._current

    @property
    def busy(self) -> bool:
        """Whether the worker has something to answer, a model to load included."""
        return self._client is not None and self._client.busy

    @property
    def running(self) -> bool:
        """Whether there is a worker."""
        return self._client is not None and self._client.running

    @property
    def device(self) -> str:
        """Where the worker was told to compute, "" if there is none."""
        return "" if self._client is None else self._client.device

    def of(
        self, volume: slicer.vtkMRMLVolumeNode, segmentation: slicer.vtkMRMLSegmentationNode
    ) -> Annotator:
        """The annotator of these two, ready for prompts; the worker is started.

        Raises:
            InputError: the volume cannot be annotated.
            CheckpointError: there is no model on this machine.
            WorkerError: the worker cannot be started.
        """
        current = self.current
        if current is not None and (current.volume, current.segmentation) == (volume, segmentation):
            return current
        models = overview.present_models()
        if not models:
            msg = "No model is on this machine. Download one below, under Models."
            raise CheckpointError(msg)
        if self._client is None:
            self._client = self.make_client(models[0])
        editor = editor_node(volume.GetScene())
        annotator = Annotator(volume, segmentation, self._client, editor=editor)
        annotator.make_teach_client = partial(self.make_teach_client, self._client)
        if current is not None:
            current.close()
        self._current = annotator
        annotator.use_model(annotator.model if annotator.model in models else models[0])
        self.changed()
        return annotator

    @property
    def lesson(self) -> TeachingConfig:
        """The settings of the lessons that the panel begins, besides the method."""
        return TeachingConfig(steps=self.settings.lesson_steps)

    def survey(self, slices: int) -> bool:
        """Have the worker try its device and plan such lessons; whether there is one to ask."""
        if self._client is None or not self._client.running:
            return False
        self._client.survey(slices, self.lesson.to_dict())
        return True

    def ask_stats(self) -> None:
        """Have the worker tell its figures, if there is one."""
        if self._client is not None and self._client.running:
            self._client.stats()

    def clear_embeddings(self) -> None:
        """Delete all embeddings, the worker's in memory too."""
        if self._client is not None and self._client.running:
            self._client.clear_cache()
        else:
            EmbeddingCache(default_folder()).clear()

    def close(self) -> None:
        """End the annotation and the worker."""
        if self.current is not None:
            self.current.close()
        self._current = None
        if self._client is not None:
            self._client.stop()
            self._client = None


def _ignore() -> None: ...

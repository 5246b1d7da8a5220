"""Questions to the model that are under way, and which of their answers are still wanted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.nearer import Nearer
from MedSAGaSlicerLib.scene.packed import PackedMask
from MedSAGaSlicerLib.scene.slice_work import Answer, SliceWork, WorkState
from MedSAGaSlicerLib.scene.taught_segments import decode_options, shown_depth

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.regions.window import Window
    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.prefetch import SliceKeys
    from MedSAGaSlicerLib.scene.prompt_groups import Group
    from MedSAGaSlicerLib.scene.session import WorkKey
    from MedSAGaSlicerLib.worker.client import InferenceClient
    from MedSAGaSlicerLib.worker.events import Decoded


@dataclass(frozen=True)
class Question:
    """One group of prompts of a segment on a slice, asked about these pixels.

    ``window`` is what of the slice the model is shown, ``pixels_key`` that of all it may be shown.
    """

    key: WorkKey
    group: Group
    pixels_key: str
    window: Window


class Asking:
    """Asks a client what the prompts of slices in work mean.

    While ``waits`` is set nothing new is asked: ``settle`` leaves slices that lack an answer alone.
    """

    def __init__(self, annotation: Annotation, client: InferenceClient, keys: SliceKeys) -> None:
        self._annotation = annotation
        self._client = client
        self._keys = keys
        self._nearer = Nearer(client, keys)
        self._under_way: dict[int, Question] = {}
        self.waits = False
        self._left_alone: dict[WorkKey, None] = {}

    @property
    def unasked(self) -> list[WorkKey]:
        """The slices whose prompts want an answer that was not asked for, or could not be had."""
        annotation = self._annotation
        self._left_alone = {
            key: None
            for key in self._left_alone
            if key in annotation.work
            and not annotation.is_confirmed(key)
            and annotation.work[key].missing(annotation.groups(key))
        }
        return list(self._left_alone)

    @property
    def requests(self) -> tuple[int, ...]:
        """The numbers of the questions under way, oldest first."""
        return tuple(self._under_way)

    def is_asking(self, segment_id: str) -> bool:
        """Whether an answer about a segment is still to come."""
        return any(question.key[0] == segment_id for question in self._under_way.values())

    def settle(self, key: WorkKey) -> bool:
        """Bring a slice to what its prompts ask for; whether it was written right now.

        Where an answer is missing it is asked for, and the slice is written when it comes.
        Questions that no prompts ask any more are called off.

        Raises:
            InputError: the slice cannot be read or written.
            WorkerError: the worker cannot be started.
        """
        annotation = self._annotation
        groups = annotation.groups(key)
        self._left_alone.pop(key, None)
        for request, question in list(self._under_way.items()):
            if question.key == key and question.group not in groups:
                self._call_off(request)
        if key not in annotation.work:
            if not groups:
                return False
            annotation.work[key] = SliceWork(WorkState.begin(annotation.read(key)))
        work = annotation.work[key]
        if annotation.is_confirmed(key):
            return False
        if groups and work.state.shown == frozenset(groups):
            return False
        missing = work.missing(groups)
        if missing and self.waits:
            self._left_alone[key] = None
            return False
        for group in missing:
            self._ask(key, group)
        if missing:
            return False
        annotation.finish(key)
        return True

    def take(self, answer: Decoded) -> Question | None:
        """Keep an answer that is still wanted, and write its slice if it was the last missing one.

        Returns the question if the slice was written.

        Raises:
            InputError: the slice cannot be written.
        """
        question = self._under_way.pop(answer.request, None)
        if question is None or not self._is_asked_for(question):
            self._client.release(answer.logits_id)
            return None
        try:
            return question if self._use(answer, question) else None
        except InputError:
            # Nothing is lost by what somebody did to the volume meanwhile: ask when it is over.
            self._left_alone[question.key] = None
            raise

    def give_up(self, request: int) -> Question | None:
        """Note that a question failed; None if it was none of ours."""
        question = self._under_way.pop(request, None)
        if question is not None:
            self._left_alone[question.key] = None
        return question

    def call_off(self, key: WorkKey | None = None) -> None:
        """Call off the questions about a slice, or all."""
        for request, question in list(self._under_way.items()):
            if key is None or question.key == key:
                self._call_off(request)

    def call_off_segment(self, segment_id: str) -> None:
        """Call off the questions about a segment."""
        for request, question in list(self._under_way.items()):
            if question.key[0] == segment_id:
                self._call_off(request)

    def ask_again(self) -> None:
        """Ask all that is under way anew, as when another model answers now.

        Raises:
            InputError: a slice cannot be read.
        """
        questions = list(self._under_way.values())
        self.call_off()
        for question in questions:
            self._ask(question.key, question.group)

    def _use(self, answer: Decoded, question: Question) -> bool:
        key, group = question.key, question.group
        self._annotation.editing.check()
        if question.pixels_key != self._keys.key(key[1]):
            # Voxels were edited while the model was busy: it looked at another image.
            self._client.release(answer.logits_id)
            self._ask(key, group)
            return False
        window = question.window
        mask = PackedMask.of(window.put_back(answer.mask, self._keys.size(key[1])))
        self._annotation.keep_answer(
            key, group, Answer(mask, answer.logits_id, answer.score, window)
        )
        return self.settle(key)

    def _is_asked_for(self, question: Question) -> bool:
        groups = self._annotation.groups(question.key)
        return question.key in self._annotation.work and question.group in groups

    def _ask(self, key: WorkKey, group: Group) -> None:
        if any((q.key, q.group) == (key, group) for q in self._under_way.values()):
            return
        if not self._client.running:
            self._client.start()
        position = key[1]
        refined = self._annotation.work[key].previous_for(group)
        window = self._nearer.for_prompts(position, group.prompts, refined)
        depth = shown_depth(self._annotation.session, key[0])
        pixels, pixels_key = self._keys.pixels(position, window, depth), self._keys.key(position)
        shown_key = self._keys.key_of(position, window, depth)
        self._keys.check_shown(position, group.prompts)
        prompts = window.seen_from_within(group.prompts)
        options = decode_options(self._annotation.session, key[0])
        ask = partial(self._client.decode, shown_key, prompts, pixels=lambda: pixels, **options)
        # Logits are of what the model was shown then.
        previous = refined.logits_id if refined is not None and refined.window == window else None
        try:
            request = ask(previous=previous)
        except InputError:
            # The worker was started anew and knows nothing of that answer: ask from scratch.
            request = ask()
        self._under_way[request] = Question(key, group, pixels_key, window)

    def _call_off(self, request: int) -> None:
        del self._under_way[request]
        self._client.cancel(request)

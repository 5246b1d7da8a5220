"""A lesson from beginning to end, as a generator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.teaching.adapter_folder import check_adapter_path
from MedSAGaSlicerLib.engine.teaching.aside import Aside
from MedSAGaSlicerLib.engine.teaching.events import (
    Event,
    Finished,
    Prepared,
    Progress,
    Saved,
    Started,
    Stopped,
    Validated,
)
from MedSAGaSlicerLib.engine.teaching.finder_lesson import FinderLesson
from MedSAGaSlicerLib.engine.teaching.guard import Score, choose_held_out
from MedSAGaSlicerLib.engine.teaching.lesson import Lesson, parts_of
from MedSAGaSlicerLib.engine.teaching.losses import Outcome, mean_outcome
from MedSAGaSlicerLib.engine.teaching.peak_memory import is_memory_shortage, memory_shortage
from MedSAGaSlicerLib.engine.teaching.planning import lesson_pace, make_method, settled
from MedSAGaSlicerLib.engine.teaching.results import Results, taught_predictor, write_results
from MedSAGaSlicerLib.engine.teaching.rounds import Rounds
from MedSAGaSlicerLib.engine.teaching.schedule import learning_rate, rounds_of
from MedSAGaSlicerLib.engine.teaching.state import (
    LessonState,
    forget_state,
    lesson_name,
    load_state,
    save_state,
)
from MedSAGaSlicerLib.errors import MemoryShortageError, TeachingError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.examples import ExampleSet, Place
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig

_STEP_STREAM: Final = 2
_MOST_SKIPPED: Final = 5


def train(
    config: TeachingConfig,
    examples: ExampleSet,
    base: Predictor,
    output: Path,
    *,
    base_name: str,
    title: str | None = None,
    cache: EmbeddingCache | None = None,
    work: Path | None = None,
    earlier_held_out: Collection[Place] = (),
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Teach a model and leave an adapter folder; nothing happens until the first event is taken.

    One event at least comes after each slice encoded and each step made. To stop, let `stop`
    return True, or close the generator: the state is kept, and the same call goes on from it, bit
    for bit on a CPU. A killed process loses at most the steps since the last `Saved`.

    Args:
        config: the settings; what they leave open is settled for this model.
        examples: all confirmed slices; those held out are chosen from them.
        base: the model to be taught; it stays as it is.
        output: the adapter folder to write; an older adapter there is replaced at the very end.
        base_name: what people call the base: a registered name or a file's.
        title: what people will call the adapter; by default the segments.
        cache: of embeddings; by default one in memory alone.
        work: folder for the resumable state; by default a hidden one beside `output`.
        earlier_held_out: places kept aside by earlier lessons on these examples; they stay so.
        stop: asked after each event.

    Raises:
        InputError: the output cannot be written.
        TeachingError: the lesson diverged.
        MemoryShortageError: it needs more memory than there is; the state is kept.
        OSError: a state or the adapter cannot be written; the last state stays.
    """
    check_adapter_path(output)
    if work is None:
        work = output.with_name(f".{output.name}.lesson")
    # An adapter on its way is no base: the next lesson begins where the first did.
    run = _Run(config, examples, base, cache or EmbeddingCache(None), work, earlier_held_out, stop)
    shortage: MemoryShortageError | None = None
    try:
        yield from run.events(output, base_name, title or ", ".join(examples.segments))
    except _StopAskedError:
        yield Stopped(run.progress.step, resumable=run.save() is not None)
    except (GeneratorExit, KeyboardInterrupt):
        run.save()
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_memory_shortage(error):
            raise
        shortage = run.short_of_memory(error)
    if shortage is not None:
        # Out here, so that what was computed is not kept alive by the error that came of it.
        raise shortage


class _StopAskedError(Exception):
    """Somebody wants the lesson to stop."""


class _Run:
    """One lesson under way."""

    def __init__(
        self,
        config: TeachingConfig,
        examples: ExampleSet,
        base: Predictor,
        cache: EmbeddingCache,
        work: Path,
        earlier_held_out: Collection[Place],
        stop: Callable[[], bool],
    ) -> None:
        self.config = settled(config, base.model)
        self.examples = examples
        self.base = base
        self.held_out = choose_held_out(examples, earlier_held_out)
        self.fingerprint = base.fingerprint
        self.progress = LessonState()
        self._cache = cache
        self._work = work
        self._stop = stop
        self._taught = [e for e in examples.examples if e.place not in self.held_out]
        kept_aside = [e for e in examples.examples if e.place in self.held_out]
        self._aside = Aside(kept_aside, base, cache)
        parts = 1 + max(parts_of(self._taught))
        self._method = make_method(self.config, base, examples.segments, cache, parts)
        about = examples.segments, self.config, base.device
        self._finder = FinderLesson(self._taught, kept_aside, *about)
        drawn = self.config.views, self.config.batch, self.config.seed, self.config.depth
        self._lesson = Lesson(self._taught, *drawn)
        self._name = lesson_name(self.config, examples, self.held_out, self.fingerprint)
        self._updating = False
        self._begun = time.perf_counter()

    def events(self, output: Path, base_name: str, title: str) -> Iterator[Event]:
        """The whole lesson."""
        kept = load_state(self._work, self._name)
        if kept is not None:
            self.progress, tensors = kept
            self._method.load_state(tensors)
            self._finder.load_state(tensors)
        self._begun = time.perf_counter() - self.progress.seconds
        yield Started(
            __version__,
            self.config.method,
            str(self.base.device),
            self.config.steps,
            self.progress.step,
            len(self.examples.examples),
            len(self.held_out),
            self.examples.segments,
        )
        yield from self._prepare()
        if self.held_out and self.progress.before is None:
            self.progress.before = self._measured(self.base)
            yield self._validated("before", self.progress.before)
        yield from self._steps()
        before = self._finder.finder_before()
        taught = taught_predictor(self._method, self.base, self.examples.segments, before)
        after = None
        if self.held_out:
            after = self._measured(taught)
            yield self._validated("after", after)
        self.progress.seconds = time.perf_counter() - self._begun
        about = title, base_name, self.config, self.examples, self.held_out
        brought = self.progress, after, self._method, self._finder.finder(), self.fingerprint
        report = write_results(output, Results(*about, *brought))
        forget_state(self._work)
        yield Finished(output, report["accepted"], report)

    def save(self) -> Path | None:
        """Keep the state if there is anything worth keeping; None if it cannot be written."""
        if self.progress.step == 0 and self.progress.before is None:
            return None
        try:
            return self._save()
        except OSError:
            # The lesson ends anyway, and the state before this one is still there.
            return None

    def short_of_memory(self, error: Exception) -> MemoryShortageError:
        """Keep the state, as far as it is whole, and say what to do."""
        self._method.discard()
        kept = None if self._updating else self.save()
        what = f"the method {self.config.method!r} with {self.base.model.family}"
        resumable = None if kept is None else self.progress.step
        return memory_shortage(error, what, str(self.base.device), resumable)

    def _save(self) -> Path:
        self.progress.seconds = time.perf_counter() - self._begun
        tensors = self._method.state() | self._finder.state()
        return save_state(self._work, self._name, self.progress, tensors)

    def _check_stop(self) -> None:
        if self._stop():
            raise _StopAskedError

    def _prepare(self) -> Iterator[Event]:
        self._check_stop()
        begun, total = time.perf_counter(), self._lesson.total + len(self.held_out)
        for done in self._lesson.prepare(self._method):
            elapsed = time.perf_counter() - begun
            yield Prepared(done, total, elapsed / done * (total - done))
            self._check_stop()
        for done in self._aside.prepare():
            yield Prepared(self._lesson.total + done, total, 0.0)
            self._check_stop()

    def _measured(self, model: Predictor) -> list[Score]:
        scores = []
        for score in self._aside.measured(model):
            scores.append(score)
            self._check_stop()
        return scores

    def _validated(self, moment: str, scores: list[Score]) -> Validated:
        return Validated(moment, float(np.mean([s.mean for s in scores])), len(self.held_out))

    def _steps(self) -> Iterator[Event]:
        rounds = Rounds(self._method, self.examples.segments)
        pace = lesson_pace(self.base, self.config, len(self.examples.examples))
        begun, first, in_a_row = time.perf_counter(), self.progress.step, 0
        while self.progress.step < self.config.steps:
            step = self.progress.step
            outcome = self._gathered(rounds, step)
            self._updating = True
            made = self._method.update(learning_rate(step, self.config))
            self._finder.step(step)
            self._updating = False
            self.progress.step += 1
            if made and math.isfinite(outcome.loss):
                in_a_row = 0
                self.progress.curve.append((outcome.loss, outcome.dice))
            else:
                in_a_row += 1
                self.progress.skipped += 1
                self._check_divergence(in_a_row)
            left = pace.left(first, self.progress.step, time.perf_counter() - begun)
            yield self._told(outcome, left)
            if self.progress.step % self.config.save_every == 0:
                yield Saved(self._save(), self.progress.step)
            self._check_stop()

    def _gathered(self, rounds: Rounds, step: int) -> Outcome:
        """The gradients of a step; at first the locators' alone, since the decoder builds on them.

        On embeddings that do not change they have learned their part then.
        """
        seed, count = self.config.seed, self.config.at_once
        if step < self.config.head_steps:
            chosen = self._lesson.unmirrored(step, self.config.guesses)
            return rounds.locate(*chosen, [seed, step])
        rng = np.random.default_rng([seed, _STEP_STREAM, step])
        still = self._method.lasting_features or step < self.config.still_steps
        in_a_row = rounds_of(rng, step, self.config, still)
        samples, segments = self._lesson.batch(step)
        outcomes = []
        for start in range(0, len(samples), count):
            part = slice(start, start + count)
            share = len(samples[part]) / len(samples)
            drawn = samples[part], segments[part]
            outcomes.append(rounds.step(*drawn, rng, in_a_row, share, still=still))
        return mean_outcome(outcomes)

    def _told(self, outcome: Outcome, seconds_left: float) -> Progress:
        loss = outcome.loss if math.isfinite(outcome.loss) else None
        return Progress(self.progress.step, self.config.steps, loss, outcome.dice, seconds_left)

    def _check_divergence(self, in_a_row: int) -> None:
        if in_a_row < _MOST_SKIPPED:
            return
        msg = (
            f"The lesson diverged: the last {in_a_row} of {self.progress.step} steps gave numbers "
            "that are not finite. Teach with a lower learning rate, or check the images"
        )
        raise TeachingError(msg)

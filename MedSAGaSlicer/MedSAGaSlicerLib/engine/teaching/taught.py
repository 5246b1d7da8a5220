"""A base model with an adapter switched on; the base stays as it is beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from MedSAGaSlicerLib.engine.finishing.evidence import STEPS, SUREST, Finding, weigh
from MedSAGaSlicerLib.engine.predictor import Logits, Prediction, Predictor
from MedSAGaSlicerLib.engine.prompts import Box, MaskPrompt, Prompts, is_ambiguous
from MedSAGaSlicerLib.engine.teaching.depth_branch import encoder_depth
from MedSAGaSlicerLib.engine.teaching.finder import expected_iou, mean_the_same, on_grid
from MedSAGaSlicerLib.engine.teaching.learned_prompt import STRONGEST
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.families import SamModel
    from MedSAGaSlicerLib.engine.teaching.finder import Finder
    from MedSAGaSlicerLib.engine.teaching.learned_prompt import LearnedPrompt

_SUREST: Final = SUREST / STEPS


class TaughtPredictor(Predictor):
    """Predicts as taught: prompts of a segment it knows are joined by that segment's tokens.

    Shares the base's encoder where the adapter leaves it alone, and then its embeddings too.
    """

    def __init__(
        self,
        base: Predictor,
        model: SamModel,
        segments: tuple[str, ...],
        learned: LearnedPrompt | None,
        unprompted: SamModel | None = None,
        finder: Finder | None = None,
    ) -> None:
        """Take the taught model.

        Args:
            base: what was taught.
            model: what answers prompts.
            segments: those it was taught.
            learned: their prompts, if any were learned.
            unprompted: what works without prompts where there is no finder; None: the model.
            finder: what finds without prompts, if there is one.
        """
        super().__init__(model, base.device, base.precision)
        self.base = base
        self.depth = encoder_depth(model.image_encoder)
        self.segments = segments
        self._learned = None if learned is None else learned.to(base.device)
        self._other = (
            None if unprompted is None else TaughtPredictor(base, unprompted, segments, learned)
        )
        self._finder = None if finder is None else finder.to(base.device)

    @cached_property
    def encoder_key(self) -> str:
        """The base's key if the encoder is the base's."""
        return self.base.encoder_key if self._shares_encoder else super().encoder_key

    @cached_property
    def _encoder(self) -> nn.Module:
        """The base's if it is shared: in reduced precision it is a copy, and one is enough."""
        return self.base._encoder if self._shares_encoder else super()._encoder

    @property
    def _shares_encoder(self) -> bool:
        return self.model.image_encoder is self.base.model.image_encoder

    @property
    def without_prompts(self) -> bool:
        """Whether it can segment without any prompt."""
        return self._learned is not None or self._finder is not None

    def check_segment(self, segment: str | None) -> None:
        """Refuse a segment that it was not taught, or that is not named.

        Raises:
            InputError: names those it was taught.
        """
        if segment not in self.segments:
            msg = (
                f"The adapter was taught {', '.join(map(repr, self.segments))}, not {segment!r}. "
                "Name one of these, or rename the segment as it was called when taught"
            )
            raise InputError(msg)

    def predict(
        self,
        embedding: Embedding,
        prompts: Prompts,
        previous_logits: MaskPrompt | None = None,
        segment: str | None = None,
    ) -> Prediction:
        """As `Predictor.predict`, knowing which segment is meant.

        Where the finder finds by itself what first prompts mean, the answer is the mean of both.

        Args:
            embedding: from this predictor, or from its base if they share the encoder.
            prompts: in the slice's coordinates (column, row).
            previous_logits: as there.
            segment: one it was taught; may be left out if it was taught just one.

        Raises:
            InputError: as there, or the segment is unknown or not given.
        """
        prompts.validate(embedding.size)
        if prompts.is_empty and previous_logits is None:
            msg = "There is no prompt: give a point or a box, or use predict_unprompted"
            raise InputError(msg)
        number = self._number(segment)
        ambiguous = is_ambiguous(prompts, previous_logits)
        tokens = self._tokens(number)
        answer = self._answer(embedding, prompts, previous_logits, ambiguous, tokens)
        # Once there was an answer, clicks correct it.
        if self._finder is None or embedding.look is None or previous_logits is not None:
            return answer
        (found,) = self._found(self._finder, embedding, [number])
        if not mean_the_same(prompts, answer.mask, found.mask):
            return answer
        mean = self._mean(embedding, (answer, found)).logits
        if prompts.box is not None:
            mean = np.where(self._within(prompts.box, embedding.size), mean, answer.logits)
        return self._answered(embedding, torch.from_numpy(mean), answer.score)

    def _within(self, box: Box, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which cells of the decoder's grid (h, w) lie in a slice's box."""
        edges = np.array(box, np.float64) + np.array((-0.5, -0.5, 0.5, 0.5))
        corners = self._rules.box(edges, self._rules.frame(size)).numpy()
        side = self.model.logits_size
        left, top, right, bottom = corners * (side / self.input_size)
        cells = np.arange(side) + 0.5
        rows, columns = (top < cells) & (cells < bottom), (left < cells) & (cells < right)
        inside: NDArray[np.bool_] = rows[:, None] & columns
        return inside

    def for_segment(self, name: str) -> TaughtSegment | Predictor:
        """The model for a segment of that name: as taught, or the base if it was not taught it."""
        return TaughtSegment(self, name) if name in self.segments else self.base

    def predict_unprompted(self, embedding: Embedding, segment: str | None = None) -> Prediction:
        """Segment a structure that was taught, wherever it is on the slice; maybe nowhere.

        Raises:
            InputError: the segment is unknown or not given, the adapter learned no prompts, or the
                embedding is another encoder's.
        """
        return self._unprompted(embedding, [self._number(segment)])[0]

    def _unprompted(self, embedding: Embedding, numbers: Sequence[int]) -> list[Prediction]:
        """Several segments, by number, on one slice: the mean of finder and model.

        They go wrong in different places.
        """
        ways = []
        if self._finder is not None:
            ways.append(self._found(self._finder, embedding, numbers))
        if self._learned is not None:
            model = self if self._other is None else self._other
            ways.append([model._decoded(embedding, number) for number in numbers])
        if not ways:
            msg = "This adapter was taught without a learned prompt: it needs points or a box"
            raise InputError(msg)
        return [self._mean(embedding, answers) for answers in zip(*ways, strict=True)]

    def _mean(self, embedding: Embedding, answers: Sequence[Prediction]) -> Prediction:
        """Of logits, none of them surer than evidence can be, and of scores."""
        if len(answers) == 1:
            return answers[0]
        logits = np.mean([one.logits.clip(-_SUREST, _SUREST) for one in answers], axis=0)
        score = sum(one.score for one in answers) / len(answers)
        return self._answered(embedding, torch.from_numpy(logits), score)

    def _answered(self, embedding: Embedding, logits: Tensor, score: float) -> Prediction:
        mask = self._rules.mask(logits, self._rules.frame(embedding.size))
        return Prediction(mask, logits.numpy(), score)

    def _found(
        self, finder: Finder, embedding: Embedding, numbers: Sequence[int]
    ) -> list[Prediction]:
        """What the finder finds, in the decoder's grid."""
        self._check(embedding)
        if embedding.look is None:
            msg = "The embedding has not the slice's look beside it; encode the slice again"
            raise InputError(msg)
        side = self.model.logits_size
        scaled = self._rules.frame(embedding.size).scaled
        extent = [max(1, round(length * side / self.input_size)) for length in scaled]
        looked = finder.logits_of(embedding.look)[list(numbers)].float().cpu()
        return [
            self._answered(embedding, on_grid(logits, extent, side), expected_iou(logits))
            for logits in looked
        ]

    def _decoded(self, embedding: Embedding, number: int) -> Prediction:
        """What the model finds by its learned prompts."""
        tokens, guess = self._tokens(number), self._guess(embedding, number)
        first = self._answer(embedding, Prompts(), guess, False, tokens)
        # A second look, at what the first one made of the guess.
        looked = first.logits.clip(-STRONGEST, STRONGEST)
        return self._answer(embedding, Prompts(), looked, False, tokens)

    def find(self, embedding: Embedding, segments: Sequence[str]) -> Finding:
        """Find several segments without prompts, with what speaks for each in each pixel.

        Raises:
            InputError: as `predict_unprompted`.
        """
        frame = self._rules.frame(embedding.size)
        found = self._unprompted(embedding, [self._number(segment) for segment in segments])
        evidence = [weigh(self._rules.logits(torch.from_numpy(one.logits), frame)) for one in found]
        pooled = np.asarray(embedding.features).mean((1, 2), dtype=np.float32)
        return Finding(np.stack(evidence), tuple(one.score for one in found), pooled)

    def _number(self, segment: str | None) -> int:
        if segment is None and len(self.segments) == 1:
            return 0
        self.check_segment(segment)
        return self.segments.index(str(segment))

    def _tokens(self, number: int) -> Tensor | None:
        return None if self._learned is None else self._learned.of([number])[0]

    def _guess(self, embedding: Embedding, number: int) -> Logits | None:
        if self._learned is None:
            return None
        self._check(embedding)
        with torch.inference_mode():
            guesses = self._learned.guess(self._features(embedding), self._position)
            logits: Logits = guesses[0, number].float().cpu().numpy()
        return logits


class TaughtSegment:
    """A taught model of which one segment is wanted; a `SlicePredictor` and more."""

    def __init__(self, taught: TaughtPredictor, segment: str | None) -> None:
        """Refer to the model.

        Raises:
            InputError: it was not taught that segment, or none is named.
        """
        taught.check_segment(segment)
        self._taught = taught
        self._segment = segment

    @property
    def encoder_key(self) -> str:
        """Of the taught model."""
        return self._taught.encoder_key

    @property
    def input_size(self) -> int:
        """Of the taught model."""
        return self._taught.input_size

    @property
    def depth(self) -> int:
        """Of the taught model."""
        return self._taught.depth

    def extent(self, size: tuple[int, int]) -> tuple[float, float]:
        """As `Predictor.extent`."""
        return self._taught.extent(size)

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """As `Predictor.encode`."""
        return self._taught.encode(pixels)

    def predict(
        self, embedding: Embedding, prompts: Prompts, previous_logits: MaskPrompt | None = None
    ) -> Prediction:
        """As `TaughtPredictor.predict` for the segment."""
        return self._taught.predict(embedding, prompts, previous_logits, self._segment)

    def predict_unprompted(self, embedding: Embedding) -> Prediction:
        """As `TaughtPredictor.predict_unprompted` for the segment."""
        return self._taught.predict_unprompted(embedding, self._segment)

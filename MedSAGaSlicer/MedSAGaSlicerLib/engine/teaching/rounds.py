"""One embedding, several rounds of the decoder: what a lesson's loss is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from MedSAGaSlicerLib.engine.preprocessing import preprocessing_of
from MedSAGaSlicerLib.engine.teaching.learned_prompt import STRONGEST
from MedSAGaSlicerLib.engine.teaching.losses import (
    Outcome,
    dice_of,
    mask_loss,
    mean_of,
    mean_outcome,
    true_iou,
)
from MedSAGaSlicerLib.engine.teaching.samples import as_masks, target_batch, valid_batch
from MedSAGaSlicerLib.engine.teaching.simulated_prompts import (
    PromptBatch,
    boxes_around,
    corrections,
    first_clicks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from MedSAGaSlicerLib.engine.teaching.method import Method
    from MedSAGaSlicerLib.engine.teaching.samples import Sample

_BOX_PART: Final = 0.4
_OWN_CLICK: Final = 0.3
_MASK_PROMPT: Final = 0.8
_OTHERS: Final = 0.3
_SECOND_LOOK: Final = 0.5


class Rounds:
    """Makes the losses of a batch and their gradients."""

    def __init__(self, method: Method, segments: Sequence[str]) -> None:
        """For a method's model."""
        self._method = method
        self._segments = tuple(segments)
        model = method.model
        self._scale = model.input_size / model.logits_size
        self._share = 1.0
        self._parts = 0 if method.learned is None else len(method.learned.locators)
        self._probabilities = preprocessing_of(model.family, model.input_size).mask_probabilities
        with torch.no_grad():
            self._position: Tensor = model.prompt_encoder.get_dense_pe()  # type: ignore[operator]

    def step(
        self,
        samples: Sequence[Sample],
        segments: Sequence[str],
        rng: np.random.Generator,
        rounds: int,
        share: float = 1.0,
        *,
        still: bool = False,
    ) -> Outcome:
        """Gather the gradients of one batch; while embeddings still change, also the locators'.

        Args:
            samples: one per place of the batch.
            segments: which segment of each sample is meant.
            rng: source of all that is simulated.
            rounds: the first prompt and the corrections after it; 0: unprompted ones alone.
            share: of these samples in all those of an update.
            still: whether the embeddings are the base's, of which the locators know enough.
        """
        self._share = share
        method = self._method
        features = method.still_features(samples) if still else method.features(samples)
        # Rounds are backed up one by one, so that only one is in memory; the encoder, if it
        # learns, is backed up once, from the sum of what reached its output.
        leaf = features.detach().requires_grad_(features.requires_grad)
        targets = target_batch(samples, segments).to(leaf.device)
        valid = valid_batch(samples, targets.shape[-1]).to(leaf.device)
        batch = _Batch(leaf, targets, valid, [self._segments.index(name) for name in segments])
        outcomes = []
        if self._method.learned is not None:
            batch = replace(batch, guess=self._guess(samples, batch))
        shown = [n for n, target in enumerate(targets) if float(target.max()) > 0]
        placed = [n for n, sample in enumerate(samples) if not sample.mirrored]
        if shown and (rounds or not placed):
            first = self._first(rng, [samples[n] for n in shown], segments, batch.part(shown))
            outcomes.append(self._chain(rng, batch.part(shown), first, max(1, rounds)))
        if placed and self._method.learned is not None:
            outcomes.append(self._unprompted(batch.part(placed), rng))
            if not still:
                parts, seed = [samples[n].part for n in placed], int(rng.integers(1 << 31))
                self._locate(batch.part(placed), parts, seed)
        if features.requires_grad and leaf.grad is not None:
            features.backward(leaf.grad)  # type: ignore[no-untyped-call]
        return mean_outcome(outcomes)

    def locate(
        self, samples: Sequence[Sample], segments: Sequence[str], seeds: list[int]
    ) -> Outcome:
        """Gather the gradients of the locators alone, on the base's embeddings."""
        if self._method.learned is None or not samples:
            return Outcome(0.0, 0.0)
        self._share = 1.0
        features = self._method.still_features(samples)
        targets = target_batch(samples, segments).to(features.device)
        valid = valid_batch(samples, targets.shape[-1]).to(features.device)
        numbers = [self._segments.index(name) for name in segments]
        batch = _Batch(features, targets, valid, numbers)
        seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
        return self._locate(batch, [sample.part for sample in samples], seed)

    def _locate(self, batch: _Batch, parts: Sequence[int], seed: int) -> Outcome:
        """The locators' gradients; `parts` of the samples, `seed` of what the locators drop."""
        learned = self._method.learned
        if learned is None:
            return Outcome(0.0, 0.0)
        features, losses, answers = batch.features.detach(), [], []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            learned.train()
            for part in range(len(learned.locators)):
                seen = [n for n, own in enumerate(parts) if own != part or self._parts == 1]
                if not seen:
                    continue
                guesses = learned.guess_of(part, features[seen], self._position)
                logits = guesses[torch.arange(len(seen)), [batch.numbers[n] for n in seen]]
                loss = mask_loss(logits[:, None], batch.targets[seen], batch.valid[seen]).mean()
                self._backward(loss)
                losses.append(float(loss.detach()))
                answers += dice_of(logits.detach() > 0, batch.targets[seen, 0]).tolist()
            learned.eval()
        return Outcome(mean_of(losses), mean_of(answers))

    def _backward(self, loss: Tensor) -> None:
        self._method.backward(loss * self._share)

    def _guess(self, samples: Sequence[Sample], batch: _Batch) -> Tensor:
        """What locators that have not seen the samples make of them: (n, h, w), no gradients."""
        learned = self._method.learned
        guesses = torch.empty_like(batch.targets[:, 0])
        if learned is None:
            return guesses
        with torch.no_grad():
            for part in {sample.part for sample in samples}:
                own = [n for n, sample in enumerate(samples) if sample.part == part]
                found = learned.guess_of(part, batch.features[own], self._position)
                guesses[own] = found[torch.arange(len(own)), [batch.numbers[n] for n in own]]
        return guesses

    def _first(
        self,
        rng: np.random.Generator,
        samples: Sequence[Sample],
        segments: Sequence[str],
        batch: _Batch,
    ) -> PromptBatch:
        masks = as_masks(batch.targets)
        if rng.random() < _BOX_PART:
            return boxes_around(rng, masks, self._scale)
        prompts = first_clicks(rng, masks, self._scale)
        for n, number in enumerate(batch.numbers):
            own = samples[n].clicks.get(self._segments[number])
            if own is not None and rng.random() < _OWN_CLICK:
                prompts.points[n, 0] = own[int(rng.integers(len(own)))]
        return prompts

    def _chain(
        self, rng: np.random.Generator, batch: _Batch, prompts: PromptBatch, rounds: int
    ) -> Outcome:
        """A first prompt and its corrections; each round's gradient is gathered at once."""
        masks = as_masks(batch.targets)
        losses: list[float] = []
        previous: Tensor | None = None
        answer = batch.targets[:, 0]
        for number in range(rounds):
            # What a person sees first and last is learned from; the rounds between lead there.
            learning = number in (0, rounds - 1)
            ambiguous = prompts.ambiguous and previous is None
            with torch.set_grad_enabled(learning):
                logits, scores = self._decode(batch, prompts, previous)
                loss, answer = self._judged(batch, logits, scores, ambiguous)
            if learning:
                self._backward(loss / min(rounds, 2))
                losses.append(float(loss.detach()))
            if number + 1 < rounds:
                answers = list((answer > 0).cpu().numpy())
                prompts = prompts.and_click(*corrections(rng, answers, masks, self._scale))
                use = rng.random() < _MASK_PROMPT
                previous = answer.clamp(-STRONGEST, STRONGEST) if use else None
        return Outcome(mean_of(losses), mean_of(dice_of(answer > 0, batch.targets[:, 0]).tolist()))

    def _unprompted(self, batch: _Batch, rng: np.random.Generator) -> Outcome:
        guess = batch.guess
        if rng.random() < _SECOND_LOOK:
            with torch.no_grad():
                guess = self._decode(batch, None, guess)[0][:, 0].clamp(-STRONGEST, STRONGEST)
        logits, scores = self._decode(batch, None, guess)
        loss, answer = self._judged(batch, logits, scores, ambiguous=False)
        self._backward(loss)
        dice = dice_of(answer > 0, batch.targets[:, 0]).tolist()
        return Outcome(float(loss.detach()), mean_of(dice))

    def _judged(
        self, batch: _Batch, logits: Tensor, scores: Tensor, ambiguous: bool
    ) -> tuple[Tensor, Tensor]:
        """The loss of the answers and their scores, and the logits (n, h, w) a person would see.

        Of one click the best of the three answers counts most, since the person sees the one with
        the highest score; the others and the single answer are pulled along, for the structure is
        the same. Otherwise the single answer counts alone.
        """
        if not ambiguous:
            logits, scores = logits[:, :1], scores[:, :1]
        masks = mask_loss(logits, batch.targets, batch.valid)
        quality = (scores - true_iou(logits.detach(), batch.targets, batch.valid)) ** 2
        if not ambiguous:
            return (masks + quality).mean(), logits[:, 0].detach()
        best = masks[:, 1:].min(dim=1).values
        others = _OTHERS * (masks[:, 1:].mean(dim=1) + masks[:, 0])
        shown = logits[torch.arange(len(logits)), 1 + scores[:, 1:].argmax(dim=1)]
        return (best + others + quality.mean(dim=1)).mean(), shown.detach()

    def _decode(
        self, batch: _Batch, prompts: PromptBatch | None, previous: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """All answers of the decoder: logits (n, 4, h, w) and scores (n, 4), float32."""
        model, device = self._method.model, batch.leaf.device
        points, boxes, masks = None, None, None
        if prompts is not None:
            if prompts.points.shape[1]:
                points = prompts.points.to(device), prompts.positive.to(device)
            boxes = None if prompts.boxes is None else prompts.boxes.to(device)
        if previous is not None:
            masks = (previous.sigmoid() if self._probabilities else previous)[:, None]
        sparse, dense = model.prompt_encoder(points=points, boxes=boxes, masks=masks)
        count = len(batch.numbers)
        if prompts is None:
            sparse = sparse[:1].expand(count, -1, -1)
            dense = dense.expand(count, -1, -1, -1)
        if self._method.learned is not None:
            sparse = torch.cat([sparse, self._method.learned.of(batch.numbers)], dim=1)
        # The decoder repeats one embedding for all prompts; here each prompt has its own, which
        # goes in with the dense prompt, to which the decoder adds the embedding anyway.
        features = batch.features
        nothing = torch.zeros_like(features[:1])
        with self._method.autocast():
            answers: Any = model.mask_decoder.predict_masks(  # type: ignore[operator]
                image_embeddings=nothing,
                image_pe=self._position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=features + dense,
            )
        return answers[0].float(), answers[1].float()


@dataclass(frozen=True, eq=False)
class _Batch:
    """Embeddings, targets and what is valid of them, and the segments' numbers.

    `rows` are those of the embeddings that are meant, None for all.
    """

    leaf: Tensor
    targets: Tensor
    valid: Tensor
    numbers: list[int]
    guess: Tensor | None = None
    rows: list[int] | None = None

    @property
    def features(self) -> Tensor:
        """The embeddings; chosen anew each time: each round's gradient goes back by itself."""
        return self.leaf if self.rows is None else self.leaf[self.rows]

    def part(self, chosen: list[int]) -> _Batch:
        """Only some places of it."""
        if len(chosen) == len(self.numbers):
            return self
        return _Batch(
            self.leaf,
            self.targets[chosen],
            self.valid[chosen],
            [self.numbers[n] for n in chosen],
            None if self.guess is None else self.guess[chosen],
            chosen if self.rows is None else [self.rows[n] for n in chosen],
        )

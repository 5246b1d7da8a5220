"""The end of a lesson: the taught model, and the folder with its weights, figures and curve."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MedSAGaSlicerLib.engine.teaching.adapter_folder import write_adapter
from MedSAGaSlicerLib.engine.teaching.curve_picture import curve_png
from MedSAGaSlicerLib.engine.teaching.guard import Score, verdict
from MedSAGaSlicerLib.engine.teaching.method import FINDER, LEARNED, UNPROMPTED, Method
from MedSAGaSlicerLib.engine.teaching.peak_memory import peak_bytes
from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.examples import ExampleSet, Place
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.prompts import Prompts
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
    from MedSAGaSlicerLib.engine.teaching.finder import Finder
    from MedSAGaSlicerLib.engine.teaching.guard import Prompted, Unprompted
    from MedSAGaSlicerLib.engine.teaching.state import LessonState


@dataclass(frozen=True, eq=False)
class Results:
    """All that a lesson's folder tells of; ``after`` is None if nothing was kept aside."""

    title: str
    base_name: str
    config: TeachingConfig
    examples: ExampleSet
    held_out: Sequence[Place]
    progress: LessonState
    after: list[Score] | None
    method: Method
    finder: Finder | None
    fingerprint: str


def taught_predictor(
    method: Method, base: Predictor, segments: tuple[str, ...], finder: Finder | None = None
) -> TaughtPredictor:
    """The model as its adapter will make it."""
    model = method.assemble(base.model, method.tensors(method.config.share))
    learned = copy.deepcopy(method.learned)
    finding = method.unprompted_tensors()
    unprompted = method.assemble(base.model, finding) if finding else None
    learned = learned and learned.requires_grad_(False)
    return TaughtPredictor(base, model, segments, learned, unprompted, finder)


def answering(model: Predictor) -> tuple[Prompted, Unprompted | None]:
    """How the guard asks a model, taught or not."""

    def prompted(embedding: Embedding, prompts: Prompts, segment: str) -> NDArray[np.bool_]:
        if isinstance(model, TaughtPredictor):
            return model.predict(embedding, prompts, segment=segment).mask
        return model.predict(embedding, prompts).mask

    if not (isinstance(model, TaughtPredictor) and model.without_prompts):
        return prompted, None
    return prompted, lambda embedding, segment: model.predict_unprompted(embedding, segment).mask


def write_results(output: Path, results: Results) -> dict[str, Any]:
    """Write the adapter folder.

    Returns:
        What report.json holds.

    Raises:
        InputError, OSError: it cannot be written; what was there before stays.
    """
    report = _report(results)
    tensors = results.method.tensors(results.config.share)
    finding = results.method.unprompted_tensors()
    tensors.update({UNPROMPTED + name: tensor for name, tensor in finding.items()})
    if results.method.learned is not None:
        learned = results.method.learned.state_dict()
        tensors.update({LEARNED + name: tensor.cpu() for name, tensor in learned.items()})
    if results.finder is not None:
        seen = results.finder.state_dict()
        tensors.update({FINDER + name: tensor.cpu() for name, tensor in seen.items()})
    write_adapter(
        output, _description(results, report), report, tensors, curve_png(results.progress.curve)
    )
    return report


def _report(results: Results) -> dict[str, Any]:
    progress = results.progress
    judged: dict[str, Any] = {"accepted": None, "before": None, "after": None, "gain": None, "n": 0}
    if results.after is not None and progress.before is not None:
        judged = verdict(progress.before, results.after)
    return {
        **judged,
        "slices": len(results.examples.examples),
        "steps": progress.step,
        "skipped_steps": progress.skipped,
        "seconds": progress.seconds,
        "peak_bytes": peak_bytes(),
        "method": results.config.method,
        **results.method.facts(),
        "curve": [{"loss": loss, "dice": dice} for loss, dice in progress.curve],
        "scores": {
            "before": [asdict(score) for score in progress.before or []],
            "after": [asdict(score) for score in results.after or []],
        },
    }


def _description(results: Results, report: dict[str, Any]) -> dict[str, Any]:
    model = results.method.base.model
    normalisations = {e.case: e.normalisation.to_dict() for e in results.examples.examples}
    cases = [
        {**entry, "normalisation": normalisations[entry["case"]]}
        for entry in results.examples.provenance()
    ]
    return {
        "name": results.title,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "method": results.config.method,
        "base": results.base_name,
        "family": model.family,
        "base_fingerprint": results.fingerprint,
        "encoder_fingerprint": results.method.base.encoder_fingerprint,
        "segments": list(results.examples.segments),
        "cases": cases,
        "held_out": [list(place) for place in results.held_out],
        "accepted": report["accepted"],
        "before": report["before"],
        "after": report["after"],
        "n": report["n"],
        "config": results.config.to_dict(),
    }

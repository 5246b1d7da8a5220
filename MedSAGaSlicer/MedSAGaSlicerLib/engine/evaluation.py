"""How good a model is on labelled images with simulated prompts: behind `medsaga evaluate`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, read_case
from MedSAGaSlicerLib.engine.clicks import components, next_click, tight_box
from MedSAGaSlicerLib.engine.geometry import slice_size
from MedSAGaSlicerLib.engine.metrics import check_nsd_available, dice, nsd
from MedSAGaSlicerLib.engine.neighbours import depth_of
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.prompts import Point, Prompts
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.segmenting import (
    EVERYWHERE,
    SlicePredictor,
    shown_slices,
    volume_normalisation,
)
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.images import Volume
    from MedSAGaSlicerLib.engine.predictor import Prediction

PROMPT_KINDS: Final = ("box", "point", "clicks", "none")
SMALLEST: Final = 20
"""Pixels of the label that a slice must have to be evaluated."""
MOST_CLICKS: Final = 20
_HEADLINE_CLICKS: Final = 3
_TOLERANCE: Final = 2.0


@runtime_checkable
class Unprompted(Protocol):
    """A model that finds what it was taught without a prompt; a taught one is one."""

    def predict_unprompted(self, embedding: Embedding) -> Prediction:
        """The mask of what it was taught, empty if that is not on the slice."""


@dataclass(frozen=True)
class CaseScore:
    """One case: means over its evaluated slices, and the agreement of all of them as a volume.

    ``dice_at`` has the slice Dice after 1, 2, ... clicks; it, ``noc80`` and ``noc90`` are None
    where no clicks are made one after the other.
    """

    name: str
    slices: int
    dice: float
    dice_3d: float
    nsd: float
    dice_at: tuple[float, ...] | None
    noc80: float | None
    noc90: float | None


def evaluate(
    cases: Sequence[Case],
    choice: LabelChoice,
    predictor: SlicePredictor,
    kind: str,
    *,
    per_component: bool = False,
    region: RegionChoice = EVERYWHERE,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluate on the axial slices with at least 20 pixels of the label; 2-D images as they are.

    ``none``: no prompt at all, also on slices without the label, where the right answer is nothing;
    only for a taught model.

    ``box``: the tight box. ``point``: one click. ``clicks``: up to 20 (`next_click`), each
    prediction refined from the logits of the one before; its headline figures are those after 3.
    The label is one object, or with ``per_component`` each connected part of it on a slice is
    prompted by itself and the masks are united. Of a ``region`` with bounds only what is inside is
    looked at and compared. Volume figures compare the evaluated slices, so
    that a perfect model reaches 1. All means are over cases, of the means over their slices.

    Returns:
        Plain values for JSON: ``mean_dice``, ``dice_3d``, ``mean_nsd`` (2 mm; 2 pixels for
        pictures), ``dice_at``, ``noc80``, ``noc90``, ``cases``, ``skipped``, ``seconds``.

    Raises:
        InputError: the kind is unknown, a case is unfit, or no case has the label.
        DependencyError: the package for surface agreement is missing.
    """
    if kind not in PROMPT_KINDS:
        msg = f"The prompt kind {kind!r} is unknown; known are {', '.join(PROMPT_KINDS)}."
        raise InputError(msg)
    if kind == "none" and not isinstance(predictor, Unprompted):
        msg = "This model needs prompts. To evaluate without any, give what was taught (--adapter)."
        raise InputError(msg)
    check_nsd_available()
    started = time.perf_counter()
    slices, skipped = _check_cases(cases, choice, kind, region, progress)
    done, total = 0, sum(len(indices) for indices in slices.values())
    scores = []
    for case in cases:
        if case.name not in slices:
            continue
        volume, truth, _ = read_case(case, choice, region)
        normalisation = volume_normalisation(volume)
        window = region.window("k", slice_size(volume.geometry.shape_kji, "k"))
        curves = {}
        for index in slices[case.name]:
            progress(done, total, f"{case.name}, slice {index}")
            image = shown_slices(volume, normalisation, "k", index, region, depth_of(predictor))
            inside = window.cut(truth[index])
            found, mask = _curve(predictor, image, inside, kind, per_component)
            curves[index] = found, window.put_back(mask, truth[index].shape)
            done += 1
        scores.append(_score(case.name, volume, truth, curves))
    progress(total, total, "done")
    return {
        **_summary(scores),
        "cases": [asdict(score) for score in scores],
        "skipped": skipped,
        "seconds": time.perf_counter() - started,
    }


def _check_cases(
    cases: Sequence[Case],
    choice: LabelChoice,
    kind: str,
    region: RegionChoice,
    progress: Progress,
) -> tuple[dict[str, list[int]], dict[str, str]]:
    """The slices to evaluate by case, and why other cases have none; before any model runs."""
    slices: dict[str, list[int]] = {}
    skipped: dict[str, str] = {}
    present: set[int] = set()
    occurs = False
    for done, case in enumerate(cases):
        progress(done, len(cases), f"checking {case.name}")
        volume, truth, values = read_case(case, choice, region)
        volume_normalisation(volume)
        present.update(int(value) for value in values)
        pixels = np.count_nonzero(truth, axis=(1, 2))
        occurs |= bool(pixels.max() >= SMALLEST)
        fit = (pixels >= SMALLEST) | ((pixels == 0) & (kind == "none"))
        indices = [n for n in np.flatnonzero(fit).tolist() if region.has_slice("k", n)]
        if indices:
            slices[case.name] = indices
        elif truth.any():
            skipped[case.name] = f"no slice with {SMALLEST} pixels of label {choice}"
        else:
            skipped[case.name] = f"no label {choice}"
    if not occurs:
        found = ", ".join(str(value) for value in sorted(present - {0})) or "none but 0"
        files = ", ".join(case.label.name for case in cases[:5])
        more = f" and {len(cases) - 5} more" if len(cases) > 5 else ""
        msg = (
            f"No slice has {SMALLEST} pixels of label {choice} in {files}{more}. "
            f"Values there: {found}. Give one of them as --label."
        )
        raise InputError(msg)
    return slices, skipped


def _curve(
    predictor: SlicePredictor,
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    kind: str,
    per_component: bool,
) -> tuple[list[float], NDArray[np.bool_]]:
    """Dice after each prompt, and the mask of the headline figures."""
    embedding = predictor.encode(image)
    objects = components(truth) if per_component and kind != "none" else [truth]
    steps = [_object_masks(predictor, embedding, mask, kind) for mask in objects]
    united = [np.logical_or.reduce(masks) for masks in zip(*steps, strict=True)]
    headline = united[_HEADLINE_CLICKS - 1] if kind == "clicks" else united[0]
    return [dice(mask, truth) for mask in united], headline


def _object_masks(
    predictor: SlicePredictor, embedding: Embedding, truth: NDArray[np.bool_], kind: str
) -> list[NDArray[np.bool_]]:
    if isinstance(predictor, Unprompted) and kind == "none":
        return [predictor.predict_unprompted(embedding).mask]
    if kind == "box":
        return [predictor.predict(embedding, Prompts(box=tight_box(truth))).mask]
    return click_masks(predictor, embedding, truth, 1 if kind == "point" else MOST_CLICKS)[0]


def click_masks(
    predictor: SlicePredictor, embedding: Embedding, truth: NDArray[np.bool_], count: int
) -> tuple[list[NDArray[np.bool_]], Prompts]:
    """Masks after 1 to ``count`` simulated clicks on an object of one slice, and the clicks.

    Each prediction gets the logits of the one before. When nothing is left to correct, the last
    mask stays for the remaining places.
    """
    clicked = np.zeros(truth.shape, bool)
    points: list[Point] = []
    signs: list[bool] = []
    masks: list[NDArray[np.bool_]] = []
    logits = None
    while len(masks) < count:
        before = masks[-1] if masks else np.zeros(truth.shape, bool)
        click = next_click(truth, before, clicked)
        if click is None:
            masks += [before] * (count - len(masks))
            break
        (a, b), positive = click
        clicked[int(b), int(a)] = True
        points.append((a, b))
        signs.append(positive)
        prediction = predictor.predict(embedding, Prompts(tuple(points), tuple(signs)), logits)
        logits = prediction.logits
        masks.append(prediction.mask)
    return masks, Prompts(tuple(points), tuple(signs))


def _score(
    name: str,
    volume: Volume,
    truth: NDArray[np.bool_],
    curves: dict[int, tuple[list[float], NDArray[np.bool_]]],
) -> CaseScore:
    indices = sorted(curves)
    predicted, wanted = np.zeros(truth.shape, bool), np.zeros(truth.shape, bool)
    for index in indices:
        predicted[index], wanted[index] = curves[index][1], truth[index]
    table = np.array([curves[index][0] for index in indices])
    by_clicks = table.shape[1] > 1
    headline = table[:, _HEADLINE_CLICKS - 1 if by_clicks else 0]
    return CaseScore(
        name=name,
        slices=len(indices),
        dice=float(headline.mean()),
        dice_3d=dice(predicted, wanted),
        nsd=_surface_agreement(volume, predicted, wanted),
        dice_at=tuple(float(value) for value in table.mean(axis=0)) if by_clicks else None,
        noc80=_clicks_needed(table, 0.8) if by_clicks else None,
        noc90=_clicks_needed(table, 0.9) if by_clicks else None,
    )


def _clicks_needed(table: NDArray[np.float64], goal: float) -> float:
    """Mean over slices of the first click that reaches a Dice; the most there are when never."""
    reached = table >= goal
    needed = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, table.shape[1])
    return float(needed.mean())


def _surface_agreement(
    volume: Volume, predicted: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> float:
    spacing = (1.0, 1.0, 1.0) if volume.is_picture else volume.geometry.spacing_mm[::-1]
    if predicted.shape[0] == 1:
        # In 3-D, top and bottom of a single slice would always agree.
        return nsd(predicted[0], wanted[0], spacing[1:], _TOLERANCE)
    return nsd(predicted, wanted, spacing, _TOLERANCE)


def _summary(scores: Sequence[CaseScore]) -> dict[str, Any]:
    curves = [score.dice_at for score in scores if score.dice_at is not None]
    dice_at = None
    if curves:
        means = np.mean(curves, axis=0)
        dice_at = {str(clicks): float(mean) for clicks, mean in enumerate(means, start=1)}
    return {
        "mean_dice": _mean([score.dice for score in scores]),
        "dice_3d": _mean([score.dice_3d for score in scores]),
        "mean_nsd": _mean([score.nsd for score in scores]),
        "dice_at": dice_at,
        "noc80": _mean([score.noc80 for score in scores]),
        "noc90": _mean([score.noc90 for score in scores]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None

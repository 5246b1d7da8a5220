"""The second half of the demo: a structure is taught from confirmed slices, and measured on others.

The slices are those of the made volume, and the truth stands in for what a person confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine.evaluation import SMALLEST, click_masks
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.pictures import Panel, display_flip, save_montage
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, volume_normalisation
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Finished
from MedSAGaSlicerLib.engine.teaching.folders import tell
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.taught import TaughtSegment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.images import Volume
    from MedSAGaSlicerLib.engine.segmenting import SlicePredictor

ORGAN: Final = "right kidney"
FOLDER: Final = "taught"
PICTURE: Final = "lesson.png"
_SHOWN, _HIDDEN = 12, 3
_PICTURED: Final = 3


@dataclass(frozen=True, eq=False)
class _Outcome:
    """One slice that was not taught: the same click before and after, and no prompt at all."""

    index: int
    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    click: Prompts
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    unprompted: NDArray[np.bool_]


def teach_organ(
    output: Path,
    predictor: SlicePredictor,
    volume: Volume,
    organs: dict[str, NDArray[np.bool_]],
    model: str,
    progress: Progress = silent,
    config: TeachingConfig | None = None,
) -> dict[str, Any] | None:
    """Teach `ORGAN` from 15 of the volume's axial slices and measure on the others that show it.

    ``output`` gets the adapter folder and a picture of slices before and after.

    Returns:
        Plain values for the demo's report; None for a stand-in that cannot be taught.

    Raises:
        InputError, OSError: the folder cannot be written.
    """
    if not isinstance(predictor, Predictor):
        return None
    truth = organs[ORGAN]
    taught_at, others = _places(truth)
    examples = _examples(volume, truth, taught_at)
    folder, report = output / FOLDER, {}
    settings = config or TeachingConfig()
    for event in train(settings, examples, predictor, folder, base_name=model):
        tell(event, progress)
        if isinstance(event, Finished):
            report = event.report
    after = TaughtSegment(load_adapter(folder, predictor), ORGAN)
    outcomes = []
    for done, index in enumerate(others):
        progress(done, len(others), f"measuring slice {index}")
        pixels = _pixels(volume, index)
        outcomes.append(_outcome(predictor, after, pixels, truth[index], index))
    _picture(output / PICTURE, volume, outcomes)
    rows = [
        {
            "index": one.index,
            "before": dice(one.before, one.truth),
            "after": dice(one.after, one.truth),
            "unprompted": dice(one.unprompted, one.truth),
        }
        for one in outcomes
    ]
    means = {
        name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "index"
    }
    guard = {name: report[name] for name in ("accepted", "before", "after", "n", "seconds")}
    return {"organ": ORGAN, "slices": len(taught_at), **means, "guard": guard, "others": rows}


def lesson_page(lesson: dict[str, Any]) -> list[str]:
    """The lesson as lines of Markdown."""
    guard = lesson["guard"]
    verdict = {True: "accepted", False: "not accepted", None: "not measured"}[guard["accepted"]]
    lines = [
        "",
        f"# Taught: {lesson['organ']}",
        "",
        f"{lesson['slices']} axial slices were confirmed, three of them empty, and learned from in "
        f"{guard['seconds']:.0f} s. On the {len(lesson['others'])} other slices that show the "
        "organ, the same single click gave",
        f"Dice {lesson['before']:.3f} before and {lesson['after']:.3f} after; without any prompt "
        f"it is now {lesson['unprompted']:.3f}.",
    ]
    if guard["accepted"] is not None:
        lines.append(
            f"The guard measured {guard['before']:.3f} before and {guard['after']:.3f} after on "
            f"{guard['n']} slices kept aside: {verdict}."
        )
    return [
        *lines,
        "",
        f"![The same clicks before and after]({PICTURE})",
        "",
        f"![The course of the lesson]({FOLDER}/curve.png)",
        "",
        f"`medsaga segment --adapter {FOLDER}` and `medsaga evaluate --adapter {FOLDER}` use it.",
        "",
    ]


def _places(truth: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Slices to confirm, evenly spread, empty ones beyond both ends; and those left to measure."""
    pixels = np.count_nonzero(truth, axis=(1, 2))
    shown = [int(index) for index in np.flatnonzero(pixels >= SMALLEST)]
    chosen = {shown[round(at)] for at in np.linspace(0, len(shown) - 1, _SHOWN)}
    empty = [int(index) for index in np.flatnonzero(pixels == 0)]
    hidden = {empty[round(at)] for at in np.linspace(0, len(empty) - 1, _HIDDEN)}
    return sorted(chosen | hidden), [index for index in shown if index not in chosen]


def _examples(volume: Volume, truth: NDArray[np.bool_], indices: list[int]) -> ExampleSet:
    along_i, along_j, along_k = volume.geometry.spacing_mm
    normalisation = volume_normalisation(volume)
    return ExampleSet(
        (ORGAN,),
        tuple(
            Example(
                "made volume",
                "k",
                index,
                _pixels(volume, index),
                {ORGAN: truth[index].copy()},
                normalisation,
                (along_j, along_i),
                along_k,
            )
            for index in indices
        ),
    )


def _pixels(volume: Volume, index: int) -> NDArray[np.uint8]:
    return normalised_slice(volume.array_kji, volume_normalisation(volume), "k", index)


def _outcome(
    before: Predictor,
    after: TaughtSegment,
    pixels: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    index: int,
) -> _Outcome:
    embedding = before.encode(pixels)
    masks, click = click_masks(before, embedding, truth, 1)
    # A decoder that was taught uses the base's embeddings; other methods have their own.
    own = embedding if after.encoder_key == before.encoder_key else after.encode(pixels)
    return _Outcome(
        index,
        pixels,
        truth,
        click,
        masks[0],
        after.predict(own, click).mask,
        after.predict_unprompted(own).mask,
    )


def _picture(path: Path, volume: Volume, outcomes: list[_Outcome]) -> None:
    spacing = volume.geometry.spacing_mm[1], volume.geometry.spacing_mm[0]
    flip = display_flip(volume.geometry, "k")
    panels = []
    for at in np.linspace(0, len(outcomes) - 1, min(_PICTURED, len(outcomes))):
        one = outcomes[round(at)]
        for moment, mask in (("before", one.before), ("after", one.after)):
            title = f"slice {one.index} {moment}, Dice {dice(mask, one.truth):.2f}"
            panels.append(Panel(title, one.pixels, spacing, one.click, mask, one.truth, flip))
    save_montage(path, panels)

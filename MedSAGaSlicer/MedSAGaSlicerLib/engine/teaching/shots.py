"""Examples from labelled images: the slices a person might have confirmed, drawn by a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, read_case
from MedSAGaSlicerLib.engine.evaluation import SMALLEST
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.geometry import slice_size
from MedSAGaSlicerLib.engine.neighbours import parted
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.segmenting import EVERYWHERE, shown_slices, volume_normalisation
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.images import Volume


def only_cases(cases: Sequence[Case], file: Path) -> tuple[Case, ...]:
    """Those cases whose names a text file lists, one a line; empty lines and # lines are skipped.

    Raises:
        InputError: the file cannot be read, is empty, or names a case that is not there.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The list of cases {file} cannot be read ({error}). Give a text file of names."
        raise InputError(msg) from error
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        msg = f"The list of cases {file} is empty. Write one name a line."
        raise InputError(msg)
    known = {case.name: case for case in cases}
    unknown = [name for name in names if name not in known]
    if unknown:
        shown = ", ".join(list(known)[:5])
        msg = f"{file} names {unknown[0]!r}, which is not among the images ({shown}, ...)."
        raise InputError(msg)
    return tuple(known[name] for name in dict.fromkeys(names))


def draw_examples(
    cases: Sequence[Case],
    choice: LabelChoice,
    shots: int,
    empty: int,
    seed: int,
    progress: Progress = silent,
    region: RegionChoice = EVERYWHERE,
    depth: int = 1,
) -> ExampleSet:
    """Axial slices as examples of one segment: `shots` in all, up to `empty` of them without it.

    They are spread over the cases, in an order drawn by the seed; where there are too few empty
    slices, as with 2-D images, more with the label are taken. A slice with less than 20 pixels of
    the label is neither: nobody would start with it. Of a ``region`` with bounds only what is
    inside is looked at. For a model that looks at ``depth`` slices they come with neighbours.

    Raises:
        InputError: there are not that many slices, a case is unfit, or the label does not occur.
    """
    if shots < 1 or not 0 <= empty < shots:
        msg = (
            f"{shots} slices with {empty} empty ones among them were asked for: at least one has "
            "to show the label. Change --shots or --empty."
        )
        raise InputError(msg)
    with_label, without = _places(cases, choice, region, progress)
    rng = np.random.default_rng(seed)
    chosen_empty = min(empty, sum(len(indices) for indices in without))
    wanted = shots - chosen_empty
    available = sum(len(indices) for indices in with_label)
    if available < wanted:
        msg = (
            f"{wanted} slices with label {choice} were asked for, but the {len(cases)} cases have "
            f"{available} with at least {SMALLEST} pixels of it. Give fewer --shots or more cases."
        )
        raise InputError(msg)
    order = [int(number) for number in rng.permutation(len(cases))]
    chosen = _spread(rng, with_label, order, wanted)
    # Empty slices of volumes that are needed anyway, before those of others.
    used = [n for n in order if n in chosen] + [n for n in order if n not in chosen]
    for number, indices in _spread(rng, without, used, chosen_empty).items():
        chosen.setdefault(number, []).extend(indices)
    examples: list[Example] = []
    for number in sorted(chosen):
        examples += _examples(cases[number], choice, region, sorted(chosen[number]), depth)
    return ExampleSet((segment_name(choice),), tuple(examples))


def segment_name(choice: LabelChoice) -> str:
    """What a segment taught from label values is called."""
    return "object" if choice.values is None else f"label {choice}"


def _places(
    cases: Sequence[Case], choice: LabelChoice, region: RegionChoice, progress: Progress
) -> tuple[list[list[int]], list[list[int]]]:
    """For each case the slices with enough of the label, and those without any."""
    with_label, without = [], []
    present: set[int] = set()
    for done, case in enumerate(cases):
        progress(done, len(cases), f"looking through {case.name}")
        _, truth, values = read_case(case, choice, region)
        present.update(int(value) for value in values)
        counts = np.count_nonzero(truth, axis=(1, 2))
        with_label.append([int(index) for index in np.flatnonzero(counts >= SMALLEST)])
        empty = np.flatnonzero(counts == 0).tolist()
        without.append([index for index in empty if region.has_slice("k", index)])
    if not any(with_label):
        found = ", ".join(str(value) for value in sorted(present - {0})) or "none but 0"
        msg = (
            f"No slice of the {len(cases)} cases has {SMALLEST} pixels of label {choice}. "
            f"Values there: {found}. Give one of them as --label."
        )
        raise InputError(msg)
    return with_label, without


def _spread(
    rng: np.random.Generator, places: list[list[int]], order: list[int], count: int
) -> dict[int, list[int]]:
    """So many slices, one from each case in turn; case number to slice indices."""
    left = {number: list(rng.permutation(places[number])) for number in order}
    chosen: dict[int, list[int]] = {}
    while count > 0 and any(left.values()):
        for number in order:
            if count > 0 and left[number]:
                chosen.setdefault(number, []).append(int(left[number].pop()))
                count -= 1
    return chosen


def _examples(
    case: Case, choice: LabelChoice, region: RegionChoice, indices: list[int], depth: int
) -> list[Example]:
    volume, truth, _ = read_case(case, choice, region)
    window = region.window("k", slice_size(volume.geometry.shape_kji, "k"))
    normalisation = volume_normalisation(volume)
    spacing, step = _spacing(volume)
    examples = []
    for index in indices:
        shown = shown_slices(volume, normalisation, "k", index, region, depth)
        pixels, neighbours = parted(shown)
        masks = {segment_name(choice): window.cut(truth[index]).copy()}
        fields = case.name, "k", index, pixels, masks, normalisation, spacing, step
        examples.append(Example(*fields, neighbours=neighbours))
    return examples


def _spacing(volume: Volume) -> tuple[tuple[float, float], float]:
    """(row, column) distance and distance of slices in millimetres; 1 for pictures."""
    if volume.is_picture:
        return (1.0, 1.0), 1.0
    along_i, along_j, along_k = volume.geometry.spacing_mm
    return (along_j, along_i), along_k

"""The confirmed slices of an annotation as examples to teach a model with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.neighbours import parted
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.region import chosen_region
from MedSAGaSlicerLib.scene.segments import segment_ids
from MedSAGaSlicerLib.scene.volumes import grid_of, normalisation_of, shown_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.slices import SlicePosition

CASE: Final = "volume 1"
"""What the volume is called: its own name may be a person's."""


def teachable_segments(annotation: Annotation) -> tuple[str, ...]:
    """The identifiers of the segments that a confirmed slice shows, in the segmentation's order."""
    shown = {
        segment_id
        for position in annotation.confirmations.positions()
        for segment_id, mask in _confirmed_masks(annotation, position).items()
        if mask.any()
    }
    return tuple(i for i in segment_ids(annotation.segmentation) if i in shown)


def confirmed_examples(annotation: Annotation, chosen: Sequence[str], depth: int = 1) -> ExampleSet:
    """The confirmed slices with the masks of the chosen segments, read from the segments now.

    A slice on which none of them was confirmed is left out; one that was confirmed as empty is in.
    Of a region of interest only what is inside is in the examples. For a model that looks at
    ``depth`` slices they have neighbours.

    Raises:
        InputError: nothing is confirmed, a segment is on none of the slices, or two have one name.
    """
    if not annotation.confirmations.positions():
        msg = "No slice is confirmed. Correct some slices, confirm them, then teach."
        raise InputError(msg)
    if not chosen:
        msg = "The confirmed slices are all empty. Confirm some that show what is to be learned."
        raise InputError(msg)
    names = segment_names(annotation, chosen)
    volume, spacing = annotation.volume, grid_of(annotation.volume).geometry.spacing_mm
    normalisation, region = normalisation_of(volume), chosen_region(annotation.session)
    shape_ijk = grid_of(volume).shape_ijk
    examples = []
    for position in annotation.confirmations.positions():
        masks = _confirmed_masks(annotation, position)
        known = {names[i]: mask for i, mask in masks.items() if i in names}
        if not known or not region.has_slice(position.axis, position.index):
            continue
        column, row = position.in_plane
        window = region.window(position.axis, (shape_ijk[row], shape_ijk[column]))
        prompts = _prompts(annotation, position, {i: n for i, n in names.items() if i in masks})
        inside = {name: window.seen_from_within(given) for name, given in prompts.items()}
        shown = shown_of(volume, position.axis, position.index, window, region, depth)
        pixels, neighbours = parted(shown)
        examples.append(
            Example(
                CASE,
                position.axis,
                position.index,
                pixels,
                {name: window.cut(mask).copy() for name, mask in known.items()},
                normalisation,
                (spacing[row], spacing[column]),
                spacing[position.normal],
                {name: given for name, given in inside.items() if not given.is_empty},
                neighbours,
            )
        )
    return ExampleSet(tuple(names.values()), tuple(examples))


def segment_names(annotation: Annotation, chosen: Sequence[str]) -> dict[str, str]:
    """The names of segments by their identifiers.

    Raises:
        InputError: two have the same name, by which a model could not tell them apart.
    """
    core = annotation.segmentation.GetSegmentation()
    names = {segment_id: str(core.GetSegment(segment_id).GetName()) for segment_id in chosen}
    for segment_id, name in names.items():
        if list(names.values()).count(name) > 1:
            msg = (
                f"Several segments are called {name!r}, one of them {segment_id!r}. Rename all "
                "but one, then teach."
            )
            raise InputError(msg)
    return names


def _confirmed_masks(
    annotation: Annotation, position: SlicePosition
) -> dict[str, NDArray[np.bool_]]:
    confirmation = annotation.confirmations[position]
    return {} if confirmation is None else annotation.masks(position, confirmation.segment_ids)


def _prompts(
    annotation: Annotation, position: SlicePosition, names: Mapping[str, str]
) -> dict[str, Prompts]:
    """What the person gave for each segment, where it speaks of one object."""
    found = {}
    for segment_id, name in names.items():
        groups = [g.prompts for g in annotation.groups((segment_id, position)) if g.adds]
        if len(groups) == 1:
            found[name] = groups[0]
        elif groups:
            points = tuple(point for given in groups for point in given.points)
            signs = tuple(sign for given in groups for sign in given.positive)
            if points:
                found[name] = Prompts(points, signs)
    return found

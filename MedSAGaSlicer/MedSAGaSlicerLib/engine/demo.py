"""The main job on a made volume, or on anyone's: prompts in, masks, pictures and a report out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import SimpleITK

from MedSAGaSlicerLib.engine.clicks import tight_box
from MedSAGaSlicerLib.engine.demo_volumes import volume_page, volume_rows
from MedSAGaSlicerLib.engine.evaluation import click_masks
from MedSAGaSlicerLib.engine.files import atomic_path, check_writable
from MedSAGaSlicerLib.engine.geometry import Geometry, slice_of
from MedSAGaSlicerLib.engine.images import Volume, read_image
from MedSAGaSlicerLib.engine.json_file import write_json
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.phantom import make_phantom
from MedSAGaSlicerLib.engine.pictures import Panel, display_flip, save_montage
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.prompt_file import prompt_file_content, read_prompt_file
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.engine.propagating import propagate
from MedSAGaSlicerLib.engine.proposals import propose_objects
from MedSAGaSlicerLib.engine.segmentation_file import (
    SegmentMask,
    default_color,
    write_segmentation,
)
from MedSAGaSlicerLib.engine.segmenting import (
    SlicePredictor,
    normalised_slice,
    volume_normalisation,
)
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig

_SEED: Final = 0


@dataclass(frozen=True)
class _Task:
    """Where an organ is prompted, and how; places are fractions of its extent along the axis."""

    organ: str
    kind: str
    axis: str
    places: tuple[float, ...]


_TASKS: Final = (
    _Task("liver", "box", "k", (0.35, 0.6, 0.8)),
    _Task("liver tumour", "box", "k", (0.5,)),
    _Task("right kidney", "3 clicks", "k", (0.5,)),
    _Task("left kidney", "box", "j", (0.5,)),
    _Task("spleen", "point", "k", (0.4, 0.7)),
    _Task("stomach", "3 clicks", "k", (0.5,)),
    _Task("aorta", "point", "k", (0.3, 0.6)),
    _Task("gallbladder", "box", "k", (0.5,)),
)


@dataclass(frozen=True, eq=False)
class _Shown:
    """A prompted slice with what came of it."""

    name: str
    place: SlicePrompts
    mask: NDArray[np.bool_]
    truth: NDArray[np.bool_] | None

    @property
    def dice(self) -> float | None:
        return None if self.truth is None else dice(self.mask, self.truth)


def run_demo(
    output: Path,
    predictor: SlicePredictor,
    *,
    model: str,
    volume_path: Path | None = None,
    teach: bool = True,
    config: TeachingConfig | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Segment a made trunk CT, or the image at ``volume_path``, and leave pictures of it.

    The objects are prompted on some slices, and carried from there through the volume.

    The made volume's organs are prompted by boxes, points and clicks, and the masks compared with
    the truth; in a volume of one's own, objects are proposed from a grid of points. ``output``
    gets prompts.json, segmentation.seg.nrrd, overview.png, report.json and report.md, and for the
    made volume volume.nrrd and truth.seg.nrrd. There, where the truth is known, an organ is then
    taught as well (`demo_teaching`) as ``config`` says, unless ``teach`` is False.

    Returns:
        What report.json holds.

    Raises:
        InputError: the folder cannot be written, or the volume cannot be used.
    """
    _prepare(output)
    truth: dict[str, NDArray[np.bool_]] = {}
    if volume_path is None:
        progress(0, 0, "making a volume")
        volume_path = output / "volume.nrrd"
        truth = _write_phantom(output, volume_path)
    volume = read_image(volume_path)
    progress(0, 0, "choosing prompts")
    if truth:
        prompts = _prompts_for(truth, volume, predictor)
    else:
        prompts = propose_objects(volume, predictor)
    # The prompts go the way anyone's would: through a file.
    write_json(output / "prompts.json", prompt_file_content(prompts))
    segments = read_prompt_file(output / "prompts.json")
    masks = propagate(volume, segments, predictor, progress)
    write_segmentation(output / "segmentation.seg.nrrd", masks, volume.geometry)
    shown = _shown(segments, masks, truth)
    save_montage(output / "overview.png", _panels(volume, shown))
    report = {**_report(shown, model, volume_path), "volumes": volume_rows(masks, truth)}
    if truth and teach:
        # Here, not above: teaching needs torch, segmenting as such does not.
        from MedSAGaSlicerLib.engine.demo_teaching import teach_organ

        report["lesson"] = teach_organ(output, predictor, volume, truth, model, progress, config)
    write_json(output / "report.json", report)
    with atomic_path(output / "report.md") as temporary:
        temporary.write_text(_page(report), encoding="utf-8")
    return report


def _shown(
    segments: tuple[SegmentPrompts, ...],
    masks: list[SegmentMask],
    truth: dict[str, NDArray[np.bool_]],
) -> list[_Shown]:
    return [
        _Shown(
            entry.name,
            place,
            slice_of(mask.mask_kji, place.axis, place.index),
            slice_of(truth[entry.name], place.axis, place.index) if entry.name in truth else None,
        )
        for entry, mask in zip(segments, masks, strict=True)
        for place in entry.slices
    ]


def _prepare(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot make the folder {output}: {error.strerror or error}. Name another."
        raise InputError(msg) from error
    check_writable(output / "report.json")


def _write_phantom(output: Path, volume_path: Path) -> dict[str, NDArray[np.bool_]]:
    phantom = make_phantom(_SEED)
    image = SimpleITK.GetImageFromArray(phantom.ct_kji)
    geometry: Geometry = phantom.geometry
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin)
    image.SetDirection([float(cosine) for row in geometry.directions for cosine in row])
    with atomic_path(volume_path) as temporary:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True)
    organs = [SegmentMask(name, None, mask) for name, mask in phantom.organs.items()]
    write_segmentation(output / "truth.seg.nrrd", organs, geometry)
    return phantom.organs


def _prompts_for(
    truth: dict[str, NDArray[np.bool_]], volume: Volume, predictor: SlicePredictor
) -> tuple[SegmentPrompts, ...]:
    normalisation = volume_normalisation(volume)
    segments = []
    for number, task in enumerate(_TASKS):
        places = []
        for index in _indices(truth[task.organ], task):
            wanted = slice_of(truth[task.organ], task.axis, index)
            if task.kind == "box":
                prompts = Prompts(box=tight_box(wanted))
            else:
                pixels = normalised_slice(volume.array_kji, normalisation, task.axis, index)
                count = 1 if task.kind == "point" else 3
                _, prompts = click_masks(predictor, predictor.encode(pixels), wanted, count)
            places.append(SlicePrompts(task.axis, index, prompts))
        segments.append(SegmentPrompts(task.organ, default_color(number), tuple(places)))
    return tuple(segments)


def _indices(mask: NDArray[np.bool_], task: _Task) -> list[int]:
    axes = tuple(at for at in range(3) if "kji"[at] != task.axis)
    present = np.flatnonzero(mask.any(axis=axes))
    return [int(present[round(place * (present.size - 1))]) for place in task.places]


def _panels(volume: Volume, shown: list[_Shown]) -> list[Panel]:
    normalisation = volume_normalisation(volume)
    spacing = dict(zip("ijk", volume.geometry.spacing_mm, strict=True))
    panels = []
    for entry in shown:
        axis = entry.place.axis
        column, row = (name for name in "ijk" if name != axis)
        title = f"{entry.name}, {_kind(entry.place.prompts)}, slice {axis} {entry.place.index}"
        if entry.dice is not None:
            title += f", Dice {entry.dice:.2f}"
        panels.append(
            Panel(
                title,
                normalised_slice(volume.array_kji, normalisation, axis, entry.place.index),
                (spacing[row], spacing[column]),
                entry.place.prompts,
                entry.mask,
                entry.truth,
                display_flip(volume.geometry, axis),
            )
        )
    return panels


def _kind(prompts: Prompts) -> str:
    if prompts.box is not None:
        return "box"
    return "1 point" if len(prompts.points) == 1 else f"{len(prompts.points)} clicks"


def _report(shown: list[_Shown], model: str, volume_path: Path) -> dict[str, Any]:
    known = [entry.dice for entry in shown if entry.dice is not None]
    return {
        "model": model,
        "volume": str(volume_path),
        "mean_dice": float(np.mean(known)) if known else None,
        "slices": [
            {
                "name": entry.name,
                "axis": entry.place.axis,
                "index": entry.place.index,
                "prompt": _kind(entry.place.prompts),
                "pixels": int(np.count_nonzero(entry.mask)),
                "dice": entry.dice,
            }
            for entry in shown
        ],
    }


def _page(report: dict[str, Any]) -> str:
    lines = [
        "# Segmented from prompts",
        "",
        f"Model `{report['model']}` on `{report['volume']}`.",
        "",
        "![Slices with their prompts, masks and truth](overview.png)",
        "",
        "| object | slice | prompt | pixels found | Dice |",
        "|---|---|---|---:|---:|",
    ]
    for entry in report["slices"]:
        agreement = "not known" if entry["dice"] is None else f"{entry['dice']:.3f}"
        lines.append(
            f"| {entry['name']} | {entry['axis']} {entry['index']} | {entry['prompt']} "
            f"| {entry['pixels']} | {agreement} |"
        )
    if report["mean_dice"] is not None:
        lines += ["", f"Mean Dice of the slices: {report['mean_dice']:.3f}."]
    lines += volume_page(report["volumes"])
    lines += [
        "",
        "Open the volume and `segmentation.seg.nrrd` together in 3D Slicer to look around. The",
        "prompts are in `prompts.json`; `medsaga segment` takes such a file for any volume.",
        "",
    ]
    if report.get("lesson"):
        from MedSAGaSlicerLib.engine.demo_teaching import lesson_page

        lines += lesson_page(report["lesson"])
    return "\n".join(lines)

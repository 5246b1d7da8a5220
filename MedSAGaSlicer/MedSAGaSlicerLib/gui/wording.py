"""What the panel says: of news, of what is missing, of slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MedSAGaSlicerLib.scene.events import (
    Closed,
    ConfirmationLapsed,
    ConfirmationRestored,
    MaskWritten,
    Problem,
)
from MedSAGaSlicerLib.worker.events import Died, Notice, Ready, Restarted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from MedSAGaSlicerLib.gui.parameter_node import ParameterNode
    from MedSAGaSlicerLib.scene.events import AnnotationEvent
    from MedSAGaSlicerLib.scene.slices import SlicePosition


def slice_name(position: SlicePosition) -> str:
    """A slice's name, short enough for a button."""
    return str(_("slice {axis} {index}").format(axis=position.axis, index=position.index))


def line_about(event: AnnotationEvent) -> str:
    """One line about an event, "" if it is not worth one."""
    if isinstance(event, MaskWritten):
        # Masks that were known already, as after a redo, take no time worth telling.
        time = _("Mask in {ms:.0f} ms.").format(ms=event.milliseconds)
        return str(time) if event.milliseconds else ""
    if isinstance(event, Ready):
        return str(_("{model} is ready.").format(model=event.model))
    if isinstance(event, Restarted):
        text = _("The worker ended while {doing} and was started again.")
        return str(text.format(doing=event.doing))
    if isinstance(event, ConfirmationLapsed):
        text = _("Changed, so no longer confirmed: {slice}.")
        return str(text.format(slice=slice_name(event.position)))
    if isinstance(event, ConfirmationRestored):
        return str(_("Confirmed again: {slice}.").format(slice=slice_name(event.position)))
    if isinstance(event, Problem | Notice | Died):
        return event.message
    return event.reason if isinstance(event, Closed) else ""


def details_about(event: AnnotationEvent) -> str:
    """What the worker wrote before it ended, "" for any other event."""
    return event.stderr if isinstance(event, Died | Restarted) else ""


def lacking(packages: Sequence[str], models: Sequence[str]) -> str:
    """What this machine lacks, given the packages missing and the models present; "" if nothing."""
    if packages:
        text = _("Missing Python packages: {names}.")
        return str(text.format(names=", ".join(packages)))
    return "" if models else str(_("No model is on this machine."))


def unchosen(parameters: ParameterNode) -> str:
    """Which choice has to be made first; "" if none."""
    if parameters.volume is None:
        return str(_("Choose a volume first."))
    if parameters.segmentation is None:
        return str(_("Choose a segmentation first, or press New."))
    if not parameters.segmentId:
        return str(_("Choose a segment first, or press New."))
    return ""


def size_text(count: float) -> str:
    """A number of bytes, short."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def survey_text(values: Mapping[str, Any]) -> str:
    """What a worker's trial of its device found."""
    free = values.get("free_bytes")
    text = _("{device}: {free} free, a slice in {ms:.0f} ms, {speed:.0f} GFLOP/s.")
    return str(
        text.format(
            device=values.get("card") or values.get("device"),
            free=_("unknown memory") if free is None else size_text(free),
            ms=values.get("encode_ms", 0.0),
            speed=(values.get("operations") or 0.0) / 1e9,
        )
    )

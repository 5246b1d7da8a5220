"""What an annotator tells whoever polls it, beside the worker's own news."""

from __future__ import annotations

from dataclasses import dataclass

from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.worker.events import Died, Notice, Ready, Restarted, Stats, Surveyed


@dataclass(frozen=True)
class MaskWritten:
    """Prompts were answered and the segment's slice shows it.

    ``score`` is the model's own estimate of the IoU, ``milliseconds`` the model's share of the
    time; both are of the last answer if there were several.
    """

    segment_id: str
    position: SlicePosition
    score: float
    milliseconds: float


@dataclass(frozen=True)
class SliceReady:
    """A slice has its embedding: prompts on it are answered at once."""

    position: SlicePosition
    milliseconds: float


@dataclass(frozen=True)
class ConfirmationLapsed:
    """A confirmed slice was changed by the person; undoing the change confirms it again."""

    position: SlicePosition


@dataclass(frozen=True)
class ConfirmationRestored:
    """A slice is again what was confirmed."""

    position: SlicePosition


@dataclass(frozen=True)
class PromptsChanged:
    """The person moved, added or removed prompts by some other tool."""


@dataclass(frozen=True)
class Problem:
    """Something could not be done; ``message`` says what and why, and what to do.

    ``kind`` is for programs, as in the worker's ``Failed``.
    """

    message: str
    kind: str


@dataclass(frozen=True)
class Closed:
    """The annotation has ended: its volume or segmentation, or the whole scene, is gone."""

    reason: str


AnnotationEvent = (
    MaskWritten
    | SliceReady
    | ConfirmationLapsed
    | ConfirmationRestored
    | PromptsChanged
    | Problem
    | Closed
    | Ready
    | Stats
    | Surveyed
    | Notice
    | Restarted
    | Died
)

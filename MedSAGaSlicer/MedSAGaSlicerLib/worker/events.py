"""What a client of the inference worker is told: one frozen dataclass per kind of news."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.engine.finishing.evidence import Finding


@dataclass(frozen=True)
class Ready:
    """A model is loaded and answers from now on.

    ``request`` is what ``load_model`` or ``start`` returned; after a restart it comes again.
    ``encoder`` names encoder and preprocessing: embeddings made by another one are of no use here.
    ``input_size`` is the side of the encoder's input in pixels, None if the worker does not tell.
    """

    request: int
    model: str
    adapter: str | None
    device: str
    encoder: str
    threads: int
    version: str
    milliseconds: float
    input_size: int | None = None


@dataclass(frozen=True)
class Encoded:
    """The slice ``key`` has its embedding: prompts on it are answered at once.

    ``request`` is what ``encode`` or ``prefetch`` returned; a prefetch yields one such event per
    slice. ``cached`` tells that nothing had to be computed, and then ``milliseconds`` is 0.
    """

    request: int
    key: str
    milliseconds: float
    cached: bool


@dataclass(frozen=True, eq=False)
class Decoded:
    """The answer to prompts.

    ``mask`` is bool (rows, columns) of the slice and belongs to the receiver; ``score`` is the
    model's own estimate of its IoU, about 0 to 1. ``logits_id`` goes into the ``previous`` of a
    refining ``decode`` and is given back by ``release``. ``milliseconds`` is the model's share.
    """

    request: int
    key: str
    mask: npt.NDArray[np.bool_]
    score: float
    logits_id: int
    milliseconds: float


@dataclass(frozen=True, eq=False)
class Found:
    """What a taught model finds on a slice without prompts; the answer to ``find``.

    ``finding`` has the segments in the order asked; ``milliseconds`` is the model's share.
    """

    request: int
    key: str
    finding: Finding
    milliseconds: float


@dataclass(frozen=True)
class Failed:
    """A request was not fulfilled; the worker itself goes on unless ``Died`` comes too.

    ``kind`` is for programs: "input", "checkpoint", "dependency", "memory", "missing" (the slice
    is not embedded and could not be had again), "no_model", "unknown_message", "died",
    "internal". ``message`` is for people.
    """

    request: int
    kind: str
    message: str


@dataclass(frozen=True)
class Stats:
    """Figures of the worker: see ``Service.stats`` for the names."""

    request: int
    values: Mapping[str, float | int | str | None]


@dataclass(frozen=True)
class Surveyed:
    """What the worker's device can do, and what lessons would need: see ``figures.survey``."""

    request: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Notice:
    """Something the person should know although everything goes on, such as a full disk."""

    kind: str
    message: str


@dataclass(frozen=True)
class Restarted:
    """The worker ended unexpectedly and was started again; nothing asked of it is lost.

    ``doing`` says in words what was under way, ``stderr`` is the tail of the worker's log.
    """

    doing: str
    exit_status: int | None
    stderr: str


@dataclass(frozen=True)
class Died:
    """The worker ended for good. Every request under way has got its ``Failed`` before this.

    ``start`` may be called again, for instance by a button beside ``message`` and ``stderr``.
    """

    message: str
    exit_status: int | None
    stderr: str


Event = Ready | Encoded | Decoded | Found | Failed | Stats | Surveyed | Notice | Restarted | Died

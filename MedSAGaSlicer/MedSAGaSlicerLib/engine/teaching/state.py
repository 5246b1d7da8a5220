"""The state of a lesson on disk, from which it goes on bit for bit; tensors and JSON, no pickle."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.example_file import prompts_content
from MedSAGaSlicerLib.engine.files import atomic_path
from MedSAGaSlicerLib.engine.teaching.guard import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from MedSAGaSlicerLib.engine.examples import ExampleSet, Place
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig

_MANNERS: Final = ("save_every", "at_once")
"""Settings with which a lesson may go on otherwise than it began."""
FORMAT: Final = 1
_FILE: Final = "state.safetensors"


@dataclass
class LessonState:
    """How far a lesson is.

    Attributes:
        step: steps done.
        seconds: spent on it, in all runs.
        curve: (loss, Dice) of each step.
        before: what the guard measured at the beginning; None until it has.
        skipped: steps whose gradient was not finite.
    """

    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[float, float]] = field(default_factory=list)
    before: list[Score] | None = None
    skipped: int = 0


def lesson_name(
    config: TeachingConfig,
    examples: ExampleSet,
    held_out: Sequence[Place],
    base: str,
) -> str:
    """A hash of all that decides what a lesson learns: only the very same one may go on.

    It may do so on another device, whose last digits differ.
    """
    state = hashlib.sha256()
    settings = {k: v for k, v in config.to_dict().items() if k not in _MANNERS}
    about = [FORMAT, __version__, settings, held_out, base, list(examples.segments)]
    state.update(json.dumps(about, sort_keys=True).encode())
    for example in examples.examples:
        prompts = {name: prompts_content(given) for name, given in sorted(example.prompts.items())}
        key = example.key if config.depth == 1 else slice_key(example.shown(config.depth))
        state.update(json.dumps([example.place, key, prompts], sort_keys=True).encode())
        for name, mask in sorted(example.masks.items()):
            state.update(name.encode())
            state.update(np.packbits(mask).tobytes())
    return state.hexdigest()


def save_state(folder: Path, name: str, progress: LessonState, tensors: dict[str, Tensor]) -> Path:
    """Write the state into a folder, made if need be; the one before stays until this is whole.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _FILE
    about = {"lesson": name, "progress": json.dumps(asdict(progress), allow_nan=False)}
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(whole, temporary, metadata=about)
    return path


def load_state(folder: Path, name: str) -> tuple[LessonState, dict[str, Tensor]] | None:
    """The state of the lesson of that name; None if there is none, or only another lesson's.

    A damaged state counts as none: the lesson then begins anew, which costs time and nothing else.
    """
    path = folder / _FILE
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("lesson") != name:
                return None
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
        return _progress(json.loads(about["progress"])), tensors
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None


def forget_state(folder: Path) -> None:
    """Delete the state and, if nothing else is in it, its folder."""
    (folder / _FILE).unlink(missing_ok=True)
    # The folder may be the caller's own, with other things in it, or not exist at all.
    with suppress(OSError):
        folder.rmdir()


def _progress(fields: dict[str, Any]) -> LessonState:
    before = fields["before"]
    scores = None if before is None else [_score(entry) for entry in before]
    curve = [(float(loss), float(dice)) for loss, dice in fields["curve"]]
    return LessonState(
        int(fields["step"]), float(fields["seconds"]), curve, scores, int(fields["skipped"])
    )


def _score(fields: dict[str, Any]) -> Score:
    case, axis, index = fields["place"]
    return Score(
        (str(case), str(axis), int(index)),
        str(fields["segment"]),
        tuple(fields["clicks"]),
        tuple(fields["boxes"]),
        fields["unprompted"],
    )

"""Switching adapters on: from a folder and its base to a model that predicts as taught."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.precision import FULL
from MedSAGaSlicerLib.engine.predictor import load_predictor
from MedSAGaSlicerLib.engine.teaching.adapter_folder import WEIGHTS_FILE, read_description
from MedSAGaSlicerLib.engine.teaching.adapter_method import AdapterMethod
from MedSAGaSlicerLib.engine.teaching.decoder_method import DecoderMethod
from MedSAGaSlicerLib.engine.teaching.finder import Finder
from MedSAGaSlicerLib.engine.teaching.full_method import FullMethod
from MedSAGaSlicerLib.engine.teaching.galore_method import GaloreMethod
from MedSAGaSlicerLib.engine.teaching.late_method import LateMethod
from MedSAGaSlicerLib.engine.teaching.learned_prompt import LearnedPrompt, finer_of
from MedSAGaSlicerLib.engine.teaching.lora_method import LoraMethod
from MedSAGaSlicerLib.engine.teaching.method import FINDER, LEARNED, UNPROMPTED, Method
from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor
from MedSAGaSlicerLib.engine.weight_files import read_tensors
from MedSAGaSlicerLib.errors import CheckpointError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.predictor import Predictor

METHOD_CLASSES: Final[dict[str, type[Method]]] = {
    method.name: method
    for method in (DecoderMethod, LateMethod, LoraMethod, AdapterMethod, GaloreMethod, FullMethod)
}


def load_adapter(folder: Path, base: Predictor) -> TaughtPredictor:
    """The base with an adapter switched on; the base itself stays usable and unchanged.

    What the adapter leaves alone is shared, so that several can be held at a small price.

    Raises:
        CheckpointError: the folder is no adapter, is damaged, of a newer version, or belongs to
            another base.
    """
    description = read_description(folder)
    if description.method not in METHOD_CLASSES:
        msg = (
            f"The taught model {folder} was made with the method {description.method!r}, which "
            f"this version does not know ({', '.join(METHOD_CLASSES)}). Update"
        )
        raise CheckpointError(msg)
    if base.fingerprint != description.base_fingerprint:
        msg = (
            f"The taught model {folder} belongs to {description.base} ({description.family}), with "
            f"other weights than the {base.model.family} that is loaded. Load its own base, or "
            "teach this one"
        )
        raise CheckpointError(msg)
    tensors = read_tensors(folder / WEIGHTS_FILE)
    own, finding, seen = (
        {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        for start in (LEARNED, UNPROMPTED, FINDER)
    )
    others = {n: t for n, t in tensors.items() if not n.startswith((LEARNED, UNPROMPTED, FINDER))}
    try:
        assemble = METHOD_CLASSES[description.method].assemble
        model = assemble(base.model, others)
        unprompted = assemble(base.model, finding) if finding else None
        finder = Finder.restored(len(description.segments), seen)
        learned = LearnedPrompt.restored(description.segments, own, finer_of(base.model))
    except (RuntimeError, KeyError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = (
            f"The weights of the taught model {folder} do not fit its base or its description "
            f"({reason}). Take another copy of the folder, or teach again"
        )
        raise CheckpointError(msg) from error
    return TaughtPredictor(base, model, description.segments, learned, unprompted, finder)


def load_taught(
    name_or_path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    adapter: str | Path | None = None,
    precision: str = FULL,
) -> Predictor:
    """`load_predictor`, with an adapter folder switched on if one is given.

    Raises:
        InputError, CheckpointError, DependencyError: as `load_predictor` and `load_adapter`.
    """
    base = load_predictor(name_or_path, device, threads, None, precision)
    return base if adapter is None else load_adapter(Path(adapter), base)

"""Short lessons through the encoder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lessons import QUICK, tiny_predictor

from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.weight_files import read_tensors

CLICK = Prompts(((20.0, 18.0),), (True,))
METHODS = ("galore", "full")


def config_of(method: str, **changes: Any) -> TeachingConfig:
    return replace(QUICK, method=method, rank=4 if method == "galore" else 0, **changes)


def base_of(seed: int = 0) -> Predictor:
    return tiny_predictor(seed, depth=2)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "weights.safetensors")

"""Real networks with random weights, for worker processes whose speed is looked at."""

import torch

from MedSAGaSlicerLib.engine.devices import choose_device
from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.predictor import Predictor


def load(model, device="auto", threads=None):
    """The factory; ``model`` is a family."""
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    return Predictor(build(model), choose_device(device))

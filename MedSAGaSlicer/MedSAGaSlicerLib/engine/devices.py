"""Where a model computes."""

from __future__ import annotations

from typing import Any

import torch

from MedSAGaSlicerLib.errors import DependencyError, InputError


def choose_device(device: str) -> torch.device:
    """Turn the name of a device into one that this machine has.

    Raises:
        InputError: the name is none.
        DependencyError: the device, or torch's support for it, is missing.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        msg = f"The device {device!r} is unknown; choose auto, cpu, cuda, cuda:N or mps"
        raise InputError(msg) from error
    present: dict[str, Any] = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (chosen.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if chosen.type not in present:
        msg = f"The device {device!r} is not supported; choose auto, cpu, cuda, cuda:N or mps"
        raise InputError(msg)
    if not present[chosen.type]:
        msg = (
            f"The device {device!r} is not there, or the installed torch cannot use it; choose "
            "cpu, or install a torch built for it"
        )
        raise DependencyError(msg)
    return chosen

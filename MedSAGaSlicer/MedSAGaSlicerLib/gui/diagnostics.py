"""What to send along with a question: versions, device, settings, the last trouble; no patient."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import slicer

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.gui import overview

if TYPE_CHECKING:
    from collections.abc import Mapping

    from MedSAGaSlicerLib.gui.machine_settings import MachineSettings

_PACKAGES: Final = ("torch", "segment-anything", "safetensors", "numpy", "SimpleITK", "scipy")


def diagnostics(
    settings: MachineSettings, survey: Mapping[str, Any], said: str, details: str
) -> str:
    """Lines of text."""
    tried = {name: value for name, value in survey.items() if name != "methods"}
    lines = {
        "MedSAGaSlicer": __version__,
        "Slicer": getattr(slicer.app, "applicationVersion", "unknown"),
        "System": platform.platform(),
        "Python": f"{platform.python_version()} ({sys.executable})",
        "Packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "Missing": ", ".join(overview.missing_packages()) or "nothing",
        "Models": ", ".join(overview.present_models()) or "none",
        "Worker": settings.worker_command or "Slicer's own Python",
        "Device": f"{settings.device}; tried: {tried or 'not yet'}",
        "Last line": said,
    }
    text = "\n".join(f"{name}: {value}" for name, value in lines.items())
    return f"{text}\n{details}" if details not in ("", said) else text


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"

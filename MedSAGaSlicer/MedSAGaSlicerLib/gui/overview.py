"""What is installed and which models are here, in words; without Qt and without importing torch."""

from importlib import metadata

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.resources import resource_path

TORCH = "torch>=2.6"
"""Not in the list of requirements: which build of it is installed depends on the machine."""


def requirements() -> dict[str, str]:
    """What the workers need, by name: torch, and what the list of requirements says."""
    lines = resource_path("requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = [TORCH, *(line for line in lines if line and not line.startswith("#"))]
    return {line.partition(">=")[0]: line for line in listed}


def missing_packages() -> tuple[str, ...]:
    """Names of the packages that the workers need and this Python lacks.

    Looked up in the packages' metadata: importing torch would take seconds and its libraries.
    """
    return tuple(name for name in requirements() if not _has(name))


def model_rows() -> tuple[tuple[str, str, str], ...]:
    """Name, presence and licence of every known model, the shipped one first."""
    return tuple((entry.name, _presence(entry), entry.licence) for entry in registry.entries())


def present_models() -> tuple[str, ...]:
    """Names of the models that can be used right now, the shipped one first."""
    return tuple(entry.name for entry in registry.entries() if registry.installed(entry))


def _presence(entry: registry.ModelEntry) -> str:
    if registry.installed(entry):
        return "present"
    if entry.downloadable and entry.size:
        # Short: the panel may be narrow.
        giga = entry.size / 1e9
        return f"↓ {giga:.1f} GB" if giga >= 1 else f"↓ {entry.size / 1e6:.0f} MB"
    return "missing" if entry.shipped else "local file"


def _has(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True

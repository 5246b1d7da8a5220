"""Where the files lie that come with the library: models, their registry."""

from pathlib import Path

from MedSAGaSlicerLib.errors import InputError

_LIBRARY = Path(__file__).resolve().parent.parent
# A wheel carries the folder inside the library; in a checkout, an editable install and an installed
# Slicer extension it lies beside it. Inside comes first: beside a wheel's library is site-packages,
# where a folder of that name would be somebody else's.
_FOLDERS = (_LIBRARY / "Resources", _LIBRARY.parent / "Resources")


def resource_path(*parts: str) -> Path:
    """Path of a file or folder under Resources, as in ``resource_path("Models", "registry.json")``.

    Raises:
        InputError: there is no such resource; the installation is incomplete.
    """
    for folder in _FOLDERS:
        path = folder.joinpath(*parts)
        if path.exists():
            return path
    name = "/".join(parts) or "Resources"
    msg = (
        f"The resource {name} is missing from this installation (looked in "
        f"{' and '.join(str(folder) for folder in _FOLDERS)}). Install MedSAGaSlicer again."
    )
    raise InputError(msg)

"""galore-torch's optimiser, loaded without what that package asks for and never needs.

Its `__init__` imports bitsandbytes for an 8-bit class, its AdamW imports transformers to check that
torch is not older than 1.5; together these take ten seconds and hundreds of megabytes. The folder
is therefore taken as a package of its own, under a name of ours and without its `__init__`, and
that one import is answered here. A later, ordinary `import galore_torch` in the same process is
left undisturbed. This is the only place that does so; tried with 1.0, the only release there is.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from MedSAGaSlicerLib.errors import DependencyError

_NAME: Final = "MedSAGaSlicerLib.engine.teaching._galore_torch"
_VERSIONS: Final = "transformers.utils.versions"
_LACKING: Final = "run pip install --no-deps galore-torch"


def galore_adamw() -> Any:
    """The class `galore_torch.adamw.AdamW`.

    Raises:
        DependencyError: galore-torch is missing or damaged.
    """
    return _module("adamw").AdamW


def galore_projector() -> Any:
    """The class `galore_torch.galore_projector.GaLoreProjector`, to compare with.

    Raises:
        DependencyError: galore-torch is missing or damaged.
    """
    return _module("galore_projector").GaLoreProjector


def _module(name: str) -> ModuleType:
    full = f"{_NAME}.{name}"
    if full in sys.modules:
        return sys.modules[full]
    folder = _folder()
    if _NAME not in sys.modules:
        package = importlib.util.module_from_spec(ModuleSpec(_NAME, None, is_package=True))
        package.__path__ = [str(folder)]
        sys.modules[_NAME] = package
    spec = importlib.util.spec_from_file_location(full, folder / f"{name}.py")
    if spec is None or spec.loader is None:
        msg = f"The package galore-torch is damaged: {folder} has no {name}.py; {_LACKING}"
        raise DependencyError(msg)
    module = importlib.util.module_from_spec(spec)
    # The module's own way to import, and nobody else's.
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        del sys.modules[full]
        msg = f"The package galore-torch is damaged ({error}); {_LACKING}"
        raise DependencyError(msg) from error
    return module


def _folder() -> Path:
    found = importlib.util.find_spec("galore_torch")
    if found is None or not found.submodule_search_locations:
        msg = f"The package galore-torch, which the method galore needs, is missing; {_LACKING}"
        raise DependencyError(msg)
    return Path(found.submodule_search_locations[0])


def _import(name: str, *arguments: Any, **more: Any) -> Any:
    if name == _VERSIONS:
        return SimpleNamespace(require_version=lambda *_: None)
    return builtins.__import__(name, *arguments, **more)

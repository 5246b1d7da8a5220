"""What holds for every test: fixed seeds, one thread, no network."""

import os
import random
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before anything imports torch or numpy: both read these once. Child processes inherit them.
os.environ.update(
    {
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": "1",
        "QT_QPA_PLATFORM": "offscreen",
    }
)
if sys.platform == "linux":
    # Draws without a display, and without first complaining that there is none.
    os.environ["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def project(checkout: Path) -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="part of Python since 3.11")
    return tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images, where a machine has them beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}")
    return folder


@pytest.fixture(scope="session")
def readme_code(checkout: Path) -> Callable[[str], str]:
    """The Python code of the README that has a certain text in it."""
    blocks = (checkout / "README.md").read_text(encoding="utf-8").split("```python\n")[1:]

    def find(text: str) -> str:
        (code,) = (block.partition("```")[0] for block in blocks if text in block)
        return code

    return find


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - third-party code draws from the global generator
    # Only for tests that use torch: importing it takes longer than most of the others.
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections beyond this machine; a server inside a test may be talked to."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: object) -> None:
        local = isinstance(address, (str, bytes)) or (
            isinstance(address, tuple) and address[0] in {"127.0.0.1", "::1", "localhost"}
        )
        if not local:
            msg = f"a test tried to reach {address!r}: tests run without network"
            raise AssertionError(msg)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(autouse=True)
def _own_model_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests must neither find nor change the models that this machine's user downloaded."""
    monkeypatch.setenv("MEDSAGA_MODELS", str(tmp_path / "models"))

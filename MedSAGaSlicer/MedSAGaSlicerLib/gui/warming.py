"""Libraries that will be needed soon, imported while nobody waits."""

from __future__ import annotations

import importlib
from typing import Final

PARTS: Final = ("numpy.f2py", "scipy.special", "scipy.ndimage")
"""The last is what jobs need; it imports the others, which are large: one at a time is short."""


class Warming:
    """Imports one part per ``step``, so that none holds the application up for long."""

    def __init__(self) -> None:
        """Nothing is imported yet."""
        self._left = list(PARTS)

    def step(self) -> None:
        """Import the next part, if one is left."""
        if self._left:
            importlib.import_module(self._left.pop(0))

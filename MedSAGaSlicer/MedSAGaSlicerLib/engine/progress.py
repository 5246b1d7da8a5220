"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is being done, in a few words."""


def silent(_done: int, _total: int, _doing: str) -> None:
    """Progress for callers that do not show any."""

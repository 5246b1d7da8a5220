"""How often a crashed worker may be started again: once, until it has shown that it works."""

from collections.abc import Iterable


class RestartAllowance:
    """One restart, earned anew when everything asked again has been answered, and more than that.

    A request that kills every worker is never answered, so its second crash is the last one; a
    worker that ends whenever it idles answers nothing in between. A worker that was killed by
    somebody else may be killed any number of times.
    """

    def __init__(self) -> None:
        """A fresh allowance."""
        self._used = False
        self._asked_again: set[int] = set()

    def take(self, outstanding: Iterable[int]) -> bool:
        """Use the allowance for a worker that gets these requests again; False if it is used up."""
        if self._used:
            return False
        self._used = True
        self._asked_again = set(outstanding)
        return True

    def settled(self, number: int, *, proves: bool) -> None:
        """A request was answered or given up; ``proves`` if the worker did real work for it."""
        self._asked_again.discard(number)
        if proves and not self._asked_again:
            self._used = False

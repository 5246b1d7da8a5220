"""How long the product's own reactions keep the application waiting."""

import functools
import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import MedSAGaSlicerLib.gui
from MedSAGaSlicerLib.gui.widget import Panel
from MedSAGaSlicerLib.scene import mouse


class SlotTimes:
    """Times the outermost of the panel's slots and of the mouse's reactions, in milliseconds.

    To be made before the panel: what is connected already is not timed.
    """

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}
        self._depth = 0
        self._undo: list[Callable[[], None]] = []
        for kind in (*_classes(), mouse._ViewMouse):
            for name, method in list(vars(kind).items()):
                if callable(method) and name.startswith(("on", "_on_")) and name != "once":
                    timed = self._timed(f"{kind.__name__}.{name}", method)
                    setattr(kind, name, timed)
                    self._undo.append(functools.partial(setattr, kind, name, method))

    def close(self) -> None:
        """Time no more."""
        for undo in self._undo:
            undo()

    def all(self) -> np.ndarray:
        """Every time measured."""
        return np.array([time for times in self.of.values() for time in times])

    def of_actions(self) -> np.ndarray:
        """Those of what a person did; without the timer's looks, most of which find nothing."""
        others = (times for name, times in self.of.items() if name != "Panel.onTick")
        return np.array([time for times in others for time in times])

    def longest(self, count: int = 5) -> list[tuple[str, float]]:
        """The slots that took longest at their worst."""
        worst = {name: max(times) for name, times in self.of.items()}
        return sorted(worst.items(), key=lambda item: -item[1])[:count]

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            self._depth += 1
            # The processor's time: what else runs on this machine is none of ours.
            begin = time.process_time()
            try:
                return method(*arguments)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    took = (time.process_time() - begin) * 1000
                    self.of.setdefault(name, []).append(took)

        return _with_arity_of(method, run)


class LookTimes:
    """The times between the panel's looks for news while it waits for some, in milliseconds.

    What has come is shown by the next look, so no answer is unseen for longer. To be made before
    the panel.
    """

    def __init__(self) -> None:
        self.between: list[float] = []
        self._since: float | None = None
        self._look = Panel.onTick
        Panel.onTick = lambda panel: self._timed(panel)

    def close(self) -> None:
        """Time no more."""
        Panel.onTick = self._look

    def _timed(self, panel: Panel) -> None:
        now = time.perf_counter()
        if self._since is not None:
            self.between.append((now - self._since) * 1000)
        self._look(panel)
        waits = panel.desk.annotators.busy
        self._since = time.perf_counter() if waits else None


def _with_arity_of(method: Callable[..., Any], run: Callable[..., Any]) -> Callable[..., Any]:
    """The same, taking as many arguments as the method: Qt cuts a signal's to what a slot takes."""
    code = method.__code__
    if code.co_flags & inspect.CO_VARARGS or code.co_argcount > 2:
        return run
    if code.co_argcount == 1:
        return lambda self: run(self)
    (default,) = method.__defaults__ or (None,)
    return lambda self, value=default: run(self, value)


def _classes() -> list[type]:
    names = (m.name for m in pkgutil.iter_modules(MedSAGaSlicerLib.gui.__path__))
    modules = [importlib.import_module(f"MedSAGaSlicerLib.gui.{name}") for name in names]
    return [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    ]

"""A lesson in the memory there is: planned before it begins, made leaner when memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from MedSAGaSlicerLib.engine.teaching.choice import Machine, choose, leaner, outlook
from MedSAGaSlicerLib.engine.teaching.config import AUTO, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Event, Planned, RoomWanted, SteppedDown
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.machine_speed import free_bytes, machine_speed
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.planning import settled, undecided
from MedSAGaSlicerLib.errors import MemoryShortageError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.examples import ExampleSet
    from MedSAGaSlicerLib.engine.predictor import Predictor

_ROOM_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.1


def teach(
    config: TeachingConfig,
    examples: ExampleSet,
    base: Predictor,
    output: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    room_seconds: float = _ROOM_SECONDS,
    **options: Any,
) -> Iterator[Event]:
    """`loop.train` by the planner's choice for `auto`; arguments and errors are the same.

    When memory runs out, it first asks for room on a graphics card (`RoomWanted`), then goes on
    with fewer objects at once, and then, for `auto` alone, by a leaner method (`SteppedDown`). Who
    asked for a method gets that one or an error.

    Args:
        config: the settings.
        examples: all confirmed slices.
        base: the model to be taught.
        output: the adapter folder to write.
        stop: asked after each event.
        room_seconds: how long to wait for others to give way on a graphics card.
        options: the others of `train`.

    Raises:
        MemoryShortageError: the leanest settings need more memory than there is.
    """
    slices, device = len(examples.examples), base.device.type
    cost = cost_of(base.model.family)
    machine = Machine(device, free_bytes(base.device), machine_speed(base.device))
    chosen, why = choose(cost, _open(config, base), slices, machine)
    expected = outlook(cost, chosen, slices, machine, chosen.method)
    yield Planned(
        chosen.method, str(base.device), expected.peak, machine.free, expected.seconds or 0.0, why
    )
    room = _Room(base.device, expected.peak, room_seconds, stop)
    if expected.fits is False:
        yield from room.wanted()
    while True:
        leaner_one = None
        try:
            yield from train(chosen, examples, base, output, stop=stop, **options)
        except MemoryShortageError as error:
            reason = str(error)
            if not room.may_come:
                auto = config.method == AUTO
                leaner_one = leaner(cost, chosen, slices, device, may_change_method=auto)
                if leaner_one is None:
                    raise
        else:
            return
        # Out here, so that the error keeps nothing alive of what was computed.
        if leaner_one is None:
            yield from room.wanted()
            continue
        if leaner_one.method != chosen.method:
            # Rates and the like are another method's.
            wanted = replace(config, method=leaner_one.method, at_once=leaner_one.at_once)
            leaner_one = settled(wanted, base.model)
        _give_back(base.device)
        yield SteppedDown(
            leaner_one.method, leaner_one.at_once, chosen.method, chosen.at_once, reason
        )
        chosen = leaner_one


class _Room:
    """What others hold of a graphics card, and may be asked for once; of a CPU nobody is asked."""

    def __init__(
        self, device: torch.device, wanted: int, seconds: float, stop: Callable[[], bool]
    ) -> None:
        self.may_come = device.type != "cpu"
        self._device, self._wanted, self._seconds, self._stop = device, wanted, seconds, stop

    def wanted(self) -> Iterator[Event]:
        """Ask, and wait until there is enough or time is up."""
        if not self.may_come:
            return
        self.may_come = False
        _give_back(self._device)
        yield RoomWanted(str(self._device), self._wanted, free_bytes(self._device))
        until = time.monotonic() + self._seconds
        while time.monotonic() < until and not self._stop():
            free = free_bytes(self._device)
            if free is None or free >= self._wanted:
                return
            time.sleep(_LOOK_SECONDS)


def _open(config: TeachingConfig, base: Predictor) -> TeachingConfig:
    """The settings settled for the model, but for the method."""
    known = settled(config, base.model)
    return known if config.method != AUTO else undecided(known, config)


def _give_back(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()

"""A graphics card that is too small or too full: the CPU answers instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

from MedSAGaSlicerLib.worker.events import Failed, Notice, Ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from MedSAGaSlicerLib.worker.client import InferenceClient
    from MedSAGaSlicerLib.worker.events import Event

MEMORY: Final = "memory"


class SteppingDown:
    """Moves a worker to the CPU when its card is out of memory; it stays there until told."""

    def __init__(self, client: InferenceClient) -> None:
        self._client = client
        self._device = ""
        self._moving = False

    def heed(self, events: Sequence[Event], loading: int) -> tuple[list[Notice], bool]:
        """What is to be said, and whether what failed can be asked again now.

        ``loading`` is the request for the model chosen last: if the card is too small for that, the
        former one stays on it.
        """
        notices, moved = [], False
        for event in events:
            if isinstance(event, Ready):
                moved, self._moving = moved or self._moving, False
                self._device = event.device
            elif self._is_on_card and _lacks_memory(event) and event.request != loading:
                self._moving, self._device = True, "cpu"
                self._client.use_device("cpu")
                notices.append(Notice(MEMORY, _TEXT))
        return notices, moved

    @property
    def _is_on_card(self) -> bool:
        return self._device not in ("", "cpu")


def _lacks_memory(event: Event) -> TypeGuard[Failed]:
    return isinstance(event, Failed) and event.kind == MEMORY


_TEXT: Final = (
    "The graphics card is out of memory: the CPU answers from now on, more slowly. Your prompts "
    "are kept. When other programs have left the card, choose the device again."
)

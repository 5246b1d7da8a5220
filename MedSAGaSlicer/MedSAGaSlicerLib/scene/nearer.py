"""Which objects are looked at from near, and where: of small ones the model sees more then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.regions.choice import AUTO
from MedSAGaSlicerLib.engine.regions.plan import nearer_window

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.prompts import Prompts
    from MedSAGaSlicerLib.engine.regions.window import Window
    from MedSAGaSlicerLib.scene.prefetch import SliceKeys
    from MedSAGaSlicerLib.scene.slice_work import Answer
    from MedSAGaSlicerLib.scene.slices import SlicePosition
    from MedSAGaSlicerLib.worker.client import InferenceClient


class Nearer:
    """Decides it by the same rule as the command line.

    A correction stays where the answer that it corrects was found, as long as its points do.
    """

    def __init__(self, client: InferenceClient, keys: SliceKeys) -> None:
        self._client = client
        self._keys = keys

    def for_prompts(
        self, position: SlicePosition, prompts: Prompts, refined: Answer | None = None
    ) -> Window:
        """What of a slice the model is shown for these prompts, which may refine an answer."""
        shown, input_size = self._keys.window(position), self._client.input_size
        if refined is not None and refined.window is not None:
            holds = shown.holds(refined.window)
            if holds and all(refined.window.has_point(point) for point in prompts.points):
                return refined.window
        if input_size is None or self._keys.region.strategy != AUTO:
            return shown
        return nearer_window(prompts, shown.size, input_size) or shown

"""Which objects are looked at from near, and where: with small ones the model sees more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.regions.choice import AUTO
from MedSAGaSlicerLib.engine.regions.plan import nearer_window
from MedSAGaSlicerLib.engine.regions.window import window_of, window_of_box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Prompts
    from MedSAGaSlicerLib.engine.regions.window import Window
    from MedSAGaSlicerLib.scene.prefetch import SliceKeys
    from MedSAGaSlicerLib.scene.slice_work import Answer
    from MedSAGaSlicerLib.scene.slices import SlicePosition
    from MedSAGaSlicerLib.worker.client import InferenceClient


class Nearer:
    """Decides it by the same rule as the command line: from the box, or else from the first mask.

    A correction stays where the answer that it corrects was found, as long as its points do.
    """

    def __init__(self, client: InferenceClient, keys: SliceKeys) -> None:
        self._client = client
        self._keys = keys

    def for_prompts(
        self, position: SlicePosition, prompts: Prompts, refined: Answer | None
    ) -> Window:
        """What of a slice the model is shown for these prompts, which may refine an answer."""
        shown = self._keys.window(position)
        if refined is not None and refined.window is not None and shown.holds(refined.window):
            if all(refined.window.has_point(point) for point in prompts.points):
                return refined.window
            return shown
        if prompts.box is None:
            return shown
        return self._around(position, prompts, window_of_box(prompts.box, shown.size)) or shown

    def for_mask(
        self, position: SlicePosition, prompts: Prompts, window: Window, mask: NDArray[np.bool_]
    ) -> Window | None:
        """Where to look again after a first answer; None if that does."""
        if prompts.box is not None or window != self._keys.window(position):
            return None
        return self._around(position, prompts, window_of(mask))

    def _around(
        self, position: SlicePosition, prompts: Prompts, inner: Window | None
    ) -> Window | None:
        size = self._client.input_size
        if size is None or self._keys.region.strategy != AUTO:
            return None
        window = nearer_window(inner, self._keys.size(position), size)
        if window is None or not window.has_positive_points(prompts):
            return None
        return window

"""What the ways to propagate are called."""

from typing import Final

TRACKED: Final = "tracked"
PREVIOUS_BOX: Final = "previous-box"
BOX_INTERPOLATION: Final = "box-interpolation"
SHAPE_INTERPOLATION: Final = "shape-interpolation"

STRATEGIES: Final = (TRACKED, PREVIOUS_BOX, BOX_INTERPOLATION, SHAPE_INTERPOLATION)

"""scipy.ndimage, imported when it is first asked for something.

That import takes longer than all else in opening the panel, which needs it only when a mask is
carried on or a volume finished. Modules that no panel imports take scipy's own.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    from scipy import ndimage

    return getattr(ndimage, name)

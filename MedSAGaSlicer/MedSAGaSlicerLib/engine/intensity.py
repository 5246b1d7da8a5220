"""One normalisation per volume: from what a scanner stores to the 0..255 that models look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CT_WINDOWS: Final = {
    "soft tissue": (40.0, 400.0),
    "lung": (-600.0, 1500.0),
    "mediastinum": (50.0, 400.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
"""Usual CT windows as (level, width) in Hounsfield units; the first is what `measure` takes."""

_KINDS: Final = ("window", "percentile", "identity")
_SAMPLE: Final = 1_000_000
_PERCENTILES: Final = (0.5, 99.5)


@dataclass(frozen=True)
class Normalisation:
    """A linear map of [``low``, ``high``] to 0..255, clipped; for ``identity`` the values stay.

    ``kind`` says where the bounds are from: a CT ``window`` or a ``percentile`` range. It is
    measured once per volume, so that neighbouring slices keep their contrast, and stored with
    whatever is derived from it.
    """

    kind: str
    low: float = 0.0
    high: float = 255.0

    def __post_init__(self) -> None:
        """Refuse what cannot be applied.

        Raises:
            InputError: the kind is unknown or the bounds are not finite and in order.
        """
        if self.kind not in _KINDS:
            msg = f"The normalisation kind {self.kind!r} is unknown; known are {', '.join(_KINDS)}."
            raise InputError(msg)
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            msg = f"The intensity range {self.low} to {self.high} is no range of finite numbers."
            raise InputError(msg)

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Values of any shape and number type as uint8 of the same shape, rounded.

        NaN becomes ``low``, infinities are clipped, and a range of no width gives zeros.
        """
        if self.kind == "identity" and values.dtype == np.uint8:
            return values
        scaled = values.astype(np.float64)
        scaled = np.nan_to_num(
            scaled, copy=False, nan=self.low, posinf=self.high, neginf=self.low
        ).clip(self.low, self.high)
        width = self.high - self.low
        if width <= 0:
            return np.zeros(values.shape, np.uint8)
        return np.rint((scaled - self.low) * (255.0 / width)).astype(np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normalisation:
        """The normalisation that `to_dict` described.

        Raises:
            InputError: a value is missing or wrong.
        """
        try:
            return cls(str(values["kind"]), float(values["low"]), float(values["high"]))
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{values!r} does not describe a normalisation: kind, low and high are needed."
            raise InputError(msg) from error


def ct_window(name: str) -> Normalisation:
    """The named window of `CT_WINDOWS`.

    Raises:
        InputError: there is no such window.
    """
    if name not in CT_WINDOWS:
        msg = f"There is no CT window {name!r}; known are {', '.join(CT_WINDOWS)}."
        raise InputError(msg)
    level, width = CT_WINDOWS[name]
    return Normalisation("window", level - width / 2, level + width / 2)


def measure(volume_kji: NDArray[Any], modality: str | None = None) -> Normalisation:
    """The normalisation of a whole volume, (k, j, i) or with channels last; deterministic.

    8-bit colour is left as it is. CT, by the DICOM ``modality`` or else by `looks_like_ct`, gets
    the soft tissue window. Anything else gets its 0.5 and 99.5 percentiles, over at most a million
    evenly strided voxels, the finite ones of them; where these coincide (a small bright object on
    plain ground) the extremes instead.

    Raises:
        InputError: no value is finite.
    """
    if volume_kji.ndim == 4 and volume_kji.dtype == np.uint8:
        return Normalisation("identity")
    sample = _finite_sample(volume_kji)
    if modality == "CT" or (modality is None and looks_like_ct(sample)):
        return ct_window("soft tissue")
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    if low == high:
        low, high = _extremes(volume_kji)
    return Normalisation("percentile", low, high)


def looks_like_ct(values: NDArray[Any]) -> bool:
    """Whether finite values can be told to be Hounsfield units.

    Three things together: something is air or the padding outside the scanner's circle (at most
    -500; padding goes down to -3024 and beyond, no further than -10000), the bright end is denser
    than water (99.9 percentile above 50), and of what is no air at least a tenth is soft tissue or
    fat (-200 to 400). A CT cropped to the inside of the body has no air and is not recognised; MR,
    PET and ultrasound have no such negative values.
    """
    low, high = float(values.min()), float(np.percentile(values, 99.9))
    if not -10_000 <= low <= -500 or high <= 50:
        return False
    tissue = values[values > -500]
    return bool(np.mean((tissue > -200) & (tissue < 400)) >= 0.1)


def is_constant(volume_kji: NDArray[Any]) -> bool:
    """Whether all finite values are equal, so that there is nothing to see."""
    first = None
    for values in _finite_parts(volume_kji):
        low, high = values.min(), values.max()
        first = low if first is None else first
        # Nearly always the first slices show it: the others need not be read.
        if not low == high == first:
            return False
    return True


def _finite_sample(volume: NDArray[Any]) -> NDArray[np.float64]:
    # Rounded up, so that never more than the sample is taken; odd, since an even one would meet
    # the same columns in every row of most images.
    stride = -(-volume.size // _SAMPLE) | 1
    if volume.flags.c_contiguous:
        sample = volume.reshape(-1)[::stride]
    else:
        # To flatten it would copy all of it.
        sample = volume[np.unravel_index(np.arange(0, volume.size, stride), volume.shape)]
    values = np.array(sample, np.float64)
    finite: NDArray[np.float64] = values[np.isfinite(values)]
    if finite.size == 0:
        finite = _sample_between_holes(volume)
    if finite.size == 0:
        msg = (
            f"The image ({' x '.join(map(str, volume.shape))} voxels) holds no finite number, "
            "only NaN or infinity. Check how it was made."
        )
        raise InputError(msg)
    return finite


def _sample_between_holes(volume: NDArray[Any]) -> NDArray[np.float64]:
    """At most a sample of the finite voxels, where the even stride has met only others."""
    count = sum(values.size for values in _finite_parts(volume))
    stride = max(1, -(-count // _SAMPLE))
    parts = [np.array(values[::stride], np.float64) for values in _finite_parts(volume)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _extremes(volume: NDArray[Any]) -> tuple[float, float]:
    pairs = [(float(values.min()), float(values.max())) for values in _finite_parts(volume)]
    return min(low for low, _ in pairs), max(high for _, high in pairs)


def _finite_parts(volume: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The finite values slice by slice: of a whole volume they would be a second one."""
    for part in volume:
        values = np.asarray(part).reshape(-1)
        if np.issubdtype(values.dtype, np.floating):
            values = values[np.isfinite(values)]
        if values.size:
            yield values

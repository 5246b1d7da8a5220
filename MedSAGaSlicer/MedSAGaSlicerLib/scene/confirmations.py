"""Slices that a person has declared right, and whether they still are what was confirmed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.scene.packed import digest_of
from MedSAGaSlicerLib.scene.slices import SlicePosition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.volumes import Grid


@dataclass(frozen=True)
class Confirmation:
    """What was confirmed: a digest of each segment's slice, by segment identifier.

    ``lapsed`` means that somebody has changed the slice since; it is no confirmed slice then, but
    becomes one again when the change is undone.
    """

    digests: tuple[tuple[str, str], ...]
    lapsed: bool = False

    @classmethod
    def of(cls, masks: Mapping[str, NDArray[np.bool_]]) -> Confirmation:
        """Confirm these masks, by segment identifier."""
        return cls(tuple(sorted((name, digest_of(mask)) for name, mask in masks.items())))

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """The segments that were there when the slice was confirmed."""
        return tuple(name for name, _ in self.digests)

    def holds(self, masks: Mapping[str, NDArray[np.bool_]]) -> bool:
        """Whether these masks, of the segments still there, are the confirmed ones."""
        known = dict(self.digests)
        return all(digest_of(mask) == known[name] for name, mask in masks.items() if name in known)


class Confirmations:
    """The confirmed slices of one volume and segmentation.

    Each change is given to ``store`` as JSON; ``text`` is what was stored before. An entry of it
    that cannot be understood, or is of a slice that a volume of ``shape_ijk`` lacks, is left out.
    """

    def __init__(
        self, text: str, store: Callable[[str], None], shape_ijk: tuple[int, int, int]
    ) -> None:
        self._store = store
        self._of = {p: c for p, c in _read(text).items() if 0 <= p.index < shape_ijk[p.normal]}

    def __getitem__(self, position: SlicePosition) -> Confirmation | None:
        return self._of.get(position)

    def put(self, position: SlicePosition, confirmation: Confirmation | None) -> None:
        """Set or, with None, take away a slice's confirmation."""
        if confirmation is None:
            self._of.pop(position, None)
        else:
            self._of[position] = confirmation
        self._store(self.to_text())

    def check(self, position: SlicePosition, masks: Mapping[str, NDArray[np.bool_]]) -> bool | None:
        """Compare a slice's masks, by segment identifier, with what was confirmed.

        True means that it is changed and no longer confirmed, False that it is confirmed again,
        None that nothing is new.
        """
        confirmation = self._of.get(position)
        if confirmation is None or confirmation.lapsed != confirmation.holds(masks):
            return None
        self.put(position, replace(confirmation, lapsed=not confirmation.lapsed))
        return not confirmation.lapsed

    def positions(self, segment_id: str | None = None) -> tuple[SlicePosition, ...]:
        """The slices confirmed now, of all segments or with this one."""
        return tuple(
            sorted(
                position
                for position, confirmation in self._of.items()
                if not confirmation.lapsed
                and (segment_id is None or segment_id in confirmation.segment_ids)
            )
        )

    def items(self) -> tuple[tuple[SlicePosition, Confirmation], ...]:
        """All records, lapsed ones too."""
        return tuple(self._of.items())

    def protected(self, grid: Grid, segment_id: str, position: SlicePosition) -> NDArray[np.bool_]:
        """The voxels of a slice that lie on confirmed slices of other axes: (rows, columns)."""
        column, row = position.in_plane
        shield = np.zeros((grid.shape_ijk[row], grid.shape_ijk[column]), dtype=np.bool_)
        for other in self.positions(segment_id):
            if other.normal == row:
                shield[other.index, :] = True
            elif other.normal == column:
                shield[:, other.index] = True
        return shield

    def to_text(self) -> str:
        """JSON for a node's parameter."""
        return json.dumps(
            [
                {
                    "axis": position.axis,
                    "index": position.index,
                    "segments": dict(confirmation.digests),
                    "lapsed": confirmation.lapsed,
                }
                for position, confirmation in sorted(self._of.items(), key=lambda item: item[0])
            ]
        )


def _read(text: str) -> dict[SlicePosition, Confirmation]:
    try:
        entries = json.loads(text) if text else []
    except ValueError:
        return {}
    return {
        SlicePosition(entry["axis"], entry["index"]): Confirmation(
            tuple(sorted(entry["segments"].items())), entry["lapsed"]
        )
        for entry in (entries if isinstance(entries, list) else [])
        if _is_entry(entry)
    }


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("axis") in AXES
        and isinstance(entry.get("index"), int)
        and isinstance(entry.get("lapsed"), bool)
        and isinstance(entry.get("segments"), dict)
        and all(isinstance(digest, str) for digest in entry["segments"].values())
    )

"""Finishing image files by an adapter: the work behind `medsaga finish`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from MedSAGaSlicerLib.engine.batch import Order, check_names, make_folder, output_for
from MedSAGaSlicerLib.engine.finishing.axes import taught_axis
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.finishing.volumes import FinishedVolume, finish_volume
from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.engine.progress import Progress
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.looking import looking
from MedSAGaSlicerLib.engine.segmentation_file import (
    check_segmentation_path,
    write_label_map,
)
from MedSAGaSlicerLib.engine.segmenting import EVERYWHERE, volume_normalisation
from MedSAGaSlicerLib.engine.teaching.adapter_folder import (
    read_description,
    taught_region,
)
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor


@dataclass(frozen=True)
class FinishOrder(Order):
    """One volume to be finished.

    Attributes:
        adapter: the taught model's folder.
        model: its base, by name or path.
        axis: the slices' normal.
        frame: of a 4-D image.
        region: how slices are shown to the model.
        finish: how.
        device, threads: what to compute with; they are not part of the settings.
        precision: of encoding, as of `load_predictor`.
    """

    adapter: Path
    model: str
    axis: str = "k"
    frame: int | None = None
    region: RegionChoice = EVERYWHERE
    finish: FinishSettings = field(default_factory=FinishSettings)
    device: str = "auto"
    threads: int | None = None
    precision: str = "float32"

    def settings(self) -> dict[str, Any]:
        """Which adapter, and how."""
        description = read_description(self.adapter)
        return {
            "adapter": [description.created, description.base_fingerprint],
            "axis": self.axis,
            "frame": self.frame,
            "region": str(self.region),
            "precision": self.precision,
            "finish": self.finish.to_dict(),
        }

    def work(self, progress: Progress) -> dict[str, Any]:
        """Read, finish and write. What is wrong with the image is found before the model loads."""
        check_segmentation_path(self.output)
        volume = read_image(self.volume, self.frame)
        volume_normalisation(volume)
        self.region.check_fits(volume.geometry.shape_ijk)
        axis = "k" if volume.is_2d else self.axis
        progress(0, 0, f"loading {self.model}")
        taught = loaded(self.model, self.device, self.threads, str(self.adapter), self.precision)
        finished = finish_volume(
            volume,
            looking(taught, self.region),
            taught.segments,
            self.finish,
            axis=axis,
            region=self.region,
            progress=progress,
        )
        write_label_map(self.output, finished.labels_kji, finished.segments, volume.geometry)
        return facts_of(finished)


def finish_orders(
    volumes: Sequence[Path],
    adapter: Path,
    folder: Path,
    *,
    model: str | None = None,
    axis: str | None = None,
    region: RegionChoice | None = None,
    **options: Any,
) -> list[FinishOrder]:
    """An order for each volume; the folder of results is made.

    ``model`` is the adapter's own base unless given, ``axis`` the one it was mostly taught on,
    ``region`` as slices were shown when it was taught;
    ``options`` are further fields of the orders.

    Raises:
        InputError: two results would have one name, or the folder cannot be made.
        CheckpointError: the adapter's folder holds none.
    """
    description = read_description(adapter)
    check_names(volumes)
    make_folder(folder)
    base, along = model or description.base, axis or taught_axis(description)
    options["region"] = region or taught_region(adapter)
    return [
        FinishOrder(volume, output_for(volume, folder), adapter, base, along, **options)
        for volume in volumes
    ]


@lru_cache(maxsize=1)
def loaded(
    model: str, device: str, threads: int | None, adapter: str, precision: str
) -> TaughtPredictor:
    """The model with the adapter on, loaded once for all volumes that follow one another.

    Raises:
        InputError: the adapter was taught without a learned prompt; or see ``load_taught``.
        CheckpointError, DependencyError: see ``load_taught``.
    """
    # Here, not above: the command line makes orders without torch.
    from MedSAGaSlicerLib.engine.teaching.adapters import load_taught
    from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor

    taught: Predictor = load_taught(model, device, threads, adapter, precision)
    if not isinstance(taught, TaughtPredictor) or not taught.without_prompts:
        msg = (
            f"The taught model {adapter} was taught without a learned prompt: it cannot finish a "
            "volume. Teach again with some empty slices confirmed."
        )
        raise InputError(msg)
    return taught


def facts_of(finished: FinishedVolume) -> dict[str, Any]:
    """What a report says of a finished volume."""
    names = finished.segments
    counts = np.zeros(256, np.int64)
    for labels in finished.labels_kji:
        counts += np.bincount(labels.ravel(), minlength=256)
    return {
        "axis": finished.axis,
        "segments": list(names),
        "voxels": {name: int(counts[value]) for value, name in enumerate(names, start=1)},
        "next": [one.index for one in finished.suggestions()],
        "slices": [
            {
                "index": opinion.index,
                "uncertainty": round(opinion.uncertainty, 4),
                "doubts": {
                    name: {
                        kind: round(value, 4)
                        for kind, value in dataclasses.asdict(doubts).items()
                        if value is not None
                    }
                    for name, doubts in zip(names, opinion.doubts, strict=True)
                    if doubts is not None
                },
            }
            for opinion in finished.opinions
        ],
    }

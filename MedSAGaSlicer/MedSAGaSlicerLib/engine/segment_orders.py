"""Segmenting many images, each by its own prompt file: `medsaga segment` on several volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MedSAGaSlicerLib.engine.batch import Order, check_names, digest, make_folder, output_for
from MedSAGaSlicerLib.engine.cases import stem
from MedSAGaSlicerLib.engine.progress import Progress
from MedSAGaSlicerLib.engine.regions.looking import looking
from MedSAGaSlicerLib.engine.segmenting import SlicePredictor, segment_file
from MedSAGaSlicerLib.engine.teaching.adapter_folder import MODEL_FILE
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.predictor import Predictor


@dataclass(frozen=True)
class SegmentOrder(Order):
    """One volume to be segmented by a prompt file.

    Attributes:
        prompts: the prompt file.
        model: a name or a path.
        adapter: a taught model's folder.
        options: further arguments of `segment_file`.
        device, threads: what to compute with; they are not part of the settings.
        precision: of encoding, as of `load_predictor`.
    """

    prompts: Path
    model: str
    adapter: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    threads: int | None = None
    precision: str = "float32"

    def settings(self) -> dict[str, Any]:
        """Which prompts, which model, and how."""
        return {
            "prompts": digest(self.prompts),
            "model": self.model,
            "adapter": None if self.adapter is None else digest(self.adapter / MODEL_FILE),
            "precision": self.precision,
            "options": {name: str(value) for name, value in self.options.items()},
        }

    def work(self, progress: Progress) -> dict[str, Any]:
        """Read, segment and write."""
        voxels = segment_file(
            self.volume,
            self.prompts,
            self.output,
            self._load,
            progress=progress,
            **self.options,
        )
        return {"voxels": voxels}

    def _load(self) -> SlicePredictor:
        model = loaded(self.model, self.device, self.threads, self.adapter, self.precision)
        region = self.options.get("region")
        looks: SlicePredictor = model if region is None else looking(model, region)
        return looks


def segment_orders(
    volumes: Sequence[Path], prompts: Path, folder: Path, **fields: Any
) -> list[SegmentOrder]:
    """An order for each volume; the folder of results is made.

    ``prompts`` holds a prompt file for each volume, of the same name up to the first dot.
    ``fields`` are the orders' further ones.

    Raises:
        InputError: prompts are missing, two results would have one name, or the folder cannot be
            made.
    """
    if not prompts.is_dir():
        msg = (
            f"For several volumes --prompts is a folder with a file for each, named like it; "
            f"{prompts} is none."
        )
        raise InputError(msg)
    check_names(volumes)
    # Reports of results, NAME.seg.json, may lie there as well.
    by_stem = {path.stem: path for path in prompts.glob("*.json") if path.stem == stem(path)}
    without = [volume.name for volume in volumes if stem(volume) not in by_stem]
    if without:
        more = f" and {len(without) - 5} more" if len(without) > 5 else ""
        msg = (
            f"{prompts} has no prompt file for {', '.join(without[:5])}{more}: the name up to the "
            "first dot must be the volume's, such as scan.json for scan.nii.gz."
        )
        raise InputError(msg)
    make_folder(folder)
    return [
        SegmentOrder(volume, output_for(volume, folder), by_stem[stem(volume)], **fields)
        for volume in volumes
    ]


@lru_cache(maxsize=1)
def loaded(
    model: str, device: str, threads: int | None, adapter: Path | None, precision: str
) -> Predictor:
    """The model, loaded once for all volumes that follow one another.

    Raises:
        InputError, CheckpointError, DependencyError: see ``load_taught``.
    """
    # Here, not above: the command line makes orders without torch.
    from MedSAGaSlicerLib.engine.teaching.adapters import load_taught

    return load_taught(model, device, threads, adapter, precision)

"""What a lesson leaves: a folder with the weights, what they fit, and how they came about.

``weights.safetensors`` holds the tensors, ``model.json`` says what they are for, ``report.json``
has the figures and ``curve.png`` shows them. Reading the descriptions needs no torch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.files import atomic_path, check_writable
from MedSAGaSlicerLib.engine.json_file import write_json
from MedSAGaSlicerLib.engine.regions.choice import AUTO, RegionChoice
from MedSAGaSlicerLib.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT: Final = 1
MODEL_FILE: Final = "model.json"
REPORT_FILE: Final = "report.json"
CURVE_FILE: Final = "curve.png"
WEIGHTS_FILE: Final = "weights.safetensors"


@dataclass(frozen=True)
class AdapterDescription:
    """What model.json says.

    Attributes:
        folder: where it was read.
        name: what a person calls it.
        version: of the library that wrote it.
        created: UTC, ISO 8601.
        method: how it was taught.
        base: registered name or file name of the model it belongs to, for people.
        family: of that model.
        base_fingerprint, encoder_fingerprint: of that model's weights, and its encoder's alone.
        segments: those it was taught, in order.
        cases: for each volume ``case``, ``normalisation`` and ``slices`` (axis, index, key).
        held_out: case, axis and index of the slices kept aside.
        accepted: the guard's verdict; None if not measured.
        before, after: mean Dice on the slices kept aside, None if not measured.
        config: of the lesson.
    """

    folder: Path
    name: str
    version: str
    created: str
    method: str
    base: str
    family: str
    base_fingerprint: str
    encoder_fingerprint: str
    segments: tuple[str, ...]
    cases: tuple[dict[str, Any], ...]
    held_out: tuple[tuple[str, str, int], ...]
    accepted: bool | None
    before: float | None
    after: float | None
    config: dict[str, Any]

    @property
    def depth(self) -> int:
        """How many slices it looks at, see `engine.neighbours`; folders of before do not tell."""
        return int(self.config.get("depth", 1))

    def taught_keys(self) -> frozenset[str]:
        """The keys of all slices that took part, those kept aside included."""
        return frozenset(str(part["key"]) for case in self.cases for part in case["slices"])


def check_adapter_path(folder: Path) -> None:
    """Refuse an output folder before work is spent on it.

    Raises:
        InputError: it cannot be written, or something else than an adapter lies there.
    """
    check_writable(folder)
    if folder.exists() and not (folder / MODEL_FILE).is_file():
        empty = folder.is_dir() and not any(folder.iterdir())
        if not empty:
            msg = f"{folder} exists and is no taught model; it is not overwritten. Name another."
            raise InputError(msg)


def write_adapter(
    folder: Path,
    description: Mapping[str, Any],
    report: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    curve_png: bytes,
) -> None:
    """Write all files beside, then rename; an older adapter there is replaced by the whole new one.

    Raises:
        InputError: the place cannot be written.
        OSError: the disk is full; what was there before stays.
    """
    from MedSAGaSlicerLib.engine.weight_files import write_tensors

    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_tensors(tensors, temporary / WEIGHTS_FILE, str(description["family"]))
        content = {"format": FORMAT, "version": __version__, **description}
        write_json(temporary / MODEL_FILE, content)
        write_json(temporary / REPORT_FILE, dict(report))
        (temporary / CURVE_FILE).write_bytes(curve_png)


def read_description(folder: Path) -> AdapterDescription:
    """Read model.json.

    Raises:
        CheckpointError: there is none, it is damaged, or of a newer format.
    """
    path = Path(folder) / MODEL_FILE
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["format"] != FORMAT:
            _refuse_format(folder, fields)
        return AdapterDescription(
            folder=Path(folder),
            name=str(fields["name"]),
            version=str(fields["version"]),
            created=str(fields["created"]),
            method=str(fields["method"]),
            base=str(fields["base"]),
            family=str(fields["family"]),
            base_fingerprint=str(fields["base_fingerprint"]),
            encoder_fingerprint=str(fields["encoder_fingerprint"]),
            segments=tuple(str(name) for name in fields["segments"]),
            cases=tuple(fields["cases"]),
            held_out=tuple((str(c), str(a), int(n)) for c, a, n in fields["held_out"]),
            accepted=fields["accepted"],
            before=fields["before"],
            after=fields["after"],
            config=dict(fields["config"]),
        )
    except OSError as error:
        msg = f"{folder} is no taught model: {path.name} cannot be read. Name the adapter's folder."
        raise CheckpointError(msg) from error
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path} is damaged ({error!r}). Teach again, or take another copy of the folder."
        raise CheckpointError(msg) from error


def taught_region(folder: Path | None) -> RegionChoice:
    """How slices were shown when an adapter was taught; by default where there is none.

    Raises:
        CheckpointError: it is no taught model, or names a region that this version does not know.
    """
    if folder is None:
        return RegionChoice()
    try:
        return RegionChoice.parse(str(read_description(folder).config.get("region", AUTO)))
    except InputError as error:
        msg = f"{folder / MODEL_FILE} cannot be used: {error}"
        raise CheckpointError(msg) from error


def _refuse_format(folder: Path, fields: Mapping[str, Any]) -> None:
    msg = (
        f"The taught model {folder} has the format {fields['format']!r}, written by version "
        f"{fields.get('version', 'unknown')}; this version ({__version__}) reads {FORMAT}. Update."
    )
    raise CheckpointError(msg)


def list_adapters(folder: Path) -> tuple[AdapterDescription, ...]:
    """The taught models of a folder, the newest first; what is none or damaged is left out.

    So is what begins with a dot: a model that is being written, or a lesson under way.
    """
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        try:
            found.append(read_description(path))
        except CheckpointError:
            continue
    return tuple(sorted(found, key=lambda entry: entry.created, reverse=True))


def rename_adapter(folder: Path, name: str) -> None:
    """Change what a person calls it; the folder keeps its own name.

    Raises:
        CheckpointError: it is no taught model.
        InputError: the name is empty, or the file cannot be written.
    """
    if not name.strip():
        msg = "A taught model needs a name that is not empty."
        raise InputError(msg)
    read_description(folder)
    path = folder / MODEL_FILE
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), "name": name.strip()})


def export_adapter(folder: Path, target: Path) -> None:
    """Copy a taught model to another place, whole or not at all.

    Raises:
        CheckpointError: it is no taught model.
        InputError: something else lies there, or it cannot be written.
    """
    read_description(folder)
    check_adapter_path(target)
    with atomic_path(target) as temporary:
        shutil.copytree(folder, temporary)


def import_adapter(source: Path, taught: Path) -> Path:
    """Copy a taught model from another place among those of this machine; where it is then.

    Raises:
        CheckpointError: it is no taught model.
        InputError: it cannot be written.
    """
    source = source.resolve()
    count, target = 1, taught / source.name
    while target.exists():
        count += 1
        target = taught / f"{source.name}-{count}"
    read_description(source)
    taught.mkdir(parents=True, exist_ok=True)
    export_adapter(source, target)
    return target


def delete_adapter(folder: Path) -> None:
    """Delete a taught model's folder.

    Raises:
        CheckpointError: it is none: nothing else is ever deleted.
    """
    read_description(folder)
    shutil.rmtree(folder)

"""Examples as nnU-Net reads them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from lessons import disc, discs, example, slice_with

from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.nnunet_export import export_nnunet
from MedSAGaSlicerLib.errors import InputError


def read(path: Path) -> np.ndarray:
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))))


def test_slices_become_cases_with_the_names_nnunet_wants(tmp_path: Path) -> None:
    examples = discs(3, 1)
    folder = export_nnunet(examples, tmp_path, 7, "Discs")
    assert folder == tmp_path / "Dataset007_Discs"
    description = json.loads((folder / "dataset.json").read_text())
    assert description == {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "disc": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    names = sorted(path.name for path in (folder / "imagesTr").iterdir())
    assert names == [f"slice_000{n}_0000.nii.gz" for n in range(3)]
    for number, entry in enumerate(examples.examples):
        image = folder / "imagesTr" / f"slice_000{number}_0000.nii.gz"
        label = folder / "labelsTr" / f"slice_000{number}.nii.gz"
        assert np.array_equal(read(image), entry.pixels)
        assert np.array_equal(read(label), entry.masks["disc"])
        assert SimpleITK.ReadImage(str(image)).GetSpacing() == pytest.approx((0.7, 0.7))


def test_what_is_not_known_is_ignored_and_not_background(tmp_path: Path) -> None:
    known = example(0, masks={"disc": disc(9, 9, 4), "dot": disc(30, 30, 2)})
    examples = ExampleSet(("disc", "dot"), (known, example(1)))
    folder = export_nnunet(examples, tmp_path, 1, "x")
    labels = json.loads((folder / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "disc": 1, "dot": 2, "ignore": 3}
    assert set(np.unique(read(folder / "labelsTr" / "slice_0000.nii.gz"))) == {0, 1, 2}
    assert set(np.unique(read(folder / "labelsTr" / "slice_0001.nii.gz"))) == {1, 3}


def test_colour_slices_have_a_file_per_channel(tmp_path: Path) -> None:
    pixels = np.stack([slice_with(disc(14, 16, 6), n) for n in range(3)], axis=-1)
    folder = export_nnunet(
        ExampleSet(("disc",), (example(0, pixels=pixels),)), tmp_path, 2, "colour"
    )
    for channel in range(3):
        image = folder / "imagesTr" / f"slice_0000_000{channel}.nii.gz"
        assert np.array_equal(read(image), pixels[..., channel])
    with pytest.raises(InputError, match="grey and some are in colour"):
        export_nnunet(
            ExampleSet(("disc",), (example(0, pixels=pixels), example(1))), tmp_path, 3, "both"
        )


def test_overlapping_segments_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    overlapping = example(0, masks={"disc": disc(9, 9, 4), "dot": disc(9, 9, 1)})
    with pytest.raises(InputError, match=r"'dot' overlaps another segment in 5 pixels"):
        export_nnunet(ExampleSet(("disc", "dot"), (overlapping,)), tmp_path, 1, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "name"), [(0, "x"), (1000, "x"), (1, "a b"), (1, "../x")])
def test_names_that_nnunet_does_not_know_are_refused(
    tmp_path: Path, number: int, name: str
) -> None:
    with pytest.raises(InputError, match="from 1 to 999"):
        export_nnunet(discs(1), tmp_path, number, name)


def test_a_segment_called_as_nnunets_own_labels_is_refused(tmp_path: Path) -> None:
    renamed = replace(example(0), masks={"ignore": disc(9, 9, 4)})
    with pytest.raises(InputError, match="meaning of its own"):
        export_nnunet(ExampleSet(("ignore",), (renamed,)), tmp_path, 1, "x")


def test_a_dataset_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    export_nnunet(discs(1), tmp_path, 1, "x")
    with pytest.raises(InputError, match="exists already"):
        export_nnunet(discs(2), tmp_path, 1, "x")

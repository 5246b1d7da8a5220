"""Confirmed slices as examples: what fits together, and how they lie on disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lessons import disc, discs, example, slice_with

from MedSAGaSlicerLib.engine.example_file import read_examples, write_examples
from MedSAGaSlicerLib.engine.examples import ExampleSet, merged
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

GIVEN = Prompts(((16.0, 14.0), (2.0, 3.0)), (True, False), (8.0, 6.0, 24.0, 22.0))


def test_a_mask_of_another_grid_is_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"'disc' on the slice k 1 of volume 1 .*\(40, 47\)"):
        example(1, masks={"disc": disc(10, 10, 5, (40, 47))})


def test_a_mask_that_is_no_bool_is_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        example(1, masks={"disc": disc(10, 10, 5).astype(np.uint8)})


def test_a_slice_without_any_mask_is_refused() -> None:
    with pytest.raises(InputError, match="confirm a segment"):
        example(1, masks={})


def test_pixels_that_were_not_normalised_are_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        example(1, pixels=np.zeros((40, 48), np.int16))


def test_prompts_outside_the_slice_or_of_no_segment_are_refused() -> None:
    with pytest.raises(InputError, match="outside the slice"):
        example(1, prompts={"disc": Prompts(((60.0, 3.0),), (True,))})
    with pytest.raises(InputError, match="prompts for 'ring' but no mask"):
        example(1, prompts={"ring": GIVEN})


def test_a_slice_that_comes_twice_is_refused() -> None:
    with pytest.raises(InputError, match="two examples of the slice k 3 of volume 1"):
        ExampleSet(("disc",), (example(3), example(3)))


def test_a_segment_that_was_renamed_meanwhile_is_named() -> None:
    with pytest.raises(
        InputError, match=r"mask of 'disc' .* the segments are ring. Was it renamed"
    ):
        ExampleSet(("ring",), (example(3),))


def test_segments_that_nobody_can_learn_are_refused() -> None:
    with pytest.raises(InputError, match="None of the 4 confirmed slices shows 'disc'"):
        discs(4, 4)
    with pytest.raises(InputError, match="one of them comes twice"):
        ExampleSet(("disc", "disc"), (example(0),))


def test_an_empty_slice_is_an_example() -> None:
    assert example(2, empty=True).is_empty
    assert [e.is_empty for e in discs(3, 1).examples] == [False, False, True]


def test_the_key_is_of_the_pixels_alone() -> None:
    one, other = example(1), replace(example(1), index=9, case="elsewhere", axis="j")
    assert one.key == other.key
    assert one.key != example(2).key


def test_examples_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    colour = np.stack([slice_with(disc(9, 9, 4), n) for n in range(3)], axis=-1)
    written = ExampleSet(
        ("disc", "Größe 大"),
        (
            example(0, prompts={"disc": GIVEN}),
            example(1, masks={"disc": disc(9, 9, 4), "Größe 大": disc(11, 9, 4)}),
            example(2, pixels=colour, axis="j", spacing_mm=(3.0, 0.5), step_mm=0.5),
        ),
    )
    write_examples(tmp_path / "set", written)
    read = read_examples(tmp_path / "set")
    assert read.segments == written.segments
    for before, after in zip(written.examples, read.examples, strict=True):
        assert after.place == before.place
        assert np.array_equal(after.pixels, before.pixels)
        assert list(after.masks) == list(before.masks)
        for name, mask in before.masks.items():
            assert np.array_equal(after.masks[name], mask)
        assert dict(after.prompts) == dict(before.prompts)
        assert after.normalisation == before.normalisation
        assert (after.spacing_mm, after.step_mm) == (before.spacing_mm, before.step_mm)


def test_the_embeddings_key_lies_beside_each_slice(tmp_path: Path) -> None:
    write_examples(tmp_path / "set", discs(2))
    content = json.loads((tmp_path / "set" / "examples.json").read_text())
    assert [entry["key"] for entry in content["slices"]] == [e.key for e in discs(2).examples]


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        write_examples(tmp_path / "set", discs(3))
        return tmp_path / "set"

    @pytest.mark.parametrize("keep", [0, 40, 400])
    def test_a_cut_slice_is_named(self, folder: Path, keep: int) -> None:
        path = folder / "0001.npz"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(InputError, match=r"0001\.npz is damaged"):
            read_examples(folder)

    def test_a_flipped_bit_is_noticed(self, folder: Path) -> None:
        path = folder / "0002.npz"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"0002\.npz"):
            read_examples(folder)

    def test_a_slice_of_another_set_is_noticed(self, folder: Path, tmp_path: Path) -> None:
        write_examples(tmp_path / "other", ExampleSet(("disc",), (example(7),)))
        (tmp_path / "other" / "0000.npz").replace(folder / "0000.npz")
        with pytest.raises(InputError, match="not the one that"):
            read_examples(folder)

    def test_a_missing_slice_is_named(self, folder: Path) -> None:
        (folder / "0000.npz").unlink()
        with pytest.raises(InputError, match=r"0000\.npz"):
            read_examples(folder)

    def test_objects_of_python_are_never_loaded(self, folder: Path) -> None:
        np.savez(folder / "0000.npz", pixels=np.array([{}], object), masks=np.zeros(1))
        with pytest.raises(InputError, match=r"0000\.npz is damaged"):
            read_examples(folder)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format":1}', '{"format":1,"segments":[]}'])
    def test_a_damaged_index_is_named(self, folder: Path, text: str) -> None:
        (folder / "examples.json").write_text(text)
        with pytest.raises(InputError, match=r"examples\.json"):
            read_examples(folder)

    def test_a_newer_format_is_refused_with_what_wrote_it(self, folder: Path) -> None:
        (folder / "examples.json").write_text('{"format": 2, "version": "9.1"}')
        with pytest.raises(InputError, match=r"format 2 of version 9\.1"):
            read_examples(folder)

    def test_a_folder_without_examples_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no examples"):
            read_examples(tmp_path)


def test_a_full_disk_leaves_the_examples_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_examples(tmp_path / "set", discs(2))

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="No space left"):
        write_examples(tmp_path / "set", discs(5))
    assert len(read_examples(tmp_path / "set").examples) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_sets_are_joined_without_mixing_up_volumes_or_repeating_slices() -> None:
    other = ExampleSet(
        ("disc", "ring"),
        (
            replace(example(1), masks={"disc": disc(9, 9, 3), "ring": disc(9, 9, 5)}),
            replace(example(6), masks={"ring": disc(9, 9, 5)}),
            example(8),
        ),
    )
    joined = merged((discs(3), other), ("disc",))
    assert [e.place for e in joined.examples] == [
        ("volume 1", "k", 0),
        ("volume 1", "k", 1),
        ("volume 1", "k", 2),
        ("1: volume 1", "k", 8),
    ]
    assert all(set(e.masks) == {"disc"} for e in joined.examples)

"""What a lesson leaves: read, refused where it does not belong, renamed, copied, deleted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lessons import QUICK, disc, discs, example, teach, tiny_predictor
from safetensors.torch import load_file, save_file

from MedSAGaSlicerLib.engine import predictor as predictor_module
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.engine.segmenting import segment
from MedSAGaSlicerLib.engine.teaching.adapter_folder import (
    delete_adapter,
    export_adapter,
    list_adapters,
    read_description,
    rename_adapter,
)
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.taught import TaughtSegment
from MedSAGaSlicerLib.errors import CheckpointError, InputError

CLICK = Prompts(((20.0, 18.0),), (True,))


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lesson") / "taught"
    teach(folder, replace_config(), title="Discs of March")
    return folder


def replace_config() -> ExampleSet:
    return discs(9, 1)


@pytest.fixture
def taught(lesson: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    export_adapter(lesson, tmp_path / "taught")
    return tmp_path / "taught"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_says_what_it_fits_and_what_it_learned_from(lesson: Path) -> None:
    told = read_description(lesson)
    assert told.name == "Discs of March"
    assert (told.method, told.base, told.family) == ("decoder", "tiny", "starter")
    assert told.segments == ("disc",)
    (case,) = told.cases
    assert case["case"] == "volume 1"
    assert case["normalisation"] == {"kind": "percentile", "low": 0.0, "high": 1000.0}
    assert [part["index"] for part in case["slices"]] == list(range(9))
    assert len(told.taught_keys()) == 9
    assert len(told.held_out) == 2
    assert told.config["steps"] == QUICK.steps
    assert told.before is not None
    assert told.after is not None


def test_the_weights_are_whole_tensors_by_the_bases_names_in_full_precision(lesson: Path) -> None:
    tensors = load_file(lesson / "weights.safetensors")
    parts = {name.partition(".")[0] for name in tensors}
    assert parts == {"mask_decoder", "prompt_encoder", "unprompted", "learned_prompt", "finder"}
    own = tiny_predictor().model.state_dict()
    names = {name.removeprefix("unprompted.") for name in tensors}
    assert all(name in own for name in names if not name.startswith(("learned_prompt", "finder")))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_it_reads_without_torch(lesson: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path\n"
        "from MedSAGaSlicerLib.engine.teaching.adapter_folder import read_description\n"
        "from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig\n"
        "from MedSAGaSlicerLib.engine.teaching import events\n"
        "from MedSAGaSlicerLib.engine import example_library, nnunet_export\n"
        "print(read_description(Path(sys.argv[1])).name); assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", str(lesson)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "Discs of March\n", done.stderr


class TestRefused:
    def test_another_base(self, taught: Path) -> None:
        with pytest.raises(
            CheckpointError, match=r"belongs to tiny \(starter\), with other weights"
        ):
            load_adapter(taught, tiny_predictor(seed=1))

    def test_a_base_whose_decoder_alone_differs(self, taught: Path) -> None:
        other = tiny_predictor()
        with torch.no_grad():
            other.model.get_parameter("mask_decoder.iou_token.weight").add_(1e-3)
        with pytest.raises(CheckpointError, match="belongs to"):
            load_adapter(taught, other)

    def test_a_newer_format(self, taught: Path) -> None:
        edit(taught, format=2, version="9.0")
        with pytest.raises(CheckpointError, match=r"format 2, written by version 9\.0.*Update"):
            load_adapter(taught, tiny_predictor())

    def test_a_method_of_another_version(self, taught: Path) -> None:
        edit(taught, method="telepathy")
        with pytest.raises(CheckpointError, match=r"telepathy.*does not know.*Update"):
            load_adapter(taught, tiny_predictor())

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}'])
    def test_a_damaged_description(self, taught: Path, text: str) -> None:
        (taught / "model.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"model\.json is damaged"):
            load_adapter(taught, tiny_predictor())

    def test_a_folder_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="is no taught model"):
            load_adapter(tmp_path, tiny_predictor())

    def test_cut_weights(self, taught: Path) -> None:
        path = taught / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(CheckpointError, match="damaged"):
            load_adapter(taught, tiny_predictor())

    @pytest.mark.parametrize("spoilt", ["missing", "shape", "unknown", "tokens", "locator"])
    def test_weights_that_do_not_fit(self, taught: Path, spoilt: str) -> None:
        path = taught / "weights.safetensors"
        tensors = load_file(path)
        if spoilt == "shape":
            tensors["mask_decoder.iou_token.weight"] = torch.zeros(1, 9)
        elif spoilt == "unknown":
            tensors["mask_decoder.third_eye"] = torch.zeros(2)
        elif spoilt == "tokens":
            tensors["learned_prompt.tokens"] = torch.zeros(3, 4, 32)
        elif spoilt == "locator":
            del tensors["learned_prompt.locators.0.0.weight"]
        else:
            edit(taught, segments=["disc", "ring"])
        save_file(tensors, path)
        with pytest.raises(CheckpointError, match="do not fit"):
            load_adapter(taught, tiny_predictor())

    def test_a_segment_that_was_renamed(self, lesson: Path) -> None:
        model = load_adapter(lesson, tiny_predictor())
        embedding = model.encode(example(0).pixels)
        with pytest.raises(InputError, match=r"taught 'disc', not 'Disc'.*as it was called"):
            model.predict(embedding, CLICK, segment="Disc")
        with pytest.raises(InputError, match="not 'Disc'"):
            TaughtSegment(model, "Disc")


class TestAtWork:
    def test_one_segment_needs_no_name(self, lesson: Path) -> None:
        model = load_adapter(lesson, tiny_predictor())
        embedding = model.encode(example(0).pixels)
        named = model.predict(embedding, CLICK, segment="disc")
        assert np.array_equal(model.predict(embedding, CLICK).logits, named.logits)
        bound = TaughtSegment(model, "disc")
        assert np.array_equal(bound.predict(embedding, CLICK).logits, named.logits)
        assert bound.predict_unprompted(embedding).mask.shape == (40, 48)

    def test_no_prompt_at_all_is_refused_where_prompts_are_expected(self, lesson: Path) -> None:
        model = load_adapter(lesson, tiny_predictor())
        with pytest.raises(InputError, match="no prompt"):
            model.predict(model.encode(example(0).pixels), Prompts())

    def test_an_answer_can_be_corrected(self, lesson: Path) -> None:
        model = load_adapter(lesson, tiny_predictor())
        embedding = model.encode(example(0).pixels)
        first = model.predict(embedding, CLICK)
        two = Prompts((*CLICK.points, (2.0, 2.0)), (True, False))
        corrected = model.predict(embedding, two, first.logits)
        assert not np.array_equal(corrected.logits, model.predict(embedding, two).logits)

    def test_an_embedding_of_another_encoder_is_refused(self, lesson: Path) -> None:
        model = load_adapter(lesson, tiny_predictor())
        other = tiny_predictor(seed=2).encode(example(0).pixels)
        with pytest.raises(InputError, match="another encoder"):
            model.predict_unprompted(other)

    def test_segments_are_answered_by_what_was_taught_them(self, lesson: Path) -> None:
        from MedSAGaSlicerLib.engine.geometry import Geometry
        from MedSAGaSlicerLib.engine.images import Volume

        base = tiny_predictor()
        model = load_adapter(lesson, base)
        array = np.stack([example(n).pixels for n in range(2)])
        identity = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        geometry = Geometry((48, 40, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), identity)
        volume = Volume(array, geometry, is_2d=False, path=Path("made"))
        wanted = tuple(
            SegmentPrompts(name, None, (SlicePrompts("k", 1, CLICK),)) for name in ("disc", "other")
        )
        mixed = segment(volume, wanted, model)
        plain = segment(volume, wanted, base)
        assert np.array_equal(mixed[1].mask_kji, plain[1].mask_kji)
        assert not np.array_equal(mixed[0].mask_kji, plain[0].mask_kji)


class TestOnDisk:
    def test_the_newest_come_first_and_what_is_none_is_left_out(self, taught: Path) -> None:
        export_adapter(taught, taught.parent / "older")
        edit(taught.parent / "older", created="2001-01-01T00:00:00+00:00")
        (taught.parent / "something").mkdir()
        assert [entry.folder.name for entry in list_adapters(taught.parent)] == ["taught", "older"]
        assert list_adapters(taught.parent / "nowhere") == ()
        export_adapter(taught, taught.parent / ".being written")
        assert len(list_adapters(taught.parent)) == 2

    def test_renaming_changes_what_people_read_and_nothing_else(self, taught: Path) -> None:
        before = read_description(taught)
        rename_adapter(taught, "  Größe 大 ")
        assert read_description(taught) == replace(before, name="Größe 大")
        load_adapter(taught, tiny_predictor())
        with pytest.raises(InputError, match="not empty"):
            rename_adapter(taught, " ")

    def test_a_copy_works_and_never_lands_on_something_else(self, taught: Path) -> None:
        load_adapter(taught, tiny_predictor())
        (taught.parent / "own").mkdir()
        (taught.parent / "own" / "file").write_text("x")
        with pytest.raises(InputError, match="not overwritten"):
            export_adapter(taught, taught.parent / "own")

    def test_only_taught_models_are_ever_deleted(self, taught: Path) -> None:
        with pytest.raises(CheckpointError):
            delete_adapter(taught.parent)
        delete_adapter(taught)
        assert not taught.exists()


def test_several_adapters_share_one_base(lesson: Path, tmp_path: Path) -> None:
    base = tiny_predictor()
    renamed = tuple(
        replace(e, masks={"ring": disc(14, 16, 9) & ~disc(14, 16, 5)}) for e in discs(9).examples
    )
    teach(tmp_path / "rings", ExampleSet(("ring",), renamed), base=base)
    discs_model, rings_model = load_adapter(lesson, base), load_adapter(tmp_path / "rings", base)
    assert discs_model.model.image_encoder is rings_model.model.image_encoder
    embedding = base.encode(example(0).pixels)
    answers = [m.predict(embedding, CLICK).logits for m in (base, discs_model, rings_model)]
    again = [m.predict(embedding, CLICK).logits for m in (base, discs_model, rings_model)]
    assert all(np.array_equal(a, b) for a, b in zip(answers, again, strict=True))
    assert not np.array_equal(answers[1], answers[2])


def test_the_bases_weights_are_hashed_once_for_all_its_adapters(
    lesson: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    whole = predictor_module.model_fingerprint
    monkeypatch.setattr(
        predictor_module,
        "model_fingerprint",
        lambda *given: hashed.append(1) or whole(*given),
    )
    base = tiny_predictor()
    for _ in range(3):
        load_adapter(lesson, base)
    assert len(hashed) == 1


def test_what_is_found_without_prompts_is_the_mask_with_its_evidence(lesson: Path) -> None:
    taught = load_adapter(lesson, tiny_predictor())
    embedding = taught.encode(example(3).pixels)
    finding = taught.find(embedding, ("disc", "disc"))
    alone = taught.predict_unprompted(embedding, "disc")
    assert finding.evidence.dtype == np.int8
    for plane in finding.evidence:
        np.testing.assert_array_equal(plane > 0, alone.mask)
    assert finding.scores == (alone.score, alone.score)
    np.testing.assert_allclose(finding.pooled, embedding.features.mean((1, 2)), rtol=1e-5)
    with pytest.raises(InputError, match="taught 'disc', not 'square'"):
        taught.find(embedding, ("square",))

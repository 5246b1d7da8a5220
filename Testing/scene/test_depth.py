"""Taught models that look at neighbouring slices: who is shown what, in a scene."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from fake_lesson import leave_adapter
from harness.teachable import STARTED, TeachableClient, click, confirm, taught_by
from lessons import discs, tiny_predictor
from stage import FAKES, SAFETY_S

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.example_file import read_examples
from MedSAGaSlicerLib.engine.example_library import ExampleLibrary
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.finishing.evidence import Finding
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.neighbours import stacked
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.teaching.careful import teach
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.prefetch import SliceKeys
from MedSAGaSlicerLib.scene.segments import segment_id_of
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.taught_segments import shown_depth
from MedSAGaSlicerLib.scene.volumes import pixels_of
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Found
from MedSAGaSlicerLib.worker.teach_client import TeachClient

CONFIG = TeachingConfig("adapter", steps=4, batch=2, rounds=2, views=1, guesses=2, depth=3)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSAGA_TAUGHT", str(tmp_path / "taught"))
    monkeypatch.setenv("MEDSAGA_EXAMPLES", str(tmp_path / "examples"))


@pytest.fixture
def client():
    return TeachableClient()


def leave_deep(folder, segments=("tumour",)):
    leave_adapter(folder, segments=segments)
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "config": {"depth": 3}}))
    return folder


def key_of(annotator, *indices):
    slices = [pixels_of(annotator.volume, "k", index) for index in indices]
    return slice_key(slices[0] if len(slices) == 1 else stacked(slices))


def test_only_segments_whose_model_asks_for_neighbours_are_shown_with_them(
    annotator, client, tmp_path
):
    annotator.use_taught("tumour", leave_deep(tmp_path / "deep"))
    click(annotator, (10, 8), 5)
    annotator.point_on("spleen", SlicePosition("k", 5), (10.0, 8.0))
    click(annotator, (10, 8), 0)
    annotator.use_taught("tumour", None)
    click(annotator, (10, 8), 7)
    keys = [key for key, *_ in client.asked]
    assert keys == [key_of(annotator, *n) for n in ((4, 5, 6), (5,), (0, 0, 1), (7,))]


def test_it_is_remembered_in_the_scene_and_rests_while_another_base_is_in_use(
    annotator, client, tmp_path
):
    annotator.use_taught("tumour", leave_deep(tmp_path / "deep"))
    annotator.close()
    again = Annotator(annotator.volume, annotator.segmentation, client)
    click(again, (10, 8), 5)
    again.use_model("mobile_sam")
    click(again, (10, 8), 7)
    again.use_model("starter")
    click(again, (10, 8), 9)
    keys = [key for key, *_ in client.asked]
    assert keys[0] == key_of(again, 4, 5, 6)
    assert key_of(again, 7) in keys
    assert keys[-1] == key_of(again, 8, 9, 10)
    again.close()


def test_scenes_that_were_saved_before_there_was_such_a_thing_go_on(annotator, client, tmp_path):
    leave_adapter(tmp_path / "one")
    annotator.use_taught("tumour", tmp_path / "one")
    session = annotator._annotation.session
    segment_id = segment_id_of(annotator.segmentation, "tumour")
    fields = {"folder": str(tmp_path / "one"), "segment": "tumour", "base": "starter"}
    session.node.SetParameter(f"taught/{segment_id}", json.dumps(fields))
    assert shown_depth(session, segment_id) == 1
    click(annotator, (10, 8), 5)
    assert client.asked[-1][0] == key_of(annotator, 5)


def test_nothing_outside_a_region_is_shown(annotator):
    region = RegionChoice.of(((0, None), (2, 12), (5, 8)))
    keys = SliceKeys(annotator.volume, lambda: region)
    shown = keys.pixels(SlicePosition("k", 5), None, 5)
    slices = [pixels_of(annotator.volume, "k", n)[2:12] for n in (5, 5, 5, 6, 7)]
    np.testing.assert_array_equal(shown, stacked(slices))


def test_finish_and_propagate_show_the_neighbours_too(annotator, client, tmp_path):
    annotator.use_taught("tumour", leave_deep(tmp_path / "deep"))
    click(annotator, (10, 8), 5)
    annotator.propagate("tumour", "forward").wait(SAFETY_S)
    keys = [key for key, *_ in client.asked]
    assert keys[:2] == [key_of(annotator, 4, 5, 6), key_of(annotator, 5, 6, 7)]
    found = []

    def find(key, _adapter, segments, *, pixels):
        shown = pixels()
        assert key == slice_key(shown)
        found.append(shown)
        size = len(segments), *shown.shape[1:3]
        finding = Finding(np.full(size, -64, np.int8), (0.9,), np.zeros(4, np.float32))
        client._waiting.append((1, Found(client._next(), key, finding, 1.0)))
        return client._number

    client.find = find
    annotator.finish("tumour", settings=FinishSettings(flips=True)).wait(SAFETY_S)
    assert len(found) == 24
    slices = [pixels_of(annotator.volume, "k", n) for n in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], stacked(slices))
    np.testing.assert_array_equal(found[1], stacked(slices)[:, :, ::-1])


def test_from_confirmed_slices_to_masks_among_neighbours(volume, segmentation, tmp_path):
    client = InferenceClient(
        model="tiny",
        device="cpu",
        cache_folder=str(tmp_path / "cache"),
        environment={**os.environ, "PYTHONPATH": str(FAKES)},
        predictor="tiny_model:load",
    )
    annotator = Annotator(volume, segmentation, client)
    annotator.make_teach_client = lambda: TeachClient.beside(client, predictor="tiny_model:load")
    try:
        annotator.use_model("tiny")
        confirm(annotator, *range(2, 11))
        job = annotator.teach("adapter", config=CONFIG)
        examples = read_examples(job.lesson.examples).examples
        assert {example.depth for example in examples} == {3}
        assert job.wait(4 * SAFETY_S).report["depth"] == 3
        job.adopt()
        # Whoever shows it single slices would be refused.
        annotator.point_on("tumour", SlicePosition("k", 1), (10.0, 8.0))
        events = annotator.wait(SAFETY_S)
        assert any(isinstance(event, MaskWritten) for event in events)
        for going in (annotator.propagate("tumour"), annotator.finish("tumour")):
            going.wait(SAFETY_S)
            assert going.state == "done"
    finally:
        annotator.close()
        client.stop()


def test_earlier_examples_without_neighbours_are_told_of_by_the_lesson(annotator, tmp_path):
    shallow = [replace(one, masks={"tumour": one.masks["disc"]}) for one in discs(3).examples]
    earlier = ExampleLibrary().add(ExampleSet(("tumour",), tuple(shallow)))
    confirm(annotator, *range(2, 11))
    job, _ = taught_by(annotator, STARTED, method="adapter", config=CONFIG, earlier=[earlier])
    examples = read_examples(job.lesson.examples)
    lesson = teach(job.lesson.config, examples, tiny_predictor(), tmp_path / "out", base_name="")
    with pytest.raises(InputError, match=r"kept without its neighbours.*Teach with depth 1"):
        list(lesson)


def test_settings_that_do_not_go_together_are_refused_at_once(annotator):
    confirm(annotator, 3, 4)
    with pytest.raises(InputError, match="depth of a lesson is 3; it must be 1, unless"):
        annotator.teach("lora", config=CONFIG)

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoder_lessons import CLICK, METHODS, base_of, config_of, weights
from lessons import discs, finished, teach, tiny_predictor
from made_images import save_image
from stage import SAFETY_S, Stage, only

from MedSAGaSlicerLib import cli
from MedSAGaSlicerLib.engine.families import architecture, build_architecture
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching import encoder_method
from MedSAGaSlicerLib.engine.teaching.checkpointing import checkpoint_blocks
from MedSAGaSlicerLib.engine.teaching.events import Progress, Saved, Started
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.loss_scaler import LossScaler
from MedSAGaSlicerLib.worker.events import Decoded, Stats

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("galore_torch") is None, reason="galore-torch is not installed"
)


class TestHalfPrecision:
    """Scaled losses, simulated where there is no half precision."""

    def scaled(self, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
        def made(*, needed: bool) -> LossScaler:
            assert not needed
            scaler = LossScaler(needed=True)
            scaler.scale = scale
            return scaler

        monkeypatch.setattr(encoder_method, "LossScaler", made)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_power_of_two_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        teach(tmp_path / "plain", config=config_of(method), base=base_of())
        self.scaled(monkeypatch, 1024.0)
        teach(tmp_path / "scaled", config=config_of(method), base=base_of())
        one, other = weights(tmp_path / "plain"), weights(tmp_path / "scaled")
        for name, tensor in one.items():
            torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("method", METHODS)
    def test_encoder_and_decoder_can_be_run_in_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        self.scaled(monkeypatch, 256.0)
        half = lambda _: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
        monkeypatch.setattr(encoder_method.EncoderMethod, "autocast", half)
        known = replace(architecture("sam_vit_b"), image_size=64, grid=8, dim=48, depth=2, heads=3)
        torch.manual_seed(0)
        base = Predictor(build_architecture("sam_vit_b", known))
        config = replace(config_of(method), steps=3, batch=1, guesses=1, views=1)
        report = finished(teach(tmp_path / "taught", discs(3), config, base)).report
        assert report["skipped_steps"] == 0
        encoder = {n: t for n, t in weights(tmp_path / "taught").items() if "image_encoder" in n}
        assert any(tensor.any() for tensor in encoder.values())
        assert all(p.dtype == torch.float32 for p in base.model.parameters())

    @pytest.mark.parametrize("method", ["late", "lora", "adapter", *METHODS])
    def test_infinite_gradients_at_first_are_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        self.scaled(monkeypatch, 2.0**130)
        config = config_of(method, prompt_tokens=0)
        events = teach(tmp_path / "taught", config=config, base=base_of())
        losses = [event.loss for event in events if isinstance(event, Progress)]
        assert finished(events).report["skipped_steps"] >= 1
        assert len(losses) == 6
        assert all(torch.isfinite(t).all() for t in weights(tmp_path / "taught").values())

    def test_the_factor_falls_fast_and_rises_slowly(self) -> None:
        scaler = LossScaler(needed=True)
        for _ in range(3):
            scaler.told(finite=False)
        assert scaler.scale == 1.0
        for _ in range(99):
            scaler.told(finite=True)
        assert scaler.scale == 1.0
        scaler.told(finite=True)
        assert scaler.scale == 2.0

    def test_a_state_of_a_graphics_card_goes_on_here_and_the_other_way_round(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, card = LossScaler(needed=False), LossScaler(needed=True)
        here.load_state(card.state())
        assert here.scale == 1.0
        card.load_state(LossScaler(needed=False).state())
        assert card.scale > 1
        config = config_of("galore")
        with monkeypatch.context() as patch:
            self.scaled(patch, 256.0)
            lesson = train(config, discs(10, 2), base_of(), tmp_path / "a", base_name="tiny")
            for event in lesson:
                if isinstance(event, Saved):
                    break
            lesson.close()
        started = teach(tmp_path / "a", config=config, base=base_of())[0]
        assert isinstance(started, Started)
        assert started.done == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_it_goes_on_on_another_device(tmp_path: Path, method: str) -> None:
    config = config_of(method)
    card = Predictor(base_of().model, "cuda")
    lesson = train(config, discs(10, 2), card, tmp_path / "a", base_name="tiny")
    for event in lesson:
        if isinstance(event, Saved):
            break
    lesson.close()
    started = teach(tmp_path / "a", config=config, base=base_of())[0]
    assert isinstance(started, Started)
    assert started.done == 2


class TestCheckpointing:
    def kept(self, encoder: torch.nn.Module, images: torch.Tensor) -> tuple[int, list[Any]]:
        """Bytes kept for the gradients between the passes, and the gradients."""
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            features = encoder(images)
        features.square().mean().backward()
        found = [(n, p.grad) for n, p in encoder.named_parameters()]
        encoder.zero_grad()
        return sum(sizes.values()), found

    def test_gradients_stay_and_what_is_kept_shrinks(self) -> None:
        encoder = tiny_predictor(depth=6).model.image_encoder
        images = torch.randn(1, 3, 64, 64)
        plain, expected = self.kept(encoder, images)
        checkpoint_blocks(encoder)
        checkpoint_blocks(encoder)
        small, found = self.kept(encoder, images)
        assert small < plain / 2
        for (name, one), (_, other) in zip(expected, found, strict=True):
            assert one is not None, name
            torch.testing.assert_close(one, other)

    def test_a_tiny_vit_can_have_it_too(self) -> None:
        from MedSAGaSlicerLib.engine.tiny_vit import TinyViT

        torch.manual_seed(0)
        encoder = TinyViT(64, 3, classifier=False, out_chans=16).eval()
        before = list(encoder.state_dict())
        images = torch.randn(1, 3, 64, 64)
        plain, expected = self.kept(encoder, images)
        checkpoint_blocks(encoder)
        small, found = self.kept(encoder, images)
        assert small < plain / 2
        assert list(encoder.state_dict()) == before
        for (_, one), (_, other) in zip(expected, found, strict=True):
            torch.testing.assert_close(one, other)


def test_an_encoder_that_was_taught_answers_through_the_worker_on_its_own_embeddings(
    stage: Stage, tmp_path: Path
) -> None:
    finished(teach(tmp_path / "taught", config=config_of("galore"), base=tiny_predictor()))
    load = "MedSAGaSlicerLib.engine.teaching.adapters:load_adapter"
    client = stage.started(model="tiny", predictor="tiny_model:load", adapters=load)
    shown = discs(1).examples[0]
    client.encode(shown.key, shown.pixels)
    taught = (str(tmp_path / "taught"), "disc")
    scores = []
    for options in ({}, {"taught": taught}, {}, {"taught": taught}):
        asked = client.decode(shown.key, CLICK, pixels=lambda: shown.pixels, **options)
        scores.append(only(client.wait(asked, timeout_s=SAFETY_S), Decoded).score)
    assert scores[0] == scores[2] != scores[1] == scores[3]
    # Switching costs one encode of each slice, once.
    stats = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
    assert stats.values["encoded"] == 2


@pytest.mark.parametrize("method", METHODS)
def test_the_command_line_teaches_the_starter_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    slices = discs(4).examples
    volume = np.stack([e.pixels for e in slices]).astype(np.int16)
    masks = np.stack([e.masks["disc"] for e in slices]).astype(np.uint8)
    save_image(tmp_path / "images" / "a.nii.gz", volume)
    save_image(tmp_path / "labels" / "a.nii.gz", masks)
    given = ["teach", "--images", tmp_path / "images", "--labels", tmp_path / "labels"]
    more = ["--label", 1, "--shots", 2, "--empty", 0, "--steps", 2, "--method", method]
    output = tmp_path / "taught"
    assert cli.main([str(part) for part in (*given, *more, "--output", output)]) == 0
    assert "2 slices, 2 steps" in capsys.readouterr().out
    assert json.loads((output / "model.json").read_text())["method"] == method
    assert json.loads((output / "report.json").read_text())["steps"] == 2

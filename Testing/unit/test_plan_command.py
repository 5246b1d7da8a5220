"""`medsaga plan`: memory and time of every method, before anything is begun."""

import json
import sys
from pathlib import Path

import pytest
from small_encoders import small_model

from MedSAGaSlicerLib import cli
from MedSAGaSlicerLib.cli.parser import build_parser
from MedSAGaSlicerLib.engine.checkpoints import save_model
from MedSAGaSlicerLib.engine.teaching.config import METHODS

GIB = 1 << 30


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert cli.main(["plan", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_method_has_bytes_and_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, "--device", "cpu", "--threads", "1")
    assert (found["model"], found["device"], found["slices"]) == ("starter", "cpu", 15)
    assert [row["method"] for row in found["methods"]] == list(METHODS)
    for row in found["methods"]:
        assert 0.2 * GIB < row["peak_bytes"] < 2 * GIB
        assert row["seconds"] > 1
    (auto,) = [row for row in found["methods"] if row["auto"]]
    assert auto["why"].endswith(".")


def test_a_model_need_not_be_here(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = (
        {row["method"]: row["peak_bytes"] for row in planned(capsys, "--model", name)["methods"]}
        for name in ("sam_vit_b", "sam_vit_h")
    )
    assert all(large[method] > 1.5 * small[method] for method in METHODS)


def test_a_small_card_fits_little_and_a_large_one_all(capsys: pytest.CaptureFixture[str]) -> None:
    def fitting(gib: str) -> set[str]:
        rows = planned(capsys, "--model", "sam_vit_h", "--vram", gib)["methods"]
        return {row["method"] for row in rows if row["fits"]}

    assert fitting("4") == {"decoder"}
    assert "full" not in fitting("8")
    assert fitting("80") == set(METHODS)


def test_one_method_alone_and_auto(capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["method"] for row in planned(capsys, "--method", "lora")["methods"]] == ["lora"]
    (row,) = planned(capsys, "--method", "auto")["methods"]
    assert row["auto"]


def test_a_weight_file_is_recognised(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    save_model(small_model("starter"), tmp_path / "mine.safetensors")
    found = planned(capsys, "--model", str(tmp_path / "mine.safetensors"))
    assert [row["peak_bytes"] for row in found["methods"]] == [
        row["peak_bytes"] for row in planned(capsys)["methods"]
    ]


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--shots", "10", "--vram", "8"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("A lesson on 10 slices, cuda, free memory 7.4 GiB:")
    assert all(method in out for method in METHODS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vram", "0"], "graphics card of 0 GB"),
        (["--vram", "-4"], "graphics card of -4 GB"),
        (["--shots", "0"], "at least one confirmed slice; 0"),
        (["--model", "sam_vit_x"], "sam_vit_x"),
        (["--model", "gone.pth"], "gone.pth is not a file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["plan", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_help_leaves_torch_alone() -> None:
    # Other tests of this process may have imported it: what counts is the parser's own module.
    assert "torch" not in vars(sys.modules["MedSAGaSlicerLib.cli.plan"])
    assert build_parser().parse_args(["plan", "--vram", "8"]).vram == 8

"""The prompt file: what it says is read, and nothing is guessed."""

import json
from pathlib import Path
from typing import Any

import pytest

from MedSAGaSlicerLib.engine.prompt_file import prompt_file_content, read_prompt_file
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.errors import InputError

POINT = {"at": [64, 70], "positive": True}
ENTRY = {"axis": "k", "index": 12, "points": [POINT], "box": [50, 55, 80, 90]}
SEGMENT = {"name": "tumour", "color": [1, 0, 0], "prompts": [ENTRY]}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(content: Any) -> Path:
        path = tmp_path / "P.json"
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def of(*segments: Any) -> dict[str, Any]:
    return {"format": 1, "segments": list(segments)}


def without(content: dict[str, Any], *keys: str, **changed: Any) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys} | changed


def test_a_file_gives_its_segments_in_order(write: Any) -> None:
    second = without(SEGMENT, "color", name="лёгкое 肺", prompts=[without(ENTRY, "points")])
    segments = read_prompt_file(write(of(SEGMENT, second)))
    assert segments == (
        SegmentPrompts(
            "tumour",
            (1.0, 0.0, 0.0),
            (SlicePrompts("k", 12, Prompts(((64, 70),), (True,), (50, 55, 80, 90))),),
        ),
        SegmentPrompts("лёгкое 肺", None, (SlicePrompts("k", 12, Prompts(box=(50, 55, 80, 90))),)),
    )


def test_what_is_written_reads_back(write: Any) -> None:
    segments = read_prompt_file(write(of(SEGMENT, without(SEGMENT, "color", name="b"))))
    assert read_prompt_file(write(prompt_file_content(segments))) == segments


def test_a_byte_order_mark_of_windows_is_no_obstacle(write: Any) -> None:
    assert read_prompt_file(write("\ufeff" + json.dumps(of(SEGMENT))))[0].name == "tumour"


def prompted(**changed: Any) -> dict[str, Any]:
    return of(without(SEGMENT, prompts=[without(ENTRY, **changed)]))


BAD = {
    "text": ("hello", "not valid JSON"),
    "cut off": ('{"format": 1, "segm', "not valid JSON"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "a list": ([], "must be an object"),
    "no format": ({"segments": [SEGMENT]}, "lacks 'format'"),
    "format 2": ({"format": 2, "segments": [SEGMENT]}, "reads format 1"),
    "format true": ({"format": True, "segments": [SEGMENT]}, "reads format 1"),
    "no segment": (of(), "not empty"),
    "unknown key": (of(SEGMENT) | {"model": "x"}, "unknown key 'model'"),
    "unknown segment key": (of(SEGMENT | {"colour": [1, 0, 0]}), "unknown key 'colour'"),
    "unknown entry key": (prompted(mask=1), "unknown key 'mask'"),
    "unknown point key": (prompted(points=[POINT | {"x": 1}]), "unknown key 'x'"),
    "key twice": (
        '{"format": 1, "format": 1, "segments": []}',
        "'format' stands twice",
    ),
    "name twice": (of(SEGMENT, SEGMENT), "two segments are named 'tumour'"),
    "slice twice": (
        of(without(SEGMENT, prompts=[ENTRY, ENTRY])),
        "'tumour' has two entries for axis 'k', index 12",
    ),
    "empty name": (of(without(SEGMENT, name="  ")), "not empty"),
    "name of two lines": (of(without(SEGMENT, name="a\nb")), "control characters"),
    "half a letter": (of(without(SEGMENT, name="\ud800")), "control characters"),
    "name a number": (of(without(SEGMENT, name=1)), "must be a text"),
    "red 255": (of(without(SEGMENT, color=[255, 0, 0])), "from 0 to 1"),
    "colour of two": (of(without(SEGMENT, color=[1, 0])), r"\[red, green, blue\]"),
    "no prompts": (of(without(SEGMENT, prompts=[])), "not empty"),
    "neither": (of(without(SEGMENT, prompts=[without(ENTRY, "points", "box")])), "no prompt"),
    "axis z": (prompted(axis="z"), "'i', 'j' or 'k'"),
    "axis list": (prompted(axis=["k"]), "'i', 'j' or 'k'"),
    "index -1": (prompted(index=-1), "whole number"),
    "index 1.0": (prompted(index=1.0), "whole number"),
    "index true": (prompted(index=True), "whole number"),
    "at of three": (prompted(points=[without(POINT, at=[1, 2, 3])]), r"must be \[i, j\]"),
    "at of texts": (prompted(points=[without(POINT, at=["1", 2])]), "'1', which is not a number"),
    "at true": (prompted(points=[without(POINT, at=[True, 2])]), "True, which is not a number"),
    "no sign": (prompted(points=[without(POINT, "positive")]), "lacks 'positive'"),
    "sign 1": (prompted(points=[without(POINT, positive=1)]), "true or false"),
    "box of three": (prompted(box=[1, 2, 3]), r"\[min_i, min_j, max_i, max_j\]"),
    "NaN": (prompted(box=[1, 2, 3, float("nan")]), "NaN is no number"),
    "infinity": (prompted(box=[1, 2, 3, float("inf")]), "Infinity is no number"),
    "overflow": (json.dumps(prompted()).replace("90", "1e999"), "too large"),
    "many digits": (json.dumps(prompted()).replace("90", "9" * 400), "too large"),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_with_the_reason(write: Any, content: Any, said: str) -> None:
    path = write(content)
    with pytest.raises(InputError, match=said) as raised:
        read_prompt_file(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        read_prompt_file(tmp_path / "none.json")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "P.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_prompt_file(path)

"""The prompt file: JSON that carries segments and their prompts, read strictly."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from MedSAGaSlicerLib.engine.geometry import AXES, IN_PLANE
from MedSAGaSlicerLib.engine.prompts import Box, Color, Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.errors import InputError


def read_prompt_file(path: Path) -> tuple[SegmentPrompts, ...]:
    """Read a prompt file (JSON, format 1), strictly.

    Whether the prompts lie inside an image is for `check_inside` to say.

    Raises:
        InputError: the file is missing or not as the format says; names the place and the remedy.
    """
    try:
        content = json.loads(
            Path(path).read_text(encoding="utf-8-sig"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
        )
    except OSError as error:
        msg = f"Cannot read the prompt file {path}: {error.strerror or error}."
        raise InputError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"The prompt file {path} is not valid JSON: {error}."
        raise InputError(msg) from error
    try:
        return _segments(content)
    except InputError as error:
        msg = f"Prompt file {path}: {error}"
        raise InputError(msg) from error


def prompt_file_content(segments: tuple[SegmentPrompts, ...]) -> dict[str, Any]:
    """What a prompt file of these segments holds, ready for JSON: `read_prompt_file` undone."""
    return {"format": 1, "segments": [_segment_content(segment) for segment in segments]}


def _segment_content(segment: SegmentPrompts) -> dict[str, Any]:
    content: dict[str, Any] = {"name": segment.name}
    if segment.color is not None:
        content["color"] = list(segment.color)
    content["prompts"] = [_slice_content(entry) for entry in segment.slices]
    return content


def _slice_content(entry: SlicePrompts) -> dict[str, Any]:
    content: dict[str, Any] = {"axis": entry.axis, "index": entry.index}
    given = entry.prompts
    if given.points:
        content["points"] = [
            {"at": list(at), "positive": positive}
            for at, positive in zip(given.points, given.positive, strict=True)
        ]
    if given.box is not None:
        content["box"] = list(given.box)
    return content


def _segments(content: Any) -> tuple[SegmentPrompts, ...]:
    fields = _object(content, "The file", required=("format", "segments"))
    if type(fields["format"]) is not int or fields["format"] != 1:
        _refuse(f'"format" is {fields["format"]!r}; this version reads format 1')
    entries = _list(fields["segments"], '"segments"')
    segments = tuple(_segment(entry, f"segments[{at}]") for at, entry in enumerate(entries))
    names: set[str] = set()
    for segment in segments:
        if segment.name in names:
            _refuse(f"two segments are named {segment.name!r}; merge them or rename one")
        names.add(segment.name)
    return segments


def _segment(content: Any, where: str) -> SegmentPrompts:
    fields = _object(content, where, required=("name", "prompts"), optional=("color",))
    name = _name(fields["name"], where)
    color = _color(fields["color"], where) if "color" in fields else None
    entries = _list(fields["prompts"], f"{where}.prompts")
    slices = tuple(_slice(entry, f"{where}.prompts[{at}]") for at, entry in enumerate(entries))
    places: set[tuple[str, int]] = set()
    for entry in slices:
        if (entry.axis, entry.index) in places:
            _refuse(
                f"segment {name!r} has two entries for axis {entry.axis!r}, index {entry.index}; "
                "put all points and the box of a slice into one entry"
            )
        places.add((entry.axis, entry.index))
    return SegmentPrompts(name, color, slices)


def _slice(content: Any, where: str) -> SlicePrompts:
    fields = _object(content, where, required=("axis", "index"), optional=("points", "box"))
    axis, index = fields["axis"], fields["index"]
    if not isinstance(axis, str) or axis not in AXES:
        _refuse(f"{where}.axis is {axis!r}; it must be 'i', 'j' or 'k', the slice's normal")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        _refuse(f"{where}.index is {index!r}; it must be a whole number from 0")
    points, positive = [], []
    if "points" in fields:
        for at, entry in enumerate(_list(fields["points"], f"{where}.points")):
            place = f"{where}.points[{at}]"
            point = _object(entry, place, required=("at", "positive"))
            a, b = _numbers(point["at"], 2, f"{place}.at", f"[{', '.join(IN_PLANE[axis])}]")
            if not isinstance(point["positive"], bool):
                _refuse(f"{place}.positive is {point['positive']!r}; it must be true or false")
            points.append((a, b))
            positive.append(point["positive"])
    box: Box | None = None
    if "box" in fields:
        first, second = tuple(IN_PLANE[axis])
        corners = f"[min_{first}, min_{second}, max_{first}, max_{second}]"
        left, top, right, bottom = _numbers(fields["box"], 4, f"{where}.box", corners)
        box = left, top, right, bottom
    if not points and box is None:
        _refuse(f'{where} has no prompt; give "points", a "box", or both')
    return SlicePrompts(axis, index, Prompts(tuple(points), tuple(positive), box))


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse(f"{where}.name is {value!r}; it must be a text that is not empty")
    # Control characters would break the header of the segmentation file, lone surrogates have no
    # UTF-8; letters of any script are fine.
    if any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in value) or any(
        0xD800 <= ord(letter) < 0xE000 for letter in value
    ):
        _refuse(f"{where}.name is {value!r}; it must not hold control characters")
    return str(value)


def _color(value: Any, where: str) -> Color:
    red, green, blue = _numbers(value, 3, f"{where}.color", "[red, green, blue]")
    if not all(0 <= part <= 1 for part in (red, green, blue)):
        _refuse(f"{where}.color is {value!r}; red, green and blue go from 0 to 1")
    return red, green, blue


def _numbers(value: Any, count: int, where: str, meaning: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        _refuse(f"{where} is {value!r}; it must be {meaning}")
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float):
            _refuse(f"{where} holds {number!r}, which is not a number; it must be {meaning}")
        # A whole number of many digits cannot even be made a float, and no image is that large.
        if (isinstance(number, int) and abs(number) > 2**53) or not math.isfinite(number):
            _refuse(f"{where} holds a number that is too large")
    return tuple(float(number) for number in value)


def _object(
    value: Any, where: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    known = ", ".join((*required, *optional))
    if not isinstance(value, dict):
        _refuse(f"{where} must be an object with {known}")
    for key in value:
        if key not in required and key not in optional:
            _refuse(f"{where} has the unknown key {key!r}; known are {known}")
    for key in required:
        if key not in value:
            _refuse(f"{where} lacks {key!r}")
    return dict(value)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        _refuse(f"{where} must be a list that is not empty")
    return list(value)


def _refuse(problem: str) -> NoReturn:
    msg = f"{problem}."
    raise InputError(msg)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            msg = f"the key {key!r} stands twice in one object"
            raise ValueError(msg)
        result[key] = value
    return result


def _refuse_constant(constant: str) -> NoReturn:
    msg = f"{constant} is no number of JSON"
    raise ValueError(msg)

"""Lines of figures: how they are kept, and what a page makes of them."""

import importlib
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parent.parent / "benchmark"


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    return importlib.import_module("lines")


@pytest.fixture
def markdown(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    return importlib.import_module("page.markdown")


def test_of_two_measurements_of_the_same_the_later_one_counts(lines, tmp_path):
    file = tmp_path / "teach.jsonl"
    for value in (1, 2):
        lines.append(file, {"benchmark": "a lesson", "seed": 0, "value": value})
    found = lines.keyed(file, "a lesson", ["seed"])
    assert [line["value"] for line in found.values()] == [2]


def test_a_line_that_was_cut_short_is_left_out(lines, tmp_path):
    file = tmp_path / "teach.jsonl"
    file.write_text('{"benchmark": "a", "value": 1}\n{"benchmark": "b", "val', encoding="utf-8")
    assert [line["benchmark"] for line in lines.read(file)] == ["a"]


def test_a_run_of_a_script_replaces_its_earlier_figures(lines, tmp_path):
    file = tmp_path / "cpu" / "scene.jsonl"
    lines.replace(file, [{"value": 1}, {"value": 2}])
    lines.replace(file, [{"value": 3}])
    assert lines.read(file) == [{"value": 3}]
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.0012345, "s", "1.23 ms"),
        (61.7, "s of CPU", "61.7 s of CPU"),
        (0.0000014, "s", "1.40 µs"),
        (123456, "bytes", "123 kB"),
        (1536, "MiB", "1.50 GiB"),
        (0.9333, "share", "93 %"),
        (0.84567, "Dice", "0.846"),
        (12345, "times", "12300 times"),
    ],
)
def test_values_are_told_in_a_unit_that_is_read_easily(markdown, value, unit, told):
    assert markdown.amount(value, unit) == told


def test_a_goal_that_was_missed_is_marked(markdown):
    line = {"benchmark": "a click", "unit": "ms", "value": 30.0, "limit": 25}
    assert "**missed**" in markdown.goal_of(line)
    assert "reached" in markdown.goal_of({**line, "value": 20.0})


def test_more_than_asked_for_is_good_where_more_is_better(markdown):
    line = {"benchmark": "late against full", "unit": "times shorter", "value": 3.2, "goal": 3}
    assert markdown.goal_of(line).endswith("reached")

"""Progress reaches people as a bar and programs as JSON lines."""

import io
import json

import pytest

from MedSAGaSlicerLib.engine.progress import Reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def shown(terminal: io.StringIO) -> list[str]:
    """What stood on the line, one state after the other."""
    return [state.rstrip() for state in terminal.getvalue().split("\r") if state.strip()]


def test_a_terminal_gets_a_bar_that_is_cleared_before_a_sentence(output: io.StringIO) -> None:
    terminal = Terminal()
    reporter = Reporter(output, terminal)
    reporter.progress(0, 4, "slice k 1")
    reporter.progress(4, 4, "done")
    reporter.say("Written: a")
    assert shown(terminal)[0].startswith("[" + "-" * 24 + "] 0/4  slice k 1")
    assert shown(terminal)[1].startswith("[" + "#" * 24 + "] 4/4  done")
    assert terminal.getvalue().endswith(" \r")
    assert output.getvalue() == "Written: a\n"


def test_a_shorter_state_covers_a_longer_one() -> None:
    terminal = Terminal()
    reporter = Reporter(io.StringIO(), terminal)
    reporter.progress(0, 2, "a rather long description of what is done")
    reporter.progress(2, 2, "done")
    first, second = terminal.getvalue().split("\r")[1:]
    assert len(second) == len(first)


def test_work_of_unknown_length_is_named() -> None:
    terminal = Terminal()
    Reporter(io.StringIO(), terminal).progress(0, 0, "loading starter")
    assert shown(terminal) == ["loading starter ..."]


def test_the_bar_is_not_drawn_for_each_of_many_steps() -> None:
    terminal = Terminal()
    reporter = Reporter(io.StringIO(), terminal)
    for done in range(10_001):
        reporter.progress(done, 10_000, "slice")
    assert 2 <= len(shown(terminal)) < 1000
    assert "10000/10000" in shown(terminal)[-1]


def test_a_file_gets_no_bar(output: io.StringIO) -> None:
    errors = io.StringIO()
    reporter = Reporter(output, errors)
    reporter.progress(1, 2, "slice")
    reporter.say("done")
    assert errors.getvalue() == ""
    assert output.getvalue() == "done\n"


def test_a_program_gets_events_and_no_sentences(output: io.StringIO) -> None:
    terminal = Terminal()
    reporter = Reporter(output, terminal, as_json=True)
    reporter.progress(1, 2, "slice")
    reporter.say("for people")
    reporter.event("finished", output="a")
    assert [json.loads(line) for line in output.getvalue().splitlines()] == [
        {"event": "progress", "done": 1, "total": 2, "doing": "slice"},
        {"event": "finished", "output": "a"},
    ]
    assert terminal.getvalue() == ""


def test_letters_that_a_terminal_lacks_are_no_failure() -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Reporter(output, io.StringIO()).say("肝.nii")
    assert output.buffer.getvalue() == b"\\u809d.nii\n"


def test_a_failure_is_one_line_whatever_the_message_holds() -> None:
    errors = io.StringIO()
    Reporter(io.StringIO(), errors).fail("first\n  second")
    assert errors.getvalue() == "medsaga: first second\n"

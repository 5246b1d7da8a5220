"""What the panel says of lessons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from slicer.i18n import tr as _

from MedSAGaSlicerLib.engine.teaching.config import AUTO
from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Planned,
    Prepared,
    Progress,
    RoomWanted,
    Started,
    SteppedDown,
    Stopped,
    Validated,
)
from MedSAGaSlicerLib.worker.events import Restarted
from MedSAGaSlicerLib.worker.lesson_events import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from MedSAGaSlicerLib.scene.teaching import TeachingJob
    from MedSAGaSlicerLib.worker.lesson_events import LessonEvent

MEASURABLE: Final = 8
"""With fewer confirmed slices none is kept aside, and nothing is measured."""
HARMLESS: Final = 5
"""Slices from which no structure's clicks got worse by more than a trifle; from one they did on two
of four, by `decoder` (BENCHMARKS.md, "Ways of teaching by the number of masks")."""


def line_about(event: LessonEvent) -> str:
    """One line about a lesson's event, "" if it is not worth one."""
    if isinstance(event, Planned | RoomWanted | SteppedDown):
        return _line_about_means(event)
    if isinstance(event, Started):
        text = _("Learning from {slices} slices by {method} on {device}.")
        return str(text.format(slices=event.slices, method=event.method, device=event.device))
    if isinstance(event, Prepared):
        text = _("Looking at slices: {done} of {total}.")
        return str(text.format(done=event.done, total=event.total))
    if isinstance(event, Progress):
        text = _("Teaching: step {step} of {steps}, {left:.0f} s left.")
        return str(text.format(step=event.step, steps=event.steps, left=event.seconds_left))
    if isinstance(event, Validated):
        text = _("Dice {moment} the lesson: {dice:.2f} on {slices} slices.")
        return str(text.format(moment=event.moment, dice=event.dice, slices=event.slices))
    if isinstance(event, Restarted):
        return str(_("The lesson's process ended and was started again; nothing is lost."))
    return ""


def _line_about_means(event: Planned | RoomWanted | SteppedDown) -> str:
    if isinstance(event, Planned):
        text = _("Teaching by {method}: about {seconds:.0f} s, {gib:.1f} GB.")
        gib = event.peak / (1 << 30)
        return str(text.format(method=event.method, seconds=event.seconds, gib=gib))
    if isinstance(event, RoomWanted):
        return str(_("The lesson waits for memory on {device}.").format(device=event.device))
    text = _("Too little memory: it goes on by {method}, {count} objects at once.")
    return str(text.format(method=event.method, count=event.at_once))


def plan_line(methods: Mapping[str, Mapping[str, Any]], method: str, confirmed: int) -> str:
    """What a lesson would take and bring, before it begins; ``methods`` is what is known of them.

    Each is a row of ``engine.teaching.plan_table``.
    """
    text = _("{count} slices, some of them kept aside to measure.")
    if confirmed < MEASURABLE:
        text = _("{count} slices; with {enough} and more, what it brings is measured.")
    if confirmed < HARMLESS:
        text = _(
            "Slices: {count}. From fewer than {few} prompts can get worse instead of better; with "
            "{enough} and more, what it brings is measured."
        )
    brings = str(text.format(count=confirmed, few=HARMLESS, enough=MEASURABLE))
    chosen = (row for row in methods.values() if row["auto"])
    row = methods.get(method) if method != AUTO else next(chosen, None)
    if row is None or row["seconds"] is None:
        return brings
    text = _("≈ {seconds:.0f} s, {gb:.1f} GB, {method}.")
    if row["fits"] is False:
        text = _("≈ {seconds:.0f} s, {gb:.1f} GB, {method}: more than there is; it will step down.")
    gb = row["peak_bytes"] / 1e9
    takes = text.format(seconds=row["seconds"], gb=gb, method=row["method"])
    return f"{takes} {brings}"


def outcome_line(job: TeachingJob) -> str:
    """What came of a lesson; how far it is if it goes on."""
    outcome = job.outcome
    if isinstance(outcome, Failed):
        return str(outcome.message)
    if isinstance(outcome, Stopped):
        if outcome.resumable:
            return str(
                _("Stopped at step {step}; Teach goes on from there.").format(step=outcome.step)
            )
        return str(_("Stopped before the first step."))
    if not isinstance(outcome, Finished):
        return ""
    if outcome.accepted is None:
        return str(_("Not measured: fewer than 8 slices. Look at its masks and decide."))
    count = outcome.report.get("n")
    text = _("Dice {before:.3f} → {after:.3f} on {count} slices kept aside. {verdict}")
    verdict = (
        _("Better: it is in use.") if outcome.accepted else _("Not better: the old model stays.")
    )
    if outcome.accepted and not job.used:
        verdict = _("Better, but not in use.")
    return str(text.format(before=job.before, after=job.after, count=count, verdict=verdict))

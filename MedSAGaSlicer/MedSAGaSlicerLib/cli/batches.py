"""Commands that take many volumes: finish, and segment with a folder of prompts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.batch import Order, Outcome
    from MedSAGaSlicerLib.engine.progress import Reporter


def finish(options: argparse.Namespace, reporter: Reporter) -> None:
    """Segment volumes by what was taught, without prompts."""
    from MedSAGaSlicerLib.engine.finishing.orders import finish_orders
    from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings

    settings = FinishSettings(
        smooth=not options.no_smooth,
        components=not options.no_components,
        holes=not options.no_holes,
        flips=options.flips,
    )
    orders = finish_orders(
        options.volume,
        options.adapter,
        options.output,
        model=options.model,
        axis=options.axis,
        frame=options.frame,
        region=options.region,
        finish=settings,
        device=options.device,
        threads=options.threads,
        precision=options.precision,
    )
    outcomes = _carry_out(orders, options, reporter)
    for outcome in outcomes:
        if outcome.facts.get("next"):
            slices = ", ".join(str(index) for index in outcome.facts["next"])
            axis = outcome.facts["axis"]
            reporter.say(f"{outcome.name}: least sure on the slices {axis} {slices}")
    _conclude(outcomes, options, reporter)


def segment_many(options: argparse.Namespace, reporter: Reporter, further: dict[str, Any]) -> None:
    """Segment volumes by a prompt file each; ``further`` goes to each one's segmenting."""
    from MedSAGaSlicerLib.engine.segment_orders import segment_orders

    orders = segment_orders(
        options.volume,
        options.prompts,
        options.output,
        model=options.model,
        adapter=options.adapter,
        options=further,
        device=options.device,
        threads=options.threads,
        precision=options.precision,
    )
    _conclude(_carry_out(orders, options, reporter), options, reporter)


def _carry_out(
    orders: Sequence[Order], options: argparse.Namespace, reporter: Reporter
) -> list[Outcome]:
    outcomes = []
    for outcome in _outcomes(orders, options, reporter):
        told = {name: value for name, value in outcome.facts.items() if name != "slices"}
        reporter.event(
            "volume",
            name=outcome.name,
            status=outcome.status,
            seconds=round(outcome.seconds, 3),
            message=outcome.message,
            **told,
        )
        outcomes.append(outcome)
        if options.dask:
            reporter.progress(len(outcomes), len(orders), f"volumes on {options.dask}")
    return outcomes


def _outcomes(
    orders: Sequence[Order], options: argparse.Namespace, reporter: Reporter
) -> Iterator[Outcome]:
    if options.dask:
        from MedSAGaSlicerLib.engine.dask_batch import run_on_cluster

        reporter.progress(0, len(orders), f"volumes on {options.dask}")
        return run_on_cluster(options.dask, orders)
    from MedSAGaSlicerLib.engine.batch import run_here

    return run_here(orders, reporter.progress)


def _conclude(outcomes: Sequence[Outcome], options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine.batch import refuse_failures, table

    for line in table(outcomes):
        reporter.say(line)
    counts = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in ("done", "present", "failed", "left")
    }
    if counts["done"] or counts["present"]:
        reporter.say(f"Written: {options.output}")
    refuse_failures(outcomes)
    reporter.event("finished", output=str(options.output), **counts)

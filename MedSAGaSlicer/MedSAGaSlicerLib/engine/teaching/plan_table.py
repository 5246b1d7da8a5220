"""What lessons would need on a machine, as rows for programs and as a table for people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.checkpoints import recognise
from MedSAGaSlicerLib.engine.devices import choose_device
from MedSAGaSlicerLib.engine.families import FAMILIES, build
from MedSAGaSlicerLib.engine.teaching.choice import Machine, choose, free_on_card, outlook
from MedSAGaSlicerLib.engine.teaching.config import AUTO, METHODS, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.machine_speed import free_bytes, machine_speed
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.planning import settled, undecided
from MedSAGaSlicerLib.engine.weight_files import declared_family, read_tensors
from MedSAGaSlicerLib.errors import InputError

_GIB = 1 << 30


def this_machine(device: str, threads: int | None = None) -> Machine:
    """The device, what is free of it just now, and its speed, measured in a moment.

    Raises:
        InputError, DependencyError: there is no such device.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = choose_device(device)
    return Machine(chosen.type, free_bytes(chosen), machine_speed(chosen))


def card_name(device: str) -> str | None:
    """What the maker calls a graphics card, None for any other device."""
    return str(torch.cuda.get_device_name()) if device == "cuda" else None


def another_card(gib: float) -> Machine:
    """A graphics card of so many GiB; as fast as the one here, or nobody knows.

    Raises:
        InputError: that is no card.
    """
    if not 0 < gib < 10_000:
        msg = f"A graphics card of {gib:g} GB is none; give its memory in GB, as in --vram 8"
        raise InputError(msg)
    speed = machine_speed("cuda") if torch.cuda.is_available() else None
    return Machine("cuda", free_on_card(gib), speed)


def family_of(model: str) -> str:
    """The family of a model, by its registered name, its family's name, or its file.

    The model need not be on this machine, unless it is a file.

    Raises:
        InputError, CheckpointError: there is no such model.
    """
    start = model.partition(":")[0]
    if start in FAMILIES:
        return start
    known = {entry.name: entry.family for entry in registry.entries()}
    if model in known:
        return known[model]
    path = Path(model).expanduser()
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        registry.entry(model)
    found = recognise(read_tensors(path))
    # Of several that fit, all are of the same size.
    family = declared_family(path) or (found[0] if found else None)
    if family is None:
        msg = f"{path} fits no known family ({', '.join(FAMILIES)}); plan for one of these"
        raise InputError(msg)
    return family


def plan_rows(
    model: str,
    machine: Machine,
    slices: int,
    method: str | None = None,
    config: TeachingConfig | None = None,
) -> list[dict[str, Any]]:
    """What a lesson on so many confirmed slices would need, by method.

    Args:
        model: see `family_of`.
        machine: where.
        slices: confirmed ones.
        method: this one alone, or what `auto` stands for; None: all.
        config: the lesson's settings besides the method; None: the usual ones.

    Returns:
        Plain values: ``method``, ``auto`` (whether it is what `auto` stands for), ``peak_bytes``,
        ``seconds`` and ``fits`` (None where not known), and ``why`` of `auto`'s choice.

    Raises:
        InputError: there is no such model, or no slice.
    """
    if slices < 1:
        msg = f"A lesson needs at least one confirmed slice; {slices} were given"
        raise InputError(msg)
    family = family_of(model)
    cost, network = cost_of(family), build(family, "meta")
    wanted = config or TeachingConfig()
    chosen, why = choose(cost, settled_but_method(network, wanted), slices, machine)
    methods = METHODS if method is None else (chosen.method if method == AUTO else method,)
    rows = []
    for name in methods:
        settings = settled(wanted.by(name), network)
        if name == chosen.method:
            settings = replace(settings, at_once=chosen.at_once)
        found = outlook(cost, settings, slices, machine, name)
        rows.append(
            {
                "method": name,
                "auto": name == chosen.method,
                "peak_bytes": found.peak,
                "seconds": found.seconds,
                "fits": found.fits,
                "why": why if name == chosen.method else None,
            }
        )
    return rows


def settled_but_method(network: Any, config: TeachingConfig) -> TeachingConfig:
    """The settings for a model, with the method still open."""
    return undecided(settled(config.by(AUTO), network), config)


def plan_table(rows: list[dict[str, Any]], machine: Machine, slices: int) -> str:
    """The rows as aligned columns, and what they are about."""
    free = "unknown" if machine.free is None else f"{machine.free / _GIB:.1f} GiB"
    lines = [("METHOD", "MEMORY", "TIME", "FITS", "")]
    for row in rows:
        fits = {None: "?", True: "yes", False: "no"}[row["fits"]]
        memory = f"{row['peak_bytes'] / _GIB:.1f} GiB"
        mark = "auto" if row["auto"] else ""
        lines.append((row["method"], memory, _duration(row["seconds"]), fits, mark))
    widths = [max(len(line[at]) for line in lines) for at in range(5)]
    table = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    head = f"A lesson on {slices} slices, {machine.device}, free memory {free}:"
    return "\n".join([head, *table])


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

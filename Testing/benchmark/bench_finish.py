"""Seconds per slice of finishing a volume, beside bare encoding and decoding of the same slices.

A made abdomen; the shipped starter, taught for a few steps, for speed does not depend on how well.
Rounds of both are taken by turns, so that what else the machine does falls on both alike. With
several segments the bare part decodes each, on one embedding. The last figure goes through a worker
process, as in Slicer, two slices ahead.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from report import report

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.finishing.volumes import finish_volume
from MedSAGaSlicerLib.engine.images import Volume
from MedSAGaSlicerLib.engine.phantom import Phantom, make_phantom
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, volume_normalisation
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Found

GOAL = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, help="of the volume; all unless given")
    options = parser.parse_args()
    phantom = make_phantom()
    volume = Volume(phantom.ct_kji, phantom.geometry, False, Path("made"))
    if options.slices:
        cut = volume.array_kji[: options.slices]
        i, j, _ = volume.geometry.shape_ijk
        geometry = replace(volume.geometry, shape_ijk=(i, j, len(cut)))
        volume = Volume(cut, geometry, False, Path("made"))
    base = load_predictor(options.model, options.device, options.threads)
    for count in (1, 4):
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work) / "taught"
            names = teach(base, phantom, count, folder, options.model)
            taught = load_adapter(folder, base)
            compare(volume, taught, names, options.rounds)
            if count == 1:
                through_worker(volume, folder, taught, names, options)


def teach(base: Predictor, phantom: Phantom, count: int, folder: Path, name: str) -> list[str]:
    """Teach the first organs for two steps; their names."""
    organs = list(phantom.organs)[:count]
    normalisation = volume_normalisation(
        Volume(phantom.ct_kji, phantom.geometry, False, Path("made"))
    )
    examples = [
        Example(
            "made",
            "k",
            index,
            normalised_slice(phantom.ct_kji, normalisation, "k", index),
            {organ: phantom.organs[organ][index] for organ in organs},
            normalisation,
            (1.0, 1.0),
            3.0,
        )
        for index in np.linspace(2, len(phantom.ct_kji) - 3, 4).astype(int).tolist()
    ]
    config = TeachingConfig(steps=2, save_every=2, views=1, guesses=2)
    list(train(config, ExampleSet(tuple(organs), tuple(examples)), base, folder, base_name=name))
    return organs


def compare(volume: Volume, taught: TaughtPredictor, names: list[str], rounds: int) -> None:
    """Bare and finishing by turns; CPU time and wall time per slice."""
    pixels = slices_of(volume)
    bare = partial(bare_round, pixels, taught, names)
    raw = partial(finish_volume, volume, taught, names, FinishSettings.raw())
    full = partial(finish_volume, volume, taught, names, FinishSettings())
    bare()
    taken = [[timed(work) for work in (bare, raw, full)] for _ in range(rounds)]
    for at, what in ((1, "as it is"), (2, "smoothed and cleaned")):
        for clock, unit in enumerate(("wall", "CPU")):
            report(
                f"finish, {len(names)} segments, {what}, {unit} beside bare encode + decode",
                [row[at][clock] / row[0][clock] for row in taken],
                "times",
                goal=GOAL,
                bare_s_per_slice=round(
                    float(np.median([r[0][clock] for r in taken])) / len(pixels), 4
                ),
            )


def bare_round(
    pixels: Sequence[NDArray[np.uint8]], taught: TaughtPredictor, names: Sequence[str]
) -> None:
    """Encode each slice and decode each segment; masks are thrown away."""
    for one in pixels:
        embedding = taught.encode(one)
        for name in names:
            taught.predict_unprompted(embedding, name)


def through_worker(
    volume: Volume,
    folder: Path,
    taught: TaughtPredictor,
    names: list[str],
    options: argparse.Namespace,
) -> None:
    """The same through a worker with an empty cache, two slices ahead."""
    pixels = slices_of(volume)
    ratios = []
    for _ in range(options.rounds):
        bare, _ = timed(partial(bare_round, pixels, taught, names))
        with tempfile.TemporaryDirectory() as cache:
            client = InferenceClient(
                model=options.model,
                device=options.device,
                threads=options.threads,
                cache_folder=cache,
            )
            client.start()
            client.wait()
            ratios.append(timed(partial(ask_all, client, pixels, folder, names))[0] / bare)
            client.stop()
    report("finish through a worker beside bare encode + decode", ratios, "times", goal=GOAL)


def ask_all(
    client: InferenceClient, pixels: Sequence[NDArray[np.uint8]], folder: Path, names: list[str]
) -> None:
    """Every slice once; the next one is asked for before this one is answered."""
    waiting: list[int] = []
    for one in pixels:
        waiting.append(
            client.find(slice_key(one), str(folder), names, pixels=partial(np.asarray, one))
        )
        if len(waiting) > 1:
            assert any(isinstance(event, Found) for event in client.wait(waiting.pop(0)))
    for request in waiting:
        client.wait(request)


def slices_of(volume: Volume) -> list[NDArray[np.uint8]]:
    """The normalised slices along k."""
    normalisation = volume_normalisation(volume)
    return [
        normalised_slice(volume.array_kji, normalisation, "k", index)
        for index in range(len(volume.array_kji))
    ]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

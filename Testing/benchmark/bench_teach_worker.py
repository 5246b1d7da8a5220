"""The teaching worker beside the inference worker: what a lesson costs the person who goes on
annotating, how soon it stops, and what killing it loses."""

import argparse
import os
import resource
import signal
import tempfile
import time
from pathlib import Path

import fakes_path  # noqa: F401  where the next ones are
import numpy as np
import safetensors.numpy
from classroom_stage import ClassroomStage, poll_lesson, real_lesson
from lessons import QUICK, discs
from report import report
from stage import SAFETY_S, Stage, a_slice, only

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Finished, Progress, Started, Stopped
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Restarted

SIZE = (512, 512)
CLICK = Prompts(points=((256, 200),), positive=(True,))
TICK_S = 0.01
# A person who clicks without a pause.
CLICK_EVERY_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="starter", help="random weights: only speed counts")
    parser.add_argument("--slices", type=int, default=15)
    parser.add_argument("--steps", type=int, default=TeachingConfig.steps)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "inference").mkdir()
        room, stage = ClassroomStage(Path(folder)), Stage(Path(folder) / "inference")
        try:
            config = TeachingConfig(steps=options.steps)
            _annotating(room, stage, options.family, options.slices, config)
            _stops(room, options.family, options.slices, options.stops)
            _kills(room, options.kills)
        finally:
            room.close()
            stage.close()


def _annotating(
    room: ClassroomStage, stage: Stage, family: str, slices: int, config: TeachingConfig
) -> None:
    """Clicks while a whole lesson is given, beside clicks without one."""
    asking = stage.client(model=family, predictor="random_weights:load")
    asking.wait(asking.start(), timeout_s=600)
    key, pixels = a_slice(0, SIZE)
    encoded = only(asking.wait(asking.encode(key, pixels), timeout_s=SAFETY_S), Encoded)
    quiet = [_click(asking, key) for _ in range(60)][10:]
    client = room.real_client("random_weights:load")
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    client.start(real_lesson(room.base, "whole", family, config, discs(slices, 3)))
    during, news, first_step, next_click = [], [], 0.0, begin
    while client.running:
        news += client.poll()
        if news and isinstance(news[-1], Progress) and time.monotonic() > next_click:
            first_step = first_step or time.monotonic() - begin
            during.append(_click(asking, key))
            next_click = time.monotonic() + CLICK_EVERY_S
        time.sleep(TICK_S)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    end = only(news, Finished)
    about = {"family": family, "slices": slices, "steps": end.report["steps"]}
    told = {"goal": 60, "wall_s": round(wall, 1), **about}
    report("a lesson, CPU time of its process", [cpu], "s of CPU", **told)
    told = {
        "reference": slices * encoded.milliseconds / 1000,
        "reference_is": "encoding its slices",
    }
    report("a lesson, from its start to its first step", [first_step], "s", **told, **about)
    worst = sorted(during)[int(len(during) * 0.95)]
    about |= {"reference": sorted(quiet)[len(quiet) // 2], "reference_is": "without a lesson"}
    about |= {"p95": round(worst, 2)}
    report("a click on a cached slice while a lesson is given", during, "ms", **about)


def _click(client: InferenceClient, key: str) -> float:
    begin = time.perf_counter()
    answer = only(client.wait(client.decode(key, CLICK), timeout_s=SAFETY_S), Decoded)
    client.release(answer.logits_id)
    return (time.perf_counter() - begin) * 1000


def _stops(room: ClassroomStage, family: str, slices: int, count: int) -> None:
    """From pressing Stop to the word that it has stopped, while it prepares and while it learns."""
    random = np.random.default_rng(count)
    client = room.real_client("random_weights:load")
    lesson = real_lesson(room.base, "stopped", family, TeachingConfig(), discs(slices, 3))
    times, at = [], []
    for number in range(count):
        client.start(lesson)
        if number % 2:
            steps = int(random.integers(1, 20))
            poll_lesson(client, lambda news, steps=steps: _steps(news) >= steps)
        else:
            poll_lesson(client, lambda news: any(isinstance(event, Started) for event in news))
        until = time.monotonic() + random.uniform(0, 2)
        poll_lesson(client, lambda _, until=until: time.monotonic() > until or not client.running)
        begin = time.monotonic()
        client.stop()
        end = client.wait(SAFETY_S)[-1]
        if isinstance(end, Stopped):
            times.append(time.monotonic() - begin)
            at.append(end.step)
    report("stopping a lesson", times, "s", goal=2, family=family, stopped_at_steps=at)


def _kills(room: ClassroomStage, count: int) -> None:
    """Kills at random instants; at the end the weights must be those of an undisturbed lesson."""
    random = np.random.default_rng(count)
    client = room.real_client("tiny_model:load")
    config = TeachingConfig.from_dict(QUICK.to_dict() | {"steps": 200, "save_every": 10})
    folder = room.base / "tiny"
    folder.mkdir()
    results = []
    for name in ("undisturbed", "killed"):
        client.start(real_lesson(folder, name, "tiny", config, discs(10, 2)))
        news, kills, next_kill = [], 0, int(random.integers(8, 30))
        while client.running:
            news += client.poll()
            if name == "killed" and kills < count and _steps(news) >= next_kill and client.running:
                os.kill(client.process, signal.SIGKILL)
                kills, next_kill = kills + 1, _steps(news) + int(random.integers(12, 40))
            time.sleep(TICK_S)
        results.append(safetensors.numpy.load_file(folder / name / "weights.safetensors"))
    whole, killed = results
    lost = sum(not np.array_equal(whole[name], killed[name]) for name in whole)
    again = sum(isinstance(event, Restarted) for event in news)
    report("tensors changed by kill -9", [lost], "count", kills=again, tensors=len(whole))


def _steps(news: list) -> int:
    return sum(isinstance(event, Progress) for event in news)


if __name__ == "__main__":
    main()

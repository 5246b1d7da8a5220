"""The inference worker: what the way there and back costs, what an encode costs a decode, and what
killing it loses."""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fakes_path  # noqa: F401  where the next ones are
from killing import kill_again_and_again
from report import report
from stage import SAFETY_S, Stage, a_slice, launcher_command, only

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Decoded, Encoded

SIZE = (512, 512)
CLICK = Prompts(points=((256, 200),), positive=(True,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="*", default=["starter"])
    parser.add_argument("--decodes", type=int, default=100)
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    for family in options.families:
        _with_stage(lambda stage, family=family: _decodes(stage, family, options.decodes))
    _with_stage(lambda stage: _kills(stage, options.kills, launched=False))
    _with_stage(lambda stage: _kills(stage, options.kills, launched=True))


def _with_stage(measure: Callable[[Stage], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            measure(stage)
        finally:
            stage.close()


def _decodes(stage: Stage, family: str, count: int) -> None:
    client = stage.client(model=family, predictor="random_weights:load")
    client.wait(client.start(), timeout_s=600)
    key, pixels = a_slice(0, SIZE)
    client.wait(client.encode(key, pixels), timeout_s=SAFETY_S)
    for _ in range(5):
        _decode(client, key)
    quiet = [_decode(client, key) for _ in range(count)]
    about = {"family": family, "slice": SIZE}
    call = {"reference": sorted(b for _, b in quiet)[count // 2], "reference_is": "the call itself"}
    beyond = [a - b for a, b in quiet]
    report("worker round trip beyond the model's call", beyond, "ms", **call, **about)
    client.encode(*a_slice(1, SIZE))
    encodes, during, number = [], [], 1
    while len(during) < count:
        total, model, news = _decode_with_news(client, key)
        done = [event.milliseconds for event in news if isinstance(event, Encoded)]
        encodes += done
        # A decode counts only if the encode ran on behind it.
        if not done:
            during.append((total, model))
        else:
            number += 1
            client.encode(*a_slice(number, SIZE))
    encodes += [e.milliseconds for e in client.wait(timeout_s=600) if isinstance(e, Encoded)]
    middle = sorted(total for total, _ in quiet)[len(quiet) // 2]
    about |= {"quiet_ms": round(middle, 2), "encode_ms": round(sorted(encodes)[len(encodes) // 2])}
    times = [total / middle for total, _ in during]
    report("cached decode while an encode runs, times its quiet time", times, "x", **about)


def _decode(client: InferenceClient, key: str) -> tuple[float, float]:
    total, model, _ = _decode_with_news(client, key)
    return total, model


def _decode_with_news(client: InferenceClient, key: str) -> tuple[float, float, list[object]]:
    begin = time.perf_counter()
    request = client.decode(key, CLICK)
    news = client.wait(request, timeout_s=SAFETY_S)
    total = (time.perf_counter() - begin) * 1000
    answer = only(news, Decoded)
    client.release(answer.logits_id)
    return total, answer.milliseconds, news


def _kills(stage: Stage, count: int, *, launched: bool) -> None:
    pid_file = stage.folder.parent / "pid"
    command = launcher_command(pid_file) if launched else None
    done = kill_again_and_again(
        stage, command, pid_file if launched else None, kills=count, seed=count
    )
    what = "launcher and worker by turns" if launched else "worker"
    report("answers and embeddings lost to kill -9", [0.0], "count", killed=what, **done)


if __name__ == "__main__":
    main()

"""Time and memory of Teach with the `decoder` method, beside what it is compared with.

Networks have random weights: they cost the same. Each part runs in its own process, so that the
peak of one is not another's. SAM's embeddings are made up, as if they had been cached while
annotating; only the encodes that a figure is about are really made.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from clocks import by_turns, seconds, wall
from report import report

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.intensity import Normalisation
from MedSAGaSlicerLib.engine.look import look_of
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Progress
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.peak_memory import peak_bytes
from MedSAGaSlicerLib.engine.teaching.planning import settled
from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor
from MedSAGaSlicerLib.engine.teaching.views import make_view

SLICES = 15
SIDE = 256
_STEPS = 24
_MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS), help="only this one, in this process")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.part:
        torch.set_num_threads(options.threads)
        PARTS[options.part](options.device)
        return
    for part in PARTS:
        command = [sys.executable, __file__, "--part", part, "--threads", str(options.threads)]
        command += ["--device", options.device]
        subprocess.run(command, check=True)


def lesson_of_the_starter(device: str) -> None:
    """A whole lesson from 15 slices, encoding included."""
    base, taught = Predictor(build("starter"), device), examples()
    config = settled(TeachingConfig(), base.model)
    clock = time.process_time if device == "cpu" else wall(device)
    encode = min(seconds(lambda: base.encode(taught.examples[0].pixels), clock) for _ in range(9))
    start, began = peak(), clock()
    with tempfile.TemporaryDirectory() as work:
        events = train(config, taught, base, Path(work) / "taught", base_name="starter")
        steps = sum(isinstance(event, Progress) for event in events)
        spent = clock() - began
        first_click(base, load_adapter(Path(work) / "taught", base), taught, wall(device))
    report(
        "teach starter, 15 slices",
        [spent],
        "s of CPU" if device == "cpu" else "s",
        reference=round(steps * config.batch * encode, 1),
        reference_is="encoding alone, if each object were encoded anew in each step",
        steps=steps,
        goal=60,
    )
    report("teach starter, memory", [(peak() - start) / _MIB], "MiB over the weights", goal=1024)


def first_click(
    base: Predictor, taught: TaughtPredictor, lesson: ExampleSet, clock: Callable[[], float]
) -> None:
    """A click on a segment that was taught, beside the same click on one that was not."""
    embedding = base.encode(lesson.examples[0].pixels)
    click = Prompts(((128.0, 100.0),), (True,))
    ours, plain = by_turns(
        50,
        5,
        clock,
        lambda: taught.predict(embedding, click),
        lambda: base.predict(embedding, click),
    )
    report(
        "decode of a first click on a taught segment",
        [1e3 * each for each in ours],
        "ms",
        p95=round(1e3 * float(np.quantile(ours, 0.95)), 2),
        reference=1e3 * float(np.median(plain)),
        reference_is="the same on a segment that was not taught",
    )


def steps_of_vit_b(device: str) -> None:
    """600 steps on cached embeddings, and one round with the encoder in the loop."""
    base, clock = Predictor(build("sam_vit_b"), device), wall(device)
    taught = examples()
    cache = EmbeddingCache(None)
    config = TeachingConfig(steps=_STEPS, save_every=_STEPS)
    fill(cache, taught, base, views=2)
    start = peak()
    each, since = [], 0.0
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "taught"
        for event in train(config, taught, base, output, base_name="sam_vit_b", cache=cache):
            now = clock()
            # From the second step after the head start on, where the decoder learns as well.
            if isinstance(event, Progress) and event.step > config.head_steps + 1:
                each.append(now - since)
            since = clock()
    encode = seconds(lambda: base.encode(taught.examples[0].pixels), clock)
    beside = {"reference": encode, "reference_is": "one encode, which a step without cache needs"}
    report("teach ViT-B, a decoder step", each, "s", rounds=config.rounds, **beside)
    # The mean: a step with prompts costs more than one without.
    step = float(np.mean(each))
    whole = 600 * step
    report("teach ViT-B, memory", [(peak() - start) / _MIB], "MiB over the weights", goal=1024)
    report(
        "teach ViT-B, encoding each step against cached",
        [(encode + step) / step],
        "times longer",
        encode_seconds=round(encode, 2),
        goal=20,
    )
    official = official_encode(device)
    report(
        "teach ViT-B, 600 steps against 20 official encodes",
        [whole / (20 * official)],
        "of their time",
        steps_seconds=round(whole, 1),
        encodes_seconds=round(20 * official, 1),
        goal=1,
    )


def official_encode(device: str) -> float:
    """Seconds of one encode by segment-anything's own attention, not ours."""
    model = build("sam_vit_b").to(device)
    image = torch.rand(1, 3, 1024, 1024, device=device)
    with torch.inference_mode():
        return seconds(lambda: model.image_encoder(image), wall(device))


def examples() -> ExampleSet:
    """Noise with a bright disc, three of the slices without it."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    found = []
    for index in range(SLICES):
        mask = (rows - 100 - 5 * index) ** 2 + (columns - 128) ** 2 < 40**2
        mask &= index < SLICES - 3
        pixels = (rng.integers(0, 60, mask.shape) + 120 * mask).astype(np.uint8)
        found.append(Example("made", "k", index, pixels, {"disc": mask}, Normalisation("identity")))
    return ExampleSet(("disc",), tuple(found))


def fill(cache: EmbeddingCache, taught: ExampleSet, base: Predictor, views: int) -> None:
    """Put made-up embeddings where the lesson will look for them."""
    rng = np.random.default_rng(0)
    for example in taught.examples:
        for number in range(views):
            features = rng.normal(0, 0.3, (256, 64, 64)).astype(np.float16)
            pixels = make_view(example, number).pixels
            look = look_of(pixels)
            cache.keep(slice_key(pixels), Embedding(features, example.size, base.encoder_key, look))


def peak() -> int:
    """Peak bytes of this process; 0 where the system does not tell."""
    return peak_bytes() or 0


PARTS = {"starter": lesson_of_the_starter, "vit_b": steps_of_vit_b}

if __name__ == "__main__":
    main()

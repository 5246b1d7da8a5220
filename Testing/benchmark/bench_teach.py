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
from pathlib import Path

import numpy as np
import torch
from report import report

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.intensity import Normalisation
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Progress
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.peak_memory import peak_bytes
from MedSAGaSlicerLib.engine.teaching.views import make_view

SLICES = 15
SIDE = 256
_STEPS = 24
_MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS), help="only this one, in this process")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.part:
        torch.set_num_threads(options.threads)
        PARTS[options.part]()
        return
    for part in PARTS:
        command = [sys.executable, __file__, "--part", part, "--threads", str(options.threads)]
        subprocess.run(command, check=True)


def lesson_of_the_starter() -> None:
    """A whole lesson from 15 slices, encoding included."""
    base = Predictor(build("starter"))
    start, cpu = peak(), time.process_time()
    with tempfile.TemporaryDirectory() as work:
        events = train(
            TeachingConfig(), examples(), base, Path(work) / "taught", base_name="starter"
        )
        steps = sum(isinstance(event, Progress) for event in events)
    seconds = time.process_time() - cpu
    report("teach starter, 15 slices", [seconds], "s of CPU", steps=steps, goal=60)
    report("teach starter, memory", [(peak() - start) / _MIB], "MiB over the weights", goal=1024)


def steps_of_vit_b() -> None:
    """600 steps on cached embeddings, and one round with the encoder in the loop."""
    base = Predictor(build("sam_vit_b"))
    taught = examples()
    cache = EmbeddingCache(None)
    config = TeachingConfig(steps=_STEPS, save_every=_STEPS)
    fill(cache, taught, base, views=2)
    start = peak()
    each, since = [], 0.0
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "taught"
        for event in train(config, taught, base, output, base_name="sam_vit_b", cache=cache):
            now = time.perf_counter()
            # From the second step after the head start on, where the decoder learns as well.
            if isinstance(event, Progress) and event.step > config.head_steps + 1:
                each.append(now - since)
            since = time.perf_counter()
    report("teach ViT-B, a decoder step", each, "s", rounds=config.rounds)
    # The mean: a step with prompts costs more than one without.
    step = float(np.mean(each))
    whole = 600 * step
    report("teach ViT-B, memory", [(peak() - start) / _MIB], "MiB over the weights", goal=1024)
    began = time.perf_counter()
    base.encode(taught.examples[0].pixels)
    encode = time.perf_counter() - began
    report(
        "teach ViT-B, encoding each step against cached",
        [(encode + step) / step],
        "times longer",
        encode_seconds=round(encode, 2),
        goal=20,
    )
    official = official_encode()
    report(
        "teach ViT-B, 600 steps against 20 official encodes",
        [whole / (20 * official)],
        "of their time",
        steps_seconds=round(whole, 1),
        encodes_seconds=round(20 * official, 1),
        goal=1,
    )


def official_encode() -> float:
    """Seconds of one encode by segment-anything's own attention, not ours."""
    model = build("sam_vit_b")
    image = torch.rand(1, 3, 1024, 1024)
    with torch.inference_mode():
        began = time.perf_counter()
        model.image_encoder(image)
        return time.perf_counter() - began


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
            key = slice_key(make_view(example, number).pixels)
            cache.keep(key, Embedding(features, example.size, base.encoder_key))


def peak() -> int:
    """Peak bytes of this process; 0 where the system does not tell."""
    return peak_bytes() or 0


PARTS = {"starter": lesson_of_the_starter, "vit_b": steps_of_vit_b}

if __name__ == "__main__":
    main()

"""Small lessons: a network of a few seconds' worth, and slices with bright discs to learn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.families import SamModel
from MedSAGaSlicerLib.engine.intensity import Normalisation
from MedSAGaSlicerLib.engine.neighbours import stacked
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.sam_modules import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
)
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Event, Finished
from MedSAGaSlicerLib.engine.teaching.loop import train

SIDE = 64
CHANNELS = 32
QUICK = TeachingConfig(
    steps=6, batch=2, rounds=2, views=2, guesses=2, save_every=2, finder_updates=1
)


def tiny_predictor(seed: int = 0, depth: int = 1) -> Predictor:
    """A starter for pictures of 64 pixels, far smaller still, with random weights."""
    torch.manual_seed(seed)
    encoder = ImageEncoderViT(
        img_size=SIDE,
        patch_size=8,
        embed_dim=32,
        depth=depth,
        num_heads=2,
        out_chans=CHANNELS,
        use_rel_pos=False,
        window_size=0,
        global_attn_indexes=(0,),
    )
    prompts = PromptEncoder(
        embed_dim=CHANNELS,
        image_embedding_size=(SIDE // 8, SIDE // 8),
        input_image_size=(SIDE, SIDE),
        mask_in_chans=16,
    )
    decoder = MaskDecoder(
        transformer_dim=CHANNELS,
        transformer=TwoWayTransformer(depth=1, embedding_dim=CHANNELS, mlp_dim=64, num_heads=2),
        num_multimask_outputs=3,
        iou_head_depth=2,
        iou_head_hidden_dim=32,
    )
    return Predictor(SamModel("starter", encoder, prompts, decoder))


def disc(row: float, column: float, radius: float, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


def slice_with(mask: np.ndarray, seed: int) -> np.ndarray:
    """Noise, brighter where the mask is."""
    noise = np.random.default_rng(seed).integers(20, 60, mask.shape)
    return np.where(mask, noise + 150, noise).astype(np.uint8)


def example(index: int, *, empty: bool = False, **changes: Any) -> Example:
    """A slice with one disc, called "disc", or confirmed as empty."""
    mask = disc(14 + index % 5 * 2, 16 + index % 4 * 3, 6 + index % 3)
    if empty:
        mask = np.zeros_like(mask)
    fields: dict[str, Any] = {
        "case": "volume 1",
        "axis": "k",
        "index": index,
        "pixels": slice_with(mask, index),
        "masks": {"disc": mask},
        "normalisation": Normalisation("percentile", 0.0, 1000.0),
        "spacing_mm": (0.7, 0.7),
        "step_mm": 3.0,
    }
    return Example(**{**fields, **changes})


def deep_example(index: int, depth: int = 3, *, empty: bool = False) -> Example:
    """As `example`, with neighbours that show the disc as well, whatever the slice shows."""
    one, shown = example(index, empty=empty), example(index).masks["disc"]
    around = [slice_with(shown, 100 * index + n) for n in range(1, depth)]
    return replace(one, neighbours=stacked(around))


def discs(count: int, empty: int = 0) -> ExampleSet:
    """So many slices of one volume, the last ones without the disc."""
    return ExampleSet(("disc",), tuple(example(n, empty=n >= count - empty) for n in range(count)))


def teach(
    output: Path,
    examples: ExampleSet | None = None,
    config: TeachingConfig = QUICK,
    base: Predictor | None = None,
    **options: Any,
) -> list[Event]:
    """A whole lesson; by default on ten slices, two of them empty."""
    lesson = train(
        config,
        discs(10, 2) if examples is None else examples,
        base or tiny_predictor(),
        output,
        base_name="tiny",
        **options,
    )
    return list(lesson)


def finished(events: list[Event]) -> Finished:
    """The last event, which must be the lesson's end."""
    assert isinstance(events[-1], Finished)
    return events[-1]

"""Speed of the starter on one core: encode and decode, beside the same network as published.

The reference is segment-anything's own code for the same layers and weights (its plain attention),
run by turns with ours in one process.
"""

import argparse
import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from clocks import by_turns, wall
from report import report
from torch import nn

from MedSAGaSlicerLib.engine.openvino_encoder import has_openvino
from MedSAGaSlicerLib.engine.precision import BY_OPENVINO
from MedSAGaSlicerLib.engine.predictor import load_predictor
from MedSAGaSlicerLib.engine.preprocessing import preprocess
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.sam_modules import Attention, MLPBlock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor = load_predictor("starter", options.device)
    official = copy.deepcopy(predictor.model)
    for module in official.modules():
        for published in (Attention, MLPBlock, nn.Linear):
            if isinstance(module, published):
                module.__class__ = published
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512), np.uint8)
    embedding = predictor.encode(pixels)
    features = torch.from_numpy(np.array(embedding.features))[None].to(options.device)
    image = preprocess(pixels, "starter")[0][None].to(options.device)
    point = torch.tensor([[[96.0, 96.0]]]), torch.tensor([[1]])
    point = point[0].to(options.device), point[1].to(options.device)

    @torch.no_grad()
    def official_encode() -> None:
        official.image_encoder(image)

    @torch.no_grad()
    def official_decode() -> None:
        sparse, dense = official.prompt_encoder(points=point, boxes=None, masks=None)
        official.mask_decoder(
            image_embeddings=features,
            image_pe=official.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )

    prompts = Prompts(((256.0, 256.0),), (True,))
    compare("encode", options, lambda: predictor.encode(pixels), official_encode)
    for precision in BY_OPENVINO if has_openvino() and options.device == "cpu" else ():
        other = load_predictor("starter", precision=precision)
        compare(f"encode, {precision}", options, partial(other.encode, pixels), official_encode)
    compare("decode", options, lambda: predictor.predict(embedding, prompts), official_decode)


def compare(
    name: str,
    options: argparse.Namespace,
    ours: Callable[[], object],
    official: Callable[[], object],
) -> None:
    """Time the two by turns and print the seconds of ours, the reference beside them."""
    mine, theirs = by_turns(options.runs, 2, wall(options.device), ours, official)
    report(
        f"starter {name}, {'one thread' if options.device == 'cpu' else options.device}",
        mine,
        "s",
        reference=float(np.median(theirs)),
        reference_is="segment-anything's own code for the same network",
        includes="preparing a 512 x 512 slice" if "encode" in name else "the mask in its grid",
    )


if __name__ == "__main__":
    main()

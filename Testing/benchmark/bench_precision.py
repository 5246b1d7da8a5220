"""Encoding in reduced precision: how much faster than the official code, and what it costs in Dice.

ViT-B at 1024 pixels by turns, each in processes of its own: segment-anything's own modules, ours
exact, ours in bfloat16, both by OpenVINO where it is installed, ours with linear layers in 8 bits;
random weights from one seed. `first` is the first encode, with all that has to be prepared for it.
With `--data` (as of accuracy_starter.py) also the starter's Dice on sets that it never learned
from, exact and reduced on the same slices and prompts. 8 bits are not in the product: this script
shows what they would bring, with torch's dynamic quantization (weights by channel, tokens by the
largest of a call).
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from accuracy_starter import HEADLINE, Set
from bench_encode import Official, Ours, held, model_and_picture, most
from clocks import seconds, wall
from report import report
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic

from MedSAGaSlicerLib.engine.cases import LabelChoice, find_cases
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.openvino_encoder import has_openvino
from MedSAGaSlicerLib.engine.precision import BY_OPENVINO, FULL, choose_precision
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor

REDUCED = "bfloat16"
OFFICIAL = "official"
EIGHT = "int8"
EIGHT_BY = "onednn"


class EightBits(nn.Module):
    """A linear layer whose products are of 8 bits; asked for its weights' type it is float32."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
        plain.load_state_dict(layer.state_dict())
        (self.layer,) = quantize_dynamic(nn.Sequential(plain), {nn.Linear}, torch.qint8)
        self.weight = torch.empty(0)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return self.layer(tokens)


class EightBitPredictor(Predictor):
    """Encodes with `EightBits` for all linear layers."""

    @cached_property
    def _encoder(self) -> nn.Module:
        encoder = copy.deepcopy(self.model.image_encoder)
        for module in list(encoder.modules()):
            for name, layer in module.named_children():
                if isinstance(layer, nn.Linear):
                    setattr(module, name, EightBits(layer))
        return encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="0: no times")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--family", default="sam_vit_b")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--child", help="one way, in this process")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--most-cases", type=int, default=4, help="per set, evenly spread")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if EIGHT_BY in torch.backends.quantized.supported_engines:
        torch.backends.quantized.engine = EIGHT_BY
    # Its successor is a package of its own; for a comparison torch's part is enough.
    warnings.filterwarnings("ignore", message=r"torch\.(ao|quantize)")
    if options.child:
        child(options)
        return
    if options.rounds:
        speed(options)
    if options.data:
        found = [cost(chosen, options) for chosen in HEADLINE]
        for name in found[0]:
            lost = [abs(value) for one in found for value in one[name]]
            report(f"starter Dice lost to {name}, largest", [max(lost)], "Dice")


def speed(options: argparse.Namespace) -> None:
    """Encoding in each way, and how far the embeddings are apart; each in processes of its own.

    In one process they disturb each other: beside four more copies of the encoder the official code
    was found to take twice its time.
    """
    ways = (OFFICIAL, FULL, REDUCED, *by_openvino(), EIGHT)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for way in ways * options.rounds:
            command = [sys.executable, __file__, "--child", way, "--family", options.family]
            command += ["--threads", str(options.threads), "--output", f"{folder}/{way}.npy"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way].append(json.loads(done.stdout))
        embeddings = {way: np.load(f"{folder}/{way}.npy") for way in ways}
    right, reference = embeddings[OFFICIAL], [one["encode"] for one in found.pop(OFFICIAL)]
    for way, runs in found.items():
        values = [one["encode"] for one in runs]
        report(
            f"{options.family} encode, {way}",
            values,
            "s",
            reference=float(np.median(reference)),
            reference_is="segment-anything's own code, float32",
            official_over_ours=sorted(
                round(a / b, 3) for a, b in zip(reference, values, strict=True)
            ),
            relative_error=float(np.linalg.norm(embeddings[way] - right) / np.linalg.norm(right)),
            first=round(float(np.median([one["first"] for one in runs])), 2),
            threads=options.threads,
            auto=choose_precision("auto", torch.device("cpu")),
        )
        peaks = [one["peak"] for one in runs]
        report(f"{options.family} peak, {way}", peaks, "GiB over the weights", goal=1.2)


def child(options: argparse.Namespace) -> None:
    """Measure one way and print it; the embedding goes to the output file."""
    model, pixels = model_and_picture(options.family)
    if options.child == OFFICIAL:
        path: Official | Ours = Official(model, "cpu")
    elif options.child == EIGHT:
        path = Ours(model, "cpu", EightBitPredictor(model))
    else:
        path = Ours(model, "cpu", Predictor(model, precision=options.child))
    before = held("cpu")
    first, *later = (seconds(lambda: path.encode(pixels), wall("cpu")) for _ in range(3))
    np.save(options.output, path.embedding())
    figures = {"encode": min(later), "first": first, "peak": most("cpu") - before}
    sys.stdout.write(json.dumps(figures))


def by_openvino() -> tuple[str, ...]:
    """What OpenVINO can be asked for, if it is here."""
    return tuple(BY_OPENVINO) if has_openvino() else ()


def cost(chosen: Set, options: argparse.Namespace) -> dict[str, list[float]]:
    """Print a set's Dice in each precision; how much is lost with a box and with three clicks."""
    folder = options.data / chosen.folder
    cases = find_cases(folder / "images", folder / "labels")
    if len(cases) > options.most_cases:
        places = np.linspace(0, len(cases) - 1, options.most_cases).round().astype(int)
        cases = tuple(cases[place] for place in places)
    plain = load_predictor("starter", "cpu", options.threads)
    reduced = {
        name: load_predictor("starter", "cpu", options.threads, precision=name)
        for name in (REDUCED, *by_openvino())
    }
    reduced[EIGHT] = EightBitPredictor(plain.model)
    lost: dict[str, list[float]] = {name: [] for name in reduced}
    for prompts in ("box", "clicks"):
        label = LabelChoice.parse(chosen.label)
        exact = evaluate(cases, label, plain, prompts)["mean_dice"]
        for name, predictor in reduced.items():
            found = evaluate(cases, label, predictor, prompts)["mean_dice"]
            lost[name].append(exact - found)
            report(
                f"starter Dice in {name}, {'a box' if prompts == 'box' else 'three clicks'}, "
                f"{chosen.folder}",
                [found],
                "Dice",
                reference=exact,
                reference_is="the same in float32",
                cases=len(cases),
            )
    return lost


if __name__ == "__main__":
    main()

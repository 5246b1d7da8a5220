"""What a nearer look is worth, and tiles: mean Dice of boxes by the object's size in its slice.

`--data` holds 2d/<set> and 3d/<set>, each with images/ and labels/; only slices that are larger
than the model's input count. Each object is asked for as a whole, from near, and in tiles.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report import report

from MedSAGaSlicerLib.engine.cases import LabelChoice, find_cases, read_case
from MedSAGaSlicerLib.engine.clicks import components, tight_box
from MedSAGaSlicerLib.engine.evaluation import SMALLEST
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.predictor import load_predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.looking import looking
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, volume_normalisation

# Folder, and whether each connected part is an object of its own.
SETS = (
    ("2d/breast_ultrasound", False),
    ("2d/chest_xray_lungs", True),
    ("2d/em_neurites", True),
    ("2d/nuclei_microscopy", True),
    ("2d/polyp_endoscopy", False),
    ("2d/retina_vessels", False),
    ("3d/brain_tumour_mr", False),
    ("3d/prostate_mr", False),
)
SIZES = (1 / 8, 1 / 4, 1 / 3, 1.0)
MOST_OBJECTS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--most-cases", type=int, default=12)
    parser.add_argument("--strategies", nargs="+", default=["whole", "auto"])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    predictor = load_predictor(options.model, "cpu", options.threads)
    ways = {name: looking(predictor, RegionChoice.parse(name)) for name in options.strategies}
    by_size: dict[float, list[dict[str, float]]] = defaultdict(list)
    for folder, apart in SETS:
        found = []
        for pixels, truth in _objects(options.data / folder, apart, options.most_cases):
            if max(pixels.shape[:2]) <= predictor.input_size:
                continue
            box = tight_box(truth)
            prompts = Prompts(box=box)
            scores = {
                name: dice(way.predict(way.encode(pixels), prompts).mask, truth)
                for name, way in ways.items()
            }
            part = max(box[2] - box[0] + 1, box[3] - box[1] + 1) / max(pixels.shape[:2])
            by_size[next(size for size in SIZES if part <= size)].append(scores)
            found.append(scores)
        if found:
            _tell(f"box Dice, {folder}", found, options.model)
    for size in sorted(by_size):
        _tell(f"box Dice, objects up to {size:.2f} of the side", by_size[size], options.model)


def _objects(
    folder: Path, apart: bool, most: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    for case in find_cases(folder / "images", folder / "labels")[:most]:
        volume, truth, _ = read_case(case, LabelChoice.parse("any"))
        normalisation = volume_normalisation(volume)
        for index in np.flatnonzero(truth.sum(axis=(1, 2)) >= SMALLEST).tolist():
            pixels = normalised_slice(volume.array_kji, normalisation, "k", index)
            objects = components(truth[index]) if apart else [truth[index]]
            objects = [one for one in objects if one.sum() >= SMALLEST]
            order = np.random.default_rng(0).permutation(len(objects))[:MOST_OBJECTS]
            yield from ((pixels, objects[number]) for number in order)


def _tell(name: str, found: list[dict[str, float]], model: str) -> None:
    for way in found[0]:
        values = [scores[way] for scores in found]
        report(f"{name}, {way}", [float(np.mean(values))], "Dice", objects=len(found), model=model)


if __name__ == "__main__":
    main()

"""How large what is kept of a lesson is, by method, beside the model it was taught from.

Nothing is learned: the tensors are those that a lesson writes, with the values they begin with.
"""

import argparse

import torch
from report import report

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.families import FAMILIES, build
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching.config import METHODS, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.planning import make_method, settled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="sam_vit_b", choices=FAMILIES)
    parser.add_argument("--parts", type=int, default=3, help="of the slices, one locator for each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = Predictor(build(options.family))
    whole = {"reference": size(base.model.state_dict()), "reference_is": "the model"}
    for method in METHODS:
        config = settled(TeachingConfig(method=method), base.model)
        taught = make_method(config, base, ("it",), EmbeddingCache(None), options.parts)
        kept = size(taught.tensors()) + size(taught.unprompted_tensors())
        if taught.learned is not None:
            kept += size(taught.learned.state_dict())
        report(f"kept of {options.family} by {method}", [kept], "bytes", **whole)


def size(tensors: dict[str, torch.Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


if __name__ == "__main__":
    main()

"""In which number format an encoder computes, and by which library.

Reduced precision is bfloat16 in the products alone: what goes on from block to block, the norms and
the decoder stay float32. It is chosen by name; `auto` takes it where this machine multiplies it
clearly faster, as processors with AVX512-BF16 or AMX do, and OpenVINO where it is installed, which
was faster on ViT-B and the starter, but for ViT-B in float32, where it was level (BENCHMARKS.md,
"Reduced precision").
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch import nn

from MedSAGaSlicerLib.engine.openvino_encoder import OpenVinoEncoder, has_openvino
from MedSAGaSlicerLib.engine.products import QuickLinear, hasten, product
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy
from MedSAGaSlicerLib.errors import InputError

FULL: Final = "float32"
HALF: Final = "bfloat16"
AUTO: Final = "auto"
BY_OPENVINO: Final = {"openvino": FULL, "openvino-bfloat16": HALF}
"""Names of what OpenVINO computes, and the number format it does so in."""
PRECISIONS: Final = (AUTO, FULL, HALF, *BY_OPENVINO)
_PAYS: Final = 1.3
"""So many times faster its products must be, for `auto` to take it: less is not worth the bits."""
_TIMES: Final = 7


def choose_precision(name: str, device: torch.device) -> str:
    """The precision to compute in: one of `PRECISIONS`, but not `auto`.

    Args:
        name: one of `PRECISIONS`; `auto` is the fastest that there is.
        device: where. OpenVINO is for the CPU; on other devices torch computes in its number
            format, and `auto` is float32.

    Raises:
        InputError: there is none of that name.
    """
    if name not in PRECISIONS:
        msg = f"The precision {name!r} is unknown; choose {', '.join(PRECISIONS)}"
        raise InputError(msg)
    if device.type != "cpu":
        return FULL if name == AUTO else BY_OPENVINO.get(name, name)
    if name != AUTO:
        return name
    chosen = HALF if gain_of_half() >= _PAYS else FULL
    if has_openvino():
        (chosen,) = (own for own, number_format in BY_OPENVINO.items() if number_format == chosen)
    return chosen


def encoder_in(precision: str, encoder: nn.Module) -> nn.Module:
    """What encodes in a precision: the encoder itself, or another one around its weights.

    Raises:
        DependencyError: it is OpenVINO's, which is missing.
    """
    if precision in BY_OPENVINO:
        return OpenVinoEncoder(encoder, BY_OPENVINO[precision])
    return encoder if precision == FULL else lowered(encoder)


def part_of_key(precision: str) -> str:
    """What embeddings' keys have of a precision; none for float32, by whatever library.

    Libraries differ there by rounding alone, as processors do.
    """
    return "" if BY_OPENVINO.get(precision, precision) == FULL else f"-{precision}"


@cache
def gain_of_half() -> float:
    """How many times faster this CPU multiplies bfloat16 than float32; some hundredths of a second.

    By turns, and the best of several: what else runs just now shall not decide.
    """
    rows, weights = torch.ones(256, 768), torch.ones(768, 768)
    short_rows, short_weights = rows.bfloat16(), weights.bfloat16()
    with torch.inference_mode():
        runs = [
            (
                _seconds(lambda: product(rows, weights)),
                _seconds(lambda: product(short_rows, short_weights)),
            )
            for _ in range(_TIMES)
        ]
    # The first round also makes the kernels.
    return min(full for full, _ in runs[1:]) / min(half for _, half in runs[1:])


def lowered(encoder: nn.Module) -> nn.Module:
    """A copy of an encoder whose linear layers compute in bfloat16; all other weights are shared.

    It takes and gives float32, and is for inference only.
    """
    copied = shared_copy(encoder)
    hasten(copied)
    for module in copied.modules():
        if type(module) is QuickLinear:
            for name, weight in list(module.named_parameters(recurse=False)):
                lower = nn.Parameter(weight.detach().bfloat16(), requires_grad=False)
                setattr(module, name, lower)
    return copied


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun

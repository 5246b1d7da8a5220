"""What the models need: parameters, numbers kept for gradients, operations; without torch.

Counted in elements and floating-point operations (a multiplication and an addition are two) for one
image, from the networks' sizes alone. A test counts the same on the networks themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from MedSAGaSlicerLib.errors import InputError


@dataclass(frozen=True)
class Unit:
    """A block of an encoder, or what lies between two stages.

    Attributes:
        attends: whether it is a block with attention.
        parameters: of it.
        width: channels of its attention, 0 if it has none.
        enters: elements of its input.
        kept: elements kept for the gradients of all its parameters.
        kept_frozen: as that, if its parameters stay.
        longer: elements kept besides where a fused kernel takes longer vectors, as on a GPU.
        operations: of one pass.
        operations_longer: of one pass besides, there.
        taps: of its convolutions from `width` channels to as many, how many weights join two.
    """

    attends: bool
    parameters: int
    width: int
    enters: int
    kept: int
    kept_frozen: int
    longer: int
    operations: float
    operations_longer: float
    taps: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelCost:
    """An encoder as a row of units, between its patches and its neck, and the decoder.

    Attributes:
        family: its name.
        side: of the input image in pixels.
        units: in order.
        ends_parameters: of patches, position code and neck.
        neck_parameters: of the neck alone.
        ends_kept: elements that these keep for gradients.
        ends_operations: of these.
        embedding: elements.
        passing: most elements alive in a pass without gradients.
        decoder_parameters: of mask decoder and prompt encoder.
        decoder_kept: elements that one prompt's decoding keeps for gradients.
        decoder_operations: of one prompt's decoding.
        grid: side of the embedding.
        channels: of the embedding.
        held: bytes that a process takes for each byte that is alive at its peak: the C library
            keeps what is freed in pieces below 32 MiB. Measured, see `bench_plan.py`.
    """

    family: str
    side: int
    units: tuple[Unit, ...]
    ends_parameters: int
    neck_parameters: int
    ends_kept: int
    ends_operations: float
    embedding: int
    passing: int
    decoder_parameters: int
    decoder_kept: int
    decoder_operations: float
    grid: int
    channels: int
    held: float

    @property
    def encoder_parameters(self) -> int:
        """Of the whole encoder."""
        return self.ends_parameters + sum(unit.parameters for unit in self.units)

    @property
    def operations(self) -> float:
        """Of one encoding without gradients."""
        return self.ends_operations + sum(unit.operations for unit in self.units)

    @property
    def attending(self) -> tuple[Unit, ...]:
        """From the first block with attention on: what is before has nothing to adapt."""
        first = next(number for number, unit in enumerate(self.units) if unit.attends)
        return self.units[first:]

    @property
    def top(self) -> tuple[Unit, ...]:
        """The quarter of the blocks that `late` teaches, see `EncoderSplit`."""
        attending = [number for number, unit in enumerate(self.units) if unit.attends]
        return self.units[attending[-max(1, len(attending) // 4)] :]


@dataclass(frozen=True)
class _Vit:
    """Sizes of an encoder of segment-anything's kind."""

    side: int
    grid: int
    dim: int
    depth: int
    heads: int
    everywhere: tuple[int, ...]
    window: int = 14
    positions: bool = True
    extra: bool = False
    channels: int = 256


_VIT_B: Final = _Vit(1024, 64, 768, 12, 12, (2, 5, 8, 11))
_VITS: Final[dict[str, _Vit]] = {
    "starter": _Vit(192, 24, 160, 8, 5, (2, 5, 7), window=8, positions=False, channels=128),
    "sam_vit_b": _VIT_B,
    "medsam_vit_b": _VIT_B,
    "sam_vit_l": _Vit(1024, 64, 1024, 24, 16, (5, 11, 17, 23)),
    "sam_vit_h": _Vit(1024, 64, 1280, 32, 16, (7, 15, 23, 31)),
    "sam_med2d_b": _Vit(256, 16, 768, 12, 12, (2, 5, 8, 11), extra=True),
}
_STARTER_STEM: Final = 111_712
_MED2D_TAPS: Final = (9, 16)
_DECODER: Final = (4_064_560, 27_140_000, 3.69e9)
_MED2D_DECODER: Final = (4_064_560, 1_828_000, 0.293e9)
_STARTER_DECODER: Final = (759_616, 1_960_000, 0.143e9)


def cost_of(family: str) -> ModelCost:
    """What a family's model needs.

    Raises:
        InputError: the family is unknown.
    """
    if family in _VITS:
        return _vit_cost(family, _VITS[family])
    if family in ("mobile_sam", "lite_medsam"):
        return _tiny_cost(family)
    msg = f"Nothing is known of what the model family {family!r} needs"
    raise InputError(msg)


def _vit_cost(family: str, vit: _Vit) -> ModelCost:
    dim, tokens, patch = vit.dim, vit.grid**2, vit.side // vit.grid
    units = tuple(_vit_unit(vit, number in vit.everywhere) for number in range(vit.depth))
    neck = vit.channels * dim + 9 * vit.channels**2 + 4 * vit.channels
    patches = 3 * patch**2 * dim + dim
    stem = _STARTER_STEM if family == "starter" else 0
    ends = patches + tokens * dim + neck + stem
    decoder = {"starter": _STARTER_DECODER, "sam_med2d_b": _MED2D_DECODER}.get(family, _DECODER)
    widest = max(unit.kept for unit in units)
    return ModelCost(
        family=family,
        side=vit.side,
        units=units,
        ends_parameters=ends,
        neck_parameters=neck,
        ends_kept=3 * vit.side**2 + tokens * (dim + 5 * vit.channels),
        ends_operations=2.0 * tokens * (patches + stem * 8 + neck),
        embedding=tokens * vit.channels,
        # Without gradients a block keeps its input, the queries, keys and values, and the answer.
        passing=min(widest, 9 * tokens * dim),
        decoder_parameters=decoder[0],
        decoder_kept=decoder[1],
        decoder_operations=decoder[2],
        grid=vit.grid,
        channels=vit.channels,
        # All that the starter computes is in such pieces.
        held=2.2 if family == "starter" else 1.15,
    )


def _vit_unit(vit: _Vit, everywhere: bool) -> Unit:
    dim, tokens = vit.dim, vit.grid**2
    side = vit.grid if everywhere else vit.window
    padded = tokens if everywhere else (-(-vit.grid // vit.window) * vit.window) ** 2
    head = dim // vit.heads
    # With positions a fused kernel's vectors are longer by a row and a column.
    longer = 2 * side / head if vit.positions else 0.0
    attention = 4.0 * padded * side**2 * dim
    biases = 4.0 * padded * dim * side if vit.positions else 0.0
    linear = 2.0 * (padded * 4 + tokens * 8) * dim**2 + biases
    # Inputs of the projections, queries, keys, values and answer; with positions copies, biases.
    kept = 11 * tokens + (10.5 + longer if vit.positions else 6) * padded
    frozen = 6 * tokens + (6.5 + longer if vit.positions else 4) * padded
    parameters = 12 * dim**2 + 13 * dim
    if vit.positions:
        parameters += 2 * (2 * side - 1) * head
    if vit.extra:
        taps = sum(_MED2D_TAPS)
        parameters += taps * dim**2 + 2 * dim * (dim // 4) + 2 * dim
        linear += 2.0 * tokens / 4 * taps * dim**2
        kept += 3 * tokens
        frozen += 4 * tokens
    return Unit(
        attends=True,
        parameters=parameters,
        width=dim,
        enters=tokens * dim,
        kept=round(kept * dim),
        kept_frozen=round(frozen * dim),
        longer=round(3 * longer * padded * dim),
        operations=linear + attention,
        operations_longer=attention * longer,
        taps=_MED2D_TAPS if vit.extra else (),
    )


def _tiny_cost(family: str) -> ModelCost:
    """TinyViT-5M, whose token grids are the same in MobileSAM and LiteMedSAM."""
    mobile = family == "mobile_sam"
    units: list[Unit] = []
    stages = ((64, 256, 2, 0), (128, 128, 2, 7), (160, 64, 6, 7), (320, 64, 2, 7))
    windows = (0, 7, 14, 7)
    for number, (dim, side, depth, _) in enumerate(stages):
        unit = _bottleneck(dim, side) if number == 0 else _tiny_block(dim, side, windows[number])
        units += [unit] * depth
        if number < len(stages) - 1:
            units.append(_merging(dim, stages[number + 1][0], side, stages[number + 1][1]))
    stem = 27 * 32 + 9 * 32 * 64 if mobile else 3 * 32 + 32 * 64
    neck = 320 * 256 + 9 * 256**2 + 4 * 256
    classifier = 2 * 320 + 321 * 1000 if mobile else 0
    pixels = 1024 if mobile else 256
    return ModelCost(
        family=family,
        side=pixels,
        units=tuple(units),
        ends_parameters=stem + 2 * 96 + neck + classifier,
        neck_parameters=neck,
        ends_kept=(157 if mobile else 74) * (1 << 18),
        ends_operations=2.0 * (256**2 * stem * (1.5 if mobile else 1) + 64**2 * neck),
        embedding=64 * 64 * 256,
        passing=16 * 256**2 * 64,
        decoder_parameters=_DECODER[0],
        decoder_kept=_DECODER[1],
        decoder_operations=_DECODER[2],
        grid=64,
        channels=256,
        held=1.85,
    )


def _bottleneck(dim: int, side: int) -> Unit:
    wide, tokens = 4 * dim, side**2
    weights = 2 * dim * wide + 9 * wide
    operations = 2.0 * tokens * weights
    kept = 27 * tokens * dim
    parameters = weights + 2 * (2 * wide + dim)
    return Unit(False, parameters, 0, tokens * dim, kept, kept, 0, operations, 0.0)


def _merging(dim: int, outputs: int, side: int, smaller: int) -> Unit:
    before, after = side**2, smaller**2
    operations = 2.0 * (before * dim * outputs + after * (9 * outputs + outputs**2))
    kept = before * dim + 3 * before * outputs + 3 * after * outputs
    parameters = dim * outputs + outputs**2 + 9 * outputs + 6 * outputs
    return Unit(False, parameters, 0, before * dim, kept, kept, 0, operations, 0.0)


def _tiny_block(dim: int, side: int, window: int) -> Unit:
    tokens = side**2
    padded = (-(-side // window) * window) ** 2
    linear = 2.0 * (padded * 4 + tokens * 8) * dim**2 + 18.0 * tokens * dim
    operations = linear + 4.0 * padded * window**2 * dim
    kept = (13 * tokens + 6 * padded) * dim
    frozen = (8 * tokens + 4 * padded) * dim
    # Two norms, four projections with their biases, a convolution per channel with its norm.
    heads = {128: 4, 160: 5, 320: 10}[dim]
    parameters = 12 * dim**2 + 13 * dim + 11 * dim + heads * window**2
    return Unit(True, parameters, dim, tokens * dim, kept, frozen, 0, operations, 0.0)

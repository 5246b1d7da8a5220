"""The families of models this library knows, and their networks with random weights.

Sizes are those of the authors' own builders: segment-anything (arXiv 2304.02643) for the ViTs and
the decoder all share, MobileSAM (arXiv 2306.14289), LiteMedSAM (bowang-lab/MedSAM, branch
LiteMedSAM) and SAM-Med2D (arXiv 2308.16184). Every network's parameter names equal those of the
official checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from MedSAGaSlicerLib.engine.med2d_encoder import add_adapters
from MedSAGaSlicerLib.engine.sam_modules import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
    made_on_cpu,
)
from MedSAGaSlicerLib.engine.starter import build_starter_parts
from MedSAGaSlicerLib.engine.tiny_vit import TinyViT
from MedSAGaSlicerLib.errors import InputError

STARTER = "starter"
_EMBEDDING_CHANNELS = 256


@dataclass(frozen=True)
class Architecture:
    """What distinguishes one family's encoder from another's.

    Attributes:
        encoder: `vit`; `med2d`, a ViT with adapters; `tiny`, TinyViT-5M.
        image_size: side of the encoder's input in pixels.
        grid: side of the embedding in tokens.
        dim, depth, heads: width, number of blocks and attention heads of a ViT.
        global_blocks: indices of the ViT blocks that attend to the whole image, not to windows.
        stem_kernel: kernel of TinyViT's first convolutions.
        classifier: whether TinyViT carries its unused ImageNet head (MobileSAM's checkpoint does).
    """

    encoder: Literal["vit", "med2d", "tiny"]
    image_size: int = 1024
    grid: int = 64
    dim: int = 0
    depth: int = 0
    heads: int = 0
    global_blocks: tuple[int, ...] = ()
    stem_kernel: int = 0
    classifier: bool = False


_VIT_B = Architecture("vit", dim=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11))
ARCHITECTURES: dict[str, Architecture] = {
    "sam_vit_b": _VIT_B,
    "sam_vit_l": Architecture("vit", dim=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23)),
    "sam_vit_h": Architecture("vit", dim=1280, depth=32, heads=16, global_blocks=(7, 15, 23, 31)),
    "medsam_vit_b": _VIT_B,
    "mobile_sam": Architecture("tiny", stem_kernel=3, classifier=True),
    "lite_medsam": Architecture("tiny", image_size=256, stem_kernel=1),
    "sam_med2d_b": Architecture(
        "med2d",
        image_size=256,
        grid=16,
        dim=768,
        depth=12,
        heads=12,
        global_blocks=(2, 5, 8, 11),
    ),
}
FAMILIES: tuple[str, ...] = (STARTER, *ARCHITECTURES)


class SamModel(nn.Module):
    """A promptable segmentation model: image encoder, prompt encoder and mask decoder.

    Attributes:
        family: name of its family, which decides the preprocessing.
    """

    def __init__(
        self,
        family: str,
        image_encoder: nn.Module,
        prompt_encoder: nn.Module,
        mask_decoder: nn.Module,
    ) -> None:
        """Join the three parts."""
        super().__init__()
        self.family = family
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    @property
    def input_size(self) -> int:
        """Side of the square input image in pixels."""
        size: tuple[int, int] = self.prompt_encoder.input_image_size  # type: ignore[assignment]
        return int(size[0])

    @property
    def logits_size(self) -> int:
        """Side of the square mask logits, and of a mask prompt, in pixels."""
        size: tuple[int, int] = self.prompt_encoder.mask_input_size  # type: ignore[assignment]
        return int(size[0])


def build(family: str, device: str = "cpu") -> SamModel:
    """Build a family's network, in evaluation mode, with random weights.

    Args:
        family: one of `FAMILIES`.
        device: where its tensors lie; `meta` gives names and shapes without any memory.

    Raises:
        InputError: the family is unknown.
    """
    if family == STARTER:
        with torch.device(device):
            return SamModel(STARTER, *build_starter_parts()).eval()
    return build_architecture(family, architecture(family), device)


def architecture(family: str) -> Architecture:
    """The architecture of a family other than the starter's.

    Raises:
        InputError: the family is unknown.
    """
    if family not in ARCHITECTURES:
        msg = f"The model family {family!r} is unknown; known are {', '.join(FAMILIES)}"
        raise InputError(msg)
    return ARCHITECTURES[family]


def build_architecture(family: str, architecture: Architecture, device: str = "cpu") -> SamModel:
    """Build a network of any size with a family's name and preprocessing, in evaluation mode.

    For smaller relatives of the official networks, as tests use them: `dataclasses.replace` changes
    an architecture of `ARCHITECTURES`.
    """
    with torch.device(device):
        model = SamModel(
            family,
            _image_encoder(architecture),
            made_on_cpu(partial(_prompt_encoder, architecture)),
            made_on_cpu(_mask_decoder),
        )
    return model.eval()


def _prompt_encoder(architecture: Architecture) -> nn.Module:
    size, grid = architecture.image_size, architecture.grid
    return PromptEncoder(
        embed_dim=_EMBEDDING_CHANNELS,
        image_embedding_size=(grid, grid),
        input_image_size=(size, size),
        mask_in_chans=16,
    )


def _mask_decoder() -> nn.Module:
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=_EMBEDDING_CHANNELS, mlp_dim=2048, num_heads=8
        ),
        transformer_dim=_EMBEDDING_CHANNELS,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )


def _image_encoder(architecture: Architecture) -> nn.Module:
    if architecture.encoder == "tiny":
        return TinyViT(
            architecture.image_size,
            architecture.stem_kernel,
            architecture.classifier,
            _EMBEDDING_CHANNELS,
        )
    vit = ImageEncoderViT(
        img_size=architecture.image_size,
        patch_size=architecture.image_size // architecture.grid,
        embed_dim=architecture.dim,
        depth=architecture.depth,
        num_heads=architecture.heads,
        mlp_ratio=4,
        out_chans=_EMBEDDING_CHANNELS,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=architecture.global_blocks,
    )
    return add_adapters(vit, architecture.dim) if architecture.encoder == "med2d" else vit

"""The shape of the starter model: segment-anything's own parts, small enough for one CPU core."""

from functools import partial

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.sam_modules import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
    made_on_cpu,
)

IMAGE_SIZE = 192
PATCH_SIZE = 8
_WIDTH = 160
_DEPTH = 8
_HEADS = 5
_GLOBAL_BLOCKS = (2, 5, 7)
_WINDOW = 8
_EMBEDDING_CHANNELS = 128


class OverlappingPatches(nn.Module):
    """segment-anything's patch embedding and, added to it, convolutions that see past its edges.

    From scratch, a plain patch embedding takes long to find edges ("Early convolutions help
    transformers see better", Xiao et al. 2021). The last convolution starts at zero.
    """

    def __init__(self, patches: nn.Module, width: int) -> None:
        """Take over the patches' own projection; `width` is their number of channels."""
        super().__init__()
        self.proj = patches.get_submodule("proj")
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(64, width, 3, stride=2, padding=1),
        )
        nn.init.zeros_(self.stem.get_parameter("4.weight"))
        nn.init.zeros_(self.stem.get_parameter("4.bias"))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, S/8, S/8, C)."""
        tokens: Tensor = self.proj(images) + self.stem(images)
        return tokens.permute(0, 2, 3, 1)


def sine_position(channels: int, grid: int) -> Tensor:
    """Two-dimensional sine and cosine position code, a better start than zeros.

    Returns:
        (1, grid, grid, channels) float32; half of the channels code the row, half the column
        (the one-dimensional code of Vaswani et al. 2017 on each).
    """
    quarter = channels // 4
    frequency = torch.exp(-torch.arange(quarter) / quarter * torch.log(torch.tensor(100.0)))
    at = torch.arange(grid, dtype=torch.float32)[:, None] * frequency * 32 / grid
    code = torch.cat([at.sin(), at.cos()], dim=1)
    rows = code[:, None].expand(grid, grid, -1)
    columns = code[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=-1)[None].contiguous()


def build_starter_parts(image_size: int = IMAGE_SIZE) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Makes the three untrained parts.

    Args:
        image_size: Side of the input in pixels, a multiple of 64; other than IMAGE_SIZE only while
            training, where early steps run on smaller pictures.

    Returns:
        Image encoder (B, 3, S, S) -> (B, 128, S/8, S/8), prompt encoder and mask decoder, whose
        logits are (S/2, S/2).
    """
    grid = image_size // PATCH_SIZE
    encoder = ImageEncoderViT(
        img_size=image_size,
        patch_size=PATCH_SIZE,
        embed_dim=_WIDTH,
        depth=_DEPTH,
        num_heads=_HEADS,
        out_chans=_EMBEDDING_CHANNELS,
        use_rel_pos=False,
        window_size=_WINDOW,
        global_attn_indexes=_GLOBAL_BLOCKS,
    )
    encoder.patch_embed = OverlappingPatches(encoder.get_submodule("patch_embed"), _WIDTH)
    position = encoder.get_parameter("pos_embed")
    if not position.is_meta:
        with torch.no_grad():
            position.copy_(sine_position(_WIDTH, grid) * 0.5)
    prompts = made_on_cpu(
        partial(
            PromptEncoder,
            embed_dim=_EMBEDDING_CHANNELS,
            image_embedding_size=(grid, grid),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        )
    )
    return encoder, prompts, made_on_cpu(_decoder)


def _decoder() -> nn.Module:
    transformer = TwoWayTransformer(
        depth=2, embedding_dim=_EMBEDDING_CHANNELS, mlp_dim=512, num_heads=4
    )
    return MaskDecoder(
        transformer_dim=_EMBEDDING_CHANNELS,
        transformer=transformer,
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=_EMBEDDING_CHANNELS,
    )

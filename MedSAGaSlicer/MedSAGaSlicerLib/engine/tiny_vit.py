"""TinyViT, the image encoder of MobileSAM and LiteMedSAM.

Written from "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (arXiv
2207.10666); module names are those of the published checkpoints, so that these load strictly. As in
both models, the last stage keeps the resolution of the third, and segment-anything's neck follows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.products import perceive, product, product_gelu
from MedSAGaSlicerLib.engine.sam_modules import LayerNorm2d

_DIMS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
# Stride of the merging after each stage; the third keeps the grid that SAM's decoder expects.
_STRIDES = (2, 2, 1)
_MLP_RATIO = 4
_IMAGENET_CLASSES = 1000


class _ConvNorm(nn.Sequential):
    """A convolution and the normalisation after it, which without gradients are one step."""

    c: nn.Conv2d
    bn: nn.BatchNorm2d

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        if torch.is_grad_enabled() or self.bn.training:
            output: Tensor = self.bn(self.c(x))
            return output
        return self._in_one(x, product)

    def bent(self, x: Tensor) -> Tensor:
        """GELU of it."""
        if torch.is_grad_enabled() or self.bn.training:
            return functional.gelu(self(x))
        return self._in_one(x, product_gelu)

    def _in_one(self, x: Tensor, multiply: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        # A few thousand numbers; kept, they would have to be watched for a change of the weights.
        mean, variance = self.bn.get_buffer("running_mean"), self.bn.get_buffer("running_var")
        scale: Tensor = self.bn.weight * torch.rsqrt(variance + self.bn.eps)
        weight = self.c.weight * scale[:, None, None, None]
        bias = self.bn.bias - mean * scale
        if self.c.kernel_size == (1, 1) and self.c.stride == (1, 1) and self.c.groups == 1:
            tokens = x.permute(0, 2, 3, 1)
            return multiply(tokens, weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
        y = functional.conv2d(x, weight, bias, self.c.stride, self.c.padding, groups=self.c.groups)
        return _bent_in_place(y) if multiply is product_gelu else y


def _bent_in_place(x: Tensor) -> Tensor:
    """GELU, in the memory of what is given, for there may be much of it."""
    bent: Tensor = torch.ops.aten.gelu_(x)
    return bent


def _conv_norm(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> _ConvNorm:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return _ConvNorm(OrderedDict(c=conv, bn=nn.BatchNorm2d(outputs)))


class _Stem(nn.Module):
    """Two convolutions: 3x3 with stride 2 (a quarter of the size), or 1x1 (the size is kept)."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        stride = 1 if kernel == 1 else 2
        self.seq = nn.Sequential(
            _conv_norm(3, dim // 2, kernel, stride),
            nn.GELU(),
            _conv_norm(dim // 2, dim, kernel, stride),
        )

    def forward(self, image: Tensor) -> Tensor:
        first, _, second = self.seq
        output: Tensor = second(cast(_ConvNorm, first).bent(image))
        return output


class _InvertedBottleneck(nn.Module):
    """Widen, filter each channel on its own, narrow; with a shortcut."""

    def __init__(self, dim: int, ratio: int = 4) -> None:
        super().__init__()
        wide = dim * ratio
        self.conv1 = _conv_norm(dim, wide)
        self.conv2 = _conv_norm(wide, wide, 3, groups=wide)
        self.conv3 = _conv_norm(wide, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2.bent(self.conv1.bent(x)))
        if torch.is_grad_enabled():
            return functional.gelu(y + x)
        return _bent_in_place(y.add_(x))


class _Merging(nn.Module):
    """Change the number of channels, and halve the grid if the stride is 2."""

    def __init__(self, dim: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(dim, outputs)
        self.conv2 = _conv_norm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = _conv_norm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.conv3(self.conv2.bent(self.conv1.bent(x)))
        return output


class _WindowAttention(nn.Module):
    """Self-attention in square windows with one learned bias per head and absolute offset."""

    attention_bias_idxs: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        # Named device: under the meta device a table would lose its values, and it is no weight.
        axis = torch.arange(window, device="cpu")
        rows, columns = axis.repeat_interleave(window), axis.repeat(window)
        # The checkpoints number the offsets in the order in which the first position meets them,
        # which is row by row.
        offsets = (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()
        self.register_buffer("attention_bias_idxs", offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        # Per head, the query, key and value of that head lie side by side.
        qkv = self.qkv(self.norm(x)).view(batch, tokens, self.heads, 3, dim // self.heads)
        query, key, value = qkv.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self.attention_bias_idxs]
        y = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        output: Tensor = self.proj(y.transpose(1, 2).reshape(batch, tokens, dim))
        return output


class _Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, dim * _MLP_RATIO)
        self.fc2 = nn.Linear(dim * _MLP_RATIO, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        if torch.is_grad_enabled():
            output: Tensor = self.fc2(functional.gelu(self.fc1(y)))
            return output
        return perceive(y, self.fc1, self.fc2)


class _Block(nn.Module):
    """Window attention, a 3x3 convolution per channel, and an MLP; (B, C, H, W) in and out."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = _WindowAttention(dim, heads, window)
        self.mlp = _Mlp(dim)
        self.local_conv = _conv_norm(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = self.local_conv(x)
        output: Tensor = x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return output

    def _attend(self, x: Tensor) -> Tensor:
        batch, height, width, dim = x.shape
        size = self.window
        # The padding takes part in the attention, unmasked: the checkpoints were trained that way.
        x = functional.pad(x, (0, 0, 0, -width % size, 0, -height % size))
        rows, columns = x.shape[1] // size, x.shape[2] // size
        x = x.view(batch, rows, size, columns, size, dim).transpose(2, 3)
        y: Tensor = self.attn(x.reshape(-1, size * size, dim))
        y = y.view(batch, rows, columns, size, size, dim).transpose(2, 3)
        y = y.reshape(batch, rows * size, columns * size, dim)
        output: Tensor = y[:, :height, :width]
        return output


class _Stage(nn.Module):
    def __init__(self, blocks: list[nn.Module], merging: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = merging

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyViT(nn.Module):
    """TinyViT-5M with segment-anything's neck: (B, 3, S, S) float to (B, 256, G, G).

    G is S/16 with the 3x3 stem (MobileSAM) and S/4 with the 1x1 stem (LiteMedSAM).

    Attributes:
        img_size: S, the side of the image it is meant for, in pixels; other sizes run as well.
    """

    def __init__(
        self, img_size: int, stem_kernel: int, classifier: bool, out_chans: int = 256
    ) -> None:
        """Build it with random weights.

        Args:
            img_size: side of the input image in pixels.
            stem_kernel: 3 or 1, the kernel of the two first convolutions.
            classifier: also hold the ImageNet head (`norm_head`, `head`). MobileSAM's checkpoint
                contains it; it takes no part in the encoding, and is kept only so that the
                checkpoint loads strictly and can be written back whole.
            out_chans: channels of the embedding.
        """
        super().__init__()
        self.img_size = img_size
        self.patch_embed = _Stem(_DIMS[0], stem_kernel)
        self.layers = nn.ModuleList([self._stage(index) for index in range(len(_DIMS))])
        if classifier:
            self.norm_head = nn.LayerNorm(_DIMS[-1])
            self.head = nn.Linear(_DIMS[-1], _IMAGENET_CLASSES)
        self.neck = nn.Sequential(
            nn.Conv2d(_DIMS[-1], out_chans, 1, bias=False),
            LayerNorm2d(out_chans),
            nn.Conv2d(out_chans, out_chans, 3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    @staticmethod
    def _stage(index: int) -> _Stage:
        dim = _DIMS[index]
        blocks: list[nn.Module] = [
            _InvertedBottleneck(dim) if index == 0 else _Block(dim, _HEADS[index], _WINDOWS[index])
            for _ in range(_DEPTHS[index])
        ]
        if index == len(_DIMS) - 1:
            return _Stage(blocks, None)
        return _Stage(blocks, _Merging(dim, _DIMS[index + 1], _STRIDES[index]))

    def forward(self, image: Tensor) -> Tensor:
        """Embed a batch of normalised images, (B, 3, S, S) float, as (B, 256, G, G) float."""
        # Channels last: the convolutions per channel run about a fifth faster on a CPU, and the
        # attention needs that order anyway.
        x = self.patch_embed(image.contiguous(memory_format=torch.channels_last))
        for stage in self.layers:
            x = stage(x)
        output: Tensor = self.neck(x)
        return output

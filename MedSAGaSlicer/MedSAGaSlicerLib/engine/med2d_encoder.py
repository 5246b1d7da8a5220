"""SAM-Med2D's image encoder: segment-anything's ViT with one adapter beside the MLP of each block.

Written from "SAM-Med2D" (arXiv 2308.16184); module names are those of the published checkpoint.
"""

from __future__ import annotations

from torch import Tensor, nn

from MedSAGaSlicerLib.engine.sam_modules import window_partition, window_unpartition


class Med2dAdapter(nn.Module):
    """Weigh the channels, filter on half the grid and back, add, normalise."""

    def __init__(self, dim: int, ratio: float = 0.25) -> None:
        """Build it with random weights for `dim` channels, of which `ratio` remain in the gate."""
        super().__init__()
        hidden = int(dim * ratio)
        self.channel = nn.Sequential(
            nn.Linear(dim, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, dim, bias=False),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(dim, dim, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(dim, dim, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Adapt tokens on an even grid, (B, H, W, C) float."""
        gate = self.channel(x.mean(dim=(1, 2)))
        gated = x * gate[:, None, None, :]
        filtered: Tensor = self.spatial(gated.permute(0, 3, 1, 2))
        output: Tensor = self.norm(x + filtered.permute(0, 2, 3, 1))
        return output


class AdaptedBlock(nn.Module):
    """A block of segment-anything's ViT, its parts taken over, with an adapter beside the MLP."""

    def __init__(self, block: nn.Module, window_size: int, dim: int) -> None:
        """Take over the parts of `block`: `dim` channels, windows of that size, 0 for none."""
        super().__init__()
        self.norm1 = block.get_submodule("norm1")
        self.attn = block.get_submodule("attn")
        self.norm2 = block.get_submodule("norm2")
        self.mlp = block.get_submodule("mlp")
        self.Adapter = Med2dAdapter(dim)
        self.window_size = window_size

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, H, W, C) float."""
        y: Tensor = self.norm1(x)
        if self.window_size > 0:
            grid = (y.shape[1], y.shape[2])
            y, padded = window_partition(y, self.window_size)
            y = window_unpartition(self.attn(y), self.window_size, padded, grid)
        else:
            y = self.attn(y)
        x = x + y
        y = self.norm2(x)
        output: Tensor = x + self.mlp(y) + self.Adapter(y)
        return output


def add_adapters(encoder: nn.Module, dim: int) -> nn.Module:
    """Give each block of a segment-anything ViT with `dim` channels its adapter, in place."""
    blocks = encoder.get_submodule("blocks")
    for name, block in list(blocks.named_children()):
        # Beside its submodules, the size of its windows is all that a block holds.
        window_size = int(vars(block)["window_size"])
        setattr(blocks, name, AdaptedBlock(block, window_size, dim))
    return encoder

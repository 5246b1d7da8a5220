"""A small network with matrices, a convolution and vectors, and GaLore on it."""

import torch
from torch import nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.teaching.galore import GaloreOptimizer, GaloreSettings

ALL = 0


class Net(nn.Module):
    """A convolution, wide and tall matrices, vectors and a position code."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 24, 4, stride=4)
        self.position = nn.Parameter(torch.randn(1, 4, 4, 24) * 0.1)
        self.wide = nn.Linear(24, 40)
        self.tall = nn.Linear(40, 16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).permute(0, 2, 3, 1) + self.position
        return self.tall(functional.gelu(self.wide(tokens)))


def parameters(net: nn.Module) -> dict[str, nn.Parameter]:
    return dict(net.named_parameters())


def galore(net: nn.Module, rank: int = 4, every: int = 3, **more: float) -> GaloreOptimizer:
    settings = GaloreSettings(rank, every, 1e-2, fewest=ALL, **more)
    return GaloreOptimizer(parameters(net), settings)


def images(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))

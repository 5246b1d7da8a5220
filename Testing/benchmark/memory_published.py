"""Updates as published: segment-anything's modules as they are, and what others train of them."""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.families import SamModel
from MedSAGaSlicerLib.engine.teaching.galore_package import galore_adamw
from MedSAGaSlicerLib.engine.teaching.losses import mask_loss

PUBLISHED = ("inference", "full-published", "lora-published", "galore-published")
RANK = 4


class LowRank(nn.Module):
    """A projection to q, k, v with low-rank changes of q and v beside it, as SAMed computes it."""

    def __init__(self, whole: nn.Linear) -> None:
        super().__init__()
        self.whole, size = whole, whole.in_features
        self.down = nn.ModuleList(nn.Linear(size, RANK, bias=False) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(RANK, size, bias=False) for _ in range(2))
        for up in self.up:
            nn.init.zeros_(up.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        qkv = self.whole(tokens)
        size = tokens.shape[-1]
        qkv[..., :size] += self.up[0](self.down[0](tokens))
        qkv[..., -size:] += self.up[1](self.down[1](tokens))
        return qkv


def published(
    name: str, model: SamModel, pixels: np.ndarray, options: argparse.Namespace
) -> Callable[[], None]:
    """One update with segment-anything's modules."""
    device = torch.device(options.device)
    model.requires_grad_(name in ("full-published", "galore-published"))
    if name == "lora-published":
        for block in model.image_encoder.blocks:
            block.attn.qkv = LowRank(block.attn.qkv).to(device)
        model.prompt_encoder.requires_grad_(True)
        model.mask_decoder.requires_grad_(True)
    optimizer = None if name == "inference" else optimizer_of(name, model)
    image = torch.from_numpy(np.stack([pixels] * 3)).float()[None].to(device) / 64 - 2
    side = model.logits_size
    target = torch.zeros(1, 1, side, side, device=device)
    target[..., side // 4 : side // 2, side // 4 : side // 2] = 1

    def step() -> None:
        with (
            torch.set_grad_enabled(optimizer is not None),
            torch.autocast(device.type, torch.float16, enabled=options.half),
        ):
            points = torch.tensor([[[300.0, 300.0]]]), torch.tensor([[1]])
            sparse, dense = model.prompt_encoder(
                points=tuple(part.to(device) for part in points), boxes=None, masks=None
            )
            logits, _ = model.mask_decoder(
                image_embeddings=model.image_encoder(image),
                image_pe=model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
        if optimizer is not None:
            mask_loss(logits.float(), target, torch.ones_like(target)).mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def optimizer_of(name: str, model: SamModel) -> torch.optim.Optimizer:
    """AdamW, or galore-torch's with the encoder's linear layers in its projected group."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if name != "galore-published":
        return torch.optim.AdamW(trained, lr=1e-5)
    layers = [m for m in model.image_encoder.modules() if isinstance(m, nn.Linear)]
    matrices = [layer.weight for layer in layers]
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in trained if id(parameter) not in chosen]
    projected = {"rank": RANK, "update_proj_gap": 200, "scale": 0.25, "proj_type": "std"}
    groups = [{"params": others}, {"params": matrices, **projected}]
    optimizer: torch.optim.Optimizer = galore_adamw()(groups, lr=1e-5, no_deprecation_warning=True)
    return optimizer

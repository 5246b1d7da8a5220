"""Prompts that are learned: for each taught segment, tokens and a first guess of where it is.

The tokens join those of a person's prompts and say which structure is meant; the guess stands in
for the mask of an earlier prediction. Together they segment without any prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

_SPREAD: Final = 0.02
_WIDTH: Final = 64
_DROPPED: Final = 0.2
_STRONGEST: Final = 16.0


class LearnedPrompt(nn.Module):
    """Tokens and a small network, the locator, that guesses masks from an embedding.

    The locator sees a neighbourhood of eleven embedding cells and the position code, and gives
    each segment's logits on the decoder's grid.

    Attributes:
        segments: names; their order is that of tokens and guesses.
        tokens: float32 (segments, tokens, channels).
    """

    def __init__(self, segments: Sequence[str], count: int, channels: int, finer: int) -> None:
        """Make one for embeddings of `channels`; logits are `finer` times finer than they."""
        super().__init__()
        self.segments = tuple(segments)
        self.tokens = nn.Parameter(torch.zeros(len(self.segments), count, channels))
        self.locator = nn.Sequential(
            nn.Conv2d(2 * channels, _WIDTH, 1),
            nn.GELU(),
            nn.Dropout2d(_DROPPED),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=2, dilation=2),
            nn.GELU(),
            nn.Dropout2d(_DROPPED),
            nn.Conv2d(_WIDTH, len(self.segments) * finer**2, 3, padding=1),
            nn.PixelShuffle(finer),
        )
        self.eval()

    @classmethod
    def fresh(
        cls, segments: Sequence[str], count: int, neutral: Tensor, finer: int, seed: int
    ) -> LearnedPrompt:
        """One that knows nothing yet; tokens begin near the prompt encoder's `neutral` (1, C)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = cls(segments, count, neutral.shape[-1], finer)
            with torch.no_grad():
                made.tokens.copy_(neutral.detach().cpu() + _SPREAD * torch.randn_like(made.tokens))
        return made

    @classmethod
    def restored(
        cls, segments: Sequence[str], tensors: Mapping[str, Tensor]
    ) -> LearnedPrompt | None:
        """From an adapter's tensors, by their names here; None if there are none.

        Raises:
            RuntimeError, KeyError: they do not fit together or the segments.
        """
        if not tensors:
            return None
        _, count, channels = tensors["tokens"].shape
        last = max((name for name in tensors if name != "tokens"), key=_layer)
        finer = round((tensors[last].shape[0] / max(1, len(segments))) ** 0.5)
        made = cls(segments, count, channels, finer)
        made.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return made.requires_grad_(False)

    def of(self, numbers: Sequence[int]) -> Tensor:
        """Tokens of segments, by number: (n, tokens, channels)."""
        return self.tokens[list(numbers)]

    def guess(self, features: Tensor, position: Tensor) -> Tensor:
        """Logits of all segments.

        Args:
            features: embeddings (n, C, h, w).
            position: the decoder's position code (1, C, h, w).

        Returns:
            (n, segments, finer * h, finer * w), within what a mask prompt may be.
        """
        even = functional.layer_norm(features.movedim(1, -1), features.shape[1:2]).movedim(-1, 1)
        seen = torch.cat([even, position.expand(len(features), -1, -1, -1)], dim=1)
        logits: Tensor = self.locator(seen)
        return logits.clamp(-_STRONGEST, _STRONGEST)


def _layer(name: str) -> int:
    return int(name.split(".")[1])

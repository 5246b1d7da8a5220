"""Prompts that are learned: for each taught segment, tokens and a first guess of where it is.

The tokens join those of a person's prompts and say which structure is meant; the guess stands in
for the mask of an earlier prediction. Together they segment without any prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.families import SamModel

_SPREAD: Final = 0.02
_WIDTH: Final = 64
_DROPPED: Final = 0.2
STRONGEST: Final = 32.0
"""What a mask prompt's logits are cut at."""
_STRONGEST_GUESS: Final = 16.0
_GROUPS: Final = 8


class LearnedPrompt(nn.Module):
    """Tokens, and small networks, the locators, that guess masks from an embedding.

    A locator sees a neighbourhood of eleven embedding cells and the position code, and gives each
    segment's logits on the decoder's grid. There are several, each of which never sees a part of
    the examples: what it guesses for those is as good as for a new slice, and that is what the
    decoder has to learn to deal with. On new slices their mean counts.

    Attributes:
        segments: names; their order is that of tokens and guesses.
        tokens: float32 (segments, tokens, channels).
        locators: one for each part.
    """

    def __init__(
        self, segments: Sequence[str], count: int, channels: int, finer: int, parts: int
    ) -> None:
        """Make one for embeddings of `channels`; logits are `finer` times finer than they."""
        super().__init__()
        self.segments = tuple(segments)
        self.tokens = nn.Parameter(torch.zeros(len(self.segments), count, channels))
        outputs = len(self.segments)
        self.locators = nn.ModuleList(_locator(channels, outputs, finer) for _ in range(parts))
        self.eval()

    @classmethod
    def fresh(
        cls,
        segments: Sequence[str],
        count: int,
        neutral: Tensor,
        finer: int,
        parts: int,
        seed: int,
    ) -> LearnedPrompt:
        """One that knows nothing yet; tokens begin near the prompt encoder's `neutral` (1, C)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = cls(segments, count, neutral.shape[-1], finer, parts)
            with torch.no_grad():
                made.tokens.copy_(neutral.detach().cpu() + _SPREAD * torch.randn_like(made.tokens))
        return made

    @classmethod
    def restored(
        cls, segments: Sequence[str], tensors: Mapping[str, Tensor], finer: int
    ) -> LearnedPrompt | None:
        """From an adapter's tensors, by their names here; None if there are none.

        Raises:
            RuntimeError, KeyError: they do not fit together or the segments.
        """
        if not tensors:
            return None
        _, count, channels = tensors["tokens"].shape
        names = [name for name in tensors if name.startswith("locators.")]
        parts = 1 + max(int(name.split(".")[1]) for name in names)
        made = cls(segments, count, channels, finer, parts)
        made.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return made.requires_grad_(False)

    def of(self, numbers: Sequence[int]) -> Tensor:
        """Tokens of segments, by number: (n, tokens, channels)."""
        return self.tokens[list(numbers)]

    def guess(self, features: Tensor, position: Tensor) -> Tensor:
        """Logits of all segments, as for a new slice.

        Args:
            features: embeddings (n, C, h, w).
            position: the decoder's position code (1, C, h, w).

        Returns:
            (n, segments, finer * h, finer * w), within what a mask prompt may be.
        """
        guesses = [self.guess_of(part, features, position) for part in range(len(self.locators))]
        return torch.stack(guesses).mean(0)

    def guess_of(self, part: int, features: Tensor, position: Tensor) -> Tensor:
        """As `guess`, of the locator that never sees the examples of a part."""
        even = functional.layer_norm(features.movedim(1, -1), features.shape[1:2]).movedim(-1, 1)
        seen = torch.cat([even, position.expand(len(features), -1, -1, -1)], dim=1)
        logits: Tensor = self.locators[part](seen)
        return logits.clamp(-_STRONGEST_GUESS, _STRONGEST_GUESS)


def _locator(channels: int, outputs: int, finer: int) -> nn.Sequential:
    """Normalised after each convolution: few examples and few steps have to do."""
    return nn.Sequential(
        nn.Conv2d(2 * channels, _WIDTH, 1),
        nn.GroupNorm(_GROUPS, _WIDTH),
        nn.GELU(),
        nn.Dropout2d(_DROPPED),
        nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
        nn.GroupNorm(_GROUPS, _WIDTH),
        nn.GELU(),
        nn.Conv2d(_WIDTH, _WIDTH, 3, padding=2, dilation=2),
        nn.GroupNorm(_GROUPS, _WIDTH),
        nn.GELU(),
        nn.Dropout2d(_DROPPED),
        nn.Conv2d(_WIDTH, outputs, 3, padding=1),
        nn.Upsample(scale_factor=finer, mode="bilinear"),
    )


def finer_of(model: SamModel) -> int:
    """How many times finer a model's logits are than its embeddings."""
    grid: tuple[int, int] = model.prompt_encoder.image_embedding_size  # type: ignore[assignment]
    return model.logits_size // grid[0]

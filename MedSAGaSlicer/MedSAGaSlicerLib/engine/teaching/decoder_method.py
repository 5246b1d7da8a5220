"""Teaching the mask decoder and the prompt encoder on embeddings that are cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from MedSAGaSlicerLib.engine.teaching.method import PROMPTED_PARTS, Method, with_copies

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.families import SamModel
    from MedSAGaSlicerLib.engine.teaching.samples import Sample


class DecoderMethod(Method):
    """Every slice is encoded once, or never if it was annotated before; steps cost no encoder."""

    name = "decoder"
    # On files unlike those taught, a click's answer gets worse with more. Without a prompt the
    # base knows nothing, and what was taught counts in full.
    share = 0.5
    lasting_features = True

    @classmethod
    def assemble(cls, base: SamModel, tensors: Mapping[str, Tensor]) -> SamModel:
        """Put the tensors into copies of decoder and prompt encoder; the encoder is the base's."""
        model = with_copies(base, PROMPTED_PARTS)
        model.load_state_dict({**base.state_dict(), **tensors}, strict=True)
        for part in PROMPTED_PARTS:
            model.get_submodule(part).requires_grad_(False)
        return model

    def prepare(self, sample: Sample) -> None:
        """Look the embedding up, or compute it and keep it."""
        self._embed(sample)

    def features(self, samples: Sequence[Sample]) -> Tensor:
        """The cached embeddings as they are: (n, C, h, w) float32, without gradients."""
        return self._embedded(samples)

    def tensors(self, share: float = 1.0) -> dict[str, Tensor]:
        """Decoder and prompt encoder, whole."""
        return self._replacements(PROMPTED_PARTS, share)

    def unprompted_tensors(self) -> dict[str, Tensor]:
        """Decoder and prompt encoder as taught."""
        drawn = self.learned is not None and self.config.share < 1
        return self._replacements(PROMPTED_PARTS, 1.0) if drawn else {}

    def _copied(self, base: SamModel) -> SamModel:
        return with_copies(base, PROMPTED_PARTS)

    def _learns(self, name: str) -> bool:
        return name.partition(".")[0] in PROMPTED_PARTS

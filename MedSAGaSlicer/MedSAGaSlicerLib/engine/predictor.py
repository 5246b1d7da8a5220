"""From a slice and prompts to a mask: encode once, predict often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.attention import fuse_attention
from MedSAGaSlicerLib.engine.checkpoints import (
    encoder_fingerprint,
    load_model,
    model_fingerprint,
)
from MedSAGaSlicerLib.engine.devices import choose_device
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.families import FAMILIES, SamModel
from MedSAGaSlicerLib.engine.look import embedding_of
from MedSAGaSlicerLib.engine.mask_prompt import mask_logits
from MedSAGaSlicerLib.engine.neighbours import check_shown
from MedSAGaSlicerLib.engine.precision import FULL, choose_precision, encoder_in, part_of_key
from MedSAGaSlicerLib.engine.preprocessing import SliceFrame, preprocessing_of
from MedSAGaSlicerLib.engine.products import hasten
from MedSAGaSlicerLib.engine.prompts import MaskPrompt, Prompts, is_ambiguous, is_mask
from MedSAGaSlicerLib.errors import InputError

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model makes of prompts.

    Attributes:
        mask: bool (rows, columns), in the slice's own grid.
        logits: float32 (h, w), the decoder's own square grid, which covers the encoder's input;
            positive inside. May be given back as the mask prompt of a correction.
        score: the model's guess of the mask's intersection over union with the truth, about 0 to 1.
    """

    mask: npt.NDArray[np.bool_]
    logits: Logits
    score: float


class Predictor:
    """A model ready to segment.

    `encode` and `predict` keep no state: they may be called from different threads.
    """

    depth: int = 1
    """How many slices it is shown at a time, see `engine.neighbours`."""

    def __init__(
        self, model: SamModel, device: str | torch.device = "cpu", precision: str = FULL
    ) -> None:
        """Take over a model: it moves to the device, in evaluation mode, with faster layers.

        Names and values of weights stay. `precision` (`engine.precision`) is what it encodes in;
        the decoder is float32 always. InputError is raised if there is none such.
        """
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.precision = choose_precision(precision, self.device)
        self._rules = preprocessing_of(model.family, model.input_size)
        fuse_attention(model.image_encoder)
        hasten(model.mask_decoder)
        with torch.inference_mode():
            # The same for every prediction; the reference recomputes it each time.
            self._position: Tensor = model.prompt_encoder.get_dense_pe()  # type: ignore[operator]

    @cached_property
    def encoder_key(self) -> str:
        """Names what an embedding depends on besides the slice: encoder, precision, preprocessing.

        Models that share their encoder and differ in the decoder share the key.
        """
        key = f"{self.encoder_fingerprint}-{self._rules.name}-{self._rules.input_size}"
        return key + part_of_key(self.precision)

    @cached_property
    def _encoder(self) -> nn.Module:
        """What encodes: the model's own, or in another precision one made from it."""
        return encoder_in(self.precision, self.model.image_encoder)

    @cached_property
    def encoder_fingerprint(self) -> str:
        """SHA-256 in hex over the encoder's weights."""
        return encoder_fingerprint(self.model)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hex over all weights; as an encoder's, taken once: they do not change."""
        return model_fingerprint(self.model, self.encoder_fingerprint)

    @property
    def input_size(self) -> int:
        """Side of the encoder's input in pixels."""
        return self._rules.input_size

    def extent(self, size: tuple[int, int]) -> tuple[float, float]:
        """The part of the input that a slice of (rows, columns) takes; the rest is padding."""
        rows, columns = self._rules.frame(size).scaled
        return rows / self.input_size, columns / self.input_size

    def encode(self, pixels: npt.NDArray[np.uint8]) -> Embedding:
        """Encode one slice; as `encode_batch`."""
        return self.encode_batch([pixels])[0]

    def encode_batch(self, slices: Sequence[npt.NDArray[np.uint8]]) -> list[Embedding]:
        """Encode slices in one go; they may differ in size. Memory grows with their number.

        Args:
            slices: uint8, (rows, columns) or (rows, columns, 3) in RGB order, normalised to the
                full range of grey levels (`engine.intensity`). Values that are not finite have no
                place here: the normalisation replaces them. Stacks if the `depth` is above 1.

        Returns:
            Embeddings with float32 features (channels, h, w).

        Raises:
            InputError: an array is not such a slice.
        """
        if not slices:
            return []
        for pixels in slices:
            check_shown(pixels, self.depth)
        images = torch.stack([self._rules.prepare(pixels)[0] for pixels in slices])
        with torch.inference_mode():
            features = self._encoder(images.to(self.device)).float().cpu().numpy()
        # Copies: a view would keep the whole batch alive, and in the encoder's own memory order.
        key = self.encoder_key
        return [embedding_of(p, f.copy("C"), key) for p, f in zip(slices, features, strict=True)]

    def predict(
        self, embedding: Embedding, prompts: Prompts, previous_logits: MaskPrompt | None = None
    ) -> Prediction:
        """Segment one object on an encoded slice.

        A single positive point is ambiguous: of the model's three answers the one with the highest
        score is taken. Otherwise the answer is the single mask the model gives for clear prompts.

        Args:
            embedding: from a predictor with the same `encoder_key`; float16 or float32.
            prompts: in the slice's coordinates (column, row).
            previous_logits: `logits` of an earlier prediction on this slice, to be corrected, or
                the mask that is expected, bool (rows, columns) of the slice.

        Raises:
            InputError: there is nothing to go by, a prompt lies outside the slice, or embedding or
                logits are not this model's.
        """
        prompts.validate(embedding.size)
        if prompts.is_empty and previous_logits is None:
            msg = "There is no prompt: give a point, a box, or the logits of an earlier prediction"
            raise InputError(msg)
        ambiguous = is_ambiguous(prompts, previous_logits)
        return self._answer(embedding, prompts, previous_logits, ambiguous)

    def _answer(
        self,
        embedding: Embedding,
        prompts: Prompts,
        previous_logits: MaskPrompt | None,
        ambiguous: bool,
        learned: Tensor | None = None,
    ) -> Prediction:
        """The best of the model's answers; `learned` (tokens, channels) join the prompts."""
        self._check(embedding)
        frame = self._rules.frame(embedding.size)
        with torch.inference_mode():
            logits, scores = self._decode(
                embedding, prompts, previous_logits, frame, ambiguous, learned
            )
            best = int(scores.argmax())
            return Prediction(
                mask=self._rules.mask(logits[best], frame),
                logits=logits[best].float().cpu().numpy(),
                score=float(scores[best]),
            )

    def _decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        previous_logits: MaskPrompt | None,
        frame: SliceFrame,
        ambiguous: bool,
        learned: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Logits (n, h, w) and scores (n,): three if ambiguous, otherwise one."""
        points, box = None, None
        if prompts.points:
            places = self._rules.points(np.array(prompts.points, np.float64), frame)
            labels = torch.tensor(prompts.positive, dtype=torch.int32)
            points = places[None].to(self.device), labels[None].to(self.device)
        if prompts.box is not None:
            box = self._rules.box(np.array(prompts.box, np.float64), frame)[None].to(self.device)
        sparse, dense = self.model.prompt_encoder(
            points=points, boxes=box, masks=self._mask_prompt(previous_logits, frame)
        )
        if learned is not None:
            sparse = torch.cat([sparse, learned[None]], dim=1)
        logits, scores = self.model.mask_decoder(
            image_embeddings=self._features(embedding),
            image_pe=self._position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=ambiguous,
        )
        return logits[0], scores[0]

    def _features(self, embedding: Embedding) -> Tensor:
        # A copy: cached features may be read-only, and half precision has to be widened anyway.
        features = np.array(embedding.features, np.float32)
        return torch.from_numpy(features)[None].to(self.device)

    def _mask_prompt(self, logits: MaskPrompt | None, frame: SliceFrame) -> Tensor | None:
        if logits is None:
            return None
        side = self.model.logits_size
        if is_mask(logits) and logits.shape == frame.size:
            logits = mask_logits(logits, frame.scaled, self.input_size, side)
        if logits.shape != (side, side) or not np.isfinite(logits).all():
            msg = (
                f"The earlier logits have the shape {logits.shape}; this model takes finite ones "
                f"of ({side}, {side}), as `Prediction.logits` has them, or a mask of the slice"
            )
            raise InputError(msg)
        maps = torch.from_numpy(np.array(logits, np.float32))[None, None].to(self.device)
        return torch.sigmoid(maps) if self._rules.mask_probabilities else maps

    def _check(self, embedding: Embedding) -> None:
        if embedding.encoder != self.encoder_key:
            msg = (
                "The embedding was made by another encoder or preprocessing than this model's "
                f"({self.model.family}); encode the slice with this one"
            )
            raise InputError(msg)


def load_predictor(
    name_or_path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    folder: Path | None = None,
    precision: str = FULL,
) -> Predictor:
    """Load a model by its registered name, or from a weight file.

    Args:
        name_or_path: a name of the registry; a path; or `family:path` for a file whose tensors fit
            several families, as `medsam_vit_b:/models/mine.pth`.
        device: `auto` (the first CUDA device if there is one, otherwise the CPU), `cpu`, `cuda`,
            `cuda:1`, or `mps` (untested).
        threads: of torch on the CPU, for the whole process; None leaves them as they are.
        folder: of downloaded models; by default `registry.model_folder()`.
        precision: of encoding: `float32`, `bfloat16`, the same by OpenVINO, or `auto`
            (`engine.precision`).

    Raises:
        InputError: no such name, file, precision or device, or the model is not here yet.
        CheckpointError: the file's weights cannot be used.
        DependencyError: this torch has no such device.
    """
    if threads is not None:
        if threads < 1:
            msg = f"{threads} threads were asked for; at least one is needed"
            raise InputError(msg)
        torch.set_num_threads(threads)
    chosen = choose_device(device)
    path, family = _find(str(name_or_path), folder)
    return Predictor(load_model(path, family), chosen, precision)


def _find(name_or_path: str, folder: Path | None) -> tuple[Path, str | None]:
    """The weight file, and the family if it is known beforehand."""
    start, colon, rest = name_or_path.partition(":")
    if colon and start in FAMILIES:
        return Path(rest).expanduser(), start
    path = Path(name_or_path).expanduser()
    names = [entry.name for entry in registry.entries()]
    # A name of the registry wins over a file of that name in the working folder: ./name is a file.
    if name_or_path not in names and (path.exists() or path.suffix or len(path.parts) > 1):
        return path, None
    wanted = registry.entry(name_or_path)
    return registry.present(wanted, folder), wanted.family

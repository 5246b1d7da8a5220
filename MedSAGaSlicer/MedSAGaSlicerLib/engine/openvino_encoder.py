"""An encoder computed by OpenVINO: the same network with kernels made for this processor.

The package `openvino` is optional. Encoders get there through `torch.export`, without a file;
layers of ours that are written for torch's kernels show it their published form
(`torch.compiler.is_exporting`).
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy
from MedSAGaSlicerLib.errors import DependencyError

HINTS: Final = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO's names of number formats. In bfloat16 it computes all of the encoder, not its products
alone."""


def has_openvino() -> bool:
    """Whether OpenVINO can be asked: it is installed, and this torch can export (2.7)."""
    return importlib.util.find_spec("openvino") is not None and hasattr(
        torch.compiler, "is_exporting"
    )


class OpenVinoEncoder(nn.Module):
    """Takes and gives what the encoder does, on the CPU; for inference only."""

    def __init__(self, encoder: nn.Module, number_format: str) -> None:
        """Refer to an encoder in evaluation mode; it is compiled when the first picture comes.

        Args:
            encoder: its weights are shared until then, and copied by OpenVINO.
            number_format: a key of `HINTS`.

        Raises:
            DependencyError: OpenVINO is missing, or torch too old for it.
        """
        super().__init__()
        if not has_openvino():
            msg = (
                "OpenVINO is not here, or torch is older than 2.7. Install it (pip install "
                "openvino), or choose the precision float32, bfloat16 or auto"
            )
            raise DependencyError(msg)
        self._source: nn.Module | None = shared_copy(encoder)
        self._format = number_format
        self._request: Any = None

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (B, ...) to embeddings (B, C, h, w), float32; one after the other.

        Raises:
            DependencyError: OpenVINO cannot compute this encoder.
        """
        if self._source is not None:
            self._request = self._compiled(self._source, images[:1])
            # OpenVINO has its own weights now.
            self._source = None
        return torch.stack([self._answer(image) for image in images])

    def _answer(self, image: Tensor) -> Tensor:
        found = self._request.infer({0: image[None].numpy()}, share_inputs=True)
        # A copy: the request writes its next answer to the same place.
        return torch.from_numpy(found[0][0].copy())

    def _compiled(self, encoder: nn.Module, images: Tensor) -> Any:
        openvino = _openvino()
        from openvino.frontend import GeneralFailure, OpConversionFailure

        try:
            with _quietly():
                network = _converted(_exported(encoder, images))
            compiled = openvino.Core().compile_model(network, "CPU", self._settings())
        except (RuntimeError, GeneralFailure, OpConversionFailure) as error:
            reason = str(error).strip().splitlines()[-1:]
            msg = (
                f"OpenVINO {openvino.__version__} cannot compute this encoder "
                f"({' '.join(reason)}). Choose the precision float32 or bfloat16"
            )
            raise DependencyError(msg) from error
        return compiled.create_infer_request()

    def _settings(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": HINTS[self._format],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }


def _openvino() -> Any:
    """The package, without its part that reports to its makers, over the network, what is used.

    It does so when it is imported and when a network is converted, unless that part is missing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what tracing says of segment-anything's code, and OpenVINO's reader of torch's."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _exported(encoder: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    """The encoder's operations on pictures of this shape, those of training: they are plain."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        return torch.export.export(encoder, (torch.zeros(images.shape),), strict=False)


def _converted(program: torch.export.ExportedProgram) -> Any:
    """OpenVINO's form of it, by what `openvino.convert_model` does within."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchFXPythonDecoder.from_exported_program(program)
    return frontend.convert(frontend.load(decoder))

"""What a taught model finds without prompts, on its way from the worker to whoever asked."""

import zlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.finishing.evidence import Finding
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.loaded_model import Predictor

# Fast rather than small: most of a slice is surely nothing, of which any level makes short work.
_LEVEL = 1


class Finder(Protocol):
    """A predictor that was taught; see ``engine.teaching.taught``."""

    def find(self, embedding: Embedding, segments: Sequence[str], /) -> Finding:
        """Find segments without prompts."""


def find(predictor: Predictor, embedding: Embedding, segments: Sequence[str]) -> Finding:
    """Ask a predictor with an adapter on."""
    return cast(Finder, predictor).find(embedding, segments)


def pack_finding(finding: Finding) -> tuple[dict[str, Any], bytes]:
    """Take a finding apart into a message's fields and its body."""
    fields = {
        "shape": list(finding.evidence.shape),
        "scores": [float(score) for score in finding.scores],
        "channels": int(finding.pooled.size),
    }
    pooled = np.asarray(finding.pooled, "<f4").tobytes()
    return fields, pooled + zlib.compress(finding.evidence.tobytes(), _LEVEL)


def unpack_finding(fields: dict[str, Any], body: bytes) -> Finding:
    """Put a finding together again.

    Raises:
        WorkerError: fields and body do not agree.
    """
    start = 4 * int(fields["channels"])
    shape = tuple(int(n) for n in fields["shape"])
    count = int(np.prod(shape))
    try:
        # A bomb stops at the size that it claims to be.
        bits = zlib.decompressobj().decompress(body[start:], count + 1)
    except zlib.error as error:
        msg = f"A finding cannot be unpacked: {error}."
        raise WorkerError(msg) from error
    if len(bits) != count or len(shape) != 3 or len(fields["scores"]) != shape[0]:
        msg = f"A finding of shape {shape} came with {len(bits)} bytes."
        raise WorkerError(msg)
    pooled = np.frombuffer(body, "<f4", fields["channels"]).astype(np.float32)
    evidence = np.frombuffer(bits, np.int8).reshape(shape)
    return Finding(evidence, tuple(fields["scores"]), pooled)

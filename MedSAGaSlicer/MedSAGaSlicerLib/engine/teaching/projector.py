"""The subspace in which GaLore (Zhao et al. 2024, arXiv 2403.03507) keeps a matrix's moments.

A gradient G of m x n, m <= n, is replaced by P^T G with the m x r basis P of its strongest left
singular directions; the optimiser works on r x n numbers, and P takes its step back. With m > n it
is G P, with P of n x r.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

_MORE: Final = 8
"""Directions tried beyond those wanted: they make the wanted ones exact."""
_FIRST_PASSES: Final = 2
_LATER_PASSES: Final = 1
_TINY: Final = torch.finfo(torch.float32).tiny


class Projector:
    """One parameter's subspace, and its gradients there, gathered over the parts of a step.

    Takes the place of galore-torch's projector in its AdamW, which asks for `project` and
    `project_back`. That one decomposes the whole gradient; here the former basis, or chance in the
    beginning, is drawn towards the strongest directions by a block power method (Halko et al. 2011,
    arXiv 0909.4061). The new basis is turned within its subspace to be as near as can be to the
    former one, so that the moments, which stay, go on meaning the same.

    Attributes:
        rank: r, at most the smaller side; at the smaller side the basis is the identity.
        basis: P, float32, None before the first gradient.
        gathered: the projected gradients of the step under way, summed; None if there are none.
    """

    def __init__(self, shape: Sequence[int], rank: int, every: int, seed: Sequence[int]) -> None:
        """Nothing is known yet.

        Args:
            shape: of the parameter.
            rank: of the subspace.
            every: steps after which the basis is drawn anew.
            seed: of the directions that are tried.
        """
        self._shape = tuple(shape)
        self.rows, self.columns = matrix_shape(shape)
        self.smaller = min(self.rows, self.columns)
        self.rank = min(rank, self.smaller)
        # At full rank the subspace is everything, and the step that of AdamW.
        self._scale = math.sqrt(self.smaller / self.rank)
        self._every = every
        self._seed = list(seed)
        self.basis: Tensor | None = None
        self.gathered: Tensor | None = None
        self._next: Tensor | None = None

    def gather(self, gradient: Tensor, step: int) -> None:
        """Add a part of the gradient of a step, the first being 0."""
        matrix = gradient.reshape(self.rows, self.columns)
        if self.gathered is None and (self.basis is None or step % self._every == 0):
            self._next = self._drawn(matrix, step)
        basis = self._next if self._next is not None else self.basis
        if basis is None:
            # There is no direction in what is not finite; so the step will be left out.
            part = matrix.new_full(self.low_shape, math.nan)
        else:
            part = basis.T @ matrix if self._wide else matrix @ basis
        self.gathered = part if self.gathered is None else self.gathered.add_(part)

    def discard(self) -> None:
        """Forget the step under way: the basis is the one before it."""
        self.gathered = self._next = None

    def project(self, _gradient: Tensor, _step: int) -> Tensor:
        """What was gathered; from here on the new basis, if there is one, is the basis."""
        if self.gathered is None:
            msg = "There is no gradient to be projected"
            raise RuntimeError(msg)
        if self._next is not None:
            self.basis, self._next = self._next, None
        gathered, self.gathered = self.gathered, None
        return gathered

    def project_back(self, low: Tensor) -> Tensor:
        """A step in the subspace as one of the parameter, of an ordinary step's length."""
        if self.basis is None:
            msg = "There is no basis before the first gradient"
            raise RuntimeError(msg)
        whole = self.basis @ low if self._wide else low @ self.basis.T
        return whole.mul_(self._scale).view(self._shape)

    @property
    def low_shape(self) -> tuple[int, int]:
        """Of a gradient in the subspace."""
        return (self.rank, self.columns) if self._wide else (self.rows, self.rank)

    @property
    def _wide(self) -> bool:
        return self.rows <= self.columns

    def _drawn(self, matrix: Tensor, step: int) -> Tensor | None:
        """A basis for this gradient; None if it is not finite."""
        largest = matrix.abs().max()
        if not bool(torch.isfinite(largest)):
            return None
        found: Tensor
        if self.rank == self.smaller:
            return torch.eye(self.smaller, dtype=matrix.dtype, device=matrix.device)
        # Directions do not depend on the size, squares of scaled losses' gradients may overflow.
        matrix = (matrix if self._wide else matrix.T) / largest.clamp(min=_TINY)
        count = min(self.smaller, self.rank + _MORE)
        tried = self._chance(count if self.basis is None else count - self.rank, step).to(matrix)
        if self.basis is not None:
            tried = torch.cat([self.basis, tried], dim=1)
        for _ in range(_FIRST_PASSES if self.basis is None else _LATER_PASSES):
            tried = torch.linalg.qr(matrix @ (matrix.T @ tried)).Q
        low = tried.T @ matrix
        # Ascending, as eigh gives them: the strongest come last.
        strongest = torch.linalg.eigh(low @ low.T).eigenvectors[:, -self.rank :]
        found = tried @ strongest
        if self.basis is not None:
            # The nearest turn (Schönemann 1966).
            left, _, right = torch.linalg.svd(found.T @ self.basis)
            found = found @ (left @ right)
        return found

    def _chance(self, count: int, step: int) -> Tensor:
        # Drawn on the CPU: the same on every device.
        seed = int(np.random.SeedSequence([*self._seed, step]).generate_state(1)[0])
        return torch.randn(self.smaller, count, generator=torch.Generator().manual_seed(seed))


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """A parameter's shape as that of a matrix.

    A convolution's (out, in, h, w) becomes out x (in h w); a position code's (1, h, w, C) becomes
    (h w) x C.
    """
    if len(shape) > 2 and shape[0] == 1:
        return math.prod(shape[:-1]), shape[-1]
    return shape[0], math.prod(shape[1:])

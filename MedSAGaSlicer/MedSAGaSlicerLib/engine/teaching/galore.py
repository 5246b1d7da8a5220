"""galore-torch's AdamW with our projector, fed matrix by matrix while the gradients come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.teaching.galore_package import galore_adamw
from MedSAGaSlicerLib.engine.teaching.projector import Projector, matrix_shape
from MedSAGaSlicerLib.errors import InputError

FEWEST: Final = 1 << 12
"""Numbers in a matrix that is worth a projection."""
_EPSILON: Final = 1e-8
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class GaloreSettings:
    """How an optimiser works.

    Attributes:
        rank: of the subspaces.
        every: steps after which each basis is drawn anew.
        rate: the peak learning rate.
        decay: decoupled weight decay, of matrices alone.
        seed: of the directions tried for a basis.
        fewest: numbers that a matrix has at least, to be projected.
    """

    rank: int
    every: int
    rate: float
    decay: float = 0.0
    seed: int = 0
    fewest: int = FEWEST


class GaloreOptimizer:
    """AdamW with the moments of large matrices in subspaces; vectors are treated as by AdamW.

    As soon as a matrix has its gradient, this is projected, added to what was gathered in the
    subspace, and dropped: whole gradients never exist side by side, and gradients can be gathered
    over several backward passes. The step is made afterwards, when it is known whether all are
    finite; before that no moment and no basis is touched.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: GaloreSettings) -> None:
        """For parameters by name, on whose gradients a hook is put.

        Raises:
            InputError: no matrix would be projected at this rank.
            DependencyError: galore-torch is missing.
        """
        self._parameters = dict(parameters)
        self._settings = settings
        self._projectors = {
            name: Projector(parameter.shape, settings.rank, settings.every, (settings.seed, number))
            for number, (name, parameter) in enumerate(self._parameters.items())
            if is_projected(parameter.shape, settings.rank, settings.fewest)
        }
        _check_projected(self._parameters, self._projectors, settings)
        groups: list[dict[str, Any]] = [
            # The one key that switches the projection on.
            {"params": [p], **({"rank": settings.rank} if name in self._projectors else {})}
            for name, p in self._parameters.items()
        ]
        self._adamw: Any = galore_adamw()(groups, no_deprecation_warning=True)
        for name, projector in self._projectors.items():
            parameter = self._parameters[name]
            # galore-torch makes a projector of its own where it finds none.
            self._adamw.state[parameter] = {"projector": projector, "step": 0}
            gather = self._gather(projector)
            parameter.register_post_accumulate_grad_hook(gather)  # type: ignore[no-untyped-call]

    def gradients(self) -> list[Tensor]:
        """What was gathered since the last step, projected or whole; may be changed in place."""
        low = [projector.gathered for projector in self._projectors.values()]
        whole = [p.grad for name, p in self._parameters.items() if name not in self._projectors]
        return [gradient for gradient in (*low, *whole) if gradient is not None]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change the parameters by what was gathered, at `rate` times the peak rate."""
        rate *= self._settings.rate
        for group, (name, parameter) in zip(
            self._adamw.param_groups, self._parameters.items(), strict=True
        ):
            projector = self._projectors.get(name)
            if projector is not None and projector.gathered is not None:
                # AdamW wants to see a gradient of that shape; this one has no memory.
                parameter.grad = parameter.new_zeros(()).expand_as(parameter)
            if parameter.grad is None:
                continue
            done = self._adamw.state[parameter].get("step", 0)
            # galore-torch adds its epsilon before it corrects the second moment for its beginning,
            # and decays after the step; AdamW (Loshchilov and Hutter 2019) the other way round.
            group.update(lr=rate, eps=_EPSILON * math.sqrt(1 - group["betas"][1] ** (done + 1)))
            if parameter.ndim > 1:
                parameter.mul_(1 - rate * self._settings.decay)
        self._adamw.step()
        self.discard()

    def discard(self) -> None:
        """Forget what was gathered."""
        for parameter in self._parameters.values():
            parameter.grad = None
        for projector in self._projectors.values():
            projector.discard()

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on besides the parameters: tensors by name."""
        found = {}
        for name, parameter in self._parameters.items():
            kept = self._adamw.state.get(parameter, {})
            if "exp_avg" not in kept:
                continue
            found[f"step.{name}"] = torch.tensor(kept["step"])
            found.update({f"{key}.{name}": kept[key] for key in _MOMENTS})
            if name in self._projectors:
                basis = self._projectors[name].basis
                found[f"basis.{name}"] = torch.empty(0) if basis is None else basis
        return found

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` gave, also on another device."""
        self.discard()
        for name, parameter in self._parameters.items():
            if f"step.{name}" not in state:
                continue
            # Copies: the optimiser works in place.
            moved = {key: state[f"{key}.{name}"].to(parameter, copy=True) for key in _MOMENTS}
            kept = self._adamw.state[parameter]
            kept.update(moved, step=int(state[f"step.{name}"]))
            if name in self._projectors:
                self._projectors[name].basis = state[f"basis.{name}"].to(parameter, copy=True)

    def facts(self) -> dict[str, Any]:
        """What a report says: how many matrices are projected, and the bytes of the state."""
        state = sum(self._numbers(name) for name in self._parameters)
        whole = sum(2 * parameter.numel() for parameter in self._parameters.values())
        size = next(iter(self._parameters.values())).element_size()
        return {
            "rank": max(projector.rank for projector in self._projectors.values()),
            "projected": len(self._projectors),
            "parameters": len(self._parameters),
            "state_bytes": state * size,
            "adamw_state_bytes": whole * size,
            "compression": whole / state,
        }

    def _gather(self, projector: Projector) -> Any:
        @torch.no_grad()
        def gather(parameter: Tensor) -> None:
            gradient, parameter.grad = parameter.grad, None
            if gradient is not None:
                projector.gather(gradient, self._adamw.state[parameter]["step"])

        return gather

    def _numbers(self, name: str) -> int:
        """Of the state of a parameter: m r + 2 n r in a subspace, otherwise two moments."""
        projector = self._projectors.get(name)
        if projector is None:
            return 2 * self._parameters[name].numel()
        rows, columns = projector.low_shape
        return projector.smaller * projector.rank + 2 * rows * columns


def is_projected(shape: torch.Size, rank: int, fewest: int = FEWEST) -> bool:
    """Whether a parameter of that shape is a matrix that a subspace makes smaller."""
    if len(shape) < 2 or shape.numel() < fewest:
        return False
    rows, columns = matrix_shape(shape)
    smaller, larger = min(rows, columns), max(rows, columns)
    return rank < smaller and smaller * rank + 2 * larger * rank < 2 * smaller * larger


def _check_projected(
    parameters: Mapping[str, nn.Parameter],
    projectors: Mapping[str, Projector],
    settings: GaloreSettings,
) -> None:
    if projectors:
        return
    sides = [min(matrix_shape(p.shape)) for p in parameters.values() if p.ndim > 1]
    msg = (
        f"At rank {settings.rank} GaLore would project none of the {len(parameters)} tensors that "
        f"learn: their matrices' smaller sides are at most {max(sides, default=0)}, the rank has "
        f"to be well below that, and matrices of less than {settings.fewest} numbers are left "
        "whole. Choose a lower rank, or the method full, which this would be"
    )
    raise InputError(msg)

"""Matrix products on the CPU by the faster of the two libraries that torch brings.

torch gives float32 products to MKL, whose kernels for AMD's processors stop at AVX2: on one with
AVX-512 that is half of what it can do. oneDNN, which torch has for convolutions, uses it (measured
on Zen 5, one core: 205 to 230 against 87 to 103 thousand million operations a second). Both sum in
float32; the numbers differ in the last bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_VENDOR = "AuthenticAMD"
_TOKENS_AT_ONCE = 512
"""Tokens that pass the hidden layer at a time: 6 MiB for ViT-B instead of 48."""

_TYPES = (torch.float32, torch.bfloat16)


def product(rows: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
    """`rows @ weights.T + bias`; without gradients.

    Args:
        rows: (..., K) floating point.
        weights: (N, K) of the same type; any strides.
        bias: (N,).

    Returns:
        (..., N).
    """
    fast = _fast(rows, weights)
    if fast is None:
        return functional.linear(rows, weights, bias)
    return fast.default(rows, weights, bias, "none", [], "")  # type: ignore[no-any-return]


def product_gelu(rows: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """The exact GELU of `product`."""
    fast = _fast(rows, weights)
    if fast is None:
        return functional.gelu(functional.linear(rows, weights, bias))
    return fast.default(rows, weights, bias, "gelu", [], "none")  # type: ignore[no-any-return]


def product_plus(rows: Tensor, weights: Tensor, added: Tensor) -> Tensor:
    """`rows @ weights.T + added`: (n, K), (N, K), (n, N) to (n, N). May change `added`."""
    fast = _fast(rows, weights)
    if fast is None:
        return added.addmm_(rows, weights.t())
    return fast.binary(rows, added, weights, None, "add")  # type: ignore[no-any-return]


def perceive(tokens: Tensor, first: nn.Linear, second: nn.Linear) -> Tensor:
    """Linear, exact GELU, linear, without gradients and for a few tokens at a time.

    Args:
        tokens: (..., C) floating point.
        first: from C to the hidden channels; its weights may be of another type, in which it is
            computed then. A layer of a class of its own is asked as it is.
        second: back to C.

    Returns:
        (..., C), of the tokens' type.
    """
    flat = tokens.reshape(-1, tokens.shape[-1])
    result = torch.empty_like(flat)
    plain = type(first) in (nn.Linear, QuickLinear)
    for start in range(0, len(flat), _TOKENS_AT_ONCE):
        part = slice(start, start + _TOKENS_AT_ONCE)
        if plain:
            some = flat[part].to(first.weight.dtype)
            result[part] = second(product_gelu(some, first.weight, first.bias))
        else:
            result[part] = second(functional.gelu(first(flat[part])))
    return result.view_as(tokens)


class _Product(torch.autograd.Function):
    """`product` with gradients, which are two more products."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
        """(..., K), (N, K) and (N,) to (..., N)."""
        # Of weights that stay, the rows need not be kept.
        learns, passes = ctx.needs_input_grad[1], ctx.needs_input_grad[0]
        ctx.save_for_backward(rows if learns else None, weights if passes else None)
        return product(rows, weights, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of rows, weights and bias, as far as they learn."""
        rows, weights = ctx.saved_tensors
        arrived = gradients[0]
        flat = arrived.reshape(-1, arrived.shape[-1])
        of_rows = None if weights is None else product(arrived, weights.t())
        of_weights = None if rows is None else product(flat.t(), rows.flatten(0, -2).t())
        of_bias = flat.sum(0) if ctx.needs_input_grad[2] else None
        return of_rows, of_weights, of_bias


class QuickLinear(nn.Linear):
    """torch's linear layer, by `product` on the CPU: same parameters.

    Without gradients its weights may be of another type than the tokens: it computes in theirs.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), of the tokens' type."""
        if torch.is_grad_enabled():
            if torch.is_autocast_enabled("cpu") or _fast(tokens, self.weight) is None:
                return super().forward(tokens)
            learned: Tensor = _Product.apply(tokens, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return learned
        # Other devices have their own, which also follows torch's autocast.
        if tokens.device.type != "cpu" and tokens.dtype == self.weight.dtype:
            return super().forward(tokens)
        return product(tokens.to(self.weight.dtype), self.weight, self.bias).to(tokens.dtype)


def is_exporting() -> bool:
    """Whether `torch.export` writes down what is computed, for others: then by plain operations."""
    # torch 2.6 cannot say; nothing here exports with it.
    asked: Callable[[], bool] | None = getattr(torch.compiler, "is_exporting", None)
    return asked is not None and asked()


def hasten(network: nn.Module) -> None:
    """Swap a network's linear layers for `QuickLinear`, in place: names and values stay."""
    for module in network.modules():
        if type(module) is nn.Linear:
            module.__class__ = QuickLinear


def _fast(rows: Tensor, weights: Tensor) -> Any | None:
    """The product of oneDNN, if it pays for these."""
    same = rows.dtype == weights.dtype and rows.device.type == weights.device.type == "cpu"
    if not same or rows.dtype not in _TYPES or rows.numel() == 0 or is_exporting():
        return None
    return onednn()


@cache
def onednn() -> Any | None:
    """The product of oneDNN where it is faster than torch's own choice, otherwise None.

    A rule, not a measurement: a measurement would not come out the same each time, and embeddings
    would differ in their last bits from process to process.
    """
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (wide and built and _VENDOR in _processor()):
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def _processor() -> str:
    """What the system says about the processor, its maker's name in it; empty if it does not."""
    try:
        # The first kilobytes describe the first core.
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")[:4096]
    except OSError:
        return os.environ.get("PROCESSOR_IDENTIFIER", "")

"""Exact attention for segment-anything's encoder without the matrix of all pairs in memory.

SAM's decomposed relative position bias (Kirillov et al. 2023, after Li et al. 2022) adds
`q.rel_h[y] + q.rel_w[x]` to the score of query q and the key at row y, column x. On the CPU the
scores are made for a few queries at a time, in a buffer that stays in the cache, and once more for
the gradients; elsewhere the bias becomes a longer dot product of `[scale*q, q.rel_h, q.rel_w]` with
`[k, onehot(y), onehot(x)]`, which a fused kernel takes as it is.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.products import (
    hasten,
    is_exporting,
    perceive,
    product,
    product_plus,
)
from MedSAGaSlicerLib.engine.sam_modules import Attention, MLPBlock, get_rel_pos

_SCORES_AT_ONCE = 1 << 19
"""Scores held at a time by each thread: 2 MiB of float32, measured best of 2^17 … 2^21."""

_MANY_KEYS = 256
"""From so many keys on each head's products are large enough to be calls of their own."""


class FusedAttention(Attention):  # type: ignore[misc, valid-type]
    """segment-anything's windowed or global attention: same parameters, same numbers."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Attends within each picture or window.

        Args:
            tokens: (B, H, W, C) floating point.

        Returns:
            (B, H, W, C).
        """
        if is_exporting():
            published: Tensor = super().forward(tokens)
            return published
        batch, height, width, _ = tokens.shape
        given = tokens.dtype
        if not torch.is_grad_enabled():
            # Of another type only in reduced precision: then all of the attention is.
            tokens = tokens.to(self.qkv.weight.dtype)
        qkv = self.qkv(tokens).reshape(batch, height * width, 3, self.num_heads, -1)
        if tokens.device.type == "cpu" and not torch.is_grad_enabled():
            merged = self._picture_by_picture(qkv, height, width)
        else:
            merged = self._together(qkv, height, width).transpose(1, 2)
        result: Tensor = self.proj(merged.reshape(batch, height, width, -1))
        return result if torch.is_grad_enabled() else result.to(given)

    def _together(self, qkv: Tensor, height: int, width: int) -> Tensor:
        """All pictures and heads in one go, (B, heads, N, C), with gradients."""
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if not self.use_rel_pos:
            return functional.scaled_dot_product_attention(q, k, v)
        if qkv.device.type == "cpu":
            return self._in_chunks(q, k, v, height, width)
        return self._fused(q, k, v, height, width)

    def _picture_by_picture(self, qkv: Tensor, height: int, width: int) -> Tensor:
        """(B, N, heads, C) without gradients; what is at work at a time stays in the cache."""
        batch, count, _, heads, channels = qkv.shape
        merged = qkv.new_empty(batch, count, heads, channels)
        for at in range(batch):
            q, k, v = qkv[at].permute(1, 2, 0, 3)
            biases = self._biases(q[None], height, width) if self.use_rel_pos else None
            q = q * self.scale
            if count < _MANY_KEYS:
                mixed = _mix_heads(q, k, v, None if biases is None else _sum(*biases)[0])
                merged[at] = mixed.transpose(0, 1)
                continue
            for head in range(heads):
                given = None if biases is None else (biases[0][0, head], biases[1][0, head])
                merged[at, :, head] = _mix(q[head], k[head], v[head], given)
        return merged

    def _biases(self, q: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Bias of each query towards each row (B, heads, N, H) and column (B, heads, N, W)."""
        grid = q.reshape(*q.shape[:2], height, width, -1)
        rows = get_rel_pos(height, height, self.rel_pos_h).to(q.dtype)
        columns = get_rel_pos(width, width, self.rel_pos_w).to(q.dtype)
        rel_h = grid @ rows.transpose(1, 2)
        rel_w = (grid.transpose(2, 3) @ columns.transpose(1, 2)).transpose(2, 3)
        return rel_h.flatten(2, 3), rel_w.flatten(2, 3)

    def _in_chunks(self, q: Tensor, k: Tensor, v: Tensor, height: int, width: int) -> Tensor:
        """Scores, softmax and mixing for as many queries at a time as fit the buffer."""
        batch, heads, count, channels = q.shape
        rel_h, rel_w = (bias.flatten(0, 1) for bias in self._biases(q, height, width))
        q, k, v = ((t.flatten(0, 1)) for t in (q * self.scale, k, v))
        mixed: Tensor = _ChunkedAttention.apply(q, k, v, rel_h, rel_w)  # type: ignore[no-untyped-call]
        return mixed.view(batch, heads, count, channels)

    def _fused(self, q: Tensor, k: Tensor, v: Tensor, height: int, width: int) -> Tensor:
        """One call of the fused kernel on the longer vectors."""
        batch, heads, count, channels = q.shape
        longer_q = torch.cat([q * self.scale, *self._biases(q, height, width)], dim=-1)
        rows = torch.eye(height, dtype=k.dtype, device=k.device)[:, None].expand(-1, width, -1)
        columns = torch.eye(width, dtype=k.dtype, device=k.device)[None].expand(height, -1, -1)
        position = torch.cat([rows, columns], dim=-1).reshape(1, 1, count, height + width)
        longer_k = torch.cat([k, position.expand(batch, heads, -1, -1)], dim=-1)
        wider_v = functional.pad(v, (0, height + width))
        mixed = functional.scaled_dot_product_attention(longer_q, longer_k, wider_v, scale=1.0)
        return mixed[..., :channels]


def _sum(rel_h: Tensor, rel_w: Tensor) -> Tensor:
    """The bias of each query towards each key, (..., N, H W)."""
    return (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)


def _mix_heads(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of a few queries to a few keys: (heads, N, C), q scaled, bias (heads, N, N)."""
    keys = k.transpose(1, 2)
    scores = q @ keys if bias is None else bias.baddbmm_(q, keys)
    return scores.softmax(-1) @ v


def _mix(q: Tensor, k: Tensor, v: Tensor, biases: tuple[Tensor, Tensor] | None) -> Tensor:
    """Attention of one head: (N, C), q scaled; biases (N, H) and (N, W)."""
    k, v = k.contiguous(), v.contiguous().t()
    rows = max(1, _SCORES_AT_ONCE * torch.get_num_threads() // len(k))
    mixed = torch.empty_like(q, memory_format=torch.contiguous_format)
    for start in range(0, len(q), rows):
        part = slice(start, start + rows)
        if biases is None:
            scores = product(q[part], k)
        else:
            scores = product_plus(q[part], k, _sum(biases[0][part], biases[1][part]))
        mixed[part] = product(scores.softmax(-1), v)
    return mixed


class _ChunkedAttention(torch.autograd.Function):
    """Attention of maps (M, N, C) with biases (M, N, H) and (M, N, W), N = H W; q is scaled.

    No scores are kept for the gradients: they are computed again, chunk by chunk, as in
    FlashAttention (Dao et al. 2022).
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        """The values mixed, (M, N, C)."""
        q, _, v, _, _ = inputs
        mixed = torch.empty_like(q, memory_format=torch.contiguous_format)
        for group, part, scores in _score_chunks(*inputs):
            torch.bmm(scores.softmax(-1), v[group], out=mixed[group, part])
        ctx.save_for_backward(*inputs, mixed)
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Of q, k, v and the two biases."""
        *inputs, mixed = ctx.saved_tensors
        q, k, v, rel_h, rel_w = inputs
        gradient = gradients[0].contiguous()
        of_q, of_h, of_w = (torch.empty_like(t) for t in (q, rel_h, rel_w))
        of_k, of_v = (torch.zeros_like(t, memory_format=torch.contiguous_format) for t in (k, v))
        # What each row of the softmax takes back, since its sum stays one.
        shared = (gradient * mixed).sum(-1, keepdim=True)
        for group, part, scores in _score_chunks(*inputs):
            weights, arrived = scores.softmax(-1), gradient[group, part]
            of_v[group].baddbmm_(weights.transpose(1, 2), arrived)
            of_scores = torch.bmm(arrived, v[group].transpose(1, 2))
            of_scores.sub_(shared[group, part]).mul_(weights)
            torch.bmm(of_scores, k[group], out=of_q[group, part])
            of_k[group].baddbmm_(of_scores.transpose(1, 2), q[group, part])
            maps = of_scores.view(*of_scores.shape[:2], rel_h.shape[-1], rel_w.shape[-1])
            of_h[group, part], of_w[group, part] = maps.sum(-1), maps.sum(-2)
        return of_q, of_k, of_v, of_h, of_w


def _score_chunks(
    q: Tensor, k: Tensor, _: Tensor, rel_h: Tensor, rel_w: Tensor
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Which maps and queries, and their scores (m, n, N), in a buffer that is used again."""
    total, count, _channels = q.shape
    height, width = rel_h.shape[-1], rel_w.shape[-1]
    rows = min(count, max(1, _SCORES_AT_ONCE // count))
    maps = max(1, _SCORES_AT_ONCE // (count * count))
    buffer = q.new_empty(min(total, maps) * rows * count)
    for m in range(0, total, maps):
        group = slice(m, min(m + maps, total))
        keys = k[group].transpose(1, 2)
        for r in range(0, count, rows):
            part = slice(r, min(r + rows, count))
            queries = q[group, part]
            size = queries.shape[0], queries.shape[1]
            scores = buffer[: size[0] * size[1] * count].view(*size, height, width)
            torch.add(rel_h[group, part, :, None], rel_w[group, part, None, :], out=scores)
            yield group, part, scores.view(*size, count).baddbmm_(queries, keys)


class ChunkedMLP(MLPBlock):  # type: ignore[misc, valid-type]
    """segment-anything's perceptron with a small hidden buffer: same parameters and numbers."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C) to (..., C); with gradients all tokens at once, as they are kept anyway."""
        bent = isinstance(self.act, nn.GELU) and self.act.approximate == "none"
        if torch.is_grad_enabled() or not bent:
            whole: Tensor = super().forward(tokens)
            return whole
        return perceive(tokens, self.lin1, self.lin2)


def fuse_attention(encoder: nn.Module) -> None:
    """Swaps an encoder's attentions, perceptrons and linear layers for faster ones, in place.

    Parameter names and values stay as they are.
    """
    hasten(encoder)
    for module in encoder.modules():
        if type(module) is Attention:
            module.__class__ = FusedAttention
        elif type(module) is MLPBlock:
            module.__class__ = ChunkedMLP

"""Biaffine scores: how well two vectors go together, for every pair of words.

A bilinear form leftᵀ U right sees only how the two fit each other. Appending a constant 1 to a side adds what
the other side is worth alone: some words are likely heads, whatever hangs on them (Dozat and Manning 2017).
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from isogloss.parsing.products import AT_A_TIME, in_blocks, widened


class Biaffine(nn.Module):
    """scoreₒ(left, right) = [left; 1]ᵀ Uₒ [right; 1], one learned U for each of the outputs."""

    def __init__(self, *, width: int, outputs: int, bias_left: bool = True, bias_right: bool = True) -> None:
        """Make the form.

        Args:
            width: Length of the vectors on both sides.
            outputs: Scores for each pair.
            bias_left: Append a 1 on the left, so that the right side has a worth of its own.
            bias_right: Append a 1 on the right, so that the left side has a worth of its own.
        """
        super().__init__()
        self.bias_left, self.bias_right = int(bias_left), int(bias_right)
        left, right = width + self.bias_left, width + self.bias_right
        bound = math.sqrt(6 / (left + right))  # Glorot, as in the published parser
        self.weight = nn.Parameter(torch.empty(left, outputs, right).uniform_(-bound, bound))

    def forward(
        self, left: Float[Tensor, "batch lefts width"], right: Float[Tensor, "batch rights width"]
    ) -> Float[Tensor, "batch lefts rights outputs"]:
        """Score every left vector with every right vector of the same sentence."""
        half = self.weighted(left)  # batch lefts outputs width
        with torch.autocast(left.device.type, enabled=False):  # small, and of another shape in every batch
            return torch.einsum("bloi,bri->blro", half, self.with_one(right))

    def pairs(
        self, left: Float[Tensor, "batch words width"], right: Float[Tensor, "batch words width"]
    ) -> Float[Tensor, "batch words outputs"]:
        """Score each left vector with the right vector in the same place only.

        Without gradient some words are done at a time: what lies between is as large as all outputs together.
        """
        if torch.is_grad_enabled():
            return self._pairs(left, right)
        lefts, rights = (side.flatten(0, 1)[None].split(AT_A_TIME, dim=1) for side in (left, right))
        some = [self._pairs(one, other) for one, other in zip(lefts, rights, strict=True)]
        return torch.cat(some, dim=1)[0].unflatten(0, left.shape[:2])

    def _pairs(
        self, left: Float[Tensor, "batch words width"], right: Float[Tensor, "batch words width"]
    ) -> Float[Tensor, "batch words outputs"]:
        half = self.weighted(left)  # batch words outputs width
        with torch.autocast(left.device.type, enabled=False):
            return DotOfEach.apply(half, self.with_one(right))  # type: ignore[return-value]

    def weighted(self, left: Float[Tensor, "batch lefts width"]) -> Float[Tensor, "batch lefts outputs right"]:
        """Return [left; 1]ᵀ Uₒ, in which a product with [right; 1] is all that is missing."""
        half = in_blocks(lambda rows: rows @ self.weight.flatten(1), pad(left, (0, self.bias_left), value=1.0))
        return widened(half.unflatten(-1, self.weight.shape[1:]))

    def with_one(self, right: Float[Tensor, "batch rights width"]) -> Float[Tensor, "batch rights right"]:
        """Append the 1 to vectors of the right side."""
        return widened(pad(right, (0, self.bias_right), value=1.0))


class DotOfEach(torch.autograd.Function):
    """Σᵣ halfₒᵣ rightᵣ for each word and output. As so many small products it would take several times as long."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, half: Float[Tensor, "batch words outputs width"], right: Float[Tensor, "batch words width"]
    ) -> Float[Tensor, "batch words outputs"]:
        """Multiply and add up."""
        ctx.save_for_backward(half, right)
        return (half * right.unsqueeze(-2)).sum(dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the gradients of both sides."""
        half, right = ctx.saved_tensors
        to_right = (gradients[0].unsqueeze(-2) @ half).squeeze(-2)
        return gradients[0].unsqueeze(-1) * right.unsqueeze(-2), to_right

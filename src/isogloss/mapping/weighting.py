"""Weigh directions by how well they correspond between two languages, to look up translations.

A rotation treats all directions alike. Some carry what both languages share, others are noise or one language's own.
In canonical directions of the dictionary's pairs, X Cₓ U and Y C_y V with C = (XᵀX + ridge)^−½ and
Cₓ XᵀY C_y = U S Vᵀ, the correlations S tell which; each direction is multiplied by S^exponent. The whitening C is taken
back afterwards, each side's in its own canonical directions, so that vectors keep their shape but for the weights:

    source weighting  A = Cₓ U S^e Uᵀ Cₓ⁻¹ U
    target weighting  B = C_y V S^e Vᵀ C_y⁻¹ V

Translations are then neighbours among the rows of X A and Y B. With S^e = 1 that is X U against Y V, a rotation of
each.

Receives the normalised anchors of dictionary pairs; hands on A and B. They serve the look-up alone: vectors for a
parser keep their distances and are only rotated.

Source: Artetxe, Labaka and Agirre (2018), Generalizing and improving bilingual word embedding mappings with a
multi-step framework of linear transformations (whitening, re-weighting, de-whitening). The ridge is ours: with few
pairs for many directions the correlations would all be near 1.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

RIDGE = 0.3
"""Added to the variance of every direction, as a share of the mean variance."""


def symmetric_weighting(
    source: Float[Tensor, "pairs width"], target: Float[Tensor, "pairs width"], *, exponent: float, ridge: float = RIDGE
) -> tuple[Float64[Tensor, "width width"], Float64[Tensor, "width width"]]:
    """Return A and B, such that rows of ``source @ A`` lie near the like rows of ``target @ B``.

    Args:
        source: Normalised anchors of words.
        target: Those of their translations, in the same order.
        exponent: Of the correlations; 0 weighs all directions alike.
        ridge: See `RIDGE`.
    """
    X, Y = source.double(), target.double()
    whiten_X, unwhiten_X = _whitening(X, ridge)
    whiten_Y, unwhiten_Y = _whitening(Y, ridge)
    U, S, Vh = torch.linalg.svd(whiten_X @ X.mT @ Y @ whiten_Y)
    V, weights = Vh.mT, S**exponent
    A = whiten_X @ (U * weights) @ U.mT @ unwhiten_X @ U
    B = whiten_Y @ (V * weights) @ V.mT @ unwhiten_Y @ V
    return A, B


def _whitening(
    vectors: Float64[Tensor, "pairs width"], ridge: float
) -> tuple[Float64[Tensor, "width width"], Float64[Tensor, "width width"]]:
    """Return the inverse square root of the regularised second moments, and its inverse."""
    moments = vectors.mT @ vectors
    values, directions = torch.linalg.eigh(moments)
    deviations = (values.clamp(min=0.0) + ridge * moments.diagonal().mean()).sqrt()
    return (directions / deviations) @ directions.mT, (directions * deviations) @ directions.mT

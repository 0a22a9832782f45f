"""Weigh directions by how well they correspond between two languages, to look up translations.

A rotation treats all directions alike. Some carry what both languages share, others are noise or one language's own.
In canonical directions of the dictionary's pairs, X Cₓ U and Y C_y V with C = (XᵀX + ridge)^−½ and
Cₓ XᵀY C_y = U S Vᵀ, the correlations S tell which; each direction is multiplied by S^exponent. The whitening C is taken
back afterwards, each side's in its own canonical directions, so that vectors keep their shape but for the weights:

    source weighting  A = Cₓ U S^e Uᵀ Cₓ⁻¹ U
    target weighting  B = C_y V S^e Vᵀ C_y⁻¹ V

Translations are then neighbours among the rows of X A and Y B. With S^e = 1 that is X U against Y V, a rotation of
each. Two more steps help on most pairs of real languages:

The *prior*: where two models began as one, the identity joins the whitened pairs as if it were so many pairs more, with
K = Cₓ XᵀY C_y that is K + prior_pairs / pairs · ‖K‖/√width · I.

*Meeting*: a word and its translation are still apart, each on its own side, by what only its language has. A linear map
of each side takes P = X A towards the mean H of P and Q = Y B, as far as the pairs demand it:
F = (PᵀP + r I)⁻¹ (PᵀH + r I), with r as large as the mean variance, and likewise for Q. A F and B G then take the place
of A and B.

Which exponent serves best depends on the vectors: where noise is the same in all directions, none does.
`held_out_weighting` lets pairs tell that had no part in A and B.

Receives the normalised anchors of dictionary pairs; hands on A and B. They serve the look-up alone: vectors for a
parser keep their distances and are only rotated.

Source: Artetxe, Labaka and Agirre (2018), Generalizing and improving bilingual word embedding mappings with a
multi-step framework of linear transformations (whitening, re-weighting, de-whitening). The ridge is ours: with few
pairs for many directions the correlations would all be near 1. So is the prior. Meeting: Doval, Camacho-Collados,
Espinosa-Anke and Schockaert (2018), Improving Cross-Lingual Word Embeddings by Meeting in the Middle; the pull to the
identity is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.errors import AlignmentError
from isogloss.mapping.procrustes import FOLDS, completed_procrustes, with_identity
from isogloss.mapping.retrieval import nearest

RIDGE = 0.3
"""Added to the variance of every direction, as a share of the mean variance."""
PULL = 1.0
"""What holds the identity against the pairs when the two sides meet, as a share of the mean variance."""


def symmetric_weighting(
    source: Float[Tensor, "pairs width"],
    target: Float[Tensor, "pairs width"],
    *,
    exponent: float,
    ridge: float = RIDGE,
    prior_pairs: float | Float64[Tensor, " width"] = 0.0,
    meeting: bool = False,
    counts: Float64[Tensor, " pairs"] | None = None,
) -> tuple[Float64[Tensor, "width width"], Float64[Tensor, "width width"]]:
    """Return A and B, such that rows of ``source @ A`` lie near the like rows of ``target @ B``.

    Args:
        source: Normalised anchors of words.
        target: Those of their translations, in the same order.
        exponent: Of the correlations; 0 weighs all directions alike.
        ridge: See `RIDGE`.
        prior_pairs: So many pairs the identity counts for beside those given, in all directions or in each; 0 for
            models that never met.
        meeting: Whether each side moves towards the other's.
        counts: How much each pair counts, as if it stood there so often; without them each counts 1.

    Raises:
        AlignmentError: All vectors of a side are zero, so that no direction stands out.
    """
    if counts is not None:
        source, target = counted(source, counts), counted(target, counts)
    prior = prior_pairs / (len(source) if counts is None else float(counts.sum()))
    A, B = _Canonical.of(source, target, ridge=ridge, prior=prior).weighted(exponent)
    return _met(source, target, A, B) if meeting else (A, B)


def counted(vectors: Float[Tensor, "pairs width"], counts: Float64[Tensor, " pairs"]) -> Float64[Tensor, "pairs width"]:
    """Return rows such that sums of products over pairs are those in which each pair counts as much as is said."""
    return vectors.double() * counts.sqrt()[:, None]


def _met(
    source: Float[Tensor, "pairs width"],
    target: Float[Tensor, "pairs width"],
    A: Float64[Tensor, "width width"],
    B: Float64[Tensor, "width width"],
) -> tuple[Float64[Tensor, "width width"], Float64[Tensor, "width width"]]:
    """Return A F and B G: the sides move towards each other, as far as the pairs demand it."""
    P, Q = source.double() @ A, target.double() @ B
    between = (P + Q) / 2
    return A @ _towards(between, P), B @ _towards(between, Q)


def _towards(
    between: Float64[Tensor, "pairs width"], vectors: Float64[Tensor, "pairs width"]
) -> Float64[Tensor, "width width"]:
    """Return the linear map that takes vectors nearest to others, held to the identity; see `PULL`."""
    moments = vectors.mT @ vectors
    held = PULL * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype, device=moments.device)
    return torch.linalg.solve(moments + held, vectors.mT @ between + held)


EXPONENTS = (0.0, 0.15, 0.3, 0.5)
"""What `held_out_weighting` chooses from, weakest first."""
CANDIDATES = 5_000
"""Word types of the target among which it looks for translations."""


def held_out_weighting(
    source: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    pairs: Sequence[tuple[int, int]],
    *,
    folds: Int64[Tensor, " pairs"],
    prior_pairs: float | Float64[Tensor, " width"] = 0.0,
    meeting: bool = False,
    spelling: int = 0,
    prior: float | Literal["auto"] = 0.0,
) -> float:
    """Choose the exponent by pairs that the weighting has not seen.

    For each of `EXPONENTS` every word of the dictionary looks for its translations, by CSLS, with weights found from
    the other folds, among the `CANDIDATES` most frequent words and the dictionary's own. The exponent that finds most
    is taken, of several the weakest; but 0, which stands for a look-up by the rotation alone, unless the gain over 0 is
    more than its standard error.

    Args:
        source: Normalised anchors.
        target: Normalised anchors in the space to be shared, most frequent first.
        pairs: A dictionary, as rows of both.
        folds: Of each pair, from 0; pairs of one word should share a fold.
        prior_pairs: See `symmetric_weighting`.
        meeting: Likewise.
        spelling: So many of the last numbers of a word tell its spelling, of which a rotation knows nothing.
        prior: Of the rotation.

    Returns:
        An exponent for `symmetric_weighting`; 0 with fewer than two pairs a fold, since nothing can be held out, and
        where the pairs' vectors are all zero.
    """
    if len(folds.unique()) < FOLDS or len(pairs) < 2 * FOLDS:
        return 0.0
    rows, columns = torch.tensor(pairs).unbind(dim=1)
    candidates = torch.cat([torch.arange(min(CANDIDATES, len(target))), columns]).unique()
    looked_through = target[candidates].float()
    right = {(row, column) for row, column in pairs}
    hits: list[list[bool]] = [[] for _ in EXPONENTS]
    for fold in folds.unique():
        raise_if_stop_requested()
        rest, words = folds != fold, rows[folds == fold].unique()
        known = source[rows[rest]], target[columns[rest]]
        if not all(bool(side[:, : side.shape[1] - spelling].any()) for side in known):
            return 0.0
        canonical = _Canonical.of(*known, ridge=RIDGE, prior=prior_pairs / len(known[0]))
        for found, exponent in zip(hits, EXPONENTS, strict=True):
            if exponent == 0:
                A, B = _rotation(*known, prior=prior, spelling=spelling)
            else:
                A, B = canonical.weighted(exponent)
                A, B = _met(*known, A, B) if meeting else (A, B)
            nearest_to, _ = nearest(source[words].float() @ A.float(), looked_through @ B.float(), k=1)
            chosen = candidates[nearest_to[:, 0]]
            found += [pair in right for pair in zip(words.tolist(), chosen.tolist(), strict=True)]
    right_by_exponent = torch.tensor(hits, dtype=torch.float64)  # exponents words
    best = int(right_by_exponent.mean(dim=1).argmax())
    return EXPONENTS[best] if clearly_better(right_by_exponent[best], right_by_exponent[0], errors=1.0) else 0.0


def _rotation(
    source: Float[Tensor, "pairs width"],
    target: Float[Tensor, "pairs width"],
    *,
    prior: float | Literal["auto"],
    spelling: int,
) -> tuple[Float64[Tensor, "width rest"], Float64[Tensor, "width rest"]]:
    """Return A, the rotation that pairs determine, and B, the identity; both leave out the last numbers of words."""
    W, _ = completed_procrustes(
        source[:, : source.shape[1] - spelling], target[:, : target.shape[1] - spelling], prior=prior
    )
    unit = torch.eye(len(W), dtype=W.dtype, device=W.device)
    return torch.nn.functional.pad(W, (0, 0, 0, spelling)), torch.nn.functional.pad(unit, (0, 0, 0, spelling))


def clearly_better(found: Float64[Tensor, " words"], than: Float64[Tensor, " words"], *, errors: float = 2.0) -> bool:
    """Whether one way finds more than another among the same words, by more than so many standard errors of the gain.

    Args:
        found: 1 for each word that found a translation, else 0.
        than: The same of the other way. Fewer than two words are no evidence.
        errors: Two where a change must be believed; one where a wrong choice costs as little either way.
    """
    gain = found - than
    return len(gain) > 1 and float(gain.mean()) > errors * float(gain.std()) / len(gain) ** 0.5


@dataclass(frozen=True, eq=False)
class _Canonical:
    """Directions of two languages that correspond, strongest first, and how to whiten each side and take it back."""

    whiten_source: Float64[Tensor, "width width"]
    unwhiten_source: Float64[Tensor, "width width"]
    whiten_target: Float64[Tensor, "width width"]
    unwhiten_target: Float64[Tensor, "width width"]
    source_directions: Float64[Tensor, "width width"]
    correlations: Float64[Tensor, " width"]
    target_directions: Float64[Tensor, "width width"]

    @classmethod
    def of(
        cls,
        source: Float[Tensor, "pairs width"],
        target: Float[Tensor, "pairs width"],
        *,
        ridge: float,
        prior: float | Float64[Tensor, " width"],
    ) -> "_Canonical":
        X, Y = source.double(), target.double()
        whiten_X, unwhiten_X = _whitening(X, ridge)
        whiten_Y, unwhiten_Y = _whitening(Y, ridge)
        K = whiten_X @ (X.mT @ Y) @ whiten_Y
        U, S, Vh = torch.linalg.svd(with_identity(K, prior))
        return cls(whiten_X, unwhiten_X, whiten_Y, unwhiten_Y, U, S, Vh.mT)

    def weighted(self, exponent: float) -> tuple[Float64[Tensor, "width width"], Float64[Tensor, "width width"]]:
        """Return A and B of an exponent."""
        U, V, weights = self.source_directions, self.target_directions, self.correlations**exponent
        A = self.whiten_source @ (U * weights) @ U.mT @ self.unwhiten_source @ U
        B = self.whiten_target @ (V * weights) @ V.mT @ self.unwhiten_target @ V
        return A, B


def _whitening(
    vectors: Float64[Tensor, "pairs width"], ridge: float
) -> tuple[Float64[Tensor, "width width"], Float64[Tensor, "width width"]]:
    """Return the inverse square root of the regularised second moments, and its inverse."""
    moments = vectors.mT @ vectors
    if not bool(moments.any()):
        raise AlignmentError(
            f"Weighting: the vectors of all {len(vectors)} pairs are zero on one side. Expected some that are not, "
            "whose directions can be weighed. Check the anchors, or set weighting = 0."
        )
    values, directions = torch.linalg.eigh(moments)
    deviations = (values.clamp(min=0.0) + ridge * moments.diagonal().mean()).sqrt()
    return (directions / deviations) @ directions.mT, (directions * deviations) @ directions.mT

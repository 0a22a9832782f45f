"""Road 1: the rotation that brings words closest to their translations, in closed form.

Receives the anchors of dictionary pairs as two matrices whose rows belong together; hands on W, for rows:
``aligned = vectors @ W``. With M = Xᵀ Y = U S Vᵀ (singular value decomposition), W = U Vᵀ.

Sources: Schönemann (1966), Psychometrika 31(1); for words Xing et al. (2015); with refinement Conneau et al.
(2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from isogloss.errors import AlignmentError
from isogloss.mapping.retrieval import nearest


def procrustes(
    source: Float[Tensor, "pairs width"], target: Float[Tensor, "pairs width"]
) -> Float64[Tensor, "width width"]:
    """Find the rotation or reflection W that brings ``source @ W`` closest to ``target``.

    Minimises ‖source @ W − target‖² (Frobenius) subject to W Wᵀ = I. Rows are pairs: row i of
    ``source`` and row i of ``target`` are anchors of a word and of its translation.

    Args:
        source: Anchors, best of unit length; computed in float64.
        target: Anchors in the space to be shared.

    Returns:
        W, for rows: ``aligned = vectors @ W``.

    Raises:
        AlignmentError: There are fewer pairs than dimensions, so W is not unique; or a number is not finite.

    Source: Schönemann (1966), Psychometrika 31(1).
    """
    pairs, width = source.shape
    if pairs < width:
        raise AlignmentError(
            f"Procrustes has {pairs} pairs; width {width} needs at least {width}. Add pairs, or use "
            "completed_procrustes."
        )
    matrix, _ = completed_procrustes(source, target)
    return matrix


def completed_procrustes(
    source: Float[Tensor, "pairs width"], target: Float[Tensor, "pairs width"]
) -> tuple[Float64[Tensor, "width width"], int]:
    """Find, of all solutions that `procrustes` could give, the one nearest to the identity.

    Few pairs, or pairs that repeat one another, determine W on r = rank(XᵀY) directions only. With U₀ and V₀
    the singular vectors of singular value zero, W = Uᵣ Vᵣᵀ + U₀ R V₀ᵀ is a solution for every orthogonal R.
    Least change is asked of the free part: ‖W − I‖ is smallest for R = Q Pᵀ, where V₀ᵀ U₀ = P Σ Qᵀ.

    Returns:
        W, and r. When r is the width, W is the only solution.

    Raises:
        AlignmentError: A number is not finite.

    Source: the set of solutions is Schönemann's (1966); the choice among them is ours.
    """
    X, Y = source.double(), target.double()
    for name, rows in (("source", X), ("target", Y)):
        if not torch.isfinite(rows).all():
            bad = int((~torch.isfinite(rows).all(dim=1)).nonzero()[0])
            raise AlignmentError(
                f"Procrustes, pair {bad}: the {name} vector is not finite. Rotations are found from finite "
                "numbers. Check the anchors."
            )
    U, S, Vh = torch.linalg.svd(X.mT @ Y)
    # What rounding leaves of a zero is at most about this, as in numpy.linalg.matrix_rank.
    rounding = max(X.shape) * torch.finfo(torch.float64).eps * torch.linalg.matrix_norm(X) * torch.linalg.matrix_norm(Y)
    rank = min(int((rounding < S).sum()), X.shape[0])
    U_free, V_free = U[:, rank:], Vh[rank:].mT  # width free
    P, _, Qh = torch.linalg.svd(V_free.mT @ U_free)
    W = U[:, :rank] @ Vh[:rank] + U_free @ (Qh.mT @ P.mT) @ V_free.mT
    return W, rank


@dataclass(frozen=True, eq=False)
class Refinement:
    """What rounds of refinement came to."""

    matrix: Float64[Tensor, "width width"]
    """W of the round that was kept."""
    kept_round: int
    """0 is the dictionary alone."""
    pairs_by_round: tuple[int, ...]
    """How many pairs W was found from."""
    closeness_by_round: tuple[float, ...]
    """Mean cosine of the most frequent source words and their CSLS neighbours; the highest decided."""


def refine(
    source: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    *,
    matrix: Float64[Tensor, "width width"],
    pairs: Sequence[tuple[int, int]],
    rounds: int,
    types: int = 10_000,
    neighbourhood: int = 10,
) -> Refinement:
    """Let mutual nearest neighbours join the dictionary and solve again, several times.

    The dictionary is kept throughout. A round is judged without any test dictionary: the closer the most
    frequent source words come to their neighbours, the better. Conneau et al. choose with a test dictionary
    when supervised; their criterion for the unsupervised road serves us in both.

    Args:
        source: Anchors of all types, most frequent first.
        target: Likewise.
        matrix: W to start from.
        pairs: Dictionary pairs, as rows of ``source`` and ``target``.
        rounds: How often to solve again.
        types: Only so many of the most frequent types may pair up.
        neighbourhood: K of CSLS.

    Source: Conneau et al. (2018), Word Translation Without Parallel Data, sections 2.2 and 2.4.
    """
    frequent_source, frequent_target = source[:types], target[:types]
    matrices, pair_counts, closeness = [matrix.double()], [len(pairs)], []
    for done in range(rounds + 1):
        aligned = frequent_source @ matrices[-1].to(source)
        forward, _ = nearest(aligned, frequent_target, k=1, neighbourhood=neighbourhood)
        partners = frequent_target[forward[:, 0]]
        closeness.append(float(torch.cosine_similarity(aligned, partners, dim=1).double().mean()))
        if done == rounds:
            break
        backward, _ = nearest(frequent_target, aligned, k=1, neighbourhood=neighbourhood)
        mutual = [(row, column) for row, column in enumerate(forward[:, 0].tolist()) if int(backward[column, 0]) == row]
        union = torch.tensor(list(dict.fromkeys([*pairs, *mutual])))  # pairs 2
        matrices.append(completed_procrustes(source[union[:, 0]], target[union[:, 1]])[0])
        pair_counts.append(len(union))
    kept = max(range(rounds + 1), key=closeness.__getitem__)
    return Refinement(matrices[kept], kept, tuple(pair_counts), tuple(closeness))

"""Road 1: the rotation that brings words closest to their translations, in closed form.

Receives the anchors of dictionary pairs as two matrices whose rows belong together; hands on W, for rows:
``aligned = vectors @ W``. With M = Xᵀ Y = U S Vᵀ (singular value decomposition), W = U Vᵀ.

Sources: Schönemann (1966), Psychometrika 31(1); for words Xing et al. (2015); with refinement Conneau et al.
(2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.compute.randomness import numpy_generator
from isogloss.errors import AlignmentError
from isogloss.mapping.retrieval import nearest, nearest_both_ways


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


PRIOR = 0.2
"""Weight of the identity beside the pairs where two spaces began as one, for pairs that do not fit at all; pairs that
fit exactly leave it none. Real pairs fit by about a half. Chosen on training pairs of real languages."""
BEGAN_AS_ONE = 0.15
"""How well the identity must serve the pairs, beside the best rotation, for two spaces to count as one from the start.
Models that never met have at most 0.04; started ones 0.2 (Turkish, of little text) to 0.9. In few dimensions chance
does more, so at least `BY_CHANCE` / width is asked."""
BY_CHANCE = 4.0
"""The trace of a random rotation has mean 0 and standard deviation 1, whatever the width; so much it does not reach."""


def completed_procrustes(
    source: Float[Tensor, "pairs width"],
    target: Float[Tensor, "pairs width"],
    *,
    prior: float | int | Literal["auto"] = 0.0,
) -> tuple[Float64[Tensor, "width width"], int]:
    """Find, of all solutions that `procrustes` could give, the one nearest to the identity.

    Few pairs, or pairs that repeat one another, determine W on r = rank(XᵀY) directions only. With U₀ and V₀
    the singular vectors of singular value zero, W = Uᵣ Vᵣᵀ + U₀ R V₀ᵀ is a solution for every orthogonal R.
    Least change is asked of the free part: ‖W − I‖ is smallest for R = Q Pᵀ, where V₀ᵀ U₀ = P Σ Qᵀ.

    A model that was started from another's shares its space from the first step, and the pairs, whose anchors are
    noisy, need only correct what training has moved. A `prior` says so: W is then the rotation for
    M + prior ‖M‖/√width · I, where M = XᵀY.

    Args:
        source: Anchors; computed in float64.
        target: Anchors in the space to be shared.
        prior: Weight of the identity beside the pairs; 0 is plain Procrustes. ``auto`` is `prior_weight`.

    Returns:
        W, and r. When r is the width, or there is a prior, W is the only solution.

    Raises:
        AlignmentError: A number is not finite.

    Source: the set of solutions is Schönemann's (1966); the choice among them is ours. With the prior W is the mode of
    a matrix von Mises–Fisher distribution (Downs 1972, Biometrika 59(3)).
    """
    found = solve(source, target, prior=prior)
    return found.matrix, found.rank


@dataclass(frozen=True, eq=False)
class Rotation:
    """What Procrustes found, and how well the two spaces agreed before."""

    matrix: Float64[Tensor, "width width"]
    """W."""
    rank: int
    """How many directions the pairs determine."""
    identity_share: float
    """How well the identity serves the pairs beside the best one: tr(M) / sum of M's singular values, at most 1."""
    prior: float
    """What the identity weighed beside the pairs."""


def solve(
    source: Float[Tensor, "pairs width"],
    target: Float[Tensor, "pairs width"],
    *,
    prior: float | int | Literal["auto"] = 0.0,
) -> Rotation:
    """Do what `completed_procrustes` does, and tell more of it."""
    X, Y = source.double(), target.double()
    for name, rows in (("source", X), ("target", Y)):
        if not torch.isfinite(rows).all():
            bad = int((~torch.isfinite(rows).all(dim=1)).nonzero()[0])
            raise AlignmentError(
                f"Procrustes, pair {bad}: the {name} vector is not finite. Rotations are found from finite "
                "numbers. Check the anchors."
            )
    M = X.mT @ Y
    U, S, Vh = torch.linalg.svd(M)
    # What rounding leaves of a zero is at most about this, as in numpy.linalg.matrix_rank.
    norms = float(torch.linalg.matrix_norm(X) * torch.linalg.matrix_norm(Y))
    rounding = max(X.shape) * torch.finfo(torch.float64).eps * norms
    rank = min(int((rounding < S).sum()), X.shape[0])
    weight = prior_weight(M, S, norms) if prior == "auto" else float(prior)
    best = float(S.sum())
    share = float(M.trace()) / best if best > 0 else 0.0
    if weight > 0:
        return Rotation(_rotation_with_identity(M, weight), rank, share, weight)
    U_free, V_free = U[:, rank:], Vh[rank:].mT  # width free
    P, _, Qh = torch.linalg.svd(V_free.mT @ U_free)
    W = U[:, :rank] @ Vh[:rank] + U_free @ (Qh.mT @ P.mT) @ V_free.mT
    return Rotation(W, rank, share, weight)


def with_identity(
    M: Float64[Tensor, "width width"], weight: float | Float64[Tensor, " width"]
) -> Float64[Tensor, "width width"]:
    """Return M plus the identity, weighed relative to M's mean singular value (a quadratic mean), or each direction by
    its own weight.
    """
    unit = torch.eye(len(M), dtype=M.dtype, device=M.device)
    return M + weight * torch.linalg.matrix_norm(M) / len(M) ** 0.5 * unit


def _rotation_with_identity(M: Float64[Tensor, "width width"], weight: float) -> Float64[Tensor, "width width"]:
    """Return the rotation for M and the identity beside it."""
    U, _, Vh = torch.linalg.svd(with_identity(M, weight))
    return U @ Vh


PRIORS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
"""What `held_out_prior` chooses from, weakest first."""
FOLDS = 5
"""Parts into which a dictionary is divided; each in turn is held out."""


def chosen_prior(
    source: Float[Tensor, "pairs width"],
    target: Float[Tensor, "pairs width"],
    words: Int64[Tensor, " pairs"],
    prior: float | int | Literal["auto", "held_out"],
    *,
    seed: int,
) -> float | int | Literal["auto"]:
    """Return the prior that held-out pairs choose, if they are to choose it, and any other as it is.

    Args:
        source: Normalised anchors of a dictionary's words.
        target: Those of their translations in the space to be shared.
        words: A number for each source word, such as its row; pairs of one word are held out together.
        prior: See `ProcrustesSettings`.
        seed: Of which words are held out together.
    """
    if prior != "held_out":
        return prior
    return held_out_prior(source, target, folds=folds_of(words, seed=seed))


def folds_of(rows: Int64[Tensor, " pairs"], *, seed: int) -> Int64[Tensor, " pairs"]:
    """Deal out pairs to `FOLDS` folds at random, all pairs of a source word to the same."""
    words, word_of = rows.unique(return_inverse=True)
    order = torch.from_numpy(numpy_generator(seed, "held-out pairs for the prior").permutation(len(words)))
    return (order % FOLDS)[word_of]


def held_out_prior(
    source: Float[Tensor, "pairs width"], target: Float[Tensor, "pairs width"], *, folds: Int64[Tensor, " pairs"]
) -> float:
    """Choose the weight of the identity by pairs that the rotation has not seen.

    For each of `PRIORS` every pair is mapped by a rotation found from the other folds, and the cosines of all pairs to
    their translations are averaged. The strongest prior is taken that comes within one standard error of the best: with
    few pairs the means tell less, and a map near the identity is the simpler claim. It also leaves syntax in its place,
    which translations of words know little of and parsers read.

    Spaces that never met have no prior: the identity must serve the pairs better than chance would.

    Args:
        source: Anchors of unit length.
        target: Anchors of unit length, in the space to be shared.
        folds: Of each pair, from 0; pairs of one word should share a fold.

    Returns:
        A `prior` for `completed_procrustes`. With fewer than two pairs a fold it is 1, since nothing can be held out.

    Source: the rule of one standard error is that of Breiman et al. (1984), Classification and Regression Trees, 3.4.
    """
    X, Y = source.double(), target.double()
    M = X.mT @ Y
    best = float(torch.linalg.svdvals(M).sum())
    if best <= 0 or float(M.trace()) <= BY_CHANCE / len(M) * best:
        return 0.0
    if len(folds.unique()) < FOLDS or len(X) < 2 * FOLDS:
        return 1.0
    closeness = torch.empty(len(PRIORS), len(X), dtype=X.dtype)
    for fold in folds.unique():
        aside = folds == fold
        rest = M - X[aside].mT @ Y[aside]
        for row, weight in zip(closeness, PRIORS, strict=True):
            W = _rotation_with_identity(rest, weight) if weight else completed_procrustes(X[~aside], Y[~aside])[0]
            row[aside] = ((X[aside] @ W) * Y[aside]).sum(dim=1)
    means = closeness.mean(dim=1)
    error = float(closeness[int(means.argmax())].std()) / len(X) ** 0.5
    as_good = means >= means.max() - error
    return max(weight for weight, good in zip(PRIORS, as_good.tolist(), strict=True) if good)


def prior_weight(M: Float64[Tensor, "width width"], singular_values: Float64[Tensor, " width"], norms: float) -> float:
    """Return what the identity should weigh beside the pairs of M = XᵀY.

    That is nothing, unless the identity serves the pairs nearly as well as the best rotation (tr(M) above
    `BEGAN_AS_ONE` of the sum of M's singular values), so that the spaces began as one. Then it is `PRIOR` times the
    share of the pairs that no rotation explains, 1 − sum of the singular values / (‖X‖ ‖Y‖): exact pairs need none.

    Args:
        M: XᵀY.
        singular_values: Of M.
        norms: ‖X‖ ‖Y‖.
    """
    best = float(singular_values.sum())
    if best <= 0 or float(M.trace()) <= max(BEGAN_AS_ONE, BY_CHANCE / len(M)) * best:
        return 0.0
    return PRIOR * max(0.0, 1.0 - best / norms)


@dataclass(frozen=True, eq=False)
class Refinement:
    """What rounds of refinement came to."""

    matrix: Float64[Tensor, "width width"]
    """W of the round that was kept."""
    kept_round: int
    """0 is the dictionary alone."""
    pairs: Int64[Tensor, "pairs 2"]
    """The pairs that W of the round was found from, as rows of source and target."""
    pairs_by_round: tuple[int, ...]
    """How many pairs W was found from."""
    closeness_by_round: tuple[float, ...]
    """Mean cosine of the most frequent source words and their CSLS neighbours."""
    held_out_by_round: tuple[float, ...]
    """The share of held-out words translated rightly, from 0 to 1; empty if none were held out."""
    last_matrix: Float64[Tensor, "width width"]
    """W of the last round, whichever was kept."""
    last_pairs: Int64[Tensor, "last_pairs 2"]
    """The pairs that it was found from."""


def refine(
    source: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    *,
    matrix: Float64[Tensor, "width width"],
    pairs: Sequence[tuple[int, int]],
    rounds: int,
    types: int = 10_000,
    neighbourhood: int = 10,
    held_out: Sequence[tuple[int, int]] = (),
    prior: float | int | Literal["auto"] = 0.0,
) -> Refinement:
    """Let mutual nearest neighbours join the dictionary and solve again, several times.

    The dictionary is kept throughout. A round is judged without any test dictionary: by pairs of the training
    dictionary that were held out, or by how close the most frequent source words come to their neighbours. Conneau
    et al. choose with a test dictionary when supervised; their criterion for the unsupervised road serves us in both.

    Args:
        source: Anchors of all types, most frequent first.
        target: Likewise.
        matrix: W to start from.
        pairs: Dictionary pairs, as rows of ``source`` and ``target``; may be none.
        rounds: How often to solve again.
        types: Only so many of the most frequent types may pair up.
        neighbourhood: K of CSLS.
        held_out: Pairs that had no part in ``matrix`` and are not in ``pairs``. If given, they decide.
        prior: See `completed_procrustes`.

    Source: Conneau et al. (2018), Word Translation Without Parallel Data, sections 2.2 and 2.4.
    """
    frequent_source, frequent_target = source[:types], target[:types]
    matrices, dictionaries = [matrix.double()], [torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)]
    closeness: list[float] = []
    correct: list[float] = []
    for done in range(rounds + 1):
        raise_if_stop_requested()
        W = matrices[-1].to(source)
        aligned = frequent_source @ W
        found = nearest_both_ways(aligned, frequent_target, neighbourhood=neighbourhood)
        partners = frequent_target[found.forward[:, 0]]
        closeness.append(float(torch.cosine_similarity(aligned, partners, dim=1).double().mean()))
        if held_out:
            correct.append(_share_translated(source @ W, target, held_out, neighbourhood=neighbourhood))
        if done == rounds:
            break
        mutual = [(row, column) for row, column in found.mutual().tolist()]
        union = torch.tensor(list(dict.fromkeys([*pairs, *mutual])))  # pairs 2
        matrices.append(completed_procrustes(source[union[:, 0]], target[union[:, 1]], prior=prior)[0])
        dictionaries.append(union)
    scores = correct or closeness
    kept = max(range(rounds + 1), key=scores.__getitem__)
    return Refinement(
        matrices[kept],
        kept,
        dictionaries[kept],
        tuple(len(dictionary) for dictionary in dictionaries),
        tuple(closeness),
        tuple(correct),
        matrices[-1],
        dictionaries[-1],
    )


def _share_translated(
    aligned: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    pairs: Sequence[tuple[int, int]],
    *,
    neighbourhood: int,
) -> float:
    """Return the share of the pairs' words whose nearest neighbour is one of their translations."""
    right_by_row: dict[int, set[int]] = {}
    for row, column in pairs:
        right_by_row.setdefault(row, set()).add(column)
    rows = torch.tensor(list(right_by_row))
    found, _ = nearest(aligned[rows], target, k=1, background=aligned, neighbourhood=neighbourhood)
    right = [column in right_by_row[row] for row, column in zip(rows.tolist(), found[:, 0].tolist(), strict=True)]
    return sum(right) / len(right)

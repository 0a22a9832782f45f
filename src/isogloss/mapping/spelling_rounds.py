"""The pairs that a search without a dictionary ended with, found once more with an eye to spelling.

The search sees vectors only, and of its pairs about every second is right. In a few rounds spelling makes them better:

1. From the pairs come weights for the look-up, of vectors and letter groups together, as from a dictionary.
2. Words that are each other's nearest by these weights are the pairs of the next round.
3. How much a pair counts, vectors alone say: the fourth power of the cosine of its words, by weights that were found
   without spelling. If spelling had a say in that too, it would confirm itself: words that look alike would be thought
   right, and teach that what looks alike is right.

Receives normalised anchors and rows of words; hands on pairs, and how much each counts.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.mapping.checks import MINIMUM_PAIRS
from isogloss.mapping.looked_up import as_looked_up, prior_beside_spelling
from isogloss.mapping.normalisation import NormalisedAnchors
from isogloss.mapping.procrustes import chosen_prior, solve
from isogloss.mapping.retrieval import nearest_both_ways
from isogloss.mapping.settings import ProcrustesSettings
from isogloss.mapping.weighting import symmetric_weighting

ROUNDS = 3
"""After six the same is found."""
POWER = 4.0
"""Of the cosine, for what a pair counts. With 2 a little less is found, with 8 as much."""
LETTERS = 3.0
"""So many times as much as for vectors the identity counts for letter groups beside pairs that a search found: they
know less of how groups correspond than a dictionary does. With 6 as much is found, with 1 a point less."""


@dataclass(frozen=True, eq=False)
class CountedPairs:
    """Pairs of words, and what they are worth."""

    pairs: Int64[Tensor, "pairs 2"]
    """Rows of source and target."""
    counts: Float64[Tensor, " pairs"]
    """How much each counts; one of mean cosine counts 1."""


def seen_with_spelling(
    source: NormalisedAnchors,
    target: NormalisedAnchors,
    pairs: Int64[Tensor, "pairs 2"],
    *,
    settings: ProcrustesSettings,
    types: int,
) -> CountedPairs:
    """Find the pairs of a search anew, in `ROUNDS` rounds that look at spelling.

    Args:
        source: Anchors, most frequent first.
        target: Likewise.
        pairs: Rows that were each other's nearest at the end of the search.
        settings: How translations are looked up: with spelling, and a weighting that is a number.
        types: So many of the most frequent words of each language may pair up.

    Returns:
        The pairs of the last round; those of the round before it if fewer than `MINIMUM_PAIRS` words found one another.
    """
    frequent_source = torch.arange(min(types, len(source.anchors)))
    frequent_target = torch.arange(min(types, len(target.anchors)))
    X, Y = source.rows(frequent_source), target.rows(frequent_target)
    X_spelt = as_looked_up(source, frequent_source, spelling=settings.spelling)
    Y_spelt = as_looked_up(target, frequent_target, spelling=settings.spelling)
    of_words, of_translations = X[pairs[:, 0]], Y[pairs[:, 1]]
    prior_of_map = chosen_prior(of_words, of_translations, pairs[:, 0], settings.prior, seed=1)
    began_as_one = solve(of_words, of_translations, prior=prior_of_map).prior > 0
    prior_pairs = settings.weighting_prior if began_as_one else 0.0
    weights = {"exponent": settings.weighting, "meeting": settings.meeting}
    found = CountedPairs(pairs, torch.ones(len(pairs), dtype=torch.float64, device=pairs.device))
    for _ in range(ROUNDS):
        raise_if_stop_requested()
        ours, theirs = found.pairs.unbind(dim=1)
        prior = prior_beside_spelling(
            source,
            target,
            [(row, column) for row, column in found.pairs.tolist()],
            of_vectors=prior_pairs,
            of_letters=LETTERS * settings.weighting_prior,
        )
        A, B = symmetric_weighting(X_spelt[ours], Y_spelt[theirs], prior_pairs=prior, counts=found.counts, **weights)
        mutual = nearest_both_ways(
            (X_spelt @ A).float(), (Y_spelt @ B).float(), neighbourhood=settings.neighbourhood
        ).mutual()
        A, B = symmetric_weighting(X[ours], Y[theirs], prior_pairs=prior_pairs, counts=found.counts, **weights)
        ours, theirs = mutual.unbind(dim=1)
        cosines = torch.cosine_similarity(X[ours] @ A, Y[theirs] @ B, dim=1)
        near = cosines > 0
        if int(near.sum()) < MINIMUM_PAIRS:
            break
        found = CountedPairs(mutual[near], (cosines[near] / cosines[near].mean()) ** POWER)
    return found

"""What words are looked up by: their vectors and, where it is wanted, their spelling beside them.

Receives normalised anchors; hands on rows for `symmetric_weighting`, and what the identity counts for among them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from isogloss.mapping.normalisation import NormalisedAnchors
from isogloss.mapping.spelling import beside_spelling, same_letters, spelling_vectors


def as_looked_up(
    side: NormalisedAnchors, rows: Int64[Tensor, " rows"] | None = None, *, spelling: float
) -> Float64[Tensor, "rows width"]:
    """Return what words of one language, or all, are looked up by.

    Args:
        side: The language.
        rows: Of the words.
        spelling: Length of the letter groups beside a vector of length 1; 0 is without, and leaves vectors as they are.
    """
    vectors = side.vectors if rows is None else side.rows(rows)
    if spelling == 0:
        return vectors
    words = side.anchors.words
    asked = words if rows is None else [words[row] for row in rows.tolist()]
    return beside_spelling(vectors, asked, weight=spelling)


def prior_beside_spelling(
    source: NormalisedAnchors,
    target: NormalisedAnchors,
    pairs: Sequence[tuple[int, int]],
    *,
    of_vectors: float,
    of_letters: float,
) -> Float64[Tensor, " width"]:
    """Return how many pairs the identity counts for in each direction of `as_looked_up`.

    Whether two models began as one tells nothing of letters, and whether two languages share letters nothing of models.

    Args:
        source: One language.
        target: The other.
        pairs: Rows of words that are translations; they tell whether the two share letters.
        of_vectors: Pairs that the identity counts for in the directions of vectors.
        of_letters: The same in those of letter groups, where they mean the same in both languages.
    """
    both = ((source.anchors.words[row], target.anchors.words[column]) for row, column in pairs)
    ours, theirs = (spelling_vectors(words) for words in zip(*both, strict=True))
    prior = torch.zeros(source.anchors.width + ours.shape[1], dtype=torch.float64)
    prior[: source.anchors.width] = of_vectors
    prior[source.anchors.width :] = of_letters if same_letters(ours, theirs) else 0.0
    return prior.to(source.anchors.vectors.device)

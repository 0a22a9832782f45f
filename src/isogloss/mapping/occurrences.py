"""Words in context, looked up where words were when their map was found: weighted, and with their spelling.

An occurrence is the anchor of its word and a shift. The shift tells which sense is meant, and much else that translates
nothing: the place in the sentence, the words that happen to stand near. So an occurrence is looked up half way
between its anchor and its own vector.

Receives vectors in context, not yet aligned, with their words; hands on translations. They are for look-up only:
vectors that a parser reads are mapped whole, by `Alignment.apply`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from isogloss.lexicon.anchors import Anchors
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.checks import check_occurrences
from isogloss.mapping.one_space import in_one_space, sources_in_one_space
from isogloss.mapping.retrieval import nearest

SHIFT = 0.5
"""Share of an occurrence's distance from its anchor with which it is looked up, chosen on sentences of en-es, en-de and
en-fr: 0 is the word whatever its context, 1 its own vector."""


def translate_occurrences(
    alignment: Alignment,
    vectors: Float[Tensor, "occurrences width"],
    words: Sequence[str],
    *,
    source: Anchors,
    target: Anchors,
    k: int = 5,
    neighbourhood: int = 10,
    shift: float = SHIFT,
) -> list[list[tuple[str, float]]]:
    """Translate words in context: look up each between its anchor and its own vector, under CSLS.

    Args:
        alignment: From source to target. Where it weighs directions, or asks for spelling, so does the look-up.
        vectors: The contextual vector of each occurrence, not yet aligned.
        words: The word type of each. One without an anchor is sought by its own vector.
        source: All anchors of the language and layer of the occurrences, by which CSLS sees how crowded it is.
        target: Anchors among which neighbours are sought.
        k: How many translations of each.
        neighbourhood: K of CSLS.
        shift: See `SHIFT`.

    Returns:
        For each occurrence, translations with their scores, best first.

    Raises:
        AlignmentError: There is not one word per vector, or the languages or layers are others.
    """
    check_occurrences(alignment, source, target, vectors=len(vectors), words=len(words))
    sources, targets = in_one_space(alignment, source, target)
    moved = towards_anchors(vectors, words, anchors=source, shift=shift)
    queries = sources_in_one_space(alignment, moved, words, anchors=source)
    indices, scores = nearest(queries, targets, k=k, background=sources, neighbourhood=neighbourhood)
    return [
        [(target.words[column], score) for column, score in zip(columns, values, strict=True)]
        for columns, values in zip(indices.tolist(), scores.tolist(), strict=True)
    ]


def towards_anchors(
    vectors: Float[Tensor, "occurrences width"], words: Sequence[str], *, anchors: Anchors, shift: float
) -> Float32[Tensor, "occurrences width"]:
    """Return anchor + shift · (vector − anchor) of each occurrence; that of a word without an anchor is its vector."""
    vectors = vectors.float()
    row_by_word = {word: anchors.index_of(word) for word in dict.fromkeys(words)}
    rows = [row_by_word[word] for word in words]
    known = torch.tensor([row is not None for row in rows], dtype=torch.bool, device=vectors.device)
    own = anchors.vectors[[row for row in rows if row is not None]].to(vectors)
    moved = vectors.clone()
    moved[known] = own + shift * (vectors[known] - own)
    return moved

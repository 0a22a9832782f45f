"""Nearest neighbours across languages, and how often they are translations.

In many dimensions some vectors, *hubs*, are near to everything. CSLS lowers the score of a pair by how
crowded the neighbourhood of each member is::

    CSLS(x, y) = 2 cos(x, y) − r_T(x) − r_S(y)

where r_T(x) is the mean cosine of x and its K nearest target vectors, and r_S(y) that of y and its K nearest
source vectors.

Receives vectors that are in one space already; hands on neighbours, and precision@k against a dictionary. Vocabularies
of any size are compared in pieces, so memory is a piece of one times all of the other.

Source: Conneau et al. (2018), Word Translation Without Parallel Data, section 2.3.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors, undotted
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.checks import refuse_turned
from isogloss.mapping.one_space import in_one_space

Metric = Literal["csls", "cosine"]


def nearest(
    queries: Float[Tensor, "queries width"],
    targets: Float[Tensor, "types width"],
    *,
    k: int,
    metric: Metric = "csls",
    background: Float[Tensor, "sources width"] | None = None,
    neighbourhood: int = 10,
    chunk: int = 512,
) -> tuple[Int64[Tensor, "queries k"], Float[Tensor, "queries k"]]:
    """Find the k nearest targets of every query, best first.

    Args:
        queries: Vectors of the source language, in the space of the targets. Lengths do not matter.
        targets: Vectors of the target language.
        k: How many neighbours; fewer come back if there are fewer targets.
        metric: ``csls``, or plain ``cosine``.
        background: The source vectors among which r_S looks for neighbours; the queries, if not given. When
            only a few words are asked for, this is the whole source vocabulary.
        neighbourhood: K of CSLS.
        chunk: Vectors compared at a time: memory is chunk × types numbers.

    Returns:
        Indices into ``targets``, and scores.
    """
    queries, targets = _unit(queries), _unit(targets)
    k = min(k, len(targets))
    crowding = targets.new_zeros(len(targets))  # r_S of every target
    if metric == "csls":
        sources = queries if background is None else _unit(background)
        crowding = torch.cat(
            [
                crowding[:0],
                *(_mean_of_largest(rows @ sources.mT, neighbourhood) for rows in targets.split(chunk)),
            ]
        )
    indices, scores = [queries.new_zeros(0, k, dtype=torch.int64)], [queries.new_zeros(0, k)]
    for rows in _chunks(queries, chunk):
        similarity = rows @ targets.mT  # chunk types
        if metric == "csls":
            own = _mean_of_largest(similarity, neighbourhood)  # r_T of every query
            similarity = 2 * similarity - own[:, None] - crowding
        best_scores, best = _largest(similarity, k)
        indices.append(best)
        scores.append(best_scores)
    return torch.cat(indices), torch.cat(scores)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest neighbours of two vocabularies in one another, best first."""

    forward: Int64[Tensor, "sources k"]
    """Targets nearest to every source, as rows of the targets."""
    forward_scores: Float[Tensor, "sources k"]
    backward: Int64[Tensor, "targets k_back"]
    """Sources nearest to every target, as rows of the sources."""
    backward_scores: Float[Tensor, "targets k_back"]

    def mutual(self) -> Int64[Tensor, "pairs 2"]:
        """Return the pairs of a source and a target that are each other's nearest, by row of the source."""
        sources = torch.arange(len(self.forward), device=self.forward.device)
        best = self.forward[:, 0]
        found = self.backward[best, 0] == sources
        return torch.stack([sources[found], best[found]], dim=1)


def nearest_both_ways(
    sources: Float[Tensor, "sources width"],
    targets: Float[Tensor, "targets width"],
    *,
    k: int = 1,
    neighbourhood: int = 10,
    chunk: int = 1024,
    held: int = 250_000_000,
) -> Neighbours:
    """Find the k nearest under CSLS in both directions.

    It takes a quarter of the products of two calls of `nearest`, or half where they are too many to be kept.

    Args:
        sources: Vectors of the source language, in the space of the targets. Lengths do not matter.
        targets: Vectors of the target language.
        k: How many neighbours of each; fewer come back if there are fewer vectors.
        neighbourhood: K of CSLS.
        chunk: Sources compared at a time.
        held: Up to so many similarities (numbers) are kept from the first pass to the second; more are found anew.
    """
    sources, targets = _unit(sources), _unit(targets)
    pieces = list(sources.split(chunk))
    keep = len(sources) * len(targets) <= held
    kept: list[Tensor] = []
    crowding_of_sources = []  # r_T
    closest = targets.new_zeros(len(targets), 0)  # the largest similarities of every target so far
    for rows in pieces:
        similarity = rows @ targets.mT
        crowding_of_sources.append(_mean_of_largest(similarity, neighbourhood))
        closest = torch.cat([closest, _largest(similarity.mT.contiguous(), neighbourhood)[0]], dim=1)
        closest = closest.topk(min(neighbourhood, closest.shape[1]), dim=1).values
        if keep:
            kept.append(similarity)
    crowding_of_targets = closest.mean(dim=1)  # r_S
    forward, forward_scores = [], []
    backward = torch.zeros(len(targets), 0, dtype=torch.int64, device=targets.device)
    backward_scores = targets.new_zeros(len(targets), 0)
    for piece, rows in enumerate(pieces):
        similarity = kept[piece] if keep else rows @ targets.mT
        csls = similarity.mul_(2).sub_(crowding_of_sources[piece][:, None]).sub_(crowding_of_targets)
        scores, indices = _largest(csls, k)
        forward.append(indices)
        forward_scores.append(scores)
        scores, indices = _largest(csls.mT.contiguous(), k)
        backward_scores = torch.cat([backward_scores, scores], dim=1)
        backward = torch.cat([backward, indices + piece * chunk], dim=1)
        best = backward_scores.topk(min(k, backward_scores.shape[1]), dim=1)
        backward_scores, backward = best.values, backward.gather(1, best.indices)
    return Neighbours(torch.cat(forward), torch.cat(forward_scores), backward, backward_scores)


@dataclass(frozen=True)
class TranslationScores:
    """How many words found a right translation among their nearest neighbours; scores add up."""

    scope: str
    """Languages, layer and metric."""
    dictionary_words: int
    """Source words of the dictionary. Spellings that share an anchor are one word, and so are those without an anchor
    that differ in case only."""
    found_words: int
    """Those among them that have an anchor."""
    tested_words: int
    """Those of which also a translation has an anchor. Precision is a share of these."""
    hits: Mapping[int, int]
    """For each k, the tested words with a right translation among the k nearest."""

    def precision(self, k: int) -> float:
        """Precision@k, from 0 to 1; NaN if no word was tested."""
        return self.hits[k] / self.tested_words if self.tested_words else float("nan")

    @property
    def coverage(self) -> float:
        """The share of the dictionary's source words that could be tested, from 0 to 1."""
        return self.tested_words / self.dictionary_words if self.dictionary_words else float("nan")

    def interval(
        self, k: int, generator: np.random.Generator, *, confidence: float = 0.95, resamples: int = 10_000
    ) -> tuple[float, float]:
        """Bootstrap a confidence interval of precision@k over the tested words.

        Drawing n words with replacement, of which a share p are hits, gives a binomial number of hits, so the
        resamples are drawn as such.
        """
        if not self.tested_words:
            return float("nan"), float("nan")
        hits = generator.binomial(self.tested_words, self.precision(k), size=resamples)
        tail = (1 - confidence) / 2
        low, high = np.quantile(hits / self.tested_words, [tail, 1 - tail])
        return float(low), float(high)

    def __add__(self, other: "TranslationScores") -> "TranslationScores":
        assert self.hits.keys() == other.hits.keys(), "only scores for the same k add up"
        scopes = dict.fromkeys(sorted([*self.scope.split("; "), *other.scope.split("; ")]))
        return TranslationScores(
            scope="; ".join(scopes),
            dictionary_words=self.dictionary_words + other.dictionary_words,
            found_words=self.found_words + other.found_words,
            tested_words=self.tested_words + other.tested_words,
            hits={k: self.hits[k] + other.hits[k] for k in self.hits},
        )


def testable(dictionary: BilingualDictionary, source_anchors: Anchors, target_anchors: Anchors) -> dict[int, set[int]]:
    """Find the words of a dictionary that can be tested: rows of the source, each with those of its translations.

    Raises:
        AlignmentError: There is none, or the dictionary's columns are the wrong way round.
    """
    right_by_row: dict[int, set[int]] = {}
    pairs = dictionary.usable(source_anchors, target_anchors)
    for row, column in pairs:
        right_by_row.setdefault(row, set()).add(column)
    place = f"Translation test {source_anchors.language}→{target_anchors.language}, layer {source_anchors.layer}"
    refuse_turned(len(pairs), source_anchors, target_anchors, dictionary=dictionary, place=place)
    if not right_by_row:
        found = {source_anchors.index_of(word) for word in dictionary.translations} - {None}
        raise AlignmentError(
            f"{place}: of {len(dictionary)} dictionary pairs {len(found)} source words "
            "have anchors, but none together with a translation. At least one whole pair is needed. Use "
            "another dictionary, lower min_count, or gather anchors from more text."
        )
    return right_by_row


def translation_precision(
    alignment: Alignment | Float[Tensor, "types width"],
    source_anchors: Anchors,
    target_anchors: Anchors,
    dictionary: BilingualDictionary,
    *,
    at: Sequence[int] = (1, 5, 10),
    metric: Metric = "csls",
    neighbourhood: int = 10,
) -> TranslationScores:
    """Count the dictionary's source words that find a right translation among their nearest neighbours.

    Candidates are all target anchors, and any translation in the dictionary is right. A word is tested if it
    and at least one of its translations have anchors. Where the alignment centres, neighbours are sought
    around the centre, as when it was found.

    Args:
        alignment: The map from source to target, or the source anchors already mapped by other means.
        source_anchors: All of them; CSLS looks at the whole vocabulary.
        target_anchors: Likewise.
        dictionary: Pairs that had no part in finding the alignment.
        at: The k of precision@k.
        metric: ``csls``, or plain ``cosine``.
        neighbourhood: K of CSLS.

    Raises:
        AlignmentError: No word of the dictionary can be tested, or its columns are the wrong way round.
    """
    right_by_row = testable(dictionary, source_anchors, target_anchors)
    place = f"{source_anchors.language}→{target_anchors.language}, layer {source_anchors.layer}"
    # A word is its anchor or, without one, what it is `undotted`: so no more words are tested than there are.
    rows_by_word = {word: source_anchors.index_of(word) for word in dictionary.translations}
    words = {undotted(word) if row is None else row for word, row in rows_by_word.items()}
    rows_found = words & set(range(len(source_anchors)))
    if isinstance(alignment, Alignment):
        sources, targets = in_one_space(alignment, source_anchors, target_anchors)
    else:
        sources, targets = alignment, target_anchors.vectors
    rows = torch.tensor(sorted(right_by_row))
    neighbours, _ = nearest(
        sources[rows], targets, k=max(at), metric=metric, background=sources, neighbourhood=neighbourhood
    )
    hits = dict.fromkeys(at, 0)
    for row, found in zip(rows.tolist(), neighbours.tolist(), strict=True):
        for k in at:
            hits[k] += not right_by_row[row].isdisjoint(found[:k])
    return TranslationScores(
        scope=f"{place}, {metric}",
        dictionary_words=len(words),
        found_words=len(rows_found),
        tested_words=len(right_by_row),
        hits=hits,
    )


def _unit(vectors: Float[Tensor, "types width"]) -> Float[Tensor, "types width"]:
    """Divide every vector by its length; zero vectors stay zero."""
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / lengths.masked_fill(lengths == 0, 1.0)


def _mean_of_largest(similarity: Float[Tensor, "rows columns"], count: int) -> Float[Tensor, " rows"]:
    """Average the ``count`` largest numbers of each row, or all if there are fewer."""
    return _largest(similarity, count)[0].mean(dim=1)


BLOCK = 32
"""Columns whose maximum stands for them all in the search of the largest numbers of a row."""
BLOCKS_A_NUMBER = 14
"""Blocks for each of the numbers sought from which it pays to look at the maxima first; measured on a CPU."""


def _largest(
    similarity: Float[Tensor, "rows columns"], count: int
) -> tuple[Float[Tensor, "rows count"], Int64[Tensor, "rows count"]]:
    """Find the ``count`` largest numbers of each row and their columns, largest first.

    The ``count`` blocks with the largest maxima hold the ``count`` largest numbers: were one of these elsewhere, the
    maxima of those blocks would all be larger. So most numbers are looked at once, in passing.
    """
    rows, columns = similarity.shape
    if columns < BLOCKS_A_NUMBER * BLOCK * count:
        found = similarity.topk(min(count, columns), dim=1)
        return found.values, found.indices
    whole = columns - columns % BLOCK
    blocks = similarity[:, :whole].unflatten(1, (-1, BLOCK))
    chosen = blocks.amax(dim=2).topk(count, dim=1).indices[:, :, None]  # rows count 1
    places = (chosen * BLOCK + torch.arange(BLOCK, device=similarity.device)).flatten(1)
    numbers = blocks.gather(1, chosen.expand(-1, -1, BLOCK)).flatten(1)
    if whole < columns:
        rest = torch.arange(whole, columns, device=similarity.device)
        numbers, places = (
            torch.cat([numbers, similarity[:, whole:]], dim=1),
            torch.cat([places, rest.expand(rows, -1)], dim=1),
        )
    best = numbers.topk(count, dim=1)
    return best.values, places.gather(1, best.indices)


def _chunks(vectors: Float[Tensor, "types width"], size: int) -> Iterator[Tensor]:
    """Cut rows into pieces; no rows make no piece."""
    return iter(vectors.split(size)) if len(vectors) else iter(())

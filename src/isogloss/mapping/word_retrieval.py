"""Word-in-context retrieval: does a word in its sentence find its translation in the translated sentence?

Dictionaries judge anchors; this judges vectors in context. Given are parallel sentences, the vectors of their words in
one space, and one-to-one pairs of words. Every paired word looks for its nearest among all paired words of the other
language, in all sentences. Three measures:

- *occurrence*: the nearest is the very partner, in the very sentence;
- *repeated*: likewise, but only words ask whose partner's form occurs more than once among the candidates, so that
  knowing the form is not enough and the context must decide (the hardest);
- *form*: the nearest is written like the partner (in lower case), in whatever sentence.

In the layer without context all occurrences of a form share one vector. They tie, so there only *form* means anything.

Receives vectors, words and links; hands on counts by sentence, which add up, with intervals by the bootstrap: sentences
are drawn whole, since the words of one sentence succeed or fail together.

Sources: the task is after Aldarmaki and Diab (2019), who retrieve sentences; Conneau et al. (2018) for CSLS; Efron and
Tibshirani (1993), chapter 13, for the intervals.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isogloss.corpus.parallel import SentencePair
from isogloss.errors import AlignmentError
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.retrieval import Metric, nearest

Measure = Literal["occurrence", "repeated", "form"]
"""What counts as found; see the top of this file."""

DRAWS_AT_A_TIME = 2_000_000
"""Most numbers drawn together for an interval; bounds memory, never changes the result's meaning."""


@dataclass(frozen=True, eq=False)
class RetrievalScores:
    """How many words found their partner, sentence by sentence; scores of different texts add up."""

    scope: str
    """Languages with direction, layer and metric."""
    words: Int64[np.ndarray, " sentences"]
    """Paired words in each sentence; every one of them asks once."""
    repeated_words: Int64[np.ndarray, " sentences"]
    """Those among them whose partner's form occurs more than once among the candidates."""
    occurrence_hits: Int64[np.ndarray, " sentences"]
    repeated_hits: Int64[np.ndarray, " sentences"]
    form_hits: Int64[np.ndarray, " sentences"]

    def share(self, measure: Measure = "occurrence") -> float:
        """Return the share of words that found what they sought, from 0 to 1; NaN if none sought."""
        hits, words = self._counts(measure)
        return float(hits.sum() / words.sum()) if words.sum() else float("nan")

    def interval(
        self,
        measure: Measure = "occurrence",
        *,
        generator: np.random.Generator,
        confidence: float = 0.95,
        resamples: int = 10_000,
    ) -> tuple[float, float]:
        """Bootstrap a confidence interval of the share by drawing whole sentences with replacement.

        Draws in which no word asks are left out; NaN if there are no others.
        """
        hits, words = self._counts(measure)
        shares: list[np.ndarray] = []
        at_a_time = max(1, DRAWS_AT_A_TIME // max(1, len(words)))
        for first in range(0, resamples, at_a_time):
            drawn = generator.integers(len(words), size=(min(at_a_time, resamples - first), len(words)))
            totals = words[drawn].sum(axis=1)
            shares.append((hits[drawn].sum(axis=1) / np.maximum(totals, 1))[totals > 0])
        found = np.concatenate(shares)
        if not len(found):
            return float("nan"), float("nan")
        tail = (1 - confidence) / 2
        low, high = np.quantile(found, [tail, 1 - tail])
        return float(low), float(high)

    def __add__(self, other: "RetrievalScores") -> "RetrievalScores":
        scopes = dict.fromkeys(sorted([*self.scope.split("; "), *other.scope.split("; ")]))
        return RetrievalScores(
            "; ".join(scopes),
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in _COUNTS),
        )

    def _counts(self, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
        """Return the hits and the words that a measure is about."""
        match measure:
            case "occurrence":
                return self.occurrence_hits, self.words
            case "repeated":
                return self.repeated_hits, self.repeated_words
            case "form":
                return self.form_hits, self.words


_COUNTS = ("words", "repeated_words", "occurrence_hits", "repeated_hits", "form_hits")


def retrieve_words(
    alignment: Alignment | None,
    source_vectors: Sequence[Float[Tensor, "_ width"]],
    target_vectors: Sequence[Float[Tensor, "_ width"]],
    sentences: Sequence[SentencePair],
    *,
    metric: Metric = "csls",
    neighbourhood: int = 10,
) -> tuple[RetrievalScores, RetrievalScores]:
    """Let every paired word look for its partner among all paired words of the other language.

    Args:
        alignment: The map from source to target; None where the vectors are in one space already, or to see what they
            are worth without a map. Where it centres, neighbours are sought around the centre, as when it was found.
        source_vectors: Of one layer, for each sentence the vectors of all its words.
        target_vectors: Likewise, of the translations.
        sentences: With links that are one-to-one, such as `read_links` and `join_by_id` give.
        metric: ``csls``, or plain ``cosine``.
        neighbourhood: K of CSLS.

    Returns:
        Scores of source words looking for target words, and the other way round.

    Raises:
        AlignmentError: There is no link, links are not one-to-one, or vectors do not fit the sentences.
    """
    place = _place(alignment, sentences)
    _check(source_vectors, target_vectors, sentences, place=place)
    sources = torch.cat(
        [rows[[i for i, _ in pair.links or ()]] for rows, pair in zip(source_vectors, sentences, strict=True)]
    )
    targets = torch.cat(
        [rows[[j for _, j in pair.links or ()]] for rows, pair in zip(target_vectors, sentences, strict=True)]
    )
    if alignment is not None:
        sources, targets = alignment.apply(sources), targets * alignment.target_scale
        if alignment.target_centre is not None:
            centre = alignment.target_centre.to(targets)
            sources, targets = sources - centre, targets - centre
    of_sentence = np.repeat(np.arange(len(sentences)), [len(pair.links or ()) for pair in sentences])
    forms = [
        [pair.source.words[i].form.lower() for pair in sentences for i, _ in pair.links or ()],
        [pair.target.words[j].form.lower() for pair in sentences for _, j in pair.links or ()],
    ]
    layer = "" if alignment is None else f", layer {alignment.layer}"
    found: list[RetrievalScores] = []
    for queries, candidates, sought, scope in (
        (sources, targets, forms[1], place),
        (targets, sources, forms[0], "←".join(place.split("→"))),
    ):
        nearest_rows, _ = nearest(queries, candidates, k=1, metric=metric, neighbourhood=neighbourhood)
        scores = _scores(nearest_rows[:, 0].tolist(), sought, of_sentence, sentences=len(sentences))
        found.append(replace(scores, scope=f"{scope}{layer}, {metric}"))
    return found[0], found[1]


def _scores(
    nearest_rows: Sequence[int], sought: Sequence[str], of_sentence: np.ndarray, *, sentences: int
) -> RetrievalScores:
    """Count by sentence; the partner of query k is candidate k."""
    occurrences = Counter(sought)
    repeated = np.array([occurrences[form] > 1 for form in sought])
    occurrence = np.array([row == query for query, row in enumerate(nearest_rows)])
    form = np.array([sought[row] == sought[query] for query, row in enumerate(nearest_rows)])

    def by_sentence(mask: np.ndarray) -> np.ndarray:
        return np.bincount(of_sentence[mask], minlength=sentences)

    return RetrievalScores(
        scope="",
        words=by_sentence(np.ones(len(sought), dtype=bool)),
        repeated_words=by_sentence(repeated),
        occurrence_hits=by_sentence(occurrence),
        repeated_hits=by_sentence(occurrence & repeated),
        form_hits=by_sentence(form),
    )


def _place(alignment: Alignment | None, sentences: Sequence[SentencePair]) -> str:
    if alignment is not None:
        return f"{alignment.source}→{alignment.target}"
    return f"{sentences[0].source.language}→{sentences[0].target.language}" if sentences else "no sentences"


def _check(
    source_vectors: Sequence[Tensor], target_vectors: Sequence[Tensor], sentences: Sequence[SentencePair], *, place: str
) -> None:
    """Refuse what cannot be judged."""
    for side, vectors in (("source", source_vectors), ("target", target_vectors)):
        lengths = [len(pair.source if side == "source" else pair.target) for pair in sentences]
        if [len(rows) for rows in vectors] != lengths:
            raise AlignmentError(
                f"Word retrieval {place}: the {side} vectors do not fit the sentences: {len(vectors)} sentences with "
                f"{sum(map(len, vectors))} vectors, but {len(lengths)} with {sum(lengths)} words. Expected one vector "
                "for each word. Encode these very sentences."
            )
    if not any(pair.links for pair in sentences):
        raise AlignmentError(
            f"Word retrieval {place}: none of {len(sentences)} sentence pairs has links. Expected pairs of words. Read "
            "them with read_links, or find them with a WordAligner."
        )
    for number, pair in enumerate(sentences, start=1):
        links = pair.links or ()
        if len({i for i, _ in links}) < len(links) or len({j for _, j in links}) < len(links):
            raise AlignmentError(
                f"Word retrieval {place}, sentence pair {number}: a word has several links. Expected one-to-one pairs, "
                "so that each word has one right answer. Use the intersection of both directions."
            )

"""A word aligner: which words of a sentence and of its translation say the same?

Receives sentence pairs as words; hands on links between places, one-to-one by default. Nothing else is known of the
languages, so a Bible is enough to begin with.

In one direction every target word is said to come from one source word or from nothing (null). With source length l
and target length m, the word at place j of the target chooses the source place i with probability::

    p(null) = p₀        p(i | j, l, m) = (1 − p₀) · exp(λ h(i, j)) / Z_j        h(i, j) = −|i/l − j/m|

and then its form with p(target word | source word). Translations stay near the diagonal by as much as the tension λ
says; λ = 0 is IBM model 1, with which training begins. Both p and λ are learnt by expectation and maximisation: the
posteriors of all choices under what is known, then what best explains them. A Dirichlet prior on p (variational Bayes)
keeps rare words from collecting what nobody else explains. The other direction is learnt likewise, and links are those
that both choose (``intersection``), or these and their neighbours (``grow-diag-final-and``).

Sources: Brown et al. (1993), The Mathematics of Statistical Machine Translation; Dyer, Chahuneau and Smith (2013), A
Simple, Fast, and Effective Reparameterization of IBM Model 2; Riley and Gildea (2012) for the prior; Koehn, Och and
Marcu (2003), Statistical Phrase-Based Translation, for growing; Liang, Taskar and Klein (2006) for confidence as a
product. They learn λ by small steps up the slope; Newton's step, one a round, needs no step size.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from isogloss.lexicon.symmetrisation import grow_diag_final_and
from isogloss.lexicon.word_cells import (
    Cells,
    WordsPair,
    cells_of,
    index_cells,
    number_of,
    number_text,
    number_types,
    usable_places,
)
from isogloss.settings import Settings

logger = logging.getLogger(__name__)

TENSIONS = (0.1, 14.0)
"""Bounds of λ. Where both languages have the same order throughout, no finite λ would be best."""

FLAT = 1e-9
"""A second derivative below this is rounding: where every sentence has one word, places say nothing about λ."""

UNSEEN = 1e-9
"""p(word | word) of two words that were never seen together, so that new sentences can be aligned."""


class WordAlignerSettings(Settings):
    """How the word aligner learns, and which links it keeps."""

    model_1_rounds: PositiveInt = 5
    """Rounds of expectation and maximisation in which places do not matter."""

    diagonal_rounds: NonNegativeInt = 5
    """Rounds after that, in which words are drawn to the diagonal."""

    tension: NonNegativeFloat = 4.0
    """λ with which these begin. In each of them it makes one Newton step towards its best value."""

    null: float = Field(default=0.08, gt=0, lt=1)
    """p₀, the probability that a word comes from nothing."""

    alpha: NonNegativeFloat = 0.01
    """Concentration of the Dirichlet prior on translations, small for few translations a word; 0 is no prior."""

    symmetrisation: Literal["intersection", "grow-diag-final-and"] = "intersection"
    """``intersection`` keeps the links that both directions choose, which are one-to-one and seldom wrong;
    ``grow-diag-final-and`` adds more, for words that nobody else links."""

    longest: PositiveInt = 300
    """Words: a pair with a longer sentence is left out of training and gets no links."""


class Link(NamedTuple):
    """Two words that belong together, by their places from 0."""

    source: int
    target: int
    confidence: float
    """Posterior probability of the link in the one direction times that in the other, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class _Direction:
    """What is known of the words of one language, each of which comes from a word of the other or from nothing."""

    translation: Float64[np.ndarray, " pairs"]
    """p(word | word of the other language) for every pair of word types that was seen together."""
    from_null: Float64[np.ndarray, " types"]
    """p(word | null) for every word type."""
    tension: float


class WordAligner:
    """A trained aligner for one pair of languages: `fit` makes it, `align` uses it on any sentences."""

    def __init__(
        self,
        *,
        settings: WordAlignerSettings,
        source_types: dict[str, int],
        target_types: dict[str, int],
        keys: Int64[np.ndarray, " pairs"],
        directions: tuple[_Direction, _Direction],
    ) -> None:
        """Keep what was learnt; call `fit` instead.

        Args:
            settings: How it was learnt, and which links to keep.
            source_types: Numbers of the source's word types, in lower case.
            target_types: Likewise of the target's.
            keys: Pairs of types that were seen together, as source number × target types + target number, rising.
            directions: Target words from source words, and the other way round.
        """
        self.settings = settings
        self._source_types, self._target_types = source_types, target_types
        self._keys, self._directions = keys, directions

    @classmethod
    def fit(cls, pairs: Sequence[WordsPair], *, settings: WordAlignerSettings | None = None) -> "WordAligner":
        """Learn from sentence pairs which words translate each other, and how far words move.

        Words are compared in lower case. Pairs with an empty side or a very long one teach nothing. Memory is four
        bytes for each pair of places (22 MB for 25,000 sentence pairs of 15 words), some numbers for each pair of word
        types, and a bounded rest.
        """
        settings = settings or WordAlignerSettings()
        places = usable_places(pairs, longest=settings.longest)
        if len(places) < len(pairs):
            logger.info(
                "Word alignment: %d of %d sentence pairs are empty or too long.", len(pairs) - len(places), len(pairs)
            )
        usable = [pairs[place] for place in places]
        source_types, target_types = (number_types(pair[side] for pair in usable) for side in (0, 1))
        text = number_text(usable, source_types, target_types)
        keys, indices_by_block = index_cells(text, target_types=len(target_types))
        from_types = np.divmod(keys, max(len(target_types), 1))  # the type that each pair's word comes from
        directions = [
            _Direction(np.ones(len(keys)), np.ones(len(types)), tension=0.0) for types in (target_types, source_types)
        ]
        for done in range(settings.model_1_rounds + settings.diagonal_rounds):
            diagonal = done >= settings.model_1_rounds
            if done == settings.model_1_rounds:
                directions = [replace(direction, tension=settings.tension) for direction in directions]
            expected = [_Expected.nothing(direction) for direction in directions]
            for block, indices in zip(cells_of(text), indices_by_block, strict=True):
                for forward, direction, sums in zip((True, False), directions, expected, strict=True):
                    sums.add(block, indices, direction, forward=forward, null=settings.null, diagonal=diagonal)
            directions = [
                _maximised(sums, types, tension=direction.tension, alpha=settings.alpha)
                for direction, sums, types in zip(directions, expected, from_types, strict=True)
            ]
        return cls(
            settings=settings,
            source_types=source_types,
            target_types=target_types,
            keys=keys,
            directions=(directions[0], directions[1]),
        )

    @property
    def tensions(self) -> tuple[float, float]:
        """λ of target words coming from source words, and of the other direction."""
        return self._directions[0].tension, self._directions[1].tension

    def translation(self, source: str, target: str) -> tuple[float, float]:
        """Return p(target word | source word) and p(source word | target word)."""
        ids = np.array([number_of(self._source_types, source)]), np.array([number_of(self._target_types, target)])
        index = self._indices(*ids)
        forward, backward = (_with_unseen(direction).translation[index] for direction in self._directions)
        return float(forward[0]), float(backward[0])

    def align(self, pairs: Sequence[WordsPair], *, min_confidence: float = 0.0) -> list[tuple[tuple[int, int], ...]]:
        """Link the words of sentence pairs: places from 0, by rising source place; none where a side is empty.

        Args:
            pairs: Any sentences, those of training or others.
            min_confidence: Links with less are left out; see `Link`.
        """
        return [
            tuple((link.source, link.target) for link in links if link.confidence >= min_confidence)
            for links in self.links(pairs)
        ]

    def links(self, pairs: Sequence[WordsPair]) -> list[tuple[Link, ...]]:
        """Link the words of sentence pairs, and say how sure each link is."""
        directions = tuple(_with_unseen(direction) for direction in self._directions)
        usable = usable_places(pairs, longest=self.settings.longest)
        text = number_text([pairs[place] for place in usable], self._source_types, self._target_types)
        links_by_sentence: list[tuple[Link, ...]] = [()] * len(pairs)
        for block in cells_of(text):
            indices = self._indices(block.source_ids[block.source_words], block.target_ids[block.target_words])
            posteriors, chosen = [], []
            for forward, direction in zip((True, False), directions, strict=True):
                posterior, null = _posterior(block, indices, direction, forward=forward, null=self.settings.null)
                posteriors.append(posterior)
                chosen.append(_chosen(posterior, null, block.target_words if forward else block.source_words))
            confidence = posteriors[0] * posteriors[1]
            found = _decided(block, *chosen, symmetrisation=self.settings.symmetrisation)
            places = block.source_places[block.source_words[found]], block.target_places[block.target_words[found]]
            sentences = block.sentences[block.target_words[found]]
            order = np.lexsort((places[1], places[0], sentences))
            links: dict[int, list[Link]] = {}
            rows = zip(*(column[order].tolist() for column in (sentences, *places, confidence[found])), strict=True)
            for sentence, i, j, sure in rows:
                links.setdefault(usable[sentence], []).append(Link(i, j, sure))
            for sentence, some in links.items():
                links_by_sentence[sentence] = tuple(some)
        return links_by_sentence

    def _indices(self, source_ids: Int64[np.ndarray, " cells"], target_ids: Int64[np.ndarray, " cells"]) -> np.ndarray:
        """Find pairs of types in the table; the place after its end stands for those that were not seen together."""
        keys = np.where((source_ids < 0) | (target_ids < 0), -1, source_ids * len(self._target_types) + target_ids)
        if not len(self._keys):
            return np.zeros(len(keys), dtype=np.int64)
        places = np.searchsorted(self._keys, keys)
        return np.where(self._keys[np.minimum(places, len(self._keys) - 1)] == keys, places, len(self._keys))


def align_words(
    pairs: Sequence[WordsPair], *, settings: WordAlignerSettings | None = None
) -> list[tuple[tuple[int, int], ...]]:
    """Learn from sentence pairs and link their words; see `WordAligner`.

    >>> text = [("a b".split(), "A B".split()), ("b c".split(), "C B".split()), (["c"], ["C"]), (["a"], ["A"])]
    >>> align_words(text)
    [((0, 0), (1, 1)), ((0, 1), (1, 0)), ((0, 0),), ((0, 0),)]
    """
    return WordAligner.fit(pairs, settings=settings).align(pairs)


def _posterior(
    block: Cells, indices: Int[np.ndarray, " cells"], direction: _Direction, *, forward: bool, null: float
) -> tuple[Float64[np.ndarray, " cells"], Float64[np.ndarray, " words"]]:
    """Return how probable it is that a cell's one word comes from its other, and that each word comes from nothing."""
    words, ids = (block.target_words, block.target_ids) if forward else (block.source_words, block.source_ids)
    pull = np.exp(direction.tension * block.closeness)
    weights = pull * direction.translation[indices]
    # p(word, its origin) is (1 - null) pull / Z · p(word | origin), or null · p(word | null).
    share = (1 - null) / np.bincount(words, pull, minlength=len(ids))
    from_null = null * direction.from_null[ids]
    likelihood = share * np.bincount(words, weights, minlength=len(ids)) + from_null
    return weights * (share / likelihood)[words], from_null / likelihood


@dataclass(eq=False)
class _Expected:
    """Expected counts in one direction: how often each word comes from each other, or from nothing."""

    counts: Float64[np.ndarray, " pairs"]
    null_counts: Float64[np.ndarray, " types"]
    slope: float = 0.0
    """First derivative of the expected log-likelihood by λ."""
    curvature: float = 0.0
    """Second derivative, with its sign turned."""

    @classmethod
    def nothing(cls, direction: _Direction) -> "_Expected":
        """Begin to count."""
        return cls(np.zeros_like(direction.translation), np.zeros_like(direction.from_null))

    def add(
        self,
        block: Cells,
        indices: Int[np.ndarray, " cells"],
        direction: _Direction,
        *,
        forward: bool,
        null: float,
        diagonal: bool,
    ) -> None:
        """Add the posteriors of a block; if the diagonal counts, also the derivatives by λ.

        With q the posterior of a cell and p its share of exp(λh) among the cells of its word, the expected
        log-likelihood is Σ q (λh − log Z) and constants. Its derivative is, summed over words, Σ q h − (Σ q) E_p[h],
        and the derivative of that −(Σ q) Var_p[h].
        """
        words, ids = (block.target_words, block.target_ids) if forward else (block.source_words, block.source_ids)
        posterior, from_null = _posterior(block, indices, direction, forward=forward, null=null)
        self.counts += np.bincount(indices, posterior, minlength=len(self.counts))
        self.null_counts += np.bincount(ids, from_null, minlength=len(self.null_counts))
        if diagonal:
            pull = np.exp(direction.tension * block.closeness)
            total, first, second = (
                np.bincount(words, pull * block.closeness**power, minlength=len(ids)) for power in range(3)
            )
            mean = first / total
            self.slope += float(posterior @ block.closeness - (1 - from_null) @ mean)
            self.curvature += float((1 - from_null) @ (second / total - mean**2))


def _maximised(
    expected: _Expected, from_types: Int64[np.ndarray, " pairs"], *, tension: float, alpha: float
) -> _Direction:
    """Find what explains the expected counts best: translations by type that they come from, and one step of λ."""
    # Of no pairs at all, NumPy counts in integers.
    totals = np.bincount(from_types, expected.counts).astype(np.float64)[from_types]
    kinds = np.bincount(from_types)[from_types]  # types that a word was seen with: over these the prior stretches
    types = len(expected.null_counts)  # null stands in every sentence, so it was seen with all of them
    null_totals, null_kinds = np.full(types, expected.null_counts.sum()), np.full(types, types)
    if expected.curvature > FLAT:
        tension = float(np.clip(tension + expected.slope / expected.curvature, *TENSIONS))
    return _Direction(
        translation=_shares(expected.counts, totals, kinds, alpha=alpha),
        from_null=_shares(expected.null_counts, null_totals, null_kinds, alpha=alpha),
        tension=tension,
    )


def _shares(
    counts: Float64[np.ndarray, " n"],
    totals: Float64[np.ndarray, " n"],
    kinds: Int64[np.ndarray, " n"],
    *,
    alpha: float,
) -> Float64[np.ndarray, " n"]:
    """Divide counts by their totals; under a Dirichlet prior, give exp of the expected logarithm of the share instead.

    That is exp(ψ(count + α) − ψ(total + α · kinds)), which takes much from small counts and little from large ones.
    """
    if not alpha:
        return counts / np.where(totals > 0, totals, 1.0)
    import torch  # for ψ; settings of this module are read by commands that do not wait for torch

    def digamma(values: np.ndarray) -> np.ndarray:
        return torch.digamma(torch.as_tensor(values, dtype=torch.float64)).numpy()

    return np.exp(digamma(counts + alpha) - digamma(totals + alpha * kinds))


def _with_unseen(direction: _Direction) -> _Direction:
    """Add one place at the end for what was not seen, and let nothing be less probable than that.

    Unknown words have the number −1, which is that place as well.
    """
    translation = np.maximum(np.append(direction.translation, 0.0), UNSEEN)
    return replace(
        direction, translation=translation, from_null=np.maximum(np.append(direction.from_null, 0.0), UNSEEN)
    )


def _chosen(
    posterior: Float64[np.ndarray, " cells"],
    from_null: Float64[np.ndarray, " words"],
    words: Int64[np.ndarray, " cells"],
) -> Bool[np.ndarray, " cells"]:
    """Mark for each word its most probable origin, the first of equals; no cell if nothing is more probable."""
    highest = np.zeros(len(from_null))
    np.maximum.at(highest, words, posterior)
    best = np.flatnonzero((posterior == highest[words]) & (posterior > from_null[words]))
    _, first = np.unique(words[best], return_index=True)
    chosen = np.zeros(len(posterior), dtype=bool)
    chosen[best[first]] = True
    return chosen


def _decided(
    block: Cells, forward: Bool[np.ndarray, " cells"], backward: Bool[np.ndarray, " cells"], *, symmetrisation: str
) -> Int64[np.ndarray, " links"]:
    """Return the cells that are links."""
    if symmetrisation == "intersection":
        return np.flatnonzero(forward & backward)
    cells = np.flatnonzero(forward | backward)
    cell_by_place: dict[int, dict[tuple[int, int], int]] = {}
    for cell in cells.tolist():
        target = block.target_words[cell]
        place = int(block.source_places[block.source_words[cell]]), int(block.target_places[target])
        cell_by_place.setdefault(int(block.sentences[target]), {})[place] = cell
    found = [
        some[link]
        for some in cell_by_place.values()
        for link in grow_diag_final_and(
            frozenset(place for place, cell in some.items() if forward[cell]),
            frozenset(place for place, cell in some.items() if backward[cell]),
        )
    ]
    return np.array(sorted(found), dtype=np.int64)

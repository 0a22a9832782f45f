"""Anchors: one vector per word type, the mean of its contextual vectors.

A contextual encoder gives a word another vector in every sentence. Its vectors stay close together, far from
those of other words, so their mean, the *anchor*, stands for the word type when two languages are aligned.

The module receives contextual vectors with their words, adds them up in `AnchorSums` (which add across
batches, files and machines) and hands on `Anchors`, one per layer.

Source: Schuster et al. (2019), Cross-Lingual Alignment of Contextual Word Embeddings, section 3.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from isogloss.corpus.plain_text import composed
from isogloss.errors import VectorsError


@dataclass(frozen=True, eq=False)
class Anchors:
    """The anchors of one language in one layer, most frequent word type first."""

    language: str
    layer: int
    words: tuple[str, ...]
    """Word types by falling count; equal counts by code point."""
    vectors: Float32[Tensor, "types width"]
    counts: Int64[Tensor, " types"]
    """How often each word type was seen."""
    mean_norm: float
    """Mean L2 norm over all tokens of the layer, also of those whose type was too rare for an anchor."""
    token_norms: Float64[Tensor, " types"] | None = None
    """Mean L2 norm of the tokens of each word type; None where only the vectors are known."""
    token_squares: Float64[Tensor, " types"] | None = None
    """Mean squared L2 norm of the tokens of each word type. Less the anchor's own squared norm, it is the variance
    of the tokens around their anchor."""

    def __post_init__(self):
        assert len(self.words) == len(self.vectors) == len(self.counts), "one vector and count per word type"
        for spread in (self.token_norms, self.token_squares):
            assert spread is None or len(spread) == len(self.words), "one number per word type"
        assert len(set(self.words)) == len(self.words), "every word type has one anchor"
        finite = torch.isfinite(self.vectors).all(dim=1)
        if not finite.all():
            word = self.words[int((~finite).nonzero()[0])]
            raise VectorsError(
                f"Anchors of {self.language}, layer {self.layer}: the vector of {word!r} is not finite, "
                f"nor are {int((~finite).sum())} of {len(self.words)} in all. Vectors hold finite numbers. "
                "Check the encoder, or gather the anchors again."
            )

    @classmethod
    def of_vectors(
        cls,
        words: Sequence[str],
        vectors: Float[Tensor, "types width"],
        *,
        language: str,
        layer: int = 0,
        counts: Sequence[int] | None = None,
    ) -> "Anchors":
        """Treat word vectors without context as anchors, most frequent first.

        Files of other tools carry no counts. Then their order is taken as the order of frequency, every count is
        1, and the mean norm is the mean over word types; else it is the mean over tokens, as for all anchors.
        """
        norms = torch.linalg.vector_norm(vectors.double(), dim=1)
        occurrences = torch.ones(len(words), dtype=torch.int64) if counts is None else torch.tensor(counts)
        return cls(
            language=language,
            layer=layer,
            words=tuple(words),
            vectors=vectors.float(),
            counts=occurrences,
            mean_norm=float((norms * occurrences).sum() / occurrences.double().sum()) if len(words) else 0.0,
        )

    @property
    def width(self) -> int:
        """Length of every vector."""
        return self.vectors.shape[1]

    def senses_of(self, word: str) -> tuple[str, ...]:
        """Return the names of a word's senses, ``bear#1`` and so on, where anchors are of senses and it has several."""
        names: list[str] = []
        while (name := sense_name(word, len(names) + 1)) in self._index_by_word:
            names.append(name)
        return tuple(names)

    def index_of(self, word: str) -> int | None:
        """Find a word as written, else in lower case, else in any case, else undotted; None if it has no anchor.

        Nor has a word of several senses, see `senses_of`, unless a sense is asked for by its name.

        Dictionaries are often in lower case while German writes *Haus*; of several spellings that differ in
        case only, the most frequent is taken. Letters with marks are the same composed and apart (NFC, NFD). The last
        look-up is for Turkish, whose I and İ other languages' rules put into the wrong lower case; see `undotted`.
        """
        if word in self._index_by_word:
            return self._index_by_word[word]
        word = composed(word)
        for form in (word, word.lower()):
            if form in self._index_by_form:
                return self._index_by_form[form]
            if self.senses_of(form):
                return None  # not the anchor of another spelling
        index = self._index_by_lower_case.get(in_lower_case(word))
        return self._index_undotted.get(undotted(word)) if index is None else index

    def for_words(self, words: Sequence[str]) -> Float32[Tensor, "words width"]:
        """Return the anchors of the given words, in their order, found as `index_of` finds them.

        Raises:
            VectorsError: Some of the words have no anchor.
        """
        indices = [self.index_of(word) for word in words]
        missing = [word for word, index in zip(words, indices, strict=True) if index is None]
        if missing:
            raise VectorsError(
                f"Anchors of {self.language}, layer {self.layer}: {len(missing)} of {len(words)} words have "
                f"no anchor ({_shortened(missing)}). Every word asked for must be among the {len(self)} word "
                "types. Leave them out, lower min_count, or gather anchors from more text."
            )
        return self.vectors[torch.tensor(indices, dtype=torch.int64)]

    def keep(self, *, min_count: int = 1, max_types: int | None = None) -> "Anchors":
        """Return the most frequent anchors: seen ``min_count`` times or more, at most ``max_types``."""
        kept = (self.counts >= min_count).nonzero()[:, 0][:max_types]
        return Anchors(
            language=self.language,
            layer=self.layer,
            words=tuple(self.words[index] for index in kept.tolist()),
            vectors=self.vectors[kept],
            counts=self.counts[kept],
            mean_norm=self.mean_norm,
            token_norms=None if self.token_norms is None else self.token_norms[kept],
            token_squares=None if self.token_squares is None else self.token_squares[kept],
        )

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return self.index_of(word) is not None

    @cached_property
    def _index_by_word(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}

    @cached_property
    def _index_by_form(self) -> dict[str, int]:
        return self._first_by(composed)

    @cached_property
    def _index_by_lower_case(self) -> dict[str, int]:
        return self._first_by(in_lower_case)

    @cached_property
    def _index_undotted(self) -> dict[str, int]:
        return self._first_by(undotted)

    def _first_by(self, key: Callable[[str], str]) -> dict[str, int]:
        """Index words by a key that several may share: by falling count, so the first one is the most frequent."""
        index_by_key: dict[str, int] = {}
        for index, word in enumerate(self.words):
            index_by_key.setdefault(key(word), index)
        return index_by_key


def sense_name(word: str, number: int) -> str:
    """Return the name of a word's sense, numbered from 1."""
    return f"{word}#{number}"


def without_sense(name: str) -> str:
    """Return the word of a sense's name, and any other word as it is.

    >>> [without_sense(name) for name in ("bear#12", "C#", "#1")]
    ['bear', 'C#', '#1']
    """
    return _SENSE_NUMBER.sub("", name)


_SENSE_NUMBER = re.compile(r"(?<=.)#[0-9]+$")


def in_lower_case(word: str) -> str:
    """Return a word in lower case and composed (NFC), by which spellings are compared.

    >>> in_lower_case("Cafe\u0301") == "caf\u00e9"
    True
    """
    return word.lower() if word.isascii() else composed(composed(word).lower())


def undotted(word: str) -> str:
    """Return a word in lower case, its dotted and dotless i alike.

    Turkish has two pairs, I ı and İ i. Lower case by the rules of other languages makes i of I, and an i with a dot
    upon its dot of İ; many dictionaries were written so.

    >>> [undotted(word) for word in ("İstanbul", "i̇stanbul", "ISPARTA", "ısparta")]
    ['istanbul', 'istanbul', 'isparta', 'isparta']
    """
    lower = in_lower_case(word)
    return lower if lower.isascii() else lower.replace("i\u0307", "i").replace("ı", "i")


@dataclass(frozen=True, eq=False)
class AnchorSums:
    """Sums over the tokens of each word type, in every layer; ``a + b`` merges two texts, in any order."""

    words: tuple[str, ...]
    """Word types by code point, so that the order of merging leaves no trace."""
    totals: Float64[Tensor, "types layers width"]
    """Sum of the vectors."""
    type_norms: Float64[Tensor, "types layers"]
    """Sum of the L2 norms. |total| / type_norms is the mean cosine of tokens and their anchor, each token weighing as
    much as its norm."""
    squared_norms: Float64[Tensor, "types layers"]
    """Sum of the squared L2 norms; with `totals` it gives the variance within a word type."""
    counts: Int64[Tensor, " types"]
    norms: Float64[Tensor, " layers"]
    """Sum of the L2 norms of all tokens, also of those that were passed over because their type was not wanted."""
    tokens: int
    """How many tokens that were."""

    def __add__(self, other: "AnchorSums") -> "AnchorSums":
        assert self.totals.shape[1:] == other.totals.shape[1:], "only sums of equal layers and width add up"
        words = tuple(sorted({*self.words, *other.words}))
        row_by_word = {word: row for row, word in enumerate(words)}
        rows_of_self = torch.tensor([row_by_word[word] for word in self.words], dtype=torch.int64)
        rows_of_other = torch.tensor([row_by_word[word] for word in other.words], dtype=torch.int64)

        def merged(ours: Tensor, theirs: Tensor) -> Tensor:
            sums = ours.new_zeros(len(words), *ours.shape[1:])
            return sums.index_add_(0, rows_of_self, ours).index_add_(0, rows_of_other, theirs)

        return AnchorSums(
            words=words,
            totals=merged(self.totals, other.totals),
            type_norms=merged(self.type_norms, other.type_norms),
            squared_norms=merged(self.squared_norms, other.squared_norms),
            counts=merged(self.counts, other.counts),
            norms=self.norms + other.norms,
            tokens=self.tokens + other.tokens,
        )

    def anchors(self, language: str, *, min_count: int = 1, max_types: int | None = None) -> tuple[Anchors, ...]:
        """Divide the sums by the counts: the anchors of every layer.

        Args:
            language: Code of the language the text was in.
            min_count: Word types seen less often are left out.
            max_types: Only so many of the most frequent word types are kept.
        """
        counts = self.counts.tolist()
        frequent = [row for row in range(len(self.words)) if counts[row] >= min_count]
        kept = sorted(frequent, key=lambda row: (-counts[row], self.words[row]))[:max_types]
        rows = torch.tensor(kept, dtype=torch.int64)
        means = (self.totals[rows] / self.counts[rows, None, None]).float()  # types layers width
        token_norms = self.type_norms[rows] / self.counts[rows, None]  # types layers
        token_squares = self.squared_norms[rows] / self.counts[rows, None]
        mean_norms = self.norms / max(self.tokens, 1)  # layers
        return tuple(
            Anchors(
                language=language,
                layer=layer,
                words=tuple(self.words[row] for row in kept),
                vectors=means[:, layer].contiguous(),
                counts=self.counts[rows],
                mean_norm=float(mean_norms[layer]),
                token_norms=token_norms[:, layer].contiguous(),
                token_squares=token_squares[:, layer].contiguous(),
            )
            for layer in range(means.shape[1])
        )


class AnchorAccumulator:
    """Adds up contextual vectors in place, batch after batch, to make one `AnchorSums`.

    It lives for one pass over a text. The sums stay in main memory: word types × layers × width × 8 bytes,
    and up to twice that while room is made for new types.
    """

    def __init__(self, *, layers: int, width: int, words: Collection[str] | None = None):
        """Start from nothing; with ``words`` given, tokens of other types count for the norms only."""
        self._wanted = None if words is None else frozenset(words)
        self._row_by_word: dict[str, int] = {}
        room = 1024 if self._wanted is None else len(self._wanted)
        self._totals = torch.zeros(room, layers, width, dtype=torch.float64)
        self._type_norms = torch.zeros(room, layers, dtype=torch.float64)
        self._squared_norms = torch.zeros(room, layers, dtype=torch.float64)
        self._counts = torch.zeros(room, dtype=torch.int64)
        self._norms, self._tokens = torch.zeros(layers, dtype=torch.float64), 0

    def add(self, words: Sequence[str], vectors: Float[Tensor, "tokens layers width"]) -> None:
        """Add the vector of every token to the sums of its word type.

        Raises:
            VectorsError: A vector holds NaN or infinity.
        """
        vectors = vectors.detach().to("cpu", torch.float64)
        squared_norms = vectors.square().sum(dim=-1)  # tokens layers
        if not torch.isfinite(squared_norms).all():  # one number a vector is looked at first
            _refuse_non_finite(words, vectors)
        norms = squared_norms.sqrt()
        self._norms += norms.sum(dim=0)
        self._tokens += len(words)
        if self._wanted is not None:
            kept = [place for place, word in enumerate(words) if word in self._wanted]
            words = [words[place] for place in kept]
            vectors, norms, squared_norms = vectors[kept], norms[kept], squared_norms[kept]
        row_by_word = self._row_by_word
        rows = torch.tensor([row_by_word.setdefault(word, len(row_by_word)) for word in words], dtype=torch.int64)
        self._make_room()
        self._totals.index_add_(0, rows, vectors)
        self._type_norms.index_add_(0, rows, norms)
        self._squared_norms.index_add_(0, rows, squared_norms)
        self._counts.index_add_(0, rows, torch.ones_like(rows))

    def sums(self) -> AnchorSums:
        """Return what has been added so far."""
        words = tuple(sorted(self._row_by_word))
        rows = torch.tensor([self._row_by_word[word] for word in words], dtype=torch.int64)
        return AnchorSums(
            words=words,
            totals=self._totals[rows],
            type_norms=self._type_norms[rows],
            squared_norms=self._squared_norms[rows],
            counts=self._counts[rows],
            norms=self._norms.clone(),
            tokens=self._tokens,
        )

    def _make_room(self) -> None:
        """Grow the sums, at least by half, so that growing stays rare."""
        missing = len(self._row_by_word) - len(self._counts)
        if missing > 0:
            more = max(missing, len(self._counts) // 2)

            def grown(sums: Tensor) -> Tensor:
                return torch.cat([sums, sums.new_zeros(more, *sums.shape[1:])])

            self._totals, self._counts = grown(self._totals), grown(self._counts)
            self._type_norms, self._squared_norms = grown(self._type_norms), grown(self._squared_norms)


def _refuse_non_finite(words: Sequence[str], vectors: Float64[Tensor, "tokens layers width"]) -> None:
    """Stop before one bad vector spoils every sum it enters."""
    finite = torch.isfinite(vectors).all(dim=-1)  # tokens layers
    if not finite.all():
        token, layer = (~finite).nonzero()[0].tolist()
        raise VectorsError(
            f"Layer {layer}: the encoder's vector of {words[token]!r} is not finite. Anchors are means of "
            "finite numbers. Check that the encoder's training did not diverge, or encode in float32."
        )


def _shortened(words: Sequence[str]) -> str:
    """List a few words; tell that there are more."""
    return ", ".join(words[:5]) + (", …" if len(words) > 5 else "")

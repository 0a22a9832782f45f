"""Several anchors for a word of several senses, by clustering the contexts in which it stands.

The anchor of *bank* is a mean of river banks and houses of money and lies where neither is. Its contextual vectors
lie in two clouds, and the mean of each cloud is the anchor of a sense. The module reads a text, keeps a fair sample
of the occurrences of every frequent word, encodes the sentences in which they stand, and has `sense_clusters` divide
the vectors of each word. Words without evidence of several senses keep their plain anchor.

Receives an encoder, sentences and plain `Anchors`; hands on `SenseAnchors`, one per layer, which `expand` turns into
`Anchors` of names such as ``bank#1``, so that every road of alignment takes them.

Sources: Schuster et al. (2019), section 3.3, where anchors of homonyms fail; Zhang et al. (2019), Cross-Lingual
Contextual Word Embeddings Mapping With Multi-Sense Words In Mind.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from isogloss.compute.randomness import numpy_generator
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.errors import VectorsError
from isogloss.lexicon.anchors import Anchors, sense_name
from isogloss.lexicon.sense_clusters import FEW_WORDS, SenseSettings, divide_occurrences, evening


@dataclass(frozen=True, eq=False)
class SenseAnchors:
    """The anchors of one language in one layer, one or several per word type, most frequent type first."""

    language: str
    layer: int
    words: tuple[str, ...]
    """Word types, in the order of the plain anchors."""
    senses: Int64[Tensor, " types"]
    """How many senses each word type has; its rows of `vectors` stand together."""
    vectors: Float32[Tensor, "senses width"]
    """The anchors of all senses; of each word the most frequent first."""
    shares: Float64[Tensor, " senses"]
    """The share of its word's sampled occurrences that each sense has: 1 for a word of one sense."""
    counts: Int64[Tensor, " types"]
    """How often each word type was seen."""
    mean_norm: float
    """Mean L2 norm over all tokens of the layer, from the plain anchors."""

    def __post_init__(self):
        types, total = len(self.words), int(self.senses.sum())
        assert len(self.senses) == len(self.counts) == types, "one number of senses and one count per word type"
        assert len(self.vectors) == len(self.shares) == total, "one vector and one share per sense"
        assert not types or int(self.senses.min()) >= 1, "every word type has a sense"
        if not torch.isfinite(self.vectors).all():
            row = int((~torch.isfinite(self.vectors).all(dim=1)).nonzero()[0])
            word = next(word for word in self.words if row in self.rows_of(word))
            raise VectorsError(
                f"Sense anchors of {self.language}, layer {self.layer}: a vector of {word!r} is not finite. Vectors "
                "hold finite numbers. Check the encoder, or gather the senses again."
            )

    @classmethod
    def of_anchors(cls, anchors: Anchors) -> "SenseAnchors":
        """Take plain anchors for those of words of one sense each."""
        return cls(
            language=anchors.language,
            layer=anchors.layer,
            words=anchors.words,
            senses=torch.ones(len(anchors), dtype=torch.int64),
            vectors=anchors.vectors,
            shares=torch.ones(len(anchors), dtype=torch.float64),
            counts=anchors.counts,
            mean_norm=anchors.mean_norm,
        )

    @property
    def width(self) -> int:
        """Length of every vector."""
        return self.vectors.shape[1]

    def index_of(self, word: str) -> int | None:
        """Find a word type as `Anchors.index_of` does; None if it has no anchor."""
        return self._types.index_of(word)

    def rows_of(self, word: str) -> range:
        """Return the places of a word's senses in `vectors`, most frequent first; none if it has no anchor."""
        index = self.index_of(word)
        return range(0) if index is None else range(self._first[index], self._first[index + 1])

    def is_ambiguous(self, word: str) -> bool:
        """Whether a word has several senses here."""
        return len(self.rows_of(word)) > 1

    def sense_of(self, word: str, vector: Float[Tensor, " width"]) -> int:
        """Return which sense an occurrence has, from 0: that of the nearest anchor of the word, by cosine."""
        return int(self.senses_of(word, vector[None])[0])

    def senses_of(self, word: str, vectors: Float[Tensor, "occurrences width"]) -> Int64[Tensor, " occurrences"]:
        """Return the sense of each of several occurrences of one word, as `sense_of` does.

        Raises:
            VectorsError: The word has no anchor.
        """
        rows = self.rows_of(word)
        if not rows:
            raise VectorsError(
                f"Sense anchors of {self.language}, layer {self.layer}: {word!r} has no anchor. The word must be among "
                f"the {len(self.words)} word types. Leave it out, or gather anchors from more text."
            )
        anchors = torch.nn.functional.normalize(self.vectors[rows.start : rows.stop].double(), dim=1)
        return (vectors.double() @ anchors.mT).argmax(dim=1)

    def expand(self) -> Anchors:
        """Return the senses as anchors of their own, named ``bear#1``, ``bear#2``; words of one sense keep their name.

        Raises:
            VectorsError: The text has a word type that is written like the name of a sense.
        """
        names = self.sense_names
        if len(set(names)) < len(names):
            taken = next(name for name in names if names.count(name) > 1)
            raise VectorsError(
                f"Sense anchors of {self.language}, layer {self.layer}: {taken!r} is both a word type of the text and "
                "the name of a sense. Names must differ. Leave that word type out of the anchors."
            )
        counts = (self.shares * self.counts.repeat_interleave(self.senses)).round().long().clamp(min=1)
        order = counts.argsort(descending=True, stable=True)
        return Anchors(
            language=self.language,
            layer=self.layer,
            words=tuple(names[row] for row in order.tolist()),
            vectors=self.vectors[order],
            counts=counts[order],
            mean_norm=self.mean_norm,
        )

    @cached_property
    def sense_names(self) -> tuple[str, ...]:
        """The name of every sense, in the order of `vectors`: ``bear#1``, or the word itself if it has one sense."""
        return tuple(
            sense_name(word, number) if senses > 1 else word
            for word, senses in zip(self.words, self.senses.tolist(), strict=True)
            for number in range(1, senses + 1)
        )

    @cached_property
    def word_of_sense(self) -> Mapping[str, str]:
        """The word type of each name in `sense_names`."""
        words = (
            word for word, senses in zip(self.words, self.senses.tolist(), strict=True) for _ in range(int(senses))
        )
        return dict(zip(self.sense_names, words, strict=True))

    @cached_property
    def _first(self) -> list[int]:
        return [0, *self.senses.cumsum(dim=0).tolist()]

    @cached_property
    def _types(self) -> Anchors:
        """Word types without vectors, for their look-up."""
        nothing = torch.zeros(len(self.words), 0)
        return Anchors(self.language, self.layer, self.words, nothing, self.counts, self.mean_norm)


@dataclass(frozen=True, eq=False)
class OccurrenceSample:
    """Contextual vectors of a fair sample of the occurrences of some words."""

    words: tuple[str, ...]
    layers: tuple[int, ...]
    vectors: Float32[Tensor, "samples layers width"]
    """Those of the first word first, in the order of the text."""
    sizes: Int64[Tensor, " types"]
    """How many of them each word has."""


def gather_senses(
    encoder: Encoder,
    sentences: Iterable[Sentence],
    *,
    anchors: Sequence[Anchors],
    settings: SenseSettings | None = None,
    clustering_layer: int | None = None,
    words: Collection[str] | None = None,
    seed: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[SenseAnchors, ...]:
    """Read a text once and give every word type one anchor or several, in each layer for which there are anchors.

    Args:
        encoder: The encoder that gave the anchors.
        sentences: Read once. Only sentences with a sampled occurrence are held and encoded.
        anchors: Plain anchors of the layers wanted, all of the same word types, as `extract_anchors` gives them.
        settings: See `SenseSettings`.
        clustering_layer: The layer in which contexts are clustered; all layers share its clusters. The last layer of
            ``anchors``, if not given.
        words: If given, only these are looked at, however frequent.
        seed: Of the sample and of k-means.
        progress: Called with the name of the step, what is done of it and what there is to do.
    """
    settings = settings or SenseSettings()
    layers = tuple(each.layer for each in anchors)
    clustering_layer = layers[-1] if clustering_layer is None else clustering_layer
    wanted = _candidates(anchors[0], settings, words)
    needed = layers if clustering_layer in layers else (*layers, clustering_layer)
    sample = sample_occurrences(
        encoder, sentences, words=wanted, layers=needed, settings=settings, seed=seed, progress=progress
    )
    labels_by_word: dict[str, Int64[Tensor, " samples"]] = {}
    vectors_by_word = dict(zip(sample.words, sample.vectors.split(sample.sizes.tolist()), strict=True))
    place = needed.index(clustering_layer)
    even = evening(
        (vectors[:, place] for vectors in vectors_by_word.values()),
        width=encoder.width,
        evenness=settings.evenness + FEW_WORDS / max(len(vectors_by_word), 1),
    )
    for done, (word, vectors) in enumerate(vectors_by_word.items(), start=1):
        labels = divide_occurrences(vectors[:, place], settings=settings, seed=seed, word=word, even=even)
        if labels.any():
            labels_by_word[word] = labels
        if progress is not None:
            progress("divided", done, len(vectors_by_word))
    return tuple(
        _sense_anchors(each, labels_by_word, {word: vectors_by_word[word][:, at] for word in labels_by_word})
        for at, each in enumerate(anchors)
    )


def sample_occurrences(
    encoder: Encoder,
    sentences: Iterable[Sentence],
    *,
    words: Sequence[str],
    layers: Sequence[int],
    settings: SenseSettings,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> OccurrenceSample:
    """Choose occurrences of each word, all equally likely, and encode the sentences in which they stand.

    Choosing needs no vectors, so it comes first and only what was chosen is encoded. Words that do not occur are left
    out.

    Source: the choice is Algorithm R of Vitter (1985), Random Sampling with a Reservoir.
    """
    chosen, texts = _choose(islice(sentences, settings.max_sentences), words, settings.occurrences, seed)
    found = [word for word in words if chosen[word]]
    # Where in the sample each chosen occurrence goes, by sentence.
    goals: dict[int, list[tuple[int, int]]] = {}
    row = 0
    for word in found:
        for number, place in sorted(chosen[word]):
            goals.setdefault(number, []).append((place, row))
            row += 1
    vectors = torch.empty(row, len(layers), encoder.width)
    encoded = 0
    for batch in _in_batches(sorted(goals), texts, settings.batch_words):
        with torch.no_grad():
            embeddings = encoder.encode([texts[number] for number in batch])
        at = [(line, place, goal) for line, number in enumerate(batch) for place, goal in goals[number]]
        lines, places, rows = (torch.tensor(column) for column in zip(*at, strict=True))
        picked = embeddings.vectors[lines, places][:, list(layers)].float().cpu()
        finite = torch.isfinite(picked).flatten(1).all(dim=1)
        if not finite.all():
            line, place, _ = at[int((~finite).nonzero()[0])]
            raise VectorsError(
                f"Sense anchors: the encoder's vector of {texts[batch[line]].forms[place]!r} is not finite. Senses are "
                "means of finite numbers. Check that the encoder's training did not diverge."
            )
        vectors[rows] = picked
        encoded += len(batch)
        if progress is not None:
            progress("encoded", encoded, len(goals))
    sizes = torch.tensor([len(chosen[word]) for word in found], dtype=torch.int64)
    return OccurrenceSample(words=tuple(found), layers=tuple(layers), vectors=vectors, sizes=sizes)


def _candidates(anchors: Anchors, settings: SenseSettings, words: Collection[str] | None) -> list[str]:
    """Choose the words to look at: numbers and punctuation marks have no senses."""
    if words is not None:
        wanted = frozenset(words)
        return [word for word in anchors.words if word in wanted]
    counts = zip(anchors.words, anchors.counts.tolist(), strict=True)
    frequent = (word for word, count in counts if count >= settings.min_count and any(map(str.isalpha, word)))
    return list(islice(frequent, settings.max_types))


def _choose(
    sentences: Iterable[Sentence], words: Sequence[str], occurrences: int, seed: int
) -> tuple[dict[str, list[tuple[int, int]]], dict[int, Sentence]]:
    """Keep for each word at most so many occurrences as (sentence, place), and the sentences in which they stand."""
    chance = _uniform(numpy_generator(seed, "occurrences"))
    chosen: dict[str, list[tuple[int, int]]] = {word: [] for word in words}
    seen = dict.fromkeys(words, 0)
    texts: dict[int, Sentence] = {}
    uses: dict[int, int] = {}
    for number, sentence in enumerate(sentences):
        for place, word in enumerate(sentence.forms):
            if word not in seen:
                continue
            seen[word] += 1
            slots = chosen[word]
            if len(slots) < occurrences:
                slots.append((number, place))
            else:
                slot = int(next(chance) * seen[word])
                if slot >= occurrences:
                    continue
                dropped = slots[slot][0]
                slots[slot] = (number, place)
                uses[dropped] -= 1
                if not uses[dropped]:
                    del uses[dropped]
                    if dropped != number:
                        del texts[dropped]
            uses[number] = uses.get(number, 0) + 1
            texts[number] = sentence
    return chosen, texts


def _uniform(generator: np.random.Generator) -> Iterator[float]:
    """Draw numbers from 0 to 1, many at a time because single draws are slow."""
    while True:
        yield from generator.random(1 << 14).tolist()


def _in_batches(numbers: Sequence[int], texts: Mapping[int, Sentence], words: int) -> Iterator[list[int]]:
    """Cut sentences into batches of at most so many words, or of one longer sentence."""
    batch: list[int] = []
    held = 0
    for number in numbers:
        if batch and held + len(texts[number]) > words:
            yield batch
            batch, held = [], 0
        batch.append(number)
        held += len(texts[number])
    if batch:
        yield batch


def _sense_anchors(
    anchors: Anchors, labels_by_word: Mapping[str, Tensor], vectors_by_word: Mapping[str, Tensor]
) -> SenseAnchors:
    """Put means of clusters in the place of the anchors of divided words."""
    vectors, shares, senses = [], [], []
    for word, anchor in zip(anchors.words, anchors.vectors, strict=True):
        if word not in labels_by_word:
            vectors.append(anchor[None])
            shares.append(torch.ones(1, dtype=torch.float64))
        else:
            labels, own = labels_by_word[word], vectors_by_word[word].double()
            sizes = labels.bincount()
            sums = own.new_zeros(len(sizes), own.shape[1]).index_add_(0, labels, own)
            vectors.append((sums / sizes[:, None]).float())
            shares.append(sizes.double() / len(labels))
        senses.append(len(vectors[-1]))
    return SenseAnchors(
        language=anchors.language,
        layer=anchors.layer,
        words=anchors.words,
        senses=torch.tensor(senses, dtype=torch.int64),
        vectors=torch.cat(vectors) if vectors else anchors.vectors,
        shares=torch.cat(shares) if shares else torch.zeros(0, dtype=torch.float64),
        counts=anchors.counts,
        mean_norm=anchors.mean_norm,
    )

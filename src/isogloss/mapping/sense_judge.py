"""The multi-sense test: does an ambiguous word in context land on the right one of its translations?

*Bear* stands near *oso* in one sentence and near *tener* in another, if alignment of anchors carries over to words in
context. Every occurrence of an ambiguous word whose sense is known is aligned; it is right if, of all translations of
all its senses, the nearest belongs to the sense it has. The invented languages know every sense and its translations.

Receives sentences with known senses and an encoder, target anchors and an alignment; hands on `SenseScores`.

Source: Schuster et al. (2019), section 3.3, shows the effect in pictures; the test is ours.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from isogloss.corpus.invented import ambiguous_forms, senses
from isogloss.corpus.invented.words import lexicon
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.senses import SenseAnchors
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.sense_alignment import around_centre

Choices = Mapping[str, Mapping[str, Sequence[str]]]
"""For each ambiguous word the translations of each of its senses."""

BATCH_SENTENCES = 64
"""Sentences encoded together."""


@dataclass(frozen=True, eq=False)
class SenseOccurrences:
    """Occurrences of ambiguous words whose sense is known, with their contextual vectors."""

    words: tuple[str, ...]
    """As written, so perhaps with the capital of a sentence's first word."""
    senses: tuple[str, ...]
    sentences: Int64[Tensor, " occurrences"]
    """The number of the sentence that each stands in, for the bootstrap."""
    vectors: Float32[Tensor, "occurrences layers width"]

    def layer(self, index: int) -> Float32[Tensor, "occurrences width"]:
        """Return the vectors of one layer, not aligned."""
        return self.vectors[:, index]

    def without_context(self, anchors: Anchors) -> Float32[Tensor, "occurrences width"]:
        """Return for each occurrence the anchor of its word: what can be known without context.

        Raises:
            VectorsError: Some of the words have no anchor.
        """
        return anchors.for_words(self.words)

    def by_sense(self, anchors: SenseAnchors) -> Float32[Tensor, "occurrences width"]:
        """Return for each occurrence the anchor of the sense that `SenseAnchors.sense_of` finds for it.

        Raises:
            VectorsError: Some of the words have no anchor.
        """
        vectors = self.layer(anchors.layer)
        rows = [
            anchors.rows_of(word).start + anchors.sense_of(word, vector)
            for word, vector in zip(self.words, vectors, strict=True)
        ]
        return anchors.vectors[torch.tensor(rows, dtype=torch.int64)]


@dataclass(frozen=True, eq=False)
class SenseScores:
    """How many ambiguous occurrences were nearest to a translation of the sense they have."""

    scope: str
    """Languages and layer."""
    occurrences_by_sentence: Mapping[int, int]
    """Tested occurrences of each sentence that has any."""
    right_by_sentence: Mapping[int, int]
    occurrences_by_word: Mapping[str, int]
    right_by_word: Mapping[str, int]
    majority: float
    """The share that is right if every word always has the sense that it has most often in this very test: the best
    that can be said without context, from 0 to 1."""
    untested: int
    """Occurrences left out because the word is not among the choices, or one of its senses has no translation with
    an anchor."""

    @property
    def occurrences(self) -> int:
        """How many were tested."""
        return sum(self.occurrences_by_sentence.values())

    @property
    def words(self) -> int:
        """Of how many word types they are."""
        return len(self.occurrences_by_word)

    @property
    def accuracy(self) -> float:
        """The share that is right, from 0 to 1."""
        return sum(self.right_by_sentence.values()) / self.occurrences

    @cached_property
    def accuracy_by_word(self) -> Mapping[str, float]:
        """The share that is right of each word, in the order of the words."""
        return {word: self.right_by_word[word] / count for word, count in self.occurrences_by_word.items()}

    def interval(
        self, generator: np.random.Generator, *, confidence: float = 0.95, resamples: int = 10_000
    ) -> tuple[float, float]:
        """Bootstrap a confidence interval of the accuracy over sentences, of which each is drawn whole."""
        numbers = sorted(self.occurrences_by_sentence)
        counts = np.array([self.occurrences_by_sentence[number] for number in numbers])
        right = np.array([self.right_by_sentence[number] for number in numbers])
        # How often each sentence is drawn; one multinomial draw is one resample.
        draws = generator.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), size=resamples)
        tail = (1 - confidence) / 2
        low, high = np.quantile((draws @ right) / (draws @ counts), [tail, 1 - tail])
        return float(low), float(high)


def gather_occurrences(
    encoder: Encoder, sentences: Iterable[Sentence], *, senses_of: Callable[[Sentence], Mapping[int, str]] = senses
) -> SenseOccurrences:
    """Encode the sentences that have a word of known sense, and keep the vectors of these words.

    Args:
        encoder: Of the language of the sentences.
        sentences: For example a test treebank of an invented language.
        senses_of: Returns the sense of each ambiguous word by its place from 0; by default that in ``Sense=`` of MISC.

    Raises:
        AlignmentError: No word has a sense.
    """
    words, names, numbers, vectors = [], [], [], []
    total = 0
    numbered = iter(enumerate(sentences))
    while batch := list(islice(numbered, BATCH_SENTENCES)):
        total += len(batch)
        marked = [(number, sentence, found) for number, sentence in batch if (found := senses_of(sentence))]
        if not marked:
            continue
        with torch.no_grad():
            encoded = encoder.encode([sentence for _, sentence, _ in marked]).vectors.float().cpu()
        for line, (number, sentence, found) in enumerate(marked):
            for place, sense in found.items():
                words.append(sentence.forms[place])
                names.append(sense)
                numbers.append(number)
                vectors.append(encoded[line, place])
    if not words:
        raise AlignmentError(
            f"Sense test: none of {total} sentences has a word with a sense. Senses stand in MISC as "
            "Sense=bear.animal. Give sentences of an invented language that has ambiguous words (see ambiguous_forms)."
        )
    return SenseOccurrences(
        words=tuple(words), senses=tuple(names), sentences=torch.tensor(numbers), vectors=torch.stack(vectors)
    )


def invented_choices(source: str, target: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the ambiguous words of one invented language, with each sense's forms in another: the truth.

    All forms of a concept count as its translations (*osos* as well as *oso*), so that the test is about senses and
    not about case or tense.
    """
    forms: dict[str, list[str]] = {}
    for (concept, _), entry in lexicon(target).items():
        forms.setdefault(concept, []).append(entry.form)
    return {
        form: {concept: tuple(forms[concept]) for concept in concepts}
        for form, concepts in ambiguous_forms(source).items()
    }


def judge_senses(
    alignment: Alignment | None,
    occurrences: SenseOccurrences,
    *,
    target_anchors: Anchors,
    choices: Choices,
    queries: Float[Tensor, "occurrences width"] | None = None,
    word_anchors: Anchors | None = None,
) -> SenseScores:
    """Count the occurrences whose nearest translation, among those of all senses of the word, has the right sense.

    Near is meant by cosine, around the alignment's centre. Alternatively, around the word: then the word's anchor
    and the mean of its senses' translations are laid upon one another, and directions from there are compared. That
    takes out what the ambiguous anchor and the translations have apart from their senses, which plain nearness puts
    down to one of the senses in every context.

    Args:
        alignment: From the language of the occurrences to that of the translations; turn it round with ``inverse()``
            if the reference is the ambiguous one. None compares the vectors as they are, unaligned.
        occurrences: What to judge.
        target_anchors: Anchors of the same layer of the other language.
        choices: The translations of each sense, such as `invented_choices`. Words are looked up as written, then in
            lower case.
        queries: Other vectors in the place of the occurrences' own, such as `SenseOccurrences.without_context`.
        word_anchors: Anchors of the ambiguous words; if given, directions around the word are compared. An occurrence
            that is where its anchor is, as all are in a layer without context, is judged by plain nearness.

    Raises:
        AlignmentError: No occurrence can be tested.
    """
    layer = target_anchors.layer
    queries = occurrences.layer(layer) if queries is None else queries
    aligned, targets = around_centre(alignment, queries, target_anchors.vectors)
    aligned, targets = aligned.double(), targets.double()
    places_by_word: dict[str, list[int]] = {}
    for place, written in enumerate(occurrences.words):
        word = written if written in choices else written.lower()
        places_by_word.setdefault(word, []).append(place)
    right_at: dict[int, bool] = {}
    word_at: dict[int, str] = {}
    majority = untested = 0
    for word, places in places_by_word.items():
        rows = _rows(choices.get(word, {}), target_anchors)
        known = [place for place in places if occurrences.senses[place] in rows]
        if len(rows) < 2 or not all(rows.values()):
            known = []
        untested += len(places) - len(known)
        if not known:
            continue
        own, candidates = aligned[known], torch.cat([targets[list(columns)] for columns in rows.values()])
        owners = [sense for sense, columns in rows.items() for _ in columns]
        if word_anchors is not None:
            anchors, _ = around_centre(alignment, word_anchors.for_words([word]), targets[:0].float())
            middle = torch.stack([targets[list(columns)].mean(dim=0) for columns in rows.values()]).mean(dim=0)
            apart = own - anchors.double()
            around = _unit(apart) @ _unit(candidates - middle).mT
            # Without context an occurrence is its word's anchor but for rounding, which shows no direction.
            moved = torch.linalg.vector_norm(apart, dim=1) > 1e-4 * torch.linalg.vector_norm(own, dim=1)
            similarity = torch.where(moved[:, None], around, _unit(own) @ _unit(candidates).mT)
        else:
            similarity = _unit(own) @ _unit(candidates).mT  # occurrences candidates
        for place, nearest in zip(known, similarity.argmax(dim=1).tolist(), strict=True):
            right_at[place] = owners[nearest] == occurrences.senses[place]
            word_at[place] = word
        said = [occurrences.senses[place] for place in known]
        majority += max(said.count(sense) for sense in rows)
    if not right_at:
        raise AlignmentError(
            f"Sense test into {target_anchors.language}, layer {layer}: none of {len(occurrences.words)} occurrences "
            "can be tested. A word needs two senses among the choices, each with a translation that has an anchor. "
            "Check the languages, or gather anchors from more text."
        )
    sentences = occurrences.sentences.tolist()
    tested = sorted(right_at)
    return SenseScores(
        scope=f"{alignment.source if alignment else 'unaligned'}→{target_anchors.language}, layer {layer}",
        occurrences_by_sentence=_sums((sentences[place], 1) for place in tested),
        right_by_sentence=_sums((sentences[place], int(right_at[place])) for place in tested),
        occurrences_by_word=_sums((word_at[place], 1) for place in tested),
        right_by_word=_sums((word_at[place], int(right_at[place])) for place in tested),
        majority=majority / len(tested),
        untested=untested,
    )


def _rows(translations: Mapping[str, Sequence[str]], anchors: Anchors) -> dict[str, list[int]]:
    """Find the anchors of each sense's translations, none twice."""
    found = {sense: [anchors.index_of(word) for word in words] for sense, words in translations.items()}
    return {sense: sorted({row for row in rows if row is not None}) for sense, rows in found.items()}


def _unit(vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
    """Divide every vector by its length; zero vectors stay zero."""
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / lengths.masked_fill(lengths == 0, 1.0)


def _sums(counts: Iterable[tuple]) -> dict:
    """Add up numbers by key, in the order in which keys come."""
    sums: dict = {}
    for key, count in counts:
        sums[key] = sums.get(key, 0) + count
    return sums

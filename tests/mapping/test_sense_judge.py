"""The multi-sense test agrees with a plain loop, and its baselines are what they say."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.invented import senses, treebank
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.senses import SenseAnchors
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.sense_judge import SenseOccurrences, gather_occurrences, invented_choices, judge_senses
from isogloss.shapes import mask_of_lengths

WIDTH = 5
CHOICES = {
    "bear": {"bear.animal": ("oso", "osos"), "bear.verb": ("tener",)},
    "bank": {"bank.money": ("banco",), "bank.land": ("orilla", "ribera", "unseen")},
}
TARGETS = ("oso", "osos", "tener", "banco", "orilla", "ribera")


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def random_case(seed: int) -> tuple[Alignment, SenseOccurrences, Anchors, Anchors]:
    generator = np.random.default_rng(seed)
    words = tuple(generator.choice(["bear", "bank", "Bear"], size=30).tolist())
    told = tuple(str(generator.choice(list(CHOICES[word.lower()]))) for word in words)
    numbers = torch.from_numpy(np.sort(generator.integers(0, 12, size=30)))
    occurrences = SenseOccurrences(words, told, numbers, normal(seed + 1, 30, 2, WIDTH).float())
    matrix = torch.linalg.qr(normal(seed + 2, WIDTH, WIDTH)).Q
    alignment = Alignment(
        "en",
        "es",
        1,
        matrix,
        scale=0.5,
        source_centre=normal(seed + 3, WIDTH),
        target_centre=normal(seed + 4, WIDTH),
        target_scale=2.0,
    )
    target = Anchors.of_vectors(TARGETS, normal(seed + 5, 6, WIDTH).float(), language="es", layer=1)
    source = Anchors.of_vectors(("bear", "bank"), normal(seed + 6, 2, WIDTH).float(), language="en", layer=1)
    return alignment, occurrences, target, source


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


@given(st.integers(0, 1000), st.booleans(), st.booleans())
def test_the_scores_agree_with_a_plain_loop(seed, aligned, around_the_word):
    alignment, occurrences, target, source = random_case(seed)
    right = []
    for word, sense, vector in zip(occurrences.words, occurrences.senses, occurrences.vectors[:, 1], strict=True):
        anchor = source.for_words([word])[0].double()

        def meet(vector: torch.Tensor, alignment: Alignment = alignment) -> torch.Tensor:
            return 0.5 * (vector.double() - alignment.source_centre) @ alignment.matrix if aligned else vector.double()

        own, middle = meet(vector), torch.zeros(WIDTH, dtype=torch.float64)
        places = {}
        for meaning, translations in CHOICES[word.lower()].items():
            vectors = [target.vectors[TARGETS.index(each)].double() for each in translations if each in TARGETS]
            places[meaning] = [2 * each - alignment.target_centre if aligned else each for each in vectors]
        if around_the_word:
            own = own - meet(anchor)
            middle = sum(sum(each) / len(each) for each in places.values()) / len(places)
        best = max((cosine(own, each - middle), meaning) for meaning, vectors in places.items() for each in vectors)
        right.append(best[1] == sense)
    scores = judge_senses(
        alignment if aligned else None,
        occurrences,
        target_anchors=target,
        choices=CHOICES,
        word_anchors=source if around_the_word else None,
    )
    assert scores.occurrences == 30 and scores.untested == 0
    assert scores.accuracy == pytest.approx(sum(right) / 30)
    by_sentence, by_word = Counter(), Counter()
    for number, word, good in zip(occurrences.sentences.tolist(), occurrences.words, right, strict=True):
        by_sentence[number] += good
        by_word[word.lower()] += good
    assert scores.right_by_sentence == by_sentence and scores.right_by_word == by_word
    told = Counter(zip(map(str.lower, occurrences.words), occurrences.senses, strict=True))
    most = {word: max(told[word, sense] for sense in CHOICES[word]) for word in by_word}
    assert scores.majority == pytest.approx(sum(most.values()) / 30)
    assert scores.words == len(by_word)


def hand_made(queries: Sequence[Sequence[float]], told: Sequence[str], words: Sequence[str] | None = None):
    vectors = torch.tensor(queries)[:, None]
    return SenseOccurrences(tuple(words or ["bear"] * len(told)), tuple(told), torch.arange(len(told)), vectors)


PLANE = Anchors.of_vectors(("oso", "tener", "banco"), torch.tensor([[1.0, 0], [0, 1.0], [1.0, 1]]), language="es")


def test_a_worked_example():
    occurrences = hand_made(
        [[2.0, 1], [3, 1], [1, 4], [2, 1]], ["bear.animal", "bear.animal", "bear.verb", "bear.verb"]
    )
    scores = judge_senses(None, occurrences, target_anchors=PLANE, choices=CHOICES)
    assert (scores.accuracy, scores.majority, scores.words) == (0.75, 0.5, 1)
    assert scores.accuracy_by_word == {"bear": 0.75}
    # Around the anchor (2, 2), (2, 1) lies towards the animal and (2, 3) towards the verb; plainly (2, 1) and (3, 2.9)
    # are both nearer to the animal.
    leaning = hand_made([[2.0, 1], [3, 2.9], [2, 3]], ["bear.animal", "bear.animal", "bear.verb"])
    own = Anchors.of_vectors(["bear"], torch.tensor([[2.0, 2]]), language="en")
    assert judge_senses(None, leaning, target_anchors=PLANE, choices=CHOICES, word_anchors=own).accuracy == 1


def test_an_occurrence_without_context_is_judged_by_plain_nearness():
    occurrences = hand_made([[2.0, 1], [1, 2]], ["bear.animal", "bear.animal"])
    own = Anchors.of_vectors(["bear"], torch.tensor([[2.0, 1.00001]]), language="en")
    scores = judge_senses(
        None,
        occurrences,
        target_anchors=PLANE,
        choices=CHOICES,
        queries=occurrences.without_context(own),
        word_anchors=own,
    )
    assert scores.accuracy == 1


def test_words_without_two_senses_over_there_are_counted_as_untested():
    occurrences = hand_made([[2.0, 1]] * 3, ["bear.animal", "bank.money", "crane"], ["bear", "bank", "crane"])
    scores = judge_senses(None, occurrences, target_anchors=PLANE, choices=CHOICES)
    assert (scores.occurrences, scores.untested) == (1, 2)
    with pytest.raises(AlignmentError, match=r"Sense test into es, layer 0: none of 1 occurrences can be tested"):
        judge_senses(None, hand_made([[1.0, 0]], ["x"], ["crane"]), target_anchors=PLANE, choices=CHOICES)


def test_without_context_every_occurrence_of_a_word_has_its_anchor():
    own = Anchors.of_vectors(["bank", "bear"], torch.eye(2), language="en")
    occurrences = hand_made([[5.0, 5]] * 3, ["x"] * 3, ["bear", "bank", "Bear"])
    assert occurrences.without_context(own).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_by_sense_every_occurrence_has_the_anchor_of_its_sense():
    own = SenseAnchors(
        language="en",
        layer=0,
        words=("bank", "bear"),
        senses=torch.tensor([1, 2]),
        vectors=torch.tensor([[3.0, 3], [4, 1], [1, 4]]),
        shares=torch.tensor([1, 0.5, 0.5], dtype=torch.float64),
        counts=torch.tensor([4, 4]),
        mean_norm=1.0,
    )
    occurrences = hand_made([[5.0, 0], [0, 2], [0, 9]], ["x"] * 3, ["bear", "bear", "bank"])
    assert occurrences.by_sense(own).tolist() == [[4, 1], [1, 4], [3, 3]]


def test_the_interval_draws_sentences_whole():
    """40 sentences of 5 occurrences that are right or wrong together vary like 40 draws and not like 200."""
    told = ["bear.animal" if number % 2 else "bear.verb" for number in range(40) for _ in range(5)]
    together = SenseOccurrences(
        ("bear",) * 200, tuple(told), torch.arange(40).repeat_interleave(5), torch.tensor([1.0, 0]).expand(200, 1, 2)
    )
    scores = judge_senses(None, together, target_anchors=PLANE, choices=CHOICES)
    low, high = scores.interval(np.random.default_rng(0))
    assert scores.accuracy == 0.5
    # 1.96 · sqrt(0.25 / 40) is 0.155; with 40 sentences the quantiles move in steps of 0.025.
    assert (low, high) == (pytest.approx(0.345, abs=0.026), pytest.approx(0.655, abs=0.026))


class PlaceEncoder:
    """The vector of a word is its length and its place."""

    layers, width = 1, 2

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, 1, 2)
        for row, sentence in enumerate(sentences):
            for place, form in enumerate(sentence.forms):
                vectors[row, place, 0] = torch.tensor([len(form), place])
        return ContextualEmbeddings(vectors=vectors, mask=mask)


def test_occurrences_of_an_invented_treebank_are_gathered_with_their_vectors():
    sentences = treebank("qal", "dev", sentences=150, seed=1).sentences
    occurrences = gather_occurrences(PlaceEncoder(), sentences)
    expected = [
        (number, sentence.forms[place], sense, [len(sentence.forms[place]), place])
        for number, sentence in enumerate(sentences)
        for place, sense in senses(sentence).items()
    ]
    vectors = occurrences.layer(0).tolist()
    found = zip(occurrences.sentences.tolist(), occurrences.words, occurrences.senses, vectors, strict=True)
    assert list(found) == expected and len(expected) > 20


def test_sentences_without_senses_are_refused():
    sentences = treebank("qbe", "dev", sentences=3, seed=1).sentences
    with pytest.raises(AlignmentError, match=r"Sense test: none of 3 sentences has a word with a sense"):
        gather_occurrences(PlaceEncoder(), sentences)


@pytest.mark.parametrize("target", ["qbe", "qco", "qel"])
def test_every_ambiguous_word_of_the_reference_has_different_translations(target):
    choices = invented_choices("qal", target)
    assert len(choices) == 13
    for translations in choices.values():
        one, other = translations.values()
        assert one and other and not set(one) & set(other)
    assert invented_choices(target, "qal") == {}

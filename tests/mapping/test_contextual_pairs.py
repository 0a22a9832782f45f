"""Alignments from parallel sentences: against all pairs kept in one matrix, planted rotations, and what is refused."""

import logging
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.invented import parallel_sentences
from isogloss.corpus.parallel import SentencePair
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.word_alignment import WordAligner
from isogloss.mapping.contextual_pairs import dictionary_from_links, fit_contextual, link_words, type_weights
from isogloss.mapping.normalisation import normalise
from isogloss.mapping.procrustes import procrustes
from isogloss.mapping.settings import ParallelSettings

WIDTH, LAYERS = 4, 2
NORMALISATIONS = ("none", "unit", "centre", "unit_centre_unit")
EVERYTHING = ParallelSettings(max_per_type=None, skip_punctuation=False)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int = WIDTH) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


class Table:
    """An encoder that knows the vector of every word: that of its form, moved a little by its place."""

    def __init__(
        self, *, turn: torch.Tensor | None = None, shift: float = 0.0, layers: int = LAYERS, width: int = WIDTH
    ):
        self.layers, self.width = layers, width
        self.turn = torch.eye(width, dtype=torch.float64) if turn is None else turn
        self.shift = shift
        self.batches: list[int] = []

    def vector(self, word: str, place: int, layer: int) -> torch.Tensor:
        kind = int(word.lower().lstrip("wt") or 0)
        return (
            normal(100 * kind + layer, self.width) + 0.1 * normal(kind + 7 * place, self.width)
        ) @ self.turn + self.shift

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        self.batches.append(len(sentences))
        longest = max(map(len, sentences))
        vectors = torch.zeros(len(sentences), longest, self.layers, self.width)
        mask = torch.zeros(len(sentences), longest, dtype=torch.bool)
        for row, sentence in enumerate(sentences):
            for place, word in enumerate(sentence.forms):
                mask[row, place] = True
                for layer in range(self.layers):
                    vectors[row, place, layer] = self.vector(word, place, layer).float()
        return ContextualEmbeddings(vectors, mask)


def pair_of(words: Sequence[int], *, links: Sequence[tuple[int, int]] | None = None) -> SentencePair:
    """A sentence of words w1 w2 …, and its translation t1 t2 …, place by place."""
    found = tuple((place, place) for place in range(len(words))) if links is None else tuple(links)
    source, target = (Sentence.of_forms([f"{letter}{word}" for word in words], language=code) for letter, code in
                      (("w", "gl"), ("t", "es")))  # fmt: skip
    return SentencePair(source, target, found)


def text_of(seed: int, *, sentences: int = 12, types: int = 9) -> list[SentencePair]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (sentences,), generator=generator).tolist()
    return [pair_of(torch.randint(1, types + 1, (length,), generator=generator).tolist()) for length in lengths]


def anchors_of(language: str, encoder: Table, *, types: int = 9, letter: str = "w") -> list[Anchors]:
    words = [f"{letter}{kind}" for kind in range(1, types + 1)]
    return [
        Anchors.of_vectors(
            words, torch.stack([encoder.vector(w, 0, layer) for w in words]), language=language, layer=layer
        )
        for layer in range(encoder.layers)
    ]


def fit(text, source: Table, target: Table, options: ParallelSettings = EVERYTHING, **more):
    more.setdefault("source_anchors", anchors_of("gl", source))
    if "target_anchors" not in more:
        more["target_anchors"] = anchors_of("es", target, letter="t")
    return fit_contextual(source, target, text, settings=options, **more)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)


def slow_matrix(text, source: Table, target: Table, layer: int, normalisation: str, cap: int | None) -> torch.Tensor:
    """All pairs in one matrix each, normalised and weighed as told, and Procrustes as on road 1."""
    pairs = [(pair, i, j) for pair in text for i, j in pair.links]
    sources = [pair.source.forms[i].lower() for pair, i, _ in pairs]
    targets = [pair.target.forms[j].lower() for pair, _, j in pairs]
    sides = []
    for encoder, language, letter, places in (
        (source, "gl", "w", [(pair.source, i) for pair, i, _ in pairs]),
        (target, "es", "t", [(pair.target, j) for pair, _, j in pairs]),
    ):
        X = torch.stack([encoder.vector(sentence.forms[k], k, layer).float() for sentence, k in places]).double()
        A = anchors_of(language, encoder, letter=letter)[layer].vectors.double()
        if normalisation == "unit":
            X = unit(X)
        elif normalisation == "centre":
            X = X - A.mean(dim=0)
        elif normalisation == "unit_centre_unit":
            X = unit(unit(X) - unit(A).mean(dim=0))
        sides.append(X)
    weights = [1.0 if cap is None else min(1, cap / sources.count(s), cap / targets.count(t)) for s, t in
               zip(sources, targets, strict=True)]  # fmt: skip
    roots = torch.tensor(weights, dtype=torch.float64).sqrt()[:, None]
    return procrustes(roots * sides[0], roots * sides[1])


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@settings(max_examples=8)
@given(seed=st.integers(0, 1000), cap=st.sampled_from([None, 1, 3]), batch_words=st.sampled_from([1, 9, 4096]))
def test_one_pass_agrees_with_all_pairs_at_once(normalisation, seed, cap, batch_words):
    source, target = Table(), Table(turn=rotation(seed), shift=0.3)
    text = text_of(seed, sentences=20)
    options = EVERYTHING.model_copy(
        update={"normalisation": normalisation, "max_per_type": cap, "batch_words": batch_words}
    )
    for layer, alignment in enumerate(fit(text, source, target, options)):
        expected = slow_matrix(text, source, target, layer, normalisation, cap)
        assert torch.allclose(alignment.matrix, expected, atol=1e-9)
        assert alignment.orthogonality_gap < 1e-12


@given(st.integers(0, 1000), st.sampled_from(["none", "unit"]))
@settings(max_examples=10)
def test_a_planted_rotation_is_recovered_in_every_layer(seed, normalisation):
    turn = rotation(seed)
    options = EVERYTHING.model_copy(update={"normalisation": normalisation})
    for alignment in fit(text_of(seed, sentences=20), Table(), Table(turn=turn), options):
        assert torch.allclose(alignment.matrix, turn, atol=1e-6)  # vectors are float32


@pytest.mark.parametrize("normalisation", ["centre", "unit_centre_unit"])
def test_centres_and_scales_are_those_of_the_anchors(normalisation):
    source, target = Table(), Table(turn=rotation(1), shift=1.0)
    options = EVERYTHING.model_copy(update={"normalisation": normalisation})
    for layer, alignment in enumerate(fit(text_of(1), source, target, options)):
        one, other = anchors_of("gl", source)[layer], anchors_of("es", target, letter="t")[layer]
        assert alignment.scale == pytest.approx(1 / one.mean_norm)
        assert alignment.target_scale == pytest.approx(1 / other.mean_norm)
        assert torch.equal(alignment.source_centre, normalise(one, normalisation).centre)
        assert torch.allclose(alignment.target_centre, normalise(other, normalisation).centre / other.mean_norm)


def test_a_shift_is_undone_by_centring():
    source, target = Table(), Table(turn=rotation(1), shift=2.0)
    options = EVERYTHING.model_copy(update={"normalisation": "centre", "scale": "none"})
    (alignment, _) = fit(text_of(1, sentences=30), source, target, options)
    vectors = torch.stack([source.vector("w3", place, 0) for place in range(5)])
    expected = torch.stack([target.vector("t3", place, 0) for place in range(5)])
    assert torch.allclose(alignment.apply(vectors), expected, atol=1e-5)


def test_the_alignment_says_how_it_was_found():
    text = [*text_of(1, sentences=20), pair_of([1, 2], links=())]
    alignments = fit(text, Table(), Table(turn=rotation(1)), EVERYTHING.model_copy(update={"max_per_type": 2}))
    assert [alignment.layer for alignment in alignments] == [0, 1]
    alignment = alignments[1]
    pairs = sum(len(pair.links) for pair in text)
    assert (alignment.source, alignment.target, alignment.method) == ("gl", "es", "parallel")
    assert alignment.details == {
        "normalisation": "unit",
        "scale": "mean_norm",
        "sentences": 21,
        "linked_sentences": 20,
        "usable_pairs": pairs,
        "kept_share": pytest.approx(pairs / (pairs + 2)),
        "pair_weight": pytest.approx(2 * 9),  # nine types, each seen more than twice
        "max_per_type": 2,
        "min_confidence": 0.0,
        "determined_directions": WIDTH,
    }


def test_sentences_without_links_are_not_encoded():
    source, target = Table(), Table()
    fit([*text_of(1), pair_of([1], links=()), *text_of(2)], source, target)
    assert sum(source.batches) == sum(target.batches) == 24


def test_progress_counts_sentences_and_pairs():
    seen = []
    text = text_of(1)
    options = EVERYTHING.model_copy(update={"batch_words": 10})
    fit(text, Table(), Table(), options, progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (12, sum(len(pair.links) for pair in text))
    assert len(seen) > 2
    assert seen == sorted(seen)


def test_max_sentences_stops():
    alignments = fit(text_of(1, sentences=20), Table(), Table(), EVERYTHING.model_copy(update={"max_sentences": 11}))
    assert alignments[0].details["sentences"] == 11


# Which pairs count


def test_links_are_found_where_none_are_given():
    told = [SentencePair(one, other) for one, other, _ in parallel_sentences("qal", "qel", 200, 1)]
    linked = link_words(told, settings=ParallelSettings(skip_punctuation=False))
    forms = [pair.forms for pair in told]
    assert [pair.links for pair in linked] == WordAligner.fit(forms).align(forms)
    sure = link_words(told, settings=ParallelSettings(skip_punctuation=False, min_confidence=0.9))
    assert [pair.links for pair in sure] == WordAligner.fit(forms).align(forms, min_confidence=0.9)
    assert sure != linked


def test_an_aligner_from_elsewhere_overrules_given_links():
    aligner = WordAligner.fit([(["w1", "w2"], ["t2", "t1"]), (["w1"], ["t1"]), (["w2"], ["t2"])] * 3)
    source, target = Sentence.of_forms(["w1", "w2"]), Sentence.of_forms(["t2", "t1"])
    (linked,) = link_words([SentencePair(source, target, ((0, 0),))], settings=EVERYTHING, aligner=aligner)
    assert linked.links == ((0, 1), (1, 0))


def test_punctuation_is_left_out():
    one, other = Sentence.of_forms(["3", ",", "sí", "!"]), Sentence.of_forms(["3", "sí", ".", "?"])
    pair = SentencePair(one, other, ((0, 0), (1, 2), (2, 1), (3, 3)))
    assert link_words([pair], settings=ParallelSettings())[0].links == ((0, 0), (2, 1))
    assert link_words([pair], settings=EVERYTHING)[0].links == pair.links


def test_frequent_types_of_either_side_are_weighed_down():
    pairs = [
        SentencePair(Sentence.of_forms(["The", "the", "a"]), Sentence.of_forms(["El", "la", "el"]),
                     ((0, 0), (1, 1), (2, 2))),
        SentencePair(Sentence.of_forms(["the"]), Sentence.of_forms(["los"]), ((0, 0),)),
    ]  # fmt: skip
    # the: 3 times, el: 2 times, all others once.
    assert type_weights(pairs, max_per_type=1).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 2, 1 / 3])
    assert type_weights(pairs, max_per_type=2).tolist() == pytest.approx([2 / 3, 2 / 3, 1, 2 / 3])
    assert type_weights(pairs, max_per_type=None).tolist() == [1, 1, 1, 1]


def test_no_type_weighs_more_than_its_cap():
    text = text_of(5, sentences=60)
    weights = type_weights(text, max_per_type=4)
    words = [pair.source.forms[i] for pair in text for i, _ in pair.links]
    for word in set(words):
        assert sum(weight for other, weight in zip(words, weights.tolist(), strict=True) if other == word) <= 4 + 1e-9


# The dictionary


def test_the_dictionary_worked_by_hand():
    def pair(one: str, other: str, times: int) -> list[SentencePair]:
        return [SentencePair(Sentence.of_forms([one]), Sentence.of_forms([other]), ((0, 0),))] * times

    linked = (
        pair("The", "el", 4) + pair("the", "la", 3) + pair("sea", "mar", 3) + pair("sea", "la", 2) + pair("a", "un", 1)
    )
    found = dictionary_from_links(linked, source="en", target="es", min_dice=0.5)
    # Dice: the-el 8/11, the-la 6/12, sea-mar 6/8, sea-la 4/10; a-un once only.
    assert (found.source, found.target) == ("en", "es")
    assert found.pairs == (("the", "el"), ("the", "la"), ("sea", "mar"))
    everything = dictionary_from_links(linked, source="en", target="es", min_count=1, min_dice=0.0)
    assert everything.pairs == (("the", "el"), ("the", "la"), ("sea", "mar"), ("sea", "la"), ("a", "un"))
    first = dictionary_from_links(linked, source="en", target="es", min_count=1, min_dice=0.0, per_word=1)
    assert first.pairs == (("the", "el"), ("sea", "mar"), ("a", "un"))
    cased = dictionary_from_links(linked, source="en", target="es", min_dice=0.0, lowercase=False)
    assert cased.pairs[:3] == (("sea", "mar"), ("sea", "la"), ("The", "el"))


def test_the_dictionary_of_the_invented_family_is_true():
    told = list(parallel_sentences("qal", "qel", 500, 1))
    true = {(one.forms[i].lower(), other.forms[j].lower()) for one, other, links in told for i, j in links}
    linked = link_words([SentencePair(one, other) for one, other, _ in told], settings=ParallelSettings())
    found = dictionary_from_links(linked, source="qal", target="qel", min_count=3, min_dice=0.5)
    assert len(found) > 100
    assert sum(pair in true for pair in found.pairs) / len(found) > 0.9


# What is refused


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (9, r"Alignment gl→es has 9 word pairs in 3 parallel sentences; at least 10 are needed\. Add sentences"),
        (12, r"Alignment gl→es has 12 word pairs in 4 parallel sentences; width 16 needs at least 16\..*\"complete\""),
    ],
)
def test_too_few_pairs_are_refused(count, message):
    encoder = Table(width=16)
    with pytest.raises(AlignmentError, match=message):
        fit([pair_of([1, 2, 3])] * (count // 3), encoder, encoder)


def test_too_few_pairs_are_completed_when_asked_for(caplog):
    encoder = Table(width=16)
    options = EVERYTHING.model_copy(update={"too_few_pairs": "complete"})
    with caplog.at_level(logging.WARNING):
        alignment = fit([pair_of([1, 2, 3])] * 4, encoder, encoder, options)[0]
    assert alignment.details["determined_directions"] == 3
    assert torch.allclose(alignment.matrix, torch.eye(16, dtype=torch.float64), atol=1e-8)
    assert "layer 0: 12 pairs determine 3 of 16 directions" in caplog.text


def test_encoders_and_anchors_must_fit():
    narrow = Table(width=3)
    with pytest.raises(AlignmentError, match="encoders have 2 and 2 layers of width 4 and 3"):
        fit(text_of(1), Table(), narrow, target_anchors=anchors_of("es", narrow))
    with pytest.raises(AlignmentError, match=r"anchors of es have \(layer, width\) \[\(0, 4\)\], but the encoder"):
        fit(text_of(1), Table(), Table(), target_anchors=anchors_of("es", Table(), letter="t")[:1])


def test_a_vector_that_is_not_finite_is_refused_by_its_word():
    class Broken(Table):
        def vector(self, word: str, place: int, layer: int) -> torch.Tensor:
            return super().vector(word, place, layer) * (float("nan") if word == "t3" else 1)

    with pytest.raises(AlignmentError, match="Alignment gl→es: the encoder's vector of 't3' is not finite"):
        fit([pair_of([1, 2, 3, 4])] * 4, Table(), Broken(), target_anchors=anchors_of("es", Table(), letter="t"))

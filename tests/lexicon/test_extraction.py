"""One pass over a text gives its anchors, however it is cut and ordered."""

import importlib
import operator
import sys
import zlib
from collections.abc import Sequence
from functools import partial, reduce

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.compute.interruption import stop_requested
from isogloss.compute.randomness import numpy_generator, seeded_torch
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import SIZES
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import TextError, TrainingError, VectorsError
from isogloss.lexicon.anchor_files import Share
from isogloss.lexicon.anchors import AnchorSums
from isogloss.lexicon.extraction import (
    anchors_of_sums,
    extract_anchors,
    frequent_types,
    gather_occurrences,
    sum_anchors,
    sum_anchors_in_processes,
    with_layer_0,
)
from isogloss.lexicon.settings import AnchorSettings
from isogloss.shapes import mask_of_lengths


class InventedEncoder:
    """Vectors that depend on the word, and in layer 1 on the word before it too."""

    layers, width = 2, 4

    def __init__(self):
        self.batches: list[tuple[int, int]] = []

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        self.batches.append((mask.shape[0], mask.shape[1]))
        vectors = torch.full((*mask.shape, self.layers, self.width), 1e9)  # padding must never be summed
        for row, sentence in enumerate(sentences):
            vectors[row, : len(sentence)] = torch.stack(self.vectors_of(sentence))
        return ContextualEmbeddings(vectors=vectors, mask=mask)

    def vectors_of(self, sentence: Sentence) -> list[torch.Tensor]:
        codes = [zlib.crc32(form.encode()) % 1000 / 100 for form in sentence.forms]
        return [
            torch.tensor([[code, code + 1, 2, 3], [code, before, code - before, 1]])
            for code, before in zip(codes, [0.0, *codes], strict=False)
        ]


def sentences_of(*texts: str) -> list[Sentence]:
    return [Sentence.of_forms(text.split(), language="es") for text in texts]


TEXT = sentences_of("la casa", "el perro ve la casa", "", "la", "ve el perro", "la casa ve")
texts = st.lists(st.text("abcdefg ", max_size=14), min_size=1, max_size=10)


def test_anchors_agree_with_a_loop_over_words():
    encoder = InventedEncoder()
    vectors_by_word: dict[str, list[torch.Tensor]] = {}
    for sentence in TEXT:
        for form, vector in zip(sentence.forms, encoder.vectors_of(sentence) if len(sentence) else [], strict=True):
            vectors_by_word.setdefault(form, []).append(vector)
    for anchors in extract_anchors(encoder, iter(TEXT), language="es", settings=AnchorSettings(min_count=2)):
        assert anchors.words == ("la", "casa", "ve", "el", "perro")
        for word, vector, count in zip(anchors.words, anchors.vectors, anchors.counts, strict=True):
            own = torch.stack(vectors_by_word[word])[:, anchors.layer]
            assert count == len(own)
            assert torch.allclose(vector, own.mean(dim=0), atol=1e-6)


@given(texts, st.integers(1, 40), st.randoms())
@settings(deadline=None, max_examples=40)
def test_neither_batches_nor_order_show_in_the_result(texts, batch_words, random):
    sentences = sentences_of(*texts)
    shuffled = random.sample(sentences, len(sentences))
    one = sum_anchors(InventedEncoder(), sentences)
    two = sum_anchors(InventedEncoder(), shuffled, settings=AnchorSettings(batch_words=batch_words))
    assert one.words == two.words
    assert torch.equal(one.counts, two.counts)
    assert torch.allclose(one.totals, two.totals, atol=1e-6)


@given(texts, st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_a_batch_is_within_its_bound_or_one_sentence(texts, batch_words):
    sentences = sentences_of(*texts)
    encoder = InventedEncoder()
    sum_anchors(encoder, sentences, settings=AnchorSettings(batch_words=batch_words))
    assert all(rows == 1 or rows * words <= batch_words for rows, words in encoder.batches)
    assert sum(rows for rows, _ in encoder.batches) == sum(len(sentence) > 0 for sentence in sentences)


def test_reading_stops_after_max_sentences():
    def endless():
        while True:
            yield from TEXT

    sums = sum_anchors(InventedEncoder(), endless(), settings=AnchorSettings(max_sentences=2))
    assert int(sums.counts.sum()) == 7


def test_only_the_most_frequent_types_get_an_anchor():
    settings = AnchorSettings(min_count=1, max_types=2)
    assert extract_anchors(InventedEncoder(), TEXT, language="es", settings=settings)[0].words == (
        "la",
        "casa",
    )


def test_only_wanted_words_get_an_anchor():
    anchors = extract_anchors(
        InventedEncoder(), TEXT, language="es", settings=AnchorSettings(min_count=1), words=["perro", "gato"]
    )
    assert anchors[0].words == ("perro",)


def test_progress_ends_with_the_whole_text():
    seen = []
    sum_anchors(
        InventedEncoder(),
        TEXT,
        settings=AnchorSettings(batch_words=5),
        progress=lambda sentences, words: seen.append((sentences, words)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (5, 14)


def test_a_text_without_frequent_words_is_refused():
    with pytest.raises(TextError, match=r"Text of es: 14 words of 5 types, but no type occurs 5 times"):
        extract_anchors(InventedEncoder(), TEXT, language="es")


def test_an_encoder_that_diverged_is_named():
    class Diverged(InventedEncoder):
        def vectors_of(self, sentence: Sentence) -> list[torch.Tensor]:
            return [vector * float("nan") for vector in super().vectors_of(sentence)]

    with pytest.raises(VectorsError, match=r"Layer 0: the encoder's vector of 'la' is not finite"):
        sum_anchors(Diverged(), TEXT)


@given(texts, st.integers(1, 3), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_counting_first_gives_the_same_anchors(texts, min_count, max_types):
    sentences = sentences_of(*texts)
    chosen = AnchorSettings(min_count=min_count, max_types=max_types)
    try:
        words = frequent_types(sentences, language="es", settings=chosen)
    except TextError as error:
        with pytest.raises(TextError) as same:
            extract_anchors(InventedEncoder(), sentences, language="es", settings=chosen)
        assert str(same.value) == str(error)
        return
    counted = extract_anchors(InventedEncoder(), sentences, language="es", settings=chosen, words=words)
    for one, other in zip(
        counted, extract_anchors(InventedEncoder(), sentences, language="es", settings=chosen), strict=True
    ):
        assert one.words == other.words == words
        assert torch.equal(one.vectors, other.vectors)
        assert torch.equal(one.counts, other.counts)
        assert one.mean_norm == pytest.approx(other.mean_norm)


def same(one: AnchorSums, other: AnchorSums, *, tolerance: float) -> bool:
    names = ("totals", "type_norms", "squared_norms", "norms")
    return (
        (one.words, one.tokens) == (other.words, other.tokens)
        and torch.equal(one.counts, other.counts)
        and all(
            torch.allclose(getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance) for name in names
        )
    )


@given(texts, st.integers(1, 40), st.integers(1, 5), st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_shares_of_a_text_add_up_to_the_whole(texts, batch_words, parts, max_sentences):
    sentences = sentences_of(*texts)
    chosen = AnchorSettings(batch_words=batch_words, max_sentences=max_sentences)
    whole, encoder = InventedEncoder(), InventedEncoder()
    expected = sum_anchors(whole, sentences, settings=chosen)
    shares = [
        sum_anchors(encoder, sentences, settings=chosen, share=Share(number, parts)) for number in range(1, parts + 1)
    ]
    # Float64 keeps 16 digits; some dozen numbers below 100 are added.
    assert same(reduce(operator.add, shares), expected, tolerance=1e-12)
    assert sorted(encoder.batches) == sorted(whole.batches), "the same batches, dealt out"


@given(texts, st.integers(1, 4), st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_processes_of_several_machines_share_a_text(texts, machines, processes):
    """The number of a share within a share is what every process of every machine works on."""
    sentences = sentences_of(*texts)
    chosen = AnchorSettings(batch_words=6)
    parts = [
        Share(machine + process * machines, machines * processes)
        for machine in range(1, machines + 1)
        for process in range(processes)
    ]
    shares = [sum_anchors(InventedEncoder(), sentences, settings=chosen, share=part) for part in parts]
    assert same(
        reduce(operator.add, shares), sum_anchors(InventedEncoder(), sentences, settings=chosen), tolerance=1e-12
    )


@pytest.fixture(scope="module")
def language_model() -> ELMoEncoder:
    """A language model of the small size, untrained."""
    vocabulary = Vocabulary.count([["la", "casa", "el", "perro"]])
    shape = SIZES["small"].model_copy(update={"word_types": len(vocabulary)})
    with seeded_torch(1, "a language model"):
        model = BiLM(shape, types=len(vocabulary), predicts=False)
    return ELMoEncoder(model, settings=shape, vocabulary=vocabulary, language="es")


@pytest.mark.parametrize("parts", [2, 3])
def test_shares_read_by_a_language_model_add_up_to_the_whole(language_model, parts):
    """A worker meets a word first in another batch than one who reads all, and beside other new words."""
    generator = numpy_generator(1, "text")
    words = ["".join(generator.choice(list("abcdeéß"), size=1 + int(generator.exponential(6)))) for _ in range(1500)]
    frequency = 1 / np.arange(1, len(words) + 1)
    drawn = generator.choice(len(words), size=6000, p=frequency / frequency.sum())
    ends = np.cumsum(generator.integers(1, 30, size=300))
    text = sentences_of(*(" ".join(words[place] for place in some) for some in np.split(drawn, ends)))

    def fresh() -> ELMoEncoder:
        encoder = language_model
        return ELMoEncoder(encoder.model, settings=encoder.settings, vocabulary=encoder.vocabulary, language="es")

    chosen = AnchorSettings(batch_words=512)
    whole = sum_anchors(fresh(), text, settings=chosen)
    shares = [sum_anchors(fresh(), text, settings=chosen, share=Share(number, parts)) for number in range(1, parts + 1)]
    # Vectors are equal to the bit, so only the order of adding in float64 is left.
    assert same(reduce(operator.add, shares), whole, tolerance=1e-12)


WORK = '''
"""An encoder and a text that other processes find by name."""

import os
import time
import zlib
from pathlib import Path

import torch

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import VectorsError
from isogloss.shapes import mask_of_lengths


class Encoder:
    layers, width = 2, 3

    def encode(self, sentences):
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, 2, 3)
        for row, sentence in enumerate(sentences):
            for column, form in enumerate(sentence.forms):
                code = zlib.crc32(form.encode()) % 997 / 7 + column / 3
                vectors[row, column] = torch.tensor([[code, 1, column], [code / 3, code, 2]])
        return ContextualEmbeddings(vectors=vectors, mask=mask)


class Dying(Encoder):
    def encode(self, sentences):
        os._exit(9)


class Refusing(Encoder):
    def encode(self, sentences):
        raise VectorsError("Layer 0: it diverged.")


class Slow(Encoder):
    def __init__(self, folder):
        self.folder = Path(folder)

    def encode(self, sentences):
        (self.folder / f"reading-{os.getpid()}").touch()
        time.sleep(0.05)
        return super().encode(sentences)


def read(number):
    for place in range(number):
        forms = [f"w{(place * step) % 23}" for step in range(1, 2 + place % 7)]
        yield Sentence.of_forms(forms, language="es")
'''


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "invented_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "invented_work", raising=False)
    return importlib.import_module("invented_work")


@pytest.mark.parametrize("processes", [1, 2])
def test_the_number_of_processes_does_not_show(work, tmp_path, processes):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen: list[tuple[int, int]] = []
    chosen = AnchorSettings(batch_words=16, max_sentences=90)
    found = sum_anchors_in_processes(
        work.Encoder,
        partial(work.read, 100),
        language="es",
        processes=processes,
        scratch=scratch,
        settings=chosen,
        words=[f"w{number}" for number in range(20)],
        progress=lambda sentences, words: seen.append((sentences, words)),
    )
    expected = sum_anchors(
        work.Encoder(), work.read(100), settings=chosen, words=[f"w{number}" for number in range(20)]
    )
    assert same(found, expected, tolerance=1e-12)
    assert seen == sorted(seen) and seen[-1] == (90, expected.tokens)
    assert list(scratch.iterdir()) == [], "nothing is left behind"


def test_processes_do_a_share_of_a_text_together(work, tmp_path):
    chosen = AnchorSettings(batch_words=16)
    second = sum_anchors_in_processes(
        work.Encoder,
        partial(work.read, 60),
        language="es",
        processes=2,
        scratch=tmp_path,
        settings=chosen,
        share=Share(2, 2),
    )
    first = sum_anchors(work.Encoder(), work.read(60), settings=chosen, share=Share(1, 2))
    assert first.tokens > 0 and second.tokens > 0
    assert same(first + second, sum_anchors(work.Encoder(), work.read(60), settings=chosen), tolerance=1e-12)


def test_an_error_in_a_process_reaches_the_caller_and_leaves_nothing(work, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(VectorsError, match=r"^Layer 0: it diverged\.$"):
        sum_anchors_in_processes(work.Refusing, partial(work.read, 9), language="es", processes=2, scratch=scratch)
    assert list(scratch.iterdir()) == []


def test_a_killed_process_is_told(work, tmp_path):
    with pytest.raises(TrainingError, match=r"^Anchors of es: one of 2 processes was killed.* Take fewer processes"):
        sum_anchors_in_processes(work.Dying, partial(work.read, 9), language="es", processes=2, scratch=tmp_path)


def test_asking_to_stop_ends_all_processes_between_two_batches(work, tmp_path):
    asked = []

    def ask(sentences: int, words: int) -> None:
        asked.append(sentences)
        stop_requested.ask()

    with pytest.raises(KeyboardInterrupt):
        sum_anchors_in_processes(
            partial(work.Slow, tmp_path),
            partial(work.read, 100_000),
            language="es",
            processes=2,
            scratch=tmp_path,
            settings=AnchorSettings(batch_words=8),
            progress=ask,
        )
    assert asked and asked[-1] < 100_000
    assert not stop_requested(), "the flag is down for what comes next"
    assert not list(tmp_path.glob(".sums-*"))


def test_one_process_stops_between_two_batches_too():
    def ask(sentences: int, words: int) -> None:
        stop_requested.ask()

    encoder = InventedEncoder()
    try:
        with pytest.raises(KeyboardInterrupt):
            sum_anchors(encoder, TEXT, settings=AnchorSettings(batch_words=1), progress=ask)
    finally:
        stop_requested.clear()
    assert len(encoder.batches) == 1


def test_anchors_of_merged_sums_are_those_of_the_whole_text():
    chosen = AnchorSettings(min_count=2, batch_words=4)
    sums = [sum_anchors(InventedEncoder(), TEXT, settings=chosen, share=Share(number, 2)) for number in (1, 2)]
    merged = anchors_of_sums(sums[1] + sums[0], language="es", settings=chosen)
    whole = extract_anchors(InventedEncoder(), TEXT, language="es", settings=chosen)
    for one, other in zip(merged, whole, strict=True):
        assert (one.words, one.layer, one.counts.tolist()) == (other.words, other.layer, other.counts.tolist())
        assert torch.allclose(one.vectors, other.vectors, rtol=1e-6)  # stored in float32
    with pytest.raises(TextError, match=r"Text of es: 14 words of 5 types, but no type occurs 9 times"):
        anchors_of_sums(sums[0] + sums[1], language="es", settings=AnchorSettings(min_count=9))


@given(texts, st.integers(0, 1), st.integers(0, 4), st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_occurrences_are_the_first_of_the_text_in_order(texts, layer, limit, batch_words):
    sentences, words = sentences_of(*texts), ["b", "a", "ab", "x"]
    found = gather_occurrences(InventedEncoder(), sentences, words, layer=layer, limit=limit, batch_words=batch_words)
    assert list(found) == words
    for word in words:
        expected = [
            vectors[layer].tolist()
            for sentence in sentences
            if len(sentence)
            for form, vectors in zip(sentence.forms, InventedEncoder().vectors_of(sentence), strict=True)
            if form == word
        ][:limit]
        assert found[word].shape == (len(expected), 4)
        assert found[word].dtype == torch.float32
        assert found[word].tolist() == expected


def test_gathering_stops_when_every_word_was_seen_often_enough():
    read = []

    def endless():
        while True:
            for sentence in TEXT:
                read.append(sentence)
                yield sentence

    encoder = InventedEncoder()
    found = gather_occurrences(encoder, endless(), ["ve", "la"], layer=1, limit=3)
    assert {word: len(vectors) for word, vectors in found.items()} == {"ve": 3, "la": 3}
    assert len(read) == 6, "ve for the third time"
    assert encoder.batches == [(5, 5)], "only sentences with words that were missing are encoded"


@given(texts, st.integers(1, 30))
@settings(deadline=None, max_examples=40)
def test_a_batch_of_gathered_sentences_is_within_its_bound_or_one_sentence(texts, batch_words):
    encoder = InventedEncoder()
    gather_occurrences(encoder, sentences_of(*texts), ["a", "b"], layer=0, limit=99, batch_words=batch_words)
    assert all(rows == 1 or rows * words <= batch_words for rows, words in encoder.batches)


def test_layer_0_is_told_by_the_encoder_alone():
    text = [Sentence.of_forms(list(words), language="xx") for words in ("abcab", "ba", "cadd")]
    gathered = extract_anchors(InventedEncoder(), text, language="xx", settings=AnchorSettings(min_count=1))
    whole = with_layer_0(gathered[1:], InventedEncoder())
    for ours, theirs in zip(whole, gathered, strict=True):
        assert (ours.language, ours.layer, ours.words) == (theirs.language, theirs.layer, theirs.words)
        assert torch.equal(ours.counts, theirs.counts)
        torch.testing.assert_close(ours.vectors, theirs.vectors)
        assert ours.mean_norm == pytest.approx(theirs.mean_norm)
    assert with_layer_0(whole, InventedEncoder()) == whole, "nothing is missing"

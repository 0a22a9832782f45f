"""One pass over a text gives its anchors, however it is cut and ordered."""

import zlib
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import TextError, VectorsError
from isogloss.lexicon.extraction import extract_anchors, frequent_types, sum_anchors
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

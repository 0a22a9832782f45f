"""Vectors that were stored are those that the encoder gives."""

import json

import numpy as np
import pytest
import torch

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.stored import SENTENCES, VECTORS, StoredEncoder, store_vectors
from isogloss.errors import ArtifactError, DataError

LAYERS, WIDTH = 3, 4


def sentence(*forms: str) -> Sentence:
    return Sentence.of_forms(forms, language="xx")


TEXT = [sentence("a", "b"), sentence("b"), sentence("ж", "a", "a"), sentence("ab"), sentence("a", "b")]


class Counting:
    """Numbers every sentence that it is asked for."""

    def __init__(self) -> None:
        self.seen: list[Sentence] = []

    def iterate(self, sentences):
        for one in sentences:
            self.seen.append(one)
            first = 10.0 * len(self.seen)
            yield first + torch.arange(len(one) * LAYERS * WIDTH, dtype=torch.float32).view(len(one), LAYERS, WIDTH) / 8


@pytest.fixture
def stored(tmp_path):
    encoder = Counting()
    words = store_vectors(tmp_path, encoder, [*TEXT, sentence()], shape=(LAYERS, WIDTH))
    return encoder, words, tmp_path


def test_a_sentence_has_the_vectors_that_the_encoder_gave_it(stored):
    encoder, _, folder = stored
    loaded = StoredEncoder.load(folder)
    assert (loaded.layers, loaded.width) == (LAYERS, WIDTH)
    wanted = [TEXT[2], TEXT[1], TEXT[0]]
    found = loaded.encode(wanted)
    assert found.mask.tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    for row, one in enumerate(wanted):
        expected = next(
            vectors
            for other, vectors in zip(encoder.seen, Counting().iterate(encoder.seen), strict=True)
            if other == one
        )
        assert torch.equal(found.vectors[row, : len(one)], expected)
        assert not found.vectors[row, len(one) :].any()


def test_equal_sentences_are_encoded_once_and_empty_ones_never(stored):
    encoder, words, _ = stored
    assert encoder.seen == TEXT[:4]
    assert words == 2 + 1 + 3 + 1


def test_words_are_told_apart_by_where_they_end(stored):
    loaded = StoredEncoder.load(stored[2])
    assert not torch.equal(loaded.encode([TEXT[3]]).vectors[0, 0], loaded.encode([TEXT[0]]).vectors[0, 0])


def test_what_comes_out_may_be_changed(stored):
    loaded = StoredEncoder.load(stored[2])
    first = loaded.encode(TEXT[:1]).vectors
    before = first.clone()
    first.zero_()
    assert torch.equal(loaded.encode(TEXT[:1]).vectors, before)


def test_an_unknown_sentence_is_refused(stored):
    with pytest.raises(DataError, match=r"no vectors of the sentence 'b a' \(2 words\)\. Expected one of the 4 "):
        StoredEncoder.load(stored[2]).encode([sentence("b", "a")])


@pytest.mark.parametrize("damage", ["missing", "cut", "objects", "other numbers", "no json"])
def test_a_damaged_folder_is_refused(damage, stored):
    folder = stored[2]
    match damage:
        case "missing":
            (folder / VECTORS).unlink()
        case "cut":
            (folder / VECTORS).write_bytes((folder / VECTORS).read_bytes()[:-10])
        case "objects":
            np.save(folder / VECTORS, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        case "other numbers":
            np.save(folder / VECTORS, np.zeros((7, LAYERS, WIDTH)))
        case "no json":
            (folder / SENTENCES).write_text(json.dumps([1]))
    with pytest.raises(ArtifactError, match="not readable as stored vectors"):
        StoredEncoder.load(folder)

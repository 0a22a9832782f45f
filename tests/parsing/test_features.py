"""What the parser sees: cut out of one long row of words without mixing sentences up."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.sentence import Sentence
from isogloss.parsing.features import extract_features, work_units
from isogloss.parsing.tags import TAG_IDS, UNIVERSAL_TAGS, UNKNOWN_TAG


@pytest.mark.parametrize(
    ("layer", "chosen"),
    [
        (0, slice(0, 1)),
        (1, slice(1, 2)),
        ("mix", slice(None)),
        ("all", slice(None)),
        ("contextual", slice(1, None)),
    ],
)
def test_a_batch_holds_what_the_encoder_says(by_heart, toy_treebank, tiny_settings, layer, chosen):
    sentences, encoder = toy_treebank(30, seed=0).sentences, by_heart()
    features = extract_features(sentences, encoder, settings=tiny_settings(layer=layer, encode_words=50))
    indices = [7, 0, 29, 13]
    batch = features.batch(indices)
    expected = encoder.encode([sentences[index] for index in indices]).vectors[:, :, chosen]
    assert torch.equal(batch.vectors, expected)
    assert batch.lengths.tolist() == [len(sentences[index]) for index in indices]
    assert batch.upos[1, 0] == TAG_IDS[sentences[0].words[0].upos]


def test_there_are_17_universal_tags():
    assert len(set(UNIVERSAL_TAGS)) == 17


@pytest.mark.parametrize(
    ("old", "new"), [(".", "PUNCT"), ("CONJ", "CCONJ"), ("PRT", "PART"), ("_", None), ("NN", None)]
)
def test_older_tags_are_understood_and_others_unknown(old, new):
    assert TAG_IDS.get(old, UNKNOWN_TAG) == (UNKNOWN_TAG if new is None else TAG_IDS[new])


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 40)), max_size=30),
    st.integers(1, 100),
)
@settings(max_examples=50, deadline=None)
def test_work_units_hold_every_sentence_once_and_one_language(shapes, words):
    sentences = [Sentence.of_forms(["x"] * length, language=language) for language, length in shapes]
    units = work_units(sentences, words=words)
    assert sorted(index for unit in units for index in unit) == list(range(len(sentences)))
    for unit in units:
        assert len({sentences[index].language for index in unit}) == 1
        assert len(unit) == 1 or len(unit) * max(len(sentences[index]) for index in unit) <= words


def test_vectors_kept_in_half_the_memory_are_nearly_the_same_in_batches(by_heart, toy_treebank, tiny_settings):
    sentences, encoder = toy_treebank(20, seed=1).sentences, by_heart()
    exact, halved = (
        extract_features(sentences, encoder, settings=tiny_settings(), kept_as=kind)
        for kind in (torch.float32, torch.float16)
    )
    assert halved.vectors.nbytes * 2 == exact.vectors.nbytes
    expected, found = exact.batch([3, 11]).vectors, halved.batch([3, 11]).vectors
    assert found.dtype == torch.float32
    # float16 keeps 11 bits; its smallest steps are 2⁻²⁴.
    torch.testing.assert_close(found, expected, rtol=2**-11, atol=2**-25)

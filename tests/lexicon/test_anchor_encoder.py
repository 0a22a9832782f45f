"""Anchors serve as an encoder without context."""

import torch

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.lexicon.anchor_encoder import AnchorEncoder
from isogloss.lexicon.anchors import Anchors

LAYERS = [
    Anchors.of_vectors(
        ["Haus", "der"], torch.tensor([[1.0, 2.0], [3.0, 6.0]]) * (layer + 1), language="de", layer=layer
    )
    for layer in range(2)
]


def test_anchors_are_an_encoder():
    encoder = AnchorEncoder(LAYERS)
    assert isinstance(encoder, Encoder)
    assert (encoder.layers, encoder.width) == (2, 2)


def test_every_word_gets_its_anchor_and_unknown_words_the_mean():
    sentences = [
        Sentence.of_forms(["der", "haus"]),
        Sentence.of_forms(["x", "Der", "Haus"]),
        Sentence.of_forms([]),
    ]
    embeddings = AnchorEncoder(LAYERS).encode(sentences)
    assert embeddings.mask.tolist() == [[True, True, False], [True, True, True], [False, False, False]]
    assert embeddings.layer(0).tolist() == [
        [[3, 6], [1, 2], [0, 0]],
        [[2, 4], [3, 6], [1, 2]],
        [[0, 0], [0, 0], [0, 0]],
    ]
    assert torch.equal(embeddings.layer(1), 2 * embeddings.layer(0))


def test_no_sentences_give_no_vectors():
    assert AnchorEncoder(LAYERS).encode([]).vectors.shape == (0, 0, 2, 2)

"""The character network against its equations, word by word and window by window in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.characters import character_ids
from isogloss.encoders.elmo.character_cnn import CharacterCNN, Highway

FILTERS = ((1, 3), (2, 4), (5, 2), (7, 3))


def make(filters=FILTERS, highways: int = 2) -> CharacterCNN:
    torch.manual_seed(0)
    network = CharacterCNN(character_width=4, filters=filters, highways=highways, width=6).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return network


NETWORK = make()


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def affine(layer: torch.nn.Linear, vector: np.ndarray) -> np.ndarray:
    return array(layer.weight) @ vector + array(layer.bias)


def slow(network: CharacterCNN, word: str) -> np.ndarray:
    """The equations of the module's docstring, for one word, over all fifty places."""
    characters = array(network.embedding.weight)[character_ids([word])[0]]  # 50 4
    features = []
    for span, convolution in zip(network.spans, network.convolutions, strict=True):
        places = range(50 - span + 1)
        answers = [affine(convolution, characters[place : place + span].reshape(-1)) for place in places]
        features.append(np.maximum(np.max(answers, axis=0), 0.0))
    h = np.concatenate(features)
    for highway in network.highways:
        carry = 1.0 / (1.0 + np.exp(-affine(highway.carry, h)))
        h = carry * h + (1.0 - carry) * np.maximum(affine(highway.transform, h), 0.0)
    return affine(network.projection, h)


def run(network: CharacterCNN, words: list[str]) -> np.ndarray:
    return array(network(torch.from_numpy(character_ids(words))))


@pytest.mark.parametrize("word", ["", "a", "pez", "ñandú", "x" * 41, "x" * 43, "x" * 47, "y" * 48, "z" * 99, "<S>"])
def test_agrees_with_the_equations_written_out(word):
    np.testing.assert_allclose(run(NETWORK, [word])[0], slow(NETWORK, word), rtol=1e-10)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
@settings(max_examples=40)
def test_agrees_with_the_equations_for_any_words_side_by_side(words):
    expected = np.stack([slow(NETWORK, word) for word in words])
    np.testing.assert_allclose(run(NETWORK, words), expected, rtol=1e-9)


def test_a_word_does_not_depend_on_the_words_beside_it():
    words = ["a", "pez", "x" * 20, "y" * 48]
    together = run(NETWORK, words)
    for word, vector in zip(words, together, strict=True):
        np.testing.assert_allclose(run(NETWORK, [word])[0], vector, rtol=1e-10)


def test_a_tiny_network_gives_what_was_worked_out_by_hand():
    network = CharacterCNN(character_width=1, filters=((2, 1),), highways=0, width=1)
    with torch.no_grad():
        network.embedding.weight.zero_()
        network.embedding.weight[98] = 3.0  # a
        network.embedding.weight[99] = 5.0  # b
        network.convolutions[0].weight.copy_(torch.tensor([[1.0, -2.0]]))
        network.convolutions[0].bias.fill_(0.5)
        network.projection.weight.fill_(10.0)
        network.projection.bias.fill_(1.0)
    # begin·a: −6, a·b: 3 − 10, b·end: 5; the greatest is 5.5 with its bias.
    assert run(network, ["ab"]).tolist() == [[56.0]]
    # a·a: 3 − 6, a·end: 3
    assert run(network, ["aa"]).tolist() == [[36.0]]


def test_no_word_is_no_vector():
    assert run(NETWORK, []).shape == (0, 6)


def test_a_new_highway_carries_most_of_its_input_through():
    highway = Highway(5)
    inputs = torch.rand(4, 5)
    assert (highway(inputs) - inputs).abs().max() < 0.5
    torch.testing.assert_close(highway.carry.bias, torch.full((5,), 2.0))


def test_the_words_of_the_greatest_length_are_read_to_their_end():
    one, other = run(NETWORK, ["x" * 47 + "a", "x" * 47 + "b"])
    assert np.abs(one - other).max() > 1e-6


def test_gradients_are_those_of_the_equations():
    network = make(filters=((1, 3), (3, 5), (4, 2)))
    ids = torch.from_numpy(character_ids(["a", "aaaa", "ñandú", "banana", "x" * 60, "<S>"]))

    def dense(ids: torch.Tensor) -> torch.Tensor:
        """The same with PyTorch's own gradient, which looks at every window."""
        characters = network.embedding(ids)
        answers = [
            torch.relu(convolution(characters.unfold(1, span, 1).transpose(2, 3).flatten(2)).amax(dim=1))
            for span, convolution in zip(network.spans, network.convolutions, strict=True)
        ]
        features = torch.cat(answers, dim=1)
        for highway in network.highways:
            features = highway(features)
        return network.projection(features)

    weights = list(network.parameters())
    toward = torch.randn(len(ids), 6, dtype=torch.float64)
    expected = torch.autograd.grad((dense(ids) * toward).sum(), weights)
    found = torch.autograd.grad((network(ids) * toward).sum(), weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)

"""Vectors of any size look alike to the parser: each layer is scaled to numbers of size 1."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.parsing.features import Features
from isogloss.parsing.network import ParserNetwork

LENGTHS = torch.tensor([2, 3])


def features(scale: float = 1.0, layers: int = 2) -> Features:
    vectors = torch.randn(5, layers, 4, generator=torch.Generator().manual_seed(3)) * scale
    return Features(vectors, torch.zeros(5, dtype=torch.int64), LENGTHS)


def network(layers: int = 2) -> ParserNetwork:
    torch.manual_seed(5)
    sizes = {"hidden_width": 3, "arc_width": 4, "relation_width": 3, "lstm_layers": 1}
    return ParserNetwork(layers=layers, width=4, tags=0, relations=2, **sizes).eval()


def test_mean_squares_are_those_counted_by_hand():
    vectors = torch.tensor([[[1.0, 1.0], [3.0, 0.0]], [[1.0, -1.0], [0.0, -1.0]]])
    found = Features(vectors, torch.zeros(2, dtype=torch.int64), torch.tensor([2])).mean_squares()
    assert found.tolist() == [1.0, 2.5]


def test_gains_bring_the_numbers_of_each_layer_to_size_1():
    some = features(scale=0.1)
    reader = network()
    reader.scale_to(some.mean_squares())
    scaled = some.vectors * reader.gains[:, None]
    assert torch.allclose(scaled.square().mean(dim=(0, 2)), torch.ones(2))


@given(scale=st.floats(min_value=1e-3, max_value=1e3))
def test_scores_do_not_depend_on_the_size_of_the_vectors(scale):
    scores = []
    for factor in (1.0, scale):
        some = features(scale=factor)
        reader = network()
        reader.scale_to(some.mean_squares())
        with torch.no_grad():
            scores.append(reader.arc_scores(reader(some.batch([0, 1]))))
    assert torch.allclose(scores[0], scores[1], atol=1e-5)  # float32 rounds at seven digits


def test_a_layer_of_zeros_stays_one():
    reader = network()
    reader.scale_to(torch.tensor([0.0, 4.0]))
    assert reader.gains.tolist() == [1.0, 0.5]


def test_gains_are_kept_with_the_weights():
    assert "gains" in network().state_dict()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gain_does_what_multiplying_the_vectors_does(layers):
    reader, some = network(layers), features(layers=layers)
    multiplied = Features(some.vectors * 3, some.upos, some.lengths)
    with torch.no_grad():
        expected = reader.arc_scores(reader(multiplied.batch([0, 1])))
        reader.gains.fill_(3)
        assert reader.arc_scores(reader(some.batch([0, 1]))).equal(expected)

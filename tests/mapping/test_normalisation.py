"""Normalisation: the steps, their order, and the centre that is remembered."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.mapping import normalisation
from isogloss.mapping.normalisation import mean_norm_scale, normalise
from isogloss.mapping.settings import Normalisation


def anchors_of(vectors: list[list[float]]) -> Anchors:
    return Anchors.of_vectors([str(row) for row in range(len(vectors))], torch.tensor(vectors), language="es")


WORKED = anchors_of([[3.0, 4.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("name", "vectors", "centre"),
    [
        ("none", [[3, 4], [0, 2]], None),
        ("unit", [[0.6, 0.8], [0, 1]], None),
        ("centre", [[1.5, 1], [-1.5, -1]], [1.5, 3]),
        # (0.6, 0.8) and (0, 1) have the mean (0.3, 0.9); lengths were 3.5 on average; |(0.3, −0.1)| = √0.1.
        (
            "unit_centre_unit",
            [[0.3 / 0.1**0.5, -0.1 / 0.1**0.5], [-0.3 / 0.1**0.5, 0.1 / 0.1**0.5]],
            [1.05, 3.15],
        ),
    ],
)
def test_a_worked_example(name, vectors, centre):
    normalised = normalise(WORKED, name)
    assert normalised.vectors.tolist() == [pytest.approx(vector, abs=1e-6) for vector in vectors]
    assert (None if normalised.centre is None else normalised.centre.tolist()) == (
        centre if centre is None else pytest.approx(centre, abs=1e-6)
    )


@pytest.mark.parametrize("name", get_args(Normalisation))
def test_some_rows_are_those_of_all(name):
    anchors = anchors_of(torch.randn(7, 3, generator=torch.Generator().manual_seed(1)).tolist())
    some = torch.tensor([5, 0, 5, 2])
    assert torch.equal(normalise(anchors, name).rows(some), normalise(anchors, name).vectors[some])


@pytest.mark.parametrize(("name", "computed"), [("none", [2]), ("unit", [2]), ("centre", [7]), ("iterative", [7])])
def test_rows_that_are_not_asked_for_are_not_computed_without_a_centre(name, computed, monkeypatch):
    seen, take_steps = [], normalisation._take_steps
    monkeypatch.setattr(
        normalisation, "_take_steps", lambda rows, name: (seen.append(len(rows)), take_steps(rows, name))[1]
    )
    normalise(anchors_of(torch.ones(7, 3).tolist()), name).rows(torch.tensor([5, 0]))
    assert seen == computed


def test_anchors_are_left_as_they_were():
    anchors = anchors_of([[3.0, 4.0], [0.0, 2.0]])
    normalised = normalise(anchors, "iterative")
    assert normalised.vectors is normalised.vectors, "computed once"
    assert anchors.vectors.tolist() == [[3.0, 4.0], [0.0, 2.0]]


rows = st.lists(st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


@given(rows)
@settings(deadline=None, max_examples=50)
def test_unit_gives_length_one_and_leaves_zeros(vectors):
    lengths = torch.linalg.vector_norm(normalise(anchors_of(vectors), "unit").vectors, dim=1)
    assert all(abs(length - 1) < 1e-9 or length == 0 for length in lengths.tolist())


@given(rows)
@settings(deadline=None, max_examples=50)
def test_centre_gives_mean_zero_and_can_be_taken_back(vectors):
    normalised = normalise(anchors_of(vectors), "centre")
    assert torch.allclose(normalised.vectors.mean(dim=0), torch.zeros(3).double(), atol=1e-9)
    assert torch.allclose(normalised.vectors + normalised.centre, torch.tensor(vectors).double(), atol=1e-9)


@given(rows, st.floats(0.125, 8, width=32))
@settings(deadline=None, max_examples=50)
def test_the_centre_grows_with_the_vectors(vectors, factor):
    one = normalise(anchors_of(vectors), "unit_centre_unit").centre
    other = normalise(anchors_of([[factor * value for value in vector] for vector in vectors]), "unit_centre_unit")
    assert torch.allclose(factor * one, other.centre, rtol=1e-4, atol=1e-5)  # float32 rounds factor · value


def test_mean_norm_scale_brings_tokens_to_length_one():
    assert mean_norm_scale(WORKED) == pytest.approx(1 / 3.5)


def test_a_mean_norm_of_zero_is_refused():
    with pytest.raises(AlignmentError, match=r"Anchors of es, layer 0: the mean norm is 0.0"):
        mean_norm_scale(anchors_of([[0.0, 0.0]]))


def test_iterative_worked_by_hand():
    # (3, 4) and (3, −4) are 5 long. Divided by that, they lie around (0.6, 0), at ±0.8 of the second axis.
    normalised = normalise(anchors_of([[3.0, 4.0], [3.0, -4.0]]), "iterative")
    assert normalised.vectors.tolist() == [pytest.approx([0, 1], abs=1e-9), pytest.approx([0, -1], abs=1e-9)]
    assert normalised.centre.tolist() == pytest.approx([3, 0], abs=1e-9)


def cloud(seed: int, *, types: int = 500, width: int = 12) -> torch.Tensor:
    """Vectors far from the origin, longer in some directions than in others."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(types, width, generator=generator) * torch.linspace(0.3, 2, width) + 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_iterative_gives_unit_lengths_and_a_mean_near_zero(seed):
    anchors = anchors_of(cloud(seed).tolist())
    once, often = (normalise(anchors, name) for name in ("unit_centre_unit", "iterative"))
    lengths = torch.linalg.vector_norm(often.vectors, dim=1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-12)
    assert often.vectors.mean(dim=0).norm() < 1e-3
    assert often.vectors.mean(dim=0).norm() < once.vectors.mean(dim=0).norm() / 10


def test_iterative_agrees_with_taking_turns():
    vectors = cloud(1, types=20, width=3).double()
    expected = vectors
    for turn in range(6):
        expected = torch.stack([vector / sum(value**2 for value in vector) ** 0.5 for vector in expected])
        if turn < 5:
            expected = expected - sum(expected) / 20
    assert torch.allclose(normalise(anchors_of(vectors.tolist()), "iterative").vectors, expected, atol=1e-9)


@pytest.mark.parametrize("name", ["unit_centre_unit", "iterative"])
def test_the_centre_moves_vectors_to_where_the_normalised_ones_point(name):
    vectors = cloud(1)
    vectors = 7 * vectors / vectors.norm(dim=1, keepdim=True)  # of one length, so that dividing by it moves nothing
    normalised = normalise(anchors_of(vectors.tolist()), name)
    cosines = torch.cosine_similarity(vectors.double() - normalised.centre, normalised.vectors, dim=1)
    uncentred = torch.cosine_similarity(vectors.double(), normalised.vectors, dim=1)
    # After the first centre lengths differ, and what is subtracted later is meant for their mean.
    assert cosines.min() > (1 - 1e-9 if name == "unit_centre_unit" else 0.98)
    assert uncentred.min() < 0.9

"""One seed becomes one independent stream per purpose."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.compute.randomness import derive_seed, numpy_generator, seeded_torch

purposes = st.lists(st.text(max_size=5) | st.integers(0, 99), max_size=3)


def test_a_seed_is_the_first_four_bytes_of_a_hash_and_so_equal_on_every_machine():
    expected = int.from_bytes(hashlib.sha256(b"1\x1flanguage model\x1fes").digest()[:4], "big")
    assert derive_seed(1, "language model", "es") == expected == 1267146558


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, "a"), (2, "a")), ((1, "a"), (1, "b")), ((1, "a", "b"), (1, "ab")), ((1, "a", "b"), (1, "b", "a"))],
)
def test_other_purposes_have_other_seeds(one, other):
    assert derive_seed(*one) != derive_seed(*other)


@given(st.integers(0, 2**63), purposes)
def test_every_seed_fits_both_libraries(seed, purpose):
    torch.Generator().manual_seed(derive_seed(seed, *purpose))
    assert 0 <= numpy_generator(seed, *purpose).random() < 1


def test_streams_repeat_and_differ_by_purpose():
    draws = [numpy_generator(1, purpose).random(20) for purpose in ("x", "x", "y")]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert abs(np.corrcoef(draws[0], draws[2])[0, 1]) < 0.9


def test_torch_draws_its_own_stream_inside_and_goes_on_outside_as_if_nothing_had_been():
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    first = torch.rand(2)
    with seeded_torch(1, "x"):
        inside = torch.rand(3)
    second = torch.rand(2)
    with pytest.raises(ZeroDivisionError), seeded_torch(1, "x"):
        assert torch.equal(torch.rand(3), inside)
        raise ZeroDivisionError
    assert torch.equal(torch.cat([first, second]), expected)

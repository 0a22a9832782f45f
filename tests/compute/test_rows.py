"""Sequences lie in rows whole, one after another, and rows end at about the same time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isogloss.compute.rows import lay_in_rows

LENGTHS = st.lists(st.integers(0, 12), max_size=40)


@given(LENGTHS, st.integers(1, 12))
def test_every_place_of_every_sequence_has_a_step_and_a_row_of_its_own(lengths: list[int], most: int):
    laid = lay_in_rows(lengths, most)
    places = {
        (start + place, row)
        for start, row, length in zip(laid.start.tolist(), laid.row.tolist(), lengths, strict=True)
        for place in range(length)
    }
    # As many as there are, none beside the rows that are left, and so no gap.
    assert len(places) == sum(lengths) == sum(laid.active)
    assert all(row < laid.active[step] for step, row in places)
    assert laid.active == sorted(laid.active, reverse=True)


@given(LENGTHS, st.integers(1, 12))
def test_it_says_where_sequences_begin(lengths: list[int], most: int):
    laid = lay_in_rows(lengths, most)
    begun = sorted((step, row) for step, rows in enumerate(laid.begins) for row in rows)
    full = np.flatnonzero(lengths)
    assert begun == sorted(zip(laid.start[full].tolist(), laid.row[full].tolist(), strict=True))
    assert len(laid.begins) == len(laid.active)


@given(LENGTHS, st.integers(1, 12))
def test_no_row_goes_on_longer_than_the_longest_sequence_after_another_has_ended(lengths: list[int], most: int):
    laid = lay_in_rows(lengths, most)
    ends = [sum(active > row for active in laid.active) for row in range(laid.active[0] if laid.active else 0)]
    assert len(ends) == min(most, np.count_nonzero(lengths))
    assert max(ends, default=0) - min(ends, default=0) <= max(lengths, default=0)

"""Sequences of unequal length laid end to end in rows of like length.

A recurrent layer reads one place of every row in a step. Matrix products are at their best with some hundred rows, and
steps wait for one another, so all rows should end at about the same time:

    row 0    a1 a2 a3 a4 a5     step 0 reads a1 b1 c1, step 1 reads a2 b2 c2, step 2 reads a3 b3 d1, …
    row 1    b1 b2 b3 e1
    row 2    c1 c2 d1           ended: from step 3 on fewer rows are left
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace

import numpy as np

ROWS = 128
"""So many are best at most. More make products little quicker and leave fewer steps to share their cost."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Where each sequence lies. Rows are numbered by falling length, so that those still running are the first."""

    row: np.ndarray
    """Of each sequence."""
    start: np.ndarray
    """The step that reads the first place of each sequence."""
    active: list[int]
    """How many rows are left in each step; it never rises."""
    begins: list[list[int]]
    """Rows in which a sequence begins, for each step."""


def lay_in_rows(lengths: Sequence[int] | np.ndarray, most: int) -> Rows:
    """Lay sequences into at most so many rows.

    Longest first, each joins the row that is shortest so far. An empty sequence takes no place.

    Args:
        lengths: Places of each sequence.
        most: Rows at most.

    >>> rows = lay_in_rows([2, 5, 1, 3], most=2)
    >>> rows.row.tolist(), rows.start.tolist(), rows.active
    ([1, 0, 0, 1], [3, 0, 5, 0], [2, 2, 2, 2, 2, 1])
    >>> rows.begins
    [[0, 1], [], [], [1], [], [0]]
    """
    counts = np.asarray(lengths, dtype=np.int64)
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda index: -counts[index])
    ends = [(0, row) for row in range(min(most, len(order)))]
    row, start = np.zeros_like(counts), np.zeros_like(counts)
    for index in order:
        end, shortest = ends[0]
        row[index], start[index] = shortest, end
        heapreplace(ends, (end + int(counts[index]), shortest))
    ends.sort(key=lambda item: (-item[0], item[1]))
    rank = np.zeros(max(1, len(ends)), dtype=np.int64)
    rank[[shortest for _, shortest in ends]] = np.arange(len(ends))
    row = rank[row]
    lasting = np.array([end for end, _ in ends], dtype=np.int64)
    steps = int(lasting.max(initial=0))
    begins: list[list[int]] = [[] for _ in range(steps)]
    for index in order:
        begins[start[index]].append(int(row[index]))
    active = np.searchsorted(-lasting, -np.arange(steps), side="left")
    return Rows(row, start, active.tolist(), begins)

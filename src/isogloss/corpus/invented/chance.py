"""Chance that is the same everywhere: draws from numpy's PCG64 stream, tables to pick from, fixed whims.

Two kinds of chance make the invented family. What is *told* (which event comes next) is drawn from a seeded
`Chance`. What *is* (how a word sounds, which food a bear likes) never changes with the seed; it follows from
names alone, through `whim`. Neither depends on the machine, the Python version or the order of a set: PCG64's
uniform stream is specified, and all arithmetic here is plain IEEE 754 in a stated order.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import Generic, TypeVar

import numpy as np

Item = TypeVar("Item")

_BLOCK = 8192


@dataclass(frozen=True)
class Table(Generic[Item]):
    """Items with the running sums of their weights, ready to be picked from; the last sum is 1."""

    items: tuple[Item, ...]
    sums: tuple[float, ...]

    @classmethod
    def of(cls, weights: Mapping[Item, float]) -> "Table[Item]":
        """Make a table from positive weights, which need not sum to 1."""
        total = sum(weights.values())
        sums = [value / total for value in accumulate(weights.values())]
        return cls(tuple(weights), (*sums[:-1], 1.0))


def seed_of(*names: object) -> int:
    """Turn names and numbers into a 64-bit seed: equal names give equal seeds, on every machine."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def whim(*names: object) -> float:
    """Return a number in [0, 1) that depends on nothing but the names."""
    return (seed_of(*names) >> 11) / (1 << 53)


class Chance:
    """A seeded source of choices. Uniform numbers are drawn in blocks, since one call per draw is slow."""

    def __init__(self, *names: object) -> None:
        self._uniform = _uniforms(np.random.Generator(np.random.PCG64(seed_of(*names)))).__next__

    def happens(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self._uniform() < probability

    def pick(self, table: Table[Item]) -> Item:
        """Pick one item by its weight."""
        return table.items[bisect_right(table.sums, self._uniform())]

    def below(self, bound: int) -> int:
        """Pick a whole number from 0 up to, but without, the bound."""
        return int(self._uniform() * bound)

    def one_of(self, items: Sequence[Item]) -> Item:
        """Pick one item, all being equally likely."""
        return items[self.below(len(items))]


def _uniforms(generator: np.random.Generator) -> Iterator[float]:
    while True:
        yield from generator.random(_BLOCK).tolist()

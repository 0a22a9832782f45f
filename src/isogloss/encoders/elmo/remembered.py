"""A bounded memory of word types' vectors, so that the character network reads a frequent word once, not in each batch.

Vectors stand in one tensor of fixed places. When all are taken, the types that were asked for longest ago give way.

A word's vector must not tell which words were new together with it: then anchors would depend, in the last digit, on
how a text is dealt out to processes. But a matrix product rounds as its kernel does, and libraries choose kernels by
the shapes of their operands. So new words are always computed in portions of one number of rows, each portion of
words of about one length, filled up so that its shape depends on that length alone. A word is then computed by the
same kernels to the same bits, whenever it comes and whatever comes with it.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.corpus.characters import LONGEST_WORD, SENTENCE_IDS

REMEMBERED_BYTES = 32 << 20
"""Memory of one encoder for vectors of word types: 16,384 of width 512, or 65,536 of width 128."""
ROWS = 48
"""Words that are computed together. Kernels of matrix products take rows by 4, 6, 8, 12, 16, 24 or 48, and what is left
over with another kernel, which may round otherwise; of 48 nothing is left over, so that no row is treated unlike the
others."""
LENGTHS = (4, 8, 12, 16, 24, LONGEST_WORD - 2)
"""Bytes up to which words are long in one portion. A longer word than the last is read up to there only."""


class RememberedVectors:
    """Vectors of the word types asked for last."""

    def __init__(self, width: int, compute: Callable[[Sequence[str]], Float[Tensor, "types width"]]) -> None:
        """Begin with nothing remembered.

        Args:
            width: Length of a vector.
            compute: Gives the vectors of word types that are not remembered, `ROWS` at a time. What the others of these
                types are may show in a vector's last digits through their number and the longest of them, nothing else.
        """
        self._compute = compute
        self._capacity = max(1, REMEMBERED_BYTES // (4 * width))
        self._place_by_type: OrderedDict[str, int] = OrderedDict()  # asked for longest ago first
        self._vectors = torch.empty(0, width)

    def __call__(self, types: Sequence[str]) -> Float[Tensor, "types width"]:
        """Return the vectors of distinct word types, in their order: the same bits whenever and with whatever asked."""
        if len(types) > self._capacity:
            return self._compute_evenly(types)
        new = []
        for word in types:
            if word in self._place_by_type:
                self._place_by_type.move_to_end(word)
            else:
                new.append(word)
        if new:
            vectors = self._compute_evenly(new)
            self._make_room(len(new), vectors)
            places = []
            for word in new:
                full = len(self._place_by_type) == self._capacity
                # The oldest is none of those asked for now: these were moved to the end, and there is room for all.
                place = self._place_by_type.popitem(last=False)[1] if full else len(self._place_by_type)
                self._place_by_type[word] = place
                places.append(place)
            self._vectors[torch.tensor(places)] = vectors
        return self._vectors[torch.tensor([self._place_by_type[word] for word in types], dtype=torch.int64)]

    def _compute_evenly(self, types: Sequence[str]) -> Float[Tensor, "types width"]:
        """Compute word types in portions of even shape; see the top of this file."""
        order: list[int] = []
        computed = []
        for places, filler in portions(types):
            words = [types[place] for place in places]
            computed.append(self._compute([*words, *[filler] * (ROWS - len(words))])[: len(words)])
            order += places
        vectors = torch.cat(computed)
        return torch.empty_like(vectors).index_copy_(0, torch.tensor(order), vectors)

    def _make_room(self, more: int, like: Float[Tensor, "types width"]) -> None:
        """Grow by doubling, up to the capacity, so that growing stays rare."""
        needed = min(len(self._place_by_type) + more, self._capacity)
        if needed > len(self._vectors):
            grown = like.new_empty(min(self._capacity, max(needed, 2 * len(self._vectors), 1024)), like.shape[1])
            grown[: len(self._vectors)] = self._vectors
            self._vectors = grown


def portions(types: Sequence[str]) -> Iterator[tuple[list[int], str]]:
    """Deal the places of word types into portions of like length; yield each with the word that fills it up.

    The filler is as long as a word of the portion can be, and every portion leaves room for one: so the longest word of
    a portion has always the same length.

    >>> list(portions(["to", "translate", "an", "alphabet"]))
    [([0, 2], 'xxxx'), ([3], 'xxxxxxxx'), ([1], 'xxxxxxxxxxxx')]
    """
    places_by_length: list[list[int]] = [[] for _ in LENGTHS]
    for place, word in enumerate(types):
        spelled = 1 if word in SENTENCE_IDS else min(len(word.encode("utf-8", "ignore")), LENGTHS[-1])
        places_by_length[bisect_left(LENGTHS, spelled)].append(place)
    for length, places in zip(LENGTHS, places_by_length, strict=True):
        for first in range(0, len(places), ROWS - 1):
            yield places[first : first + ROWS - 1], "x" * length

"""A bounded memory of word types' vectors, so that the character network reads a frequent word once, not in each batch.

Vectors stand in one tensor of fixed places. When all are taken, the types that were asked for longest ago give way.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

REMEMBERED_BYTES = 32 << 20
"""Memory of one encoder for vectors of word types: 16,384 of width 512, or 65,536 of width 128."""


class RememberedVectors:
    """Vectors of the word types asked for last."""

    def __init__(self, width: int, compute: Callable[[Sequence[str]], Float[Tensor, "types width"]]) -> None:
        """Begin with nothing remembered.

        Args:
            width: Length of a vector.
            compute: Gives the vectors of word types that are not remembered.
        """
        self._compute = compute
        self._capacity = max(1, REMEMBERED_BYTES // (4 * width))
        self._place_by_type: OrderedDict[str, int] = OrderedDict()  # asked for longest ago first
        self._vectors = torch.empty(0, width)

    def __call__(self, types: Sequence[str]) -> Float[Tensor, "types width"]:
        """Return the vectors of distinct word types, in their order."""
        if len(types) > self._capacity:
            return self._compute(types)
        new = []
        for word in types:
            if word in self._place_by_type:
                self._place_by_type.move_to_end(word)
            else:
                new.append(word)
        if new:
            vectors = self._compute(new)
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

    def _make_room(self, more: int, like: Float[Tensor, "types width"]) -> None:
        """Grow by doubling, up to the capacity, so that growing stays rare."""
        needed = min(len(self._place_by_type) + more, self._capacity)
        if needed > len(self._vectors):
            grown = like.new_empty(min(self._capacity, max(needed, 2 * len(self._vectors), 1024)), like.shape[1])
            grown[: len(self._vectors)] = self._vectors
            self._vectors = grown

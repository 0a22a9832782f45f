"""Axis names used in signatures, and masks.

Shapes stand in annotations as jaxtyping strings, ``Float[Tensor, "batch words width"]``, which the test run
checks and ordinary runs ignore. The axes:

==============  =====================================================================
``batch``       sentences worked on together
``words``       words of the longest sentence of the batch
``characters``  character ids of one word
``layers``      0 is the character layer, 1…L are the recurrent layers
``width``       length of a vector
``types``       word types (distinct written forms)
``pairs``       dictionary pairs
``heads``       ``words + 1``: column 0 is the root
``relations``   dependency relations
==============  =====================================================================
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def mask_of_lengths(lengths: Sequence[int] | Int[Tensor, " batch"]) -> Bool[Tensor, "batch words"]:
    """Mark the places that hold words: ``mask[i, j]`` is true for ``j < lengths[i]``."""
    counts = torch.as_tensor(lengths)
    longest = int(counts.max()) if counts.numel() else 0
    return torch.arange(longest, device=counts.device)[None, :] < counts[:, None]

"""Matrix products over all words of a batch, in few shapes or few words at a time.

Nearly every batch holds another number of words. For products of bfloat16 PyTorch's library for CPUs (oneDNN) writes
machine code for each new shape, which takes longer than the product itself. So words are filled up with zeros to whole
blocks, and a handful of shapes comes again and again. In float32 what counts is the processor's cache: without
gradient, few words are multiplied at a time.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 64
"""Numbers of rows of bfloat16 are rounded up to multiples of this."""
AT_A_TIME = 256
"""Rows that are multiplied at a time in float32 where nothing is learned: few enough for the processor's cache."""


def product_type(vectors: Tensor) -> torch.dtype:
    """Return the type in which large products with some vectors are made: that of autocast where it is on."""
    kind = vectors.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else vectors.dtype


def whole_blocks(rows: Tensor) -> Tensor:
    """Append rows of zeros up to a whole number of blocks, but to bfloat16 only: other types know no such cost.

    >>> whole_blocks(torch.ones(100, 3, dtype=torch.bfloat16)).shape
    torch.Size([128, 3])
    """
    missing = -len(rows) % BLOCK if rows.dtype == torch.bfloat16 else 0
    return pad(rows, (0, 0, 0, missing)) if missing else rows


def in_blocks(product: Callable[[Tensor], Tensor], vectors: Tensor) -> Tensor:
    """Apply a product to the last axis of some vectors.

    In bfloat16 it is given whole blocks of them, and on a CPU, where nothing is learned, else `AT_A_TIME` at a time.
    """
    rows = vectors.flatten(0, -2).to(product_type(vectors))
    if rows.dtype == torch.bfloat16 or torch.is_grad_enabled() or rows.device.type != "cpu":
        found = product(whole_blocks(rows))[: len(rows)]
    else:
        found = torch.cat([product(some) for some in rows.split(AT_A_TIME)])
    return found.unflatten(0, vectors.shape[:-1])


def widened(values: Tensor) -> Tensor:
    """Return bfloat16 as float32, and all else as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))

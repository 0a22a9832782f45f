"""Seeds and generators: one seed of a recipe becomes one independent stream per purpose."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed for one purpose, independent of those for all others and equal on every machine.

    >>> derive_seed(1, "language model", "es") == derive_seed(1, "language model", "es")
    True
    >>> derive_seed(1, "language model", "es") == derive_seed(1, "language model", "fr")
    False
    """
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a NumPy generator for one purpose."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *purpose)))


@contextmanager
def seeded_torch(seed: int, *purpose: str | int) -> Iterator[None]:
    """Within the block, let torch draw from a stream of its own; outside, nothing has changed.

    Dropout and weight initialisation draw from torch's global generator, which takes no argument; this keeps
    their draws reproducible and apart.
    """
    accelerators = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=accelerators):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield

"""What every encoder gives: words in context as vectors.

An encoder reads sentences of one language and returns one vector per word and layer. Alignment and parser know
encoders only through this protocol, so a language model trained here, a published one, static word vectors or
a cache on disk can stand in for one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from isogloss.corpus.sentence import Sentence


@dataclass(frozen=True)
class ContextualEmbeddings:
    """Vectors of a batch of sentences, padded with zeros to the longest."""

    vectors: Float[Tensor, "batch words layers width"]
    """Layer 0 has no context; layers 1…L are the recurrent layers. float32."""
    mask: Bool[Tensor, "batch words"]
    """True where there is a word."""

    def layer(self, index: int) -> Float[Tensor, "batch words width"]:
        """Return the vectors of one layer."""
        return self.vectors[:, :, index]


@runtime_checkable
class Encoder(Protocol):
    """Turns sentences into vectors, one per word and layer."""

    @property
    def layers(self) -> int:
        """How many layers `encode` returns, the character layer included."""
        ...

    @property
    def width(self) -> int:
        """Length of every vector."""
        ...

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        """Return the vectors of every word; results keep the order of the sentences."""
        ...

"""An encoder without context: every word gets the anchor of its word type.

Put beside a contextual encoder it shows what context is worth; it is also the quickest encoder there is.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.lexicon.anchors import Anchors
from isogloss.shapes import mask_of_lengths


class AnchorEncoder:
    """Looks words up in anchors, an `Encoder` like any other.

    A word is found as written, else in lower case, else in any case. A word that has no anchor gets the mean
    of all anchors, every word type counted once: unknown words are rare, so they resemble the many rare types
    more than the few frequent ones.
    """

    def __init__(self, anchors: Sequence[Anchors]):
        """Take the anchors of all layers, in order, as `extract_anchors` gives them."""
        assert anchors and all(each.words == anchors[0].words for each in anchors), "layers share their word types"
        self._anchors = anchors[0]
        vectors = torch.stack([each.vectors for each in anchors], dim=1)  # types layers width
        unknown = vectors.double().mean(dim=0, keepdim=True).float()
        self._vectors: Float32[Tensor, "types layers width"] = torch.cat([vectors, unknown])

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return self._vectors.shape[1]

    @property
    def width(self) -> int:
        """Length of every vector."""
        return self._vectors.shape[2]

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        """Return the anchor of every word."""
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = self._vectors.new_zeros(*mask.shape, self.layers, self.width)
        unknown = len(self._anchors)
        indices = [
            unknown if (index := self._anchors.index_of(form)) is None else index
            for sentence in sentences
            for form in sentence.forms
        ]
        vectors[mask] = self._vectors[torch.tensor(indices, dtype=torch.int64)]
        return ContextualEmbeddings(vectors=vectors, mask=mask)

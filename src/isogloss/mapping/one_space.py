"""Bring two languages to where their words are looked up, as they were when the map was found.

That is around the centre, if the map centres; where the centre is one of vectors of length 1 (``unit_centre_unit``,
``iterative``), every word is centred as such a vector; and where the alignment weighs directions, both sides are
weighted, with the spelling of their words beside them if it asks for that.

Receives an `Alignment`, anchors, and vectors of words in context; hands on vectors for `retrieval.nearest`, and for
nothing else. Vectors for a parser must not be bent: they are all centred alike, by `Alignment.apply`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from isogloss.lexicon.anchors import Anchors
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.spelling import beside_spelling

CENTRED_AS_UNITS = ("unit_centre_unit", "iterative")
"""Normalisations whose centre is that of vectors of length 1."""
AT_A_TIME = 8_192
"""Rows that are brought over at once, in float64."""


def in_one_space(
    alignment: Alignment, source_anchors: Anchors, target_anchors: Anchors
) -> tuple[Float32[Tensor, "source_types shared_width"], Float32[Tensor, "target_types shared_width"]]:
    """Bring two languages' anchors together for looking up translations with `nearest`."""
    sides = _Side.of_source(alignment, source_anchors), _Side.of_target(alignment, target_anchors)
    both = zip(sides, (source_anchors, target_anchors), strict=True)
    own, theirs = (side.bring(anchors.vectors, anchors.words) for side, anchors in both)
    return own, theirs


def sources_in_one_space(
    alignment: Alignment, vectors: Float[Tensor, "rows width"], words: Sequence[str], *, anchors: Anchors
) -> Float32[Tensor, "rows shared_width"]:
    """Bring any vectors of the source language to where `in_one_space` brings its anchors.

    Args:
        alignment: From this language.
        vectors: Not yet aligned, such as those of words in context.
        words: The word type of each, whose spelling the alignment may ask for.
        anchors: All of the language, of the same layer.
    """
    return _Side.of_source(alignment, anchors).bring(vectors, words)


@dataclass(frozen=True, eq=False)
class _Side:
    """How vectors of one language get there."""

    centre: Float64[Tensor, " width"] | None
    """In units of the language's own vectors."""
    centred_length: float | None
    """A vector of this length is centred by the whole centre, a longer one by more; None: all by the whole."""
    matrix: Float64[Tensor, "looked_up looked_up"] | None
    """None is the identity."""
    scale: float
    spelling: float

    @classmethod
    def of_source(cls, alignment: Alignment, anchors: Anchors) -> "_Side":
        """Return how the source's vectors get there."""
        length = _centred_length(alignment, anchors)
        if alignment.source_weighting is not None:
            return cls(alignment.source_centre, length, alignment.source_weighting, 1.0, alignment.spelling)
        return cls(alignment.source_centre, length, alignment.matrix, alignment.scale, 0.0)

    @classmethod
    def of_target(cls, alignment: Alignment, anchors: Anchors) -> "_Side":
        """Return how the target's own vectors get there."""
        length = _centred_length(alignment, anchors)
        centre = None if alignment.target_centre is None else alignment.target_centre / alignment.target_scale
        if alignment.target_weighting is not None:
            return cls(centre, length, alignment.target_weighting, 1.0, alignment.spelling)
        return cls(centre, length, None, alignment.target_scale, 0.0)

    def bring(self, vectors: Float[Tensor, "rows width"], words: Sequence[str]) -> Float32[Tensor, "rows shared_width"]:
        """Bring rows there, some at a time."""
        width = vectors.shape[1] if self.matrix is None else self.matrix.shape[1]
        brought = torch.empty(len(vectors), width, device=vectors.device)
        for begin in range(0, len(vectors), AT_A_TIME):
            some = slice(begin, begin + AT_A_TIME)
            rows = self._centred(vectors[some].double())
            if self.spelling > 0:
                rows = beside_spelling(rows, words[some], weight=self.spelling)
            brought[some] = self.scale * rows if self.matrix is None else self.scale * rows @ self.matrix
        return brought

    def _centred(self, vectors: Float64[Tensor, "rows width"]) -> Float64[Tensor, "rows width"]:
        """Subtract the centre; if it is one of vectors of length 1, in proportion to each length."""
        if self.centre is None or self.centred_length == 0:
            return vectors
        if self.centred_length is None:
            return vectors - self.centre
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        return vectors - lengths / self.centred_length * self.centre


def _centred_length(alignment: Alignment, anchors: Anchors) -> float | None:
    """Return the mean length of anchors whose centre is one of vectors of length 1; else None."""
    if alignment.details.get("normalisation") not in CENTRED_AS_UNITS:
        return None
    return float(torch.linalg.vector_norm(anchors.vectors, dim=1, dtype=torch.float64).mean())

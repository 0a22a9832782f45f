"""What is done to anchors before a rotation is sought, and what that means for vectors in context.

A normalisation is a list of steps, taken in the order of its name:

====================  =====================================================================================
``none``              nothing, as published
``unit``              every anchor is divided by its length, so that frequent and rare words weigh alike
``centre``            the mean of all anchors is subtracted, every word type counted once
``unit_centre_unit``  unit length, centre, unit length again (Artetxe, Labaka and Agirre 2018)
``iterative``         unit length and centre five times in turn, then unit length, after which both nearly hold (Zhang,
                      Xu, Kawarabayashi, Jegelka and Boyd-Graber 2019, Are Girls Neko or Shōjo?)
====================  =====================================================================================

The steps serve to *find* the rotation. What is later rotated are vectors in context, of which every word has
many, and the map that meets them must be affine: differences between contexts are what the parser lives on,
and a division by each vector's own length would bend them. So of all steps only the centre is remembered. A
centre found among vectors of unit length is multiplied by the mean length that was divided out, which brings
it back among vectors of natural length.

The published matrices carry one number more, the average norm of the language's tokens (`mean_norm_scale`).
It changes no direction, hence no rotation, so it is applied with the alignment and is no step here.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.mapping.settings import Normalisation

_STEPS: dict[str, tuple[str, ...]] = {
    "none": (),
    "unit": ("unit",),
    "centre": ("centre",),
    "unit_centre_unit": ("unit", "centre", "unit"),
    "iterative": ("unit", "centre") * 5 + ("unit",),
}


@dataclass(frozen=True, eq=False)
class NormalisedAnchors:
    """Anchors made ready for fitting, with what is needed to treat vectors in context accordingly."""

    anchors: Anchors
    normalisation: Normalisation

    @property
    def vectors(self) -> Float64[Tensor, "types width"]:
        """All of them, computed when first asked for: they may be hundreds of megabytes."""
        return self._taken[0]

    @property
    def centre(self) -> Float64[Tensor, " width"] | None:
        """The point to subtract from vectors in context, in their own units; None if nothing was centred."""
        return self._taken[1] if self._centred else None

    def rows(self, rows: Int64[Tensor, " rows"]) -> Float64[Tensor, "rows width"]:
        """Return some of the vectors; where no centre is taken, without computing the others."""
        if self._centred:
            return self.vectors[rows]
        return _take_steps(self.anchors.vectors[rows], self.normalisation)[0]

    @property
    def _centred(self) -> bool:
        return "centre" in _STEPS[self.normalisation]

    @cached_property
    def _taken(self) -> tuple[Tensor, Tensor | None]:
        return _take_steps(self.anchors.vectors, self.normalisation)


def normalise(anchors: Anchors, normalisation: Normalisation) -> NormalisedAnchors:
    """Take the steps of a normalisation, in float64; zero vectors stay zero."""
    return NormalisedAnchors(anchors, normalisation)


def _take_steps(
    vectors: Float[Tensor, "types width"], normalisation: Normalisation
) -> tuple[Float64[Tensor, "types width"], Float64[Tensor, " width"] | None]:
    """Return the vectors after all steps, and their centre."""
    vectors = vectors.to(torch.float64, copy=True)  # changed in place below
    centre: Tensor | None = None
    divided_out = 1.0  # natural length of what now has length 1, on average
    for step in _STEPS[normalisation]:
        if step == "unit":
            lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
            vectors.div_(lengths.masked_fill(lengths == 0, 1.0))
            divided_out *= float(lengths.mean())
        else:
            mean = vectors.mean(dim=0)
            vectors.sub_(mean)
            centre = mean * divided_out if centre is None else centre + mean * divided_out
    return vectors, centre


def mean_norm_scale(anchors: Anchors) -> float:
    """Return the factor that brings the layer's tokens to length 1 on average.

    Raises:
        AlignmentError: The mean norm is not positive.

    Source: the matrices that Schuster et al. (2019) published; the paper does not mention it.
    """
    if not anchors.mean_norm > 0:
        raise AlignmentError(
            f"Anchors of {anchors.language}, layer {anchors.layer}: the mean norm is {anchors.mean_norm}. It "
            'must be positive to divide by. Gather the anchors again, or use scale = "none".'
        )
    return 1.0 / anchors.mean_norm

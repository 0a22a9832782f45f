"""Settings of the mapping: one class per road from one space to another, told apart by `method`."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from isogloss.settings import Settings

Normalisation = Literal["none", "unit", "centre", "unit_centre_unit"]
"""What is done to anchors, in this order, before a rotation is sought; see `normalise`."""


class ProcrustesSettings(Settings):
    """Road 1: a dictionary and a closed form, with rounds of refinement if wanted."""

    method: Literal["procrustes"] = "procrustes"
    """The name of this road."""

    normalisation: Normalisation = "unit"
    """What is done to the anchors before the rotation is sought: ``none`` (as published), ``unit`` length,
    ``centre``, or ``unit_centre_unit``. Centring makes the map move vectors as well as turn them."""

    scale: Literal["none", "mean_norm"] = "mean_norm"
    """``mean_norm`` divides all vectors by the average norm of their language's tokens, the reference's too,
    so that vectors of every language are of length 1 on average (as published); ``none`` leaves lengths
    alone."""

    too_few_pairs: Literal["error", "complete"] = "error"
    """What to do when the dictionary has fewer usable pairs than a vector has dimensions, so that many
    rotations fit equally well: ``error`` refuses, ``complete`` takes the one that changes the undetermined
    directions least."""

    refinements: NonNegativeInt = 0
    """Rounds in which mutual nearest neighbours join the dictionary and the rotation is sought again (5 in
    the paper). The round whose neighbours lie closest is kept, without looking at any test dictionary."""

    refinement_types: PositiveInt = 10_000
    """Word types: only so many of the most frequent of each language may join the dictionary."""

    neighbourhood: PositiveInt = 10
    """Neighbours that CSLS looks at, K in Conneau et al. (2018)."""


MappingSettings = ProcrustesSettings
"""The settings of any road. A further road joins here as ``A | B`` and in `fit_alignment` as a ``case``."""

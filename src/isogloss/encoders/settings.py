"""Settings of word vectors without context."""

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from isogloss.settings import Settings


class CooccurrenceSettings(Settings):
    """What counts as near, and how large the table of counts may grow."""

    window: PositiveInt = 5
    """Words to either side that count as near."""
    contexts: PositiveInt = 10_000
    """Most frequent word types that describe others."""
    weighting: NonNegativeFloat = 1.0
    """Exponent of the singular values, by which the directions are weighted. A half is usual; with the whole, words and
    their translations agree a little better."""
    power_iterations: NonNegativeInt = 2
    """Rounds by which the decomposition is made more exact."""


class StaticSettings(CooccurrenceSettings):
    """Word vectors without context as an encoder of their own, the baseline `static`."""

    width: PositiveInt = 100
    """Length of the vectors."""
    min_count: PositiveInt = 5
    """Word types seen less often get no vector."""
    max_types: PositiveInt = 50_000
    """Only so many of the most frequent word types get a vector."""

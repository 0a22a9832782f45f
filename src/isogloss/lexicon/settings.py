"""Settings of the lexicon: how anchors are gathered from raw text."""

from pydantic import PositiveInt

from isogloss.settings import Settings


class AnchorSettings(Settings):
    """How many words are read, how they are batched, and which word types get an anchor."""

    min_count: PositiveInt = 5
    """Occurrences, at least 1: a word type seen less often gets no anchor, for its mean would be noise."""

    max_types: PositiveInt = 50_000
    """Word types: only so many of the most frequent get an anchor (50,000 in the paper)."""

    max_sentences: PositiveInt | None = None
    """Sentences: reading stops after so many. Without a value the whole text is read."""

    batch_words: PositiveInt = 4096
    """Words encoded together, padding included. Steers speed and memory, never the result."""

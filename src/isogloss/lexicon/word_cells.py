"""Sentence pairs as numbers, laid out as cells: each word of a sentence with each word of its translation.

A word aligner asks of every such cell how probable it is. Cells of many sentence pairs stand end to end in one array,
and a sum over the cells of a word is one `numpy.bincount`. What occurs together anywhere in a text is listed once.

Receives words; hands on `NumberedText`, blocks of `Cells`, and the list of pairs of word types to which cells belong.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

WordsPair = tuple[Sequence[str], Sequence[str]]
"""The words of a sentence and those of its translation."""

CELLS_AT_A_TIME = 1 << 19
"""Pairs of places that are worked on together, or one longer sentence pair: bounds memory, never changes a link."""


@dataclass(frozen=True, eq=False)
class NumberedText:
    """Sentence pairs as numbers, end to end."""

    source_ids: Int64[np.ndarray, " source_words"]
    target_ids: Int64[np.ndarray, " target_words"]
    source_lengths: Int64[np.ndarray, " sentences"]
    target_lengths: Int64[np.ndarray, " sentences"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Some sentence pairs, laid out as cells: one cell for each target word with each source word of its sentence."""

    source_ids: Int64[np.ndarray, " source_words"]
    target_ids: Int64[np.ndarray, " target_words"]
    source_places: Int64[np.ndarray, " source_words"]
    """Places in the sentence, from 0."""
    target_places: Int64[np.ndarray, " target_words"]
    sentences: Int64[np.ndarray, " target_words"]
    """Which sentence of the text each target word stands in."""
    source_words: Int64[np.ndarray, " cells"]
    """For each cell the source word, as a place in `source_ids`."""
    target_words: Int64[np.ndarray, " cells"]
    closeness: Float64[np.ndarray, " cells"]
    """h(i, j), 0 on the diagonal and below it elsewhere."""


def number_types(sentences: Iterable[Sequence[str]]) -> dict[str, int]:
    """Number the word types of a text, in lower case, in the order in which they come."""
    types: dict[str, int] = {}
    for sentence in sentences:
        for word in sentence:
            types.setdefault(word.lower(), len(types))
    return types


def number_of(types: Mapping[str, int], word: str) -> int:
    """Return the number of a word's type, −1 if there is none."""
    return types.get(word.lower(), -1)


def usable_places(pairs: Sequence[WordsPair], *, longest: int) -> list[int]:
    """Return which pairs have words on both sides, and at most ``longest``."""
    return [place for place, pair in enumerate(pairs) if all(0 < len(side) <= longest for side in pair)]


def number_text(
    pairs: Sequence[WordsPair], source_types: Mapping[str, int], target_types: Mapping[str, int]
) -> NumberedText:
    """Write sentence pairs as numbers, −1 for unknown words."""
    ids = [
        np.array([number_of(types, word) for pair in pairs for word in pair[side]], dtype=np.int64)
        for side, types in enumerate((source_types, target_types))
    ]
    lengths = [np.array([len(pair[side]) for pair in pairs], dtype=np.int64) for side in (0, 1)]
    return NumberedText(*ids, *lengths)


def cells_of(text: NumberedText) -> Iterator[Cells]:
    """Lay a text out as cells, so many at a time."""
    ends = np.cumsum(text.source_lengths * text.target_lengths)
    starts = np.cumsum(text.source_lengths) - text.source_lengths, np.cumsum(text.target_lengths) - text.target_lengths
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + CELLS_AT_A_TIME, side="right")))
        lengths = text.source_lengths[first:last], text.target_lengths[first:last]
        words = [
            slice(start[first], start[last - 1] + length[-1]) for start, length in zip(starts, lengths, strict=True)
        ]
        offsets = [start[first:last] - start[first] for start in starts]
        places = [
            np.arange(length.sum()) - np.repeat(offset, length) for offset, length in zip(offsets, lengths, strict=True)
        ]
        source_lengths = np.repeat(lengths[0], lengths[1])  # of each target word's sentence: its cells stand in a row
        target_words = np.repeat(np.arange(len(source_lengths)), source_lengths)
        row_starts = np.cumsum(source_lengths) - source_lengths
        source_words = np.arange(len(target_words)) - np.repeat(
            row_starts - np.repeat(offsets[0], lengths[1]), source_lengths
        )
        relative = [(place + 1) / np.repeat(length, length) for place, length in zip(places, lengths, strict=True)]
        yield Cells(
            source_ids=text.source_ids[words[0]],
            target_ids=text.target_ids[words[1]],
            source_places=places[0],
            target_places=places[1],
            sentences=np.repeat(np.arange(first, last), lengths[1]),
            source_words=source_words,
            target_words=target_words,
            closeness=-np.abs(relative[0][source_words] - relative[1][target_words]),
        )
        first = last


def index_cells(
    text: NumberedText, *, target_types: int
) -> tuple[Int64[np.ndarray, " pairs"], list[Int[np.ndarray, " cells"]]]:
    """List the pairs of types that stand in one sentence pair, and find each cell of each block in the list."""
    keys_by_block, indices_by_block = [np.zeros(0, dtype=np.int64)], []
    for block in cells_of(text):
        keys = block.source_ids[block.source_words] * target_types + block.target_ids[block.target_words]
        own, indices = np.unique(keys, return_inverse=True)
        keys_by_block.append(own)
        indices_by_block.append(indices.astype(np.int32))
    keys = np.unique(np.concatenate(keys_by_block))
    for place, (own, indices) in enumerate(zip(keys_by_block[1:], indices_by_block, strict=True)):
        indices_by_block[place] = np.searchsorted(keys, own).astype(np.int32)[indices]
    return keys, indices_by_block

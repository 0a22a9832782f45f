"""Sentences packed into rows, so that every step of the recurrent layers reads a word in nearly every row.

Matrix products are at their best with some hundred rows. Sentences are therefore laid end to end in about so many rows
of like length, each sentence beginning with an empty state, and the places of a step stand together:

    row 0    <S> w1 w2 w3 <S> w1 w2       step 0 reads <S> <S> <S>, step 1 reads w1 w1 w1, …
    row 1    <S> w1 w2 w3 w4 w5
    row 2    <S> w1 w2                    ended: from step 3 on two rows are left

There is no padding anywhere. The backward direction reads ``</S> wn … w1`` in place of ``<S> w1 … wn``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from isogloss.compute.rows import ROWS, lay_in_rows
from isogloss.corpus.characters import BEGIN_OF_SENTENCE, END_OF_SENTENCE


@dataclass(frozen=True)
class PackedSentences:
    """Whole sentences packed for `BiLM.read`."""

    types: tuple[str, ...]
    """Each word type once; the marks of the begin and the end of a sentence come first."""
    inputs: Int[Tensor, "directions tokens"]
    """Places in `types`, step by step, and within a step row by row."""
    active: list[int]
    """How many rows are read in each step; it never rises."""
    begins: list[list[int]]
    """Rows in which a sentence begins, for each step."""
    targets: Int[Tensor, "directions tokens"]
    """What comes next in the sentence, in the direction of reading: places in `types`."""
    places: Int[Tensor, "directions words"]
    """Where among the tokens of either direction each word was read; words of all sentences in order."""


def pack(sentences: Sequence[Sequence[str]], *, rows: int = ROWS) -> PackedSentences:
    """Pack sentences into at most so many rows, see `isogloss.compute.rows`. Those without words take no place."""
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    laid = lay_in_rows(np.where(lengths > 0, lengths + 1, 0), rows)  # one more for the mark
    first = np.concatenate([[0], np.cumsum(laid.active, dtype=np.int64)])  # of the tokens of each step

    type_places: dict[str, int] = {BEGIN_OF_SENTENCE: 0, END_OF_SENTENCE: 1}
    words = np.fromiter(
        (type_places.setdefault(word, len(type_places)) for sentence in sentences for word in sentence),
        dtype=np.int64,
        count=int(lengths.sum()),
    )
    place_in_sentence = np.arange(len(words)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    row, start, length = (np.repeat(values, lengths) for values in (laid.row, laid.start, lengths))
    inputs = np.repeat([[0], [1]], first[-1], axis=1)  # each direction begins with its mark
    targets = 1 - inputs  # and ends with that of the other
    places = np.empty((2, len(words)), dtype=np.int64)
    for direction, before in enumerate((place_in_sentence, length - 1 - place_in_sentence)):
        targets[direction, first[start + before] + row] = words
        places[direction] = first[start + before + 1] + row
        inputs[direction, places[direction]] = words
    return PackedSentences(
        types=tuple(type_places),
        inputs=torch.from_numpy(inputs),
        active=laid.active,
        begins=laid.begins,
        targets=torch.from_numpy(targets),
        places=torch.from_numpy(places),
    )

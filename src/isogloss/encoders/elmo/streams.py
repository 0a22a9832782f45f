"""Text as endless streams for training: sentences one after another, in several rows side by side.

No step is spent on padding. Each row is a stream of sentences; a chunk is the next `unroll` words of every row, in
both directions. A sentence of n words gives n + 1 places in either direction:

    forward    <S> w1 … wn    predict    w1 … wn </S>
    backward   </S> wn … w1   predict    wn … w1 <S>

Lines are shuffled within blocks, anew in each epoch, so memory does not grow with the corpus. The position can be
saved and found again exactly.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from isogloss.compute.randomness import numpy_generator
from isogloss.corpus.characters import (
    BEGIN_OF_SENTENCE,
    END_OF_SENTENCE,
    END_OF_WORD,
    LONGEST_WORD,
    SENTENCE_IDS,
    character_ids,
)
from isogloss.corpus.raw_text import Position, read_lines
from isogloss.corpus.tokens import words_of_line
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import StreamBatch

SHUFFLED_TOGETHER = 100_000
"""Lines of one block."""
LONGEST_LINE = 8192
"""Bytes. A longer line is read as several sentences, cut at white space: a book on one line takes no more memory."""


@dataclass(frozen=True)
class TextFile:
    """A file of raw text, a share of whose lines is held out."""

    path: Path
    language: str
    tokenised: bool = False
    held_out_every: int = 20
    max_sentences: int | None = None
    """Lines after this many are not read."""

    def words(self, line: str) -> list[str]:
        """Split a line into words as the trees of the language have them."""
        return words_of_line(line, language=self.language, tokenised=self.tokenised)

    def lines(self, *, held_out: bool, position: Position | None = None) -> Iterator[str]:
        """Read the lines for training, or those held out; `position` tells how far the file was read."""
        index = 0
        for line in read_lines(self.path, longest=LONGEST_LINE, position=position):
            if not line.strip():
                continue
            if self.max_sentences is not None and index >= self.max_sentences:
                return
            if (index % self.held_out_every == self.held_out_every - 1) == held_out:
                yield line
            index += 1


class TextStreams:
    """Chunks of text for training, endless and resumable."""

    def __init__(self, text: TextFile, vocabulary: Vocabulary, *, rows: int, unroll: int, seed: int) -> None:
        """Begin at the first epoch.

        Args:
            text: The corpus.
            vocabulary: Of the softmax.
            rows: Streams side by side.
            unroll: Words of each stream in a chunk.
            seed: Of the order of lines.
        """
        self.text, self.vocabulary = text, vocabulary
        self.rows, self.unroll, self.seed = rows, unroll, seed
        self.epoch = 0
        self.drawn = 0
        self._lines = self._shuffled(skip=0)
        self._current: list[tuple[list[str], int]] = [([], 1)] * rows  # a sentence and how much of it is read

    def __iter__(self) -> "TextStreams":
        return self

    def __next__(self) -> StreamBatch:
        """Return the next chunk of every row."""
        chunks = [self._chunk(row) for row in range(self.rows)]
        sides = [chunk.forward for chunk in chunks] + [chunk.backward for chunk in chunks]
        place: dict[str, int] = {}
        shape = (2, self.rows, self.unroll)
        inputs = np.fromiter(
            (place.setdefault(word, len(place)) for side in sides for word in side.inputs), np.int64
        ).reshape(shape)
        targets = self.vocabulary.encode([word for side in sides for word in side.targets]).reshape(shape)
        keep = np.array([chunk.keep for chunk in chunks], dtype=np.float32)
        return StreamBatch(
            spellings=spellings(list(place)),
            ids=torch.from_numpy(self.vocabulary.encode(list(place))),
            inputs=torch.from_numpy(inputs).transpose(1, 2).contiguous(),
            targets=torch.from_numpy(targets).transpose(1, 2).contiguous(),
            keep=torch.from_numpy(keep).T.contiguous(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the text."""
        return {
            "epoch": self.epoch,
            "drawn": self.drawn,
            "current": [[words, at] for words, at in self._current],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position in the text."""
        self.epoch, self.drawn = state["epoch"], state["drawn"]
        self._current = [(words, at) for words, at in state["current"]]
        self._lines = self._shuffled(skip=self.drawn)

    def describe(self, batch: StreamBatch) -> str:
        """Say which words a batch holds, a row after the other (words cut as the network reads them)."""
        words = [_said(spelling) for spelling in batch.spellings.tolist()]
        rows = [" ".join(words[place] for place in row) for row in batch.inputs[0].T.tolist()]
        return f"{self.text.path}, epoch {self.epoch + 1}: " + " | ".join(rows)

    def _chunk(self, row: int) -> "_Chunk":
        """Take the next words of one row."""
        chunk = _Chunk(_Side([], []), _Side([], []), [])
        while (missing := self.unroll - len(chunk.keep)) > 0:
            words, at = self._current[row]
            if at > len(words):
                words, at = self._next_sentence(), 0
            marked = [BEGIN_OF_SENTENCE, *words, END_OF_SENTENCE]
            end = min(at + missing, len(words) + 1)
            for side, order in ((chunk.forward, marked), (chunk.backward, marked[::-1])):
                side.inputs.extend(order[at:end])
                side.targets.extend(order[at + 1 : end + 1])
            chunk.keep.extend(0.0 if place == 0 else 1.0 for place in range(at, end))
            self._current[row] = (words, end)
        return chunk

    def _next_sentence(self) -> list[str]:
        while True:
            for line in self._lines:
                self.drawn += 1
                if words := self.text.words(line):
                    return words
            self.epoch, self.drawn = self.epoch + 1, 0
            self._lines = self._shuffled(skip=0)

    def _shuffled(self, *, skip: int) -> Iterator[str]:
        """Read the lines of this epoch in its order, leaving out the first `skip`."""
        generator = numpy_generator(self.seed, "order of lines", self.epoch)
        for block in _blocks(self.text.lines(held_out=False), SHUFFLED_TOGETHER):
            order = generator.permutation(len(block))
            if skip >= len(block):
                skip -= len(block)
                continue
            yield from (block[index] for index in order[skip:])
            skip = 0


def rows_of(batch: StreamBatch, rows: slice) -> StreamBatch:
    """Return some rows of a batch, with no more word types than they use."""
    inputs = batch.inputs[:, :, rows]
    used, places = torch.unique(inputs, return_inverse=True)
    return StreamBatch(
        spellings=batch.spellings[used],
        ids=batch.ids[used],
        inputs=places,
        targets=batch.targets[:, :, rows].contiguous(),
        keep=batch.keep[:, rows].contiguous(),
    )


class _Side(NamedTuple):
    """What one direction reads and is to predict."""

    inputs: list[str]
    targets: list[str]


class _Chunk(NamedTuple):
    """The next words of one row, in both directions, and where its state is kept."""

    forward: _Side
    backward: _Side
    keep: list[float]


def _blocks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


@lru_cache(maxsize=200_000)
def _spelling(word: str) -> bytes:
    return character_ids([word])[0].astype(np.int16).tobytes()


def spellings(words: Sequence[str], spell: Callable[[str], bytes] = _spelling) -> Int[Tensor, "types characters"]:
    """Spell words as character ids; the spellings of recent words are remembered."""
    data = b"".join(map(spell, words))
    ids = np.frombuffer(data, dtype=np.int16).reshape(-1, LONGEST_WORD)
    return torch.from_numpy(ids.astype(np.int64))


def _said(spelling: list[int]) -> str:
    """Turn character ids back into the word."""
    ids = spelling[1 : spelling.index(END_OF_WORD)]
    marks = [mark for mark, number in SENTENCE_IDS.items() if ids == [number]]
    return marks[0] if marks else bytes(number - 1 for number in ids).decode(errors="replace")

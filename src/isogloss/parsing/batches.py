"""In which order the parser sees its training sentences.

Each step draws a language, every language as likely as any other however large its treebank (Schuster et al.
2019) unless told otherwise, and takes that language's next batch. A pass over a language holds every sentence
once, in batches of similar length, shuffled anew each time.

All batches of a language hold about the same number of words, as in Dozat and Manning (2017), so short
sentences come many at a time. The published parser takes 32 sentences each time, of whatever length. With
buckets of similar length, that would give a batch of 32 one-word sentences as many votes as one of 32 long
ones.

All of it follows from the seed and from how far each language has come, so that is all a checkpoint holds.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isogloss.compute.randomness import numpy_generator

LENGTH_NOISE = 0.1
"""Lengths vary by up to this share before sorting, so that batches differ from pass to pass."""


@dataclass(frozen=True)
class SentenceBatch:
    """Some sentences of one language, by their numbers in its treebank."""

    language: str
    indices: tuple[int, ...]


class ParserBatches:
    """An endless supply of training batches that can be stopped and resumed anywhere."""

    def __init__(
        self,
        lengths_by_language: Mapping[str, Sequence[int]],
        *,
        batch_size: int,
        seed: int,
        turns: Mapping[str, float] | None = None,
    ) -> None:
        """Make the supply.

        Args:
            lengths_by_language: Words of every training sentence.
            batch_size: Sentences of a batch, on average.
            seed: Decides languages and orders.
            turns: How likely each language is drawn, in proportion; without it, all alike.
        """
        assert lengths_by_language and all(map(len, lengths_by_language.values())), "nothing to draw from"
        self._lengths = {name: np.asarray(lengths_by_language[name]) for name in sorted(lengths_by_language)}
        self._batch_size, self._seed = batch_size, seed
        self._chances = None
        if turns is not None:
            drawn = np.array([turns[language] for language in self._lengths], dtype=np.float64)
            self._chances = drawn / drawn.sum()
        self._step = 0
        self._pass = dict.fromkeys(self._lengths, -1)
        """Which pass each language is in, from 0; −1 before the first."""
        self._place = dict.fromkeys(self._lengths, 0)
        """How many batches of that pass have been taken."""
        self._batches: dict[str, list[tuple[int, ...]]] = {language: [] for language in self._lengths}

    def __iter__(self) -> Iterator[SentenceBatch]:
        return self

    def __next__(self) -> SentenceBatch:
        languages = list(self._lengths)
        generator = numpy_generator(self._seed, "language", self._step)
        if self._chances is None:
            drawn = generator.integers(len(languages))
        else:
            drawn = generator.choice(len(languages), p=self._chances)
        language = languages[drawn]
        if self._place[language] == len(self._batches[language]):
            self._begin(language, self._pass[language] + 1)
            self._place[language] = 0
        indices = self._batches[language][self._place[language]]
        self._place[language] += 1
        self._step += 1
        return SentenceBatch(language, indices)

    def state_dict(self) -> dict[str, Any]:
        """Return the step, and the pass and place of each language."""
        return {"step": self._step, "pass": dict(self._pass), "place": dict(self._place)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another supply with the same sentences, size and seed had stopped."""
        assert state["pass"].keys() == self._pass.keys(), "the state belongs to other languages"
        self._step = int(state["step"])
        for language in self._lengths:
            self._begin(language, int(state["pass"][language]))
            self._place[language] = int(state["place"][language])

    def _begin(self, language: str, number: int) -> None:
        """Lay out a pass: sort by length with some noise, cut into equal numbers of words, shuffle."""
        self._pass[language] = number
        if number < 0:
            self._batches[language] = []
            return
        generator = numpy_generator(self._seed, "pass", language, number)
        lengths = self._lengths[language]
        noisy = lengths * generator.uniform(1 - LENGTH_NOISE, 1 + LENGTH_NOISE, size=len(lengths))
        order = noisy.argsort(kind="stable")
        words = lengths[order].cumsum()
        # A sentence belongs to the batch in which its middle word lies.
        batch_words = words[-1] / math.ceil(len(lengths) / self._batch_size)
        batch_of = ((words - lengths[order] / 2) // batch_words).astype(np.int64)
        cuts = np.flatnonzero(np.diff(batch_of)) + 1
        batches = [tuple(map(int, part)) for part in np.split(order, cuts)]
        generator.shuffle(batches)
        self._batches[language] = batches

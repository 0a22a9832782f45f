"""Word types and their numbers, most frequent first.

The softmax of a language model chooses among word types, so each needs a number. Numbers follow frequency,
since sampled softmax draws its negatives by rank (Jozefowicz et al. 2016, arXiv:1602.02410). The first three
are reserved, as in bilm-tf: ``<S>`` before a sentence, ``</S>`` after it, ``<UNK>`` for every other type.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from os import PathLike, fspath
from types import MappingProxyType

import numpy as np
from jaxtyping import Int64

from isogloss.corpus.raw_text import open_bytes, write_lines
from isogloss.corpus.sentence import Sentence
from isogloss.errors import ArtifactError

SENTENCE_START, SENTENCE_END, UNKNOWN = "<S>", "</S>", "<UNK>"
RESERVED = (SENTENCE_START, SENTENCE_END, UNKNOWN)
UNKNOWN_ID = 2
MOST_TYPES_COUNTED = 3_000_000
"""Word types counted at once. When there are more, the rarest are forgotten, so memory does not grow with the text."""


@dataclass(frozen=True)
class Vocabulary:
    """Word types in the order of their ids, and how often each was seen."""

    words: tuple[str, ...]
    """``<S>``, ``</S>``, ``<UNK>``, then word types by falling count; ties in the order of code points."""
    counts: tuple[int, ...]
    """One per word: ``<S>`` and ``</S>`` count sentences, ``<UNK>`` the words that were left out."""

    def __post_init__(self) -> None:
        assert self.words[:3] == RESERVED, "a vocabulary starts with its reserved entries"
        assert len(self.words) == len(self.counts), "a vocabulary has one count per word"

    @classmethod
    def count(
        cls, sentences: Iterable[Sentence | Iterable[str]], *, min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """Count the words of a corpus, which may be a stream.

        A word that is spelt like a reserved entry counts as unknown. In a text with more than `MOST_TYPES_COUNTED`
        word types, the counts of the rarest ones come out too small.

        Args:
            sentences: `Sentence`s, or the words of each.
            min_count: Leave out words seen less often.
            max_size: Largest length of the vocabulary, the three reserved entries included.
        """
        assert max_size is None or max_size >= len(RESERVED), "the reserved entries need a size of 3"
        counter: Counter[str] = Counter()
        sentence_count = forgotten = rare = 0
        for sentence in sentences:
            assert not isinstance(sentence, str), "a sentence is given as its words, not as one string"
            counter.update(sentence.forms if isinstance(sentence, Sentence) else sentence)
            sentence_count += 1
            while len(counter) > MOST_TYPES_COUNTED:
                rare += 1  # rises each time, so that the counter does not fill up with what is rare at once
                kept_types = Counter({word: number for word, number in counter.items() if number > rare})
                forgotten += counter.total() - kept_types.total()
                counter = kept_types
        total = counter.total() + forgotten
        for entry in RESERVED:
            counter.pop(entry, None)
        kept = sorted((item for item in counter.items() if item[1] >= min_count), key=lambda item: (-item[1], item[0]))
        if max_size is not None:
            kept = kept[: max_size - len(RESERVED)]
        counts = [number for _, number in kept]
        return cls(
            words=(*RESERVED, *(word for word, _ in kept)),
            counts=(sentence_count, sentence_count, total - sum(counts), *counts),
        )

    def cut(self, *, min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Leave out rare words, as if the corpus had been counted with these limits (see `count`)."""
        assert max_size is None or max_size >= len(RESERVED), "the reserved entries need a size of 3"
        first = len(RESERVED)
        kept = [(word, count) for word, count in zip(self.words, self.counts, strict=True) if count >= min_count]
        kept = [pair for pair in kept if pair[0] not in RESERVED][: None if max_size is None else max_size - first]
        unknown = sum(self.counts[UNKNOWN_ID:]) - sum(count for _, count in kept)
        words, counts = [word for word, _ in kept], [count for _, count in kept]
        return Vocabulary((*RESERVED, *words), (*self.counts[:UNKNOWN_ID], unknown, *counts))

    @functools.cached_property
    def ids(self) -> Mapping[str, int]:
        """The id of each word."""
        return MappingProxyType(self._ids)

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def id_of(self, word: str) -> int:
        """Return the id of a word, 2 if it is unknown."""
        return self.ids.get(word, UNKNOWN_ID)

    def encode(self, words: Sequence[str]) -> Int64[np.ndarray, " words"]:
        """Return the ids of many words. ``<S>`` and ``</S>`` among them get their reserved ids."""
        return np.fromiter(map(self._ids.get, words, repeat(UNKNOWN_ID)), dtype=np.int64, count=len(words))

    def save(self, path: str | PathLike[str]) -> None:
        """Write one line a word: the word, a tab, its count.

        Raises:
            OutputError: The file cannot be written.
        """
        for word in self.words:
            assert "\t" not in word and "\n" not in word, f"a word holds a tab or a line end: {word!r}"
        entries = zip(self.words, self.counts, strict=True)
        write_lines((f"{word}\t{number}" for word, number in entries), path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            ArtifactError: The file is missing or is no vocabulary. The message names file and line.
        """
        place = fspath(path)
        with open_bytes(path, refuse=ArtifactError) as file:
            content = file.read()
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ArtifactError(
                f"{place}:{line}: byte {error.start} is not UTF-8. Expected a vocabulary that isogloss "
                "wrote. Make it again."
            ) from None
        words: dict[str, int] = {}
        # A word may hold U+0085 or U+2028, at which str.splitlines() would cut.
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            word, tab, count = line.partition("\t")
            if not tab or not (count.isascii() and count.isdigit()):
                raise ArtifactError(
                    f"{place}:{number}: the line is {line[:60]!r}. Expected a word, a tab and its count. "
                    "Make the vocabulary again."
                )
            if word in words:
                raise ArtifactError(
                    f"{place}:{number}: the word {word!r} stands here a second time. Expected each word "
                    "once. Make the vocabulary again."
                )
            words[word] = int(count)
        if tuple(words)[:3] != RESERVED:
            raise ArtifactError(
                f"{place}:1: the first three words are {tuple(words)[:3]}. Expected {RESERVED}. "
                "Make the vocabulary again."
            )
        return cls(tuple(words), tuple(words.values()))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.ids

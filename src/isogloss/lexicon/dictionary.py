"""Bilingual dictionaries: pairs of a word and its translation.

A dictionary file has one pair per line, ``source<TAB>target`` in UTF-8. A word with several translations has
several lines. The module reads and writes such files, splits them for testing, and finds the pairs for which
both words have anchors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from isogloss.corpus.plain_text import composed
from isogloss.errors import DictionaryError, OutputError
from isogloss.lexicon.anchors import Anchors, in_lower_case, undotted


@dataclass(frozen=True)
class BilingualDictionary:
    """Words of one language with their translations into another."""

    source: str
    """Language code of the first word of each pair."""
    target: str
    """Language code of the second word of each pair."""
    pairs: tuple[tuple[str, str], ...]
    """Pairs in the order of the file, none twice."""

    @cached_property
    def translations(self) -> Mapping[str, tuple[str, ...]]:
        """The translations of each source word, in order."""
        translations: dict[str, list[str]] = {}
        for source, target in self.pairs:
            translations.setdefault(source, []).append(target)
        return {source: tuple(targets) for source, targets in translations.items()}

    def reversed(self) -> "BilingualDictionary":
        """Return the dictionary read from right to left.

        >>> BilingualDictionary("en", "es", (("house", "casa"),)).reversed().pairs
        (('casa', 'house'),)
        """
        pairs = tuple((target, source) for source, target in self.pairs)
        return BilingualDictionary(source=self.target, target=self.source, pairs=pairs)

    def and_also(self, pairs: Sequence[tuple[str, str]]) -> "BilingualDictionary":
        """Return the dictionary with further pairs after its own, none twice.

        >>> BilingualDictionary("en", "es", (("house", "casa"),)).and_also([(",", ","), ("house", "casa")]).pairs
        (('house', 'casa'), (',', ','))
        """
        return BilingualDictionary(self.source, self.target, tuple(dict.fromkeys((*self.pairs, *pairs))))

    def through(self, pivot: "BilingualDictionary") -> "BilingualDictionary":
        """Follow the translations of this dictionary in another one: words that share one become a pair.

        Words are compared as they are spelt, then in lower case. Pairs come in the order of this dictionary, then of
        the other.

        Args:
            pivot: From this dictionary's target language to a third one.

        Raises:
            DictionaryError: Their languages do not meet, or they have no word in common.

        >>> english = BilingualDictionary("en", "es", (("house", "casa"), ("home", "casa")))
        >>> BilingualDictionary("kk", "en", (("үй", "house"), ("ит", "dog"))).through(english).pairs
        (('үй', 'casa'),)
        """
        if self.target != pivot.source:
            raise DictionaryError(
                f"Dictionaries {self.source}→{self.target} and {pivot.source}→{pivot.target} do not meet. Expected the "
                f"second to begin with {self.target}. Turn one of them round with reversed()."
            )
        in_any_case: dict[str, list[str]] = {}
        for word, found in pivot.pairs:
            in_any_case.setdefault(in_lower_case(word), []).append(found)
        pairs = dict.fromkeys(
            (source, found)
            for source, word in self.pairs
            for found in pivot.translations.get(word, in_any_case.get(in_lower_case(word), ()))
        )
        if not pairs:
            raise DictionaryError(
                f"Dictionaries {self.source}→{self.target} and {pivot.source}→{pivot.target} have no {self.target} "
                f"word in common. Expected some, by which they are joined. Take larger ones."
            )
        return BilingualDictionary(source=self.source, target=pivot.target, pairs=tuple(pairs))

    def split(
        self, test_fraction: float, seed: int | np.random.Generator
    ) -> "tuple[BilingualDictionary, BilingualDictionary]":
        """Divide into a training and a test dictionary that share no source word, whatever its case (`undotted`).

        Args:
            test_fraction: Share of the source words that go to the test dictionary, between 0 and 1.
            seed: A seed, or the generator to draw from.

        Raises:
            DictionaryError: One of the two would be empty.
        """
        words = list(dict.fromkeys(undotted(source) for source, _ in self.pairs))
        test_size = round(test_fraction * len(words))
        if not 0 < test_size < len(words):
            raise DictionaryError(
                f"Dictionary {self.source}→{self.target}: a test share of {test_fraction} of {len(words)} "
                f"source words is {test_size} words, but training and test need one each. Change the share, "
                "or add words."
            )
        chosen = np.random.default_rng(seed).permutation(len(words))[:test_size]
        test_words = {words[index] for index in chosen}
        train = tuple(pair for pair in self.pairs if undotted(pair[0]) not in test_words)
        test = tuple(pair for pair in self.pairs if undotted(pair[0]) in test_words)
        return (
            BilingualDictionary(self.source, self.target, train),
            BilingualDictionary(self.source, self.target, test),
        )

    def usable(self, source_anchors: Anchors, target_anchors: Anchors) -> list[tuple[int, int]]:
        """Find the pairs whose two words have anchors, as places in the two vocabularies, none twice.

        Words are looked up as written, then in lower case, then in any case, then undotted (`Anchors.index_of`).

        Raises:
            DictionaryError: The anchors are of other languages than the dictionary.
        """
        return list(dict.fromkeys(place for place in self.places(source_anchors, target_anchors) if place is not None))

    def places(self, source_anchors: Anchors, target_anchors: Anchors) -> list[tuple[int, int] | None]:
        """Find where each pair's words stand in the two vocabularies, see `usable`; None if one has no anchor.

        Raises:
            DictionaryError: The anchors are of other languages than the dictionary.
        """
        found = (source_anchors.language, target_anchors.language)
        if found != (self.source, self.target):
            advice = (
                "Turn it round with reversed()."
                if found == (self.target, self.source)
                else "Check the languages of both."
            )
            raise DictionaryError(
                f"Dictionary {self.source}→{self.target} was given anchors of {found[0]} and {found[1]}; it "
                f"needs those of {self.source} and {self.target}, in this order. {advice}"
            )
        indices = ((source_anchors.index_of(source), target_anchors.index_of(target)) for source, target in self.pairs)
        return [(row, column) if row is not None and column is not None else None for row, column in indices]

    def __len__(self) -> int:
        return len(self.pairs)


def read_dictionary(path: Path | str, *, source: str, target: str) -> BilingualDictionary:
    """Read a file of lines ``source<TAB>target``. Case is kept; a line that stands twice counts once.

    Words are brought into normalisation form C, in which all text is that models read.

    Args:
        path: UTF-8 text, with or without a byte order mark.
        source: Language code of the first column.
        target: Language code of the second column.

    Raises:
        DictionaryError: The file is missing, empty or not UTF-8, or a line is not a pair of words.
    """
    path = Path(path)
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DictionaryError(
            f"{path}: cannot be read ({error.strerror}). Expected a file of lines source<TAB>target. Check the path."
        ) from error
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    pairs = [_pair_of_line(line, place=f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    if not pairs:
        raise DictionaryError(
            f"{path}: the file is empty. A dictionary has at least one line source<TAB>target. Check the "
            "path, or make the dictionary again."
        )
    return BilingualDictionary(source=source, target=target, pairs=tuple(dict.fromkeys(pairs)))


def write_dictionary(path: Path | str, dictionary: BilingualDictionary) -> None:
    """Write one line ``source<TAB>target`` per pair, in order."""
    for pair in dictionary.pairs:
        if any(not word or word != word.strip() or "\t" in word or "\n" in word for word in pair):
            raise OutputError(
                f"{path}: the pair {pair!r} cannot be written as source<TAB>target. A word has no tab, line "
                "break or space at its ends. Remove or mend the pair."
            )
    lines = "".join(f"{source}\t{target}\n" for source, target in dictionary.pairs)
    try:
        Path(path).write_bytes(lines.encode("utf-8"))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}). The folder must exist and be writable. Choose another path."
        ) from error


def identical_words(source_anchors: Anchors, target_anchors: Anchors) -> BilingualDictionary:
    """Pair every word type that both languages write alike: names, numerals, loans; also false friends.

    The most frequent of the source language stand first.
    """
    shared = set(target_anchors.words)
    pairs = tuple((word, word) for word in source_anchors.words if word in shared)
    return BilingualDictionary(source=source_anchors.language, target=target_anchors.language, pairs=pairs)


def _pair_of_line(line: bytes, *, place: str) -> tuple[str, str]:
    """Read one line, without the white space around its words."""
    expected = "Expected a word, one tab and its translation"
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DictionaryError(
            f"{place}: not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start + 1}). {expected}, "
            "in UTF-8. Convert the file, for example with iconv."
        ) from error
    columns = [composed(column.strip()) for column in text.split("\t")]
    if len(columns) == 1:
        raise DictionaryError(
            f"{place}: found no tab in {text.strip()!r}. {expected}. If the words are parted by spaces, "
            "replace the first space of each line with a tab."
        )
    if len(columns) > 2:
        raise DictionaryError(f"{place}: found {len(columns)} columns. {expected}. Remove the other columns.")
    if not all(columns):
        side = "source" if not columns[0] else "target"
        raise DictionaryError(f"{place}: the {side} word is empty. {expected}. Fill it in, or remove the line.")
    return columns[0], columns[1]

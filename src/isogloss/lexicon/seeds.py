"""Pairs to begin with where nobody has made a dictionary: words that two languages write alike, or nearly.

Receives the anchors of two languages, most frequent word first, or just their words; hands on a small, noisy
`BilingualDictionary` from which self-learning grows a larger one. Names, numerals and loans are most of it; false
friends come along and do no lasting harm. Signs are apart: commas and full stops mean the same nearly everywhere, and
stand beside any dictionary.

Sources: Smith et al. (2017), arXiv:1702.03859, identical words; Artetxe, Labaka and Agirre (2017), numerals.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
from anyascii import anyascii
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from isogloss.corpus.word_kinds import is_sign
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary, identical_words
from isogloss.lexicon.geometry import is_alphabetic

SHORTEST_ALIKE = 4
"""Letters that a word needs at least to count when it is spelt alike: short words are alike by chance."""
COGNATE_LETTERS = 5
"""Letters that a cognate needs at least, for the same reason."""
COGNATE_SIMILARITY = 0.75
"""Share of letters that must stay, at least: 1 − edits / letters of the longer word."""
DANDA = "।"
"""Ends a sentence in Devanagari and its kin; a comma in the table of Latin script."""
QUOTES = frozenset("«»‹›„‚“”‘’‟‛「」『』〈〉《》〝〞〟")
"""Quotation marks of which a language has one kind or another."""
ROUNDING = 1e-6
"""What float32 may take away from a share of letters."""
COGNATE_TYPES = 5000
"""Word types: cognates are sought among so many of the most frequent."""


def alike_words(source: Anchors, target: Anchors) -> BilingualDictionary:
    """Pair the words that both languages write alike and that are unlikely to be so by chance."""
    return _only(identical_words(source, target), lambda word: len(word) >= SHORTEST_ALIKE or not is_alphabetic(word))


def numerals(source: Anchors, target: Anchors) -> BilingualDictionary:
    """Pair the numbers written in digits that both languages have: 7, 1914, 3.5."""
    return _only(identical_words(source, target), is_numeral)


def is_numeral(word: str) -> bool:
    """Whether a word is a number in digits.

    >>> [is_numeral(word) for word in ("1914", "3.5", "٣", "x2", ".")]
    [True, True, True, False, False]
    """
    return any(character.isdigit() for character in word) and all(
        character.isdigit() or character in ".,:/-%" for character in word
    )


def sign_pairs(words: Sequence[str], other_words: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Pair punctuation and symbols with those of another language: the same ones, or what they are in Latin script.

    Word lists have no commas, yet every seventh word of a text is such a sign. A quotation mark that the other language
    does not have is paired with the plain one.

    Args:
        words: Of the new language; those that are no signs are passed over.
        other_words: Of the language that they are paired with.

    >>> sign_pairs(["haus", ",", "»", "。", "؟", "¤", "1"], [".", ",", "?", '"', "1"])
    ((',', ','), ('»', '"'), ('。', '.'), ('؟', '?'))
    """
    known = {word for word in other_words if is_sign(word)}

    def counterpart(sign: str) -> str:
        latin = anyascii(sign.replace(DANDA, "."))
        quotes = QUOTES.issuperset(sign)
        return next((other for other in (sign, latin, '"' if quotes else "") if other in known), "")

    pairs = ((word, counterpart(word)) for word in dict.fromkeys(words) if is_sign(word))
    return tuple((word, other) for word, other in pairs if other)


def cognates(
    source: Anchors,
    target: Anchors,
    *,
    types: int = COGNATE_TYPES,
    letters: int = COGNATE_LETTERS,
    similarity: float = COGNATE_SIMILARITY,
) -> BilingualDictionary:
    """Pair words that differ by few letters, each with its most similar one and only if that holds both ways.

    Words are compared in lower case and in Latin letters without accents, so that *министр* meets *minister*.
    """
    ours, theirs = _latin(source.words[:types], letters), _latin(target.words[:types], letters)
    if not ours or not theirs:
        return BilingualDictionary(source=source.language, target=target.language, pairs=())
    table = cdist(
        [spelt for _, spelt in ours],
        [spelt for _, spelt in theirs],
        scorer=Levenshtein.normalized_similarity,
        score_cutoff=similarity - ROUNDING,
        dtype=np.float32,
    )
    best, back = table.argmax(axis=1), table.argmax(axis=0)
    pairs = tuple(
        (ours[row][0], theirs[int(column)][0])
        for row, column in enumerate(best)
        if table[row, column] >= similarity - ROUNDING and back[column] == row
    )
    return BilingualDictionary(source=source.language, target=target.language, pairs=pairs)


def _latin(words: Sequence[str], letters: int) -> list[tuple[str, str]]:
    """Return words with what they look like in plain Latin letters, those that are long enough.

    Soft signs, glottal stops and the like become apostrophes (*январь* is *yanvar'*): these are left out.
    """
    names = (word for word in words if is_alphabetic(word.replace("'", "").replace("\u2019", "")))
    spelt = ((word, "".join(filter(str.isalnum, anyascii(word.lower()).lower()))) for word in names)
    return [(word, plain) for word, plain in spelt if len(plain) >= letters and plain.isalpha()]


def _only(dictionary: BilingualDictionary, wanted: Callable[[str], bool]) -> BilingualDictionary:
    pairs = tuple(pair for pair in dictionary.pairs if wanted(pair[0]))
    return BilingualDictionary(source=dictionary.source, target=dictionary.target, pairs=pairs)

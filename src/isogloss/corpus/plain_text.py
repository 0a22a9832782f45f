"""Make raw text plain before it is split: one spelling for what looks alike, and nothing that nobody sees.

Pages and PDF files hold letters in two parts (*e* and an accent), marks that turn the direction of writing, and places
where a line may break. None of these is a word or part of one, but a language model would learn their bytes, and a word
would have several spellings. Trees are in normalisation form C, so all raw text becomes that, for training as for
parsing.

Source: Unicode Standard Annexes 9 (bidirectional marks) and 15 (normalisation forms).
"""

import unicodedata

import regex

_UNSEEN = regex.compile(
    r"[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]"  # direction of writing
    r"|[\u2060-\u2064\u206A-\u206F\uFEFF]"  # word joiner, invisible signs, byte order mark
)
_BREAK = "\u200b"  # parts words in scripts without spaces, where it stands for one
# Soft hyphens and joiners belong to the letter, sign or picture before them, and are nothing where there is none.
_STRAY_JOINERS = regex.compile(
    r"(?<![\p{L}\p{M}\p{N}\p{Extended_Pictographic}\p{EMod}\p{RI}\u00AD\u200C\u200D])[\u00AD\u200C\u200D]++"
)

# Marks on one letter are brought into order by a sort whose time is the square of their number.
_MANY_MARKS = regex.compile(r"(\p{M}{200})")


def plain(text: str) -> str:
    """Write text in normalisation form C, without characters that nobody sees.

    What directs the writing or glues words together is left out, a zero-width space becomes a space. Soft hyphens and
    joiners stay inside words.

    >>> plain("cafe\\u0301\\u200f \\ufeffa\\u200bb")
    'café a b'
    """
    if text.isascii():
        return text
    text = _UNSEEN.sub("", text).replace(_BREAK, " ")
    pieces = _MANY_MARKS.split(_STRAY_JOINERS.sub("", text))
    return "".join(composed(piece) for piece in pieces)


def composed(text: str) -> str:
    """Write text in normalisation form C, in which trees are written; all characters stay.

    >>> len("e\u0301"), len(composed("e\u0301"))
    (2, 1)
    """
    return unicodedata.normalize("NFC", text)

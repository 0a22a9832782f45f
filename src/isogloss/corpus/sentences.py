"""Split running text of any script into sentences, by rule and without downloads.

A sentence ends at marks that Unicode calls sentence terminals (``.``, ``!``, ``?``, ``…``, ``।``, ``؟``), with the
quotes and brackets that close there, before white space; after the wide marks of Chinese and Japanese (``。``) without
it, too. As in Unicode's own rules, some periods end nothing: what follows begins with a small letter, or the period
belongs to an abbreviation (some are such before a number only), to an initial or, where ordinals are written so, to a
number. Line ends are white space; an empty line ends a paragraph, and so a sentence.
``python -m benchmarks.tokens`` measures the agreement with treebanks.

Source: Unicode Standard Annex 29, section 5. Abbreviations are those of `isogloss.corpus.tokens`.
"""

import functools
import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import regex

from isogloss.corpus.plain_text import plain
from isogloss.corpus.tokens import abbreviations_of, primary_code, rules_of

logger = logging.getLogger(__name__)

LONGEST_PARAGRAPH = 1 << 16
"""Characters that are held in memory: of a longer paragraph, sentences are handed on before it ends."""

LINES_JUDGED = 100
"""Lines by which it is judged whether line ends are those of sentences."""
FEWEST_LINES = 5
"""Lines that say something of the others."""

# A run of marks is read once, from its begin, and not given back: else a run that ends no sentence costs its square.
_CLOSERS = r"(?:\s?»)?[\p{Pe}\p{Pf}\"'»”’]*+"  # French leaves a space before its closing quotes
_MARKS = r"\p{STerm}…"
_ANY_MARK = regex.compile(rf"[{_MARKS}]")
_END = regex.compile(rf"(?:(?<![{_MARKS}])[{_MARKS}]++{_CLOSERS}\s++|[。！？｡]++{_CLOSERS})")
_OPENERS = r"[\p{Ps}\p{Pi}\"'«„“‘¿¡\-–—\s]*+"
# Georgian letters count as small ones, though sentences begin with them: their capitals are for headlines.
_BEGINS_SMALL = regex.compile(r"\P{L}*+[\p{Ll}--\p{Georgian}]", regex.V1)
_GOES_ON = regex.compile(rf"{_OPENERS}[\p{{Ll}}--\p{{Georgian}}]", regex.V1)
_WORD_BEFORE = regex.compile(r"[\p{L}\p{M}\p{N}.’'-]*$")
_ONE_LETTER = regex.compile(r"\s*\p{L}\.")
_DOUBLED = regex.compile(r"(\p{Lu})\1\.\s*(\p{Lu})\2\.")
_INITIALS = r"(?:\p{Lu}|(?:\p{L}\.-?)+\p{L})\."
_ORDINAL_LANGUAGES = (
    "cs",
    "da",
    "de",
    "et",
    "fi",
    "hr",
    "hu",
    "is",
    "kk",
    "lv",
    "nb",
    "nn",
    "no",
    "pl",
    "sk",
    "sl",
    "sv",
    "tr",
)


class RawSentence(NamedTuple):
    """A sentence as it stands in a text."""

    text: str
    """Line ends as they were, all else made `plain`."""
    line: int
    """Number of the line in which it begins, from 1."""
    opens_paragraph: bool


def split_sentences(text: str, *, language: str = "") -> list[str]:
    """Split a paragraph into sentences, whose sum is the paragraph.

    Args:
        text: Line ends in it are white space.
        language: Its code, which chooses the abbreviations.

    >>> split_sentences("Dr. Ito left at 5.30 p.m. on Monday. “Why?” he asked. J. K. knew!", language="en")
    ['Dr. Ito left at 5.30 p.m. on Monday. ', '“Why?” he asked. ', 'J. K. knew!']
    """
    pieces: list[str] = []
    begin = 0
    for found in _END.finditer(text):
        end = found.end()
        if end == len(text) or _GOES_ON.match(text, end):
            continue
        if found.group().rstrip() == "." and _keeps_its_period(text, begin, found.start(), end, language):
            continue
        pieces.append(text[begin:end])
        begin = end
    return [*pieces, text[begin:]] if begin < len(text) else pieces


def sentences_of(lines: Iterable[str], *, language: str = "") -> Iterator[RawSentence]:
    """Stream the sentences of running text, whose paragraphs are parted by empty lines.

    Args:
        lines: Without line ends.
        language: Its code.
    """
    text, first, opens = "", 1, True
    number = 0
    for number, line in enumerate(map(plain, lines), start=1):
        if not line.strip():
            yield from _numbered(split_sentences(text, language=language), first, opens)
            text, first, opens = "", number + 1, True
            continue
        text += line + "\n"
        if len(text) > LONGEST_PARAGRAPH:
            *whole, last = split_sentences(text, language=language)
            if len(last) > LONGEST_PARAGRAPH // 2:  # no end in sight
                whole, last = [*whole, last], ""
            yield from _numbered(whole, first, opens)
            text, first, opens = last, number + 1 - last.count("\n"), False
    yield from _numbered(split_sentences(text, language=language), first, opens)


def noticing_joined_lines(lines: Iterable[str], *, name: str) -> Iterator[str]:
    """Hand lines of running text on; warn once if they look as if each were a sentence, such as a list of headlines.

    Such lines have no mark that could end a sentence, and the next one does not begin with a small letter, as it would
    where a sentence goes on. Lines are judged as soon as there are `LINES_JUDGED` of them, else at the end.

    Args:
        lines: Without line ends.
        name: Of the file.
    """
    count = unmarked = small = 0
    for line in lines:
        if line.strip() and count < LINES_JUDGED:
            count += 1
            unmarked += not _ANY_MARK.search(line)
            small += bool(_BEGINS_SMALL.match(line))
            if count == LINES_JUDGED:
                _warn_if_joined(name, count, unmarked, small)
        yield line
    if count < LINES_JUDGED:
        _warn_if_joined(name, count, unmarked, small)


def _warn_if_joined(name: str, count: int, unmarked: int, small: int) -> None:
    """Warn if most lines lack a mark, where few of them begin with a small letter."""
    if count >= FEWEST_LINES and 4 * unmarked >= 3 * count and 4 * small <= count:
        logger.warning(
            "%s: %d of the first %d lines have no mark that ends a sentence, such as a full stop, and are joined to "
            "what follows. Expected running text. If every line is a sentence, say --lines.",
            name, unmarked, count,
        )  # fmt: skip


def _numbered(pieces: Iterable[str], line: int, opens: bool) -> Iterator[RawSentence]:
    for piece in pieces:
        yield RawSentence(piece, line, opens)
        line, opens = line + piece.count("\n"), False


def _keeps_its_period(text: str, begin: int, period: int, end: int, language: str) -> bool:
    """Whether a period belongs to the word before it, in the sentence that begins at `begin`; more begins at `end`."""
    found = _WORD_BEFORE.search(text, max(begin, period - 40), period)
    assert found, "the pattern matches the empty word"
    start, word = found.start(), found.group()
    in_pair = len(word) == 1 and _ONE_LETTER.match(text, period + 1)  # the first letter of "z. B." or "d. h."
    in_plural = len(word) == 2 and _DOUBLED.match(text, start)  # the first half of "EE. UU."
    always, before_number = _kept(language)
    numbered = text[end].isdecimal() and before_number.fullmatch(text, start, period + 1)
    return bool(in_pair or in_plural or numbered or always.fullmatch(text, start, period + 1))


@functools.cache
def _kept(language: str) -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    """Compile what a word with a period of its own looks like: anywhere, and before a number."""
    always, numbered = abbreviations_of(language)
    ordinals = [r"\p{N}{1,2}\."] if primary_code(language) in _ORDINAL_LANGUAGES else []
    detached = (regex.escape(word) + r"\." for word in rules_of(language).detached.split())
    anywhere = filter(None, [_INITIALS, *ordinals, always, *detached])
    return regex.compile("|".join(anywhere)), regex.compile(numbered)

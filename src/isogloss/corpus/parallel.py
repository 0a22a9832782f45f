"""Parallel text: sentences side by side with their translations.

Three forms are read, plain or compressed, streamed in constant memory:

- one file of lines ``source<TAB>target`` (`read_parallel`), which may have a third column of links ``i-j`` between
  words, places from 0;
- two files with a sentence a line, such as two Bibles, where equal line numbers belong together
  (`read_parallel_files`);
- links alone, ``sent_id<TAB>i-j i-j …``, for sentences that stand in treebanks (`read_links`, `join_by_id`).

Words are split as in raw text (`isogloss.corpus.raw_text`), so they are those that the language models know. Reading is
strict where raw text is forgiving: one line that is lost or cut wrongly sets all later pairs against each other.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike

from isogloss.corpus.plain_text import composed
from isogloss.corpus.raw_text import UTF16_MARKS, open_bytes
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.tokens import words_of_line
from isogloss.errors import TextError

Links = tuple[tuple[int, int], ...]
"""Places of words that translate each other, source first, counted from 0."""


@dataclass(frozen=True, slots=True)
class SentencePair:
    """A sentence and its translation."""

    source: Sentence
    target: Sentence
    links: Links | None = None
    """Which words belong together; None where nobody has said so."""

    @property
    def forms(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The written forms of both sides."""
        return self.source.forms, self.target.forms


def read_parallel(
    path: str | PathLike[str],
    *,
    source: str,
    target: str,
    tokenised: bool = False,
    links: bool = False,
    limit: int | None = None,
) -> Iterator[SentencePair]:
    """Stream the sentence pairs of a file of lines ``source<TAB>target``.

    Args:
        path: UTF-8, plain or compressed.
        source: Language code of the first column; it chooses the rules for splitting.
        target: Language code of the second column.
        tokenised: The words are already apart: split at white space alone.
        links: Read a third column of links as well. They count words, so the text is taken to be ``tokenised``.
        limit: Stop after this many pairs.

    Raises:
        TextError: The file cannot be read or is empty, or a line is not a pair of sentences. The message names the
            line.
    """
    tokenised, columns = tokenised or links, 3 if links else 2
    number = 0
    for number, line in enumerate(_strict_lines(path), start=1):
        if limit is not None and number > limit:
            return
        place = f"{os.fspath(path)}:{number}"
        parts = line.split("\t")
        if len(parts) != columns:
            raise _wrong_columns(place, parts, columns)
        one = _sentence(parts[0], language=source, tokenised=tokenised)
        other = _sentence(parts[1], language=target, tokenised=tokenised)
        for side, sentence in (("source", one), ("target", other)):
            if not len(sentence):
                raise TextError(
                    f"{place}: the {side} side has no words. Expected a sentence on both sides of the tab. Fill it "
                    "in, or remove the line."
                )
        found = _links(parts[2], place=place, lengths=(len(one), len(other))) if links else None
        yield SentencePair(one, other, found)
    if not number and limit != 0:
        raise TextError(
            f"{os.fspath(path)}: the file is empty. Expected lines source<TAB>target. Check that it is the right file."
        )


def read_parallel_files(
    source_path: str | PathLike[str],
    target_path: str | PathLike[str],
    *,
    source: str,
    target: str,
    tokenised: bool = False,
    skip_empty: bool = False,
    limit: int | None = None,
) -> Iterator[SentencePair]:
    """Stream the sentence pairs of two files, in which equal line numbers belong together.

    Args:
        source_path: UTF-8, plain or compressed, one sentence a line.
        target_path: Likewise, with as many lines.
        source: Language code of the first file.
        target: Language code of the second file.
        tokenised: The words are already apart.
        skip_empty: Pass over a line that is empty on one side, as where a Bible joins two verses or lacks one. A line
            that is empty on both sides is always passed over.
        limit: Stop after this many pairs. What follows is not read, so lines are not counted to the end.

    Raises:
        TextError: A file cannot be read, there is no pair, a line is empty on one side, or one file has more lines.
    """
    places = os.fspath(source_path), os.fspath(target_path)
    ones, others = _strict_lines(source_path), _strict_lines(target_path)
    found = number = 0
    while limit is None or found < limit:
        line, translation = next(ones, None), next(others, None)
        if line is None and translation is None:
            break
        if line is None or translation is None:
            counts = (
                number + (line is not None) + sum(1 for _ in ones),
                number + (translation is not None) + sum(1 for _ in others),
            )
            raise TextError(
                f"{places[0]} has {counts[0]} lines, but {places[1]} has {counts[1]}. Expected as many lines in both, "
                "since equal line numbers belong together. Check that none was lost, or that these are the right files."
            )
        number += 1
        one = _sentence(line, language=source, tokenised=tokenised)
        other = _sentence(translation, language=target, tokenised=tokenised)
        if len(one) and len(other):
            found += 1
            yield SentencePair(one, other)
        elif (len(one) or len(other)) and not skip_empty:
            empty, full = places if not len(one) else places[::-1]
            raise TextError(
                f"{empty}:{number}: the line is empty, but {full}:{number} is not. Expected a sentence and its "
                "translation. Fill it in, or use skip_empty = True."
            )
    if not found and limit != 0:
        raise TextError(
            f"{places[0]} and {places[1]}: there is no pair of sentences. Expected one sentence a line in both. Check "
            "that these are the right files."
        )


def read_links(path: str | PathLike[str]) -> dict[str, Links]:
    """Read a file of lines ``sent_id<TAB>i-j i-j …``: which words of two parallel trees belong together.

    Returns:
        The links of each sentence, by its id, in the order of the file. Lines that begin with ``#`` are comments.

    Raises:
        TextError: The file cannot be read, a line has another form, or an id stands twice.
    """
    links_by_id: dict[str, Links] = {}
    for number, line in enumerate(_strict_lines(path), start=1):
        if line.startswith("#"):
            continue
        place = f"{os.fspath(path)}:{number}"
        sent_id, tab, text = line.partition("\t")
        if not tab or not sent_id or "\t" in text:
            raise TextError(
                f"{place}: found {line.count(chr(9)) + 1} columns. Expected a sent_id, one tab and links such as 0-0 "
                "1-2. Mend the line."
            )
        if sent_id in links_by_id:
            raise TextError(
                f"{place}: the sent_id {sent_id} stands here a second time. Expected one line for each sentence. "
                "Remove one of the two."
            )
        links_by_id[sent_id] = _links(text, place=place)
    return links_by_id


def join_by_id(
    source: Iterable[Sentence], target: Iterable[Sentence], *, links: Mapping[str, Links] | None = None
) -> list[SentencePair]:
    """Pair the sentences of two treebanks that have the same comment ``# sent_id``, in the order of the first.

    Args:
        source: Trees of one language.
        target: Trees of the other.
        links: By sent_id, as `read_links` gives them. With it, only the sentences in it are paired.

    Raises:
        TextError: No sentence has a partner; or a link names a word that its sentence does not have.
    """
    target_by_id = {sentence.comment("sent_id"): sentence for sentence in target}
    pairs: list[SentencePair] = []
    for one in source:
        sent_id = one.comment("sent_id")
        if sent_id is None or sent_id not in target_by_id or (links is not None and sent_id not in links):
            continue
        other = target_by_id[sent_id]
        found = None if links is None else links[sent_id]
        for i, j in found or ():
            _check_link(i, j, place=f"Sentence {sent_id}", lengths=(len(one), len(other)))
        pairs.append(SentencePair(one, other, found))
    if not pairs:
        raise TextError(
            f"Parallel trees: of {len(target_by_id)} sent_id of the second treebank none stands in the first"
            f"{'' if links is None else ' and among the links'}. Expected two translations of one text. Check that "
            "these are the right files."
        )
    return pairs


def _strict_lines(path: str | PathLike[str]) -> Iterator[str]:
    """Stream lines without their ends; a byte order mark is dropped, and anything but UTF-8 is refused."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                if line.startswith(UTF16_MARKS):
                    raise TextError(
                        f"{os.fspath(path)}: the text is UTF-16. Expected UTF-8. Convert it, for example with iconv -f "
                        "UTF-16 -t UTF-8."
                    )
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                yield line.decode().rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise TextError(
                    f"{os.fspath(path)}:{number}: not UTF-8 (byte 0x{line[error.start]:02x} at position "
                    f"{error.start + 1}). Expected sentences in UTF-8. Convert the file, for example with iconv."
                ) from error


def _sentence(text: str, *, language: str, tokenised: bool) -> Sentence:
    """Split a line as `read_text` does; but words that are apart stay as many as they are, for links count them."""
    words = composed(text).split() if tokenised else words_of_line(text, language=language)
    return Sentence.of_forms(words, language=language)


def _links(text: str, *, place: str, lengths: tuple[int, int] | None = None) -> Links:
    """Read ``0-0 1-2``; with the lengths of both sentences given, links must stay inside."""
    links: list[tuple[int, int]] = []
    for item in text.split():
        i, dash, j = item.partition("-")
        if not (dash and i.isdecimal() and j.isdecimal()):
            raise TextError(
                f"{place}: found the link {item!r}. Expected two places of words, counted from 0, as in 0-2. Mend it."
            )
        if lengths is not None:
            _check_link(int(i), int(j), place=place, lengths=lengths)
        links.append((int(i), int(j)))
    return tuple(links)


def _check_link(i: int, j: int, *, place: str, lengths: tuple[int, int]) -> None:
    """Refuse a link that leaves its sentences."""
    if not (0 <= i < lengths[0] and 0 <= j < lengths[1]):
        raise TextError(
            f"{place}: the link {i}-{j} leaves the sentences, which have {lengths[0]} and {lengths[1]} words. Places "
            "count from 0. Check that links and words belong together."
        )


def _wrong_columns(place: str, parts: list[str], expected: int) -> TextError:
    """Say what is wrong with the number of columns, and what may be meant."""
    form = "source<TAB>target" if expected == 2 else "source<TAB>target<TAB>links such as 0-0 1-2"
    if len(parts) == 1:
        shown = parts[0] if len(parts[0]) <= 40 else parts[0][:40] + "…"
        return TextError(
            f"{place}: found no tab in {shown!r}. Expected a line {form}. Two files with a sentence a line become "
            "one by: paste SOURCE TARGET."
        )
    if len(parts) == 3 and expected == 2:
        advice = "If the third holds links such as 0-0 1-2, use links = True; else remove it."
    elif len(parts) == 2:
        advice = "Use links = False, or add the links."
    else:
        advice = "Remove the other columns."
    return TextError(f"{place}: found {len(parts)} columns. Expected a line {form}. {advice}")

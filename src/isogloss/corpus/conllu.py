"""Read and write CoNLL-U, the format of Universal Dependencies, without losing a byte.

A file that keeps to the format comes back exactly as it was: comments, empty nodes, multiword tokens and
all ten columns are kept as they stand. What would break a parser later is refused here, with the number
of the line: a head that points nowhere, a cycle, a second root. Two things outside the format are mended
rather than kept: superfluous blank lines, and a missing blank line at the end of the file.

The format: https://universaldependencies.org/format.html
"""

import os
import re
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import BinaryIO, TextIO

from isogloss.corpus.raw_text import open_bytes, write_whole
from isogloss.corpus.sentence import EmptyNode, MultiwordToken, Sentence, Word
from isogloss.corpus.treebank import Treebank
from isogloss.errors import ConlluError, OutputError

CHUNK_BYTES = 1 << 20
NUMBER = re.compile(r"0|[1-9][0-9]{0,99}")  # int() would also take 07, +7, 1_0 and digits of other scripts
RANGE = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")
EMPTY_ID = re.compile(r"(0|[1-9][0-9]{0,8})\.([1-9][0-9]{0,8})")
SMALL_NUMBERS = {str(number): number for number in range(256)}


def read_conllu(path: str | PathLike[str], *, language: str = "", require_trees: bool = False) -> tuple[Sentence, ...]:
    """Read a plain or compressed CoNLL-U file.

    Args:
        path: The file; .gz, .xz and .zst are recognised by content.
        language: The language to note in each sentence.
        require_trees: Refuse a word without head or relation.

    Raises:
        ConlluError: The file cannot be read or breaks the format. The message names file and line.
    """
    return tuple(iterate_conllu(path, language=language, require_trees=require_trees))


def iterate_conllu(path: str | PathLike[str], *, language: str = "", require_trees: bool = False) -> Iterator[Sentence]:
    """Stream the sentences of a CoNLL-U file in constant memory. See `read_conllu`."""
    name = os.fspath(path)
    with open_bytes(path, refuse=ConlluError) as file:
        yield from _sentences(_file_lines(file, name), name, language, require_trees)


def parse_conllu(
    text: str, *, language: str = "", name: str = "<text>", require_trees: bool = False
) -> tuple[Sentence, ...]:
    """Parse CoNLL-U that is already in memory; ``name`` takes the place of the file in messages."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return tuple(_sentences(enumerate(lines, start=1), name, language, require_trees))


def read_treebank(
    path: str | PathLike[str],
    *,
    language: str,
    split: str = "",
    name: str = "",
    licence: str = "",
    require_trees: bool = True,
) -> Treebank:
    """Read a CoNLL-U file as a `Treebank`, by default with a tree for every sentence."""
    sentences = read_conllu(path, language=language, require_trees=require_trees)
    return Treebank(sentences, language=language, split=split, name=name, licence=licence)


def format_sentence(sentence: Sentence) -> str:
    """Write a sentence as a CoNLL-U block, with the blank line that ends it.

    Raises:
        OutputError: The sentence has no words, or a column holds a tab or a line end.
    """
    if not sentence.words:
        raise OutputError("The sentence has no words. CoNLL-U needs one at least. Leave the sentence out.")
    lines = list(sentence.comments)
    tokens = {token.first: token for token in sentence.multiword_tokens}
    nodes: dict[int, list[EmptyNode]] = {}
    for node in sentence.empty_nodes:
        nodes.setdefault(node.after, []).append(node)
    if nodes:
        lines.extend(_node_line(node) for node in nodes.get(0, ()))
    for number, word in enumerate(sentence.words, start=1):
        if number in tokens:
            token = tokens[number]
            lines.append("\t".join((f"{token.first}-{token.last}", *token.columns)))
        head = "_" if word.head is None else str(word.head)
        deprel = "_" if word.deprel is None else word.deprel
        lines.append(
            f"{number}\t{word.form}\t{word.lemma}\t{word.upos}\t{word.xpos}\t{word.feats}\t{head}\t{deprel}\t"
            f"{word.deps}\t{word.misc}"
        )
        if nodes:
            lines.extend(_node_line(node) for node in nodes.get(number, ()))
    _refuse_stray_separators(lines, comments=len(sentence.comments))
    return "\n".join(lines) + "\n\n"


def write_conllu(sentences: Iterable[Sentence], target: str | PathLike[str] | TextIO) -> None:
    """Write sentences to a CoNLL-U file that is either absent or whole, or to an open text file.

    Args:
        sentences: May be a stream; reading and writing the same path is safe.
        target: A path, compressed if it ends in .gz, .xz or .zst; or an open file such as `sys.stdout`.

    Raises:
        OutputError: The file cannot be written (nothing is left behind), or a sentence cannot be.
    """
    if isinstance(target, str | PathLike):
        with write_whole(target) as file:
            for sentence in sentences:
                file.write(format_sentence(sentence).encode())
        return
    try:
        for sentence in sentences:
            target.write(format_sentence(sentence))
        target.flush()
    except BrokenPipeError:
        raise  # the reader at the other end has seen enough; the command line ends quietly
    except OSError as error:
        raise OutputError(
            f"{getattr(target, 'name', 'output')}: writing failed ({error.strerror or error}). Expected room "
            "for the trees. Free space or choose another place."
        ) from error


def _node_line(node: EmptyNode) -> str:
    return "\t".join((f"{node.after}.{node.index}", *node.columns))


def _refuse_stray_separators(lines: list[str], *, comments: int) -> None:
    """Refuse what would be read back as something else."""
    for place, line in enumerate(lines):
        if "\n" in line or line.endswith("\r") or (place >= comments and line.count("\t") != 9):
            raise OutputError(
                f"The line {line[:60]!r} holds a tab or a line end inside a column. Expected ten columns "
                "without either. Replace these characters by spaces."
            )


def _file_lines(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """Number and decode the lines of a file, a chunk at a time."""
    number, position, rest = 1, 0, b""
    while chunk := file.read(CHUNK_BYTES):
        whole, separator, tail = chunk.rpartition(b"\n")
        if not separator:
            rest += chunk
            continue
        lines = _decode(rest + whole, name, number, position).split("\n")
        yield from enumerate(lines, start=number)
        number += len(lines)
        position += len(rest) + len(whole) + 1
        rest = tail
    if rest:
        yield number, _decode(rest, name, number, position)


def _decode(content: bytes, name: str, number: int, position: int) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = number + content.count(b"\n", 0, error.start)
        raise ConlluError(
            f"{name}:{line}: byte {position + error.start} of the file is 0x{content[error.start]:02x}, "
            "which is not UTF-8 there. CoNLL-U is UTF-8. Convert the file, for example with iconv."
        ) from None


class _Broken(Exception):
    """Something wrong in a block of lines, ``place`` lines below its first."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


def _sentences(lines: Iterable[tuple[int, str]], name: str, language: str, require_trees: bool) -> Iterator[Sentence]:
    """Gather lines into blocks, and blocks into sentences; say where it went wrong."""
    block: list[str] = []
    first = 1
    found = False
    try:
        for number, line in lines:
            if line:
                if not block:
                    first = number
                block.append(line)
                if line[-1] == "\r" or (number == 1 and line[0] == "\ufeff"):
                    raise _Broken(number - first, _ENCODING_HABIT[line[-1] == "\r"])
            elif block:
                yield _read_block(block, language, require_trees)
                found = True
                block = []
        if block:
            yield _read_block(block, language, require_trees)
            found = True
    except _Broken as error:
        raise ConlluError(f"{name}:{first + error.place}: {error}") from None
    if not found:
        raise ConlluError(
            f"{name}:1: the file is empty: it holds no sentence. Expected CoNLL-U. Check that it is the right file."
        )


_ENCODING_HABIT = {
    True: "the line ends in CR LF. Lines of CoNLL-U end in LF alone. Convert the file, for example with dos2unix.",
    False: "the file starts with a byte order mark. CoNLL-U has none. Save the file as UTF-8 without it.",
}


def _read_block(lines: list[str], language: str, require_trees: bool) -> Sentence:
    """Make a sentence of its lines."""
    comments = 0
    while comments < len(lines) and lines[comments][0] == "#":
        comments += 1
    words: list[Word] = []
    places: list[int] = []  # of the words, in lines
    tokens: list[MultiwordToken] = []
    nodes: list[EmptyNode] = []
    for place in range(comments, len(lines)):
        columns = lines[place].split("\t")
        if len(columns) != 10:
            raise _Broken(place, _not_ten(lines[place], len(columns)))
        identity, form, lemma, upos, xpos, feats, head, deprel, deps, misc = columns
        if not form:
            raise _Broken(place, f"FORM of {identity} is empty. Expected a written word. Fill it in.")
        if identity == str(len(words) + 1):
            number = SMALL_NUMBERS.get(head)
            if number is None and head != "_":
                number = _large_number(head, place)
            relation = deprel if deprel != "_" else None
            words.append(Word(form, lemma, upos, xpos, feats, number, relation, deps, misc))
            places.append(place)
        elif match := RANGE.fullmatch(identity):
            tokens.append(_multiword_token(match, tokens, len(words), place, columns))
        elif match := EMPTY_ID.fullmatch(identity):
            nodes.append(_empty_node(match, tokens, nodes, len(words), place, columns))
        else:
            raise _Broken(
                place,
                f"ID is {identity!r}, but the word before it has ID {len(words)}. Expected {len(words) + 1}. "
                "Number the words 1, 2, 3 … in order.",
            )
    if not words:
        raise _Broken(0, "the block holds no words. Expected ten columns for each word. Remove the block.")
    if tokens and tokens[-1].last > len(words):
        token = tokens[-1]
        raise _Broken(
            next(place for place, line in enumerate(lines) if line.startswith(f"{token.first}-{token.last}\t")),
            f"the multiword token {token.first}-{token.last} goes on after the last word, {len(words)}. "
            "Expected words of this sentence. Correct the range.",
        )
    _check_tree(words, places, require_trees)
    return Sentence(tuple(words), language, tuple(lines[:comments]), tuple(tokens), tuple(nodes))


def _not_ten(line: str, found: int) -> str:
    if line.startswith("#"):
        return "a comment stands between words. Comments come before the first word. Move it there."
    if not line.strip():
        return "the line looks empty but holds white space. Expected nothing at all. Remove the white space."
    return (
        f"{found} columns. Expected 10, separated by tabs. Write _ for a value that is not there, and a "
        "blank line after each sentence."
    )


def _large_number(head: str, place: int) -> int:
    if not NUMBER.fullmatch(head):
        raise _Broken(place, f"HEAD is {head!r}. Expected a number, 0 for the root, or _ for none. Correct the column.")
    return int(head)


def _multiword_token(
    match: re.Match[str], tokens: list[MultiwordToken], words_before: int, place: int, columns: list[str]
) -> MultiwordToken:
    first, last = int(match[1]), int(match[2])
    if tokens and first <= tokens[-1].last:
        raise _Broken(
            place,
            f"the multiword token {first}-{last} overlaps {tokens[-1].first}-{tokens[-1].last}. "
            "A word belongs to one token at most. Correct the ranges.",
        )
    if first != words_before + 1 or last < first:
        raise _Broken(
            place,
            f"the multiword token {first}-{last} stands before word {words_before + 1}. Expected a range "
            "that starts with the next word. Correct the range or move the line.",
        )
    return MultiwordToken(first, last, tuple(columns[1:]))


def _empty_node(
    match: re.Match[str],
    tokens: list[MultiwordToken],
    nodes: list[EmptyNode],
    words_before: int,
    place: int,
    columns: list[str],
) -> EmptyNode:
    after, index = int(match[1]), int(match[2])
    expected = nodes[-1].index + 1 if nodes and nodes[-1].after == words_before else 1
    if (after, index) != (words_before, expected):
        raise _Broken(
            place,
            f"the empty node {after}.{index} is out of place. After word {words_before} comes "
            f"{words_before}.{expected}. Move or renumber the line.",
        )
    if tokens and tokens[-1].first == words_before + 1:
        raise _Broken(
            place,
            f"the empty node {after}.{index} stands between the multiword token {tokens[-1].first}-"
            f"{tokens[-1].last} and its first word. Expected it before the token. Exchange the lines.",
        )
    return EmptyNode(after, index, tuple(columns[1:]))


def _check_tree(words: list[Word], places: list[int], require_trees: bool) -> None:
    """Refuse heads that are no tree. Without ``require_trees``, a word may be without a head."""
    count = len(words)
    heads = [word.head for word in words]
    for place, (number, word) in zip(places, enumerate(words, start=1), strict=True):
        if word.head is not None and word.head > count:
            raise _Broken(
                place,
                f"HEAD is {word.head}, but the sentence has {count} words. Heads run from 0 (root) to {count}.",
            )
        if word.deprel is None or word.head is None:
            if require_trees:
                column = "HEAD" if word.head is None else "DEPREL"
                raise _Broken(place, f"{column} of word {number} is _. Expected a whole tree here. Annotate the word.")
        elif not word.deprel:
            raise _Broken(place, f"DEPREL of word {number} is empty. Expected a relation, or _ for none. Fill it in.")
    if heads.count(0) > 1:
        first, second = [number for number, head in enumerate(heads, start=1) if head == 0][:2]
        raise _Broken(
            places[second - 1],
            f"HEAD of word {second} is 0, but word {first} is the root already. A tree has one root. "
            "Attach one of them to a word.",
        )
    cycle = _find_cycle(heads)
    if 0 not in heads and None not in heads:
        path = " → ".join(map(str, cycle))
        raise _Broken(
            places[0],
            f"no word has HEAD 0 (the heads go round: {path}). A tree has one root. Give the root HEAD 0.",
        )
    if cycle:
        path = " → ".join(map(str, cycle))
        raise _Broken(
            places[cycle[0] - 1],
            f"the heads form a cycle: {path}. Every path of heads ends at the root, 0. Correct one of them.",
        )


def _find_cycle(heads: list[int | None]) -> list[int]:
    """Return the words of a cycle, its first word again at the end; or nothing. Takes linear time."""
    visited_from = [0] * (len(heads) + 1)  # the walk that came by, numbered by its first word
    for start in range(1, len(heads) + 1):
        number = start
        while number and not visited_from[number]:
            visited_from[number] = start
            number = heads[number - 1] or 0
        if number and visited_from[number] == start:
            cycle = [number]
            while (number := heads[number - 1] or 0) != cycle[0]:
                cycle.append(number)
            smallest = cycle.index(min(cycle))
            cycle = cycle[smallest:] + cycle[:smallest]
            return [*cycle, cycle[0]]
    return []

"""Read and write CoNLL-U, the format of Universal Dependencies, without losing a byte.

A file that keeps to the format comes back exactly as it was: comments, empty nodes, multiword tokens and
all ten columns are kept as they stand. What would break a parser later is refused here, with the number
of the line: a head that points nowhere, a cycle, a second root. Two things outside the format are mended
rather than kept: superfluous blank lines, and a missing blank line at the end of the file.

The format: https://universaldependencies.org/format.html
"""

from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import BinaryIO, TextIO

from isogloss.corpus.conllu_block import Broken, check_encoding, read_block
from isogloss.corpus.raw_text import Source, name_of, open_bytes, write_whole
from isogloss.corpus.sentence import EmptyNode, Sentence
from isogloss.corpus.treebank import Treebank
from isogloss.errors import ConlluError, OutputError

CHUNK_BYTES = 1 << 20
LONGEST_BLOCK = 100_000
"""Lines of a sentence. A file in which blank lines are missing is not gathered into memory beyond that."""
LONGEST_LINE = 1 << 24
"""Bytes of a line; likewise, of a file in which line ends are missing."""


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
    return (sentence for _, sentence in iterate_numbered(path, language=language, require_trees=require_trees))


def iterate_numbered(
    path: Source,
    *,
    language: str = "",
    require_trees: bool = False,
    on_fault: Callable[[ConlluError], None] | None = None,
) -> Iterator[tuple[int, Sentence]]:
    """Stream sentences, each with the number of its first line.

    Args:
        path: The file, or one that is open already.
        language: The language to note in each sentence.
        require_trees: Refuse a word without head or relation.
        on_fault: Told what is wrong with a sentence, which is then left out. Without it, the first fault is raised.

    Raises:
        ConlluError: The file cannot be read, holds no sentence, or breaks the format.
    """
    name = name_of(path)
    with open_bytes(path, refuse=ConlluError) as file:
        lines = _file_lines(file, name, lenient=on_fault is not None)
        yield from _sentences(lines, name, language, require_trees, on_fault)


def parse_conllu(
    text: str, *, language: str = "", name: str = "<text>", require_trees: bool = False
) -> tuple[Sentence, ...]:
    """Parse CoNLL-U that is already in memory; ``name`` takes the place of the file in messages."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return tuple(sentence for _, sentence in _sentences(enumerate(lines, start=1), name, language, require_trees))


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


def _file_lines(file: BinaryIO, name: str, *, lenient: bool = False) -> Iterator[tuple[int, str]]:
    """Number and decode the lines of a file, a chunk at a time; if `lenient`, whatever the bytes are."""
    number, position, rest = 1, 0, b""
    while chunk := file.read(CHUNK_BYTES):
        whole, separator, tail = chunk.rpartition(b"\n")
        if not separator:
            rest += chunk
            if len(rest) > LONGEST_LINE:
                raise ConlluError(
                    f"{name}:{number}: the line has more than {LONGEST_LINE:,} bytes. Expected ten columns of a word. "
                    f"Check that it is the right file."
                )
            continue
        lines = _decode(rest + whole, name, number, position, lenient).split("\n")
        yield from enumerate(lines, start=number)
        number += len(lines)
        position += len(rest) + len(whole) + 1
        rest = tail
    if rest:
        yield number, _decode(rest, name, number, position, lenient)


def _decode(content: bytes, name: str, number: int, position: int, lenient: bool) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if lenient:
            return content.decode(errors="surrogateescape")
        line = number + content.count(b"\n", 0, error.start)
        raise ConlluError(
            f"{name}:{line}: byte {position + error.start} of the file is 0x{content[error.start]:02x}, "
            "which is not UTF-8 there. CoNLL-U is UTF-8. Convert the file, for example with iconv."
        ) from None


def _sentences(
    lines: Iterable[tuple[int, str]],
    name: str,
    language: str,
    require_trees: bool,
    on_fault: Callable[[ConlluError], None] | None = None,
) -> Iterator[tuple[int, Sentence]]:
    """Gather lines into blocks, and blocks into sentences; say where it went wrong."""
    found = False
    for first, block in _blocks(lines):
        found = True
        try:
            if len(block) > LONGEST_BLOCK:
                raise Broken(
                    0,
                    f"the sentence that begins here has more than {LONGEST_BLOCK:,} lines. Expected a blank line after "
                    f"each sentence. Put them in.",
                )
            check_encoding(block, first)
            yield first, read_block(block, language, require_trees)
        except Broken as error:
            fault = ConlluError(f"{name}:{first + error.place}: {error}")
            if on_fault is None:
                raise fault from None
            on_fault(fault)
    if not found:
        raise ConlluError(
            f"{name}:1: the file is empty: it holds no sentence. Expected CoNLL-U. Check that it is the right file."
        )


def _blocks(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """Gather lines up to each empty one, with the number of the first; of too many, one more than there may be."""
    block: list[str] = []
    first, overlong = 1, False
    for number, line in lines:
        ends = line in ("", "\r")  # a file whose lines end in CR LF is not one block, only many broken ones
        if line and not overlong:
            first = first if block else number
            block.append(line)
        if block and (ends or len(block) > LONGEST_BLOCK):
            yield first, block
            block, overlong = [], not ends
        elif ends:
            overlong = False
    if block:
        yield first, block

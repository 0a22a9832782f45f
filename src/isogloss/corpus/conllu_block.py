"""One block of CoNLL-U, the lines between two empty ones, becomes a `Sentence`; or it is said which line is wrong.

Receives lines without their ends from `isogloss.corpus.conllu`, which knows file and line number.
"""

import re

from isogloss.corpus.sentence import EmptyNode, MultiwordToken, Sentence, Word

NUMBER = re.compile(r"0|[1-9][0-9]{0,99}")  # int() would also take 07, +7, 1_0 and digits of other scripts
RANGE = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")
EMPTY_ID = re.compile(r"(0|[1-9][0-9]{0,8})\.([1-9][0-9]{0,8})")
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what Python decodes such bytes to, if it is asked to go on
_WORD_LINE = re.compile(r"[0-9]+(?:[-.][0-9]+)?(?:\t[^\t]*){9}")
_KNOWN_COMMENT = re.compile(r"#\s*(?:sent_id|text)\s*=")
SMALL_NUMBERS = {str(number): number for number in range(256)}


class Broken(Exception):
    """Something wrong in a block of lines, ``place`` lines below its first."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


def is_conllu_line(line: str) -> bool:
    """Whether a line can hardly be anything but CoNLL-U: ten columns after an id, or a comment that sentences have."""
    return bool(_WORD_LINE.fullmatch(line) or _KNOWN_COMMENT.match(line))


def check_encoding(lines: list[str], first: int) -> None:
    """Refuse what editors and other systems do to files."""
    if first == 1 and lines[0][0] == "\ufeff":
        raise Broken(0, "the file starts with a byte order mark. CoNLL-U has none. Save the file as UTF-8 without it.")
    for place, line in enumerate(lines):
        if line[-1] == "\r":
            raise Broken(
                place,
                "the line ends in CR LF. Lines of CoNLL-U end in LF alone. Convert the file, for example with "
                "dos2unix.",
            )
        if not line.isascii() and (found := NOT_UTF8.search(line)):
            byte = ord(found.group()) - 0xDC00
            raise Broken(
                place,
                f"byte 0x{byte:02x} is not UTF-8 there. CoNLL-U is UTF-8. Convert the file, for example with iconv.",
            )


def read_block(lines: list[str], language: str, require_trees: bool) -> Sentence:
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
            raise Broken(place, _not_ten(lines[place], len(columns)))
        identity, form, lemma, upos, xpos, feats, head, deprel, deps, misc = columns
        if not form:
            raise Broken(place, f"FORM of {identity} is empty. Expected a written word. Fill it in.")
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
            raise Broken(
                place,
                f"ID is {identity!r}, but the word before it has ID {len(words)}. Expected {len(words) + 1}. "
                "Number the words 1, 2, 3 … in order.",
            )
    if not words:
        raise Broken(0, "the block holds no words. Expected ten columns for each word. Remove the block.")
    if tokens and tokens[-1].last > len(words):
        token = tokens[-1]
        raise Broken(
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
        raise Broken(place, f"HEAD is {head!r}. Expected a number, 0 for the root, or _ for none. Correct the column.")
    return int(head)


def _multiword_token(
    match: re.Match[str], tokens: list[MultiwordToken], words_before: int, place: int, columns: list[str]
) -> MultiwordToken:
    first, last = int(match[1]), int(match[2])
    if tokens and first <= tokens[-1].last:
        raise Broken(
            place,
            f"the multiword token {first}-{last} overlaps {tokens[-1].first}-{tokens[-1].last}. "
            "A word belongs to one token at most. Correct the ranges.",
        )
    if first != words_before + 1 or last < first:
        raise Broken(
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
        raise Broken(
            place,
            f"the empty node {after}.{index} is out of place. After word {words_before} comes "
            f"{words_before}.{expected}. Move or renumber the line.",
        )
    if tokens and tokens[-1].first == words_before + 1:
        raise Broken(
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
            raise Broken(
                place,
                f"HEAD is {word.head}, but the sentence has {count} words. Heads run from 0 (root) to {count}.",
            )
        if word.deprel is None or word.head is None:
            if require_trees:
                column = "HEAD" if word.head is None else "DEPREL"
                raise Broken(place, f"{column} of word {number} is _. Expected a whole tree here. Annotate the word.")
        elif not word.deprel:
            raise Broken(place, f"DEPREL of word {number} is empty. Expected a relation, or _ for none. Fill it in.")
    if heads.count(0) > 1:
        first, second = [number for number, head in enumerate(heads, start=1) if head == 0][:2]
        raise Broken(
            places[second - 1],
            f"HEAD of word {second} is 0, but word {first} is the root already. A tree has one root. "
            "Attach one of them to a word.",
        )
    cycle = _find_cycle(heads)
    if 0 not in heads and None not in heads:
        path = " → ".join(map(str, cycle))
        raise Broken(
            places[0],
            f"no word has HEAD 0 (the heads go round: {path}). A tree has one root. Give the root HEAD 0.",
        )
    if cycle:
        path = " → ".join(map(str, cycle))
        raise Broken(
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

"""Look at the beginning of a file, and read it from there all the same, though it be standard input."""

import io
import os
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any, BinaryIO

from isogloss.corpus.conllu_block import is_conllu_line
from isogloss.corpus.raw_text import Source, open_bytes, unpacked

LONGEST_LOOK = 1 << 20
"""Bytes that are looked at; so much memory the beginning may take."""
FEWEST_COLUMNS = 9
"""Of a first line that is taken for CoNLL-U: one less than there should be, so that it is said what is missing."""
_NUMBERED = re.compile(rb"[0-9]+(?:[-.][0-9]+)?\t")


def sign_of_conllu(lines: Sequence[bytes]) -> str:
    """Say why the first lines of a file are taken for CoNLL-U; nothing if they are taken for raw text.

    Args:
        lines: From `look_at_content`.
    """
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix(BOM_UTF8)
        columns = line.count(b"\t") + 1
        if line.startswith(b"#") and is_conllu_line(line.decode(errors="replace")):
            return f"line {number} is a comment as sentences of CoNLL-U have it"
        if not line.startswith(b"#") and columns >= FEWEST_COLUMNS and _NUMBERED.match(line):
            return f"line {number} has {columns} columns parted by tabs, the first of them a number"
    return ""


def look_at_content(path: str | PathLike[str]) -> tuple[list[bytes], Source]:
    """Return the lines up to the first that is neither empty nor a comment, and from where the whole file can be read.

    Args:
        path: Plain or compressed; ``-`` is standard input.

    Returns:
        The lines; and the path again or, for what can be read only once, an open file that begins at the beginning.

    Raises:
        TextError: The file is missing, a folder, not readable or damaged.
    """
    if fspath(path) != "-" and (os.path.isfile(path) or not os.path.exists(path) or os.path.isdir(path)):
        with open_bytes(path) as file:
            return _read_to_content(file), path
    standard = fspath(path) == "-"
    stream = sys.stdin.buffer if standard else open(path, "rb")  # noqa: SIM115 — closed with what is returned
    with open_bytes(unpacked(stream)) as file:  # type: ignore[arg-type]
        lines = _read_to_content(file)
    rejoined = _Rejoined(
        b"".join(lines), file, name="standard input" if standard else fspath(path), closes=not standard
    )
    return lines, io.BufferedReader(rejoined, 1 << 17)


def _read_to_content(file: BinaryIO) -> list[bytes]:
    """Read on to the first line with content; return all lines that were read."""
    seen: list[bytes] = []
    while sum(map(len, seen)) < LONGEST_LOOK and (line := file.readline(LONGEST_LOOK)):
        seen.append(line)
        bare = line.removeprefix(BOM_UTF8)  # only the first line of a file can have one
        if bare.strip() and not bare.startswith(b"#"):
            break
    return seen


class _Rejoined(io.RawIOBase):
    """Bytes that were read already, and then the rest of the file they came from."""

    def __init__(self, seen: bytes, rest: BinaryIO, *, name: str, closes: bool) -> None:
        self._seen, self._rest, self.name, self._closes = seen, rest, name, closes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._seen:
            # `read1` returns what there is, so that a sentence typed into a pipe need not wait for the next.
            self._seen = self._rest.read1(len(buffer))  # type: ignore[attr-defined]
        count = min(len(buffer), len(self._seen))
        buffer[:count], self._seen = self._seen[:count], self._seen[count:]
        return count

    def close(self) -> None:
        if self._closes:
            self._rest.close()
        super().close()

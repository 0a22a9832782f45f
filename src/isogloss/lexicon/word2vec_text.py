"""The word2vec text format, in which tools exchange word vectors: fastText, MUSE, VecMap, gensim, GloVe.

The first line says how many vectors follow and how long they are, ``N D``; GloVe leaves it out. Each further line is
a word and its D numbers, parted by single spaces::

    2 3
    casa 0.25 -1 0.5
    perro 1.5 0 -0.125

The module reads and writes such files; `Anchors.of_vectors` makes anchors of what was read.

Nearly all the time goes into turning digits into numbers. Plain decimal numbers are also JSON, and the JSON parser
that comes with pydantic turns them three times faster than numpy and ``float`` do. So blocks of lines are read that
way, and a block that it does not understand is read again line by line, slowly, which also finds what is wrong.
"""

import bz2
import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from pydantic_core import from_json
from torch import Tensor

from isogloss.corpus.raw_text import open_bytes
from isogloss.errors import OutputError, VectorsError


def read_word2vec_text(
    path: Path | str, *, max_types: int | None = None
) -> tuple[tuple[str, ...], Float32[Tensor, "types width"]]:
    """Read words and vectors, in the order of the file; each number is the float32 nearest to what is written.

    Args:
        path: UTF-8 text, plain or compressed by gzip, xz, zstd or bzip2. A space at the end of a line, as some tools
            leave it, is forgiven, and so is a first line that is already a vector, as in files of GloVe.
        max_types: Only the first so many vectors are read, for files far larger than needed.

    Raises:
        VectorsError: The file cannot be read or breaks the format; the message names the line.
    """
    path = Path(path)
    line_by_word: dict[str, int] = {}
    with open_bytes(path, refuse=VectorsError) as opened:
        lines = _without_bzip2(io.BufferedReader(opened, 1 << 18))  # type: ignore[arg-type]
        first = lines.readline()
        types, width = _read_header(first, place=f"{path}:1")
        wanted = islice(lines if types is not None else chain((first,), lines), max_types)
        number = 1 if types is None else 2  # of the line that comes next
        rows = _Rows(width)
        while block := list(islice(wanted, _BLOCK)):
            words, vectors = _read_block(block, width) or _read_lines(block, width, path=path, first=number)
            for word in words:
                if line_by_word.setdefault(word, number) != number:
                    raise VectorsError(
                        f"{path}:{number}: the word {word!r} stands already on line {line_by_word[word]}. Every "
                        "word has one vector. Remove one of the lines."
                    )
                number += 1
            rows.append(vectors)
    found = len(line_by_word)
    if types is not None and found != (types if max_types is None else min(types, max_types)):
        raise VectorsError(
            f"{path}:{found + 1}: the file ends with vector {found}, but its first line says {types} "
            "vectors. Copy the file again, or correct its first line."
        )
    return tuple(line_by_word), torch.from_numpy(rows.all())


def write_word2vec_text(path: Path | str, words: Sequence[str], vectors: Float[Tensor, "types width"]) -> None:
    """Write words and vectors with nine digits, from which every float32 is read back exactly.

    Raises:
        OutputError: A word contains a space or line break, which the format cannot hold, or writing fails.
    """
    for word in words:
        if not word or " " in word or "\n" in word:
            raise OutputError(
                f"{path}: the word {word!r} cannot be written. The format parts a word from its numbers by a "
                "space, so a word has no space or line break in it. Leave the word out."
            )
    values = vectors.detach().to("cpu", torch.float32).numpy()
    template = " ".join(["%.9g"] * values.shape[1])
    try:
        with Path(path).open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{len(words)} {values.shape[1]}\n")
            for word, row in zip(words, values, strict=True):
                file.write(f"{word} {template % tuple(row.tolist())}\n")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}). The folder must exist and have room. Choose another path."
        ) from error


_BLOCK = 128
"""Lines that are read together: few enough to stay in the processor's cache, many enough to share the overhead."""
_AS_JSON = bytes(byte if byte in b"0123456789+-.eE" else ord("," if byte == ord(" ") else "!") for byte in range(256))
"""What each byte of a line's numbers becomes: a space parts numbers, and what is in no number breaks the JSON."""


class _Rows:
    """Rows added to the end of one array, whatever the first line of a file promises."""

    def __init__(self, width: int) -> None:
        self._array, self._used = np.empty((0, width), dtype=np.float32), 0

    def append(self, rows: Float32[np.ndarray, "lines width"]) -> None:
        needed = self._used + len(rows)
        if needed > len(self._array):
            self._resize(max(needed, len(self._array) * 3 // 2))
        self._array[self._used : needed] = rows
        self._used = needed

    def all(self) -> Float32[np.ndarray, "types width"]:
        self._resize(self._used)
        return self._array

    def _resize(self, length: int) -> None:
        # In place: a copy would need twice the memory. Nothing else refers to the array.
        self._array.resize((length, self._array.shape[1]), refcheck=False)


def _without_bzip2(file: io.BufferedReader) -> io.BufferedReader:
    """Read through bzip2 where the first bytes ask for it; `open_bytes` has seen to the other compressions."""
    if not file.peek(3).startswith(b"BZh"):
        return file
    return io.BufferedReader(bz2.BZ2File(file))  # type: ignore[arg-type]


def _read_header(line: bytes, *, place: str) -> tuple[int | None, int]:
    """Read ``N D``; None and D of a line that is a vector."""
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() and len(field) < 10 for field in fields) and int(fields[1]) > 0:
        return int(fields[0]), int(fields[1])
    numbers = line.rstrip(b" \r\n").split(b" ")[1:]
    if len(numbers) > 1 and _read_block([line], len(numbers)):
        return None, len(numbers)
    shown = line[:40].decode("utf-8", errors="replace").rstrip()
    raise VectorsError(
        f"{place}: found {shown!r}. The first line gives the number of vectors and their width, like "
        "'50000 300', or is, as in GloVe files, a vector: a word and two or more finite numbers. Add such a line."
    )


def _read_block(lines: Sequence[bytes], width: int) -> tuple[Sequence[str], Float32[np.ndarray, "lines width"]] | None:
    """Read words and vectors of lines in which nothing is unusual; None if something is."""
    if any(len(line) < 2 * width for line in lines):
        return None  # too short for so many numbers: make no room for what the first line only promises
    words: list[str] = []
    rows = np.empty((len(lines), width))
    pack_row = struct.Struct(f"{width}d")
    try:
        for index, line in enumerate(lines):
            word, _, numbers = line.rstrip(b" \r\n").partition(b" ")
            words.append(word.decode("utf-8"))
            values = from_json(b"[%b]" % numbers.translate(_AS_JSON))
            pack_row.pack_into(rows.data, index * pack_row.size, *values)  # refuses a list of another length
    except (ValueError, OverflowError, struct.error):
        return None
    _restore_negative_zeros(rows, lines)
    vectors = _to_float32(rows, lines)
    return (words, vectors) if all(words) and np.isfinite(vectors).all() else None


def _restore_negative_zeros(rows: Float64[np.ndarray, "lines width"], lines: Sequence[bytes]) -> None:
    """Write −0 into the rows where a line says ``-0``: a whole number of JSON has no such zero."""
    if rows.all():
        return
    for index in np.flatnonzero((rows == 0).any(axis=1)).tolist():
        if b"-0" in lines[index]:
            texts = _fields(lines[index])[1:]
            for column in np.flatnonzero(rows[index] == 0).tolist():
                rows[index, column] = float(texts[column])


def _read_lines(
    lines: Sequence[bytes], width: int, *, path: Path, first: int
) -> tuple[Sequence[str], Float32[np.ndarray, "lines width"]]:
    """Read words and vectors line by line; the first line that breaks the format is named."""
    pairs = [_read_line(line, width=width, place=f"{path}:{first + index}") for index, line in enumerate(lines)]
    return [word for word, _ in pairs], np.stack([row for _, row in pairs])


def _read_line(line: bytes, *, width: int, place: str) -> tuple[str, Float32[np.ndarray, " width"]]:
    """Read a word and its numbers."""
    try:
        word, *numbers = _fields(line)
    except UnicodeDecodeError as error:
        raise VectorsError(
            f"{place}: not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start + 1}). A word and "
            f"{width} numbers in UTF-8 are expected. Convert the file, or remove the line."
        ) from error
    if not word or len(numbers) != width:
        raise VectorsError(
            f"{place}: found {len(numbers)} fields after the word {word!r}; the first line of the file says "
            f"{width} numbers. A word must not be empty or contain spaces. Correct or remove the line."
        )
    try:
        row = _to_float32(np.array([numbers], dtype=np.float64), [line])[0]
    except ValueError as error:
        raise VectorsError(
            f"{place}: a field after the word {word!r} is not a number ({error}). {width} numbers are "
            "expected. Correct or remove the line; a word must not contain spaces."
        ) from error
    if not np.isfinite(row).all():
        raise VectorsError(
            f"{place}: the vector of {word!r} holds {numbers[int(np.argmin(np.isfinite(row)))]}. Finite "
            "numbers in the range of float32 are expected. Correct or remove the line."
        )
    return word, row


def _to_float32(rows: Float64[np.ndarray, "lines width"], lines: Sequence[bytes]) -> Float32[np.ndarray, "lines width"]:
    """Round to float32 as if no float64 had been in between; what is too large becomes infinite.

    A decimal just above the middle of two neighbours in float32 may become that middle in float64, and would then be
    rounded to the even one, perhaps the lower. Such numbers, one in 500 million by chance, are compared with what is
    written.
    """
    with np.errstate(over="ignore"):
        rounded = rows.astype(np.float32)
    # A float64 has 29 binary digits more. Below the smallest normal float32 it has still more of them: look at all.
    in_doubt = (rows.view(np.int64) & 0x1FFF_FFFF) == 0x1000_0000
    in_doubt |= (np.abs(rows) < np.finfo(np.float32).smallest_normal) & (rows != 0)
    for line in np.flatnonzero(in_doubt.any(axis=1)).tolist():
        texts = _fields(lines[line])[1:]
        for column in np.flatnonzero(in_doubt[line]).tolist():
            middle = rows[line, column]
            written = Fraction(texts[column])
            if written != Fraction(middle):
                middle = np.nextafter(middle, np.inf if written > Fraction(middle) else -np.inf)
            with np.errstate(over="ignore"):
                rounded[line, column] = middle.astype(np.float32)
    return rounded


def _fields(line: bytes) -> list[str]:
    """Split a line into its word and numbers: at the space alone, since U+00A0 and others may be part of a word."""
    return line.decode("utf-8").rstrip(" \r\n").split(" ")

"""The word2vec text format, in which tools exchange word vectors: fastText, MUSE, VecMap, gensim.

The first line says how many vectors follow and how long they are, ``N D``. Each further line is a word and
its D numbers, parted by single spaces::

    2 3
    casa 0.25 -1 0.5
    perro 1.5 0 -0.125

The module reads and writes such files; `Anchors.of_vectors` makes anchors of what was read.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from isogloss.errors import OutputError, VectorsError


def read_word2vec_text(
    path: Path | str, *, max_types: int | None = None
) -> tuple[tuple[str, ...], Float32[Tensor, "types width"]]:
    """Read words and vectors, in the order of the file.

    Args:
        path: UTF-8 text. A space at the end of a line, as some tools leave it, is forgiven.
        max_types: Only the first so many lines are read, for files far larger than needed.

    Raises:
        VectorsError: The file cannot be read or breaks the format; the message names the line.
    """
    path = Path(path)
    words: dict[str, int] = {}
    rows: list[np.ndarray] = []
    try:
        with path.open("rb") as lines:
            types, width = _read_header(lines.readline(), place=f"{path}:1")
            for number, line in enumerate(islice(lines, max_types), start=2):
                word, row = _read_line(line, width=width, place=f"{path}:{number}")
                if word in words:
                    raise VectorsError(
                        f"{path}:{number}: the word {word!r} stands already on line {words[word]}. Every "
                        "word has one vector. Remove one of the lines."
                    )
                words[word] = number
                rows.append(row)
    except OSError as error:
        raise VectorsError(
            f"{path}: cannot be read ({error.strerror}). Expected word vectors in word2vec text format. Check the path."
        ) from error
    wanted = types if max_types is None else min(types, max_types)
    if len(rows) != wanted:
        raise VectorsError(
            f"{path}:{len(rows) + 1}: the file ends with vector {len(rows)}, but its first line says {types} "
            "vectors. Copy the file again, or correct its first line."
        )
    return tuple(words), torch.from_numpy(np.stack(rows) if rows else np.zeros((0, width), dtype=np.float32))


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


def _read_header(line: bytes, *, place: str) -> tuple[int, int]:
    """Read ``N D``."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields) or int(fields[1]) == 0:
        shown = line[:40].decode("utf-8", errors="replace").rstrip()
        raise VectorsError(
            f"{place}: found {shown!r}. The first line gives the number of vectors and their width, like "
            "'50000 300'. Add such a line, which GloVe files lack."
        )
    return int(fields[0]), int(fields[1])


def _read_line(line: bytes, *, width: int, place: str) -> tuple[str, np.ndarray]:
    """Read a word and its numbers."""
    try:
        # Split on the space alone: other white space, such as U+00A0, may be part of a word.
        word, *numbers = line.decode("utf-8").rstrip(" \r\n").split(" ")
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
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
            row = np.array(numbers, dtype=np.float64).astype(np.float32)
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

"""The vectors of a whole text in one safetensors file, written in memory that the text's length does not change.

A safetensors file begins with the name, shape and place of every tensor. So the text is read twice: once to count the
words of each line, once to encode it, and each tensor is written as soon as it is there.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.corpus.raw_text import read_lines, write_whole
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.elmo.streams import TextFile
from isogloss.errors import TextError

LARGEST_HEADER = 100_000_000
"""Bytes; readers of safetensors refuse a longer one."""
_NAMES = {torch.float32: "F32", torch.float16: "F16"}


def lines_with_words(text: TextFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that has any, with the line's number from 0."""
    for number, line in enumerate(read_lines(text.path)):
        if words := text.words(line):
            yield number, words


def count_words(text: TextFile) -> tuple[Sequence[int], Sequence[int]]:
    """Return the numbers of the lines that have words, and how many words each has.

    Raises:
        TextError: The text cannot be read.
    """
    counted = np.fromiter(
        (count for number, words in lines_with_words(text) for count in (number, len(words))), dtype=np.int64
    ).reshape(-1, 2)
    return counted[:, 0].tolist(), counted[:, 1].tolist()


def write_vectors(
    out: Path,
    text: TextFile,
    encode: Callable[[Iterable[Sentence]], Iterable[Float[Tensor, "words layers width"]]],
    *,
    layers: Sequence[int],
    width: int,
    lines: Sequence[int],
    lengths: Sequence[int],
    dtype: torch.dtype = torch.float32,
    on_sentence: Callable[[int], None] = lambda words: None,
) -> None:
    """Write one tensor for each line that has words, layers × words × width, named by the line's number from 0.

    Args:
        out: The file; until it is whole nothing stands there.
        text: What to encode. Its lines must be those that were counted.
        encode: Gives one tensor per sentence, all layers, in order.
        layers: Which of these layers are written.
        width: Of the vectors.
        lines: From `count_words`.
        lengths: From `count_words`.
        dtype: How numbers are stored: float32 or float16.
        on_sentence: Called after each sentence with the number of its words.

    Raises:
        TextError: The text cannot be read, has too many lines for one file, or changed after it was counted.
        OutputError: The file cannot be written. Nothing is left behind.
    """
    header = _header(text, layers, width, lines, lengths, dtype)
    with write_whole(out) as file:
        file.write(header)
        for vectors in encode(_as_counted(text, lines, lengths)):
            _write(file, vectors[:, list(layers)].transpose(0, 1).to(dtype))  # layers words width
            on_sentence(len(vectors))


def _as_counted(text: TextFile, lines: Sequence[int], lengths: Sequence[int]) -> Iterator[Sentence]:
    """Yield the sentences of a text; refuse to go on when they are not those that were counted."""
    found = lines_with_words(text)
    for line, length in zip(lines, lengths, strict=True):
        number, words = next(found, (-1, []))
        if (number, len(words)) != (line, length):
            raise _changed(text)
        yield Sentence.of_forms(words, language=text.language)
    if next(found, None) is not None:
        raise _changed(text)


def _changed(text: TextFile) -> TextError:
    return TextError(
        f"{text.path}: the file changed while it was read. Expected the same text to the end. Run the same command "
        f"again when nobody writes to it."
    )


def _header(
    text: TextFile,
    layers: Sequence[int],
    width: int,
    lines: Sequence[int],
    lengths: Sequence[int],
    dtype: torch.dtype,
) -> bytes:
    """Return what stands before the numbers: the header's length as eight bytes, and the header in JSON."""
    metadata = {"language": text.language, "layers": " ".join(map(str, layers))}
    parts = [f'{{"__metadata__":{json.dumps(metadata)}']
    end, size = 0, dtype.itemsize
    for line, length in zip(lines, lengths, strict=True):
        start, end = end, end + len(layers) * length * width * size
        shape = f"[{len(layers)},{length},{width}]"
        parts.append(f'"{line}":{{"dtype":"{_NAMES[dtype]}","shape":{shape},"data_offsets":[{start},{end}]}}')
    content = ",".join(parts).encode() + b"}"
    content += b" " * (-len(content) % 8)
    if len(content) > LARGEST_HEADER:
        raise TextError(
            f"{text.path}: {len(lines):,} lines with words. Expected at most about "
            f"{len(lines) * LARGEST_HEADER // len(content) // 1000 * 1000:,}: a safetensors file cannot name more "
            f"tensors. Split the text, for example with split -l 500000."
        )
    return len(content).to_bytes(8, "little") + content


def _write(file: IO[bytes], numbers: Tensor) -> None:
    array = numbers.contiguous().numpy()
    file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())

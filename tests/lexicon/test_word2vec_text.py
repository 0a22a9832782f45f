"""Word vectors travel to other tools and back without loss."""

import bz2
import gzip
import lzma
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from isogloss.errors import OutputError, VectorsError
from isogloss.lexicon.word2vec_text import read_word2vec_text, write_word2vec_text


def read(tmp_path, content: bytes, **options):
    (tmp_path / "es.vec").write_bytes(content)
    return read_word2vec_text(tmp_path / "es.vec", **options)


def test_a_small_file_reads_as_it_stands(tmp_path):
    words, vectors = read(tmp_path, "2 3\ncasa 0.25 -1 5e-1\na\u00a0b 1.5 0 -0.125 \r\n".encode())
    assert words == ("casa", "a\u00a0b")
    assert vectors.tolist() == [[0.25, -1, 0.5], [1.5, 0, -0.125]]
    assert vectors.dtype == torch.float32


def test_writing_gives_the_documented_bytes(tmp_path):
    write_word2vec_text(tmp_path / "es.vec", ["casa", "perro"], torch.tensor([[0.25, -1], [1.5, 0]]))
    assert (tmp_path / "es.vec").read_bytes() == b"2 2\ncasa 0.25 -1\nperro 1.5 0\n"


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_float32_comes_back_exactly(tmp_path, values):
    vectors = torch.tensor([values], dtype=torch.float32)
    write_word2vec_text(tmp_path / "es.vec", ["casa"], vectors)
    _, again = read_word2vec_text(tmp_path / "es.vec")
    assert np.array_equal(again.numpy().view(np.int32), vectors.numpy().view(np.int32))  # bit by bit, −0 too


def test_only_the_first_types_are_read_when_asked(tmp_path):
    words, vectors = read(tmp_path, b"3 1\na 1\nb 2\nbroken\n", max_types=2)
    assert (words, vectors.tolist()) == (("a", "b"), [[1], [2]])


def test_a_file_without_vectors_reads_as_such(tmp_path):
    words, vectors = read(tmp_path, b"0 3\n")
    assert (words, vectors.shape) == ((), (0, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"es.vec:1: found ''\. The first line gives the number of vectors"),
        (b"casa 1\n", r"es.vec:1: found 'casa 1'.*GloVe"),
        (b"casa 1 nan\n", r"es.vec:1: found 'casa 1 nan'.*finite numbers"),
        (b"1 0\n", r"es.vec:1: found '1 0'"),
        (b"1234567890 2\n", r"es.vec:1: found '1234567890 2'"),
        (b"2 999999999\na 1 2\n", r"es.vec:2: found 2 fields after the word 'a'; .* says 999999999 numbers"),
        (b"1 2\na 1,2\n", r"es.vec:2: found 1 fields after the word 'a'"),
        (b"1 2\na 1,2 3\n", r"es.vec:2: a field after the word 'a' is not a number"),
        (b"1 2\na [1] 3\n", r"es.vec:2: a field after the word 'a' is not a number"),
        (b"1 2\na 1 true\n", r"es.vec:2: a field after the word 'a' is not a number"),
        (b"1 2\na 1  2\n", r"es.vec:2: found 3 fields after the word 'a'"),
        (b"1 1\na 3.40282356779733661637539395458142568448e38\n", r"es.vec:2: the vector of 'a' holds 3.40282356"),
        (b"1 3\na 1 2 " + b"9" * 400 + b"\n", r"es.vec:2: the vector of 'a' holds 9999"),
        (b"2 2\na 1 2\nb 1\n", r"es.vec:3: found 1 fields after the word 'b'; .* says 2 numbers"),
        (b"1 2\nNew York 1 2\n", r"es.vec:2: found 3 fields after the word 'New'.*contain spaces"),
        (b"1 2\n 1 2\n", r"es.vec:2: found 2 fields after the word ''"),
        (b"1 2\nNew York 2\n", r"es.vec:2: a field after the word 'New' is not a number"),
        (b"1 2\na 1 nan\n", r"es.vec:2: the vector of 'a' holds nan"),
        (b"1 2\na 1 -inf\n", r"es.vec:2: the vector of 'a' holds -inf"),
        (b"1 2\na 1e99 1\n", r"es.vec:2: the vector of 'a' holds 1e99"),
        (b"2 1\na 1\na 2\n", r"es.vec:3: the word 'a' stands already on line 2"),
        (b"3 1\na 1\nb 2\n", r"es.vec:3: the file ends with vector 2, but its first line says 3"),
        (b"1 1\na 1\nb 2\n", r"es.vec:3: the file ends with vector 2, but its first line says 1"),
        (b"1 1\ncaf\xe9 1\n", r"es.vec:2: not UTF-8 \(byte 0xe9 at position 4\)"),
    ],
)
def test_a_broken_line_is_named(tmp_path, content, message):
    with pytest.raises(VectorsError, match=message):
        read(tmp_path, content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VectorsError, match=r"none.vec: there is no such file"):
        read_word2vec_text(tmp_path / "none.vec")


@pytest.mark.parametrize("word", ["New York", "", "a\nb"])
def test_words_that_would_not_come_back_are_not_written(tmp_path, word):
    with pytest.raises(OutputError, match=r"parts a word from its numbers by a space"):
        write_word2vec_text(tmp_path / "es.vec", [word], torch.ones(1, 2))


def test_an_unwritable_place_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"es.vec: cannot be written"):
        write_word2vec_text(tmp_path / "none" / "es.vec", ["a"], torch.ones(1, 2))


def nearest_float32(text: str) -> float:
    """Round the slow way: of the neighbours in float32 the nearest, of two equally near the even one."""
    written = Fraction(text)
    guess = np.float32(float(text))
    with np.errstate(over="ignore"):
        around = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    nearest = min(
        (abs(Fraction(float(value)) - written), int(value.view(np.int32)) & 1, value)
        for value in around
        if np.isfinite(value)
    )
    return math.copysign(float(nearest[2]), -1 if text.startswith("-") else 1)


def read_slowly(content: bytes) -> dict[str, list[float]]:
    """Read a well-formed file with nothing but the documented format in mind."""
    first, *lines = content.decode().removesuffix("\n").split("\n")
    vectors = {}
    for line in lines:
        word, *numbers = line.rstrip(" \r").split(" ")
        vectors[word] = [nearest_float32(number) for number in numbers]
    assert first == f"{len(vectors)} {len(numbers)}"
    return vectors


def middle_and_more(bits: int, tail: str) -> str:
    """Write the exact middle between two neighbours in float32, and perhaps a little more."""
    low = np.int32(bits).view(np.float32)
    high = np.nextafter(low, np.float32(np.inf))
    middle = (Fraction(float(low)) + Fraction(float(high))) / 2
    places = middle.denominator.bit_length() - 1
    digits = str(middle.numerator * 5**places).rjust(places + 1, "0")
    return (
        f"{digits[:-places] or '0'}.{digits[len(digits) - places :]}{tail}" if places else digits + "." + (tail or "0")
    )


plain_numbers = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e30, 1e30).map(repr),
    st.floats(-1e-37, 1e-37).map(lambda value: f"{value:.20e}"),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["-0", "0", "-0.0", "-0e0", "+1", ".5", "-.5", "1.", "1E5", "007", "1e-400", "-1e-0"]),
    st.builds(middle_and_more, st.integers(0, 0x7F00_0000), st.sampled_from(["", "0", "0" * 40 + "1"])),
)


@given(st.lists(st.lists(plain_numbers, min_size=3, max_size=3), min_size=1, max_size=6))
@example([["-0", "1e-0", "-0.5"], ["-0.25", "0", "-0"]])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_number_is_the_nearest_float32(tmp_path, rows):
    lines = [f"palabra\u00a0{index} {' '.join(row)}" for index, row in enumerate(rows)]
    content = "\n".join([f"{len(rows)} 3", *lines, ""]).encode()
    expected = read_slowly(content)
    words, vectors = read(tmp_path, content)
    assert list(words) == list(expected)
    slowly = np.array(list(expected.values()), dtype=np.float32)
    assert np.array_equal(vectors.numpy().view(np.int32), slowly.view(np.int32))  # bit by bit, −0 too


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("1.000000059604644775390625", 0x3F800000),  # the exact middle: to the even neighbour
        ("1.0000000596046447753906250000000000000001", 0x3F800001),  # the same float64, but above the middle
        ("1.0000001788139343261718749999999999999999", 0x3F800001),  # below the next middle, whose even one is above
        ("-1.0000000596046447753906250000000000000001", 0xBF800001),
        ("3.40282356779733661637539395458142568447e38", 0x7F7FFFFF),  # just below the middle of largest and infinite
        ("7.006492321624085354618647916449580656e-46", 0),  # just below half of the smallest number there is
        ("7.006492321624085354618647916449580657e-46", 1),
    ],
)
def test_numbers_are_rounded_once(tmp_path, text, bits):
    _, vectors = read(tmp_path, f"1 1\na {text}\n".encode())
    assert int(vectors.numpy().view(np.uint32)[0, 0]) == bits


def many(lines: int) -> bytes:
    return b"".join(b"w%d %d 0.5\n" % (index, index) for index in range(lines))


def test_a_file_of_many_blocks_is_read_whole(tmp_path):
    words, vectors = read(tmp_path, b"1000 2\n" + many(1000))
    assert words == tuple(f"w{index}" for index in range(1000))
    assert torch.equal(vectors, torch.stack([torch.arange(1000.0), torch.full((1000,), 0.5)], dim=1))


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (b"w3 1 1\n", r"es.vec:1002: the word 'w3' stands already on line 5"),
        (b"x 1\n", r"es.vec:1002: found 1 fields after the word 'x'"),
        (b"", r"es.vec:1001: the file ends with vector 1000, but its first line says 1001"),
    ],
)
def test_a_late_line_is_named_too(tmp_path, last, message):
    with pytest.raises(VectorsError, match=message):
        read(tmp_path, b"1001 2\n" + many(1000) + last)


def test_only_the_first_types_are_read_of_many_blocks(tmp_path):
    words, vectors = read(tmp_path, b"1000 2\n" + many(900) + b"broken\n", max_types=300)
    assert (len(words), vectors.shape, vectors[299].tolist()) == (300, (300, 2), [299, 0.5])


def test_an_unusual_line_leaves_its_neighbours_as_they_are(tmp_path):
    words, vectors = read(tmp_path, b"3 2\na 1 2\nb +.5 1e-0\nc 3 -0\n")
    assert (words, vectors.tolist()) == (("a", "b", "c"), [[1, 2], [0.5, 1], [3, 0]])
    assert math.copysign(1, vectors[2, 1]) == -1


def test_the_first_line_of_glove_is_a_vector(tmp_path):
    words, vectors = read(tmp_path, b"the 0.25 -1\nof 1 2\n")
    assert (words, vectors.tolist()) == (("the", "of"), [[0.25, -1], [1, 2]])
    words, _ = read(tmp_path, b"the 0.25 -1\nof 1 2\n", max_types=1)
    assert words == ("the",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the 0.25 -1\nof 1\n", r"es.vec:2: found 1 fields after the word 'of'"),
        (b"the 0.25 -1\nthe 1 2\n", r"es.vec:2: the word 'the' stands already on line 1"),
    ],
)
def test_a_broken_line_of_glove_is_named(tmp_path, content, message):
    with pytest.raises(VectorsError, match=message):
        read(tmp_path, content)


COMPRESSIONS = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
    "bz2": bz2.compress,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_compressed_files_are_read(tmp_path, kind):
    words, vectors = read(tmp_path, COMPRESSIONS[kind](b"2 1\na 1\nb 2\n"))
    assert (words, vectors.tolist()) == (("a", "b"), [[1], [2]])


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_compressed_file_without_its_end_is_refused(tmp_path, kind):
    whole = COMPRESSIONS[kind](b"1000 2\n" + many(1000))
    with pytest.raises(VectorsError, match=r"es.vec: the compressed file is damaged or cut short"):
        read(tmp_path, whole[: len(whole) // 2])


def test_damaged_bzip2_is_refused(tmp_path):
    whole = bytearray(bz2.compress(b"1000 2\n" + many(1000)))
    whole[12] ^= 0xFF  # a part of the checksum
    with pytest.raises(VectorsError, match=r"es.vec: reading failed \(Invalid data stream\)"):
        read(tmp_path, bytes(whole))

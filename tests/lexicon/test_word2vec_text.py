"""Word vectors travel to other tools and back without loss."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
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
        (b"casa 1 2\n", r"es.vec:1: found 'casa 1 2'.*GloVe"),
        (b"1 0\n", r"es.vec:1: found '1 0'"),
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
    with pytest.raises(VectorsError, match=r"none.vec: cannot be read \(No such file"):
        read_word2vec_text(tmp_path / "none.vec")


@pytest.mark.parametrize("word", ["New York", "", "a\nb"])
def test_words_that_would_not_come_back_are_not_written(tmp_path, word):
    with pytest.raises(OutputError, match=r"parts a word from its numbers by a space"):
        write_word2vec_text(tmp_path / "es.vec", [word], torch.ones(1, 2))


def test_an_unwritable_place_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"es.vec: cannot be written"):
        write_word2vec_text(tmp_path / "none" / "es.vec", ["a"], torch.ones(1, 2))

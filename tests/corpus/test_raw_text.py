"""Raw text survives small damage, and large damage is refused."""

import gzip
import logging
import lzma
import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.raw_text import open_text, read_lines, read_text, write_lines, write_whole
from isogloss.errors import OutputError, TextError

COMPRESSORS = {
    "plain": bytes,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
}


@pytest.fixture
def text_file(tmp_path):
    def make(content: str | bytes, name: str = "text.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


# Lines


@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize("name", ["text.txt", "text.gz"])
def test_compression_is_recognised_by_content(text_file, kind, name):
    path = text_file(COMPRESSORS[kind]("Año\nnuevo\n".encode()), name)
    assert list(read_lines(path)) == ["Año", "nuevo"]


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_several_compressed_parts_in_one_file_are_read_on(text_file, kind):
    path = text_file(COMPRESSORS[kind](b"one\n") + COMPRESSORS[kind](b"two\n" * 100_000))
    assert sum(1 for _ in read_lines(path)) == 100_001


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_compressed_file_cut_short_is_refused(text_file, kind, kept):
    content = COMPRESSORS[kind](os.urandom(300_000).hex().encode())
    path = text_file(content[: int(len(content) * kept)])
    with pytest.raises(TextError, match=r"text\.txt: the compressed file is damaged or cut short.*Copy"):
        list(read_lines(path))


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_a_compressed_file_with_wrong_bytes_is_refused(text_file, kind):
    content = bytearray(COMPRESSORS[kind](os.urandom(3000).hex().encode()))
    content[40:60] = bytes(20)
    with pytest.raises(TextError, match=r"text\.txt: the compressed file is damaged"):
        list(read_lines(text_file(bytes(content))))


def test_only_line_feeds_end_lines(text_file):
    line = "a\u0085b\u2028c\x0bd\x1ce\rf"
    assert list(read_lines(text_file(f"{line}\r\n{line}"))) == [line, line]


def test_a_byte_order_mark_is_dropped(text_file):
    assert list(read_lines(text_file("\ufeffa\n\ufeffb"))) == ["a", "\ufeffb"]


def test_malformed_utf8_survives_and_is_logged_once(text_file, caplog):
    path = text_file(b"good \xef\xbf\xbd\n" + "año\nniño y niña\n".encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        lines = list(read_lines(path))
    assert lines == ["good �", "a�o", "ni�o y ni�a"]
    assert len(caplog.records) == 1
    assert "text.txt:2: malformed UTF-8" in caplog.text
    assert "3 places in 2 lines" in caplog.text


def test_well_formed_text_is_not_logged(text_file, caplog):
    list(read_lines(text_file("niño �\n")))
    assert not caplog.records


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_refused(text_file, encoding):
    with pytest.raises(TextError, match=r"the text is UTF-16\. Expected UTF-8\. Convert it"):
        list(read_lines(text_file("\ufeffa\n".encode(encoding))))


def test_open_text_gives_lines_without_mark(text_file):
    with open_text(text_file(gzip.compress("\ufeffaño\u2028x\ny\n".encode()))) as file:
        assert list(file) == ["año\u2028x\n", "y\n"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.txt", r"none\.txt: there is no such file\. Expected a file"),
        (".", r"this is a folder\. Expected"),
    ],
)
def test_a_missing_file_and_a_folder_are_refused(tmp_path, name, message):
    with pytest.raises(TextError, match=message):
        list(read_lines(tmp_path / name))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied"),
            r"text\.txt: permission denied\. Expected a file that you may",
        ),
        (OSError(5, "Input/output error"), r"text\.txt: reading failed \(Input/output error\)\. Expected"),
    ],
)
def test_a_file_that_the_system_withholds_is_refused(text_file, monkeypatch, error, message):
    path = text_file("a")

    def withhold(*_):
        raise error

    monkeypatch.setattr("builtins.open", withhold)
    with pytest.raises(TextError, match=message):
        list(read_lines(path))


# Sentences


def test_each_line_is_a_sentence_and_empty_lines_are_skipped(text_file):
    path = text_file("\nUno, dos.\n  \n\tTres\n")
    sentences = list(read_text(path, language="es"))
    assert [sentence.forms for sentence in sentences] == [("Uno", ",", "dos", "."), ("Tres",)]
    assert {sentence.language for sentence in sentences} == {"es"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ("De", "el", "Mar", ".")),
        ({"contractions": False}, ("Del", "Mar", ".")),
        ({"lowercase": True}, ("de", "el", "mar", ".")),
        ({"tokenised": True}, ("Del", "Mar.")),
        ({"tokenised": True, "lowercase": True}, ("del", "mar.")),
    ],
)
def test_options_choose_what_becomes_of_a_line(text_file, options, words):
    (sentence,) = read_text(text_file("Del Mar.\n"), language="es", **options)
    assert sentence.forms == words


def test_text_that_is_not_composed_gives_composed_words(text_file):
    sentences = read_text(text_file("\u200fCafe\u0301\u200b\n\u200b\u200e\nUno\n"), language="es")
    assert [sentence.forms for sentence in sentences] == [("Café",), ("Uno",)]


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (2, 2), (9, 3), (None, 3)])
def test_the_limit_counts_sentences(text_file, limit, found):
    path = text_file("a\n\nb\nc\n")
    assert len(list(read_text(path, language="en", limit=limit))) == found


@pytest.mark.parametrize("tokenised", [True, False])
def test_a_very_long_word_survives(text_file, tokenised):
    word = "x" * 100_000
    (sentence,) = read_text(text_file(f"{word} y"), language="en", tokenised=tokenised)
    assert sentence.forms == (word, "y")


@pytest.mark.parametrize("content", ["", "\n\n", " \t \n"])
def test_a_file_without_words_is_refused(text_file, content):
    with pytest.raises(TextError, match=r"text\.txt: there are no words in this file\. Expected text"):
        list(read_text(text_file(content), language="en"))


# Writing

lines_without_ends = st.lists(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n")).filter(
        lambda line: not line.endswith("\r")
    )
)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
@settings(max_examples=20, deadline=None)  # the disk takes its time
@given(lines=lines_without_ends)
def test_what_is_written_is_read_back(tmp_path_factory, suffix, lines):
    if lines and lines[0].startswith("\ufeff"):
        lines = ["", *lines]  # a mark at the very start is dropped on purpose
    path = tmp_path_factory.mktemp("round") / f"text{suffix}"
    write_lines(lines, path)
    assert list(read_lines(path)) == lines


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_the_same_lines_give_the_same_compressed_bytes(tmp_path, suffix, monkeypatch):
    write_lines(["a", "b"], tmp_path / f"one{suffix}")
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_lines(["a", "b"], tmp_path / f"two{suffix}")
    first, second = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != b"a\nb\n"


def test_a_stream_that_fails_leaves_nothing(tmp_path):
    def stream():
        yield "a"
        raise TextError("the source ended")

    with pytest.raises(TextError, match="the source ended"):
        write_lines(stream(), tmp_path / "text.gz")
    assert not list(tmp_path.iterdir())


def test_a_link_stays_a_link_and_permissions_stay(tmp_path):
    (tmp_path / "real").write_text("old\n")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_lines(["new"], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new\n"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_reported_with_its_path(tmp_path):
    message = r"none/text: writing failed \(No such file or directory\)\. Expected a folder that exists"
    with pytest.raises(OutputError, match=message), write_whole(tmp_path / "none" / "text"):
        pass

"""The beginning of a file can be looked at, and nothing of the file is lost: not even of standard input."""

import gzip
import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus import beginning
from isogloss.corpus.beginning import look_at_content, sign_of_conllu
from isogloss.corpus.raw_text import name_of, open_bytes


def use_as_standard_input(monkeypatch, content: bytes) -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))  # type: ignore[arg-type]
    monkeypatch.setattr(beginning.sys, "stdin", stdin)


CONTENT = b"\n# a comment\n\n1\tone\n2\ttwo\n"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input_is_whole_after_the_look(monkeypatch, compress):
    use_as_standard_input(monkeypatch, compress(CONTENT))
    lines, source = look_at_content("-")
    assert b"".join(lines) == b"\n# a comment\n\n1\tone\n"
    assert name_of(source) == "standard input"
    with open_bytes(source) as file:
        assert file.read() == CONTENT


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_file_is_named_again(tmp_path, compress):
    (tmp_path / "file").write_bytes(compress(CONTENT))
    lines, source = look_at_content(tmp_path / "file")
    assert (lines[-1], source) == (b"1\tone\n", tmp_path / "file")


def test_a_byte_order_mark_hides_no_comment(tmp_path):
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf# a comment\n1\tone\n")
    assert look_at_content(tmp_path / "file")[0][-1] == b"1\tone\n"


def test_a_pipe_with_a_name_is_read_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CONTENT,))
    writer.start()
    lines, source = look_at_content(path)
    with open_bytes(source) as file:
        assert (lines[-1], file.read()) == (b"1\tone\n", CONTENT)
    writer.join()
    source.close()


@given(st.lists(st.sampled_from([b"\n", b"#c\n", b" \n", b"word\n", b"w", b"\xff\n"])).map(b"".join))
def test_whatever_is_read_begins_with_what_was_seen(content):
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_as_standard_input(monkeypatch, content)
        lines, source = look_at_content("-")
        with open_bytes(source) as file:
            assert file.read() == content
    with_content = [part for part in io.BytesIO(content) if part.strip() and not part.startswith(b"#")]
    assert lines[-1:] == with_content[:1] or not with_content
    assert content.startswith(b"".join(lines))


TEN = b"La" + b"\t_" * 8 + b"\n"


@pytest.mark.parametrize(
    ("lines", "sign"),
    [
        ([b"\n", b"# newpar\n", b"1\t" + TEN], "line 3 has 10 columns parted by tabs, the first of them a number"),
        ([b"\xef\xbb\xbf1-2\t" + TEN], "line 1 has 10 columns parted by tabs, the first of them a number"),
        ([b"1\tx" + b"\t_" * 7], "line 1 has 9 columns parted by tabs, the first of them a number"),
        ([b"# text = La casa\n", b"1 La la DET\n"], "line 1 is a comment as sentences of CoNLL-U have it"),
        ([b"#sent_id=3"], "line 1 is a comment as sentences of CoNLL-U have it"),
        ([b"1 La la DET _ _ 2 det _ _\n"], ""),
        ([b"a\t" + TEN], ""),
        ([b"7\tA line of the Leipzig corpora.\n"], ""),
        ([b"# a heading\n", b"text\n"], ""),
        ([], ""),
    ],
)
def test_the_first_lines_tell_what_a_file_is(lines, sign):
    assert sign_of_conllu(lines) == sign

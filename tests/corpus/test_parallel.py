"""Parallel text: what is read, and what is refused by file and line."""

import gzip
import lzma
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.invented import FamilySettings, parallel_sentences, write_family
from isogloss.corpus.parallel import SentencePair, join_by_id, read_links, read_parallel, read_parallel_files
from isogloss.corpus.raw_text import read_text
from isogloss.corpus.sentence import Sentence, Word
from isogloss.errors import TextError

COMPRESSORS = {
    "plain": bytes,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
}


@pytest.fixture
def text_file(tmp_path):
    def make(content: str | bytes, name: str = "pairs.tsv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def read(path: Path, **options) -> list[SentencePair]:
    return list(read_parallel(path, source="en", target="es", **options))


def tree(sent_id: str, *forms: str) -> Sentence:
    return Sentence(tuple(map(Word, forms)), comments=(f"# sent_id = {sent_id}",))


# One file


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_plain_and_compressed_files_are_read(text_file, kind):
    path = text_file(COMPRESSORS[kind]("The sea.\tEl mar.\nYes\tSí\n".encode()))
    assert [pair.forms for pair in read(path)] == [
        (("The", "sea", "."), ("El", "mar", ".")),
        (("Yes",), ("Sí",)),
    ]


def test_each_side_is_split_as_raw_text_of_its_language(text_file):
    lines = ["I can't say, 3.5 o'clock of it", "Voy del mar al cielo: ¿sí?"]
    (pair,) = read(text_file("\t".join(lines)))
    for side, line, language in zip((pair.source, pair.target), lines, ("en", "es"), strict=True):
        (expected,) = read_text(text_file(line, "one.txt"), language=language)
        assert side == expected
    assert "del" not in pair.target.forms


def test_tokenised_text_is_taken_as_it_stands(text_file):
    (pair,) = read(text_file("can't  stop.\tdel mar.\r\n"), tokenised=True)
    assert pair.forms == (("can't", "stop."), ("del", "mar."))


def test_a_byte_order_mark_is_dropped(text_file):
    assert read(text_file(b"\xef\xbb\xbfa\tb\n"))[0].forms == (("a",), ("b",))


def test_links_are_read_when_asked_for(text_file):
    pairs = read(text_file("a b.\tc d\t0-1 1-0\ne\tf\t\n"), links=True)
    assert [pair.links for pair in pairs] == [((0, 1), (1, 0)), ()]
    assert pairs[0].forms == (("a", "b."), ("c", "d"))  # links count words, so nothing may be split


def test_sides_are_composed_and_links_count_the_same_words(text_file):
    (pair,) = read(text_file("n\u0303u \u200f x\ta\u200bb c\t2-1\n"), links=True)
    assert pair.forms == (("ñu", "\u200f", "x"), ("a\u200bb", "c"))
    (pair,) = read(text_file("n\u0303u \u200f x\ta\u200bb c\n"))
    assert pair.forms == (("ñu", "x"), ("a", "b", "c"))


def test_the_files_of_the_invented_family_are_read(tmp_path):
    languages = ("qal", "qel")
    write_family(tmp_path / "family", settings=FamilySettings(
        languages=languages, text_sentences=5, train_sentences=1, dev_sentences=1, test_sentences=1,
        parallel_sentences=20, seed=3))  # fmt: skip
    path = tmp_path / "family" / "parallel" / "qal-qel.tsv"
    found = list(read_parallel(path, source="qal", target="qel", links=True))
    told = list(parallel_sentences(*languages, 20, 3))
    assert [(pair.forms, pair.links) for pair in found] == [((a.forms, b.forms), links) for a, b, links in told]


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (2, 2), (9, 3), (None, 3)])
def test_the_limit_counts_pairs(text_file, limit, found):
    assert len(read(text_file("a\tb\nc\td\ne\tf\n"), limit=limit)) == found


def test_reading_is_streamed(text_file):
    stream = read_parallel(text_file("a\tb\nbroken\n"), source="en", target="es")
    assert next(stream).forms == (("a",), ("b",))
    with pytest.raises(TextError, match=":2: found no tab"):
        next(stream)


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        (
            "only one",
            {},
            r"pairs\.tsv:2: found no tab in 'only one'\. Expected a line source<TAB>target\. Two files with a",
        ),
        ("x" * 90, {}, rf"2: found no tab in '{'x' * 40}…'"),
        ("", {}, r"2: found no tab in ''"),
        ("a\tb\t0-0", {}, r"2: found 3 columns\. Expected a line source<TAB>target\. If the third .* links = True"),
        ("a\tb\tc\td", {}, r"2: found 4 columns\..*Remove the other columns"),
        ("a\tb", {"links": True}, r"2: found 2 columns\. Expected a line source<TAB>target<TAB>links.*links = False"),
        ("\tb", {}, r"2: the source side has no words\. Expected a sentence on both sides"),
        ("a\t \u3000", {}, r"2: the target side has no words"),
        ("a\tb\t0:0", {"links": True}, r"2: found the link '0:0'\. Expected two places.*0-2"),
        ("a\tb\t0--1", {"links": True}, r"2: found the link '0--1'"),
        ("a\tb c\t0-2", {"links": True}, r"2: the link 0-2 leaves the sentences, which have 1 and 2 words"),
        ("a\tb c\t1-0", {"links": True}, r"2: the link 1-0 leaves the sentences"),
    ],
)
def test_a_line_that_is_no_pair_is_refused_by_its_number(text_file, line, options, message):
    first = "a\tb\t0-0" if options else "a\tb"
    with pytest.raises(TextError, match=message):
        read(text_file(f"{first}\n{line}\n"), **options)


def test_what_is_not_utf_8_is_refused_by_its_line(text_file):
    with pytest.raises(TextError, match=r"pairs\.tsv:2: not UTF-8 \(byte 0xed at position 4\)\. .*iconv"):
        read(text_file(b"a\tb\ns\xc3\xad\xed\tx\n"))
    with pytest.raises(TextError, match=r"the text is UTF-16\. Expected UTF-8"):
        read(text_file("a\tb".encode("utf-16")))


def test_an_empty_file_is_refused(text_file):
    with pytest.raises(TextError, match=r"pairs\.tsv: the file is empty\. Expected lines source<TAB>target"):
        read(text_file(""))


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.lists(st.text("abcñ-", min_size=1), min_size=1)] * 2), min_size=1))
def test_what_was_written_is_read(tmp_path_factory, sentences):
    path = tmp_path_factory.mktemp("round") / "pairs.tsv"
    path.write_text("".join(f"{' '.join(one)}\t{' '.join(other)}\n" for one, other in sentences), encoding="utf-8")
    found = read(path, tokenised=True)
    assert [pair.forms for pair in found] == [(tuple(one), tuple(other)) for one, other in sentences]


# Two files


def read_two(one: Path, other: Path, **options) -> list[SentencePair]:
    return list(read_parallel_files(one, other, source="en", target="es", **options))


def test_equal_line_numbers_belong_together(text_file):
    one, other = text_file("In the sea.\n\nYes", "en"), text_file(gzip.compress(b"En el mar.\n\r\nSi\n"), "es")
    assert [pair.forms for pair in read_two(one, other)] == [
        (("In", "the", "sea", "."), ("En", "el", "mar", ".")),
        (("Yes",), ("Si",)),
    ]


@pytest.mark.parametrize(("lines", "counts"), [((2, 5), (2, 5)), ((4, 1), (4, 1))])
def test_files_of_different_length_are_refused_with_both_lengths(text_file, lines, counts):
    one, other = text_file("a\n" * lines[0], "en"), text_file("b\n" * lines[1], "es")
    with pytest.raises(TextError, match=rf"en has {counts[0]} lines, but .*es has {counts[1]}\. Expected as many"):
        read_two(one, other)


@pytest.mark.parametrize(("contents", "empty"), [(("a\n\n", "b\nc\n"), "en"), (("a\nc\n", "b\n \n"), "es")])
def test_a_line_that_is_empty_on_one_side_is_refused_or_passed_over(text_file, contents, empty):
    one, other = text_file(contents[0], "en"), text_file(contents[1], "es")
    with pytest.raises(TextError, match=rf"{empty}:2: the line is empty, but .*:2 is not\..*skip_empty"):
        read_two(one, other)
    assert [pair.forms for pair in read_two(one, other, skip_empty=True)] == [(("a",), ("b",))]


def test_two_files_without_a_pair_are_refused(text_file):
    with pytest.raises(TextError, match="there is no pair of sentences"):
        read_two(text_file("\n\n", "en"), text_file("\n\n", "es"))


def test_the_limit_of_two_files_counts_pairs(text_file):
    one, other = text_file("a\n\nb\nc\n", "en"), text_file("a\n\nb\nc\n", "es")
    assert [pair.source.forms for pair in read_two(one, other, limit=2)] == [("a",), ("b",)]


# Links of trees


def test_links_are_read_by_sentence(text_file):
    path = text_file("# how they were made\nn1\t0-0 2-1\nn2\t\n")
    assert read_links(path) == {"n1": ((0, 0), (2, 1)), "n2": ()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n1 0-0\n", r":1: found 1 columns\. Expected a sent_id"),
        ("n1\t0-0\t1-1\n", r":1: found 3 columns"),
        ("\t0-0\n", r":1: found 2 columns"),
        ("n1\t0-0\nn1\t1-1\n", r":2: the sent_id n1 stands here a second time"),
        ("n1\t0-\n", r":1: found the link '0-'"),
    ],
)
def test_a_line_that_is_no_links_is_refused(text_file, content, message):
    with pytest.raises(TextError, match=message):
        read_links(text_file(content))


def test_trees_are_joined_by_their_id():
    source, target = [tree("1", "a", "b"), tree("2", "c"), tree("3", "d")], [tree("2", "C"), tree("1", "A")]
    assert [pair.forms for pair in join_by_id(source, target)] == [(("a", "b"), ("A",)), (("c",), ("C",))]
    (pair,) = join_by_id(source, target, links={"1": ((1, 0),)})
    assert (pair.source, pair.target, pair.links) == (source[0], target[1], ((1, 0),))


def test_links_that_do_not_fit_the_trees_are_refused():
    with pytest.raises(TextError, match="Sentence 1: the link 1-1 leaves the sentences, which have 2 and 1 words"):
        join_by_id([tree("1", "a", "b")], [tree("1", "A")], links={"1": ((1, 1),)})
    with pytest.raises(TextError, match="of 1 sent_id of the second treebank none stands in the first"):
        join_by_id([tree("1", "a")], [tree("2", "A")])

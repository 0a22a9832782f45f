"""CoNLL-U is read without loss, and what is wrong is refused with its line."""

import contextlib
import errno
import gzip
import io
import lzma
import os
import re
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.conllu import (
    CHUNK_BYTES,
    LONGEST_BLOCK,
    LONGEST_LINE,
    format_sentence,
    iterate_conllu,
    iterate_numbered,
    parse_conllu,
    read_conllu,
    read_treebank,
    write_conllu,
)
from isogloss.corpus.sentence import EmptyNode, MultiwordToken, Sentence, Word
from isogloss.errors import ConlluError, OutputError

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "sample.conllu"
TREEBANKS = sorted(Path(os.environ.get("ISOGLOSS_DATA", ROOT.parent / "shared" / "data")).glob("ud/*/*.conllu"))
COMPRESSORS = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: zstandard.ZstdCompressor().compress(content),
}


def block(*heads: object, deprel: str = "dep") -> str:
    """Make a sentence with these heads."""
    lines = (f"{i}\tw{i}\t_\t_\t_\t_\t{head}\t{deprel}\t_\t_\n" for i, head in enumerate(heads, start=1))
    return "".join(lines) + "\n"


def line(identity: str, form: str = "w", head: str = "_", deprel: str = "_") -> str:
    return f"{identity}\t{form}\t_\t_\t_\t_\t{head}\t{deprel}\t_\t_\n"


# Without loss


def written(sentences) -> str:
    return "".join(map(format_sentence, sentences))


def test_the_sample_is_written_back_byte_for_byte(tmp_path):
    write_conllu(read_conllu(SAMPLE, language="es"), tmp_path / "copy.conllu")
    assert (tmp_path / "copy.conllu").read_bytes() == SAMPLE.read_bytes()


@pytest.mark.skipif(not TREEBANKS, reason="no treebanks: set ISOGLOSS_DATA to a folder with ud/LANG/*.conllu")
@pytest.mark.parametrize("path", TREEBANKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_treebank_is_written_back_byte_for_byte(path):
    output = io.StringIO()
    write_conllu(iterate_conllu(path, require_trees=True), output)
    assert output.getvalue().encode() == path.read_bytes()


def test_a_sentence_has_words_tokens_nodes_and_comments():
    first, second = read_conllu(SAMPLE, language="es")
    assert first.forms == ("De", "el", "mar", "se", "fue", "quien", "pudo")
    assert [word.head for word in first.words] == [3, 3, 5, 5, 0, 7, 5]
    assert [(token.first, token.last, token.form) for token in first.multiword_tokens] == [(1, 2, "Del")]
    assert [(node.after, node.index, node.columns[0]) for node in first.empty_nodes] == [
        (0, 1, "Ella"),
        (5, 1, "y"),
        (5, 2, "fue"),
    ]
    assert first.comment("sent_id") == "1"
    assert second.words[0].form == "10 000"
    assert first.language == second.language == "es"


def test_underscores_become_a_missing_head_and_relation():
    (sentence,) = parse_conllu(line("1"))
    assert sentence.words[0].head is None
    assert sentence.words[0].deprel is None
    assert written([sentence]) == line("1") + "\n"


column = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\t\n\r"), min_size=1, max_size=6)


@st.composite
def sentences(draw) -> Sentence:
    size = draw(st.integers(1, 8))
    forms = [draw(column) for _ in range(size)]
    order = draw(st.permutations(range(1, size + 1)))
    heads = {word: draw(st.sampled_from([0] if i == 0 else order[:i])) for i, word in enumerate(order)}
    words = tuple(
        Word(form, lemma=draw(column), misc=draw(column), head=heads[i], deprel=draw(column.filter("_".__ne__)))
        for i, form in enumerate(forms, start=1)
    )
    nine = st.tuples(*[column] * 9)
    tokens, place = [], 1
    while place <= size:
        last = draw(st.integers(place - 1, size))
        if last >= place:
            tokens.append(MultiwordToken(place, last, draw(nine)))
        place = max(last, place) + 1
    nodes = tuple(
        EmptyNode(after, index, draw(nine))
        for after in range(size + 1)
        for index in range(1, 1 + draw(st.integers(0, 2)))
    )
    comments = tuple("#" + text for text in draw(st.lists(column, max_size=2)))
    return Sentence(words, "xx", comments, tuple(tokens), nodes)


@given(st.lists(sentences(), min_size=1, max_size=3))
def test_whatever_is_written_is_read_back_the_same(corpus):
    assert parse_conllu(written(corpus), language="xx", require_trees=True) == tuple(corpus)


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_compressed_files_are_read_whatever_their_name(tmp_path, suffix):
    path = tmp_path / "name-says-nothing"
    path.write_bytes(COMPRESSORS[suffix](SAMPLE.read_bytes()))
    assert read_conllu(path) == read_conllu(SAMPLE)


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_path_with_a_compression_suffix_is_written_compressed(tmp_path, suffix):
    path = tmp_path / f"trees.conllu{suffix}"
    write_conllu(read_conllu(SAMPLE), path)
    assert read_conllu(path) == read_conllu(SAMPLE)
    assert (path.read_bytes() == SAMPLE.read_bytes()) is (suffix == "")


def test_a_sentence_may_cross_the_border_between_two_chunks(tmp_path):
    long_comment = "# " + "é" * CHUNK_BYTES  # three chunks without a line end, and letters of two bytes
    text = "# x\n" + block(0) + long_comment + "\n" + block(0, 1)
    (tmp_path / "long.conllu").write_text(text, encoding="utf-8", newline="\n")
    assert written(read_conllu(tmp_path / "long.conllu")) == text


@pytest.mark.parametrize("text", [block(0)[:-1], block(0)[:-2], "\n\n" + block(0) + "\n\n"])
def test_missing_and_superfluous_blank_lines_are_mended(tmp_path, text):
    (tmp_path / "x.conllu").write_text(text, newline="\n")
    assert written(parse_conllu(text)) == written(read_conllu(tmp_path / "x.conllu")) == block(0)


def test_sentences_are_streamed():
    stream = iterate_conllu(SAMPLE)
    assert next(stream).comment("sent_id") == "1"


def test_a_treebank_knows_its_language_split_name_and_licence():
    treebank = read_treebank(SAMPLE, language="es", split="dev", name="hand-made", licence="CC0")
    assert (len(treebank), treebank.word_count) == (2, 9)
    assert (treebank.language, treebank.split, treebank.name, treebank.licence) == (
        "es",
        "dev",
        "hand-made",
        "CC0",
    )


def test_a_long_chain_of_heads_is_checked_in_linear_time():
    count = 20_000
    (sentence,) = parse_conllu(block(*range(2, count + 1), 0))
    assert len(sentence) == count


# Refused, with the line

TEN = r"9 columns\. Expected 10"
ORDER = r"Number the words 1, 2, 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "# a\n" + block(0, 17),
            r"x:3: HEAD is 17, but the sentence has 2 words\. Heads run from 0 \(root\) to 2",
        ),
        (block(0) + block(0, "one"), r"x:4: HEAD is 'one'\. Expected a number"),
        (block("-1"), r"x:1: HEAD is '-1'\. Expected a number"),
        (block("01"), r"x:1: HEAD is '01'\. Expected a number"),
        (block("٣"), r"x:1: HEAD is '٣'\. Expected a number"),
        (block("9" * 5000), r"x:1: HEAD is '9+'\. Expected a number"),
        (block(0, 300), r"x:2: HEAD is 300, but the sentence has 2 words"),
        (block(0).replace("\t_\t_\n", "\t_\n"), "x:1: " + TEN),
        (block(0).replace("\n", "\t_\n", 1), r"x:1: 11 columns\. Expected 10"),
        ("1 w _ _ _ _ 0 root _ _\n\n", r"x:1: 1 columns\. Expected 10, separated by tabs"),
        (block(0) + "   \n" + block(0), r"x:3: the line looks empty but holds white space"),
        (line("1") + "# late\n" + line("2"), r"x:2: a comment stands between words"),
        (line("1") + line("3"), r"x:2: ID is '3', but the word before it has ID 1\. Expected 2\. " + ORDER),
        (line("1") + line("1"), r"x:2: ID is '1', but the word before it has ID 1\. Expected 2"),
        (line("one"), r"x:1: ID is 'one', but the word before it has ID 0\. Expected 1"),
        (block(0).replace("1\t", "01\t"), r"x:1: ID is '01'"),
        (line("1", form=""), r"x:1: FORM of 1 is empty"),
        (line("1-2", form="") + line("1") + line("2"), r"x:1: FORM of 1-2 is empty"),
        (line("1", head="0", deprel=""), r"x:1: DEPREL of word 1 is empty"),
        (
            block(0, 3, 4, 2),
            r"x:2: the heads form a cycle: 2 → 3 → 4 → 2\. Every path of heads ends at the root",
        ),
        (block(0, 2), r"x:2: the heads form a cycle: 2 → 2"),
        (block(2, 1), r"x:1: no word has HEAD 0 \(the heads go round: 1 → 2 → 1\)\. A tree has one root"),
        (block("_", 3, 2), r"x:2: the heads form a cycle: 2 → 3 → 2"),
        ("# c\n" + block(0, 1, 0), r"x:4: HEAD of word 3 is 0, but word 1 is the root already"),
        ("", r"x:1: the file is empty: it holds no sentence"),
        ("\n\n", r"x:1: the file is empty: it holds no sentence"),
        (block(0) + "# only a comment\n\n", r"x:3: the block holds no words"),
        ("0.1" + line("1")[1:] + "\n", r"x:1: the block holds no words"),
        (
            line("1-3") + line("1") + line("2-3") + line("2") + line("3"),
            r"x:3: the multiword token 2-3 overlaps 1-3\. A word belongs to one token",
        ),
        (line("1-2") + line("1-3") + line("1"), r"x:2: the multiword token 1-3 overlaps 1-2"),
        (line("2-3") + line("1"), r"x:1: the multiword token 2-3 stands before word 1"),
        (line("1") + line("1-2") + line("2"), r"x:2: the multiword token 1-2 stands before word 2"),
        (line("1") + line("2-1") + line("2"), r"x:2: the multiword token 2-1 stands before word 2"),
        (line("1") + line("2-3") + line("2"), r"x:2: the multiword token 2-3 goes on after the last word, 2"),
        (line("1") + line("2-3"), r"x:2: the multiword token 2-3 goes on after the last word, 1"),
        (line("1.1") + line("1"), r"x:1: the empty node 1\.1 is out of place\. After word 0 comes 0\.1"),
        (line("1") + line("1.2"), r"x:2: the empty node 1\.2 is out of place\. After word 1 comes 1\.1"),
        (line("1") + line("1.1") + line("1.1"), r"x:3: the empty node 1\.1 is out of place.* comes 1\.2"),
        (
            line("1-2") + line("0.1") + line("1") + line("2"),
            r"x:2: the empty node 0\.1 stands between the multiword token 1-2 and its first word",
        ),
        (block(0).replace("\n", "\r\n"), r"x:1: the line ends in CR LF\. Lines of CoNLL-U end in LF alone"),
        (block(0) + "# c\r\n" + block(0), r"x:3: the line ends in CR LF"),
        ("\ufeff" + block(0), r"x:1: the file starts with a byte order mark"),
    ],
)
def test_what_breaks_the_format_is_refused_with_its_line(text, message):
    with pytest.raises(ConlluError, match=message):
        parse_conllu(text, name="x")


def test_a_message_names_the_file_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pt-test.conllu").write_text("\n" * 9 + block(0, 1, 9))
    with pytest.raises(ConlluError, match=r"^pt-test\.conllu:12: HEAD is 9, but the sentence has 3 words"):
        read_conllu("pt-test.conllu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (block(0, "_"), r"x:2: HEAD of word 2 is _\. Expected a whole tree"),
        (block(0, deprel="_"), r"x:1: DEPREL of word 1 is _\. Expected a whole tree"),
    ],
)
def test_a_partial_tree_is_refused_only_where_trees_are_required(text, message):
    assert parse_conllu(text)
    with pytest.raises(ConlluError, match=message):
        parse_conllu(text, name="x", require_trees=True)


@pytest.mark.parametrize("before", [0, 3, 60_000])  # the last lies beyond the first chunk
def test_bytes_that_are_not_utf8_are_refused_with_byte_and_line(tmp_path, before):
    good = block(0).encode() * before
    (tmp_path / "latin.conllu").write_bytes(good + block(0).replace("w1", "año").encode("latin-1"))
    message = rf"latin\.conllu:{2 * before + 1}: byte {len(good) + 3} of the file is 0xf1, which is not UTF-8"
    with pytest.raises(ConlluError, match=message):
        read_conllu(tmp_path / "latin.conllu")


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.conllu", r"none\.conllu: there is no such file"), (".", r"this is a folder\. Expected a file")],
)
def test_a_missing_file_and_a_folder_are_refused(tmp_path, name, message):
    with pytest.raises(ConlluError, match=message):
        read_conllu(tmp_path / name)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_compressed_file_cut_short_is_refused(tmp_path, suffix):
    content = COMPRESSORS[suffix](SAMPLE.read_bytes())
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConlluError, match=r"cut: the compressed file is damaged or cut short"):
        read_conllu(tmp_path / "cut")


# Written whole or not at all


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "trees.conllu"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"trees\.conllu: writing failed \(No space left on device\)\. Expected"):
        write_conllu(read_conllu(SAMPLE), path)
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("trees.conllu", "old")]


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"none/x\.conllu: writing failed \(No such file or directory\)"):
        write_conllu(read_conllu(SAMPLE), tmp_path / "none" / "x.conllu")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"folder: is a folder\. Expected the name of a file to write\. Name one in"):
        write_conllu((pytest.fail("no sentence is made for it") for _ in range(1)), tmp_path / "folder")
    assert [item.name for item in tmp_path.iterdir()] == ["folder"]


def test_an_error_while_sentences_are_made_leaves_nothing(tmp_path):
    (tmp_path / "bad.conllu").write_text(block(0) + block(7))
    with pytest.raises(ConlluError, match=r"bad\.conllu:3: HEAD is 7"):
        write_conllu(iterate_conllu(tmp_path / "bad.conllu"), tmp_path / "copy.conllu")
    assert [item.name for item in tmp_path.iterdir()] == ["bad.conllu"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_device_without_room_is_reported_and_not_replaced():
    with pytest.raises(OutputError, match=r"/dev/full: writing failed \(No space left on device\)"):
        write_conllu(read_conllu(SAMPLE), "/dev/full")
    assert not os.path.isfile("/dev/full")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_an_open_file_without_room_is_reported():
    file = open("/dev/full", "w")  # noqa: SIM115 - closing fails too, see below
    with pytest.raises(OutputError, match=r"/dev/full: writing failed \(No space left on device\)"):
        write_conllu(read_conllu(SAMPLE), file)
    with contextlib.suppress(OSError):  # what could not be written is still waiting
        file.close()


@pytest.mark.parametrize("stray", ["a\tb", "a\nb"])
def test_a_word_with_a_tab_or_line_end_cannot_be_written(stray):
    with pytest.raises(OutputError, match=r"holds a tab or a line end inside a column\. Expected ten columns"):
        format_sentence(Sentence.of_forms([stray]))


def test_a_sentence_without_words_cannot_be_written():
    with pytest.raises(OutputError, match=r"no words"):
        format_sentence(Sentence.of_forms([]))


# Going on after faults


def going_on(tmp_path, content: bytes) -> tuple[list[tuple[int, tuple[str, ...]]], list[str]]:
    """Read a file to its end; return first lines and forms of its sentences, and what was wrong."""
    (tmp_path / "x.conllu").write_bytes(content)
    faults: list[str] = []
    found = iterate_numbered(tmp_path / "x.conllu", on_fault=lambda fault: faults.append(str(fault)))
    return [(line, sentence.forms) for line, sentence in found], faults


GOOD = b"1\tgood\t_\t_\t_\t_\t_\t_\t_\t_\n\n"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"1\tbad\n\n", r"x.conllu:3: 2 columns. Expected 10"),
        (b"# c\n2\tbad\t_\t_\t_\t_\t_\t_\t_\t_\n\n", r"x.conllu:4: ID is '2', but the word before it has ID 0"),
        (b"1\tbad\t_\t_\t_\t_\t9\t_\t_\t_\n\n", r"x.conllu:3: HEAD is 9, but the sentence has 1 words"),
        (b"1\tb\xffd\t_\t_\t_\t_\t_\t_\t_\t_\n\n", r"x.conllu:3: byte 0xff is not UTF-8 there. CoNLL-U is UTF-8"),
        (b"1\tbad\t_\t_\t_\t_\t_\t_\t_\t_\r\n\r\n", r"x.conllu:3: the line ends in CR LF. Lines of CoNLL-U end in LF"),
    ],
)
def test_a_broken_sentence_is_told_of_and_left_out(tmp_path, bad, message):
    found, faults = going_on(tmp_path, GOOD + bad + GOOD)
    assert [forms for _, forms in found] == [("good",), ("good",)]
    assert re.search(message, faults[0])
    assert len(faults) == 1 or b"\r" in bad, "a line of CR alone is no empty line"
    line, _ = found[-1]
    assert (tmp_path / "x.conllu").read_bytes().split(b"\n")[line - 1].startswith(b"1\tgood")


def test_a_file_whose_every_sentence_is_broken_is_read_to_its_end(tmp_path):
    found, faults = going_on(tmp_path, GOOD.replace(b"1\t", b"3\t") * 3)
    assert not found
    assert [fault.split(" ")[0] for fault in faults] == ["".join((str(tmp_path), f"/x.conllu:{n}:")) for n in (1, 3, 5)]


OVERLONG = b"1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n" * (LONGEST_BLOCK + 1)


class Endless(io.RawIOBase):
    """A file that says the same for ever, and how much of it was read."""

    name = "x"

    def __init__(self, said: bytes) -> None:
        self.said, self.read_bytes = said, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        begun, size = self.read_bytes % len(self.said), len(buffer)
        buffer[:] = (self.said * (size // len(self.said) + 2))[begun : begun + size]
        self.read_bytes += size
        return size


@pytest.mark.parametrize(
    ("said", "message", "enough"),
    [
        (
            OVERLONG[:20],
            r"x:1: the sentence that begins here has more than 100,000 lines. Expected a blank line",
            1 << 22,
        ),
        (
            b"x" * 1000,
            r"x:1: the line has more than 16,777,216 bytes. Expected ten columns of a word",
            2 * LONGEST_LINE,
        ),
    ],
)
def test_a_file_without_blank_lines_or_line_ends_is_refused_before_its_end(said, message, enough):
    file = Endless(said)
    with pytest.raises(ConlluError, match=message):
        next(iterate_numbered(io.BufferedReader(file)))
    assert file.read_bytes < enough


def test_a_sentence_of_too_many_lines_is_told_of_once_and_left_out(tmp_path):
    found, faults = going_on(tmp_path, GOOD + OVERLONG + OVERLONG + b"\n" + GOOD)
    assert found == [(1, ("good",)), (2 * LONGEST_BLOCK + 6, ("good",))]
    assert faults == [
        f"{tmp_path / 'x.conllu'}:3: the sentence that begins here has more than 100,000 lines. Expected a blank line "
        "after each sentence. Put them in."
    ]


def test_a_sentence_of_just_as_many_lines_as_there_may_be_is_read(tmp_path):
    comments = b"# c\n" * (LONGEST_BLOCK - 1)
    assert going_on(tmp_path, comments + GOOD + GOOD) == ([(1, ("good",)), (LONGEST_BLOCK + 2, ("good",))], [])


def test_an_empty_file_is_refused_however_lenient_one_is(tmp_path):
    with pytest.raises(ConlluError, match=r"x.conllu:1: the file is empty: it holds no sentence"):
        going_on(tmp_path, b"\n\n")

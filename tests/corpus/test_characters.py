"""Words as character ids, as published ELMo models read them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.characters import CHARACTERS, LONGEST_WORD, PADDING, character_ids

BEGIN, END, PAD = 259, 260, 261


def spell(word: str) -> list[int]:
    """Return the ids of a word without what stands for its begin, its end and the padding."""
    row = character_ids([word])[0].tolist()
    end = row.index(END)
    assert row[0] == BEGIN
    assert row[end + 1 :] == [PAD] * (LONGEST_WORD - end - 1)
    return row[1:end]


def slow(word: str) -> list[int]:
    """The published rule, byte by byte: ids from 0 to 260, then all raised by one."""
    codes = {"<S>": [256], "</S>": [257]}.get(word)
    if codes is None:
        letters = [letter for letter in word if not 0xD800 <= ord(letter) <= 0xDFFF]
        codes = [byte for letter in letters for byte in letter.encode()][:48]
    ids = [258, *codes, 259]
    while len(ids) < 50:
        ids.append(260)
    return [number + 1 for number in ids]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", []),
        ("a", [98]),
        ("\0", [1]),
        ("ÿ", [0xC3 + 1, 0xBF + 1]),
        ("español", [102, 116, 113, 98, 0xC3 + 1, 0xB1 + 1, 112, 109]),
        ("🐟", [0xF0 + 1, 0x9F + 1, 0x90 + 1, 0x9F + 1]),
        ("a\ud800b\udfff", [98, 99]),
        ("\ud83d", []),
        ("<S>", [257]),
        ("</S>", [258]),
        ("<s>", [61, 116, 63]),
        ("<UNK>", [61, 86, 79, 76, 63]),
    ],
)
def test_words_are_spelt_as_by_hand(word, expected):
    assert spell(word) == expected


@pytest.mark.parametrize("length", [47, 48, 49, 200])
def test_a_word_is_cut_after_48_bytes(length):
    assert spell("x" * length) == [121] * min(length, 48)


def test_a_letter_may_be_cut_in_two():
    assert spell("x" * 47 + "ñ") == [121] * 47 + [0xC3 + 1]


def test_the_longest_word_leaves_no_padding():
    row = character_ids(["x" * 48])[0]
    assert (row[0], row[-1], len(row)) == (BEGIN, END, 50)


def test_a_shorter_limit_counts_the_marks_too():
    assert character_ids(["abcd", "<S>"], longest=4).tolist() == [[259, 98, 99, 260], [259, 257, 260, 261]]


def test_no_words_give_no_rows():
    assert character_ids([]).shape == (0, LONGEST_WORD)


@given(st.lists(st.text(st.characters(), max_size=60) | st.sampled_from(["<S>", "</S>"]), max_size=6))
def test_spelling_agrees_with_the_published_rule_written_out(words):
    ids = character_ids(words)
    assert ids.dtype == np.int64
    assert ids.tolist() == [slow(word) for word in words]
    assert ((ids > 0) & (ids < CHARACTERS)).all(), "0 stays free"
    assert PADDING == CHARACTERS - 1


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=12))
def test_short_words_can_be_read_back(word):
    if word not in ("<S>", "</S>"):
        assert bytes(number - 1 for number in spell(word)).decode() == word

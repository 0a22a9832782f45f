"""Pairs to begin with: words spelt alike, numerals, and words that differ by few letters in any script."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.seeds import alike_words, cognates, is_numeral, numerals, sign_pairs


def anchors_of(*words: str, language: str = "es") -> Anchors:
    return Anchors.of_vectors(words, torch.ones(len(words), 2), language=language)


def slow_edits(one: str, other: str) -> int:
    """Levenshtein's distance, by the whole table."""
    table = [list(range(len(other) + 1))]
    for row, letter in enumerate(one, start=1):
        table.append([row])
        for column, found in enumerate(other, start=1):
            cheapest = min(table[row - 1][column], table[row][column - 1]) + 1
            table[row].append(min(cheapest, table[row - 1][column - 1] + (letter != found)))
    return table[-1][-1]


def test_words_spelt_alike_are_paired_unless_they_are_short():
    source = anchors_of("de", "Lima", "sol", "1914", ",", "7", "casa", language="gl")
    target = anchors_of("casa", "sol", ",", "7", "Lima", "1914", "de")
    found = alike_words(source, target)
    assert (found.source, found.target) == ("gl", "es")
    assert found.pairs == (("Lima", "Lima"), ("1914", "1914"), (",", ","), ("7", "7"), ("casa", "casa"))


@pytest.mark.parametrize(
    ("signs", "counterparts"),
    [
        (", . ? ! : ; - ( ) … “", ", . ? ! : ; - ( ) … “"),
        ("، ؛ ؟ ۔", ", ; ? ."),
        ("。 、 ， ！ （ ）", ". , , ! ( )"),
        ("। ։ ། ። ་ ။", ". . , . - ."),
        ("« » „ ‹ 「 》", '" " " " " "'),
        ("??? ¤ ⸘ ★", ""),
    ],
)
def test_signs_are_paired_in_every_script(signs: str, counterparts: str):
    found = sign_pairs(signs.split(), {*[",", ".", "?", "!", ":", ";", "-", "(", ")", "…", '"', "“", "a", "1", "word"]})
    assert [other for _, other in found] == counterparts.split()


def test_brackets_are_no_quotation_marks():
    assert sign_pairs(["(", "[", "{", "（", "«", "」", "'"], ['"', "."]) == (("«", '"'), ("」", '"'))


def test_words_and_numbers_are_no_signs_and_each_sign_comes_once_most_frequent_first():
    words = ["und", ",", "1", ".", ",", "A", "l'", "3.5", "."]
    assert sign_pairs(words, [".", ",", "und", "1", "A", "l'", "3.5"]) == ((",", ","), (".", "."))
    assert sign_pairs(words, []) == ()


def test_case_counts_for_words_spelt_alike():
    assert alike_words(anchors_of("Lima"), anchors_of("lima")).pairs == ()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("1914", True), ("7", True), ("3.5", True), ("1,000", True), ("12:30", True), ("50%", True), ("1/2", True),
        ("1939-45", True), ("٣", True), ("x2", False), ("2nd", False), (".", False), ("%", False), ("", False),
        ("seven", False),
    ],
)  # fmt: skip
def test_a_numeral_is_of_digits_and_what_stands_between_them(word, expected):
    assert is_numeral(word) is expected


def test_short_words_with_vowel_signs_are_short_words():
    words = ("है", "का", "की", "हम", "हिन्दी", ".", "१९४७")
    found = alike_words(anchors_of(*words, language="hi"), anchors_of(*words, language="mr"))
    assert [word for word, _ in found.pairs] == ["हिन्दी", ".", "१९४७"]


def test_only_shared_numbers_are_numerals():
    found = numerals(anchors_of("casa", "7", "1914", "8", language="gl"), anchors_of("1914", "casa", "7"))
    assert (found.source, found.target) == ("gl", "es")
    assert found.pairs == (("7", "7"), ("1914", "1914"))


def test_cognates_are_found_through_case_accents_and_scripts():
    source = anchors_of("Москва", "президент", "CAFÉTERÍA", "и", language="ru")
    target = anchors_of("Präsident", "moskva", "presidente", "cafeteria", "i")
    assert cognates(source, target).pairs == (
        ("Москва", "moskva"),
        ("президент", "presidente"),
        ("CAFÉTERÍA", "cafeteria"),
    )


@pytest.mark.parametrize(
    ("word", "kindred"),
    [
        ("премьер", "premier"), ("январь", "yanvar"), ("კომპიუტერი", "kompiuteri"), ("სტუდენტი", "studenti"),
        ("израʼиль", "izrail"), ("м'ятный", "myatniy"), ("אמריקאים", "mrykym"), ("l’amore", "lamore"),
    ],
)  # fmt: skip
def test_an_apostrophe_of_the_transliteration_is_no_letter(word, kindred):
    assert cognates(anchors_of(word, language="xx"), anchors_of(kindred)).pairs == ((word, kindred),)


def test_cognates_differ_by_a_quarter_of_their_letters_at_most():
    source = anchors_of("nationes", "formando", language="gl")
    # Two of eight letters differ, 0.75 stay; of the other pair three differ.
    assert cognates(source, anchors_of("natiomas", "forbendi")).pairs == (("nationes", "natiomas"),)
    assert cognates(source, anchors_of("natiomas", "forbendi"), similarity=0.8).pairs == ()


def test_short_words_and_what_is_no_word_are_no_cognates():
    source = anchors_of("casa", "12345", "co-op-s", "plaza", language="gl")
    target = anchors_of("casa", "12345", "co-op-s", "plaza")
    assert cognates(source, target).pairs == (("plaza", "plaza"),)
    assert cognates(source, target, letters=4).pairs == (("casa", "casa"), ("plaza", "plaza"))
    assert cognates(source, target, letters=6).pairs == ()


def test_each_word_goes_to_its_most_similar_and_only_if_that_holds_both_ways():
    source = anchors_of("nations", "nationz", language="gl")
    assert cognates(source, anchors_of("nation", "nations")).pairs == (("nations", "nations"),)


def test_rare_words_are_not_looked_at():
    source, target = anchors_of("plaza", "nation", language="gl"), anchors_of("plaza", "nation")
    assert cognates(source, target, types=1).pairs == (("plaza", "plaza"),)


def test_no_words_are_no_cognates():
    found = cognates(anchors_of(language="gl"), anchors_of("nation"))
    assert (found.source, found.target, found.pairs) == ("gl", "es", ())


words = st.lists(st.text("abc", min_size=5, max_size=8), min_size=1, max_size=5, unique=True)


@given(words, words, st.sampled_from([0.5, 0.625, 0.75]))
@settings(max_examples=30)
def test_cognates_agree_with_comparing_letter_by_letter(ours, theirs, similarity):
    found = cognates(anchors_of(*ours, language="gl"), anchors_of(*theirs), similarity=similarity)
    table = [[1 - slow_edits(one, other) / max(len(one), len(other)) for other in theirs] for one in ours]
    expected = []
    for row, shares in enumerate(table):
        column = shares.index(max(shares))
        back = [line[column] for line in table]
        if max(shares) >= similarity and back.index(max(back)) == row:
            expected.append((ours[row], theirs[column]))
    assert found.pairs == tuple(expected)

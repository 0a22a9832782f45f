"""Dictionaries: reading, writing, splitting, and finding the pairs that have anchors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import DictionaryError, OutputError
from isogloss.lexicon.anchors import Anchors, undotted
from isogloss.lexicon.dictionary import (
    BilingualDictionary,
    identical_words,
    read_dictionary,
    write_dictionary,
)

HOUSES = BilingualDictionary(
    "en", "es", (("the", "el"), ("the", "la"), ("house", "casa"), ("dog", "perro"), ("The", "los"))
)


def anchors_of(language: str, *words: str) -> Anchors:
    return Anchors.of_vectors(words, torch.ones(len(words), 2), language=language)


def read(tmp_path, content: bytes) -> BilingualDictionary:
    (tmp_path / "en-es.tsv").write_bytes(content)
    return read_dictionary(tmp_path / "en-es.tsv", source="en", target="es")


def test_pairs_keep_order_and_case_and_stand_once(tmp_path):
    dictionary = read(tmp_path, b"the\tel\nthe\tla\nHaus\tcasa\nthe\tel\n")
    assert dictionary.pairs == (("the", "el"), ("the", "la"), ("Haus", "casa"))
    assert dictionary.translations == {"the": ("el", "la"), "Haus": ("casa",)}
    assert (dictionary.source, dictionary.target, len(dictionary)) == ("en", "es", 3)


def test_letters_with_marks_are_composed_as_they_are_in_text(tmp_path):
    assert read(tmp_path, "cafe\u0301\tcafé\n".encode()).pairs == (("café", "café"),)


@pytest.mark.parametrize("content", [b"a\tb", b"a\tb\n", b"a\tb\r\n", b"\xef\xbb\xbfa\tb\n", b" a \t b\n"], ids=repr)
def test_line_ends_byte_order_marks_and_spaces_do_not_matter(tmp_path, content):
    assert read(tmp_path, content).pairs == (("a", "b"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\nhouse casa\n", r"en-es.tsv:2: found no tab in 'house casa'\. .* replace the first space"),
        (b"a\tb\n\nc\td\n", r"en-es.tsv:2: found no tab in ''"),
        (b"a\tb\tc\n", r"en-es.tsv:1: found 3 columns"),
        (b"a\tb\n\tc\n", r"en-es.tsv:2: the source word is empty"),
        (b"a\t \n", r"en-es.tsv:1: the target word is empty"),
        (b"a\tb\ncaf\xe9\tc\n", r"en-es.tsv:2: not UTF-8 \(byte 0xe9 at position 4\)"),
        (b"", r"en-es.tsv: the file is empty"),
    ],
)
def test_a_broken_line_is_named(tmp_path, content, message):
    with pytest.raises(DictionaryError, match=message):
        read(tmp_path, content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DictionaryError, match=r"none.tsv: cannot be read \(No such file or directory\)"):
        read_dictionary(tmp_path / "none.tsv", source="en", target="es")


def test_reading_and_writing_gives_the_same_bytes(tmp_path):
    content = "the\tel\nthe\tla\nÄrger\tdos palabras\n".encode()
    write_dictionary(tmp_path / "again.tsv", read(tmp_path, content))
    assert (tmp_path / "again.tsv").read_bytes() == content


@pytest.mark.parametrize("word", ["", "a\tb", "a\nb", " a"])
def test_words_that_would_not_come_back_are_not_written(tmp_path, word):
    with pytest.raises(OutputError, match=r"cannot be written as source<TAB>target"):
        write_dictionary(tmp_path / "d.tsv", BilingualDictionary("en", "es", ((word, "x"),)))


def test_an_unwritable_place_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"d.tsv: cannot be written"):
        write_dictionary(tmp_path / "none" / "d.tsv", HOUSES)


def test_reversed_twice_is_the_same():
    assert HOUSES.reversed().pairs[1] == ("la", "the")
    assert HOUSES.reversed().reversed() == HOUSES


words = st.text("abAB", min_size=1, max_size=3)


@given(st.lists(st.tuples(words, words), unique=True), st.floats(0.05, 0.95), st.integers(0, 100))
def test_a_split_loses_no_pair_and_shares_no_source_word(pairs, test_fraction, seed):
    dictionary = BilingualDictionary("en", "es", tuple(pairs))
    try:
        train, test = dictionary.split(test_fraction, seed)
    except DictionaryError:
        return
    assert sorted(train.pairs + test.pairs) == sorted(pairs)
    assert not {undotted(word) for word, _ in train.pairs} & {undotted(word) for word, _ in test.pairs}
    types = len({undotted(word) for word, _ in pairs})
    assert len({undotted(word) for word, _ in test.pairs}) == round(test_fraction * types)


def test_a_split_depends_on_the_seed_alone():
    dictionary = BilingualDictionary("en", "es", tuple((str(n), str(n)) for n in range(100)))
    assert dictionary.split(0.3, 1) == dictionary.split(0.3, np.random.default_rng(1))
    assert dictionary.split(0.3, 1) != dictionary.split(0.3, 2)


def test_a_split_with_an_empty_side_is_refused():
    with pytest.raises(DictionaryError, match=r"en→es: a test share of 0.01 of 3 source words is 0 words"):
        HOUSES.split(0.01, 1)


def test_usable_pairs_are_places_in_both_vocabularies_and_stand_once():
    source, target = anchors_of("en", "the", "dog", "cat"), anchors_of("es", "la", "Perro", "los")
    # "The" is found as "the"; "perro" only as "Perro"; "house" and "el" have no anchors.
    assert HOUSES.usable(source, target) == [(0, 0), (1, 1), (0, 2)]
    doubled = BilingualDictionary("en", "es", (("dog", "perro"), ("Dog", "Perro")))
    assert doubled.usable(source, target) == [(1, 1)]
    assert doubled.places(source, target) == [(1, 1)] * len(doubled)


@pytest.mark.parametrize(
    ("languages", "advice"), [(("es", "en"), r"reversed\(\)"), (("en", "pt"), r"Check the languages")]
)
def test_anchors_of_other_languages_are_refused(languages, advice):
    source, target = (anchors_of(language, "a") for language in languages)
    with pytest.raises(DictionaryError, match=rf"en→es was given anchors of .* in this order\. .*{advice}"):
        HOUSES.usable(source, target)


def test_identical_words_stand_by_frequency_of_the_source():
    pairs = identical_words(anchors_of("en", "the", "1984", "Madrid"), anchors_of("es", "Madrid", "1984", "el"))
    assert pairs == BilingualDictionary("en", "es", (("1984", "1984"), ("Madrid", "Madrid")))

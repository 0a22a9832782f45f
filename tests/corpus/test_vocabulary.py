"""Word types are numbered by falling frequency."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.errors import ArtifactError

CORPUS = [["b", "a", "c"], ["c", "b", "c"], ["<UNK>", "d"]]

word = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\t\n"), min_size=1, max_size=4)
corpora = st.lists(st.lists(word | st.sampled_from(["a", "b", "<S>", "\u2028", "\u0085", "\u00a0", "\r"]), max_size=9))


def test_a_small_corpus_is_numbered_as_by_hand():
    vocabulary = Vocabulary.count(CORPUS)
    assert vocabulary.words == ("<S>", "</S>", "<UNK>", "c", "b", "a", "d")
    assert vocabulary.counts == (3, 3, 1, 3, 2, 1, 1)
    assert len(vocabulary) == 7


@pytest.mark.parametrize(
    ("options", "words", "unknown"),
    [
        ({"min_count": 2}, ("c", "b"), 3),
        ({"max_size": 4}, ("c",), 5),
        ({"max_size": 6}, ("c", "b", "a"), 2),
        ({"min_count": 2, "max_size": 99}, ("c", "b"), 3),
        ({"max_size": 3}, (), 8),
    ],
)
def test_rare_words_are_left_out_and_counted_as_unknown(options, words, unknown):
    vocabulary = Vocabulary.count(CORPUS, **options)
    assert vocabulary.words[3:] == words
    assert vocabulary.counts[2] == unknown


def test_sentences_and_streams_of_words_count_alike():
    stream = (iter(words) for words in CORPUS)
    sentences = (Sentence.of_forms(words) for words in CORPUS)
    assert Vocabulary.count(stream) == Vocabulary.count(sentences) == Vocabulary.count(CORPUS)


def test_a_string_is_not_taken_for_a_sentence():
    with pytest.raises(AssertionError, match="given as its words"):
        Vocabulary.count(["a b"])


@given(corpora)
def test_words_stand_in_falling_order_with_ties_by_code_point(corpus):
    vocabulary = Vocabulary.count(corpus)
    seen = Counter(word for words in corpus for word in words if word not in RESERVED)
    assert dict(zip(vocabulary.words[3:], vocabulary.counts[3:], strict=True)) == seen
    keys = [(-count, word) for word, count in zip(vocabulary.words[3:], vocabulary.counts[3:], strict=True)]
    assert keys == sorted(keys)


@given(corpora, st.integers(1, 3))
def test_every_word_of_the_corpus_is_counted_once(corpus, min_count):
    vocabulary = Vocabulary.count(corpus, min_count=min_count)
    assert sum(vocabulary.counts[2:]) == sum(map(len, corpus))
    assert vocabulary.counts[0] == vocabulary.counts[1] == len(corpus)


@given(corpora)
def test_the_order_of_sentences_does_not_matter(corpus):
    assert Vocabulary.count(corpus) == Vocabulary.count(corpus[::-1])


@pytest.mark.parametrize(("word", "number"), [("<S>", 0), ("</S>", 1), ("<UNK>", 2), ("c", 3), ("zebra", 2), ("", 2)])
def test_each_word_has_its_id(word, number):
    vocabulary = Vocabulary.count(CORPUS)
    assert vocabulary.id_of(word) == number
    assert (word in vocabulary) == (word not in ("zebra", ""))


@given(corpora, st.lists(word))
def test_encoding_many_words_agrees_with_one_at_a_time(corpus, words):
    vocabulary = Vocabulary.count(corpus, min_count=2)
    ids = vocabulary.encode(words)
    assert ids.dtype == np.int64
    assert ids.tolist() == [vocabulary.id_of(word) for word in words]


@settings(max_examples=30, deadline=None)  # the disk takes its time
@given(corpora)
def test_a_saved_vocabulary_is_loaded_the_same(tmp_path_factory, corpus):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.txt"
    vocabulary = Vocabulary.count(corpus)
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary


def test_the_file_has_a_word_and_a_count_on_each_line(tmp_path):
    Vocabulary.count(CORPUS, min_count=3).save(tmp_path / "v.txt")
    assert (tmp_path / "v.txt").read_text() == "<S>\t3\n</S>\t3\n<UNK>\t5\nc\t3\n"


HEAD = b"<S>\t1\n</S>\t1\n<UNK>\t0\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEAD + b"word\n", r"v\.txt:4: the line is 'word'\. Expected a word, a tab and its count"),
        (HEAD + b"word\tmany\n", r"v\.txt:4: the line is 'word\\tmany'"),
        (HEAD + b"a\t1\tb\n", r"v\.txt:4: the line is"),
        (HEAD + b"a\t2\na\t1\n", r"v\.txt:5: the word 'a' stands here a second time"),
        (HEAD + b"a\xf1o\t2\n", r"v\.txt:4: byte 22 is not UTF-8"),
        (b"a\t2\n", r"v\.txt:1: the first three words are \('a',\)\. Expected \('<S>', '</S>', '<UNK>'\)"),
        (b"", r"v\.txt:1: the line is ''"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        Vocabulary.load(tmp_path / "v.txt")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"none\.txt: there is no such file"):
        Vocabulary.load(tmp_path / "none.txt")

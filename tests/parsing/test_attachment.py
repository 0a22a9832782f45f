"""Scores: by hand, and to the last digit as the official scorer has them."""

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from udtools import udeval

from isogloss.corpus.conllu import format_sentence, read_conllu
from isogloss.corpus.sentence import Sentence, Word
from isogloss.errors import DataError
from isogloss.parsing.attachment import AttachmentScores, attachment_scores, sentence_scores

DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))

GOLD = Sentence(
    words=(
        Word("She", upos="PRON", head=2, deprel="nsubj:pass"),
        Word("left", upos="VERB", head=0, deprel="root"),
        Word("home", upos="NOUN", head=2, deprel="obj"),
        Word(".", upos="PUNCT", head=2, deprel="punct"),
    ),
    comments=("# sent_id = s-1",),
)
COUNTS = st.builds(AttachmentScores, *(st.integers(0, 1000) for _ in range(3)))


def wrong_trees(sentences, generator):
    """Put random trees with one root on sentences, and relations that are sometimes right."""
    for sentence in sentences:
        words = len(sentence)
        order = generator.permutation(words) + 1
        heads = [0] * words
        for place, word in enumerate(order[1:], 1):
            heads[word - 1] = int(order[generator.integers(place)])
        if generator.random() < 0.3:
            heads = [word.head for word in sentence.words]
        names = [word.deprel if generator.random() < 0.7 else "dep:odd" for word in sentence.words]
        names = [name + ":more" if generator.random() < 0.2 else name for name in names]
        yield sentence.with_tree(heads, names)


def official(gold, system) -> dict:
    loaded = [
        udeval.load_conllu(io.StringIO("".join(format_sentence(sentence) for sentence in sentences)), "text", {})
        for sentences in (gold, system)
    ]
    return udeval.evaluate(*loaded)


def test_a_sentence_counted_by_hand():
    # Right heads: She, left, home. Right relations: She (subtypes do not matter) and left.
    system = GOLD.with_tree([2, 0, 2, 3], ["nsubj", "root", "iobj", "punct"])
    assert attachment_scores([GOLD], [system]) == AttachmentScores(4, 3, 2, "ud")


def test_punctuation_can_be_left_out():
    system = GOLD.with_tree([2, 0, 2, 3], ["nsubj", "root", "iobj", "punct"])
    assert attachment_scores([GOLD], [system], scope="no-punctuation") == AttachmentScores(3, 3, 2, "no-punctuation")


@pytest.mark.parametrize("tag", ["``", "''", ":", ",", ".", "PU", "PUNCT", "SYM"])
def test_every_tag_of_punctuation_is_left_out(tag):
    gold = replace(GOLD, words=(*GOLD.words[:3], replace(GOLD.words[3], upos=tag)))
    assert attachment_scores([gold], [gold], scope="no-punctuation").words == 3


def test_shares_run_from_0_to_1():
    scores = AttachmentScores(8, 6, 4)
    assert (scores.uas, scores.las) == (0.75, 0.5)


def test_scores_of_no_words_are_0():
    scores = attachment_scores([], [])
    assert (scores.words, scores.uas, scores.las) == (0, 0.0, 0.0)


@given(COUNTS, COUNTS, COUNTS)
def test_scores_add_up_in_any_order(a, b, c):
    assert (a + b) + c == a + (b + c) == c + (a + b)


def test_scores_of_two_scopes_do_not_add_up():
    with pytest.raises(AssertionError, match="scope ud and no-punctuation"):
        AttachmentScores(1, 1, 1, "ud") + AttachmentScores(1, 1, 1, "no-punctuation")


def test_sentences_add_up_to_the_file():
    system = GOLD.with_tree([2, 0, 2, 3], ["nsubj", "root", "iobj", "punct"])
    first, second = sentence_scores([GOLD, GOLD], [system, GOLD])
    assert first + second == attachment_scores([GOLD, GOLD], [system, GOLD])


def test_invented_trees_score_as_in_the_official_scorer(toy_treebank):
    gold = toy_treebank(40, seed=3).sentences
    system = list(wrong_trees(gold, np.random.default_rng(0)))
    ours, theirs = attachment_scores(gold, system), official(gold, system)
    assert 0 < ours.las < ours.uas < 1
    assert (ours.uas, ours.las) == (theirs["UAS"].f1, theirs["LAS"].f1)


@pytest.mark.parametrize("language", ["sv", "it", "kk"])
def test_real_trees_score_as_in_the_official_scorer(language):
    path = DATA / "ud" / language / "test.conllu"
    if not path.exists():
        pytest.skip(f"{path} is not there; set ISOGLOSS_DATA to the folder of the real data")
    gold = read_conllu(path, language=language)[:120]
    gold = [replace(sentence, empty_nodes=()) for sentence in gold]
    gold = [
        sentence.with_tree([w.head for w in sentence.words], [w.deprel for w in sentence.words]) for sentence in gold
    ]
    system = list(wrong_trees(gold, np.random.default_rng(1)))
    ours, theirs = attachment_scores(gold, system), official(gold, system)
    assert (ours.uas, ours.las) == (theirs["UAS"].f1, theirs["LAS"].f1)
    assert ours.words == theirs["UAS"].gold_total


def test_other_words_are_refused():
    system = Sentence.of_forms(["She", "left", "town", "."]).with_tree([2, 0, 2, 2], ["a", "root", "b", "c"])
    message = r"Sentence 1 \(sent_id s-1\), word 3: the system file has 'town' \(4 words\). Expected 'home'"
    with pytest.raises(DataError, match=message):
        attachment_scores([GOLD], [system])


def test_a_missing_word_is_refused():
    system = Sentence.of_forms(["She", "left", "home"]).with_tree([2, 0, 2], ["a", "root", "b"])
    with pytest.raises(DataError, match=r"word 4: the system file has nothing \(3 words\). Expected '.' \(4"):
        attachment_scores([GOLD], [system])


def test_a_missing_sentence_is_refused():
    with pytest.raises(DataError, match=r"1 sentences. Expected the 2 sentences of the gold trees"):
        attachment_scores([GOLD, GOLD], [GOLD])


def test_a_missing_tree_is_refused():
    with pytest.raises(DataError, match=r"Sentence 1 \(sent_id s-1\), word 1 \('She'\): the system tree has no head"):
        attachment_scores([GOLD], [Sentence.of_forms(GOLD.forms)])

"""Intervals hold what they promise, and agree with a bootstrap written as a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import DataError
from isogloss.parsing.attachment import AttachmentScores
from isogloss.reports import bootstrap
from isogloss.reports.bootstrap import paired_difference, score_interval, score_with_interval


@st.composite
def sentence_lists(draw):
    """Scores of one to twelve sentences, of which the first has a word that counts."""
    words = [draw(st.integers(1, 9)), *draw(st.lists(st.integers(0, 9), max_size=11))]
    heads = [draw(st.integers(0, count)) for count in words]
    relations = [draw(st.integers(0, count)) for count in heads]
    return [AttachmentScores(*counts) for counts in zip(words, heads, relations, strict=True)]


def slow_interval(scores, generator, samples):
    """Draw one sentence list after another and look at each in turn."""
    scores = [score for score in scores if score.words]
    drawn = []
    for _ in range(samples):
        chosen = [scores[place] for place in generator.integers(len(scores), size=len(scores))]
        drawn.append(sum(one.correct_relations for one in chosen) / sum(one.words for one in chosen))
    return np.quantile(drawn, 0.025), np.quantile(drawn, 0.975)


@given(scores=sentence_lists(), seed=st.integers(0, 99))
def test_the_interval_agrees_with_a_plain_loop(scores, seed):
    found = score_interval(scores, np.random.default_rng(seed), samples=50)
    low, high = slow_interval(scores, np.random.default_rng(seed), 50)
    assert (found.low, found.high) == pytest.approx((low, high))


@given(scores=sentence_lists())
def test_the_interval_lies_between_the_worst_and_the_best_sentence(scores):
    found = score_interval(scores, np.random.default_rng(1), measure="uas", samples=50)
    rates = [score.uas for score in scores if score.words]
    tiny = 1e-12  # sums of fractions round differently from one another
    assert min(rates) - tiny <= found.low <= found.high <= max(rates) + tiny
    assert found.value == pytest.approx(sum(scores, AttachmentScores(0, 0, 0)).uas)


def test_one_right_and_one_wrong_sentence_leave_everything_open():
    scores = [AttachmentScores(2, 2, 2), AttachmentScores(2, 0, 0)]
    found = score_interval(scores, np.random.default_rng(1))
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_las_and_uas_are_told_apart():
    scores = [AttachmentScores(4, 3, 1)]
    assert score_interval(scores, np.random.default_rng(1), measure="las").value == 0.25
    assert score_interval(scores, np.random.default_rng(1), measure="uas").value == 0.75


def test_cutting_the_draws_up_changes_nothing(monkeypatch):
    scores = [AttachmentScores(5, right, right) for right in (1, 3, 5, 2, 4, 0, 5)]
    at_once = score_interval(scores, np.random.default_rng(3))
    monkeypatch.setattr(bootstrap, "NUMBERS_AT_A_TIME", 50)
    assert score_interval(scores, np.random.default_rng(3)) == at_once


def test_the_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        right = generator.binomial(10, 0.7, size=60)
        scores = [AttachmentScores(10, int(count), int(count)) for count in right]
        found = score_interval(scores, generator, samples=300)
        covered += found.low <= 0.7 <= found.high
    # 95 % of 300 is 285; four standard deviations (3.8 each) and the known small shortfall allow 265.
    assert 265 <= covered <= 300


def test_more_sentences_make_a_narrower_interval():
    few = [AttachmentScores(4, right, right) for right in (1, 2, 3, 4)]
    one = score_interval(few, np.random.default_rng(1))
    other = score_interval(few * 25, np.random.default_rng(1))
    # Spread falls with the root of the number: by 5. Half that leaves room for chance.
    assert (other.high - other.low) * 2.5 < one.high - one.low


def test_a_system_that_wins_every_sentence_is_better_in_every_draw():
    better = [AttachmentScores(4, 4, 4)] * 5
    worse = [AttachmentScores(4, 3, 3)] * 5
    found = paired_difference(better, worse, np.random.default_rng(1))
    assert (found.value, found.low, found.high, found.share_not_better) == (0.25, 0.25, 0.25, 0.0)
    assert paired_difference(worse, better, np.random.default_rng(1)).share_not_better == 1.0


@given(scores=sentence_lists())
def test_a_system_is_not_better_than_itself(scores):
    found = paired_difference(scores, scores, np.random.default_rng(1), samples=20)
    assert (found.value, found.low, found.high, found.share_not_better) == (0, 0, 0, 1)


@given(scores=sentence_lists(), seed=st.integers(0, 99))
def test_swapping_the_systems_turns_the_difference_round(scores, seed):
    other = [AttachmentScores(score.words, score.correct_heads, 0) for score in scores]
    one_way = paired_difference(scores, other, np.random.default_rng(seed), samples=50)
    back = paired_difference(other, scores, np.random.default_rng(seed), samples=50)
    assert (back.value, back.low, back.high) == pytest.approx((-one_way.value, -one_way.high, -one_way.low))


def test_pairing_sees_a_lead_that_separate_intervals_hide():
    hard_and_easy = [AttachmentScores(20, right, right) for right in range(20)]
    a_little_better = [AttachmentScores(20, right + 1, right + 1) for right in range(20)]
    one = score_interval(hard_and_easy, np.random.default_rng(1))
    other = score_interval(a_little_better, np.random.default_rng(1))
    assert other.low < one.high
    assert paired_difference(a_little_better, hard_and_easy, np.random.default_rng(1)).low > 0


def test_systems_on_other_sentences_are_not_compared():
    with pytest.raises(DataError, match=r"1 sentences of 4 words, and 1 of 5 words, do not match"):
        paired_difference([AttachmentScores(4, 1, 1)], [AttachmentScores(5, 1, 1)], np.random.default_rng(1))


@pytest.mark.parametrize("scores", [[], [AttachmentScores(0, 0, 0)]])
def test_no_words_make_no_interval(scores):
    with pytest.raises(DataError, match=r"Interval of LAS: \d sentences with no word that counts"):
        score_interval(scores, np.random.default_rng(1))
    with pytest.raises(DataError, match=r"Comparison of two systems: \d sentences with no word"):
        paired_difference(scores, scores, np.random.default_rng(1))


def test_a_score_carries_its_interval_and_its_scope():
    about = {"system": "aligned", "language": "gl", "split": "test", "pos": "none", "seed": 3, "unseen": True}
    sentences = [AttachmentScores(4, 3, right, "no-punctuation") for right in (0, 1, 2, 3)]
    score = score_with_interval(sentences, np.random.default_rng(1), **about)
    expected = score_interval(sentences, np.random.default_rng(1))
    assert (score.las, score.uas, score.words, score.scope) == (6 / 16, 12 / 16, 16, "no-punctuation")
    assert (score.las_low, score.las_high) == (expected.low, expected.high)
    nothing = score_with_interval([], np.random.default_rng(1), **about)
    assert (nothing.las, nothing.words, nothing.las_low, nothing.las_high) == (0, 0, None, None)

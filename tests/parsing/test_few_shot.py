"""Few trees: which are drawn, how a parser goes on with them, and what it keeps of its first training."""

from collections import Counter
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.treebank import Treebank
from isogloss.errors import TrainingError
from isogloss.parsing.attachment import attachment_scores
from isogloss.parsing.batches import ParserBatches
from isogloss.parsing.few_shot import draw_trees, settings_for, tune_parser
from isogloss.parsing.settings import TuningSettings
from isogloss.parsing.training import train_parser


def turned_round(treebank: Treebank, language: str) -> Treebank:
    """The same words in the opposite order: a language of the same space with another grammar."""
    sentences = []
    for sentence in treebank:
        last = len(sentence) + 1
        heads = [word.head and last - word.head for word in sentence.words]
        backwards = sentence.with_tree(heads, [word.deprel for word in sentence.words])
        sentences.append(type(sentence)(words=tuple(reversed(backwards.words)), language=language))
    return Treebank(tuple(sentences), language=language)


@given(fewer=st.integers(1, 20), more=st.integers(20, 40), seed=st.integers(0, 99), draw=st.integers(1, 3))
def test_a_smaller_draw_is_part_of_a_larger_one_and_both_keep_the_order(toy_treebank, fewer, more, seed, draw):
    whole = toy_treebank(40, seed=1)
    place = {id(sentence): index for index, sentence in enumerate(whole)}
    small, large = (
        [place[id(sentence)] for sentence in draw_trees(whole, number, seed=seed, draw=draw)]
        for number in (fewer, more)
    )
    assert (len(small), len(large)) == (fewer, more)
    assert set(small) <= set(large)
    assert small == sorted(set(small))
    assert large == sorted(set(large))


def test_another_draw_or_seed_draws_others_and_the_same_draws_the_same(toy_treebank):
    whole = toy_treebank(200, seed=1)
    first = draw_trees(whole, 10, seed=1)
    assert draw_trees(whole, 10, seed=1) == first
    assert draw_trees(whole, 10, seed=1, draw=2) != first
    assert draw_trees(whole, 10, seed=2) != first


def test_every_tree_is_as_likely_to_be_drawn(toy_treebank):
    whole = toy_treebank(10, seed=1)
    place = {id(sentence): index for index, sentence in enumerate(whole)}
    counts = Counter(place[id(tree)] for seed in range(1000) for tree in draw_trees(whole, 3, seed=seed))
    # 300 expected, standard deviation √(1000 · 0.3 · 0.7) = 14.5; five of these in ten numbers are rarer than 1 in 10⁵.
    assert all(abs(counts[index] - 300) < 5 * 14.5 for index in range(10)), counts


def test_more_trees_than_there_are_is_an_error(toy_treebank):
    with pytest.raises(TrainingError, match=r"Treebank toy: has 31 trees, and 50 are asked for. .* Ask for 31 at most"):
        draw_trees(toy_treebank(31, seed=1), 50, seed=1)


def test_steps_grow_with_the_trees_and_with_the_share_of_others(tiny_settings):
    def steps(trees: int, share: float) -> int:
        tuning = TuningSettings(passes=30, least_steps=100, share_of_others=share)
        return settings_for(tiny_settings(batch_size=32), trees, tuning=tuning).loop.max_steps

    assert steps(10, 0.0) == 100  # one batch, 30 times, is less than the least
    assert steps(500, 0.0) == 480  # 16 batches
    assert steps(500, 0.5) == 960
    assert steps(500, 0.75) == 1920


def test_few_trees_have_a_dropout_of_their_own(tiny_settings):
    for first in (tiny_settings(dropout=0.0), tiny_settings(dropout=0.5)):
        assert settings_for(first, 10, tuning=TuningSettings(dropout=0.2)).dropout == 0.2
        assert settings_for(first, 10, tuning=TuningSettings()).dropout == 0.33


@given(share=st.floats(0.05, 0.95))
def test_languages_have_their_turns_as_often_as_asked_for(share):
    lengths = {"few": [3] * 4, "one": [5] * 40, "two": [5] * 40}
    turns = {"few": share, "one": (1 - share) / 2, "two": (1 - share) / 2}
    batches = ParserBatches(lengths, batch_size=4, seed=1, turns=turns)
    counts = Counter(batch.language for batch in islice(batches, 400))
    for language, chance in turns.items():
        # Five standard deviations of a binomial count.
        assert abs(counts[language] - 400 * chance) <= 5 * (400 * chance * (1 - chance)) ** 0.5


def test_few_trees_teach_another_word_order_and_the_first_is_not_forgotten(by_heart, toy_treebank, tiny_settings):
    first = toy_treebank(200, seed=1)
    parser = train_parser(by_heart(), [first], settings=tiny_settings(), seed=1)
    few = turned_round(toy_treebank(20, seed=2), "other")
    test = turned_round(toy_treebank(60, seed=3), "other")
    tuning = TuningSettings(passes=30, least_steps=30, learning_rate=5e-3)

    def las(parser, gold) -> float:
        return attachment_scores(gold, parser.parse(gold, by_heart())).las

    alone = tune_parser(parser, by_heart(), few, tuning=tuning, seed=1)
    beside = tune_parser(parser, by_heart(), few, others=[first], tuning=tuning, seed=1)
    zero_shot, kept = las(parser, test), toy_treebank(60, seed=4)
    assert las(alone, test) > zero_shot + 0.1
    assert las(beside, test) > zero_shot + 0.1
    assert las(beside, kept) > las(alone, kept), "what was learned first is kept where its trees have their turn"


def test_the_parser_to_start_from_stays_as_it_was(by_heart, toy_treebank, tiny_settings):
    parser = train_parser(by_heart(), [toy_treebank(20, seed=1)], settings=tiny_settings(steps=5), seed=1)
    kept = {name: weight.clone() for name, weight in parser.network.state_dict().items()}
    tuned = tune_parser(
        parser,
        by_heart(),
        toy_treebank(5, seed=2, language="other"),
        tuning=TuningSettings(least_steps=3, passes=1),
        seed=1,
    )
    assert tuned.metadata["steps"] == 3
    assert tuned.metadata["started_from"]["languages"] == ["toy"]
    assert all(torch.equal(weight, kept[name]) for name, weight in parser.network.state_dict().items())

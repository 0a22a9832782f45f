"""How sure a parser is: probabilities of the heads that it chose, and nothing else."""

import pytest
import torch

from isogloss.corpus.sentence import Sentence
from isogloss.parsing.confidence import mean_confidence
from isogloss.parsing.features import extract_features
from isogloss.parsing.training import train_parser


@pytest.fixture(scope="module")
def parser(by_heart, toy_treebank, tiny_settings):
    return train_parser(by_heart(), [toy_treebank(150, seed=1)], settings=tiny_settings(upos="none"), seed=1)


def test_it_is_the_mean_over_words_of_one_softmax_after_another(parser, by_heart, toy_treebank):
    sentences = toy_treebank(12, seed=3).sentences
    shares = []
    for sentence, parsed in zip(sentences, parser.parse(sentences, by_heart()), strict=True):
        inputs = extract_features([sentence], by_heart(), settings=parser.settings).batch([0])
        with torch.no_grad():
            scores = parser.network.arc_scores(parser.network(inputs))[0]
        for place, word in enumerate(parsed.words):
            shares.append(float(scores[place].exp()[word.head] / scores[place].exp().sum()))
    found = mean_confidence(parser, sentences, by_heart())
    assert found == pytest.approx(sum(shares) / len(shares), abs=1e-5)
    assert 0 < found <= 1


def test_it_is_surer_of_words_that_it_knows(parser, by_heart, toy_treebank):
    known = toy_treebank(30, seed=4).sentences
    strange = [Sentence.of_forms([form[::-1] + "?" for form in one.forms], language="toy") for one in known]
    assert mean_confidence(parser, known, by_heart()) > mean_confidence(parser, strange, by_heart()) + 0.1


def test_a_parser_with_a_tagger_reads_raw_text(by_heart, toy_treebank, tiny_settings):
    settings = tiny_settings(upos="predicted", steps=10)
    tagging = train_parser(by_heart(), [toy_treebank(20, seed=1)], settings=settings, seed=1)
    raw = [Sentence.of_forms(one.forms, language="toy") for one in toy_treebank(5, seed=2)]
    assert 0 < mean_confidence(tagging, raw, by_heart()) <= 1


def test_of_nothing_it_is_not_sure(parser, by_heart):
    assert mean_confidence(parser, [], by_heart()) == 0.0

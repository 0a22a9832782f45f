"""A parser that finds parts of speech by itself, and takes them where they are given."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from isogloss.corpus.sentence import Sentence
from isogloss.corpus.treebank import Treebank
from isogloss.parsing.attachment import attachment_scores, tagging_accuracy
from isogloss.parsing.network import ParserInputs, ParserNetwork
from isogloss.parsing.parser import Parser
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.training import train_parser

SMALL = {"upos_width": 4, "lstm_layers": 1, "hidden_width": 6, "arc_width": 8, "relation_width": 5}


@pytest.fixture(scope="module")
def trained(by_heart, toy_treebank, tiny_settings):
    return train_parser(
        by_heart(),
        [toy_treebank(200, seed=1)],
        dev=[toy_treebank(30, seed=2)],
        settings=tiny_settings(upos="predicted"),
        seed=1,
    )


def bare(treebank):
    return [Sentence.of_forms(sentence.forms, language=sentence.language) for sentence in treebank]


def test_tags_and_trees_are_learned_together(trained, by_heart, toy_treebank):
    test = toy_treebank(60, seed=3)
    parsed = trained.parse(bare(test), by_heart())
    assert trained.tagger
    assert tagging_accuracy(test, parsed) > 0.95
    assert attachment_scores(test, parsed).las > 0.95


def test_given_tags_are_used_and_kept_unless_told_otherwise(trained, by_heart, toy_treebank):
    encoder, [first, *_] = by_heart(), toy_treebank(5, seed=4).sentences
    wrong = first.with_upos(["X"] * len(first))
    assert [word.upos for word in trained.parse([wrong], encoder)[0].words] == ["X"] * len(first)
    assert trained.parse([wrong], encoder) == trained.parse([wrong], encoder, tags="given")
    own = trained.parse([wrong], encoder, tags="predicted")[0]
    [unannotated] = trained.parse(bare([first]), encoder)
    assert [word.upos for word in own.words] == [word.upos for word in unannotated.words]


def test_a_sentence_that_is_tagged_in_part_is_tagged_anew(trained, by_heart, toy_treebank):
    encoder, [first, *_] = by_heart(), toy_treebank(5, seed=4).sentences
    partly = replace(first, words=(replace(first.words[0], upos="_"), *first.words[1:]))
    assert trained.parse([partly], encoder) == trained.parse([partly], encoder, tags="predicted")


def test_sentences_with_and_without_tags_do_not_disturb_each_other(trained, by_heart, toy_treebank):
    encoder, tagged = by_heart(), toy_treebank(6, seed=5).sentences
    mixed = [sentence for pair in zip(tagged, bare(tagged), strict=True) for sentence in pair]
    together = trained.parse(mixed, encoder)
    assert together[::2] == trained.parse(tagged, encoder)
    assert together[1::2] == trained.parse(bare(tagged), encoder)


def test_a_tagger_rests_where_all_tags_are_given():
    torch.manual_seed(0)
    network = ParserNetwork(layers=1, width=5, tags=4, relations=3, tagger=True, **SMALL).eval()
    inputs = ParserInputs(torch.randn(2, 3, 1, 5), torch.ones(2, 3).long(), torch.tensor([3, 2]))
    given, in_part = (replace(inputs, given=torch.tensor([[True], [second]])) for second in (True, False))
    assert network(given).tag_scores is None
    assert network(in_part).tag_scores.shape == (2, 3, 3)
    torch.testing.assert_close(network(given).arc_heads[0], network(in_part).arc_heads[0])
    assert network.train()(given).tag_scores is not None, "while it learns"


def test_a_saved_tagger_is_loaded(trained, by_heart, toy_treebank, tmp_path):
    trained.save(tmp_path)
    sentences = bare(toy_treebank(8, seed=6))
    assert Parser.load(tmp_path).parse(sentences, by_heart()) == trained.parse(sentences, by_heart())


def test_a_treebank_without_tags_teaches_trees(by_heart, toy_treebank, tiny_settings):
    untagged = [sentence.with_upos(["_"] * len(sentence)) for sentence in toy_treebank(150, seed=1)]
    parser = train_parser(
        by_heart(), [Treebank(tuple(untagged), language="toy")], settings=tiny_settings(upos="predicted"), seed=1
    )
    test = toy_treebank(40, seed=3)
    assert attachment_scores(test, parser.parse(bare(test), by_heart())).las > 0.9


def test_the_parser_does_not_teach_the_tagger():
    torch.manual_seed(0)
    network = ParserNetwork(layers=1, width=5, tags=4, relations=3, tagger=True, **SMALL).eval()
    inputs = ParserInputs(
        torch.randn(2, 3, 1, 5), torch.zeros(2, 3).long(), torch.tensor([3, 2]), torch.zeros(2, 1).bool()
    )
    states = network(inputs)
    states.arc_heads.sum().backward()
    assert network.tagger is not None
    assert all(parameter.grad is None for parameter in network.tagger.parameters())
    assert network.upos is not None and network.upos.weight.grad is not None


def test_what_the_parser_sees_lies_between_the_tags_as_the_tagger_doubts():
    torch.manual_seed(0)
    network = ParserNetwork(layers=1, width=5, tags=4, relations=3, tagger=True, **SMALL).eval()
    inputs = ParserInputs(torch.randn(1, 2, 1, 5), torch.tensor([[2, 0]]), torch.tensor([2]), torch.zeros(1, 1).bool())
    sure = torch.full((1, 2, 3), -1e4)
    sure[0, 0, 2] = sure[0, 1, 0] = 0.0  # as sure of the given tags as can be
    given = replace(inputs, given=torch.ones(1, 1).bool())
    torch.testing.assert_close(network._embed(inputs, sure), network._embed(given, sure))
    doubting = network._embed(inputs, torch.zeros(1, 2, 3))[..., 5:]
    assert network.upos is not None
    torch.testing.assert_close(doubting, network.upos.weight[:3].mean(dim=0).expand(1, 2, 4))


def test_a_tagger_needs_vectors():
    with pytest.raises(ValidationError, match='vectors = false and upos = "predicted"'):
        ParserSettings(vectors=False, upos="predicted")


def test_accuracy_counts_words():
    gold = [Sentence.of_forms(["a", "b", "c"]).with_upos(["NOUN", "VERB", "NOUN"])]
    assert tagging_accuracy(gold, gold) == 1.0
    assert tagging_accuracy(gold, [gold[0].with_upos(["NOUN", "NOUN", "NOUN"])]) == pytest.approx(2 / 3)
    assert tagging_accuracy([], []) == 0.0

"""Training: the toy grammar is learned, one seed gives one parser, and a killed run goes on exactly."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from isogloss.compute.checkpoints import Checkpoints
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.treebank import Treebank
from isogloss.errors import RecipeError, TrainingError
from isogloss.parsing.attachment import attachment_scores
from isogloss.parsing.training import relations_of, train_parser


def weights_of(parser):
    return parser.network.state_dict()


def assert_same_weights(first, second):
    for (name, a), b in zip(weights_of(first).items(), weights_of(second).values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize(
    "sees",
    [{"layer": 1}, {"layer": "mix", "upos": "none"}, {"layer": "all", "upos": "predicted"}, {"vectors": False}],
    ids=str,
)
def test_the_toy_grammar_is_learned(by_heart, toy_treebank, tiny_settings, sees):
    encoder = by_heart() if sees.get("vectors", True) else None
    parser = train_parser(
        encoder,
        [toy_treebank(200, seed=1)],
        dev=[toy_treebank(30, seed=2)],
        settings=tiny_settings(steps=60, **sees),
        seed=1,
    )
    test = toy_treebank(60, seed=3)
    assert attachment_scores(test, parser.parse(test, encoder)).las > 0.95


def test_an_unseen_language_in_the_same_space_is_parsed_as_well(by_heart, toy_treebank, tiny_settings):
    encoder = by_heart()
    parser = train_parser(encoder, [toy_treebank(200, seed=1)], settings=tiny_settings(), seed=1)
    unseen = toy_treebank(40, seed=4, language="unseen")
    assert attachment_scores(unseen, parser.parse(unseen, encoder)).las > 0.95


def test_same_seed_same_parser_and_the_global_generator_rests(by_heart, toy_treebank, tiny_settings):
    def train(seed):
        return train_parser(by_heart(), [toy_treebank(30, seed=1)], settings=tiny_settings(steps=5), seed=seed)

    first = train(1)
    torch.rand(3)
    before = torch.get_rng_state()
    again = train(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same_weights(first, again)
    assert not torch.equal(weights_of(first)["root"], weights_of(train(2))["root"])


def test_half_the_digits_learn_as_well_and_leave_float32(by_heart, toy_treebank, tiny_settings):
    settings = tiny_settings(precision="bfloat16")
    parser = train_parser(by_heart(), [toy_treebank(200, seed=1)], settings=settings, seed=1)
    assert {weight.dtype for weight in weights_of(parser).values()} == {torch.float32}
    test = toy_treebank(60, seed=3)
    assert attachment_scores(test, parser.parse(test, by_heart())).las > 0.95
    other = train_parser(by_heart(), [toy_treebank(200, seed=1)], settings=tiny_settings(), seed=1)
    assert not torch.equal(weights_of(parser)["root"], weights_of(other)["root"]), "it computes otherwise"


def test_a_trained_parser_goes_on_with_few_trees(by_heart, toy_treebank, tiny_settings):
    first = train_parser(by_heart(), [toy_treebank(200, seed=1)], settings=tiny_settings(), seed=1)
    kept = {name: weight.clone() for name, weight in weights_of(first).items()}
    few = toy_treebank(5, seed=2, language="other")
    parser = train_parser(by_heart(), [few], settings=tiny_settings(steps=2), seed=1, start=first)
    alone = train_parser(by_heart(), [few], settings=tiny_settings(steps=2), seed=1)
    test = toy_treebank(60, seed=3, language="other")
    assert attachment_scores(test, parser.parse(test, by_heart())).las > 0.9
    assert attachment_scores(test, alone.parse(test, by_heart())).las < 0.9, "two steps teach a new parser less"
    assert all(torch.equal(weight, kept[name]) for name, weight in weights_of(first).items()), "it was not changed"
    assert parser.metadata["started_from"]["languages"] == ["toy"]
    assert parser.relations == first.relations


def renamed(treebank: Treebank, names: dict[str, str]) -> Treebank:
    """The same trees with other names for some relations."""
    sentences = (
        sentence.with_tree(
            [word.head for word in sentence.words], [names.get(word.deprel, word.deprel) for word in sentence.words]
        )
        for sentence in treebank
    )
    return Treebank(tuple(sentences), language=treebank.language, name="few.conllu")


def test_a_relation_that_the_first_parser_did_not_know_teaches_heads_only_and_is_told(
    by_heart, toy_treebank, tiny_settings, caplog
):
    first = train_parser(by_heart(), [toy_treebank(50, seed=1)], settings=tiny_settings(steps=5), seed=1)
    few = renamed(toy_treebank(20, seed=2), {"nsubj": "strange", "amod": "odd"})
    counts = Counter(word.deprel for sentence in few for word in sentence.words)
    parser = train_parser(by_heart(), [few], settings=tiny_settings(steps=40), seed=1, start=first)
    test = toy_treebank(40, seed=3)
    before, after = (attachment_scores(test, one.parse(test, by_heart())).uas for one in (first, parser))
    assert after > before
    assert not {"strange", "odd"} & set(parser.relations)
    assert parser.metadata["ignored_relations"] == {"toy": {"odd": counts["odd"], "strange": counts["strange"]}}
    assert caplog.messages == [
        f"Treebank few.conllu: {counts['odd'] + counts['strange']} of {few.word_count} words have relations that the "
        f"parser does not know (strange {counts['strange']}, odd {counts['odd']}). Of these words only the heads are "
        f"learned."
    ]


def test_trees_most_of_whose_relations_the_first_parser_does_not_know_are_refused(
    by_heart, toy_treebank, tiny_settings
):
    first = train_parser(by_heart(), [toy_treebank(20, seed=1)], settings=tiny_settings(steps=1), seed=1)
    names = {name: name.upper() for name in first.relations}
    few = renamed(toy_treebank(4, seed=2), names)
    known = "amod, det, nsubj, obj, punct, root"
    with pytest.raises(
        TrainingError,
        match=rf"Treebank few\.conllu: {few.word_count} of {few.word_count} words have relations that the parser does "
        rf"not know \(.*[A-Z]+ \d+ and 1 more\)\. Expected those that it knows: {known}\. Rename them, or train",
    ):
        train_parser(by_heart(), [few], settings=tiny_settings(steps=1), seed=1, start=first)


def test_a_parser_of_another_shape_cannot_go_on(by_heart, toy_treebank, tiny_settings):
    first = train_parser(by_heart(), [toy_treebank(20, seed=1)], settings=tiny_settings(steps=1), seed=1)
    with pytest.raises(RecipeError, match=r"Parser to start from: its arc_dependent\.weight is \(24, 32\), and"):
        train_parser(by_heart(), [toy_treebank(20, seed=1)], settings=tiny_settings(arc_width=25), seed=1, start=first)


class Killed(Exception):
    """Stands for a power cut."""


def test_a_killed_run_goes_on_exactly(by_heart, toy_treebank, tiny_settings, tmp_path):
    loop = {"max_steps": 12, "evaluate_every": 4, "checkpoint_seconds": 1e-9}
    treebanks = [toy_treebank(40, seed=1), toy_treebank(20, seed=2, language="other")]
    arguments = {
        "treebanks": treebanks,
        "dev": [toy_treebank(5, seed=3)],
        "settings": tiny_settings(loop=loop, batch_size=8),
        "seed": 3,
    }
    steps = []
    whole = train_parser(by_heart(), on_step=steps.append, **arguments)

    def kill(step):
        if step.number == 7:
            raise Killed

    folder = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(Killed):
        train_parser(by_heart(), on_step=kill, checkpoints=folder, **arguments)
    later = []
    resumed = train_parser(by_heart(), on_step=later.append, checkpoints=folder, **arguments)
    assert later[0].number == 7
    assert [step.loss for step in later] == [step.loss for step in steps[6:]]
    assert [step.score for step in later] == [step.score for step in steps[6:]]
    assert_same_weights(whole, resumed)


def test_metadata_tells_how_it_was_trained(by_heart, toy_treebank, tiny_settings):
    parser = train_parser(
        by_heart(),
        [toy_treebank(10, seed=1, language="b"), toy_treebank(10, seed=1, language="a")],
        dev=[toy_treebank(4, seed=1, language="b")],
        settings=tiny_settings(steps=2),
        seed=4,
    )
    assert parser.metadata["languages"] == ["a", "b"]
    assert (parser.metadata["seed"], parser.metadata["steps"]) == (4, 2)
    assert 0 <= parser.metadata["best_dev_las"] <= 1


@pytest.mark.parametrize(("strip", "expected"), [(True, ("aux", "nsubj")), (False, ("aux", "nsubj:pass"))])
def test_subtypes_are_stripped_on_request(strip, expected):
    sentence = Sentence.of_forms(["a", "b"]).with_tree([2, 0], ["nsubj:pass", "aux"])
    assert relations_of([Treebank((sentence,), language="x")], strip_subtypes=strip) == expected


def _without_tree(treebank):
    return replace(treebank, sentences=(*treebank.sentences[:2], Sentence.of_forms(["a"])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bank: ([], []), r"no treebank was given"),
        (lambda bank: ([bank, bank], []), r"2 treebanks of language 'toy'. Expected one"),
        (lambda bank: ([replace(bank, sentences=())], []), r"Treebank toy: no words in 0 sentences"),
        (
            lambda bank: ([_without_tree(bank)], []),
            r"Treebank toy, sentence 3: a word without head or relation",
        ),
        (
            lambda bank: ([bank], [replace(bank, language="gl", split="dev")]),
            r"Treebank gl \(dev\): a development treebank of 'gl'. Expected a training language \(toy\)",
        ),
    ],
    ids=["none", "twice", "empty", "no tree", "unseen dev"],
)
def test_what_cannot_be_learned_from_is_refused(by_heart, toy_treebank, tiny_settings, change, message):
    treebanks, dev = change(toy_treebank(3, seed=1))
    with pytest.raises(TrainingError, match=message):
        train_parser(by_heart(), treebanks, dev=dev, settings=tiny_settings(), seed=1)

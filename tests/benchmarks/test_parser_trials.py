"""`benchmarks.parser_trials` trains a run's parsers again and lets several parse together."""

import sys
from dataclasses import replace

import pytest
import torch
from benchmarks.parser_trials import parse_together, scored, told, trained

from benchmarks import parser_trials
from isogloss.corpus.conllu import read_conllu
from isogloss.parsing.parser import Parser
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.stages import load_space


@pytest.fixture
def planned(tiny_run, tiny_recipe):
    return {stage.name: stage.arguments for stage in plan_stages(load_recipe(tiny_recipe), tiny_run.folder)}


@pytest.fixture
def gold(tiny_run):
    return read_conllu(tiny_run.folder / "corpus" / "qel" / "test.conllu", language="qel")[:30]


@pytest.fixture
def members(planned):
    given = {"steps": 5, "turns": {}, "keep": None, "label": "aligned-none"}
    return [trained(planned["parsing/aligned-none"], seed=seed, **given) for seed in (1, 2)]


def test_the_same_seed_gives_the_parser_of_the_run(tiny_run, planned):
    ours = trained(planned["parsing/aligned-none"], label="aligned-none", seed=1, steps=None, turns={}, keep=None)
    theirs = Parser.load(tiny_run.folder / "parsing" / "aligned-none")
    assert all(
        torch.equal(weight, theirs.network.state_dict()[name]) for name, weight in ours.network.state_dict().items()
    )


def test_an_ensemble_of_one_parses_as_that_one_does(planned, members, gold):
    space = load_space(planned["parsed/aligned-none"]["space"])
    assert parse_together(members[:1] * 3, gold, space) == members[0].parse(gold, space)


def test_an_ensemble_leans_to_the_surer_parser(planned, members, gold):
    space = load_space(planned["parsed/aligned-none"]["space"])
    sure, doubting = members
    with torch.no_grad():
        doubting.network.arcs.weight.mul_(1e-6)  # all heads are alike to it
        doubting.network.relations.weight.mul_(1e-6)
    assert parse_together([sure, doubting], gold, space) == sure.parse(gold, space)


def test_parsers_with_other_relations_do_not_parse_together(members, gold):
    other = replace(members[1], relations=members[1].relations[::-1])
    with pytest.raises(AssertionError, match="alike, and without taggers"):
        parse_together([members[0], other], gold, None)


def test_steps_and_turns_are_those_asked_for_and_kept_parsers_are_taken(planned, tmp_path, monkeypatch):
    given = {"label": "aligned-none", "seed": 3, "steps": 4, "turns": {"qbe": 5.0}, "keep": tmp_path}
    first = trained(planned["parsing/aligned-none"], **given)
    assert first.metadata["steps"] == 4
    evenly = trained(planned["parsing/aligned-none"], **{**given, "turns": {}, "keep": None})
    assert not torch.equal(first.network.root, evenly.network.root), "other batches, other weights"
    monkeypatch.setattr(parser_trials, "train_parser", None)
    again = trained(planned["parsing/aligned-none"], **given)
    assert all(
        torch.equal(weight, again.network.state_dict()[name]) for name, weight in first.network.state_dict().items()
    )


def test_it_prints_every_seed_their_mean_and_the_ensemble(tiny_run, tiny_recipe, capsys, monkeypatch):
    words = [
        "trials",
        tiny_recipe,
        tiny_run.folder,
        "pos-only-gold",
        "aligned-none",
        "--seeds",
        "1",
        "2",
        "--steps",
        "3",
    ]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    parser_trials.main()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "LAS / UAS by seed (1, 2)"
    assert [line.partition(",")[0] for line in lines] == ["pos-only-gold", "aligned-none"]
    assert all("; mean " in line and "; ensemble " in line for line in lines)


def test_a_line_says_what_was_found():
    found = [(70.0, 80.0), (72.0, 81.0), (73.0, 82.0)]
    line = " ".join(told("x", found, seeds=2).split())
    assert line == "x: 70.00 / 80.00, 72.00 / 81.00; mean 71.00 ± 1.41 / 80.50; ensemble 73.00 / 82.00"
    assert " ".join(told("x", found[:1], seeds=1).split()) == "x: 70.00 / 80.00"


def test_one_parser_is_no_ensemble(planned, members):
    ((name, scores),) = scored(members[:1], planned["parsed/aligned-none"])
    assert (name, len(scores)) == ("qel test", 1)


def test_a_parser_that_the_recipe_has_not_is_refused(tiny_run, tiny_recipe, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["trials", str(tiny_recipe), str(tiny_run.folder), "best"])
    with pytest.raises(SystemExit, match="best: no parser of this recipe"):
        parser_trials.main()

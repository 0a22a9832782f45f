"""A recipe with few trees of unseen languages: what is planned, what is made, what is refused."""

import shutil
from pathlib import Path

import pytest

from isogloss.errors import RecipeError
from isogloss.experiment import run
from isogloss.parsing.parser import Parser
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.reports.results import read_scores

FEW = (
    "parsing.few_shot.languages=['qel']",
    "parsing.few_shot.trees=[2, 5]",
    "parsing.few_shot.tuning.least_steps=4",
    "parsing.few_shot.tuning.passes=1",
)


def plan(recipe: Path, *overrides: str) -> dict:
    return {stage.name: stage for stage in plan_stages(load_recipe(recipe, overrides=overrides), Path("/run"))}


def test_few_trees_add_stages_and_change_none(tiny_recipe):
    before, after = plan(tiny_recipe), plan(tiny_recipe, *FEW, "parsing.few_shot.draws=2")
    assert {name: after[name].key for name in before} == {name: stage.key for name, stage in before.items()}
    names = [f"{system}-none-qel-{trees}trees" for system in ("aligned", "supervised") for trees in (2, 5)]
    names += [f"{name}-draw2" for name in names]
    assert set(after) - set(before) == {f"{kind}/{name}" for kind in ("parsing", "parsed") for name in names}


def test_a_tuned_parser_waits_for_the_one_it_starts_from_and_for_its_languages(tiny_recipe):
    stages = plan(tiny_recipe, *FEW)
    tuned = stages["parsing/aligned-none-qel-5trees"]
    assert tuned.inputs["parsing/aligned-none"] == stages["parsing/aligned-none"].key
    assert {"encoders/qel", "mapping/qel", "vectors/qal", "vectors/qbe"} <= set(tuned.inputs)
    assert {"qel-train", "qal-train", "qbe-train"} <= set(tuned.inputs)
    assert set(tuned.after) >= {name for name in tuned.inputs if "/" in name}
    assert "parsing/aligned-none" not in stages["parsing/supervised-none-qel-5trees"].inputs


def test_without_the_others_their_trees_and_vectors_do_not_matter(tiny_recipe):
    tuned = plan(tiny_recipe, *FEW, "parsing.few_shot.tuning.share_of_others=0")["parsing/aligned-none-qel-5trees"]
    assert not {"vectors/qbe", "qbe-train", "qal-train"} & set(tuned.inputs)


def test_those_that_learn_from_few_trees_alone_have_the_dropout_of_few_trees(tiny_recipe):
    stages = plan(tiny_recipe, *FEW, "parsing.few_shot.tuning.dropout=0.2", "parsing.parser.dropout=0.0")
    assert stages["parsing/supervised-none-qel-5trees"].arguments["settings"].dropout == 0.2
    assert stages["parsing/aligned-none-qel-5trees"].arguments["tuning"].dropout == 0.2
    assert stages["parsing/aligned-none"].arguments["settings"].dropout == 0.0
    before = plan(tiny_recipe, *FEW, "parsing.parser.dropout=0.0")
    remade = {name for name, stage in stages.items() if stage.key != before[name].key and stage.kind == "parser"}
    assert remade == {name for name in stages if name.startswith("parsing/") and name.endswith("trees")}


def test_left_out_languages_go_on_from_their_own_parsers(tiny_recipe):
    overrides = ("parsing.leave_one_out=true", "parsing.train_on=['qal', 'qbe', 'qel']", "parsing.systems=['aligned']")
    tuned = plan(tiny_recipe, *FEW, *overrides)["parsing/aligned-none-qel-2trees"]
    assert "parsing/aligned-none-qel" in tuned.inputs
    assert set(tuned.arguments["others"]) == {"qal", "qbe"}


def test_a_run_goes_on_to_a_curve_with_a_figure_and_keeps_what_it_had(tiny_run, tiny_recipe, tmp_path):
    folder = shutil.copytree(tiny_run.folder, tmp_path / "tiny")
    done = run(tiny_recipe, folder, overrides=FEW)
    assert len(done.made) == 8
    assert all("trees" in name for name in done.made)
    scores = {(score.system, score.trees): score for score in done.scores if score.pos == "none"}
    assert {trees for system, trees in scores if system == "aligned"} == {None, 2, 5}
    assert {trees for system, trees in scores if system == "supervised"} == {None, 2, 5}
    assert [scores["aligned", trees].unseen for trees in (None, 2, 5)] == [True, False, False]
    assert all(score.las_low is not None for score in scores.values())
    assert read_scores([folder]) == done.scores
    table = (folder / "reports" / "scores.md").read_text(encoding="utf-8")
    assert "| aligned, then 5 trees | none |" in table
    assert "| 5 trees only | none |" in table
    tuned = Parser.load(folder / "parsing" / "aligned-none-qel-5trees")
    assert tuned.metadata["started_from"]["languages"] == ["qal", "qbe"]
    assert tuned.metadata["steps"] == 8, "four steps for the five trees, four for the others"
    alone = Parser.load(folder / "parsing" / "supervised-none-qel-5trees")
    assert alone.metadata["languages"] == ["qel"]
    curve = folder / "visuals" / "learning-curve-qel-test.svg"
    assert (curve in done.figures) == curve.is_file()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("parsing.few_shot.languages=['qbe']",),
            r"'qbe' is not in parsing\.test_on\. Expected a language to be tested",
        ),
        (
            ("parsing.few_shot.languages=['qel']", "parsing.train_on=['qal', 'qel']"),
            r"'qel' is in parsing\.train_on\. Expected a language whose trees the parser has not seen",
        ),
        ((*FEW, "parsing.few_shot.parsers=['static-predicted']"), r"'static-predicted' is no zero-shot parser of this"),
        ((*FEW, "parsing.few_shot.parsers=['supervised-none']"), r"'supervised-none' is no zero-shot parser of this"),
        (
            (*FEW, "parsing.fewer.aligned-none=[]"),
            r"'aligned-none' is not tested on 'qel' by parsing\.fewer\. Expected a parser to go on from",
        ),
        ((*FEW, "parsing.few_shot.trees=[]"), r"parsing\.few_shot\.trees"),
    ],
)
def test_a_curve_that_makes_no_sense_is_refused(tiny_recipe, overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(tiny_recipe, overrides=overrides)

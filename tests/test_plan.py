"""The plan of a recipe: every key is known before anything runs, and depends on what it should, no more."""

import shutil
from pathlib import Path

import pytest

from isogloss.artifacts import build_artifact
from isogloss.errors import DataError, RecipeError
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.stage import Stage

REAL = """
name = "real"
reference = "aa"
seed = 1

[corpus.aa]
text = "aa.txt"
treebank = { train = "aa-train.conllu", dev = "aa-dev.conllu" }
licence = "CC BY 4.0"

[corpus.bb]
text = "bb.txt"
treebank = { train = "bb-train.conllu", dev = "bb-dev.conllu" }

[corpus.cc]
text = "cc.txt"
treebank = { test = "cc-test.conllu", pud = "cc-pud.conllu" }

[mapping]
dictionaries = "{target}-{source}.tsv"

[parsing]
train_on = ["aa", "bb"]
test_on = ["cc"]
systems = ["pos-only", "unaligned", "anchors-only", "static", "aligned", "supervised"]
"""
NAMES = [
    "aa.txt",
    "bb.txt",
    "cc.txt",
    "aa-train.conllu",
    "aa-dev.conllu",
    "bb-train.conllu",
    "bb-dev.conllu",
    "cc-test.conllu",
    "cc-pud.conllu",
    "aa-bb.tsv",
    "aa-cc.tsv",
    "bb-aa.tsv",
    "cc-aa.tsv",
]


@pytest.fixture
def real_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ISOGLOSS_DATA", raising=False)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    (folder / "real.toml").write_text(REAL)
    return folder / "real.toml"


def plan(path: Path, *overrides: str, folder: Path = Path("/run")) -> dict[str, Stage]:
    return {stage.name: stage for stage in plan_stages(load_recipe(path, overrides=overrides), folder)}


def keys(path: Path, *overrides: str) -> dict[str, str]:
    return {name: stage.key for name, stage in plan(path, *overrides).items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def of_kinds(names, *kinds: str) -> set[str]:
    return {name for name in names if name.partition("/")[0] in kinds}


def test_the_stages_of_a_recipe(tiny_recipe):
    languages = {"qal", "qbe", "qel"}
    expected = {"corpus"}
    expected |= {
        f"{kind}/{language}" for kind in ("encoders", "vectors", "lexicon", "static") for language in languages
    }
    expected |= {"vectors/qel-tested"}
    expected |= {f"mapping/{name}" for name in ("qbe", "qel", "qbe-static", "qel-static")}
    systems = ["unaligned-{}", "anchors-only-{}", "static-{}", "aligned-{}", "supervised-{}-qel"]
    parsers = {"pos-only-gold", *(system.format(pos) for system in systems for pos in ("none", "gold"))}
    expected |= {f"{kind}/{name}" for kind in ("parsing", "parsed") for name in parsers}
    assert set(plan(tiny_recipe)) == expected


def test_planning_writes_nothing(tiny_recipe, tmp_path):
    plan(tiny_recipe, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fixture", ["tiny_recipe", "real_recipe"])
def test_every_stage_comes_after_those_that_it_builds_on(fixture, request):
    seen: set[str] = set()
    for name, stage in plan(request.getfixturevalue(fixture)).items():
        assert set(stage.after) <= seen, f"{name} waits for {set(stage.after) - seen}"
        assert {other for other in stage.inputs if "/" in other} <= seen
        seen.add(name)


def test_every_artifact_whose_key_goes_in_is_waited_for(tiny_recipe):
    stages = plan(tiny_recipe)
    for stage in stages.values():
        waited: set[str] = set()
        todo = list(stage.after)
        while todo:
            name = todo.pop()
            waited.add(name)
            todo += stages[name].after
        assert {name for name in stage.inputs if name in stages} <= waited
        assert stage.name == "corpus" or "corpus" in waited


def test_keys_do_not_depend_on_where_the_run_and_the_recipe_lie(real_recipe, tmp_path):
    before = keys(real_recipe)
    elsewhere = shutil.copytree(real_recipe.parent, tmp_path / "moved") / "real.toml"
    assert keys(elsewhere) == before
    assert {name: stage.key for name, stage in plan(real_recipe, folder=tmp_path).items()} == before


@pytest.mark.parametrize("fixture", ["tiny_recipe", "real_recipe"])
@pytest.mark.parametrize("override", ["compute.workers=3", "encoders.loop.checkpoint_seconds=5", "name='another'"])
def test_what_does_not_steer_the_result_changes_no_key(fixture, override, request):
    path = request.getfixturevalue(fixture)
    assert changed(keys(path), keys(path, override)) == set()


@pytest.mark.parametrize("override", ["parsing.parser.hidden_width=13", "parsing.parser.loop.max_steps=21"])
def test_a_setting_of_the_parser_changes_only_parsers_and_parses(tiny_recipe, override):
    before = keys(tiny_recipe)
    assert changed(before, keys(tiny_recipe, override)) == of_kinds(before, "parsing", "parsed")


def test_a_setting_of_the_mapping_changes_only_what_is_aligned(tiny_recipe):
    before = keys(tiny_recipe)
    expected = of_kinds(before, "mapping")
    expected |= {name for name in of_kinds(before, "parsing", "parsed") if "/aligned" in name}
    expected |= {name for name in of_kinds(before, "parsing", "parsed") if "/anchors-only" in name}
    expected |= {name for name in of_kinds(before, "parsing", "parsed") if "/static" in name}
    assert changed(before, keys(tiny_recipe, "mapping.method.normalisation='centre'")) == expected


def test_static_vectors_may_be_aligned_in_their_own_way(tiny_recipe):
    before, own = keys(tiny_recipe), "mapping.static={method='procrustes', normalisation='centre'}"
    expected = {name for name in of_kinds(before, "mapping") if name.endswith("-static")}
    expected |= {name for name in of_kinds(before, "parsing", "parsed") if "/static" in name}
    assert expected
    assert changed(before, keys(tiny_recipe, own)) == expected


def test_a_setting_of_static_vectors_changes_nothing_of_the_method(tiny_recipe):
    before = keys(tiny_recipe)
    assert changed(before, keys(tiny_recipe, "static.window=3")) == {name for name in before if "static" in name}


def test_a_setting_of_the_language_models_changes_all_that_reads_them(tiny_recipe):
    before = keys(tiny_recipe)
    stays = {"corpus"} | {name for name in before if "static" in name or "pos-only" in name}
    assert changed(before, keys(tiny_recipe, "encoders.loop.max_steps=31")) == set(before) - stays


def test_the_seed_of_the_family_changes_everything(tiny_recipe):
    before = keys(tiny_recipe)
    assert changed(before, keys(tiny_recipe, "invented.seed=2")) == set(before)


def test_the_seed_changes_all_that_chance_plays_a_part_in(tiny_recipe):
    before = keys(tiny_recipe)
    assert changed(before, keys(tiny_recipe, "seed=2")) == set(before) - {"corpus"}


def test_a_changed_text_changes_its_model_and_all_that_follows(real_recipe):
    before = keys(real_recipe)
    (real_recipe.parent / "cc.txt").write_text("other words")
    found = changed(before, keys(real_recipe))
    aligned = {"aligned-none", "aligned-gold", "anchors-only-none", "anchors-only-gold", "static-none", "static-gold"}
    assert found == {
        *("encoders/cc", "vectors/cc-tested", "lexicon/cc", "static/cc", "mapping/cc", "mapping/cc-static"),
        *(f"parsed/{name}" for name in (*aligned, "unaligned-none", "unaligned-gold")),
    }, "the parsers themselves never read the unseen language"


def test_a_changed_text_of_the_reference_changes_everything_but_tags_and_other_models(real_recipe):
    before = keys(real_recipe)
    (real_recipe.parent / "aa.txt").write_text("other words")
    stays = {f"{kind}/{language}" for kind in ("encoders", "vectors", "lexicon", "static") for language in ("bb", "cc")}
    stays -= {"vectors/cc"}  # it has a test set only
    stays |= {"vectors/cc-tested", "parsing/pos-only-gold", "parsed/pos-only-gold"}
    assert changed(before, keys(real_recipe)) == set(before) - stays


def test_a_changed_treebank_changes_its_vectors_and_parsers_only(real_recipe):
    before = keys(real_recipe)
    (real_recipe.parent / "bb-train.conllu").write_text("other trees")
    assert changed(before, keys(real_recipe)) == of_kinds(before, "parsing", "parsed") | {"vectors/bb"}


def test_a_changed_test_set_changes_only_parses(real_recipe):
    before = keys(real_recipe)
    (real_recipe.parent / "cc-test.conllu").write_text("other trees")
    assert changed(before, keys(real_recipe)) == of_kinds(before, "parsed") | {"vectors/cc-tested"}


def test_a_changed_dictionary_changes_its_language(real_recipe):
    before = keys(real_recipe)
    (real_recipe.parent / "aa-cc.tsv").write_text("other pairs")
    found = changed(before, keys(real_recipe))
    assert of_kinds(found, "mapping") == {"mapping/cc", "mapping/cc-static"}
    assert of_kinds(found, "encoders", "lexicon", "static", "parsing") == set()


@pytest.mark.parametrize(
    ("pattern", "file", "turned"),
    [("{source}-{target}.tsv", "cc-aa.tsv", False), ("{target}-{source}.tsv", "aa-cc.tsv", True)],
)
def test_the_columns_of_a_dictionary_come_in_the_order_of_its_name(real_recipe, pattern, file, turned):
    stage = plan(real_recipe, f"mapping.dictionaries='{pattern}'")["mapping/cc"]
    assert stage.arguments["dictionary"] == real_recipe.parent / file
    assert stage.arguments["reversed_columns"] is turned
    assert (stage.arguments["source"], stage.arguments["target"]) == ("cc", "aa")


def test_a_language_may_name_its_own_dictionaries(real_recipe):
    (real_recipe.parent / "aa-cc.swadesh.tsv").write_text("one\tone")
    own = ("corpus.cc.dictionary='aa-cc.swadesh.tsv'", "mapping.test_dictionaries='{target}-{source}.tsv'")
    stages = plan(real_recipe, *own, "corpus.cc.test_dictionary=''")
    found = {name: stages[f"mapping/{name}"].arguments for name in ("bb", "cc")}
    assert found["cc"]["dictionary"] == real_recipe.parent / "aa-cc.swadesh.tsv"
    assert found["cc"]["test_dictionary"] is None
    assert found["bb"]["dictionary"] == found["bb"]["test_dictionary"] == real_recipe.parent / "aa-bb.tsv"


def test_a_language_may_be_aligned_in_its_own_way(real_recipe):
    own = "corpus.cc.method={method='procrustes', prior=0.3}"
    before, after = keys(real_recipe), {name: stage.key for name, stage in plan(real_recipe, own).items()}
    assert of_kinds(changed(before, after), "mapping") == {"mapping/cc"}, (
        "static vectors never met, and stay as they were"
    )
    assert plan(real_recipe, own)["mapping/cc"].arguments["settings"].prior == 0.3


def test_a_language_takes_over_the_alignments_of_its_kin(real_recipe):
    for name, started_from in (("of-bb", "cc"), ("of-cc", "aa")):
        card = {"card": {"started_from": started_from}}
        build_artifact(
            real_recipe.parent / name, "encoder", lambda _, card=card: card, settings={}, inputs={"text": name}
        )
    own = ("corpus.bb.model='of-bb'", "corpus.cc.model='of-cc'", "parsing.systems=['aligned']")
    with pytest.raises(RecipeError, match=r"of-cc: corpus\.cc\.kin is 'bb', and this model was not started from one"):
        plan(real_recipe, "corpus.cc.kin='bb'", *own)
    (real_recipe.parent / "aa-bb.tsv").unlink()  # nobody asks for it
    stages = plan(real_recipe, "corpus.bb.kin='cc'", *own)
    assert list(stages).index("mapping/cc") < list(stages).index("mapping/bb")
    assert stages["mapping/bb"].after == ("mapping/cc",)
    assert stages["mapping/bb"].inputs == {"mapping/cc": stages["mapping/cc"].key}
    assert stages["mapping/bb"].arguments["alignments"] == Path("/run/mapping/cc")


def test_a_language_with_dictionaries_of_its_own_needs_none_of_the_pattern(real_recipe):
    (real_recipe.parent / "aa-cc.tsv").rename(real_recipe.parent / "elsewhere.tsv")
    stage = plan(real_recipe, "corpus.cc.dictionary='elsewhere.tsv'")["mapping/cc"]
    assert stage.arguments["dictionary"] == real_recipe.parent / "elsewhere.tsv"


def test_folders_that_name_languages_do_not_decide_the_order_of_columns(real_recipe):
    folder = real_recipe.parent / "aa"
    folder.mkdir()
    for name in ("bb-aa.tsv", "cc-aa.tsv"):
        (folder / name).touch()
    stage = plan(real_recipe, "mapping.dictionaries='{target}/{source}-{target}.tsv'")["mapping/cc"]
    assert stage.arguments["reversed_columns"] is False


def test_a_language_without_trees_of_its_own_has_no_supervised_parser(real_recipe):
    assert not [name for name in plan(real_recipe) if "supervised" in name]
    assert "parsing/supervised-none-bb" in plan(real_recipe, "parsing.test_on=['bb']", "parsing.test_splits=['dev']")


def test_what_is_tested_on_fewer_languages_is_tested_on_none_that_the_others_are_not(real_recipe):
    overrides = ["parsing.test_on=['bb']", "parsing.test_splits=['dev']", "parsing.systems=['aligned', 'unaligned']"]
    some = plan(real_recipe, *overrides, "parsing.fewer.aligned=['bb', 'cc']")["parsed/aligned-none"]
    assert list(some.arguments["test"]) == ["bb"]
    assert "parsed/aligned-none" not in plan(real_recipe, *overrides, "parsing.fewer.aligned=['cc']")


def test_what_only_a_system_needs_that_is_tested_nowhere_is_not_made(real_recipe):
    overrides = ["parsing.systems=['aligned', 'static']", "parsing.fewer.static=[]"]
    assert any(name.startswith("static/") for name in plan(real_recipe, overrides[0]))
    assert not any(name.startswith("static/") for name in plan(real_recipe, *overrides))


def test_an_unseen_language_is_marked_as_such(real_recipe):
    overrides = ["parsing.test_on=['bb', 'cc']", "parsing.test_splits=['dev', 'test']"]
    assert plan(real_recipe, *overrides)["parsed/aligned-none"].arguments["unseen"] == ["cc"]


def test_licences_of_the_data_are_handed_on(real_recipe, tiny_recipe):
    stages = plan(real_recipe)
    assert stages["encoders/aa"].licences == stages["parsing/aligned-none"].licences == ("CC BY 4.0",)
    assert stages["encoders/bb"].licences == ()
    assert plan(tiny_recipe)["encoders/qal"].licences == ("CC0-1.0 (invented by isogloss)",)


def test_a_file_that_is_gone_is_an_error(real_recipe):
    recipe = load_recipe(real_recipe)
    (real_recipe.parent / "cc.txt").unlink()
    with pytest.raises(DataError, match=r"cc.txt: cannot be read \(No such file or directory\). Expected a file"):
        plan_stages(recipe, Path("/run"))


def test_where_only_anchored_models_are_read_no_plain_one_is_trained(tiny_recipe):
    stages = plan(tiny_recipe, 'parsing.systems=["anchored"]', 'parsing.pos=["none"]')
    assert {"encoders/qal", "encoders/qbe-anchored", "encoders/qel-anchored", "mapping/qel-anchored"} <= set(stages)
    assert not {"encoders/qbe", "encoders/qel", "lexicon/qel", "mapping/qel"} & set(stages)

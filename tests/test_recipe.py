"""Recipes: all that are shipped load, and whatever is wrong in one is named with its place and what to do."""

from pathlib import Path

import pytest

from isogloss.errors import RecipeError
from isogloss.recipe_reading import load_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))

REAL = """
name = "real"
reference = "aa"
data = "files"

[corpus.aa]
text = "{data}/aa.txt"
treebank = { train = "{data}/aa-train.conllu", dev = "{data}/aa-dev.conllu" }

[corpus.bb]
text = "{data}/bb.txt"
treebank = { test = "{data}/bb-test.conllu" }

[mapping]
dictionaries = "{data}/{target}-{source}.tsv"

[parsing]
train_on = ["aa"]
test_on = ["bb"]
"""
FILES = ("aa.txt", "aa-train.conllu", "aa-dev.conllu", "bb.txt", "bb-test.conllu", "aa-bb.tsv")


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    """Let no test depend on where somebody keeps data."""
    monkeypatch.delenv("ISOGLOSS_DATA", raising=False)


@pytest.fixture
def real_recipe(tmp_path: Path) -> Path:
    """A recipe on files (empty ones: loading a recipe does not read them)."""
    (tmp_path / "files").mkdir()
    for name in FILES:
        (tmp_path / "files" / name).touch()
    path = tmp_path / "real.toml"
    path.write_text(REAL, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_we_ship_loads(path, request, monkeypatch):
    if "[invented]" not in path.read_text(encoding="utf-8"):
        monkeypatch.setenv("ISOGLOSS_DATA", str(request.getfixturevalue("data")))
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert set(recipe.parsing.test_on) - set(recipe.parsing.train_on), "no language is unseen"


def test_recipes_are_there():
    assert "invented" in [path.stem for path in RECIPES]


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides=overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "place", "suggestion"),
    [
        ("referense='qal'", "referense", "reference"),
        ("encoders.epoch=3", "encoders.epoch", "encoders.epochs"),
        ("encoders.model.fliters=[]", "encoders.model.fliters", "encoders.model.filters"),
        ("encoders.loop.max_step=4", "encoders.loop.max_step", "encoders.loop.max_steps"),
        ("mapping.method.normalization='unit'", "mapping.method.normalization", "mapping.method.normalisation"),
        ("parsing.parser.loop.patients=1", "parsing.parser.loop.patients", "parsing.parser.loop.patience"),
        ("corpus.xx.txt='a'", "corpus.xx.txt", "corpus.xx.text"),
        ("invented.langages=[]", "invented.langages", "invented.languages"),
        ("compute.worker=1", "compute.worker", "compute.workers"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_valid_one(tiny_recipe, override, place, suggestion):
    message = refusal(tiny_recipe, override)
    assert message.startswith(f"{tiny_recipe}, {place}: unknown key. Did you mean {suggestion}? Valid keys here: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "place", "words"),
    [
        ("seed=one", "seed", "found 'one'; the value should be a whole number"),
        ("name=3", "name", "found 3; the value should be text"),
        ("encoders=3", "encoders", "found 3; the value should be a table"),
        ("encoders.dropout=1.0", "encoders.dropout", "found 1.0; the value should be less than 1"),
        ("encoders.loop.learning_rate=nan", "encoders.loop.learning_rate", "should be a finite number"),
        ("encoders.model='big'", "encoders.model", "should be a table, or should be 'tiny', 'small'"),
        ("encoders.model.cell_width=-1", "encoders.model.cell_width", "found -1; .* greater than 0"),
        ("encoders.model.filters=[[1, 2], [0, 3]]", "encoders.model.filters.1.0", "found 0"),
        ("encoders.model.filters=[[1, 2], [3]]", "encoders.model.filters.1.1", "missing. Expected a value"),
        ("parsing.parser.layer='x'", "parsing.parser.layer", "whole number, or should be 'mix'"),
        ("parsing.systems=['alined']", "parsing.systems.0", "found 'alined'; .*'unaligned'"),
        ("parsing.train_on='qal'", "parsing.train_on", "found 'qal'; the value should be a list"),
        ("compute.workers=-1", "compute.workers", "greater than or equal to 0"),
        ("corpus.xx.treebank=3", "corpus.xx.treebank", "should be a table"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_shows_it(tiny_recipe, override, place, words):
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(tiny_recipe, overrides=[override])
    message = str(caught.value)
    assert message.startswith(f"{tiny_recipe}, {place}: ")
    assert "\n" not in message


def test_every_fault_has_a_line_of_its_own(tiny_recipe):
    lines = refusal(tiny_recipe, "seed='x'", "encoders.epoch=3", "parsing.pos=['some']").splitlines()
    places = [line.removeprefix(f"{tiny_recipe}, ").partition(":")[0] for line in lines]
    assert sorted(places) == ["encoders.epoch", "parsing.pos.0", "seed"]


@pytest.mark.parametrize("key", ["name", "reference", "parsing", "parsing.train_on", "parsing.test_on"])
def test_a_missing_key_is_named(tmp_path, key):
    lines = {"name": 'name = "x"', "reference": 'reference = "qal"', "parsing": "[parsing]"}
    lines |= {"parsing.train_on": 'train_on = ["qal"]', "parsing.test_on": 'test_on = ["qel"]'}
    path = tmp_path / "recipe.toml"
    path.write_text("\n".join(line for name, line in lines.items() if not name.startswith(key)))
    assert f"{path}, {key}: missing. Expected a value. Add it to the recipe." in refusal(path).splitlines()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r": no such file. Expected a recipe \(TOML\). Check the path\.$"),
        (b'name = "\xe9"', r": not UTF-8 \(byte 8\). Expected TOML. Save it as UTF-8\.$"),
        (b'name = "x"\nseed 1', r": not TOML: .*line 2.* Mend that line\.$"),
        (b"seed = 1\nseed = 2\n", r": not TOML: .*line 2.* Mend that line\.$"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, words):
    path = tmp_path / "recipe.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        load_recipe(path)


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match=r": is a folder. Expected a recipe \(TOML\)"):
        load_recipe(tmp_path)


def test_a_path_below_a_file_is_no_recipe(tiny_recipe):
    with pytest.raises(RecipeError, match=r"cannot be read \(Not a directory\)"):
        load_recipe(tiny_recipe / "more.toml")


@pytest.mark.parametrize(
    ("key", "languages"),
    [
        ("reference", "zz"),
        ("parsing.train_on", ["qal", "zz"]),
        ("parsing.test_on", ["zz"]),
        ("parsing.fewer.aligned-gold", ["zz"]),
    ],
)
def test_a_language_that_is_not_in_the_family_is_named(tiny_recipe, key, languages):
    message = refusal(tiny_recipe, f"{key}={languages!r}")
    assert message == (
        f"{tiny_recipe}, {key}: 'zz' is not in [invented.languages], which has qal, qbe, qel. Add it there, or "
        f"remove it here."
    )


@pytest.mark.parametrize(
    ("key", "languages"),
    [("reference", "zz"), ("parsing.train_on", ["aa", "zz"]), ("parsing.test_on", ["zz"])],
)
def test_a_language_without_a_corpus_is_named(real_recipe, key, languages):
    message = refusal(real_recipe, f"{key}={languages!r}")
    assert message == (
        f"{real_recipe}, {key}: 'zz' is not in [corpus], which has aa, bb. Add it there, or remove it here."
    )


def test_a_recipe_that_leaves_no_parser_is_refused(tiny_recipe):
    message = refusal(tiny_recipe, "parsing.systems=['aligned']", "parsing.fewer.aligned=['qal']")
    assert message == (
        f"{tiny_recipe}, parsing.fewer: leaves no parser, since nothing is tested on qel. Expected a system that is. "
        f"Remove its entry there, or add a language to parsing.test_on."
    )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "corpus.aa.treebank={train = '{data}/aa-train.conllu'}",
            r"corpus.aa.treebank: no 'dev', but parsing.train_on names aa. Add the file, or remove",
        ),
        ("parsing.train_on=['bb']", r"corpus.bb.treebank: no 'train', but parsing.train_on names bb"),
        (
            "corpus.bb.kin='aa'",
            r"corpus.bb.kin: found 'aa'. Expected a language that has alignments of its own: no language here. Change",
        ),
        ("corpus.aa.kin='bb'", r"corpus.aa.kin: found 'bb'. Expected none: all others are brought to the reference"),
        (
            "parsing.test_splits=['pud']",
            r"corpus.bb.treebank: found \['test'\]. Expected one of parsing.test_splits, \['pud'\], since "
            r"parsing.test_on names bb. Add the file",
        ),
        ("corpus.bb={treebank = {test = '{data}/bb-test.conllu'}}", r"corpus.bb.text: missing. Expected raw text"),
        ("mapping.dictionaries=''", r"mapping.dictionaries: missing. Expected a pattern"),
        (
            "mapping.dictionaries='{data}/aa-bb.tsv'",
            r"mapping.dictionaries: found '\{data\}/aa-bb.tsv'. Expected both \{source\} and \{target\} in it",
        ),
        ("corpus.bb.dictionary='none.tsv'", r"corpus.bb.dictionary: .*none.tsv: no such file. Expected a file"),
        ("mapping.dictionaries='{data}/{source}-{target}.tsv'", r"bb-aa.tsv: no such file. Expected a file"),
        ("mapping.test_dictionaries='{data}/{source}-{target}.tsv'", r"mapping.test_dictionaries: .*bb-aa.tsv: no"),
        ("corpus.bb.text='{data}/cc.txt'", r"corpus.bb.text: .*files/cc.txt: no such file. Expected a file"),
        ("corpus.bb.text='{data}'", r"corpus.bb.text: .*files: is a folder. Expected a file"),
        ("corpus.aa.treebank.dev='x.conllu'", r"corpus.aa.treebank.dev: .*x.conllu: no such file"),
        ("invented={languages = ['qal']}", r"found both \[invented\] and \[corpus\]. Expected one of them"),
        ("parsing.train_on=[]", r"parsing.train_on: found an empty list. Expected one or more. Name one"),
        ("parsing.test_on=[]", r"parsing.test_on: found an empty list. Expected one or more"),
        ("parsing.systems=[]", r"parsing.systems: found an empty list. Expected one or more"),
    ],
)
def test_what_is_missing_is_told_before_anything_runs(real_recipe, override, words):
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(real_recipe, overrides=[override])
    assert str(caught.value).startswith(f"{real_recipe}")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("invented.languages=['qbe', 'qal', 'qel']", r"the first is 'qbe', .* Expected the reference, 'qal'"),
        ("invented.languages=['qal', 'qbe', 'qel', 'zz']", r"found zz. Expected some of qal, qbe, "),
        ("parsing.test_splits=['pud']", r"found 'pud'. Expected some of train, dev, test, which invented"),
    ],
)
def test_what_invented_languages_do_not_have_is_told_before_anything_runs(tiny_recipe, override, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe(tiny_recipe, overrides=[override])


def test_a_layer_that_no_language_model_has_is_refused_before_one_is_trained(tiny_recipe):
    assert "parsing.parser.layer: found 3. Expected 0 to 2" in refusal(tiny_recipe, "parsing.parser.layer=3")


def test_dictionaries_whose_columns_come_in_different_orders_are_refused(real_recipe):
    (real_recipe.parent / "files" / "bb-aa.test.tsv").touch()
    told = refusal(real_recipe, "mapping.test_dictionaries='{data}/{source}-{target}.test.tsv'")
    assert "the other way round than mapping.dictionaries" in told


def test_systems_without_vectors_need_neither_text_nor_dictionaries(real_recipe):
    overrides = [
        "parsing.systems=['pos-only']",
        "corpus.bb={treebank = {test = '{data}/bb-test.conllu'}}",
        "mapping.dictionaries=''",
    ]
    recipe = load_recipe(real_recipe, overrides=overrides)
    assert not recipe.needs_text
    assert not recipe.needs_encoders


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("encoders.epochs=3", 3),
        ("encoders.epochs = 3", 3),
        ("encoders.loop.learning_rate=2e-3", 2e-3),
        ("encoders.start=random", "random"),
        ("encoders.start='random'", "random"),
        ('parsing.systems=["aligned"]', ("aligned",)),
        ("corpus.aa.tokenised=true", True),
        ("static.min_count=7", 7),
    ],
)
def test_an_override_replaces_one_setting(real_recipe, override, value):
    recipe = load_recipe(real_recipe, overrides=[override])
    found = recipe
    for name in override.partition("=")[0].strip().split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == value
    assert recipe.name == "real"


def test_the_last_override_wins(real_recipe):
    assert load_recipe(real_recipe, overrides=["seed=2", "seed=3"]).seed == 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", r"--set seed: found no '='. Expected KEY=VALUE, as in --set encoders.epochs=3"),
        ("=3", r"--set =3: .*Expected KEY=VALUE"),
        ("name.first=3", r"--set name.first=3: name is a value. Expected a table. Check the key"),
        ("seed=", r"seed: found ''; the value should be a whole number"),
        ("sead=3", r"sead: unknown key. Did you mean seed\?"),
    ],
)
def test_a_wrong_override_is_refused(real_recipe, override, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe(real_recipe, overrides=[override])


def test_paths_are_relative_to_the_recipe(real_recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path.parent)
    recipe = load_recipe(Path(tmp_path.name) / "real.toml")
    assert recipe.corpus["aa"].text == str(tmp_path / "files" / "aa.txt")
    assert recipe.corpus["bb"].treebank == {"test": str(tmp_path / "files" / "bb-test.conllu")}
    assert recipe.mapping.dictionaries == str(tmp_path / "files" / "{target}-{source}.tsv")


def test_the_environment_says_where_the_data_is(real_recipe, monkeypatch, tmp_path):
    (tmp_path / "files").rename(tmp_path / "elsewhere")
    assert f"{{data}} is {tmp_path / 'files'} (set ISOGLOSS_DATA" in refusal(real_recipe)
    monkeypatch.setenv("ISOGLOSS_DATA", str(tmp_path / "elsewhere"))
    assert load_recipe(real_recipe).corpus["aa"].text == str(tmp_path / "elsewhere" / "aa.txt")


def test_a_relative_path_in_the_environment_starts_at_the_current_folder(real_recipe, monkeypatch, tmp_path):
    (tmp_path / "files").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("ISOGLOSS_DATA", "../elsewhere")
    assert load_recipe(real_recipe).corpus["aa"].text == str(tmp_path / "elsewhere" / "aa.txt")


def test_the_languages_in_play_begin_with_the_reference(tiny_recipe):
    overrides = ["parsing.train_on=['qbe', 'qal']", "parsing.test_on=['qbe', 'qel']"]
    assert load_recipe(tiny_recipe, overrides=overrides).languages == ("qal", "qbe", "qel")


def test_a_recipe_survives_json(real_recipe):
    recipe = load_recipe(real_recipe)
    assert type(recipe).model_validate_json(recipe.model_dump_json()) == recipe

"""train-lm --anchored-to and the system `anchored` of recipes: what is trained, keys, refusals."""

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from isogloss.artifacts import build_artifact, read_manifest
from isogloss.corpus.conllu import iterate_conllu
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import SIZES
from isogloss.errors import RecipeError
from isogloss.experiment import run
from isogloss.language_models import train_lm
from isogloss.parsing.attachment import attachment_scores
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.reports.results import read_scores
from isogloss.rich_language import dictionary_towards
from isogloss.stage import Stage
from isogloss.trained import load_trained

WORDS = [f"{first}{last}" for first in "bdfgklmn" for last in ("al", "eb", "od", "ust", "ir")]
QUICK = ("--size", "tiny", "--rows", 4, "--word-types", 60, "--max-steps", 4, "--evaluate-every", 4, "--tokenised")
OPTIONS: dict[str, Any] = {
    "size": "tiny",
    "tokenised": True,
    "word_types": 60,
    "training": {"rows": 4},
    "loop": {"max_steps": 4, "evaluate_every": 4},
}
"""The same for `train_lm`."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two languages, `aa.txt` and `bb.txt`, a dictionary, and a model of the first, `aa`. Read only."""
    folder = tmp_path_factory.mktemp("anchored")
    for language, ending in (("aa", "a"), ("bb", "o")):
        generator = random.Random(5)
        rows = ([generator.randrange(8) * 5 + generator.randrange(5) for _ in range(5)] for _ in range(300))
        lines = (" ".join([*(WORDS[word] + ending for word in row), "."]) for row in rows)
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "aa-bb.tsv").write_text("".join(f"{word}a\t{word}o\n" for word in WORDS), encoding="utf-8")
    train_lm(folder / "aa.txt", folder / "aa", language="aa", **OPTIONS)
    return folder


def words_of(folder: Path, out: Path, *more: object) -> list[str]:
    return [str(word) for word in ("train-lm", folder / "bb.txt", "-l", "bb", "-o", out, *QUICK, *more)]


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def test_the_card_tells_what_the_model_was_anchored_to(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "bb", "--anchored-to", folder / "aa", "-d", folder / "aa-bb.tsv"))
    assert ended.status == 0, ended.errors
    card = ELMoEncoder.load(tmp_path / "bb").card
    assert (card["anchored_to"], card["started_from"], card["anchored_pairs"]) == ("aa", "aa", 40)
    assert 0 < card["anchored_distance"] < 0.5, "its words begin at their translations"
    assert set(read_manifest(tmp_path / "bb").content["inputs"]) == {"text", "reference", "dictionary"}


def test_the_columns_of_the_dictionary_come_in_either_order(command, folder, tmp_path):
    turned = tmp_path / "bb-aa.tsv"
    turned.write_text("".join(f"{word}o\t{word}a\n" for word in WORDS), encoding="utf-8")
    for name, dictionary in (("one", folder / "aa-bb.tsv"), ("other", turned)):
        assert command(*words_of(folder, tmp_path / name, "--anchored-to", folder / "aa", "-d", dictionary)).status == 0
    assert weights(tmp_path / "one") == weights(tmp_path / "other")
    known = [f"{word}a" for word in WORDS[:30]]
    found = dictionary_towards(folder / "aa-bb.tsv", source="bb", target="aa", target_words=known)
    assert (found.source, found.target, found.pairs[0]) == ("bb", "aa", ("balo", "bala"))


def test_with_weight_0_it_is_what_a_start_from_that_model_gives_bit_for_bit(command, folder, tmp_path):
    dictionary = ("-d", folder / "aa-bb.tsv")
    started = words_of(folder, tmp_path / "started", "--start-from", folder / "aa", *dictionary)
    unpulled = words_of(folder, tmp_path / "0", "--anchored-to", folder / "aa", *dictionary, "--anchoring-weight", 0)
    pulled = words_of(folder, tmp_path / "1", "--anchored-to", folder / "aa", *dictionary, "--anchoring-weight", 1)
    for words in (started, unpulled, pulled):
        assert command(*words).status == 0
    assert weights(tmp_path / "0") == weights(tmp_path / "started")
    assert weights(tmp_path / "1") != weights(tmp_path / "started")


def test_without_a_start_from_that_model_weight_0_is_plain_training_bit_for_bit(folder, tmp_path):
    text = folder / "bb.txt"
    train_lm(text, tmp_path / "plain", language="bb", **OPTIONS)
    beside = {"anchored_to": folder / "aa", "dictionary": folder / "aa-bb.tsv"}
    how = {"weight": 0.0, "start_from_model": False}
    card = train_lm(text, tmp_path / "unpulled", language="bb", **OPTIONS, **beside, anchoring=how)
    assert weights(tmp_path / "plain") == weights(tmp_path / "unpulled")
    assert "started_from" not in card


def test_another_weight_is_another_model_and_a_plain_one_does_not_care(command, folder, tmp_path):
    anchored = ("--anchored-to", folder / "aa", "-d", folder / "aa-bb.tsv")
    assert command(*words_of(folder, tmp_path / "bb", *anchored)).status == 0
    assert command(*words_of(folder, tmp_path / "bb", *anchored)).errors == "", "the second time nothing is trained"
    assert "bb: done" in command(*words_of(folder, tmp_path / "bb", *anchored, "--anchoring-weight", 3)).errors
    assert command(*words_of(folder, tmp_path / "plain")).status == 0
    assert "anchoring" not in read_manifest(tmp_path / "plain").content["settings"]["training"]
    assert command(*words_of(folder, tmp_path / "plain", "--anchoring-weight", 3)).errors == ""


@pytest.fixture(scope="module")
def others(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of other shapes."""
    others = tmp_path_factory.mktemp("others")
    whole = ELMoEncoder.load(folder / "aa")
    for name, change in (("wide", {"projection_width": 64}), ("other-characters", {"filters": ((1, 8),)})):
        shape = SIZES["tiny"].model_copy(update=change)
        model = BiLM(shape, types=len(whole.vocabulary))
        encoder = ELMoEncoder(model, settings=shape, vocabulary=whole.vocabulary, language="aa")
        build_artifact(others / name, "encoder", encoder.save, settings={"language": "aa", "name": name}, inputs={})
    return others


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", r"nowhere: no such folder\. Expected a folder written by isogloss"),
        ("wide", r"--anchored-to .*wide: its projection_width is 64, and that of the new model 32\. Expected one size"),
        ("other-characters", r"--anchored-to .*other-characters: its filters is .* Expected one size"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_and_leaves_nothing(command, folder, others, tmp_path, name, message):
    words = words_of(folder, tmp_path / "bb", "--anchored-to", others / name, "-d", folder / "aa-bb.tsv")
    ended = command(*words)
    assert ended.status == 2
    assert re.search(message, ended.complaints[0]), ended.complaints
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), r"--anchored-to .*aa: found without --dictionary\. Expected pairs of words"),
        (("-d", "{folder}/aa-bb.tsv", "--anchoring-weight", -1), r"weight: found -1\.0"),
        (("-d", "{folder}/aa-bb.tsv", "--anchoring-weight", "inf"), r"weight: found inf"),
        (("-d", "{folder}/aa-bb.tsv", "--anchoring-weight", "nan"), r"weight: found nan"),
        (("-d", "{folder}/aa-bb.tsv", "--start-from", "{folder}/aa"), r"--anchored-to: found with --start-from"),
        (("-d", "{folder}/strange.tsv"), r"Only 0 pairs of the dictionary|of 1 pairs none has a word of the text"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(command, folder, tmp_path, more, message):
    (folder / "strange.tsv").write_text("quux\tquuux\n", encoding="utf-8")
    given = [str(word).replace("{folder}", str(folder)) for word in more]
    ended = command(*words_of(folder, tmp_path / "bb", "--anchored-to", folder / "aa", *given))
    assert ended.status == 2
    assert re.search(message, ended.complaints[0]), ended.complaints
    assert list(tmp_path.iterdir()) == []


def test_a_model_does_not_take_the_place_of_the_one_it_is_anchored_to(command, folder, tmp_path):
    shutil.copytree(folder / "aa", tmp_path / "aa")
    ended = command(*words_of(folder, tmp_path / "aa", "--anchored-to", tmp_path / "aa", "-d", folder / "aa-bb.tsv"))
    assert ended.status == 2
    assert "is the model to start from" in ended.complaints[0]


# --------------------------------------------------------------------------------------------------- recipes

RECIPE = """
name = "anchored"
reference = "aa"

[corpus.aa]
text = "aa.txt"
model = "aa"
treebank = { train = "trees.conllu", dev = "trees.conllu" }

[corpus.cc]
text = "aa.txt"
model = "aa"
treebank = { train = "trees.conllu", dev = "trees.conllu" }

[corpus.bb]
text = "bb.txt"
treebank = { test = "trees.conllu" }

[mapping]
dictionaries = "{target}-{source}.tsv"

[parsing]
train_on = ["aa", "cc"]
test_on = ["bb"]
systems = ["anchored"]
pos = ["none"]
"""
"""A reference, a language with a ready model, and one with little text."""


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Path:
    (folder / "trees.conllu").touch()  # nothing here is parsed
    shutil.copy(folder / "aa-bb.tsv", folder / "aa-cc.tsv")
    (folder / "anchored.toml").write_text(RECIPE, encoding="utf-8")
    return folder / "anchored.toml"


ANCHORED = 'parsing.systems=["aligned", "anchored"]'


def plan(recipe: Path, *overrides: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in plan_stages(load_recipe(recipe, overrides=overrides), Path("/run"))}


def test_in_a_recipe_every_language_but_the_reference_has_a_second_model_that_is_anchored(tiny_recipe):
    stages = plan(tiny_recipe, ANCHORED, 'parsing.pos=["none"]')
    assert "encoders/qal-anchored" not in stages
    for language in ("qbe", "qel"):
        anchored, plain = stages[f"encoders/{language}-anchored"], stages[f"encoders/{language}"]
        assert set(anchored.inputs) == {"text", "encoders/qal", "dictionary"}
        assert anchored.arguments["anchored"] and anchored.arguments["reference"] == Path("/run/encoders/qal")
        assert anchored.arguments["dictionary"].name == f"{language}-qal.train.tsv"
        assert anchored.arguments["settings"].start == "reference"
        assert (set(plain.inputs), plain.arguments["settings"].start) == ({"text"}, "cooccurrences")
        mapped = stages[f"mapping/{language}-anchored"]
        assert set(mapped.inputs) >= {f"lexicon/{language}-anchored", "lexicon/qal"}
    read = stages["parsed/anchored-none"].inputs
    assert {"vectors/qel-anchored-tested", "mapping/qel-anchored"} <= set(read)
    assert {"vectors/qal", "vectors/qbe-anchored"} <= set(stages["parsing/anchored-none"].inputs)


def test_in_a_recipe_a_model_that_is_given_is_read_as_it_is(recipe):
    stages = plan(recipe)
    assert {name for name in stages if name.startswith("encoders/")} == {
        "encoders/aa",
        "encoders/cc",
        "encoders/bb-anchored",
    }, "and no plain model of bb, which nothing reads"
    assert {"vectors/cc", "mapping/cc"} <= set(stages["parsing/anchored-none"].inputs)
    assert {"vectors/bb-anchored-tested", "mapping/bb-anchored"} <= set(stages["parsed/anchored-none"].inputs)


def test_how_models_are_anchored_changes_these_and_no_others(tiny_recipe):
    before, after = (plan(tiny_recipe, ANCHORED, f"encoders.anchoring.weight={weight}") for weight in (1.0, 2.0))
    changed = {name for name in before if name.startswith("encoders/") and before[name].key != after[name].key}
    assert changed == {"encoders/qbe-anchored", "encoders/qel-anchored"}


def test_an_anchored_model_may_start_from_counts(tiny_recipe):
    stages = plan(tiny_recipe, ANCHORED, "encoders.anchoring.start_from_model=false", 'encoders.start="reference"')
    assert stages["encoders/qel-anchored"].arguments["settings"].start == "cooccurrences"
    assert stages["encoders/qel"].arguments["settings"].start == "reference"


def test_a_run_scores_plain_and_anchored_models_of_the_same_text(tiny_recipe, tmp_path):
    done = run(tiny_recipe, tmp_path / "run", overrides=[ANCHORED, 'parsing.pos=["none"]'])
    assert [(score.system, score.language) for score in done.scores] == [("aligned", "qel"), ("anchored", "qel")]
    card = ELMoEncoder.load(done.folder / "encoders" / "qel-anchored").card
    assert (card["anchored_to"], card["started_from"]) == ("qal", "qal")
    vectors = [row["vectors"] for row in done.precision if row["source"] == "qel"]
    assert vectors == ["anchored layer"] * 3 + ["layer"] * 3
    parser = load_trained(done.folder, system="anchored")
    sentences = list(iterate_conllu(done.folder / "corpus" / "qel" / "test.conllu", language="qel"))
    gold = read_scores([done.folder])[1]
    assert gold.las == attachment_scores(sentences, list(parser.parse(sentences))).las


def test_a_recipe_without_a_dictionary_cannot_anchor(recipe):
    with pytest.raises(RecipeError, match=r"mapping\.dictionaries: missing\. Expected a pattern"):
        load_recipe(recipe, overrides=['mapping.dictionaries=""', "mapping.method.method=self_learning"])

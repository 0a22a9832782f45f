"""Auxiliaries from a run's raw text to its trees, to its bundle, and of a language that is added to that."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isogloss.add_language import add_language
from isogloss.bundle import open_bundle
from isogloss.bundle_commands import make_bundle
from isogloss.corpus.conllu import read_conllu
from isogloss.corpus.sentence import Sentence
from isogloss.errors import RecipeError
from isogloss.experiment import run
from isogloss.parsing.features import NO_AUXILIARIES, Auxiliaries
from isogloss.parsing.parser import Parser
from isogloss.parsing.tags import TAG_IDS
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.trained import TrainedParser, auxiliaries_of_run, load_trained
from isogloss.tuning import tune_parser

TAGGED = ('parsing.pos=["predicted", "none"]', 'parsing.systems=["aligned", "unaligned"]')
STAGE = "auxiliaries/aligned-predicted-qel"


@pytest.fixture(scope="module")
def words(tiny_run) -> tuple[str, ...]:
    """Some words of the unseen language, the most frequent of its test trees."""
    forms = [form.lower() for one in gold(tiny_run.folder) for form in one.forms if form[:1].isalpha()]
    return tuple(sorted(set(forms), key=lambda form: (-forms.count(form), form)))[:20]


@pytest.fixture(scope="module")
def tagged(tiny_recipe, words, tmp_path_factory) -> tuple[Path, list[Auxiliaries]]:
    """The folder of a run whose search is replaced by one that finds these words, and what its parsers were told."""
    told, parse = [], Parser.parse

    def note(self, sentences, encoder=None, *, auxiliaries=NO_AUXILIARIES, **options):
        told.append(auxiliaries)
        return parse(self, sentences, encoder, auxiliaries=auxiliaries, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isogloss.parsing.auxiliaries.find_auxiliaries", lambda parser, sentences, encoder: words)
        patch.setattr(Parser, "parse", note)
        return run(tiny_recipe, tmp_path_factory.mktemp("runs") / "tagged", overrides=TAGGED).folder, told


@pytest.fixture(scope="module")
def models(tagged, tmp_path_factory):
    return make_bundle(tagged[0], tmp_path_factory.mktemp("bundles") / "models", pos="predicted")


def gold(folder: Path) -> tuple[Sentence, ...]:
    return read_conllu(folder / "corpus" / "qel" / "test.conllu", language="qel")


def taken_for_verbs(trained: TrainedParser, folder: Path, language: str) -> set[str]:
    """Return the words that a tagger takes for verbs if nothing but lists can keep it from doing so."""
    with torch.no_grad():
        trained.parser.network.tagger.tag.bias[TAG_IDS["VERB"]] = 50.0
    bare = [Sentence.of_forms(one.forms, language=language) for one in gold(folder)]
    return {word.form.lower() for one in trained.parse(bare) for word in one.words if word.upos == "VERB"}


def test_a_stage_finds_them_where_a_tagger_reads_an_unseen_language_and_its_list_goes_into_the_trees(tiny_recipe):
    planned = {stage.name: stage for stage in plan_stages(load_recipe(tiny_recipe, overrides=TAGGED), Path("/run"))}
    assert [name for name in planned if name.startswith("auxiliaries/")] == [STAGE]
    assert planned["parsed/aligned-predicted"].inputs[STAGE] == planned[STAGE].key
    assert {"parsing/aligned-predicted", "encoders/qel", "mapping/qel", "text"} <= set(planned[STAGE].inputs)
    assert all(STAGE not in stage.inputs for name, stage in planned.items() if name != "parsed/aligned-predicted")


def test_the_tagger_of_a_run_is_told_of_them_and_no_other_parser(tagged, words):
    folder, told = tagged
    assert (folder / STAGE / "words.txt").read_text(encoding="utf-8").split() == list(words)
    assert [each for each in told if each] == [{"qel": words}]
    assert len(told) == 4, "of two systems, with two kinds of tags"


def test_parse_by_a_run_or_a_bundle_knows_them_too(tagged, models, words):
    facts = json.loads((models.folder / "bundle.json").read_text(encoding="utf-8"))["languages"]
    assert facts["qel"]["auxiliaries"] == list(words)
    assert "auxiliaries" not in facts["qal"]
    for trained in (load_trained(tagged[0], pos="predicted"), models.load("qel")):
        assert trained.auxiliaries == {"qel": words}
        taken = taken_for_verbs(trained, tagged[0], "qel")
        assert taken and taken.isdisjoint(words)
        ignorant = taken_for_verbs(replace(trained, auxiliaries={}), tagged[0], "qel")
        assert taken | set(words) <= ignorant, "or the test could not fail"


def test_an_added_language_has_its_own_or_those_that_a_person_lists(models, tagged, words, tmp_path):
    corpus = tagged[0] / "corpus"
    (tmp_path / "list.txt").write_text("\n".join(words).upper() + "\n", encoding="utf-8")
    options = {"to": models.folder, "max_sentences": 120, "dictionary": corpus / "dictionaries" / "qel-qal.train.tsv"}
    text = corpus / "qel" / "text.txt"
    facts = add_language("qzz", text, tmp_path / "new", auxiliaries=tmp_path / "list.txt", **options)
    assert facts["auxiliaries"] == [word.upper().lower() for word in words]
    assert "auxiliaries" not in facts["evidence"]
    assert taken_for_verbs(open_bundle(tmp_path / "new").load("qzz"), tagged[0], "qzz").isdisjoint(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isogloss.parsing.auxiliaries.find_auxiliaries", lambda parser, sentences, encoder: words[:3])
        found = add_language("qzz", text, tmp_path / "found", **options)
    assert found["auxiliaries"] == list(words[:3])


def test_a_list_that_is_none_is_refused_before_anything_is_trained(models, tagged, command, tmp_path):
    (tmp_path / "list.txt").write_text("two words\n", encoding="utf-8")
    words = ("--text", tagged[0] / "corpus" / "qbe" / "text.txt", "--to", models.folder, "-o", tmp_path / "new")
    ended = command("add-language", "qzz", *words, "--auxiliaries", tmp_path / "list.txt")
    assert ended.status == 2
    assert ended.complaints[-1].startswith(f"isogloss: {tmp_path / 'list.txt'}:1: found 'two words'. Expected one word")
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_a_list_that_an_earlier_recipe_left_is_passed_over(tagged, words, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tagged[0], folder)
    assert load_trained(folder, pos="predicted").auxiliaries == {"qel": words}
    manifest = folder / STAGE / "manifest.json"
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace('"parsing/aligned-predicted": "', '"parsing/x": "')
    )
    assert load_trained(folder, pos="predicted").auxiliaries == {}, "of another parser"
    content = json.loads((tagged[0] / STAGE / "manifest.json").read_text(encoding="utf-8"))
    content["inputs"]["encoders/qel"] = "0" * 64
    manifest.write_text(json.dumps(content), encoding="utf-8")
    assert auxiliaries_of_run(folder, system="aligned", pos="predicted") == {}, "from another language model"
    shutil.copy(tagged[0] / STAGE / "manifest.json", manifest)
    assert auxiliaries_of_run(folder, system="aligned", pos="predicted") == {"qel": words}


def test_a_parser_without_a_tagger_heeds_no_list(tagged, words, tmp_path):
    old = make_bundle(tagged[0], tmp_path / "old", pos="none")
    (tmp_path / "list.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    text = tagged[0] / "corpus" / "qel" / "text.txt"
    with pytest.raises(RecipeError) as caught:
        add_language("qzz", text, tmp_path / "new", to=old.folder, auxiliaries=tmp_path / "list.txt")
    assert str(caught.value) == (
        f"--auxiliaries: the parser of {old.folder} has no tagger that could heed a list. Expected models made with "
        "--pos predicted. Leave it out."
    )
    assert not (tmp_path / "new").exists()


def test_a_language_whose_trees_the_parser_has_seen_at_last_needs_no_list(models, tagged, tmp_path):
    trees = tagged[0] / "corpus" / "qel" / "test.conllu"
    tune_parser(trees, tmp_path / "tuned", language="qel", models=models.folder)
    assert "auxiliaries" not in open_bundle(tmp_path / "tuned").languages["qel"]

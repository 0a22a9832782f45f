"""tune-parser and train-parser: a bundle's parser goes on with few trees; a run ends at its parsers."""

import json
import shutil
from pathlib import Path

import pytest

from isogloss.artifacts import hash_file, only_writer
from isogloss.bundle import open_bundle
from isogloss.bundle_commands import make_bundle
from isogloss.compute.interruption import stop_requested
from isogloss.corpus.conllu import read_conllu, write_conllu
from isogloss.errors import OutputError
from isogloss.tuning import tune_parser

SHORT = {"passes": 1, "least_steps": 2}


@pytest.fixture(scope="module")
def models(tiny_run, tmp_path_factory):
    return make_bundle(tiny_run.folder, tmp_path_factory.mktemp("bundles") / "models", pos="none")


@pytest.fixture(scope="module")
def trees(tiny_run, tmp_path_factory) -> Path:
    """Six trees of the language that the parser has not seen."""
    path = tmp_path_factory.mktemp("trees") / "qel.conllu"
    write_conllu(read_conllu(tiny_run.folder / "corpus" / "qel" / "train.conllu", language="qel")[:6], path)
    return path


def test_the_new_parser_has_seen_the_trees_and_all_else_is_as_it_was(command, models, trees, tiny_run, tmp_path):
    before = {path: hash_file(path) for path in models.folder.rglob("*") if path.is_file()}
    beside = f"qal={tiny_run.folder / 'corpus' / 'qal' / 'train.conllu'}"
    out = tmp_path / "new"
    words = ("tune-parser", trees, "-l", "qel", "-o", out, "--models", models.folder, "--beside", beside)
    ended = command(*words, "--passes", 1, "--licence", "CC0", "--json")
    assert ended.status == 0, ended.errors
    facts = {"language": "qel", "trees": 6, "steps": 200, "ignored_relations": {}}
    assert json.loads(ended.output) == facts, "100 for the trees, 100 beside"
    assert out.stat().st_mode & 0o777 == tmp_path.stat().st_mode & 0o777, "others may read it"
    assert {path: hash_file(path) for path in before} == before
    tuned = open_bundle(out)
    assert {name for name, digest in tuned.files.items() if models.files[name] != digest} == {
        "parser/manifest.json",
        "parser/model.safetensors",
        "parser/settings.json",
    }
    assert tuned.parser["languages"] == ["qal", "qbe", "qel"]
    assert "CC0" in tuned.parser["licences"]
    assert all(facts["trees"] and not facts["scores"] for facts in tuned.languages.values())
    sentences = read_conllu(tiny_run.folder / "corpus" / "qel" / "test.conllu", language="qel")
    assert all(sentence.has_tree for sentence in tuned.load("qel").parse(sentences))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-l", "qco"), r"language 'qco': not among the models"),
        (("-l", "qel", "--beside", "qal"), r"--beside: found 'qal'\. Expected CODE=FILE"),
        (("-l", "qel", "--beside", "qel=some.conllu"), r"language 'qel': the parser did not learn from its trees"),
        (("-l", "qel", "--threads", "0"), r"threads: found 0"),
        (("-l", "qel", "--learning-rate", -1), r"learning_rate: found -1"),
        (("-l", "qel", "--dropout", 1), r"dropout: found 1"),
    ],
)
def test_what_cannot_be_tuned_is_refused_and_leaves_nothing(command, models, trees, tmp_path, words, message):
    ended = command("tune-parser", trees, "-o", tmp_path / "new", "--models", models.folder, *words)
    assert ended.status == 2
    assert any(message.replace("\\", "") in line for line in ended.complaints), ended.complaints
    assert list(tmp_path.iterdir()) == []


def with_other_relations(trees: Path, path: Path, names: dict[str, str]) -> Path:
    """Write the same trees with other names for some relations."""
    found = read_conllu(trees, language="qel")
    heads = [[word.head for word in sentence.words] for sentence in found]
    deprels = [[names.get(word.deprel, word.deprel) for word in sentence.words] for sentence in found]
    write_conllu([one.with_tree(*tree) for one, *tree in zip(found, heads, deprels, strict=True)], path)
    return path


def test_relations_that_the_parser_does_not_know_are_counted(command, models, trees, tmp_path):
    count = sum(word.deprel == "nsubj" for sentence in read_conllu(trees, language="qel") for word in sentence.words)
    few = with_other_relations(trees, tmp_path / "few.conllu", {"nsubj": "subject"})
    words = ("tune-parser", few, "-l", "qel", "--models", models.folder, "--passes", 1)
    ended = command(*words, "-o", tmp_path / "new")
    assert ended.status == 0, ended.errors
    told = f"of {count} words of qel only the heads were learned: the parser does not know subject"
    assert ended.output.splitlines()[-1] == told
    assert open_bundle(tmp_path / "new").parser["tuned"]["ignored_relations"] == {"qel": {"subject": count}}


def test_trees_of_other_relations_are_refused_and_leave_nothing(command, models, trees, tmp_path):
    known = models.load("qel").parser.relations
    few = with_other_relations(trees, tmp_path / "few.conllu", {name: f"my{name}" for name in known})
    ended = command("tune-parser", few, "-l", "qel", "-o", tmp_path / "new", "--models", models.folder)
    assert ended.status == 2
    assert "few.conllu: " in ended.complaints[0]
    assert "words have relations that the parser does not know (my" in ended.complaints[0]
    assert [path.name for path in tmp_path.iterdir()] == ["few.conllu"]


def test_no_models_are_replaced(models, trees, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").touch()
    with pytest.raises(OutputError, match=r"new: is there already"):
        tune_parser(trees, tmp_path / "new", language="qel", models=models.folder)


def test_a_folder_that_fills_while_the_parser_learns_is_told(models, trees, tmp_path):
    def fill(event: dict) -> None:
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / "file").touch()

    with pytest.raises(OutputError, match=r"new: is there already\. Expected a new or empty folder"):
        tune_parser(trees, tmp_path / "new", language="qel", models=models.folder, tuning=SHORT, on_event=fill)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_two_do_not_write_one_folder(models, trees, tmp_path):
    with only_writer(tmp_path / "new"), pytest.raises(OutputError, match=r"new: another process is writing here"):
        tune_parser(trees, tmp_path / "new", language="qel", models=models.folder)


def test_what_a_killed_command_left_goes(models, trees, tmp_path):
    (tmp_path / ".new.abc123.partial").mkdir()
    tune_parser(trees, tmp_path / "new", language="qel", models=models.folder, tuning=SHORT)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_stopped_it_writes_nothing(models, trees, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tune_parser(
            trees, tmp_path / "new", language="qel", models=models.folder, on_event=lambda event: stop_requested.ask()
        )
    assert not list(tmp_path.iterdir())


def test_trained_without_tests_a_run_can_parse_and_be_continued(command, tiny_run, tiny_recipe, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.folder, folder, ignore=shutil.ignore_patterns("parsed", "*-tested", "reports"))
    ended = command("train-parser", tiny_recipe, "-o", folder)
    assert ended.status == 0, ended.errors
    assert "parsing/aligned-none: qal, qbe; 20 steps, mean LAS on their dev sets" in ended.output
    assert not (folder / "parsed").exists()
    assert not (folder / "reports").exists()
    test = folder / "corpus" / "qel" / "test.conllu"
    parsed = command("parse", "--run", folder, test, "-l", "qel", "--pos", "none", "-o", tmp_path / "trees.conllu")
    assert parsed.status == 0, parsed.errors
    continued = command("run", tiny_recipe, "-o", folder, "--json")
    assert continued.status == 0, continued.errors
    assert len(json.loads(continued.output)) == len(tiny_run.scores)

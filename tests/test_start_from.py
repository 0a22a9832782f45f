"""train-lm --start-from and recipes with start = "reference": what the new model takes over, keys, stops, refusals."""

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from isogloss.artifacts import build_artifact, hash_file, read_manifest
from isogloss.compute.checkpoints import Checkpoints
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import SIZES
from isogloss.language_models import train_lm
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.stage import Stage, run_stage

NAMES = [f"{first}{last}" for first in ("Ana", "Leo", "Mar", "Sol", "Tim") for last in ("bel", "nardo", "tina", "wick")]
"""Spelt alike in both toy languages: enough to begin with."""
WORDS = [f"{first}{last}" for first in "bdfgklmn" for last in ("al", "eb", "od", "ust", "ir")]
QUICK = ("--size", "tiny", "--rows", 4, "--word-types", 70, "--max-steps", 4, "--evaluate-every", 4, "--tokenised")
OPTIONS: dict[str, Any] = {
    "language": "bb",
    "size": "tiny",
    "tokenised": True,
    "word_types": 70,
    "training": {"rows": 4},
    "loop": {"max_steps": 4, "evaluate_every": 4},
}
"""The same for `train_lm`."""


def toy_text(path: Path, *, ending: str, names: list[str] = NAMES) -> Path:
    """Write 300 sentences; words of the two languages differ by their ending, names do not."""
    generator = random.Random(5)
    lines = []
    for _ in range(300):
        about = generator.randrange(8)  # words of one row belong together
        words = [WORDS[about * 5 + generator.randrange(5)] + ending for _ in range(4)]
        lines.append(" ".join([names[(about + generator.randrange(3)) % len(names)], *words, "."]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two languages, `aa.txt` and `bb.txt`, a dictionary, and a model of the first, `aa`. Read only."""
    folder = tmp_path_factory.mktemp("start")
    toy_text(folder / "aa.txt", ending="a")
    toy_text(folder / "bb.txt", ending="o")
    toy_text(folder / "nothing-alike.txt", ending="o", names=[name[::-1] + "q" for name in NAMES])
    (folder / "bb-aa.tsv").write_text("".join(f"{word}o\t{word}a\n" for word in WORDS), encoding="utf-8")
    train_lm(folder / "aa.txt", folder / "aa", **OPTIONS | {"language": "aa"})
    return folder


def words_of(folder: Path, out: Path, *more: object, text: str = "bb.txt") -> list[str]:
    return [str(word) for word in ("train-lm", folder / text, "-l", "bb", "-o", out, *QUICK, *more)]


def shared_weights(model: Path) -> dict[str, torch.Tensor]:
    """Those that have nothing to do with a vocabulary."""
    found = ELMoEncoder.load(model).model.state_dict()
    return {name: weight for name, weight in found.items() if name.startswith(("recurrent.", "characters."))}


def inputs_of(model: Path) -> dict[str, str]:
    return read_manifest(model, kind="encoder").content["inputs"]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ----------------------------------------------------------------------------------------- what is taken over


def test_training_begins_at_the_weights_of_the_other_model(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa", "--learning-rate", 1e-9))
    assert ended.status == 0, ended.errors
    command(*words_of(folder, tmp_path / "cold", "--learning-rate", 1e-9))
    started, cold, reference = map(shared_weights, (tmp_path / "bb", tmp_path / "cold", folder / "aa"))
    # Four steps of Adam at this rate move no weight further than 4e-9.
    assert all(torch.allclose(started[name], weight, rtol=0, atol=1e-7) for name, weight in reference.items())
    assert not all(torch.allclose(cold[name], weight, rtol=0, atol=1e-7) for name, weight in reference.items())


def test_held_recurrent_layers_stay_to_the_bit_while_words_learn(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa", "--hold-recurrent", 1))
    assert ended.status == 0, ended.errors
    started, reference = shared_weights(tmp_path / "bb"), shared_weights(folder / "aa")
    same = {name: torch.equal(started[name], weight) for name, weight in reference.items()}
    assert all(same[name] for name in same if name.startswith("recurrent."))
    assert not any(same[name] for name in same if name.startswith("characters."))
    assert ELMoEncoder.load(tmp_path / "bb").card["recurrent_held"] == 1.0
    assert read_manifest(tmp_path / "bb").content["settings"]["training"]["hold_recurrent"] == 1.0
    command(*words_of(folder, tmp_path / "free", "--start-from", folder / "aa"))
    assert "recurrent_held" not in ELMoEncoder.load(tmp_path / "free").card
    settings = read_manifest(tmp_path / "free").content["settings"]["training"]
    assert "hold_recurrent" not in settings, "or models made before there was such a thing would be made anew"


def test_layers_that_are_held_for_half_of_the_steps_move_in_the_other_half(folder, tmp_path):
    moved = {}
    for held in (0.5, 0.99, 1.0):  # the last step begins when three quarters are done
        options = OPTIONS | {"start_from": folder / "aa", "training": OPTIONS["training"] | {"hold_recurrent": held}}
        train_lm(folder / "bb.txt", tmp_path / str(held), **options)
        started, reference = shared_weights(tmp_path / str(held)), shared_weights(folder / "aa")
        moved[held] = any(
            not torch.equal(started[name], weight) for name, weight in reference.items() if "recurrent" in name
        )
    assert moved == {0.5: True, 0.99: False, 1.0: False}


def test_nothing_is_held_that_was_not_learned(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "bb", "--hold-recurrent", 1))
    assert ended.status == 2
    assert ended.complaints == [
        "isogloss: --hold-recurrent: found without a model to start from. Expected one, whose recurrent layers stay as "
        "they are. Give --start-from or --anchored-to (with anchoring.start_from_model), or leave it out."
    ]
    assert list(tmp_path.iterdir()) == []


def test_card_and_manifest_name_the_model(command, folder, tmp_path):
    command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa"))
    card = ELMoEncoder.load(tmp_path / "bb").card
    assert (card["language"], card["started_from"], card["seed_pairs"]) == ("bb", "aa", "spelt alike")
    assert inputs_of(tmp_path / "bb") == {
        "text": hash_file(folder / "bb.txt"),
        "reference": read_manifest(folder / "aa").key,
    }
    assert read_manifest(tmp_path / "bb").content["settings"]["training"]["start"] == "reference"


def test_a_dictionary_serves_where_no_word_is_spelt_alike(command, folder, tmp_path):
    text = "nothing-alike.txt"
    ended = command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa", text=text))
    assert ended.status == 2
    assert re.search(r"Only \d words are spelt alike .* and in 'aa'; at least 10 are needed", ended.complaints[0])
    assert list(tmp_path.iterdir()) == []
    more = ("--start-from", folder / "aa", "-d", folder / "bb-aa.tsv")
    ended = command(*words_of(folder, tmp_path / "bb", *more, text=text))
    assert ended.status == 0, ended.errors
    assert ELMoEncoder.load(tmp_path / "bb").card["seed_pairs"] == "dictionary"
    assert inputs_of(tmp_path / "bb")["dictionary"] == hash_file(folder / "bb-aa.tsv")


def test_a_shrunk_model_lends_its_layers_and_the_softmax_begins_with_counts(folder, others, tmp_path):
    options = OPTIONS | {"loop": OPTIONS["loop"] | {"learning_rate": 1e-9}}
    train_lm(folder / "bb.txt", tmp_path / "bb", **options, start_from=others / "shrunk")
    started, reference = shared_weights(tmp_path / "bb"), shared_weights(others / "shrunk")
    assert all(torch.allclose(started[name], weight, rtol=0, atol=1e-7) for name, weight in reference.items())
    encoder = ELMoEncoder.load(tmp_path / "bb")
    assert encoder.model.softmax is not None
    counts = torch.tensor(encoder.vocabulary.counts, dtype=torch.float32)
    expected = torch.log((counts + 1) / counts.mean())
    torch.testing.assert_close(encoder.model.softmax.bias, expected, rtol=0, atol=1e-6)


def test_the_other_model_stays_as_it_was(command, folder, tmp_path):
    before = everything_in(folder / "aa")
    command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa"))
    assert everything_in(folder / "aa") == before


# ------------------------------------------------------------------------------------------------------- keys


def test_it_is_trained_anew_when_what_it_started_from_has_changed(command, folder, tmp_path):
    reference, dictionary = tmp_path / "aa", tmp_path / "bb-aa.tsv"
    shutil.copytree(folder / "aa", reference)
    shutil.copy(folder / "bb-aa.tsv", dictionary)
    words = words_of(folder, tmp_path / "bb", "--start-from", reference, "-d", dictionary)
    assert command(*words).status == 0
    assert command(*words).errors == "", "the second time nothing is trained"
    first = inputs_of(tmp_path / "bb")
    train_lm(folder / "aa.txt", reference, **OPTIONS | {"language": "aa", "seed": 2})
    assert "bb: done" in command(*words).errors
    second = inputs_of(tmp_path / "bb")
    assert {name for name in first if first[name] != second[name]} == {"reference"}
    dictionary.write_text(dictionary.read_text().partition("\n")[2])
    assert "bb: done" in command(*words).errors
    third = inputs_of(tmp_path / "bb")
    assert {name for name in second if second[name] != third[name]} == {"dictionary"}


def test_where_the_other_model_lies_does_not_matter(command, folder, tmp_path):
    shutil.copytree(folder / "aa", tmp_path / "copy")
    assert command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa")).status == 0
    assert command(*words_of(folder, tmp_path / "bb", "--start-from", tmp_path / "copy")).errors == ""


@pytest.mark.parametrize("held", [0.0, 0.5, 0.75, 1.0])
def test_a_stopped_training_goes_on_to_the_same_bytes_and_does_not_start_again(folder, tmp_path, monkeypatch, held):
    class Killed(Exception):
        pass

    class NotAgain(Exception):
        pass

    honest, saved = Checkpoints.save, []

    def killed_after_the_second(self: Checkpoints, state: Any) -> Path:
        path = honest(self, state)
        saved.append(path)
        if len(saved) == 2:
            raise Killed
        return path

    def not_again(*arguments: Any, **options: Any) -> None:
        raise NotAgain

    options = OPTIONS | {"start_from": folder / "aa", "loop": OPTIONS["loop"] | {"checkpoint_seconds": 1e-9}}
    options |= {"training": OPTIONS["training"] | {"hold_recurrent": held}}
    train_lm(folder / "bb.txt", tmp_path / "undisturbed", **options)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed_after_the_second)
        with pytest.raises(Killed):
            train_lm(folder / "bb.txt", tmp_path / "bb", **options)
    with monkeypatch.context() as patch:
        patch.setattr("isogloss.mapping.transfer.start_from_model", not_again)
        card = train_lm(folder / "bb.txt", tmp_path / "bb", **options)
        with pytest.raises(NotAgain):  # or else the patch would show nothing
            train_lm(folder / "bb.txt", tmp_path / "other", **options)
    assert (card["steps"], card["started_from"], card["seed_pairs"]) == (4, "aa", "spelt alike")
    first, second = (tmp_path / name / "model.safetensors" for name in ("undisturbed", "bb"))
    assert first.read_bytes() == second.read_bytes()


# -------------------------------------------------------------------------------------------------- refusals


@pytest.fixture(scope="module")
def others(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders that no model can start from."""
    others = tmp_path_factory.mktemp("others")
    (others / "empty").mkdir()
    build_artifact(others / "anchors", "anchors", lambda draft: None, settings={}, inputs={})
    whole = ELMoEncoder.load(folder / "aa")

    def store(name: str, encoder: ELMoEncoder, *, predicts: bool = True) -> None:
        make = lambda draft: encoder.save(draft, predicts=predicts)  # noqa: E731
        build_artifact(others / name, "encoder", make, settings={"language": "aa", "name": name}, inputs={})

    store("shrunk", whole, predicts=False)
    for name, change in (("wide", {"cell_width": 256}), ("characters", {"word_types": 0})):
        shape = SIZES["tiny"].model_copy(update=change)
        model = BiLM(shape, types=len(whole.vocabulary))
        store(name, ELMoEncoder(model, settings=shape, vocabulary=whole.vocabulary, language="aa"))
    return others


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", r"nowhere: no such folder\. Expected a folder written by isogloss"),
        ("empty", r"empty: no manifest\.json\. Expected a folder written by isogloss"),
        ("anchors", r"anchors: holds 'anchors'\. Expected 'encoder'"),
        ("characters", r"characters: the model has no vectors of words"),
        ("wide", r"its cell_width is 256, and that of the new model 128\. Expected one size"),
    ],
)
def test_what_cannot_be_started_from_is_refused_and_leaves_nothing(command, folder, others, tmp_path, name, message):
    ended = command(*words_of(folder, tmp_path / "bb", "--start-from", others / name))
    assert ended.status == 2
    assert re.search(message, ended.complaints[0]), ended.complaints
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"missing\.tsv: cannot be read"),
        ("balo bala\n", r"missing\.tsv:1: found no tab in 'balo bala'"),
    ],
)
def test_a_dictionary_that_is_none_is_refused_and_leaves_nothing(command, folder, tmp_path, content, message):
    dictionary = tmp_path / "missing.tsv"
    if content is not None:
        dictionary.write_text(content)
    ended = command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa", "-d", dictionary))
    assert ended.status == 2
    assert re.search(message, ended.complaints[0])
    assert [path.name for path in tmp_path.iterdir()] == ([] if content is None else ["missing.tsv"])


def test_a_dictionary_alone_is_refused(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "bb", "-d", folder / "bb-aa.tsv"))
    assert ended.status == 2
    assert "--dictionary: found without --start-from or --anchored-to. Expected both, or none" in ended.complaints[0]
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------- recipes

RECIPE = """
name = "start"
reference = "aa"

[compute]
workers = 0

[corpus.aa]
text = "aa.txt"
tokenised = true
treebank = { train = "trees.conllu", dev = "trees.conllu" }

[corpus.bb]
text = "bb.txt"
tokenised = true
treebank = { test = "trees.conllu" }

[encoders]
rows = 4

[encoders.model]
character_width = 4
filters = [[1, 4], [2, 4]]
word_types = 70
projection_width = 8
cell_width = 16

[encoders.loop]
max_steps = 2
learning_rate = 1e-9

[mapping]
dictionaries = "{source}-{target}.tsv"

[parsing]
train_on = ["aa"]
test_on = ["bb"]
systems = ["aligned"]
"""
"""At a learning rate of almost nothing, what a model began with is what it ends with."""
FROM_REFERENCE = "encoders.start=reference"


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Path:
    (folder / "trees.conllu").touch()  # nothing here is parsed
    (folder / "start.toml").write_text(RECIPE, encoding="utf-8")
    return folder / "start.toml"


def plan(recipe: Path, *overrides: str, folder: Path = Path("/run")) -> dict[str, Stage]:
    return {stage.name: stage for stage in plan_stages(load_recipe(recipe, overrides=overrides), folder)}


def test_in_a_recipe_every_other_language_waits_for_the_reference(tiny_recipe):
    stages = plan(tiny_recipe, FROM_REFERENCE)
    reference = stages["encoders/qal"]
    assert "encoders/qal" not in {*reference.inputs, *reference.after}
    assert reference.arguments["reference"] is None
    for language in ("qbe", "qel"):
        stage = stages[f"encoders/{language}"]
        assert stage.inputs["encoders/qal"] == reference.key
        assert "encoders/qal" in stage.after
        assert stage.arguments["reference"] == Path("/run/encoders/qal")


def test_in_a_recipe_that_starts_from_counts_no_model_waits_for_another(tiny_recipe):
    stages = plan(tiny_recipe)
    for language in ("qal", "qbe", "qel"):
        assert set(stages[f"encoders/{language}"].inputs) == {"text"}
        assert stages[f"encoders/{language}"].after == ("corpus",)


def test_a_changed_text_of_the_reference_changes_the_models_that_start_from_it(recipe, folder):
    text = folder / "aa.txt"
    before, content = plan(recipe, FROM_REFERENCE), text.read_bytes()
    try:
        text.write_bytes(content + b"Anabel bala .\n")
        after = plan(recipe, FROM_REFERENCE)
    finally:
        text.write_bytes(content)
    assert before["encoders/bb"].key != after["encoders/bb"].key
    assert plan(recipe, FROM_REFERENCE)["encoders/bb"].key == before["encoders/bb"].key


def test_a_recipe_trains_the_reference_from_counts_and_the_others_from_it(recipe, tmp_path):
    stages = plan(recipe, FROM_REFERENCE, folder=tmp_path)
    for name in ("encoders/aa", "encoders/bb"):
        run_stage(stages[name], tmp_path)
    reference, other = (tmp_path / "encoders" / language for language in ("aa", "bb"))
    assert "started_from" not in ELMoEncoder.load(reference).card
    card = ELMoEncoder.load(other).card
    assert (card["language"], card["started_from"], card["seed_pairs"]) == ("bb", "aa", "spelt alike")
    weights = shared_weights(other)
    assert all(torch.allclose(weights[name], weight, atol=1e-7) for name, weight in shared_weights(reference).items())


def test_a_model_does_not_take_the_place_of_the_one_it_starts_from(command, folder, tmp_path):
    shutil.copytree(folder / "aa", tmp_path / "aa")
    before = everything_in(tmp_path)
    ended = command(*words_of(folder, tmp_path / "aa", "--start-from", tmp_path / "aa"))
    assert ended.status == 2
    assert "is the model to start from" in ended.complaints[0]
    assert everything_in(tmp_path) == before


def test_without_word_vectors_of_its_own_a_model_cannot_start_from_another(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa", "--word-types", 0))
    assert ended.status == 2
    assert "--word-types: found 0 with --start-from" in ended.complaints[0]


def test_what_cannot_be_a_dictionary_is_refused_at_once(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "bb", "--start-from", folder / "aa", "-d", folder / "aa.txt"))
    assert ended.status == 2
    assert "aa.txt" in ended.complaints[0]
    assert everything_in(tmp_path) == {}

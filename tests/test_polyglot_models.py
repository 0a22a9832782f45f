"""train-polyglot: what it writes, what others make of it, keys, refusals."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from isogloss.artifacts import read_manifest
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.language_models import train_lm
from isogloss.polyglot_models import train_polyglot

WORDS = [f"{first}{last}" for first in "bdfgklmn" for last in ("al", "eb", "od", "ust", "ir")]
QUICK = ("--size", "tiny", "--rows", 4, "--word-types", 60, "--max-steps", 4, "--evaluate-every", 4, "--tokenised")
OPTIONS: dict[str, Any] = {
    "size": "tiny",
    "tokenised": True,
    "word_types": 60,
    "training": {"rows": 4},
    "loop": {"max_steps": 4, "evaluate_every": 4},
}
"""The same for the library."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two languages, `aa.txt` and `bb.txt`, a dictionary, and a model of the first, `aa`. Read only."""
    folder = tmp_path_factory.mktemp("polyglot")
    for language, ending in (("aa", "a"), ("bb", "o")):
        draw = random.Random(5)
        rows = ([draw.randrange(8) * 5 + draw.randrange(5) for _ in range(5)] for _ in range(300))
        lines = (" ".join([*(WORDS[word] + ending for word in row), "."]) for row in rows)
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "aa-bb.tsv").write_text("".join(f"{word}a\t{word}o\n" for word in WORDS), encoding="utf-8")
    train_lm(folder / "aa.txt", folder / "aa", language="aa", **OPTIONS)
    return folder


def words_of(folder: Path, out: Path, *more: object) -> list[str]:
    texts = (f"aa={folder / 'aa.txt'}", f"bb={folder / 'bb.txt'}")
    return [str(word) for word in ("train-polyglot", *texts, "-o", out, *QUICK, *more)]


def test_each_language_gets_a_model_that_other_commands_take(command, folder, tmp_path):
    ended = command(*words_of(folder, tmp_path / "both"))
    assert ended.status == 0, ended.errors
    assert ended.output.splitlines()[0].startswith("aa: ")
    encoders = {language: ELMoEncoder.load(tmp_path / "both" / language) for language in ("aa", "bb")}
    layers = [encoder.model.recurrent.state_dict() for encoder in encoders.values()]
    assert all(torch.equal(layers[0][name], layers[1][name]) for name in layers[0])
    assert encoders["bb"].card["beside"] == ["aa"]
    anchors = command("anchors", tmp_path / "both" / "bb", folder / "bb.txt", "-o", tmp_path / "anchors", "--tokenised")
    assert anchors.status == 0, anchors.errors
    assert read_manifest(tmp_path / "both" / "bb").content["settings"]["polyglot"] == ["aa", "bb"]
    assert not list((tmp_path / "both").glob(".*")), "no checkpoints are left"


def test_the_same_command_again_trains_nothing_and_another_seed_trains_anew(command, folder, tmp_path):
    assert "both: done" in command(*words_of(folder, tmp_path / "both")).errors
    assert command(*words_of(folder, tmp_path / "both")).errors == ""
    assert "both: done" in command(*words_of(folder, tmp_path / "both", "--seed", 2)).errors


def test_it_starts_from_a_model_with_a_dictionary(command, folder, tmp_path):
    start = ("--start-from", folder / "aa", "-d", f"bb={folder / 'aa-bb.tsv'}", "--json")
    ended = command(*words_of(folder, tmp_path / "both", *start))
    assert ended.status == 0, ended.errors
    cards = json.loads(ended.output)
    assert {card["started_from"] for card in cards.values()} == {"aa"}
    assert [cards[language]["seed_pairs"] for language in ("aa", "bb")] == ["its own", "dictionary"]
    inputs = read_manifest(tmp_path / "both" / "bb").content["inputs"]
    assert set(inputs) == {"text.aa", "text.bb", "reference", "dictionary.bb"}


def test_a_start_leaves_the_recurrent_layers_where_the_model_has_them(folder, tmp_path):
    texts = {language: folder / f"{language}.txt" for language in ("aa", "bb")}
    still = {**OPTIONS, "loop": {"max_steps": 1, "evaluate_every": 1, "learning_rate": 1e-12}}
    train_polyglot(texts, tmp_path, start_from=folder / "aa", dictionaries={"bb": folder / "aa-bb.tsv"}, **still)
    rich = ELMoEncoder.load(folder / "aa").model.recurrent.state_dict()
    for language in texts:
        found = ELMoEncoder.load(tmp_path / language).model.recurrent.state_dict()
        for name, value in rich.items():
            torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{aa}",), "text: found '{aa}'. Expected CODE=FILE, such as en=en.txt.xz. Name the language, too."),
        (("aa={aa}", "aa={bb}"), "text: found 'aa' twice. Expected each language once. Leave one out."),
        (
            ("aa={aa}", "../bb={bb}"),
            "Texts: found the language '../bb'. Expected a code of letters, digits, _ and -, such as en: it names a "
            "folder. Rename it.",
        ),
        (
            ("aa={aa}", "bb={bb}", "--start-from", "{model}", "-d", "bb={aa}"),
            "{aa}:1: found no tab in 'koda busta gala fala lusta .'. Expected a word, one tab and its translation. If "
            "the words are parted by spaces, replace the first space of each line with a tab.",
        ),
        (
            ("aa={aa}", "bb={bb}", "-o", "{model}"),
            "{model}: is a model itself. Expected a folder to hold one for each language. Choose another name.",
        ),
        (
            ("aa={aa}", "bb={bb}", "-o", "{over}"),
            "{model}: holds what train-polyglot has not made. Expected no folder, or an earlier model of this kind. "
            "Choose another name for the whole, or remove it.",
        ),
        (
            ("aa={aa}", "bb={bb}", "-o", "{aa}"),
            "{aa}: cannot be written: a file of that name is in the way. Choose another name and run the same command "
            "again.",
        ),
        (
            ("aa={aa}",),
            "Texts: found 1. Expected those of two languages or more, as CODE=FILE. Name another text, or train one "
            "language by train-lm.",
        ),
        (
            ("aa={aa}", "bb={bb}", "-d", "bb={pairs}"),
            "--dictionary: found without --start-from. Expected both, or none. Name a model, too.",
        ),
        (
            ("aa={aa}", "bb={bb}", "-d", "cc={pairs}", "--start-from", "{model}"),
            "--dictionary cc={pairs}: no text of 'cc'. Expected one of aa, bb. Name a text of it, too, or leave out "
            "the dictionary.",
        ),
        (
            ("aa={aa}", "bb={bb}", "--start-from", "{model}", "--size", "small"),
            "--start-from {model}: its projection_width is 32, and that of the new model 128. Expected one size. "
            "Choose it with --size, or take another model.",
        ),
        (
            ("aa={aa}", "bb={bb}", "--start-from", "{model}", "-o", "{over}"),
            "{model}: is the model to start from. Expected another folder. Choose another name.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(command, folder, tmp_path, words, message):
    names = {"aa": folder / "aa.txt", "bb": folder / "bb.txt", "pairs": folder / "aa-bb.tsv"}
    names |= {"model": folder / "aa", "over": folder}
    given = [word.format(**names) for word in words]
    out = [] if "-o" in words else ["-o", tmp_path / "out"]
    ended = command(*map(str, ("train-polyglot", *QUICK, *given, *out)))
    assert (ended.status, ended.errors.strip()) == (2, f"isogloss: {message.format(**names)}")
    assert not (tmp_path / "out" / "aa").exists()


def test_a_folder_that_holds_something_else_is_refused_before_any_work(command, folder, tmp_path):
    (tmp_path / "both" / "bb").mkdir(parents=True)
    (tmp_path / "both" / "bb" / "notes.txt").touch()
    ended = command(*words_of(folder, tmp_path / "both"))
    assert ended.status == 2
    assert f"{tmp_path / 'both' / 'bb'}: " in ended.complaints[0]
    assert not (tmp_path / "both" / "aa").exists()


def test_a_start_that_finds_no_place_for_words_names_the_language(command, folder, tmp_path):
    odd = tmp_path / "odd.tsv"
    odd.write_text("x\ty\n", encoding="utf-8")
    ended = command(*words_of(folder, tmp_path / "both", "--start-from", folder / "aa", "-d", f"bb={odd}"))
    assert ended.complaints[-1].startswith(
        "isogloss: Language model of 'bb': Only 0 pairs of the dictionary have frequent words both in the new language "
        "and in 'aa'; at least 10 are needed, by which words find their places."
    )


def test_all_go_on_from_their_own_models(command, folder, tmp_path):
    train_lm(folder / "bb.txt", tmp_path / "apart" / "bb", language="bb", **OPTIONS)
    shutil.copytree(folder / "aa", tmp_path / "apart" / "aa")
    still = ("--learning-rate", 1e-12, "--start-from", tmp_path / "apart")
    ended = command(*words_of(folder, tmp_path / "both", *still))
    assert ended.status == 0, ended.errors
    before = {language: ELMoEncoder.load(tmp_path / "apart" / language).model for language in ("aa", "bb")}
    after = {language: ELMoEncoder.load(tmp_path / "both" / language).model for language in ("aa", "bb")}
    layers = {language: model.recurrent.state_dict() for language, model in before.items()}
    for name, value in after["aa"].recurrent.state_dict().items():
        torch.testing.assert_close(value, (layers["aa"][name] + layers["bb"][name]) / 2, atol=1e-6, rtol=0)
    for language, model in after.items():
        own = before[language]
        assert own.word_vectors is not None and model.word_vectors is not None
        torch.testing.assert_close(model.word_vectors.weight[3:], own.word_vectors.weight[3:], atol=1e-6, rtol=0)
    inputs = read_manifest(tmp_path / "both" / "bb").content["inputs"]
    assert set(inputs) == {"text.aa", "text.bb", "reference.aa", "reference.bb"}
    assert ELMoEncoder.load(tmp_path / "both" / "bb").card["started_from"] == "bb"


def test_models_of_their_own_need_no_dictionary_and_none_may_be_missing(command, folder, tmp_path):
    shutil.copytree(folder / "aa", tmp_path / "apart" / "aa")
    shutil.copytree(folder / "aa", tmp_path / "apart" / "bb")
    given = ("--start-from", tmp_path / "apart", "-d", f"bb={folder / 'aa-bb.tsv'}")
    assert command(*words_of(folder, tmp_path / "both", *given)).complaints == [
        f"isogloss: --dictionary: found with --start-from {tmp_path / 'apart'}, which has a model of each language. "
        f"Expected one of them: a language that goes on from its own model knows its words. Leave out --dictionary."
    ]
    shutil.rmtree(tmp_path / "apart" / "bb")
    ended = command(*words_of(folder, tmp_path / "both", "--start-from", tmp_path / "apart"))
    assert (ended.status, len(ended.complaints)) == (2, 1)
    assert str(tmp_path / "apart" / "bb") in ended.complaints[0]


@pytest.mark.slow
def test_torchrun_shares_the_languages_and_one_process_speaks(folder, tmp_path):
    words = words_of(folder, tmp_path / "both", "--json")
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    ended = subprocess.run((*launcher, "-m", "isogloss", *words), capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("both: done in") == 1
    cards = json.loads(ended.stdout)
    assert [cards[language]["beside"] for language in ("aa", "bb")] == [["bb"], ["aa"]]
    assert read_manifest(tmp_path / "both" / "bb").content["settings"]["processes"] == 2
    assert not list((tmp_path / "both").glob(".*")), "no checkpoints are left"
    layers = [ELMoEncoder.load(tmp_path / "both" / code).model.recurrent.state_dict() for code in ("aa", "bb")]
    assert all(torch.equal(layers[0][name], layers[1][name]) for name in layers[0])

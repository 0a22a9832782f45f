"""`align` by the roads that look at words in context: parallel sentences, and the game with tokens of raw texts."""

import json
import re
import shutil
from pathlib import Path

import pytest

from isogloss.corpus.invented.family import FamilySettings, write_family
from isogloss.mapping.alignment import load_alignment

NOTHING = dict(train_sentences=0, dev_sentences=0, test_sentences=0)


@pytest.fixture
def words(tiny_run, tmp_path) -> list[object]:
    """The beginning of a command that aligns qel with qal."""
    anchors = [tiny_run.folder / "lexicon" / code for code in ("qel", "qal")]
    models = [tiny_run.folder / "encoders" / code for code in ("qel", "qal")]
    return ["align", *anchors, "-o", tmp_path / "mapping", "--source-model", models[0], "--target-model", models[1]]


@pytest.fixture(scope="module")
def parallel(tmp_path_factory) -> Path:
    """Sixty sentences of qal, each with its translation into qel, without the links that the family has."""
    folder = tmp_path_factory.mktemp("family")
    write_family(folder, FamilySettings(languages=("qal", "qel"), text_sentences=0, parallel_sentences=60, **NOTHING))
    lines = (folder / "parallel" / "qal-qel.tsv").read_text(encoding="utf-8").splitlines()
    path = folder / "parallel.tsv"
    path.write_text("".join(line.rpartition("\t")[0] + "\n" for line in lines), encoding="utf-8")
    return path


def test_parallel_sentences_say_how_many_pairs_of_words_were_used(command, words, parallel, tmp_path):
    ended = command(*words, "--parallel", parallel, "--turned", "--few-pairs")
    assert ended.status == 0, ended.errors
    rows = json.loads((tmp_path / "mapping" / "precision.json").read_text(encoding="utf-8"))
    assert [(row["layer"], row["method"]) for row in rows] == [(layer, "parallel") for layer in range(3)]
    assert all(row["usable_pairs"] > 60 and row["sentences"] == 60 for row in rows)
    told = [f"qel→qal layer {row['layer']}: {row['usable_pairs']} pairs used" for row in rows]
    assert ended.output.splitlines() == told
    assert load_alignment(tmp_path / "mapping" / "layer-1").orthogonality_gap < 1e-10


def test_models_of_other_languages_than_the_anchors_are_refused(command, words, parallel, tmp_path):
    words[6], words[8] = words[8], words[6]
    ended = command(*words, "--parallel", parallel, "--turned", "--few-pairs")
    assert ended.status == 2
    (complaint,) = ended.complaints
    assert re.search(
        r"^isogloss: --source-model: .*/encoders/qal is a model of 'qal', but the source anchors are of 'qel'\. "
        r"Expected the model that gathered them\. Name it, or give the anchors of 'qal'\.$",
        complaint,
    ), complaint
    assert not (tmp_path / "mapping").exists()


def test_a_model_that_did_not_gather_the_anchors_is_warned_of(command, words, parallel, tiny_run, tmp_path, caplog):
    shutil.copytree(tiny_run.folder / "encoders" / "qel", tmp_path / "qel")
    manifest = json.loads((tmp_path / "qel" / "manifest.json").read_text(encoding="utf-8"))
    (tmp_path / "qel" / "manifest.json").write_text(json.dumps(manifest | {"key": "another"}), encoding="utf-8")
    ended = command(*words, "--parallel", parallel, "--turned", "--few-pairs")
    assert ended.status == 0 and not caplog.messages
    words[6] = tmp_path / "qel"
    assert command(*words, "--parallel", parallel, "--turned", "--few-pairs").status == 0
    (warning,) = caplog.messages
    assert warning.startswith(
        f"--source-model: the source anchors were gathered by another model than {tmp_path / 'qel'}. Expected this one"
    )


def test_the_game_can_be_played_with_words_in_context(command, words, tiny_run, tmp_path):
    texts = [tiny_run.folder / "corpus" / code / "text.txt" for code in ("qel", "qal")]
    # What is found is not the point here, so that any two games are believed.
    easy = {"agreement_needed": 1e-9, "mutual_ratio": 1e-9, "restarts": 2, "epochs": 1, "epoch_words": 640}
    easy |= {"discriminator_width": 16, "discriminator_types": 50, "refinements": 1, "evidence_types": 100}
    options = [word for name, value in easy.items() for word in ("--set", f"{name}={value}")]
    ended = command(
        *words, "--method", "adversarial", "--source-text", texts[0], "--target-text", texts[1], "--guide", 1, *options
    )
    assert ended.status == 0, ended.errors
    assert len(ended.output.splitlines()) == 3
    assert all(re.fullmatch(r"qel→qal layer [0-2]: \d+ pairs used", line) for line in ended.output.splitlines())
    inputs = json.loads((tmp_path / "mapping" / "manifest.json").read_text(encoding="utf-8"))["inputs"]
    assert {"source_model", "target_model", "source_text", "target_text"} <= set(inputs)
    assert load_alignment(tmp_path / "mapping" / "layer-2").method == "adversarial"

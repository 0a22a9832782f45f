"""`static`: word vectors without context, from a text to what other commands take as anchors."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from isogloss.artifacts import read_manifest
from isogloss.compute.workers import Event
from isogloss.corpus.invented.family import FamilySettings, write_family
from isogloss.encoders.settings import StaticSettings
from isogloss.encoders.static import static_vectors
from isogloss.lexicon.anchor_files import load_all_anchors
from isogloss.lexicon_commands import static
from isogloss.mapping.alignment import load_alignment

SENTENCES = 600


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> dict[str, Path]:
    """Texts of two invented languages of one family."""
    folder = tmp_path_factory.mktemp("family")
    nothing = dict(train_sentences=0, dev_sentences=0, test_sentences=0, parallel_sentences=0)
    write_family(folder, FamilySettings(languages=("qal", "qel"), text_sentences=SENTENCES, **nothing))
    return {code: folder / code / "text.txt" for code in ("qal", "qel")}


def lines_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_text_becomes_anchors_of_layer_0(command, texts, tmp_path):
    options = ("--width", 12, "--min-count", 3, "--max-types", 80, "--window", 2, "--contexts", 60, "--tokenised")
    ended = command("static", texts["qel"], "-l", "qel", "-o", tmp_path / "qel", *options, "--seed", 7)
    assert ended.status == 0, ended.errors
    assert ended.output == f"80 word types in {tmp_path / 'qel'}\n"
    (found,) = load_all_anchors(tmp_path / "qel")
    settings = StaticSettings(width=12, min_count=3, max_types=80, window=2, contexts=60)
    words, counts, vectors = static_vectors(lambda: lines_of(texts["qel"]), settings=settings, seed=7)
    assert (found.language, found.layer, found.words, found.counts.tolist()) == ("qel", 0, words, list(counts))
    assert torch.equal(found.vectors, vectors)
    manifest = read_manifest(tmp_path / "qel", kind="static")
    assert manifest.content["settings"]["static"] == settings.model_dump(mode="json")
    assert (manifest.content["seed"], manifest.content["word_types"]) == (7, 80)


def test_a_compressed_text_gives_the_same_vectors(texts, tmp_path):
    packed = tmp_path / "text.gz"
    packed.write_bytes(gzip.compress(texts["qel"].read_bytes()))
    for name, path in (("plain", texts["qel"]), ("packed", packed)):
        static(path, tmp_path / name, language="qel", width=8, min_count=3, max_sentences=200)
    plain, unpacked = (load_all_anchors(tmp_path / name)[0] for name in ("plain", "packed"))
    assert plain.words == unpacked.words
    assert torch.equal(plain.vectors, unpacked.vectors)


def test_what_static_makes_is_taken_where_anchors_are(command, texts, tmp_path):
    for code, text in texts.items():
        assert static(text, tmp_path / code, language=code, width=8, min_count=3) > 40
    qel, qal = (load_all_anchors(tmp_path / code)[0] for code in ("qel", "qal"))
    # What is found is not the point here: words of equal rank are called translations.
    pairs = [f"{one}\t{other}\n" for one, other in zip(qel.words[:40], qal.words[:40], strict=True)]
    (tmp_path / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")
    words = ("align", tmp_path / "qel", tmp_path / "qal", "-d", tmp_path / "pairs.tsv")
    assert command(*words, "-o", tmp_path / "mapping").status == 0
    ended = command("lexicon", tmp_path / "mapping", qel.words[0], "-k", 2)
    assert len(ended.output.splitlines()) == 2, ended.errors
    (row,) = json.loads(command("geometry", tmp_path / "qel", "--min-count", 3, "--json").output)
    assert (row["language"], row["layer"], row["token_distance_mean"]) == ("qel", 0, None)
    guides = ("--source-guide", tmp_path / "qel", "--target-guide", tmp_path / "qal")
    assert command(*words, *guides, "-o", tmp_path / "guided").status == 0
    assert read_manifest(tmp_path / "guided").content["inputs"]["source_guide"] == read_manifest(tmp_path / "qel").key
    assert load_alignment(tmp_path / "guided" / "layer-0").width == 8


def test_progress_is_told_for_both_readings(texts, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.stages.SECONDS_BETWEEN_REPORTS", 0.0)
    events: list[Event] = []
    static(texts["qal"], tmp_path / "out", language="qal", width=4, max_sentences=90, on_event=events.append)
    assert [event["event"] for event in events[:2]] == ["run", "started"]
    assert [event["done"] for event in events if event["event"] == "progress"] == [*range(1, 91)] * 2
    assert events[-1]["event"] == "finished"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a b\n", ("--width", 0), "width: found 0. Expected a value greater than 0. Change it."),
        ("a b\n", ("--window", 0), "window: found 0. Expected a value greater than 0. Change it."),
        ("a b\n", ("--max-sentences", 0), "max_sentences: found 0. Expected a value greater than 0. Change it."),
        ("a b\n", ("--threads", 0), "threads: found 0. Expected a value greater than or equal to 1. Change it."),
        (
            "a b\n",
            (),
            "Static vectors: no word type occurs 5 times, as min_count asks. Give more text, or lower min_count.",
        ),
        (
            "a\n" * 9,
            (),
            "Static vectors: of 1 word types none stands near another more often than by chance. Expected words with "
            "neighbours of their own. Give more text, or lower min_count.",
        ),
        (None, (), "nowhere: no such file. Expected"),
    ],
)
def test_what_makes_no_vectors_is_refused(command, tmp_path, text, options, message):
    path = tmp_path / ("nowhere" if text is None else "text.txt")
    if text is not None:
        path.write_text(text, encoding="utf-8")
    ended = command("static", path, "-l", "xx", "-o", tmp_path / "out", *options)
    assert (ended.status, ended.output) == (2, "")
    (complaint,) = ended.complaints
    assert message in complaint
    assert not (tmp_path / "out").exists()

"""`translate`: words of a text in context, by their senses or half way to their own vectors; and what it refuses."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tests.endings import refusal

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.lexicon.anchor_sources import open_anchors
from isogloss.lexicon.sense_files import load_senses
from isogloss.mapping.alignment import load_alignment
from isogloss.mapping.occurrences import translate_occurrences
from isogloss.mapping.sense_alignment import translate_in_context
from isogloss.mapping_commands import align
from isogloss.sense_commands import sense_anchors

EASY = {"min_count": 20, "strictness": 0, "least_gap": 0, "min_share": 0.01, "occurrences": 60}
"""Settings under which the contexts of an untrained model are divided, too."""


@pytest.fixture(scope="module")
def model(tiny_run) -> Path:
    return tiny_run.folder / "encoders" / "qel"


@pytest.fixture(scope="module")
def mappings(tiny_run, tmp_path_factory) -> dict[str, Path]:
    """Alignments from qel to qal, between anchors of senses and between plain ones; one back; the anchors of senses."""
    folder = tmp_path_factory.mktemp("translation")
    corpus = tiny_run.folder / "corpus"
    for code in ("qel", "qal"):
        text = corpus / code / "text.txt"
        sense_anchors(tiny_run.folder / "encoders" / code, text, folder / code, min_count=2, options=EASY)
    words = {"dictionary": corpus / "dictionaries" / "qel-qal.train.tsv", "options": {"too_few_pairs": "complete"}}
    align(folder / "qel", folder / "qal", folder / "senses", **words)
    plain = tiny_run.folder / "lexicon"
    align(plain / "qel", plain / "qal", folder / "plain", **words)
    align(folder / "qal", folder / "qel", folder / "back", turned=True, **words)
    return {name: folder / name for name in ("senses", "plain", "back", "qel", "qal")}


@pytest.fixture
def text(tiny_run, tmp_path) -> Path:
    """Three sentences of qel, with an empty line after the first."""
    lines = (tiny_run.folder / "corpus" / "qel" / "text.txt").read_text(encoding="utf-8").splitlines()[:3]
    path = tmp_path / "text.txt"
    path.write_text("\n".join([lines[0], "", *lines[1:]]) + "\n", encoding="utf-8")
    return path


def words_in(text: Path) -> list[tuple[int, int, list[str], str]]:
    """Return line, place, sentence and form of every word that has a letter."""
    return [
        (line, place, forms, form)
        for line, forms in enumerate((each.split() for each in text.read_text(encoding="utf-8").splitlines()), start=1)
        for place, form in enumerate(forms, start=1)
        if any(map(str.isalpha, form))
    ]


def vector_of(encoder: ELMoEncoder, forms: list[str], place: int, layer: int) -> torch.Tensor:
    return encoder.encode([Sentence.of_forms(forms, language="qel")]).vectors[0, place - 1, layer]


def test_every_word_is_translated_by_its_sense(command, model, mappings, text):
    ended = command("translate", model, text, "-a", mappings["senses"], "--layer", 2, "-k", 3, "--tokenised", "--json")
    assert ended.status == 0, ended.errors
    rows = json.loads(ended.output)
    encoder, source, target = ELMoEncoder.load(model), load_senses(mappings["qel"], 2), load_senses(mappings["qal"], 2)
    alignment = load_alignment(mappings["senses"] / "layer-2")
    expected = words_in(text)
    assert [(row["line"], row["place"], row["word"]) for row in rows] == [(n, at, form) for n, at, _, form in expected]
    for row, (_, place, forms, form) in zip(rows, expected, strict=True):
        vector = vector_of(encoder, forms, place, 2)
        best, sense = -2.0, None
        for at in source.rows_of(form):  # the nearest anchor of the word, by a plain loop
            cosine = float(torch.cosine_similarity(vector.double(), source.vectors[at].double(), dim=0))
            best, sense = max((best, sense or ""), (cosine, source.sense_names[at]))
        assert row["sense"] == sense
        (found,) = translate_in_context(alignment, vector[None], [form], source=source, target=target, k=3)
        assert [each["word"] for each in row["translations"]] == [word for word, _ in found]
        scores = [each["score"] for each in row["translations"]]
        assert scores == pytest.approx([score for _, score in found], abs=1e-5)
    assert any("#" in row["sense"] for row in rows if row["sense"]), "some words have several senses"


def test_with_plain_anchors_a_word_is_looked_up_half_way_between_its_anchor_and_its_own_vector(
    command, model, mappings, text, tiny_run
):
    ended = command("translate", model, text, "-a", mappings["plain"], "-k", 2, "--tokenised", "--json")
    assert ended.status == 0, ended.errors
    rows = json.loads(ended.output)
    encoder, alignment = ELMoEncoder.load(model), load_alignment(mappings["plain"] / "layer-1")
    ours, theirs = (open_anchors(tiny_run.folder / "lexicon" / code)[1] for code in ("qel", "qal"))
    vectors = torch.stack([vector_of(encoder, forms, place, 1) for _, place, forms, _ in words_in(text)])
    forms = [form for *_, form in words_in(text)]
    found = translate_occurrences(alignment, vectors, forms, source=ours, target=theirs, k=2)
    told = [[each["word"] for each in row["translations"]] for row in rows]
    assert told == [[word for word, _ in each] for each in found]
    by_own_vectors = translate_occurrences(alignment, vectors, forms, source=ours, target=theirs, k=2, shift=1.0)
    assert found != by_own_vectors
    assert {row["sense"] for row in rows} == {None}
    lines = command("translate", model, text, "-a", mappings["plain"], "-k", 2, "--tokenised").output.splitlines()
    assert [line.split("\t")[3] for line in lines] == ["-"] * len(rows)


def test_words_asked_for_are_lines_with_tabs(command, model, mappings, text, tmp_path, caplog):
    line, place, _, form = words_in(text)[4]
    asked = ("translate", model, text, "-a", mappings["senses"], "--tokenised", "-k", 2, "--words", f"{form}, zzz")
    ended = command(*asked)
    assert ended.status == 0, ended.errors
    first = ended.output.splitlines()[0].split("\t")
    assert first[:3] == [str(line), str(place), form] and first[3].split("#")[0] == form and len(first) == 6
    assert all(len(translation.split(" ")) == 2 for translation in first[4:])
    assert {each.split("\t")[2] for each in ended.output.splitlines()} == {form}
    assert caplog.messages == [f"{text}: zzz: no occurrence in its 3 sentences; the other words are translated."]
    written = command(*asked, "-o", tmp_path / "out.tsv")
    assert (written.output, (tmp_path / "out.tsv").read_text(encoding="utf-8")) == ("", ended.output)


@pytest.mark.parametrize(("asked", "places"), [("kus", [(1, 1), (1, 2), (2, 1)]), ("Kus", [(1, 1)])])
def test_a_word_in_lower_case_is_found_with_capitals_too(command, tiny_run, mappings, tmp_path, asked, places):
    (tmp_path / "text.txt").write_text("Kus kus\nKUS\n", encoding="utf-8")
    words = ("translate", tiny_run.folder / "encoders" / "qal", tmp_path / "text.txt", "-a", mappings["back"])
    ended = command(*words, "--words", asked, "--json")
    assert ended.status == 0, ended.errors
    assert [(row["line"], row["place"]) for row in json.loads(ended.output)] == places


def test_standard_input_is_read_as_a_file_is(command, model, mappings, text, monkeypatch):
    asked = ("-a", mappings["senses"], "-k", 1)
    from_file = command("translate", model, text, *asked)
    stream = io.BufferedReader(io.BytesIO(text.read_bytes()))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    from_stream = command("translate", model, "-", *asked)
    assert from_stream.status == 0, from_stream.errors
    assert from_stream.output == from_file.output != ""
    assert from_stream.errors.splitlines()[0] == "standard input: 2 stages"


def test_reading_stops_after_so_many_sentences(command, model, mappings, text):
    ended = command("translate", model, text, "-a", mappings["senses"], "--max-sentences", 2, "--json")
    assert {row["line"] for row in json.loads(ended.output)} == {1, 3}


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "",
            (),
            "{text}: there are no words in this file. Expected text, one sentence a line. Check that it is the "
            "right file.",
        ),
        (
            " \n\n",
            ("--words", "zzz"),
            "{text}: there are no words in this file. Expected text, one sentence a line. "
            "Check that it is the right file.",
        ),
        (
            "12 , .\n",
            (),
            "{text}: there are no words in this file. Expected text, one sentence a line. Check that it is "
            "the right file.",
        ),
        (
            "a b\n",
            ("--words", "zzz,yyy"),
            "{text}: none of zzz, yyy occurs in its 1 sentences. Expected words of the "
            "text, as they are written there. Change --words.",
        ),
        ("a\n", ("-k", 0), "-k: found 0. Expected 1 or more. Change it."),
        ("a\n", ("--words", " ,"), "--words: found ' ,'. Expected words with commas between them. Change it."),
        (
            "a\n",
            ("--layer", 5),
            "--layer: found 5, but {senses} has alignments of layer 0, 1, 2 only. Expected one of these. Choose one.",
        ),
        (
            "a\n",
            ("--source-anchors", "{qal}"),
            "{qal}: holds anchors of 'qal', but the language was said to be 'qel'. "
            "The two must agree. Check which folder you named, or leave the language out.",
        ),
        (
            "a\n",
            ("--source-anchors", "{plain}"),
            "{plain}: are not the source anchors from which {senses} was found "
            "(their key is another). Expected the same. Name those with --source-anchors, or align again.",
        ),
        ("a\n", ("--max-sentences", 0), "max_sentences: found 0. Expected a value greater than 0. Change it."),
    ],
)
def test_what_cannot_be_translated_is_refused(command, model, mappings, tiny_run, tmp_path, content, options, message):
    path = tmp_path / "text.txt"
    path.write_text(content, encoding="utf-8")
    names = {**mappings, "text": path, "plain": tiny_run.folder / "lexicon" / "qel"}
    words = [str(word).format(**names) for word in options]
    assert refusal(command("translate", model, path, "-a", mappings["senses"], *words)) == message.format(**names)


def test_models_and_folders_of_another_kind_are_refused(command, model, mappings, tiny_run, text):
    other = tiny_run.folder / "encoders" / "qal"
    assert refusal(command("translate", other, text, "-a", mappings["senses"])) == (
        f"{other}: is a model of 'qal', but {mappings['senses']} leads from 'qel' to 'qal'. Expected the model of "
        "'qel'. Name it, or align the other way round."
    )
    assert refusal(command("translate", model, text, "-a", mappings["qel"])) == (
        f"{mappings['qel']}: holds 'senses'. Expected 'alignments'. Check which folder you named."
    )
    assert refusal(command("translate", mappings["qel"], text, "-a", mappings["senses"])) == (
        f"{mappings['qel']}: holds 'senses'. Expected 'encoder'. Check which folder you named."
    )
    nowhere = text.with_name("nowhere.txt")
    assert refusal(command("translate", model, nowhere, "-a", mappings["senses"])) == (
        f"{nowhere}: no such file. Expected a text file. Check the path."
    )


def test_layers_that_the_model_has_not_are_refused(command, model, mappings, text, tmp_path):
    folder = tmp_path / "layer-7"
    shutil.copytree(mappings["senses"] / "layer-2", folder)
    facts = json.loads((folder / "alignment.json").read_text(encoding="utf-8"))
    (folder / "alignment.json").write_text(json.dumps(facts | {"layer": 7}), encoding="utf-8")
    assert refusal(command("translate", model, text, "-a", folder)) == (
        f"{folder}: maps vectors of layer 7, width 16; the model gives layers 0 to 2, width 16. Expected an alignment "
        "of this model's vectors. Name another one, or align again."
    )


@pytest.fixture
def another(model, tmp_path) -> Path:
    """A model of the same shape with another key, as one has that was trained anew."""
    folder = tmp_path / "another"
    shutil.copytree(model, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | {"key": "0" * 64}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", ["plain", "senses"])
def test_a_warning_tells_of_vectors_that_another_model_made(
    command, model, another, mappings, text, tmp_path, caplog, kind
):
    told = f"{mappings[kind]}: was found between anchors that another model than {another} gathered."
    assert command("translate", another, text, "--alignment", mappings[kind]).status == 0
    embed = ("embed", another, text, "-o", tmp_path / "vectors.safetensors", "--aligned", mappings[kind])
    assert command(*embed).status == 0
    assert [told in message for message in caplog.messages] == [True, True]
    caplog.clear()
    assert command("translate", model, text, "--alignment", mappings[kind]).status == 0
    assert caplog.messages == []


def test_a_shrunk_model_is_no_other_one(command, model, mappings, text, tmp_path, caplog):
    shrunk = tmp_path / "shrunk"
    assert command("shrink-lm", model, "-o", shrunk).status == 0
    assert command("translate", shrunk, text, "--alignment", mappings["plain"]).status == 0
    assert caplog.messages == []


def test_notes_of_anchors_that_cannot_be_read_are_refused_in_one_line(command, model, mappings, text, tmp_path):
    shutil.copytree(mappings["plain"], tmp_path / "mapping")
    (tmp_path / "mapping" / "anchors.json").write_text('{"source": ', encoding="utf-8")
    ended = command("embed", model, text, "-o", tmp_path / "v.safetensors", "--aligned", tmp_path / "mapping")
    assert "anchors.json: " in refusal(ended)

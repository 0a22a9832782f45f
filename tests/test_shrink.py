"""The command shrink-lm: half the digits and no softmax, the same vectors for every word, and nothing else lost."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from isogloss.artifacts import build_artifact, check_files, read_manifest
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.stage import FORMATS

SHAPE = BiLMSettings(character_width=4, filters=((1, 4), (3, 8)), word_types=8, projection_width=8, cell_width=12)
WITH_VECTOR = ["el", "la", "perro", "ve", "."]
"""With the reserved entries, these are the word types that have a vector of their own."""
IN_SOFTMAX_ONLY = ["gato", "ñu", "pájaro"]
UNSEEN = ["🐟", "desconocido", "<UNK>", "<S>", "</S>", ""]
SENTENCES = [
    Sentence.of_forms(forms) for forms in (WITH_VECTOR, IN_SOFTMAX_ONLY, UNSEEN, [*UNSEEN, *WITH_VECTOR], ["gato", "."])
]


def encoder_of(word_types: int = 8) -> ELMoEncoder:
    """A model of random weights."""
    words = [*WITH_VECTOR, *IN_SOFTMAX_ONLY]
    vocabulary = Vocabulary((*RESERVED, *words), (9, 9, 4, *range(len(words) + 1, 1, -1)))
    shape = SHAPE.model_copy(update={"word_types": word_types})
    torch.manual_seed(3)
    model = BiLM(shape, types=len(vocabulary))
    card = {"language": "es", "forward_perplexity": 31.5}
    return ELMoEncoder(model, settings=shape, vocabulary=vocabulary, language="es", card=card)


def stored(encoder: ELMoEncoder, folder: Path) -> Path:
    """Write a model as `train-lm` does."""
    build_artifact(
        folder,
        "encoder",
        lambda draft: encoder.save(draft),
        format=FORMATS["encoder"],
        settings={"language": "es"},
        inputs={"text": "f" * 64},
        seed=7,
        licences=["CC BY 4.0"],
    )
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return stored(encoder_of(), tmp_path / "es")


def vectors_of(encoder: ELMoEncoder) -> torch.Tensor:
    return encoder.encode(SENTENCES).vectors


# -------------------------------------------------------------------------------------------------- vectors


@pytest.mark.parametrize("word_types", [0, 1, 3, 4, 8, 11, 1000])
def test_a_model_cut_to_its_word_vectors_says_the_same_of_every_word_bit_for_bit(tmp_path, word_types):
    encoder = encoder_of(word_types)
    encoder.save(tmp_path, predicts=False)
    cut = ELMoEncoder.load(tmp_path)
    assert cut.model.softmax is None
    assert len(cut.vocabulary) == min(max(word_types, 3), 11)
    assert torch.equal(vectors_of(cut), vectors_of(encoder))


def test_the_words_of_the_toy_language_are_told_apart_by_having_a_vector_of_their_own():
    """Or else the test above would say little."""
    encoder = encoder_of()
    assert encoder.model.word_vectors is not None
    before = vectors_of(encoder)
    with torch.no_grad():
        encoder.model.word_vectors.weight.add_(1.0)
    encoder = ELMoEncoder(encoder.model, settings=SHAPE, vocabulary=encoder.vocabulary, language="es")
    moved = (vectors_of(encoder) - before)[:, :, 0].abs().sum(dim=2) > 0.5  # of layer 0
    assert moved[0, : len(WITH_VECTOR)].all()
    assert not moved[1].any()
    assert moved[2, : len(UNSEEN)].tolist() == [word in ("<S>", "</S>") for word in UNSEEN]


def test_vectors_differ_in_the_fourth_digit(command, model, tmp_path):
    assert command("shrink-lm", model, "-o", tmp_path / "small").status == 0
    whole, small = vectors_of(ELMoEncoder.load(model)), vectors_of(ELMoEncoder.load(tmp_path / "small"))
    difference = (whole - small).abs().max()
    assert 0 < difference < 2e-3 * whole.abs().max()
    assert small.dtype == torch.float32


def test_a_shrunk_model_embeds_text_and_gives_anchors(command, model, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("el perro ve un gato .\n" * 5)
    command("shrink-lm", model, "-o", tmp_path / "small")
    for name, folder in (("whole", model), ("half", tmp_path / "small")):
        assert command("embed", folder, text, "-o", tmp_path / f"{name}.safetensors").status == 0
        assert command("anchors", folder, text, "-o", tmp_path / f"anchors-{name}").status == 0
    whole, half = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "half"))
    assert whole.keys() == half.keys()
    torch.testing.assert_close(half["0"], whole["0"], rtol=0, atol=2e-3 * float(whole["0"].abs().max()))


# ------------------------------------------------------------------------------------------------ the folder


def test_the_file_holds_float16_and_no_softmax(command, model, tmp_path):
    ended = command("shrink-lm", model, "-o", tmp_path / "small", "--json")
    weights = load_file(tmp_path / "small" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert set(load_file(model / "model.safetensors")) - set(weights) == {"softmax.weight", "softmax.bias"}
    assert json.loads((tmp_path / "small" / "settings.json").read_text())["predicts"] is False
    bytes_of = {folder: sum(file.stat().st_size for file in folder.iterdir()) for folder in (model, tmp_path / "small")}
    assert json.loads(ended.output) == {"bytes": bytes_of[tmp_path / "small"], "bytes_before": bytes_of[model]}
    assert bytes_of[tmp_path / "small"] < bytes_of[model]


def test_only_words_with_a_vector_are_kept_and_their_counts(command, model, tmp_path):
    command("shrink-lm", model, "-o", tmp_path / "small")
    before, after = (Vocabulary.load(folder / "vocabulary.txt") for folder in (model, tmp_path / "small"))
    assert after.words == (*RESERVED, *WITH_VECTOR)
    assert sum(after.counts) == sum(before.counts), "words left out are counted as unknown"


def test_the_manifest_says_what_it_was_made_from_and_the_card_goes_with_it(command, model, tmp_path):
    command("shrink-lm", model, "-o", tmp_path / "small")
    origin, manifest = read_manifest(model), read_manifest(tmp_path / "small", kind="encoder")
    check_files(tmp_path / "small", manifest)
    assert manifest.content["inputs"] == {"encoder": origin.key}
    assert manifest.key != origin.key
    assert (manifest.content["seed"], manifest.content["licences"]) == (7, ["CC BY 4.0"])
    assert ELMoEncoder.load(tmp_path / "small").card == {"language": "es", "forward_perplexity": 31.5}


def test_the_model_itself_stays_as_it_was(command, model, tmp_path):
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    command("shrink-lm", model, "-o", tmp_path / "small")
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_what_is_small_already_stays_the_same(command, model, tmp_path):
    command("shrink-lm", model, "-o", tmp_path / "small")
    assert command("shrink-lm", tmp_path / "small", "-o", tmp_path / "smaller").status == 0
    for name in ("model.safetensors", "vocabulary.txt", "settings.json", "card.json"):
        assert (tmp_path / "smaller" / name).read_bytes() == (tmp_path / "small" / name).read_bytes()


def test_a_published_model_is_shrunk_and_can_still_be_exported(command, tmp_path):
    exported, imported, small = tmp_path / "exported", tmp_path / "imported", tmp_path / "small"
    assert command("export-elmo", stored(encoder_of(0), tmp_path / "es"), "-o", exported).status == 0
    files = (exported / "weights.hdf5", exported / "options.json")
    assert command("import-elmo", *files, "-l", "es", "-o", imported).status == 0
    assert command("shrink-lm", imported, "-o", small).status == 0
    whole, half = vectors_of(ELMoEncoder.load(imported)), vectors_of(ELMoEncoder.load(small))
    torch.testing.assert_close(half, whole, rtol=0, atol=2e-3 * float(whole.abs().max()))
    assert command("export-elmo", small, "-o", tmp_path / "again").status == 0


# -------------------------------------------------------------------------------------------------- refusals


def test_a_folder_that_is_no_model_is_refused(command, tmp_path):
    (tmp_path / "empty").mkdir()
    build_artifact(tmp_path / "anchors", "anchors", lambda draft: None, settings={}, inputs={})
    for name, words in (
        ("nowhere", r"nowhere: no such folder\. Expected a folder written by isogloss"),
        ("empty", r"empty: no manifest\.json\. Expected a folder written by isogloss"),
        ("anchors", r"anchors: holds 'anchors'\. Expected 'encoder'"),
    ):
        ended = command("shrink-lm", tmp_path / name, "-o", tmp_path / "small")
        assert ended.status == 2
        assert re.search(words, ended.complaints[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anchors", "empty"]


def test_what_is_no_model_is_not_replaced_by_one(command, model, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "today.txt").write_text("buy fish")
    ended = command("shrink-lm", model, "-o", tmp_path / "notes")
    assert ended.status == 2
    assert "is there already and is not an artifact of isogloss" in ended.complaints[0]
    assert (tmp_path / "notes" / "today.txt").read_text() == "buy fish"


def test_a_model_is_not_shrunk_into_itself(command, model):
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    ended = command("shrink-lm", model, "-o", model)
    assert ended.status == 2
    assert "is the model itself" in ended.complaints[0]
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_damaged_model_is_not_shrunk(command, model, tmp_path):
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-5] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    ended = command("shrink-lm", model, "-o", tmp_path / "out")
    assert ended.status == 2
    assert "model.safetensors: differs from what was written" in ended.complaints[0]
    assert not (tmp_path / "out").exists()


def test_numbers_too_large_for_float16_are_refused(command, tmp_path):
    encoder = encoder_of()
    with torch.no_grad():
        encoder.model.characters.projection.bias[0] = 1e5
    ended = command("shrink-lm", stored(encoder, tmp_path / "es"), "-o", tmp_path / "out")
    assert ended.status == 2
    assert "characters.projection.bias: has numbers that are not finite in torch.float16" in ended.complaints[0]
    assert not (tmp_path / "out").exists()

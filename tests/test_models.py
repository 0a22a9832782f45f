"""The language models that come with the project: whole, small, and good for vectors."""

from pathlib import Path

import pytest
import torch

from isogloss.artifacts import check_files, read_manifest
from isogloss.bundle import BUNDLE, PARSER, open_bundle, parts_of
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import SIZES

MODELS = Path(__file__).parents[1] / "models"
LANGUAGES = ["de", "en", "es", "fr", "it", "kk", "pt", "sv", "tr"]
MOST_BYTES = 6_000_000
MOST_BYTES_IN_ALL = 70_000_000

pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the language models come with the repository only")


def test_there_is_a_model_of_each_language():
    assert sorted(path.name for path in MODELS.iterdir() if (path / "card.json").is_file()) == LANGUAGES


@pytest.mark.skipif(not (MODELS / BUNDLE).is_file(), reason="the parser that comes with the project is not there")
def test_the_models_are_a_bundle_that_is_whole_and_small():
    bundle = open_bundle(MODELS)
    assert sorted(bundle.languages) == LANGUAGES
    for part in (PARSER, *(part for language in LANGUAGES for part in parts_of(language))):
        bundle.check(part)
    assert sum((MODELS / name).stat().st_size for name in bundle.files) <= MOST_BYTES_IN_ALL


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_is_as_it_was_written_and_small(language):
    manifest = read_manifest(MODELS / language, kind="encoder")
    check_files(MODELS / language, manifest)
    assert sum(path.stat().st_size for path in (MODELS / language).iterdir()) <= MOST_BYTES
    assert manifest.content["licences"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_gives_vectors_and_tells_what_it_is(language):
    encoder = ELMoEncoder.load(MODELS / language)
    assert (encoder.language, encoder.layers, encoder.settings) == (language, 3, SIZES["small"])
    assert encoder.card["forward_perplexity"] > 1 and encoder.card["training_words"] > 40_000
    known = encoder.vocabulary.words[3:8]
    found = encoder.encode([Sentence.of_forms(known), Sentence.of_forms([*known[:2], "🐟", *known[3:]])]).vectors
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0, 1, 1], found[1, 1, 1], atol=0.01), "another next word, another vector in context"
    assert torch.allclose(found[0, 1, 0], found[1, 1, 0], atol=1e-5), "layer 0 knows no context"


def test_spanish_agrees_in_meaning_with_itself():
    """Anchors would need a text; already layer 0 has days among days and colours among colours."""
    encoder = ELMoEncoder.load(MODELS / "es")
    words = ["lunes", "martes", "domingo", "rojo", "azul", "verde"]
    vectors = encoder.encode([Sentence.of_forms([word]) for word in words]).vectors[:, 0, 0]
    cosine = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=-1)
    same = torch.cat([cosine[:3, :3].flatten(), cosine[3:, 3:].flatten()])
    assert same.mean() > cosine[:3, 3:].mean() + 0.2

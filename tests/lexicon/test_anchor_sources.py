"""Anchors are opened wherever they come from, and what is none is named."""

import bz2
import gzip
import lzma

import pytest
import torch
import zstandard

from isogloss.errors import ArtifactError, VectorsError
from isogloss.lexicon.anchor_files import save_anchors
from isogloss.lexicon.anchor_sources import open_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.published_anchors import write_published_anchors

TEXT = b"3 2\nla 3 4\ncasa 0 1\nCasa 2 0\n"


def layers_of() -> list[Anchors]:
    vectors = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    counts = torch.tensor([5, 2, 1])
    return [Anchors("es", layer, ("la", "casa", "Casa"), vectors[layer], counts, 2.5) for layer in (0, 1)]


@pytest.mark.parametrize("save", [save_anchors, write_published_anchors])
@pytest.mark.parametrize("max_types", [None, 2, 99])
def test_every_layer_of_a_folder_is_opened(tmp_path, save, max_types):
    save(tmp_path / "anchors", layers_of())
    opened = open_anchors(tmp_path / "anchors", language="es", max_types=max_types)
    for expected, found in zip(layers_of(), opened, strict=True):
        assert (found.language, found.layer, found.mean_norm) == ("es", expected.layer, 2.5)
        assert found.words == expected.words[:max_types]
        assert torch.equal(found.vectors, expected.vectors[:max_types])
        assert torch.equal(found.counts, expected.counts[:max_types])


def test_a_folder_of_ours_knows_its_language(tmp_path):
    save_anchors(tmp_path, layers_of())
    assert {each.language for each in open_anchors(tmp_path)} == {"es"}
    with pytest.raises(ArtifactError, match=r"holds anchors of 'es', but the language was said to be 'en'"):
        open_anchors(tmp_path, language="en")


COMPRESSIONS = {
    "es.vec": bytes,
    "es.vec.gz": gzip.compress,
    "es.vec.xz": lzma.compress,
    "es.vec.zst": zstandard.ZstdCompressor().compress,
    "es.vec.bz2": bz2.compress,
}


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_word_vectors_are_one_layer_in_the_order_of_the_file(tmp_path, name):
    (tmp_path / name).write_bytes(COMPRESSIONS[name](TEXT))
    (anchors,) = open_anchors(tmp_path / name, language="es")
    assert (anchors.language, anchors.layer, anchors.words) == ("es", 0, ("la", "casa", "Casa"))
    assert anchors.vectors.tolist() == [[3, 4], [0, 1], [2, 0]]
    assert (anchors.counts.tolist(), anchors.mean_norm) == ([1, 1, 1], 8 / 3)
    (fewer,) = open_anchors(tmp_path / name, language="es", max_types=1)
    assert (fewer.words, fewer.mean_norm) == (("la",), 5)


def test_words_that_differ_in_case_stay_apart(tmp_path):
    (tmp_path / "es.vec").write_bytes(TEXT)
    (anchors,) = open_anchors(tmp_path / "es.vec", language="es")
    assert anchors.for_words(["Casa", "casa"]).tolist() == [[2, 0], [0, 1]]


def test_vectors_of_glove_are_opened(tmp_path):
    (tmp_path / "glove.txt").write_bytes(TEXT.partition(b"\n")[2])
    (anchors,) = open_anchors(tmp_path / "glove.txt", language="es")
    assert anchors.words == ("la", "casa", "Casa")


def test_the_language_must_be_told_where_it_is_not_known(tmp_path):
    (tmp_path / "es.vec").write_bytes(TEXT)
    with pytest.raises(ArtifactError, match=r"es.vec: the language is not known, for a file of word vectors does not"):
        open_anchors(tmp_path / "es.vec")
    write_published_anchors(tmp_path / "published", layers_of())
    with pytest.raises(ArtifactError, match=r"published: the language is not known, for a folder of published anchors"):
        open_anchors(tmp_path / "published")


def test_what_is_no_source_of_anchors_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"none: there is no such file or folder\. Expected a folder of anchors"):
        open_anchors(tmp_path / "none", language="es")
    with pytest.raises(ArtifactError, match=r"holds neither anchors.safetensors nor norms.json"):
        open_anchors(tmp_path, language="es")
    (tmp_path / "es.pdf").write_bytes(b"%PDF-1.4\n\x00\x01")
    with pytest.raises(VectorsError, match=r"es.pdf:1: found '%PDF-1.4'\. The first line gives"):
        open_anchors(tmp_path / "es.pdf", language="es")


@pytest.mark.parametrize("name", ["anchors.safetensors", "settings.json", "words.txt"])
def test_one_file_of_a_folder_is_not_enough(tmp_path, name):
    save_anchors(tmp_path / "es", layers_of())
    with pytest.raises(ArtifactError, match=rf"{name}: is one file of a folder of anchors.* Give the folder, .*es\."):
        open_anchors(tmp_path / "es" / name, language="es")


def test_a_file_without_vectors_is_refused(tmp_path):
    (tmp_path / "es.vec").write_bytes(b"0 3\n")
    with pytest.raises(VectorsError, match=r"es.vec: holds no vectors"):
        open_anchors(tmp_path / "es.vec", language="es")


def test_a_damaged_folder_is_named(tmp_path):
    save_anchors(tmp_path, layers_of())
    (tmp_path / "settings.json").unlink()
    with pytest.raises(ArtifactError, match=r"settings.json: cannot be read"):
        open_anchors(tmp_path, language="es")

"""Anchors on disk come back as they were, and damage is named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from isogloss.errors import ArtifactError, OutputError
from isogloss.lexicon.anchor_files import load_all_anchors, load_anchors, save_anchors
from isogloss.lexicon.anchors import Anchors

WORDS = ("la", "a\u2028b", "c\rd", "Häuser", "", "語")


def layers_of(words=WORDS) -> list[Anchors]:
    generator = torch.Generator().manual_seed(1)
    return [
        Anchors(
            language="es",
            layer=layer,
            words=words,
            vectors=torch.randn(len(words), 4, generator=generator),
            counts=torch.arange(len(words), 0, -1),
            mean_norm=1 / 3 + layer,
        )
        for layer in (0, 2)
    ]


@pytest.fixture
def folder(tmp_path):
    save_anchors(tmp_path / "es", layers_of())
    return tmp_path / "es"


def test_anchors_come_back_as_they_were(folder):
    for saved, loaded in zip(layers_of(), load_all_anchors(folder), strict=True):
        assert (saved.language, saved.layer, saved.words) == (loaded.language, loaded.layer, loaded.words)
        assert torch.equal(saved.vectors, loaded.vectors)
        assert torch.equal(saved.counts, loaded.counts)
        assert saved.mean_norm == loaded.mean_norm


def test_saving_again_writes_the_same_bytes(folder, tmp_path):
    save_anchors(tmp_path / "again", load_all_anchors(folder))
    for name in ("anchors.safetensors", "words.txt", "settings.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_layer_that_was_not_saved_is_named(folder):
    with pytest.raises(ArtifactError, match=r"no anchors of layer 1, only of 0, 2"):
        load_anchors(folder, 1)


@pytest.mark.parametrize("name", ["anchors.safetensors", "words.txt", "settings.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load_anchors(folder, 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("anchors.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense"),
        ("anchors.safetensors", b""),
        ("words.txt", b"caf\xe9\n"),
        ("settings.json", b"{"),
        ("settings.json", b"[]"),
        ("settings.json", b'{"language": "es", "layers": "02"}'),
    ],
)
def test_a_damaged_file_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        load_anchors(folder, 0)


def test_words_and_vectors_must_fit_together(folder):
    (folder / "words.txt").write_bytes(b"one\ntwo\n")
    with pytest.raises(ArtifactError, match=r"vectors of shape \(6, 4\).* do not fit 2 lines of words.txt"):
        load_anchors(folder, 0)


def test_layers_and_vectors_must_fit_together(folder):
    (folder / "settings.json").write_text(json.dumps({"language": "es", "layers": [0, 1, 2]}))
    with pytest.raises(ArtifactError, match=r"anchors.safetensors: .*3 layers"):
        load_anchors(folder, 0)


def test_a_word_that_stands_twice_is_refused(folder):
    (folder / "words.txt").write_bytes(b"a\nb\nc\na\nd\ne\n")
    with pytest.raises(ArtifactError, match=r"6 lines hold only 5 different words"):
        load_anchors(folder, 0)


def test_vectors_that_are_not_finite_are_refused(folder):
    tensors = load_file(folder / "anchors.safetensors")
    tensors["vectors"][1, 0, 0] = float("nan")
    save_file(tensors, folder / "anchors.safetensors")
    with pytest.raises(ArtifactError, match=r"vectors of layer 2 are not all finite"):
        load_anchors(folder, 2)
    assert load_anchors(folder, 0).layer == 0


def test_a_word_with_a_line_break_is_not_written(tmp_path):
    with pytest.raises(OutputError, match=r"'a\\nb' contains a line break"):
        save_anchors(tmp_path, layers_of(("a\nb", "c")))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written"):
        save_anchors(tmp_path / "file", layers_of())

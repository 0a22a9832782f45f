"""Anchors on disk come back as they were, and damage is named."""

import json
import random
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from isogloss.errors import ArtifactError, OutputError, RecipeError
from isogloss.lexicon.anchor_files import (
    Share,
    load_all_anchors,
    load_anchors,
    load_sums,
    merge_sums,
    save_anchors,
    save_sums,
)
from isogloss.lexicon.anchors import AnchorAccumulator, Anchors, AnchorSums

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
            token_norms=torch.rand(len(words), generator=generator, dtype=torch.float64),
            token_squares=torch.rand(len(words), generator=generator, dtype=torch.float64),
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
        for name in ("token_norms", "token_squares"):
            assert torch.equal(getattr(saved, name), getattr(loaded, name)), name


def test_vectors_of_other_tools_come_back_without_norms_of_tokens(tmp_path):
    save_anchors(tmp_path, [Anchors.of_vectors(["a", "b"], torch.eye(2), language="es")])
    assert set(load_file(tmp_path / "anchors.safetensors")) == {"vectors", "counts", "mean_norms"}
    loaded = load_anchors(tmp_path, 0)
    assert loaded.token_norms is None and loaded.token_squares is None


def test_folders_of_before_norms_were_kept_still_load(folder):
    path = folder / "anchors.safetensors"
    tensors = load_file(path)
    save_file({name: tensors[name] for name in ("vectors", "counts", "mean_norms")}, path)
    for saved, loaded in zip(layers_of(), load_all_anchors(folder), strict=True):
        assert torch.equal(saved.vectors, loaded.vectors)
        assert loaded.token_norms is None and loaded.token_squares is None


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


@pytest.mark.parametrize("name", ["token_norms", "token_squares"])
def test_norms_of_tokens_that_are_damaged_are_named(folder, name):
    path = folder / "anchors.safetensors"
    tensors = load_file(path)
    save_file({**tensors, name: tensors[name] / 0}, path)
    with pytest.raises(ArtifactError, match=rf"anchors.safetensors: {name} of layer 2 are not all finite"):
        load_anchors(folder, 2)
    save_file({**tensors, name: tensors[name][:, 1:].contiguous()}, path)
    with pytest.raises(ArtifactError, match=rf"{name} of layer 0 have shape \(5,\), .* 6 lines of words.txt"):
        load_anchors(folder, 0)


def test_a_word_with_a_line_break_is_not_written(tmp_path):
    with pytest.raises(OutputError, match=r"'a\\nb' contains a line break"):
        save_anchors(tmp_path, layers_of(("a\nb", "c")))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written"):
        save_anchors(tmp_path / "file", layers_of())


def sums_of(words: str, *, seed: int = 0, layers: int = 2, width: int = 3) -> AnchorSums:
    accumulator = AnchorAccumulator(layers=layers, width=width)
    vectors = torch.randn(len(words), layers, width, generator=torch.Generator().manual_seed(seed))
    accumulator.add(list(words), vectors)
    return accumulator.sums()


TENSORS = ("totals", "type_norms", "squared_norms", "counts", "norms")


@pytest.mark.parametrize("words", ["abracadabra", "語\u2028é", ""])
def test_sums_come_back_as_they_were(tmp_path, words):
    saved = sums_of(words)
    save_sums(tmp_path / "es", saved, language="es")
    loaded = load_sums(tmp_path / "es")
    assert (loaded.words, loaded.tokens) == (saved.words, saved.tokens)
    for name in TENSORS:
        assert torch.equal(getattr(saved, name), getattr(loaded, name)), name
        assert getattr(saved, name).dtype == getattr(loaded, name).dtype, name


@given(text=st.text("abcd", max_size=30), parts=st.integers(1, 5), seed=st.integers(0, 99))
def test_shares_merge_to_the_sums_of_the_whole_in_any_order(tmp_path_factory, text, parts, seed):
    folder = tmp_path_factory.mktemp("shares")
    vectors = torch.randn(len(text), 2, 3, generator=torch.Generator().manual_seed(seed))
    everything = AnchorAccumulator(layers=2, width=3)
    everything.add(list(text), vectors)
    for place in range(parts):
        own = AnchorAccumulator(layers=2, width=3)
        own.add(list(text[place::parts]), vectors[place::parts])
        save_sums(folder / str(place), own.sums(), language="es", share=Share(place + 1, parts, "a text"))
    folders = random.Random(seed).sample([folder / str(place) for place in range(parts)], parts)
    language, merged = merge_sums(folders)
    whole = everything.sums()
    assert (language, merged.words, merged.tokens) == ("es", whole.words, whole.tokens)
    for name in TENSORS:
        # Float64 keeps 16 digits; thirty numbers near 1 are added in two orders.
        assert torch.allclose(getattr(merged, name), getattr(whole, name), rtol=1e-12, atol=1e-12), name


def test_whole_texts_and_shares_of_another_text_merge(tmp_path):
    shares = {"one": Share(text="x"), "two": Share(text="y"), "half": Share(1, 2, "z"), "other": Share(2, 2, "z")}
    for name, share in shares.items():
        save_sums(tmp_path / name, sums_of("ab"), language="es", share=share)
    _, merged = merge_sums([tmp_path / name for name in shares])
    assert merged.tokens == 8 and merged.counts.tolist() == [4, 4]
    assert torch.allclose(merged.totals, 4 * sums_of("ab").totals, rtol=1e-15)


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ([(1, 3), (3, 3)], "1/3, 3/3"),
        ([(1, 2), (2, 2), (2, 2)], "1/2, 2/2, 2/2"),
        ([(1, 2), (2, 3)], "1/2, 2/3"),
        ([(1, 1), (1, 1)], "1/1, 1/1"),
        ([(2, 2)], "2/2"),
    ],
)
def test_a_share_that_is_missing_or_there_twice_is_told(tmp_path, shares, told):
    for place, (number, of) in enumerate(shares):
        save_sums(tmp_path / str(place), sums_of("ab"), language="es", share=Share(number, of))
    with pytest.raises(ArtifactError, match=rf"of the shares {told}\. Expected each share once, from 1/{shares[0][1]}"):
        merge_sums([tmp_path / str(place) for place in range(len(shares))])


def test_a_folder_named_twice_is_told(tmp_path):
    save_sums(tmp_path, sums_of("ab"), language="es", share=Share(text="x"))
    with pytest.raises(ArtifactError, match=r"of the shares 1/1, 1/1\."):
        merge_sums([tmp_path, tmp_path])


@pytest.mark.parametrize(("number", "of"), [(0, 2), (3, 2), (1, 0), (-1, 2)])
def test_a_share_that_does_not_exist_is_refused(number, of):
    with pytest.raises(RecipeError, match=rf"Share {number} of {of}: there is no such part"):
        Share(number, of)


def test_sums_of_two_languages_do_not_merge(tmp_path):
    save_sums(tmp_path / "es", sums_of("ab"), language="es", share=Share(text="x"))
    save_sums(tmp_path / "gl", sums_of("ab"), language="gl", share=Share(text="y"))
    with pytest.raises(ArtifactError, match=r"gl: sums of 'gl', while .*es holds sums of 'es'"):
        merge_sums([tmp_path / "es", tmp_path / "gl"])


def test_sums_of_two_shapes_do_not_merge(tmp_path):
    save_sums(tmp_path / "a", sums_of("ab"), language="es", share=Share(text="x"))
    save_sums(tmp_path / "b", sums_of("ab", layers=3, width=4), language="es", share=Share(text="y"))
    with pytest.raises(ArtifactError, match=r"b: sums of 3 layers, 4 wide, while .*a holds 2 layers, 3 wide"):
        merge_sums([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("name", ["sums.safetensors", "words.txt", "settings.json"])
@pytest.mark.parametrize("content", [None, b"\xff{"])
def test_a_missing_or_damaged_file_of_sums_is_named(tmp_path, name, content):
    save_sums(tmp_path, sums_of("ab"), language="es")
    Path(tmp_path, name).unlink() if content is None else Path(tmp_path, name).write_bytes(content)
    with pytest.raises(ArtifactError, match=re.escape(f"{name}: cannot be read")):
        merge_sums([tmp_path])


def test_anchors_are_no_sums(folder):
    with pytest.raises(ArtifactError, match=r"settings.json: cannot be read \(KeyError: 'share'\)"):
        merge_sums([folder])


@pytest.mark.parametrize("name", TENSORS)
def test_sums_that_do_not_fit_their_words_or_are_not_finite_are_refused(tmp_path, name):
    save_sums(tmp_path, sums_of("ab"), language="es")
    path = tmp_path / "sums.safetensors"
    tensors = load_file(path)
    save_file({**tensors, name: tensors[name][1:].contiguous()}, path)
    with pytest.raises(ArtifactError, match=r"do not fit 2 lines of words.txt"):
        load_sums(tmp_path)
    save_file({**tensors, name: tensors[name] * float("nan")}, path)
    with pytest.raises(ArtifactError, match=r"sums are not all finite"):
        load_sums(tmp_path)


def test_sums_of_a_word_with_a_line_break_are_not_written(tmp_path):
    with pytest.raises(OutputError, match=r"'\\n' contains a line break"):
        save_sums(tmp_path, sums_of("a\n"), language="es")

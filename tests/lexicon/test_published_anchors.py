"""Anchors travel in the published layout without loss, and folders that do not fit together are refused."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isogloss.errors import ArtifactError, OutputError, VectorsError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.published_anchors import read_published_anchors, write_published_anchors

WORDS = ("la", "a\u00a0b", "Häuser", "語", "La")


def layers_of(layers=(0, 1, 2), words=WORDS) -> list[Anchors]:
    generator = torch.Generator().manual_seed(1)
    return [
        Anchors(
            language="es",
            layer=layer,
            words=words,
            vectors=torch.randn(len(words), 3, generator=generator),
            counts=torch.tensor([900, 30, 7, 7, 1])[: len(words)],
            mean_norm=1 / 3 + abs(layer),
        )
        for layer in layers
    ]


def folder_of(tmp_path, norms: object, **files: str):
    for name, content in files.items():
        (tmp_path / f"avg_embeds_{name.removeprefix('layer_').replace('minus_', '-')}.txt").write_text(content)
    (tmp_path / "norms.json").write_text(norms if isinstance(norms, str) else json.dumps(norms))
    return tmp_path


@pytest.mark.parametrize("layers", [(0, 1, 2), (1,), (-4, -3, -2, -1)])
def test_anchors_come_back_as_they_were(tmp_path, layers):
    write_published_anchors(tmp_path / "new" / "es", layers_of(layers))
    again = read_published_anchors(tmp_path / "new" / "es", language="es")
    for saved, loaded in zip(layers_of(layers), again, strict=True):
        assert (saved.language, saved.layer, saved.words) == (loaded.language, loaded.layer, loaded.words)
        assert torch.equal(saved.vectors, loaded.vectors)
        assert torch.equal(saved.counts, loaded.counts)
        assert saved.mean_norm == loaded.mean_norm


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9), st.floats(0, 1e9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_number_comes_back_exactly(tmp_path, values, mean_norm):
    vectors = torch.tensor([values], dtype=torch.float32)
    saved = Anchors("es", 0, ("a",), vectors, torch.tensor([2**62]), mean_norm)
    write_published_anchors(tmp_path, [saved])
    (loaded,) = read_published_anchors(tmp_path, language="es")
    assert torch.equal(loaded.vectors.view(torch.int32), vectors.view(torch.int32))
    assert (loaded.mean_norm, loaded.counts.tolist()) == (mean_norm, [2**62])


def test_the_documented_bytes_are_written(tmp_path):
    vectors = torch.tensor([[0.5, -1], [2, 0.25]])
    write_published_anchors(tmp_path, [Anchors("es", 1, ("casa", "perro"), vectors, torch.tensor([3, 2]), 1.5)])
    assert (tmp_path / "avg_embeds_1.txt").read_bytes() == b"2 2\ncasa 0.5 -1\nperro 2 0.25\n"
    assert json.loads((tmp_path / "norms.json").read_text()) == {"avg_norm_layer_1": 1.5, "occurrences": [3, 2]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["avg_embeds_1.txt", "norms.json"]


def test_files_of_the_authors_keep_their_order_and_count_every_word_once(tmp_path):
    norms = {"avg_norm_layer_0": 2.5, "avg_norm_layer_1": 3}
    text = "3 2\n. 0.1 0.2\nz 0.30000000000000004 -1e-05\na 0.5 0.6\n"
    first, second = read_published_anchors(
        folder_of(tmp_path, norms, layer_0=text, layer_1=text.replace("0.1", "9")), language="en"
    )
    assert (first.words, first.counts.tolist(), first.language) == ((".", "z", "a"), [1, 1, 1], "en")
    assert (first.layer, second.layer, first.mean_norm, second.mean_norm) == (0, 1, 2.5, 3.0)
    assert torch.equal(first.vectors, torch.tensor([[0.1, 0.2], [0.3, -1e-5], [0.5, 0.6]]))
    assert second.vectors[0, 0] == 9


BERT = {"avg_norm_layer_-1": 15.5, "avg_norm_layer_-2": 14.5, "occurrences": [0, 5, 0, 7, 7, 0]}


def test_the_variant_of_bert_leaves_out_words_that_never_occurred(tmp_path):
    folder = folder_of(tmp_path, BERT, layer_minus_1="3 1\nx 1\nz 2\ny 3\n", layer_minus_2="3 1\nx 4\nz 5\ny 6\n")
    low, high = read_published_anchors(folder, language="en")
    assert (low.layer, high.layer, low.mean_norm, high.mean_norm) == (-2, -1, 14.5, 15.5)
    assert (high.words, high.counts.tolist()) == (("y", "z", "x"), [7, 7, 5])  # falling count, then code point
    assert (high.vectors.tolist(), low.vectors.tolist()) == ([[3], [2], [1]], [[6], [5], [4]])


@pytest.mark.parametrize("occurrences", [None, [1, 5, 3]])
def test_the_most_frequent_are_kept(tmp_path, occurrences):
    norms = {"avg_norm_layer_0": 1.0} | ({} if occurrences is None else {"occurrences": occurrences})
    folder = folder_of(tmp_path, norms, layer_0="3 1\nx 1\ny 2\nz 3\n")
    (anchors,) = read_published_anchors(folder, language="en", max_types=2)
    assert anchors.words == (("x", "y") if occurrences is None else ("y", "z"))


ONE = "2 1\nx 1\ny 2\n"


@pytest.mark.parametrize(
    ("norms", "message"),
    [
        ("{", r"norms.json: cannot be read \(JSONDecodeError"),
        ("[" * 100_000, r"norms.json: cannot be read \(RecursionError"),
        ([1], r"norms.json: has no mean norm of any layer"),
        ({"norm": 1}, r"norms.json: has no mean norm of any layer"),
        ({"avg_norm_layer_0": "1"}, r"norms.json, avg_norm_layer_0: found 1\."),
        ({"avg_norm_layer_0": True}, r"norms.json, avg_norm_layer_0: found True"),
        ('{"avg_norm_layer_0": NaN}', r"norms.json, avg_norm_layer_0: found nan"),
        ({"avg_norm_layer_0": -1}, r"norms.json, avg_norm_layer_0: found -1"),
        ({"avg_norm_layer_0": 1, "avg_norm_layer_1": 1}, r"holds avg_embeds_0.txt, but .* avg_embeds_1.txt"),
        ({"avg_norm_layer_1": 1}, r"holds avg_embeds_0.txt, but norms.json has the mean norms of avg_embeds_1.txt"),
        ({"avg_norm_layer_0": 1, "occurrences": 7}, r"occurrences: found something else than whole numbers"),
        ({"avg_norm_layer_0": 1, "occurrences": [1, 2.5]}, r"occurrences: found something else"),
        ({"avg_norm_layer_0": 1, "occurrences": [1, -1]}, r"occurrences: found something else"),
        ({"avg_norm_layer_0": 1, "occurrences": [1, 2**63]}, r"occurrences: found something else"),
        ({"avg_norm_layer_0": 1, "occurrences": [0, 1, 1, 1]}, r"4 numbers, of which 3 are not zero, do not fit 2"),
    ],
)
def test_norms_that_do_not_fit_are_refused(tmp_path, norms, message):
    with pytest.raises(ArtifactError, match=message):
        read_published_anchors(folder_of(tmp_path, norms, layer_0=ONE), language="en")


def test_missing_norms_are_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"norms.json: cannot be read \(FileNotFoundError"):
        read_published_anchors(tmp_path, language="en")


def test_layers_of_different_words_are_refused(tmp_path):
    norms = {"avg_norm_layer_0": 1, "avg_norm_layer_1": 1}
    folder = folder_of(tmp_path, norms, layer_0=ONE, layer_1="2 1\ny 1\nx 2\n")
    with pytest.raises(ArtifactError, match=r"avg_embeds_1.txt: its 2 words are not those of avg_embeds_0.txt"):
        read_published_anchors(folder, language="en")


def test_a_broken_line_is_named(tmp_path):
    folder = folder_of(tmp_path, {"avg_norm_layer_0": 1}, layer_0="2 1\nx 1\ny two\n")
    with pytest.raises(VectorsError, match=r"avg_embeds_0.txt:3: a field after the word 'y' is not a number"):
        read_published_anchors(folder, language="en")


def test_a_word_that_cannot_be_written_leaves_no_folder_that_looks_whole(tmp_path):
    write_published_anchors(tmp_path, layers_of())
    with pytest.raises(OutputError, match=r"the word 'New York' cannot be written"):
        write_published_anchors(tmp_path, layers_of(words=("la", "New York")))
    assert not (tmp_path / "norms.json").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file: the anchors cannot be written"):
        write_published_anchors(tmp_path / "file", layers_of())

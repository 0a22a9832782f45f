"""Alignments: what they do to vectors, chained, turned round, saved and loaded."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from isogloss.errors import AlignmentError, ArtifactError, OutputError
from isogloss.mapping.alignment import Alignment, load_alignment, save_alignment

QUARTER_TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)  # (1, 0) becomes (0, 1)


def rotation(generator: torch.Generator, width: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q


def some_alignment(
    seed: int,
    *,
    source: str = "gl",
    target: str = "es",
    width: int = 5,
    centred: bool = True,
    scaled: bool = True,
) -> Alignment:
    generator = torch.Generator().manual_seed(seed)
    scale, target_scale = torch.rand(2, generator=generator, dtype=torch.float64).add(0.5).tolist()
    centres = torch.randn(2, width, generator=generator, dtype=torch.float64)
    return Alignment(
        source=source,
        target=target,
        layer=1,
        matrix=rotation(generator, width),
        scale=scale,
        source_centre=centres[0] if centred else None,
        target_centre=centres[1] if centred else None,
        target_scale=target_scale if scaled else 1.0,
        method="procrustes",
        details={"usable_pairs": 17, "normalisation": "centre"},
    )


def vectors_of(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_worked_example():
    alignment = Alignment(
        "gl",
        "es",
        0,
        QUARTER_TURN,
        scale=2.0,
        source_centre=torch.tensor([1.0, 1.0], dtype=torch.float64),
        target_centre=torch.tensor([10.0, 0.0], dtype=torch.float64),
    )
    # (3, 1) − (1, 1) = (2, 0); turned (0, 2); doubled (0, 4); moved (10, 4).
    assert alignment.apply(torch.tensor([[3.0, 1.0]])).tolist() == [[10.0, 4.0]]


@given(st.integers(0, 1000), st.booleans())
@settings(deadline=None, max_examples=30)
def test_it_agrees_with_its_equation_word_by_word(seed, centred):
    alignment, vectors = some_alignment(seed, centred=centred), vectors_of(seed + 1, 3, 5)
    zero = torch.zeros(5, dtype=torch.float64)
    before = alignment.source_centre if centred else zero
    after = alignment.target_centre if centred else zero
    for vector, aligned in zip(vectors, alignment.apply(vectors), strict=True):
        expected = [
            after[column]
            + alignment.scale * sum((vector[row] - before[row]) * alignment.matrix[row, column] for row in range(5))
            for column in range(5)
        ]
        assert torch.allclose(aligned, torch.stack(expected), atol=1e-12)


@given(st.integers(0, 1000), st.booleans())
@settings(deadline=None, max_examples=30)
def test_distances_survive_up_to_the_scale(seed, centred):
    alignment, vectors = some_alignment(seed, centred=centred), vectors_of(seed + 1, 6, 5)
    aligned = alignment.apply(vectors)
    assert torch.allclose(torch.cdist(aligned, aligned), alignment.scale * torch.cdist(vectors, vectors), atol=1e-9)


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 5), (2, 0, 4, 5)])
def test_leading_axes_and_precision_stay(shape):
    aligned = some_alignment(1).apply(vectors_of(2, *shape).float())
    assert (aligned.shape, aligned.dtype) == (shape, torch.float32)


def test_its_argument_stays_untouched():
    vectors = vectors_of(1, 2, 5)
    some_alignment(1).apply(vectors)
    assert torch.equal(vectors, vectors_of(1, 2, 5))


@given(st.integers(0, 1000), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=30)
def test_there_and_back_is_where_it_began(seed, centred, scaled):
    alignment, vectors = some_alignment(seed, centred=centred, scaled=scaled), vectors_of(seed + 1, 4, 5)
    back = alignment.inverse()
    assert (back.source, back.target) == ("es", "gl")
    # `inverse` takes the target's own vectors, so the scale that makes them meet is taken back.
    assert torch.allclose(back.apply(alignment.apply(vectors) / alignment.target_scale), vectors, atol=1e-9)
    assert torch.allclose(alignment.then(back).apply(vectors), vectors, atol=1e-9)


@given(st.integers(0, 1000), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=30)
def test_chaining_is_one_after_the_other(seed, first_centred, second_centred):
    first = some_alignment(seed, target="pt", centred=first_centred)
    second = some_alignment(seed + 1, source="pt", centred=second_centred)
    vectors = vectors_of(seed + 2, 4, 5)
    both = first.then(second)
    one_by_one = second.apply(first.apply(vectors) / first.target_scale)
    assert torch.allclose(both.apply(vectors), one_by_one, atol=1e-9)
    assert (both.source, both.target, both.target_scale) == ("gl", "es", second.target_scale)
    assert both.orthogonality_gap < 1e-12


def test_chaining_is_associative():
    a, b = some_alignment(1, target="pt"), some_alignment(2, source="pt", target="it")
    c = some_alignment(3, source="it")
    vectors = vectors_of(4, 3, 5)
    assert torch.allclose(a.then(b).then(c).apply(vectors), a.then(b.then(c)).apply(vectors), atol=1e-9)


def test_alignments_that_do_not_meet_cannot_be_chained():
    with pytest.raises(AlignmentError, match=r"gl→pt, layer 1, width 5, cannot be followed by it→es, layer 1"):
        some_alignment(1, target="pt").then(some_alignment(2, source="it"))


def test_identity_changes_nothing_but_lengths():
    vectors = vectors_of(1, 3, 5)
    assert torch.equal(Alignment.identity("es", layer=0, width=5).apply(vectors), vectors)
    assert torch.allclose(Alignment.identity("es", layer=0, width=5, scale=0.5).apply(vectors), vectors / 2)


@pytest.mark.parametrize(("stretch", "gap"), [(1.0, 0.0), (2.0, 3.0)])
def test_orthogonality_gap_is_zero_for_rotations_only(stretch, gap):
    assert Alignment("gl", "es", 0, stretch * QUARTER_TURN).orthogonality_gap == pytest.approx(gap)


def test_a_matrix_that_loses_a_direction_has_no_inverse():
    with pytest.raises(AlignmentError, match=r"gl→es, layer 0: its matrix has no inverse"):
        Alignment("gl", "es", 0, torch.zeros(2, 2, dtype=torch.float64)).inverse()


@pytest.mark.parametrize("digits", [torch.float64, torch.float32])
def test_a_matrix_of_lower_rank_has_no_inverse_though_rounding_gives_it_one(digits):
    narrow = vectors_of(1, 8, 4) @ vectors_of(2, 4, 8)
    alignment = Alignment("gl", "es", 1, narrow.to(digits).double())
    assert torch.linalg.inv(alignment.matrix).abs().max() > 1e6
    with pytest.raises(
        AlignmentError,
        match=r"gl→es, layer 1: its matrix has no inverse, for a direction is shrunk to \de-\d+, the strongest to "
        r"\de\+\d\d. Only a map that loses no direction can be turned round",
    ):
        alignment.inverse()


def test_a_matrix_that_stretches_unevenly_has_an_inverse():
    stretch = torch.diag(torch.tensor([1e3, 1.0, 1e-3], dtype=torch.float64))
    back = Alignment("gl", "es", 1, stretch).inverse()
    assert torch.allclose(back.matrix @ stretch, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"matrix": QUARTER_TURN * float("nan")},
            r"gl→es, layer 1: matrix holds numbers that are not finite",
        ),
        (
            {"target_centre": torch.tensor([0, float("inf")]).double()},
            r"target_centre holds numbers that are not",
        ),
        ({"scale": 0.0}, r"scale is 0.0; a positive number"),
        ({"target_scale": float("inf")}, r"target_scale is inf"),
    ],
)
def test_impossible_values_are_refused(change, message):
    values = {"source": "gl", "target": "es", "layer": 1, "matrix": QUARTER_TURN} | change
    with pytest.raises(AlignmentError, match=message):
        Alignment(**values)


@pytest.mark.parametrize("centred", [True, False])
def test_saved_and_loaded_is_the_same(tmp_path, centred):
    saved = some_alignment(1, centred=centred)
    save_alignment(tmp_path / "layer-1", saved)
    loaded = load_alignment(tmp_path / "layer-1")
    for name in ("source", "target", "layer", "scale", "target_scale", "method", "details"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert torch.equal(loaded.matrix, saved.matrix)
    assert (loaded.source_centre is None) == (not centred)
    vectors = vectors_of(2, 3, 5)
    assert torch.equal(loaded.apply(vectors), saved.apply(vectors))
    save_alignment(tmp_path / "again", loaded)
    for path in (tmp_path / "layer-1").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["alignment.json", "alignment.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]"])
def test_a_missing_or_damaged_file_is_named(tmp_path, name, content):
    save_alignment(tmp_path, some_alignment(1))
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name}: cannot be read"):
        load_alignment(tmp_path)


def test_a_missing_fact_is_named(tmp_path):
    save_alignment(tmp_path, some_alignment(1))
    facts = json.loads((tmp_path / "alignment.json").read_text())
    del facts["scale"]
    (tmp_path / "alignment.json").write_text(json.dumps(facts))
    with pytest.raises(ArtifactError, match=r"alignment.json: cannot be read \(KeyError: 'scale'\)"):
        load_alignment(tmp_path)


def test_tensors_that_are_not_finite_are_refused(tmp_path):
    save_alignment(tmp_path, some_alignment(1))
    tensors = load_file(tmp_path / "alignment.safetensors")
    tensors["matrix"][0, 0] = float("nan")
    save_file(tensors, tmp_path / "alignment.safetensors")
    with pytest.raises(ArtifactError, match=r"alignment.safetensors: .*matrix holds numbers that are not finite"):
        load_alignment(tmp_path)


def test_a_matrix_that_is_missing_is_named(tmp_path):
    save_alignment(tmp_path, some_alignment(1))
    save_file({"other": torch.ones(1)}, tmp_path / "alignment.safetensors")
    with pytest.raises(ArtifactError, match=r"alignment.safetensors: .*It holds a square matrix"):
        load_alignment(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"the alignment cannot be written"):
        save_alignment(tmp_path / "file", some_alignment(1))


# Weightings


def weighted(seed: int, **words: str) -> Alignment:
    generator = torch.Generator().manual_seed(seed + 100)
    one, other = torch.randn(2, 5, 5, generator=generator, dtype=torch.float64)
    return dataclasses.replace(some_alignment(seed, **words), source_weighting=one, target_weighting=other)


def test_weightings_come_back_from_disk(tmp_path):
    saved = weighted(1)
    save_alignment(tmp_path / "one", saved)
    loaded = load_alignment(tmp_path / "one")
    assert torch.equal(loaded.source_weighting, saved.source_weighting)
    assert torch.equal(loaded.target_weighting, saved.target_weighting)
    save_alignment(tmp_path / "two", some_alignment(1))
    plain = load_alignment(tmp_path / "two")
    assert (plain.source_weighting, plain.target_weighting) == (None, None)


def test_the_way_back_swaps_the_weightings():
    there = weighted(1)
    back = there.inverse()
    assert torch.equal(back.source_weighting, there.target_weighting)
    assert torch.equal(back.target_weighting, there.source_weighting)


def test_weightings_do_not_change_the_map_and_are_lost_in_a_chain():
    vectors = vectors_of(2, 3, 5)
    assert torch.equal(weighted(1).apply(vectors), some_alignment(1).apply(vectors))
    both = weighted(1, target="pt").then(weighted(2, source="pt"))
    assert (both.source_weighting, both.target_weighting) == (None, None)


def test_a_weighting_that_is_not_finite_is_refused():
    with pytest.raises(AlignmentError, match=r"gl→es, layer 1: target_weighting holds numbers that are not finite"):
        Alignment("gl", "es", 1, QUARTER_TURN, target_weighting=QUARTER_TURN * float("nan"))


def test_told_as_changes_the_account_alone():
    before = weighted(1)
    after = before.told_as("self_learning", {"seeds": 3})
    assert (after.method, after.details) == ("self_learning", {"seeds": 3})
    assert (before.method, before.details["usable_pairs"]) == ("procrustes", 17)
    for field in dataclasses.fields(Alignment):
        if field.name not in ("method", "details"):
            assert getattr(after, field.name) is getattr(before, field.name)

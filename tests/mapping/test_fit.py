"""fit_alignment: the road named in the settings, from anchors and a dictionary."""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import AlignmentError, DictionaryError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.retrieval import translation_precision
from isogloss.mapping.settings import ProcrustesSettings


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


def anchors_of(vectors: torch.Tensor, *, language: str, layer: int = 1) -> Anchors:
    words = [f"{language}{row}" for row in range(len(vectors))]
    return Anchors.of_vectors(words, vectors, language=language, layer=layer)


def dictionary_of(pairs: int) -> BilingualDictionary:
    return BilingualDictionary("gl", "es", tuple((f"gl{row}", f"es{row}") for row in range(pairs)))


def languages_of(seed: int, *, types: int = 40, width: int = 8) -> tuple[Anchors, Anchors, torch.Tensor]:
    """Two languages of which the second is the first, turned."""
    source, planted = normal(seed, types, width), rotation(seed + 1, width)
    return anchors_of(source, language="gl"), anchors_of(source @ planted, language="es"), planted


@given(st.integers(0, 10_000), st.sampled_from(["none", "unit", "centre", "unit_centre_unit"]))
@settings(deadline=None, max_examples=40)
def test_a_planted_rotation_is_recovered(seed, normalisation):
    source, target, planted = languages_of(seed)
    alignment = fit_alignment(
        source,
        target,
        dictionary=dictionary_of(30),
        settings=ProcrustesSettings(normalisation=normalisation, scale="none"),
    )
    # Anchors are stored in float32, which leaves 1e-7 of noise in every number.
    assert torch.allclose(alignment.matrix, planted, atol=1e-6)
    assert torch.allclose(alignment.apply(source.vectors), target.vectors, atol=1e-4)
    assert alignment.orthogonality_gap < 1e-12


def test_a_shift_is_recovered_by_centring():
    source, planted = normal(1, 40, 8), rotation(2, 8)
    one, two = anchors_of(source + 3, language="gl"), anchors_of(source @ planted - 5, language="es")
    alignment = fit_alignment(
        one,
        two,
        dictionary=dictionary_of(30),
        settings=ProcrustesSettings(normalisation="centre", scale="none"),
    )
    assert torch.allclose(alignment.apply(one.vectors), two.vectors, atol=1e-4)


@pytest.mark.parametrize("normalisation", ["unit", "centre"])
def test_mean_norm_brings_both_sides_to_length_one(normalisation):
    source, target, _ = languages_of(1)
    larger = anchors_of(7 * source.vectors, language="gl")
    alignment = fit_alignment(
        larger, target, dictionary=dictionary_of(30), settings=ProcrustesSettings(normalisation=normalisation)
    )
    expected = target.vectors * alignment.target_scale
    assert float(torch.linalg.vector_norm(expected, dim=1).mean()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(alignment.apply(larger.vectors), expected, atol=1e-4)


def test_what_was_done_is_told():
    source, target, _ = languages_of(1)
    alignment = fit_alignment(source, target, dictionary=dictionary_of(50))
    assert (alignment.source, alignment.target, alignment.layer, alignment.method) == (
        "gl",
        "es",
        1,
        "procrustes",
    )
    assert alignment.details == {
        "normalisation": "unit",
        "scale": "mean_norm",
        "dictionary_pairs": 50,
        "usable_pairs": 40,
        "determined_directions": 8,
    }


def test_too_few_pairs_for_the_width_are_refused():
    source, target, _ = languages_of(1, width=16)
    with pytest.raises(
        AlignmentError,
        match=r"gl→es has 12 dictionary pairs; width 16 needs at least 16\. Add pairs, or use too_few_pairs",
    ):
        fit_alignment(source, target, dictionary=dictionary_of(12))


def test_too_few_pairs_can_be_completed(caplog):
    source, target, _ = languages_of(1, width=16)
    with caplog.at_level(logging.WARNING):
        alignment = fit_alignment(
            source,
            target,
            dictionary=dictionary_of(12),
            settings=ProcrustesSettings(too_few_pairs="complete", scale="none"),
        )
    assert "gl→es, layer 1: 12 pairs determine 12 of 16 directions" in caplog.text
    assert alignment.details["determined_directions"] == 12
    assert alignment.orthogonality_gap < 1e-12
    assert torch.allclose(alignment.apply(source.vectors[:12]), target.vectors[:12], atol=1e-4)


def test_nearly_no_pairs_are_refused_whatever_the_settings():
    source, target, _ = languages_of(1, types=9)
    with pytest.raises(
        AlignmentError,
        match=r"gl→es has 9 usable .*; at least 10 .* has 20 pairs; 9 of 20 source words and 9 of 20 target",
    ):
        fit_alignment(
            source,
            target,
            dictionary=dictionary_of(20),
            settings=ProcrustesSettings(too_few_pairs="complete"),
        )


def test_refinement_helps_where_pairs_are_few():
    source, planted = normal(1, 300, 20), rotation(2, 20)
    one = anchors_of(source, language="gl")
    two = anchors_of(source @ planted + 0.1 * normal(3, 300, 20), language="es")
    test_pairs = BilingualDictionary("gl", "es", tuple((f"gl{row}", f"es{row}") for row in range(100, 300)))

    def precision(refinements: int) -> float:
        settings = ProcrustesSettings(too_few_pairs="complete", refinements=refinements)
        alignment = fit_alignment(one, two, dictionary=dictionary_of(14), settings=settings)
        assert len(alignment.details.get("pairs_by_round", [])) == (refinements + 1 if refinements else 0)
        return translation_precision(alignment, one, two, test_pairs).precision(1)

    assert precision(5) > 0.95 > precision(0)


def test_layers_must_agree():
    vectors = normal(1, 20, 4)
    with pytest.raises(AlignmentError, match=r"gl→es: the anchors are of layers 1 and 2"):
        fit_alignment(
            anchors_of(vectors, language="gl"),
            anchors_of(vectors, language="es", layer=2),
            dictionary=dictionary_of(20),
        )


def test_widths_must_agree():
    with pytest.raises(AlignmentError, match=r"gl→es: the anchors are 4 and 5 wide"):
        fit_alignment(
            anchors_of(normal(1, 20, 4), language="gl"),
            anchors_of(normal(1, 20, 5), language="es"),
            dictionary=dictionary_of(20),
        )


def test_a_dictionary_the_wrong_way_round_is_named():
    source, target, _ = languages_of(1)
    with pytest.raises(DictionaryError, match=r"es→gl was given anchors of gl and es.*reversed\(\)"):
        fit_alignment(source, target, dictionary=dictionary_of(40).reversed())


def test_a_function_can_be_the_road():
    def lazy(source: Anchors, target: Anchors, dictionary: BilingualDictionary) -> Alignment:
        return Alignment.identity(target.language, layer=target.layer, width=target.width)

    source, target, _ = languages_of(1)
    assert fit_alignment(source, target, dictionary=dictionary_of(40), settings=lazy).method == "identity"

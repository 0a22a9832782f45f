"""fit_alignment: the road named in the settings, from anchors and a dictionary."""

import logging
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import AlignmentError, DictionaryError, NoAlignmentFound
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.one_space import in_one_space
from isogloss.mapping.retrieval import translation_precision
from isogloss.mapping.settings import (
    AdversarialSettings,
    ProcrustesSettings,
    RCSLSSettings,
    SelfLearningSettings,
)


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


@given(st.integers(0, 10_000), st.sampled_from(["none", "unit", "centre", "unit_centre_unit", "iterative"]))
@settings(deadline=None, max_examples=40)
def test_a_planted_rotation_is_recovered_and_keeps_distances(seed, normalisation):
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
    own = source.vectors.double()
    aligned = alignment.apply(own)
    kept, before = ((each[:, None] - each).norm(dim=2) for each in (aligned, own))
    assert torch.allclose(kept, before, atol=1e-9)


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
    source, target, planted = languages_of(1)
    alignment = fit_alignment(source, target, dictionary=dictionary_of(50))
    assert (alignment.source, alignment.target, alignment.layer, alignment.method) == (
        "gl",
        "es",
        1,
        "procrustes",
    )
    found = source.vectors.double() / source.vectors.double().norm(dim=1, keepdim=True)
    M = found.mT @ (found @ planted)
    assert alignment.details == {
        "normalisation": "unit",
        "scale": "mean_norm",
        "dictionary_pairs": 50,
        "usable_pairs": 40,
        "determined_directions": 8,
        # The planted rotation is the best, and brings M's trace to that of XᵀX, the number of words.
        "identity_share": round(float(M.trace()) / 40, 4),
        "prior": 0.0,
    }


def test_too_few_pairs_for_the_width_are_refused():
    source, target, _ = languages_of(1, width=16)
    with pytest.raises(
        AlignmentError,
        match=r"gl→es has 12 dictionary pairs; width 16 needs at least 16\. Add pairs, or let the other directions ",
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
        settings = ProcrustesSettings(too_few_pairs="complete", refinements=refinements, weighting=0.0)
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


# Roads


ROADS = {
    "procrustes": ProcrustesSettings(),
    "rcsls": RCSLSSettings(),
    "a dictionary": SelfLearningSettings(seed_pairs="dictionary"),
}


@pytest.mark.parametrize("road", ROADS)
def test_a_road_that_needs_a_dictionary_says_so(road):
    source, target, _ = languages_of(1)
    instead = r"a road without one: --method self-learning"
    if road == "a dictionary":  # it is self-learning already
        instead = r"seed pairs of another kind: --seed-pairs"
    with pytest.raises(
        AlignmentError,
        match=rf"^Alignment gl→es: .*{road} has no dictionary. It needs one. Give a dictionary \(--dictionary\), or "
        rf"choose {instead}\.$",
    ):
        fit_alignment(source, target, settings=ROADS[road])


@pytest.mark.parametrize("settings", [ProcrustesSettings(), RCSLSSettings()], ids=["procrustes", "rcsls"])
def test_a_dictionary_without_known_words_is_refused_by_every_road(settings):
    source, target, _ = languages_of(1)
    other = BilingualDictionary("gl", "es", tuple((f"x{row}", f"y{row}") for row in range(30)))
    with pytest.raises(AlignmentError, match=r"has 0 usable dictionary pairs; at least 10 .* has 30 pairs; 0 of 30 s"):
        fit_alignment(source, target, dictionary=other, settings=settings)


def test_rcsls_begins_with_the_rotation_and_leaves_it():
    source, target, planted = languages_of(1, types=200)
    one_step = RCSLSSettings(steps=1, scale="none", learning_rate=1e-9)
    alignment = fit_alignment(source, target, dictionary=dictionary_of(150), settings=one_step)
    assert torch.allclose(alignment.matrix, planted, atol=1e-6)
    more = RCSLSSettings(steps=10, scale="none")
    further = fit_alignment(source, target, dictionary=dictionary_of(150), settings=more)
    assert further.method == "rcsls"
    assert 0 <= further.details["steps"] <= 10
    held_out = BilingualDictionary("gl", "es", tuple((f"gl{row}", f"es{row}") for row in range(150, 200)))
    assert translation_precision(further, source, target, held_out).precision(1) > 0.9
    assert further.details["usable_pairs"] == 150
    again = fit_alignment(source, target, dictionary=dictionary_of(150), settings=more)
    assert torch.equal(again.matrix, further.matrix)


def test_the_round_that_held_out_pairs_choose_is_taken_with_all_pairs():
    source, planted = normal(1, 300, 20), rotation(2, 20)
    one = anchors_of(source, language="gl")
    two = anchors_of(source @ planted + 0.3 * normal(3, 300, 20), language="es")
    settings = ProcrustesSettings(refinements=4, selection="held_out", prior=0)
    alignment = fit_alignment(one, two, dictionary=dictionary_of(60), settings=settings)
    kept = alignment.details["kept_round"]
    shares = alignment.details["held_out_by_round"]
    assert len(shares) == 5
    assert shares[kept] == max(shares)
    assert shares.index(max(shares)) == kept
    assert len(alignment.details["pairs_by_round"]) == kept + 1
    assert alignment.details["pairs_by_round"][0] == 60, "the dictionary is whole again"
    assert all(round(6 * share, 9) in range(7) for share in shares), "a tenth of 60 words is held out"


def test_weights_serve_the_look_up_and_leave_the_map_alone():
    source, planted = normal(1, 300, 10), rotation(2, 10)
    spread = torch.linspace(0, 2, 10, dtype=torch.float64)
    one = anchors_of(source, language="gl")
    two = anchors_of((source + spread * normal(3, 300, 10)) @ planted, language="es")
    plain, weighted = (
        fit_alignment(one, two, dictionary=dictionary_of(150), settings=ProcrustesSettings(weighting=weighting))
        for weighting in (0.0, 1.0)
    )
    assert plain.source_weighting is None
    assert torch.equal(plain.matrix, weighted.matrix)
    assert torch.equal(plain.apply(one.vectors), weighted.apply(one.vectors))
    assert (weighted.details["weighting"], weighted.details["meeting"]) == (1.0, True)
    assert not {"weighting", "meeting"} & plain.details.keys()
    settings = ProcrustesSettings(weighting=1.0, meeting=False)
    apart = fit_alignment(one, two, dictionary=dictionary_of(150), settings=settings)
    assert not torch.equal(apart.source_weighting, weighted.source_weighting)
    assert torch.equal(apart.matrix, plain.matrix)
    by_default = fit_alignment(one, two, dictionary=dictionary_of(150))
    assert by_default.details["weighting"] == 0.5, "held-out pairs choose a weight where it helps"
    assert torch.equal(by_default.matrix, plain.matrix)
    test_pairs = BilingualDictionary("gl", "es", tuple((f"gl{row}", f"es{row}") for row in range(150, 300)))
    scores = [translation_precision(each, one, two, test_pairs).precision(1) for each in (plain, weighted)]
    assert scores[1] > scores[0] + 0.05
    assert in_one_space(weighted, one, two)[0].shape == (300, 10)


def clusters(seed: int, types: int = 600, width: int = 20) -> torch.Tensor:
    """A space with a shape, as that of words: clusters of different sizes and spreads, about the origin."""
    generator = torch.Generator().manual_seed(seed)
    sizes = 0.7 ** torch.arange(12, dtype=torch.float64)
    cluster = torch.multinomial(sizes, types, replacement=True, generator=generator)
    spread = torch.rand(12, width, generator=generator, dtype=torch.float64)
    return (2 * normal(seed + 1, 12, width))[cluster] + spread[cluster] * normal(seed + 2, types, width)


SEARCH = SelfLearningSettings(types=600, patience=1, shown=0.3, growth=3.0, agreement_types=600, scale="none")


def test_self_learning_finds_the_map_from_words_that_are_alike():
    source, planted = clusters(1), rotation(9, 20)
    one, two = anchors_of(source, language="gl"), anchors_of(source @ planted, language="es")
    names = tuple(f"name{row}" for row in range(40))
    one, two = (
        Anchors.of_vectors([*names, *each.words[40:]], each.vectors, language=each.language, layer=1)
        for each in (one, two)
    )
    alignment = fit_alignment(one, two, settings=SEARCH)
    assert torch.allclose(alignment.matrix, planted, atol=1e-6)
    assert alignment.method == "self_learning"
    assert alignment.details["seeds"] == 40
    assert alignment.details["usable_pairs"] == alignment.details["induced_pairs"] == 600
    assert (alignment.details["weighting"], alignment.details["meeting"]) == (0.3, True)
    sources, targets = in_one_space(alignment, one, two)
    assert torch.allclose(sources, targets, atol=1e-4), "exact pairs have met already"


def test_self_learning_finds_the_map_from_nothing():
    source, planted = clusters(1), rotation(9, 20)
    one, two = anchors_of(source, language="gl"), anchors_of(source @ planted, language="es")
    told = []
    settings = SEARCH.model_copy(update={"seed_pairs": "none"})
    alignment = fit_alignment(one, two, settings=settings, report=told.append)
    assert torch.allclose(alignment.matrix, planted, atol=1e-6)
    assert alignment.details["seeds"] == 0
    assert told[0]["round"] == 1
    assert torch.equal(fit_alignment(one, two, settings=settings).matrix, alignment.matrix)


def test_pairs_are_sought_in_the_guide_and_the_layer_is_aligned_from_them():
    guides = clusters(1), clusters(1) @ rotation(9, 20)
    guide = (anchors_of(guides[0], language="gl", layer=0), anchors_of(guides[1], language="es", layer=0))
    one, two, planted = languages_of(4, types=600)  # a ball of noise, in which nothing could be found
    settings = SEARCH.model_copy(update={"seed_pairs": "none"})
    alignment = fit_alignment(one, two, settings=settings, guide=guide)
    assert alignment.layer == 1
    assert torch.allclose(alignment.matrix, planted, atol=1e-6)


def test_unrelated_spaces_have_no_alignment_and_the_evidence_is_told():
    one = anchors_of(clusters(1, types=250), language="gl")
    two = anchors_of(clusters(51, types=250), language="es")
    with pytest.raises(NoAlignmentFound) as caught:
        fit_alignment(one, two, settings=SEARCH.model_copy(update={"seed_pairs": "none"}))
    assert caught.value.exit_status == 3
    found = re.fullmatch(
        r"Alignment gl→es, layer 1: 4 runs, two by two from halves that have nothing in common; the two that "
        r"agree best translate "
        r"(\d+) % of the 250 most frequent words alike; right maps agree on more than 30 %\. So there is no reason to "
        r"believe any of them\. Expected evidence for one alignment\. Give a dictionary, other seed pairs "
        r"\(align: --seed-pairs\), or anchors of a better model or of more text\.",
        str(caught.value),
    )
    assert found is not None, str(caught.value)
    assert int(found[1]) < 30


def test_an_adversarial_game_between_unrelated_spaces_comes_to_nothing():
    game = AdversarialSettings(
        epochs=1, epoch_words=640, discriminator_width=16, restarts=2, evidence_types=200, random_rotations=1
    )
    one = anchors_of(clusters(1, types=200), language="gl")
    two = anchors_of(clusters(51, types=200), language="es")
    with pytest.raises(NoAlignmentFound, match=r"gl→es, layer 1: No alignment was found.*--method self-learning"):
        fit_alignment(one, two, settings=game)

"""Symmetric weighting: rotations of each side where nothing is weighed, and shared directions above noise."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import AlignmentError
from isogloss.mapping import weighting
from isogloss.mapping.procrustes import folds_of
from isogloss.mapping.retrieval import nearest
from isogloss.mapping.weighting import EXPONENTS, held_out_weighting, symmetric_weighting


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


def power(matrix: torch.Tensor, exponent: float) -> torch.Tensor:
    """A power of a symmetric matrix, one direction after the other."""
    values, axes = torch.linalg.eigh(matrix)
    return sum(value**exponent * torch.outer(axis, axis) for value, axis in zip(values, axes.mT, strict=True))


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0.01, 2))
@settings(max_examples=30)
def test_it_agrees_with_whitening_weighing_and_dewhitening_step_by_step(seed, exponent, ridge):
    width = 5
    source = normal(seed, 30, width) * torch.linspace(0.3, 1, width)
    target = source @ rotation(seed + 1, width) + 0.5 * normal(seed + 2, 30, width)
    A, B = symmetric_weighting(source, target, exponent=exponent, ridge=ridge)
    moments = [vectors.mT @ vectors for vectors in (source, target)]
    moments = [each + ridge * each.trace() / width * torch.eye(width, dtype=torch.float64) for each in moments]
    white = [power(each, -0.5) for each in moments]
    # Correlations are the roots of the eigenvalues of K Kᵀ, on the source's side, and of Kᵀ K, on the target's.
    K = white[0] @ source.mT @ target @ white[1]
    # W Wᵀ does not depend on the signs of singular vectors.
    for found, own, gram in ((A, 0, K @ K.mT), (B, 1, K.mT @ K)):
        expected = white[own] @ power(gram, exponent / 2) @ power(moments[own], 0.5)
        assert torch.allclose(found @ found.mT, expected @ expected.mT, atol=1e-8)
    # And the two sides are turned to meet: aligned products agree whatever basis is chosen.
    U, _, Vh = torch.linalg.svd(K)
    left = white[0] @ power(K @ K.mT, exponent / 2) @ power(moments[0], 0.5)
    right = white[1] @ power(K.mT @ K, exponent / 2) @ power(moments[1], 0.5)
    assert torch.allclose(A @ B.mT, left @ (U @ Vh) @ right.mT, atol=1e-8)


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 20))
@settings(max_examples=30)
def test_exponent_zero_only_rotates_each_side(seed, width, pairs):
    source, target = normal(seed, pairs, width), normal(seed + 1, pairs, width)
    for turn in symmetric_weighting(source, target, exponent=0.0):
        assert torch.allclose(turn @ turn.mT, torch.eye(width, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0])
def test_a_planted_rotation_makes_both_sides_meet(exponent):
    source, planted = normal(1, 40, 6), rotation(2, 6)
    A, B = symmetric_weighting(source, source @ planted, exponent=exponent)
    assert torch.allclose(source @ A, source @ planted @ B, atol=1e-9)


def test_directions_that_correspond_weigh_more_than_noise():
    shared = normal(1, 400, 1)
    source = torch.cat([shared, normal(2, 400, 1)], dim=1)
    target = torch.cat([shared, normal(3, 400, 1)], dim=1)
    A, B = symmetric_weighting(source, target, exponent=1.0, ridge=1e-9)
    for side in (A, B):
        lengths = side.norm(dim=1)  # what becomes of a step along each direction
        assert lengths[0] == pytest.approx(1, abs=0.05)
        assert lengths[1] < 0.2  # a chance correlation of 400 pairs is about 1 / √400


def test_it_finds_translations_that_noise_hides():
    """Ten directions that the languages share, thirty in which each goes its own way."""
    shared = normal(1, 500, 10)
    source = torch.cat([shared, normal(2, 500, 30)], dim=1) @ rotation(4, 40)
    target = torch.cat([shared, normal(3, 500, 30)], dim=1) @ rotation(5, 40)

    def precision(exponent: float) -> float:
        A, B = symmetric_weighting(source[:300], target[:300], exponent=exponent)
        found, _ = nearest((source[300:] @ A).float(), (target @ B).float(), k=1, background=(source @ A).float())
        return float((found[:, 0] == torch.arange(300, 500)).double().mean())

    assert precision(1.0) > precision(0.3) > precision(0.0)
    assert precision(1.0) > 0.5


def test_the_ridge_lets_few_pairs_not_look_perfectly_correlated():
    source, target = normal(1, 5, 20), normal(2, 5, 20)  # five unrelated pairs
    sure, _ = symmetric_weighting(source, target, exponent=1.0, ridge=1e-9)
    careful, _ = symmetric_weighting(source, target, exponent=1.0)
    assert (source @ sure).norm() == pytest.approx(float(source.norm()), rel=1e-3)
    assert (source @ careful).norm() < 0.95 * source.norm()


def test_arguments_stay_untouched_and_float32_is_solved_in_float64():
    source, target = normal(1, 20, 4).float(), normal(2, 20, 4).float()
    before = source.clone()
    A, B = symmetric_weighting(source, target, exponent=0.3)
    assert (A.dtype, B.dtype) == (torch.float64, torch.float64)
    assert torch.equal(source, before)


def pairs_of(words: int) -> list[tuple[int, int]]:
    return [(row, row) for row in range(words)]


def with_noise_of_its_own(each: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten directions that two languages share, and thirty in which each goes its own way, if asked to."""
    shared = normal(1, 500, 10)
    return tuple(
        torch.cat([shared + 0.1 * normal(seed, 500, 10), each * normal(seed + 1, 500, 30)], dim=1)
        @ rotation(seed + 2, 40)
        for seed in (2, 5)
    )


def test_held_out_pairs_choose_a_weight_where_directions_differ():
    source, target = with_noise_of_its_own(1)
    folds = torch.arange(500) % 5
    assert held_out_weighting(source, target, pairs_of(500), folds=folds) == max(EXPONENTS)


@pytest.mark.parametrize("seed", range(5))
def test_held_out_pairs_choose_none_where_noise_is_a_like_share_of_every_direction(seed):
    deviations = torch.arange(1, 21, dtype=torch.float64).pow(-0.5)
    meanings = normal(seed, 400, 20)
    source = (meanings + 0.5 * normal(seed + 10, 400, 20)) * deviations
    target = (meanings + 0.5 * normal(seed + 20, 400, 20)) * deviations @ rotation(2, 20)
    assert held_out_weighting(source, target, pairs_of(400), folds=torch.arange(400) % 5) == 0.0


def test_where_vectors_are_zero_nothing_is_chosen_and_no_weight_is_found():
    source, target = with_noise_of_its_own(1)
    folds = torch.arange(500) % 5
    assert held_out_weighting(0 * source, target, pairs_of(500), folds=folds) == 0.0
    assert held_out_weighting(source, 0 * target, pairs_of(500), folds=folds) == 0.0
    with pytest.raises(
        AlignmentError, match=r"^Weighting: the vectors of all 500 pairs are zero on one side\. Expected"
    ):
        symmetric_weighting(source, 0 * target, exponent=0.3)


def test_too_few_pairs_to_hold_any_out_choose_none():
    source, target = with_noise_of_its_own(1)
    assert held_out_weighting(source, target, pairs_of(9), folds=torch.arange(9) % 5) == 0.0


def test_translations_of_one_word_all_count_as_right(monkeypatch):
    """Without weight a word finds the first of its two translations, with weight the second: neither is better."""
    words, calls = 100, itertools.count()

    def found(queries, targets, *, k):
        fold, exponent = divmod(next(calls), len(EXPONENTS))
        of_fold = torch.arange(fold % 5, words, 5)
        return (of_fold + (words if exponent else 0))[:, None], None

    monkeypatch.setattr(weighting, "nearest", found)
    source, target = normal(1, words, 4), normal(2, 2 * words, 4)
    both = [(row, column) for row in range(words) for column in (row, row + words)]
    assert held_out_weighting(source, target, both, folds=torch.arange(2 * words) // 2 % 5) == 0.0
    second = [(row, row + words) for row in range(words)]
    assert held_out_weighting(source, target, second, folds=torch.arange(words) % 5) == EXPONENTS[1], "the weakest"
    assert next(calls) == 2 * 5 * len(EXPONENTS)


def test_the_seed_decides_which_pairs_are_held_out_and_a_word_keeps_its_translations():
    rows = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 7])
    folds = [folds_of(rows, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(folds[0], folds[1])
    assert not torch.equal(folds[0], folds[2])
    assert all(each[0] == each[1] and len(each[8:].unique()) == 1 for each in folds)
    assert all(sorted(each.unique().tolist()) == [0, 1, 2, 3, 4] for each in folds)


@given(st.integers(0, 10_000), st.floats(0, 1))
@settings(max_examples=30)
def test_the_sides_meet_as_ridge_regression_towards_their_mean_would_have_it(seed, exponent):
    width = 5
    source = normal(seed, 30, width) * torch.linspace(0.3, 1, width)
    target = source @ rotation(seed + 1, width) + 0.5 * normal(seed + 2, 30, width)
    apart = symmetric_weighting(source, target, exponent=exponent)
    together = symmetric_weighting(source, target, exponent=exponent, meeting=True)
    P, Q = source @ apart[0], target @ apart[1]
    for before, after, own in zip(apart, together, (P, Q), strict=True):
        held = (own.square().sum() / width).sqrt() * torch.eye(width, dtype=torch.float64)
        rows, wanted = torch.cat([own, held]), torch.cat([(P + Q) / 2, held])
        assert torch.allclose(after, before @ torch.linalg.lstsq(rows, wanted).solution, atol=1e-8)


def test_sides_that_agree_already_have_nowhere_to_meet():
    source, planted = normal(1, 40, 6), rotation(2, 6)
    A, B = symmetric_weighting(source, source @ planted, exponent=0.3, meeting=True)
    for found, before in zip((A, B), symmetric_weighting(source, source @ planted, exponent=0.3), strict=True):
        assert torch.allclose(found, before, atol=1e-9)


def precision_at_1(
    A: torch.Tensor, B: torch.Tensor, source: torch.Tensor, target: torch.Tensor, tested: range
) -> float:
    queries = (source @ A).float()
    found, _ = nearest(queries[list(tested)], (target @ B).float(), k=1, background=queries)
    return float((found[:, 0] == torch.tensor(tested)).double().mean())


def test_meeting_finds_more_where_what_only_one_language_has_differs_between_directions():
    source, target = with_noise_of_its_own(1)
    tested = range(200, 500)
    found = [
        precision_at_1(
            *symmetric_weighting(source[:200], target[:200], exponent=0.15, meeting=meeting), source, target, tested
        )
        for meeting in (False, True)
    ]
    assert found[1] > found[0] + 0.05


def test_the_prior_helps_where_few_noisy_pairs_stand_beside_spaces_that_began_as_one():
    width, tested = 40, range(60, 500)
    shared = normal(1, 500, width)
    source, target = (shared + 0.7 * normal(seed, 500, width) for seed in (2, 3))
    alone, with_prior = (
        symmetric_weighting(source[:60], target[:60], exponent=0.3, prior_pairs=prior) for prior in (0.0, 60.0)
    )
    gain = precision_at_1(*with_prior, source, target, tested) - precision_at_1(*alone, source, target, tested)
    assert gain > 0.05


@pytest.mark.parametrize("meeting", [False, True])
def test_held_out_pairs_judge_weights_with_the_sides_where_they_will_be(meeting, monkeypatch):
    met, calls = weighting._met, []
    monkeypatch.setattr(weighting, "_met", lambda *given: calls.append(len(given[0])) or met(*given))
    source, target = with_noise_of_its_own(1)
    held_out_weighting(source, target, pairs_of(500), folds=torch.arange(500) % 5, meeting=meeting)
    assert calls == [400] * 5 * (len(EXPONENTS) - 1) * meeting, "not for the exponent 0, and from the other folds alone"


@pytest.mark.parametrize("meeting", [False, True])
def test_a_pair_that_counts_twice_is_a_pair_that_stands_there_twice(meeting):
    source, target = normal(1, 40, 6), normal(2, 40, 6)
    counts = torch.ones(40, dtype=torch.float64)
    counts[:7] = 2.0
    twice = torch.cat([torch.arange(7), torch.arange(40)])
    asked = {"exponent": 0.3, "prior_pairs": 20.0, "meeting": meeting}
    found = symmetric_weighting(source, target, counts=counts, **asked)
    expected = symmetric_weighting(source[twice], target[twice], **asked)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours @ ours.mT, theirs @ theirs.mT, atol=1e-10)
    assert torch.allclose(found[0] @ found[1].mT, expected[0] @ expected[1].mT, atol=1e-10)

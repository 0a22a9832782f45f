"""Procrustes: the rotation is found, completed where pairs are few, and refined."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import AlignmentError
from isogloss.mapping.procrustes import (
    BEGAN_AS_ONE,
    PRIOR,
    PRIORS,
    completed_procrustes,
    held_out_prior,
    prior_weight,
    procrustes,
    refine,
)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


def is_orthogonal(matrix: torch.Tensor) -> bool:
    return torch.allclose(matrix @ matrix.mT, torch.eye(len(matrix), dtype=matrix.dtype), atol=1e-10)


def test_a_quarter_turn_worked_by_hand():
    source = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    target = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert procrustes(source, target).tolist() == [pytest.approx([0, 1]), pytest.approx([-1, 0])]


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(0, 20))
@settings(deadline=None, max_examples=50)
def test_a_planted_rotation_is_recovered(seed, width, more):
    source, planted = normal(seed, width + more, width), rotation(seed + 1, width)
    # A square random matrix can be close to singular; then XᵀX loses twice the digits.
    if torch.linalg.cond(source) < 1e4:
        assert torch.allclose(procrustes(source, source @ planted), planted, atol=1e-6)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=12)
def test_it_agrees_with_trying_all_angles(seed):
    source, target = normal(seed, 4, 2), normal(seed + 1, 4, 2)
    candidates = []
    for step in range(3600):
        cos, sin = math.cos(step * math.pi / 1800), math.sin(step * math.pi / 1800)
        candidates += [[[cos, sin], [-sin, cos]], [[cos, sin], [sin, -cos]]]  # a rotation, a reflection
    tried = torch.tensor(candidates, dtype=torch.float64)
    losses = (source @ tried - target).square().sum(dim=(1, 2))
    loss = (source @ procrustes(source, target) - target).square().sum()
    assert loss <= losses.min() + 1e-12
    assert losses.min() - loss < 1e-4 * (1 + source.norm() * target.norm())  # the grid is a tenth of a degree wide


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 16))
@settings(deadline=None, max_examples=50)
def test_the_result_is_orthogonal_whatever_the_pairs(seed, width, pairs):
    matrix, rank = completed_procrustes(normal(seed, pairs, width), normal(seed + 1, pairs, width))
    assert is_orthogonal(matrix)
    assert rank == min(pairs, width)


def test_fewer_pairs_than_dimensions_are_refused():
    with pytest.raises(AlignmentError, match=r"has 3 pairs; width 5 needs at least 5"):
        procrustes(normal(1, 3, 5), normal(2, 3, 5))


@pytest.mark.parametrize("side", ["source", "target"])
def test_numbers_that_are_not_finite_are_refused(side):
    rows = {"source": normal(1, 5, 3), "target": normal(2, 5, 3)}
    rows[side][4, 1] = float("nan")
    with pytest.raises(AlignmentError, match=rf"pair 4: the {side} vector is not finite"):
        procrustes(**rows)


def test_few_pairs_fit_exactly_and_leave_the_rest_alone():
    # One pair says that the first axis becomes the second. Turning it there and the second back to the first
    # changes least; the third stays.
    matrix, rank = completed_procrustes(torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 1.0, 0]]))
    assert rank == 1
    assert torch.allclose(matrix[0], torch.tensor([0.0, 1, 0]).double())
    assert torch.allclose(matrix[2].abs(), torch.tensor([0.0, 0, 1]).double())


@given(st.integers(0, 10_000), st.integers(2, 8))
@settings(deadline=None, max_examples=30)
def test_of_all_solutions_the_completed_one_is_nearest_to_the_identity(seed, width):
    pairs = 1 + seed % (width - 1)
    source, target = normal(seed, pairs, width), normal(seed + 1, pairs, width)
    matrix, _ = completed_procrustes(source, target)
    loss = (source @ matrix - target).square().sum()
    # Another solution: turn freely in what the target's pairs leave open.
    open_axes = torch.linalg.qr(target.mT, mode="complete").Q[:, pairs:]  # width free
    turn = rotation(seed + 2, width - pairs)
    projector = torch.eye(width, dtype=torch.float64) - open_axes @ open_axes.mT
    other = matrix @ (projector + open_axes @ turn @ open_axes.mT)
    assert is_orthogonal(other)
    assert torch.allclose((source @ other - target).square().sum(), loss, atol=1e-8)
    unit = torch.eye(width, dtype=torch.float64)
    assert (matrix - unit).norm() <= (other - unit).norm() + 1e-9


def test_repeated_pairs_count_once_for_the_rank():
    source, target = normal(1, 2, 4), normal(2, 2, 4)
    _, rank = completed_procrustes(source.repeat(5, 1), target.repeat(5, 1))
    assert rank == 2


def test_no_determined_direction_gives_the_identity():
    matrix, rank = completed_procrustes(torch.zeros(3, 4), torch.zeros(3, 4))
    assert rank == 0
    assert torch.allclose(matrix, torch.eye(4, dtype=torch.float64))


def test_refinement_mends_a_rotation_found_from_few_pairs():
    width, types = 12, 150
    source, planted = normal(1, types, width), rotation(2, width)
    target = source @ planted + 0.05 * normal(3, types, width)
    pairs = [(row, row) for row in range(10)]
    first, _ = completed_procrustes(source[:10], target[:10])
    refinement = refine(source, target, matrix=first, pairs=pairs, rounds=4, neighbourhood=5)
    assert (first - planted).norm() > 0.5
    assert (refinement.matrix - planted).norm() < 0.1
    assert refinement.pairs_by_round[0] == 10
    assert refinement.pairs_by_round[-1] == types
    assert refinement.closeness_by_round[refinement.kept_round] == max(refinement.closeness_by_round)


def test_refinement_keeps_the_dictionary_and_the_first_round_if_it_is_best():
    source = normal(1, 40, 4)
    refinement = refine(
        source, source, matrix=torch.eye(4, dtype=torch.float64), pairs=[(0, 1), (1, 0)], rounds=2, types=3
    )
    assert refinement.kept_round == 0
    assert torch.equal(refinement.matrix, torch.eye(4, dtype=torch.float64))
    assert refinement.pairs_by_round == (2, 5, 5)


def test_held_out_pairs_choose_the_round_and_the_last_is_kept_beside_it():
    width, types = 12, 150
    source, planted = normal(1, types, width), rotation(2, width)
    target = source @ planted + 0.3 * normal(3, types, width)
    first, _ = completed_procrustes(source[:10], target[:10])
    pairs, held_out = [(row, row) for row in range(10)], [(row, row) for row in range(100, 150)]
    found = refine(source, target, matrix=first, pairs=pairs, rounds=4, neighbourhood=5, held_out=held_out)
    shares = found.held_out_by_round
    assert len(shares) == 5
    assert found.kept_round == shares.index(max(shares)), "the first of the best"
    assert shares[found.kept_round] > shares[0]
    kept, last = (
        refine(source, target, matrix=first, pairs=pairs, rounds=rounds, neighbourhood=5)
        for rounds in (found.kept_round, 4)
    )
    assert torch.equal(found.matrix, kept.last_matrix)
    assert torch.equal(found.pairs, kept.last_pairs)
    assert torch.equal(found.last_matrix, last.last_matrix)
    assert torch.equal(found.last_pairs, last.last_pairs)
    assert found.closeness_by_round == last.closeness_by_round
    assert last.held_out_by_round == ()
    assert torch.equal(found.last_matrix, completed_procrustes(source[found.last_pairs[:, 0]],
                                                               target[found.last_pairs[:, 1]])[0])  # fmt: skip


def test_any_translation_of_a_held_out_word_is_right():
    source = torch.eye(3, dtype=torch.float64)
    held_out = [(0, 1), (0, 0), (1, 0), (2, 2)]  # the first word has two translations, the second a wrong one
    found = refine(source, source, matrix=source, pairs=[], rounds=0, neighbourhood=2, held_out=held_out)
    assert found.held_out_by_round == (2 / 3,)


# The prior


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 12), st.floats(0.01, 5))
@settings(deadline=None, max_examples=30)
def test_a_prior_adds_the_identity_to_the_pairs(seed, width, pairs, prior):
    source, target = normal(seed, pairs, width), normal(seed + 1, pairs, width)
    M = sum(torch.outer(x, y) for x, y in zip(source, target, strict=True))
    strength = prior * float(M.square().sum()) ** 0.5 / width**0.5
    # The nearest rotation, by the polar decomposition A (Aᵀ A)^−½.
    A = M + strength * torch.eye(width, dtype=torch.float64)
    values, axes = torch.linalg.eigh(A.mT @ A)
    matrix, rank = completed_procrustes(source, target, prior=prior)
    assert is_orthogonal(matrix)
    assert rank == min(pairs, width), "what the pairs determine does not depend on the prior"
    if values[0] > 1e-6 * values[-1]:  # else the inverse root has lost its digits
        assert torch.allclose(matrix, A @ (axes / values.sqrt()) @ axes.mT, atol=1e-6)


def test_a_large_prior_gives_the_identity_and_a_small_one_the_rotation():
    source, planted = normal(1, 30, 6), rotation(2, 6)
    unit = torch.eye(6, dtype=torch.float64)
    nearly_one, _ = completed_procrustes(source, source @ planted, prior=1e9)
    nearly_none, _ = completed_procrustes(source, source @ planted, prior=1e-9)
    assert torch.allclose(nearly_one, unit, atol=1e-8)
    assert torch.allclose(nearly_none, planted, atol=1e-6)
    gaps = [
        float((completed_procrustes(source, source @ planted, prior=prior)[0] - unit).norm()) for prior in (0.1, 9.0)
    ]
    assert 0.01 < gaps[1] < gaps[0]


def test_auto_sees_no_prior_between_unrelated_spaces():
    source, target = normal(1, 200, 30), normal(2, 200, 30)
    automatic, plain = (completed_procrustes(source, target, prior=prior)[0] for prior in ("auto", 0.0))
    assert torch.equal(automatic, plain)


def test_auto_weighs_the_identity_by_what_no_rotation_explains():
    source = normal(1, 200, 30)
    target = source + normal(2, 200, 30)
    values = torch.linalg.svdvals(source.mT @ target)
    unexplained = 1 - float(values.sum() / (source.norm() * target.norm()))
    automatic, told, plain = (
        completed_procrustes(source, target, prior=prior)[0] for prior in ("auto", PRIOR * unexplained, 0.0)
    )
    assert torch.allclose(automatic, told, atol=1e-12)
    assert not torch.allclose(automatic, plain, atol=1e-3)


def test_exact_pairs_leave_the_prior_no_weight_however_near_the_identity():
    source, turn = normal(1, 500, 32), torch.linalg.matrix_exp(0.1 * (normal(3, 32, 32) - normal(3, 32, 32).mT))
    found, _ = completed_procrustes(source, source @ turn, prior="auto")
    assert float(turn.trace()) / 32 > BEGAN_AS_ONE, "the two spaces count as one"
    assert torch.allclose(found, turn, atol=1e-6)


@pytest.mark.parametrize(("share", "taken"), [(BEGAN_AS_ONE - 0.01, False), (BEGAN_AS_ONE + 0.01, True)])
def test_auto_asks_that_the_identity_serves_the_pairs(share, taken):
    # Turned by an angle in every plane, the identity reaches the cosine of it.
    sine = math.sqrt(1 - share**2)
    M = torch.block_diag(*[torch.tensor([[share, sine], [-sine, share]], dtype=torch.float64)] * 20)
    assert (prior_weight(M, torch.linalg.svdvals(M), norms=80.0) > 0) == taken


def test_in_few_dimensions_chance_is_not_taken_for_a_common_start():
    M = torch.eye(4, dtype=torch.float64)
    assert prior_weight(M, torch.linalg.svdvals(M), norms=8.0) == 0


def unit_rows(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def near_pairs(*, pairs, width, noise, turn=0.02, seed=1):
    """Two spaces that began as one: the second a little turned, and every pair noisy."""
    skew = normal(seed + 7, width, width)
    source = normal(seed, pairs, width)
    target = source @ torch.linalg.matrix_exp(turn * (skew - skew.mT)) + noise * normal(seed + 1, pairs, width)
    return unit_rows(source), unit_rows(target), torch.arange(pairs) % 5


@given(st.integers(0, 10_000), st.integers(20, 60), st.floats(0.1, 2))
@settings(deadline=None, max_examples=10)
def test_the_prior_is_the_strongest_within_one_standard_error_on_held_out_pairs(seed, pairs, noise):
    source, target, folds = near_pairs(pairs=pairs, width=6, noise=noise, seed=seed)
    M = source.mT @ target
    if float(M.trace()) <= 4 / 6 * float(torch.linalg.svdvals(M).sum()):
        assert held_out_prior(source, target, folds=folds) == 0
        return
    cosines = {
        weight: [
            float(source[pair] @ completed_procrustes(source[rest], target[rest], prior=weight)[0] @ target[pair])
            for pair in range(pairs)
            for rest in [folds != folds[pair]]
        ]
        for weight in PRIORS
    }
    mean = {weight: sum(values) / pairs for weight, values in cosines.items()}
    best = max(mean, key=mean.__getitem__)
    spread = sum((value - mean[best]) ** 2 for value in cosines[best]) / (pairs - 1)
    wanted = max(weight for weight in PRIORS if mean[weight] >= mean[best] - (spread / pairs) ** 0.5)
    assert held_out_prior(source, target, folds=folds) == wanted


def test_the_fewer_the_pairs_the_stronger_the_held_out_prior():
    few, many = (
        held_out_prior(source, target, folds=folds)
        for source, target, folds in (near_pairs(pairs=pairs, width=32, noise=1.0) for pairs in (60, 6000))
    )
    assert many < few


def test_held_out_pairs_that_fit_exactly_ask_for_no_prior():
    source, target, folds = near_pairs(pairs=500, width=32, noise=0.0)
    assert held_out_prior(source, target, folds=folds) == 0


def test_spaces_that_never_met_have_no_held_out_prior():
    assert (
        held_out_prior(unit_rows(normal(1, 300, 32)), unit_rows(normal(2, 300, 32)), folds=torch.arange(300) % 5) == 0
    )


def test_where_nothing_can_be_held_out_the_identity_weighs_as_much_as_the_pairs():
    source, target, folds = near_pairs(pairs=4, width=32, noise=0.1)
    assert held_out_prior(source, target, folds=folds) == 1.0


def test_refinement_solves_with_the_prior():
    source = normal(1, 40, 4)
    found = refine(source, source @ rotation(2, 4), matrix=rotation(2, 4), pairs=[], rounds=1, prior=1e9)
    assert torch.allclose(found.last_matrix, torch.eye(4, dtype=torch.float64), atol=1e-8)

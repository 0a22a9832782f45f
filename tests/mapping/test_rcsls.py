"""RCSLS: the loss and its gradient against plain loops and autograd, and a descent that held-out pairs end."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from isogloss.compute.interruption import stop_requested
from isogloss.mapping.procrustes import completed_procrustes
from isogloss.mapping.rcsls import PATIENCE, _descent, _loss_and_slope, _translated, rcsls
from isogloss.mapping.settings import RCSLSSettings

TYPES, WIDTH = 200, 24


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)


def slow_neighbours(source, target, pairs, matrix, settings) -> list[tuple[list[int], list[int]]]:
    """For each pair the targets nearest to xW and the sources whose images are nearest to y, by sorting."""
    few_source, few_target = source[: settings.types], target[: settings.types]
    found = []
    for row, column in pairs:
        to_x = unit(few_target) @ unit(source[row : row + 1] @ matrix)[0]
        to_y = unit(few_source @ matrix) @ unit(target[column : column + 1])[0]
        found.append(
            tuple(
                sorted(range(len(near)), key=lambda place, near=near: -near[place])[: settings.neighbourhood]
                for near in (to_x, to_y)
            )
        )
    return found


def slow_loss(source, target, pairs, matrix, neighbours) -> torch.Tensor:
    """The loss of Joulin et al. (2018), pair by pair and neighbour by neighbour."""
    total = torch.zeros((), dtype=torch.float64)
    for (row, column), (near_x, near_y) in zip(pairs, neighbours, strict=True):
        mapped, y = source[row] @ matrix, target[column]
        total = total - 2 * mapped @ y
        total = total + sum(mapped @ target[z] for z in near_x) / len(near_x)
        total = total + sum((source[w] @ matrix) @ y for w in near_y) / len(near_y)
    return total / len(pairs)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(5, 30))
@hypothesis_settings(max_examples=20)
def test_loss_and_gradient_agree_with_plain_loops_and_autograd(seed, neighbourhood, types):
    source, target = unit(normal(seed, 20, 4)), unit(normal(seed + 1, 25, 4))
    settings = RCSLSSettings(neighbourhood=neighbourhood, types=types)
    pairs = [(row, (3 * row) % 25) for row in range(0, 20, 2)] + [(0, 7)]
    matrix = normal(seed + 2, 4, 4)
    neighbours = slow_neighbours(source, target, pairs, matrix, settings)
    variable = matrix.clone().requires_grad_()
    expected = slow_loss(source, target, pairs, variable, neighbours)
    (gradient,) = torch.autograd.grad(expected, [variable])
    # Crowds are found among vectors of float32, so their coordinates carry 1e-7.
    loss, slope = _loss_and_slope(source, target, pairs, matrix, settings)
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    assert torch.allclose(slope, gradient, atol=1e-6)


def test_the_gradient_is_the_slope_of_the_loss_where_neighbours_stay():
    source, target = unit(normal(1, 30, 4)), unit(normal(2, 30, 4))
    settings, pairs = RCSLSSettings(neighbourhood=3), [(row, row) for row in range(30)]
    matrix, step = rotation(3, 4), 1e-6
    loss, slope = _loss_and_slope(source, target, pairs, matrix, settings)
    for row in range(4):
        for column in range(4):
            moved = matrix.clone()
            moved[row, column] += step
            assert slow_neighbours(source, target, pairs, moved, settings) == slow_neighbours(
                source, target, pairs, matrix, settings
            )
            difference = (_loss_and_slope(source, target, pairs, moved, settings)[0] - loss) / step
            assert difference == pytest.approx(float(slope[row, column]), abs=1e-6)


def test_a_pair_worked_by_hand():
    # One neighbour, W = 1: x = (1, 0) is nearest to z = (0.8, 0.6), y = (0, 1) to w = (0.6, 0.8).
    source = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    target = torch.tensor([[0.0, 1.0], [0.8, 0.6]], dtype=torch.float64)
    loss, slope = _loss_and_slope(
        source, target, [(0, 0)], torch.eye(2, dtype=torch.float64), RCSLSSettings(neighbourhood=1)
    )
    assert loss == pytest.approx(-2 * 0 + 0.8 + 0.8, abs=1e-6)
    # xᵀ(z − 2y) + wᵀy
    assert slope.tolist() == [pytest.approx([0.8, 0.6 - 2 + 0.6], abs=1e-6), pytest.approx([0, 0.8], abs=1e-6)]


def test_the_descent_begins_with_the_rotation_and_takes_steps_along_the_gradient():
    source, target = unit(normal(1, 60, 6)), unit(normal(2, 60, 6))
    settings, pairs = RCSLSSettings(neighbourhood=3, learning_rate=0.5), [(row, row) for row in range(40)]
    steps = _descent(source, target, pairs, settings)
    first, second = next(steps), next(steps)
    assert torch.equal(first, completed_procrustes(source[:40], target[:40])[0])
    assert torch.equal(second, first - 0.5 * _loss_and_slope(source, target, pairs, first, settings)[1])


def test_the_step_is_halved_when_the_loss_rises(monkeypatch):
    source, target = unit(normal(1, 30, 4)), unit(normal(2, 30, 4))
    losses, slope = iter([1.0, 0.5, 0.7, 0.6, 0.9]), torch.ones(4, 4, dtype=torch.float64)
    monkeypatch.setattr("isogloss.mapping.rcsls._loss_and_slope", lambda *given: (next(losses), slope))
    steps = _descent(source, target, [(row, row) for row in range(30)], RCSLSSettings(learning_rate=8.0))
    matrices = [next(steps) for _ in range(6)]
    taken = [float((one - other)[0, 0]) for one, other in itertools.pairwise(matrices)]
    assert taken == pytest.approx([8, 8, 4, 4, 2])


def unlike(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two languages that share eight directions; in sixteen others every word is anything."""
    meaning = normal(seed, TYPES, 8)

    def language(seed: int) -> torch.Tensor:
        return unit(torch.cat([meaning + 0.05 * normal(seed, TYPES, 8), 0.6 * normal(seed + 1, TYPES, WIDTH - 8)], 1))

    return language(seed + 4), language(seed + 8) @ rotation(seed + 1, WIDTH)


def fitted(seed: int = 1, **changes):
    source, target = unlike(seed)
    settings = RCSLSSettings(types=TYPES, neighbourhood=5, held_out=0.5).model_copy(update=changes)
    pairs = [(row, row) for row in range(120)]
    return rcsls(source, target, pairs=pairs, settings=settings, generator=np.random.default_rng(7))


def test_the_number_of_steps_is_the_first_with_which_most_held_out_words_find_a_translation():
    found = fitted()
    assert found.steps == found.held_out_precisions.index(max(found.held_out_precisions))
    assert found.steps > 0
    assert len(found.held_out_precisions) == found.steps + 1 + PATIENCE, "and no more are tried"
    source, target = unlike(1)
    descent = _descent(source, target, [(row, row) for row in range(120)], RCSLSSettings(types=TYPES, neighbourhood=5))
    matrix = next(itertools.islice(descent, found.steps, None))
    like_rotation = matrix * (len(matrix) ** 0.5 / torch.linalg.matrix_norm(matrix))
    assert torch.equal(found.matrix, like_rotation), "the last descent is on all pairs, and no longer than a rotation"


def test_held_out_words_are_translated_as_a_slow_search_does():
    source, target = unlike(1)
    settings = RCSLSSettings(types=150, neighbourhood=5)
    matrix, _ = completed_procrustes(source[:120], target[:120])
    pairs = [(row, column) for row in range(40) for column in (row, 160 + row)]
    places = list(range(150)) + list(range(160, 200))
    cosines = unit(source[:150] @ matrix) @ unit(target).mT
    crowding_of_targets = cosines.sort(dim=0, descending=True).values[:5].mean(dim=0)
    among = cosines[:40][:, places]
    scores = 2 * among - among.sort(dim=1, descending=True).values[:, :5].mean(dim=1, keepdim=True)
    best = (scores - crowding_of_targets[places]).argmax(dim=1).tolist()
    expected = [float((row, places[place]) in pairs) for row, place in enumerate(best)]
    assert 0 < sum(expected) < 40
    assert _translated(source, target, pairs, matrix, settings).tolist() == expected


def test_without_a_clear_gain_for_held_out_words_the_rotation_is_kept():
    # The second language is the first, turned: no linear map translates more than the rotation does.
    source = unit(normal(1, TYPES, WIDTH))
    target = unit(source @ rotation(2, WIDTH) + 0.2 * normal(3, TYPES, WIDTH))
    pairs = [(row, row) for row in range(120)]
    settings = RCSLSSettings(types=TYPES, neighbourhood=5, held_out=0.5)
    found = rcsls(source, target, pairs=pairs, settings=settings, generator=np.random.default_rng(7))
    assert found.steps == 0
    assert len(found.held_out_precisions) > 1, "others were tried"
    assert torch.allclose(found.matrix, completed_procrustes(source[:120], target[:120])[0])


def test_one_held_out_word_is_no_evidence(monkeypatch):
    hits = itertools.chain([0.0], itertools.repeat(1.0))
    monkeypatch.setattr(
        "isogloss.mapping.rcsls._translated", lambda *given: torch.tensor([next(hits)], dtype=torch.float64)
    )
    assert fitted(held_out=1e-9).steps == 0


def test_the_pairs_held_out_have_no_part_in_the_first_descent(monkeypatch):
    seen = []

    def watched(source, target, pairs, settings):
        seen.append(list(pairs))
        yield from _descent(source, target, pairs, settings)

    monkeypatch.setattr("isogloss.mapping.rcsls._descent", watched)
    source, target = unlike(1)
    pairs = [(row, column) for row in range(40) for column in (row, row + 1)]
    settings = RCSLSSettings(types=TYPES, held_out=0.25, steps=2)
    rcsls(source, target, pairs=pairs, settings=settings, generator=np.random.default_rng(7))
    kept, every = seen
    assert every == pairs
    assert len({row for row, _ in kept}) == 30, "a quarter of the words is aside"
    assert kept == [pair for pair in pairs if pair[0] in {row for row, _ in kept}], "with all their translations"


def test_no_more_steps_are_taken_than_allowed():
    found = fitted(steps=2)
    assert len(found.held_out_precisions) == 3
    assert found.steps <= 2


def test_the_same_generator_gives_the_same_bits():
    assert torch.equal(fitted(steps=5).matrix, fitted(steps=5).matrix)


def test_the_map_comes_to_fit_its_pairs_better_by_more_than_its_length():
    # The loss is linear in W where neighbours stay, so a longer W alone has a lower one. At the rotation's length:
    source, target = unlike(1)
    settings, pairs = RCSLSSettings(types=TYPES, neighbourhood=5), [(row, row) for row in range(120)]
    turned, _ = completed_procrustes(source[:120], target[:120])
    matrix = fitted().matrix
    matrix = matrix * turned.norm() / matrix.norm()
    before, after = (_loss_and_slope(source, target, pairs, each, settings)[0] for each in (turned, matrix))
    assert after < before - 0.01


def test_a_request_to_stop_is_heard():
    stop_requested.ask()
    try:
        with pytest.raises(KeyboardInterrupt):
            fitted()
    finally:
        stop_requested.clear()

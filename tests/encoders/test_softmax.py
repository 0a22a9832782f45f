"""The softmax over words: the exact loss by hand, and the sampled one as its estimate."""

import math

import pytest
import torch
from torch import Tensor

from isogloss.encoders.elmo.softmax import WordSoftmax


def make(*, types: int, samples: int, width: int = 3, seed: int = 0) -> WordSoftmax:
    torch.manual_seed(seed)
    layer = WordSoftmax(types=types, width=width, samples=samples).double()
    with torch.no_grad():
        layer.bias.normal_()
    return layer


def chance_per_draw(layer: WordSoftmax, rank: int) -> float:
    """The log-uniform distribution: P(rank) = log((rank + 2) / (rank + 1)) / log(types + 1)."""
    return math.log((rank + 2) / (rank + 1)) / math.log(layer.types + 1)


def chance_in_sample(layer: WordSoftmax, rank: int) -> float:
    return 1.0 - (1.0 - chance_per_draw(layer, rank)) ** layer.samples


def slow_loss(layer: WordSoftmax, states: Tensor, targets: Tensor, rivals: list[int]) -> Tensor:
    """The sampled loss, one place and one rival at a time."""

    def score(state: Tensor, word: int) -> Tensor:
        return state @ layer.weight[word] + layer.bias[word] - math.log(chance_in_sample(layer, word))

    losses = []
    for state, target in zip(states, targets.tolist(), strict=True):
        scores = [score(state, target), *(score(state, rival) for rival in rivals if rival != target)]
        losses.append(torch.stack(scores).exp().sum().log() - scores[0])
    return torch.stack(losses).mean()


def test_the_exact_loss_agrees_with_a_case_worked_by_hand():
    layer = WordSoftmax(types=2, width=1, samples=5)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0], [2.0]]))
        layer.bias.copy_(torch.tensor([0.0, math.log(2.0)]))
    # Scores of state 1: 1 and 2 + log 2, so p(0) = e / (e + 2 e²) = 1 / (1 + 2 e).
    found = layer.exact_loss(torch.tensor([[1.0]]), torch.tensor([0]))
    assert found.item() == pytest.approx(math.log(1 + 2 * math.e))
    # State 0: p = 1/3 and 2/3.
    both = layer.exact_loss(torch.zeros(2, 1), torch.tensor([0, 1]))
    assert both.item() == pytest.approx((math.log(3) + math.log(1.5)) / 2)


@pytest.mark.parametrize(("types", "samples", "exact"), [(20, 20, True), (20, 50, True), (20, 19, False)])
def test_a_vocabulary_that_is_no_larger_than_the_sample_is_used_whole(types, samples, exact):
    layer = make(types=types, samples=samples)
    states, targets = torch.randn(4, 3, dtype=torch.double), torch.tensor([0, 5, 19, 3])
    assert torch.equal(layer(states, targets), layer.exact_loss(states, targets)) == exact


@pytest.mark.parametrize(
    "rivals",
    [[1, 4, 7], [3], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [9], [0]],
    ids=["one hit", "only hits or misses", "everything", "the last", "the first"],
)
def test_the_sampled_loss_and_its_gradient_agree_with_a_slow_loop(monkeypatch, rivals):
    layer = make(types=10, samples=4)
    monkeypatch.setattr(layer, "_draw", lambda: torch.tensor(rivals))
    states = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    targets = torch.tensor([4, 0, 9, 4, 3])
    found, expected = layer(states, targets), slow_loss(layer, states, targets, rivals)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)  # chances are kept in float32
    leaves = [states, layer.weight, layer.bias]
    for one, other in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_a_target_is_never_its_own_rival(monkeypatch):
    layer = make(types=10, samples=4)
    monkeypatch.setattr(layer, "_draw", lambda: torch.tensor([6]))
    assert layer(torch.randn(3, 3, dtype=torch.double), torch.tensor([6, 6, 6])).item() == 0.0


def test_draws_are_distinct_sorted_and_inside_the_vocabulary():
    layer = make(types=50, samples=49)
    for _ in range(200):
        drawn = layer._draw().tolist()
        assert drawn == sorted(set(drawn))
        assert 0 <= drawn[0] <= drawn[-1] < 50


def test_the_expected_share_of_samples_agrees_with_simulation_and_formula():
    layer = make(types=12, samples=6)
    times, seen = 8000, torch.zeros(12)
    for _ in range(times):
        seen[layer._draw()] += 1
    expected = layer._log_expected(torch.arange(12)).exp()
    assert expected.tolist() == pytest.approx([chance_in_sample(layer, rank) for rank in range(12)], rel=1e-5)
    # Four standard errors of a share from 8000 draws are at most 4 · 0.5 / √8000 = 0.023.
    torch.testing.assert_close(seen / times, expected, rtol=0, atol=0.023)


def test_chances_of_rare_words_of_a_large_vocabulary_are_finite():
    found = make(types=1_000_000, samples=1, width=1)._log_expected(torch.tensor([0, 999_999]))
    assert found[1].item() == pytest.approx(math.log(1e-6 / math.log(1_000_001)), rel=1e-4)
    assert found.isfinite().all()


def test_the_sampled_gradient_approaches_the_exact_one_as_samples_grow():
    torch.manual_seed(0)
    states, targets = torch.randn(6, 3, dtype=torch.double), torch.tensor([0, 1, 5, 17, 60, 99])
    distances = []
    for samples in (2, 15, 99):
        layer = make(types=100, samples=samples)
        (exact,) = torch.autograd.grad(layer.exact_loss(states, targets), layer.weight)
        sampled = torch.stack([torch.autograd.grad(layer(states, targets), layer.weight)[0] for _ in range(400)]).mean(
            dim=0
        )
        distances.append(float((sampled - exact).norm() / exact.norm()))
    assert distances[0] > distances[1] > distances[2]
    # The rarest words are in the sample nine times in ten, so about a tenth of the difference is left.
    assert distances[2] < 0.2 < 0.5 < distances[0]


@pytest.mark.parametrize(("corrected", "vanishes"), [(True, True), (False, False)], ids=["corrected", "not"])
def test_a_model_that_knows_the_truth_is_left_as_it_is(monkeypatch, corrected, vanishes):
    """Where words follow the model's own distribution, the mean gradient is zero: samples do not mislead."""
    layer = make(types=30, samples=12)
    state = torch.randn(1, 3, dtype=torch.double)
    truth = (state @ layer.weight.mT + layer.bias).softmax(dim=1)[0].detach()
    if not corrected:  # then frequent words are pushed away too often
        monkeypatch.setattr(layer, "_log_expected", lambda ids: torch.zeros(len(ids)))
    gradients = []
    for _ in range(400):
        targets = torch.multinomial(truth, 400, replacement=True)
        gradients.append(torch.autograd.grad(layer(state.expand(400, 3), targets), layer.bias)[0])
    # The standard error of the mean's length is 0.02; without the correction the length is 0.24.
    length = float(torch.stack(gradients).mean(dim=0).norm())
    assert (length < 0.06) == vanishes

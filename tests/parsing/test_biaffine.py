"""The biaffine form, by hand and by loops."""

import pytest
import torch

from isogloss.parsing.biaffine import Biaffine, DotOfEach


def by_loops(layer, left, right):
    """Score one pair from the equation."""
    one = torch.ones(1, dtype=left.dtype)
    left = torch.cat([left, one]) if layer.bias_left else left
    right = torch.cat([right, one]) if layer.bias_right else right
    return torch.stack([left @ layer.weight[:, output] @ right for output in range(layer.weight.shape[1])])


def test_one_pair_computed_by_hand():
    layer = Biaffine(width=1, outputs=1)
    with torch.no_grad():
        layer.weight[:, 0] = torch.tensor([[2.0, 3.0], [5.0, 7.0]])
    # 2·x·y + 3·x + 5·y + 7 with x = 10 and y = 100
    assert layer(torch.tensor([[[10.0]]]), torch.tensor([[[100.0]]])).item() == 2000 + 30 + 500 + 7


@pytest.mark.parametrize("bias_left", [True, False])
@pytest.mark.parametrize("bias_right", [True, False])
def test_every_pair_follows_the_equation(bias_left, bias_right):
    torch.manual_seed(0)
    layer = Biaffine(width=4, outputs=3, bias_left=bias_left, bias_right=bias_right).double()
    left, right = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 6, 4, dtype=torch.float64)
    scores = layer(left, right)
    assert scores.shape == (2, 5, 6, 3)
    for batch, a, b in [(0, 0, 0), (1, 4, 5), (0, 2, 3)]:
        torch.testing.assert_close(scores[batch, a, b], by_loops(layer, left[batch, a], right[batch, b]))


def test_pairs_are_the_diagonal_of_all_pairs():
    torch.manual_seed(1)
    layer = Biaffine(width=4, outputs=3).double()
    left, right = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    diagonal = layer(left, right).diagonal(dim1=1, dim2=2).transpose(1, 2)  # batch words outputs
    torch.testing.assert_close(layer.pairs(left, right), diagonal)


def test_pairs_of_more_words_than_are_done_at_a_time_are_the_same_without_gradient(monkeypatch):
    monkeypatch.setattr("isogloss.parsing.biaffine.AT_A_TIME", 4)
    torch.manual_seed(1)
    layer = Biaffine(width=4, outputs=3)
    left, right = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    with torch.no_grad():
        in_pieces = layer.pairs(left, right)
    assert in_pieces.shape == (2, 5, 3)
    torch.testing.assert_close(in_pieces, layer.pairs(left, right).detach())


def test_the_gradient_of_pairs_is_that_of_finite_differences():
    torch.manual_seed(1)
    half = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    right = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(DotOfEach.apply, [half, right])

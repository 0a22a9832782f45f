"""The stack reads as PyTorch's own does, padding or not, and bfloat16 changes little."""

import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from isogloss.parsing.recurrent import RecurrentStack, drop_alike, read_both_ways, turned_places


def layers(width: int, hidden: int, *, seed: int = 0) -> tuple[nn.LSTM, nn.LSTM]:
    torch.manual_seed(seed)
    return nn.LSTM(width, hidden).double(), nn.LSTM(width, hidden).double()


def test_stack_reads_like_a_packed_bidirectional_lstm():
    torch.manual_seed(3)
    stack = RecurrentStack(width=5, hidden_width=4, layers=2, dropout=0.5).eval()
    reference = nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for layer in range(2):
            for name, own in (("", stack.forwards[layer]), ("_reverse", stack.backwards[layer])):
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(reference, f"{kind}_l{layer}{name}").copy_(getattr(own, f"{kind}_l0"))
        vectors, lengths = torch.randn(3, 6, 5), torch.tensor([2, 6, 1])
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)
        found = stack(vectors, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :length], expected[row, :length], atol=1e-6, rtol=1e-5)


def test_two_words_computed_by_hand():
    ahead, back = layers(1, 1)
    with torch.no_grad():
        for number, one in enumerate((ahead, back)):
            one.weight_ih_l0.copy_(torch.tensor([[1.0], [0.0], [2.0], [0.0]]) * (number + 1))  # of i, f, g, o
            one.weight_hh_l0.zero_()
            one.bias_ih_l0.zero_()
            one.bias_hh_l0.zero_()
    states = torch.tensor([[[0.5]], [[-1.0]]], dtype=torch.float64)
    found = read_both_ways(states, ahead, back, turned_places(torch.tensor([2]), 2))[:, 0]

    def enters(value: float) -> float:  # i ⊙ g
        return math.tanh(2 * value) / (1 + math.exp(-value))

    # The gates f and o stand at a half: half of the cell is remembered, and half of it is said.
    ahead_first, ahead_second = enters(0.5), enters(-1.0) + 0.5 * enters(0.5)
    back_second, back_first = enters(-2.0), enters(1.0) + 0.5 * enters(-2.0)
    expected = [[ahead_first, back_first], [ahead_second, back_second]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64).tanh() / 2)


def test_bfloat16_moves_values_and_gradients_of_a_layer_by_less_than_a_hundredth():
    ahead, back = (one.float() for one in layers(48, 32))
    states = torch.randn(7, 9, 48, requires_grad=True)
    turned = turned_places(torch.tensor([7, 7, 6, 5, 5, 5, 3, 2, 1]), 7)
    answers = []
    for used in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=used):
            found = read_both_ways(states, ahead, back, turned)
        assert found.dtype == (torch.bfloat16 if used else torch.float32)
        found = found.float()
        learned = (states, *ahead.parameters(), *back.parameters())
        answers.append([found, *torch.autograd.grad(found.square().sum(), learned)])
    for exact, rounded in zip(*answers, strict=True):
        # bfloat16 keeps 8 bits: single numbers are off by up to 0.4 %, and their sums by about as much.
        assert (rounded - exact).norm() < 0.01 * exact.norm()


def test_sentences_turned_twice_are_as_they_were():
    turned = turned_places(torch.tensor([5, 1, 3]), 5)
    assert turned[turned].equal(torch.arange(15))
    assert turned.reshape(5, 3)[:, 2].tolist() == [8, 5, 2, 11, 14]  # three words turned, two places of padding


def test_dropout_is_alike_for_all_words():
    torch.manual_seed(0)
    dropped = drop_alike(torch.ones(2, 5, 50), 0.5, axis=1, training=True)
    assert (dropped == dropped[:, :1]).all()
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert not (dropped[0] == dropped[1]).all()

"""Layers of a bidirectional LSTM over whole sentences.

The backward direction reads each sentence turned round within its own length, so padding comes last in both directions
and never reaches a word. With batches of similar length this trains up to 1.7 times faster on a CPU than packed
sequences, whose gradient PyTorch gathers in time that grows with the square of the length.

For training with bfloat16 a layer is written out here, with its gradient, both directions side by side. One step of one
direction, the gates in the order in which `nn.LSTM` keeps them:

    i, f, o = σ(x Wᵢₙ + h W + b)       gates
    g       = tanh(x Wᵢₙ + h W + b)    the third part of the same product
    c       = f ⊙ c + i ⊙ g            cell
    h       = o ⊙ tanh c               output

What need not wait for the step before is done for all steps and both directions at once: the inputs' share of the gates
on the way there, their slopes and the gradients of all weights on the way back. Only these large products use bfloat16;
what goes from step to step stays float32.

Source: Hochreiter and Schmidhuber (1997); with forget gates, Gers et al. (2000).
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout

from isogloss.parsing.products import product_type, whole_blocks


class RecurrentStack(nn.Module):
    """Layers of a bidirectional LSTM, with dropout between them that is alike for all words of a sentence."""

    def __init__(self, *, width: int, hidden_width: int, layers: int, dropout: float) -> None:
        """Make the layers. Their weights live in `nn.LSTM`s, which also say how they begin.

        Args:
            width: Of the inputs.
            hidden_width: Of the outputs of each direction.
            layers: How many.
            dropout: Share of the states between two layers that is set to zero in training.
        """
        super().__init__()
        widths = [width] + [2 * hidden_width] * (layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(before, hidden_width) for before in widths)
        self.backwards = nn.ModuleList(nn.LSTM(before, hidden_width) for before in widths)
        self.dropout = dropout

    def forward(
        self, inputs: Float[Tensor, "batch words width"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch words states"]:
        """Read each sentence from both ends. What comes out in the padding means nothing."""
        states = inputs.transpose(0, 1)  # words batch width: what is read at the same time lies together
        turned = turned_places(lengths.to(inputs.device), len(states))
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            if ahead is not self.forwards[0]:
                states = drop_alike(states, self.dropout, axis=0, training=self.training)
            states = read_both_ways(states, ahead, back, turned)
        return states.transpose(0, 1)


def drop_alike(states: Tensor, share: float, *, axis: int, training: bool) -> Tensor:
    """Drop the same numbers everywhere along an axis (Gal and Ghahramani 2016)."""
    if not training or not share:
        return states
    shape = [1 if index == axis else size for index, size in enumerate(states.shape)]
    return states * dropout(states.new_ones(shape), share)


def turned_places(lengths: Int[Tensor, " batch"], words: int) -> Int[Tensor, " places"]:
    """Say, for each place of words × batch, which place stands there when every sentence is turned round.

    Padding stays where it is. Turning twice is as good as not turning.

    >>> turned_places(torch.tensor([3, 1]), 3).reshape(3, 2)  # column by column: 3 words, 1 word
    tensor([[4, 1],
            [2, 3],
            [0, 5]])
    """
    place = torch.arange(words, device=lengths.device)[:, None]
    word = torch.where(place < lengths, lengths - 1 - place, place)  # words batch
    return (word * len(lengths) + torch.arange(len(lengths), device=lengths.device)).flatten()


def read_both_ways(
    states: Float[Tensor, "words batch width"], ahead: nn.LSTM, back: nn.LSTM, turned: Int[Tensor, " places"]
) -> Float[Tensor, "words batch states"]:
    """Run one layer with the weights of two LSTMs; the second reads every sentence from its end.

    In float32 PyTorch's own layers do it, which are as fast as the processor's products let them. In bfloat16 they
    would spend most of their time on preparing for a shape that may never come again.
    """
    kind = product_type(states)
    if kind != torch.bfloat16:
        there = ahead(states)[0]
        back_again = back(_reordered(states, turned))[0]
        return torch.cat([there, _reordered(back_again, turned)], dim=-1)
    both = ahead, back
    input_weight = torch.cat([one.weight_ih_l0 for one in both])  # 2·4·hidden width
    state_weight = torch.stack([one.weight_hh_l0 for one in both])  # 2 4·hidden hidden
    bias = torch.cat([one.bias_ih_l0 + one.bias_hh_l0 for one in both])
    with torch.autocast(states.device.type, enabled=False):
        return BothWays.apply(states, input_weight, state_weight, bias, turned, kind)  # type: ignore[return-value]


def _reordered(states: Tensor, places: Tensor) -> Tensor:
    """Return words × batch states with each place holding what stood at the place named for it."""
    return states.flatten(0, 1).index_select(0, places).unflatten(0, states.shape[:2])


class BothWays(torch.autograd.Function):
    """One layer in both directions, with its gradient written out."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        states: Tensor,
        input_weight: Tensor,
        state_weight: Tensor,
        bias: Tensor,
        turned: Tensor,
        kind: torch.dtype,
    ) -> Tensor:
        """Read all words; ``kind`` is the type of large products."""
        words, batch = states.shape[:2]
        rows = whole_blocks(states.flatten(0, 1).to(kind))
        from_inputs = torch.addmm(bias.to(kind), rows, input_weight.to(kind).mT)[: words * batch]
        gates = _by_direction(from_inputs, turned, words)  # words 2 batch 4·hidden
        hidden = gates.shape[-1] // 4
        cells, squashed, outputs = gates.new_empty(3, *gates.shape[:-1], hidden).unbind()
        i, f, g, o = (gate.unbind() for gate in gates.split(hidden, dim=-1))
        by_step = gates.unbind()
        weight = state_weight.mT.contiguous()  # read at every step, so worth laying out
        for step in range(words):
            if step:
                by_step[step].baddbmm_(outputs[step - 1], weight)
            for gate in (i[step], f[step], o[step]):
                gate.sigmoid_()
            g[step].tanh_()
            torch.mul(i[step], g[step], out=cells[step])
            if step:
                cells[step].addcmul_(f[step], cells[step - 1])
            torch.tanh(cells[step], out=squashed[step])
            torch.mul(o[step], squashed[step], out=outputs[step])
        ctx.save_for_backward(rows, input_weight, state_weight, turned, gates, cells, squashed, outputs)
        return _side_by_side(outputs, turned).unflatten(0, (words, batch))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of all that `forward` was given; of places and type there are none."""
        rows, input_weight, state_weight, turned, gates, cells, squashed, outputs = ctx.saved_tensors
        words, _, batch, hidden = cells.shape
        from_outputs = _by_direction(gradients[0].flatten(0, 1), turned, words)
        i, f, g, o = gates.split(hidden, dim=-1)

        # How much each gate's pre-activation moves the cell (i, f, g) or the output (o): σ' = σ (1 − σ),
        # tanh' = 1 − tanh². Step by step it becomes the gradient of the pre-activations.
        to_gates = torch.addcmul(gates, gates, gates, value=-1)
        to_i, to_f, to_g, to_o = to_gates.split(hidden, dim=-1)
        to_i.mul_(g)
        to_f[1:].mul_(cells[:-1])
        to_f[0].zero_()  # nothing was remembered before the first word
        torch.addcmul(i, i * g, g, value=-1, out=to_g)
        to_o.mul_(squashed)
        cell_moves_output = o * (1 - squashed * squashed)

        to_output, to_cell = from_outputs[-1], torch.zeros_like(cells[0])
        for step in reversed(range(words)):
            if step + 1 < words:
                to_output = torch.baddbmm(from_outputs[step], to_gates[step + 1], state_weight)
                to_cell.mul_(f[step + 1])
            to_cell.addcmul_(to_output, cell_moves_output[step])
            to_o[step].mul_(to_output)
            for gate in (to_i[step], to_f[step], to_g[step]):
                gate.mul_(to_cell)

        # Now everything for all steps at once.
        kind = rows.dtype
        flat = whole_blocks(_side_by_side(to_gates.to(kind), turned))  # words·batch 2·4·hidden
        to_states = (flat @ input_weight.to(kind))[: words * batch] if ctx.needs_input_grad[0] else None
        to_input_weight = flat.mT @ rows
        before = torch.cat([torch.zeros_like(outputs[:1]), outputs[:-1]])
        before = whole_blocks(_side_by_side(before.to(kind), turned))  # words·batch 2·hidden
        pairs = zip(flat.chunk(2, dim=1), before.chunk(2, dim=1), strict=True)
        to_state_weight = torch.stack([after.mT @ state for after, state in pairs])
        return (
            None if to_states is None else to_states.to(to_gates.dtype).unflatten(0, (words, batch)),
            to_input_weight.to(to_gates.dtype),
            to_state_weight.to(to_gates.dtype),
            to_gates.sum(dim=(0, 2)).flatten(),
            None,
            None,
        )


def _by_direction(rows: Tensor, turned: Tensor, words: int) -> Tensor:
    """From words·batch × both directions to words × 2 × batch × one direction, the second one turned; bfloat16
    becomes float32."""
    ahead, back = rows.chunk(2, dim=1)
    shape = words, 2, len(rows) // words, ahead.shape[1]
    parts = torch.empty(shape, dtype=torch.promote_types(rows.dtype, torch.float32), device=rows.device)
    parts[:, 0] = ahead.unflatten(0, (words, -1))
    parts[:, 1] = back.index_select(0, turned).unflatten(0, (words, -1))
    return parts


def _side_by_side(parts: Tensor, turned: Tensor) -> Tensor:
    """Do the opposite of `_by_direction`."""
    ahead, back = (part.flatten(0, 1) for part in parts.unbind(1))
    return torch.cat([ahead, back.index_select(0, turned)], dim=1)

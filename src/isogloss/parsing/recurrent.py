"""Layers of a bidirectional LSTM over whole sentences.

The backward direction reads each sentence turned round within its own length, so padding comes last in both directions
and never reaches a word. With batches of similar length this trains up to 1.7 times faster on a CPU than packed
sequences, whose gradient PyTorch gathers in time that grows with the square of the length.

For training with bfloat16 a layer is written out here, with its gradient, both directions side by side. One step of one
direction, as in `nn.LSTM`:

    i, f, o = σ(x Wᵢₙ + h W + b)       gates
    g       = tanh(x Wᵢₙ + h W + b)    another part of the same product
    c       = f ⊙ c + i ⊙ g            cell
    h       = o ⊙ tanh c               output

What need not wait for the step before is done for all steps at once: the inputs' share of the gates on the way there,
the gradients of inputs and weights on the way back. Only these large products use bfloat16; what goes from step to step
stays float32.

Source: Hochreiter and Schmidhuber (1997); with forget gates, Gers et al. (2000).
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout

from isogloss.parsing.lanes import Lanes, read_in_lanes
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
        self,
        inputs: Float[Tensor, "batch words width"],
        lengths: Int[Tensor, " batch"],
        lanes: Lanes | None = None,
    ) -> Float[Tensor, "batch words states"]:
        """Read each sentence from both ends. What comes out in the padding means nothing.

        With lanes the batch is one row, in which sentences stand end to end; it is read in bfloat16, without gradient.
        """
        if lanes is not None:
            return self._in_lanes(inputs[0], lanes)[None]
        states = inputs.transpose(0, 1)  # words batch width: what is read at the same time lies together
        turned = turned_places(lengths.to(inputs.device), len(states))
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            assert isinstance(ahead, nn.LSTM) and isinstance(back, nn.LSTM), "as they were made"
            if ahead is not self.forwards[0]:
                states = drop_alike(states, self.dropout, axis=0, training=self.training)
            states = read_both_ways(states, ahead, back, turned)
        return states.transpose(0, 1)

    def _in_lanes(self, words: Float[Tensor, "all_words width"], lanes: Lanes) -> Float[Tensor, "all_words states"]:
        assert not self.training, "lanes are for parsing"
        states = words.bfloat16()
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            assert isinstance(ahead, nn.LSTM) and isinstance(back, nn.LSTM), "as they were made"
            states = read_in_lanes(states, ahead, back, lanes)
        return states


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
    with torch.autocast(states.device.type, enabled=False):
        return BothWays.apply(states, *weights_of_both(ahead, back, kind), turned)  # type: ignore[return-value]


def _reordered(states: Tensor, places: Tensor) -> Tensor:
    """Return words × batch states with each place holding what stood at the place named for it."""
    return states.flatten(0, 1).index_select(0, places).unflatten(0, states.shape[:2])


def weights_of_both(ahead: nn.LSTM, back: nn.LSTM, kind: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return two LSTMs' weights as `BothWays` takes them: of inputs, of states, and the bias.

    Args:
        ahead: One layer.
        back: Another of the same size.
        kind: Type of the weights of inputs and of the bias.
    """
    both = [one.all_weights[0] for one in (ahead, back)]
    input_weight = torch.cat([_output_first(of_input.to(kind)) for of_input, _, _, _ in both])  # 2·4·hidden width
    state_weight = torch.stack([_output_first(of_state) for _, of_state, _, _ in both])  # 2 4·hidden hidden
    bias = torch.cat([_output_first(one + other).to(kind) for _, _, one, other in both])
    return input_weight, state_weight, bias


def _output_first(weight: Float[Tensor, "gates ..."]) -> Float[Tensor, "gates ..."]:
    """Bring gates in the order i, f, g, o, as `nn.LSTM` has them, into that of `BothWays`: o, i, f, g.

    So those that are squashed alike stand together, and so do those that the cell's gradient goes to.
    """
    hidden = len(weight) // 4
    return torch.cat([weight[3 * hidden :], weight[: 3 * hidden]])


class BothWays(torch.autograd.Function):
    """One layer in both directions, with its gradient written out. Gates are in the order o, i, f, g.

    A step waits for the one before, so all that need not wait is done before or after, for all steps at once; what is
    left of a step is one product with the state and a handful of small calls.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, states: Tensor, input_weight: Tensor, state_weight: Tensor, bias: Tensor, turned: Tensor
    ) -> Tensor:
        """Read all words; large products are made in the type of the input weight."""
        words, batch = states.shape[:2]
        rows = whole_blocks(states.flatten(0, 1).to(input_weight.dtype))
        from_inputs = torch.addmm(bias, rows, input_weight.mT)  # words·batch 2·4·hidden
        hidden = state_weight.shape[-1]
        gates = _step_by_step(from_inputs, turned, batch, dtype=states.dtype)
        cells, squashed, outputs = states.new_empty(3, words, 2, batch, hidden).unbind()
        o, i, f, g = (gate.unbind() for gate in gates.split(hidden, dim=-1))
        sigmoids = gates[..., : 3 * hidden].unbind()
        weight = state_weight.mT.contiguous()  # read at every step, so worth laying out
        steps = zip(gates.unbind(), cells.unbind(), squashed.unbind(), outputs.unbind(), strict=True)
        for step, (gate, cell, small, output) in enumerate(steps):
            if step:
                gate.baddbmm_(outputs[step - 1], weight)
            sigmoids[step].sigmoid_()
            g[step].tanh_()
            torch.mul(i[step], g[step], out=cell)
            if step:
                cell.addcmul_(f[step], cells[step - 1])
            torch.tanh(cell, out=small)
            torch.mul(o[step], small, out=output)
        ctx.save_for_backward(rows, input_weight, state_weight, turned, gates, cells, squashed, outputs)
        return _side_by_side(outputs, turned).unflatten(0, (words, batch))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of all that `forward` was given; of places there is none."""
        rows, input_weight, state_weight, turned, gates, cells, squashed, outputs = ctx.saved_tensors
        words, _, batch, hidden = cells.shape
        o, i, f, g = gates.split(hidden, dim=-1)
        cells_before = torch.cat([torch.zeros_like(cells[:1]), cells[:-1]])
        # What a gradient is multiplied with on its way through a step: of the output, to the gate o and to the cell; of
        # the cell, to the gates i, f and g. The slope of σ is σ (1 − σ), that of tanh is 1 − tanh².
        output_to_o = (squashed * o * (1 - o)).unbind()
        output_to_cell = (o * (1 - squashed * squashed)).unbind()
        cell_to_gates = torch.stack([g * i * (1 - i), cells_before * f * (1 - f), i * (1 - g * g)], dim=-2).unbind()
        to_outputs = _step_by_step(gradients[0].flatten(0, 1), turned, batch, dtype=cells.dtype).unbind()
        to_gates = torch.empty_like(gates)
        to_o = to_gates[..., :hidden].unbind()
        to_others = to_gates[..., hidden:].unflatten(-1, (3, hidden)).unbind()
        of_step, forgotten = to_gates.unbind(), f.unbind()
        to_cell = torch.zeros_like(cells[0])
        to_cell_of_each = to_cell.unsqueeze(-2)
        for step in reversed(range(words)):
            to_output = to_outputs[step]
            if step + 1 < words:
                to_output.baddbmm_(of_step[step + 1], state_weight)
                to_cell.mul_(forgotten[step + 1])
            to_cell.addcmul_(to_output, output_to_cell[step])
            torch.mul(to_output, output_to_o[step], out=to_o[step])
            torch.mul(to_cell_of_each, cell_to_gates[step], out=to_others[step])

        # Now everything for all steps at once.
        to_all_gates = whole_blocks(_side_by_side(to_gates, turned).to(rows.dtype))  # words·batch 2·4·hidden
        to_states = (to_all_gates @ input_weight)[: words * batch].to(cells.dtype).unflatten(0, (words, batch))
        before = torch.cat([torch.zeros_like(outputs[:1]), outputs[:-1]])
        before = whole_blocks(_side_by_side(before, turned).to(rows.dtype))  # words·batch 2·hidden
        pairs = zip(to_all_gates.chunk(2, dim=1), before.chunk(2, dim=1), strict=True)
        to_state_weight = torch.stack([after.mT @ state for after, state in pairs]).to(state_weight.dtype)
        to_bias = to_all_gates.sum(dim=0)
        return to_states, to_all_gates.mT @ rows, to_state_weight, to_bias, None


def _step_by_step(rows: Tensor, turned: Tensor, batch: int, *, dtype: torch.dtype) -> Tensor:
    """From words·batch × both directions to words × 2 × batch × one direction, the second one turned round."""
    width, words = rows.shape[1] // 2, len(turned) // batch
    parts = rows.new_empty(words, 2, batch, width, dtype=dtype)
    parts[:, 0] = rows[: words * batch, :width].unflatten(0, (words, batch))
    parts[:, 1] = rows[:, width:].index_select(0, turned).unflatten(0, (words, batch))
    return parts


def _side_by_side(parts: Tensor, turned: Tensor) -> Tensor:
    """From words × 2 × batch × one direction to words·batch × both directions, the second one turned back."""
    ahead, back = (part.flatten(0, 1) for part in parts.unbind(1))
    return torch.cat([ahead, back.index_select(0, turned)], dim=1)

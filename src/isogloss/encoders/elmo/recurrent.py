"""Forward and backward LSTM layers with projection: layers 1…L of the language model.

Both directions run side by side as one batch of matrix products; they share nothing. The backward direction
receives its words already reversed, so both read from left to right here. One step of one direction:

    o, i, f = σ(x W_x + h W_h + b)         three gates
    g       = tanh(x W_x + h W_h + b)      the fourth part of the same product
    c       = clip(f ⊙ c + i ⊙ g)          cell
    h       = clip((o ⊙ tanh c) W_p)       projected state, the output

Clipping stands where the published models have it: the cell before the output gate reads it, the state after its
projection. The backward pass is written out by hand: fewer and larger operations than the recorded one, and the
gradient of each weight is one large matrix product instead of one per step.

Source: Sak et al. (2014), arXiv:1402.1128; Peters et al. (2018), arXiv:1802.05365.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

TOKENS_AT_ONCE = 256
"""Tokens whose inputs' share of the gates is computed at once when reading; bounds memory."""


class State(NamedTuple):
    """What one layer carries from step to step."""

    cell: Float[Tensor, "directions rows cell_width"]
    output: Float[Tensor, "directions rows width"]


class ProjectedLSTM(nn.Module):
    """One layer, both directions."""

    def __init__(self, *, width: int, cell_width: int, cell_clip: float, projection_clip: float) -> None:
        """Make the layer.

        Args:
            width: Of inputs and outputs of one direction.
            cell_width: Of the cells.
            cell_clip: Cells stay within ± this value.
            projection_clip: Outputs stay within ± this value.
        """
        super().__init__()
        self.width, self.cell_width = width, cell_width
        self.cell_clip, self.projection_clip = cell_clip, projection_clip
        self.input_weight = nn.Parameter(torch.empty(2, width, 4 * cell_width))
        self.state_weight = nn.Parameter(torch.empty(2, width, 4 * cell_width))
        self.bias = nn.Parameter(torch.zeros(2, 4 * cell_width))
        self.projection = nn.Parameter(torch.empty(2, cell_width, width))
        for weight in (self.input_weight, self.state_weight):
            nn.init.normal_(weight, std=width**-0.5)
        nn.init.normal_(self.projection, std=cell_width**-0.5)
        # A fresh cell should remember: the forget gate opens at σ(1).
        with torch.no_grad():
            self.bias[:, 2 * cell_width : 3 * cell_width] = 1.0

    def zero_state(self, rows: int) -> State:
        """Return the state before anything was read."""
        like = self.projection
        return State(like.new_zeros(2, rows, self.cell_width), like.new_zeros(2, rows, self.width))

    def forward(
        self,
        inputs: Float[Tensor, "directions steps rows width"],
        state: State,
        keep: Float[Tensor, "steps rows"],
    ) -> tuple[Float[Tensor, "directions steps rows width"], State]:
        """Run over all steps, with gradients.

        Args:
            inputs: Direction 0 in reading order, direction 1 reversed.
            state: From the chunk before; it receives no gradient.
            keep: 0 where a row begins a new sentence and must forget, 1 elsewhere.

        Returns:
            The outputs and the state after the last step.
        """
        weights = self.input_weight, self.state_weight, self.bias, self.projection
        tensors = (inputs, *weights, state.cell, state.output, keep)
        kind = inputs.device.type
        if torch.is_autocast_enabled(kind):  # `_Unrolled` computes in the type of what it is given
            tensors = tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)
        with torch.autocast(kind, enabled=False):
            outputs, cell = _Unrolled.apply(*tensors, self.cell_clip, self.projection_clip)
            outputs = outputs.to(self.projection.dtype)
        return outputs, State(cell.to(self.projection.dtype), outputs[:, -1].detach())

    @torch.no_grad()
    def read(
        self,
        inputs: Float[Tensor, "tokens width"],
        active: Sequence[int],
        begins: Sequence[Sequence[int]] | None = None,
        *,
        direction: int,
    ) -> Float[Tensor, "tokens width"]:
        """Run one direction over sentences of unequal length, without gradients and without work on padding.

        What the inputs contribute to the gates does not wait for the steps, so it is computed for many tokens at once.

        Args:
            inputs: The tokens of all steps, one step after another; within a step row after row.
            active: How many rows each step has; it never rises.
            begins: Rows in which a new sentence begins, for each step; these forget. All rows begin empty.
            direction: 0 or 1.

        Returns:
            The outputs, at the places of the inputs.
        """
        outputs = torch.empty_like(inputs)
        if not active:
            return outputs
        input_weight, state_weight = self.input_weight[direction], self.state_weight[direction]
        bias, projection, size = self.bias[direction], self.projection[direction], self.cell_width
        work = torch.promote_types(inputs.dtype, torch.float32)  # of cells and gates
        cell = inputs.new_zeros(active[0], size, dtype=work)
        raised = torch.empty_like(cell)
        output = inputs.new_zeros(active[0], self.width)
        ends = list(accumulate(active))
        from_inputs, chunk_start, chunk_end = inputs, 0, 0
        for step, running in enumerate(active):
            start, end = ends[step] - running, ends[step]
            if end > chunk_end:
                last = max(step, bisect_right(ends, start + TOKENS_AT_ONCE) - 1)
                chunk_start, chunk_end = start, ends[last]
                from_inputs = torch.addmm(bias, inputs[chunk_start:chunk_end], input_weight)
            cell, raised, output = cell[:running], raised[:running], output[:running]
            if begins is not None and begins[step]:
                rows = torch.tensor(begins[step], device=cell.device)
                cell.index_fill_(0, rows, 0.0)
                output = output.index_fill(0, rows, 0.0)  # a copy: what was said in the step before stays
            gates = from_inputs[start - chunk_start : end - chunk_start].addmm_(output, state_weight).to(work)
            o, i, f, g = gates.split(size, dim=1)
            # tanh x = 2 σ(2x) − 1, and σ is several times quicker: c = f c + i (2s − 1) = f c − i + 2 i s
            g.mul_(2.0)
            gates.sigmoid_()
            cell.mul_(f).sub_(i).addcmul_(i, g, value=2.0).clamp_(-self.cell_clip, self.cell_clip)
            torch.mul(cell, 2.0, out=raised).sigmoid_().mul_(2.0).sub_(1.0).mul_(o)
            torch.mm(raised.to(projection.dtype), projection, out=outputs[start:end])
            output = outputs[start:end].clamp_(-self.projection_clip, self.projection_clip)
        return outputs


def _activate(gates: Float[Tensor, "directions rows gates"], width: int) -> None:
    """Turn pre-activations into gates o, i, f and candidate g, in place."""
    gates[..., : 3 * width].sigmoid_()
    gates[..., 3 * width :].tanh_()


class _Unrolled(torch.autograd.Function):
    """A layer over all steps of a chunk, with its gradient written out.

    Everything that the loop over steps need not wait for is done for all steps at once, before it or after it: on
    small batches the number of operations costs more than their size.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        inputs: Tensor,
        input_weight: Tensor,
        state_weight: Tensor,
        bias: Tensor,
        projection: Tensor,
        cell: Tensor,
        output: Tensor,
        keep: Tensor,
        cell_clip: float,
        projection_clip: float,
    ) -> tuple[Tensor, Tensor]:
        directions, steps, rows, width = inputs.shape
        cell_width = projection.shape[1]
        from_inputs = torch.baddbmm(bias[:, None], inputs.flatten(1, 2), input_weight)
        from_inputs = from_inputs.view(directions, steps, rows, 4 * cell_width)
        shape = (steps, directions, rows)
        gates = inputs.new_empty(*shape, 4 * cell_width)
        cells, kept_cells, squashed, raised = inputs.new_empty(4, *shape, cell_width).unbind()
        outputs, kept_outputs = inputs.new_empty(2, *shape, width).unbind()
        for step in range(steps):
            kept = keep[step, :, None]
            torch.mul(cell, kept, out=kept_cells[step])
            torch.mul(output, kept, out=kept_outputs[step])
            torch.baddbmm(from_inputs[:, step], kept_outputs[step], state_weight, out=gates[step])
            _activate(gates[step], cell_width)
            o, i, f, g = gates[step].split(cell_width, dim=2)
            cell = torch.mul(f, kept_cells[step], out=cells[step]).addcmul_(i, g).clamp_(-cell_clip, cell_clip)
            torch.tanh(cell, out=squashed[step])
            torch.mul(o, squashed[step], out=raised[step])
            output = torch.bmm(raised[step], projection, out=outputs[step])
            output.clamp_(-projection_clip, projection_clip)
        ctx.save_for_backward(
            *(inputs, input_weight, state_weight, projection, keep),
            *(gates, cells, kept_cells, squashed, raised, outputs, kept_outputs),
        )
        ctx.clips = cell_clip, projection_clip
        last = cells[-1].clone()
        ctx.mark_non_differentiable(last)
        return outputs.transpose(0, 1), last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        inputs, input_weight, state_weight, projection, keep, *more = ctx.saved_tensors
        gates, cells, kept_cells, squashed, raised, outputs, kept_outputs = more
        cell_clip, projection_clip = ctx.clips
        steps, directions, rows, cell_width = cells.shape
        from_outputs = gradients[0].transpose(0, 1)
        o, i, f, g = gates.split(cell_width, dim=3)

        # How much each gate's pre-activation moves the output (o) or the cell (i, f, g): σ' = σ (1 − σ),
        # tanh' = 1 − tanh².
        moves = torch.empty_like(gates)
        slope = torch.addcmul(gates, gates, gates, value=-1)
        torch.mul(slope[..., :cell_width], squashed, out=moves[..., :cell_width])
        torch.mul(slope[..., cell_width : 2 * cell_width], g, out=moves[..., cell_width : 2 * cell_width])
        torch.mul(
            slope[..., 2 * cell_width : 3 * cell_width],
            kept_cells,
            out=moves[..., 2 * cell_width : 3 * cell_width],
        )
        torch.mul(i, 1.0 - g * g, out=moves[..., 3 * cell_width :])
        cell_moves_raised = o * (1.0 - squashed * squashed)
        cell_moves_next = f * keep[:, None, :, None]
        # A clipped value passes no gradient: it would not change if its cause did.
        free_outputs = _free(outputs, projection_clip)
        free_cells = _free(cells, cell_clip)

        to_gates = torch.empty_like(gates)  # gradient of the pre-activations
        to_projected = torch.empty_like(outputs)  # gradient of the outputs before clipping
        to_output = torch.zeros_like(outputs[0])
        to_cell = torch.zeros_like(cells[0])
        raised_back, state_back = projection.mT, state_weight.mT
        for step in reversed(range(steps)):
            torch.add(from_outputs[step], to_output, out=to_projected[step])
            if free_outputs is not None:
                to_projected[step].mul_(free_outputs[step])
            to_raised = torch.bmm(to_projected[step], raised_back)
            to_cell.addcmul_(to_raised, cell_moves_raised[step])
            if free_cells is not None:
                to_cell.mul_(free_cells[step])
            by_gate = to_gates[step].unflatten(2, (4, cell_width))
            moved_by = moves[step].unflatten(2, (4, cell_width))
            torch.mul(to_raised, moved_by[:, :, 0], out=by_gate[:, :, 0])
            torch.mul(to_cell[:, :, None], moved_by[:, :, 1:], out=by_gate[:, :, 1:])
            to_cell.mul_(cell_moves_next[step])
            to_output = torch.bmm(to_gates[step], state_back).mul_(keep[step, :, None])

        def by_direction(values: Tensor) -> Tensor:
            return values.transpose(0, 1).reshape(directions, steps * rows, -1)

        flat_gates = by_direction(to_gates)
        to_inputs = torch.bmm(flat_gates, input_weight.mT).view_as(inputs) if ctx.needs_input_grad[0] else None
        if not any(ctx.needs_input_grad[1:5]):  # the layer is held
            return (to_inputs, *[None] * 9)
        to_input_weight = torch.bmm(inputs.flatten(1, 2).mT, flat_gates)
        to_state_weight = torch.bmm(by_direction(kept_outputs).mT, flat_gates)
        to_projection = torch.bmm(by_direction(raised).mT, by_direction(to_projected))
        to_bias = flat_gates.sum(dim=1)
        return (
            to_inputs,
            to_input_weight,
            to_state_weight,
            to_bias,
            to_projection,
            None,
            None,
            None,
            None,
            None,
        )


def _free(values: Tensor, clip: float) -> Tensor | None:
    """Mark the values that are not clipped; None if none is, which is by far the most common."""
    return values.abs() < clip if values.abs().max() >= clip else None

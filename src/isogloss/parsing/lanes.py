"""A bidirectional LSTM layer read without a gradient and without padding, in bfloat16: the way of parsing.

Sentences stand end to end, one word a row. For the steps, which wait for one another, they are dealt out to *lanes* of
about the same length, longest sentence first, each beginning with an empty state:

    lane 0   a1 a2 a3 a4 a5     step 0 reads a1 b1 c1, step 1 reads a2 b2 c2, step 2 reads a3 b3 d1, …
    lane 1   b1 b2 b3 e1
    lane 2   c1 c2 d1           ended: from step 3 on fewer lanes are left

The backward direction has the same lanes, with every sentence turned round. Lanes that are left are filled up to
one of a few numbers, since every shape of a product in bfloat16 costs time when it comes first, see `products`.

One step of one direction, as in `nn.LSTM`:

    i, f, o = σ(x Wᵢₙ + h W + b)       gates
    g       = tanh(x Wᵢₙ + h W + b)    another part of the same product
    c       = f ⊙ c + i ⊙ g            cell
    h       = o ⊙ tanh c               output

Products and outputs are bfloat16; gates and cells, which add up from step to step, are float32.

Source: Hochreiter and Schmidhuber (1997); with forget gates, Gers et al. (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace

import torch
from jaxtyping import BFloat16, Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from isogloss.parsing.products import whole_blocks

LANES = 128
"""At most so many. More make the products little quicker and leave fewer steps to share their cost."""
FEWEST = 16
"""Lanes that are computed even where fewer are left."""


@dataclass(frozen=True)
class Lanes:
    """Which word is read where, for sentences that stand end to end."""

    sizes: tuple[int, ...]
    """Lanes of each step, fillers included; it never rises."""
    read: Int[Tensor, " places"]
    """Of each step the words of all lanes forwards, then backwards. Rows that hold both directions side by side, seen
    as rows of one direction each, have those of word w at 2w and 2w + 1."""
    begins: tuple[Int[Tensor, " _"] | None, ...]
    """Lanes in which a further sentence begins, for each step; None where there is none."""
    said: Int[Tensor, " directions_of_words"]
    """Where each word was read: forwards, backwards, then the next word."""


def deal(lengths: Sequence[int], *, lanes: int = LANES) -> Lanes:
    """Deal sentences out to lanes.

    >>> dealt = deal([1, 2], lanes=2)
    >>> dealt.sizes  # two lanes are filled up
    (16, 16)
    >>> dealt.said.view(3, 2)  # word by word: forwards and backwards
    tensor([[ 1, 17],
            [ 0, 48],
            [32, 16]])
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    ends = [(0, lane) for lane in range(min(lanes, len(order)))]
    lane_of, step_of = [0] * len(lengths), [0] * len(lengths)
    for index in order:
        end, lane = ends[0]
        lane_of[index], step_of[index] = lane, end
        heapreplace(ends, (end + lengths[index], lane))
    # Number the lanes by falling length, so that those still running are always the first.
    ends.sort(key=lambda item: (-item[0], item[1]))
    rank = {lane: place for place, (_, lane) in enumerate(ends)}
    sizes = []
    for step in range(ends[0][0]):
        running = sum(end > step for end, _ in ends)
        sizes.append(max(FEWEST, 1 << (running - 1).bit_length()))
    begins: list[list[int]] = [[] for _ in sizes]
    for index, step in enumerate(step_of):
        if step:
            begins[step].append(rank[lane_of[index]])

    of_sentence = torch.tensor(lengths)
    step, lane, length, first = (
        values.repeat_interleave(of_sentence)
        for values in (
            torch.tensor(step_of),
            torch.tensor([rank[one] for one in lane_of]),
            of_sentence,
            of_sentence.cumsum(0) - of_sentence,
        )
    )
    word = torch.arange(len(step))
    before = word - first  # words of the same sentence that were read before, forwards
    wide = torch.tensor(sizes)
    start = 2 * (wide.cumsum(0) - wide)  # of each step's places
    ahead = step + before
    back = step + length - 1 - before
    said = torch.stack([start[ahead] + lane, start[back] + wide[back] + lane], dim=1)  # words directions
    read = torch.zeros(2 * sum(sizes), dtype=torch.int64)  # fillers read the first word; nobody asks for what they say
    read[said] = 2 * word[:, None] + torch.arange(2)
    return Lanes(tuple(sizes), read, tuple(torch.tensor(rows) if rows else None for rows in begins), said.flatten())


@torch.no_grad()
def read_in_lanes(
    words: BFloat16[Tensor, "all_words width"], ahead: nn.LSTM, back: nn.LSTM, lanes: Lanes
) -> BFloat16[Tensor, "all_words states"]:
    """Run one layer with the weights of two LSTMs; the second reads every sentence from its end."""
    hidden = ahead.hidden_size
    input_weight, state_weight, bias = _weights(ahead, back)
    from_inputs = linear(whole_blocks(words), input_weight, bias)
    gates = from_inputs.view(-1, 4 * hidden).index_select(0, lanes.read)
    outputs = gates.new_empty(len(gates), hidden)
    cells, raised = torch.zeros(2, 2, lanes.sizes[0], hidden).unbind()
    end = 0
    said: Float[Tensor, "2 lanes hidden"] | None = None
    for size, begins in zip(lanes.sizes, lanes.begins, strict=True):
        start, end = end, end + 2 * size
        summed = gates[start:end].view(2, size, 4 * hidden)
        cell, squashed = cells[:, :size], raised[:, :size]
        if said is not None:
            if begins is not None:
                cells.index_fill_(1, begins, 0.0)
                said = said.index_fill(1, begins, 0.0)  # a copy: what was said in the step before stays
            summed.baddbmm_(said[:, :size], state_weight)
        i, f, g, o = summed.float().sigmoid_().split(hidden, dim=-1)
        # tanh x = 2 σ(2x) − 1, and σ is quicker: c = f c + i (2g − 1) = f c − i + 2 i g, where g = σ(2x)
        cell.mul_(f).sub_(i).addcmul_(i, g, value=2.0)
        torch.mul(cell, 2.0, out=squashed).sigmoid_().mul_(2.0).sub_(1.0).mul_(o)
        said = outputs[start:end].view(2, size, hidden).copy_(squashed)
    return outputs.index_select(0, lanes.said).view(len(words), 2 * hidden)


def _weights(ahead: nn.LSTM, back: nn.LSTM) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights of inputs and states and the bias, for rows; those of g doubled, as tanh by way of σ wants it."""
    doubled = torch.ones(4, ahead.hidden_size, 1)
    doubled[2] = 2.0
    doubled = doubled.flatten(0, 1)
    both = [one.all_weights[0] for one in (ahead, back)]
    of_inputs = torch.cat([weight * doubled for weight, _, _, _ in both])  # 2·4·hidden width
    of_states = torch.stack([(weight * doubled).mT for _, weight, _, _ in both])  # 2 hidden 4·hidden
    bias = torch.cat([(one + other) * doubled[:, 0] for _, _, one, other in both])
    return of_inputs.bfloat16(), of_states.bfloat16(), bias.bfloat16()

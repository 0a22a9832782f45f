"""A bidirectional LSTM layer read without a gradient and without padding: the way of parsing on a processor.

Sentences stand end to end, one word a row. For the steps, which wait for one another, they are dealt out to *lanes*,
which are the rows of `isogloss.compute.rows`; each sentence begins with an empty state. The backward direction has the
same lanes, with every sentence turned round. In bfloat16, lanes that are left are filled
up to one of a few numbers, since every shape of a product costs time there when it comes first, see `products`.

One step of one direction, as in `nn.LSTM`:

    i, f, o = σ(x Wᵢₙ + h W + b)       gates
    g       = tanh(x Wᵢₙ + h W + b)    another part of the same product
    c       = f ⊙ c + i ⊙ g            cell
    h       = o ⊙ tanh c               output

In bfloat16 products and outputs are bfloat16; gates and cells, which add up from step to step, are float32. In float32
this takes little more than half the time of padded sentences where their lengths differ, about the same where they are
alike, and more where they are few, see `WORTHWHILE`.

Source: Hochreiter and Schmidhuber (1997); with forget gates, Gers et al. (2000).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from isogloss.compute.rows import ROWS, lay_in_rows
from isogloss.parsing.products import AT_A_TIME, whole_blocks

FEWEST = 16
"""Lanes that are computed even where fewer are left, if they are filled up."""
WORTHWHILE = 32
"""Sentences from which on float32 is read in lanes; fewer are read sooner side by side."""


@dataclass(frozen=True)
class Lanes:
    """Which word is read where, for sentences that stand end to end."""

    sizes: tuple[int, ...]
    """Lanes of each step, fillers included; it never rises."""
    read: Int[Tensor, " places"]
    """Of each step the words of all lanes forwards, then backwards. Rows that hold both directions side by side, seen
    as rows of one direction each, have those of word w at 2w and 2w + 1."""
    begins: tuple[Int[Tensor, " _"] | None, ...]
    """Lanes in which a further sentence begins, for each step; None where there is none, as in the first."""
    said: Int[Tensor, " directions_of_words"]
    """Where each word was read: forwards, backwards, then the next word."""


def deal(lengths: Sequence[int], *, lanes: int = ROWS, fill: bool = False) -> Lanes:
    """Deal sentences out to lanes.

    Args:
        lengths: Words of each sentence.
        lanes: At most so many.
        fill: Whether lanes that are left are filled up to a power of two, and to `FEWEST`; for bfloat16.

    >>> dealt = deal([1, 2], lanes=2)
    >>> dealt.sizes  # of the first step and the second
    (2, 1)
    >>> dealt.said.view(3, 2)  # word by word: forwards and backwards
    tensor([[1, 3],
            [0, 5],
            [4, 2]])
    >>> deal([1, 2], lanes=2, fill=True).sizes
    (16, 16)
    """
    laid = lay_in_rows(lengths, lanes)
    sizes = [max(FEWEST, 1 << (running - 1).bit_length()) if fill else running for running in laid.active]
    begins = [torch.tensor(rows) if rows else None for rows in laid.begins]
    of_sentence = torch.tensor(lengths)
    step, lane, length, first = (
        values.repeat_interleave(of_sentence)
        for values in (
            torch.from_numpy(laid.start),
            torch.from_numpy(laid.row),
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
    return Lanes(tuple(sizes), read, (None, *begins[1:]), said.flatten())


@torch.no_grad()
def read_in_lanes(
    words: Float[Tensor, "all_words width"], ahead: nn.LSTM, back: nn.LSTM, lanes: Lanes
) -> Float[Tensor, "all_words states"]:
    """Run one layer with the weights of two LSTMs; the second reads every sentence from its end.

    Words of bfloat16 are multiplied in bfloat16, and so are the states that come out.
    """
    hidden = ahead.hidden_size
    pairs = zip(ahead.all_weights[0], back.all_weights[0], strict=True)
    of_inputs, of_states, *biases = (torch.stack(both) for both in pairs)
    input_weight, state_weight, bias = (one.to(words.dtype) for one in (of_inputs, of_states, biases[0] + biases[1]))
    outputs = words.new_empty(len(lanes.read), hidden)
    cells, raised = torch.zeros(2, 2, lanes.sizes[0], hidden).unbind()
    end = 0
    said: Float[Tensor, "2 lanes hidden"] | None = None
    from_inputs = _from_inputs(words, input_weight, bias, lanes)
    for size, begins, summed in zip(lanes.sizes, lanes.begins, from_inputs, strict=True):
        start, end = end, end + 2 * size
        cell, squashed = cells[:, :size], raised[:, :size]
        if said is not None:
            if begins is not None:
                cells.index_fill_(1, begins, 0.0)
                said = said.index_fill(1, begins, 0.0)  # a copy: what was said in the step before stays
            summed.baddbmm_(said[:, :size], state_weight.mT)
        gates = summed.float()
        i, f, g, o = gates.split(hidden, dim=-1)
        # tanh x = 2 σ(2x) − 1, and σ is quicker: c = f c + i (2s − 1) = f c − i + 2 i s, where s = σ(2g)
        g.mul_(2.0)
        gates.sigmoid_()
        cell.mul_(f).sub_(i).addcmul_(i, g, value=2.0)
        torch.mul(cell, 2.0, out=squashed).sigmoid_().mul_(2.0).sub_(1.0).mul_(o)
        said = outputs[start:end].view(2, size, hidden).copy_(squashed)
    return outputs.index_select(0, lanes.said).view(len(words), 2 * hidden)


def _from_inputs(
    words: Float[Tensor, "all_words width"],
    weight: Float[Tensor, "directions gates width"],
    bias: Float[Tensor, "directions gates"],
    lanes: Lanes,
) -> Iterator[Float[Tensor, "directions lanes gates"]]:
    """Yield for each step what the words that it reads add to the gates. Each may be written over."""
    if words.dtype == torch.bfloat16:  # all at once, since a product of other sizes has its price
        gates = linear(whole_blocks(words), weight.flatten(0, 1), bias.flatten()).view(-1, weight.shape[1])
        for rows in gates.index_select(0, lanes.read).split([2 * size for size in lanes.sizes]):
            yield rows.unflatten(0, (2, -1))
        return
    steps = [rows.unflatten(0, (2, -1)) for rows in (lanes.read // 2).split([2 * size for size in lanes.sizes])]
    while steps:
        most = max(1, AT_A_TIME // steps[0].shape[1])  # with few lanes, one product for many steps
        some, steps = steps[:most], steps[most:]
        places = torch.cat(some, dim=1)  # directions places
        read = words.index_select(0, places.flatten()).unflatten(0, places.shape)
        yield from torch.baddbmm(bias[:, None], read, weight.mT).split([step.shape[1] for step in some], dim=1)

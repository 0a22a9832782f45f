"""Layers of a bidirectional LSTM over whole sentences.

The backward direction reads each sentence turned round within its own length, so padding comes last in both directions
and never reaches a word. With batches of similar length this trains up to 1.7 times faster on a CPU than packed
sequences, whose gradient PyTorch gathers in time that grows with the square of the length.

Where products are made in bfloat16, states are bfloat16 from the first layer to the last.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout

from isogloss.parsing.lanes import Lanes, read_in_lanes
from isogloss.parsing.products import product_type, widened


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

        With lanes the batch is one row, in which sentences stand end to end; it is read without gradient.
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
        return widened(states.transpose(0, 1))

    def _in_lanes(self, words: Float[Tensor, "all_words width"], lanes: Lanes) -> Float[Tensor, "all_words states"]:
        assert not self.training, "lanes are for parsing"
        states = words.to(product_type(words))
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

    Under autocast what comes out is of its type.
    """
    states = states.to(product_type(states))
    there = ahead(states)[0]
    back_again = back(_reordered(states, turned))[0]
    return torch.cat([there, _reordered(back_again, turned)], dim=-1)


def _reordered(states: Tensor, places: Tensor) -> Tensor:
    """Return words × batch states with each place holding what stood at the place named for it."""
    return states.flatten(0, 1).index_select(0, places).unflatten(0, states.shape[:2])

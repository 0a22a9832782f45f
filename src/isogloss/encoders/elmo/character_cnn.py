"""Characters to vectors without context: layer 0 of the language model.

Filters of several spans slide over the characters of a word, each keeps its strongest answer, highway layers let
some of these through unchanged, and a projection brings them to the width of the recurrent layers:

    y_f = relu(max over places of (w_f · characters + b_f))
    h   = carry ⊙ h + (1 − carry) ⊙ relu(W h + b),   carry = σ(W_c h + b_c)        for each highway layer
    v   = W_p h + b_p

Source: Kim et al. (2016), arXiv:1508.06615; Peters et al. (2018), arXiv:1802.05365.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from isogloss.corpus.characters import CHARACTERS, PADDING

TYPES_AT_ONCE = 256
"""Word types read at once where no gradient is asked for."""


class Highway(nn.Module):
    """One highway layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.carry = nn.Linear(width, width)
        nn.init.constant_(self.carry.bias, 2.0)  # begin by carrying most of the input through

    def forward(self, inputs: Float[Tensor, "types width"]) -> Float[Tensor, "types width"]:
        """Mix the input with its transformation."""
        carry = torch.sigmoid(self.carry(inputs))
        return carry * inputs + (1.0 - carry) * functional.relu(self.transform(inputs))


class CharacterCNN(nn.Module):
    """Word types, spelled as character ids, to vectors."""

    def __init__(
        self,
        *,
        character_width: int,
        filters: Sequence[tuple[int, int]],
        highways: int,
        width: int,
        characters: int = CHARACTERS,
    ) -> None:
        """Make the network.

        Args:
            character_width: Length of a character's vector.
            filters: Pairs of span and number.
            highways: Number of highway layers.
            width: Length of the resulting vectors.
            characters: How many character ids there are.
        """
        super().__init__()
        self.embedding = nn.Embedding(characters, character_width)
        nn.init.uniform_(self.embedding.weight, -1.0, 1.0)
        self.spans = tuple(span for span, _ in filters)
        self.convolutions = nn.ModuleList(nn.Linear(span * character_width, number) for span, number in filters)
        features = sum(number for _, number in filters)
        self.highways = nn.ModuleList(Highway(features) for _ in range(highways))
        self.projection = nn.Linear(features, width)

    def forward(self, ids: Int[Tensor, "types characters"]) -> Float[Tensor, "types width"]:
        """Return one vector per word type; without gradients, in memory that their number does not change."""
        return self._read(ids) if ids.numel() and not torch.is_grad_enabled() else self._together(ids)

    def _read(self, ids: Int[Tensor, "types characters"]) -> Float[Tensor, "types width"]:
        """Read words of like length together, some at a time: a short one need not wait for a long one."""
        order = (ids != PADDING).sum(dim=1).argsort()
        vectors = self.projection.weight.new_empty(len(ids), self.projection.out_features)
        for some in order.split(TYPES_AT_ONCE):
            vectors[some] = self._together(ids[some])
        return vectors

    def _together(self, ids: Int[Tensor, "types characters"]) -> Float[Tensor, "types width"]:
        ids = self._trim(ids)
        strongest = _StrongestAnswers.apply if torch.is_grad_enabled() else _strongest_answers
        answers = [
            strongest(ids, self.embedding.weight, convolution.weight, convolution.bias)  # type: ignore[arg-type]
            for convolution in self.convolutions
        ]
        features = functional.relu(torch.cat(answers, dim=1))  # type: ignore[arg-type]
        for highway in self.highways:
            features = highway(features)
        return self.projection(features)

    def _trim(self, ids: Int[Tensor, "types characters"]) -> Int[Tensor, "types _"]:
        """Cut padding that cannot change the result.

        All windows that hold nothing but padding give the same answers, so of those one of each span is enough
        for the maximum. A batch of short words is several times quicker that way.
        """
        longest = int((ids != PADDING).sum(dim=1).max()) if len(ids) else 0
        return ids[:, : longest + max(self.spans)]


def _all_answers(
    ids: Int[Tensor, "types characters"],
    embedding: Float[Tensor, "all_characters character_width"],
    weight: Float[Tensor, "filters span·character_width"],
    bias: Float[Tensor, " filters"],
) -> Float[Tensor, "types places filters"]:
    """What filters of one span answer to every window of every word."""
    span = weight.shape[1] // embedding.shape[1]
    # A convolution is a linear map over windows; on a CPU this is the fastest way to say it.
    windows = embedding[ids].unfold(1, span, 1).transpose(2, 3).flatten(2)  # types places span·character_width
    return functional.linear(windows, weight, bias)


def _strongest_answers(
    ids: Int[Tensor, "types characters"],
    embedding: Float[Tensor, "all_characters character_width"],
    weight: Float[Tensor, "filters span·character_width"],
    bias: Float[Tensor, " filters"],
) -> Float[Tensor, "types filters"]:
    """The same as `_StrongestAnswers` where no gradient is asked for, without noting where they were: much quicker."""
    return _all_answers(ids, embedding, weight, bias).amax(dim=1)


class _StrongestAnswers(torch.autograd.Function):
    """The strongest answer that filters of one span give to any window of a word, with its gradient written out.

    Only the strongest window of a filter has a gradient, so the way back looks at one window per word and filter and
    not at all of them. There an answer is a sum of entries of one table for each place in the span, of characters and
    filters, Tₖ = E Wₖ; a table's gradient is a sum over words, and gives those of characters and filters by one small
    product each. Where several windows are equally strong, they are alike as a rule (padding), and the first stands
    for all.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        ids: Int[Tensor, "types characters"],
        embedding: Float[Tensor, "all_characters character_width"],
        weight: Float[Tensor, "filters span·character_width"],
        bias: Float[Tensor, " filters"],
    ) -> Float[Tensor, "types filters"]:
        strongest, places = _all_answers(ids, embedding, weight, bias).max(dim=1)
        ctx.save_for_backward(ids, embedding, weight, places)
        return strongest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        ids, embedding, weight, places = ctx.saved_tensors
        to_answers = gradients[0]
        filters, span = len(weight), weight.shape[1] // embedding.shape[1]
        flat = torch.arange(filters, device=ids.device)
        to_embedding, to_weights = torch.zeros_like(embedding), []
        for of_place in range(span):
            met = ids.gather(1, places + of_place)  # types filters: the character there
            table = embedding.new_zeros(len(embedding) * filters)
            # Unlike `scatter_add_`, this adds up in one order on accelerators, too.
            table.index_put_(((met * filters + flat).flatten(),), to_answers.flatten().to(table.dtype), accumulate=True)
            to_table = table.view(len(embedding), filters)
            columns = slice(of_place * embedding.shape[1], (of_place + 1) * embedding.shape[1])
            to_embedding.addmm_(to_table, weight[:, columns])
            to_weights.append(to_table.mT @ embedding)
        return None, to_embedding, torch.cat(to_weights, dim=1), to_answers.sum(dim=0)

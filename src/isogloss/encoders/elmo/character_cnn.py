"""Characters to vectors without context: layer 0 of the language model.

Filters of several spans slide over the characters of a word, each keeps its strongest answer, highway layers let
some of these through unchanged, and a projection brings them to the width of the recurrent layers:

    y_f = relu(max over places of (w_f · characters + b_f))
    h   = carry ⊙ h + (1 − carry) ⊙ relu(W h + b),   carry = σ(W_c h + b_c)        for each highway layer
    v   = W_p h + b_p

Source: Kim et al. (2016), arXiv:1508.06615; Peters et al. (2018), arXiv:1802.05365.
"""

from collections.abc import Sequence

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
        characters = self.embedding(ids)  # types characters character_width
        answers = []
        for span, convolution in zip(self.spans, self.convolutions, strict=True):
            # A convolution is a linear map over windows; on a CPU this is the fastest way to say it.
            windows = characters.unfold(1, span, 1).transpose(2, 3).flatten(2)  # types places span·character_width
            answers.append(functional.relu(convolution(windows).amax(dim=1)))
        features = torch.cat(answers, dim=1)
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

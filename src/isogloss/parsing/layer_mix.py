"""A learned weighted sum of the encoder's layers (Peters et al. 2018, eq. 1).

Layers know different things: the lower ones more of word forms and syntax, the upper ones more of meaning.
The mix learns, once for all languages, how much of each the parser wants.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerMix(nn.Module):
    """mix(x) = γ · Σₖ softmax(s)ₖ · xₖ, with learned γ and s. It begins as the plain mean."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(()))

    @property
    def weights(self) -> Float[Tensor, " layers"]:
        """The share of each layer; they are positive and sum to 1."""
        return self.logits.softmax(dim=0)

    def forward(self, vectors: Float[Tensor, "batch words layers width"]) -> Float[Tensor, "batch words width"]:
        """Mix the layers of every word."""
        shares = self.scale * self.weights
        return torch.stack([share * layer for share, layer in zip(shares, vectors.unbind(2), strict=True)]).sum(dim=0)

"""The next word's distribution over a large vocabulary, exact and sampled.

Both directions share the weights. In training, a vocabulary larger than the number of samples is replaced, for one
step, by the target and a sample of rivals. A rival that is drawn often would be pushed away too often, so its
score is lowered by the logarithm of how often it is expected among the distinct words of a sample of n draws:

    score'(w) = h · e_w + b_w − log E[w in the sample],    E = 1 − (1 − p(w))ⁿ

Rivals come from a log-uniform distribution over ranks, which suits a vocabulary sorted by falling frequency.

Source: Jean et al. (2015), arXiv:1412.2007.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


class WordSoftmax(nn.Module):
    """Scores of all words of a vocabulary, sorted by falling frequency."""

    def __init__(self, *, types: int, width: int, samples: int) -> None:
        """Make the layer.

        Args:
            types: Size of the vocabulary.
            width: Of the vectors that predict.
            samples: How many rivals to draw in a training step.
        """
        super().__init__()
        self.types, self.samples = types, samples
        self.weight = nn.Parameter(torch.empty(types, width))
        nn.init.normal_(self.weight, std=width**-0.5)
        self.bias = nn.Parameter(torch.zeros(types))

    def exact_loss(self, states: Float[Tensor, "places width"], targets: Int[Tensor, " places"]) -> Float[Tensor, ""]:
        """Return the mean negative log-likelihood over the whole vocabulary, in nats per word."""
        return functional.cross_entropy(functional.linear(states, self.weight, self.bias), targets)

    def forward(self, states: Float[Tensor, "places width"], targets: Int[Tensor, " places"]) -> Float[Tensor, ""]:
        """Return the training loss: exact for a small vocabulary, sampled for a large one."""
        if self.types <= self.samples:
            return self.exact_loss(states, targets)
        rivals = self._draw().to(targets.device)
        of_target = (states * self.weight[targets]).sum(dim=1) + self.bias[targets] - self._log_expected(targets)
        of_rivals = torch.addmm(self.bias[rivals] - self._log_expected(rivals), states, self.weight[rivals].mT)
        # A rival that happens to be the target is no rival.
        place = torch.searchsorted(rivals, targets).clamp_(max=len(rivals) - 1)
        hit = (rivals[place] == targets).nonzero().squeeze(1)
        of_rivals = of_rivals.index_put((hit, place[hit]), of_rivals.new_tensor(-math.inf))
        log_total = torch.logaddexp(of_target, torch.logsumexp(of_rivals, dim=1))
        return (log_total - of_target).mean()

    def _draw(self) -> Int[Tensor, " rivals"]:
        """Draw `samples` ranks, log-uniform, and return the distinct ones in rising order."""
        ranks = torch.exp(torch.rand(self.samples, dtype=torch.float64) * math.log(self.types + 1)).long() - 1
        return torch.unique(ranks.clamp_(max=self.types - 1))

    def _log_expected(self, ids: Int[Tensor, " ids"]) -> Float[Tensor, " ids"]:
        """Return the log-probability that a type is among the distinct samples."""
        rank = ids.double()
        chance = torch.log1p(1.0 / (rank + 1.0)) / math.log(self.types + 1)
        return torch.log(-torch.expm1(self.samples * torch.log1p(-chance))).float()

"""How well a language model predicts text that it has not seen."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.packing import pack
from isogloss.encoders.elmo.streams import spellings

WORDS_PER_EVALUATION_BATCH = 1000
MOST_NATS = 700.0
"""Nats per word of a model that has gone astray; the perplexity of more would be no number any more."""


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts held-out text: summed negative log-likelihoods, which add up."""

    forward_nats: float
    backward_nats: float
    words: int
    """Words predicted by each direction, the end of a sentence included."""

    def __add__(self, other: "Perplexity") -> "Perplexity":
        return Perplexity(
            self.forward_nats + other.forward_nats,
            self.backward_nats + other.backward_nats,
            self.words + other.words,
        )

    @property
    def forward(self) -> float:
        """Perplexity of the forward direction: words predicted from those before them."""
        return math.exp(min(self.forward_nats / self.words, MOST_NATS))

    @property
    def backward(self) -> float:
        """Perplexity of the backward direction."""
        return math.exp(min(self.backward_nats / self.words, MOST_NATS))

    @property
    def mean_nats(self) -> float:
        """Nats per word, both directions together."""
        return (self.forward_nats + self.backward_nats) / (2 * self.words)


@torch.no_grad()
def measure_perplexity(model: BiLM, vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]) -> Perplexity:
    """Measure both directions with the exact softmax. Words outside the vocabulary count as ``<UNK>``.

    Args:
        model: In evaluation mode.
        vocabulary: Its softmax vocabulary.
        sentences: Held-out sentences, as words.
    """
    assert model.softmax is not None, "a model without a softmax has no perplexity"
    device = model.softmax.weight.device
    total = Perplexity(0.0, 0.0, 0)
    for group in _groups(sorted(sentences, key=len), WORDS_PER_EVALUATION_BATCH):
        batch = pack(group)
        ids = torch.from_numpy(vocabulary.encode(batch.types)).to(device)
        types = model.without_context(spellings(batch.types).to(device), ids)
        nats = [0.0, 0.0]
        for direction in (0, 1):
            inputs, targets = batch.inputs[direction].to(device), ids[batch.targets[direction].to(device)]
            *_, last = model.read(types, inputs, batch.active, batch.begins, direction=direction)
            for start in range(0, len(targets), WORDS_PER_EVALUATION_BATCH):  # one sentence may be very long
                some = slice(start, start + WORDS_PER_EVALUATION_BATCH)
                nats[direction] += float(model.softmax.exact_loss(last[some], targets[some])) * len(targets[some])
        total += Perplexity(nats[0], nats[1], batch.inputs.shape[1])
    return total


def _groups(sentences: Sequence[Sequence[str]], words: int) -> Iterator[list[Sequence[str]]]:
    """Cut a list into groups of about so many words, padding included (sentences sorted by length)."""
    group: list[Sequence[str]] = []
    for sentence in sentences:
        if group and (len(group) + 1) * (len(sentence) + 1) > words:
            yield group
            group = []
        group.append(sentence)
    if group:
        yield group

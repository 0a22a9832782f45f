"""All that pulls a language with little text towards a rich one, each with a weight of its own.

What is published pulls words before they are in context, layer 0; see `anchoring.py`. A pair of words says as much of
two other places, and both are told in the same unit, the share of the translations' mean square length still missing:

    in context    v = mean of the word's vectors in the first recurrent layer, over a step's text, t = the anchor of its
                  translation there; both directions
    softmax       v = what the last layer is multiplied with to predict the word, t = the same of its translation

Received: a rich language. Handed on: a loss to add to each step's, and where vectors begin.

Source: in context after Schuster et al. (2019), section 3.4, who pull layer 0 only; both extensions are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.compute.processes import ALONE, Processes
from isogloss.corpus.vocabulary import RESERVED, UNKNOWN_ID, Vocabulary
from isogloss.encoders.elmo.anchoring import (
    AnchoredWords,
    RichLanguage,
    anchored_words,
    anchoring_loss,
    distance,
    known_pairs,
    start_at_translations,
    strength,
)
from isogloss.encoders.elmo.bilm import BiLM, StreamBatch
from isogloss.encoders.elmo.settings import AnchoringSettings
from isogloss.errors import TrainingError

DIRECTIONS = 2


@dataclass(frozen=True)
class Places:
    """Where words of the new vocabulary should be: at the mean of their translations."""

    row: Int[Tensor, " vocabulary"]
    """Of each word in `vectors`, −1 for words without a translation."""
    vectors: Float[Tensor, "rows width"]

    @property
    def mean_square(self) -> Float[Tensor, ""]:
        """Mean squared length of the places."""
        return self.vectors.square().sum(dim=1).mean()

    def to(self, device: torch.device) -> "Places":
        """Return them on a device."""
        return Places(self.row.to(device), self.vectors.to(device))


@dataclass(frozen=True)
class Pull:
    """What one training is pulled by; the parts whose weight is 0 are None."""

    settings: AnchoringSettings
    words: AnchoredWords | None
    in_context: Places | None
    predicted: Places | None

    @classmethod
    def towards(
        cls,
        beside: RichLanguage,
        *,
        vocabulary: Vocabulary,
        width: int,
        settings: AnchoringSettings,
        processes: Processes = ALONE,
    ) -> "Pull":
        """Look up what the rich language knows of the new one's words.

        Args:
            beside: The rich language.
            vocabulary: Of the new text.
            width: Of one direction of the new model.
            settings: The weights.
            processes: Those that train together.

        Raises:
            TrainingError: The rich model has another width, no softmax, or no anchors, where these are needed; or
                several processes are to pull words in context.
            DictionaryError: No pair has a word of the text and a translation that the rich model knows.
        """
        words = anchored_words(beside, vocabulary=vocabulary, width=width, settings=settings)
        in_context = predicted = None
        if settings.context_weight > 0:
            if processes.world > 1:  # a word's mean would be over the text of all of them
                raise TrainingError(
                    f"anchoring.context_weight: found above 0 with {processes.world} processes. Expected one process. "
                    f"Train with one, or set the weight to 0."
                )
            in_context = _places(beside, _anchors(beside, width), vocabulary, settings)
        if settings.softmax_weight > 0:
            predicted = _places(beside, _softmax_rows(beside), vocabulary, settings)
        return cls(settings, words if settings.weight > 0 else None, in_context, predicted)

    def to(self, device: torch.device) -> "Pull":
        """Return everything on a device."""
        words, in_context, predicted = self.words, self.in_context, self.predicted
        return Pull(
            self.settings,
            words and words.to(device),
            in_context and in_context.to(device),
            predicted and predicted.to(device),
        )

    def start(self, model: BiLM, vocabulary: Vocabulary) -> None:
        """Let words begin where their translations are, where that is asked for."""
        if not self.settings.start_at_translations:
            return
        if self.words is not None:
            start_at_translations(model, vocabulary, self.words)
        if self.predicted is not None:
            assert model.softmax is not None, "a model without a softmax cannot be trained"
            known = self.predicted.row >= 0
            with torch.no_grad():
                model.softmax.weight[known] = self.predicted.vectors[self.predicted.row[known]]

    def loss(
        self,
        model: BiLM,
        batch: StreamBatch,
        layers: Sequence[Float[Tensor, "directions steps rows width"]],
        *,
        done: float,
        processes: Processes = ALONE,
    ) -> Float[Tensor, ""]:
        """Return what is added to the loss of one step.

        Args:
            model: The new model.
            batch: The text of the step.
            layers: What the recurrent layers made of it, the first one first.
            done: Share of all steps that lie behind.
            processes: Those that train together.
        """
        loss = layers[0].new_zeros(())
        how = self.settings
        if self.words is not None:
            loss = loss + anchoring_loss(model, self.words, how, done=done, processes=processes)
        if self.in_context is not None:
            away = context_distance(layers[0], batch.ids[batch.inputs], self.in_context)
            loss = loss + how.context_weight * strength(how, done=done) * away
        if self.predicted is not None:
            loss = loss + how.softmax_weight * strength(how, done=done) * softmax_distance(model, self.predicted)
        return loss

    @torch.no_grad()
    def facts(self, model: BiLM) -> dict[str, int | float]:
        """Return what a card tells: how many pairs there were, and how near they came."""
        told: dict[str, int | float] = {}
        if self.words is not None:
            told |= {"anchored_pairs": len(self.words), "anchored_distance": _rounded(distance(model, self.words))}
        if self.in_context is not None:
            told["words_anchored_in_context"] = len(self.in_context.vectors)
        if self.predicted is not None:
            told["words_anchored_in_softmax"] = len(self.predicted.vectors)
            told["anchored_softmax_distance"] = _rounded(softmax_distance(model, self.predicted))
        return told


def context_distance(
    states: Float[Tensor, "directions steps rows width"], ids: Int[Tensor, "directions steps rows"], places: Places
) -> Float[Tensor, ""]:
    """Return how far the means of words in a text are from the anchors of their translations; see the module.

    Every word type that has a translation counts alike, however often the text has it.

    Args:
        states: Of the first recurrent layer.
        ids: Vocabulary ids of the words that were read.
        places: As wide as both directions together.
    """
    total = states.new_zeros(())
    for states_of_one, ids_of_one, wanted in zip(states, ids, places.vectors.chunk(DIRECTIONS, dim=1), strict=True):
        row = places.row[ids_of_one.flatten()]
        known = row >= 0
        sums = states.new_zeros(wanted.shape).index_add(0, row[known], states_of_one.flatten(0, 1)[known])
        counts = torch.bincount(row[known], minlength=len(wanted))
        read = counts > 0
        if read.any():
            means = sums[read] / counts[read, None]
            total = total + (means - wanted[read]).square().sum(dim=1).mean() / wanted.square().sum(dim=1).mean()
    return total / DIRECTIONS


def softmax_distance(model: BiLM, places: Places) -> Float[Tensor, ""]:
    """Return how far the softmax's vectors of words are from those of their translations; see the module."""
    assert model.softmax is not None, "a model without a softmax cannot be trained"
    known = places.row >= 0
    away = model.softmax.weight[known] - places.vectors[places.row[known]]
    return away.square().sum(dim=1).mean() / places.mean_square


def _places(
    beside: RichLanguage, known: dict[str, Tensor], vocabulary: Vocabulary, settings: AnchoringSettings
) -> Places:
    """Return where the words of a vocabulary should be, given what is known of the rich language's words."""
    row = torch.full((len(vocabulary),), -1, dtype=torch.int64)
    sums: list[Tensor] = []
    counts: list[int] = []
    for word, other in known_pairs(beside, list(known), vocabulary, settings):
        number = vocabulary.id_of(word)
        if number == UNKNOWN_ID:
            continue
        if row[number] < 0:
            row[number] = len(sums)
            sums.append(torch.zeros_like(known[other]))
            counts.append(0)
        place = int(row[number])
        sums[place], counts[place] = sums[place] + known[other], counts[place] + 1
    return Places(row, torch.stack(sums) / torch.tensor(counts)[:, None])


def _anchors(beside: RichLanguage, width: int) -> dict[str, Tensor]:
    if beside.anchors is None:
        raise TrainingError(
            "anchoring.context_weight: found above 0, and no anchors of the rich language. Expected those of its first "
            "recurrent layer. Gather them with `isogloss anchors` and name them, or set the weight to 0."
        )
    found = {word: vector.float() for word, vector in beside.anchors.items()}
    wide = next((len(vector) for vector in found.values()), DIRECTIONS * width)
    if wide != DIRECTIONS * width:
        raise TrainingError(
            f"Anchors of {beside.model.language!r}: {wide} wide. Expected {DIRECTIONS * width}, both directions of the "
            f"new model. Gather the anchors with the model that the new one is anchored to."
        )
    return found


def _softmax_rows(beside: RichLanguage) -> dict[str, Tensor]:
    softmax, words = beside.model.model.softmax, beside.model.vocabulary.words
    if softmax is None:
        raise TrainingError(
            f"anchoring.softmax_weight: the model of {beside.model.language!r} has no softmax, since it was shrunk. "
            f"Expected a model as train-lm makes it. Name that one, or set the weight to 0."
        )
    rows = softmax.weight.detach().float().cpu()
    return {word: rows[number] for number, word in enumerate(words) if number >= len(RESERVED)}


def _rounded(value: Tensor) -> float:
    return round(float(value), 4)

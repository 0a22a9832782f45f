"""Settings of the bidirectional language model and of its training."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from isogloss.compute.settings import LoopSettings
from isogloss.corpus.characters import LONGEST_WORD
from isogloss.encoders.settings import CooccurrenceSettings
from isogloss.settings import Settings

Span = Annotated[int, Field(ge=1, le=LONGEST_WORD)]


class BiLMSettings(Settings):
    """The shape of a bidirectional language model. The defaults are a small one; see `SIZES`."""

    character_width: PositiveInt = 16
    """Length of a character's vector."""
    filters: Annotated[tuple[tuple[Span, PositiveInt], ...], Field(min_length=1)] = ((1, 16), (2, 32), (3, 48), (4, 48))
    """Character filters: how many characters each spans, and how many there are of that span."""
    highways: NonNegativeInt = 1
    """Highway layers over the filters."""
    word_types: NonNegativeInt = 12_000
    """Most frequent word types (the three reserved entries counted) that have a vector of their own, added to the one
    that their characters give. Models with little text learn much faster with it (Che et al. 2018, arXiv:1807.03121).
    0 for none, as published models."""
    projection_width: PositiveInt = 128
    """Width of one direction; an encoder's vectors are twice as wide."""
    cell_width: PositiveInt = 256
    """Width of the LSTM cells."""
    layers: PositiveInt = 2
    """Recurrent layers, each with a forward and a backward LSTM."""
    cell_clip: PositiveFloat = 3.0
    """Cells are kept within ± this value."""
    projection_clip: PositiveFloat = 3.0
    """Projected states are kept within ± this value."""


class BiLMLoopSettings(LoopSettings):
    """The training loop, with defaults that suit a language model."""

    max_steps: PositiveInt = 1_000_000
    """Optimiser steps after which training stops, if the epochs are not over before."""
    evaluate_every: PositiveInt = 1000
    """Steps between two evaluations on held-out text."""
    learning_rate: PositiveFloat = 4e-3
    """Largest learning rate of Adam, reached after the warm-up. Small models on little text bear 8e-3, large ones want
    less."""
    warmup_steps: NonNegativeInt = 100
    """Steps over which the learning rate rises linearly from 0; at most a tenth of all."""
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    """What the learning rate does after the warm-up: stay, or fall to 0 at the last step."""


class AnchoringSettings(Settings):
    """How the words of a language with little text are pulled to their translations, see `anchoring.py`."""

    weight: NonNegativeFloat = Field(default=1.0, allow_inf_nan=False)
    """λ, in nats per word: what it costs to be as far from all translations as a vector of zeros. 0 pulls nothing."""
    context_weight: NonNegativeFloat = Field(default=0.0, allow_inf_nan=False)
    """The same for words in context: λ of the distance of the mean of a word's vectors in the first recurrent layer to
    the anchor of its translation there. Needs anchors of the rich language."""
    softmax_weight: NonNegativeFloat = Field(default=0.0, allow_inf_nan=False)
    """The same for the vectors of the softmax, which say what a word is likely to follow. Needs a rich model with its
    softmax, as train-lm makes it; a shrunk one has none."""
    pairs_per_step: PositiveInt = 256
    """Pairs of the dictionary drawn per step; a smaller dictionary is used whole, but in another order."""
    schedule: Literal["constant", "linear"] = "constant"
    """What λ does: stay, or fall to 0 after the last step."""
    translations: Literal["all", "first"] = "all"
    """Of a word with several translations: all of them, which is to say their mean, or the first in the dictionary."""
    start_from_model: bool = True
    """Whether characters and recurrent layers begin as those of the rich model, and the words that have no translation
    at places that their counts suggest, see `mapping/transfer.py`. Needs models of one size."""
    start_at_translations: bool = True
    """Whether a word that has a vector of its own (`model.word_types`) begins where its translation is; with
    `softmax_weight` its vector of the softmax, too."""

    @property
    def pulls(self) -> bool:
        """Whether any weight is above 0."""
        return max(self.weight, self.context_weight, self.softmax_weight) > 0


class BiLMTrainingSettings(Settings):
    """How a bidirectional language model is trained."""

    model: BiLMSettings | Literal["tiny", "small", "medium", "original"] = "small"
    """A size by name, or all its numbers."""
    epochs: PositiveInt = 1
    """Passes over the text. Training ends after these, or after `loop.max_steps`, whichever comes first."""
    rows: PositiveInt = 64
    """Streams of text read side by side: the batch size."""
    unroll: PositiveInt = 20
    """Words of each stream in one step; gradients do not reach further back (truncated backpropagation)."""
    vocabulary_size: int = Field(default=30_000, ge=4)
    """Most frequent word types that the softmax knows; all other words are one type, `<UNK>`."""
    min_count: PositiveInt = 2
    """Word types seen less often are `<UNK>` for the softmax. Their spelling is still read."""
    softmax_samples: PositiveInt = 1024
    """Word types drawn per step in place of the whole vocabulary; a smaller vocabulary is used whole."""
    dropout: NonNegativeFloat = Field(default=0.1, lt=1.0)
    """Share of the inputs of each recurrent layer, and of the last outputs, that is dropped in training."""
    start: Literal["cooccurrences", "reference", "random"] = "cooccurrences"
    """What the vectors of words (`model.word_types`) and of the softmax are before the first step: counts of which
    words stand near which, see `encoders/static.py`, or chance. In a recipe, ``reference`` starts every other language
    from the reference's trained model, see `mapping/transfer.py`; the reference itself starts from counts."""
    hold_recurrent: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of its steps for which a model that starts from another one keeps that one's recurrent layers as they are,
    and learns only its own characters, words and softmax: its words find their places in the other's space before that
    can move. 1 keeps them for good. Other models learn all from the first step."""
    cooccurrences: CooccurrenceSettings = CooccurrenceSettings()
    """How these counts are made."""
    anchoring: AnchoringSettings = AnchoringSettings()
    """For training beside the model of a rich language only: how strongly and how words are pulled to it."""
    counted_words: PositiveInt | None = None
    """Words read before the first step, for the vocabulary, the start vectors and an estimate of the number of steps.
    None: all, if the file has at most 100 MB (25 MB compressed), else 400,000."""
    held_out_every: PositiveInt = 20
    """Every so many lines one is kept out of training, to measure perplexity on (20: five per cent)."""
    held_out_sentences: PositiveInt = 1000
    """At most so many held-out sentences are used in one evaluation."""
    loop: BiLMLoopSettings = BiLMLoopSettings()
    """The training loop. `schedule = "linear"` falls to 0 at the last step."""


SIZES: dict[str, BiLMSettings] = {
    "tiny": BiLMSettings(word_types=30_000, projection_width=32, cell_width=128),
    "small": BiLMSettings(),
    "medium": BiLMSettings(
        filters=((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 256)),
        highways=2,
        word_types=30_000,
        projection_width=256,
        cell_width=1024,
    ),
    "original": BiLMSettings(
        filters=((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024)),
        highways=2,
        word_types=0,
        projection_width=512,
        cell_width=4096,
    ),
}
"""Sizes by name; `original` is the published configuration."""

"""Settings of the parser. The defaults are the published ones (Schuster et al. 2019, Table 8) where it names
one."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from isogloss.compute.settings import LoopSettings
from isogloss.settings import Settings


class ParserLoopSettings(LoopSettings):
    """The training loop, with the published defaults of the parser."""

    max_steps: PositiveInt = 40_000
    """Optimiser steps after which training stops."""
    evaluate_every: PositiveInt = 1000
    """Steps between two evaluations on development trees."""
    patience: NonNegativeInt = 10
    """Evaluations without a better score after which training stops early; 0 never stops early."""


class TuningSettings(Settings):
    """How a trained parser goes on with the few trees that another language has, see `isogloss.parsing.few_shot`."""

    passes: PositiveInt = 30
    """Times that every drawn tree is read."""
    least_steps: PositiveInt = 100
    """Fewest steps, however few the trees are."""
    learning_rate: PositiveFloat = 5e-4
    """Learning rate at the beginning; it falls to 0 at the last step."""
    dropout: float = Field(default=0.33, ge=0, lt=1)
    """Share of the parser's own states set to zero, whatever it was in the first training. A parser that learns from
    these trees alone, for comparison, has it as well, and needs it: it reads them many times."""
    share_of_others: float = Field(default=0.5, ge=0, lt=1)
    """Share of the steps that go on with the languages of the first training, so that what is learned from few trees
    does not cost what was learned from many."""


class ParserSettings(Settings):
    """What the parser sees, how large it is and how it is trained."""

    vectors: bool = True
    """Whether the parser sees the encoder's vectors. Without them it sees parts of speech only."""
    upos: Literal["gold", "none", "predicted"] = "gold"
    """Whether the parser sees universal parts of speech: as given in the input, not at all, or those of a tagger that
    it learns with, over the same vectors. With a tagger it can also take tags that are given. Published: gold and
    none."""
    layer: NonNegativeInt | Literal["mix", "all", "contextual"] = 1
    """Which layer of the encoder is used; "mix" learns a weighted sum of all layers, "all" reads them side by side, and
    "contextual" all but layer 0, which knows no context. Published: 1."""
    scale_vectors: bool = True
    """Whether each layer of the vectors is multiplied with one number so that its numbers are of size 1 on the training
    trees. Vectors of a shared space are of length 1; without this a parser learns to use them slowly (300 steps on
    English, Spanish unseen, no parts of speech: LAS 43 without, 52 with). Published: no."""
    upos_width: PositiveInt = 50
    """Length of the vector of a part of speech. Published: 50."""
    lstm_layers: PositiveInt = 3
    """Layers of the bidirectional LSTM. Published: 3."""
    hidden_width: PositiveInt = 200
    """Width of the LSTM in each direction. Published: 200."""
    arc_width: PositiveInt = 500
    """Width of the vectors that are compared for arcs. Published: 500."""
    relation_width: PositiveInt = 100
    """Width of the vectors that are compared for relations. Published: 100."""
    vector_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the encoder's numbers set to zero in training. Published: 0.3."""
    dropout: float = Field(default=0.33, ge=0, lt=1)
    """Share of the parser's own states set to zero in training, alike for all words of a sentence. Published:
    0.33, for many passes over the trees; where they are read once or twice, 0 gave 2 LAS more."""
    strip_subtypes: bool = True
    """Whether to learn relations without subtypes (``nsubj`` for ``nsubj:pass``). LAS ignores subtypes, and
    languages subdivide differently. The published treebanks have none."""
    batch_size: PositiveInt = 32
    """Sentences of a training batch on average, all of one language. Batches hold about equally many words.
    Published: 32, of any length."""
    encode_words: PositiveInt = 4000
    """Words that are encoded or parsed at a time, padding included where there is any; a longer sentence goes alone."""
    dev_sentences: PositiveInt = 1000
    """Most development sentences of a language on which the parser is scored during training, evenly
    spaced."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of products in training, and in parsing on a CPU; weights and sums stay float32. "auto" takes bfloat16 where the
    processor multiplies it in hardware: there it trains nearly twice as fast and parses faster, and about three of a
    thousand heads are others."""
    loop: ParserLoopSettings = ParserLoopSettings()
    """The training loop. Published: at most 40 epochs of 1,000 batches, patience 10, Adam as it comes, no
    clipping (we scale down gradients longer than 5, which steadies early steps and costs nothing)."""

    def layers_read(self, layers: int) -> range:
        """Return which layers the parser sees of an encoder that has so many; none where it lacks what is wanted."""
        if isinstance(self.layer, int):
            return range(self.layer, min(self.layer + 1, layers))
        return range(1 if self.layer == "contextual" else 0, layers)

    @model_validator(mode="after")
    def _sees_something(self) -> "ParserSettings":
        if not self.vectors and self.upos != "gold":
            raise ValueError(
                f'vectors = false and upos = "{self.upos}": the parser would see nothing. Expected at least one '
                'of the two. Set vectors = true or upos = "gold".'
            )
        return self

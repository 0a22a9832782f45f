"""Settings of the mapping: one class per road from one space to another, told apart by `method`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, NonNegativeInt, PositiveFloat, PositiveInt, Tag

from isogloss.settings import Settings

Normalisation = Literal["none", "unit", "centre", "unit_centre_unit", "iterative"]
"""What is done to anchors, in this order, before a rotation is sought; see `normalise`."""

Prior = Annotated[float, Field(ge=0)] | Literal["auto", "held_out"]
"""Weight of the identity beside the pairs; or how it is chosen, see `ProcrustesSettings.prior`."""

Weighting = Annotated[float, Field(ge=0, le=1)] | Literal["held_out"]
"""Exponent of directions' correlations for the look-up; or how it is chosen, see `ProcrustesSettings.weighting`."""


class ProcrustesSettings(Settings):
    """Road 1: a dictionary and a closed form, with rounds of refinement if wanted."""

    method: Literal["procrustes"] = "procrustes"
    """The name of this road."""

    normalisation: Normalisation = "unit"
    """What is done to the anchors before the rotation is sought: ``none`` (as published), ``unit`` length,
    ``centre``, ``unit_centre_unit``, or ``iterative``, which alternates the two until both hold. Centring makes the
    map move vectors as well as turn them."""

    scale: Literal["none", "mean_norm"] = "mean_norm"
    """``mean_norm`` divides all vectors by the average norm of their language's tokens, the reference's too,
    so that vectors of every language are of length 1 on average (as published); ``none`` leaves lengths
    alone."""

    too_few_pairs: Literal["error", "complete"] = "error"
    """What to do when the dictionary has fewer usable pairs than a vector has dimensions, so that many
    rotations fit equally well: ``error`` refuses, ``complete`` takes the one that changes the undetermined
    directions least."""

    refinements: NonNegativeInt = 0
    """Rounds in which mutual nearest neighbours join the dictionary and the rotation is sought again (5 in
    the paper). Which round is kept, `selection` says; no test dictionary is looked at."""

    selection: Literal["closeness", "held_out"] = "closeness"
    """Which round of refinement is kept: that whose frequent words lie closest to their neighbours (``closeness``), or
    that which best translates a tenth of the dictionary, held out from the fit for this purpose (``held_out``)."""

    refinement_types: PositiveInt = 10_000
    """Word types: only so many of the most frequent of each language may join the dictionary."""

    neighbourhood: PositiveInt = 10
    """Neighbours that CSLS looks at, K in Conneau et al. (2018)."""

    weighting: Weighting = "held_out"
    """For looking up translations only: every direction is weighted by its correlation between the languages, to this
    power. 0 leaves all alike, 0.3 translates a little better as a rule; ``held_out`` takes what helps pairs held out
    from the fit. The rotation, and all vectors that it maps, stay as they are."""

    meeting: bool = True
    """For looking up translations only, where directions are weighted: each side moves towards the other's, as far as
    the pairs demand it, which as a rule finds a few words in a hundred more; see `symmetric_weighting`."""

    weighting_prior: Annotated[float, Field(ge=0)] = 1000.0
    """Pairs: for looking up translations only, where directions are weighted and the map has a `prior`, the identity
    counts for so many beside those given, and so the more the fewer there are."""

    spelling: Annotated[float, Field(ge=0)] = 0.0
    """For looking up translations only, where directions are weighted: letter groups stand beside the vector of a word,
    of length 1, with this length; 0 is without. 0.5 finds three to ten words in a hundred more as a rule, most where
    languages are kindred; where ``weighting = "held_out"`` finds that weights and spelling do not help, both are left
    out. See `isogloss.mapping.spelling`."""

    prior: Prior = "held_out"
    """Weight of the identity beside the pairs, for models that were started from one another and so share a space
    already; 0 is plain Procrustes. ``held_out`` takes the strongest that serves pairs held out from the fit as well as
    any other does, within one standard error: the fewer the pairs, the stronger. ``auto`` sees from the fitted pairs
    whether the spaces began as one and how well they fit, which is quicker, and right for thousands of pairs."""


class AdversarialSettings(Settings):
    """Road d: without a dictionary, a map learns to deceive a discriminator; from several starts, and judged.

    The numbers of the game are those of Conneau et al. (2018), which ask for hours of a graphics card.
    """

    method: Literal["adversarial"] = "adversarial"
    """The name of this road."""

    normalisation: Normalisation = "unit_centre_unit"
    """What is done to the anchors before the game, as for Procrustes. Two clouds that are not centred differ in where
    they lie, which no rotation mends and every discriminator sees."""

    scale: Literal["none", "mean_norm"] = "mean_norm"
    """``mean_norm`` or ``none``, as for Procrustes."""

    refinements: NonNegativeInt = 5
    """Rounds of Procrustes with mutual nearest neighbours after the game (5 in the paper)."""

    refinement_types: PositiveInt = 15_000
    """Word types: only so many of the most frequent of each language may pair up in the refinement."""

    neighbourhood: PositiveInt = 10
    """Neighbours that CSLS looks at, K in Conneau et al. (2018)."""

    prior: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    """As in `ProcrustesSettings`, but ``held_out``, for the map that is kept. The game itself knows of no identity."""

    restarts: Annotated[int, Field(ge=2)] = 5
    """Games at most. It takes two that agree to believe either."""

    stop_when_sure: bool = True
    """Whether no further game is played once two agree."""

    start: Literal["identity", "principal_axes", "random"] = "identity"
    """Where the first game begins: at the ``identity``, with the ``principal_axes`` of the source turned to those of
    the target, or at a ``random`` rotation. All others begin at random rotations, or they would agree because they
    began alike."""

    epochs: PositiveInt = 5
    """Epochs of a game at most."""

    epoch_words: PositiveInt = 1_000_000
    """Source words that the map is taught with in an epoch. After it the criterion is computed."""

    patience: PositiveInt = 5
    """A game ends when the criterion has not risen for so many epochs."""

    batch_words: PositiveInt = 32
    """Words of each language in a step."""

    discriminator_types: PositiveInt = 75_000
    """Word types: words are drawn from so many of the most frequent, or from all if there are fewer."""

    vector_norm: PositiveFloat | None = None
    """Mean norm to which each language's vectors are scaled for the game by one number; None leaves them. It sets how
    fast the players learn."""

    discriminator_width: PositiveInt = 2048
    """Width of both hidden layers."""

    discriminator_steps: PositiveInt = 5
    """Steps of the discriminator for each step of the map."""

    discriminator_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the numbers of a vector that the discriminator is not shown, from 0 to 1."""

    discriminator_learning_rate: PositiveFloat = 0.1
    """Of the discriminator, throughout."""

    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    """The discriminator is taught probabilities so far from 0 and 1."""

    learning_rate: PositiveFloat = 0.1
    """Of the map, at first."""

    learning_rate_decay: Annotated[float, Field(gt=0, le=1)] = 0.98
    """Factor on the map's learning rate after every epoch."""

    learning_rate_shrink: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Further factor after an epoch whose criterion is not the best, from the second such epoch on."""

    minimum_learning_rate: PositiveFloat = 1e-6
    """A game ends when the map's learning rate falls below."""

    orthogonality: Annotated[float, Field(ge=0, lt=0.5)] = 0.001
    """b of W ← (1+b)W − b W Wᵀ W after every step. A higher learning rate needs a higher b."""

    criterion_types: PositiveInt = 10_000
    """Word types: so many of the most frequent are translated to choose the best epoch."""

    evidence_types: PositiveInt = 2_000
    """Word types: so many of the most frequent are translated to compare restarts and random rotations."""

    evidence_refinements: NonNegativeInt = 3
    """Rounds of refinement, on these words, before restarts and random rotations are compared."""

    random_rotations: PositiveInt = 3
    """Random rotations that the best restart is compared with."""

    mutual_ratio: PositiveFloat = 1.1
    """How many times as many words must be mutual neighbours as with any random rotation."""

    agreement_needed: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of these words that a second restart must translate alike, from 0 to 1. Wrong rotations seldom share a
    twentieth; where only some directions are mirrored, they share up to four in ten."""


class ParallelSettings(Settings):
    """Road f: word pairs in context from parallel sentences, and a closed form."""

    method: Literal["parallel"] = "parallel"
    """The name of this road."""

    normalisation: Normalisation = "unit"
    """What is done to each vector in context before the rotation is sought; centres are those of the anchors."""

    scale: Literal["none", "mean_norm"] = "mean_norm"
    """As in `ProcrustesSettings`."""

    too_few_pairs: Literal["error", "complete"] = "error"
    """As in `ProcrustesSettings`."""

    max_per_type: PositiveInt | None = 20
    """Occurrences: a word type with more in the kept pairs weighs as much as one with so many, so that *the* does not
    drown the rest. Without a value every pair weighs alike."""

    prior: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    """As in `ProcrustesSettings`."""

    min_confidence: float = Field(default=0.0, ge=0, le=1)
    """Links of the word aligner with less are left out; see `Link`."""

    skip_punctuation: bool = True
    """Leave out pairs of which a word has neither letter nor digit."""

    max_sentences: PositiveInt | None = None
    """Sentence pairs: only so many are read. Without a value all are."""

    batch_words: PositiveInt = 4096
    """Words of either side encoded together, padding included. Steers speed and memory, never the result."""


class SelfLearningSettings(Settings):
    """Road c: a seed of any size, or none, and a dictionary that grows from it."""

    method: Literal["self_learning"] = "self_learning"
    """The name of this road."""

    seed_pairs: Literal["dictionary", "identical", "numerals", "cognates", "neighbours", "none"] = "identical"
    """What it grows from: a ``dictionary``, however small; words spelt alike (``identical``), ``numerals`` only, or
    ``cognates``, words that differ by few letters in any script; ``neighbours``, words that are each other's nearest
    before any map, for models of which one began as the other; or ``none``: words whose distances to all others of
    their language are alike."""

    normalisation: Normalisation = "unit_centre_unit"
    """As in `ProcrustesSettings`."""

    scale: Literal["none", "mean_norm"] = "mean_norm"
    """As in `ProcrustesSettings`."""

    types: PositiveInt = 5000
    """Word types: so many of the most frequent of each language take part while neighbours are hidden, half of them in
    each of the two runs that must agree."""

    shown: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the neighbours that are shown at first. Without a value a tenth, and all of them where it grows from
    ``neighbours``, which lie near the right map from the start."""

    growth: Annotated[float, Field(gt=1)] = 2.0
    """Factor on that share whenever no gain is left."""

    patience: PositiveInt = 5
    """Rounds without a gain after which more is shown, and at last the run ends."""

    tolerance: PositiveFloat = 1e-4
    """Gain in closeness (a cosine) that counts as one."""

    neighbourhood: PositiveInt = 10
    """Neighbours that CSLS looks at."""

    runs: Annotated[int, Field(ge=2)] = 4
    """Runs at most, two by two from halves of the seed or of the words. It takes two that agree to believe either."""

    agreement_types: PositiveInt = 2000
    """Word types: the translations of so many of the most frequent are compared."""

    agreement_needed: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Share of these that two runs must translate alike."""

    final_types: PositiveInt = 10_000
    """Word types: so many of the most frequent of each language take part in the last rounds, with nothing hidden."""

    final_rounds: PositiveInt = 5
    """Rounds with these."""

    weighting: Annotated[float, Field(ge=0, le=1)] = 0.3
    """As in `ProcrustesSettings`, but ``held_out``: pairs that were found with one weight cannot judge another."""

    meeting: bool = True
    """As in `ProcrustesSettings`."""

    spelling: Annotated[float, Field(ge=0)] = 0.0
    """As in `ProcrustesSettings`; try 0.7. The runs that must agree see no spelling, but the pairs that they lead to
    are found once more with it, so the map changes too; see `isogloss.mapping.spelling_rounds`."""

    prior: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    """As in `ProcrustesSettings`, for the map that is kept. The runs that must agree know of no identity."""


class RCSLSSettings(Settings):
    """Road e: any linear map, found by the very measure by which translations are looked up."""

    method: Literal["rcsls"] = "rcsls"
    """The name of this road."""

    normalisation: Normalisation = "unit_centre_unit"
    """As in `ProcrustesSettings`."""

    scale: Literal["none", "mean_norm"] = "mean_norm"
    """As in `ProcrustesSettings`."""

    too_few_pairs: Literal["error", "complete"] = "error"
    """As in `ProcrustesSettings`, whose rotation it begins with."""

    steps: PositiveInt = 50
    """Steps of gradient descent at most. How many are taken, words held out from the dictionary decide; none, unless
    they find clearly more translations than with the rotation."""

    learning_rate: PositiveFloat = 1.0
    """Of the first step; halved whenever the loss rises."""

    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the dictionary's source words on which the number of steps is chosen."""

    neighbourhood: PositiveInt = 10
    """Neighbours in the loss, K of CSLS."""

    types: PositiveInt = 10_000
    """Word types: so many of the most frequent of each language can be neighbours."""


def _road(given: Any) -> str:
    """Name the road of settings that may come from a file; without a name it is Procrustes."""
    return given.get("method", "procrustes") if isinstance(given, dict) else getattr(given, "method", "")


MappingSettings = Annotated[
    Annotated[ProcrustesSettings, Tag("procrustes")]
    | Annotated[SelfLearningSettings, Tag("self_learning")]
    | Annotated[AdversarialSettings, Tag("adversarial")]
    | Annotated[RCSLSSettings, Tag("rcsls")],
    Discriminator(_road),
]
"""The settings of any road from anchors alone. A further road joins here and in `fit_alignment` as a ``case``."""


class MappingRecipe(Settings):
    """How languages are brought into the space of the reference."""

    dictionaries: str = ""
    """Pattern of the training dictionaries, for example `{data}/{target}-{source}.train.tsv`. `{source}` is the
    language to be mapped, `{target}` the reference; the file's columns come in the order of the two in the pattern."""
    test_dictionaries: str = ""
    """The same for dictionaries that only judge: precision@1 and @5 are told on them. May be empty."""
    pivot: str = ""
    """A language by way of which dictionaries lead, for example `en`, where there are none with the reference: all
    dictionaries, those of `corpus.XX.dictionary` too, are then with this language in place of the reference. A pair of
    words with a translation in common becomes a pair. The reference's own makes the pivot's. Empty: none."""
    method: MappingSettings = ProcrustesSettings()
    """The road and its settings. Roads that need no dictionary look for pairs in the lowest layer."""

    without_dictionary: SelfLearningSettings | AdversarialSettings = SelfLearningSettings()
    """The road of the system `aligned-no-dictionary`."""

    static: MappingSettings | None = None
    """The road of the system `static`, whose vectors have met in no language model; without it, `method`."""

    def method_of(self, system: str) -> MappingSettings:
        """Return the road that a system of parsers takes."""
        if system == "static":
            return self.static or self.method
        return self.without_dictionary if system == "aligned-no-dictionary" else self.method

    @property
    def needs_dictionary(self) -> bool:
        """Whether the road begins with a dictionary."""
        match self.method:
            case ProcrustesSettings() | RCSLSSettings():
                return True
            case SelfLearningSettings(seed_pairs=seeds):
                return seeds == "dictionary"
            case AdversarialSettings():
                return False

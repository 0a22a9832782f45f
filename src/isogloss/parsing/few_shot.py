"""Go on from a zero-shot parser with the few trees that a language has.

A zero-shot parser knows what languages have in common. Ten trees of the language itself already tell it the rest: on
which side adjectives stand, what an auxiliary looks like. Four things keep it from learning these ten by heart:

- the learning rate is low and falls to zero, and the number of steps grows with that of the trees;
- in between come batches of the languages of the first training;
- some of its states are dropped, even if none were where it learned from many trees;
- no weights are chosen by development trees. A language with ten trees has none to spare, and development trees of the
  other languages would vote for the parser that has changed least.

Receives a `Parser` and a `Treebank`, hands on another `Parser`.
"""

import math
from collections.abc import Callable, Sequence

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.loop import Step
from isogloss.compute.randomness import numpy_generator
from isogloss.corpus.treebank import Treebank
from isogloss.encoders.encoder import Encoder
from isogloss.errors import TrainingError
from isogloss.parsing.parser import Parser
from isogloss.parsing.settings import ParserLoopSettings, ParserSettings, TuningSettings
from isogloss.parsing.training import train_parser


def draw_trees(treebank: Treebank, number: int, *, seed: int, draw: int = 1) -> Treebank:
    """Draw some trees of a treebank at random, in the treebank's order.

    The trees of a smaller number are among those of a larger one, so that a learning curve grows tree by tree.

    Args:
        treebank: All trees of a language.
        number: How many.
        seed: Decides which, together with the language and `draw`.
        draw: Another number draws other trees.

    Raises:
        TrainingError: The treebank has fewer trees.
    """
    full = [index for index, sentence in enumerate(treebank) if len(sentence)]
    if number > len(full):
        raise TrainingError(
            f"Treebank {treebank.name or treebank.language}: has {len(full)} trees, and {number} are asked for. "
            f"Expected as many or more. Ask for {len(full)} at most."
        )
    shuffled = numpy_generator(seed, "few trees", treebank.language, draw).permutation(full)
    chosen = sorted(shuffled[:number].tolist())
    return Treebank(
        tuple(treebank.sentences[index] for index in chosen),
        language=treebank.language,
        split=treebank.split,
        name=treebank.name,
        licence=treebank.licence,
    )


def settings_for(settings: ParserSettings, trees: int, *, tuning: TuningSettings) -> ParserSettings:
    """Say how a parser of these settings goes on with so many trees."""
    own_steps = max(tuning.least_steps, tuning.passes * math.ceil(trees / settings.batch_size))
    steps = math.ceil(own_steps / (1 - tuning.share_of_others))
    loop = ParserLoopSettings(
        max_steps=steps,
        evaluate_every=steps,
        learning_rate=tuning.learning_rate,
        schedule="linear",
        checkpoint_seconds=settings.loop.checkpoint_seconds,
    )
    return settings.model_copy(update={"loop": loop, "dropout": tuning.dropout})


def tune_parser(
    parser: Parser,
    encoder: Encoder | None,
    trees: Treebank,
    *,
    others: Sequence[Treebank] = (),
    tuning: TuningSettings = TuningSettings(),  # noqa: B008 - frozen
    seed: int,
    on_step: Callable[[Step, int], None] = lambda step, steps: None,
    checkpoints: Checkpoints | None = None,
) -> Parser:
    """Go on from a trained parser with few trees of a language, and return the new parser.

    Args:
        parser: Stays as it is.
        encoder: Of its training, or one with more languages in the same space.
        trees: All that there are of the language, or some of them; see `draw_trees`.
        others: Treebanks of the first training, which keep the parser from forgetting them. None leaves them out.
        tuning: How long, how fast, with which dropout, and how often the others have their turn.
        seed: Decides dropout and the order of sentences.
        on_step: Called after every step with the step and their planned number.
        checkpoints: Where to save the run and to resume it from.

    Raises:
        TrainingError: A treebank is empty, or one of the others is of the same language.
    """
    if not others:
        tuning = tuning.model_copy(update={"share_of_others": 0.0})
    settings = settings_for(parser.settings, len(trees), tuning=tuning)
    turns = {trees.language: 1 - tuning.share_of_others}
    turns |= {other.language: tuning.share_of_others / len(others) for other in others}
    return train_parser(
        encoder,
        [trees, *others],
        settings=settings,
        seed=seed,
        start=parser,
        turns=turns,
        on_step=lambda step: on_step(step, settings.loop.max_steps),
        checkpoints=checkpoints,
    )

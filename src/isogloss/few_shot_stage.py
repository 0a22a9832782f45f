"""The stages of a learning curve: a parser goes on with few trees of a language, or learns from these alone."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isogloss.recipe import LanguageCorpus
from isogloss.stages import Pace, SpacePlan, load_space, treebank_of


def make_tuned_parser(
    draft: Path,
    *,
    space: SpacePlan | None,
    start: Path,
    few: LanguageCorpus,
    language: str,
    trees: int,
    draw: int,
    others: Mapping[str, LanguageCorpus],
    tuning: Any,
    seed: int,
    checkpoints: Path,
    key: str,
) -> None:
    """Go on from a zero-shot parser with few trees of a language."""
    from isogloss.compute.checkpoints import Checkpoints
    from isogloss.parsing.few_shot import draw_trees, settings_for, tune_parser
    from isogloss.parsing.parser import Parser

    parser = Parser.load(start)
    settings = settings_for(parser.settings, trees, tuning=tuning)
    # As many trees of each other language as may have their turn, and no more: all must be encoded.
    enough = math.ceil(settings.loop.max_steps * settings.batch_size / max(1, len(others)))
    beside = []
    for other, corpus in others.items() if tuning.share_of_others else ():
        treebank = treebank_of(corpus, other, "train")
        beside.append(draw_trees(treebank, min(enough, sum(map(bool, treebank))), seed=seed))
    pace = Pace()
    tuned = tune_parser(
        parser,
        load_space(space) if space is not None else None,
        draw_trees(treebank_of(few, language, "train"), trees, seed=seed, draw=draw),
        others=beside,
        tuning=tuning,
        seed=seed,
        checkpoints=Checkpoints(checkpoints, fingerprint=key),
        on_step=lambda step, steps: pace(step, steps, unit="sentences", per_step=settings.batch_size),
    )
    tuned.save(draft)


def make_parser_of_few(
    draft: Path,
    *,
    space: SpacePlan,
    few: LanguageCorpus,
    language: str,
    trees: int,
    draw: int,
    settings: Any,
    seed: int,
    checkpoints: Path,
    key: str,
) -> None:
    """Train a parser from few trees and nothing else; no development trees choose its weights, either."""
    from isogloss.compute.checkpoints import Checkpoints
    from isogloss.parsing.few_shot import draw_trees
    from isogloss.parsing.training import train_parser

    pace = Pace()
    parser = train_parser(
        load_space(space),
        [draw_trees(treebank_of(few, language, "train"), trees, seed=seed, draw=draw)],
        settings=settings,
        seed=seed,
        checkpoints=Checkpoints(checkpoints, fingerprint=key),
        on_step=lambda step: pace(step, settings.loop.max_steps, unit="sentences", per_step=settings.batch_size),
    )
    parser.save(draft)

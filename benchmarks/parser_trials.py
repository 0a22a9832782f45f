"""Parsers of a run, trained otherwise, alone and together: ``python -m benchmarks.parser_trials RECIPE RUN LABEL …``.

RUN is the folder of a finished run of RECIPE, and a LABEL one of its parsers, such as ``aligned-gold-fr``. The parser
is trained anew from the run's own vectors and maps, once with each of the ``--seeds``, and with other ``--steps`` or
``--turns`` if these are given. Printed is what each makes of the test sets, their mean ± standard deviation, and what
all of them make together (*ensemble*): the tree whose heads have the greatest product of mean probabilities, and the
relation of the greatest mean probability. A run with another ``seed`` would make static vectors and searches anew as
well; here nothing but the parser differs.

Nothing in the run is changed. With ``--keep FOLDER`` parsers are kept there, and those that are there already are not
trained again.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from isogloss.compute.loop import Step
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.parsing.attachment import attachment_scores
from isogloss.parsing.features import extract_features, work_units
from isogloss.parsing.parser import Parser
from isogloss.parsing.training import train_parser
from isogloss.parsing.trees import decode_trees
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe
from isogloss.stage import Stage
from isogloss.stages import load_space, treebank_of

STEPS_BETWEEN_REPORTS = 100

Arguments = Mapping[str, Any]
"""What a stage of the run is called with."""


@torch.no_grad()
def parse_together(parsers: Sequence[Parser], sentences: Sequence[Sentence], encoder: Encoder | None) -> list[Sentence]:
    """Put the tree on every sentence that several parsers find together.

    Args:
        parsers: Of the same settings and relations, without taggers.
        sentences: Each with at least one word.
        encoder: Of their training.
    """
    first = parsers[0]
    assert all(one.relations == first.relations and not one.tagger for one in parsers), "alike, and without taggers"
    parsed = list(sentences)
    for unit in work_units(sentences, words=first.settings.encode_words):
        some = [sentences[index] for index in unit]
        inputs = extract_features(some, encoder, settings=first.settings).batch(range(len(some)))
        states = [one.network.eval()(inputs) for one in parsers]
        pairs = list(zip(parsers, states, strict=True))
        shares = torch.stack([one.network.arc_scores(read).softmax(dim=-1) for one, read in pairs]).mean(dim=0)
        heads = decode_trees(shares.log(), inputs.lengths)
        relations = torch.stack([one.network.relation_scores(read, heads).softmax(dim=-1) for one, read in pairs])
        scores = relations.mean(dim=0)  # batch words relations
        for row, (index, length) in enumerate(zip(unit, inputs.lengths.tolist(), strict=True)):
            own = heads[row, :length]
            parsed[index] = parsed[index].with_tree(own.tolist(), first.labels(own, scores[row, :length]))
    return parsed


def trained(
    arguments: Arguments, *, label: str, seed: int, steps: int | None, turns: Mapping[str, float], keep: Path | None
) -> Parser:
    """Train a parser as a stage of the run would, but for what is asked for; or take one that was kept."""
    told = "-".join(f"{language}{often:g}" for language, often in turns.items())
    name = "-".join(filter(None, [label, f"seed{seed}", steps and f"steps{steps}", told]))
    if keep is not None and (keep / name).is_dir():
        return Parser.load(keep / name)
    settings, banks = arguments["settings"], arguments["train"].items()
    if steps is not None:
        settings = settings.model_copy(update={"loop": settings.loop.model_copy(update={"max_steps": steps})})

    def tell(step: Step) -> None:
        if step.number % STEPS_BETWEEN_REPORTS == 0:
            print(f"{name}: step {step.number} of {settings.loop.max_steps}", file=sys.stderr, flush=True)

    parser = train_parser(
        load_space(arguments["space"]) if arguments["space"] is not None else None,
        [treebank_of(corpus, language, "train") for language, corpus in banks],
        dev=[treebank_of(corpus, language, "dev") for language, corpus in banks],
        settings=settings,
        seed=seed,
        turns={language: turns.get(language, 1.0) for language, _ in banks} if turns else None,
        on_step=tell,
    )
    if keep is not None:
        parser.save(keep / name)
    return parser


def scored(parsers: Sequence[Parser], arguments: Arguments) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield, for each test set, LAS and UAS in per cent of each parser, and of all together if they are several."""
    encoder = load_space(arguments["space"]) if arguments["space"] is not None else None
    for language, corpus in arguments["test"].items():
        for split in arguments["splits"]:
            if split not in corpus.treebank:
                continue
            gold = [sentence for sentence in treebank_of(corpus, language, split) if len(sentence)]
            found = [one.parse(gold, encoder, tags="given") for one in parsers]
            if len(parsers) > 1:
                found.append(parse_together(parsers, gold, encoder))
            scores = [attachment_scores(gold, trees) for trees in found]
            yield f"{language} {split}", [(100 * one.las, 100 * one.uas) for one in scores]


def told(name: str, scores: Sequence[tuple[float, float]], *, seeds: int) -> str:
    """Return a line of what was found: each seed, their mean, and the ensemble."""
    line = f"{name}: " + ", ".join(f"{las:.2f} / {uas:.2f}" for las, uas in scores[:seeds])
    if seeds > 1:
        las, uas = (list(values) for values in zip(*scores[:seeds], strict=True))
        line += f"; mean {statistics.fmean(las):.2f} ± {statistics.stdev(las):.2f} / {statistics.fmean(uas):.2f}"
        line += f"; ensemble {scores[seeds][0]:.2f} / {scores[seeds][1]:.2f}"
    return line


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("run", type=Path, help="folder of its finished run")
    parser.add_argument("labels", nargs="+", metavar="label", help="parsers of the run, such as aligned-gold-fr")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, help="in place of the recipe's")
    parser.add_argument("--turns", nargs="+", default=[], help="such as es=3 it=3: how often, where others have 1")
    parser.add_argument("--keep", type=Path, help="folder for the parsers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    turns = {language: float(often) for language, _, often in (one.partition("=") for one in options.turns)}
    planned: dict[str, Stage] = {
        stage.name: stage for stage in plan_stages(load_recipe(options.recipe), options.run.absolute())
    }
    print(f"LAS / UAS by seed ({', '.join(map(str, options.seeds))})", flush=True)
    for label in options.labels:
        if f"parsing/{label}" not in planned:
            sys.exit(f"{label}: no parser of this recipe")
        given = {"steps": options.steps, "turns": turns, "keep": options.keep, "label": label}
        parsers = [trained(planned[f"parsing/{label}"].arguments, seed=seed, **given) for seed in options.seeds]
        for name, scores in scored(parsers, planned[f"parsed/{label}"].arguments):
            print(told(f"{label}, {name}", scores, seeds=len(parsers)), flush=True)


if __name__ == "__main__":
    main()

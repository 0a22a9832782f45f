"""Which parsers a recipe needs, what each of them reads, and what it is tested on."""

import logging
from collections.abc import Iterator

from isogloss import stages as work
from isogloss.plan_contents import content_of
from isogloss.planner import TESTED, Planner
from isogloss.recipe import ALIGNED
from isogloss.stage import Stage
from isogloss.stages import ENDINGS, SpacePlan

log = logging.getLogger(__name__)


def add_parsers(planner: Planner) -> None:
    """Plan the parsers of all systems; the stages of their languages are planned already."""
    for system, pos, trained_on, tested_on in _parsers(planner):
        _add_parser(planner, system, pos, trained_on, tested_on)


def _parsers(planner: Planner) -> Iterator[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """Yield system, POS, languages to train on and languages to test on of every parser."""
    parsing = planner.recipe.parsing
    for system in parsing.systems:
        for pos in ("gold",) if system == "pos-only" else parsing.pos:
            tested = parsing.fewer.get(f"{system}-{pos}", parsing.fewer.get(system, parsing.test_on))
            if not tested:
                continue
            if system != "supervised" and not parsing.leave_one_out:
                yield system, pos, parsing.train_on, tested
            for language in tested if system == "supervised" or parsing.leave_one_out else ():
                if system != "supervised":
                    yield system, pos, tuple(one for one in parsing.train_on if one != language), (language,)
                elif {"train", "dev"} <= set(planner.corpora[language].treebank):
                    yield system, pos, (language,), (language,)
                else:
                    log.warning("%s has no train and dev treebank: no supervised parser of it.", language)


def _add_parser(
    planner: Planner, system: str, pos: str, trained_on: tuple[str, ...], tested_on: tuple[str, ...]
) -> None:
    """Plan the training of one parser, and the parsing and scoring with it."""
    recipe = planner.recipe
    of_one = system == "supervised" or recipe.parsing.leave_one_out
    label = f"{system}-{pos}" + (f"-{tested_on[0]}" if of_one else "")
    settings = recipe.parsing.parser.model_copy(update={"vectors": system != "pos-only", "upos": pos})
    if system == "static":
        settings = settings.model_copy(update={"layer": 0})
    space, needed = _space(planner, system, trained_on)
    stage = Stage(
        name=f"parsing/{label}",
        kind="parser",
        make=work.make_parser,
        settings={
            "system": system,
            "trained_on": {language: planner.corpora[language].max_trees for language in trained_on},
            "parser": content_of(settings),
            "seed": recipe.seed,
            "threads": recipe.compute.threads,
        },
        inputs=planner.inputs_of(*needed) | planner.trees(trained_on, ("train", "dev")),
        after=(*needed, *planner.after_corpus),
        licences=planner.licences(*trained_on),
        seed=recipe.seed,
    )
    planner.add(
        stage,
        space=space,
        train={language: planner.corpora[language] for language in trained_on},
        settings=settings,
        seed=recipe.seed,
        **planner.resumable(stage),
    )
    space, needed = _space(planner, system, tested_on, ending=TESTED)
    splits = recipe.parsing.test_splits
    planner.add(
        Stage(
            name=f"parsed/{label}",
            kind="parsed",
            make=work.make_parsed,
            settings={"system": system, "pos": pos, "tested_on": list(tested_on), "splits": list(splits)},
            inputs=planner.inputs_of(stage.name, *needed) | planner.trees(tested_on, splits),
            after=(stage.name, *needed),
            seed=recipe.seed,
        ),
        space=space,
        parser=planner.folder / stage.name,
        test={language: planner.corpora[language] for language in tested_on},
        splits=splits,
        system=system,
        pos=pos,
        seed=recipe.seed,
        unseen=[language for language in tested_on if language not in trained_on],
    )


def _space(
    planner: Planner, system: str, languages: tuple[str, ...], *, ending: str = ""
) -> tuple[SpacePlan | None, tuple[str, ...]]:
    """Return what a parser of some languages reads, and the stages that make it.

    Vectors of their trees stand in folders with the `ending`; the reference's encoder itself will do where it lends
    its space only.
    """
    if system == "pos-only":
        return None, ()
    reference = planner.recipe.reference
    aligned = system in ALIGNED
    members = tuple(dict.fromkeys((reference, *languages))) if aligned else languages
    mapped = tuple(language for language in members if aligned and language != reference)
    vectors, road = ENDINGS.get(system, ("lexicon", ""))
    in_context = () if system in ("static", "anchors-only") else members
    needed = [f"{vectors}/{language}" for language in members]
    encoders = {
        language: f"vectors/{language}{ending}" if language in languages else f"encoders/{language}"
        for language in in_context
    }
    needed += [*encoders.values(), *(f"mapping/{language}{road}" for language in mapped)]
    plan = SpacePlan(
        system=system,
        reference=reference,
        anchors={language: planner.folder / vectors / language for language in members},
        encoders={language: planner.folder / name for language, name in encoders.items()},
        alignments={language: planner.folder / "mapping" / f"{language}{road}" for language in mapped},
    )
    return plan, tuple(needed)

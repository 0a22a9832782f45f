"""Which parsers a recipe needs, what each of them reads, and what it is tested on."""

import logging
from collections.abc import Iterator
from itertools import product

from isogloss import few_shot_stage as few_shot
from isogloss import stages as work
from isogloss.auxiliaries_stage import AUXILIARIES, WORDS, make_auxiliaries
from isogloss.parsing.settings import ParserSettings, TuningSettings
from isogloss.plan_contents import content_of, limits_of
from isogloss.planner import TESTED, Planner
from isogloss.recipe import ALIGNED, FewShotRecipe
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
    for system, pos in parsing.rows:
        tested = parsing.tested_on(system, pos)
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
    settings = _settings(planner, system, pos)
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
        }
        # Weights are chosen by trees with tags that characters allow, which was not always so.
        | ({"tags": "allowed by characters"} if settings.upos == "predicted" else {})
        | ({"scale": space.scale} if space is not None and system in ALIGNED and not space.alignments else {}),
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
    unseen = tuple(language for language in tested_on if language not in trained_on)
    _add_parsed(planner, label, system, pos, tested_on, unseen=unseen)
    few = recipe.parsing.few_shot
    if few is not None and f"{system}-{pos}" in few.parsers:
        for language in (language for language in few.languages if language in unseen):
            _add_learning_curve(planner, label, system, pos, trained_on, language, few)


def _add_learning_curve(
    planner: Planner,
    start: str,
    system: str,
    pos: str,
    trained_on: tuple[str, ...],
    language: str,
    few: FewShotRecipe,
) -> None:
    """Plan to go on from a zero-shot parser with more and more trees of a language, and to do without that parser."""
    for trees, draw in product(few.trees, range(1, few.draws + 1)):
        drawn = f"{pos}-{language}-{trees}trees" + (f"-draw{draw}" if draw > 1 else "")
        tuned, alone = f"{system}-{drawn}", f"supervised-{drawn}"
        _add_tuned_parser(planner, tuned, start, system, trained_on, language, trees, draw, few.tuning)
        _add_parsed(planner, tuned, system, pos, (language,), trees=trees, draw=draw)
        # Whichever system the parsers of a curve read, what they are compared with is the same.
        if few.from_scratch and planner.recipe.needs_encoders and f"parsing/{alone}" not in planner.stages:
            _add_parser_of_few(planner, alone, pos, language, trees, draw, few.tuning)
            _add_parsed(planner, alone, "supervised", pos, (language,), trees=trees, draw=draw)


def _add_tuned_parser(
    planner: Planner,
    label: str,
    start: str,
    system: str,
    trained_on: tuple[str, ...],
    language: str,
    trees: int,
    draw: int,
    tuning: TuningSettings,
) -> None:
    """Plan to go on from a zero-shot parser with few trees of a language."""
    recipe = planner.recipe
    others = trained_on if tuning.share_of_others else ()
    space, needed = _space(planner, system, (*others, language), live=(language,))
    stage = Stage(
        name=f"parsing/{label}",
        kind="parser",
        make=few_shot.make_tuned_parser,
        settings={
            "language": language,
            "trees": trees,
            "draw": draw,
            "of": planner.corpora[language].max_trees,
            "others": {other: planner.corpora[other].max_trees for other in others},
            "tuning": content_of(tuning),
            "seed": recipe.seed,
            "threads": recipe.compute.threads,
        },
        inputs=planner.inputs_of(f"parsing/{start}", *needed) | planner.trees((*others, language), ("train",)),
        after=(f"parsing/{start}", *needed),
        licences=planner.licences(*trained_on, language),
        seed=recipe.seed,
    )
    planner.add(
        stage,
        space=space,
        start=planner.folder / "parsing" / start,
        few=planner.corpora[language],
        language=language,
        trees=trees,
        draw=draw,
        others={other: planner.corpora[other] for other in others},
        tuning=tuning,
        seed=recipe.seed,
        **planner.resumable(stage),
    )


def _add_parser_of_few(
    planner: Planner, label: str, pos: str, language: str, trees: int, draw: int, tuning: TuningSettings
) -> None:
    """Plan to train a parser from few trees of a language and nothing else."""
    recipe = planner.recipe
    settings = _settings(planner, "supervised", pos).model_copy(update={"dropout": tuning.dropout})
    space, needed = _space(planner, "supervised", (language,), live=(language,))
    stage = Stage(
        name=f"parsing/{label}",
        kind="parser",
        make=few_shot.make_parser_of_few,
        settings={
            "language": language,
            "trees": trees,
            "draw": draw,
            "of": planner.corpora[language].max_trees,
            "parser": content_of(settings),
            "seed": recipe.seed,
            "threads": recipe.compute.threads,
        },
        inputs=planner.inputs_of(*needed) | planner.trees((language,), ("train",)),
        after=needed,
        licences=planner.licences(language),
        seed=recipe.seed,
    )
    planner.add(
        stage,
        space=space,
        few=planner.corpora[language],
        language=language,
        trees=trees,
        draw=draw,
        settings=settings,
        seed=recipe.seed,
        **planner.resumable(stage),
    )


def _add_parsed(
    planner: Planner,
    label: str,
    system: str,
    pos: str,
    tested_on: tuple[str, ...],
    *,
    unseen: tuple[str, ...] = (),
    trees: int | None = None,
    draw: int = 1,
) -> None:
    """Plan to parse test sets with a parser, and to score the trees."""
    space, needed = _space(planner, system, tested_on, ending=TESTED)
    splits = planner.recipe.parsing.test_splits
    few = {} if trees is None else {"trees": trees, "draw": draw}
    known = _add_auxiliaries(planner, label, system, pos, unseen)
    needed = (*needed, *known.values())
    planner.add(
        Stage(
            name=f"parsed/{label}",
            kind="parsed",
            make=work.make_parsed,
            settings={"system": system, "pos": pos, "tested_on": list(tested_on), "splits": list(splits)} | few,
            inputs=planner.inputs_of(f"parsing/{label}", *needed) | planner.trees(tested_on, splits),
            after=(f"parsing/{label}", *needed),
            seed=planner.recipe.seed,
        ),
        space=space,
        parser=planner.folder / "parsing" / label,
        test={language: planner.corpora[language] for language in tested_on},
        splits=splits,
        system=system,
        pos=pos,
        seed=planner.recipe.seed,
        unseen=list(unseen),
        auxiliaries={language: planner.folder / name / WORDS for language, name in known.items()},
        **few,
    )


def _add_auxiliaries(planner: Planner, label: str, system: str, pos: str, unseen: tuple[str, ...]) -> dict[str, str]:
    """Plan to find the auxiliaries of languages whose trees a tagger never saw; return the stages by language."""
    if pos != "predicted" or system not in ALIGNED:
        return {}
    stages: dict[str, str] = {}
    for language in unseen:
        corpus = planner.corpora[language]
        if corpus.text is None:
            continue
        space, needed = _space(planner, system, (language,), live=(language,))
        # By the parser's system and tags, not by its label: one that was trained for one language is that language's.
        name = f"{AUXILIARIES}/{system}-{pos}-{language}"
        stages[language] = name
        planner.add(
            Stage(
                name=name,
                kind="auxiliaries",
                make=make_auxiliaries,
                settings=limits_of(corpus, language),
                inputs=planner.inputs_of(f"parsing/{label}", *needed) | {"text": planner.content(corpus.text)},
                after=(f"parsing/{label}", *needed, *planner.after_corpus),
                seed=planner.recipe.seed,
            ),
            space=space,
            parser=planner.folder / "parsing" / label,
            corpus=corpus,
            language=language,
        )
    return stages


def _settings(planner: Planner, system: str, pos: str) -> ParserSettings:
    """Return the settings of one system's parser with one kind of tags."""
    settings = planner.recipe.parsing.parser.model_copy(update={"vectors": system != "pos-only", "upos": pos})
    return settings.model_copy(update={"layer": 0}) if system == "static" else settings


def _space(
    planner: Planner, system: str, languages: tuple[str, ...], *, ending: str = "", live: tuple[str, ...] = ()
) -> tuple[SpacePlan | None, tuple[str, ...]]:
    """Return what a parser of some languages reads, and the stages that make it.

    Vectors of their trees stand in folders with the `ending`; the reference's encoder itself will do where it lends
    its space only, and so it does for the `live` languages, of which few trees are read.
    """
    if system == "pos-only":
        return None, ()
    reference = planner.recipe.reference
    aligned = system in ALIGNED
    members = tuple(dict.fromkeys((reference, *languages))) if aligned else languages
    mapped = tuple(language for language in members if aligned and language != reference)
    vectors, road = ENDINGS.get(system, ("lexicon", ""))
    in_context = () if system in ("static", "anchors-only") else members
    names = {language: planner.recipe.name_in(system, language) for language in members}
    needed = [f"{vectors}/{name}" for name in names.values()]
    encoders = {
        language: f"vectors/{names[language]}{ending}"
        if language in languages and language not in live
        else f"encoders/{names[language]}"
        for language in in_context
    }
    needed += [*encoders.values(), *(f"mapping/{names[language]}{road}" for language in mapped)]
    plan = SpacePlan(
        system=system,
        reference=reference,
        anchors={language: planner.folder / vectors / name for language, name in names.items()},
        encoders={language: planner.folder / name for language, name in encoders.items()},
        alignments={language: planner.folder / "mapping" / f"{names[language]}{road}" for language in mapped},
        scale=planner.recipe.mapping.method_of(system).scale,
    )
    return plan, tuple(needed)

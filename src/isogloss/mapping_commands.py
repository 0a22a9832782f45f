"""The command that aligns two languages, by every road, as a function of paths and plain values."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from isogloss.alignment_folders import may_have_gathered
from isogloss.artifacts import Manifest, build_artifact, check_place
from isogloss.commands import checked, hash_of_text, readable, sound_model
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event, Task, run_tasks
from isogloss.errors import RecipeError
from isogloss.lexicon_commands import OnEvent, key_of_anchors, model_of_anchors
from isogloss.mapping_stage import LOWEST_LAYER, Contexts, make_alignments
from isogloss.sense_commands import both_hold_senses, settings_on_senses
from isogloss.stage import FORMATS
from isogloss.stages import language_of_model

Method = Literal["procrustes", "rcsls", "self-learning", "adversarial", "parallel"]
"""The roads, as the command line calls them."""

log = logging.getLogger(__name__)


def _silent(event: Event) -> None:
    """Hear nothing."""


def align(
    source: Path,
    target: Path,
    out: Path,
    *,
    dictionary: Path | None = None,
    test: Path | None = None,
    turned: bool = False,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    guide: int | str | tuple[Path, Path] | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
    parallel: Path | None = None,
    models: tuple[Path, Path] | None = None,
    texts: tuple[Path, Path] | None = None,
    seed: int = 1,
    threads: int = 1,
    on_event: OnEvent = _silent,
) -> list[dict[str, Any]]:
    """Align two languages in every layer.

    Where both anchors are of senses, words of several senses are aligned sense by sense; see `fit_sense_alignment`.

    Args:
        source: Anchors of the language to be mapped: a folder of ours, a published folder, or word vectors as text.
        target: Anchors of the reference.
        out: Folder to write.
        dictionary: Lines with a word of the source, a tab, and a word of the target.
        test: A dictionary that only judges.
        turned: The first column of dictionaries and parallel text is the target's.
        method: One of `Method`. By default procrustes with a dictionary, parallel with parallel text, and else
            self-learning, from the first of these of which there are enough: words spelt alike, kindred words, nothing.
        options: Settings of the road, by name; None leaves the default. On senses also those of
            `SenseAlignmentSettings`.
        guide: See `make_alignments`. Searches without a dictionary use the lowest layer unless told otherwise; ``own``
            lets every layer search by itself.
        source_language: Needed where the anchors do not name it.
        target_language: Likewise.
        parallel: Lines of a sentence, a tab, and its translation.
        models: Language models of source and target, for parallel text and for an adversarial game in context.
        texts: Raw text of both, for an adversarial game in context.
        seed: Every random choice follows from it.
        threads: Of the search.
        on_event: Receives progress.

    Returns:
        One row per layer: how it was found and, with `test`, precision@1, @5 and @10.

    Raises:
        NoAlignmentFound: A search without a dictionary came to nothing that can be believed.
        AlignmentError: The anchors do not fit together, or the dictionary does not suffice.
        RecipeError: An option is wrong, or would change nothing, or one is missing that the road needs.
        DataError: A file is not what it should be.
        OutputError: The folder cannot be written.
    """
    from isogloss.lexicon.anchor_sources import open_anchors
    from isogloss.lexicon.dictionary import read_dictionary

    given = {name: value for name, value in (options or {}).items() if value is not None}
    chooses_seed = method is None and dictionary is None and parallel is None and "seed_pairs" not in given
    method = method or ("procrustes" if dictionary else "parallel" if parallel else "self-learning")
    if method == "self-learning" and dictionary is not None:
        given = {"seed_pairs": "dictionary"} | given
    on_senses = both_hold_senses(source, target)
    if on_senses:
        settings = settings_on_senses(method, given, dictionary=dictionary, guided=guide is not None)
    else:
        settings = _settings(method, given)
    guide = _guide(method, guide)
    _refuse_idle(method, settings.procrustes if on_senses else settings, given, guided=guide is not None)
    contexts = _contexts(method, parallel=parallel, models=models, texts=texts, turned=turned)
    _refuse_unused(method, settings, dictionary=dictionary, test=test, turned=turned, models=models, texts=texts)
    place = Path(out).absolute()
    check_place(place, "alignments")
    if guide is None and method in ("self-learning", "adversarial"):
        guide = LOWEST_LAYER
    keys = {"source_key": key_of_anchors(source), "target_key": key_of_anchors(target)}
    gathered_by = {"source_model": model_of_anchors(source), "target_model": model_of_anchors(target)}
    inputs = {"source_anchors": keys["source_key"], "target_anchors": keys["target_key"]}
    for name, path in (("dictionary", dictionary), ("test_dictionary", test)):
        if path is not None:
            read_dictionary(path, source="source", target="target")  # refuses what is no dictionary
            inputs[name] = hash_of_text(path)
    if parallel is not None:
        inputs["parallel"] = hash_of_text(readable(parallel))
    for name, folder in zip(("source_model", "target_model"), models or (), strict=False):
        inputs[name] = sound_model(folder).key
    for name, path in zip(("source_text", "target_text"), texts or (), strict=False):
        inputs[name] = hash_of_text(readable(path))
    if isinstance(guide, tuple):
        inputs |= {"source_guide": key_of_anchors(guide[0]), "target_guide": key_of_anchors(guide[1])}
    ours, theirs = open_anchors(source, language=source_language), open_anchors(target, language=target_language)
    if models is not None:
        languages = ours[0].language, theirs[0].language
        _check_models(models, languages, (gathered_by["source_model"], gathered_by["target_model"]))
    if chooses_seed:
        settings = settings.model_copy(update={"seed_pairs": _seed_that_is_there(ours[0], theirs[0])})
    arguments = {
        "source": ours[0].language,
        "target": theirs[0].language,
        "opened": (ours, theirs),
        "source_anchors": Path(source),
        "target_anchors": Path(target),
        "dictionary": dictionary,
        "reversed_columns": turned,
        "test_dictionary": test,
        "settings": settings,
        "guide": None if guide == "own" else guide,
        "contexts": contexts,
        "keys": keys | {name: key for name, key in gathered_by.items() if key is not None},
        "seed": seed,
    }
    content = {"reversed_columns": turned, "method": settings.model_dump(mode="json"), "seed": seed}
    content["guide"] = "vectors" if isinstance(guide, tuple) else guide
    made: list[Manifest] = []
    threads = checked(ComputeSettings, threads=threads).threads

    def build() -> None:
        made.append(
            build_artifact(
                place,
                "alignments",
                lambda draft: make_alignments(draft, **arguments),
                format=FORMATS["alignments"],
                settings=content,
                inputs=inputs,
            )
        )

    on_event({"event": "run", "recipe": place.name, "stages": [place.name], "kept": []})
    run_tasks([Task(place.name, build)], workers=0, threads=threads, on_event=on_event)
    return made[0].content["precision"]


def _settings(method: str, options: Mapping[str, Any]) -> Any:
    """Make the settings of a road from what was asked for."""
    from isogloss.mapping import settings as roads

    kinds = {
        "procrustes": roads.ProcrustesSettings,
        "rcsls": roads.RCSLSSettings,
        "self-learning": roads.SelfLearningSettings,
        "adversarial": roads.AdversarialSettings,
        "parallel": roads.ParallelSettings,
    }
    assert set(kinds) == set(get_args(Method)), "one class for each road"
    if method not in kinds:
        raise RecipeError(f"--method: found {method!r}. Expected one of {', '.join(kinds)}. Choose one.")
    kind = kinds[method]
    foreign = [name for name in options if name not in kind.model_fields]
    if foreign:
        known = sorted(set(kind.model_fields) - {"method"})
        typed = "few-pairs" if foreign[0] == "too_few_pairs" else foreign[0]
        raise RecipeError(
            f"{typed}: {method} has no such setting. Expected one of {', '.join(known)}. "
            "Leave it out, or choose another method."
        )
    return checked(kind, **options)


def _guide(method: str, guide: int | str | tuple[Path, Path] | None) -> int | str | tuple[Path, Path] | None:
    """Check what was said of a guide."""
    if guide is None:
        return guide
    if method in ("rcsls", "parallel"):
        raise RecipeError(f"--guide: {method} seeks no pairs. Expected none. Leave it out, or choose another method.")
    if guide == "own" and method == "procrustes":
        raise RecipeError(
            "--guide: found own, but procrustes finds every layer by itself anyway, unless another is its guide. "
            "Expected a layer's number or lowest. Leave it out, or choose another method."
        )
    if isinstance(guide, int | tuple) or guide in (LOWEST_LAYER, "own"):
        return guide
    try:
        return int(guide)
    except ValueError:
        raise RecipeError(
            f"--guide: found {guide!r}. Expected a layer's number, {LOWEST_LAYER} or own. Change it."
        ) from None


def _contexts(
    method: str,
    *,
    parallel: Path | None,
    models: tuple[Path, Path] | None,
    texts: tuple[Path, Path] | None,
    turned: bool,
) -> Contexts | None:
    """Gather what roads in context need, and say what is missing."""
    if method == "parallel" and (parallel is None or models is None):
        raise RecipeError(
            f"--method parallel: found no {'parallel text' if parallel is None else 'language models'}. It finds words "
            "in context in translated sentences. Give --parallel, --source-model and --target-model."
        )
    if texts is not None and models is None:
        raise RecipeError(
            "--source-text: found no language models. Tokens in context come from a model. Give --source-model and "
            "--target-model."
        )
    if method != "parallel" and parallel is not None:
        raise RecipeError(f"--parallel: {method} does not read it. Leave it out, or choose --method parallel.")
    if models is None:
        return None
    return Contexts(models, parallel=parallel, reversed_columns=turned, texts=texts)


def _check_models(
    models: tuple[Path, Path], languages: tuple[str, str], gathered_by: tuple[str | None, str | None]
) -> None:
    """Refuse models of other languages than the anchors', and warn of models that did not gather them."""
    for side, model, language, key in zip(("source", "target"), models, languages, gathered_by, strict=True):
        found = language_of_model(model)
        if found != language:
            raise RecipeError(
                f"--{side}-model: {model} is a model of {found!r}, but the {side} anchors are of {language!r}. "
                f"Expected the model that gathered them. Name it, or give the anchors of {found!r}."
            )
        if not may_have_gathered(model, key):
            log.warning(
                "--%s-model: the %s anchors were gathered by another model than %s. Expected this one: to another, "
                "numbers mean something else. Name that model, or gather anchors with this one.",
                side,
                side,
                model,
            )


def _refuse_unused(
    method: str,
    settings: Any,
    *,
    dictionary: Path | None,
    test: Path | None,
    turned: bool,
    models: tuple[Path, Path] | None,
    texts: tuple[Path, Path] | None,
) -> None:
    """Refuse what the road would not look at, rather than pass it over."""
    seed_pairs = getattr(settings, "seed_pairs", None)
    if dictionary is not None and (method in ("adversarial", "parallel") or seed_pairs not in (None, "dictionary")):
        why = f"begins from seed pairs of another kind, {seed_pairs}" if seed_pairs else "does not read it"
        raise RecipeError(
            f"--dictionary: {method} {why}. Expected none here. Leave it out, choose another method, or let it judge "
            f"the result with --test."
        )
    if texts is not None and method != "adversarial":
        raise RecipeError(
            f"--source-text: {method} reads no raw text. Expected none here. Leave it out, or choose --method "
            f"adversarial."
        )
    if models is not None and texts is None and method != "parallel":
        raise RecipeError(
            f"--source-model: {method} does not read it. Expected none here. Leave it out, or give --source-text and "
            f"--target-text too, with --method adversarial."
        )
    if turned and dictionary is None and test is None and method != "parallel":
        raise RecipeError(
            "--turned: found no file of two columns. Expected one whose columns it turns. Leave it out, or give "
            "--dictionary, --test or --parallel."
        )


def _refuse_idle(method: str, settings: Any, given: Mapping[str, Any], *, guided: bool) -> None:
    """Refuse settings of what is not done: rounds of refinement (with a guide there is always one), or weighting."""
    about_rounds = ("selection",) if guided else ("selection", "refinement_types")
    idle = next((name for name in about_rounds if name in given), None)
    if method == "procrustes" and idle is not None and settings.refinements == 0:
        raise RecipeError(
            f"{idle}: found {given[idle]}, but no refinements. Expected rounds of refinement, which it is about. "
            "Leave it out, or give --refinements."
        )
    about_weights = next((name for name in ("meeting", "weighting_prior", "spelling") if name in given), None)
    if about_weights is not None and getattr(settings, "weighting", None) == 0:
        raise RecipeError(
            f"{about_weights}: found {given[about_weights]}, but no weighting. Expected one, which it is about. Leave "
            "it out, or give another --weighting."
        )


def _seed_that_is_there(source: Any, target: Any) -> str:
    """Choose seed pairs for two languages of which nothing is known: those of which there are enough, surest first."""
    from isogloss.lexicon.seeds import alike_words, cognates
    from isogloss.mapping.checks import MINIMUM_PAIRS

    needed = 2 * MINIMUM_PAIRS  # each half is a seed of its own
    place = f"Alignment {source.language}→{target.language}"
    alike = len(alike_words(source, target).usable(source, target))
    if alike >= needed:
        return "identical"
    kindred = len(cognates(source, target).usable(source, target))
    if kindred >= needed:
        log.warning(
            "%s: %d words are spelt alike, %d are needed; begins from %d kindred.", place, alike, needed, kindred
        )
        return "cognates"
    log.warning(
        "%s: %d words are spelt alike and %d kindred, %d are needed; begins from none. A dictionary of some "
        "hundred words would lead further.",
        place,
        alike,
        kindred,
        needed,
    )
    return "none"


def both(what: str, source: Path | None, target: Path | None) -> tuple[Path, Path] | None:
    """Return two paths of which both or neither must be given.

    Raises:
        RecipeError: Only one is.
    """
    if source is None and target is None:
        return None
    if source is None or target is None:
        given, missing = ("target", "source") if source is None else ("source", "target")
        raise RecipeError(f"--{given}-{what}: found without --{missing}-{what}. Expected both. Give the other one too.")
    return source, target


def options_of(assignments: Sequence[str], *, option: str = "--set", form: str = "KEY=VALUE") -> dict[str, Any]:
    """Read ``KEY=VALUE``, given with an option of the command line; values are read as JSON, or else as they stand.

    Args:
        assignments: As they were given.
        option: The name of the option, for the message.
        form: What one looks like, for the message.

    Raises:
        RecipeError: There is no ``=``.

    >>> options_of(["epochs=2", "start=random"])
    {'epochs': 2, 'start': 'random'}
    """
    options: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise RecipeError(f"{option}: found {assignment!r}. Expected {form}. Add the value.")
        try:
            options[name.strip()] = json.loads(value)
        except ValueError:
            options[name.strip()] = value.strip()
    return options

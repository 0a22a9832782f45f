"""The command `add-language`: bring a language with raw text, and no tree, into an existing parser.

    text ─▶ encoders/xx ─▶ lexicon/xx ─▶ mapping/xx ─▶ evidence/xx ─▶ a new bundle: the old one and the language

The parser is not touched: it reads the shared space, and a language whose vectors come to lie there is parsed like the
others. Everything is made in a work folder beside the new bundle, stage by stage, each with a key; so the same command
goes on where it was stopped. When the bundle stands, the work folder goes.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from isogloss.added_plan import CHECKPOINTS, plan_added_language
from isogloss.artifacts import MANIFEST, artifact_key, only_writer, read_manifest, up_to_date, writing_to
from isogloss.bundle import (
    ALIGNMENTS,
    ANCHORS,
    BUNDLE,
    PARSER,
    Bundle,
    open_bundle,
    put_in_place,
    refuse_to_replace,
    store_alignments,
    write_bundle,
)
from isogloss.bundle_commands import NAMES, make_bundle
from isogloss.commands import checked, readable, shrink_lm
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event, Task, run_tasks
from isogloss.drafts import remove_drafts
from isogloss.errors import DataError, RecipeError
from isogloss.expectation import expectation
from isogloss.recipe import LanguageCorpus
from isogloss.settings import is_code
from isogloss.stage import run_stage

MODELS = "models"
"""Folder within the work folder: the bundle of a run that a language is added to."""


def add_language(
    language: str,
    text: Path,
    out: Path,
    *,
    to: Path | None = None,
    dictionary: Path | None = None,
    kin: str | None = None,
    kin_dictionary: Path | None = None,
    reference_text: Path | None = None,
    auxiliaries: Path | None = None,
    name: str | None = None,
    licence: str = "",
    tokenised: bool = False,
    max_sentences: int | None = None,
    threads: int = 1,
    precision: str = "auto",
    seed: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, Any]:
    """Make a new bundle of models: an old one, and a language that had no part in it.

    Args:
        language: Its code.
        text: Raw text, one sentence a line.
        out: Folder of the new bundle.
        to: The old bundle, or the folder of a run; by default the models that come with the project.
        dictionary: Lines with a word of the reference, a tab, and its translation; or the other way round. With `kin`
            of that language, unless there is a `kin_dictionary`.
        kin: A language of the old bundle to which the new one is near: its language model begins as that one's, and it
            takes over that one's map.
        kin_dictionary: Of the kin and the reference, by which `dictionary` leads to words of the kin.
        reference_text: Raw text in the reference's language, where the old bundle keeps no anchors of it.
        auxiliaries: A list of the language's auxiliaries, one a line, by which the tagger takes none of them for a
            verb. By default they are found in the text where the tagger finds far fewer than usual.
        name: The language's name in English.
        licence: Of the text.
        tokenised: Words are already apart.
        max_sentences: Lines after this many are not read.
        threads: Of matrix products.
        precision: See `choose_precision`.
        seed: Of all chance.
        on_event: Called with everything that the stages report.

    Returns:
        What `bundle.json` tells of the language, among it the ``evidence`` and what to expect.

    Raises:
        RecipeError: The code cannot name a folder, or the kin is none.
        DataError: The bundle has the language already, or has no such kin, or a file is not what it should be.
        ArtifactError: There is no bundle, or nothing to align the language with.
        OutputError: The new folder holds something else, or cannot be written.
    """
    _check_code(language)
    threads = checked(ComputeSettings, threads=threads).threads
    if auxiliaries is not None:
        from isogloss.parsing.auxiliaries import read_auxiliaries

        auxiliaries = readable(auxiliaries)
        read_auxiliaries(auxiliaries, language=language)  # a fault is told before anything is trained
    corpus = checked(
        LanguageCorpus,
        text=str(readable(text)),
        tokenised=tokenised,
        max_sentences=max_sentences,
        licence=licence,
    )
    out = Path(out).absolute()
    work = out.parent / f".{out.name}.work"
    with only_writer(out):
        there = _facts_there(out, language)
        with _work_folder(work):
            bundle = _old_bundle(to, work)
            if auxiliaries is not None and bundle.parser.get("tags") != "predicted":
                raise RecipeError(
                    f"--auxiliaries: the parser of {bundle.folder} has no tagger that could heed a list. Expected "
                    f"models made with --pos predicted. Leave it out."
                )
            if language in bundle.languages:
                raise DataError(
                    f"language {language!r}: among the models in {bundle.folder} already. Expected one that is not. "
                    f"Parse it, or choose another code for another model of it."
                )
            stages = plan_added_language(
                language,
                corpus,
                bundle,
                work,
                dictionary=dictionary,
                kin=kin,
                kin_dictionary=kin_dictionary,
                reference_text=reference_text,
                auxiliaries=auxiliaries,
                threads=threads,
                precision=precision,
                seed=seed,
            )
            name = name or NAMES.get(language, language)
            key = _key_of(bundle, name=name, licence=licence, evidence=stages[-1].key)
            if there:
                if there["key"] != key:
                    refuse_to_replace(out)
                shutil.rmtree(work, ignore_errors=True)
                return there
            missing = [stage for stage in stages if not up_to_date(work / stage.name, stage.key)]
            names = [stage.name for stage in stages]
            kept = [stage.name for stage in stages if stage not in missing]
            on_event({"event": "run", "recipe": f"add {language}", "stages": names, "kept": kept})
            tasks = [Task(stage.name, run_stage, {"stage": stage, "folder": work}) for stage in missing]
            run_tasks(tasks, workers=0, threads=threads, on_event=on_event)
            evidence = json.loads((work / "evidence" / language / "evidence.json").read_text(encoding="utf-8"))
            road = read_manifest(work / "mapping" / language).content["road"]
            grade, reasons = expectation(evidence, bundle)
            auxiliary = evidence.pop("auxiliaries", [])
            facts = {
                "name": name,
                "words": evidence["words"],
                "licences": [licence] if licence else [],
                "trees": False,
                "scores": [],
                "road": road,
                "anchored": "anchored_to" in read_manifest(work / "encoders" / language).content["card"],
                "evidence": evidence,
                "expected": grade,
                "reasons": list(reasons),
                "key": key,
            } | ({"auxiliaries": auxiliary} if auxiliary else {})
            _assemble(bundle, work, out, language, facts)
            shutil.rmtree(work, ignore_errors=True)
    return facts


def _check_code(language: str) -> None:
    """Refuse a code that cannot name a folder of a bundle."""
    if not is_code(language) or language in (PARSER, ALIGNMENTS, ANCHORS):
        raise RecipeError(
            f"language {language!r}: names a folder of models. Expected a code of letters, digits and dashes, such as "
            f"gl. Choose one."
        )


def _facts_there(out: Path, language: str) -> dict[str, Any]:
    """Return what is told of the language where the new bundle shall stand; nothing if nothing is there.

    Raises:
        OutputError: Something else is there.
    """
    facts = open_bundle(out).languages.get(language, {}) if (out / BUNDLE).is_file() else {}
    if "key" not in facts:
        refuse_to_replace(out)
    return dict(facts)


@contextmanager
def _work_folder(work: Path) -> Iterator[None]:
    """Make the work folder. If the block fails before a stage or a checkpoint is there to go on from, it goes again."""
    with writing_to(work):
        work.mkdir(parents=True, exist_ok=True)
    remove_drafts(work)
    try:
        yield
    except BaseException:
        if not _can_go_on(work):
            shutil.rmtree(work, ignore_errors=True)
        raise


def _can_go_on(work: Path) -> bool:
    """Whether a work folder holds a finished stage or a checkpoint; the models of a run do not count, see below."""
    stages = (path for path in work.rglob(MANIFEST) if path.relative_to(work).parts[0] != MODELS)
    return any(True for _ in chain(stages, (work / CHECKPOINTS).rglob("*.safetensors")))


def _old_bundle(to: Path | None, work: Path) -> Bundle:
    """Open the models to add to; of a run, a bundle is made first, always anew: what is there may be of another run."""
    if to is None or not (Path(to) / "recipe.json").is_file():
        return open_bundle(to)
    made = work / MODELS
    shutil.rmtree(made, ignore_errors=True)
    parsers = [path.name for path in sorted((Path(to) / "parsing").glob("aligned-*"))]
    tags = next((pos for pos in ("predicted", "none", "gold") if f"aligned-{pos}" in parsers), "none")
    return make_bundle(Path(to), made, pos=tags)


def _key_of(bundle: Bundle, *, name: str, licence: str, evidence: str) -> str:
    """Return the key of a new bundle: equal key, equal models and equal words about them.

    Manifests tell when something was made, so they differ in bundles of one run, and have no part in it.
    """
    files = {file: digest for file, digest in bundle.files.items() if Path(file).name != MANIFEST}
    told = {"languages": dict(bundle.languages), "parser": dict(bundle.parser)}
    settings = {"name": name, "licence": licence, **told}
    return artifact_key("bundle", format=1, settings=settings, inputs=files | {"evidence": evidence})


def _assemble(bundle: Bundle, work: Path, out: Path, language: str, facts: dict[str, Any]) -> None:
    """Put the old models and the new language together, and then in their place."""
    from isogloss.mapping.alignment import load_alignment

    draft = work / "new"
    shutil.rmtree(draft, ignore_errors=True)
    bundle.link_to(draft)
    shrink_lm(work / "encoders" / language, draft / language)
    found = work / "mapping" / language
    layers = [load_alignment(path) for path in sorted(found.glob("layer-*"))]
    made_from = {"alignments": read_manifest(found).key}
    store_alignments(draft / ALIGNMENTS / language, layers, inputs=made_from)
    languages = {**bundle.languages, language: facts}
    write_bundle(draft, reference=bundle.reference, languages=languages, parser=bundle.parser)
    put_in_place(draft, out)

"""The command `add-language`: bring a language with raw text, and no tree, into an existing parser.

    text ─▶ encoders/xx ─▶ lexicon/xx ─▶ mapping/xx ─▶ evidence/xx ─▶ a new bundle: the old one and the language

The parser is not touched: it reads the shared space, and a language whose vectors come to lie there is parsed like the
others. Everything is made in a work folder beside the new bundle, stage by stage, each with a key; so the same command
goes on where it was stopped. When the bundle stands, the work folder goes.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from isogloss.added_language import make_added_alignments, make_evidence, roads_for
from isogloss.artifacts import MANIFEST, artifact_key, only_writer, read_manifest, remove_drafts, up_to_date, writing_to
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
from isogloss.commands import checked, hash_of_text, readable, shrink_lm
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event, Task, run_tasks
from isogloss.errors import ArtifactError, DataError, DictionaryError, RecipeError
from isogloss.expectation import expectation
from isogloss.language_budget import ROOMY_TEXT, size_of, training_for
from isogloss.recipe import LanguageCorpus
from isogloss.stage import Stage, run_stage
from isogloss.stages import make_anchors, make_encoder

MODELS, CHECKPOINTS = "models", "checkpoints"
"""Folders within the work folder: the bundle of a run that a language is added to, and unfinished training."""


def add_language(
    language: str,
    text: Path,
    out: Path,
    *,
    to: Path | None = None,
    dictionary: Path | None = None,
    reference_text: Path | None = None,
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
        dictionary: Lines with a word of the reference, a tab, and its translation; or the other way round.
        reference_text: Raw text in the reference's language, where the old bundle keeps no anchors of it.
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
        RecipeError: The code cannot name a folder.
        DataError: The bundle has the language already, or a file is not what it should be.
        ArtifactError: There is no bundle, or nothing to align the language with.
        OutputError: The new folder holds something else, or cannot be written.
    """
    _check_code(language)
    threads = checked(ComputeSettings, threads=threads).threads
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
            if language in bundle.languages:
                raise DataError(
                    f"language {language!r}: among the models in {bundle.folder} already. Expected one that is not. "
                    f"Parse it, or choose another code for another model of it."
                )
            stages = _plan(
                language,
                corpus,
                bundle,
                work,
                dictionary=dictionary,
                reference_text=reference_text,
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
            }
            _assemble(bundle, work, out, language, facts)
            shutil.rmtree(work, ignore_errors=True)
    return facts


def _check_code(language: str) -> None:
    """Refuse a code that cannot name a folder of a bundle."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", language) or language in (PARSER, ALIGNMENTS, ANCHORS):
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


def _plan(
    language: str,
    corpus: LanguageCorpus,
    bundle: Bundle,
    work: Path,
    *,
    dictionary: Path | None,
    reference_text: Path | None,
    threads: int,
    precision: str,
    seed: int,
) -> list[Stage]:
    """List the stages that make a new language's part of a bundle."""
    from isogloss.compute.devices import choose_device, choose_precision
    from isogloss.encoders.elmo.settings import BiLMSettings
    from isogloss.lexicon.settings import AnchorSettings

    reference, model = bundle.reference, bundle.folder / bundle.reference
    bundle.check(reference)
    size = size_of(corpus, language)
    shape = json.loads((model / "settings.json").read_text(encoding="utf-8"))["model"]
    pairs = None if dictionary is None else _write_dictionary(dictionary, language, bundle, work, seed=seed)
    chosen = training_for(size, BiLMSettings.model_validate(shape), pairs=0 if pairs is None else pairs.learned_pairs)
    training, least = chosen.settings, 5 if size.words >= ROOMY_TEXT else 2
    anchor_settings = AnchorSettings(min_count=least, max_types=30_000, max_sentences=100_000)
    precision = choose_precision(precision, choose_device("cpu"))
    read = {"language": language, "tokenised": corpus.tokenised, "max_sentences": corpus.max_sentences}
    inputs = {"text": hash_of_text(Path(corpus.text or ""))}
    given = {} if pairs is None else {"dictionary": hash_of_text(pairs.whole)}
    taught = {} if pairs is None else {"dictionary": hash_of_text(pairs.learned)}
    stages: list[Stage] = []

    def add(name: str, kind: str, make: Callable[..., Any], settings: dict[str, Any], **more: Any) -> Stage:
        licences = (corpus.licence,) if corpus.licence else ()
        more |= {"seed": seed, "licences": licences}
        stage = Stage(name=name, kind=kind, make=make, settings=settings | {"seed": seed}, **more)
        stages.append(stage)
        return stage

    gathering = {"settings": anchor_settings, "threads": threads}
    facts = {"anchors": anchor_settings.model_dump(mode="json"), "threads": threads}
    if reference_text is not None:
        theirs = checked(LanguageCorpus, text=str(readable(reference_text)))
        of_reference = add(
            f"lexicon/{reference}",
            "anchors",
            make_anchors,
            {"language": reference} | facts,
            inputs={"text": hash_of_text(reference_text), "encoder": read_manifest(model).key},
            arguments={"corpus": theirs, "language": reference, "encoder": model, **gathering},
        )
        reference_anchors, reference_key = work / of_reference.name, of_reference.key
    elif bundle.has_anchors:
        bundle.check(f"{ANCHORS}/{reference}")
        reference_anchors = bundle.folder / ANCHORS / reference
        reference_key = read_manifest(reference_anchors).key
    else:
        raise ArtifactError(
            f"{bundle.folder}: keeps no anchors of {reference!r}, with which a new language could be aligned. Expected "
            f"some. Give raw text in that language with --reference-text, or make the models again."
        )
    in_context = chosen.anchored and training.anchoring.context_weight > 0
    pulled_by = {"reference anchors": reference_key} if in_context else {}
    encoder = add(
        f"encoders/{language}",
        "encoder",
        make_encoder,
        read
        | {"training": training.model_dump(mode="json"), "anchored": chosen.anchored}
        | {"threads": threads, "precision": precision},
        inputs=inputs | taught | {"reference": read_manifest(model).key} | pulled_by,
    )
    checkpoints = {"checkpoints": work / CHECKPOINTS / encoder.name, "key": encoder.key}
    how = {"corpus": corpus, "language": language, "settings": training, "seed": seed, "precision": precision}
    lent = {"reference": model, "dictionary": pairs and pairs.learned, "anchored": chosen.anchored}
    lent |= {"anchors": reference_anchors} if in_context else {}
    stages[-1] = replace(encoder, arguments={**how, **checkpoints, **lent})

    anchors = add(
        f"lexicon/{language}",
        "anchors",
        make_anchors,
        read | facts,
        inputs=inputs | {encoder.name: encoder.key},
        arguments={"corpus": corpus, "language": language, "encoder": work / encoder.name, **gathering},
    )
    roads = roads_for(size.words, dictionary=pairs is not None)
    ways = {"roads": [[road.name, road.settings.model_dump(mode="json")] for road in roads]}
    found = add(
        f"mapping/{language}",
        "alignments",
        make_added_alignments,
        {"source": language, "target": reference} | ways,
        inputs=given | {anchors.name: anchors.key, "reference": reference_key},
        arguments={
            "source": language,
            "target": reference,
            "source_anchors": work / anchors.name,
            "target_anchors": reference_anchors,
            "dictionary": pairs and pairs.whole,
            "roads": roads,
            "seed": seed,
        },
    )
    add(
        f"evidence/{language}",
        "evidence",
        make_evidence,
        {"language": language},
        inputs={found.name: found.key, "parser": read_manifest(bundle.folder / PARSER).key},
        arguments={
            "language": language,
            "corpus": corpus,
            "models": bundle.folder,
            "encoder": work / encoder.name,
            "anchors": work / anchors.name,
            "alignments": work / found.name,
            "reference_anchors": reference_anchors,
            "learned": pairs and pairs.learned,
            "withheld": pairs and pairs.withheld,
            "roads": roads,
            "training": training,
            "seed": seed,
        },
    )
    return stages


@dataclass(frozen=True)
class _Pairs:
    """Files of a dictionary from the new language to the reference."""

    whole: Path
    """Of all pairs, from which the map is found in the end."""
    learned: Path
    """Of those that the language model learns from."""
    withheld: Path | None
    """Of those that only judge; none of a small dictionary."""
    learned_pairs: int


def _write_dictionary(path: Path, language: str, bundle: Bundle, work: Path, *, seed: int) -> _Pairs:
    """Write a dictionary and its parts, from the new language to the reference, whichever stands first in its file."""
    from isogloss.corpus.vocabulary import Vocabulary
    from isogloss.lexicon.dictionary import write_dictionary
    from isogloss.mapping.evidence import withhold
    from isogloss.rich_language import dictionary_towards

    known = Vocabulary.load(bundle.folder / bundle.reference / "vocabulary.txt").words
    pairs = dictionary_towards(path, source=language, target=bundle.reference, target_words=known)
    if {translation.lower() for _, translation in pairs.pairs}.isdisjoint(word.lower() for word in known):
        raise DictionaryError(
            f"{path}: no word of either column is known to the language model of {bundle.reference!r}. Expected lines "
            f"with a word of that language, a tab, and its translation. Check the file."
        )
    learned, withheld = withhold(pairs, seed=seed)
    files = [work / f"{part}.tsv" for part in ("dictionary", "learned", "withheld")]
    for file, part in zip(files, (pairs, learned, withheld), strict=True):
        write_dictionary(file, part)
    return _Pairs(files[0], files[1], files[2] if len(withheld) else None, len(learned))


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

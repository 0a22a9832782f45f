"""Make a bundle of models from a run, and tell what a bundle holds."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from isogloss.alignment_folders import open_alignments
from isogloss.artifacts import Manifest, build_artifact, check_files, only_writer, read_manifest, writing_to
from isogloss.bundle import (
    ALIGNMENTS,
    ANCHORS,
    BUNDLE,
    PARSER,
    Bundle,
    open_bundle,
    renew_list,
    store_alignments,
    store_anchors,
    write_bundle,
)
from isogloss.commands import shrink_lm, sound_model
from isogloss.corpus.invented.languages import LANGUAGES
from isogloss.drafts import SUFFIX, is_draft
from isogloss.errors import ArtifactError, OutputError, RecipeError
from isogloss.reports.results import read_scores
from isogloss.stages import ENDINGS
from isogloss.trained import auxiliaries_of_run, check_built_on, parser_of_run, recipe_of_run

SYSTEMS = ("aligned", "aligned-no-dictionary")
"""Whose vectors come from language models and alignments alone, so that new text can be read with them."""
NAMES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "kk": "Kazakh",
    "pt": "Portuguese",
    "sv": "Swedish",
    "tr": "Turkish",
} | {code: language.name for code, language in LANGUAGES.items()}
"""English names by code. Other languages go by their codes."""
JUDGED_SENTENCES = 200
"""So many sentences of a language the parser is asked how sure it is of."""


def make_bundle(run: Path, out: Path, *, system: str = "aligned", pos: str = "predicted") -> Bundle:
    """Make a bundle of a run's language models, alignments and one of its parsers, all stored as float16.

    Of every language that the run has test sets of, the parser is asked how sure it is.

    Language models that stand in `out` already and are the same stay byte for byte; of others the softmax is left out.

    Args:
        run: The folder of a finished run.
        out: A new folder, or one that holds a bundle or language models.
        system: Which of the run's parsers: `aligned` or `aligned-no-dictionary`.
        pos: Which tags it reads: `predicted`, `gold` or `none`.

    Raises:
        ArtifactError: The run lacks something, or its files are damaged.
        OutputError: `out` holds something else, or cannot be written.
        RecipeError: No new text can be read with such a system.
    """
    import torch

    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.anchor_files import load_all_anchors
    from isogloss.mapping.shared_space import SharedSpace
    from isogloss.parsing.parser import Parser

    if system not in SYSTEMS:
        raise RecipeError(
            f"--system: found {system!r}. Expected {' or '.join(SYSTEMS)}, which read language models. Choose one."
        )
    run, out = Path(run), Path(out).absolute()
    recipe, parser_folder = recipe_of_run(run), parser_of_run(run, system=system, pos=pos)
    models = {language: sound_model(run / "encoders" / language) for language in recipe.languages}
    alignments = []
    for language in recipe.languages:
        if language != recipe.reference:
            name = f"mapping/{language}{ENDINGS[system][1] if system in ENDINGS else ''}"
            check_built_on(run, name)
            alignments += open_alignments(run / name).values()
    encoders = {language: ELMoEncoder.load(run / "encoders" / language) for language in models}
    space = SharedSpace.of(recipe.reference, encoders=encoders, alignments=alignments)
    parser_manifest, parser = read_manifest(parser_folder), Parser.load(parser_folder)
    lexicon = run / "lexicon" / recipe.reference
    anchors_key, anchors = read_manifest(lexicon, kind="anchors").key, load_all_anchors(lexicon)
    tested = run / "parsed" / f"{system}-{pos}"
    scores = _scores(tested)
    auxiliaries = auxiliaries_of_run(run, system=system, pos=pos)

    with only_writer(out):
        with writing_to(out):
            out.mkdir(parents=True, exist_ok=True)
            _refuse_strangers(out, recipe.languages)
            _remove_drafts(out, recipe.languages)
            (out / BUNDLE).unlink(missing_ok=True)  # what is half exchanged is no bundle
        for language in recipe.languages:
            _put_model(run / "encoders" / language, out / language)
            layers = [space.alignments[language, layer] for layer in range(space.layers)]
            made_from = {"encoder": models[language].key, "reference": models[recipe.reference].key}
            store_alignments(out / ALIGNMENTS / language, layers, inputs=made_from)
        store_anchors(out / ANCHORS / recipe.reference, anchors, inputs={"anchors": anchors_key})
        licences = tuple(parser_manifest.content["licences"])
        build_artifact(
            out / PARSER,
            "parser",
            lambda draft: parser.save(draft, dtype=torch.float16),
            settings={"stored": "float16"},
            inputs={"parser": parser_manifest.key},
            seed=recipe.seed,
            licences=licences,
        )
        write_bundle(
            out,
            reference=recipe.reference,
            languages={
                language: {
                    "name": NAMES.get(language, language),
                    "words": encoders[language].card.get("training_words"),
                    "licences": list(model.content["licences"]),
                    "trees": language in recipe.parsing.train_on,
                    "scores": scores.get(language, []),
                }
                | ({"auxiliaries": list(auxiliaries[language])} if auxiliaries.get(language) else {})
                for language, model in models.items()
            },
            parser={"languages": list(recipe.parsing.train_on), "tags": pos, "licences": list(licences)},
        )
        # The run's own copies of its test sets: the treebanks may be elsewhere by now.
        return measure_confidence(
            out, {code: tested / f"{code}-{rows[0]['split']}.conllu" for code, rows in scores.items()}
        )


def measure_confidence(folder: Path, treebanks: Mapping[str, Path]) -> Bundle:
    """Note in a bundle how sure its parser is of languages whose trees are known to be good or bad, with its own tags.

    A language that is added without trees is compared with them. Nothing but ``bundle.json`` is written; hashes stay.
    Of a parser that reads gold tags nothing is noted: new text has none.

    Args:
        folder: The bundle's.
        treebanks: CoNLL-U by language, best of the sentences that its scores are of; trees and tags are not looked at.

    Raises:
        DataError: The bundle has no such language, or a file is not what it should be.
        OutputError: The folder cannot be written.
    """
    from isogloss.corpus.conllu import read_conllu
    from isogloss.corpus.sentence import Sentence
    from isogloss.parsing.confidence import mean_confidence

    bundle = open_bundle(folder)
    languages = {code: dict(facts) for code, facts in bundle.languages.items()}
    for code, path in treebanks.items():
        trained = bundle.load(code)
        if trained.parser.settings.upos == "gold":
            return bundle
        known = read_conllu(path)
        chosen = known[:: max(1, len(known) // JUDGED_SENTENCES)][:JUDGED_SENTENCES]  # of all parts of a treebank
        bare = [Sentence.of_forms(sentence.forms, language=code) for sentence in chosen]
        sure = mean_confidence(trained.parser, bare, trained.space, auxiliaries=trained.auxiliaries)
        languages[code]["confidence"] = round(sure, 4)
    return renew_list(replace(bundle, languages=languages))


def models(folder: Path | None = None) -> dict[str, Any]:
    """Return what a bundle holds: where it lies, its reference, what its parser learned from, and facts by language.

    Raises:
        ArtifactError: There is no bundle.
    """
    bundle = open_bundle(folder)
    return {
        "folder": str(bundle.folder),
        "reference": bundle.reference,
        "parser": dict(bundle.parser),
        "languages": {code: dict(facts) for code, facts in bundle.languages.items()},
    }


def _refuse_strangers(out: Path, languages: Sequence[str]) -> None:
    """Make sure that a folder holds nothing but the bundle that is to be made, or parts of it, or drafts of those."""
    parts = (BUNDLE, PARSER, ALIGNMENTS, ANCHORS, *languages)
    for path in sorted(out.iterdir()):
        if path.name not in (*parts, "README.md") and not is_draft(path, parts):
            raise OutputError(
                f"{out}: holds {path.name}, which is no part of this bundle. Expected a new or empty folder, or models "
                f"of {', '.join(languages)} alone. Remove it, or choose another folder with -o."
            )


def _remove_drafts(out: Path, languages: Sequence[str]) -> None:
    """Remove what killed runs left of a bundle's parts; whatever else lies in the folder stays."""
    parts = (BUNDLE, PARSER, *languages)
    for folder in (out, out / ALIGNMENTS, out / ANCHORS):
        for path in folder.glob(f".*{SUFFIX}"):
            if is_draft(path, parts):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _put_model(model: Path, target: Path) -> None:
    """Put a language model into a bundle, small, unless it is there: as it is if it is small already."""
    manifest = read_manifest(model)
    if _is_there(target, manifest):
        return
    if json.loads((model / "settings.json").read_text(encoding="utf-8")).get("predicts", True):
        shrink_lm(model, target)
        return
    build_artifact(
        target,
        "encoder",
        partial(_copy, manifest, model),
        format=manifest.content["format"],
        settings=manifest.content["settings"],
        inputs=manifest.content["inputs"],
        seed=manifest.content["seed"],
        licences=manifest.content["licences"],
    )


def _copy(manifest: Manifest, model: Path, draft: Path) -> dict[str, Any]:
    """Copy an artifact's files into a draft."""
    for name in manifest.content["files"]:
        shutil.copyfile(model / name, draft / name)
    return {"card": manifest.content.get("card", {})}


def _is_there(target: Path, model: Manifest) -> bool:
    """Whether a folder holds a language model already: its very files, or what `shrink_lm` made of them."""
    try:
        found = read_manifest(target, kind="encoder")
        check_files(target, found)
    except ArtifactError:
        return False
    return found.content["files"] == model.content["files"] or found.content["inputs"] == {"encoder": model.key}


def _scores(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a run's scores by language; of a parser that was never tested, none."""
    found: dict[str, list[dict[str, Any]]] = {}
    for score in read_scores([folder / "scores.json"]) if (folder / "scores.json").is_file() else ():
        found.setdefault(score.language, []).append(score.to_row())
    return found

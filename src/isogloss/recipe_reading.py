"""Read a recipe from a TOML file, and check it before anything runs.

Paths are relative to the recipe's own folder; ``{data}`` in a path stands for `data`, or for the environment variable
``ISOGLOSS_DATA`` where that is set. What goes wrong becomes a `RecipeError` that names file, key, value and the nearest
valid key.
"""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from isogloss.corpus.invented.family import FamilySettings
from isogloss.corpus.invented.languages import LANGUAGES
from isogloss.encoders.elmo.settings import SIZES
from isogloss.errors import RecipeError
from isogloss.recipe import INVENTED_SPLITS, Recipe
from isogloss.recipe_messages import explain


def load_recipe(path: Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and check it, including that the files it names are there.

    Args:
        path: A TOML file.
        overrides: Settings in the form ``encoders.epochs=3``, checked like the file's own.

    Returns:
        The recipe, its paths absolute.

    Raises:
        RecipeError: The file is not TOML, a key is unknown, a value is wrong, a file is missing, or a language is
            named in one table and missing in another.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no such file. Expected a recipe (TOML). Check the path.") from error
    except IsADirectoryError as error:
        raise RecipeError(f"{path}: is a folder. Expected a recipe (TOML). Name the file in it.") from error
    except OSError as error:
        raise RecipeError(
            f"{path}: cannot be read ({error.strerror}). Expected a recipe (TOML). Check path and permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 (byte {error.start}). Expected TOML. Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not TOML: {error}. Mend that line.") from error
    for override in overrides:
        _set(values, override)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError("\n".join(explain(path, values, error.errors(), of=Recipe))) from error
    _check_languages(path, recipe)
    _check_layer(path, recipe)
    return _with_files(path, recipe)


def _set(values: dict[str, Any], override: str) -> None:
    """Put one override into the recipe's values."""
    key, sign, text = override.partition("=")
    if not sign or not key.strip():
        raise RecipeError(f"--set {override}: found no '='. Expected KEY=VALUE, as in --set encoders.epochs=3.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string; quotes are for the shell to keep
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}: {table} is a value. Expected a table. Check the key.")
    values[last] = value


def _check_layer(path: Path, recipe: Recipe) -> None:
    """Check that the language models can start as asked and have the parser's layer, before any is trained."""
    model, layer = recipe.encoders.model, recipe.parsing.parser.layer
    shape = SIZES[model] if isinstance(model, str) else model
    started = recipe.encoders.start == "reference" and "start"
    if "anchored" in recipe.parsing.systems and recipe.encoders.anchoring.start_from_model:
        started = started or "anchoring.start_from_model"
    if recipe.encoders.hold_recurrent and not started:
        raise RecipeError(
            f"{path}, encoders.hold_recurrent: found {recipe.encoders.hold_recurrent}, and no language model starts "
            f'from another. Expected a start whose layers are held. Set encoders.start = "reference", or leave it out.'
        )
    if started and not shape.word_types:
        raise RecipeError(
            f"{path}, encoders.{started}: found a start from the reference, with a model whose word_types is 0. "
            f"Expected word vectors: by them words find their places. Raise encoders.model.word_types, or choose "
            f"another start."
        )
    top = shape.layers
    if any(entry.model is not None for entry in recipe.corpus.values()):
        return  # how many layers ready models have is known when they are loaded
    if recipe.needs_encoders and isinstance(layer, int) and layer > top:
        raise RecipeError(
            f"{path}, parsing.parser.layer: found {layer}. Expected 0 to {top}, the layers of the language models, or "
            f'"mix", "all" or "contextual". Change it, or encoders.model.layers.'
        )


def _check_languages(path: Path, recipe: Recipe) -> None:
    """Check that every language named anywhere has the data it needs."""
    if recipe.invented is not None and recipe.corpus:
        raise RecipeError(f"{path}: found both [invented] and [corpus]. Expected one of them. Remove the other.")
    table = "invented.languages" if recipe.invented is not None else "corpus"
    known = recipe.invented.languages if recipe.invented is not None else tuple(recipe.corpus)
    named = [("reference", [recipe.reference])]
    named += [("parsing.train_on", recipe.parsing.train_on), ("parsing.test_on", recipe.parsing.test_on)]
    named += [(f"parsing.fewer.{row}", languages) for row, languages in recipe.parsing.fewer.items()]
    for key, languages in named:
        for language in languages:
            if language not in known:
                listed = ", ".join(known) or "no language"
                raise RecipeError(
                    f"{path}, {key}: {language!r} is not in [{table}], which has {listed}. Add it there, or "
                    f"remove it here."
                )
    for key in ("train_on", "test_on", "test_splits", "systems", "pos"):
        if not getattr(recipe.parsing, key):
            raise RecipeError(f"{path}, parsing.{key}: found an empty list. Expected one or more. Name one.")
    if not recipe.parsing.rows:
        raise RecipeError(
            f"{path}, parsing.fewer: leaves no parser, since nothing is tested on {', '.join(recipe.parsing.test_on)}. "
            f"Expected a system that is. Remove its entry there, or add a language to parsing.test_on."
        )
    _check_few_shot(path, recipe)
    _check_pivot(path, recipe)
    _check_kin(path, recipe)
    if recipe.invented is not None:
        _check_invented(path, recipe, recipe.invented)
        return
    for language in recipe.parsing.train_on:
        for split in ("train", "dev"):
            if split not in recipe.corpus[language].treebank:
                raise RecipeError(
                    f"{path}, corpus.{language}.treebank: no {split!r}, but parsing.train_on names {language}. "
                    f"Add the file, or remove the language from train_on."
                )
    for language in recipe.parsing.test_on:
        treebank = recipe.corpus[language].treebank
        if not set(recipe.parsing.test_splits) & set(treebank):
            raise RecipeError(
                f"{path}, corpus.{language}.treebank: found {sorted(treebank)}. Expected one of parsing.test_splits, "
                f"{list(recipe.parsing.test_splits)}, since parsing.test_on names {language}. Add the file."
            )
    if recipe.needs_text:
        for language in recipe.languages:
            if recipe.corpus[language].text is None:
                raise RecipeError(f"{path}, corpus.{language}.text: missing. Expected raw text. Add the file.")
    if recipe.asks_for_pairs and not recipe.mapping.dictionaries:
        raise RecipeError(
            f"{path}, mapping.dictionaries: missing. Expected a pattern such as '{{data}}/{{target}}-{{source}}.tsv', "
            f"since parsing.systems asks for aligned vectors. Add it."
        )


def _check_pivot(path: Path, recipe: Recipe) -> None:
    """Check that dictionaries can be joined by way of the pivot."""
    pivot = recipe.mapping.pivot
    if not pivot:
        return
    if recipe.invented is not None or pivot == recipe.reference:
        why = "which is the reference" if pivot == recipe.reference else "and invented languages have dictionaries"
        raise RecipeError(
            f"{path}, mapping.pivot: found {pivot!r}, {why}. Expected a third language, or none. Remove it."
        )
    if pivot in recipe.corpus and recipe.corpus[pivot].dictionary is not None:
        raise RecipeError(
            f"{path}, corpus.{pivot}.dictionary: found with mapping.pivot = {pivot!r}. Expected none: the reference's "
            f"own serves the pivot. Remove it."
        )
    if empty := [language for language, entry in recipe.corpus.items() if entry.dictionary == ""]:
        raise RecipeError(
            f"{path}, corpus.{empty[0]}.dictionary: found '' with mapping.pivot. Expected a dictionary with {pivot}. "
            f"Name a file, or leave the entry out."
        )
    if recipe.mapping.test_dictionaries:
        raise RecipeError(
            f"{path}, mapping.test_dictionaries: found with mapping.pivot. Expected no pattern: pairs that were joined "
            f"would judge by words that were learned. Name corpus.XX.test_dictionary of a language that has one."
        )


def _check_kin(path: Path, recipe: Recipe) -> None:
    """Check that alignments which are taken over are there to take."""
    for language, entry in recipe.corpus.items():
        if entry.kin is None or language not in recipe.languages:
            continue
        place = f"{path}, corpus.{language}.kin: found {entry.kin!r}"
        others = [
            other
            for other in recipe.languages
            if other not in (language, recipe.reference) and recipe.corpus[other].kin is None
        ]
        if language == recipe.reference:
            raise RecipeError(f"{place}. Expected none: all others are brought to the reference. Remove it.")
        if entry.kin not in others:
            listed = " or ".join(others) or "no language here"
            raise RecipeError(f"{place}. Expected a language that has alignments of its own: {listed}. Change it.")
        for one in (language, entry.kin):
            if recipe.corpus[one].model is None:
                raise RecipeError(
                    f"{place}, without corpus.{one}.model. Expected two models of which one was trained in the space "
                    f"of the other, with train-lm --anchored-to. Add it, or remove kin."
                )
        if entry.method is not None:
            raise RecipeError(f"{place}, beside corpus.{language}.method, which does nothing then. Remove one of them.")


def _check_few_shot(path: Path, recipe: Recipe) -> None:
    """Check that the languages that get a few trees have some, and were not seen with more."""
    parsing, few = recipe.parsing, recipe.parsing.few_shot
    if few is None:
        return
    for language in few.languages:
        key = f"{path}, parsing.few_shot.languages: {language!r}"
        if language not in parsing.test_on:
            raise RecipeError(f"{key} is not in parsing.test_on. Expected a language to be tested on. Add it there.")
        if language in parsing.train_on and not parsing.leave_one_out:
            raise RecipeError(
                f"{key} is in parsing.train_on. Expected a language whose trees the parser has not seen. Remove it "
                f"there, or set parsing.leave_one_out."
            )
        if recipe.invented is None and "train" not in recipe.corpus[language].treebank:
            raise RecipeError(
                f"{key} has no 'train' in corpus.{language}.treebank. Expected trees to draw from. Add the file."
            )
    for name in few.parsers:
        system, _, pos = name.rpartition("-")
        planned = system in parsing.systems and (system == "pos-only" or pos in parsing.pos)
        if not planned or system == "supervised":
            raise RecipeError(
                f"{path}, parsing.few_shot.parsers: {name!r} is no zero-shot parser of this recipe. Expected one of "
                f"parsing.systems with one of parsing.pos. Add it there, or choose another."
            )
        for language in few.languages:
            if language not in parsing.tested_on(system, pos):
                raise RecipeError(
                    f"{path}, parsing.few_shot.parsers: {name!r} is not tested on {language!r} by parsing.fewer. "
                    f"Expected a parser to go on from. Add the language there, or choose another."
                )


def _check_invented(path: Path, recipe: Recipe, family: FamilySettings) -> None:
    """Check that the invented family has what the recipe asks of it."""
    unknown = [language for language in family.languages if language not in LANGUAGES]
    if unknown:
        raise RecipeError(
            f"{path}, invented.languages: found {', '.join(unknown)}. Expected some of {', '.join(LANGUAGES)}. "
            f"Choose among these."
        )
    if family.languages[0] != recipe.reference:
        raise RecipeError(
            f"{path}, invented.languages: the first is {family.languages[0]!r}, and the dictionaries lead into it. "
            f"Expected the reference, {recipe.reference!r}. Put it first."
        )
    for split in recipe.parsing.test_splits:
        if split not in INVENTED_SPLITS:
            raise RecipeError(
                f"{path}, parsing.test_splits: found {split!r}. Expected some of {', '.join(INVENTED_SPLITS)}, which "
                f"invented languages have. Choose among these."
            )


def _with_files(path: Path, recipe: Recipe) -> Recipe:
    """Make the recipe's paths absolute and check that the files are there."""
    data = os.path.abspath(os.environ.get("ISOGLOSS_DATA") or path.parent / recipe.data)

    def absolute(name: str) -> Path:
        return Path(os.path.abspath(path.parent / name.replace("{data}", data)))

    def found(key: str, name: str) -> str:
        file = absolute(name)
        if not file.is_file():
            what = "is a folder" if file.is_dir() else "no such file"
            raise RecipeError(
                f"{path}, {key}: {file}: {what}. Expected a file. Paths are relative to the recipe's folder; {{data}} "
                f"is {data} (set ISOGLOSS_DATA to change it)."
            )
        return str(file)

    corpus = {}
    for language, entry in recipe.corpus.items():
        text = found(f"corpus.{language}.text", entry.text) if entry.text is not None else None
        treebank = {split: found(f"corpus.{language}.treebank.{split}", name) for split, name in entry.treebank.items()}
        model = str(absolute(entry.model)) if entry.model is not None else None
        own = {
            key: found(f"corpus.{language}.{key}", name) if name else name
            for key, name in (("dictionary", entry.dictionary), ("test_dictionary", entry.test_dictionary))
        }
        corpus[language] = entry.model_copy(update={"text": text, "treebank": treebank, "model": model, **own})
    mapping = recipe.mapping
    patterns = {}
    for key, of_one in (("dictionaries", "dictionary"), ("test_dictionaries", "test_dictionary")):
        pattern = getattr(mapping, key)
        if not pattern or recipe.invented is not None:
            continue
        if "{source}" not in pattern or "{target}" not in pattern:
            raise RecipeError(
                f"{path}, mapping.{key}: found {pattern!r}. Expected both {{source}} and {{target}} in it. Add them."
            )
        patterns[key] = os.path.abspath(path.parent / pattern.replace("{data}", data))
        if recipe.needs_alignment:
            leads_to = mapping.pivot or recipe.reference
            for language in recipe.languages:
                needed = getattr(corpus[language], of_one) is None and recipe.reads_dictionary_of(language)
                if language != leads_to and needed:
                    name = patterns[key].replace("{source}", language).replace("{target}", leads_to)
                    found(f"mapping.{key}", name)
    orders = {key: pattern.rfind("{source}") < pattern.rfind("{target}") for key, pattern in patterns.items()}
    if len(set(orders.values())) > 1:
        raise RecipeError(
            f"{path}, mapping.test_dictionaries: names {{source}} and {{target}} the other way round than "
            f"mapping.dictionaries. Expected one order, since it says which column is which. Rename the files."
        )
    return recipe.model_copy(update={"corpus": corpus, "mapping": mapping.model_copy(update=patterns)})

"""A recipe: all settings of an experiment in one TOML file, strict and complete.

The tables carry the names of the package's folders. Paths are relative to the recipe's own folder; ``{data}`` in a
path stands for `data`, or for the environment variable ``ISOGLOSS_DATA`` where that is set. What goes wrong becomes
a `RecipeError` that names file, key, value and the nearest valid key.
"""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PositiveInt, ValidationError

from isogloss.compute.settings import ComputeSettings
from isogloss.corpus.invented.family import FamilySettings
from isogloss.corpus.invented.languages import LANGUAGES
from isogloss.encoders.elmo.settings import SIZES, BiLMTrainingSettings
from isogloss.encoders.settings import StaticSettings
from isogloss.errors import RecipeError
from isogloss.lexicon.settings import AnchorSettings
from isogloss.mapping.settings import MappingRecipe, MappingSettings
from isogloss.parsing.settings import ParserSettings, TuningSettings
from isogloss.recipe_messages import explain
from isogloss.settings import Settings

System = Literal[
    "pos-only", "unaligned", "anchors-only", "static", "aligned-no-dictionary", "aligned", "anchored", "supervised"
]
"""What a parser reads, and what it was trained on; see `ParsingRecipe.systems`."""
ALIGNED = ("anchors-only", "static", "aligned-no-dictionary", "aligned", "anchored")
"""Systems whose languages share one space."""
Pos = Literal["none", "predicted", "gold"]
_PARSER = rf"^({'|'.join(get_args(System))})-({'|'.join(get_args(Pos))})$"
_ROW = rf"^({'|'.join(get_args(System))})(-({'|'.join(get_args(Pos))}))?$"
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""A language's code, which also names folders."""
INVENTED_SPLITS = ("train", "dev", "test")
"""Splits that the treebanks of invented languages have."""


class LanguageCorpus(Settings):
    """The data of one language."""

    text: str | None = None
    """Raw text, one sentence a line; plain, gz, xz or zst."""
    tokenised: bool = False
    """Words in the text are already apart."""
    max_sentences: PositiveInt | None = None
    """Lines of the text after this many are not read."""
    model: str | None = None
    """Folder of a trained language model, taken as it is; without it one is trained as `encoders` says."""
    treebank: dict[str, str] = Field(default_factory=dict)
    """CoNLL-U files by split: `train`, `dev`, and any others to test on."""
    dictionary: str | None = None
    """Its dictionary, where it is not the one that the pattern `mapping.dictionaries` names. Columns as in that one."""
    test_dictionary: str | None = None
    """Likewise for `mapping.test_dictionaries`; "" for none."""
    method: MappingSettings | None = None
    """How its anchors are aligned with a dictionary, where it is not as `mapping.method` says."""
    max_trees: PositiveInt | None = None
    """Of `train`, trees after this many are not read; for small budgets."""
    licence: str = ""
    """Of text and trees, for the manifests of what is made from them."""


class FewShotRecipe(Settings):
    """Which unseen languages get a few trees after all, to see how far these lead."""

    languages: Annotated[tuple[Code, ...], Field(min_length=1)]
    """Languages of `parsing.test_on` that the parsers have not seen, with a treebank's `train` split to draw from."""
    trees: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (10, 50, 100, 500)
    """How many trees are drawn; each number makes a parser of its own."""
    draws: PositiveInt = 1
    """How many times they are drawn, for a spread over draws."""
    parsers: tuple[Annotated[str, Field(pattern=_PARSER)], ...] = ("aligned-none",)
    """Which zero-shot parsers go on: a system and its tags."""
    from_scratch: bool = True
    """Whether a parser learns from the same trees alone, too, for comparison, over vectors of the language model."""
    tuning: TuningSettings = TuningSettings()
    """How a parser goes on."""


class ParsingRecipe(Settings):
    """Which parsers are trained and what they are tested on."""

    train_on: tuple[str, ...]
    """Languages whose treebanks the parser learns from."""
    test_on: tuple[str, ...]
    """Languages to parse; those not in `train_on` are unseen."""
    leave_one_out: bool = False
    """A parser of its own for each language of `test_on`, which learns from all of `train_on` but that language: so all
    are unseen, though each teaches the others. Needs one parser per language, system and kind of tags."""
    test_splits: tuple[str, ...] = ("test",)
    """Splits of the treebanks to score; a language without one of them is scored on the others."""
    systems: tuple[System, ...] = ("pos-only", "unaligned", "anchors-only", "aligned", "supervised")
    """`pos-only`: tags and nothing else. `unaligned`: each language's own space. `anchors-only`: aligned anchors, no
    context. `static`: aligned word vectors from counts. `aligned`: the method. `aligned-no-dictionary`: the method, its
    alignment found without one. `anchored`: the method for little text; every language but the reference whose `model`
    is not given has a second language model, anchored to the reference's by the dictionary (`encoders.anchoring`).
    `supervised`: the target's own treebank, the upper bound."""
    fewer: dict[Annotated[str, Field(pattern=_ROW)], tuple[Code, ...]] = Field(default_factory=dict)
    """What is tested on some of `test_on` only, or on none, to save time: a system, or a system with one kind of tags,
    such as `unaligned-gold`."""
    pos: tuple[Pos, ...] = ("none", "gold")
    """Which universal tags parsers read: none; those that they predict themselves from the same vectors; or gold ones,
    as `pos-only` always does."""
    parser: ParserSettings = ParserSettings()
    """The network and its training."""
    few_shot: FewShotRecipe | None = None
    """Parsers that go on with a few trees of a language that they had not seen."""


class Recipe(Settings):
    """All settings of an experiment."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    """For people, and for the run folder: letters, digits, dots, dashes."""
    reference: str
    """The language whose space the others are mapped into."""
    seed: int = 1
    """Every random choice follows from it."""
    data: str = "."
    """What `{data}` stands for in paths. The environment variable ISOGLOSS_DATA overrides it."""
    compute: ComputeSettings = ComputeSettings()
    """Processes and threads."""
    invented: FamilySettings | None = None
    """Invented languages in place of `corpus`: nothing to download."""
    corpus: dict[Code, LanguageCorpus] = Field(default_factory=dict)
    """Data by language code."""
    encoders: BiLMTrainingSettings = BiLMTrainingSettings()
    """Language models."""
    static: StaticSettings = StaticSettings()
    """Word vectors without context, for the baseline `static`."""
    lexicon: AnchorSettings = AnchorSettings()
    """Anchors."""
    mapping: MappingRecipe = MappingRecipe()
    """Alignment."""
    parsing: ParsingRecipe
    """Parsers and their scores."""

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages in play: the reference, then those to train on, then those to test on."""
        return tuple(dict.fromkeys((self.reference, *self.parsing.train_on, *self.parsing.test_on)))

    @property
    def needs_encoders(self) -> bool:
        """Whether any system reads vectors of a language model."""
        return any(system not in ("pos-only", "static") for system in self.parsing.systems)

    @property
    def needs_text(self) -> bool:
        """Whether any system reads vectors at all."""
        return any(system != "pos-only" for system in self.parsing.systems)

    @property
    def needs_alignment(self) -> bool:
        """Whether any system reads aligned vectors."""
        return any(system in ALIGNED for system in self.parsing.systems)

    def name_in(self, system: str, language: str) -> str:
        """Return what the folders of a language are called in a system: `anchored` has language models of its own."""
        ready = language in self.corpus and self.corpus[language].model is not None
        own = system == "anchored" and language != self.reference and not ready
        return f"{language}-anchored" if own else language


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
            f'"mix". Change it, or encoders.model.layers.'
        )


def _check_languages(path: Path, recipe: Recipe) -> None:
    """Check that every language named anywhere has the data it needs."""
    if recipe.invented is not None and recipe.corpus:
        raise RecipeError(f"{path}: found both [invented] and [corpus]. Expected one of them. Remove the other.")
    table = "invented.languages" if recipe.invented is not None else "corpus"
    known = recipe.invented.languages if recipe.invented is not None else tuple(recipe.corpus)
    named = [("reference", [recipe.reference])]
    named += [("parsing.train_on", recipe.parsing.train_on), ("parsing.test_on", recipe.parsing.test_on)]
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
    _check_few_shot(path, recipe)
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
    asks_for_pairs = recipe.mapping.needs_dictionary or "anchored" in recipe.parsing.systems
    if recipe.needs_alignment and asks_for_pairs and not recipe.mapping.dictionaries:
        raise RecipeError(
            f"{path}, mapping.dictionaries: missing. Expected a pattern such as '{{data}}/{{target}}-{{source}}.tsv', "
            f"since parsing.systems asks for aligned vectors. Add it."
        )


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
            for language in recipe.languages:
                if language != recipe.reference and getattr(corpus[language], of_one) is None:
                    name = patterns[key].replace("{source}", language).replace("{target}", recipe.reference)
                    found(f"mapping.{key}", name)
    orders = {key: pattern.rfind("{source}") < pattern.rfind("{target}") for key, pattern in patterns.items()}
    if len(set(orders.values())) > 1:
        raise RecipeError(
            f"{path}, mapping.test_dictionaries: names {{source}} and {{target}} the other way round than "
            f"mapping.dictionaries. Expected one order, since it says which column is which. Rename the files."
        )
    return recipe.model_copy(update={"corpus": corpus, "mapping": mapping.model_copy(update=patterns)})

"""Use what a run has trained: one parser with the vectors it reads."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.artifacts import check_files, read_manifest
from isogloss.auxiliaries_stage import AUXILIARIES, WORDS
from isogloss.errors import ArtifactError, DataError
from isogloss.recipe import Recipe
from isogloss.stages import ENDINGS, SpacePlan, load_space

if TYPE_CHECKING:
    from isogloss.corpus.sentence import Sentence
    from isogloss.encoders.encoder import Encoder
    from isogloss.parsing.features import Auxiliaries
    from isogloss.parsing.parser import Parser, Tags

SENTENCES_AT_A_TIME = 256
MOST_WORDS = 3_000
"""Words of the longest sentence that is parsed: memory grows with the square, here to some hundred megabytes."""


@dataclass(frozen=True)
class TrainedParser:
    """A parser of several languages, ready to use."""

    parser: "Parser"
    space: "Encoder | None"
    languages: tuple[str, ...]
    auxiliaries: "Auxiliaries" = field(default_factory=dict)
    """Words that are known to be auxiliaries, by language; see `isogloss.parsing.auxiliaries`."""

    def parse(self, sentences: Iterable["Sentence"], *, tags: "Tags" = "auto") -> Iterator["Sentence"]:
        """Put a tree on every sentence, some hundred at a time, in their order.

        Args:
            sentences: May be a stream.
            tags: Which parts of speech a parser with a tagger reads: ``given``, ``predicted`` or ``auto``; see
                `Parser.parse`.

        Raises:
            DataError: A sentence cannot be parsed; see `objection`. Or its language is unknown.
        """
        remaining = iter(sentences)
        while some := list(islice(remaining, SENTENCES_AT_A_TIME)):
            for sentence in some:
                self.refuse_unknown(sentence.language)
                objection = self.objection(sentence, tags=tags)
                if objection is not None:
                    which = sentence.comment("sent_id") or " ".join(sentence.forms[:20])
                    raise DataError(f"sentence {which!r}: {objection}")
            yield from self.parser.parse(some, self.space, tags=tags, auxiliaries=self.auxiliaries)

    def in_precision(self, name: str) -> "TrainedParser":
        """Return the same parser with matrix products in another precision; see `ParserSettings.precision`.

        Raises:
            RecipeError: There is no such precision.
        """
        from isogloss.compute.devices import fastest_precision

        chosen = fastest_precision(name, self.parser.network.root.device)
        settings = self.parser.settings.model_copy(update={"precision": chosen})
        return replace(self, parser=replace(self.parser, settings=settings))

    def refuse_unknown(self, language: str) -> None:
        """Raise a `DataError` if there are no vectors of a language."""
        if self.space is not None and language not in self.languages:
            raise DataError(
                f"language {language!r}: not in this run. Expected one of {', '.join(self.languages)}. Add it to the "
                f"recipe, with text and a dictionary."
            )

    def objection(
        self, sentence: "Sentence", *, tags: "Tags" = "auto", if_long: str = "Divide the sentence."
    ) -> str | None:
        """Say why a sentence cannot be parsed: what was found, what was expected, what to do; None if it can be.

        Args:
            sentence: As it stands in a text.
            tags: See `parse`.
            if_long: What to do about a sentence of too many words.
        """
        if len(sentence) > MOST_WORDS:
            return (
                f"has {len(sentence):,} words, each of which may depend on any other. Expected {MOST_WORDS:,} at most. "
                f"{if_long}"
            )
        reads_tags = self.parser.settings.upos == "gold" or (self.parser.tagger and tags == "given")
        if reads_tags and all(word.upos == "_" for word in sentence.words):
            return (
                "has no universal tags, and this parser reads them. Expected tags in column 4. Add them, or choose a "
                "parser that needs none: --tags predicted, or --pos none."
            )
        return None


def load_trained(folder: Path | str, *, system: str = "aligned", pos: str = "none") -> TrainedParser:
    """Load a parser from a run folder, with all languages that the run has vectors for.

    The parsers of `supervised` are for comparison only and cannot be loaded so: each reads one language.

    Args:
        folder: A run folder.
        system: Which of the run's parsers: `aligned`, `anchored`, `aligned-no-dictionary`, `anchors-only`, `static`,
            `unaligned` or `pos-only`.
        pos: Which universal tags it reads: `gold`, `predicted` (its own) or `none`.

    Raises:
        ArtifactError: The folder is no run, or the run has no such parser.
    """
    from isogloss.parsing.parser import Parser

    folder = Path(folder)
    recipe, home = recipe_of_run(folder), parser_of_run(folder, system=system, pos=pos)
    if system == "pos-only":
        return TrainedParser(Parser.load(home), None, recipe.languages)
    vectors, ending = ENDINGS.get(system, ("lexicon", ""))
    others = [language for language in recipe.languages if language != recipe.reference]
    names = {language: recipe.name_in(system, language) for language in recipe.languages}
    mapped = {language: folder / "mapping" / f"{names[language]}{ending}" for language in others}
    if system == "unaligned":  # each language stays in a space of its own
        mapped = {}
    languages = [name for name in recipe.languages if name not in mapped or mapped[name].is_dir()]
    in_context = [] if system in ("static", "anchors-only") else languages
    for language in languages:
        name = names[language]
        check_built_on(folder, f"mapping/{name}{ending}" if language in mapped else f"{vectors}/{name}")
    plan = SpacePlan(
        system=system,
        reference=recipe.reference,
        anchors={language: folder / vectors / names[language] for language in languages},
        encoders={language: folder / "encoders" / names[language] for language in in_context},
        alignments={name: path for name, path in mapped.items() if name in languages},
    )
    known = auxiliaries_of_run(folder, system=system, pos=pos)
    return TrainedParser(Parser.load(home), load_space(plan), tuple(languages), known)


def auxiliaries_of_run(folder: Path, *, system: str, pos: str) -> dict[str, tuple[str, ...]]:
    """Return the auxiliaries that a run found with one of its parsers, by language.

    Lists that an earlier recipe left, made by another parser or from other language models, are passed over.
    """
    from isogloss.parsing.auxiliaries import read_auxiliaries

    known: dict[str, tuple[str, ...]] = {}
    for language in recipe_of_run(folder).languages:
        name = f"{AUXILIARIES}/{system}-{pos}-{language}"
        with suppress(ArtifactError):
            if f"parsing/{system}-{pos}" in read_manifest(folder / name).content["inputs"]:  # else of its own parser
                check_built_on(folder, name)
                known[language] = read_auxiliaries(folder / name / WORDS, language=language)
    return known


def recipe_of_run(folder: Path) -> Recipe:
    """Read the recipe that a run was made from.

    Raises:
        ArtifactError: The folder is no run.
    """
    try:
        return Recipe.model_validate(json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{folder}: holds no readable recipe.json. Expected the folder of a run. Name one, or make one with "
            f"isogloss run RECIPE -o {folder}."
        ) from error


def parser_of_run(folder: Path, *, system: str, pos: str) -> Path:
    """Return the folder of one of a run's parsers, which is whole and made from what the run holds now.

    Raises:
        ArtifactError: The run has no such parser, or an older one.
    """
    home = folder / "parsing" / f"{system}-{pos}"
    if not home.is_dir():
        names = sorted(path.name for path in (folder / "parsing").glob("[!.]*"))
        there = ", ".join(name for name in names if not name.startswith("supervised")) or "none"
        raise ArtifactError(
            f"{home}: no such parser. The run has: {there}. Choose one with --system and --pos, or finish the run."
        )
    check_files(home, read_manifest(home, kind="parser"), deep=False)
    check_built_on(folder, f"parsing/{system}-{pos}")
    return home


def check_built_on(folder: Path, name: str) -> None:
    """Check that an artifact was made from what the run holds now, all the way down.

    A rerun that was stopped, or that asked for less, leaves parsers beside newer language models: their vectors would
    mean nothing to them.
    """
    for source, key in read_manifest(folder / name).content["inputs"].items():
        if not (folder / source).is_dir():
            continue
        if read_manifest(folder / source).key != key:
            raise ArtifactError(
                f"{folder / name}: was made from another {source} than the run holds now. Expected one from the other. "
                f"Run the recipe again, to its end."
            )
        check_built_on(folder, source)

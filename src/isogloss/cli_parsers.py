"""The commands that make parsers and bring languages into them, which `cli` joins to the others.

Each parses its words, calls one library function, and prints.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from isogloss.cli_mapping import Json, Language, Out, Seed, Threads, Tokenised
from isogloss.cli_models import Models
from isogloss.printing import print_added, print_facts, print_parsers, shown


def train_parser(
    recipe: Annotated[Path, typer.Argument(help="A TOML file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder; by default runs/NAME.")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Override a setting: KEY=VALUE. May be repeated.")] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Train the parsers of a recipe and all that they need, without parsing its test sets.

    The run can then `parse`, be bundled by `make-bundle`, or be continued by `run`, which adds the test sets.

    Example: `isogloss train-parser recipes/invented.toml -o runs/invented`
    """
    from isogloss.display import showing_progress
    from isogloss.experiment import run

    with showing_progress() as show:
        done = run(recipe, out, overrides=tuple(set_), tests=False, on_event=show)
    if as_json:
        print_facts(done.parsers, as_json)
    else:
        print_parsers(done.parsers)
        print(f"parsers in {shown(done.folder / 'parsing')}")


def tune_parser(
    trees: Annotated[Path, typer.Argument(help="CoNLL-U with a tree on every sentence, as few as there are.")],
    language: Language,
    out: Out,
    models: Models = None,
    beside: Annotated[
        list[str],
        typer.Option(
            "--beside",
            help="CODE=FILE: trees of a language that the parser learned from, to keep it from forgetting. "
            "May be repeated.",
        ),
    ] = [],  # noqa: B006
    passes: Annotated[int | None, typer.Option(help="Times that every tree is read.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the beginning; it falls to 0.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Share of the parser's states set to zero.")] = None,
    licence: Annotated[str, typer.Option(help="Of the trees.")] = "",
    threads: Threads = 1,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Let a parser go on with a few trees of a language; new models are written, the old ones stay.

    Example: `isogloss tune-parser kk.conllu -l kk -o my-models --beside tr=tr-train.conllu`
    """
    from isogloss.display import showing_progress
    from isogloss.mapping_commands import options_of
    from isogloss.tuning import tune_parser as command

    given = {"passes": passes, "learning_rate": learning_rate, "dropout": dropout}
    with showing_progress() as show:
        facts = command(
            trees,
            out,
            language=language,
            models=models,
            others={
                code: Path(str(file)) for code, file in options_of(beside, option="--beside", form="CODE=FILE").items()
            },
            tuning={name: value for name, value in given.items() if value is not None},
            licence=licence,
            threads=threads,
            seed=seed,
            on_event=show,
        )
    if as_json:
        print_facts(facts, as_json)
    else:
        print(f"{facts['trees']:,} trees of {language}, {facts['steps']:,} steps; models in {shown(out)}")
        for code, ignored in facts["ignored_relations"].items():
            words = f"{sum(ignored.values()):,} words of {code}"
            print(f"of {words} only the heads were learned: the parser does not know {', '.join(ignored)}")


def add_language(
    language: Annotated[str, typer.Argument(metavar="CODE", help="Code of the new language, for example gl.")],
    text: Annotated[Path, typer.Option(help="Raw text, one sentence a line; plain, gz, xz or zst.")],
    out: Out,
    to: Annotated[
        Path | None,
        typer.Option(help="Models to add to, or the folder of a run; by default those that come with isogloss."),
    ] = None,
    dictionary: Annotated[
        Path | None,
        typer.Option(
            "--dictionary",
            "-d",
            help="Lines with a word of the models' reference language, a tab, and its translation, or the other way "
            "round; a few hundred basic words help much, and are needed where hardly a word is spelt alike, as in "
            "another script. With --kin, of the kindred language.",
        ),
    ] = None,
    kin: Annotated[
        str | None,
        typer.Option(
            help="Code of a kindred language among the models: the new one begins as its language model and takes over "
            "its alignment. For languages with very little text."
        ),
    ] = None,
    kin_dictionary: Annotated[
        Path | None,
        typer.Option(help="Of the kindred language and the reference; --dictionary is then of the reference, too."),
    ] = None,
    reference_text: Annotated[
        Path | None, typer.Option(help="Raw text of the reference language, for models that keep no anchors of it.")
    ] = None,
    auxiliaries: Annotated[
        Path | None,
        typer.Option(
            help="The language's auxiliaries, all forms, one a line: the tagger then takes none of them for a verb. By "
            "default they are found in the text, if the tagger finds far fewer than usual."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The language's name in English.")] = None,
    licence: Annotated[str, typer.Option(help="Of the text.")] = "",
    tokenised: Tokenised = False,
    max_sentences: Annotated[int | None, typer.Option(help="Lines after this many are not read.")] = None,
    threads: Threads = 1,
    precision: Annotated[str, typer.Option(help="Of matrix products: float32, bfloat16 or auto.")] = "auto",
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Bring a language into a parser by raw text alone: from then on `parse` knows it. No trees are needed.

    Its language model is trained from the reference's or that of a kindred language, its words find their places, and
    new models are written: the old ones and the language. After an interruption the same command goes on.

    Example: `isogloss add-language gl --text gl.txt --dictionary en-gl.tsv -o my-models`

    Little text: `isogloss add-language ky --text ky.txt --kin tr -d en-ky.tsv --kin-dictionary en-tr.tsv -o my-models`
    """
    from isogloss.add_language import add_language as command
    from isogloss.display import showing_progress

    with showing_progress() as show:
        facts = command(
            language,
            text,
            out,
            to=to,
            dictionary=dictionary,
            kin=kin,
            kin_dictionary=kin_dictionary,
            reference_text=reference_text,
            auxiliaries=auxiliaries,
            name=name,
            licence=licence,
            tokenised=tokenised,
            max_sentences=max_sentences,
            threads=threads,
            precision=precision,
            seed=seed,
            on_event=show,
        )
    if as_json:
        print_facts(facts, as_json)
    else:
        print_added(language, facts, out)


COMMANDS: tuple[Callable[..., None], ...] = (train_parser, tune_parser, add_language)
"""In the order of ``isogloss --help``."""

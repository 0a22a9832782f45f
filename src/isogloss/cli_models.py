"""The commands about several models at once, which `cli` joins to the others.

Each parses its words, calls one library function, and prints.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from isogloss.cli_mapping import Out, Seed, Threads, Tokenised
from isogloss.errors import RecipeError
from isogloss.printing import print_cards, print_models, shown

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Models = Annotated[
    Path | None,
    typer.Option(
        "--models",
        help="Folder of models; by default what ISOGLOSS_MODELS names, else those that come with isogloss.",
    ),
]


def train_polyglot(
    texts: Annotated[
        list[str], typer.Argument(metavar="CODE=TEXT…", help="Raw text of each language, one sentence a line.")
    ],
    out: Out,
    size: Annotated[str, typer.Option(help="tiny, small, medium or original.")] = "small",
    epochs: Annotated[int, typer.Option(help="Passes over the shortest text; as much is read of the others.")] = 1,
    max_sentences: Annotated[int | None, typer.Option(help="Lines of each text after this many are not read.")] = None,
    tokenised: Tokenised = False,
    vocabulary: Annotated[int | None, typer.Option(help="Word types that each softmax knows.")] = None,
    word_types: Annotated[int | None, typer.Option(help="Word types with a vector of their own; 0 for none.")] = None,
    rows: Annotated[int | None, typer.Option(help="Streams of text side by side, of each language.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Share of values dropped in training.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Largest learning rate of Adam.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after so many steps, if the passes last longer.")] = None,
    evaluate_every: Annotated[int | None, typer.Option(help="Steps between two measurements on held-out text.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many measurements without a better one; 0 never does.")
    ] = None,
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between two checkpoints.")] = 1.0,
    threads: Threads = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: an accelerator if there is one.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="Of matrix products: float32, bfloat16, or auto: bfloat16 on an accelerator.")
    ] = "auto",
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="Trained model, of one of these languages or another: where all begin. Or a folder with one of each "
            "language: all go on from their own."
        ),
    ] = None,
    dictionary: Annotated[
        list[str],
        typer.Option(
            "--dictionary",
            "-d",
            help="CODE=FILE, with --start-from: lines of a word and its translation in that model's language, tab "
            "between, either order. Without, words spelt alike serve. May be repeated.",
        ),
    ] = [],  # noqa: B006
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Train one language model for several languages: each has its own words, all share the recurrent layers.

    Each language's folder is a language model like those of train-lm. Stopped, the same command goes on from the last
    checkpoint. Several processes share the languages: `torchrun --nproc-per-node 2 -m isogloss train-polyglot …`

    Example: `isogloss train-polyglot en=en.txt kk=kk.txt --start-from models/en -d kk=en-kk.tsv --epochs 15 -o both`
    """
    from isogloss.display import showing_progress
    from isogloss.polyglot_models import train_polyglot as command

    files, dictionaries = _by_language(texts, of="text"), _by_language(dictionary, of="--dictionary")
    with showing_progress() as show:
        cards = command(
            files,
            out,
            size=size,
            max_sentences=max_sentences,
            tokenised=tokenised,
            word_types=word_types,
            training={"epochs": epochs, "vocabulary_size": vocabulary, "rows": rows, "dropout": dropout},
            loop={
                "learning_rate": learning_rate,
                "max_steps": max_steps,
                "evaluate_every": evaluate_every,
                "patience": patience,
                "checkpoint_seconds": 60.0 * checkpoint_minutes,
            },
            threads=threads,
            device=device,
            precision=precision,
            seed=seed,
            start_from=start_from,
            dictionaries=dictionaries,
            on_event=show,
        )
    if not cards:  # a process that is not the first
        return
    if as_json:
        print(json.dumps(cards, indent=2, ensure_ascii=False))
    else:
        print_cards(cards)


def _by_language(given: list[str], *, of: str) -> dict[str, Path]:
    """Read CODE=FILE, each code once."""
    found: dict[str, Path] = {}
    for one in given:
        code, equals, file = (part.strip() for part in one.partition("="))
        if not (code and equals and file):
            raise RecipeError(f"{of}: found {one!r}. Expected CODE=FILE, such as en=en.txt.xz. Name the language, too.")
        if code in found:
            raise RecipeError(f"{of}: found {code!r} twice. Expected each language once. Leave one out.")
        found[code] = Path(file)
    return found


def make_bundle(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write, or that of a bundle to renew.")],
    system: Annotated[str, typer.Option(help="Which of the run's parsers: aligned or aligned-no-dictionary.")] = (
        "aligned"
    ),
    pos: Annotated[str, typer.Option(help="Which tags it reads: predicted (its own), gold or none.")] = "predicted",
) -> None:
    """Make models that `parse` can use out of a run: its language models, its alignments and one of its parsers.

    Example: `isogloss make-bundle runs/all -o my-models`
    """
    from isogloss.bundle_commands import make_bundle as command

    bundle = command(run, out, system=system, pos=pos)
    print(f"{len(bundle.languages)} languages in {shown(bundle.folder)}")


def models(models: Models = None, as_json: Json = False) -> None:
    """List the languages that `parse` knows: what was learned from, how well it parses, and the licences.

    Example: `isogloss models --models my-models`
    """
    from isogloss.bundle_commands import models as command

    found = command(models)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print_models(found)


COMMANDS: tuple[Callable[..., None], ...] = (train_polyglot, make_bundle, models)
"""In the order of ``isogloss --help``."""

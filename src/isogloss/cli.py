"""The command line: each command parses its words, calls one library function, and prints.

Results go to standard output, progress and messages to standard error.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from isogloss import cli_exchange, cli_mapping, cli_models, cli_parsers, cli_translation
from isogloss.cli_mapping import Format, Json, Language, Out, Seed, Threads, Tokenised
from isogloss.cli_models import Models
from isogloss.errors import IsoglossError
from isogloss.printing import print_comparison, print_facts, print_precision, print_scores, shown


class Ended(Exception):
    """A command was ended by Ctrl-C or by a closed pipe. Typer would answer these itself, and in its own words."""


class _Commands(TyperGroup):
    def invoke(self, ctx: typer.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise Ended from error


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Parse a language that has raw text but no treebank.",
)


@app.callback(invoke_without_command=True)
def version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version, if asked."""
    if version:
        from isogloss.artifacts import versions

        print(f"isogloss {versions()['isogloss']}")
        raise typer.Exit


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="A TOML file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder; by default runs/NAME.")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Override a setting: KEY=VALUE. May be repeated.")] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Run a whole experiment: language models, anchors, alignment, parsers, scores.

    What is already there and still right is kept, so the same command also goes on after an interruption.

    Example: `isogloss run recipes/invented.toml -o runs/invented --set encoders.epochs=3`
    """
    from isogloss.display import showing_progress
    from isogloss.experiment import run as run_recipe

    with showing_progress() as show:
        done = run_recipe(recipe, out, overrides=tuple(set_), on_event=show)
    print_scores(done.scores, as_json)
    if as_json:
        return
    print_precision(done.precision)
    print()
    reports = done.folder / "reports"
    named = [("scores", reports / "scores.json"), ("table", reports / "scores.md")]
    for label, path in [*named, *(("picture", figure) for figure in done.figures)]:
        print(f"{label:<8} {shown(path)}")


@app.command()
def invent(
    out: Out,
    language: Annotated[
        list[str], typer.Option("--language", "-l", help="A code; may be repeated. All by default.")
    ] = [],  # noqa: B006
    sentences: Annotated[int, typer.Option(help="Sentences of raw text for each language.")] = 25_000,
    seed: Seed = 1,
) -> None:
    """Write a family of invented languages: raw text, treebanks, parallel sentences, dictionaries.

    Example: `isogloss invent -o family -l qal -l qel --sentences 1000`
    """
    from isogloss.artifacts import build_artifact
    from isogloss.commands import checked
    from isogloss.corpus.invented.family import FamilySettings, write_family

    given = {"languages": tuple(language)} if language else {}
    settings = checked(FamilySettings, text_sentences=sentences, seed=seed, **given)
    build_artifact(
        out,
        "corpus",
        lambda draft: write_family(draft, settings),
        settings=settings.model_dump(mode="json"),
        inputs={},
    )
    print(out)


@app.command()
def train_lm(
    text: Annotated[Path, typer.Argument(help="Raw text, one sentence a line; plain, gz, xz or zst.")],
    language: Language,
    out: Out,
    size: Annotated[str, typer.Option(help="tiny, small, medium or original.")] = "small",
    epochs: Annotated[int, typer.Option(help="Passes over the text.")] = 1,
    max_sentences: Annotated[int | None, typer.Option(help="Lines after this many are not read.")] = None,
    tokenised: Tokenised = False,
    count_words: Annotated[
        int | None, typer.Option(help="Words read before the first step; by default all of a file up to 100 MB.")
    ] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Word types that the softmax knows.")] = None,
    word_types: Annotated[int | None, typer.Option(help="Word types with a vector of their own; 0 for none.")] = None,
    rows: Annotated[int | None, typer.Option(help="Streams of text side by side: the batch, of all processes.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Share of values dropped in training.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Largest learning rate of Adam.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after so many steps, if the passes last longer.")] = None,
    evaluate_every: Annotated[int | None, typer.Option(help="Steps between two measurements on held-out text.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many measurements without a better one; 0 never does.")
    ] = None,
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between two checkpoints.")] = 1.0,
    threads: Annotated[
        int,
        typer.Option(
            help="Threads of each process. The default is safe: threads wait for each other at every product, and on "
            "a machine with other work two can take ten times as long as one. Give more where cores are idle."
        ),
    ] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: an accelerator if there is one.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="Of matrix products: float32, bfloat16, or auto: bfloat16 on an accelerator.")
    ] = "auto",
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="Trained model of another language, whose recurrent layers are where this begins; or of this one, to "
            "go on from it."
        ),
    ] = None,
    hold_recurrent: Annotated[
        float | None,
        typer.Option(
            help="With --start-from or --anchored-to: share of the steps for which recurrent layers stay as they are."
        ),
    ] = None,
    anchored_to: Annotated[
        Path | None,
        typer.Option(
            help="For little text: trained model of a rich language. This one starts from it, and its words are pulled "
            "to their translations in training. Needs --dictionary."
        ),
    ] = None,
    anchoring_weight: Annotated[
        float | None, typer.Option(help="With --anchored-to: how strong the pull is (λ, nats per word); 0 is none.")
    ] = None,
    context_weight: Annotated[
        float | None, typer.Option(help="The same for words in context. Needs --anchors.")
    ] = None,
    softmax_weight: Annotated[float | None, typer.Option(help="The same for the softmax's vectors of words.")] = None,
    anchors: Annotated[Path | None, typer.Option(help="With --context-weight: that model's, by `anchors`.")] = None,
    dictionary: Annotated[
        Path | None,
        typer.Option(
            "--dictionary",
            "-d",
            help="With --start-from or --anchored-to: lines of a word and its translation, tab between, either order.",
        ),
    ] = None,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Train a bidirectional language model (ELMo) on raw text.

    Stopped with Ctrl-C (or SIGTERM), or killed, the same command goes on from the last checkpoint. Several processes
    train one model: `torchrun --nproc-per-node 2 -m isogloss train-lm …`

    Example: `isogloss train-lm es.txt.xz --language es -o models/es --size tiny`

    With little text: `isogloss train-lm kk.txt -l kk --anchored-to models/en --dictionary en-kk.tsv -o models/kk`
    """
    from isogloss.display import showing_progress
    from isogloss.language_models import train_lm as command

    with showing_progress() as show:
        card = command(
            text,
            out,
            language=language,
            size=size,
            max_sentences=max_sentences,
            tokenised=tokenised,
            word_types=word_types,
            training={
                "epochs": epochs,
                "counted_words": count_words,
                "vocabulary_size": vocabulary,
                "rows": rows,
                "dropout": dropout,
                "hold_recurrent": hold_recurrent,
            },
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
            anchored_to=anchored_to,
            anchoring={"weight": anchoring_weight, "context_weight": context_weight, "softmax_weight": softmax_weight},
            anchors=anchors,
            dictionary=dictionary,
            on_event=show,
        )
    if card:  # of several processes, the first one has it
        print_facts(card, as_json)


@app.command()
def shrink_lm(
    model: Annotated[Path, typer.Argument(help="Folder of a language model.")],
    out: Out,
    as_json: Json = False,
) -> None:
    """Store a language model small, for giving away: float16, and without the softmax, which only training needs.

    Example: `isogloss shrink-lm models/es -o give-away/es`
    """
    from isogloss.commands import shrink_lm as command

    print_facts(command(model, out), as_json)


@app.command()
def embed(
    model: Annotated[Path, typer.Argument(help="Folder of a language model.")],
    text: Annotated[Path, typer.Argument(help="Raw text, one sentence a line; plain, gz, xz or zst.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Safetensors file to write.")],
    tokenised: Tokenised = False,
    layer: Annotated[list[int], typer.Option(help="A layer to write; may be repeated. All by default.")] = [],  # noqa: B006
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    dtype: Annotated[str, typer.Option(help="float32; or bfloat16: sooner done, good to two digits.")] = "float32",
    batch_words: Annotated[int | None, typer.Option(help="Words read together: speed and memory, no more.")] = None,
    stateful: Annotated[bool, typer.Option("--stateful", help="Carry states on as AllenNLP does.")] = False,
    batch_size: Annotated[int, typer.Option(help="Sentences read together if --stateful.")] = 64,
    threads: Annotated[int, typer.Option(help="On a busy machine two can be slower than one.")] = 1,
    aligned: Annotated[
        Path | None, typer.Option(help="Folder of alignments: bring vectors into the space of its target language.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the vectors of every word in context: one tensor per line of text, layers × words × width.

    Example: `isogloss embed models/es sentences.txt -o vectors.safetensors --layer 1 --half --aligned mapping/es`
    """
    from isogloss.display import showing_progress
    from isogloss.embedding import embed as command

    options = {"layers": layer, "half": half, "dtype": dtype, "batch_words": batch_words, "tokenised": tokenised}
    options |= {"stateful": stateful, "batch_size": batch_size, "threads": threads, "aligned": aligned}
    with showing_progress() as show:
        facts = command(model, text, out, **options, on_event=show)
    if as_json:
        print_facts(facts, as_json)
    else:
        print(f"{facts['sentences']} sentences in {out}")


for joined_file in (cli_mapping, cli_translation, cli_exchange, cli_models, cli_parsers):
    for joined in joined_file.COMMANDS:
        app.command()(joined)


@app.command()
def parse(
    file: Annotated[Path, typer.Argument(help="Running text, empty lines between paragraphs; or CoNLL-U. - is stdin.")],
    language: Language,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CoNLL-U file; by default standard output.")] = None,
    models: Models = None,
    run: Annotated[Path | None, typer.Option(help="Folder of a run whose parser is used in place of models.")] = None,
    system: Annotated[str | None, typer.Option(help="With --run: which of its parsers, if not aligned.")] = None,
    pos: Annotated[
        str | None, typer.Option(help="With --run: what tags that parser reads: none (the default), predicted, gold.")
    ] = None,
    tags: Annotated[
        str,
        typer.Option(
            help="Tags that a parser with a tagger reads: given ones, predicted (its own), or auto: given where every "
            "word of a sentence has one."
        ),
    ] = "auto",
    format: Format = "auto",
    lines: Annotated[bool, typer.Option("--lines", help="Raw text has one sentence a line.")] = False,
    tokenised: Annotated[
        bool, typer.Option("--tokenised", help="Raw text has one sentence a line, its words already apart.")
    ] = False,
    contractions: Annotated[
        Path | None, typer.Option(help="Tokens that stand for several words: lines TOKEN, tab, WORDS WITH SPACES.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of matrix products: float32, bfloat16, auto; by default as in training.")
    ] = None,
    threads: Threads = 1,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Tell of sentences that cannot be parsed, parse the rest, end with status 4. Malformed ones are left "
            "out, others handed on without a new tree.",
        ),
    ] = False,
) -> None:
    """Parse a file with the models that come with isogloss, with others, or with a run's parser.

    Files may be larger than memory. Trees are CoNLL-U, with tags where the parser found them.

    Example: `isogloss parse news.txt --language es -o news.conllu`
    """
    from isogloss.parsing_files import parse as command

    def tell(fault: IsoglossError) -> None:
        print(f"isogloss: {fault}", file=sys.stderr)

    options = {"models": models, "run": run, "system": system, "pos": pos, "tags": tags, "lines": lines}
    options |= {"format": format, "tokenised": tokenised, "contractions": contractions, "precision": precision}
    command(
        file, out or sys.stdout, language=language, **options, threads=threads, on_fault=tell if keep_going else None
    )


@app.command()
def score(
    gold: Annotated[Path, typer.Argument(help="CoNLL-U with the right trees; - is standard input.")],
    system: Annotated[Path, typer.Argument(help="CoNLL-U of the same text with the trees to be judged; or -.")],
    as_json: Json = False,
) -> None:
    """Compare trees with the right ones, as the official scorer does: UAS and LAS; where words differ, F1 of all.

    Example: `isogloss score es-test.conllu parsed.conllu`
    """
    from isogloss.commands import score as command

    print_comparison(command(gold, system), as_json)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or scores.json files.")],
    as_json: Json = False,
) -> None:
    """Put the scores of one or several runs into one table; several seeds become mean ± sd.

    Example: `isogloss report runs/seed-1 runs/seed-2 runs/seed-3`
    """
    from isogloss.reports.results import read_scores

    print_scores(read_scores(runs), as_json)

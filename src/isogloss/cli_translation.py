"""The command that translates the words of a text in context, which `cli` joins to the others.

It parses its words, calls one library function, and prints.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from isogloss.cli_mapping import Json, SourceAnchors, TargetAnchors, Threads, Tokenised, words_of
from isogloss.printing import occurrence_lines


def translate(
    model: Annotated[Path, typer.Argument(help="Folder of the source's language model.")],
    text: Annotated[Path, typer.Argument(help="Raw text of its language, one sentence a line; - is standard input.")],
    alignment: Annotated[Path, typer.Option("--alignment", "-a", help="Folder of alignments, as align writes it.")],
    words: Annotated[
        str | None, typer.Option(help="Translate these, with commas between them; by default all words.")
    ] = None,
    layer: Annotated[int | None, typer.Option(help="By default 1, or the only one.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many translations of each.")] = 5,
    max_sentences: Annotated[int | None, typer.Option(help="Reading stops after so many.")] = None,
    tokenised: Tokenised = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; by default standard output.")] = None,
    source_anchors: SourceAnchors = None,
    target_anchors: TargetAnchors = None,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Translate the words of a text in context: *bank* by its sense in this very sentence.

    A line for each word, with tabs between: number of the line, place in it, word, its sense, and the nearest words of
    the other language, best first, each with its score. Senses are those of `anchors --senses`, if the alignment was
    found between such anchors; with plain ones, every occurrence is looked up half way between its anchor and its own
    vector, with the weights and the spelling that the alignment looks words up by (`align --spelling 0.5`).

    Example: `echo "The bank lent her money ." | isogloss translate models/en - -a mapping/en --words bank`
    """
    from isogloss.corpus.raw_text import refuse_folder, write_lines
    from isogloss.display import showing_progress
    from isogloss.translation import translate as command

    if out is not None:
        refuse_folder(out)
    where = {"source_anchors": source_anchors, "target_anchors": target_anchors, "layer": layer}
    reading = {"max_sentences": max_sentences, "tokenised": tokenised, "threads": threads}
    with showing_progress() as show:
        rows = command(
            model,
            text,
            alignment=alignment,
            words=words_of(words, option="--words"),
            k=k,
            on_event=show,
            **where,
            **reading,
        )
    lines = json.dumps(rows, indent=2, ensure_ascii=False).splitlines() if as_json else occurrence_lines(rows)
    if out is not None:
        write_lines(lines, out)
        return
    for line in lines:
        print(line)


COMMANDS: tuple[Callable[..., None], ...] = (translate,)
"""In the order of ``isogloss --help``."""

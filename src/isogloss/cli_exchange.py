"""The commands that bring models, anchors and maps of other tools in and give ours out, which `cli` joins to others.

Each parses its words, calls one library function, and prints.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from isogloss.cli_mapping import Alignments, Json, Language, Out
from isogloss.printing import print_facts


def import_elmo(
    weights: Annotated[Path, typer.Argument(help="Published ELMo weights, hdf5.")],
    options: Annotated[Path, typer.Argument(help="Their options, JSON.")],
    language: Language,
    out: Out,
) -> None:
    """Make a language model out of published ELMo weights.

    Example: `isogloss import-elmo en_weights.hdf5 en_options.json --language en -o models/en`
    """
    from isogloss.commands import import_elmo as command

    found = command(weights, options, out, language=language)
    print(f"{found['layers']} layers, {found['width']:,} wide, in {out}")


def export_elmo(
    model: Annotated[Path, typer.Argument(help="Folder of a language model.")],
    out: Out,
) -> None:
    """Write a language model as published ELMo weights, for AllenNLP and others: weights.hdf5 and options.json.

    Example: `isogloss export-elmo models/es -o published/es`
    """
    from isogloss.commands import export_elmo as command

    command(model, out)
    print(out)


def import_anchors(
    path: Annotated[Path, typer.Argument(help="Published folder, or word vectors in word2vec text format.")],
    language: Language,
    out: Out,
    max_types: Annotated[int | None, typer.Option(help="Only so many of the most frequent words are kept.")] = None,
    as_json: Json = False,
) -> None:
    """Make a folder of anchors out of published ones, or of word vectors of another tool.

    Example: `isogloss import-anchors cc.es.300.vec.gz --language es -o anchors/es --max-types 200000`
    """
    from isogloss.exchange_commands import import_anchors as command

    print_facts(command(path, out, language=language, max_types=max_types), as_json)


def export_anchors(
    folder: Annotated[Path, typer.Argument(metavar="ANCHORS", help="Folder of anchors.")],
    out: Out,
) -> None:
    """Write anchors in the layout of the paper's authors, which MUSE reads: avg_embeds_1.txt … and norms.json.

    Example: `isogloss export-anchors anchors/es -o published/es`
    """
    from isogloss.exchange_commands import export_anchors as command

    command(folder, out)
    print(out)


def import_alignment(
    files: Annotated[list[Path], typer.Argument(metavar="PTH...", help="Published matrices, one for each layer.")],
    source: Annotated[str, typer.Option(help="Code of the language that is mapped.")],
    target: Annotated[str, typer.Option(help="Code of the language into whose space it is mapped.")],
    out: Out,
    layer: Annotated[list[int], typer.Option(help="Of each file, in their order; 1 for a single file.")] = [],  # noqa: B006
    target_file: Annotated[
        list[Path], typer.Option(help="The target's own matrix for each layer: it holds the scale of its vectors.")
    ] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Make a folder of alignments out of published matrices, .pth files. No code in them is run.

    Example: `isogloss import-alignment es_best_mapping.pth --source es --target en --layer 1 -o mapping/es`
    """
    from isogloss.exchange_commands import import_alignment as command

    rows = command(files, out, source=source, target=target, layers=layer, target_files=target_file)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(
            f"layer {row['layer']}: width {row['width']:,}, scale {row['scale']:.6g}, "
            f"off orthogonal by {row['orthogonality_gap']:.2g}"
        )


def export_alignment(
    alignment: Alignments,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, usually with the ending .pth.")],
    layer: Annotated[int | None, typer.Option(help="By default 1, or the only one.")] = None,
    container: Annotated[str, typer.Option(help="zip, or legacy: what PyTorch before 1.6 reads.")] = "zip",
    tensor: Annotated[bool, typer.Option("--tensor", help="A float32 tensor in place of a numpy array.")] = False,
) -> None:
    """Write an alignment as a published matrix, for AllenNLP, MUSE and torch.load.

    Example: `isogloss export-alignment mapping/es --layer 1 -o es_best_mapping.pth`
    """
    from isogloss.exchange_commands import export_alignment as command

    command(alignment, out, layer=layer, container=container, tensor=tensor)
    print(out)


COMMANDS: tuple[Callable[..., None], ...] = (
    import_elmo,
    export_elmo,
    import_anchors,
    export_anchors,
    import_alignment,
    export_alignment,
)
"""In the order of ``isogloss --help``."""

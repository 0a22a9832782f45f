"""The commands about bundles of models, which `cli` joins to the others.

Each parses its words, calls one library function, and prints.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from isogloss.printing import print_models, shown

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Models = Annotated[
    Path | None,
    typer.Option(
        "--models",
        help="Folder of models; by default what ISOGLOSS_MODELS names, else those that come with isogloss.",
    ),
]


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


COMMANDS: tuple[Callable[..., None], ...] = (make_bundle, models)
"""In the order of ``isogloss --help``."""

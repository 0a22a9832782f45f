"""Run a recipe: make what is missing, keep what is there, report everything.

A run folder has the shape of the package. It also holds `recipe.json` (all settings, defaults included), `log.jsonl`
(every event of every run, one JSON object a line) and `.lock`, which keeps two runs apart.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isogloss.artifacts import only_writer, up_to_date, versions, write_atomically, writing_to
from isogloss.compute.workers import Event, Task, run_tasks
from isogloss.drafts import SUFFIX, remove_drafts
from isogloss.errors import OutputError, RecipeError
from isogloss.plan import plan_stages
from isogloss.planner import serves_tests
from isogloss.recipe import Recipe
from isogloss.recipe_reading import load_recipe
from isogloss.reports.results import Score, read_scores, write_scores
from isogloss.stage import Stage, run_stage

log = logging.getLogger(__name__)

RECIPE = "recipe.json"
LOCK = ".lock"


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    scores: list[Score]
    precision: list[dict[str, Any]]
    """One row per language and layer: precision@k of the test dictionary, and how the alignment was found."""
    figures: list[Path]
    made: list[str]
    """Stages that this run made; the others were already there."""
    parsers: dict[str, dict[str, Any]]
    """How each parser was trained: languages, steps, mean LAS on their development trees."""


def run(
    recipe: Recipe | Path | str,
    folder: Path | str | None = None,
    *,
    overrides: tuple[str, ...] = (),
    tests: bool = True,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Run:
    """Run a recipe to its end, or as far as it was not yet run.

    Args:
        recipe: A recipe file, or a loaded recipe.
        folder: The run folder; by default ``runs/NAME`` in the current folder.
        overrides: Settings in the form ``encoders.epochs=3``.
        tests: Whether to parse and score test sets, too, and to report on all; without, the parsers are the end.
        on_event: Called with everything that the stages report.

    Returns:
        Scores, precision of the dictionaries and figures; all are in the folder too.

    Raises:
        IsoglossError: Data, recipe or folder are not what they should be. Finished stages are kept.
        KeyboardInterrupt: Stopped on request. Finished stages and checkpoints are kept.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(Path(recipe), overrides=overrides)
    elif overrides:
        raise RecipeError(
            f"overrides: found {', '.join(overrides)} with a recipe that is loaded already. Expected them where it is "
            f"loaded. Give them to load_recipe."
        )
    folder = Path(folder if folder is not None else Path("runs") / recipe.name).absolute()
    _refuse_to_mix(folder)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder, lock=folder / LOCK):
        remove_drafts(folder)
        stages = [stage for stage in plan_stages(recipe, folder) if tests or not serves_tests(stage)]
        missing = [stage for stage in stages if not up_to_date(folder / stage.name, stage.key)]
        write_atomically(folder / RECIPE, recipe.model_dump_json(indent=2) + "\n")
        with _log_file(folder / "log.jsonl") as write:

            def tell(event: Event) -> None:
                write(event)
                on_event(event)

            tell(
                {
                    "event": "run",
                    "time": datetime.now(UTC).timestamp(),
                    "recipe": recipe.name,
                    "seed": recipe.seed,
                    "stages": [stage.name for stage in stages],
                    "kept": [stage.name for stage in stages if stage not in missing],
                    **versions(),
                }
            )
            run_tasks(
                _tasks(missing, folder),
                workers=recipe.compute.workers,
                threads=recipe.compute.threads,
                on_event=tell,
            )
        made = [stage.name for stage in missing]
        parsers = {
            stage.name: json.loads((folder / stage.name / "settings.json").read_text(encoding="utf-8"))["metadata"]
            for stage in stages
            if stage.kind == "parser"
        }
        if not tests:
            return Run(folder=folder, scores=[], precision=[], figures=[], made=made, parsers=parsers)
        return _conclude(recipe, folder, stages, made, parsers)


def _refuse_to_mix(folder: Path) -> None:
    """Make sure that a run folder is new or already one: we remove and replace things in it."""
    if not folder.is_dir() or (folder / RECIPE).is_file():
        return
    for path in sorted(folder.iterdir()):
        if path.name != LOCK and not path.name.endswith(SUFFIX):
            raise OutputError(
                f"{folder}: holds {path.name}, and is no run folder (no {RECIPE}). Expected a new or empty folder, or "
                f"that of an earlier run. Choose another with -o."
            )


def _tasks(stages: list[Stage], folder: Path) -> list[Task]:
    names = {stage.name for stage in stages}
    return [
        Task(
            name=stage.name,
            function=run_stage,
            arguments={"stage": stage, "folder": folder},
            after=tuple(name for name in stage.after if name in names),
        )
        for stage in stages
    ]


def _conclude(recipe: Recipe, folder: Path, stages: list[Stage], made: list[str], parsers: dict[str, Any]) -> Run:
    """Gather scores, write the tables and draw the figures."""
    from isogloss.figures import draw_run
    from isogloss.reports.tables import as_csv, as_markdown, score_table

    scores = read_scores(folder / stage.name / "scores.json" for stage in stages if stage.kind == "parsed")
    precision = [
        row
        for stage in stages
        if stage.kind == "alignments"
        for row in json.loads((folder / stage.name / "precision.json").read_text(encoding="utf-8"))
    ]
    reports = folder / "reports"
    with writing_to(reports):
        reports.mkdir(exist_ok=True)
    write_scores(reports / "scores.json", scores)
    table = score_table(scores)
    write_atomically(reports / "scores.md", as_markdown(table))
    write_atomically(reports / "scores.csv", as_csv(table))
    write_atomically(reports / "precision.json", json.dumps(precision, indent=2) + "\n")
    figures = draw_run(recipe, folder, stages, table)
    return Run(folder=folder, scores=scores, precision=precision, figures=figures, made=made, parsers=parsers)


@contextmanager
def _log_file(path: Path) -> Iterator[Callable[[Event], None]]:
    """Append events to a JSON-lines file."""
    with writing_to(path):
        file = path.open("ab", buffering=0)  # without a buffer, nothing is left to be written when it closes
    with file:

        def write(event: Event) -> None:
            with writing_to(path):
                file.write((json.dumps(event, ensure_ascii=False) + "\n").encode())

        yield write

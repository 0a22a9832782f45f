"""How commands print their results on standard output: tables for people, JSON for programs."""

import json
import sys
from pathlib import Path
from typing import Any


def print_scores(scores: Any) -> None:
    """Print scores as a table."""
    from rich.console import Console

    from isogloss.reports.tables import as_rich, as_text, score_table

    table = score_table(scores)
    if sys.stdout.isatty():
        Console().print(as_rich(table))
    else:
        print(as_text(table))


def print_precision(rows: list[dict[str, Any]]) -> None:
    """Print how well anchors translate, a line per language and layer."""
    for row in rows:
        if "precision@1" in row:
            print(
                f"{row['source']}→{row['target']} {row['vectors']} {row['layer']}: precision@1 "
                f"{row['precision@1']:.3f}, @5 {row['precision@5']:.3f} ({row['tested_words']} test words, CSLS)"
            )
        else:
            print(f"{row['source']}→{row['target']} {row['vectors']} {row['layer']}: {row['usable_pairs']} pairs used")


def print_facts(facts: dict[str, Any], as_json: bool) -> None:
    """Print names and values, a line each, or as JSON."""
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        print(
            f"{name.replace('_', ' '):<20} {value:,}"
            if isinstance(value, int)
            else f"{name.replace('_', ' '):<20} {value}"
        )


def shown(path: Path) -> str:
    """Return a path as short as it can be told."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)

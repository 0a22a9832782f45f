"""Scores of many runs: one `Score` per system, language, split and seed, as JSON.

A run leaves a file ``scores.json``, a list of rows. Fractions stay fractions there, at full precision; only
tables turn them into per cent. The module receives paths of such files, or of run folders, and hands on
`Score` values.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from isogloss.artifacts import write_atomically, writing_to
from isogloss.errors import ArtifactError
from isogloss.parsing.attachment import Scope

System = Literal[
    "pos-only",
    "unaligned",
    "anchors-only",
    "static",
    "aligned-no-dictionary",
    "aligned",
    "anchored",
    "supervised",
]
"""What a parser read and learned from, in the order of tables: from the lower bounds to the upper one."""

GAPS: Mapping[str, System] = MappingProxyType({"gap_closed": "unaligned", "gap_over_static": "static"})
"""Names of the shares of a gap that tables tell, each with the lower bound it is taken from, up to `supervised`."""
BETWEEN: frozenset[System] = frozenset({"anchors-only", "static", "aligned-no-dictionary", "aligned", "anchored"})
"""Systems for which they are told."""

PosSource = Literal["none", "predicted", "gold"]
"""Where the universal part-of-speech tags came from that a parser read."""


@dataclass(frozen=True)
class Score:
    """How well one system parsed one test set."""

    system: System
    language: str
    split: str
    """Name of the test set within the treebank, mostly ``test``."""
    pos: PosSource
    uas: float
    """Share of words with the right head, from 0 to 1."""
    las: float
    """Share of words with the right head and relation, from 0 to 1."""
    words: int
    """Words that count in `scope`."""
    seed: int
    las_low: float | None = None
    """Lower end of the 95 % interval of LAS, or None where it was not estimated."""
    las_high: float | None = None
    """Upper end of the 95 % interval of LAS."""
    unseen: bool = False
    """Whether the parser learned from no tree of this language."""
    trees: int | None = None
    """Trees of the language that the parser learned from, where few were drawn: those of an `aligned` parser came after
    its training, a `supervised` one learned from no others. None where none were drawn."""
    draw: int = 1
    """Which trees were drawn; another number means others."""
    upos: float | None = None
    """Share of words with the right part of speech, where the parser found them itself."""
    scope: Scope = "ud"
    """Which words count; see `isogloss.parsing.attachment`."""

    def to_row(self) -> dict[str, Any]:
        """Return the score as JSON can say it, keys in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, place: str = "A row of scores") -> "Score":
        """Read what `to_row` made.

        Args:
            row: Keys are the field names; those with a default may be missing. `GAPS`, which follow from other rows,
                are passed over.
            place: How messages begin, such as the file's name and the number of the row.

        Raises:
            ArtifactError: A key is missing or unknown, or a value is not what it should be.
        """
        row = {name: value for name, value in row.items() if name not in GAPS}
        known = [field.name for field in fields(cls)]
        missing = [name for name in _REQUIRED if name not in row]
        unknown = [name for name in row if name not in known]
        if missing or unknown:
            found = [f"no {name!r}" for name in missing] + [f"the unknown key {name!r}" for name in unknown]
            raise ArtifactError(
                f"{place}: {', '.join(found)}. Expected the keys {', '.join(known)}. Score the run again."
            )
        for name, value in row.items():
            expected, right = _EXPECTED[name]
            if not right(value):
                raise ArtifactError(f"{place}: {name} is {value!r}. Expected {expected}. Score the run again.")
        # JSON may write the fraction 1.0 as 1.
        fractions = {name: float(row[name]) for name in _FRACTIONS if row.get(name) is not None}
        return cls(**{**row, **fractions})


def read_scores(paths: Iterable[Path | str]) -> list[Score]:
    """Read the scores of many runs, in the order of the paths and of their rows.

    Args:
        paths: Files as `write_scores` writes them, or run folders, which hold ``reports/scores.json``.

    Raises:
        ArtifactError: A file is missing or damaged, or a row is not a score.
    """
    return [score for path in paths for score in _read_file(Path(path))]


def write_scores(path: Path | str, scores: Sequence[Score]) -> None:
    """Write scores as a JSON list, one object per score; missing folders are made.

    Raises:
        OutputError: The file cannot be written; nothing is left behind.
    """
    path = Path(path)
    rows = [score.to_row() for score in scores]
    text = json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def gap_closed(low: float, score: float, high: float) -> float | None:
    """Return how much of the way from a lower to an upper bound a score has come: (score − low)/(high − low).

    Below 0 the score is worse than the lower bound, above 1 better than the upper one. Where the upper bound
    is not above the lower one there is no gap, and the answer is None.

    >>> gap_closed(0.25, 0.5, 0.75)
    0.5
    """
    return (score - low) / (high - low) if high > low else None


def shares_of_gaps(system: System, las: float, bounds: Mapping[System, float]) -> dict[str, float | None]:
    """Return for each of `GAPS` how much of it a system closes; None where it has none, or a bound is missing.

    Args:
        system: Which.
        las: Its LAS.
        bounds: LAS of all systems on the same test set, with the same tags.
    """
    high = bounds.get("supervised")
    return {
        name: gap_closed(bounds[lower], las, high)
        if system in BETWEEN and system != lower and lower in bounds and high is not None
        else None
        for name, lower in GAPS.items()
    }


def rows_with_gaps(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return scores as JSON can say them, each with its shares of the `GAPS`, between the bounds of its own seed."""

    def place(score: Score) -> tuple[str, str, str, Scope, int]:
        return score.language, score.split, score.pos, score.scope, score.seed

    bounds: dict[tuple[str, str, str, Scope, int], dict[System, float]] = {}
    for score in scores:
        if score.trees is None:
            bounds.setdefault(place(score), {})[score.system] = score.las
    return [score.to_row() | shares_of_gaps(score.system, score.las, bounds.get(place(score), {})) for score in scores]


def _read_file(path: Path) -> list[Score]:
    file = path / "reports" / "scores.json" if path.is_dir() else path
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{file}: no such file. Expected the scores of a finished run. Check the path, or finish the run."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{file}: cannot be read as JSON ({type(error).__name__}: {error}). Expected a list of scores. "
            "Score the run again."
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ArtifactError(
            f"{file}: holds {_named(rows)}. Expected a JSON list with one object per score. Check which file "
            "you named, or score the run again."
        )
    return [Score.from_row(row, place=f"{file}, row {number}") for number, row in enumerate(rows, 1)]


def _named(value: Any) -> str:
    """Say what kind of JSON value it is."""
    if isinstance(value, list):
        return "a list whose entries are not all objects"
    return {dict: "an object", str: "a string", type(None): "null"}.get(type(value), repr(value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_fraction(value: Any) -> bool:
    return (isinstance(value, float) or _is_whole(value)) and 0 <= value <= 1  # NaN is not


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _one_of(kind: Any) -> tuple[str, Any]:
    names = get_args(kind)
    return f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names


_FRACTION = ("a fraction from 0 to 1", _is_fraction)
_COUNT = ("a whole number from 1", lambda value: _is_whole(value) and value > 0)
_BOUND = ("a fraction from 0 to 1, or null", lambda value: value is None or _is_fraction(value))
_EXPECTED: dict[str, tuple[str, Any]] = {
    "system": _one_of(System),
    "language": ("a language code", _is_name),
    "split": ("the name of a split", _is_name),
    "pos": _one_of(PosSource),
    "uas": _FRACTION,
    "las": _FRACTION,
    "words": ("a whole number from 0", lambda value: _is_whole(value) and value >= 0),
    "seed": ("a whole number", _is_whole),
    "las_low": _BOUND,
    "las_high": _BOUND,
    "trees": (f"{_COUNT[0]}, or null", lambda value: value is None or _COUNT[1](value)),
    "draw": _COUNT,
    "upos": _BOUND,
    "unseen": ("true or false", lambda value: isinstance(value, bool)),
    "scope": _one_of(Scope),
}
_FRACTIONS = ("uas", "las", "las_low", "las_high", "upos")
_REQUIRED = ("system", "language", "split", "pos", "uas", "las", "words", "seed")

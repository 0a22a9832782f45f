"""Tables of scores, for people: Markdown, CSV, plain text, or colours in a terminal.

`score_table` puts the scores of many runs in order, one block per test set, averages seeds, and says how much each
system closes of two gaps that end at `supervised` (the upper bound): that from `unaligned` (the lower bound), called
*gap closed*, and that from `static` vectors, which know no context, called *gap over static*. The renderers turn its
blocks into text; here, and only here, fractions become per cent.
"""

import csv
import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from statistics import fmean, stdev
from typing import TYPE_CHECKING, get_args

from isogloss.errors import DataError
from isogloss.parsing.attachment import Scope
from isogloss.reports.results import PosSource, Score, System, shares_of_gaps

if TYPE_CHECKING:
    import rich.table

LABELS: dict[str, str] = {
    "pos-only": "parts of speech only",
    "unaligned": "unaligned",
    "anchors-only": "anchors, no context",
    "static": "static vectors",
    "aligned-no-dictionary": "aligned, no dictionary",
    "aligned": "aligned",
    "anchored": "anchored and aligned",
    "supervised": "supervised (upper bound)",
}
HEADINGS = ("system", "POS", "LAS", "UAS", "gap closed", "gap over static", "words")
_COUNTED = frozenset(HEADINGS[4:])
"""Columns that align at the right."""
_CSV_HEADINGS = (
    *("language", "split", "scope", "unseen", "system", "pos", "trees"),
    *("las_percent", "las_low_percent", "las_high_percent", "las_sd_percent"),
    *("uas_percent", "uas_sd_percent", "gap_closed_percent", "gap_over_static_percent", "words", "seeds"),
)


@dataclass(frozen=True)
class Average:
    """A score over seeds, as fractions."""

    mean: float
    deviation: float | None
    """Standard deviation (n − 1) over seeds; None for a single one."""


@dataclass(frozen=True)
class Row:
    """One system with one kind of tags, over all its seeds."""

    system: System
    pos: PosSource
    unseen: bool
    seeds: tuple[int, ...]
    """One for each score; it stands several times where few trees were drawn several times."""
    las: Average
    las_interval: tuple[float, float] | None
    """95 % interval over sentences, of a single seed."""
    uas: Average
    gap_closed: float | None
    """Share of the way from `unaligned` to `supervised` with the same tags; None where there is none."""
    gap_over_static: float | None
    """Share of the way from `static` to `supervised` with the same tags; None where there is none."""
    words: tuple[int, ...]
    """Words that were scored; several numbers if the test set differs between seeds."""
    upos: float | None = None
    """Share of predicted parts of speech that are right, mean over seeds; None where they were not predicted."""
    trees: int | None = None
    """Few trees of the language that the parser learned from; None where none were drawn."""

    @property
    def label(self) -> str:
        """The system in words."""
        zero_shot = self.system == "aligned" and self.unseen
        if self.trees is None:
            return LABELS[self.system] + (" (zero-shot)" if zero_shot else "")
        few = f"{self.trees:,} trees" if self.trees > 1 else "1 tree"
        return f"{few} only" if self.system == "supervised" else f"{LABELS[self.system]}, then {few}"


@dataclass(frozen=True)
class Block:
    """All systems on one test set, in the order of `System`, within a system by tags and by number of trees."""

    language: str
    split: str
    scope: Scope
    rows: tuple[Row, ...]

    @property
    def unseen(self) -> bool:
        """Whether any of the parsers learned from no tree of the language."""
        return any(row.unseen for row in self.rows)

    @property
    def title(self) -> str:
        """The test set in words."""
        scope = "" if self.scope == "ud" else f", {self.scope.replace('-', ' ')}"
        return f"{self.language} {self.split}{scope}" + (", unseen language" if self.unseen else "")


def score_table(scores: Sequence[Score]) -> tuple[Block, ...]:
    """Order scores into blocks, in the order in which their test sets first appear.

    A score that stands twice, all fields alike, counts once.

    Raises:
        DataError: Two different scores claim to be the same system, test set, tags and seed.
    """
    scores = list(dict.fromkeys(scores))
    seen: dict[tuple, Score] = {}
    for score in scores:
        chance = score.seed, score.draw
        other = seen.setdefault((_test_set(score), score.system, score.pos, score.trees, chance), score)
        if other is not score:
            raise DataError(
                f"Scores of {score.system} on {score.language} {score.split}, POS {score.pos}, seed "
                f"{score.seed}: found LAS {other.las:.2%} and {score.las:.2%}. Expected one score per seed. "
                "Name runs with different seeds, or make one table per recipe."
            )
    places = {place: None for place in map(_test_set, scores)}
    return tuple(_block([score for score in scores if _test_set(score) == place]) for place in places)


def as_markdown(blocks: Sequence[Block]) -> str:
    """Render blocks as Markdown, a heading and a table each."""
    parts = []
    headings = _headings(blocks)
    for block in blocks:
        lines = [
            f"### {_escaped(block.title)}",
            "",
            _markdown_row(headings),
            _markdown_row(["--:" if heading in _COUNTED else ":--" for heading in headings]),
        ]
        lines += [_markdown_row(_cells(row, headings)) for row in block.rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, f"{_note(blocks)}\n"]) if parts else "No scores.\n"


def as_csv(blocks: Sequence[Block]) -> str:
    """Render blocks as one CSV table with a header; numbers are per cent, empty where there is none."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_HEADINGS)
    for block in blocks:
        for row in block.rows:
            low, high = row.las_interval or (None, None)
            las = (row.las.mean, low, high, row.las.deviation)
            rest = (row.uas.mean, row.uas.deviation, row.gap_closed, row.gap_over_static)
            writer.writerow(
                [block.language, block.split, block.scope, "yes" if row.unseen else "no", row.system, row.pos]
                + ["" if row.trees is None else row.trees]
                + ["" if value is None else f"{100 * value:.2f}" for value in (*las, *rest)]
                + [_words(row, ""), len(row.seeds)]
            )
    return stream.getvalue()


def as_text(blocks: Sequence[Block]) -> str:
    """Render blocks as plain text, columns aligned by spaces over all blocks."""
    if not blocks:
        return "No scores.\n"
    headings = _headings(blocks)
    cells = [[_cells(row, headings) for row in block.rows] for block in blocks]
    widths = [max(map(_columns, column)) for column in zip(headings, *chain(*cells), strict=True)]
    right = [heading in _COUNTED for heading in headings]
    parts = []
    for block, rows in zip(blocks, cells, strict=True):
        lines = [block.title, _text_row(headings, widths, right), "─" * (sum(widths) + 2 * len(widths) - 2)]
        parts.append("\n".join(lines + [_text_row(row, widths, right) for row in rows]) + "\n")
    return "\n".join([*parts, f"{_note(blocks)}\n"])


def as_rich(blocks: Sequence[Block]) -> "rich.table.Table":
    """Render blocks as one table for the terminal, the rows of `aligned` in colour."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    headings = _headings(blocks)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1 if len(headings) < len(HEADINGS) else 0, 0, 0),  # all of them would not fit 80 columns else
        pad_edge=False,
        show_edge=False,
        caption=_note(blocks),
        caption_justify="left",
    )
    for place, heading in enumerate(headings):
        justify = "right" if heading in _COUNTED else "left"
        table.add_column(heading.replace(" ", "\n"), justify=justify, no_wrap=place > 0)
    for block in blocks:
        table.add_section()
        table.add_row(f"[bold]{escape(block.title)}[/bold]")
        for row in block.rows:
            style = {"aligned": "green", "supervised": "dim"}.get(row.system)
            table.add_row(*map(escape, _cells(row, headings)), style=style)
    return table


def _test_set(score: Score) -> tuple[str, str, Scope]:
    return score.language, score.split, score.scope


def _block(scores: Sequence[Score]) -> Block:
    """Average the scores of one test set and compare them with the two bounds."""
    systems, tags = get_args(System), get_args(PosSource)

    def order(score: Score) -> tuple[int, int, float]:
        all_of_it = math.inf if score.system == "supervised" else 0.0
        return systems.index(score.system), tags.index(score.pos), float(score.trees or all_of_it)

    groups = [list(group) for _, group in groupby(sorted(scores, key=order), key=order)]
    mean_las: dict[tuple[System, PosSource], float] = {
        (group[0].system, group[0].pos): fmean(score.las for score in group)
        for group in groups
        if group[0].trees is None
    }
    language, split, scope = _test_set(scores[0])
    return Block(language, split, scope, tuple(_row(group, mean_las) for group in groups))


def _row(scores: Sequence[Score], mean_las: Mapping[tuple[System, PosSource], float]) -> Row:
    first = scores[0]
    bounds: dict[System, float] = {system: las for (system, pos), las in mean_las.items() if pos == first.pos}
    shares = shares_of_gaps(first.system, fmean(score.las for score in scores), bounds)
    interval = None
    if len(scores) == 1 and first.las_low is not None and first.las_high is not None:
        interval = first.las_low, first.las_high
    tagged = [score.upos for score in scores if score.upos is not None]
    return Row(
        system=first.system,
        pos=first.pos,
        unseen=first.unseen,
        seeds=tuple(sorted(score.seed for score in scores)),
        las=_average([score.las for score in scores]),
        las_interval=interval,
        uas=_average([score.uas for score in scores]),
        gap_closed=shares["gap_closed"],
        gap_over_static=shares["gap_over_static"],
        words=tuple(sorted({score.words for score in scores})),
        upos=fmean(tagged) if tagged else None,
        trees=first.trees,
    )


def _average(values: Sequence[float]) -> Average:
    return Average(fmean(values), stdev(values) if len(values) > 1 else None)


def _headings(blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return the columns that are shown: `HEADINGS`, but the gap over static vectors only where there is one."""
    known = any(row.gap_over_static is not None for block in blocks for row in block.rows)
    return tuple(heading for heading in HEADINGS if known or heading != "gap over static")


def _cells(row: Row, headings: Sequence[str]) -> tuple[str, ...]:
    """Return the row as people read it, under these headings."""
    las = _percent(row.las)
    if row.las_interval is not None:
        las += f" [{100 * row.las_interval[0]:.2f}, {100 * row.las_interval[1]:.2f}]"
    if len(row.seeds) > 1:
        las += f" (n = {len(row.seeds)})"
    gaps = [
        "" if share is None else f"{100 * share:.1f} %".replace("-", "−")
        for share in (row.gap_closed, row.gap_over_static)
    ]
    pos = row.pos if row.upos is None else f"{row.pos} ({100 * row.upos:.1f} % right)"
    cells = row.label, pos, las, _percent(row.uas), *gaps, _words(row, ",")
    return tuple(cell for heading, cell in zip(HEADINGS, cells, strict=True) if heading in headings)


def _percent(average: Average) -> str:
    spread = "" if average.deviation is None else f" ± {100 * average.deviation:.2f}"
    return f"{100 * average.mean:5.2f}{spread}"  # five places, so that numbers stand below each other


def _words(row: Row, separator: str) -> str:
    ends = dict.fromkeys((row.words[0], row.words[-1]))
    return "–".join(f"{words:,}".replace(",", separator) for words in ends)


def _note(blocks: Sequence[Block]) -> str:
    """Explain the numbers that stand in these blocks, and no others."""
    rows = [row for block in blocks for row in block.rows]
    parts = ["LAS and UAS in per cent"]
    if any(row.las_interval for row in rows):
        parts.append("[95% interval over sentences]")
    if any(len(row.seeds) > 1 for row in rows):
        parts.append("mean ± standard deviation over n seeds")
    if any(row.gap_closed is not None for row in rows):
        parts.append("gap closed: from unaligned to supervised, in LAS, with the same POS")
    if any(row.gap_over_static is not None for row in rows):
        parts.append("gap over static: from static vectors to supervised, in LAS, with the same POS")
    return "; ".join(parts) + "."


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell.strip()) for cell in cells)} |"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _text_row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, counted in zip(cells, widths, right, strict=True):
        space = " " * (width - _columns(cell))
        padded.append(space + cell if counted else cell + space)
    return "  ".join(padded).rstrip()


def _columns(text: str) -> int:
    """Return how many columns a text takes in a terminal."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)

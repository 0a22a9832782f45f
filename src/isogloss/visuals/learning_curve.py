"""A learning curve: how LAS grows with the trees that a parser sees of a language, with and without a zero-shot start.

One line for every system and kind of tags that has scores from few trees; a dashed line marks what the same system
reaches without any tree of the language, so that one sees from how many trees on it pays to annotate.

Receives a `Block` of the table of scores; hands on a matplotlib figure, for `save_figure`.
"""

from typing import TYPE_CHECKING

from isogloss.errors import DataError
from isogloss.reports.tables import LABELS, Block, Row
from isogloss.visuals.drawing import new_figure
from isogloss.visuals.embedding_map import COLOURS, MARKERS

if TYPE_CHECKING:
    import matplotlib.figure


def draw_learning_curve(block: Block) -> "matplotlib.figure.Figure":
    """Draw LAS over the number of trees, for one test set.

    Bars are 95 % intervals over sentences, or one standard deviation where a point is the mean of several seeds or
    draws.

    Raises:
        DataError: No row of the block comes from few trees.
        OutputError: matplotlib is not installed.
    """
    curves: dict[tuple[str, str], list[Row]] = {}
    for row in block.rows:
        if row.trees is not None:
            curves.setdefault((row.system, row.pos), []).append(row)
    if not curves:
        raise DataError(
            f"Learning curve of {block.title}: no score from few trees. Expected two numbers of trees or more. Ask for "
            f"them with parsing.few_shot in the recipe."
        )
    figure = new_figure(width_inches=6.0, height_inches=4.0)
    axes = figure.subplots()
    for index, ((system, pos), rows) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        tags = "without tags" if pos == "none" else f"{pos} tags"
        what = "these trees alone" if system == "supervised" else f"{LABELS[system]}, then these trees"
        rows = sorted(rows, key=lambda row: row.trees or 0)
        axes.errorbar(
            [row.trees or 0 for row in rows],
            [100 * row.las.mean for row in rows],
            yerr=[[100 * low for low, _ in map(_bar, rows)], [100 * high for _, high in map(_bar, rows)]],
            color=colour,
            marker=MARKERS[index % len(MARKERS)],
            capsize=3,
            label=f"{what}, {tags}",
        )
        for row in block.rows:
            if (row.system, row.pos, row.trees) == (system, pos, None) and row.unseen:
                axes.axhline(100 * row.las.mean, color=colour, linestyle="--", label=f"… without any tree, {tags}")
    numbers = sorted({row.trees for rows in curves.values() for row in rows if row.trees is not None})
    axes.set_xscale("log")
    axes.set_xticks(numbers, labels=[f"{number:,}" for number in numbers])
    axes.minorticks_off()
    axes.set(title=f"{block.language} {block.split}", xlabel=f"trees of {block.language}", ylabel="LAS in per cent")
    axes.legend(frameon=False, fontsize="small")
    return figure


def _bar(row: Row) -> tuple[float, float]:
    """Return how far the bar of a point reaches down and up."""
    if row.las.deviation is not None:
        return row.las.deviation, row.las.deviation
    if row.las_interval is not None:
        return row.las.mean - row.las_interval[0], row.las_interval[1] - row.las.mean
    return 0.0, 0.0

"""A map of word anchors: several languages before and after alignment, side by side.

Every panel is projected to the plane by principal components, fitted on the points of all its languages
together, each language with the same weight. What lies apart in the picture lies apart in the space; what
lies together may still differ in the dimensions that the plane cannot show. Thin lines join words to their
translations: after a good alignment they are short.

Receives vectors, or anchors with their alignments; hands on a matplotlib figure, for `save_figure`.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.artifacts import write_atomically, writing_to
from isogloss.errors import AlignmentError, OutputError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.visuals.drawing import SIDES, any_script, fit_limits, new_figure, place_label
from isogloss.visuals.drawing import overlap as _overlap
from isogloss.visuals.drawing import principal_plane as _project

if TYPE_CHECKING:
    import matplotlib.figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart by most people, whatever their colour vision (Okabe and Ito 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True, eq=False)
class MapPanel:
    """One half of a map: the vectors of every language, row by row those of its words."""

    title: str
    vectors_by_language: Mapping[str, Float[Tensor, "_ width"]]


def draw_anchor_map(
    anchors: Sequence[Anchors],
    alignments: Sequence[Alignment],
    dictionaries: Sequence[BilingualDictionary],
    *,
    precision_by_language: Mapping[str, float] | None = None,
    max_types: int = 200,
    max_pairs: int = 60,
    labelled: int = 6,
) -> "matplotlib.figure.Figure":
    """Draw the anchors of one layer before and after alignment.

    All vectors are shown at unit length, as retrieval compares them.

    Args:
        anchors: The reference first, then the languages that were mapped into its space; all of one layer.
        alignments: One for every language but the reference, in their order.
        dictionaries: From each of these languages to the reference, in their order. Take the dictionaries
            that were kept for testing: pairs that the alignment was fitted on flatter it.
        precision_by_language: Precision@1 as fractions, to be told above the right panel.
        max_types: The most frequent word types of each language are shown, besides those in pairs.
        max_pairs: Dictionary pairs joined by lines, over all languages; those of the most frequent words.
        labelled: Words of the reference that are named, with their translations.

    Raises:
        AlignmentError: Anchors, alignments and dictionaries do not belong together, or no dictionary pair
            has anchors on both sides.
        OutputError: matplotlib is not installed.
    """
    reference, *others = anchors
    assert others, "a map needs the reference and one language at least"

    for ours, alignment in zip(others, alignments, strict=True):
        found = (alignment.source, alignment.target, alignment.layer, ours.layer)
        if found != (ours.language, reference.language, reference.layer, reference.layer):
            raise AlignmentError(
                f"Map of layer {reference.layer}: got the anchors of {ours.language}, layer {ours.layer}, "
                f"with the alignment {alignment.source}→{alignment.target}, layer {alignment.layer}. "
                f"Expected {ours.language}→{reference.language}, all of one layer. Check the order of the "
                "lists."
            )
    pairs = _frequent_pairs(reference, others, dictionaries, max_pairs)
    if not any(pairs.values()):
        raise AlignmentError(
            f"Map of layer {reference.layer}: no dictionary pair has anchors in both languages. Expected at "
            "least one. Give another dictionary, or anchors from more text."
        )
    rows = {ours.language: set(range(min(max_types, len(ours)))) for ours in anchors}
    for language, found in pairs.items():
        rows[language] |= {row for row, _ in found}
        rows[reference.language] |= {row for _, row in found}
    kept = {language: sorted(chosen) for language, chosen in rows.items()}
    place = {language: {row: at for at, row in enumerate(chosen)} for language, chosen in kept.items()}
    before = {ours.language: ours.vectors[kept[ours.language]].double() for ours in anchors}
    # The reference stays where it is; its scale does not matter, since lengths are made one.
    moved = {alignment.source: alignment.apply(before[alignment.source]) for alignment in alignments}
    told = [f"{name} {100 * value:.0f} %" for name, value in (precision_by_language or {}).items()]
    precision = f"\nprecision@1: {', '.join(told)}" if told else ""
    words = {ours.language: [ours.words[row] for row in kept[ours.language]] for ours in anchors}
    names = ", ".join(words)
    return draw_embedding_map(
        [
            MapPanel("before alignment: each language in its own space", _unit(before)),
            MapPanel(f"after alignment: all in the space of {reference.language}{precision}", _unit(before | moved)),
        ],
        words_by_language=words,
        pairs_by_language={
            language: [(place[language][row], place[reference.language][other]) for row, other in found]
            for language, found in pairs.items()
        },
        reference=reference.language,
        title=f"Anchors of {names}, layer {reference.layer}",
        labelled=labelled,
    )


def draw_embedding_map(
    panels: Sequence[MapPanel],
    *,
    words_by_language: Mapping[str, Sequence[str]],
    pairs_by_language: Mapping[str, Sequence[tuple[int, int]]],
    reference: str,
    title: str,
    labelled: int = 6,
) -> "matplotlib.figure.Figure":
    """Draw panels of one figure, with the same words, lines and labels in each.

    Args:
        panels: From left to right; all with the same languages and words.
        words_by_language: What the rows stand for.
        pairs_by_language: For each language but the reference, dictionary pairs as rows of the language and
            of the reference.
        reference: Every pair is with a word of this language.
        title: Stands above the panels.
        labelled: So many words of the reference are named, spread over the last panel, with their
            translations in every language.

    Raises:
        OutputError: matplotlib is not installed.
    """
    figure = new_figure(width_inches=6.2 * len(panels), height_inches=6.4)
    figure.suptitle(title, fontsize=14, x=0.004, ha="left")
    points_by_panel = [_project(panel.vectors_by_language) for panel in panels]
    named = _spread_words(points_by_panel[-1], pairs_by_language, reference, labelled)
    in_pairs = {language: [row for row, _ in pairs] for language, pairs in pairs_by_language.items()}
    in_pairs[reference] = sorted({row for pairs in pairs_by_language.values() for _, row in pairs})
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    handles: list[Any] = []
    for axes, panel, points in zip(all_axes, panels, points_by_panel, strict=True):
        axes.set_title(panel.title, fontsize=11, loc="left")
        handles = _draw_points(axes, points, pairs_by_language, in_pairs, reference)
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=10)
    with any_script():
        figure.draw_without_rendering()  # the layout settles, so that labels know their room
        for axes, points in zip(all_axes, points_by_panel, strict=True):
            fit_limits(axes, np.concatenate(list(points.values())))
            paired = np.concatenate([points[language][rows] for language, rows in in_pairs.items()])
            _label_points(axes, points, words_by_language, named, paired)
    return figure


def save_figure(figure: "matplotlib.figure.Figure", path: Path | str) -> None:
    """Write a figure as ``.svg`` or ``.png``; the same figure gives the same bytes.

    Text in an SVG stays text: it can be searched, and the viewer's fonts show any script.

    Raises:
        OutputError: The ending is another one, or the file cannot be written.
    """
    import matplotlib

    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise OutputError(
            f"{path}: a figure cannot be written with the ending {path.suffix!r}. Expected .svg or .png. "
            "Change the name."
        )
    stream = io.BytesIO()
    metadata = {"Software": None}
    if kind == "svg":
        metadata = {"Date": None, "Creator": "isogloss", "Title": figure.get_suptitle()}

    settings: dict[Any, Any] = {"svg.hashsalt": "isogloss", "svg.fonttype": "none"}
    with any_script(), matplotlib.rc_context(settings):
        figure.savefig(stream, format=kind, dpi=150, metadata=metadata)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stream.getvalue())


def _unit(vectors_by_language: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        language: torch.nn.functional.normalize(vectors, dim=1) for language, vectors in vectors_by_language.items()
    }


def _frequent_pairs(
    reference: Anchors, others: Sequence[Anchors], dictionaries: Sequence[BilingualDictionary], most: int
) -> dict[str, list[tuple[int, int]]]:
    """Choose frequent words of the reference, first those that every language translates; each word once."""
    row_by_column: dict[str, dict[int, int]] = {}
    for ours, dictionary in zip(others, dictionaries, strict=True):
        found: dict[int, int] = {}
        # A pair is as frequent as its rarer word.
        for row, column in sorted(dictionary.usable(ours, reference), key=lambda pair: (max(pair), pair)):
            if column not in found and row not in found.values():
                found[column] = row
        row_by_column[ours.language] = found
    columns = {column for found in row_by_column.values() for column in found}

    def order(column: int) -> tuple[int, int, int]:
        rows = [found[column] for found in row_by_column.values() if column in found]
        return -len(rows), max(*rows, column), column

    chosen = sorted(columns, key=order)[: max(1, most // len(others))]
    return {
        language: [(found[column], column) for column in chosen if column in found]
        for language, found in row_by_column.items()
    }


def _spread_words(
    points: Mapping[str, np.ndarray],
    pairs_by_language: Mapping[str, Sequence[tuple[int, int]]],
    reference: str,
    number: int,
) -> list[dict[str, int]]:
    """Choose words far from each other: each time the one farthest from all chosen. Rows by language."""
    groups: dict[int, dict[str, int]] = {}
    for language, pairs in pairs_by_language.items():
        for row, column in pairs:
            groups.setdefault(column, {reference: column}).setdefault(language, row)
    # Words with a translation in every language tell the most.
    fullest = max(map(len, groups.values()), default=0)
    candidates = [group for group in groups.values() if len(group) == fullest]
    chosen = candidates[:1]
    while len(chosen) < min(number, len(candidates)):
        taken = np.array([points[reference][group[reference]] for group in chosen])
        distances = [np.linalg.norm(points[reference][group[reference]] - taken, axis=1).min() for group in candidates]
        chosen.append(candidates[int(np.argmax(distances))])
    return chosen[:number]


def _draw_points(
    axes: Any,
    points: Mapping[str, np.ndarray],
    pairs_by_language: Mapping[str, Sequence[tuple[int, int]]],
    in_pairs: Mapping[str, Sequence[int]],
    reference: str,
) -> list[Any]:
    """Draw words and lines; return what the legend shows."""
    from matplotlib.collections import LineCollection

    handles = []
    for place, (language, dots) in enumerate(points.items()):
        marker = MARKERS[place % len(MARKERS)]
        look: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "marker": marker,
        }
        axes.scatter(*dots.T, s=9, alpha=0.3, linewidths=0, zorder=1, **look)
        look |= {"linewidths": 0.6, "edgecolors": "white", "zorder": 3, "label": language}
        handles.append(axes.scatter(*dots[in_pairs[language]].T, s=30, **look))
    lines = [
        (points[language][row], points[reference][column])
        for language, pairs in pairs_by_language.items()
        for row, column in pairs
    ]
    joined = LineCollection(lines, colors="#8a8a8a", linewidths=0.6, zorder=2, label="translations")
    axes.add_collection(joined, autolim=False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")
    return [*handles, joined]


def _label_points(
    axes: Any,
    points: Mapping[str, np.ndarray],
    words_by_language: Mapping[str, Sequence[str]],
    named: Sequence[Mapping[str, int]],
    paired: np.ndarray,
) -> None:
    """Write words beside their points, each where it hides the least of labels and points written before."""
    colour = {language: COLOURS[place % len(COLOURS)] for place, language in enumerate(points)}
    frame = axes.get_window_extent()
    dots = axes.transData.transform(paired)
    taken: list[Any] = []
    for group in named:
        for language, row in group.items():
            label = axes.annotate(
                words_by_language[language][row],
                points[language][row],
                xytext=(0, 0),
                textcoords="offset points",
                fontsize=9,
                color=colour[language],
                parse_math=False,
                zorder=4,
                bbox={
                    "boxstyle": "square,pad=0.08",
                    "facecolor": "white",
                    "edgecolor": "none",
                    "alpha": 0.75,
                },
                annotation_clip=False,
            )
            found = []
            for distance, (across, up) in product((5.0, 11.0, 18.0), SIDES):
                offset = (across * distance, up * distance)
                place_label(label, offset)
                box = label.get_window_extent()
                hidden = sum(_overlap(box, other) for other in taken)
                near = np.abs(dots - box.corners().mean(axis=0)) < (box.width / 2 + 2, box.height / 2 + 2)
                hidden += 30 * int(near.all(axis=1).sum())
                outside = box.width * box.height - _overlap(box, frame)
                found.append((hidden + 5 * outside + distance, offset, box))
            _, offset, box = min(found, key=lambda entry: entry[0])
            place_label(label, offset)
            taken.append(box)

"""A map of words in context: their occurrences and anchors in two languages, before and after alignment.

An anchor is one point for a word; its occurrences make a cloud around it. A word with several meanings has a cloud with
several parts, and after alignment each part should lie with another word of the other language: English *bear* with
Spanish *oso* where it is the animal, and with *tener* where somebody cannot bear something.

Occurrences are shown at unit length, as retrieval compares them, and an anchor at its length over their mean length, so
that it stands amid them: a mean is shorter than what it is the mean of. Vectors are projected to the plane by principal
components of the two languages together, every word with the same weight, or by UMAP, which keeps neighbourhoods rather
than distances. What lies together in the plane may still differ in the dimensions that the plane cannot show.

Receives vectors in context from `gather_occurrences`, the two languages' anchors and an `Alignment`; hands on a
matplotlib figure, for `save_figure`.

Source: Schuster et al. (2019), figures 1 and 2, for *bear* and *bank*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from isogloss.errors import AlignmentError, OutputError, VectorsError
from isogloss.lexicon.anchors import Anchors
from isogloss.mapping.alignment import Alignment
from isogloss.visuals.drawing import (
    SIDES,
    any_script,
    fit_limits,
    new_figure,
    overlap,
    place_label,
    principal_plane,
)
from isogloss.visuals.embedding_map import COLOURS

if TYPE_CHECKING:
    import matplotlib.figure

Projection = Literal["pca", "umap"]
WORD_COLOURS = (*COLOURS, "#882255", "#999933", "#332288", "#AA4499", "#117733")
"""The colours of the other figures, with some of Tol's (2021) for maps of many words."""
NEIGHBOURS = 30
"""How many neighbours of a point UMAP keeps near it."""
ANCHOR_PIXELS = 8.0
"""Half the width of an anchor's mark, before the figure is saved."""


@dataclass(frozen=True, eq=False)
class _Cloud:
    """One word of one language: its occurrences and, if it has one, its anchor as the last row."""

    word: str
    language: str
    is_source: bool
    vectors: Float64[Tensor, "_ width"]
    has_anchor: bool

    @property
    def occurrences(self) -> Float64[Tensor, "_ width"]:
        """The rows that are not the anchor."""
        return self.vectors[:-1] if self.has_anchor else self.vectors


def draw_context_map(
    source: Mapping[str, Float[Tensor, "_ width"]],
    target: Mapping[str, Float[Tensor, "_ width"]],
    alignment: Alignment,
    *,
    source_anchors: Anchors,
    target_anchors: Anchors,
    projection: Projection = "pca",
    seed: int = 0,
) -> "matplotlib.figure.Figure":
    """Draw occurrences of words of two languages, with their anchors, before and after alignment.

    Args:
        source: For each word of the language that is mapped, its vectors in context in the alignment's layer, as
            `gather_occurrences` gives them. A word without any is left out. Beyond twelve words in all, colours are
            used again.
        target: The same for the language into whose space they are mapped.
        alignment: From source to target.
        source_anchors: In the same layer. A word that has none here is shown without.
        target_anchors: Likewise.
        projection: ``pca``, or ``umap``, which needs the package umap-learn.
        seed: For UMAP, which begins and learns by chance.

    Raises:
        AlignmentError: Anchors and alignment do not belong together.
        OutputError: matplotlib is not installed, or umap-learn, where it is asked for.
        VectorsError: None of the words occurs.
    """
    found = [(anchors.language, anchors.layer) for anchors in (source_anchors, target_anchors)]
    if found != [(alignment.source, alignment.layer), (alignment.target, alignment.layer)]:
        told = " and ".join(f"{language}, layer {layer}" for language, layer in found)
        raise AlignmentError(
            f"Map of words in context: got the alignment {alignment.source}→{alignment.target}, layer "
            f"{alignment.layer}, with anchors of {told}. Expected anchors of the languages and the layer of the "
            "alignment. Check their order."
        )
    clouds = [
        *_clouds(source, source_anchors, is_source=True),
        *_clouds(target, target_anchors, is_source=False),
    ]
    if not clouds:
        raise VectorsError(
            f"Map of words in context: none of {', '.join([*source, *target]) or 'no words'} occurs. Expected vectors "
            "of one word at least. Choose words as they are written in the text, or read more of it."
        )
    project = {"pca": principal_plane, "umap": lambda vectors: _neighbourhoods(vectors, seed=seed)}[projection]
    figure = new_figure(width_inches=13.0, height_inches=7.0)
    told = [
        f"{', '.join(cloud.word for cloud in clouds if cloud.is_source is is_source)} ({language})"
        for is_source, language in ((True, alignment.source), (False, alignment.target))
        if any(cloud.is_source is is_source for cloud in clouds)
    ]
    figure.suptitle(f"{' and '.join(told)} in context, layer {alignment.layer}", fontsize=14, x=0.004, ha="left")
    mapped = [replace(cloud, vectors=_mapped(cloud, alignment)) for cloud in clouds]
    panels = {
        "before alignment: each language in its own space": clouds,
        f"after alignment: all in the space of {alignment.target}": mapped,
    }
    points_by_panel = [project({_key(cloud): _comparable(cloud) for cloud in shown}) for shown in panels.values()]
    all_axes = figure.subplots(1, 2)
    for axes, title, points in zip(all_axes, panels, points_by_panel, strict=True):
        axes.set_title(title, fontsize=11, loc="left")
        _draw_clouds(axes, clouds, points)
    handles = _legend(alignment)
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=10)
    with any_script():
        figure.draw_without_rendering()  # the layout settles, so that labels know their room
        for axes, points in zip(all_axes, points_by_panel, strict=True):
            fit_limits(axes, np.concatenate(list(points.values())))
            _label_words(axes, clouds, points)
    return figure


def _clouds(occurrences: Mapping[str, Tensor], anchors: Anchors, *, is_source: bool) -> list[_Cloud]:
    """Gather the words that occur, each with the anchor of exactly its spelling."""
    clouds = []
    for word, vectors in occurrences.items():
        row = anchors.index_of(word)  # which may be of another spelling
        has_anchor = row is not None and anchors.words[row] == word
        if len(vectors):
            own = anchors.vectors[row : row + 1] if row is not None and has_anchor else anchors.vectors[:0]
            rows = torch.cat([vectors.double().cpu(), own.double().cpu()])
            clouds.append(_Cloud(word, anchors.language, is_source, rows, has_anchor))
    return clouds


def _key(cloud: _Cloud) -> str:
    """Name a word within both languages."""
    return f"{cloud.language} {cloud.word}"


def _mapped(cloud: _Cloud, alignment: Alignment) -> Float64[Tensor, "_ width"]:
    """Bring vectors of either language to where retrieval compares them: around the centre, where there is one."""
    vectors = alignment.apply(cloud.vectors) if cloud.is_source else cloud.vectors * alignment.target_scale
    return vectors if alignment.target_centre is None else vectors - alignment.target_centre


def _comparable(cloud: _Cloud) -> Float64[Tensor, "_ width"]:
    """Bring occurrences to unit length, and divide the anchor by their mean norm.

    Over the tokens t of a word, the mean of t / |t|, each weighing as much as |t|, is Σ t / Σ |t|: the anchor over the
    mean norm. The norms here are of the occurrences shown, not of all.
    """
    norms = torch.linalg.vector_norm(cloud.occurrences, dim=1)
    unit = torch.nn.functional.normalize(cloud.occurrences, dim=1)
    return torch.cat([unit, cloud.vectors[len(unit) :] / norms.mean().clamp(min=1e-12)])  # of zeros only, zeros


def _neighbourhoods(
    vectors_by_word: Mapping[str, Float64[Tensor, "_ width"]], *, seed: int
) -> dict[str, Float64[np.ndarray, "_ 2"]]:
    """Place all vectors in the plane by UMAP, so that neighbours by cosine stay neighbours.

    Source: McInnes, Healy & Melville (2018), UMAP: Uniform Manifold Approximation and Projection.
    """
    try:
        from umap import UMAP  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise OutputError(
            f"Figure: the projection umap needs the package umap-learn, which cannot be imported ({error}). Expected "
            "umap-learn 0.5 or newer. Run pip install umap-learn and try again, or take the projection pca."
        ) from error
    rows = torch.cat(list(vectors_by_word.values())).numpy()
    # With a seed, UMAP runs in one thread; to say so keeps it from warning.
    umap = UMAP(n_neighbors=min(NEIGHBOURS, len(rows) - 1), min_dist=0.5, metric="cosine", random_state=seed, n_jobs=1)
    points = np.asarray(umap.fit_transform(rows), dtype=np.float64)
    ends = np.cumsum([len(vectors) for vectors in vectors_by_word.values()])
    return dict(zip(vectors_by_word, np.split(points, ends[:-1]), strict=True))


def _colour(place: int) -> str:
    return WORD_COLOURS[place % len(WORD_COLOURS)]


def _draw_clouds(axes: Any, clouds: Sequence[_Cloud], points: Mapping[str, np.ndarray]) -> None:
    """Draw occurrences small and anchors large: the source in filled circles, the target in open squares."""
    for place, cloud in enumerate(clouds):
        dots = points[_key(cloud)][: len(cloud.occurrences)]
        axes.scatter(*dots.T, **_look(_colour(place), filled=cloud.is_source), zorder=1)
    for place, cloud in enumerate(clouds):
        if cloud.has_anchor:
            look = _look(_colour(place), filled=cloud.is_source, anchor=True)
            axes.scatter(*points[_key(cloud)][-1:].T, **look, zorder=3)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")


def _look(colour: str, *, filled: bool, anchor: bool = False) -> dict[str, Any]:
    """Say how a mark looks."""
    if filled:
        edge = {"edgecolors": "black", "linewidths": 1.4} if anchor else {"linewidths": 0, "alpha": 0.5}
        return {"marker": "o", "s": 130 if anchor else 20, "color": colour} | edge
    size, line = (120, 3.0) if anchor else (18, 0.9)
    inside = "white" if anchor else "none"
    return {"marker": "s", "s": size, "facecolors": inside, "edgecolors": colour, "linewidths": line}


def _legend(alignment: Alignment) -> list[Any]:
    """Explain the marks, whatever the words."""
    from matplotlib.lines import Line2D

    def mark(label: str, **look: Any) -> Any:
        return Line2D([], [], linestyle="none", color="#555555", label=label, **look)

    return [
        mark(f"{alignment.source}, in context", marker="o", markersize=5, markeredgewidth=0),
        mark(f"{alignment.source}, anchor", marker="o", markersize=11, markeredgecolor="black", markeredgewidth=1.4),
        mark(
            f"{alignment.target}, in context", marker="s", markersize=4.5, markerfacecolor="none", markeredgewidth=0.9
        ),
        mark(f"{alignment.target}, anchor", marker="s", markersize=10.5, markerfacecolor="white", markeredgewidth=3.0),
    ]


def _label_words(axes: Any, clouds: Sequence[_Cloud], points: Mapping[str, np.ndarray]) -> None:
    """Write every word beside its anchor, or amid its occurrences where it has none.

    Each stands where it hides the least of anchors, of words written before and of occurrences.
    """
    frame = axes.get_window_extent()
    dots = axes.transData.transform(np.concatenate([points[_key(cloud)] for cloud in clouds]))
    anchors = axes.transData.transform(
        np.concatenate([points[_key(cloud)][-1:] for cloud in clouds if cloud.has_anchor] or [dots[:0]])
    )
    taken: list[Any] = []
    for place, cloud in enumerate(clouds):
        own = points[_key(cloud)]
        label = axes.annotate(
            cloud.word,
            own[-1] if cloud.has_anchor else own.mean(axis=0),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=12,
            color=_colour(place),
            parse_math=False,
            zorder=4,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            annotation_clip=False,
        )
        found = []
        for distance, (across, up) in product((9.0, 14.0, 20.0, 28.0, 38.0), SIDES):
            offset = (across * distance, up * distance)
            place_label(label, offset)
            box = label.get_window_extent()
            hidden = sum(overlap(box, other) for other in taken)
            hidden += 400 * _covered(box, anchors, margin=ANCHOR_PIXELS) + 30 * _covered(box, dots, margin=2.0)
            outside = box.width * box.height - overlap(box, frame)
            found.append((hidden + 5 * outside + 2 * distance, offset, box))
        _, offset, box = min(found, key=lambda entry: entry[0])
        place_label(label, offset)
        taken.append(box)


def _covered(box: Any, dots: Float64[np.ndarray, "_ 2"], *, margin: float) -> int:
    """Count the dots under a box or within so many pixels of it."""
    near = np.abs(dots - box.corners().mean(axis=0)) < (box.width / 2 + margin, box.height / 2 + margin)
    return int(near.all(axis=1).sum())

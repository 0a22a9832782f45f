"""What the maps of words share: a figure without a window, a plane to draw in, and room for labels.

Receives vectors, axes and labels of matplotlib; hands on points in the plane, and axes and labels in their places.
matplotlib is imported where it is used, for it is an extra.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from isogloss.errors import OutputError

if TYPE_CHECKING:
    import matplotlib.figure

SIDES = ((1, 0.6), (1, -0.6), (-1, 0.6), (-1, -0.6), (0, 1), (0, -1), (1, 0), (-1, 0))
"""Where a label may stand, as steps across and up: right or left of its point, above or below."""


def new_figure(*, width_inches: float, height_inches: float) -> "matplotlib.figure.Figure":
    """Make an empty white figure that needs no window and leaves matplotlib's global state alone.

    Raises:
        OutputError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OutputError(
            "Figure: matplotlib is not installed. Expected matplotlib 3.8 or newer. Run "
            'pip install "isogloss[visuals]" and try again.'
        ) from error
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)  # no window, no global state
    return figure


@contextmanager
def any_script() -> Iterator[None]:
    """Let letters pass that the installed fonts lack: they become boxes in a PNG and stay text in an SVG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=r"(?s).*Matplotlib currently does not support .* natively")
        yield


def principal_plane(
    vectors_by_group: Mapping[str, Float[Tensor, "_ width"]],
) -> dict[str, Float64[np.ndarray, "_ 2"]]:
    """Project the vectors of all groups on their two common principal components.

    A group is a language, or a word with its occurrences. Groups weigh the same, however many vectors they bring. A
    component's sign is free; the largest loading is made positive, so that the same vectors give the same picture
    everywhere.
    """
    vectors = {group: rows.detach().cpu().double() for group, rows in vectors_by_group.items()}
    centre = torch.stack([rows.mean(dim=0) for rows in vectors.values()]).mean(dim=0)
    weighted = torch.cat([(rows - centre) / len(rows) ** 0.5 for rows in vectors.values()])
    components = torch.linalg.svd(weighted, full_matrices=False).Vh[:2]  # 2 width
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    return {group: ((rows - centre) @ components.mT).numpy() for group, rows in vectors.items()}


def fit_limits(axes: Any, dots: Float64[np.ndarray, "_ 2"]) -> None:
    """Show all dots with a margin, one unit as long across as up.

    The layout must have settled (``figure.draw_without_rendering``), for the shape of the axes counts.
    """
    frame = axes.get_window_extent()
    low, high = dots.min(axis=0), dots.max(axis=0)
    shape = np.array([frame.width, frame.height])
    half = 0.55 * shape * max(float(((high - low) / shape).max()), 1e-9)  # not nothing, for a single dot
    (left, bottom), (right, top) = (low + high) / 2 - half, (low + high) / 2 + half
    axes.set(xlim=(left, right), ylim=(bottom, top))


def place_label(label: Any, offset: tuple[float, float]) -> None:
    """Move an annotation so far from its point, in points across and up, and let its text run away from it."""
    across, up = offset
    label.xyann = offset
    label.set_ha("left" if across > 0 else "right" if across < 0 else "center")
    label.set_va("bottom" if up > 0 else "top" if up < 0 else "center")


def overlap(one: Any, other: Any) -> float:
    """Return the area that two boxes of matplotlib share, in square pixels."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)

"""An alignment: the map from one language's space to another's, in one layer.

It turns, stretches evenly and, where anchors were centred, moves::

    aligned = scale · (vectors − source_centre) @ matrix + target_centre

Vectors are rows, so `matrix` is the transpose of the W in papers that write W x. Kept apart from `scale`, the
matrix stays orthogonal: distances between the vectors of one language survive. Alignments can be chained and
turned round, saved and loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from isogloss.errors import AlignmentError, ArtifactError, OutputError
from isogloss.mapping.spelling import SPELLING_WIDTH


@dataclass(frozen=True, eq=False)
class Alignment:
    """The map from the space of `source` to that of `target`, in one layer."""

    source: str
    target: str
    layer: int
    matrix: Float64[Tensor, "width width"]
    scale: float = 1.0
    source_centre: Float64[Tensor, " width"] | None = None
    """Subtracted first, in units of the source's vectors; None is zero."""
    target_centre: Float64[Tensor, " width"] | None = None
    """Added last, in units of the aligned vectors; None is zero."""
    target_scale: float = 1.0
    """What the target's own vectors are multiplied by to meet the aligned ones. 1, or in published scaling,
    where every language is brought to mean norm 1, one over the target's mean norm."""
    source_weighting: Float64[Tensor, "looked_up looked_up"] | None = None
    """For looking up translations only (`one_space.in_one_space`): what centred vectors of the source are multiplied by
    in place of `matrix`, to be compared with …"""
    target_weighting: Float64[Tensor, "looked_up looked_up"] | None = None
    """… centred vectors of the target multiplied by this. Both or neither; see `weighting.symmetric_weighting`."""
    spelling: float = 0.0
    """Above 0, the look-up sees more than vectors: beside each, of length 1, stands the spelling of its word, of this
    length, and the weightings are so much wider; see `spelling.beside_spelling`. 0 is without."""
    method: str = "identity"
    """How the alignment was found."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the fit, such as the number of pairs; anything that JSON can hold."""

    def __post_init__(self):
        width = self.matrix.shape[0]
        looked_up = width + (SPELLING_WIDTH if self.spelling > 0 else 0)
        for name, shape in (
            ("matrix", (width, width)),
            ("source_centre", (width,)),
            ("target_centre", (width,)),
            ("source_weighting", (looked_up, looked_up)),
            ("target_weighting", (looked_up, looked_up)),
        ):
            tensor = getattr(self, name)
            if tensor is not None and tensor.shape != shape:
                raise AlignmentError(
                    f"{self._place}: {name} has shape {tuple(tensor.shape)}; {shape} is expected. Give a "
                    "square matrix, and centres of its width."
                )
            if tensor is not None and not torch.isfinite(tensor).all():
                raise AlignmentError(
                    f"{self._place}: {name} holds numbers that are not finite. An alignment is made of "
                    "finite numbers. Check the anchors from which it was found."
                )
        for name, value in (("scale", self.scale), ("target_scale", self.target_scale)):
            if not 0 < value < float("inf"):
                raise AlignmentError(
                    f"{self._place}: {name} is {value}; a positive number is expected. Check the mean norm "
                    "of the "
                    'anchors, or use scale = "none".'
                )
        if (self.source_weighting is None) != (self.target_weighting is None):
            raise AlignmentError(
                f"{self._place}: one language has weights for the look-up, the other none. Expected both or neither. "
                "Align again."
            )
        if not 0 <= self.spelling < float("inf"):
            raise AlignmentError(
                f"{self._place}: spelling is {self.spelling}; 0 or a positive number is expected. Align again."
            )

    @classmethod
    def identity(cls, language: str, *, layer: int, width: int, scale: float = 1.0) -> "Alignment":
        """Return the map from a language to itself that changes nothing, or lengths only."""
        matrix = torch.eye(width, dtype=torch.float64)
        return cls(language, language, layer, matrix, scale=scale, target_scale=scale)

    @property
    def width(self) -> int:
        """Length of the vectors it maps."""
        return self.matrix.shape[0]

    @property
    def orthogonality_gap(self) -> float:
        """The largest entry of |W Wᵀ − I|: 0 for a rotation or reflection."""
        unit = torch.eye(self.width, dtype=torch.float64, device=self.matrix.device)
        return float((self.matrix @ self.matrix.mT - unit).abs().max())

    def apply(self, vectors: Float[Tensor, "*places width"]) -> Float[Tensor, "*places width"]:
        """Map vectors of the source language; any number of leading axes, in the precision they come in."""
        matrix = (self.scale * self.matrix).contiguous()  # as when loaded: equal to the last bit
        offset = matrix.new_zeros(self.width)
        if self.source_centre is not None:
            offset = offset - self.source_centre @ matrix
        if self.target_centre is not None:
            offset = offset + self.target_centre
        return vectors @ matrix.to(vectors) + offset.to(vectors)

    def then(self, other: "Alignment") -> "Alignment":
        """Return the one alignment that does what this and then ``other`` do: gl→pt and pt→es make gl→es.

        ``other`` expects its source's own vectors, so `target_scale` is taken back in between. Weightings hold for
        one pair of languages and are left out.

        Raises:
            AlignmentError: The two do not meet in one language and layer.
        """
        if (self.target, self.layer, self.width) != (other.source, other.layer, other.width):
            raise AlignmentError(
                f"{self._place}, width {self.width}, cannot be followed by {other.source}→"
                f"{other.target}, layer {other.layer}, width {other.width}. The second starts in the "
                "language, layer and width in which the first ends. Check their order."
            )
        between = other.scale / self.target_scale
        # With x₁ = aligned by self, own vectors are x₁ / target_scale₁, so aligned by both are
        # scale₂ · (x₁ / target_scale₁ − source_centre₂) @ matrix₂ + target_centre₂.
        centre = other.target_centre
        if self.target_centre is not None:
            centre = _sum(centre, between * self.target_centre @ other.matrix)
        if other.source_centre is not None:
            centre = _sum(centre, -other.scale * other.source_centre @ other.matrix)
        return Alignment(
            source=self.source,
            target=other.target,
            layer=self.layer,
            matrix=self.matrix @ other.matrix,
            scale=self.scale * between,
            source_centre=self.source_centre,
            target_centre=centre,
            target_scale=other.target_scale,
            method=f"{self.method}, {other.method}",
            details={"first": dict(self.details), "second": dict(other.details)},
        )

    def inverse(self) -> "Alignment":
        """Return the way back: from the target's own vectors to the source's own vectors.

        Raises:
            AlignmentError: The matrix cannot be inverted, or nothing in float32 would survive it.
        """
        values = torch.linalg.svdvals(self.matrix)  # largest first
        # Vectors are float32: a direction that is shrunk below their digits, beside the others, is lost.
        if values[-1] <= values[0] * torch.finfo(torch.float32).eps:
            raise AlignmentError(
                f"{self._place}: its matrix has no inverse, for a direction is shrunk to {float(values[-1]):.0e}, the "
                f"strongest to {float(values[0]):.0e}. Only a map that loses no direction can be turned "
                "round. Find the alignment in the other direction from anchors."
            )
        matrix = torch.linalg.inv(self.matrix)  # the transpose, if the matrix is orthogonal
        return Alignment(
            source=self.target,
            target=self.source,
            layer=self.layer,
            matrix=matrix,
            scale=self.target_scale / self.scale,
            source_centre=None if self.target_centre is None else self.target_centre / self.target_scale,
            target_centre=self.source_centre,
            source_weighting=self.target_weighting,
            target_weighting=self.source_weighting,
            spelling=self.spelling,
            method=self.method,
            details=self.details,
        )

    def for_vectors(self) -> "Alignment":
        """Return the same map without weightings and spelling, which only translation asks for."""
        return replace(self, source_weighting=None, target_weighting=None, spelling=0.0)

    def told_as(self, method: str, details: Mapping[str, Any]) -> "Alignment":
        """Return the same map with another account of how it was found."""
        return replace(self, method=method, details=details)

    @property
    def _place(self) -> str:
        """The beginning of messages."""
        return f"Alignment {self.source}→{self.target}, layer {self.layer}"


def save_alignment(folder: Path | str, alignment: Alignment, *, dtype: torch.dtype = torch.float64) -> None:
    """Write an alignment as ``alignment.safetensors`` (numbers of a `dtype`) and ``alignment.json``."""
    folder = Path(folder)
    names = ("matrix", "source_centre", "target_centre", "source_weighting", "target_weighting")
    tensors = {name: getattr(alignment, name) for name in names if getattr(alignment, name) is not None}
    facts = {name: getattr(alignment, name) for name in _FACTS} | {"details": dict(alignment.details)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stored = {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
        save_file(stored, folder / "alignment.safetensors")
        text = json.dumps(facts, ensure_ascii=False, indent=2) + "\n"
        (folder / "alignment.json").write_text(text, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{folder}: the alignment cannot be written ({error}). The folder must be writable and the disk "
            "have room. Choose another folder, or make room."
        ) from error


def load_alignment(folder: Path | str) -> Alignment:
    """Read an alignment that `save_alignment` wrote.

    Raises:
        ArtifactError: A file is missing or damaged, or the two do not fit together.
    """
    facts_path, tensors_path = Path(folder) / "alignment.json", Path(folder) / "alignment.safetensors"
    try:
        facts = json.loads(facts_path.read_text(encoding="utf-8"))
        facts = {"spelling": 0.0} | facts  # files written before there was spelling do not say it
        values: dict[str, Any] = {name: kind(facts[name]) for name, kind in _FACTS.items()}
        values["details"] = dict(facts["details"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{facts_path}: cannot be read ({type(error).__name__}: {error}). It holds {', '.join(_FACTS)} "
            "and details. Check that the folder is that of an alignment, or align again."
        ) from error
    try:
        values |= {name: tensor.double() for name, tensor in load_file(tensors_path).items()}
        return Alignment(**values)
    except (OSError, SafetensorError, TypeError, IndexError, AlignmentError) as error:
        raise ArtifactError(
            f"{tensors_path}: cannot be read ({error}). It holds a square matrix and, where anchors were "
            "centred or weighted, centres and weightings. Align again."
        ) from error


_FACTS: dict[str, type] = {
    "source": str,
    "target": str,
    "layer": int,
    "scale": float,
    "target_scale": float,
    "spelling": float,
    "method": str,
}


def _sum(one: Tensor | None, two: Tensor) -> Tensor:
    """Add two points, of which the first may be None, that is zero."""
    return two if one is None else one + two

"""Published alignments: one matrix in a file of ``torch.save``, read without running what the file says.

The authors of the paper, MUSE and AllenNLP keep an alignment as a bare array or tensor, `W`, with ``aligned = W x``
for a column x; ours is for rows, so it is the transpose. A published matrix may contain a scale: the authors divide W
by the mean norm of the language's vectors. Here the scale is taken out again, where W is a multiple of an
orthogonal matrix.

Such a file may run code when it is loaded, so `isogloss.mapping.restricted_pickle` takes it apart without loading it,
and this module builds the matrix from what it notes.

Source: Schuster et al. (2019), https://github.com/TalSchuster/CrossLingualContextualEmb.
"""

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from torch._utils import _rebuild_tensor_v2

from isogloss.artifacts import write_atomically, writing_to
from isogloss.errors import ArtifactError, OutputError
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.restricted_pickle import (
    ADVICE,
    MAGIC,
    PROTOCOL,
    Built,
    Refusal,
    Storages,
    Stored,
    checked,
    damaged,
    read_legacy,
    read_zip,
)


def read_published_alignment(
    path: Path | str, *, source: str, target: str, layer: int, target_scale: float | None = None
) -> Alignment:
    """Read a published matrix as an alignment; nothing in the file is run.

    Args:
        path: A file of ``torch.save``, old or new container, that holds one square numpy array or tensor of
            float16, float32 or float64 numbers.
        source: Code of the language whose vectors the matrix maps.
        target: Code of the language into whose space it maps. A file names neither.
        layer: Of the vectors.
        target_scale: What the target's own vectors are multiplied by to meet the aligned ones: the scale of the
            target's own file. By default the file's own scale if source and target are one language, else 1.

    Returns:
        The alignment, whose ``scale * matrix`` is the transpose of the file's matrix. The scale is apart if the rest is
        orthogonal to 10⁻³, as far as float16 goes; else it is 1.

    Raises:
        ArtifactError: The file is missing, damaged or no such file; it would run code; or it holds something else.
    """
    path = Path(path)
    content = _bytes_of(path)
    try:
        container = "zip" if content.startswith(b"PK") else "legacy"
        loaded, storages = read_zip(content) if container == "zip" else read_legacy(content)
        matrix = _matrix_of(loaded, storages)
    except Refusal as refusal:
        raise ArtifactError(f"{path}: {refusal}") from None
    scale, orthogonal = _split_scale(torch.from_numpy(matrix.T.copy()))
    if target_scale is None:
        target_scale = scale if source == target else 1.0
    return Alignment(
        source=source,
        target=target,
        layer=layer,
        matrix=orthogonal,
        scale=scale,
        target_scale=target_scale,
        method="published",
        details={"file": path.name, "container": container},
    )


def write_published_alignment(
    path: Path | str,
    alignment: Alignment,
    *,
    container: Literal["zip", "legacy"] = "zip",
    as_: Literal["array", "tensor"] = "array",
) -> None:
    """Write an alignment's ``scale * matrix``, transposed, for AllenNLP, MUSE and ``torch.load``.

    The same alignment gives the same bytes. Languages, layer, method and `target_scale` are not in the file; the last
    is the scale of the target's own file, which `Alignment.identity` makes.

    Args:
        path: The file. Its folder is made if it does not exist.
        alignment: One without centres.
        container: ``legacy`` is what PyTorch before 1.6 reads, and what the published files are.
        as_: A numpy array of float64 as in the published files, or a tensor of float32, which AllenNLP expects of a
            tensor. Current versions of PyTorch load an array with ``weights_only=False`` only.

    Raises:
        OutputError: The alignment moves vectors, which a matrix cannot; a number is too large for float32; or writing
            fails.
    """
    path = Path(path)
    for name in ("source_centre", "target_centre"):
        centre = getattr(alignment, name)
        if centre is not None and centre.count_nonzero():
            raise OutputError(
                f"{path}: the alignment {alignment.source}→{alignment.target}, layer {alignment.layer}, has a {name}. "
                "A published file holds a matrix only, which turns and stretches but does not move. Align without "
                "centring."
            )
    W = (alignment.scale * alignment.matrix).T.contiguous().cpu().numpy().astype(np.float64)
    if as_ == "tensor":
        with np.errstate(over="ignore"):
            W = W.astype(np.float32)
    if not np.isfinite(W).all():
        raise OutputError(
            f"{path}: scale times matrix is not finite as {W.dtype}. Finite numbers are expected. Choose the array, or "
            "check the anchors from which the alignment was found."
        )
    program, data = _pickled_array(W) if as_ == "array" else _pickled_tensor(W, legacy=container == "legacy")
    written = _zip_of(program, data) if container == "zip" else _legacy_of(program, data)
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, written)


_KINDS = {"Double": np.dtype("f8"), "Float": np.dtype("f4"), "Half": np.dtype("f2")}
"""Kinds of storages that may hold a matrix."""
_LARGEST = 1 << 30
"""Bytes. A float64 matrix of width 8,192 has half as many."""
_NEARLY = 1e-3
"""How far W Wᵀ / scale² may be from the identity for W to be a multiple of an orthogonal matrix."""


def _bytes_of(path: Path) -> bytes:
    """Read a file that may be one matrix."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= _LARGEST else b""
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}). {ADVICE}") from error
    if size > _LARGEST:
        raise ArtifactError(f"{path}: {size:,} bytes are more than the {_LARGEST:,} that are read. {ADVICE}")
    return content


def _matrix_of(loaded: Any, storages: Storages) -> Float64[np.ndarray, "width width"]:
    """Build the matrix that was noted."""
    if isinstance(loaded, Built) and loaded.what == "parameter" and loaded.arguments:
        loaded = loaded.arguments[0]
    what = loaded.what if isinstance(loaded, Built) else ""
    if what not in ("array", "tensor"):
        entries = loaded.state if what == "dict" else loaded
        keys = ": " + ", ".join(map(ascii, list(entries)[:4])) if isinstance(entries, dict) else ""
        kind = "dict" if what == "dict" else what or type(loaded).__name__.removeprefix("_")
        raise Refusal(f"holds an object of the kind {kind}{keys}. {ADVICE}")
    try:
        matrix = _array(loaded.state) if what == "array" else _tensor(loaded.arguments, storages)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(error) from None
    matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix).all():
        bad = int((~np.isfinite(matrix)).sum())
        raise Refusal(f"{bad:,} of {matrix.size:,} numbers are not finite. Finite numbers are expected. Align again.")
    return matrix


def _array(state: Any) -> np.ndarray:
    """Build a numpy array from the state that its pickle sets: version, shape, dtype, order, bytes."""
    _, shape, noted, fortran, data = state
    width = _width(shape)
    kind, order = noted.arguments[0], noted.state[1]
    if type(kind) is not str or noted.what != "dtype" or kind not in ("f8", "f4", "f2") or order not in ("<", ">"):
        raise Refusal(f"holds numbers of the kind {str(kind)[:40]!a}. Expected float16, float32 or float64. {ADVICE}")
    # Protocol 2 says bytes as text, one letter each; Python 2 had no other bytes than such text.
    encoded = isinstance(data, Built) and data.what == "encoded text" and data.arguments[1] in ("latin1", "latin-1")
    raw: Any = data.arguments[0] if encoded else data
    if type(raw) is str:
        raw = raw.encode("latin-1")
    dtype = np.dtype(order + kind)
    numbers = np.frombuffer(checked(raw, width * width * dtype.itemsize), dtype)
    return numbers.reshape((width, width), order="F" if fortran else "C")


def _tensor(arguments: tuple, storages: Storages) -> np.ndarray:
    """Build a tensor from the arguments of PyTorch's function that rebuilds one: storage, offset, size, strides."""
    storage, offset, size, strides, *more = arguments
    width = _width(size)
    _, kind, key, _, numbers, *view = storage.facts
    dtype = _KINDS.get(kind.what)
    if dtype is None:
        raise Refusal(f"holds numbers of the kind {kind.what}. Expected float16, float32 or float64. {ADVICE}")
    whole = (offset, numbers, *strides)
    if type(key) is not str or len(whole) != 4 or not all(type(number) is int and number >= 0 for number in whole):
        raise Refusal(f"its tensor has impossible offset or strides. The file is damaged. {ADVICE}")
    if len(more) > 2 or any(each is not None for each in view):
        raise Refusal(f"its tensor is a view of a kind that is not read. Save a clone of it. {ADVICE}")
    # Every number once (so no stride of zero makes much of little), and none beyond the end.
    if max(width * width, *strides) > numbers or offset + (width - 1) * sum(strides) >= numbers:
        raise Refusal(f"{width} × {width} numbers do not fit a storage of {numbers}. The file is damaged. {ADVICE}")
    data, order = storages(key, numbers, dtype.itemsize)
    flat = np.frombuffer(data, dtype.newbyteorder(order))[offset:]
    steps = [stride * dtype.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(flat, (width, width), steps, writeable=False)


def _width(shape: Any) -> int:
    """Check that a shape is square."""
    if type(shape) is not tuple or not all(type(length) is int for length in shape):
        raise Refusal(f"its shape is not made of whole numbers. The file is damaged. {ADVICE}")
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
        raise Refusal(f"has the shape {ascii(shape[:4])[:80]}, which is not square. {ADVICE}")
    return shape[0]


def _split_scale(
    matrix: Float64[Tensor, "width width"],
) -> tuple[float, Float64[Tensor, "width width"]]:
    """Split a multiple of an orthogonal matrix into the two; 1 and the matrix as it is where it is none."""
    scale = float(torch.linalg.matrix_norm(matrix)) / math.sqrt(len(matrix))  # ‖c Q‖ = c √width
    if not 0 < scale < math.inf or abs(scale - 1) < 1e-5:  # 1 up to what float32 leaves of it
        return 1.0, matrix
    orthogonal = matrix / scale
    gap = (orthogonal @ orthogonal.mT - torch.eye(len(matrix), dtype=torch.float64)).abs().max()
    return (scale, orthogonal) if gap < _NEARLY else (1.0, matrix)


class _Pickled:
    """Stands for a tensor while its pickle is written."""

    def __init__(self, array: np.ndarray, *, legacy: bool) -> None:
        self.array, self.legacy = array, legacy

    def __reduce__(self) -> tuple:
        width = len(self.array)
        storage = Stored(("storage", torch.FloatStorage, "0", "cpu", width * width, *((None,) if self.legacy else ())))
        return _rebuild_tensor_v2, (storage, 0, (width, width), (width, 1), False, OrderedDict())


class _Pickler(pickle.Pickler):
    """Writes where a storage is instead of the storage."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.facts if isinstance(obj, Stored) else None


def _pickled_array(array: np.ndarray) -> tuple[bytes, bytes | None]:
    """Write the pickle of an array by the name that its parts had before numpy 2, which numpy 2 knows too."""
    program = pickle.dumps(array, protocol=2)
    return program.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1), None


def _pickled_tensor(array: np.ndarray, *, legacy: bool) -> tuple[bytes, bytes | None]:
    """Write the pickle of a tensor and its storage."""
    program = io.BytesIO()
    _Pickler(program, protocol=2).dump(_Pickled(array, legacy=legacy))
    return program.getvalue(), array.astype("<f4").tobytes()


def _legacy_of(program: bytes, data: bytes | None) -> bytes:
    """Put an object into the old container."""
    sizes = {"short": 2, "int": 4, "long": 4}
    facts = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": sizes}
    before = b"".join(pickle.dumps(each, protocol=2) for each in (MAGIC, PROTOCOL, facts))
    keys = pickle.dumps([] if data is None else ["0"], protocol=2)
    return before + program + keys + (b"" if data is None else struct.pack("<q", len(data) // 4) + data)


def _zip_of(program: bytes, data: bytes | None) -> bytes:
    """Put an object into the new container."""
    parts = {"data.pkl": program, "byteorder": b"little", "data/0": data, "version": b"3\n"}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            if part is not None:
                archive.writestr(zipfile.ZipInfo(f"archive/{name}"), part)  # of 1980, so always the same bytes
    return content.getvalue()

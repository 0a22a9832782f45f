"""Sense anchors on disk: a folder of two plain files.

=======================  =========================================================================================
``senses.safetensors``   ``vectors`` (layers senses width, float32), ``shares`` (senses, float64), ``senses`` and
                         ``counts`` (types, int64), ``mean_norms`` (layers, float64)
``senses.json``          ``language``, the numbers of the ``layers``, and the ``words`` in their order
=======================  =========================================================================================

All layers share one division into senses, so its numbers stand there once.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from isogloss.errors import ArtifactError, OutputError, VectorsError
from isogloss.lexicon.senses import SenseAnchors

FACTS = "senses.json"
"""The file by which a folder of sense anchors is known."""


def save_senses(folder: Path | str, senses: Sequence[SenseAnchors]) -> None:
    """Write the sense anchors of one language, a layer each, into one folder, which is made if need be.

    Args:
        folder: Where to.
        senses: At least one; all with the same words and division into senses, as `gather_senses` gives them.
    """
    folder, first = Path(folder), senses[0]
    assert all(
        (each.language, each.words) == (first.language, first.words)
        and torch.equal(each.senses, first.senses)
        and torch.equal(each.shares, first.shares)
        for each in senses
    ), "the layers of one encoder share language, words and senses"
    tensors = {
        "vectors": torch.stack([each.vectors for each in senses]),
        "shares": first.shares.contiguous(),
        "senses": first.senses.contiguous(),
        "counts": first.counts.contiguous(),
        "mean_norms": torch.tensor([each.mean_norm for each in senses], dtype=torch.float64),
    }
    facts = {"language": first.language, "layers": [each.layer for each in senses], "words": list(first.words)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "senses.safetensors")
        (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{folder}: the sense anchors cannot be written ({error}). The folder must be writable and the disk have "
            "room. Choose another folder, or make room."
        ) from error


def load_senses(folder: Path | str, layer: int) -> SenseAnchors:
    """Read the sense anchors of one layer from a folder that `save_senses` wrote.

    Raises:
        ArtifactError: A file is missing or damaged, the files do not fit together, or there is no such layer.
    """
    facts, tensors = _read(Path(folder))
    if layer not in facts["layers"]:
        raise ArtifactError(
            f"{folder}: there are no sense anchors of layer {layer}, only of {', '.join(map(str, facts['layers']))}. "
            "Ask for one of these, or gather the senses again."
        )
    return _of_layer(Path(folder), facts, tensors, layer)


def load_all_senses(folder: Path | str) -> tuple[SenseAnchors, ...]:
    """Read the sense anchors of every layer from a folder that `save_senses` wrote, in the order written."""
    facts, tensors = _read(Path(folder))
    return tuple(_of_layer(Path(folder), facts, tensors, layer) for layer in facts["layers"])


_AGAIN = "Gather the senses again."
_TENSORS = {"vectors": 3, "shares": 1, "senses": 1, "counts": 1, "mean_norms": 1}
"""What the file holds, with the number of axes."""


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read both files, and check that they fit together."""
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        language, layers, words = facts["language"], facts["layers"], facts["words"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({type(error).__name__}: {error}). It holds the keys language, layers and words. "
            f"Check that {folder} is a folder of sense anchors, or gather them again."
        ) from error
    lists = isinstance(layers, list) and isinstance(words, list)
    if not (lists and isinstance(language, str) and all(type(layer) is int for layer in layers)):
        raise ArtifactError(
            f"{path}: language is {language!r} and layers is {layers!r}; a text and a list of whole numbers are "
            f"expected, and a list of words. {_AGAIN}"
        )
    if not all(isinstance(word, str) for word in words) or len(set(words)) < len(words):
        raise ArtifactError(f"{path}: words holds {len(words)} entries; different words are expected. {_AGAIN}")
    path = folder / "senses.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}). It holds {', '.join(_TENSORS)}. {_AGAIN}") from error
    known = {name: tensor.ndim for name, tensor in tensors.items()} == _TENSORS
    if known:
        senses, total = tensors["senses"], int(tensors["senses"].sum())
        known = (
            len(senses) == len(tensors["counts"]) == len(words)
            and (not len(senses) or int(senses.min()) >= 1)
            and tensors["vectors"].shape[:2] == (len(layers), total)
            and len(tensors["shares"]) == total
            and len(tensors["mean_norms"]) == len(layers)
        )
    if not known:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(tensors.items()))
        raise ArtifactError(
            f"{path}: holds {shapes or 'nothing'}, which do not fit {len(words)} words and {len(layers)} layers of "
            f"senses.json. Expected {', '.join(_TENSORS)}, one sense or more per word. {_AGAIN}"
        )
    return facts, tensors


def _of_layer(folder: Path, facts: dict[str, Any], tensors: dict[str, Tensor], layer: int) -> SenseAnchors:
    """Take one layer out of what both files hold."""
    place = facts["layers"].index(layer)
    try:
        return SenseAnchors(
            language=facts["language"],
            layer=layer,
            words=tuple(facts["words"]),
            senses=tensors["senses"].to(torch.int64),
            vectors=tensors["vectors"][place].float().contiguous(),
            shares=tensors["shares"].double(),
            counts=tensors["counts"].to(torch.int64),
            mean_norm=float(tensors["mean_norms"][place]),
        )
    except VectorsError as error:
        raise ArtifactError(
            f"{folder / 'senses.safetensors'}: vectors of layer {layer} are not all finite numbers. {_AGAIN}"
        ) from error

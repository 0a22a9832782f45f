"""Anchors on disk: a folder of plain files that other tools can open.

=========================  ============================================================================
``anchors.safetensors``    ``vectors`` (layers types width, float32), ``counts`` (types, int64),
                           ``mean_norms`` (layers, float64) and, where tokens were seen,
                           ``token_norms`` and ``token_squares`` (layers types, float64)
``words.txt``              one word type per line, in the order of the vectors
``settings.json``          ``language`` and the numbers of the ``layers``
=========================  ============================================================================
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from isogloss.errors import ArtifactError, OutputError
from isogloss.lexicon.anchors import Anchors


def save_anchors(folder: Path | str, anchors: Sequence[Anchors]) -> None:
    """Write the anchors of one language, a layer each, into one folder.

    Args:
        folder: Made if it does not exist.
        anchors: At least one; all of the same language and word types, as `extract_anchors` gives them.
    """
    folder, first = Path(folder), anchors[0]
    assert all((each.language, each.words) == (first.language, first.words) for each in anchors), (
        "the layers of one encoder share language and word types"
    )
    broken = next((word for word in first.words if "\n" in word), None)
    if broken is not None:
        raise OutputError(
            f"{folder / 'words.txt'}: the word {broken!r} contains a line break, and a line holds one word. "
            "Clean the text from which the anchors were gathered."
        )
    tensors = {
        "vectors": torch.stack([each.vectors for each in anchors]),
        "counts": first.counts.contiguous(),
        "mean_norms": torch.tensor([each.mean_norm for each in anchors], dtype=torch.float64),
    }
    for name in _SPREADS:
        if getattr(first, name) is not None:
            tensors[name] = torch.stack([getattr(each, name) for each in anchors])
    settings = {"language": first.language, "layers": [each.layer for each in anchors]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "anchors.safetensors")
        (folder / "words.txt").write_bytes("".join(f"{word}\n" for word in first.words).encode())
        (folder / "settings.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{folder}: the anchors cannot be written ({error}). The folder must be writable and the disk "
            "have room. Choose another folder, or make room."
        ) from error


def load_anchors(folder: Path | str, layer: int) -> Anchors:
    """Read the anchors of one layer from a folder that `save_anchors` wrote.

    Raises:
        ArtifactError: A file is missing or damaged, the files do not fit together, or there is no such layer.
    """
    folder = Path(folder)
    language, layers = _read_settings(folder / "settings.json")
    if layer not in layers:
        raise ArtifactError(
            f"{folder}: there are no anchors of layer {layer}, only of {', '.join(map(str, layers))}. Ask "
            "for one of these, or gather the anchors again."
        )
    words = _read_words(folder / "words.txt")
    path = folder / "anchors.safetensors"
    try:
        with safe_open(path, framework="pt") as tensors:
            vectors = tensors.get_slice("vectors")[layers.index(layer)]  # types width
            counts, mean_norms = tensors.get_tensor("counts"), tensors.get_tensor("mean_norms")
            known = [name for name in _SPREADS if name in tensors.keys()]  # noqa: SIM118 - not a dict
            spreads = {name: tensors.get_slice(name)[layers.index(layer)] for name in known}
    except (OSError, SafetensorError, IndexError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). It holds the tensors vectors, counts and mean_norms. {_AGAIN}"
        ) from error
    fits = vectors.ndim == 2 and len(vectors) == len(words) and counts.shape == (len(words),)
    fits = fits and all(spread.shape == (len(words),) for spread in spreads.values())
    if not fits or mean_norms.shape != (len(layers),):
        raise ArtifactError(
            f"{path}: vectors of shape {tuple(vectors.shape)}, counts {tuple(counts.shape)} and mean_norms "
            f"{tuple(mean_norms.shape)} do not fit {len(words)} lines of words.txt and {len(layers)} layers "
            f"of settings.json. {_AGAIN}"
        )
    if not torch.isfinite(vectors).all():
        raise ArtifactError(f"{path}: vectors of layer {layer} are not all finite numbers. {_AGAIN}")
    return Anchors(
        language=language,
        layer=layer,
        words=words,
        vectors=vectors.float(),
        counts=counts.to(torch.int64),
        mean_norm=float(mean_norms[layers.index(layer)]),
        **{name: spread.double() for name, spread in spreads.items()},
    )


def load_all_anchors(folder: Path | str) -> tuple[Anchors, ...]:
    """Read the anchors of every layer from a folder that `save_anchors` wrote, in the order written."""
    _, layers = _read_settings(Path(folder) / "settings.json")
    return tuple(load_anchors(folder, layer) for layer in layers)


_AGAIN = "Gather the anchors again."
_SPREADS = ("token_norms", "token_squares")


def _read_settings(path: Path) -> tuple[str, list[int]]:
    """Read language and layers."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        language, layers = settings["language"], settings["layers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({type(error).__name__}: {error}). It holds the keys language and "
            f"layers. Check that {path.parent} is a folder of anchors, or gather them again."
        ) from error
    well_formed = isinstance(layers, list) and all(type(layer) is int for layer in layers)
    if not well_formed or not isinstance(language, str):
        raise ArtifactError(
            f"{path}: language is {language!r} and layers is {layers!r}; a text and a list of whole numbers "
            f"are expected. {_AGAIN}"
        )
    return language, layers


def _read_words(path: Path) -> tuple[str, ...]:
    """Read one word per line; only ``\\n`` ends a line, since words may hold its look-alikes."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). One word per line in UTF-8 is expected. {_AGAIN}"
        ) from error
    words = tuple(text.split("\n")[:-1])
    if len(set(words)) != len(words):
        raise ArtifactError(
            f"{path}: {len(words)} lines hold only {len(set(words))} different words; each word stands once. {_AGAIN}"
        )
    return words

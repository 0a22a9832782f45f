"""Anchors on disk, and the sums they are made of: folders of plain files that other tools can open.

A folder of anchors:

=========================  ============================================================================
``anchors.safetensors``    ``vectors`` (layers types width; float32 or float16), ``counts`` (types, int64),
                           ``mean_norms`` (layers, float64) and, where tokens were seen,
                           ``token_norms`` and ``token_squares`` (layers types, float64)
``words.txt``              one word type per line, in the order of the vectors
``settings.json``          ``language`` and the numbers of the ``layers``
=========================  ============================================================================

A folder of sums, as each machine of a cluster writes one for its share of a text:

=========================  ============================================================================
``sums.safetensors``       the tensors of `AnchorSums` by name (float64; ``counts`` and ``tokens`` int64)
``words.txt``              one word type per line, in the order of the sums
``settings.json``          ``language`` and ``share`` (``number``, ``of``, ``text``)
=========================  ============================================================================
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from isogloss.errors import ArtifactError, OutputError, RecipeError
from isogloss.lexicon.anchors import Anchors, AnchorSums


def save_anchors(folder: Path | str, anchors: Sequence[Anchors], *, dtype: torch.dtype = torch.float32) -> None:
    """Write the anchors of one language, a layer each, into one folder.

    Args:
        folder: Made if it does not exist.
        anchors: At least one; all of the same language and word types, as `extract_anchors` gives them.
        dtype: How vectors are stored; float16 takes half the space. They are float32 again when loaded.
    """
    folder, first = Path(folder), anchors[0]
    assert all((each.language, each.words) == (first.language, first.words) for each in anchors), (
        "the layers of one encoder share language and word types"
    )
    tensors = {
        "vectors": torch.stack([each.vectors for each in anchors]).to(dtype),
        "counts": first.counts.contiguous(),
        "mean_norms": torch.tensor([each.mean_norm for each in anchors], dtype=torch.float64),
    }
    for name in _SPREADS:
        if getattr(first, name) is not None:
            tensors[name] = torch.stack([getattr(each, name) for each in anchors])
    settings = {"language": first.language, "layers": [each.layer for each in anchors]}
    _write(folder, "anchors.safetensors", tensors, words=first.words, settings=settings)


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
    if not fits or mean_norms.shape != (len(layers),):
        raise ArtifactError(
            f"{path}: vectors of shape {tuple(vectors.shape)}, counts {tuple(counts.shape)} and mean_norms "
            f"{tuple(mean_norms.shape)} do not fit {len(words)} lines of words.txt and {len(layers)} layers "
            f"of settings.json. {_AGAIN}"
        )
    for name, spread in spreads.items():
        if spread.shape != (len(words),):
            raise ArtifactError(
                f"{path}: {name} of layer {layer} have shape {tuple(spread.shape)}, which does not fit {len(words)} "
                f"lines of words.txt. {_AGAIN}"
            )
    for name, tensor in {"vectors": vectors, **spreads}.items():
        if not torch.isfinite(tensor).all():
            raise ArtifactError(f"{path}: {name} of layer {layer} are not all finite numbers. {_AGAIN}")
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


@dataclass(frozen=True)
class Share:
    """Which part of a text was summed: the ``number``-th, from 1, ``of`` so many; by default all of it.

    Raises:
        RecipeError: There is no such part.
    """

    number: int = 1
    of: int = 1
    text: str = ""
    """What tells this text from others whose sums are to be added, such as its hash."""

    def __post_init__(self):
        if not 1 <= self.number <= self.of:
            raise RecipeError(
                f"Share {self.number} of {self.of}: there is no such part of a text. Parts are counted from 1 to the "
                "number of parts. Choose one of these."
            )


def save_sums(folder: Path | str, sums: AnchorSums, *, language: str, share: Share | None = None) -> None:
    """Write the sums over a text, or over one share of it, for `merge_sums`.

    Args:
        folder: Made if it does not exist.
        sums: As `sum_anchors` gives them; any number of word types, also none.
        language: Code of the language of the text.
        share: Which part of the text they are of.

    Raises:
        OutputError: The folder cannot be written.
    """
    tensors = {name: getattr(sums, name).contiguous() for name in _SUMS} | {"tokens": torch.tensor(sums.tokens)}
    settings = {"language": language, "share": asdict(share or Share())}
    _write(Path(folder), "sums.safetensors", tensors, words=sums.words, settings=settings)


def load_sums(folder: Path | str) -> AnchorSums:
    """Read sums that `save_sums` wrote.

    Raises:
        ArtifactError: A file is missing or damaged, or the files do not fit together.
    """
    path = Path(folder) / "sums.safetensors"
    words = _read_words(path.with_name("words.txt"))
    names = (*_SUMS, "tokens")
    try:
        tensors = load_file(path)
        found = {name: tensors[name] for name in names}
    except (OSError, SafetensorError, KeyError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({type(error).__name__}: {error}). It holds the tensors {', '.join(names)}. "
            f"{_AGAIN}"
        ) from error
    types, layers = len(words), found["norms"].numel()
    shapes = {"type_norms": (types, layers), "squared_norms": (types, layers), "counts": (types,), "norms": (layers,)}
    fits = found["totals"].ndim == 3 and found["totals"].shape[:2] == (types, layers) and found["tokens"].numel() == 1
    if not fits or any(found[name].shape != shape for name, shape in shapes.items()):
        told = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in found.items())
        raise ArtifactError(f"{path}: tensors of shapes {told} do not fit {types} lines of words.txt. {_AGAIN}")
    if not all(torch.isfinite(tensor).all() for tensor in found.values()):
        raise ArtifactError(f"{path}: the sums are not all finite numbers. {_AGAIN}")
    return AnchorSums(words=words, tokens=int(found["tokens"]), **{name: found[name] for name in _SUMS})


def merge_sums(folders: Sequence[Path | str]) -> tuple[str, AnchorSums]:
    """Add the sums of several folders, whole texts or all the shares of texts, in any order.

    They are read one after another, so two of them and their sum is what memory must hold.

    Args:
        folders: At least one; of one language and one encoder. That it was one encoder is for the caller to see to:
            vectors of two models of equal layers and width can be added, but their sum means nothing.

    Returns:
        The language, and the sums.

    Raises:
        ArtifactError: A folder cannot be read, is of another language or shape than the first, or the shares of a text
            are not all there, each once.
    """
    assert folders, "there is something to merge"
    labels = [(Path(folder), *_read_label(Path(folder) / "settings.json")) for folder in folders]
    first, language, _ = labels[0]
    for folder, other, _ in labels:
        if other != language:
            raise ArtifactError(
                f"{folder}: sums of {other!r}, while {first} holds sums of {language!r}. Only sums of one language add "
                "up. Name the folders of one language."
            )
    _check_shares(labels)

    def added(sums: AnchorSums, folder: Path) -> AnchorSums:
        more = load_sums(folder)
        ours, theirs = tuple(sums.totals.shape[1:]), tuple(more.totals.shape[1:])
        if ours != theirs:
            raise ArtifactError(
                f"{folder}: sums of {theirs[0]} layers, {theirs[1]} wide, while {first} holds {ours[0]} layers, "
                f"{ours[1]} wide. Only sums of one encoder add up. Name folders that one encoder made."
            )
        return sums + more

    return language, reduce(added, (folder for folder, _, _ in labels[1:]), load_sums(first))


_AGAIN = "Gather the anchors again."
_SPREADS = ("token_norms", "token_squares")
_SUMS = ("totals", "type_norms", "squared_norms", "counts", "norms")


def _check_shares(labels: Sequence[tuple[Path, str, Share]]) -> None:
    """Refuse sums of which a part is missing or there twice: the anchors would be wrong, and nobody would notice."""
    for text in dict.fromkeys(share.text for _, _, share in labels):
        folder, parts = next((folder, share.of) for folder, _, share in labels if share.text == text)
        found = sorted((share.number, share.of) for _, _, share in labels if share.text == text)
        if found != [(number, parts) for number in range(1, parts + 1)]:
            told = ", ".join(f"{number}/{of}" for number, of in found)
            raise ArtifactError(
                f"{folder}: the sums named for its text are of the shares {told}. Expected each share once, from "
                f"1/{parts} to {parts}/{parts}. Name the folders of all shares, each once."
            )


def _write(
    folder: Path, name: str, tensors: Mapping[str, Tensor], *, words: Sequence[str], settings: Mapping[str, Any]
) -> None:
    """Write tensors, words and settings into one folder."""
    broken = next((word for word in words if "\n" in word), None)
    if broken is not None:
        raise OutputError(
            f"{folder / 'words.txt'}: the word {broken!r} contains a line break, and a line holds one word. "
            "Clean the text from which the anchors were gathered."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(dict(tensors), folder / name)
        (folder / "words.txt").write_bytes("".join(f"{word}\n" for word in words).encode())
        (folder / "settings.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{folder}: cannot be written ({error}). The folder must be writable and the disk "
            "have room. Choose another folder, or make room."
        ) from error


def _read_label(path: Path) -> tuple[str, Share]:
    """Read of what sums are."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        language, share = str(settings["language"]), settings["share"]
        return language, Share(int(share["number"]), int(share["of"]), str(share["text"]))
    except (OSError, ValueError, KeyError, TypeError, RecipeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({type(error).__name__}: {error}). It holds the keys language and share. Check "
            f"that {path.parent} is a folder of sums, or gather them again."
        ) from error


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

"""Folders of alignments, as `align` leaves them, opened together with the anchors between which they were found.

Such a folder holds a folder ``layer-K`` for each layer, and in ``anchors.json`` where the anchors lie: ``source`` and
``target``, paths that are absolute or relative to the folder; ``source_key`` and ``target_key``, by which anchors
that have changed are known; and ``source_model`` and ``target_model``, the keys of the models that gathered them. The
folders of a run have no such file; the keys of their anchors stand in the manifest.
Where a dictionary was given, ``fitted.txt`` holds its words of the source, a line each.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.artifacts import MANIFEST, check_files, read_manifest
from isogloss.errors import AlignmentError, ArtifactError, RecipeError
from isogloss.lexicon_commands import key_of_anchors
from isogloss.mapping_stage import FITTED

if TYPE_CHECKING:
    from isogloss.encoders.encoder import Encoder
    from isogloss.lexicon.anchors import Anchors
    from isogloss.lexicon.senses import SenseAnchors
    from isogloss.mapping.alignment import Alignment

log = logging.getLogger(__name__)

ANCHORS = "anchors.json"
"""The file in which a folder of alignments names its anchors."""


def open_alignments(folder: Path) -> dict[int, "Alignment"]:
    """Read the alignment of every layer, lowest layer first.

    Args:
        folder: It holds ``layer-K`` folders; or it is one such folder itself.

    Raises:
        ArtifactError: There is none, or a file is damaged.
    """
    from isogloss.mapping.alignment import load_alignment

    folder = Path(folder)
    if (folder / "alignment.json").is_file():
        alone = load_alignment(folder)
        return {alone.layer: alone}
    if (folder / MANIFEST).exists() or not folder.is_dir():
        check_files(folder, read_manifest(folder, kind="alignments"))
    names = [path.name for path in folder.iterdir() if re.fullmatch(r"layer--?[0-9]+", path.name)]
    if not names:
        raise ArtifactError(
            f"{folder}: holds no alignment. Expected folders such as layer-1, as isogloss align writes them. Check the "
            "path."
        )
    found = sorted((load_alignment(folder / name) for name in names), key=lambda alignment: alignment.layer)
    return {alignment.layer: alignment for alignment in found}


def fitted_words(folder: Path) -> tuple[str, ...]:
    """Read the words of the source in the dictionary from which alignments were found.

    Args:
        folder: As for `open_alignments`. A folder of one layer lies in that which holds the words.

    Returns:
        The words as they are spelt there; none where no dictionary was given, or where nobody noted its words.

    Raises:
        ArtifactError: The file cannot be read.
    """
    folder = Path(folder)
    path = (folder.parent if (folder / "alignment.json").is_file() else folder) / FITTED
    if not path.is_file():
        return ()
    try:
        return tuple(path.read_bytes().decode("utf-8").split("\n")[:-1])
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). It holds a word on each line, in UTF-8. Align again."
        ) from error


def choose_layer(folder: Path, alignments: Mapping[int, "Alignment"], layer: int | None) -> int:
    """Return the layer that was asked for; if none was, 1, or the only one.

    Raises:
        RecipeError: There is no alignment of this layer.
    """
    if layer is None and len(alignments) == 1:
        return next(iter(alignments))
    wanted = 1 if layer is None else layer
    if wanted not in alignments:
        raise RecipeError(
            f"--layer: found {wanted}, but {folder} has alignments of layer {', '.join(map(str, alignments))} only. "
            "Expected one of these. Choose one."
        )
    return wanted


def with_anchors(
    folder: Path,
    alignments: Mapping[int, "Alignment"],
    layers: Sequence[int],
    *,
    source_anchors: Path | None = None,
    target_anchors: Path | None = None,
) -> Iterator[tuple["Alignment", "Anchors", "Anchors"]]:
    """Yield the alignments of some layers, each with the anchors of its source and of its target.

    Args:
        folder: Of the alignments.
        alignments: From `open_alignments`.
        layers: Which ones.
        source_anchors: In place of those that the folder names; they must be the same ones, wherever they lie.
        target_anchors: Likewise.

    Raises:
        ArtifactError: Anchors are not named, cannot be read, have no such layer, or are not those between which the
            alignments were found.
    """
    from isogloss.lexicon.anchor_sources import open_anchors

    sides = {"source_anchors": source_anchors, "target_anchors": target_anchors}
    yield from _opened(folder, alignments, layers, read=open_anchors, **sides)


def with_anchors_or_senses(
    folder: Path,
    alignments: Mapping[int, "Alignment"],
    layers: Sequence[int],
    *,
    source_anchors: Path | None = None,
    target_anchors: Path | None = None,
) -> Iterator[tuple["Alignment", "Anchors | SenseAnchors", "Anchors | SenseAnchors"]]:
    """Yield what `with_anchors` does, but anchors of senses as such, and not as anchors of their own."""
    from isogloss.lexicon.anchor_sources import open_as_kept

    sides = {"source_anchors": source_anchors, "target_anchors": target_anchors}
    yield from _opened(folder, alignments, layers, read=open_as_kept, **sides)


def _opened(
    folder: Path,
    alignments: Mapping[int, "Alignment"],
    layers: Sequence[int],
    *,
    read: "Read",
    source_anchors: Path | None,
    target_anchors: Path | None,
) -> Iterator[tuple["Alignment", Any, Any]]:
    """Yield the alignments of some layers, each with what `read` reads of its source and of its target."""
    first = next(iter(alignments.values()))
    ours = _open_side(Path(folder), "source", source_anchors, language=first.source, read=read)
    theirs = _open_side(Path(folder), "target", target_anchors, language=first.target, read=read)
    for layer in layers:
        missing = next((path for path, anchors in (ours, theirs) if layer not in anchors), None)
        if missing is not None:
            raise ArtifactError(
                f"{missing}: has no anchors of layer {layer}, but {folder} has an alignment of it. Expected all "
                "layers of the alignment. Name the anchors from which it was found."
            )
        alignment, source, target = alignments[layer], ours[1][layer], theirs[1][layer]
        for path, anchors in ((ours[0], source), (theirs[0], target)):
            if anchors.width != alignment.width:
                raise ArtifactError(
                    f"{path}: vectors are {anchors.width} wide, but {folder} maps vectors of width {alignment.width}. "
                    "Expected equal widths. Name the anchors from which the alignment was found."
                )
        yield alignment, source, target


def check_fits(encoder: "Encoder", alignment: "Alignment", *, folder: Path) -> None:
    """Make sure that an encoder's vectors can be what an alignment maps.

    Raises:
        AlignmentError: Layers or widths differ.
    """
    if alignment.layer not in range(encoder.layers) or alignment.width != encoder.width:
        raise AlignmentError(
            f"{folder}: maps vectors of layer {alignment.layer}, width {alignment.width}; the model gives layers 0 to "
            f"{encoder.layers - 1}, width {encoder.width}. Expected an alignment of this model's vectors. Name another "
            "one, or align again."
        )


def may_have_gathered(model: Path, key: str | None) -> bool:
    """Whether a model, or what it was shrunk from, has the key of the one that gathered some anchors; None is any."""
    manifest = read_manifest(model)
    return key in (None, manifest.key, manifest.content["inputs"].get("encoder"))


def warn_of_another_model(model: Path, folder: Path, *, side: str) -> None:
    """Warn if it was another model that gathered the anchors between which alignments were found.

    Its vectors may have the same layers and widths and yet mean something else. Where nobody noted the model, nothing
    is said; a model and what `shrink_lm` made of it are one.

    Args:
        model: Folder of the model whose vectors are to be mapped.
        folder: Of the alignments.
        side: ``source`` or ``target``, where this model's language is.

    Raises:
        ArtifactError: What the folder notes cannot be read.
    """
    if not may_have_gathered(model, _noted(Path(folder)).get(f"{side}_model")):
        log.warning(
            "%s: was found between anchors that another model than %s gathered. Expected this one: to another, numbers "
            "mean something else. Name that model, or gather anchors with this one and align again.",
            folder,
            model,
        )


Read = Callable[..., Sequence[Any]]
"""Reads the anchors of every layer from a path, given their language."""


def _open_side(
    folder: Path, side: str, given: Path | None, *, language: str, read: Read
) -> tuple[Path, dict[int, Any]]:
    """Open the anchors of one side, by layer, and return where they lie."""
    named, keys = _named(folder, side)
    path = Path(given) if given is not None else named
    option = f"--{side}-anchors"
    if path is None:
        raise ArtifactError(
            f"{folder}: does not say from which anchors it was found (no {ANCHORS}). Expected their folders. Name them "
            "with --source-anchors and --target-anchors."
        )
    if given is None and not path.exists():
        raise ArtifactError(
            f"{folder / ANCHORS}: the {side} anchors {path} are not there any more. Expected them where they were. Put "
            f"them back, or say where they are with {option}."
        )
    opened = read(path, language=language)
    if keys and key_of_anchors(path) not in keys:
        raise ArtifactError(
            f"{path}: are not the {side} anchors from which {folder} was found (their key is another). Expected the "
            f"same. Name those with {option}, or align again."
        )
    return path, {anchors.layer: anchors for anchors in opened}


def _named(folder: Path, side: str) -> tuple[Path | None, tuple[str, ...]]:
    """Return where a folder says that its anchors lie, and the keys that they may have; without keys, any."""
    noted = _noted(folder)
    if noted:
        return folder / noted[side], (noted[f"{side}_key"],)
    if not (folder / MANIFEST).exists():
        return None, ()
    manifest = read_manifest(folder)
    # Published matrices came without anchors, so any may be looked at with them.
    made_here = manifest.content["settings"].get("method") != "published"
    return None, tuple(manifest.content["inputs"].values()) if made_here else ()


def _noted(folder: Path) -> dict[str, str]:
    """Read what a folder notes of its anchors; nothing if it has no such file."""
    path = folder / ANCHORS
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for side in ("source", "target"):
            content[side], content[f"{side}_key"] = str(content[side]), str(content[f"{side}_key"])
        return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({type(error).__name__}: {error}). It holds source, target, source_key and "
            "target_key. Align again."
        ) from error


def one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is not among those allowed.

    Raises:
        RecipeError: It is not.
    """
    if value not in allowed:
        raise RecipeError(f"{option}: found {value!r}. Expected {' or '.join(allowed)}. Choose one.")

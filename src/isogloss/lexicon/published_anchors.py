"""Anchors in the published layout, which the paper's authors write and align with MUSE: one folder of text files.

=========================  ====================================================================================
``avg_embeds_1.txt``       the anchors of layer 1 in word2vec text format, most frequent word type first; one such
                           file for every layer. Layers of BERT are counted from the last, which is −1
``norms.json``             ``avg_norm_layer_1``: the mean norm of all tokens in layer 1, and so on for every layer;
                           sometimes ``occurrences``: how often each word type was seen
=========================  ====================================================================================

The layout holds neither the language, which the reader has to be told, nor norms of single word types, so that the
spread within a word type cannot be computed from what was read.

Source: Schuster et al. (2019), https://github.com/TalSchuster/CrossLingualContextualEmb.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from isogloss.errors import ArtifactError, OutputError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.word2vec_text import read_word2vec_text, write_word2vec_text

NORMS = "norms.json"
"""The file by which a folder of published anchors is known."""


def read_published_anchors(folder: Path | str, *, language: str, max_types: int | None = None) -> tuple[Anchors, ...]:
    """Read the anchors of every layer, lowest layer first.

    Args:
        folder: It holds `NORMS` and a file of vectors for each layer.
        language: Code of the language, which the files do not name.
        max_types: Only so many of the most frequent word types are kept.

    Returns:
        Anchors with all counts 1 and in the order of the files, unless the folder says how often each word type
        occurred.

    Raises:
        ArtifactError: A file is missing or damaged, or the files do not fit together.
        VectorsError: A file of vectors breaks the word2vec text format.
    """
    folder = Path(folder)
    mean_norms, occurrences = _read_norms(folder / NORMS)
    _refuse_other_layers(folder, sorted(mean_norms))
    # Words may stand in another order than that of the counts, so all have to be read where there are counts.
    first = max_types if occurrences is None else None
    anchors = []
    for layer in sorted(mean_norms):
        path = folder / _name(layer)
        words, vectors = read_word2vec_text(path, max_types=first)
        if anchors and words != anchors[0].words:
            raise ArtifactError(
                f"{path}: its {len(words)} words are not those of {_name(anchors[0].layer)}, which has "
                f"{len(anchors[0])}. The layers of a folder have the same words in the same order. Copy the folder "
                "again, or gather the anchors again."
            )
        counts = torch.ones(len(words), dtype=torch.int64)
        if occurrences is not None:
            counts = torch.tensor(_counts(occurrences, len(words), path=folder / NORMS), dtype=torch.int64)
        anchors.append(
            Anchors(
                language=language,
                layer=layer,
                words=words,
                vectors=vectors,
                counts=counts,
                mean_norm=mean_norms[layer],
            )
        )
    if occurrences is not None:
        anchors = [_most_frequent_first(each).keep(max_types=max_types) for each in anchors]
    return tuple(anchors)


def write_published_anchors(folder: Path | str, anchors: Sequence[Anchors]) -> None:
    """Write the anchors of one language, a layer each, so that vectors, counts and mean norms are read back exactly.

    Norms of single word types are left out, for the layout has no place for them.

    Args:
        folder: Made if it does not exist.
        anchors: At least one; all of the same language and word types, as `extract_anchors` gives them.

    Raises:
        OutputError: A word contains a space or line break, which the format cannot hold, or writing fails.
    """
    folder, first = Path(folder), anchors[0]
    assert all((each.language, each.words) == (first.language, first.words) for each in anchors), (
        "the layers of one encoder share language and word types"
    )
    assert len({each.layer for each in anchors}) == len(anchors), "every layer comes once"
    norms: dict[str, Any] = {f"avg_norm_layer_{each.layer}": each.mean_norm for each in anchors}
    norms["occurrences"] = first.counts.tolist()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NORMS).unlink(missing_ok=True)  # comes last, so that a folder that has it is whole
        for each in anchors:
            write_word2vec_text(folder / _name(each.layer), each.words, each.vectors)
        (folder / NORMS).write_text(json.dumps(norms) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: the anchors cannot be written ({error}). The folder must be writable and the disk "
            "have room. Choose another folder, or make room."
        ) from error


def _name(layer: int) -> str:
    """Return the name of a layer's file of vectors."""
    return f"avg_embeds_{layer}.txt"


def _read_norms(path: Path) -> tuple[dict[int, float], list[int] | None]:
    """Read the mean norm of each layer and, if they are there, the numbers of occurrences."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({type(error).__name__}: {error}). A JSON object with the mean norm of each "
            f"layer is expected. Check that {path.parent} is a folder of published anchors."
        ) from error
    keys = content if isinstance(content, dict) else {}
    layers = {int(match[1]): key for key in keys if (match := re.fullmatch(r"avg_norm_layer_(-?[0-9]{1,4})", key))}
    if not layers:
        raise ArtifactError(
            f"{path}: has no mean norm of any layer. A JSON object with keys like avg_norm_layer_1 is expected. "
            f"Check that {path.parent} is a folder of published anchors."
        )
    mean_norms = {}
    for layer, key in layers.items():
        found = content[key]
        if type(found) not in (int, float) or not 0 <= found < math.inf:
            raise ArtifactError(
                f"{path}, {key}: found {str(found)[:40]}. The mean norm of the layer's tokens is a finite number, 0 "
                "or more. Copy the file again, or gather the anchors again."
            )
        mean_norms[layer] = float(found)
    occurrences = content.get("occurrences")
    well_formed = isinstance(occurrences, list) and all(type(n) is int and 0 <= n < 2**63 for n in occurrences)
    if occurrences is not None and not well_formed:
        raise ArtifactError(
            f"{path}, occurrences: found something else than whole numbers. A list that says how often each word "
            "type was seen is expected. Copy the file again, or remove the key."
        )
    return mean_norms, occurrences


def _refuse_other_layers(folder: Path, layers: Sequence[int]) -> None:
    """Check that there is a file of vectors for each mean norm, and the other way round."""
    expected = {_name(layer) for layer in layers}
    found = {path.name for path in folder.glob("avg_embeds_*.txt")}
    if found != expected:
        raise ArtifactError(
            f"{folder}: holds {_listed(found)}, but {NORMS} has the mean norms of {_listed(expected)}. One mean norm "
            "for every file of vectors is expected. Copy the folder again, or gather the anchors again."
        )


def _counts(occurrences: list[int], words: int, *, path: Path) -> list[int]:
    """Return the count of each word. The list may have a zero for each word of the vocabulary that was never seen."""
    for counts in (occurrences, [count for count in occurrences if count > 0]):
        if len(counts) == words:
            return counts
    raise ArtifactError(
        f"{path}, occurrences: {len(occurrences)} numbers, of which {len(counts)} are not zero, do not fit {words} "
        "words. One number for every word is expected. Copy the folder again, or remove the key."
    )


def _most_frequent_first(anchors: Anchors) -> Anchors:
    """Put words in the order of `Anchors`: falling count, equal counts by code point."""
    counts = anchors.counts.tolist()
    order = sorted(range(len(anchors)), key=lambda row: (-counts[row], anchors.words[row]))
    rows = torch.tensor(order, dtype=torch.int64)
    return Anchors(
        language=anchors.language,
        layer=anchors.layer,
        words=tuple(anchors.words[row] for row in order),
        vectors=anchors.vectors[rows],
        counts=anchors.counts[rows],
        mean_norm=anchors.mean_norm,
    )


def _listed(names: set[str]) -> str:
    """Name some files, or say that there are none."""
    return ", ".join(sorted(names)[:6]) + (" …" if len(names) > 6 else "") if names else "no avg_embeds_….txt"

"""One function for each command that exchanges anchors and alignments with other programs, in the published forms.

As in `commands`, each receives paths and plain values, makes one artifact or file, and returns what a person would want
to know of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isogloss.alignment_folders import choose_layer, one_of, open_alignments
from isogloss.artifacts import build_artifact, check_files, hash_file, read_manifest
from isogloss.errors import ArtifactError, RecipeError
from isogloss.lexicon_commands import key_of_anchors
from isogloss.settings import is_code
from isogloss.stage import FORMATS


def import_anchors(path: Path, out: Path, *, language: str, max_types: int | None = None) -> dict[str, int]:
    """Make a folder of anchors out of a published folder or of a file in word2vec text format.

    Returns:
        How many layers, word types and numbers in a vector there are.

    Raises:
        DataError: The file or folder cannot be read, or is no such thing.
        RecipeError: The language's code is none, or `max_types` is less than 1.
        OutputError: The folder cannot be written; nothing is left behind.
    """
    from isogloss.lexicon.anchor_files import save_anchors
    from isogloss.lexicon.anchor_sources import is_ours, open_anchors

    if not is_code(language):
        raise RecipeError(f"--language: found {language!r}. Expected a code of letters, digits, _ and -. Change it.")
    if max_types is not None and max_types < 1:
        raise RecipeError(f"--max-types: found {max_types}. Expected 1 or more. Change it.")
    if is_ours(path):
        raise ArtifactError(
            f"{path}: is a folder of anchors of isogloss. Expected a published folder or a file of word vectors. Use "
            "the folder as it is."
        )
    found = open_anchors(path, language=language, max_types=max_types)
    facts = {"layers": len(found), "word_types": len(found[0]), "width": found[0].width}

    def make(draft: Path) -> Mapping[str, Any]:
        save_anchors(draft, found)
        return facts

    build_artifact(
        Path(out).absolute(),
        "anchors",
        make,
        format=FORMATS["anchors"],
        settings={"language": language, "max_types": max_types},
        inputs={"vectors": key_of_anchors(path)},
    )
    return facts


def export_anchors(folder: Path, out: Path) -> None:
    """Write a folder of anchors in the layout of the paper's authors: vectors as text, and mean norms.

    Raises:
        ArtifactError: There are no anchors of isogloss.
        OutputError: A word has a space in it, or the folder cannot be written; nothing is left behind.
    """
    from isogloss.lexicon.anchor_files import load_all_anchors
    from isogloss.lexicon.published_anchors import write_published_anchors

    manifest = read_manifest(Path(folder), kind="anchors")
    check_files(Path(folder), manifest)
    found = load_all_anchors(folder)
    build_artifact(
        Path(out).absolute(),
        "published-anchors",
        lambda draft: write_published_anchors(draft, found),
        settings={"language": found[0].language},
        inputs={"anchors": manifest.key},
        licences=manifest.content["licences"],
    )


def import_alignment(
    files: Sequence[Path],
    out: Path,
    *,
    source: str,
    target: str,
    layers: Sequence[int] = (),
    target_files: Sequence[Path] = (),
) -> list[dict[str, Any]]:
    """Make a folder of alignments out of published matrices; nothing in the files is run.

    Args:
        files: Files of ``torch.save``, one for each layer.
        out: Folder to write.
        source: Code of the language that the matrices map.
        target: Code of the language into whose space they map.
        layers: Of the files, in their order. A single file is of layer 1, unless it is said.
        target_files: The target's own matrices for the same layers, if there are any: they hold the scale of the
            target's vectors.

    Returns:
        A row for each layer: how wide it is, its scales, and how far from orthogonal.

    Raises:
        ArtifactError: A file is damaged, holds something else, or would run code.
        RecipeError: There are more or fewer layers or target's files than files, or a layer comes twice.
        OutputError: The folder cannot be written; nothing is left behind.
    """
    from isogloss.mapping.alignment import save_alignment
    from isogloss.mapping.published_alignment import read_published_alignment

    numbers = list(layers) or ([1] if len(files) == 1 else [])
    if len(numbers) != len(files) or len(set(numbers)) != len(numbers):
        raise RecipeError(
            f"--layer: found {', '.join(map(str, numbers)) or 'none'} for {len(files)} files. Expected one for each, "
            "each another. Say of which layer each file is, in their order."
        )
    if target_files and len(target_files) != len(files):
        raise RecipeError(
            f"--target-file: found {len(target_files)} for {len(files)} files. Expected one for each, or none. Change "
            "it."
        )
    found, inputs = [], {}
    for place, (file, number) in enumerate(zip(files, numbers, strict=True)):
        scale = None
        if target_files:
            own = target_files[place]
            scale = read_published_alignment(own, source=target, target=target, layer=number).scale
            inputs[f"target-layer-{number}"] = hash_file(Path(own))
        found.append(read_published_alignment(file, source=source, target=target, layer=number, target_scale=scale))
        inputs[f"layer-{number}"] = hash_file(Path(file))

    def make(draft: Path) -> None:
        for alignment in found:
            save_alignment(draft / f"layer-{alignment.layer}", alignment)

    build_artifact(
        Path(out).absolute(),
        "alignments",
        make,
        format=FORMATS["alignments"],
        settings={"source": source, "target": target, "method": "published"},
        inputs=inputs,
    )
    return [
        {
            "layer": alignment.layer,
            "width": alignment.width,
            "scale": alignment.scale,
            "target_scale": alignment.target_scale,
            "orthogonality_gap": alignment.orthogonality_gap,
        }
        for alignment in found
    ]


def export_alignment(
    folder: Path, out: Path, *, layer: int | None = None, container: str = "zip", tensor: bool = False
) -> None:
    """Write the alignment of one layer as a published matrix, for AllenNLP, MUSE and ``torch.load``.

    Args:
        folder: Of alignments.
        out: The file.
        layer: Which one; by default 1, or the only one.
        container: ``zip``, or ``legacy`` for versions of PyTorch before 1.6.
        tensor: Write a tensor in place of a numpy array.

    Raises:
        ArtifactError: The alignments cannot be read, or have no such layer.
        OutputError: The alignment moves vectors, which a matrix cannot; or the file cannot be written.
        RecipeError: There is no such container.
    """
    from isogloss.mapping.published_alignment import write_published_alignment

    one_of("--container", container, ("zip", "legacy"))
    alignments = open_alignments(folder)
    write_published_alignment(
        Path(out),
        alignments[choose_layer(folder, alignments, layer)],
        container="zip" if container == "zip" else "legacy",
        as_="tensor" if tensor else "array",
    )

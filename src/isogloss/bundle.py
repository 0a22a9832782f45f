"""A bundle: language models, alignments and one parser in a folder, ready to parse. The project comes with one.

    es/            a language model for each language
    alignments/es/ layer-0 …: its map into the space that all share; the reference has one too, which changes lengths
    parser/        one parser, which reads that space
    bundle.json    what is known of each language, what the parser learned from, and the SHA-256 of every file

`bundle.json` is written last, so a folder without it is none. Loading reads and checks no more than is asked for.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.artifacts import build_artifact, hash_file, write_atomically
from isogloss.errors import ArtifactError, DataError
from isogloss.trained import TrainedParser

if TYPE_CHECKING:
    from isogloss.mapping.alignment import Alignment

BUNDLE, PARSER, ALIGNMENTS = "bundle.json", "parser", "alignments"
FORMAT = 1
VARIABLE = "ISOGLOSS_MODELS"
"""Environment variable that names a bundle to be used in place of the one that comes with the project."""


@dataclass(frozen=True)
class Bundle:
    """What `bundle.json` says."""

    folder: Path
    reference: str
    """The language in whose space all vectors meet."""
    languages: Mapping[str, Mapping[str, Any]]
    """What is known of each language that it parses, by code: ``name`` in English; ``words`` of text that its language
    model was trained on; ``licences``; ``trees``, whether the parser learned from trees of it; ``scores``, rows as in
    `isogloss.reports.results`; and whatever else whoever added the language wants to tell."""
    parser: Mapping[str, Any]
    """``languages`` whose trees it learned from, their ``licences``, and which ``tags`` it reads."""
    files: Mapping[str, str]
    """SHA-256 by path within the folder."""

    def load(self, *languages: str) -> TrainedParser:
        """Load the parser and the language models of some languages. Their files are checked first.

        Raises:
            DataError: The bundle has no such language.
            ArtifactError: A file is missing, damaged, or not the one that belongs here.
        """
        from isogloss.encoders.elmo.embedder import ELMoEncoder
        from isogloss.mapping.alignment import load_alignment
        from isogloss.mapping.shared_space import SharedSpace
        from isogloss.parsing.parser import Parser

        for language in languages:
            self.refuse_unknown(language)
        encoders, alignments = {}, {}
        for language in languages:
            for part in parts_of(language):
                self.check(part)
            encoders[language] = ELMoEncoder.load(self.folder / language)
            for layer in range(encoders[language].layers):
                place = self.folder / ALIGNMENTS / language / f"layer-{layer}"
                alignments[language, layer] = load_alignment(place)
        self.check(PARSER)
        # Of languages that are not asked for, the reference among them, nothing is needed.
        space = SharedSpace(reference=languages[0], encoders=encoders, alignments=alignments)
        return TrainedParser(Parser.load(self.folder / PARSER), space, languages)

    def refuse_unknown(self, language: str) -> None:
        """Raise a `DataError`, which lists the languages that there are, unless the bundle has this one."""
        if language not in self.languages:
            known = ", ".join(f"{code} ({facts.get('name', code)})" for code, facts in self.languages.items())
            raise DataError(
                f"language {language!r}: not among the models in {self.folder}. Expected one of {known}. Choose one, "
                f"or bring the language in from raw text alone: isogloss add-language {language} --help"
            )

    def check(self, part: str) -> None:
        """Compare all files of a folder within the bundle with their hashes.

        Args:
            part: Path of the folder, such as ``alignments/es``.

        Raises:
            ArtifactError: A file is missing or differs.
        """
        expected = {name: digest for name, digest in self.files.items() if name.startswith(f"{part}/")}
        if not expected:
            raise ArtifactError(
                f"{self.folder / BUNDLE}: lists no file in {part}. Expected some. Make or copy the models again."
            )
        for name, digest in expected.items():
            path = self.folder / name
            try:
                found = hash_file(path)
            except OSError as error:
                raise ArtifactError(
                    f"{path}: cannot be read ({error.strerror}). Expected a part of these models. Copy them again."
                ) from error
            if found != digest:
                raise ArtifactError(
                    f"{path}: differs from what {BUNDLE} lists (SHA-256). Expected it as it was made. Copy the models "
                    f"again."
                )


def parts_of(language: str) -> tuple[str, str]:
    """Return the folders within a bundle that belong to one language: its model and its alignments."""
    return language, f"{ALIGNMENTS}/{language}"


def open_bundle(folder: Path | str | None = None) -> Bundle:
    """Read what a bundle holds. Nothing of it is loaded yet.

    Args:
        folder: By default the one that the environment variable ``ISOGLOSS_MODELS`` names, else the one that comes with
            the project.

    Raises:
        ArtifactError: There is no bundle, or it cannot be read.
    """
    folder = default_folder() if folder is None else Path(folder)
    path = folder / BUNDLE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, not {FORMAT}")
        return Bundle(
            folder=folder,
            reference=str(content["reference"]),
            languages={str(code): dict(facts) for code, facts in content["languages"].items()},
            parser=dict(content["parser"]),
            files={str(name): str(digest) for name, digest in content["files"].items()},
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactError(
            f"{folder}: no models to parse with (no {BUNDLE}). Expected a folder that isogloss make-bundle or "
            f"add-language wrote. Name one with --models or {VARIABLE}."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}: not readable as a list of models ({error}). Expected what isogloss wrote. Copy the models again."
        ) from error


def default_folder() -> Path:
    """Return where the models lie that are used unless others are named."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    package = Path(__file__).parent
    installed = package / "models"  # from a wheel; in the repository they stand at its top
    return installed if installed.is_dir() else package.parents[1] / "models"


def store_alignments(folder: Path, layers: Sequence["Alignment"], *, inputs: dict[str, str]) -> None:
    """Write one language's alignments, lowest layer first, into a bundle: float16, and nothing but the map itself.

    Args:
        folder: Its place in the bundle.
        layers: One alignment per layer.
        inputs: Keys of what they were made from.

    Raises:
        OutputError: The folder cannot be written.
    """
    import torch

    from isogloss.mapping.alignment import save_alignment

    def write(draft: Path) -> None:
        for alignment in layers:
            save_alignment(draft / f"layer-{alignment.layer}", alignment.for_vectors(), dtype=torch.float16)

    build_artifact(folder, "alignments", write, settings={"stored": "float16"}, inputs=inputs)


def write_bundle(
    folder: Path, *, reference: str, languages: Mapping[str, Mapping[str, Any]], parser: Mapping[str, Any]
) -> Bundle:
    """Write `bundle.json` for a folder whose models, alignments and parser stand in their places.

    Args:
        folder: The bundle's.
        reference: The language in whose space all vectors meet.
        languages: Facts about each language; see `Bundle`.
        parser: Facts about the parser.

    Raises:
        ArtifactError: A language has no model or no alignments, or there is no parser.
        OutputError: The folder cannot be written.
    """
    files = {}
    for part in (PARSER, *(part for language in languages for part in parts_of(language))):
        found = sorted(path for path in (folder / part).rglob("*") if path.is_file())
        if not found:
            raise ArtifactError(f"{folder / part}: nothing there. Expected a part of the models. Put it there first.")
        files |= {path.relative_to(folder).as_posix(): hash_file(path) for path in found}
    content = {
        "format": FORMAT,
        "reference": reference,
        "languages": {language: dict(facts) for language, facts in languages.items()},
        "parser": dict(parser),
        "files": files,
    }
    write_atomically(folder / BUNDLE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return open_bundle(folder)

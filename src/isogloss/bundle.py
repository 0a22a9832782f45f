"""A bundle: language models, alignments and one parser in a folder, ready to parse. The project comes with one.

    es/            a language model for each language
    alignments/es/ layer-0 …: its map into the space that all share; the reference has one too, which changes lengths
    anchors/en/    anchors of the reference's most frequent words, by which further languages are aligned with it
    parser/        one parser, which reads that space
    bundle.json    what is known of each language, what the parser learned from, and the SHA-256 of every file

`bundle.json` is written last, so a folder without it is none. Loading reads and checks no more than is asked for.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.artifacts import build_artifact, hash_file, write_atomically, writing_to
from isogloss.errors import ArtifactError, DataError, OutputError
from isogloss.trained import TrainedParser

if TYPE_CHECKING:
    from isogloss.lexicon.anchors import Anchors
    from isogloss.mapping.alignment import Alignment

BUNDLE, PARSER, ALIGNMENTS, ANCHORS = "bundle.json", "parser", "alignments", "anchors"
FORMAT = 1
VARIABLE = "ISOGLOSS_MODELS"
"""Environment variable that names a bundle to be used in place of the one that comes with the project."""


ANCHOR_TYPES = 4000
"""Word types of the reference whose anchors a bundle keeps: enough for a dictionary of basic words."""


@dataclass(frozen=True)
class Bundle:
    """What `bundle.json` says."""

    folder: Path
    reference: str
    """The language in whose space all vectors meet."""
    languages: Mapping[str, Mapping[str, Any]]
    """What is known of each language that it parses, by code: ``name`` in English; ``words`` of text that its language
    model was trained on; ``licences``; ``trees``, whether the parser learned from trees of it; ``scores``, rows as in
    `isogloss.reports.results`; ``confidence``, how sure the parser is of it; ``auxiliaries``, words in lower case that
    the tagger takes for no verbs; and whatever else whoever added the language wants to tell."""
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
        known = {language: tuple(self.languages[language].get("auxiliaries", ())) for language in languages}
        return TrainedParser(Parser.load(self.folder / PARSER), space, languages, known)

    def refuse_unknown(self, language: str) -> None:
        """Raise a `DataError`, which lists the languages that there are, unless the bundle has this one."""
        if language not in self.languages:
            known = ", ".join(f"{code} ({facts.get('name', code)})" for code, facts in self.languages.items())
            raise DataError(
                f"language {language!r}: not among the models in {self.folder}. Expected one of {known}. Choose one, "
                f"or bring the language in from raw text alone: isogloss add-language {language} --help"
            )

    @property
    def has_anchors(self) -> bool:
        """Whether it keeps anchors of its reference."""
        return any(name.startswith(f"{ANCHORS}/{self.reference}/") for name in self.files)

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

    def link_to(self, folder: Path, *, but: str = "") -> None:
        """Let all files stand in a second folder too, without copying them where the disk allows that.

        They are checked first. What stands there must not be changed in place, only replaced; isogloss never does
        otherwise.

        Args:
            folder: Where to; made if need be.
            but: A part that is left out, such as ``parser``.

        Raises:
            ArtifactError: A file is missing or differs.
            OutputError: The folder cannot be written.
        """
        names = [name for name in self.files if not (but and name.startswith(f"{but}/"))]
        for part in dict.fromkeys(name.rpartition("/")[0] for name in names):
            self.check(part)
        with writing_to(folder):
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(self.folder / name, folder / name)
                except OSError:  # another disk, or one that knows no links
                    shutil.copyfile(self.folder / name, folder / name)


def refuse_to_replace(out: Path) -> None:
    """Make sure that a new bundle takes the place of nothing.

    Raises:
        OutputError: Something is there.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(
            f"{out}: is there already. Expected a new or empty folder, for the models that are there stay as they are. "
            f"Choose another name with -o, or remove it yourself."
        )


def put_in_place(draft: Path, out: Path) -> Bundle:
    """Move a finished bundle to where it shall stand, on the same disk; an empty folder there makes way.

    Raises:
        OutputError: Something has come there meanwhile, or the folder cannot be written. The draft stays.
    """
    refuse_to_replace(out)
    with writing_to(out):
        if out.is_dir():
            out.rmdir()
        os.rename(draft, out)
    return open_bundle(out)


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
            f"add-language wrote. Name one with --models (add-language: --to) or {VARIABLE}."
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


def store_anchors(folder: Path, layers: Sequence["Anchors"], *, inputs: dict[str, str]) -> None:
    """Write the reference's anchors into a bundle: float16, its most frequent words, no spreads.

    Those of layer 0 are left out; `isogloss.lexicon.extraction.with_layer_0` has them from the language model.

    Args:
        folder: Its place in the bundle.
        layers: Anchors of every layer, lowest first.
        inputs: Keys of what they were made from.

    Raises:
        OutputError: The folder cannot be written.
    """
    import torch

    from isogloss.lexicon.anchor_files import save_anchors

    recurrent = [replace(one, token_norms=None, token_squares=None) for one in layers if one.layer > 0]
    kept = [one.keep(max_types=ANCHOR_TYPES) for one in recurrent]

    def write(draft: Path) -> None:
        save_anchors(draft, kept, dtype=torch.float16)

    settings = {"stored": "float16", "max_types": ANCHOR_TYPES, "layers": [one.layer for one in kept]}
    build_artifact(folder, "anchors", write, settings=settings, inputs=inputs)


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
    anchors = f"{ANCHORS}/{reference}"
    kept = [anchors] if (folder / anchors).is_dir() else []
    for part in (PARSER, *kept, *(part for language in languages for part in parts_of(language))):
        found = sorted(path for path in (folder / part).rglob("*") if path.is_file())
        if not found:
            raise ArtifactError(f"{folder / part}: nothing there. Expected a part of the models. Put it there first.")
        files |= {path.relative_to(folder).as_posix(): hash_file(path) for path in found}
    return renew_list(Bundle(folder, reference, languages, parser, files))


def renew_list(bundle: Bundle) -> Bundle:
    """Write `bundle.json` anew where only what is told of languages or the parser changed, and no file.

    Raises:
        OutputError: The folder cannot be written.
    """
    content = {
        "format": FORMAT,
        "reference": bundle.reference,
        "languages": {language: dict(facts) for language, facts in bundle.languages.items()},
        "parser": dict(bundle.parser),
        "files": dict(bundle.files),
    }
    write_atomically(bundle.folder / BUNDLE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return open_bundle(bundle.folder)

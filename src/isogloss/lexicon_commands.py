"""One function for each command about anchors: gather, merge, make without context, measure.

As in `commands`, each receives paths and plain values, makes one artifact or answer, and returns what a person would
want to know of it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.artifacts import MANIFEST, Manifest, build_artifact, check_files, hash_file, hash_json, read_manifest
from isogloss.commands import checked, hash_of_text, readable, sound_model
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event, Task, run_tasks
from isogloss.errors import ArtifactError, RecipeError, TextError
from isogloss.recipe import LanguageCorpus
from isogloss.stage import FORMATS
from isogloss.stages import make_anchors, make_static

if TYPE_CHECKING:
    from isogloss.lexicon.geometry import Geometry

OnEvent = Callable[[Event], None]
KINDS = ("anchors", "static", "senses", "published-anchors")
"""Kinds of artifacts that hold anchors."""


def anchors(
    model: Path,
    text: Path,
    out: Path,
    *,
    min_count: int = 5,
    max_types: int = 50_000,
    max_sentences: int | None = None,
    tokenised: bool = False,
    processes: int = 1,
    threads: int = 1,
    share: str | None = None,
    on_event: OnEvent = lambda event: None,
) -> int:
    """Gather the anchors of a text into a folder, or the sums of one share of it; return the number of word types.

    Args:
        model: Folder of a language model.
        text: Raw text of its language.
        out: Folder to write.
        min_count: Word types seen less often get no anchor.
        max_types: Only so many of the most frequent word types get one.
        max_sentences: Reading stops after so many.
        tokenised: Words are already apart.
        processes: They share the work; their number does not show in the result.
        threads: Of each process.
        share: ``I/N``: do the I-th of N shares, and write its sums for `merge_anchors`. Every share counts the whole
            text first, so that all have the same word types.
        on_event: Called with events of progress.

    Raises:
        RecipeError: A value is not what it should be.
        ArtifactError: There is no language model.
        TextError: The text cannot be read, or no word is frequent enough.
        OutputError: The folder cannot be written; nothing is left behind.
    """
    from isogloss.lexicon.settings import AnchorSettings

    settings = checked(AnchorSettings, min_count=min_count, max_types=max_types, max_sentences=max_sentences)
    threads = checked(ComputeSettings, threads=threads).threads
    if processes < 1:
        raise RecipeError(f"--processes: found {processes}. Expected 1 or more. Change it.")
    number, of = _share_of(share) if share is not None else (1, 1)
    manifest = sound_model(model)
    corpus = LanguageCorpus(text=str(readable(text)), tokenised=tokenised)
    inputs = {"text": hash_of_text(text), "encoder": manifest.key}

    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.anchor_files import Share

    language = ELMoEncoder.load(model).language
    content = {"language": language, "tokenised": tokenised, "anchors": settings.model_dump(mode="json")}
    # Threads change the order of the encoder's own sums, and so the last digits of vectors; processes do not.
    content |= {"threads": threads} if threads > 1 else {}
    kind, part = "anchors", None
    if share is not None:
        kind, part = "sums", Share(number, of, text=inputs["text"])
        content |= {"share": {"number": number, "of": of}}

    def make(draft: Path) -> Mapping[str, Any]:
        plan = {"processes": processes, "threads": threads, "share": part}
        return make_anchors(draft, corpus=corpus, language=language, encoder=Path(model), settings=settings, **plan)

    made = build_with_progress(
        Path(out).absolute(), kind, make, threads=threads, on_event=on_event, settings=content, inputs=inputs
    )
    return made.content["word_types"]


def merge_anchors(
    sums: Sequence[Path], out: Path, *, min_count: int | None = None, max_types: int | None = None
) -> int:
    """Add up the sums of all shares of a text and write its anchors; return the number of word types.

    The anchors, and the key of their folder, are those of `anchors` without shares.

    Args:
        sums: Folders that `anchors` wrote for shares, each share once, in any order.
        out: Folder to write.
        min_count: As for `anchors`; by default, and at least, what the shares were gathered with.
        max_types: Likewise, but at most.

    Raises:
        ArtifactError: A folder cannot be read, a share is missing or there twice, or the folders are of different
            models, texts or settings.
        RecipeError: A value cannot be met by these sums.
        TextError: No word is frequent enough.
        OutputError: The folder cannot be written; nothing is left behind.
    """
    from isogloss.lexicon.anchor_files import merge_sums, save_anchors
    from isogloss.lexicon.extraction import anchors_of_sums
    from isogloss.lexicon.settings import AnchorSettings

    first, *others = [read_manifest(Path(folder), kind="sums") for folder in sums]
    for folder, manifest in zip(sums[1:], others, strict=True):
        _refuse_other_sums(sums[0], _origin(first), folder, _origin(manifest))
    for folder, manifest in zip(sums, [first, *others], strict=True):
        check_files(Path(folder), manifest)
    gathered = first.content["settings"]["anchors"]
    given = {"min_count": min_count, "max_types": max_types}
    settings = checked(AnchorSettings, **gathered | {name: value for name, value in given.items() if value is not None})
    for name, unmet in (
        ("min_count", settings.min_count < gathered["min_count"]),
        ("max_types", settings.max_types > gathered["max_types"]),
    ):
        if unmet:
            raise RecipeError(
                f"--{name.replace('_', '-')}: found {getattr(settings, name)}, but the sums were gathered with "
                f"{gathered[name]}. Expected at {'least' if name == 'min_count' else 'most'} that, for other words "
                "were not summed. Change it, or gather the sums again."
            )

    def make(draft: Path) -> Mapping[str, Any]:
        language, added = merge_sums(sums)
        found = anchors_of_sums(added, language=language, settings=settings)
        save_anchors(draft, found)
        return {"word_types": len(found[0]), "shares": len(sums)}

    content = {name: value for name, value in first.content["settings"].items() if name != "share"}
    content |= {"anchors": settings.model_dump(mode="json")}
    made = build_artifact(
        Path(out).absolute(),
        "anchors",
        make,
        format=FORMATS["anchors"],
        settings=content,
        inputs=first.content["inputs"],
        licences=first.content["licences"],
    )
    return made.content["word_types"]


def static(
    text: Path,
    out: Path,
    *,
    language: str,
    width: int = 100,
    min_count: int = 5,
    max_types: int = 50_000,
    window: int = 5,
    contexts: int = 10_000,
    max_sentences: int | None = None,
    tokenised: bool = False,
    seed: int = 1,
    threads: int = 1,
    on_event: OnEvent = lambda event: None,
) -> int:
    """Make word vectors without context from a text, as anchors of layer 0; return the number of word types.

    Args:
        text: Raw text, read twice: to count words, and to count which stand near which.
        out: Folder to write.
        language: Code of the text's language.
        width: Of the vectors.
        min_count: Word types seen less often get no vector.
        max_types: Only so many of the most frequent word types get one.
        window: Words to either side that count as near.
        contexts: Most frequent word types that describe others.
        max_sentences: Reading stops after so many.
        tokenised: Words are already apart.
        seed: Of the random start of the decomposition.
        threads: Of the decomposition.
        on_event: Called with events of progress.

    Raises:
        RecipeError: A value is not what it should be.
        TextError: The text cannot be read, no word is frequent enough, or nothing tells its words from one another.
        OutputError: The folder cannot be written; nothing is left behind.
    """
    from isogloss.encoders.settings import StaticSettings

    shape = {"width": width, "min_count": min_count, "max_types": max_types, "window": window, "contexts": contexts}
    settings = checked(StaticSettings, **shape)
    threads = checked(ComputeSettings, threads=threads).threads
    corpus = checked(LanguageCorpus, text=str(readable(text)), tokenised=tokenised, max_sentences=max_sentences)
    content = {"language": language, "tokenised": tokenised, "max_sentences": max_sentences}
    content |= {"static": settings.model_dump(mode="json"), "seed": seed, "threads": threads}

    def make(draft: Path) -> Mapping[str, Any]:
        return make_static(draft, corpus=corpus, language=language, settings=settings, seed=seed)

    facts = {"settings": content, "inputs": {"text": hash_of_text(text)}, "seed": seed}
    made = build_with_progress(Path(out).absolute(), "static", make, threads=threads, on_event=on_event, **facts)
    return made.content["word_types"]


def geometry(
    folders: Sequence[Path],
    *,
    min_count: int = 100,
    homonyms: Path | None = None,
    languages: Sequence[str] = (),
) -> list["Geometry"]:
    """Measure the shape of the spaces of some anchors, in every layer.

    Args:
        folders: Whatever `open_anchors` opens.
        min_count: Words with fewer occurrences are left out. Where the counts are not known, as in files of word
            vectors, all words count.
        homonyms: A file with a word a line; by default the built-in list for English and none for other languages.
        languages: Codes for those of `folders` that do not know their language, in their order.

    Raises:
        RecipeError: There are more or fewer languages than folders that need one.
        DataError: Something cannot be read, or has fewer than two words to compare.
    """
    from isogloss.lexicon import geometry as measure
    from isogloss.lexicon.anchor_sources import is_ours, open_anchors

    if min_count < 1:
        raise RecipeError(f"--min-count: found {min_count}. Expected 1 or more. Change it.")
    words = None if homonyms is None else _word_list(homonyms)
    foreign = [folder for folder in folders if not is_ours(folder)]
    if languages and len(languages) != len(foreign):
        raise RecipeError(
            f"--language: found {len(languages)}, but {len(foreign)} of the anchors do not name their language. "
            "Expected one for each of these, in their order. Give as many."
        )
    language_by_folder = dict(zip(foreign, languages, strict=False))
    found = []
    for folder in folders:
        for layer in open_anchors(folder, language=language_by_folder.get(folder)):
            counted = bool((layer.counts > 1).any())
            found.append(measure.geometry(layer, min_count=min_count if counted else 1, homonyms=words))
    return found


def key_of_anchors(path: Path) -> str:
    """Return what names the content of anchors: the key of a folder of ours, else a hash of the file or the files.

    Raises:
        ArtifactError: There is nothing at the path, or an artifact of another kind.
    """
    path = Path(path)
    if path.is_file():
        return hash_file(path)
    if path.is_dir() and not (path / MANIFEST).exists():
        files = sorted(file for file in path.iterdir() if file.is_file())
        return hash_json({file.name: hash_file(file) for file in files})
    manifest = read_manifest(path)
    return manifest.key if manifest.kind in KINDS else read_manifest(path, kind="anchors").key


def model_of_anchors(path: Path) -> str | None:
    """Return the key of the language model whose vectors became a folder of anchors; None where nobody noted it."""
    if not (Path(path) / MANIFEST).exists():
        return None
    inputs = read_manifest(Path(path)).content["inputs"]
    return next((key for name, key in inputs.items() if name == "encoder" or name.startswith("encoders/")), None)


def _share_of(text: str) -> tuple[int, int]:
    """Read ``I/N``."""
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise RecipeError(f"--share: found {text!r}. Expected I/N, such as 2/8 for the second of 8. Change it.")
    return int(number), int(of)


def _origin(manifest: Manifest) -> dict[str, Any]:
    """Return what the sums of one text have in common: inputs and settings, without the number of the share."""
    settings = {name: value for name, value in manifest.content["settings"].items() if name != "share"}
    return {**manifest.content["inputs"], **settings}


def _refuse_other_sums(first: Path, expected: Mapping[str, Any], folder: Path, found: Mapping[str, Any]) -> None:
    """Refuse sums that do not belong together, although they could be added."""
    names = {"encoder": "language model", "text": "text", "language": "language", "threads": "number of threads"}
    odd = next((name for name in {**expected, **found} if expected.get(name) != found.get(name)), None)
    if odd is not None:
        raise ArtifactError(
            f"{folder}: its sums are of another {names.get(odd, 'setting: ' + odd)} than those in {first}. Expected "
            "the shares of one text, read by one model with the same settings. Name these, or gather them again."
        )


def build_with_progress(
    out: Path, kind: str, make: Callable[[Path], Mapping[str, Any]], *, threads: int, on_event: OnEvent, **facts: Any
) -> Manifest:
    """Build an artifact in this process, heeding requests to stop and passing on what is reported.

    Args:
        out: Folder to write.
        kind: Of artifact.
        make: Fills an empty folder, and returns further entries for the manifest.
        threads: Of the process.
        on_event: Called with events of progress.
        facts: Settings, inputs and seed, as `build_artifact` takes them.
    """
    made: list[Manifest] = []

    def build() -> None:
        made.append(build_artifact(out, kind, make, format=FORMATS.get(kind, 1), **facts))

    on_event({"event": "run", "recipe": out.name, "stages": [out.name], "kept": []})
    run_tasks([Task(out.name, build)], workers=0, threads=threads, on_event=on_event)
    return made[0]


def _word_list(path: Path) -> list[str]:
    """Read a word a line."""
    from isogloss.corpus.plain_text import plain
    from isogloss.corpus.raw_text import read_lines

    words = [word for line in read_lines(readable(path)) if (word := plain(line).strip())]
    if not words:
        raise TextError(
            f"{path}: there is no word in this file. Expected a word a line. Check that it is the right file."
        )
    return words

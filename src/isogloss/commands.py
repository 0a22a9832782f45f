"""One function per command, for notebooks and for the command line alike; those about anchors, alignments and
bundles, and the longest of the others, `train_lm`, `embed` and `parse`, have files of their own.

Each receives paths and plain values, makes one artifact or answer, and returns what a person would want to know of it.
"""

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from isogloss.artifacts import Manifest, build_artifact, check_files, hash_file, read_manifest
from isogloss.errors import OutputError, RecipeError, TextError
from isogloss.recipe_messages import wish
from isogloss.settings import Settings
from isogloss.stage import FORMATS

S = TypeVar("S", bound=Settings)

if TYPE_CHECKING:
    from isogloss.corpus.sentence import Sentence
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.parsing.raw_scores import Matches


def import_elmo(weights: Path, options: Path, out: Path, *, language: str) -> dict[str, Any]:
    """Make a language model, in a folder, out of published ELMo weights and their options.

    Returns:
        How many layers it has, the character layer included, and how wide its vectors are.

    Raises:
        ArtifactError: The files are not what they should be, or contradict one another.
        OutputError: The folder cannot be written.
    """
    from isogloss.encoders.elmo.published import read_published

    encoder = read_published(weights, options, language=language)
    inputs = {"weights": hash_file(Path(weights)), "options": hash_file(Path(options))}
    _store(out, encoder, encoder.save, settings={"language": language}, inputs=inputs)
    return {"layers": encoder.layers, "width": encoder.width}


def export_elmo(model: Path, out: Path) -> None:
    """Write a language model in the published format: a folder with ``weights.hdf5`` and ``options.json``.

    Raises:
        ArtifactError: There is no language model, or it has vectors of word types, which the format cannot say.
        OutputError: The folder cannot be written.
    """
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.published import write_published

    manifest = sound_model(model)
    encoder = ELMoEncoder.load(model)
    build_artifact(
        Path(out).absolute(),
        "published",
        lambda draft: write_published(encoder, draft),
        settings={"language": encoder.language},
        inputs={"encoder": manifest.key},
    )


def shrink_lm(model: Path, out: Path) -> dict[str, Any]:
    """Write a language model as small as it can be and still give its vectors: float16, without the softmax.

    It can no longer be trained or measured; others can be started from it. Vectors differ in the fourth digit.
    The model itself stays as it is.

    Returns:
        Its size in bytes, and that of the model it came from.

    Raises:
        ArtifactError: There is no language model, or it has numbers that float16 cannot hold.
        OutputError: The folder cannot be written, or is the model's own.
    """
    import torch

    from isogloss.encoders.elmo.embedder import ELMoEncoder

    manifest = sound_model(model)
    if Path(out).resolve() == Path(model).resolve():
        raise OutputError(
            f"{out}: is the model itself, whose softmax would be lost. Expected another folder. Name one."
        )
    encoder = ELMoEncoder.load(model)
    before = sum(file.stat().st_size for file in Path(model).iterdir())

    _store(
        out,
        encoder,
        lambda draft: encoder.save(draft, predicts=False, dtype=torch.float16),
        settings={"language": encoder.language, "predicts": False, "stored": "float16"},
        inputs={"encoder": manifest.key},
        seed=manifest.content.get("seed"),
        licences=tuple(manifest.content.get("licences", ())),
    )
    return {"bytes": sum(file.stat().st_size for file in Path(out).iterdir()), "bytes_before": before}


def score(gold: Path, system: Path) -> dict[str, Any]:
    """Compare two CoNLL-U files of the same text, one of which may be standard input, ``-``.

    Returns:
        Where all words of both are the same: UAS and LAS in per cent, with 95 % bootstrap intervals over sentences, and
        the number of words. Else under ``metrics``, for each of tokens, sentences, words, UPOS, UAS and LAS: precision,
        recall and F1 in per cent, how many there are in either file, and how many of the system's are right.

    Raises:
        DataError: The texts differ, a tree is missing, or a file breaks the format.
        RecipeError: Both files are standard input.
    """
    from isogloss.compute.randomness import numpy_generator
    from isogloss.parsing.attachment import sentence_scores
    from isogloss.parsing.raw_scores import raw_scores
    from isogloss.reports.bootstrap import score_interval

    if str(gold) == str(system) == "-":
        raise RecipeError("-: both files are standard input. Expected one of them at most. Name the other.")
    right, answer = _trees(gold), _trees(system)
    if [each.forms for each in right] != [each.forms for each in answer]:
        scores = raw_scores(right, answer)
        return {"metrics": {each.name: _in_per_cent(getattr(scores, each.name)) for each in fields(scores)}}
    found = sentence_scores(right, answer)
    facts: dict[str, Any] = {"words": sum(score.words for score in found)}
    for measure in ("uas", "las"):
        interval = score_interval(found, numpy_generator(1, "score", measure), measure=measure)  # type: ignore[arg-type]
        facts[measure] = round(100 * interval.value, 4)
        facts[f"{measure}_interval"] = [round(100 * interval.low, 2), round(100 * interval.high, 2)]
    return facts


def _trees(path: Path) -> tuple["Sentence", ...]:
    """Read trees from a file or from standard input."""
    from isogloss.corpus.beginning import look_at_content
    from isogloss.corpus.conllu import iterate_numbered

    source = look_at_content(path)[1] if str(path) == "-" else path
    return tuple(sentence for _, sentence in iterate_numbered(source, require_trees=True))


def _in_per_cent(matches: "Matches") -> dict[str, Any]:
    shares = {name: round(100 * getattr(matches, name), 4) for name in ("precision", "recall", "f1")}
    return {**shares, **asdict(matches)}


def checked(kind: type[S], **values: Any) -> S:
    """Make settings of values from outside.

    Raises:
        RecipeError: A value is not what it should be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        name = str(problems[0]["loc"][0])
        wishes = dict.fromkeys(wish(problem) for problem in problems if problem["loc"][0] == name)
        expected = " or ".join(each.removeprefix("should be ") for each in wishes)
        expected = f"a value {expected}" if expected.startswith(("greater", "less")) else expected
        raise RecipeError(f"{name}: found {problems[0]['input']!r}. Expected {expected}. Change it.") from error


def _store(out: Path, encoder: "ELMoEncoder", save: Callable[[Path], None], **facts: Any) -> None:
    """Write an encoder as an artifact, with its card in the manifest; `facts` are those of `build_artifact`."""

    def make(draft: Path) -> dict[str, Any]:
        save(draft)
        return {"card": encoder.card}

    build_artifact(Path(out).absolute(), "encoder", make, format=FORMATS["encoder"], **facts)


def sound_model(folder: Path) -> Manifest:
    """Return the manifest of a language model whose files are as they were written."""
    manifest = read_manifest(Path(folder), kind="encoder")
    check_files(Path(folder), manifest)
    return manifest


def readable(path: Path) -> Path:
    """Check that a file is there before anything heavy is loaded."""
    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "no such file"
        raise TextError(f"{path}: {what}. Expected a text file. Check the path.")
    return Path(path)


def hash_of_text(path: Path) -> str:
    """Return the SHA-256 of a file that a person named."""
    try:
        return hash_file(Path(path))
    except OSError as error:
        raise TextError(
            f"{path}: cannot be read ({error.strerror}). Expected a text that you may read. Check its permissions."
        ) from error

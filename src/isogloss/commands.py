"""One function per command, for notebooks and for the command line alike.

Each receives paths and plain values, makes one artifact or answer, and returns what a person would want to know of it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from pydantic import ValidationError

from isogloss.artifacts import build_artifact, hash_file, read_manifest, up_to_date
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event, Task, run_tasks
from isogloss.errors import ConlluError, RecipeError, TextError
from isogloss.plan import FORMATS, Stage, run_stage
from isogloss.recipe import LanguageCorpus
from isogloss.settings import Settings
from isogloss.stages import make_alignments, make_anchors, make_encoder

S = TypeVar("S", bound=Settings)

if TYPE_CHECKING:
    from isogloss.corpus.sentence import Sentence


def train_lm(
    text: Path,
    out: Path,
    *,
    language: str,
    size: str = "small",
    epochs: int = 1,
    max_sentences: int | None = None,
    tokenised: bool = False,
    threads: int = 1,
    seed: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, Any]:
    """Train a language model into a folder; go on from a checkpoint if one is there.

    Returns:
        The model's card: words, perplexities, time.

    Raises:
        RecipeError: There is no such size.
        TextError: The text cannot be read or holds no words.
        OutputError: The folder cannot be written.
    """
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.settings import SIZES, BiLMTrainingSettings

    if size not in SIZES:
        raise RecipeError(f"--size: found {size!r}. Expected one of {', '.join(SIZES)}. Choose one.")
    settings = checked(BiLMTrainingSettings, model=SIZES[size], epochs=epochs)
    threads = checked(ComputeSettings, threads=threads).threads
    out = Path(out).absolute()
    corpus = checked(LanguageCorpus, text=str(_readable(text)), tokenised=tokenised, max_sentences=max_sentences)
    stage = Stage(
        name=out.name,
        kind="encoder",
        make=make_encoder,
        settings={"language": language, "tokenised": tokenised, "max_sentences": max_sentences}
        | {"training": settings.model_dump(mode="json"), "seed": seed, "threads": threads},
        inputs={"text": _hash(text)},
        seed=seed,
    )
    arguments = {
        "corpus": corpus,
        "language": language,
        "settings": settings,
        "seed": seed,
        "checkpoints": out.parent / f".{out.name}.checkpoints",
        "key": stage.key,
    }
    _run_alone(stage, out, arguments, threads=threads, on_event=on_event)
    return ELMoEncoder.load(out).card


def embed(model: Path, text: Path, out: Path, *, tokenised: bool = False) -> int:
    """Write the vectors of every line of a text as safetensors: layers × words × width.

    Each tensor is named by the number of its line, from 0. A line without words has none.

    Returns:
        How many sentences were written.
    """
    import torch
    from safetensors.torch import save

    from isogloss.corpus.raw_text import read_lines, write_whole
    from isogloss.corpus.sentence import Sentence
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.streams import TextFile

    encoder = ELMoEncoder.load(_artifact(model, "encoder"))
    file_of_text = TextFile(_readable(text), encoder.language, tokenised)
    vectors: dict[str, torch.Tensor] = {}
    for number, line in enumerate(read_lines(text)):
        if words := file_of_text.words(line):
            found = encoder.encode([Sentence.of_forms(words, language=encoder.language)]).vectors[0]
            vectors[str(number)] = found.transpose(0, 1).contiguous()  # layers words width
    if not vectors:
        raise _no_words(text)
    with write_whole(out) as file:
        file.write(save(vectors, {"language": encoder.language}))
    return len(vectors)


def anchors(
    model: Path,
    text: Path,
    out: Path,
    *,
    min_count: int = 5,
    max_sentences: int | None = None,
    tokenised: bool = False,
) -> int:
    """Gather the anchors of a text into a folder; return the number of word types."""
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.settings import AnchorSettings

    settings = checked(AnchorSettings, min_count=min_count, max_sentences=max_sentences)
    manifest = read_manifest(_artifact(model, "encoder"))
    language = ELMoEncoder.load(model).language
    corpus = _corpus(text, tokenised)
    made = build_artifact(
        Path(out).absolute(),
        "anchors",
        lambda draft: make_anchors(draft, corpus=corpus, language=language, encoder=Path(model), settings=settings),
        format=FORMATS["anchors"],
        settings={"language": language, "tokenised": tokenised, "anchors": settings.model_dump(mode="json")},
        inputs={"text": _hash(text), "encoder": manifest.key},
    )
    return made.content["word_types"]


def align(
    source: Path,
    target: Path,
    out: Path,
    *,
    dictionary: Path,
    test: Path | None = None,
    turned: bool = False,
    normalisation: str = "unit",
    refinements: int = 0,
    few_pairs: bool = False,
) -> list[dict[str, Any]]:
    """Align two folders of anchors in every layer.

    Args:
        source: Anchors of the language to be mapped.
        target: Anchors of the reference.
        out: Folder to write.
        dictionary: Lines with a word of the source, a tab, and a word of the target.
        test: A dictionary that only judges.
        turned: The dictionaries' first column is the target's.
        normalisation: See `ProcrustesSettings`.
        refinements: See `ProcrustesSettings`.
        few_pairs: Accept fewer pairs than a vector has dimensions.

    Returns:
        One row per layer: how it was found and, with `test`, precision@1, @5 and @10.
    """
    from isogloss.lexicon.anchor_files import load_anchors
    from isogloss.lexicon.dictionary import read_dictionary
    from isogloss.mapping.settings import ProcrustesSettings

    settings = checked(
        ProcrustesSettings,
        normalisation=normalisation,
        refinements=refinements,
        too_few_pairs="complete" if few_pairs else "error",
    )
    inputs = {"source_anchors": _anchors_key(source), "target_anchors": _anchors_key(target)}
    for name, path in (("dictionary", dictionary), ("test_dictionary", test)):
        if path is not None:
            read_dictionary(path, source="source", target="target")  # refuses what is no dictionary
            inputs[name] = _hash(path)
    arguments = {
        "source": load_anchors(source, 0).language,
        "target": load_anchors(target, 0).language,
        "source_anchors": Path(source),
        "target_anchors": Path(target),
        "dictionary": Path(dictionary),
        "reversed_columns": turned,
        "test_dictionary": Path(test) if test else None,
        "settings": settings,
    }
    made = build_artifact(
        Path(out).absolute(),
        "alignments",
        lambda draft: make_alignments(draft, **arguments),
        format=FORMATS["alignments"],
        settings={"reversed_columns": turned, "method": settings.model_dump(mode="json")},
        inputs=inputs,
    )
    return made.content["precision"]


def parse(
    folder: Path,
    file: Path,
    out: Path | TextIO,
    *,
    language: str,
    system: str = "aligned",
    pos: str = "none",
    tokenised: bool = False,
) -> None:
    """Parse CoNLL-U, or raw text with one sentence a line, with a run's parser, and write CoNLL-U.

    Raises:
        DataError: The run cannot read the language, or the file is not what it should be.
    """
    from isogloss.corpus.conllu import iterate_conllu, write_conllu
    from isogloss.trained import load_trained

    trained = load_trained(folder, system=system, pos=pos)
    if _is_conllu(file):
        sentences = iterate_conllu(file, language=language)
    elif pos == "gold":
        raise ConlluError(
            f"{file}: is raw text, and the parser {system}-{pos} reads tags. Expected CoNLL-U. Give such a file, or "
            f"choose --pos none."
        )
    else:
        sentences = _annotated_lines(_readable(file), language, tokenised)
    write_conllu(trained.parse(sentences), out)


def score(gold: Path, system: Path) -> dict[str, Any]:
    """Compare two CoNLL-U files of the same words.

    Returns:
        UAS and LAS in per cent, with 95 % bootstrap intervals over sentences, and the number of words.
    """
    from isogloss.compute.randomness import numpy_generator
    from isogloss.corpus.conllu import read_conllu
    from isogloss.parsing.attachment import sentence_scores
    from isogloss.reports.bootstrap import score_interval

    found = sentence_scores(read_conllu(gold, require_trees=True), read_conllu(system, require_trees=True))
    facts: dict[str, Any] = {"words": sum(score.words for score in found)}
    for measure in ("uas", "las"):
        interval = score_interval(found, numpy_generator(1, "score", measure), measure=measure)  # type: ignore[arg-type]
        facts[measure] = round(100 * interval.value, 4)
        facts[f"{measure}_interval"] = [round(100 * interval.low, 2), round(100 * interval.high, 2)]
    return facts


def checked(kind: type[S], **values: Any) -> S:
    """Make settings of values from outside.

    Raises:
        RecipeError: A value is not what it should be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        message = problem["msg"].replace("Input should be", "Expected a value")
        raise RecipeError(f"{problem['loc'][0]}: found {problem['input']!r}. {message}. Change it.") from error


def _run_alone(
    stage: Stage, out: Path, arguments: dict[str, Any], *, threads: int, on_event: Callable[[Event], None]
) -> None:
    """Run one stage in this process, into `out`."""
    from dataclasses import replace

    if up_to_date(out, stage.key):
        return
    on_event({"event": "run", "recipe": stage.name, "stages": [stage.name], "kept": []})
    task = Task(stage.name, run_stage, {"stage": replace(stage, arguments=arguments), "folder": out.parent})
    run_tasks([task], workers=0, threads=threads, on_event=on_event)


def _artifact(folder: Path, kind: str) -> Path:
    read_manifest(Path(folder), kind=kind)
    return Path(folder)


def _annotated_lines(text: Path, language: str, tokenised: bool) -> Iterator["Sentence"]:
    """Read raw text as sentences that can be traced back to their lines."""
    from isogloss.corpus.raw_text import annotated_line, read_lines

    found = False
    for number, line in enumerate(read_lines(text), 1):
        sentence = annotated_line(line, language=language, tokenised=tokenised, sent_id=str(number))
        if len(sentence):
            found = True
            yield sentence
    if not found:
        raise _no_words(text)


def _no_words(text: Path) -> TextError:
    return TextError(
        f"{text}: there are no words in this file. Expected text, one sentence a line. Check that it is the right file."
    )


def _anchors_key(folder: Path) -> str:
    """Return the key of a folder of anchors, or of static vectors, which have the same form."""
    manifest = read_manifest(folder)
    return manifest.key if manifest.kind == "static" else read_manifest(folder, kind="anchors").key


def _corpus(text: Path, tokenised: bool) -> LanguageCorpus:
    return LanguageCorpus(text=str(_readable(text)), tokenised=tokenised)


def _readable(path: Path) -> Path:
    """Check that a file is there before anything heavy is loaded."""
    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "no such file"
        raise TextError(f"{path}: {what}. Expected a text file. Check the path.")
    return Path(path)


def _hash(path: Path) -> str:
    try:
        return hash_file(Path(path))
    except OSError as error:
        raise TextError(
            f"{path}: cannot be read ({error.strerror}). Expected a text that you may read. Check its permissions."
        ) from error


def _is_conllu(path: Path) -> bool:
    """Whether a file's first line that is neither empty nor a comment has ten columns."""
    from isogloss.corpus.raw_text import read_lines

    def content() -> Iterator[str]:
        return (line for line in read_lines(_readable(path)) if line.strip() and not line.startswith("#"))

    return next(content(), "").count("\t") >= 8 or str(path).endswith((".conllu", ".conll"))

"""The command `train-polyglot`: one language model of several languages, in a folder of its own for each.

What it writes are ordinary language models, which every other command and recipe takes; only that their recurrent
layers are the same. See `encoders/elmo/polyglot.py`.

Started by `torchrun`, each process trains some of the languages and writes their folders; the first one speaks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

from isogloss.artifacts import (
    MANIFEST,
    artifact_key,
    build_artifact,
    check_place,
    only_writer,
    read_manifest,
    up_to_date,
)
from isogloss.commands import checked, hash_of_text, readable
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event, Task, report, run_tasks, take_part
from isogloss.errors import OutputError, RecipeError
from isogloss.language_models import arithmetic_of, built_on_model, settings_of
from isogloss.plan_contents import training_of
from isogloss.recipe import LanguageCorpus
from isogloss.rich_language import lend
from isogloss.settings import is_code
from isogloss.stage import FORMATS
from isogloss.stages import Pace, forget_checkpoints

if TYPE_CHECKING:
    from isogloss.compute.processes import Processes
    from isogloss.encoders.elmo.settings import BiLMTrainingSettings


@dataclass(frozen=True)
class _Asked:
    """What is to be made, and of what."""

    out: Path
    corpora: Mapping[str, LanguageCorpus]
    settings: "BiLMTrainingSettings"
    seed: int
    steers: Mapping[str, Any]
    """All settings that steer the content."""
    inputs: Mapping[str, str]
    """Hashes of texts and dictionaries, and the key of the model to start from."""
    starts: Mapping[str, Path]
    """By language, the model that it starts from."""
    dictionaries: Mapping[str, Path]
    processes: "Processes"
    precision: str

    @property
    def checkpoints(self) -> Path:
        """Of this process."""
        return self.checkpoints_of(self.processes.rank)

    def checkpoints_of(self, rank: int) -> Path:
        together = self.out / ".checkpoints"
        return together if self.processes.world == 1 else together / f"process-{rank}"

    @property
    def key(self) -> str:
        """Of the training as a whole."""
        return self._key_of(self.steers)

    def _key_of(self, settings: Mapping[str, Any]) -> str:
        return artifact_key("encoder", format=FORMATS["encoder"], settings=settings, inputs=self.inputs)

    def check_places(self) -> None:
        """Refuse folders that cannot be written or hold something else, before any work."""
        if (self.out / MANIFEST).exists():
            raise OutputError(
                f"{self.out}: is a model itself. Expected a folder to hold one for each language. Choose another name."
            )
        for language in self.corpora:
            folder = self.out / language
            if (folder / MANIFEST).exists() and "polyglot" not in read_manifest(folder).content["settings"]:
                raise OutputError(
                    f"{folder}: holds what train-polyglot has not made. Expected no folder, or an earlier model of "
                    f"this kind. Choose another name for the whole, or remove it."
                )
            check_place(folder, "encoder")

    def settings_of(self, language: str) -> dict[str, Any]:
        """Of one language's part."""
        return {"language": language, **self.steers}

    def is_there(self, language: str) -> bool:
        """Whether a language's part was made before."""
        return up_to_date(self.out / language, self._key_of(self.settings_of(language)))


def train_polyglot(
    texts: Mapping[str, Path],
    out: Path,
    *,
    size: str = "small",
    max_sentences: int | None = None,
    tokenised: bool = False,
    word_types: int | None = None,
    training: dict[str, Any] | None = None,
    loop: dict[str, Any] | None = None,
    threads: int = 1,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 1,
    start_from: Path | None = None,
    dictionaries: Mapping[str, Path] | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, dict[str, Any]]:
    """Train a language model whose recurrent layers serve several languages; go on from a checkpoint if one is there.

    Args:
        texts: By language, one sentence a line.
        out: Folder to write; it gets a folder for each language.
        size: A name in `SIZES`.
        max_sentences: Lines of each text after this many are not read.
        tokenised: Words are already apart.
        word_types: In place of the size's own number, see `BiLMSettings`.
        training: Fields of `BiLMTrainingSettings` by name; None leaves one at its default.
        loop: Fields of its `loop` likewise.
        threads: Of matrix products.
        device: See `choose_device`.
        precision: See `choose_precision`.
        seed: Of all chance.
        start_from: A trained model, which may be of one of these languages, to start from.
        dictionaries: By language, lines with a word of it and one of that model's; a language without one finds its
            places by words spelt alike in both.
        on_event: Called with everything that the training reports.

    Returns:
        Each language's card: words, perplexities, time. Nothing in the processes after the first.

    Raises:
        RecipeError: A setting is not what it should be.
        TextError: A text cannot be read or holds no words.
        OutputError: The folder cannot be written, or another process is writing it.
        TrainingError: There are not two languages, a text is too short, or the loss became infinite.
    """
    dictionaries = dictionaries or {}
    if len(texts) < 2:
        raise RecipeError(
            f"Texts: found {len(texts)}. Expected those of two languages or more, as CODE=FILE. Name another text, or "
            f"train one language by train-lm."
        )
    if odd := [language for language in texts if not is_code(language)]:
        raise RecipeError(
            f"Texts: found the language {odd[0]!r}. Expected a code of letters, digits, _ and -, such as en: it "
            f"names a folder. Rename it."
        )
    if unknown := [language for language in dictionaries if language not in texts]:
        raise RecipeError(
            f"--dictionary {unknown[0]}={dictionaries[unknown[0]]}: no text of {unknown[0]!r}. Expected one of "
            f"{', '.join(texts)}. Name a text of it, too, or leave out the dictionary."
        )
    settings = settings_of(size, word_types, training or {}, loop or {}, {})
    inputs: dict[str, str] = {}
    starts: dict[str, Path] = {}
    if start_from is not None:
        settings = settings.model_copy(update={"start": "reference"})
        starts = _starts(start_from, texts)
        apart = len(set(starts.values())) > 1
        if dictionaries and apart:
            raise RecipeError(
                f"--dictionary: found with --start-from {start_from}, which has a model of each language. Expected one "
                f"of them: a language that goes on from its own model knows its words. Leave out --dictionary."
            )
        if any((Path(out) / language).resolve() == one.resolve() for language, one in starts.items()):
            raise OutputError(
                f"{start_from}: is the model to start from. Expected another folder. Choose another name."
            )
        for language, one in starts.items():
            key = built_on_model(one, settings)["reference"]
            inputs[f"reference.{language}" if apart else "reference"] = key
    elif dictionaries:
        raise RecipeError("--dictionary: found without --start-from. Expected both, or none. Name a model, too.")
    from isogloss.lexicon.dictionary import read_dictionary

    for path in dictionaries.values():
        read_dictionary(path, source="source", target="target")  # refuses what is no dictionary
    corpora = {
        language: checked(LanguageCorpus, text=str(readable(text)), tokenised=tokenised, max_sentences=max_sentences)
        for language, text in texts.items()
    }
    with ThreadPoolExecutor() as pool:
        inputs |= {f"text.{language}": found for language, found in _hashes(pool, texts)}
        inputs |= {f"dictionary.{language}": found for language, found in _hashes(pool, dictionaries)}
    threads = checked(ComputeSettings, threads=threads).threads

    from isogloss.compute.devices import choose_device, choose_precision
    from isogloss.compute.processes import joined_processes
    from isogloss.encoders.elmo.embedder import ELMoEncoder

    with joined_processes(choose_device(device)) as processes:
        precision = choose_precision(precision, processes.device)
        steers = {"polyglot": list(texts), "tokenised": tokenised, "max_sentences": max_sentences}
        steers |= {"training": training_of(settings, anchored=False), "seed": seed}
        steers |= arithmetic_of(processes, threads=threads, precision=precision)
        asked = _Asked(
            out=Path(out).absolute(),
            corpora=corpora,
            settings=settings,
            seed=seed,
            steers=steers,
            inputs=inputs,
            starts=starts,
            dictionaries=dictionaries,
            processes=processes,
            precision=precision,
        )
        there = all(asked.is_there(language) for language in texts)
        if processes.sums([float(there)]) != [float(processes.world)]:
            asked.check_places()
            if processes.first:
                _run_first(asked, threads=threads, on_event=on_event)
            else:
                take_part(partial(_make, asked), threads=threads)
        processes.wait_for_all()
        if not processes.first:
            return {}
        for rank in range(processes.world):
            forget_checkpoints(asked.checkpoints_of(rank), asked.key)
        if processes.world > 1:
            with suppress(OSError):  # what is in it is of other settings
                asked.checkpoints_of(0).parent.rmdir()
        return {language: ELMoEncoder.load(asked.out / language).card for language in texts}


def _hashes(pool: ThreadPoolExecutor, files: Mapping[str, Path]) -> Sequence[tuple[str, str]]:
    return list(zip(files, pool.map(hash_of_text, files.values()), strict=True))


def _starts(start_from: Path, languages: Collection[str]) -> dict[str, Path]:
    """Return the model that each language starts from: the one that was named, or each one's own in that folder."""
    if (start_from / MANIFEST).exists() or not any((start_from / language).is_dir() for language in languages):
        return dict.fromkeys(languages, start_from)
    return {language: start_from / language for language in languages}


def _run_first(asked: _Asked, *, threads: int, on_event: Callable[[Event], None]) -> None:
    """Train in the process that speaks to people."""
    with only_writer(asked.out):
        on_event({"event": "run", "recipe": asked.out.name, "stages": [asked.out.name], "kept": []})
        task = Task(asked.out.name, _make, {"asked": asked})
        run_tasks([task], workers=0, threads=threads, on_event=on_event)


def _make(asked: _Asked) -> None:
    """Train, and write the folder of every language that this process has."""
    from isogloss.compute.checkpoints import Checkpoints
    from isogloss.encoders.elmo.polyglot import PolyglotText
    from isogloss.encoders.elmo.polyglot import train_polyglot as train

    pace = Pace()
    perplexities: dict[str, float] = {}

    def note(found: Mapping[str, Any]) -> None:
        for direction in ("forward", "backward"):
            mean = geometric_mean(getattr(one, direction) for one in found.values())
            perplexities[f"{direction}_perplexity"] = round(mean, 3)

    def tell(step: Any, steps: int) -> None:
        per_step = len(asked.corpora) * asked.settings.rows * asked.settings.unroll
        pace(step, steps, unit="words", per_step=per_step, **(perplexities if step.score is not None else {}))

    texts, cards = [], {}
    for language, corpus in asked.corpora.items():
        transfer, cards[language] = None, {}
        if language in asked.starts:
            lent = lend(
                asked.starts[language],
                language=language,
                settings=asked.settings,
                dictionary=asked.dictionaries.get(language),
                anchored=False,
            )
            transfer, cards[language] = lent.transfer, lent.card
        assert corpus.text is not None
        texts.append(PolyglotText(Path(corpus.text), language, corpus.tokenised, corpus.max_sentences, transfer))
    checkpoints = Checkpoints(asked.checkpoints, fingerprint=asked.key, processes=asked.processes, apart=True)
    encoders = train(
        texts,
        settings=asked.settings,
        seed=asked.seed,
        checkpoints=checkpoints,
        on_step=tell,
        on_evaluation=note,
        precision=asked.precision,
        processes=asked.processes,
    )
    for language, encoder in encoders.items():
        encoder.card |= cards[language]

        def write(draft: Path, encoder: Any = encoder) -> Mapping[str, Any]:
            encoder.save(draft)
            return {"card": encoder.card}

        build_artifact(
            asked.out / language,
            "encoder",
            write,
            format=FORMATS["encoder"],
            settings=asked.settings_of(language),
            inputs=asked.inputs,
            seed=asked.seed,
        )
        report("written", language=language)

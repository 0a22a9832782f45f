"""The command `train-lm`: one language model, in a folder of its own, trained by one process or by several.

Started by `torchrun`, each process runs this same function. The first one keeps the folder and the checkpoints and
speaks to people; the others train their share of every batch, see `compute/processes.py`.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.artifacts import only_writer, read_manifest, up_to_date
from isogloss.commands import checked, hash_of_text, readable, sound_model
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Event, Task, run_tasks, take_part
from isogloss.errors import OutputError, RecipeError
from isogloss.plan_contents import training_of
from isogloss.recipe import LanguageCorpus
from isogloss.stage import Stage, run_stage
from isogloss.stages import forget_checkpoints, make_encoder

if TYPE_CHECKING:
    from isogloss.compute.processes import Processes
    from isogloss.encoders.elmo.settings import BiLMTrainingSettings


def train_lm(
    text: Path,
    out: Path,
    *,
    language: str,
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
    anchored_to: Path | None = None,
    anchoring: dict[str, Any] | None = None,
    dictionary: Path | None = None,
    anchors: Path | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, Any]:
    """Train a language model into a folder; go on from a checkpoint if one is there.

    Args:
        text: One sentence a line.
        out: Folder to write.
        language: Code of the language.
        size: A name in `SIZES`.
        max_sentences: Lines after this many are not read.
        tokenised: Words are already apart.
        word_types: In place of the size's own number, see `BiLMSettings`.
        training: Fields of `BiLMTrainingSettings` by name; None leaves one at its default.
        loop: Fields of its `loop` likewise.
        threads: Of matrix products.
        device: See `choose_device`.
        precision: See `choose_precision`.
        seed: Of all chance.
        start_from: A trained model of another language to start from, see `mapping/transfer.py`.
        anchored_to: The model of a rich language, to whose words those of this one are pulled by a dictionary, for
            languages with little text; see `encoders/elmo/anchoring.py`. A shrunk one will do.
        anchoring: Fields of `AnchoringSettings` by name; None leaves one at its default.
        dictionary: Lines with a word of this language and one of that model's, a tab between, in either order, to find
            the words' places with; without it, a start takes words spelt alike in both.
        anchors: Of that model's words, for anchoring with a `context_weight`.
        on_event: Called with everything that the training reports.

    Returns:
        The model's card: words, perplexities, time. Nothing in the processes after the first.

    Raises:
        RecipeError: A setting is not what it should be.
        TextError: The text cannot be read or holds no words.
        OutputError: The folder cannot be written, or another process is writing it.
        TrainingError: The text is too short, the loss became infinite, or another process ended.
    """
    rich = start_from if anchored_to is None else anchored_to
    if start_from is not None and anchored_to is not None:
        raise RecipeError(
            "--anchored-to: found with --start-from. Expected one of them: an anchored model starts from the other, "
            "too. Leave out --start-from."
        )
    settings = settings_of(size, word_types, training or {}, loop or {}, anchoring or {})
    if settings.hold_recurrent and start_from is None and not (anchored_to and settings.anchoring.start_from_model):
        raise RecipeError(
            "--hold-recurrent: found without a model to start from. Expected one, whose recurrent layers stay as they "
            "are. Give --start-from or --anchored-to (with anchoring.start_from_model), or leave it out."
        )
    if start_from is not None or (anchored_to is not None and settings.anchoring.start_from_model):
        settings = settings.model_copy(update={"start": "reference"})
    built_on = _built_on(rich, dictionary, settings, anchored=anchored_to is not None)
    built_on |= _anchors_built_on(anchors, settings, anchored=anchored_to is not None)
    if rich is not None and Path(out).resolve() == Path(rich).resolve():
        raise OutputError(f"{out}: is the model to start from. Expected another folder. Choose another name.")
    threads = checked(ComputeSettings, threads=threads).threads
    out = Path(out).absolute()
    corpus = checked(LanguageCorpus, text=str(readable(text)), tokenised=tokenised, max_sentences=max_sentences)
    pool = ThreadPoolExecutor(1)
    hashed = pool.submit(hash_of_text, text)  # a large file takes as long as torch, which is loaded meanwhile
    pool.shutdown(wait=False)

    from isogloss.compute.devices import choose_device, choose_precision
    from isogloss.compute.processes import joined_processes
    from isogloss.encoders.elmo.embedder import ELMoEncoder

    with joined_processes(choose_device(device)) as processes:
        precision = choose_precision(precision, processes.device)
        arithmetic = arithmetic_of(processes, threads=threads, precision=precision)
        content = training_of(settings, anchored=anchored_to is not None)
        stage = Stage(
            name=out.name,
            kind="encoder",
            make=make_encoder,
            settings={"language": language, "tokenised": tokenised, "max_sentences": max_sentences}
            | {"training": content, "seed": seed, **arithmetic},
            inputs={"text": hashed.result()} | built_on,
            seed=seed,
        )
        arguments = {
            "corpus": corpus,
            "language": language,
            "settings": settings,
            "seed": seed,
            "checkpoints": out.parent / f".{out.name}.checkpoints",
            "key": stage.key,
            "precision": precision,
            "processes": processes,
            "reference": rich,
            "dictionary": dictionary,
            "anchored": anchored_to is not None,
            "anchors": anchors,
        }
        there = processes.first and up_to_date(out, stage.key)
        if not processes.sums([float(there)])[0]:
            if processes.first:
                _run_alone(replace(stage, arguments=arguments), out, threads=threads, on_event=on_event)
            else:
                take_part(partial(make_encoder, None, **arguments), threads=threads)  # the first one saves
        elif processes.first:
            forget_checkpoints(arguments["checkpoints"], stage.key)
        return ELMoEncoder.load(out).card if processes.first else {}


def arithmetic_of(processes: "Processes", *, threads: int, precision: str) -> dict[str, Any]:
    """Return what changes the order of sums, and so the last digits of a model's weights; what is usual goes unsaid."""
    told: dict[str, Any] = {"threads": threads}
    told |= {"device": processes.device.type} if processes.device.type != "cpu" else {}
    told |= {"precision": precision} if precision != "float32" else {}
    told |= {"processes": processes.world} if processes.world > 1 else {}
    return told


def settings_of(
    size: str, word_types: int | None, training: dict[str, Any], loop: dict[str, Any], anchoring: dict[str, Any]
) -> "BiLMTrainingSettings":
    """Make settings of a size and of what was asked for; refuse what makes no sense."""
    from isogloss.encoders.elmo.settings import (
        SIZES,
        AnchoringSettings,
        BiLMLoopSettings,
        BiLMSettings,
        BiLMTrainingSettings,
    )

    def given(values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value is not None}

    if size not in SIZES:
        raise RecipeError(f"--size: found {size!r}. Expected one of {', '.join(SIZES)}. Choose one.")
    shape = checked(BiLMSettings, **SIZES[size].model_dump() | given({"word_types": word_types}))
    parts = {
        "loop": checked(BiLMLoopSettings, **given(loop)),
        "anchoring": checked(AnchoringSettings, **given(anchoring)),
    }
    return checked(BiLMTrainingSettings, model=shape, **parts, **given(training))


def _built_on(
    rich: Path | None, dictionary: Path | None, settings: "BiLMTrainingSettings", *, anchored: bool
) -> dict[str, str]:
    """Check what another language lends, before any long work; return the keys of model and dictionary."""
    from isogloss.lexicon.dictionary import read_dictionary

    if rich is None:
        if dictionary is not None:
            raise RecipeError(
                "--dictionary: found without --start-from or --anchored-to. Expected both, or none. Name a model, too."
            )
        return {}
    built_on = built_on_model(rich, settings, option="--anchored-to" if anchored else "--start-from")
    if dictionary is not None:
        read_dictionary(dictionary, source="source", target="target")  # refuses what is no dictionary
        built_on["dictionary"] = hash_of_text(dictionary)
    elif anchored:
        raise RecipeError(
            f"--anchored-to {rich}: found without --dictionary. Expected pairs of words: by them the two languages are "
            f"held together. Give a dictionary."
        )
    return built_on


def _anchors_built_on(anchors: Path | None, settings: "BiLMTrainingSettings", *, anchored: bool) -> dict[str, str]:
    """Check that anchors are given where they are needed, and only there; return their key."""
    in_context = anchored and settings.anchoring.context_weight > 0
    if in_context and anchors is None:
        raise RecipeError(
            "--context-weight: found without --anchors. Expected anchors of the rich language's words, to which words "
            "in context are pulled. Gather them with `isogloss anchors` and name their folder."
        )
    if anchors is None:
        return {}
    if not in_context:
        raise RecipeError(
            f"--anchors {anchors}: found without --anchored-to and a --context-weight above 0. Expected all three, or "
            f"none. Nothing else reads anchors here; leave them out."
        )
    return {"anchors": read_manifest(anchors, kind="anchors").key}


def built_on_model(folder: Path, settings: "BiLMTrainingSettings", *, option: str = "--start-from") -> dict[str, str]:
    """Refuse a model that one of these settings cannot build on; return its key.

    Args:
        folder: Of the model.
        settings: Of the new one.
        option: By which the folder was named.
    """
    manifest = sound_model(folder)
    found = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    theirs, ours = found["model"], settings.model_dump(mode="json")["model"]
    starts = settings.start == "reference"
    shared = [name for name in ours if name != "word_types"] if starts else ["projection_width"]
    odd = [name for name in shared if theirs.get(name) != ours[name]]
    if odd:
        raise RecipeError(
            f"{option} {folder}: its {odd[0]} is {theirs.get(odd[0])}, and that of the new model {ours[odd[0]]}. "
            f"Expected one size. Choose it with --size, or take another model."
        )
    if starts and not theirs["word_types"]:
        raise RecipeError(
            f"{option} {folder}: the model has no vectors of words (import-elmo made it, or word_types was 0). "
            f"Expected one as train-lm makes it. Name that one."
        )
    if starts and not ours["word_types"]:
        raise RecipeError(
            f"--word-types: found 0 with {option}. Expected word vectors: by them words find their places. Raise it."
        )
    return {"reference": manifest.key}


def _run_alone(stage: Stage, out: Path, *, threads: int, on_event: Callable[[Event], None]) -> None:
    """Run one stage in this process, into `out`."""
    with only_writer(out):
        on_event({"event": "run", "recipe": stage.name, "stages": [stage.name], "kept": []})
        task = Task(stage.name, run_stage, {"stage": stage, "folder": out.parent})
        run_tasks([task], workers=0, threads=threads, on_event=on_event)

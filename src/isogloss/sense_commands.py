"""One function for each command about anchors of senses.

As in `commands`, each receives paths and plain values, makes one artifact or answer, and returns what a person would
want to know of it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.commands import checked, hash_of_text, readable, sound_model
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import report
from isogloss.errors import ArtifactError, RecipeError
from isogloss.lexicon_commands import OnEvent, build_with_progress
from isogloss.recipe import LanguageCorpus
from isogloss.stages import SECONDS_BETWEEN_REPORTS, Pace, read_text_of

if TYPE_CHECKING:
    from isogloss.lexicon.sense_clusters import SenseSettings
    from isogloss.mapping.sense_alignment import SenseAlignmentSettings


def sense_anchors(
    model: Path,
    text: Path,
    out: Path,
    *,
    words: Sequence[str] = (),
    layer: int | None = None,
    options: Mapping[str, Any] | None = None,
    min_count: int = 5,
    max_types: int = 50_000,
    max_sentences: int | None = None,
    tokenised: bool = False,
    processes: int = 1,
    threads: int = 1,
    seed: int = 1,
    on_event: OnEvent = lambda event: None,
) -> dict[str, Any]:
    """Gather the anchors of a text into a folder, several for a word whose contexts fall apart.

    The text is read three times: to count its words, to sum their vectors, and to sample the occurrences that are
    divided into senses. Of these, memory holds one vector for each layer; see `SenseSettings.occurrences`.

    Args:
        model: Folder of a language model.
        text: Raw text of its language.
        out: Folder to write.
        words: Only these are looked at, however frequent. Without any, the most frequent that `SenseSettings` asks for.
        layer: In which contexts are compared, from 1; all layers share its senses. By default the last.
        options: Fields of `SenseSettings`, by name.
        min_count: Word types seen less often get no anchor.
        max_types: Only so many of the most frequent word types get one.
        max_sentences: Reading stops after so many.
        tokenised: Words are already apart.
        processes: They share the work of the plain anchors; their number does not show in the result.
        threads: Of each process.
        seed: Of the sample and of the search for clusters.
        on_event: Called with events of progress.

    Returns:
        ``word_types``, their number; and ``senses``, for each word that has several, which share of its sampled
        occurrences each of them has, the most frequent first.

    Raises:
        RecipeError: A value is not what it should be, or a word to look at has no anchor.
        ArtifactError: There is no language model.
        TextError: The text cannot be read, or no word is frequent enough.
        OutputError: The folder cannot be written; nothing is left behind.
    """
    from isogloss.lexicon.settings import AnchorSettings

    limits = checked(AnchorSettings, min_count=min_count, max_types=max_types, max_sentences=max_sentences)
    settings = _sense_settings({"max_sentences": max_sentences} | dict(options or {}))
    threads = checked(ComputeSettings, threads=threads).threads
    if processes < 1:
        raise RecipeError(f"--processes: found {processes}. Expected 1 or more. Change it.")
    manifest = sound_model(model)
    corpus = LanguageCorpus(text=str(readable(text)), tokenised=tokenised)

    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.extraction import anchors_of_sums, frequent_types, sum_anchors_in_processes
    from isogloss.lexicon.sense_files import save_senses
    from isogloss.lexicon.senses import gather_senses

    load = partial(ELMoEncoder.load, Path(model))
    encoder = load()
    clustered = _layer_of_contexts(layer, encoder.layers)
    read, common = partial(read_text_of, corpus, encoder.language), {"language": encoder.language, "settings": limits}

    def make(draft: Path) -> Mapping[str, Any]:
        types = frequent_types(read(), **common)
        _refuse_unknown(words, types, text=text)
        work = {"processes": processes, "threads": threads, "scratch": draft, "progress": Pace().count}
        sums = sum_anchors_in_processes(load, read, words=types, **work, **common)
        found = gather_senses(
            encoder,
            read(),
            anchors=anchors_of_sums(sums, **common),
            settings=settings,
            clustering_layer=clustered,
            words=words or None,
            seed=seed,
            progress=_telling(),
        )
        save_senses(draft, found)
        first = found[0]
        shares = {
            word: first.shares[rows.start : rows.stop] for word in first.words if len(rows := first.rows_of(word)) > 1
        }
        told = {word: [round(share, 4) for share in each.tolist()] for word, each in shares.items()}
        return {"word_types": len(first.words), "senses": told}

    content: dict[str, Any] = {"language": encoder.language, "tokenised": tokenised}
    content |= {"anchors": limits.model_dump(mode="json"), "senses": settings.model_dump(mode="json")}
    content |= {"words": sorted(set(words)), "layer": clustered, "seed": seed}
    content |= {"threads": threads} if threads > 1 else {}  # as for plain anchors, they show in the last digits
    made = build_with_progress(
        Path(out).absolute(),
        "senses",
        make,
        threads=threads,
        on_event=on_event,
        settings=content,
        inputs={"text": hash_of_text(text), "encoder": manifest.key},
        seed=seed,
    )
    return {name: made.content[name] for name in ("word_types", "senses")}


def both_hold_senses(source: Path, target: Path) -> bool:
    """Whether two anchors to be aligned are sense anchors.

    Raises:
        ArtifactError: One of them is and the other is not.
    """
    from isogloss.lexicon.anchor_sources import holds_senses

    found = [holds_senses(path) for path in (source, target)]
    if found[0] != found[1]:
        of_senses, plain = (source, target) if found[0] else (target, source)
        raise ArtifactError(
            f"{of_senses}: holds anchors of senses, and {plain} does not. Expected two of a kind. Gather the other one "
            "with isogloss anchors --senses, too, or name plain anchors of both."
        )
    return found[0]


def settings_on_senses(
    method: str, options: Mapping[str, Any], *, dictionary: Path | None, guided: bool
) -> "SenseAlignmentSettings":
    """Make the settings by which senses are aligned from what was asked for.

    Args:
        method: The road, which is procrustes.
        options: Fields of `SenseAlignmentSettings` and of its `ProcrustesSettings`, by name.
        dictionary: By which words are paired.
        guided: Whether a guide was asked for, of which senses have none.

    Raises:
        RecipeError: A value is not what it should be, or would change nothing.
    """
    from isogloss.mapping.sense_alignment import SenseAlignmentSettings
    from isogloss.mapping.settings import ProcrustesSettings

    if method != "procrustes":
        raise RecipeError(
            f"--method: found {method}, and the anchors are of senses, which are paired by a dictionary. Expected "
            "procrustes, and --dictionary. Give a dictionary, or align plain anchors."
        )
    if dictionary is None:
        raise RecipeError(
            "--dictionary: found none, and the anchors are of senses, which are paired by one. Expected a dictionary "
            "of words. Give one, or align plain anchors."
        )
    if guided:
        raise RecipeError(
            "--guide: found with anchors of senses, whose pairs are sought in every layer by itself. Expected none. "
            "Leave it out, or align plain anchors."
        )
    own = {name for name in SenseAlignmentSettings.model_fields if name != "procrustes"}
    known = own | (set(ProcrustesSettings.model_fields) - {"method"})
    foreign = next((name for name in options if name not in known), None)
    if foreign is not None:
        raise RecipeError(
            f"{foreign}: procrustes on senses has no such setting. Expected one of {', '.join(sorted(known))}. Leave "
            "it out, or align plain anchors."
        )
    procrustes = checked(ProcrustesSettings, **{name: value for name, value in options.items() if name not in own})
    return checked(
        SenseAlignmentSettings,
        **{name: value for name, value in options.items() if name in own},
        procrustes=procrustes,
    )


def refuse_idle(asked: Mapping[str, Any], *, senses: bool, share: str | None) -> None:
    """Refuse options of the search for senses where none are sought, and a share of a text where they are.

    Args:
        asked: Values by option; None where nothing was said.
        senses: Whether they are sought.
        share: As for `anchors`.

    Raises:
        RecipeError: Something was said that would change nothing, or cannot be done.
    """
    idle = next((option for option, value in asked.items() if value is not None), None)
    if idle is not None and not senses:
        raise RecipeError(
            f"{idle}: found without --senses, and it is about the search for senses. Expected both or neither. Add "
            "--senses, or leave it out."
        )
    if share is not None and senses:
        raise RecipeError(
            f"--share: found {share!r} with --senses. Senses are told apart where all contexts of a word are at hand. "
            "Leave one of the two out; --processes divides the work, too."
        )


def _sense_settings(options: Mapping[str, Any]) -> "SenseSettings":
    """Make the settings of the search for senses from what was asked for."""
    from isogloss.lexicon.sense_clusters import SenseSettings

    foreign = next((name for name in options if name not in SenseSettings.model_fields), None)
    if foreign is not None:
        raise RecipeError(
            f"{foreign}: the search for senses has no such setting. Expected one of "
            f"{', '.join(sorted(SenseSettings.model_fields))}. Change it."
        )
    return checked(SenseSettings, **options)


def _layer_of_contexts(layer: int | None, layers: int) -> int:
    """Return the layer in which contexts are compared; in layer 0 all contexts of a word look alike."""
    if layer is None:
        return layers - 1
    if not 1 <= layer < layers:
        raise RecipeError(
            f"--sense-layer: found {layer}. Expected 1 to {layers - 1}, the layers of the model that see contexts. "
            "Change it."
        )
    return layer


def _refuse_unknown(words: Sequence[str], types: Sequence[str], *, text: Path) -> None:
    """Refuse to look at words that have no anchor, rather than pass them over."""
    known = frozenset(types)
    unknown = [word for word in words if word not in known]
    if unknown:
        raise RecipeError(
            f"--sense-words: found {', '.join(unknown[:5])}{', …' if len(unknown) > 5 else ''}, which no anchor of "
            f"{text} is of. Expected words as they are written there, seen often enough. Leave these out, or lower "
            "--min-count."
        )


def _telling() -> Callable[[str, int, int], None]:
    """Return what `gather_senses` tells its progress; it reports a few times a second."""
    begun, reported, step = time.monotonic(), 0.0, ""

    def tell(name: str, done: int, total: int) -> None:
        nonlocal begun, reported, step
        now = time.monotonic()
        if name != step:
            begun, step = now, name
        if now - reported < SECONDS_BETWEEN_REPORTS or now == begun:
            return
        reported = now
        rate, unit = done / (now - begun), "sentences" if name == "encoded" else "words"
        left = round((total - done) / rate, 1)
        report("progress", done=done, total=total, rate=round(rate), unit=unit, seconds_left=left)

    return tell

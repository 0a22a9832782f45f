"""One function for each command that uses finished alignments: look words up, judge, draw.

As in `commands`, each receives paths and plain values, makes one artifact or answer, and returns what a person would
want to know of it.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from isogloss.alignment_folders import check_fits, choose_layer, fitted_words, one_of, open_alignments, with_anchors
from isogloss.commands import checked, readable, sound_model
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Task, report, run_tasks
from isogloss.errors import AlignmentError, OutputError, RecipeError, VectorsError
from isogloss.lexicon_commands import OnEvent
from isogloss.mapping_stage import unseen_words
from isogloss.recipe import LanguageCorpus
from isogloss.stages import SECONDS_BETWEEN_REPORTS, read_dictionary_of, read_text_of

log = logging.getLogger(__name__)

PRECISION_AT = (1, 5, 10)
METRICS = ("csls", "cosine")
FIGURES = (".svg", ".png")


def translate(
    folder: Path,
    words: Sequence[str] = (),
    *,
    layer: int | None = None,
    k: int = 5,
    metric: str = "csls",
    source_anchors: Path | None = None,
    target_anchors: Path | None = None,
    on_event: OnEvent = lambda event: None,
) -> list[dict[str, Any]]:
    """Look up translations of words, or of all words of the source language.

    Args:
        folder: Of alignments.
        words: Of the source language, found as written, else in lower case, else in any case, else `undotted`. Without
            any, all.
        layer: Which one; by default 1, or the only one.
        k: How many translations.
        metric: ``csls`` or ``cosine``.
        source_anchors: In place of those that the folder names.
        target_anchors: Likewise.
        on_event: Called with events of progress.

    Returns:
        For each word, as it was asked for: ``word``, ``found_as`` in the anchors, and ``translations``, best first,
        each with ``word`` and ``score``.

    Raises:
        ArtifactError: The alignments or their anchors cannot be read, or do not belong together.
        VectorsError: A word has no anchor.
        RecipeError: A value is not what it should be.
    """
    if k < 1:
        raise RecipeError(f"-k: found {k}. Expected 1 or more. Change it.")
    one_of("--metric", metric, METRICS)
    alignments = open_alignments(folder)
    chosen = choose_layer(folder, alignments, layer)

    import torch

    from isogloss.mapping.one_space import in_one_space
    from isogloss.mapping.retrieval import nearest

    ((alignment, ours, theirs),) = with_anchors(
        folder, alignments, [chosen], source_anchors=source_anchors, target_anchors=target_anchors
    )
    asked = tuple(words) or ours.words
    rows = [ours.index_of(word) for word in words] if words else range(len(ours))
    places = [row for row in rows if row is not None]
    if len(places) < len(asked):
        missing = [word for word in asked if word not in ours]
        for word in missing:
            if names := ours.senses_of(word):
                raise VectorsError(
                    f"{folder}, layer {chosen}: {word} has an anchor for each of its senses. Expected one of "
                    f"{', '.join(names)}. Name those that you mean."
                )
        raise VectorsError(
            f"{folder}, layer {chosen}: no anchor of {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}. "
            f"Expected words among the {len(ours)} types of {alignment.source} that have one. Leave these out, or "
            "gather anchors from more text."
        )
    sources, targets = in_one_space(alignment, ours, theirs)
    by = "csls" if metric == "csls" else "cosine"
    name = f"translations of {len(places):,} words"
    on_event({"event": "run", "recipe": Path(folder).name, "stages": [name], "kept": []})
    on_event({"event": "started", "task": name})
    found, scores = nearest(sources[torch.tensor(places)], targets, k=k, metric=by, background=sources)
    on_event({"event": "finished", "task": name})
    return [
        {
            "word": word,
            "found_as": ours.words[place],
            "translations": [
                {"word": theirs.words[column], "score": round(score, 6)}
                for column, score in zip(columns, values, strict=True)
            ],
        }
        for word, place, columns, values in zip(asked, places, found.tolist(), scores.tolist(), strict=True)
    ]


def judge(
    folder: Path,
    dictionary: Path,
    *,
    turned: bool = False,
    layer: int | None = None,
    metric: str | None = None,
    source_anchors: Path | None = None,
    target_anchors: Path | None = None,
    on_event: OnEvent = lambda event: None,
) -> list[dict[str, Any]]:
    """Judge alignments by words that had no part in finding them; any translation in the dictionary is right.

    Words of the dictionary from which `align` found the alignments are left out, in any case.

    Args:
        folder: Of alignments.
        dictionary: Lines SOURCE, tab, TARGET.
        turned: Its first column is the target's language.
        layer: Which one; by default all.
        metric: ``csls`` or ``cosine``; by default both.
        source_anchors: In place of those that the folder names.
        target_anchors: Likewise.
        on_event: Called with events of progress.

    Returns:
        A row for each layer and metric: precision@1, @5 and @10, each with its 95 % bootstrap interval over the tested
        words, how many these are, which share of the dictionary's source words they are (``coverage``), and how many
        words and pairs were left out before (``test_words_dropped``, ``test_pairs_dropped``).

    Raises:
        ArtifactError: The alignments or their anchors cannot be read, or do not belong together.
        DictionaryError: The dictionary cannot be read.
        AlignmentError: No word of the dictionary can be tested.
        RecipeError: A value is not what it should be, or the alignments were found from every word of the dictionary.
    """
    from isogloss.compute.randomness import numpy_generator
    from isogloss.mapping.retrieval import Metric, translation_precision

    metrics: tuple[Metric, ...] = ("csls", "cosine")
    if metric is not None:
        one_of("--metric", metric, METRICS)
        metrics = ("csls",) if metric == "csls" else ("cosine",)
    alignments = open_alignments(folder)
    first = next(iter(alignments.values()))
    given = read_dictionary_of(dictionary, first.source, first.target, turned)
    known = f"the dictionary from which {folder} was found"
    words, dropped = unseen_words(given, fitted_words(folder), place=dictionary, known=known)
    chosen = list(alignments) if layer is None else [choose_layer(folder, alignments, layer)]
    names = [f"layer {number}" for number in chosen]
    opened = with_anchors(folder, alignments, chosen, source_anchors=source_anchors, target_anchors=target_anchors)
    rows = []
    on_event({"event": "run", "recipe": Path(folder).name, "stages": names, "kept": []})
    for name, (alignment, ours, theirs) in zip(names, opened, strict=True):
        on_event({"event": "started", "task": name})
        for by in metrics:
            found = translation_precision(alignment, ours, theirs, words, at=PRECISION_AT, metric=by)
            row = {"source": alignment.source, "target": alignment.target, "layer": alignment.layer, "metric": by}
            for at in PRECISION_AT:
                chance = numpy_generator(1, "lexicon", by, str(alignment.layer), str(at))
                row |= {f"precision@{at}": found.precision(at)}
                row |= {f"precision@{at}_interval": [round(end, 6) for end in found.interval(at, chance)]}
            row |= {"tested_words": found.tested_words, "found_words": found.found_words}
            row |= {"dictionary_words": found.dictionary_words, "coverage": found.coverage}
            rows.append(row | dropped)
        on_event({"event": "finished", "task": name})
    return rows


def draw_contexts(
    models: tuple[Path, Path],
    texts: tuple[Path, Path],
    out: Path,
    *,
    alignment: Path,
    words: tuple[Sequence[str], Sequence[str]],
    layer: int | None = None,
    limit: int = 200,
    projection: str = "pca",
    max_sentences: int | None = None,
    tokenised: bool = False,
    source_anchors: Path | None = None,
    target_anchors: Path | None = None,
    threads: int = 1,
    seed: int = 1,
    on_event: OnEvent = lambda event: None,
) -> dict[str, int]:
    """Draw words of two languages in context, with their anchors, before and after alignment.

    Args:
        models: Folders of the two language models, the source's first; as all pairs here.
        texts: Raw text of each language.
        out: The figure, ``.svg`` or ``.png``.
        alignment: Folder of alignments.
        words: Of each language, as they are written in the text.
        layer: Which one; by default 1, or the only one.
        limit: Occurrences of each word, the first of the text.
        projection: ``pca`` or ``umap``.
        max_sentences: Reading stops after so many.
        tokenised: Words are already apart.
        source_anchors: In place of those that the folder of alignments names.
        target_anchors: Likewise.
        threads: Of matrix products.
        seed: For UMAP.
        on_event: Called with events of progress.

    Returns:
        How often each word was found; ``LANGUAGE WORD`` names it.

    Raises:
        ArtifactError: A model, the alignments or the anchors cannot be read, or do not belong together.
        AlignmentError: A model is of another language or width than the alignment.
        TextError: A text cannot be read.
        VectorsError: None of the words occurs.
        RecipeError: A value is not what it should be.
        OutputError: The figure cannot be written.
    """
    if Path(out).suffix.lower() not in FIGURES:
        raise OutputError(f"{out}: found the ending {Path(out).suffix!r}. Expected .svg or .png. Change the name.")
    one_of("--projection", projection, ("pca", "umap"))
    threads = checked(ComputeSettings, threads=threads).threads
    if limit < 1:
        raise RecipeError(f"--limit: found {limit}. Expected 1 or more. Change it.")
    alignments = open_alignments(alignment)
    number = choose_layer(alignment, alignments, layer)
    ((chosen, ours, theirs),) = with_anchors(
        alignment, alignments, [number], source_anchors=source_anchors, target_anchors=target_anchors
    )
    corpora = [
        checked(LanguageCorpus, text=str(readable(text)), tokenised=tokenised, max_sentences=max_sentences)
        for text in texts
    ]
    for model in models:
        sound_model(model)

    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.extraction import gather_occurrences
    from isogloss.visuals.context_map import draw_context_map
    from isogloss.visuals.embedding_map import save_figure

    languages = (chosen.source, chosen.target)
    encoders = [ELMoEncoder.load(Path(model)) for model in models]
    for model, encoder, language in zip(models, encoders, languages, strict=True):
        if encoder.language != language:
            raise AlignmentError(
                f"{model}: is a model of {encoder.language!r}, but {alignment} leads from {chosen.source!r} to "
                f"{chosen.target!r}. Expected the models of these two, in this order. Change them."
            )
        check_fits(encoder, chosen, folder=alignment)
    found: list[dict[str, Any]] = []

    def gather(place: int) -> None:
        text = _reporting(read_text_of(corpora[place], languages[place]))
        found.append(gather_occurrences(encoders[place], text, words[place], layer=number, limit=limit))

    names = [f"words of {language}" for language in languages]
    on_event({"event": "run", "recipe": Path(out).name, "stages": names, "kept": []})
    tasks = [Task(name, gather, {"place": place}) for place, name in enumerate(names)]
    run_tasks(tasks, workers=0, threads=threads, on_event=on_event)
    for text, by_word in zip(texts, found, strict=True):
        if missing := [word for word, vectors in by_word.items() if not len(vectors)]:
            log.warning("%s: %s: no occurrence; the figure shows the other words.", text, ", ".join(missing))
    figure = draw_context_map(
        found[0],
        found[1],
        chosen,
        source_anchors=ours,
        target_anchors=theirs,
        projection="pca" if projection == "pca" else "umap",
        seed=seed,
    )
    save_figure(figure, out)
    return {
        f"{language} {word}": len(vectors)
        for language, by_word in zip(languages, found, strict=True)
        for word, vectors in by_word.items()
    }


def _reporting(sentences: Iterable[Any]) -> Iterator[Any]:
    """Pass sentences on, and report a few times a second how many there were."""
    begun = reported = time.monotonic()
    words = 0
    for done, sentence in enumerate(sentences, 1):
        words += len(sentence)
        now = time.monotonic()
        if now - reported >= SECONDS_BETWEEN_REPORTS:
            reported = now
            report("progress", done=done, total=None, rate=round(words / (now - begun)), unit="words")
        yield sentence

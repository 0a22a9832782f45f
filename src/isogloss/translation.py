"""The command `isogloss translate`: a text in, and for its words what each is called in another language just there.

Where the alignment was found between anchors of senses, the sense of every occurrence is chosen first, and its anchor
is looked up. Where it was found between plain anchors of both languages, the occurrence is looked up half way between
its anchor and its own vector.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.alignment_folders import (
    check_fits,
    choose_layer,
    open_alignments,
    warn_of_another_model,
    with_anchors_or_senses,
)
from isogloss.commands import checked, readable, sound_model
from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.compute.settings import ComputeSettings
from isogloss.compute.workers import Task, report, run_tasks
from isogloss.errors import AlignmentError, RecipeError, TextError
from isogloss.lexicon_commands import OnEvent
from isogloss.recipe import LanguageCorpus
from isogloss.stages import SECONDS_BETWEEN_REPORTS

if TYPE_CHECKING:
    from isogloss.corpus.raw_text import Source
    from isogloss.corpus.sentence import Sentence

STANDARD_INPUT = "-"

log = logging.getLogger(__name__)


def translate(
    model: Path,
    text: Path,
    *,
    alignment: Path,
    words: Sequence[str] = (),
    layer: int | None = None,
    k: int = 5,
    max_sentences: int | None = None,
    tokenised: bool = False,
    source_anchors: Path | None = None,
    target_anchors: Path | None = None,
    threads: int = 1,
    on_event: OnEvent = lambda event: None,
) -> list[dict[str, Any]]:
    """Translate the words of a text in context.

    Memory holds one vector for each word that is translated.

    Args:
        model: Folder of the source's language model.
        text: Raw text of the source, one sentence a line; ``-`` is standard input.
        alignment: Folder of alignments, from the source.
        words: Only these are translated, wherever they stand so or, in lower case, so. Without any, all words that have
            a letter in them.
        layer: Which one; by default 1, or the only one.
        k: How many translations.
        max_sentences: Reading stops after so many.
        tokenised: Words are already apart.
        source_anchors: In place of those that the folder of alignments names.
        target_anchors: Likewise.
        threads: Of matrix products.
        on_event: Called with events of progress.

    Returns:
        For each word that is translated, in the order of the text: its ``line`` and its ``place`` among the words of
        that line, both from 1; the ``word``; its ``sense`` as `SenseAnchors` names it, or None where
        its own vector had a say; and ``translations``, best first, each with ``word`` and ``score``.

    Raises:
        ArtifactError: The model, the alignments or their anchors cannot be read, or do not belong together.
        AlignmentError: The model is of another language, width or number of layers than the alignment.
        TextError: The text cannot be read, or has nothing in it to be translated.
        RecipeError: A value is not what it should be.
    """
    if k < 1:
        raise RecipeError(f"-k: found {k}. Expected 1 or more. Change it.")
    threads = checked(ComputeSettings, threads=threads).threads
    limit = checked(LanguageCorpus, max_sentences=max_sentences).max_sentences
    if str(text) != STANDARD_INPUT:
        readable(text)
    alignments = open_alignments(alignment)
    number = choose_layer(alignment, alignments, layer)
    sound_model(model)

    import torch

    from isogloss.corpus.beginning import look_at_content
    from isogloss.corpus.raw_text import name_of
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.senses import SenseAnchors
    from isogloss.mapping.occurrences import translate_occurrences
    from isogloss.mapping.sense_alignment import rows_in_context, translate_in_context, translate_vectors

    encoder, chosen = ELMoEncoder.load(Path(model)), alignments[number]
    if encoder.language != chosen.source:
        raise AlignmentError(
            f"{model}: is a model of {encoder.language!r}, but {alignment} leads from {chosen.source!r} to "
            f"{chosen.target!r}. Expected the model of {chosen.source!r}. Name it, or align the other way round."
        )
    check_fits(encoder, chosen, folder=alignment)
    warn_of_another_model(Path(model), Path(alignment), side="source")
    ((_, ours, theirs),) = with_anchors_or_senses(
        alignment, alignments, [number], source_anchors=source_anchors, target_anchors=target_anchors
    )
    our_senses = ours if isinstance(ours, SenseAnchors) else SenseAnchors.of_anchors(ours)
    their_senses = theirs if isinstance(theirs, SenseAnchors) else SenseAnchors.of_anchors(theirs)
    source = look_at_content(text)[1]
    rows: list[dict[str, Any]] = []
    held: list[torch.Tensor] = []

    def read() -> None:
        sentences = list(_to_translate(source, encoder.language, words=words, tokenised=tokenised, limit=limit))
        begun = reported = time.monotonic()
        vectors_by_sentence = encoder.iterate(sentence for _, sentence, _ in sentences)
        for (line, sentence, places), vectors in zip(sentences, vectors_by_sentence, strict=True):
            raise_if_stop_requested()
            held.append(vectors[places, number])
            rows.extend({"line": line, "place": place + 1, "word": sentence.forms[place]} for place in places)
            if (now := time.monotonic()) - reported >= SECONDS_BETWEEN_REPORTS:
                reported, rate = now, round(len(rows) / (now - begun))
                report("progress", done=len(held), total=len(sentences), rate=rate, unit="words")

    def look_up() -> None:
        vectors, forms = torch.cat(held), [row["word"] for row in rows]
        senses: list[int | None] = [None] * len(rows)
        if isinstance(ours, SenseAnchors):
            found = translate_in_context(chosen, vectors, forms, source=our_senses, target=their_senses, k=k)
            senses = rows_in_context(our_senses, vectors, forms)
        elif isinstance(theirs, SenseAnchors):
            found = translate_vectors(chosen, vectors, source=our_senses, target=their_senses, k=k)
        else:
            found = translate_occurrences(chosen, vectors, forms, source=ours, target=theirs, k=k)
        names = our_senses.sense_names
        for row, sense, translations in zip(rows, senses, found, strict=True):
            row["sense"] = None if sense is None else names[sense]
            row["translations"] = [{"word": word, "score": round(score, 6)} for word, score in translations]

    tasks = [Task("words in context", read), Task("translations", look_up, after=("words in context",))]
    on_event(
        {"event": "run", "recipe": Path(name_of(source)).name, "stages": [task.name for task in tasks], "kept": []}
    )
    run_tasks(tasks, workers=0, threads=threads, on_event=on_event)
    return rows


def _to_translate(
    source: "Source", language: str, *, words: Sequence[str], tokenised: bool, limit: int | None
) -> Iterator[tuple[int, "Sentence", list[int]]]:
    """Yield the sentences that have something to be translated: number of the line, sentence, places of the words.

    Raises:
        TextError: There is none. Where only some of the words that were asked for occur, the others are told of.
    """
    from isogloss.corpus.raw_text import name_of, read_lines
    from isogloss.corpus.sentence import Sentence
    from isogloss.corpus.tokens import lower_case, words_of_line

    wanted, seen, found = frozenset(words), set[str](), 0
    for number, line in enumerate(read_lines(source), start=1):
        forms = words_of_line(line, language=language, tokenised=tokenised)
        if not forms:
            continue
        if limit is not None and found >= limit:
            break
        found += 1
        if wanted:
            spelt = [{form, lower_case(form, language=language)} & wanted for form in forms]
            places = [place for place, known in enumerate(spelt) if known]
            seen = seen.union(*spelt)
        else:
            places = [place for place, form in enumerate(forms) if any(map(str.isalpha, form))]
            seen |= {""} if places else set()
        if places:
            yield number, Sentence.of_forms(forms, language=language), places
    if not seen and (not wanted or not found):
        raise TextError(
            f"{name_of(source)}: there are no words in this file. Expected text, one sentence a line. Check that it is "
            "the right file."
        )
    missing = [word for word in words if word not in seen]
    told = f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}"
    if missing and not seen:
        raise TextError(
            f"{name_of(source)}: none of {told} occurs in its {found} sentences. Expected words of the text, as they "
            "are written there. Change --words."
        )
    if missing:
        log.warning(
            "%s: %s: no occurrence in its %d sentences; the other words are translated.", name_of(source), told, found
        )

"""The stage that aligns one language with the reference, by whichever road, in every layer, and judges the result."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isogloss.artifacts import write_atomically
from isogloss.compute.workers import report
from isogloss.errors import AlignmentError, RecipeError
from isogloss.stages import SECONDS_BETWEEN_REPORTS, read_dictionary_of

LOWEST_LAYER = "lowest"
"""The guide of searches without a dictionary unless another is named: without context words are best told apart."""


@dataclass(frozen=True)
class Contexts:
    """What roads need that look at words in context: models and texts of the source, then of the target."""

    models: tuple[Path, Path]
    parallel: Path | None = None
    """A file of lines ``source<TAB>target``."""
    reversed_columns: bool = False
    """Its first column is the target's."""
    texts: tuple[Path, Path] | None = None
    """Raw text of both, from which tokens are drawn."""
    per_word: int = 10
    """Tokens drawn of each word type at most."""


SHARED_DETAILS = ("normalisation", "scale")
"""What is true of an alignment for whichever language; the rest is about the pairs that it was found from."""
PAIRS = "pairs.tsv"
"""File of a dictionary that was joined."""
FITTED = "fitted.txt"
"""File that keeps the words of the source, of the dictionary from which alignments were found."""


def join_dictionaries(
    draft: Path,
    *,
    source: str,
    target: str,
    pivot: str,
    dictionary: Path | None,
    dictionary_of_target: Path,
    reversed_columns: bool,
) -> Mapping[str, Any]:
    """Make a language's dictionary with the reference by way of a third language.

    Args:
        draft: Folder to write to.
        source: The language.
        target: The reference.
        pivot: The third language, which may be `source` itself.
        dictionary: Of `source` with the pivot; None if it is the pivot.
        dictionary_of_target: Of `target` with the pivot.
        reversed_columns: The pivot is the first column of both, and the reference will be that of what is written.
    """
    from isogloss.lexicon.dictionary import write_dictionary

    found = read_dictionary_of(dictionary_of_target, target, pivot, reversed_columns).reversed()
    if dictionary is not None:
        found = read_dictionary_of(dictionary, source, pivot, reversed_columns).through(found)
    write_dictionary(draft / PAIRS, found.reversed() if reversed_columns else found)
    return {"pairs": len(found)}


def take_over_alignments(draft: Path, *, source: str, kin: str, alignments: Path) -> Mapping[str, Any]:
    """Give a language the alignments of another one, in whose space its language model was trained.

    Args:
        draft: Empty folder to fill.
        source: The language.
        kin: The other one.
        alignments: Folder of the other one's, a folder per layer.
    """
    from isogloss.mapping.alignment import load_alignment, save_alignment

    rows = []
    for place in sorted(alignments.glob("layer-*")):
        theirs = load_alignment(place)
        kept = {name: theirs.details[name] for name in SHARED_DETAILS if name in theirs.details}
        alignment = replace(theirs.for_vectors(), source=source, details=kept | {"taken_over_from": kin})
        folder = draft / place.name
        folder.mkdir()
        save_alignment(folder, alignment)
        row = {"source": source, "target": theirs.target, "vectors": "layer", "layer": theirs.layer}
        rows.append({**row, "method": theirs.method, **alignment.details})
    write_atomically(draft / "precision.json", json.dumps(rows, indent=2) + "\n")
    return {"road": f"the map of {kin}, in whose space its language model was trained", "precision": rows}


def make_alignments(
    draft: Path,
    *,
    source: str,
    target: str,
    source_anchors: Path,
    target_anchors: Path,
    dictionary: Path | None,
    reversed_columns: bool,
    test_dictionary: Path | None,
    settings: Any,
    vectors: str = "layer",
    guide: tuple[Path, Path] | int | str | None = None,
    contexts: Contexts | None = None,
    keys: Mapping[str, str] | None = None,
    opened: tuple[Sequence[Any], Sequence[Any]] | None = None,
    seed: int = 1,
) -> Mapping[str, Any]:
    """Align one language with the reference in every layer, and judge the alignments.

    Args:
        draft: Empty folder to fill.
        source: Language to be mapped.
        target: The reference.
        source_anchors: Whatever `open_anchors` opens.
        target_anchors: Likewise.
        dictionary: To fit on; roads that need none do without.
        reversed_columns: The dictionaries' first column is the target's.
        test_dictionary: Judges, and does nothing else.
        settings: Of the road. Where they are `SenseAlignmentSettings`, both anchors are of senses.
        vectors: What the anchors are, for the report: ``layer`` or ``static``.
        guide: Where roads look for more pairs: a layer's number, ``lowest``, or two folders of other vectors of the
            same languages. Without one, every layer by itself.
        contexts: Models and texts, for the roads that look at words in context.
        keys: Of both anchors, and of the models that gathered them, noted with their places in ``anchors.json``.
        opened: Both anchors, where they have been read already.
        seed: Every random choice follows from it.
    """
    from isogloss.lexicon.anchor_sources import open_anchors
    from isogloss.mapping.alignment import save_alignment
    from isogloss.mapping.checks import refuse_turned
    from isogloss.mapping.retrieval import testable, translation_precision
    from isogloss.mapping.sense_alignment import SenseAlignmentSettings

    words = read_dictionary_of(dictionary, source, target, reversed_columns) if dictionary is not None else None
    fitted = tuple(words.translations) if words is not None else ()
    judge, dropped = None, {}
    if test_dictionary:
        given = read_dictionary_of(test_dictionary, source, target, reversed_columns)
        known = f"{dictionary}, from which the alignment is found"
        judge, dropped = unseen_words(given, fitted, place=test_dictionary, known=known)
    if opened is None:
        opened = open_anchors(source_anchors, language=source), open_anchors(target_anchors, language=target)
    ours, theirs = opened
    _check_layers(ours, theirs)
    if words is not None:
        place, usable = f"Alignment {source}→{target}", words.usable(ours[0], theirs[0])
        refuse_turned(len(usable), ours[0], theirs[0], dictionary=words, place=place)
    if judge is not None:
        testable(judge, ours[0], theirs[0])  # all layers have the same words; better now than after a long search
    precision = []
    if isinstance(settings, SenseAlignmentSettings):
        fitting = _fit_senses(source_anchors, target_anchors, words, settings=settings, seed=seed)
    else:
        fitting = _fit_layers(ours, theirs, words, settings=settings, guide=guide, contexts=contexts, seed=seed)
    for alignment, one, other in zip(fitting, ours, theirs, strict=True):
        folder = draft / f"layer-{one.layer}"
        folder.mkdir()
        save_alignment(folder, alignment)
        row = {"source": source, "target": target, "vectors": vectors, "layer": one.layer, "method": alignment.method}
        row |= alignment.details
        if judge is not None:
            found = translation_precision(alignment, one, other, judge, at=(1, 5, 10))
            row |= {f"precision@{k}": found.precision(k) for k in (1, 5, 10)}
            row |= {"metric": "csls", "tested_words": found.tested_words, "coverage": found.coverage} | dropped
        precision.append(row)
    if fitted:
        write_atomically(draft / FITTED, "".join(f"{word}\n" for word in fitted))
    write_atomically(draft / "precision.json", json.dumps(precision, indent=2) + "\n")
    if keys is not None:
        places = {
            # The way back from a folder behind a link begins where the folder is, not where the link is.
            "source": os.path.relpath(Path(source_anchors).resolve(), draft.resolve()),
            "target": os.path.relpath(Path(target_anchors).resolve(), draft.resolve()),
        }
        write_atomically(draft / "anchors.json", json.dumps(places | dict(keys), indent=2) + "\n")
    return {"precision": precision}


def unseen_words(dictionary: Any, fitted: Sequence[str], *, place: Path, known: str) -> tuple[Any, dict[str, int]]:
    """Leave out the words of a dictionary that would judge an alignment which was found from them.

    Public dictionaries are split by the words of one side. Turned round, the two parts share words.

    Args:
        dictionary: That is to judge.
        fitted: Words of the source from which the alignment was found; case plays no part.
        place: The dictionary's file, for the message.
        known: What has the words `fitted`, for the message.

    Returns:
        The dictionary without them, and how many words and pairs were left out.

    Raises:
        RecipeError: No pair is left.
    """
    from isogloss.lexicon.anchors import undotted

    seen = {undotted(word) for word in fitted}
    unseen = tuple(pair for pair in dictionary.pairs if undotted(pair[0]) not in seen)
    if dictionary.pairs and not unseen:
        raise RecipeError(
            f"{place}: every word of it is also in {known}. Expected words that had no part in it. Name another file."
        )
    words = {undotted(source) for source, _ in dictionary.pairs} & seen
    dropped = {"test_words_dropped": len(words), "test_pairs_dropped": len(dictionary.pairs) - len(unseen)}
    return replace(dictionary, pairs=unseen), dropped


def _check_layers(source: Sequence[Any], target: Sequence[Any]) -> None:
    """Refuse anchors that do not have the same layers."""
    layers = [[each.layer for each in side] for side in (source, target)]
    if layers[0] != layers[1]:
        told = [", ".join(map(str, side)) for side in layers]
        if (0 in layers[0]) != (0 in layers[1]):  # as in a bundle, whose models have layer 0 themselves
            what_to_do = "Where layer 0 is missing, gather the anchors anew, with `isogloss anchors MODEL TEXT`."
        else:
            what_to_do = "Gather both with models of as many layers."
        raise AlignmentError(
            f"Alignment {source[0].language}→{target[0].language}: the anchors have layers {told[0]} and {told[1]}. "
            f"Each layer is mapped to the same layer. {what_to_do}"
        )


def _fit_layers(
    source: Sequence[Any],
    target: Sequence[Any],
    words: Any,
    *,
    settings: Any,
    guide: tuple[Path, Path] | int | str | None,
    contexts: Contexts | None,
    seed: int,
) -> Sequence[Any]:
    """Fit every layer; what is found in the guide is found once."""
    from isogloss.mapping.fit import fit_alignment, fit_induced
    from isogloss.mapping.induction import grow_dictionary, induce_dictionary
    from isogloss.mapping.settings import (
        AdversarialSettings,
        ParallelSettings,
        ProcrustesSettings,
        SelfLearningSettings,
    )

    if isinstance(settings, ParallelSettings):
        return _fit_parallel(source, target, settings=settings, contexts=contexts)
    telling = _Telling()
    guides = _guide(guide, source, target)
    if isinstance(settings, SelfLearningSettings | AdversarialSettings):
        search = {"dictionary": words, "settings": settings, "seed": seed, "report": telling}
        if guides is None:
            found = []
            for one, other in zip(source, target, strict=True):
                samples = _samples(one, other, settings=settings, contexts=contexts, seed=seed)
                induced = induce_dictionary(one, other, samples=samples, **search)
                found.append(fit_induced(one, other, induced=induced, settings=settings))
            return found
        samples = _samples(*guides, settings=settings, contexts=contexts, seed=seed)
        induced = induce_dictionary(*guides, samples=samples, **search)
        return [
            fit_induced(one, other, induced=induced, settings=settings)
            for one, other in zip(source, target, strict=True)
        ]
    if guides is not None and isinstance(settings, ProcrustesSettings):
        words = grow_dictionary(*guides, dictionary=words, settings=settings)
    return [
        fit_alignment(one, other, dictionary=words, settings=settings, seed=seed)
        for one, other in zip(source, target, strict=True)
    ]


def _fit_senses(source_anchors: Path, target_anchors: Path, words: Any, *, settings: Any, seed: int) -> Sequence[Any]:
    """Fit every layer, words of several senses sense by sense."""
    from isogloss.lexicon.sense_files import load_all_senses
    from isogloss.mapping.sense_alignment import fit_sense_alignment

    both = zip(load_all_senses(source_anchors), load_all_senses(target_anchors), strict=True)
    return [fit_sense_alignment(*pair, dictionary=words, settings=settings, seed=seed) for pair in both]


def _guide(
    guide: tuple[Path, Path] | int | str | None, source: Sequence[Any], target: Sequence[Any]
) -> tuple[Any, Any] | None:
    """Return the anchors in which pairs are sought."""
    from isogloss.lexicon.anchor_sources import open_anchors

    if guide is None:
        return None
    if isinstance(guide, tuple):
        ours = open_anchors(guide[0], language=source[0].language)
        theirs = open_anchors(guide[1], language=target[0].language)
        return ours[0], theirs[0]
    number = source[0].layer if guide == LOWEST_LAYER else guide
    for one, other in zip(source, target, strict=True):
        if one.layer == number:
            return one, other
    raise RecipeError(
        f"guide: found layer {number}; the anchors have {', '.join(str(one.layer) for one in source)}. Expected one of "
        "these. Choose one."
    )


def _fit_parallel(source: Sequence[Any], target: Sequence[Any], *, settings: Any, contexts: Contexts | None) -> Any:
    """Take the road of parallel sentences."""
    from isogloss.corpus.parallel import SentencePair, read_parallel
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.mapping.contextual_pairs import fit_contextual

    assert contexts is not None and contexts.parallel is not None, "the caller has seen to it"
    languages = [source[0].language, target[0].language]
    if contexts.reversed_columns:
        languages.reverse()
    read = read_parallel(contexts.parallel, source=languages[0], target=languages[1], limit=settings.max_sentences)
    pairs = [SentencePair(pair.target, pair.source) if contexts.reversed_columns else pair for pair in read]
    encoders = [ELMoEncoder.load(model) for model in contexts.models]
    return fit_contextual(
        encoders[0], encoders[1], pairs, source_anchors=source, target_anchors=target, settings=settings
    )


def _samples(one: Any, other: Any, *, settings: Any, contexts: Contexts | None, seed: int) -> Any:
    """Draw tokens in context for the adversarial game, normalised as the anchors are; None plays it with anchors."""
    from isogloss.mapping.settings import AdversarialSettings

    if contexts is None or contexts.texts is None or not isinstance(settings, AdversarialSettings):
        return None
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.lexicon.anchors import Anchors
    from isogloss.mapping.adversarial import sample_contexts
    from isogloss.mapping.normalisation import normalise
    from isogloss.recipe import LanguageCorpus
    from isogloss.stages import read_text_of

    drawn = []
    for model, text, anchors in zip(contexts.models, contexts.texts, (one, other), strict=True):
        sample = sample_contexts(
            ELMoEncoder.load(model),
            read_text_of(LanguageCorpus(text=str(text)), anchors.language),
            anchors.words[: settings.discriminator_types],
            per_word=contexts.per_word,
            layers=(anchors.layer,),
            seed=seed,
        )
        tokens = sample.vectors[:, 0]
        names = [str(number) for number in range(len(tokens))]
        like_anchors = Anchors.of_vectors(names, tokens, language=anchors.language, layer=anchors.layer)
        drawn.append(normalise(like_anchors, settings.normalisation).vectors)
    return tuple(drawn)


class _Telling:
    """Reports a search a few times a second."""

    def __init__(self) -> None:
        self._begun = self._reported = time.monotonic()
        self._count = 0

    def __call__(self, facts: Mapping[str, float]) -> None:
        self._count += 1
        now = time.monotonic()
        if now - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._reported = now
            done, total = int(facts.get("done", self._count)), facts.get("total")
            known = {"score": round(facts["closeness"], 4)} if "closeness" in facts else {}
            rate = round(done / (now - self._begun), 1)
            report("progress", done=done, total=total, rate=rate, unit="rounds", **known)

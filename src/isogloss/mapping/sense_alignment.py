"""Road h: words of several senses are aligned sense by sense.

The anchor of an ambiguous word lies between its senses, so as a dictionary pair it pulls the map to where no word
is. Either such pairs are left out, or they are replaced by pairs of senses: a first map is found from all other
pairs, and under it the senses of a word and those of its translations that are each other's nearest belong together.
With them the map is found again, and so on until the pairs stay the same.

Receives `SenseAnchors` of two languages and a dictionary of words; hands on an `Alignment`, and translations of words
in context.

Source: Zhang et al. (2019), Cross-Lingual Contextual Word Embeddings Mapping With Multi-Sense Words In Mind. They pair
clusters with translations by hand-made rules; choosing among a word's own translations by mutual nearest neighbours
is ours.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.lexicon.senses import SenseAnchors
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.checks import check_occurrences
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.retrieval import nearest
from isogloss.mapping.settings import ProcrustesSettings
from isogloss.settings import Settings


class SenseAlignmentSettings(Settings):
    """What becomes of dictionary pairs with an ambiguous word, and how the map is found."""

    ambiguous: Literal["pair", "drop"] = "pair"
    """``pair`` replaces them by pairs of senses that are each other's nearest, ``drop`` leaves them out."""

    rounds: PositiveInt = 5
    """How often senses are paired and the map is found again, at most; it ends when the pairs stay the same."""

    procrustes: ProcrustesSettings = ProcrustesSettings()
    """How the map is found. Its refinement, if any, comes last, with every sense as a word of its own."""


def fit_sense_alignment(
    source: SenseAnchors,
    target: SenseAnchors,
    *,
    dictionary: BilingualDictionary,
    settings: SenseAlignmentSettings | None = None,
    seed: int = 1,
) -> Alignment:
    """Find the alignment from the source's space to the target's, with words of several senses in mind.

    Args:
        source: Sense anchors of the language to be mapped.
        target: Sense anchors of the same layer of the language to be mapped into.
        dictionary: Translations of words, from source to target.
        settings: See `SenseAlignmentSettings`.
        seed: Of what is held out, where settings of Procrustes are chosen by held-out pairs.

    Raises:
        AlignmentError: The two do not fit together, or too few pairs are left.
        DictionaryError: The dictionary is for other languages.
    """
    settings = settings or SenseAlignmentSettings()
    first_map = settings.procrustes.model_copy(update={"refinements": 0})
    source_anchors, target_anchors = source.expand(), target.expand()
    links = [
        (rows, columns)
        for one, other in dictionary.pairs
        if len(rows := source.rows_of(one)) and len(columns := target.rows_of(other))
    ]
    clear = [(rows[0], columns[0]) for rows, columns in links if len(rows) == len(columns) == 1]
    unclear = [(rows, columns) for rows, columns in links if len(rows) > 1 or len(columns) > 1]
    found: list[tuple[int, int]] = []
    rounds = 0

    def alignment_of(pairs: Sequence[tuple[int, int]], method: ProcrustesSettings) -> Alignment:
        named = tuple((source.sense_names[row], target.sense_names[column]) for row, column in dict.fromkeys(pairs))
        by_sense = BilingualDictionary(dictionary.source, dictionary.target, named)
        return fit_alignment(source_anchors, target_anchors, dictionary=by_sense, settings=method, seed=seed)

    if settings.ambiguous == "pair" and unclear:
        alignment = alignment_of(clear, first_map)
        while rounds < settings.rounds:
            rounds += 1
            before, found = found, pair_senses(alignment, source, target, unclear)
            if found == before:
                break
            alignment = alignment_of([*clear, *found], first_map)
    alignment = alignment_of([*clear, *found], settings.procrustes)
    summary = f"{len(set(clear))} pairs of words of one sense; {len(unclear)} pairs with an ambiguous word were " + (
        f"replaced by {len(found)} pairs of senses" if settings.ambiguous == "pair" else "left out"
    )
    facts = {
        "ambiguous": settings.ambiguous,
        "pairs": summary,
        "clear_pairs": len(set(clear)),
        "ambiguous_pairs": len(unclear),
        "sense_pairs": len(found),
        "sense_rounds": rounds,
        "ambiguous_words": [int((each.senses > 1).sum()) for each in (source, target)],
    }
    details = {**alignment.details, "dictionary_pairs": len(dictionary), **facts}
    return alignment.told_as(f"{alignment.method} on senses", details)


def pair_senses(
    alignment: Alignment, source: SenseAnchors, target: SenseAnchors, links: Sequence[tuple[range, range]]
) -> list[tuple[int, int]]:
    """Pair senses that are each other's nearest among the senses of a word and those of its translations.

    Args:
        alignment: The map under which they are compared, by cosine around its centre.
        source: Sense anchors of the language that is mapped.
        target: Sense anchors of the other.
        links: Per dictionary pair the rows of the word's senses and of its translation's.

    Returns:
        Rows of ``source.vectors`` and ``target.vectors``, in order.
    """
    linked = sorted({(row, column) for rows, columns in links for row in rows for column in columns})
    if not linked:
        return []
    rows, columns = torch.tensor(linked).unbind(dim=1)
    aligned, own = around_centre(alignment, source.vectors[rows], target.vectors[columns])
    scores = torch.cosine_similarity(aligned.double(), own.double(), dim=1).tolist()
    best_of_row: dict[int, tuple[float, int]] = {}
    best_of_column: dict[int, tuple[float, int]] = {}
    for (row, column), score in zip(linked, scores, strict=True):
        best_of_row[row] = max(best_of_row.get(row, (-2.0, -1)), (score, column))
        best_of_column[column] = max(best_of_column.get(column, (-2.0, -1)), (score, row))
    return [(row, column) for row, (_, column) in sorted(best_of_row.items()) if best_of_column[column][1] == row]


def around_centre(
    alignment: Alignment | None, source: Float[Tensor, "*rows width"], target: Float[Tensor, "types width"]
) -> tuple[Float[Tensor, "*rows width"], Float[Tensor, "types width"]]:
    """Bring vectors of both languages to where they are compared by cosine: aligned, and around the centre.

    Without an alignment they stay as they are.
    """
    if alignment is None:
        return source, target
    aligned, own = alignment.apply(source), target * alignment.target_scale
    if alignment.target_centre is not None:
        aligned, own = aligned - alignment.target_centre.to(aligned), own - alignment.target_centre.to(own)
    return aligned, own


def translate_in_context(
    alignment: Alignment,
    vectors: Float[Tensor, "occurrences width"],
    words: Sequence[str],
    *,
    source: SenseAnchors,
    target: SenseAnchors,
    k: int = 5,
    neighbourhood: int = 10,
) -> list[list[tuple[str, float]]]:
    """Translate words in context: find the sense of each occurrence, then what that sense is called over there.

    Neighbours are sought under CSLS among all target senses and told as word types; of a word with several senses
    the nearest counts. A word without an anchor is sought by its own vector.

    Args:
        alignment: From source to target.
        vectors: The contextual vector of each occurrence, not yet aligned.
        words: The word type of each.
        source: Sense anchors of the same layer.
        target: Sense anchors of the language to translate into.
        k: How many translations of each.
        neighbourhood: K of CSLS.

    Returns:
        For each occurrence, translations with their scores, best first.

    Raises:
        AlignmentError: There is not one word per vector, or the languages or layers are others.
    """
    check_occurrences(alignment, source, target, vectors=len(vectors), words=len(words))
    if not words:
        return []
    queries = vectors.float().clone()
    for at, row in enumerate(rows_in_context(source, vectors, words)):
        if row is not None:
            queries[at] = source.vectors[row]
    return translate_vectors(alignment, queries, source=source, target=target, k=k, neighbourhood=neighbourhood)


def rows_in_context(
    source: SenseAnchors, vectors: Float[Tensor, "occurrences width"], words: Sequence[str]
) -> list[int | None]:
    """Return for each occurrence the row of its sense in ``source.vectors``; None for a word without an anchor.

    Args:
        source: Sense anchors of the language and layer of the occurrences.
        vectors: The contextual vector of each.
        words: The word type of each.
    """
    rows_by_occurrence: list[int | None] = [None] * len(words)
    places: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        places.setdefault(word, []).append(at)
    for word, own in places.items():
        if rows := source.rows_of(word):
            for at, sense in zip(own, source.senses_of(word, vectors[own]).tolist(), strict=True):
                rows_by_occurrence[at] = rows.start + sense
    return rows_by_occurrence


def translate_vectors(
    alignment: Alignment,
    vectors: Float[Tensor, "occurrences width"],
    *,
    source: SenseAnchors,
    target: SenseAnchors,
    k: int = 5,
    neighbourhood: int = 10,
) -> list[list[tuple[str, float]]]:
    """Look up the word types nearest to vectors of the source language, wherever these come from.

    Args:
        alignment: From source to target.
        vectors: Not yet aligned, at least one.
        source: Anchors of the same language and layer, by which CSLS sees how crowded a neighbourhood is.
        target: Anchors among which neighbours are sought.
        k: How many of each.
        neighbourhood: K of CSLS.

    Returns:
        For each vector, translations with their scores, best first; of a word with several senses the nearest counts.
    """
    queries = vectors.float()
    aligned, targets = around_centre(alignment, torch.cat([queries, source.vectors]), target.vectors)
    most = int(target.senses.max())
    # Of k · most senses, at least k belong to different words.
    indices, scores = nearest(
        aligned[: len(queries)],
        targets,
        k=k * most,
        background=aligned[len(queries) :],
        neighbourhood=neighbourhood,
    )
    word_of_row = torch.arange(len(target.words)).repeat_interleave(target.senses).tolist()
    translations: list[list[tuple[str, float]]] = []
    for columns, values in zip(indices.tolist(), scores.tolist(), strict=True):
        best: dict[str, float] = {}
        for column, value in zip(columns, values, strict=True):  # best first, so the first of a word is its nearest
            best.setdefault(target.words[word_of_row[column]], value)
        translations.append(list(best.items())[:k])
    return translations

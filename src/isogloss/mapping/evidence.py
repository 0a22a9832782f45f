"""How good is an alignment where there is no test dictionary? Let the dictionary that it was found from judge it.

Three witnesses, none of which sees a tree:

- **held-out pairs**: a tenth of the dictionary is set aside, the map is found from the rest, and the words set aside
  are looked up; ten times, until every word has been aside once.
- **halves**: two maps from two halves of the dictionary should translate the frequent words alike. There is one right
  map and there are countless wrong ones.
- **closeness**: the mean cosine of frequent words and their nearest neighbours, by which searches without a dictionary
  choose among maps.

Receives anchors, a dictionary and a way to fit; hands on numbers.
"""

from collections.abc import Callable

import torch

from isogloss.compute.randomness import numpy_generator
from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.retrieval import TranslationScores, in_one_space, nearest, translation_precision

Fit = Callable[[BilingualDictionary], Alignment]
"""Finds a map between the same two languages from another dictionary."""
FREQUENT = 2000
"""Word types of the source that halves and closeness are judged on."""


def cross_validate(
    fit: Fit,
    source_anchors: Anchors,
    target_anchors: Anchors,
    dictionary: BilingualDictionary,
    *,
    folds: int = 10,
    seed: int,
    at: tuple[int, ...] = (1, 5),
) -> TranslationScores:
    """Count words that find a translation by a map that was found without them.

    Args:
        fit: Finds the map from part of the dictionary.
        source_anchors: Of the language to be mapped.
        target_anchors: Of the other one, same layer.
        dictionary: All pairs. Each word is aside once, with all its translations.
        folds: Parts; so many maps are found.
        seed: Decides the parts.
        at: The k of precision@k.

    Raises:
        AlignmentError: The dictionary has fewer usable words than parts.
    """
    parts = _parts(dictionary, source_anchors, target_anchors, folds, seed)
    total = None
    for aside in parts:
        rest = tuple(pair for part in parts if part is not aside for pair in part.pairs)
        alignment = fit(BilingualDictionary(dictionary.source, dictionary.target, rest))
        found = translation_precision(alignment, source_anchors, target_anchors, aside, at=at)
        total = found if total is None else total + found
    assert total is not None, "there are two parts or more"
    return total


def halves_alike(
    fit: Fit,
    source_anchors: Anchors,
    target_anchors: Anchors,
    dictionary: BilingualDictionary,
    *,
    seed: int,
    types: int = FREQUENT,
) -> float:
    """Return which share of the frequent words two maps translate alike that have no pair in common.

    Raises:
        AlignmentError: The dictionary has fewer than two usable words.
    """
    halves = _parts(dictionary, source_anchors, target_anchors, 2, seed)
    one, other = (_translations(fit(half), source_anchors, target_anchors, types)[0] for half in halves)
    return float((one == other).double().mean())


def closeness(
    alignment: Alignment, source_anchors: Anchors, target_anchors: Anchors, *, types: int = FREQUENT
) -> float:
    """Return the mean cosine of frequent words and the neighbours that CSLS finds for them."""
    places, sources, targets = _translations(alignment, source_anchors, target_anchors, types)
    return float(torch.cosine_similarity(sources[: len(places)], targets[places], dim=1).mean())


def _translations(
    alignment: Alignment, source_anchors: Anchors, target_anchors: Anchors, types: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the nearest targets of the most frequent sources, as rows, and all vectors of both in one space."""
    sources, targets = in_one_space(alignment, source_anchors, target_anchors)
    neighbours, _ = nearest(sources[:types], targets, k=1, background=sources)
    return neighbours[:, 0], sources, targets


def _parts(
    dictionary: BilingualDictionary, source_anchors: Anchors, target_anchors: Anchors, count: int, seed: int
) -> list[BilingualDictionary]:
    """Divide what is usable of a dictionary into parts that share no source word, whatever its case."""
    rows = dictionary.usable(source_anchors, target_anchors)
    pairs = [(source_anchors.words[row], target_anchors.words[column]) for row, column in rows]
    words = list(dict.fromkeys(word.lower() for word, _ in pairs))
    if len(words) < count:
        raise AlignmentError(
            f"Dictionary {dictionary.source}→{dictionary.target}: {len(words)} of its words have anchors on both "
            f"sides. Expected {count} or more, to be divided into as many parts. Give more pairs, or more text."
        )
    order = numpy_generator(seed, "parts of a dictionary", count).permutation(len(words))
    part_of = {words[index]: place % count for place, index in enumerate(order.tolist())}
    return [
        BilingualDictionary(
            dictionary.source, dictionary.target, tuple(pair for pair in pairs if part_of[pair[0].lower()] == number)
        )
        for number in range(count)
    ]

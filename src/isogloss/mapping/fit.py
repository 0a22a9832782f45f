"""From two languages' anchors to an alignment: choose the road that the settings name.

Roads without a human dictionary make one: they induce pairs of words in one space, where words are easiest to tell
apart (the *guide*: a layer, or static vectors of the same text), and every layer is then aligned from these pairs.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from isogloss.compute.randomness import numpy_generator
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.checks import check_like, check_pairs, needed
from isogloss.mapping.induction import Induced, Report, closed_form, induce_dictionary
from isogloss.mapping.looked_up import as_looked_up, prior_beside_spelling
from isogloss.mapping.normalisation import NormalisedAnchors, mean_norm_scale, normalise
from isogloss.mapping.procrustes import chosen_prior, folds_of, refine, solve
from isogloss.mapping.settings import (
    AdversarialSettings,
    MappingSettings,
    ProcrustesSettings,
    RCSLSSettings,
    SelfLearningSettings,
)
from isogloss.mapping.spelling_rounds import LETTERS
from isogloss.mapping.weighting import counted, held_out_weighting, symmetric_weighting

logger = logging.getLogger(__name__)

AlignmentMethod = Callable[[Anchors, Anchors, BilingualDictionary | None], Alignment]
"""A road of one's own: source anchors, target anchors and dictionary in, alignment out."""
HELD_OUT_SHARE = 0.1
"""Share of the dictionary's source words that chooses the round of refinement with ``selection = "held_out"``."""


def fit_alignment(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary | None = None,
    settings: MappingSettings | AlignmentMethod | None = None,
    seed: int = 1,
    guide: tuple[Anchors, Anchors] | None = None,
    report: Report | None = None,
) -> Alignment:
    """Find the alignment from the source's space to the target's, in one layer.

    Args:
        source_anchors: Anchors of the language to be mapped, most frequent first.
        target_anchors: Anchors of the same layer of the language to be mapped into.
        dictionary: Translations from source to target; roads that need none do without.
        settings: Which road to take, and how; or a function that is itself a road. Without it, Procrustes.
        seed: Every random choice follows from it.
        guide: Other anchors of the two languages, in which roads without a dictionary look for pairs.
        report: Told how a search goes.

    Raises:
        AlignmentError: The two do not fit together, or the dictionary does not suffice.
        NoAlignmentFound: A search without a dictionary came to nothing that can be believed.
        DictionaryError: The dictionary is for other languages.
    """
    settings = settings or ProcrustesSettings()
    check_like(source_anchors, target_anchors)
    match settings:
        case ProcrustesSettings():
            given = needed(dictionary, settings.method, source_anchors, target_anchors)
            return fit_procrustes(source_anchors, target_anchors, dictionary=given, settings=settings, seed=seed)
        case RCSLSSettings():
            given = needed(dictionary, settings.method, source_anchors, target_anchors)
            return _fit_rcsls(source_anchors, target_anchors, dictionary=given, settings=settings, seed=seed)
        case SelfLearningSettings() | AdversarialSettings():
            ours, theirs = guide or (source_anchors, target_anchors)
            induced = induce_dictionary(
                ours, theirs, dictionary=dictionary, settings=settings, seed=seed, report=report
            )
            return fit_induced(source_anchors, target_anchors, induced=induced, settings=settings)
        case _:
            return settings(source_anchors, target_anchors, dictionary)


def fit_procrustes(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary,
    settings: ProcrustesSettings,
    seed: int = 1,
    counts: Sequence[float] | None = None,
) -> Alignment:
    """Take road a, and b if asked: normalise, solve, refine, and gather what vectors in context need.

    Args:
        source_anchors: See `fit_alignment`.
        target_anchors: Likewise.
        dictionary: Likewise.
        settings: Likewise.
        seed: Likewise.
        counts: How much each pair of the dictionary counts, where a search found it with an eye to spelling, in which
            case the identity of letter groups counts for more (`LETTERS`); without them each counts 1. Neither
            refinement, which finds pairs of its own, nor held-out pairs know of them.
    """
    assert counts is None or (settings.refinements == 0 and settings.weighting != "held_out"), "see `counts`"
    pairs = dictionary.usable(source_anchors, target_anchors)
    check_pairs(pairs, source_anchors, target_anchors, dictionary=dictionary, too_few=settings.too_few_pairs)
    source = normalise(source_anchors, settings.normalisation)
    target = normalise(target_anchors, settings.normalisation)
    rows, columns = torch.tensor(pairs).unbind(dim=1)
    of_words, of_translations = source.rows(rows), target.rows(columns)
    counted_pairs: Float64[Tensor, " pairs"] | None = None
    if counts is not None:
        count_of: dict[tuple[int, int] | None, float] = {}
        for place, count in zip(dictionary.places(source_anchors, target_anchors), counts, strict=True):
            count_of.setdefault(place, count)
        counted_pairs = torch.tensor([count_of[pair] for pair in pairs], dtype=torch.float64, device=of_words.device)
        of_words, of_translations = counted(of_words, counted_pairs), counted(of_translations, counted_pairs)
    prior = chosen_prior(of_words, of_translations, rows, settings.prior, seed=seed)
    rotation = solve(of_words, of_translations, prior=prior)
    matrix, weighting = rotation.matrix, settings.weighting
    prior_pairs = settings.weighting_prior if rotation.prior > 0 else 0.0
    further: dict[str, Any] = {"meeting": settings.meeting, "prior_pairs": prior_pairs}
    if weighting != 0 and settings.spelling > 0:
        of_letters = settings.weighting_prior * (1.0 if counts is None else LETTERS)
        priors = {"of_vectors": prior_pairs, "of_letters": of_letters}
        further["prior_pairs"] = prior_beside_spelling(source, target, pairs, **priors)
    if weighting == "held_out":
        ours, theirs = (as_looked_up(side, spelling=settings.spelling) for side in (source, target))
        of_rotation = {"prior": prior, "spelling": ours.shape[1] - source_anchors.width}
        weighting = held_out_weighting(ours, theirs, pairs, folds=folds_of(rows, seed=seed), **of_rotation, **further)
    width = source_anchors.width
    if len(pairs) < width:
        logger.warning(
            "Alignment %s→%s, layer %d: %d pairs determine %d of %d directions; "
            "the others change as little as possible.",
            source_anchors.language,
            target_anchors.language,
            source_anchors.layer,
            len(pairs),
            rotation.rank,
            width,
        )
    details: dict[str, Any] = {
        "normalisation": settings.normalisation,
        "scale": settings.scale,
        "dictionary_pairs": len(dictionary),
        "usable_pairs": len(pairs),
        "determined_directions": rotation.rank,
        "identity_share": round(rotation.identity_share, 4),
        "prior": round(rotation.prior, 4),
    }
    used = torch.tensor(pairs)
    if settings.refinements:
        rounds, held = settings.refinements, {}
        if settings.selection == "held_out" and len({row for row, _ in pairs}) > 1:
            rounds, held = _best_round(source, target, pairs, prior=prior, settings=settings, seed=seed)
        refinement = refine(
            source.vectors.float(),  # neighbours need no more, and are found twice as fast
            target.vectors.float(),
            matrix=matrix,
            pairs=pairs,
            rounds=rounds,
            types=settings.refinement_types,
            neighbourhood=settings.neighbourhood,
            prior=prior,
        )
        if held:  # all pairs, for as many rounds as were best for those held out
            matrix, used, kept_round = refinement.last_matrix, refinement.last_pairs, rounds
        else:
            matrix, used, kept_round = refinement.matrix, refinement.pairs, refinement.kept_round
        details |= {
            "kept_round": kept_round,
            "pairs_by_round": list(refinement.pairs_by_round),
            "closeness_by_round": list(refinement.closeness_by_round),
            **held,
        }
    weightings: tuple[Tensor | None, Tensor | None] = (None, None)
    if weighting > 0:
        ours = as_looked_up(source, used[:, 0], spelling=settings.spelling)
        theirs = as_looked_up(target, used[:, 1], spelling=settings.spelling)
        weightings = symmetric_weighting(ours, theirs, exponent=weighting, counts=counted_pairs, **further)
        details |= {"weighting": weighting, "meeting": settings.meeting}
        details |= {"spelling": settings.spelling} if settings.spelling > 0 else {}
    return _alignment(
        source_anchors,
        target_anchors,
        source,
        target,
        matrix=matrix,
        settings=settings,
        weightings=weightings,
        spelling=settings.spelling if weighting > 0 else 0.0,
        details=details,
    )


def fit_induced(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    induced: Induced,
    settings: SelfLearningSettings | AdversarialSettings,
) -> Alignment:
    """Align one layer from a dictionary that was induced in it or in another space."""
    found = fit_procrustes(
        source_anchors,
        target_anchors,
        dictionary=induced.dictionary,
        settings=closed_form(settings),
        counts=induced.counts,
    )
    return found.told_as(settings.method, {**found.details, **induced.details})


def _fit_rcsls(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary,
    settings: RCSLSSettings,
    seed: int,
) -> Alignment:
    """Take road e."""
    from isogloss.mapping.rcsls import rcsls

    pairs = dictionary.usable(source_anchors, target_anchors)
    check_pairs(pairs, source_anchors, target_anchors, dictionary=dictionary, too_few=settings.too_few_pairs)
    source = normalise(source_anchors, settings.normalisation)
    target = normalise(target_anchors, settings.normalisation)
    generator = numpy_generator(seed, "rcsls", source_anchors.language, target_anchors.language)
    found = rcsls(source.vectors, target.vectors, pairs=pairs, settings=settings, generator=generator)
    details = {
        "normalisation": settings.normalisation,
        "scale": settings.scale,
        "dictionary_pairs": len(dictionary),
        "usable_pairs": len(pairs),
        "steps": found.steps,
        "held_out_precision": round(found.held_out_precisions[found.steps], 4),
    }
    return _alignment(
        source_anchors,
        target_anchors,
        source,
        target,
        matrix=found.matrix,
        settings=settings,
        details=details,
    )


def _best_round(
    source: NormalisedAnchors,
    target: NormalisedAnchors,
    pairs: Sequence[tuple[int, int]],
    *,
    prior: float | Literal["auto"],
    settings: ProcrustesSettings,
    seed: int,
) -> tuple[int, dict[str, Any]]:
    """Hold out some words of the dictionary, refine from the others, and return the round that translates them best."""
    words = list(dict.fromkeys(row for row, _ in pairs))
    order = numpy_generator(seed, "held-out pairs").permutation(len(words))
    aside = {words[index] for index in order[: max(1, round(HELD_OUT_SHARE * len(words)))]}
    fitted = [pair for pair in pairs if pair[0] not in aside]
    held_out = [pair for pair in pairs if pair[0] in aside]
    rows, columns = torch.tensor(fitted).unbind(dim=1)
    refinement = refine(
        source.vectors.float(),
        target.vectors.float(),
        matrix=solve(source.rows(rows), target.rows(columns), prior=prior).matrix,
        pairs=fitted,
        rounds=settings.refinements,
        types=settings.refinement_types,
        neighbourhood=settings.neighbourhood,
        held_out=held_out,
        prior=prior,
    )
    return refinement.kept_round, {"held_out_by_round": list(refinement.held_out_by_round)}


def _alignment(
    source_anchors: Anchors,
    target_anchors: Anchors,
    source: NormalisedAnchors,
    target: NormalisedAnchors,
    *,
    matrix: Float64[Tensor, "width width"],
    settings: ProcrustesSettings | RCSLSSettings,
    weightings: tuple[Tensor | None, Tensor | None] = (None, None),
    spelling: float = 0.0,
    details: Mapping[str, Any],
) -> Alignment:
    """Gather what vectors in context need: the matrix, lengths and centres, and weights for the look-up."""
    by_mean_norm = settings.scale == "mean_norm"
    target_scale = mean_norm_scale(target_anchors) if by_mean_norm else 1.0
    return Alignment(
        source=source_anchors.language,
        target=target_anchors.language,
        layer=source_anchors.layer,
        matrix=matrix,
        scale=mean_norm_scale(source_anchors) if by_mean_norm else 1.0,
        source_centre=source.centre,
        target_centre=None if target.centre is None else target_scale * target.centre,
        target_scale=target_scale,
        source_weighting=weightings[0],
        target_weighting=weightings[1],
        spelling=spelling,
        method=settings.method,
        details=details,
    )

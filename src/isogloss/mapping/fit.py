"""From two languages' anchors and a dictionary to an alignment: choose the road that the settings name."""

import logging
from collections.abc import Callable

import torch

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.normalisation import mean_norm_scale, normalise
from isogloss.mapping.procrustes import completed_procrustes, refine
from isogloss.mapping.settings import MappingSettings, ProcrustesSettings

logger = logging.getLogger(__name__)

AlignmentMethod = Callable[[Anchors, Anchors, BilingualDictionary], Alignment]
"""A road of one's own: source anchors, target anchors and dictionary in, alignment out."""

MINIMUM_PAIRS = 10
"""With fewer pairs a rotation says nothing, whatever the width; `fit_alignment` always refuses."""


def fit_alignment(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary,
    settings: MappingSettings | AlignmentMethod | None = None,
) -> Alignment:
    """Find the alignment from the source's space to the target's, in one layer.

    Args:
        source_anchors: Anchors of the language to be mapped, most frequent first.
        target_anchors: Anchors of the same layer of the language to be mapped into.
        dictionary: Translations from source to target.
        settings: Which road to take, and how; or a function that is itself a road. Without it, Procrustes.

    Raises:
        AlignmentError: The two do not fit together, or the dictionary does not suffice.
        DictionaryError: The dictionary is for other languages.
    """
    settings = settings or ProcrustesSettings()
    place = f"Alignment {source_anchors.language}→{target_anchors.language}"
    if source_anchors.layer != target_anchors.layer:
        raise AlignmentError(
            f"{place}: the anchors are of layers {source_anchors.layer} and {target_anchors.layer}. An "
            "alignment maps one layer to the same layer. Give anchors of one layer."
        )
    if source_anchors.width != target_anchors.width:
        raise AlignmentError(
            f"{place}: the anchors are {source_anchors.width} and {target_anchors.width} wide. A rotation "
            "keeps the width. Train both encoders with the same width."
        )
    if not isinstance(settings, ProcrustesSettings):
        return settings(source_anchors, target_anchors, dictionary)
    match settings.method:
        case "procrustes":
            return fit_procrustes(source_anchors, target_anchors, dictionary=dictionary, settings=settings)


def fit_procrustes(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary,
    settings: ProcrustesSettings,
) -> Alignment:
    """Take road 1: normalise, solve, refine if asked, and gather what vectors in context need."""
    pairs = dictionary.usable(source_anchors, target_anchors)
    _check_pairs(pairs, source_anchors, target_anchors, dictionary=dictionary, settings=settings)
    source = normalise(source_anchors, settings.normalisation)
    target = normalise(target_anchors, settings.normalisation)
    rows, columns = torch.tensor(pairs).unbind(dim=1)
    matrix, rank = completed_procrustes(source.vectors[rows], target.vectors[columns])
    width = source_anchors.width
    if len(pairs) < width:
        logger.warning(
            "Alignment %s→%s, layer %d: %d pairs determine %d of %d directions; "
            "the others change as little as possible.",
            source_anchors.language,
            target_anchors.language,
            source_anchors.layer,
            len(pairs),
            rank,
            width,
        )
    details = {
        "normalisation": settings.normalisation,
        "scale": settings.scale,
        "dictionary_pairs": len(dictionary),
        "usable_pairs": len(pairs),
        "determined_directions": rank,
    }
    if settings.refinements:
        refinement = refine(
            source.vectors.float(),  # neighbours need no more, and are found twice as fast
            target.vectors.float(),
            matrix=matrix,
            pairs=pairs,
            rounds=settings.refinements,
            types=settings.refinement_types,
            neighbourhood=settings.neighbourhood,
        )
        matrix = refinement.matrix
        details |= {
            "kept_round": refinement.kept_round,
            "pairs_by_round": list(refinement.pairs_by_round),
            "closeness_by_round": list(refinement.closeness_by_round),
        }
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
        method="procrustes",
        details=details,
    )


def _check_pairs(
    pairs: list[tuple[int, int]],
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary,
    settings: ProcrustesSettings,
) -> None:
    """Refuse a dictionary that does not suffice, and say why it does not."""
    place = f"Alignment {source_anchors.language}→{target_anchors.language}"
    width = source_anchors.width
    if len(pairs) < MINIMUM_PAIRS:
        sources = {word for word, _ in dictionary.pairs}
        targets = {word for _, word in dictionary.pairs}
        raise AlignmentError(
            f"{place} has {len(pairs)} usable dictionary pairs; at least {MINIMUM_PAIRS} are needed. The "
            f"dictionary has {len(dictionary)} pairs; {sum(word in source_anchors for word in sources)} of "
            f"{len(sources)} source words and {sum(word in target_anchors for word in targets)} of "
            f"{len(targets)} target words have anchors. Add pairs, lower min_count, gather anchors from more "
            "text, or check the languages of both."
        )
    if len(pairs) < width and settings.too_few_pairs == "error":
        raise AlignmentError(
            f"{place} has {len(pairs)} dictionary pairs; width {width} needs at least {width}. Add pairs, or "
            'use too_few_pairs = "complete".'
        )

"""What must hold before two languages' anchors can be aligned, and what is said where it does not."""

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.lexicon.senses import SenseAnchors
from isogloss.mapping.alignment import Alignment

MINIMUM_PAIRS = 10
"""With fewer pairs a rotation says nothing, whatever the width; every road refuses."""


def check_like(source_anchors: Anchors, target_anchors: Anchors) -> None:
    """Refuse anchors of two layers or widths.

    Raises:
        AlignmentError: They differ.
    """
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


def check_occurrences(
    alignment: Alignment,
    source: Anchors | SenseAnchors,
    target: Anchors | SenseAnchors,
    *,
    vectors: int,
    words: int,
) -> None:
    """Refuse words in context that do not go with the anchors among which they are looked up.

    Args:
        alignment: From source to target.
        source: Of the language of the occurrences.
        target: Of the language to translate into.
        vectors: How many were given.
        words: Likewise.

    Raises:
        AlignmentError: There is not one word per vector, or the languages or layers are others.
    """
    place = f"Translation in context {source.language}→{target.language}"
    found = (source.language, target.language, source.layer, target.layer)
    if found != (alignment.source, alignment.target, alignment.layer, alignment.layer):
        raise AlignmentError(
            f"{place}: the anchors are of layers {source.layer} and {target.layer}; the alignment {alignment.source}→"
            f"{alignment.target}, layer {alignment.layer}, needs its own languages and layer. Give the anchors from "
            "which it was found."
        )
    if words != vectors:
        raise AlignmentError(
            f"{place}: {vectors} vectors and {words} words were given. Every occurrence has one of both. Give equally "
            "many."
        )


def needed(
    dictionary: BilingualDictionary | None, method: str, source_anchors: Anchors, target_anchors: Anchors
) -> BilingualDictionary:
    """Return the dictionary, which this road cannot do without.

    Raises:
        AlignmentError: There is none.
    """
    if dictionary is None:
        instead = "a road without one: --method self-learning"
        if method.startswith("self-learning"):
            instead = "seed pairs of another kind: --seed-pairs"
        raise AlignmentError(
            f"Alignment {source_anchors.language}→{target_anchors.language}: {method} has no dictionary. It needs one. "
            f"Give a dictionary (--dictionary), or choose {instead}."
        )
    return dictionary


def check_pairs(
    pairs: list[tuple[int, int]],
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary,
    too_few: str,
) -> None:
    """Refuse a dictionary that does not suffice, and say why it does not.

    Raises:
        AlignmentError: It has too few pairs, or its columns are the wrong way round.
    """
    place = f"Alignment {source_anchors.language}→{target_anchors.language}"
    refuse_turned(len(pairs), source_anchors, target_anchors, dictionary=dictionary, place=place)
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
    if len(pairs) < width and too_few == "error":
        raise AlignmentError(
            f"{place} has {len(pairs)} dictionary pairs; width {width} needs at least {width}. Add pairs, or "
            'let the other directions change as little as possible (--few-pairs, or too_few_pairs = "complete").'
        )


def refuse_turned(
    usable: int, source_anchors: Anchors, target_anchors: Anchors, *, dictionary: BilingualDictionary, place: str
) -> None:
    """Refuse a dictionary of which more than twice as many pairs could be used with its columns turned round.

    Args:
        usable: Pairs of the dictionary, as it stands, whose words have anchors.
        source_anchors: Of the language that is mapped.
        target_anchors: Of the other one.
        dictionary: From the one to the other, or so it is said.
        place: The beginning of the message.

    Raises:
        AlignmentError: Its columns are the wrong way round.
    """
    if len(dictionary) <= 2 * usable:  # no more could be used turned round, and looking for absent words takes long
        return
    turned = sum(one in target_anchors and other in source_anchors for one, other in dictionary.pairs)
    if turned > 2 * usable:
        raise AlignmentError(
            f"{place}: {usable} of {len(dictionary)} dictionary pairs have anchors; turned round, {turned} would. "
            f"Expected words of {dictionary.source} first, then of {dictionary.target}. Give --turned, or leave it out "
            "if it was given."
        )

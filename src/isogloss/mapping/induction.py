"""A dictionary where nobody has given one: pairs found in one space of two languages, and whether to believe them.

Words are easiest to tell apart in one space, the *guide*: the layer without context, or static vectors of the same
text. From the pairs that were found there every layer is aligned in closed form, as from any dictionary.

Receives the guide's anchors and the settings of self-learning or of the adversarial game; hands on `Induced`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isogloss.errors import AlignmentError, NoAlignmentFound
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.checks import MINIMUM_PAIRS, check_like, check_pairs, needed
from isogloss.mapping.normalisation import normalise
from isogloss.mapping.procrustes import chosen_prior, completed_procrustes, refine
from isogloss.mapping.settings import AdversarialSettings, ProcrustesSettings, SelfLearningSettings

Report = Callable[[Mapping[str, float | int]], None]
"""Told facts of a search while it runs, such as its round and closeness."""


@dataclass(frozen=True)
class Induced:
    """A dictionary that was found, not given, and how."""

    dictionary: BilingualDictionary
    details: Mapping[str, Any]
    counts: tuple[float, ...] | None = None
    """How much each pair counts; without them all alike."""


def induce_dictionary(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    settings: SelfLearningSettings | AdversarialSettings,
    dictionary: BilingualDictionary | None = None,
    seed: int = 1,
    samples: tuple[Tensor, Tensor] | None = None,
    report: Report | None = None,
) -> Induced:
    """Find word pairs of two languages in one space, from a small seed or from nothing (roads c and d).

    Args:
        source_anchors: Anchors in which to look, most frequent first.
        target_anchors: Likewise.
        settings: Of self-learning or of the adversarial game.
        dictionary: For ``seed_pairs = "dictionary"``.
        seed: Every random choice follows from it.
        samples: Tokens in context of both languages, for the game to be played with.
        report: Told how it goes.

    Raises:
        NoAlignmentFound: What was found cannot be believed; the message says on what evidence.
        AlignmentError: There is no seed to begin with.
    """
    check_like(source_anchors, target_anchors)
    sides = normalise(source_anchors, settings.normalisation), normalise(target_anchors, settings.normalisation)
    source, target = sides[0].vectors, sides[1].vectors
    place = f"Alignment {source_anchors.language}→{target_anchors.language}, layer {source_anchors.layer}"
    if isinstance(settings, SelfLearningSettings):
        from isogloss.lexicon import seeds as seed_words
        from isogloss.mapping.self_learning import began_as_one, self_learn

        seeds = _seed_pairs(source_anchors, target_anchors, (source, target), dictionary=dictionary, settings=settings)

        def tell_round(number: int, closeness: float, shown: float) -> None:
            if report is not None:
                report({"round": number, "closeness": closeness, "shown": shown})

        learnt = self_learn(source, target, settings=settings, seed=seed, pairs=seeds, progress=tell_round)
        succeeded, diagnosis, pairs = learnt.succeeded, learnt.diagnosis, learnt.pairs
        if succeeded and settings.seed_pairs == "neighbours":
            alike = seed_words.alike_words(source_anchors, target_anchors).usable(source_anchors, target_anchors)
            succeeded, diagnosis = began_as_one(seeds, alike, settings=settings)
        facts: dict[str, Any] = {
            "seed_pairs": settings.seed_pairs,
            "seeds": len(seeds),
            "runs": len(learnt.runs),
            "agreement": round(learnt.agreement, 4),
            "closeness": round(learnt.closeness_by_round[-1], 4),
        }
        advice = (
            "Give a dictionary, other seed pairs (align: --seed-pairs), or anchors of a better model or of more text."
        )
    else:
        from isogloss.mapping.adversarial import adversarial

        def tell_epoch(done: int, total: int, found: Mapping[str, float | int]) -> None:
            if report is not None:
                report({"done": done, "total": total, **found})

        ours, theirs = samples or (None, None)
        played = adversarial(
            source,
            target,
            settings=settings,
            seed=seed,
            source_samples=ours,
            target_samples=theirs,
            progress=tell_epoch,
        )
        succeeded, diagnosis = played.succeeded, played.diagnosis
        facts = {"restarts": len(played.restarts), "kept_restart": played.kept_restart}
        advice = "Give a dictionary, or use self-learning (--method self-learning), which asks for less."
        pairs = torch.zeros(0, 2, dtype=torch.int64)
        if succeeded:
            pairs = refine(
                source.float(),
                target.float(),
                matrix=played.matrix,
                pairs=[],
                rounds=max(1, settings.refinements),
                types=settings.refinement_types,
                neighbourhood=settings.neighbourhood,
            ).last_pairs
    if succeeded and len(pairs) < MINIMUM_PAIRS:
        succeeded, diagnosis = False, f"{diagnosis} But only {len(pairs)} pairs of words are each other's nearest."
    if not succeeded:
        raise NoAlignmentFound(f"{place}: {diagnosis} Expected evidence for one alignment. {advice}")
    counts: tuple[float, ...] | None = None
    if isinstance(settings, SelfLearningSettings) and settings.spelling > 0 and settings.weighting > 0:
        from isogloss.mapping.spelling_rounds import seen_with_spelling

        seen = seen_with_spelling(*sides, pairs, settings=closed_form(settings), types=settings.final_types)
        pairs, counts = seen.pairs, tuple(seen.counts.tolist())
    words = tuple((source_anchors.words[row], target_anchors.words[column]) for row, column in pairs.tolist())
    found = BilingualDictionary(source=source_anchors.language, target=target_anchors.language, pairs=words)
    return Induced(found, facts | {"induced_pairs": len(words), "diagnosis": diagnosis}, counts)


def closed_form(settings: SelfLearningSettings | AdversarialSettings) -> ProcrustesSettings:
    """Return the settings by which layers are aligned from the pairs that a search found."""
    looked_up_by: dict[str, Any] = {"weighting": 0.0}  # the adversarial road looks up by its rotation
    if isinstance(settings, SelfLearningSettings):
        looked_up_by = {
            "weighting": settings.weighting,
            "meeting": settings.meeting,
            "spelling": settings.spelling,
            "neighbourhood": settings.neighbourhood,
        }
    return ProcrustesSettings(
        normalisation=settings.normalisation,
        scale=settings.scale,
        **looked_up_by,
        prior=settings.prior,
        too_few_pairs="complete",
    )


def _seed_pairs(
    source_anchors: Anchors,
    target_anchors: Anchors,
    normalised: tuple[Tensor, Tensor],
    *,
    dictionary: BilingualDictionary | None,
    settings: SelfLearningSettings,
) -> Sequence[tuple[int, int]]:
    """Return the pairs that self-learning begins with, as rows; none if it begins with the shape of the spaces."""
    from isogloss.lexicon import seeds
    from isogloss.mapping.self_learning import near_already

    found = None
    match settings.seed_pairs:
        case "none":
            return []
        case "neighbours":
            pairs = near_already(*normalised, settings=settings)
        case "dictionary":
            found = needed(dictionary, "self-learning from a dictionary", source_anchors, target_anchors)
        case "identical":
            found = seeds.alike_words(source_anchors, target_anchors)
        case "numerals":
            found = seeds.numerals(source_anchors, target_anchors)
        case "cognates":
            found = seeds.cognates(source_anchors, target_anchors)
    if found is not None:
        pairs = found.usable(source_anchors, target_anchors)
    if len(pairs) < 2 * MINIMUM_PAIRS:
        raise AlignmentError(
            f"Alignment {source_anchors.language}→{target_anchors.language}: {len(pairs)} seed pairs "
            f"({settings.seed_pairs}) have anchors. Self-learning halves them and needs at least {2 * MINIMUM_PAIRS}. "
            "Choose other seed pairs (align: --seed-pairs): identical, numerals, cognates, neighbours, a dictionary, "
            "or none."
        )
    return pairs


def grow_dictionary(
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    dictionary: BilingualDictionary | None,
    settings: ProcrustesSettings,
) -> BilingualDictionary:
    """Add to a dictionary the pairs that it leads to in other vectors of the same languages (road g).

    Static vectors of the same text often translate better than the anchors of a hurried model. What they find in
    rounds of refinement, pairs that are each other's nearest, then serves the anchors as a dictionary.

    Args:
        source_anchors: The other vectors.
        target_anchors: Likewise.
        dictionary: To begin with; without one, words spelt alike.
        settings: Normalisation and refinement; at least one round is taken.
    """
    from isogloss.lexicon.seeds import alike_words

    check_like(source_anchors, target_anchors)
    known = dictionary if dictionary is not None else alike_words(source_anchors, target_anchors)
    pairs = known.usable(source_anchors, target_anchors)
    check_pairs(pairs, source_anchors, target_anchors, dictionary=known, too_few="complete")
    source = normalise(source_anchors, settings.normalisation).vectors.float()
    target = normalise(target_anchors, settings.normalisation).vectors.float()
    rows, columns = torch.tensor(pairs).unbind(dim=1)
    prior = chosen_prior(source[rows], target[columns], rows, settings.prior, seed=1)
    refinement = refine(
        source,
        target,
        matrix=completed_procrustes(source[rows], target[columns], prior=prior)[0],
        prior=prior,
        pairs=pairs,
        rounds=max(1, settings.refinements),
        types=settings.refinement_types,
        neighbourhood=settings.neighbourhood,
    )
    found = [
        (source_anchors.words[row], target_anchors.words[column]) for row, column in refinement.last_pairs.tolist()
    ]
    every = tuple(dict.fromkeys([*known.pairs, *found]))
    return BilingualDictionary(source=known.source, target=known.target, pairs=every)

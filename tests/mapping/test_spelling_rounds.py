"""Pairs of a search, found once more with an eye to spelling: more of them right, and the right ones count for more."""

import pytest
import torch

from isogloss.compute.interruption import stop_requested
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping import spelling_rounds
from isogloss.mapping.fit import fit_induced, fit_procrustes
from isogloss.mapping.induction import Induced, closed_form
from isogloss.mapping.normalisation import normalise
from isogloss.mapping.settings import AdversarialSettings, SelfLearningSettings
from isogloss.mapping.spelling_rounds import POWER, seen_with_spelling
from isogloss.mapping.weighting import symmetric_weighting

TYPES, WIDTH = 600, 24
SETTINGS = closed_form(SelfLearningSettings(spelling=0.7, neighbourhood=5))


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def languages(*, noise: float = 1.0, kindred: bool = True) -> tuple[Anchors, Anchors]:
    """Two languages in which row means row; the second is spelt as the first but for some letters, or by lot."""
    syllables = [first + middle for first in "bdfgklmnprst" for middle in "aeiou"]
    drawn = torch.randint(len(syllables), (TYPES, 3), generator=torch.Generator().manual_seed(5)).tolist()
    ours = [f"{''.join(syllables[place] for place in places)}{row % 7}" for row, places in enumerate(drawn)]
    theirs = [word.translate(str.maketrans("bdgaou", "ptkeua")) for word in ours]
    if not kindred:
        order = torch.randperm(TYPES, generator=torch.Generator().manual_seed(6)).tolist()
        theirs = [theirs[place] for place in order]
    assert len(set(ours)) == len(set(theirs)) == TYPES
    meanings = normal(1, TYPES, WIDTH)
    rotation = torch.linalg.qr(normal(2, WIDTH, WIDTH)).Q
    return (
        Anchors.of_vectors(ours, meanings, language="gl"),
        Anchors.of_vectors(theirs, (meanings + noise * normal(3, TYPES, WIDTH)) @ rotation, language="es"),
    )


def half_right() -> torch.Tensor:
    """Pairs of which every second is right, as a search leaves them."""
    rows = torch.arange(TYPES)
    shuffled = torch.randperm(TYPES // 2, generator=torch.Generator().manual_seed(4))
    return torch.stack([rows, torch.cat([rows[: TYPES // 2], TYPES // 2 + shuffled])], dim=1)


def share_right(pairs: torch.Tensor) -> float:
    return float((pairs[:, 0] == pairs[:, 1]).double().mean())


def seen(one: Anchors, two: Anchors, **changes):
    settings = SETTINGS.model_copy(update=changes.pop("settings", {}))
    sides = normalise(one, settings.normalisation), normalise(two, settings.normalisation)
    return seen_with_spelling(*sides, half_right(), settings=settings, types=changes.get("types", TYPES))


def test_more_pairs_are_right_and_those_count_for_more():
    found = seen(*languages(noise=2.0))
    right = found.pairs[:, 0] == found.pairs[:, 1]
    assert share_right(found.pairs) > 0.9 > share_right(half_right()) + 0.3
    assert len(found.pairs) > TYPES / 3
    assert found.counts[right].mean() > 1.2 * found.counts[~right].mean()
    assert float((found.counts ** (1 / POWER)).mean()) == pytest.approx(1), "a pair of mean cosine counts 1"


def test_where_words_are_not_kindred_vectors_keep_their_say():
    """Spelling that means nothing must not push right pairs out."""
    unlike = seen(*languages(noise=1.0, kindred=False))
    blind = seen(*languages(noise=1.0, kindred=False), settings={"spelling": 1e-6})
    assert share_right(blind.pairs) > 0.9 > share_right(half_right())
    assert share_right(unlike.pairs) > share_right(blind.pairs) - 0.05


def test_only_frequent_words_pair_up():
    found = seen(*languages(), types=TYPES)
    assert int(found.pairs.max()) > 400
    sides = [normalise(each, "unit_centre_unit") for each in languages()]
    few = seen_with_spelling(*sides, half_right()[:300], settings=SETTINGS, types=300)
    assert int(few.pairs.max()) < 300


def test_vectors_that_say_nothing_leave_the_pairs_as_they_were():
    one, two = languages()
    flat = Anchors.of_vectors(two.words, torch.cat([two.vectors[:1], torch.zeros(TYPES - 1, WIDTH)]), language="es")
    sides = [normalise(each, "unit") for each in (one, flat)]
    pairs = half_right()[:2]
    found = seen_with_spelling(*sides, pairs, settings=SETTINGS, types=TYPES)
    assert torch.equal(found.pairs, pairs)
    assert found.counts.tolist() == [1.0, 1.0]


def test_what_a_pair_counts_vectors_alone_say(monkeypatch):
    """The counts of one round, found slowly; and spelling, however much it weighs, has no say in them."""
    monkeypatch.setattr(spelling_rounds, "ROUNDS", 1)
    one, two = languages(noise=2.0)
    found = seen(one, two, settings={"spelling": 3.0})
    X, Y = (normalise(each, SETTINGS.normalisation).vectors for each in (one, two))
    known = half_right()
    A, B = symmetric_weighting(
        X[known[:, 0]], Y[known[:, 1]], exponent=SETTINGS.weighting, meeting=SETTINGS.meeting, prior_pairs=0.0
    )
    cosines = [
        float(torch.dot(X[row] @ A, Y[column] @ B) / ((X[row] @ A).norm() * (Y[column] @ B).norm()))
        for row, column in found.pairs.tolist()
    ]
    assert min(cosines) > 0, "pairs that point away from one another are left out"
    mean = sum(cosines) / len(cosines)
    assert found.counts.tolist() == pytest.approx([(cosine / mean) ** 4 for cosine in cosines])


def test_rounds_can_be_stopped():
    stop_requested.ask()
    try:
        with pytest.raises(KeyboardInterrupt):
            seen(*languages())
    finally:
        stop_requested.clear()


def test_counts_reach_the_map_whatever_pairs_the_layer_lacks():
    """Pairs that count for nothing are as if they were not there; words that a layer lacks take their counts along."""
    one, two = languages(noise=0.1)
    names = [(one.words[row], two.words[column]) for row, column in half_right().tolist()]
    pairs = BilingualDictionary("gl", "es", (("absent", two.words[0]), *names))
    settings = SelfLearningSettings(prior=0.0)
    counts = (5.0, *(1.0 if one.words.index(a) == two.words.index(b) else 1e-12 for a, b in names))
    known = BilingualDictionary(
        "gl", "es", tuple(pair for pair, count in zip(pairs.pairs, counts, strict=True) if count == 1)
    )
    counted = fit_induced(one, two, induced=Induced(pairs, {}, counts), settings=settings)
    alone = fit_induced(one, two, induced=Induced(known, {}), settings=settings)
    assert torch.allclose(counted.matrix, alone.matrix, atol=1e-6)
    assert torch.allclose(counted.source_weighting, alone.source_weighting, atol=1e-6)
    without = fit_induced(one, two, induced=Induced(pairs, {}), settings=settings)
    assert not torch.allclose(without.matrix, alone.matrix, atol=1e-2)


def test_counts_go_with_no_refinement():
    one, two = languages()
    pairs = BilingualDictionary("gl", "es", ((one.words[0], two.words[0]),) * 1)
    with pytest.raises(AssertionError, match=r"see `counts`"):
        fit_procrustes(
            one, two, dictionary=pairs, settings=SETTINGS.model_copy(update={"refinements": 1}), counts=[1.0]
        )


def test_the_adversarial_road_looks_up_by_its_rotation():
    assert closed_form(AdversarialSettings()).weighting == 0
    assert closed_form(SelfLearningSettings(spelling=0.7, neighbourhood=5)).neighbourhood == 5

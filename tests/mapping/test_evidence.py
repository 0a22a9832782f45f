"""What speaks for an alignment: words that had no part in it, and how near words come to their neighbours."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.evidence import LEAST_TESTED, closeness, withheld_precision, withhold
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.one_space import in_one_space
from isogloss.mapping.settings import ProcrustesSettings

WIDTH, TYPES = 8, 300
ROAD = ProcrustesSettings(prior=0.0)


def planted(noise: float = 0.0):
    """Two languages whose spaces are one, turned round; word number i means word number i."""
    generator = torch.Generator().manual_seed(1)
    ours = torch.randn(TYPES, WIDTH, generator=generator, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64))
    theirs = ours @ turn + noise * torch.randn(TYPES, WIDTH, generator=generator, dtype=torch.float64)
    source = Anchors.of_vectors([f"s{number}" for number in range(TYPES)], ours.float(), language="xx", layer=1)
    target = Anchors.of_vectors([f"t{number}" for number in range(TYPES)], theirs.float(), language="en", layer=1)
    return source, target


def dictionary_of(numbers, shift: int = 0) -> BilingualDictionary:
    pairs = tuple((f"s{number}", f"t{(number + shift) % TYPES}") for number in numbers)
    return BilingualDictionary("xx", "en", pairs)


def fitting(source, target):
    return lambda part: fit_alignment(source, target, dictionary=part, settings=ROAD)


def test_a_planted_rotation_is_believed_entirely():
    source, target = planted()
    learned, withheld = withhold(dictionary_of(range(TYPES)), seed=1)
    alignment = fitting(source, target)(learned)
    found = withheld_precision(alignment, source, target, withheld)
    assert found is not None
    assert (found.tested_words, found.precision(1), found.precision(5)) == (50, 1.0, 1.0)
    assert closeness(alignment, source, target) == pytest.approx(1.0, abs=1e-5)


def test_a_wrong_dictionary_speaks_against_itself_even_where_vectors_were_trained_to_lie_at_its_translations():
    source, target = planted()
    shuffled = torch.randperm(TYPES, generator=torch.Generator().manual_seed(2)).tolist()
    wrong = BilingualDictionary("xx", "en", tuple((f"s{n}", f"t{other}") for n, other in enumerate(shuffled)))
    learned, withheld = withhold(wrong, seed=1)
    vectors = source.vectors.clone()
    for row, column in learned.usable(source, target):
        vectors[row] = target.vectors[column]
    trained = Anchors.of_vectors(source.words, vectors, language="xx", layer=1)
    alignment = fitting(trained, target)(learned)
    found, taught = (withheld_precision(alignment, trained, target, part) for part in (withheld, learned))
    assert found is not None
    assert taught is not None
    assert taught.precision(5) == 1.0
    assert found.precision(5) <= 0.08, "by chance 5 words in 300 have their partner among the five nearest"


def test_too_few_words_that_can_be_looked_up_tell_nothing():
    source, target = planted()
    alignment = fitting(source, target)(dictionary_of(range(100)))
    few = tuple((f"s{number}", f"t{number}") for number in range(100, 99 + LEAST_TESTED))
    rare = tuple((f"rare{number}", f"t{number}") for number in range(100))
    assert withheld_precision(alignment, source, target, BilingualDictionary("xx", "en", few + rare)) is None
    enough = (*few, *rare, ("s200", "t200"))
    assert withheld_precision(alignment, source, target, BilingualDictionary("xx", "en", enough)) is not None


@given(words=st.integers(250, 1200), seed=st.integers(0, 20))
@settings(max_examples=20)
def test_a_tenth_but_fifty_words_at_least_are_withheld_with_all_their_translations_in_any_case(words, seed):
    pairs = [(f"w{number}", f"t{number}") for number in range(words)]
    pairs += [(f"W{number}", f"u{number}") for number in range(0, words, 3)]
    whole = BilingualDictionary("xx", "en", tuple(pairs))
    learned, withheld = withhold(whole, seed=seed)
    ours, theirs = ({word.lower() for word, _ in part.pairs} for part in (learned, withheld))
    assert len(theirs) == max(50, round(words / 10))
    assert not ours & theirs
    assert sorted(learned.pairs + withheld.pairs) == sorted(pairs)
    assert withhold(whole, seed=seed) == (learned, withheld)


def test_of_fewer_than_250_words_all_are_learned_from():
    small = BilingualDictionary("xx", "en", tuple((f"w{number}", f"t{number}") for number in range(249)))
    learned, withheld = withhold(small, seed=1)
    assert learned == small
    assert len(withheld) == 0


def test_closeness_is_the_mean_cosine_to_the_csls_neighbours():
    source, target = planted(noise=0.4)
    alignment = fitting(source, target)(dictionary_of(range(60)))
    ours, theirs = (torch.nn.functional.normalize(side, dim=1) for side in in_one_space(alignment, source, target))
    cosines = ours @ theirs.T
    csls = 2 * cosines - cosines.topk(10, dim=1).values.mean(1)[:, None] - cosines.topk(10, dim=0).values.mean(0)
    expected = cosines[torch.arange(50), csls[:50].argmax(dim=1)].mean()
    assert closeness(alignment, source, target, types=50) == pytest.approx(float(expected), abs=1e-5)


def test_closeness_leaves_out_words_that_were_led_to_their_neighbours():
    source, target = planted()
    away = source.vectors.clone()
    away[:100] = torch.randn(100, WIDTH, generator=torch.Generator().manual_seed(3))
    mixed = Anchors.of_vectors(source.words, away, language="xx", layer=1)
    alignment = fitting(source, target)(dictionary_of(range(TYPES)))
    led = [f"S{number}" for number in range(100, TYPES)]
    found = closeness(alignment, mixed, target, but=led)
    assert found is not None
    assert found == pytest.approx(closeness(alignment, mixed, target, types=100), abs=1e-6)
    assert found < 0.99
    assert closeness(alignment, mixed, target, but=source.words) is None

"""What speaks for an alignment: a right dictionary speaks for itself, a shuffled one against itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.evidence import closeness, cross_validate, halves_alike
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.retrieval import in_one_space, translation_precision
from isogloss.mapping.settings import ProcrustesSettings

WIDTH, TYPES = 8, 120
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
    pairs, fit = dictionary_of(range(60)), fitting(source, target)
    found = cross_validate(fit, source, target, pairs, seed=1)
    assert (found.tested_words, found.precision(1), found.precision(5)) == (60, 1.0, 1.0)
    assert halves_alike(fit, source, target, pairs, seed=1) == 1.0
    assert closeness(fit(pairs), source, target) == pytest.approx(1.0, abs=1e-5)


def test_a_wrong_dictionary_speaks_against_itself():
    source, target = planted()
    generator = torch.Generator().manual_seed(2)
    shuffled = torch.randperm(TYPES, generator=generator).tolist()
    wrong = BilingualDictionary("xx", "en", tuple((f"s{n}", f"t{other}") for n, other in enumerate(shuffled)))
    fit = fitting(source, target)
    # By chance one word in 120 finds its partner, five in 120 among the five nearest.
    assert cross_validate(fit, source, target, wrong, seed=1).precision(5) < 0.15
    assert halves_alike(fit, source, target, wrong, seed=1) < 0.5
    assert closeness(fit(wrong), source, target) < closeness(fit(dictionary_of(range(TYPES))), source, target)


def test_every_word_is_aside_once_and_its_map_has_not_seen_it():
    source, target = planted(noise=0.6)
    pairs = BilingualDictionary("xx", "en", (*dictionary_of(range(30)).pairs, ("s3", "t77"), ("nowhere", "t1")))
    aside, total = [], 0
    hits = {1: 0, 5: 0}

    def fit(part: BilingualDictionary) -> Alignment:
        nonlocal total
        left = {f"s{number}" for number in range(30)} - {word for word, _ in part.pairs}
        aside.append(left)
        alignment = fit_alignment(source, target, dictionary=part, settings=ROAD)
        # The slow way: look each word up by itself.
        rest = tuple(pair for pair in pairs.pairs if pair[0] in left)
        found = translation_precision(alignment, source, target, BilingualDictionary("xx", "en", rest), at=(1, 5))
        total += found.tested_words
        for k in hits:
            hits[k] += found.hits[k]
        return alignment

    found = cross_validate(fit, source, target, pairs, folds=10, seed=1)
    assert sorted(word for left in aside for word in left) == sorted(f"s{number}" for number in range(30))
    assert (found.tested_words, dict(found.hits)) == (total, hits)


def test_closeness_is_the_mean_cosine_to_the_csls_neighbours():
    source, target = planted(noise=0.4)
    alignment = fitting(source, target)(dictionary_of(range(60)))
    ours, theirs = (torch.nn.functional.normalize(side, dim=1) for side in in_one_space(alignment, source, target))
    cosines = ours @ theirs.T
    csls = 2 * cosines - cosines.topk(10, dim=1).values.mean(1)[:, None] - cosines.topk(10, dim=0).values.mean(0)
    expected = cosines[torch.arange(50), csls[:50].argmax(dim=1)].mean()
    assert closeness(alignment, source, target, types=50) == pytest.approx(float(expected), abs=1e-5)


@given(folds=st.integers(2, 12), seed=st.integers(0, 20))
@settings(max_examples=20)
def test_so_many_maps_are_found_as_there_are_parts(folds, seed):
    source, target = planted()
    seen = []
    fit = fitting(source, target)
    cross_validate(
        lambda part: seen.append(part) or fit(part), source, target, dictionary_of(range(40)), folds=folds, seed=seed
    )
    assert len(seen) == folds
    assert all(40 - -(-40 // folds) <= len(part) <= 40 - 40 // folds for part in seen)


def test_too_few_words_to_divide_are_refused():
    source, target = planted()
    with pytest.raises(
        AlignmentError, match=r"Dictionary xx→en: 4 of its words have anchors on both sides\. Expected 10"
    ):
        cross_validate(fitting(source, target), source, target, dictionary_of(range(4)), seed=1)

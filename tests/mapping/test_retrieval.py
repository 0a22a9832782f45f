"""Neighbours and precision, against a slow second implementation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.fit import fit_procrustes
from isogloss.mapping.normalisation import normalise
from isogloss.mapping.one_space import in_one_space
from isogloss.mapping.retrieval import (
    BLOCK,
    BLOCKS_A_NUMBER,
    TranslationScores,
    _largest,
    nearest,
    nearest_both_ways,
    translation_precision,
)
from isogloss.mapping.settings import ProcrustesSettings
from isogloss.mapping.weighting import symmetric_weighting


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(one: list[float], two: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, two, strict=True))
    return product / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in two))


def mean_of_largest(values: list[float], count: int) -> float:
    largest = sorted(values, reverse=True)[:count]
    return sum(largest) / len(largest)


def slow_csls(queries, targets, background, neighbourhood: int) -> list[list[float]]:
    """CSLS as its equation stands, one number at a time."""
    crowding = [mean_of_largest([cosine(x, y) for x in background], neighbourhood) for y in targets]
    own = [mean_of_largest([cosine(x, y) for y in targets], neighbourhood) for x in queries]
    return [
        [2 * cosine(x, y) - own[row] - crowding[column] for column, y in enumerate(targets)]
        for row, x in enumerate(queries)
    ]


def test_csls_worked_by_hand():
    # The hub (1, 0) is the cosine neighbour of both queries, at 0.8 and 1; its other neighbours stay behind.
    queries = torch.tensor([[0.8, 0.6], [1.0, 0.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    indices, scores = nearest(queries, targets, k=2, neighbourhood=2)
    # cos: 0.8, 0.96 / 1, 0.6. r_T: 0.88, 0.8. r_S: 0.9, 0.78.
    assert indices.tolist() == [[1, 0], [0, 1]]
    assert scores.tolist() == [pytest.approx([1.92 - 1.66, 1.6 - 1.78]), pytest.approx([2 - 1.7, 1.2 - 1.58])]


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 9), st.integers(1, 4), st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_csls_agrees_with_its_equation(seed, rows, columns, neighbourhood, chunk):
    queries, targets, background = normal(seed, rows, 3), normal(seed + 1, columns, 3), normal(seed + 2, 6, 3)
    indices, scores = nearest(queries, targets, k=3, background=background, neighbourhood=neighbourhood, chunk=chunk)
    expected = slow_csls(queries.tolist(), targets.tolist(), background.tolist(), neighbourhood)
    for row in range(rows):
        best = sorted(range(columns), key=lambda column: -expected[row][column])[:3]
        assert indices[row].tolist() == best
        assert scores[row].tolist() == pytest.approx([expected[row][column] for column in best])


def test_without_background_the_queries_are_their_own():
    queries, targets = normal(1, 6, 3), normal(2, 7, 3)
    assert torch.equal(nearest(queries, targets, k=2)[1], nearest(queries, targets, k=2, background=queries)[1])


@given(st.integers(0, 10_000), st.floats(0.1, 10))
@settings(deadline=None, max_examples=25)
def test_neither_length_nor_rotation_nor_chunks_change_neighbours(seed, length):
    queries, targets = normal(seed, 5, 4), normal(seed + 1, 8, 4)
    turn = torch.linalg.qr(normal(seed + 2, 4, 4)).Q
    one = nearest(queries, targets, k=3)[1]
    assert torch.allclose(one, nearest(length * queries @ turn, targets @ turn, k=3, chunk=2)[1], atol=1e-9)


def test_cosine_neighbours_are_plain():
    queries, targets = torch.tensor([[1.0, 0.1]]), torch.tensor([[0.0, 5.0], [3.0, 0.0], [1.0, 1.0]])
    assert nearest(queries, targets, k=3, metric="cosine")[0].tolist() == [[1, 2, 0]]


def test_there_are_no_more_neighbours_than_targets_and_none_for_no_query():
    assert nearest(normal(1, 3, 2), normal(2, 2, 2), k=5)[0].shape == (3, 2)
    assert nearest(normal(1, 0, 2), normal(2, 2, 2), k=1, background=normal(3, 4, 2))[0].shape == (0, 1)


def test_zero_vectors_are_far_from_everything():
    _, scores = nearest(torch.zeros(1, 2), torch.ones(2, 2), k=1, metric="cosine")
    assert scores.tolist() == [[0.0]]


SOURCE = Anchors.of_vectors(
    ["dog", "cat", "house", "of"], torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]), language="en"
)
TARGET = Anchors.of_vectors(
    ["gato", "perro", "casa", "de"], torch.tensor([[0.1, 1.0], [0.6, 0.8], [-1, 0], [0, -1]]), language="es"
)


def test_precision_worked_by_hand():
    dictionary = BilingualDictionary(
        "en",
        "es",
        (
            ("dog", "can"),
            ("dog", "perro"),
            ("cat", "perro"),
            ("house", "casa"),
            ("of", "von"),
            ("tree", "casa"),
        ),
    )
    scores = translation_precision(SOURCE.vectors, SOURCE, TARGET, dictionary, at=(1, 2), metric="cosine")
    # "tree" has no anchor, "of" no translation with one; "cat" finds gato first, perro second.
    assert (scores.dictionary_words, scores.found_words, scores.tested_words) == (5, 4, 3)
    assert scores.hits == {1: 2, 2: 3}
    assert scores.precision(1) == pytest.approx(2 / 3)
    assert scores.coverage == pytest.approx(3 / 5)
    assert scores.scope == "en→es, layer 0, cosine"


def test_precision_counts_any_translation_as_right():
    pairs = (("cat", "perro"), ("cat", "gato"))
    scores = translation_precision(
        SOURCE.vectors, SOURCE, TARGET, BilingualDictionary("en", "es", pairs), at=(1,), metric="cosine"
    )
    assert scores.hits == {1: 1}


def test_spellings_with_anchors_of_their_own_are_words_of_their_own():
    source = Anchors.of_vectors(["Bank", "bank", "x"], normal(1, 3, 4), language="de")
    target = Anchors.of_vectors(["bank", "bench", "x"], normal(2, 3, 4), language="en")
    pairs = (("Bank", "bank"), ("bank", "bench"), ("X", "x"), ("x", "x"), ("Ufer", "shore"), ("ufer", "shore"))
    scores = translation_precision(source.vectors, source, target, BilingualDictionary("de", "en", pairs))
    assert (scores.dictionary_words, scores.found_words, scores.tested_words) == (4, 3, 3)
    assert scores.coverage == pytest.approx(3 / 4)


spellings = st.text("aAbBİIıi", min_size=1, max_size=2)


@given(st.lists(spellings, min_size=1, unique=True), st.lists(spellings, min_size=1, unique=True))
@settings(max_examples=50)
def test_coverage_is_a_share(anchored, asked):
    source = Anchors.of_vectors(anchored, torch.ones(len(anchored), 2), language="de")
    target = Anchors.of_vectors(["x"], torch.ones(1, 2), language="en")
    pairs = tuple((word, "x") for word in [*asked, anchored[0]])
    scores = translation_precision(source.vectors, source, target, BilingualDictionary("de", "en", pairs))
    assert 0 < scores.coverage <= 1
    assert scores.tested_words <= scores.found_words <= scores.dictionary_words


def planted(seed: int, *, offset: float) -> tuple[Anchors, Anchors, Alignment, BilingualDictionary]:
    """Two languages of which the second is the first, turned, moved and doubled."""
    source, turn = normal(seed, 30, 6).float(), torch.linalg.qr(normal(seed + 1, 6, 6)).Q
    centre = torch.full((6,), offset, dtype=torch.float64)
    alignment = Alignment("en", "es", 0, turn, scale=2.0, target_centre=centre)
    words = [str(number) for number in range(30)]
    return (
        Anchors.of_vectors(words, source, language="en"),
        Anchors.of_vectors(words, alignment.apply(source), language="es"),
        alignment,
        BilingualDictionary("en", "es", tuple((word, word) for word in words[:20])),
    )


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_right_alignment_scores_one_even_far_from_the_origin(offset):
    source, target, alignment, dictionary = planted(1, offset=offset)
    scores = translation_precision(alignment, source, target, dictionary)
    assert [scores.precision(k) for k in (1, 5, 10)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("metric", ["csls", "cosine"])
def test_more_neighbours_never_find_fewer(metric):
    source, target, _, dictionary = planted(1, offset=0.0)
    scores = translation_precision(source.vectors, source, target, dictionary, at=(1, 2, 5, 30), metric=metric)
    assert sorted(scores.hits.values()) == list(scores.hits.values())
    assert scores.precision(30) == 1.0


def test_a_dictionary_without_known_pairs_is_refused():
    dictionary = BilingualDictionary("en", "es", (("dog", "can"), ("tree", "casa")))
    with pytest.raises(AlignmentError, match=r"en→es, layer 0: of 2 dictionary pairs 1 source words have anchors"):
        translation_precision(SOURCE.vectors, SOURCE, TARGET, dictionary)


counts = st.integers(0, 1000)
scores = st.builds(
    lambda scope, words, tested, hits: (scope, words + tested, tested, hits),
    st.sampled_from(["en→es", "en→pt"]),
    counts,
    counts,
    counts,
)


def scores_of(values: tuple[str, int, int, int]) -> TranslationScores:
    scope, dictionary_words, tested, hits = values
    return TranslationScores(scope, dictionary_words, tested, tested, {1: min(hits, tested)})


@given(scores, scores, scores)
def test_scores_add_up_in_any_order(first, second, third):
    a, b, c = scores_of(first), scores_of(second), scores_of(third)
    assert (a + b) + c == a + (b + c) == c + b + a
    assert (a + b).tested_words == a.tested_words + b.tested_words


def test_scopes_of_a_sum_are_named_once():
    a, b = scores_of(("en→es", 5, 3, 2)), scores_of(("en→pt", 5, 3, 2))
    assert (b + a + b).scope == "en→es; en→pt"


def test_the_bootstrap_agrees_with_drawing_words():
    score = TranslationScores("en→es", 400, 400, 400, {1: 120})
    low, high = score.interval(1, np.random.default_rng(1))
    words = np.repeat([1.0, 0.0], [120, 280])
    generator = np.random.default_rng(2)
    means = [generator.choice(words, size=400).mean() for _ in range(2000)]
    # Both are quantiles of random draws; they agree within a standard error or so of the quantile.
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)
    assert low < 0.3 < high


def test_the_same_seed_gives_the_same_interval():
    score = TranslationScores("en→es", 400, 400, 400, {1: 120})
    assert score.interval(1, np.random.default_rng(1)) == score.interval(1, np.random.default_rng(1))


def test_no_tested_word_gives_no_number():
    empty = TranslationScores("en→es", 0, 0, 0, {1: 0})
    assert math.isnan(empty.precision(1)) and math.isnan(empty.coverage)
    assert all(math.isnan(bound) for bound in empty.interval(1, np.random.default_rng(1)))


# In both directions (one vector alone is equally near to all under CSLS, so there are two at least)


@given(
    st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 40), st.integers(1, 4), st.integers(1, 12),
    st.integers(1, 15), st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_both_ways_is_two_searches(seed, sources, targets, k, neighbourhood, chunk, held):
    ours, theirs = normal(seed, sources, 4), normal(seed + 1, targets, 4)
    found = nearest_both_ways(
        ours, theirs, k=k, neighbourhood=neighbourhood, chunk=chunk, held=sources * targets if held else 0
    )
    forward, forward_scores = nearest(ours, theirs, k=k, neighbourhood=neighbourhood)
    backward, backward_scores = nearest(theirs, ours, k=k, neighbourhood=neighbourhood)
    assert torch.equal(found.forward, forward)
    assert torch.equal(found.backward, backward)
    assert torch.allclose(found.forward_scores, forward_scores, atol=1e-12)
    assert torch.allclose(found.backward_scores, backward_scores, atol=1e-12)
    mutual = [[row, int(forward[row, 0])] for row in range(sources) if int(backward[int(forward[row, 0]), 0]) == row]
    assert found.mutual().tolist() == mutual


@pytest.mark.parametrize("held", [0, 10**9])
def test_searching_both_ways_leaves_its_arguments_alone(held):
    ours, theirs = normal(1, 30, 4), normal(2, 30, 4)
    nearest_both_ways(ours, theirs, chunk=7, held=held)
    assert torch.equal(ours, normal(1, 30, 4))
    assert torch.equal(theirs, normal(2, 30, 4))


@given(
    st.integers(0, 10_000),
    st.integers(1, 4),
    st.integers(1, 3 * BLOCKS_A_NUMBER * BLOCK),
    st.integers(1, 6),
    st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_the_largest_numbers_are_those_of_a_whole_sort(seed, rows, columns, count, ties):
    numbers = normal(seed, rows, columns)
    if ties:
        numbers = numbers.mul(2).round()  # a handful of values, each of them many times
    values, places = _largest(numbers, count)
    expected = numbers.topk(min(count, columns), dim=1)
    assert torch.equal(values, expected.values)
    assert torch.equal(numbers.gather(1, places), values)
    assert all(len(set(row)) == len(row) for row in places.tolist()), "no number is taken twice"
    if not ties:
        assert torch.equal(places, expected.indices)


def test_the_largest_numbers_are_found_in_one_block_and_behind_the_last(monkeypatch):
    columns = 8 * BLOCK + 3
    numbers = torch.zeros(2, columns)
    numbers[0, [5, 6, 7]] = torch.tensor([1.0, 3, 2])
    numbers[1, [columns - 1, 4 * BLOCK, columns - 3]] = torch.tensor([1.0, 3, 2])
    values, places = _largest(numbers, 3)
    assert values.tolist() == [[3, 2, 1], [3, 2, 1]]
    assert places.tolist() == [[6, 7, 5], [4 * BLOCK, columns - 3, columns - 1]]


# Weighted directions


def test_weighted_look_up_multiplies_centred_vectors_by_the_weightings():
    source = Anchors.of_vectors([str(row) for row in range(20)], normal(1, 20, 4), language="en")
    target = Anchors.of_vectors([str(row) for row in range(20)], normal(2, 20, 4), language="es")
    A, B = symmetric_weighting(normal(3, 20, 4), normal(4, 20, 4), exponent=0.5)
    centres = normal(5, 2, 4)
    alignment = Alignment(
        "en", "es", 0, torch.eye(4, dtype=torch.float64), scale=3.0, target_scale=0.5, source_centre=centres[0],
        target_centre=0.5 * centres[1], source_weighting=A, target_weighting=B,
    )  # fmt: skip
    own, theirs = in_one_space(alignment, source, target)
    for row in range(20):
        assert torch.allclose(own[row].double(), (source.vectors[row].double() - centres[0]) @ A, atol=1e-5)
        assert torch.allclose(theirs[row].double(), (target.vectors[row].double() - centres[1]) @ B, atol=1e-5)
    assert (own.dtype, theirs.dtype) == (torch.float32, torch.float32)
    back, there = in_one_space(alignment.inverse(), target, source)
    assert torch.allclose(back, theirs, atol=1e-5)
    assert torch.allclose(there, own, atol=1e-5)


def test_without_weightings_aligned_vectors_are_compared():
    source, target, alignment, _ = planted(1, offset=3.0)
    own, theirs = in_one_space(alignment, source, target)
    assert torch.allclose(own, alignment.apply(source.vectors) - 3.0, atol=1e-5)
    assert torch.allclose(own, theirs, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["unit_centre_unit", "iterative"])
def test_words_are_looked_up_as_they_were_when_the_map_was_found(normalisation):
    """Words of very different lengths around a common offset: each must be centred as the unit vector it was."""
    planted_map = torch.linalg.qr(normal(2, 6, 6).double()).Q
    directions = torch.nn.functional.normalize(normal(1, 300, 6).double() + 2.0, dim=1)
    lengths = (normal(3, 300, 1).double() * 0.5).exp()
    words = [str(row) for row in range(300)]
    source = Anchors.of_vectors(words, (lengths * directions).float(), language="en")
    target = Anchors.of_vectors(words, (directions @ planted_map).float(), language="es")
    pairs = BilingualDictionary("en", "es", tuple((word, word) for word in words[:100]))
    alignment = fit_procrustes(
        source, target, dictionary=pairs, settings=ProcrustesSettings(normalisation=normalisation, weighting=0.0)
    )
    own, _ = in_one_space(alignment, source, target)
    if normalisation == "unit_centre_unit":
        fitted = normalise(source, normalisation).vectors @ alignment.matrix
        assert torch.allclose(torch.nn.functional.normalize(own.double(), dim=1), fitted, atol=1e-5)
    rest = BilingualDictionary("en", "es", tuple((word, word) for word in words[100:]))
    assert translation_precision(alignment, source, target, rest).precision(1) > 0.95

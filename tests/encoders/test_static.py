"""Vectors from counts: the counts, the information in them, and its strongest directions."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders import static
from isogloss.encoders.settings import CooccurrenceSettings
from isogloss.encoders.static import cooccurrence_vectors

texts = st.lists(st.lists(st.sampled_from([*"abcdef", "<UNK>", "rare"]), max_size=8), max_size=8)


def slow_counts(vocabulary: Vocabulary, sentences: list[list[str]], window: int, contexts: int) -> Counter:
    """Count pairs of places, one at a time."""
    counts: Counter[tuple[int, int]] = Counter()
    for words in sentences:
        ids = [vocabulary.id_of(word) for word in words]
        for here, word in enumerate(ids):
            for there, context in enumerate(ids):
                if here != there and abs(here - there) <= window and min(word, context) > 2 and context < contexts:
                    counts[word, context] += 1
    return counts


def slow_table(counts: Counter, size: tuple[int, int]) -> np.ndarray:
    """Positive pointwise mutual information from probabilities, as the module's docstring has it."""
    table = np.zeros(size)
    total = sum(counts.values())
    of_word, of_context = Counter(), Counter()
    for (word, context), count in counts.items():
        of_word[word] += count
        of_context[context] += count
    smoothed = {context: count**0.75 for context, count in of_context.items()}
    for (word, context), count in counts.items():
        p_both, p_word = count / total, of_word[word] / total
        p_context = smoothed[context] / sum(smoothed.values())
        table[word, context] = max(0.0, math.log(p_both / (p_word * p_context)))
    return table


def counted(vocabulary: Vocabulary, sentences: list[list[str]], **changes: int) -> dict[tuple[int, int], int]:
    words, contexts, counts = static._count_pairs(vocabulary, sentences, CooccurrenceSettings(**changes))
    found = dict(zip(zip(words.tolist(), contexts.tolist(), strict=True), counts.tolist(), strict=True))
    assert len(found) == len(counts), "each pair stands there once"
    return found


def test_pairs_are_counted_as_by_hand():
    vocabulary = Vocabulary.count([["a", "a", "a", "b", "b", "c"]])  # a is 3, b is 4, c is 5
    assert counted(vocabulary, [["a", "b", "c"], ["a"], ["b", "b"]], window=1) == {
        (3, 4): 1,
        (4, 3): 1,
        (4, 5): 1,
        (5, 4): 1,
        (4, 4): 2,
    }


@given(texts, st.integers(1, 4), st.integers(1, 12), st.sampled_from([1, 20, 4_000_000]))
@settings(max_examples=60)
def test_counts_agree_with_a_loop_over_places(sentences, window, contexts, together):
    vocabulary = Vocabulary.count([["a"] * 9, list("bcdef")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(static, "PAIRS_COUNTED_TOGETHER", together)
        found = counted(vocabulary, sentences, window=window, contexts=contexts)
    assert found == slow_counts(vocabulary, sentences, window, contexts)


def toy_text() -> list[list[str]]:
    """Animals eat and drink, vehicles drive and park; no two of a kind ever meet."""
    generator = np.random.default_rng(0)
    kinds = [(["dog", "cat", "fish"], ["eats", "drinks"]), (["car", "bus", "lorry"], ["drives", "parks"])]
    sentences = []
    for _ in range(300):
        nouns, verbs = kinds[generator.integers(2)]
        sentences.append(["the", str(generator.choice(nouns)), str(generator.choice(verbs)), "."])
    return sentences


TEXT = toy_text()
VOCABULARY = Vocabulary.count(TEXT)


def similarity(table: np.ndarray) -> np.ndarray:
    return table @ table.T


@pytest.mark.parametrize("width", [1, 2, 4])
def test_vectors_are_the_strongest_directions_of_the_information(width):
    counts = slow_counts(VOCABULARY, TEXT, 3, len(VOCABULARY))
    table = slow_table(counts, (len(VOCABULARY), len(VOCABULARY)))
    left, values, _ = np.linalg.svd(table)
    assert values[width - 1] - values[width] > 1e-3, "else the directions would not be determined"
    expected = left[:, :width] * values[:width]
    found = cooccurrence_vectors(VOCABULARY, TEXT, width=width).double().numpy()
    # Directions have no sign and the scale is set to 1, so we compare the similarities of all words.
    expected /= np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(similarity(found), similarity(expected), atol=2e-3 * width)


def test_the_decomposition_agrees_with_an_exact_one():
    torch.manual_seed(0)
    table = torch.randn(40, 30) * (torch.rand(40, 30) < 0.3)
    found = static._strongest_directions(
        table.to_sparse_coo().coalesce(), 6, CooccurrenceSettings(power_iterations=8), 1
    ).double()
    left, values, _ = torch.linalg.svd(table.double())
    expected = left[:, :6] * values[:6]
    signs = (found * expected).sum(dim=0).sign()
    # float32, and eight rounds of iteration with sixteen directions to spare
    torch.testing.assert_close(found * signs, expected, rtol=0, atol=1e-3)


def test_words_of_the_same_contexts_are_nearest():
    vectors = cooccurrence_vectors(VOCABULARY, TEXT, width=6)
    unit = vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-9)
    kind_of = {
        **dict.fromkeys(["dog", "cat", "fish"], "animal"),
        **dict.fromkeys(["car", "bus", "lorry"], "vehicle"),
        **dict.fromkeys(["eats", "drinks"], "of animals"),
        **dict.fromkeys(["drives", "parks"], "of vehicles"),
    }
    for word, kind in kind_of.items():
        likeness = {other: float(unit[VOCABULARY.id_of(word)] @ unit[VOCABULARY.id_of(other)]) for other in kind_of}
        alike = [likeness[other] for other, of in kind_of.items() if of == kind]
        others = [likeness[other] for other, of in kind_of.items() if of != kind]
        assert min(alike) > 0.5 > max(others), word


def test_reserved_words_have_no_vector_and_give_none():
    sentences = [["<UNK>", "dog", "zebra", "eats"], *TEXT]
    vectors = cooccurrence_vectors(VOCABULARY, sentences, width=6)
    assert vectors[:3].abs().max() < 1e-5 * vectors.abs().max()
    assert vectors[3:].abs().sum(dim=1).min() > 0.1


def test_numbers_have_mean_square_1():
    vectors = cooccurrence_vectors(VOCABULARY, TEXT, width=5)
    assert vectors.dtype == torch.float32
    assert vectors.square().mean().item() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("width", [20, 200])
def test_directions_that_the_counts_do_not_determine_are_zero_but_for_rounding(width):
    vectors = cooccurrence_vectors(VOCABULARY, TEXT, width=width)
    counts = slow_counts(VOCABULARY, TEXT, 3, len(VOCABULARY))
    rank = np.linalg.matrix_rank(slow_table(counts, (len(VOCABULARY), len(VOCABULARY))))
    assert vectors.shape == (len(VOCABULARY), width)
    assert rank < 13
    assert vectors[:, :rank].abs().max(dim=0).values.min() > 1e-2
    # A singular value that should be 0 is about 1e-7 in float32, and its root 3e-4 of the greatest.
    assert vectors[:, rank:].abs().max() < 3e-3 * vectors.abs().max()


def test_a_table_smaller_than_the_width_is_allowed():
    vectors = cooccurrence_vectors(VOCABULARY, TEXT, width=6, settings=CooccurrenceSettings(contexts=5))
    assert vectors.isfinite().all()
    assert vectors[:, :2].any()


@pytest.mark.parametrize("sentences", [[], [[]], [["dog"]], [["zebra", "dog"]]], ids=str)
def test_a_text_in_which_no_two_words_meet_gives_zeros(sentences):
    vectors = cooccurrence_vectors(VOCABULARY, sentences, width=4)
    assert vectors.shape == (len(VOCABULARY), 4)
    assert not vectors.any()


def test_the_same_seed_gives_the_same_vectors_whatever_else_is_drawn():
    one = cooccurrence_vectors(VOCABULARY, TEXT, width=4, seed=3)
    torch.rand(5)
    np.random.default_rng().random()
    state = torch.get_rng_state()
    assert torch.equal(cooccurrence_vectors(VOCABULARY, TEXT, width=4, seed=3), one)
    assert torch.equal(torch.get_rng_state(), state), "chance elsewhere is left alone"


def test_the_seed_moves_no_more_than_rounding_does():
    one, other = (cooccurrence_vectors(VOCABULARY, TEXT, width=4, seed=seed).double() for seed in (1, 2))
    torch.testing.assert_close(one @ one.mT, other @ other.mT, rtol=0, atol=2e-3)


def test_sentences_may_be_a_stream():
    stream = (list(words) for words in TEXT)
    assert torch.equal(
        cooccurrence_vectors(VOCABULARY, stream, width=3), cooccurrence_vectors(VOCABULARY, TEXT, width=3)
    )

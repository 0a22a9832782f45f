"""Decoding: the tree is the best of all, and always a tree with one root."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.parsing.trees import decode_tree, decode_trees


def is_single_rooted_tree(heads) -> bool:
    """Decide from the definition: one root, and from every word the root is reached."""
    heads = [int(head) for head in heads]
    if heads.count(0) != 1:
        return False
    for word in range(1, len(heads) + 1):
        steps = 0
        while word != 0:
            word, steps = heads[word - 1], steps + 1
            if steps > len(heads):
                return False
    return True


def score_of(scores, heads) -> float:
    return float(sum(scores[word, head] for word, head in enumerate(heads)))


def best_by_trying_all(scores) -> float:
    words = len(scores)
    trees = (heads for heads in product(range(words + 1), repeat=words) if is_single_rooted_tree(heads))
    return max(score_of(scores, heads) for heads in trees)


def slow_arborescence(weights: dict[int, dict[int, float]], root: int) -> dict[int, int]:
    """Chu–Liu–Edmonds by the book: ``weights[node][head]``, recursion, no attempt at speed."""
    head = {node: max(into, key=into.get) for node, into in weights.items()}
    cycle = None
    for start in weights:
        seen = []
        node = start
        while node != root and node not in seen:
            seen.append(node)
            node = head[node]
        if node != root:
            cycle = seen[seen.index(node) :]
            break
    if cycle is None:
        return head
    new = max([root, *weights]) + 1
    smaller: dict[int, dict[int, float]] = {new: {}}
    enters, leaves = {}, {}
    for node, into in weights.items():
        for source, weight in into.items():
            if node in cycle and source not in cycle:
                gain = weight - weights[node][head[node]]
                if source not in smaller[new] or gain > smaller[new][source]:
                    smaller[new][source], enters[source] = gain, node
            elif node not in cycle and source in cycle:
                row = smaller.setdefault(node, {})
                if new not in row or weight > row[new]:
                    row[new], leaves[node] = weight, source
            elif node not in cycle:
                smaller.setdefault(node, {})[source] = weight
    solved = slow_arborescence(smaller, root)
    result = {node: (leaves[node] if source == new else source) for node, source in solved.items() if node != new}
    result.update({node: head[node] for node in cycle})
    result[enters[solved[new]]] = solved[new]
    return result


def best_by_trying_every_root(scores) -> float:
    words, best = len(scores), -np.inf
    for root in range(1, words + 1):
        weights = {
            node: {source: scores[node - 1, source] for source in range(1, words + 1) if source != node}
            for node in range(1, words + 1)
            if node != root
        }
        tree = slow_arborescence(weights, root) if weights else {}
        total = scores[root - 1, 0] + sum(scores[node - 1, source] for node, source in tree.items())
        best = max(best, total)
    return best


def matrices(most_words: int, elements):
    return st.integers(1, most_words).flatmap(lambda n: arrays(np.float64, (n, n + 1), elements=elements))


def test_a_cycle_is_broken_where_it_costs_least():
    # 1 and 2 want each other (score 10). Root → 1 → 2 scores 3 + 10; root → 2 → 1 scores 5 + 10.
    assert decode_tree(np.array([[3.0, 0.0, 10.0], [5.0, 10.0, 0.0]])).tolist() == [2, 0]


def test_two_words_that_both_want_the_root_share_one():
    # Root → 1 → 2 scores 9 + 1; root → 2 → 1 scores 8 + 3. Two roots would score 17 and are not a tree.
    assert decode_tree(np.array([[9.0, 0.0, 3.0], [8.0, 1.0, 0.0]])).tolist() == [2, 0]


def test_cycles_within_cycles_are_expanded_from_the_outermost():
    # 1 and 2 want each other (9 each); 3 wants 2 (8), and 1 would next want 3 (5): a cycle of a cycle.
    # Root → 3 → 1 → 2 scores 4 + 5 + 9 = 18; root → 1 → 2 → 3 scores 0 + 9 + 8 = 17.
    scores = np.array([[0.0, -9, 9, 5], [0.0, 9, -9, 4], [4.0, 0, 8, -9]])
    assert decode_tree(scores).tolist() == [3, 1, 0]


@pytest.mark.parametrize("words", [1, 2, 3, 4, 5, 6])
def test_no_tree_scores_better(words):
    generator = np.random.default_rng(words)
    for _ in range(2 if words == 6 else 20):
        scores = generator.normal(size=(words, words + 1))
        assert score_of(scores, decode_tree(scores)) == pytest.approx(best_by_trying_all(scores), abs=1e-12)


@pytest.mark.parametrize("spread", [0.01, 1.0, 100.0])
def test_slow_algorithm_with_one_run_per_root_agrees(spread):
    generator = np.random.default_rng(7)
    for words in [7, 10, 15, 20, 25]:
        for _ in range(3):
            scores = generator.normal(scale=spread, size=(words, words + 1))
            heads = decode_tree(scores)
            assert is_single_rooted_tree(heads)
            assert score_of(scores, heads) == pytest.approx(best_by_trying_every_root(scores), rel=1e-12)


@given(matrices(12, st.one_of(st.integers(-3, 3).map(float), st.just(-np.inf), st.floats(-1e6, 1e6))))
@settings(max_examples=300, deadline=None)
def test_every_decoded_tree_has_one_root(scores):
    assert is_single_rooted_tree(decode_tree(scores))


@given(matrices(5, st.one_of(st.integers(-2, 2).map(float), st.just(-np.inf))))
@settings(max_examples=100, deadline=None)
def test_forbidden_arcs_are_used_only_where_no_tree_can_do_without(scores):
    assert score_of(scores, decode_tree(scores)) == best_by_trying_all(scores)


@given(matrices(10, st.integers(-1, 1).map(float)))
@settings(max_examples=50, deadline=None)
def test_ties_are_always_broken_alike(scores):
    assert (decode_tree(scores) == decode_tree(scores.copy())).all()


def test_tiny_differences_survive_beside_huge_scores():
    # A root penalty added to the scores, such as 1e9, would swallow the difference of 1e-9.
    scores = np.array([[0.0, 0, 1e6], [1e-9, 1e6, 0.0]])
    assert decode_tree(scores).tolist() == [2, 0]


def test_scores_are_left_untouched():
    scores = np.ones((4, 5))
    decode_tree(scores)
    assert (scores == 1).all()


def test_no_words_make_an_empty_tree():
    assert decode_tree(np.zeros((0, 1))).tolist() == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_score_is_refused(bad):
    with pytest.raises(AssertionError, match="diverged"):
        decode_tree(np.array([[0.0, 1.0], [0.0, bad]]).repeat(2, axis=1)[:, :3])


def test_batch_gives_the_trees_of_its_sentences():
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(3, 6, 7, generator=generator)
    lengths = [6, 1, 4]
    heads = decode_trees(scores, lengths)
    for row, length in enumerate(lengths):
        alone = decode_tree(scores[row, :length, : length + 1].numpy())
        assert heads[row, :length].tolist() == alone.tolist()
        assert not heads[row, length:].any()

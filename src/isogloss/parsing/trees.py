"""From scores to a tree: the best tree with exactly one root.

A sentence of n words receives one score for every pair (word, possible head), where head 0 stands for the
root. A tree gives every word one head, has no cycle, and has one word whose head is the root; its score is
the sum over its words. `decode_tree` finds the best tree of all, in time that grows with n².

Mostly the best head of every word, taken alone, already makes a tree. Otherwise the algorithm of Chu, Liu
and Edmonds contracts each cycle of best heads to one node and goes on; written over a dense matrix and grown
along a single path, as Tarjan (1977, Networks 7) showed, it needs n² steps.

It would gladly use the root twice. Zmigrod, Vieira and Cotterell (2020, EMNLP) show what goes wrong in
parsers that look away. Here a weight is a pair, (−cost, score), compared first by cost, and root arcs cost
so much that the best tree uses one. The algorithm only adds, subtracts and compares weights, so it is as
right for pairs as for numbers, and no constant can swallow the digits of a score.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def decode_trees(
    scores: Float[Tensor, "batch words heads"], lengths: Sequence[int] | Int[Tensor, " batch"]
) -> Int[Tensor, "batch words"]:
    """Find the best single-rooted tree of every sentence of a batch.

    Args:
        scores: Log-probabilities of heads, see `decode_tree`. What lies beyond a sentence's length is
            ignored.
        lengths: Words of each sentence.

    Returns:
        One head per word, 0 for the root and in the padding. On the CPU.
    """
    matrices = scores.detach().double().cpu().numpy()
    heads = np.zeros(matrices.shape[:2], dtype=np.int64)
    for matrix, found, length in zip(matrices, heads, torch.as_tensor(lengths).tolist(), strict=True):
        found[:length] = decode_tree(matrix[:length, : length + 1])
    return torch.from_numpy(heads)


def decode_tree(scores: np.ndarray) -> np.ndarray:
    """Find the tree with exactly one root whose arcs have the greatest sum of scores.

    Args:
        scores: One row per word and one column per head, column 0 for the root: ``scores[d - 1, h]`` judges
            the arc from head h to word d. With log-probabilities the result is the most probable tree. An arc
            of −inf is forbidden; where no tree can do without such arcs, as few as possible are used. A
            word's score for itself is ignored.

    Returns:
        One head per word, 0 for the root. Of equally good trees it is always the same one.

    >>> decode_tree(np.log([[0.9, 0.0001, 0.1], [0.8, 0.2, 0.0001]]))  # both want the root
    array([0, 1])
    """
    words = len(scores)
    assert scores.shape == (words, words + 1), f"{words} words have {words + 1} heads, not {scores.shape[1:]}"
    scores = np.array(scores, dtype=np.float64)
    assert (scores < np.inf).all(), "a score is a number or −inf; a network that gives NaN has diverged"
    if words == 0:
        return np.zeros(0, dtype=np.int64)
    each = np.arange(words)
    scores[each, each + 1] = -np.inf  # no word is its own head
    best = scores.argmax(axis=1)
    if scores[each, best].min() > -np.inf and _is_tree(best.tolist()):
        return best
    return _contract_and_expand(scores)


def _is_tree(heads: list[int]) -> bool:
    """Whether heads form a tree with exactly one root."""
    if heads.count(0) != 1:
        return False
    reaches_root = [True] + [False] * len(heads)
    for word in range(1, len(heads) + 1):
        path = []
        while not reaches_root[word]:
            if len(path) > len(heads):
                return False
            path.append(word)
            word = heads[word - 1]
        for passed in path:
            reaches_root[passed] = True
    return True


def _weights(scores: np.ndarray) -> np.ndarray:
    """Pair every score with a cost, as the complex number −cost + score·i.

    NumPy compares complex numbers by their real parts first and by their imaginary parts among equals, and
    adds both parts separately: just what is wanted. A root arc costs more than all forbidden arcs that one
    tree could hold, so there is always exactly one root.
    """
    words = len(scores)
    cost = np.isneginf(scores).astype(np.float64)
    cost[:, 0] += words + 1
    weights = np.empty(scores.shape, dtype=np.complex128)
    weights.real = -cost
    weights.imag = np.where(np.isneginf(scores), 0.0, scores)
    weights.real[np.arange(words), np.arange(1, words + 1)] = -np.inf  # no word is its own head
    return weights


def _contract_and_expand(scores: np.ndarray) -> np.ndarray:
    """Find the best tree where greedy choice does not: Chu–Liu–Edmonds along a growing path.

    A node is a word, numbered from 1, or a contracted cycle, numbered after the words. Every node has one row
    of weights, one for each *word* that could be its head, so that contracting only has to merge rows.
    """
    words = len(scores)
    rows = np.empty((2 * words + 1, words + 1), dtype=np.complex128)  # of node 0, the root, nothing is asked
    rows[1 : words + 1] = _weights(scores)
    head: list[int] = [0, *rows[1 : words + 1].argmax(axis=1).tolist()]
    members: list[list[int]] = [[] for _ in head]
    entered: list[np.ndarray] = [np.empty(0)] * len(head)
    columns = np.arange(words + 1)
    node_of_word = np.arange(words + 1)
    words_of_node: list[list[int]] = [[word] for word in range(words + 1)]
    place: dict[int, int] = {}
    """Where a node stands in the path."""
    finished = {0}

    for start in range(1, words + 1):
        path: list[int] = []
        node = int(node_of_word[start])
        while node not in finished:
            place[node] = len(path)
            path.append(node)
            node = int(node_of_word[head[node]])
            if node not in place:
                continue
            # The path has bitten its tail: contract the cycle to one new node.
            cycle, path = path[place[node] :], path[: place[node]]
            gains = rows[cycle] - rows[cycle, [head[member] for member in cycle]][:, None]
            choice = gains.argmax(axis=0)
            row = gains[choice, columns]
            inside = [word for member in cycle for word in words_of_node[member]]
            row[inside] = complex(-np.inf, 0.0)
            node = len(head)
            rows[node] = row
            head.append(int(row.argmax()))
            members.append(cycle)
            entered.append(choice)
            words_of_node.append(inside)
            node_of_word[inside] = node
            for member in cycle:
                del place[member]
        finished.update(path)
        for passed in path:
            del place[passed]

        # Expand, the outermost cycles first: an arc into a cycle replaces the one inside to the same member.
    for node in range(len(head) - 1, words, -1):
        enters = members[node][int(entered[node][head[node]])]
        head[enters] = head[node]
    return np.array(head[1 : words + 1], dtype=np.int64)

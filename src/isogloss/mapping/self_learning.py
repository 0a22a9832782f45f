"""Road 2: grow a dictionary from a small seed, or from none.

A map found from a few pairs brings a few more words to their translations; with these the map is found again, and so on.
Left to itself this settles soon on a poor map. So at first most of the neighbours of a word are hidden at random, and it
takes the nearest of those that it sees: the map moves on, as in simulated annealing. The more rounds bring no gain,
the more neighbours are seen, until all are.

Without any seed the first pairs come from the shape of the two spaces. A word has a profile, the sorted cosines to
all other words of its own language; words that mean the same have profiles that are alike.

Receives two matrices of anchors, normalised and most frequent first; hands on the map, the pairs and their story.

Source: Artetxe, Labaka and Agirre (2018), A robust self-learning method for fully unsupervised cross-lingual mappings
of word embeddings. Hiding a neighbour with probability 1 − p and taking the best of what is left is, in one draw,
taking the neighbour of a rank that is geometrically distributed; that is how it is done here. Theirs keeps 20,000 words
throughout; here the random part works on the most frequent few thousand and only the last rounds on more.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.mapping.procrustes import completed_procrustes
from isogloss.mapping.retrieval import Neighbours, nearest, nearest_both_ways
from isogloss.mapping.settings import SelfLearningSettings

logger = logging.getLogger(__name__)

Progress = Callable[[int, float], None]
"""Called after each round with its number and its closeness."""


@dataclass(frozen=True, eq=False)
class SelfLearning:
    """What self-learning came to."""

    matrix: Float64[Tensor, "width width"]
    """W, for rows: ``aligned = vectors @ W``; orthogonal."""
    pairs: Int64[Tensor, "pairs 2"]
    """Rows of source and target that are each other's nearest in the end."""
    closeness: float
    """Mean cosine of the words and their CSLS neighbours in both directions, in the end."""
    closeness_by_round: tuple[float, ...]
    shown_by_round: tuple[float, ...]
    """Share of the neighbours that were shown."""

    @property
    def rounds(self) -> int:
        """How many rounds it took."""
        return len(self.closeness_by_round)


def self_learn(
    source: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    *,
    settings: SelfLearningSettings,
    generator: torch.Generator,
    pairs: Sequence[tuple[int, int]] = (),
    progress: Progress | None = None,
) -> SelfLearning:
    """Find a rotation and a dictionary together.

    Args:
        source: Normalised anchors, most frequent first.
        target: Likewise.
        settings: See `SelfLearningSettings`.
        generator: Decides which neighbours are hidden.
        pairs: The seed, as rows of ``source`` and ``target``. Without any, the spaces' shapes give one.
        progress: Called after every round.
    """
    X, Y = source.float(), target.float()
    few_X, few_Y = X[: settings.types], Y[: settings.types]
    dictionary = torch.tensor(pairs) if len(pairs) else similar_profiles(few_X, few_Y, settings.neighbourhood)
    shown = settings.shown
    best, waited, histories = -1.0, 0, ([], [])
    best_matrix, matrix = None, None
    while True:
        raise_if_stop_requested()
        if matrix is None or shown < 1.0 or waited == 0:
            pass
        matrix, _ = completed_procrustes(source[dictionary[:, 0]], target[dictionary[:, 1]])
        found = nearest_both_ways(few_X @ matrix.float(), few_Y, k=_depth(shown), neighbourhood=settings.neighbourhood)
        closeness = _closeness(few_X @ matrix.float(), few_Y, found)
        histories[0].append(closeness)
        histories[1].append(shown)
        if progress is not None:
            progress(len(histories[0]), closeness)
        if closeness > best + settings.tolerance:
            best, waited, best_matrix = closeness, 0, matrix
        else:
            waited += 1
        if waited > settings.patience:
            if shown >= 1.0:
                break
            shown, waited = min(1.0, shown * settings.growth), 0
        dictionary = _drawn(found, shown, generator)
    assert best_matrix is not None
    return _polished(source, target, X, Y, best_matrix, settings, histories)


def _polished(source, target, X, Y, matrix, settings, histories) -> SelfLearning:
    few_X, few_Y = X[: settings.final_types], Y[: settings.final_types]
    for _ in range(settings.final_rounds + 1):
        raise_if_stop_requested()
        found = nearest_both_ways(few_X @ matrix.float(), few_Y, neighbourhood=settings.neighbourhood)
        closeness = _closeness(few_X @ matrix.float(), few_Y, found)
        pairs = found.mutual()
        histories[0].append(closeness)
        histories[1].append(1.0)
        if len(histories[0]) and _ == settings.final_rounds:
            break
        matrix, _r = completed_procrustes(source[pairs[:, 0]], target[pairs[:, 1]])
    return SelfLearning(matrix, pairs, closeness, tuple(histories[0]), tuple(histories[1]))


def similar_profiles(
    source: Float[Tensor, "source_types width"], target: Float[Tensor, "target_types width"], neighbourhood: int = 10
) -> Int64[Tensor, "pairs 2"]:
    """Pair words whose sorted cosines to the words of their own language are alike, in both directions."""
    count = min(len(source), len(target))
    profiles = []
    for vectors in (source[:count].double(), target[:count].double()):
        # The square root of the Gram matrix: its rows have the anchors' cosines as products (Artetxe et al. 2018).
        left, values, _ = torch.linalg.svd(vectors, full_matrices=False)
        similarity = (left * values) @ left.mT
        profile = similarity.sort(dim=1).values
        profile = torch.nn.functional.normalize(profile, dim=1)
        profile = torch.nn.functional.normalize(profile - profile.mean(dim=0), dim=1)
        profiles.append(profile.float())
    found = nearest_both_ways(*profiles, neighbourhood=neighbourhood)
    return _drawn(found, 1.0, torch.Generator())


def _depth(shown: float) -> int:
    """How many neighbours must be known so that one of them is shown, but for one time in a thousand."""
    return 1 if shown >= 1.0 else ceil(log(1e-3) / log(1.0 - shown))


def _drawn(found: Neighbours, shown: float, generator: torch.Generator) -> Int64[Tensor, "pairs 2"]:
    """Pair every word with its nearest neighbour among those shown, in both directions."""

    def chosen(neighbours: Tensor) -> Tensor:
        if shown >= 1.0:
            return neighbours[:, 0]
        visible = torch.rand(neighbours.shape, generator=generator) < shown
        visible[:, -1] = True
        return neighbours.gather(1, visible.int().argmax(dim=1, keepdim=True))[:, 0]

    forward, backward = chosen(found.forward), chosen(found.backward)
    there = torch.stack([torch.arange(len(forward)), forward], dim=1)
    back = torch.stack([backward, torch.arange(len(backward))], dim=1)
    return torch.cat([there, back])


def _closeness(
    aligned: Float[Tensor, "source_types width"], target: Float[Tensor, "target_types width"], found: Neighbours
) -> float:
    """Mean cosine of all words and their nearest, in both directions."""
    there = torch.cosine_similarity(aligned, target[found.forward[:, 0]], dim=1)
    back = torch.cosine_similarity(aligned[found.backward[:, 0]], target, dim=1)
    return float(torch.cat([there, back]).double().mean())

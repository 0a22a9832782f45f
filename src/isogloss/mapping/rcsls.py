"""Road e: any linear map, found by the measure by which translations are looked up.

Procrustes brings words near their translations and hopes that nothing else is nearer. Here the neighbours take part:

    loss = mean over pairs of  −2 xW·y + mean over the K targets nearest to xW of xW·z + mean over the K mapped
           sources nearest to y of wW·y

which is CSLS, turned round, of each pair, with products in place of cosines. Gradient descent begins at the rotation
that Procrustes gives; neighbours are found anew at every step. Neighbours are those of
the largest cosine, as in the look-up. The map need not stay a rotation, so distances within a
language change. It fits a dictionary more closely than a rotation can, hence words that are held out say when to stop:
by the translations that they find, since their loss still falls long after these have become worse.

Receives normalised anchors and pairs; hands on W.

Source: Joulin, Bojanowski, Mikolov, Jégou and Grave (2018), Loss in Translation: Learning Bilingual Word Mapping with
a Retrieval Criterion. The stop by held-out words is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.mapping.procrustes import completed_procrustes
from isogloss.mapping.retrieval import nearest
from isogloss.mapping.settings import RCSLSSettings
from isogloss.mapping.weighting import clearly_better

PATIENCE = 5
"""Steps without a gain for the held-out words after which no more are tried."""


@dataclass(frozen=True, eq=False)
class RCSLS:
    """What gradient descent came to."""

    matrix: Float64[Tensor, "width width"]
    """W, for rows: ``aligned = vectors @ W``. Not orthogonal, unless no step was taken, but of a rotation's norm."""
    steps: int
    """Steps taken: 0 keeps the rotation."""
    held_out_precisions: tuple[float, ...]
    """Share of the held-out words that find a translation, before the first step and after each, from 0 to 1."""


def rcsls(
    source: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    *,
    pairs: Sequence[tuple[int, int]],
    settings: RCSLSSettings,
    generator: np.random.Generator,
) -> RCSLS:
    """Descend on all pairs, for as many steps as were best for words held out in a descent on the others.

    Of several equally good numbers of steps the smallest is taken; and none, which keeps the rotation, unless they are
    `clearly_better`.

    Args:
        source: Normalised anchors, most frequent first.
        target: Likewise.
        pairs: Rows of ``source`` and ``target`` that translate one another.
        settings: See `RCSLSSettings`.
        generator: Chooses the words to hold out.
    """
    words = list(dict.fromkeys(row for row, _ in pairs))
    chosen = generator.permutation(len(words))[: max(1, round(settings.held_out * len(words)))]
    aside = {words[index] for index in chosen}
    kept, held_out = ([pair for pair in pairs if (pair[0] in aside) == held] for held in (False, True))
    found: list[Tensor] = []
    for matrix in islice(_descent(source, target, kept or list(pairs), settings), settings.steps + 1):
        found.append(_translated(source, target, held_out, matrix, settings))
        if len(found) - 1 - _best(found) >= PATIENCE:
            break
    steps = _best(found)
    if not clearly_better(found[steps], found[0]):
        steps = 0
    matrix = next(islice(_descent(source, target, pairs, settings), steps, None))
    matrix = matrix * (len(matrix) ** 0.5 / torch.linalg.matrix_norm(matrix))  # as long as a rotation
    return RCSLS(matrix, steps, tuple(float(each.mean()) for each in found))


def _best(found: Sequence[Float64[Tensor, " words"]]) -> int:
    """Return the first number of steps with which most held-out words find a translation."""
    return max(range(len(found)), key=lambda steps: float(found[steps].mean()))


def _translated(
    source: Tensor, target: Tensor, pairs: Sequence[tuple[int, int]], matrix: Tensor, settings: RCSLSSettings
) -> Float64[Tensor, " words"]:
    """Return 1 for every word whose nearest neighbour by CSLS is one of its translations, else 0.

    Neighbours are looked for among the most frequent words that can be neighbours in the loss, and the translations.
    """
    rows, columns = (side.unique() for side in torch.tensor(pairs).unbind(dim=1))
    candidates = torch.cat([torch.arange(min(settings.types, len(target))), columns]).unique()
    W = matrix.float()
    nearest_to, _ = nearest(
        source[rows].float() @ W,
        target[candidates].float(),
        k=1,
        background=source[: settings.types].float() @ W,
        neighbourhood=settings.neighbourhood,
    )
    right, chosen = set(pairs), candidates[nearest_to[:, 0]]
    hits = [pair in right for pair in zip(rows.tolist(), chosen.tolist(), strict=True)]
    return torch.tensor(hits, dtype=torch.float64)


def _descent(
    source: Tensor, target: Tensor, pairs: Sequence[tuple[int, int]], settings: RCSLSSettings
) -> Iterator[Float64[Tensor, "width width"]]:
    """Yield W before the first step and after each."""
    rows, columns = torch.tensor(pairs).unbind(dim=1)
    matrix, _ = completed_procrustes(source[rows], target[columns])
    rate, last = settings.learning_rate, float("inf")
    while True:
        raise_if_stop_requested()
        yield matrix
        loss, slope = _loss_and_slope(source, target, pairs, matrix, settings)
        if loss > last:
            rate /= 2
        last = loss
        matrix = matrix - rate * slope


def _loss_and_slope(
    source: Tensor, target: Tensor, pairs: Sequence[tuple[int, int]], matrix: Tensor, settings: RCSLSSettings
) -> tuple[float, Float64[Tensor, "width width"]]:
    """Return the loss and its gradient, the neighbours being what they are."""
    rows, columns = torch.tensor(pairs).unbind(dim=1)
    X, Y = source[rows].double(), target[columns].double()
    among_source, among_target = source[: settings.types].float(), target[: settings.types].float()
    W, K = matrix.float(), settings.neighbourhood
    near_X, _ = nearest(X.float() @ W, among_target, k=K, metric="cosine")  # pairs K
    near_Y, _ = nearest(Y.float(), among_source @ W, k=K, metric="cosine")
    crowd_X = among_target[near_X].double().mean(dim=1)  # pairs width
    crowd_Y = among_source[near_Y].double().mean(dim=1)
    mapped = X @ matrix
    loss = (-2 * mapped * Y + mapped * crowd_X + (crowd_Y @ matrix) * Y).sum(dim=1).mean()
    slope = (X.mT @ (crowd_X - 2 * Y) + crowd_Y.mT @ Y) / len(X)
    return float(loss), slope

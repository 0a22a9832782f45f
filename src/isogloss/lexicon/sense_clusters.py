"""Dividing the occurrences of a word into senses, where there is evidence of several.

A word's contextual vectors vary for two reasons: because it means different things, and because every word stands
now before a full stop and now after a preposition. The second is much the same for all words, so it is measured over
all words together and evened out first. What is left of the vectors is divided by k-means, and compared with what
k-means makes of one Gaussian cloud of the same shape, in which there is nothing to divide.

Receives the contextual vectors of one word; hands on a number for each.

Sources: Arthur and Vassilvitskii (2007) for k-means++; Tibshirani, Walther and Hastie (2001), Estimating the Number
of Clusters via the Gap Statistic; Liu et al. (2008), Statistical Significance of Clustering, for the Gaussian that is
compared with; Hatch, Kajarekar and Stolcke (2006) for evening out the covariance within classes.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from isogloss.compute.randomness import numpy_generator
from isogloss.settings import Settings

ITERATIONS = 30
"""Rounds of k-means at most; points that lie in clusters settle in about ten."""

FEW_WORDS = 10
"""Of so few words the variance common to all is hardly known, for their senses are a large part of it. The share of
the mean that is added before it is divided out grows by this, divided by the number of words."""


class SenseSettings(Settings):
    """Which words are looked at, how many occurrences of each, and what counts as evidence for several senses."""

    max_types: PositiveInt = 2_000
    """Word types: only so many of the most frequent are looked at; all others keep one anchor."""

    min_count: PositiveInt = 50
    """Occurrences that a word type needs, at least, before it is looked at."""

    max_sentences: PositiveInt | None = None
    """Sentences: reading stops after so many. Without a value the whole text is read."""

    occurrences: PositiveInt = 200
    """Occurrences of each word that are kept, all equally likely. Memory is types × occurrences × layers × width × 4
    bytes: 2,000 words of 200 occurrences in one layer of width 256 take 410 MB."""

    max_senses: PositiveInt = 4
    """Anchors of one word, at most."""

    evenness: PositiveFloat = 0.1
    """What is added to the variance common to all words before it is divided out, as a share of its mean over
    directions. Small numbers even out more; large ones leave vectors as they are."""

    directions: PositiveInt = 8
    """Principal directions of a word's vectors among which its clusters are sought."""

    min_share: float = Field(default=0.08, ge=0, lt=1)
    """Share of a word's occurrences that a sense needs, from 0 to 1, lest an outlier becomes a sense."""

    restarts: PositiveInt = 4
    """Starts of k-means, of which the one that leaves the least variance is kept."""

    comparisons: int = Field(default=10, ge=2)
    """Gaussian clouds of the same shape that are divided likewise, to see what chance alone would give."""

    strictness: NonNegativeFloat = 3.0
    """Standard errors by which one more sense must lower the variance within, beyond what it does to the Gaussian
    (1 in Tibshirani et al.; a text has thousands of words, and of so many some pass 1 by chance)."""

    least_gap: NonNegativeFloat = 0.2
    """By how much each further sense must lower it beyond chance, in nats: 0.2 is about a fifth. With many
    occurrences even a slight unevenness is no chance, yet no sense either."""

    batch_words: PositiveInt = 4096
    """Words encoded together. Steers speed and memory, never the result."""


def evening(
    vectors_by_word: Iterable[Float[Tensor, "samples width"]], *, width: int, evenness: float
) -> Float64[Tensor, "width width"]:
    """Find the map that makes the variance within word types, common to all of them, alike in all directions.

    With C the covariance of vectors of length 1 around the mean of their word, and m the mean of its diagonal, it is
    (C + evenness · m · I)^(−1/2).
    """
    C, samples = torch.zeros(width, width, dtype=torch.float64), 0
    for vectors in vectors_by_word:
        points = _unit_and_centred(vectors)
        C += points.mT @ points
        samples += len(points)
    C /= max(samples, 1)
    mean = float(C.diagonal().mean())
    if mean == 0:  # a layer without context, in which nothing varies
        return torch.eye(width, dtype=torch.float64)
    variances, Q = torch.linalg.eigh(C)
    return (Q * (variances.clamp(min=0) + evenness * mean).rsqrt()) @ Q.mT


def divide_occurrences(
    vectors: Float[Tensor, "samples width"],
    *,
    settings: SenseSettings,
    seed: int,
    word: str = "",
    even: Float64[Tensor, "width width"] | None = None,
) -> Int64[Tensor, " samples"]:
    """Divide the occurrences of one word into senses: one number per occurrence, 0 for the most frequent sense.

    Vectors of length 1 are centred, evened out and reduced to their principal directions. With W_k the variance that
    k clusters leave within, log W_1 / W_k says how much dividing explains. From k = 1 upwards, more senses are
    believed if they explain more, by `strictness` standard errors and by `least_gap` for each, than they do of
    Gaussian clouds whose principal directions have the same variances, and if no sense is rarer than `min_share`.

    Args:
        vectors: Of the occurrences, in one layer.
        settings: See `SenseSettings`.
        seed: Of k-means and of the Gaussian clouds.
        word: The word, so that each has chance of its own, whatever other words are looked at.
        even: The map that `evening` found; none leaves vectors as they are.
    """
    samples = len(vectors)
    single = torch.zeros(samples, dtype=torch.int64)
    points = _unit_and_centred(vectors)
    if even is not None:
        points = points @ even
    U, S, _ = torch.linalg.svd(points, full_matrices=False)
    # What float32 leaves of equal vectors is about 1e-7 of their length 1, and evening stretches it as all else.
    rounding = 1e-5 * samples**0.5 * (1.0 if even is None else float(even.diagonal().mean()))
    kept = min(settings.directions, int((rounding < S).sum()))
    if samples < 2 * settings.max_senses or not kept:
        return single
    points = U[:, :kept] * S[:kept]
    generator = numpy_generator(seed, "senses", word)
    normal = torch.from_numpy(generator.standard_normal((settings.comparisons, samples, kept)))
    clouds = normal * (S[:kept] / samples**0.5)
    problems = torch.cat([points[None], clouds - clouds.mean(dim=1, keepdim=True)])  # the word, then the clouds
    whole = problems.square().sum(dim=(1, 2)).log()
    labels, gap = single, 0.0
    for k in range(2, settings.max_senses + 1):
        assigned, within = k_means(problems, k=k, restarts=settings.restarts, generator=generator)
        explained = whole - within.clamp(min=torch.finfo(torch.float64).tiny).log()
        by_chance = explained[1:]
        new_gap = float(explained[0] - by_chance.mean())
        error = float(by_chance.std()) * (1 + 1 / settings.comparisons) ** 0.5
        smallest = int(assigned[0].bincount(minlength=k).min())
        more = k - int(labels.max()) - 1
        # Four clouds at equal distances look like one when halved, so a k that fails does not end the search.
        convincing = new_gap - gap > max(settings.strictness * error, more * settings.least_gap)
        if convincing and smallest >= max(2, settings.min_share * samples):
            labels, gap = assigned[0], new_gap
    sizes = labels.bincount()
    rank = torch.empty_like(sizes)
    rank[sizes.argsort(descending=True, stable=True)] = torch.arange(len(sizes))
    return rank[labels]


def k_means(
    points: Float64[Tensor, "problems samples directions"], *, k: int, restarts: int, generator: np.random.Generator
) -> tuple[Int64[Tensor, "problems samples"], Float64[Tensor, " problems"]]:
    """Divide each of several clouds into k clusters, all at once; of the restarts the best is kept.

    Returns:
        The cluster of every point, and the sum of squared distances to the clusters' means.

    Source: Arthur and Vassilvitskii (2007), k-means++: The Advantages of Careful Seeding.
    """
    problems, samples, _ = points.shape
    copies = points.repeat_interleave(restarts, dim=0)  # problems·restarts samples directions
    lines = torch.arange(len(copies))
    first = torch.from_numpy(generator.integers(samples, size=len(copies)))
    centres = copies[lines, first][:, None]  # … k directions
    for _ in range(1, k):
        reach = torch.cdist(copies, centres).square().amin(dim=2).cumsum(dim=1)
        drawn = torch.from_numpy(generator.random(len(copies)))[:, None] * reach[:, -1:]
        chosen = torch.searchsorted(reach, drawn, right=True)[:, 0].clamp(max=samples - 1)
        centres = torch.cat([centres, copies[lines, chosen][:, None]], dim=1)
    squares = copies.square().sum(dim=2, keepdim=True)
    labels = torch.full(copies.shape[:2], -1)
    for _ in range(ITERATIONS):
        distances = squares - 2 * copies @ centres.mT + centres.square().sum(dim=2)[:, None]  # … samples k
        nearest = distances.argmin(dim=2)
        if torch.equal(nearest, labels):
            break
        labels = nearest
        members = torch.nn.functional.one_hot(labels, k).to(copies)  # … samples k
        sizes = members.sum(dim=1)[:, :, None]
        # A cluster that nobody is nearest to stays where it was.
        centres = torch.where(sizes > 0, members.mT @ copies / sizes.clamp(min=1), centres)
    within = (copies - centres.gather(1, labels[:, :, None].expand_as(copies))).square().sum(dim=(1, 2))
    best = within.view(problems, restarts).argmin(dim=1) + restarts * torch.arange(problems)
    return labels[best], within[best]


def _unit_and_centred(vectors: Float[Tensor, "samples width"]) -> Float64[Tensor, "samples width"]:
    """Bring vectors to length 1 and their mean to zero."""
    points = torch.nn.functional.normalize(vectors.double(), dim=1)
    return points - points.mean(dim=0)

"""Word vectors without context, from counts: which words stand near which.

A word is described by the words within a few places of it. Each count becomes positive pointwise mutual information,

    ppmi(w, c) = max(0, log( p(w, c) / (p(w) p_a(c)) )),    p_a(c) ∝ count(c)^0.75

which tells how much more often the two meet than chance would have it, and a truncated singular value decomposition
keeps the strongest directions, each weighted by a power of its singular value. Skip-gram factorises nearly the same
matrix step by step; this takes seconds for a million words, a minute for ten, and has no learning rate.

The vectors serve twice: aligned like anchors they are the baseline `static`, and a language model that starts from
them knows which words are alike before its first step.

Source: Levy, Goldberg and Dagan (2015), TACL 3; Halko, Martinsson and Tropp (2011), arXiv:0909.4061.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.encoders.settings import CooccurrenceSettings, StaticSettings
from isogloss.errors import TextError

log = logging.getLogger(__name__)

SMOOTHING = 0.75
"""Exponent of the contexts' counts: rare contexts would else seem too telling (Levy et al. 2015)."""
PAIRS_COUNTED_TOGETHER = 4_000_000
"""Word pairs held before they are merged into the counts; bounds memory, not the result."""


def cooccurrence_vectors(
    vocabulary: Vocabulary,
    sentences: Iterable[Sequence[str]],
    *,
    width: int,
    settings: CooccurrenceSettings = CooccurrenceSettings(),  # noqa: B008 - frozen
    seed: int = 1,
) -> Float[Tensor, "types width"]:
    """Describe every word type of a vocabulary by the words that stand near it.

    Args:
        vocabulary: The word types. ``<S>``, ``</S>`` and ``<UNK>`` get zeros and describe nothing.
        sentences: Read once, as words.
        width: Of the vectors. Directions that the counts do not determine are zero.
        settings: See `CooccurrenceSettings`.
        seed: Of the random start of the decomposition.

    Returns:
        One vector per word type, float32, scaled so that the mean square of all numbers is 1.
    """
    words, contexts, counts = _count_pairs(vocabulary, sentences, settings)
    if not len(counts):
        return torch.zeros(len(vocabulary), width)
    total = counts.sum()
    by_word = np.bincount(words, weights=counts, minlength=len(vocabulary))
    by_context = np.bincount(contexts, weights=counts) ** SMOOTHING
    information = np.log(counts * by_context.sum() / (by_word[words] * by_context[contexts]))
    positive = information > 0
    size = (len(vocabulary), min(settings.contexts, len(vocabulary)))
    table = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([words[positive], contexts[positive]])),
        torch.from_numpy(information[positive].astype(np.float32)),
        size,
        check_invariants=True,
    ).coalesce()
    log.debug("%d pairs, %d of them positive, from %d meetings", len(counts), int(positive.sum()), int(total))
    vectors = _strongest_directions(table, width, settings, seed)
    return vectors / vectors.square().mean().sqrt().clamp(min=1e-12)


def static_vectors(
    sentences: Callable[[], Iterable[Sequence[str]]], *, settings: StaticSettings, seed: int = 1
) -> tuple[tuple[str, ...], tuple[int, ...], Float[Tensor, "types width"]]:
    """Make word vectors from a text.

    Args:
        sentences: Called twice, to count words and to count pairs; each time gives the text from its begin.
        settings: See `StaticSettings`.
        seed: Of the random start of the decomposition.

    Returns:
        Words by falling count, their counts, and their vectors.

    Raises:
        TextError: No word type was seen `settings.min_count` times, or nothing tells those that were from one another.
    """
    vocabulary = Vocabulary.count(
        sentences(), min_count=settings.min_count, max_size=settings.max_types + len(RESERVED)
    )
    if len(vocabulary) == len(RESERVED):
        raise TextError(
            f"Static vectors: no word type occurs {settings.min_count} times, as min_count asks. Give more text, or "
            f"lower min_count."
        )
    vectors = cooccurrence_vectors(vocabulary, sentences(), width=settings.width, settings=settings, seed=seed)
    if not vectors.any():
        raise TextError(
            f"Static vectors: of {len(vocabulary) - len(RESERVED)} word types none stands near another more often than "
            "by chance. Expected words with neighbours of their own. Give more text, or lower min_count."
        )
    first = len(RESERVED)
    return vocabulary.words[first:], vocabulary.counts[first:], vectors[first:]


def _count_pairs(
    vocabulary: Vocabulary, sentences: Iterable[Sequence[str]], settings: CooccurrenceSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count how often each word type stands near each context, as three arrays: word, context, count."""
    columns = min(settings.contexts, len(vocabulary))
    merged = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    for ids in _blocks(vocabulary, sentences, settings):
        found = []
        for distance in range(1, settings.window + 1):
            left, right = ids[:-distance], ids[distance:]
            for word, context in ((left, right), (right, left)):
                near = (word >= len(RESERVED)) & (context >= len(RESERVED)) & (context < columns)
                found.append(word[near] * columns + context[near])
        waiting.append(np.unique(np.concatenate(found), return_counts=True))
        # Merging sorts everything anew; waiting until the new is as much as the old keeps that to n log n in all.
        if sum(len(keys) for keys, _ in waiting) >= len(merged[0]):
            merged, waiting = _merge([merged, *waiting]), []
    keys, counts = _merge([merged, *waiting])
    return keys // columns, keys % columns, counts


def _merge(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Add up counts by key; keys come out sorted."""
    keys, place = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
    counts = np.bincount(place, weights=np.concatenate([counts for _, counts in parts]), minlength=len(keys))
    return keys, counts.astype(np.int64)


def _blocks(
    vocabulary: Vocabulary, sentences: Iterable[Sequence[str]], settings: CooccurrenceSettings
) -> Iterator[np.ndarray]:
    """Yield the text as long rows of ids, with so many gaps (-1) between sentences that no window reaches across."""
    gap = np.full(settings.window, -1, dtype=np.int64)
    block: list[np.ndarray] = []
    size = 0
    for sentence in sentences:
        block += [vocabulary.encode(sentence), gap]
        size += len(sentence)
        if size * 2 * settings.window >= PAIRS_COUNTED_TOGETHER:
            yield np.concatenate(block)
            block, size = [], 0
    if block:
        yield np.concatenate(block)


def _strongest_directions(
    table: Tensor, width: int, settings: CooccurrenceSettings, seed: int
) -> Float[Tensor, "types width"]:
    """Return the left singular vectors of a sparse table, weighted; zeros beyond its rank."""
    generator = torch.Generator().manual_seed(seed)
    sought = min(width + 16, *table.shape)
    turned = table.t().coalesce()
    basis = torch.linalg.qr(
        torch.sparse.mm(table, torch.randn(table.shape[1], sought, generator=generator, dtype=table.dtype))
    ).Q
    for _ in range(settings.power_iterations):
        basis = torch.linalg.qr(torch.sparse.mm(turned, basis)).Q
        basis = torch.linalg.qr(torch.sparse.mm(table, basis)).Q
    left, values, _ = torch.linalg.svd(torch.sparse.mm(turned, basis).mT, full_matrices=False)
    # Beyond the rank of the table there is nothing but rounding, which the weighting would raise to something.
    rank = int((values > values[0] * max(table.shape) * torch.finfo(values.dtype).eps).sum())
    kept = min(width, rank)
    vectors = torch.zeros(table.shape[0], width)
    vectors[:, :kept] = ((basis @ left)[:, :kept] * values[:kept] ** settings.weighting).float()
    return vectors

"""How sure is a score? Intervals and comparisons by the bootstrap over sentences.

A test set is one draw of sentences from a language. Drawing as many sentences again from it, with
replacement, shows how much a score moves by that chance alone. Sentences are drawn whole, since the words of
one sentence succeed or fail together. The middle 95 % of the redrawn scores are the interval (the percentile
method). Two systems are compared on the same draws, so that what is hard for both cancels out.

Receives the `AttachmentScores` of each sentence; hands on intervals and `Score` values.

Sources: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13; Koehn (2004), Statistical
Significance Tests for Machine Translation Evaluation (the paired comparison).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from isogloss.errors import DataError
from isogloss.parsing.attachment import AttachmentScores
from isogloss.reports.results import PosSource, Score, System

Measure = Literal["las", "uas"]

NUMBERS_AT_A_TIME = 2_000_000
"""Most draws held in memory at once; how they are cut up does not change the result."""


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of two, with the range that chance alone would give it."""

    value: float
    """Over the sentences as they are."""
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """Score of system A minus score of system B, on the same sentences."""

    share_not_better: float
    """Share of the draws in which A was not better than B. Near 0, A's lead is more than chance; one half
    says nothing either way; near 1, B leads."""


def score_interval(
    scores: Sequence[AttachmentScores],
    generator: np.random.Generator,
    *,
    measure: Measure = "las",
    samples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Estimate the interval of a score from the scores of its sentences.

    Args:
        scores: One per sentence, of one scope. Sentences without a word that counts are left out.
        generator: Draws the sentences.
        measure: LAS or UAS.
        samples: How many times to draw anew.
        level: Share of the draws within the interval, between 0 and 1.

    Raises:
        DataError: No word counts in any sentence.
    """
    words, correct = _counts(scores, measure)
    kept = words > 0
    if not kept.any():
        raise DataError(
            f"Interval of {measure.upper()}: {len(scores)} sentences with no word that counts. Expected at "
            "least one word. Check the test file and the scope."
        )
    words, correct = words[kept], correct[kept]
    redrawn = np.concatenate(
        [correct[draws].sum(axis=1) / words[draws].sum(axis=1) for draws in _draws(len(words), samples, generator)]
    )
    return Interval(float(correct.sum() / words.sum()), *_middle(redrawn, level))


def paired_difference(
    system_a: Sequence[AttachmentScores],
    system_b: Sequence[AttachmentScores],
    generator: np.random.Generator,
    *,
    measure: Measure = "las",
    samples: int = 1000,
    level: float = 0.95,
) -> Difference:
    """Compare two systems on the same sentences: A minus B, with interval.

    Args:
        system_a: One score per sentence.
        system_b: The same for the other system; sentence by sentence the same words count.
        generator: Draws the sentences; each draw is used for both systems.
        measure: LAS or UAS.
        samples: How many times to draw anew.
        level: Share of the draws within the interval, between 0 and 1.

    Raises:
        DataError: The systems were not scored on the same sentences, or no word counts.
    """
    words, correct_a = _counts(system_a, measure)
    words_b, correct_b = _counts(system_b, measure)
    if not np.array_equal(words, words_b):
        raise DataError(
            f"Comparison of two systems: {len(words)} sentences of {words.sum()} words, and {len(words_b)} "
            f"of {words_b.sum()} words, do not match one by one. Expected scores of the same sentences in "
            "the same order. Score both systems on one file."
        )
    kept = words > 0
    if not kept.any():
        raise DataError(
            f"Comparison of two systems: {len(words)} sentences with no word that counts. Expected at least "
            "one word. Check the test file and the scope."
        )
    words, lead = words[kept], (correct_a - correct_b)[kept]
    redrawn = np.concatenate(
        [lead[draws].sum(axis=1) / words[draws].sum(axis=1) for draws in _draws(len(words), samples, generator)]
    )
    low, high = _middle(redrawn, level)
    return Difference(float(lead.sum() / words.sum()), low, high, share_not_better=float((redrawn <= 0).mean()))


def score_with_interval(
    scores: Sequence[AttachmentScores],
    generator: np.random.Generator,
    *,
    system: System,
    language: str,
    split: str,
    pos: PosSource,
    seed: int,
    unseen: bool,
    upos: float | None = None,
    trees: int | None = None,
    draw: int = 1,
    samples: int = 1000,
) -> Score:
    """Add up the scores of the sentences of one test set, and estimate the 95 % interval of LAS.

    Where no word counts the scores are 0 and there is no interval.
    """
    scope = scores[0].scope if scores else "ud"
    total = sum(scores, AttachmentScores(0, 0, 0, scope))
    interval = score_interval(scores, generator, samples=samples) if total.words else None
    return Score(
        system=system,
        language=language,
        split=split,
        pos=pos,
        uas=total.uas,
        las=total.las,
        words=total.words,
        seed=seed,
        las_low=interval.low if interval else None,
        las_high=interval.high if interval else None,
        unseen=unseen,
        upos=upos,
        trees=trees,
        draw=draw,
        scope=scope,
    )


def _counts(scores: Sequence[AttachmentScores], measure: Measure) -> tuple[np.ndarray, np.ndarray]:
    """Return the words that count and the words that are right, per sentence."""
    scopes = {score.scope for score in scores}
    assert len(scopes) <= 1, f"scores of several scopes do not mix: {sorted(scopes)}"
    words = np.array([score.words for score in scores], dtype=np.int64)
    right = [score.correct_relations if measure == "las" else score.correct_heads for score in scores]
    return words, np.array(right, dtype=np.int64)


def _draws(sentences: int, samples: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the sentences of every draw, some draws at a time, one draw per row."""
    step = max(1, NUMBERS_AT_A_TIME // sentences)
    for first in range(0, samples, step):
        yield generator.integers(sentences, size=(min(step, samples - first), sentences))


def _middle(values: np.ndarray, level: float) -> tuple[float, float]:
    """Return the ends of the range that holds the middle ``level`` of the values."""
    assert 0 < level < 1, "the level is a share, such as 0.95"
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

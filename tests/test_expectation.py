"""What is said of an added language follows from its evidence."""

from pathlib import Path

import pytest

from isogloss.bundle import Bundle
from isogloss.expectation import expectation

EVIDENCE = {
    "words": 300_000,
    "share_unknown": 0.1,
    "closeness": 0.5,
    "tested_words": 200,
    "precision@1": 0.1,
    "precision@5": 0.3,
    "halves_alike": 0.4,
    "confidence": 0.8,
}


def bundle(*confidences: float) -> Bundle:
    languages = {f"l{number}": {"confidence": value} for number, value in enumerate(confidences)}
    return Bundle(Path("models"), "en", {**languages, "unknown": {}}, {}, {})


@pytest.mark.parametrize(
    ("change", "grade"),
    [
        ({}, "good"),
        ({"precision@5": 0.2}, "fair"),
        ({"precision@5": 0.05}, "poor"),
        ({"precision@5": None}, "fair"),
        ({"words": 50_000}, "fair"),
        ({"words": 50_000, "precision@5": 0.05}, "poor"),
        ({"confidence": 0.5}, "poor"),
        ({"confidence": None}, "good"),
    ],
)
def test_grades_follow_from_the_evidence(change, grade):
    assert expectation(EVIDENCE | change, bundle(0.85, 0.75))[0] == grade


def test_without_known_languages_to_compare_with_confidence_decides_nothing():
    grade, reasons = expectation(EVIDENCE | {"confidence": 0.1}, bundle())
    assert grade == "good"
    assert "The parser gives its heads a probability of 0.10 on average." in reasons


def test_reasons_tell_the_numbers():
    _, reasons = expectation(EVIDENCE | {"words": 9_000, "share_unknown": 0.45}, bundle(0.9))
    told = " ".join(reasons)
    for part in ("Of 200 dictionary words", "30% find", "10% at once", "40% of the frequent", "cosine of 0.50"):
        assert part in told
    for part in (
        "9,000 words, which is little",
        "45% of the words in held-out text",
        "0.80 on average; of known languages 0.90",
    ):
        assert part in told

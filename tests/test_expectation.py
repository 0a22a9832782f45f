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


def bundle(**confidences: float) -> Bundle:
    """Models whose parser learned from all languages but ``unseen``; LAS is confidence less a tenth."""
    languages = {
        name: {"name": name, "trees": name != "unseen", "confidence": value, "scores": [{"las": value - 0.1}]}
        for name, value in confidences.items()
    }
    return Bundle(Path("models"), "en", {**languages, "unmeasured": {"trees": True, "scores": []}}, {}, {})


KNOWN = bundle(Alvan=0.85, Bereni=0.8, Elgari=0.6, unseen=0.4)


@pytest.mark.parametrize(
    ("change", "grade"),
    [
        ({}, "good"),
        ({"precision@5": 0.2}, "fair"),
        ({"precision@5": 0.05}, "poor"),
        ({"precision@5": 0.19, "halves_alike": 0.01}, "poor"),
        ({"precision@5": None}, "fair"),
        ({"words": 50_000}, "fair"),
        ({"words": 50_000, "precision@5": 0.05}, "poor"),
        ({"confidence": 0.75}, "fair"),  # 0.94 of 0.8, which is in the middle of the three with trees
        ({"confidence": 0.55}, "poor"),  # 0.69
        ({"confidence": 0.55, "precision@5": None}, "poor"),
        ({"confidence": None}, "fair"),
    ],
)
def test_grades_follow_from_the_evidence(change, grade):
    assert expectation(EVIDENCE | change, KNOWN)[0] == grade


@pytest.mark.parametrize("unlike", [bundle(), bundle(unseen=0.8)])
def test_without_languages_that_the_parser_learned_from_nothing_is_called_good(unlike):
    grade, reasons = expectation(EVIDENCE, unlike)
    assert grade == "fair"
    assert "There is no known language to compare with how sure the parser is of this one." in reasons


@pytest.mark.parametrize(
    ("confidence", "told"),
    [
        (0.5, "of 0.50 on average, more than for unseen (0.40, LAS 30.0), and less than for Elgari (0.60, LAS 50.0)."),
        (0.9, "of 0.90 on average, more than for any known language; the next is Alvan (0.85, LAS 75.0)."),
        (0.3, "of 0.30 on average, less than for any known language; the next is unseen (0.40, LAS 30.0)."),
    ],
)
def test_the_languages_are_told_that_the_parser_is_next_as_sure_of(confidence, told):
    _, reasons = expectation(EVIDENCE | {"confidence": confidence}, KNOWN)
    assert f"The parser gives its heads a probability {told}" in reasons


def test_a_good_map_into_vectors_that_the_parser_cannot_read_is_poor():
    """Turkish with 30,000 lines and 381 pairs, by the models that come with isogloss: LAS 23."""
    turkish = {"precision@1": 0.12, "precision@5": 0.35, "halves_alike": 0.14, "confidence": 0.51}
    assert expectation(EVIDENCE | turkish, bundle(tr=0.63, en=0.84, es=0.86, fr=0.88))[0] == "poor"


def test_reasons_tell_the_numbers():
    _, reasons = expectation(EVIDENCE | {"words": 9_000, "share_unknown": 0.45}, KNOWN)
    told = " ".join(reasons)
    for part in ("Of 200 dictionary words", "30% find", "10% at once", "40% of the frequent", "cosine of 0.50"):
        assert part in told
    for part in ("9,000 words, which is little", "45% of the words in held-out text"):
        assert part in told

"""What is said of an added language follows from its evidence."""

from pathlib import Path

import pytest

from isogloss.bundle import Bundle
from isogloss.expectation import expectation

EVIDENCE = {
    "words": 300_000,
    "share_unknown": 0.1,
    "closeness": 0.5,
    "learned_pairs": 1800,
    "withheld_words": 200,
    "tested_words": 150,
    "precision@1": 0.1,
    "precision@5": 0.3,
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
        ({"precision@5": 0.1}, "good"),
        ({"precision@5": 0.09}, "fair"),
        ({"precision@5": 0.0, "confidence": 0.75}, "fair"),
        ({"words": 50_000}, "fair"),
        ({"confidence": 0.75}, "fair"),  # 0.94 of 0.8, which is in the middle of the three with trees
        ({"confidence": 0.65}, "fair"),  # 0.81
        ({"confidence": 0.63}, "poor"),  # 0.79
        ({"confidence": 0.55, "precision@5": 0.9}, "poor"),
        ({"confidence": None}, "fair"),
    ],
)
def test_grades_follow_from_the_evidence(change, grade):
    assert expectation(EVIDENCE | change, KNOWN)[0] == grade


def untested(**known: int) -> dict:
    """Evidence without a precision, and what is known of a dictionary."""
    judged = ("learned_pairs", "withheld_words", "tested_words", "precision@1", "precision@5")
    return {name: value for name, value in EVIDENCE.items() if name not in judged} | known


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (untested(), "There is no dictionary, so nothing tells"),
        (
            untested(learned_pairs=240, withheld_words=0),
            "The dictionary is too small for words to be withheld from training, so nothing tells",
        ),
        (
            untested(learned_pairs=400, withheld_words=50),
            "Of the 50 dictionary words that were withheld from training too few are frequent enough on both sides to "
            "be looked up, so nothing tells",
        ),
    ],
)
def test_without_withheld_words_nothing_is_said_of_translations_nor_called_good(evidence, told):
    grade, reasons = expectation(evidence, KNOWN)
    assert grade == "fair"
    assert reasons[0] == f"{told} whether words find their translations."
    assert not any("five nearest" in reason for reason in reasons)


def test_without_a_frequent_word_outside_the_dictionary_nothing_is_said_of_neighbours():
    _, reasons = expectation(EVIDENCE | {"closeness": None}, KNOWN)
    assert not any("cosine" in reason for reason in reasons)


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
    """The confidence is that of Turkish with 30,000 lines, by the models that come with isogloss: LAS 18."""
    turkish = {"precision@1": 0.0, "precision@5": 0.35, "confidence": 0.66}
    assert expectation(EVIDENCE | turkish, bundle(tr=0.73, en=0.89, es=0.89, fr=0.92))[0] == "poor"


def test_reasons_tell_the_numbers():
    _, reasons = expectation(EVIDENCE | {"words": 9_000, "share_unknown": 0.45}, KNOWN)
    told = " ".join(reasons)
    withheld = "Of 150 dictionary words that were withheld from the language model and the map, 30% find a translation"
    for part in (withheld, "10% at once", "words that the dictionary does not have lie at a cosine of 0.50"):
        assert part in told
    for part in ("9,000 words, which is little", "45% of the words in held-out text"):
        assert part in told

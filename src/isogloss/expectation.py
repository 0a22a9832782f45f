"""What to expect of a language that was added without trees, in plain words, from evidence that needs none.

How far a map leads is told best by words that had no part in it. Frequent words are easy to find among a few thousand
candidates, though, so two maps must also agree: Turkish with 380 pairs found 19 % of held-out words among the five
nearest, but maps from two halves of the dictionary translated 1 % of the frequent words alike, and its trees were poor
(LAS 10 by a parser of Romance languages and English).
"""

from collections.abc import Mapping
from typing import Any

from isogloss.bundle import Bundle

GOOD, FAIR = 0.25, 0.1
"""Least share of held-out words that find a translation among the five nearest, for these two words."""
UNLIKE = 0.05
"""Share of frequent words below which two maps that translate no more alike have little in common."""
FEW_WORDS = 100_000
"""Words of text below which a language model knows little but the commonest words."""
MANY_UNKNOWN = 0.2
"""Share of words outside the vocabulary from which on much of a text is read by its letters alone."""
LESS_SURE = 0.15
"""How much less sure a parser is than of languages that it knows, for it to be worth a word."""


def expectation(evidence: Mapping[str, Any], bundle: Bundle) -> tuple[str, tuple[str, ...]]:
    """Return ``good``, ``fair`` or ``poor``, and the reasons, each a sentence.

    Without a dictionary of a reasonable size there is nothing to judge the map by, and the best word is ``fair``.
    """
    reasons = []
    precision = evidence.get("precision@5")
    if precision is None:
        grade = "fair"
        reasons.append("No pairs could be held out, so nothing tells whether words find their translations.")
    else:
        alike = evidence["halves_alike"]
        grade = "good" if precision >= GOOD else "fair" if precision >= FAIR else "poor"
        grade = "poor" if alike < UNLIKE else grade
        tested, first = evidence["tested_words"], evidence["precision@1"]
        reasons.append(
            f"Of {tested} dictionary words, each left out of the map in its turn, {precision:.0%} find a translation "
            f"among the five nearest words, {first:.0%} at once."
        )
        reasons.append(f"Two maps from two halves of the dictionary translate {alike:.0%} of the frequent words alike.")
    reasons.append(
        f"Frequent words lie at a cosine of {evidence['closeness']:.2f} from their nearest neighbours in the other "
        f"language."
    )
    if evidence["words"] < FEW_WORDS:
        reasons.append(f"The text has {evidence['words']:,} words, which is little: more text would help most.")
        grade = "fair" if grade == "good" else grade
    if evidence["share_unknown"] > MANY_UNKNOWN:
        reasons.append(f"{evidence['share_unknown']:.0%} of the words in held-out text are not in the vocabulary.")
    sure = evidence.get("confidence")
    others = [facts["confidence"] for facts in bundle.languages.values() if facts.get("confidence") is not None]
    if sure is not None and others:
        usual = sum(others) / len(others)
        reasons.append(
            f"The parser gives its heads a probability of {sure:.2f} on average; of known languages {usual:.2f}."
        )
        if sure < usual - LESS_SURE:
            grade = "poor"
    elif sure is not None:
        reasons.append(f"The parser gives its heads a probability of {sure:.2f} on average.")
    return grade, tuple(reasons)

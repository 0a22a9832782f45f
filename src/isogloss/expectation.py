"""What to expect of a language that was added without trees, in plain words, from evidence that needs none.

How far a map leads is told best by words that had no part in it. Of the language models that come with the project,
those whose held-out words find their translation among the five nearest in a quarter of the cases or more are parsed
well; where it is less than a tenth, hardly better than by chance and by what the model was started from.
"""

from collections.abc import Mapping
from typing import Any

from isogloss.bundle import Bundle

GOOD, FAIR = 0.25, 0.1
"""Least share of held-out words that find a translation among the five nearest, for these two words."""
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
        grade = "good" if precision >= GOOD else "fair" if precision >= FAIR else "poor"
        tested, first = evidence["tested_words"], evidence["precision@1"]
        reasons.append(
            f"Of {tested} dictionary words, each left out of the map in its turn, {precision:.0%} find a translation "
            f"among the five nearest words, {first:.0%} at once."
        )
        reasons.append(
            f"Two maps from two halves of the dictionary translate {evidence['halves_alike']:.0%} of the frequent "
            f"words alike."
        )
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

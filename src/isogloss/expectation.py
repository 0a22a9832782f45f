"""What to expect of a language that was added without trees, in plain words, from evidence that needs none.

How far a map leads is told by words that had no part in it. Frequent words are easy to find among a few thousand
candidates, though, so two maps must also agree: Turkish with 380 pairs found 19 % of held-out words among the five
nearest, but maps from two halves of the dictionary translated 1 % of the frequent words alike, and its trees were poor
(LAS 10 by a parser of Romance languages and English).

A good map is not enough: Turkish with 30,000 lines and 381 pairs found 35 % of held-out words, and had LAS 23. So the
parser must also be about as sure of its heads as it is of the languages it learned from. How sure it is puts languages
in the order of their LAS, with the models that come with isogloss and their own tags:

    French 0.88  Portuguese 0.87  Italian 0.87  Spanish 0.85  English 0.84  Swedish 0.84     LAS 74 to 81
    German 0.80 (unseen)  Turkish 0.62 (little text)                                         LAS 54 and 49
    Turkish 0.51 (added)  Kazakh 0.36 (unseen)                                               LAS 23 and 15
"""

from collections.abc import Mapping
from statistics import median
from typing import Any

from isogloss.bundle import Bundle

GRADES = ("poor", "fair", "good")
GOOD, FAIR = 0.25, 0.1
"""Least share of held-out words that find a translation among the five nearest, for these two words."""
UNLIKE = 0.05
"""Share of frequent words below which two maps that translate no more alike have little in common."""
FEW_WORDS = 100_000
"""Words of text below which a language model knows little but the commonest words."""
MANY_UNKNOWN = 0.2
"""Share of words outside the vocabulary from which on much of a text is read by its letters alone."""
SURE, HALF_SURE = 0.96, 0.7
"""Least share that a parser's confidence has of what is usual, for good and fair. Usual is the median of the languages
it learned from, 0.85 with the models that come with isogloss. Swedish, the least of those with LAS above 70, has 0.99
of it, German (54) 0.94, Turkish (49) 0.73, the added Turkish (23) 0.60, Kazakh (15) 0.43."""


def expectation(evidence: Mapping[str, Any], bundle: Bundle) -> tuple[str, tuple[str, ...]]:
    """Return ``good``, ``fair`` or ``poor``, and the reasons, each a sentence or two.

    It is the worst of what the map, the text and the parser's confidence allow. Without a dictionary of a reasonable
    size, or without known languages to compare the confidence with, the best word is ``fair``.
    """
    reasons, grades = [], []
    precision = evidence.get("precision@5")
    if precision is None:
        grades.append("fair")
        reasons.append("No pairs could be held out, so nothing tells whether words find their translations.")
    else:
        alike = evidence["halves_alike"]
        grades.append("poor" if alike < UNLIKE else _grade(precision, fair=FAIR, good=GOOD))
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
        grades.append("fair")
        reasons.append(f"The text has {evidence['words']:,} words, which is little: more text would help most.")
    if evidence["share_unknown"] > MANY_UNKNOWN:
        reasons.append(f"{evidence['share_unknown']:.0%} of the words in held-out text are not in the vocabulary.")
    sure = evidence.get("confidence")
    learned = [facts["confidence"] for facts in bundle.languages.values() if "confidence" in facts and facts["trees"]]
    if sure is not None:
        reasons.append(f"The parser gives its heads a probability of {sure:.2f} on average{_beside(sure, bundle)}.")
    if sure is not None and learned:
        grades.append(_grade(sure / median(learned), fair=HALF_SURE, good=SURE))
    else:
        grades.append("fair")
        reasons.append("There is no known language to compare with how sure the parser is of this one.")
    return min(grades, key=GRADES.index), tuple(reasons)


def _grade(value: float, *, fair: float, good: float) -> str:
    """Return the word for a value, from the least values that two words need."""
    return GRADES[(value >= fair) + (value >= good)]


def _beside(sure: float, bundle: Bundle) -> str:
    """Tell which known languages the parser is next as sure of, and how good their trees are."""
    known = sorted(
        (facts["confidence"], f"{facts['name']} ({facts['confidence']:.2f}, LAS {100 * facts['scores'][0]['las']:.1f})")
        for facts in bundle.languages.values()
        if "confidence" in facts and facts["scores"]
    )
    below = [told for confidence, told in known if confidence <= sure]
    above = [told for confidence, told in known if confidence > sure]
    if below and above:
        return f", more than for {below[-1]}, and less than for {above[0]}"
    if below:
        return f", more than for any known language; the next is {below[-1]}"
    if above:
        return f", less than for any known language; the next is {above[0]}"
    return ""

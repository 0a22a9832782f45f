"""What to expect of a language that was added without trees, in plain words, from evidence that needs none.

What carries the word is how sure the parser is of its heads, beside the languages it learned from: that puts languages
nearly in the order of their LAS, with the models that come with isogloss and their own tags (`models/bundle.json`):

    French 0.92  Italian 0.91  Portuguese 0.91  Spanish 0.89  Swedish 0.89  English 0.89     LAS 78 to 86
    German 0.83 (unseen)  Turkish 0.73 (little text)                                         LAS 60 and 59
    Kazakh 0.57 (unseen)                                                                     LAS 26
    as added from 30,000 lines: German 0.80, Turkish 0.66                                    LAS 57 and 18

How many words find a translation says less. It is told of words that had no part in anything (`mapping/evidence.py`),
and where next to none of them does, or none could be withheld, no language is called good. But a parser asks only that
words come to lie among their like: Spanish of 10,000 sentences had LAS 45 where 12 % of test words found a translation
among the five nearest; the models that come with isogloss find 34 % or more, but for Turkish (docs/results.md).
"""

from collections.abc import Mapping
from statistics import median
from typing import Any

from isogloss.bundle import Bundle

GRADES = ("poor", "fair", "good")
FOUND = 0.1
"""Share of withheld words with a translation among the five nearest below which no language is called good."""
FEW_WORDS = 100_000
"""Words of text below which a language model knows little but the commonest words."""
MANY_UNKNOWN = 0.2
"""Share of words outside the vocabulary from which on much of a text is read by its letters alone."""
SURE, HALF_SURE = 0.96, 0.8
"""Least share that a parser's confidence has of what is usual, for good and fair. Usual is the median of the languages
it learned from, 0.89 with the models that come with isogloss. Swedish and English, the least sure of those with LAS
above 70, have 0.99 of it, German (60) 0.93, German as added (57) 0.90, Turkish (59) 0.82, Turkish as added (18) 0.74,
Kazakh (26) 0.64."""


def expectation(evidence: Mapping[str, Any], bundle: Bundle) -> tuple[str, tuple[str, ...]]:
    """Return ``good``, ``fair`` or ``poor``, and the reasons, each a sentence or two.

    It is what the parser's confidence allows. The best word is ``fair`` for a small text, where withheld words hardly
    find their translations or there are none, and without known languages to compare the confidence with.
    """
    reasons, grades = [_found(evidence)], ["good" if evidence.get("precision@5", 0.0) >= FOUND else "fair"]
    if evidence["closeness"] is not None:
        which = "Frequent words that the dictionary does not have" if "learned_pairs" in evidence else "Frequent words"
        reasons.append(
            f"{which} lie at a cosine of {evidence['closeness']:.2f} from their nearest neighbours in the other "
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


def _found(evidence: Mapping[str, Any]) -> str:
    """Tell how many withheld words find a translation, or why nothing is known of that."""
    unknown = "so nothing tells whether words find their translations."
    if "precision@5" in evidence:
        return (
            f"Of {evidence['tested_words']} dictionary words that were withheld from the language model and the map, "
            f"{evidence['precision@5']:.0%} find a translation among the five nearest words, "
            f"{evidence['precision@1']:.0%} at once."
        )
    if "kin" in evidence:
        held = "" if "learned_pairs" in evidence else " No dictionary kept its words near those of that language."
        return f"Its map is that of {evidence['kin']}, which needs no dictionary of the reference, {unknown}{held}"
    if "learned_pairs" not in evidence:
        return f"There is no dictionary, {unknown}"
    if not evidence["withheld_words"]:
        return f"The dictionary is too small for words to be withheld from training, {unknown}"
    return (
        f"Of the {evidence['withheld_words']} dictionary words that were withheld from training too few are frequent "
        f"enough on both sides to be looked up, {unknown}"
    )


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

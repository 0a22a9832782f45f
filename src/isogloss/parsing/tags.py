"""Universal parts of speech, and which of them a word may have by its characters, in any language and script.

A tagger that reads vectors errs where a language's vectors lie a little off: of an unseen language it may take half of
all commas for prepositions. Whether a word is made of letters, digits or signs is known of every language, and the
guidelines of Universal Dependencies say the same of all: what has a letter is no punctuation, and what has none is
hardly anything else, but for numerals and signs that are read as words.

Source: https://universaldependencies.org/u/pos/. In the training trees of en, es, fr, it, pt, sv and tr one word in
5,600 has a part of speech that is impossible here: slips, and quotation marks that mean *inch*.
"""

from collections.abc import Collection

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.corpus.plain_text import composed
from isogloss.corpus.tokens import lower_case
from isogloss.corpus.word_kinds import KINDS, Kind, kind_of

TAGS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
UNIVERSAL_TAGS = tuple(TAGS.split())
UNKNOWN_TAG = len(UNIVERSAL_TAGS)
"""The id of whatever is no universal tag, ``_`` included."""
TAG_IDS = {tag: index for index, tag in enumerate(UNIVERSAL_TAGS)}
# The older universal tag set of UDT v2.0 and UD v1 has other names for three of them.
TAG_IDS |= {".": TAG_IDS["PUNCT"], "CONJ": TAG_IDS["CCONJ"], "PRT": TAG_IDS["PART"]}

_POSSIBLE: dict[Kind, str] = {
    "letters": TAGS.replace(" PUNCT", ""),
    "digits": "ADJ NOUN NUM PROPN SYM X",
    "signs": "ADP CCONJ NOUN PUNCT SYM X",
    "punctuation": "PUNCT SYM",
    "anything": TAGS,
}
AUXILIARY = len(KINDS)
"""The row of `POSSIBLE` for words that are known to be auxiliaries: what would be a verb is an auxiliary."""
POSSIBLE = torch.tensor(
    [[tag in _POSSIBLE[kind].split() for tag in UNIVERSAL_TAGS] for kind in KINDS]
    + [[tag not in ("VERB", "PUNCT") for tag in UNIVERSAL_TAGS]]
)
"""Which parts of speech a word of a kind may have, kinds × tags, in the order of `KINDS`, and then of auxiliaries."""


def kind_id(form: str, auxiliaries: Collection[str] = (), *, language: str = "") -> int:
    """Return the row of `POSSIBLE` that holds for a word.

    Args:
        form: The word.
        auxiliaries: Those of its language, in lower case and composed (NFC).
        language: Its code, which steers lower case.
    """
    if auxiliaries and lower_case(composed(form), language=language) in auxiliaries:
        return AUXILIARY
    return KINDS.index(kind_of(form))


def of_possible_tags(
    scores: Float[Tensor, "*words tags"], kinds: Int[Tensor, " *words"]
) -> Float[Tensor, "*words tags"]:
    """Return log-probabilities of tags, up to a constant, where only those that are possible may be.

    What speaks for a verb speaks for the auxiliary where that is what the word is known to be.

    Args:
        scores: Log-probabilities, up to a constant.
        kinds: Of every word, from `kind_id`.
    """
    auxiliary, verb = TAG_IDS["AUX"], TAG_IDS["VERB"]
    either = torch.logaddexp(scores[..., auxiliary], scores[..., verb])
    scores = scores.clone()
    scores[..., auxiliary] = torch.where(kinds == AUXILIARY, either, scores[..., auxiliary])
    return scores.masked_fill(~POSSIBLE.to(scores.device)[kinds], -torch.inf)

"""Words as character ids: the bytes of their UTF-8 form, as published ELMo models read them.

Bytes need no inventory of letters, so any script, emoji and broken text have a spelling, and models trained here
have the same inputs as published ones. The price: a letter outside ASCII takes two to four of the 48 places.

The ids of a word are ``begin bytes… end pad…``, 50 in all, each raised by one so that 0 stays free for "no word
here": bytes 1–256, begin of sentence 257, end of sentence 258, begin of word 259, end of word 260, padding 261.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

LONGEST_WORD = 50
"""Character ids per word, the marks of its begin and end included."""
BEGIN_OF_SENTENCE, END_OF_SENTENCE = "<S>", "</S>"
"""Words that stand for the ends of a sentence, as in bilm-tf."""
SENTENCE_IDS = {BEGIN_OF_SENTENCE: 257, END_OF_SENTENCE: 258}
_BEGIN_OF_WORD, END_OF_WORD, PADDING = 259, 260, 261
CHARACTERS = 262
"""How many ids there are, 0 included."""


def character_ids(words: Sequence[str], *, longest: int = LONGEST_WORD) -> Int[np.ndarray, "types characters"]:
    """Spell words as ids, one row each, padded with `PADDING`.

    A word whose UTF-8 form has more than ``longest - 2`` bytes is cut there. Lone surrogates, which have no UTF-8
    form, are left out.

    >>> character_ids(["ab"], longest=6)
    array([[259,  98,  99, 260, 261, 261]])
    """
    ids = np.full((len(words), longest), PADDING, dtype=np.int64)
    for row, word in zip(ids, words, strict=True):
        if word in SENTENCE_IDS:
            spelling = np.array([SENTENCE_IDS[word]])
        else:
            data = word.encode("utf-8", "ignore")[: longest - 2]
            spelling = np.frombuffer(data, dtype=np.uint8).astype(np.int64) + 1
        end = len(spelling) + 1
        row[0], row[1:end], row[end] = _BEGIN_OF_WORD, spelling, END_OF_WORD
    return ids

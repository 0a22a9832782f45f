"""What a word is made of: letters, digits or signs. It can be told of every language and script without knowing it."""

import unicodedata
from functools import lru_cache
from typing import Literal, get_args

Kind = Literal["letters", "digits", "signs", "punctuation", "anything"]
"""``letters``: there is one at least. ``digits``: no letter, but a digit. ``punctuation``: nothing but marks that are
not read aloud. ``signs``: punctuation and symbols one of which may be read as a word. ``anything``: what else there is,
a combining mark that stands alone for example."""
KINDS: tuple[Kind, ...] = get_args(Kind)

READ_AS_WORDS = frozenset("%‰٪&@#*/\\§†‡•¶")
"""Punctuation, as Unicode has it, that people read aloud: *per cent*, *and*, *at*."""


@lru_cache(maxsize=100_000)
def kind_of(form: str) -> Kind:
    """Tell what a word is made of.

    >>> [kind_of(word) for word in ("Haus", "٣", "1914-18", "…", "»", "%", "€", "CO2", ":D", "्")]
    ['letters', 'digits', 'digits', 'punctuation', 'punctuation', 'signs', 'signs', 'letters', 'letters', 'anything']
    """
    classes = {unicodedata.category(character)[0] for character in form}
    if "L" in classes:
        return "letters"
    if "N" in classes:
        return "digits"
    if not classes or not classes <= {"P", "S"}:
        return "anything"
    return "signs" if "S" in classes or not READ_AS_WORDS.isdisjoint(form) else "punctuation"


def is_sign(form: str) -> bool:
    """Whether a word is made of nothing but punctuation and symbols."""
    return kind_of(form) in ("signs", "punctuation")

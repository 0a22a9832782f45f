"""Raw text is made plain: one spelling for what looks alike, nothing that nobody sees, and all else as it was."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.plain_text import composed, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "café"),
        ("ко\u0438\u0306", "кой"),
        ("\u200fשלום\u200e.", "שלום."),
        ("\u202aabc\u202c \u2067x\u2069 \u061cd", "abc x d"),
        ("\ufeffone\ufeff two\u2060three", "one twothree"),
        ("one\u200btwo", "one two"),
        ("e\u200e\u0301", "é"),
        ("می\u200cخواهم coo\u00adperate", "می\u200cخواهم coo\u00adperate"),
        ("a \u200c b (\u00ad) \u200dc", "a  b () c"),
        ("👩\u200d🚀 ❤\ufe0f\u200d🔥 👩🏽\u200d🚀", "👩\u200d🚀 ❤\ufe0f\u200d🔥 👩🏽\u200d🚀"),
        ("क्\u200dष", "क्\u200dष"),
        ("plain", "plain"),
    ],
)
def test_text_is_made_plain(text, expected):
    assert plain(text) == expected


TRICKY = st.text(
    st.sampled_from("ae1.\u0301\u0327\u200b\u200c\u200d\u00ad\u200e\u2066\ufeff 👍🏽\u2000") | st.characters()
)


@given(TRICKY)
def test_plain_text_stays_as_it_is(text):
    assert plain(plain(text)) == plain(text)
    assert unicodedata.is_normalized("NFC", plain(text))


@given(TRICKY)
def test_only_what_nobody_sees_is_lost(text):
    unseen = [letter for letter in text if unicodedata.category(letter) == "Cf"]
    assert len(composed(text)) - len(plain(text)) <= len(unseen)


def test_a_letter_with_endless_marks_makes_nothing_hang():
    text = "a" + "\u0301\u0327" * 300_000  # in one piece, putting these into order takes minutes
    assert len(plain(text)) > 590_000

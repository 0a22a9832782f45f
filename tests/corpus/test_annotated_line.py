"""A line of raw text as a sentence that can be traced back to it."""

import io

import pytest

from isogloss.corpus.conllu import write_conllu
from isogloss.corpus.raw_text import annotated_line
from isogloss.corpus.sentence import Sentence


def rebuilt(sentence: Sentence) -> str:
    """Put the surface together again from forms, multiword tokens and SpaceAfter."""
    ranges = {token.first: token for token in sentence.multiword_tokens}
    text, place = "", 1
    while place <= len(sentence):
        token = ranges.get(place)
        word = sentence.words[place - 1]
        form, misc = (token.form, token.columns[-1]) if token else (word.form, word.misc)
        text += form + ("" if "SpaceAfter=No" in misc else " ")
        place = token.last + 1 if token else place + 1
    return text.rstrip()


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("es", "Del mar, al cielo: ¿vienes?"),
        ("fr", "L'homme du port n'est pas là."),
        ("qel", "გუკო ჟლეთე, ვნორა."),
        ("en", "I don't know  (yet)."),
    ],
)
def test_the_line_can_be_read_off_the_sentence(language, line):
    sentence = annotated_line(line, language=language)
    assert rebuilt(sentence) == " ".join(line.split()) == sentence.comment("text")


@pytest.mark.parametrize(
    ("line", "text", "forms"),
    [
        ("Ella \u200fviene\u200e.", "Ella viene.", ("Ella", "viene", ".")),
        ("\ufeff¿Un\u200bcafe\u0301?\u2069", "¿Un café?", ("¿", "Un", "café", "?")),
        ("\u200b \u200f", "", ()),
    ],
)
def test_what_nobody_sees_is_neither_word_nor_text(line, text, forms):
    sentence = annotated_line(line, language="es")
    assert (sentence.comment("text"), sentence.forms) == (text, forms)
    assert rebuilt(sentence) == text


def test_contractions_become_multiword_tokens():
    sentence = annotated_line("Vengo del mar", language="es", sent_id="7")
    assert sentence.forms == ("Vengo", "de", "el", "mar")
    assert [(token.first, token.last, token.form) for token in sentence.multiword_tokens] == [(2, 3, "del")]
    assert sentence.comments == ("# sent_id = 7", "# text = Vengo del mar")


@pytest.mark.parametrize(
    "line",
    [
        "Vengo del mar, ¿y tú?",
        "Cafe\u0301 \u200fשלום\u200e, del\u200bmar\ufeff.\u2060",
        "\u2067عربي\u2069 \u061c(\u200e1\u200e) می\u200cخواهم co\u00adoperar \u200c.",
        "U\u0308ber й\u0301 각 Å",
    ],
    ids=["plain", "marks", "directions", "decomposed"],
)
def test_parsed_raw_text_passes_the_official_validator_at_level_2(tmp_path, line):
    from udtools import Validator

    sentence = annotated_line(line, language="es", sent_id="1")
    size = len(sentence)
    parsed = sentence.with_tree([0, *[1] * (size - 1)], ["root", *["dep"] * (size - 1)])
    write_conllu([parsed.with_upos(["X"] * size)], tmp_path / "x.conllu")
    report = io.StringIO()
    state = Validator(lang="ud", level=2, output=report).validate_files([str(tmp_path / "x.conllu")])
    assert state.passed(), report.getvalue()

"""A user's list of contractions: read in every case, refused where a line says nothing, used beside our own."""

import pytest

from isogloss.corpus.contractions import read_contractions
from isogloss.corpus.raw_text import annotated_line
from isogloss.errors import TextError


def test_a_contraction_is_found_in_every_case(tmp_path):
    (tmp_path / "list.tsv").write_text("dámelo\tda me lo\n\nl'un\tl' un\n", encoding="utf-8")
    found = read_contractions(tmp_path / "list.tsv")
    assert found["dámelo"] == ("da", "me", "lo")
    assert found["Dámelo"] == ("Da", "me", "lo")
    assert found["DÁMELO"] == ("DA", "ME", "LO")
    assert found["l’un"] == ("l’", "un"), "with the other apostrophe as well"


def test_a_contraction_is_found_however_its_letters_are_put_together(tmp_path):
    (tmp_path / "list.tsv").write_text("da\u0301melo\tda me lo\n", encoding="utf-8")
    assert read_contractions(tmp_path / "list.tsv")["dámelo"] == ("da", "me", "lo")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb c\nxy z w\n", r"list.tsv:2: found 'xy z w'. Expected a token, a tab, and its words, two or more with"),
        ("xy\tz\n", r"list.tsv:1: found 'xy\\tz'. Expected a token"),
        ("x y\tz w\n", r"list.tsv:1: found 'x y\\tz w'. Expected a token"),
        ("\tz w\n", r"list.tsv:1: found 'z w'. Expected a token"),
        ("a\tb c\na\tb d\n", r"list.tsv:2: 'a' stands here a second time, after line 1. Expected each token"),
        ("al\ta el\nx\ty z\nAl\ta lo\n", r"list.tsv:3: 'Al' stands for 'a lo' here, but 'al' in line 1 for 'a el'."),
        ("l'un\tl' un\nL’UN\tl’ une\n", r"list.tsv:2: 'L’UN' stands for 'l’ une' here, but \"l'un\" in line 1 for "),
    ],
)
def test_a_line_that_says_nothing_is_refused(tmp_path, content, message):
    (tmp_path / "list.tsv").write_text(content)
    with pytest.raises(TextError, match=message):
        read_contractions(tmp_path / "list.tsv")


@pytest.mark.parametrize("lines", [["al\ta el", "Al\ta el"], ["Al\ta el", "al\ta el"]])
def test_a_token_in_two_cases_with_the_same_words_is_read_as_written(tmp_path, lines):
    (tmp_path / "list.tsv").write_text("\n".join(lines))
    assert read_contractions(tmp_path / "list.tsv") == {"al": ("a", "el"), "Al": ("a", "el"), "AL": ("A", "EL")}


def test_the_users_contractions_stand_beside_those_of_the_language():
    found = annotated_line("Dámelo del mar.", language="es", contractions={"Dámelo": ("Da", "me", "lo")})
    assert found.forms == ("Da", "me", "lo", "de", "el", "mar", ".")
    assert [(token.form, token.first, token.last) for token in found.multiword_tokens] == [
        ("Dámelo", 1, 3),
        ("del", 4, 5),
    ]


def test_the_users_contractions_go_before_those_of_the_language():
    assert annotated_line("al mar", language="es", contractions={"al": ("a", "lo")}).forms == ("a", "lo", "mar")

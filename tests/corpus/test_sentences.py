"""Running text is split into sentences of any script; nothing is lost, and memory does not grow with the text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.sentences import (
    LONGEST_PARAGRAPH,
    RawSentence,
    noticing_joined_lines,
    sentences_of,
    split_sentences,
)


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["It rained. ", "We stayed in! ", "Why? ", "Nobody knows …"]),
        ("en", ["Dr. Ito met Mr. J. K. Smith in the U.S. Senate. ", "“Well?” he asked. ", "(She left.) ", "Good."]),
        ("en", ["It cost 3.50 at 5 p.m. on Monday. ", "See www.example.com for more."]),
        ("en", ["He said: “Go!” and went. ", "'Really?' ", "Yes..."]),
        ("de", ["Am 3. Oktober kam z. B. Dr. Braun. ", "Es war kalt."]),
        ("es", ["¿Quién es? ", "¡Nadie! ", "El Sr. Paz vive en la pág. 3."]),
        ("fr", ["« Où est M. Hulot ? » ", "Il est parti."]),
        ("tr", ["Kazak tarihinde 2. Dünya Savaşı önemlidir. ", "Bitti."]),
        ("kk", ["Бұл қала. ", "Ол үлкен бе? ", "Иә!"]),
        ("kk", ["Ол 1991 ж. 5 мамырда келді. ", "Олар 3 млн. 5 адам."]),
        ("es", ["En EE. UU. viven 3. ", "En EE. UU. ", "El art. 5 es el núm. 7 del arte. ", "5 personas."]),
        (
            "en",
            [
                "See No. 5, Fig. 3 and p. 7 of 2019. ",
                "5 men came in. ",
                "5 left on TV. ",
                "3 won't. ",
                "5 ran 5 km. ",
                "9.",
            ],
        ),
        ("de", ["Abb. 3 aus Bd. 2 kostet ca. 5 Mio. Euro bzw. Dollar. ", "Er kam. ", "5 Männer auch."]),
        ("fr", ["La fig. 3 de l'art. 5. ", "5 ans."]),
        ("it", ["L'art. 3 e dell’art. 5. ", "Poi 5 anni."]),
        ("", ["На стр. 5 и гл. 7. ", "5 лет."]),
        ("ka", ["მე ვარ აქ. ", "შენ სად ხარ?"]),
        ("ar", ["كيف حالك؟ ", "أنا بخير."]),
        ("hi", ["वह आया। ", "तुम कब आओगे?"]),
        ("hy", ["Ես այստեղ եմ։ ", "Դու ո՞ւր ես։"]),
        ("zh", ["我去北京。", "你呢？", "我不知道！"]),
        ("ja", ["今日は。", "「元気？」", "はい。"]),
        ("th", ["ไม่มีเครื่องหมายจบประโยค"]),
        ("", ["No end mark here"]),
        ("", ["An end.\n", "Another end.\n\t ", "A third."]),
    ],
)
def test_running_text_is_split_where_a_reader_would(language, sentences):
    assert split_sentences("".join(sentences), language=language) == sentences


@pytest.mark.parametrize(
    "text",
    ["." * 300_000 + "x", "?!" * 150_000 + "x", "." + "»" * 300_000 + "x", ".»" * 150_000 + "x", ". " * 150_000 + "x"],
    ids=["periods", "marks", "quotes", "both", "spaces"],
)
def test_long_runs_take_a_time_in_proportion(text):
    """With a time that grows with the square, a run of periods takes hours."""
    assert "".join(split_sentences(text)) == text


@pytest.mark.parametrize(
    ("line", "text"),
    [("It rained.\u200f Why?", "It rained. "), ("\u200bNo\ufeff. Yes.", " No. "), ("cafe\u0301", "café\n")],
)
def test_sentences_of_a_text_are_plain(line, text):
    assert next(sentences_of([line])).text == text


def test_a_line_of_nothing_to_see_ends_a_paragraph():
    assert [sentence.text.strip() for sentence in sentences_of(["one", "\u200b", "two"])] == ["one", "two"]


HEADLINES = ["Mayor opens bridge", "Two lost at sea", "Why we vote!", "Rain again", "Hopes fade", "More rain"]
WRAPPED = [
    "It had rained since the morning and",
    "the roads were under water, so",
    "nobody went out. At noon the",
    "sun",
]


@pytest.mark.parametrize("count", [6, 700])
def test_lines_that_look_like_sentences_of_their_own_are_told_of_once(caplog, count):
    lines = (HEADLINES * count)[:count]
    assert list(noticing_joined_lines(lines, name="news.txt")) == lines
    found, judged = (5, 6) if count == 6 else (83, 100)
    assert caplog.messages == [
        f"news.txt: {found} of the first {judged} lines have no mark that ends a sentence, such as a full stop, and "
        f"are joined to what follows. Expected running text. If every line is a sentence, say --lines."
    ]


@pytest.mark.parametrize(
    "lines",
    [WRAPPED * 40, ["It rained.", "We stayed in!"] * 10, HEADLINES[:4], ["", "  "] * 10],
    ids=["wrapped", "sentences", "few", "empty"],
)
def test_nothing_is_said_of_running_text(caplog, lines):
    assert list(noticing_joined_lines(lines, name="news.txt")) == lines
    assert not caplog.messages


TEXT = st.text(st.sampled_from("aB .!?…。“”()«»'\n\tÑı1Dr.。？ა"), max_size=60)


@given(TEXT, st.sampled_from(["", "en", "de"]))
def test_the_sum_of_the_sentences_is_the_text(text, language):
    pieces = split_sentences(text, language=language)
    assert "".join(pieces) == text
    assert all(pieces)


@given(TEXT)
def test_a_sentence_ends_after_a_mark(text):
    for piece in split_sentences(text)[:-1]:
        assert set(piece) & set(".!?…。？"), "an end without a mark"


@given(TEXT, TEXT)
def test_an_empty_line_parts_what_stands_before_and_after_it(one, other):
    def alone(text: str) -> list[str]:
        return [sentence.text.strip() for sentence in sentences_of(text.split("\n"))]

    together = [sentence.text.strip() for sentence in sentences_of([*one.split("\n"), "", *other.split("\n")])]
    assert together == alone(one) + alone(other)


def test_sentences_know_their_line_and_whether_they_open_a_paragraph():
    assert list(sentences_of(["", "One. Two", "goes on. Three.", " ", "", "Four? Five."])) == [
        RawSentence("One. ", 2, True),
        RawSentence("Two\ngoes on. ", 2, False),
        RawSentence("Three.\n", 3, False),
        RawSentence("Four? ", 6, True),
        RawSentence("Five.\n", 6, False),
    ]


def test_a_paragraph_without_an_end_is_handed_on_while_it_is_read():
    lines = (f"This is line {number}." for number in itertools.count(1))
    found = list(itertools.islice(sentences_of(lines), 10_000))
    assert [sentence.line for sentence in found] == list(range(1, 10_001))
    assert [sentence.text.strip() for sentence in found] == [f"This is line {number}." for number in range(1, 10_001)]
    assert [sentence.opens_paragraph for sentence in found] == [True, *[False] * 9999]


def test_a_sentence_without_an_end_is_cut_before_it_fills_the_memory():
    found = next(sentences_of(itertools.repeat("and so on")))
    assert LONGEST_PARAGRAPH < len(found.text) < LONGEST_PARAGRAPH + 20

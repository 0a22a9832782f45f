"""Auxiliaries are found where a tagger finds far too few, and nothing is changed where it finds enough."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from isogloss.corpus.sentence import Sentence
from isogloss.errors import DataError
from isogloss.parsing import auxiliaries
from isogloss.parsing.auxiliaries import chosen_as_auxiliaries, find_auxiliaries, read_auxiliaries
from isogloss.parsing.network import ParserNetwork
from isogloss.parsing.parser import Parser
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.tags import AUXILIARY, TAG_IDS, UNIVERSAL_TAGS, kind_id

SMALL = {"upos_width": 4, "lstm_layers": 1, "hidden_width": 6, "arc_width": 8, "relation_width": 5}
KNOWN = {"ist": (0.6, 0.3), "hat": (0.12, 0.85), "geht": (0.01, 0.98), "sieht": (0.01, 0.98), "haus": (0.05, 0.1)}
"""Probabilities of being an auxiliary and a verb; the rest is that of a noun."""


@pytest.fixture
def parser(by_heart, monkeypatch):
    """A parser whose tagger says of every word what `KNOWN` has, whatever it stands beside."""
    torch.manual_seed(3)
    made = Parser.untrained(
        ("root", "dep"), settings=ParserSettings(upos="predicted", layer="all", **SMALL), encoder=by_heart()
    )
    rows = {}
    for word, (auxiliary, verb) in KNOWN.items():
        row = torch.full((len(UNIVERSAL_TAGS),), 1e-9)
        row[TAG_IDS["AUX"]], row[TAG_IDS["VERB"]], row[TAG_IDS["NOUN"]] = auxiliary, verb, 1 - auxiliary - verb
        vector = by_heart().encode([Sentence.of_forms([word], language="xx")]).vectors[0, 0]
        rows[word] = (vector, row.log())

    def tag_scores(self: ParserNetwork, inputs):
        found = torch.zeros(*inputs.upos.shape, len(UNIVERSAL_TAGS))
        for vector, row in rows.values():
            found[((inputs.vectors - vector).abs() < 1e-6).all(dim=-1).all(dim=-1)] = row
        return found

    monkeypatch.setattr(ParserNetwork, "tag_scores", tag_scores)
    return made


def text(times: dict[str, int]) -> list[Sentence]:
    """Write words in lines of one to three."""
    words = [word for word, count in times.items() for _ in range(count)]
    return [Sentence.of_forms(words[start : start + 3], language="xx") for start in range(0, len(words), 3)]


def test_words_most_often_taken_for_auxiliaries_are_such_where_there_are_too_few(parser, by_heart):
    read = text({"geht": 150, "ist": 30, "hat": 40, "haus": 90, "sieht": 60})
    assert find_auxiliaries(parser, read, by_heart()) == ("hat", "ist")


def test_where_there_are_as_many_as_usual_nothing_is_changed(parser, by_heart):
    assert find_auxiliaries(parser, text({"geht": 60, "ist": 60, "hat": 40}), by_heart()) == ()


def test_rare_words_and_words_that_are_seldom_verbs_are_none(parser, by_heart):
    assert find_auxiliaries(parser, text({"geht": 150, "ist": 14, "haus": 90}), by_heart()) == ()


def test_no_more_are_taken_than_languages_have(parser, by_heart, monkeypatch):
    read = text({"geht": 150, "ist": 30, "hat": 40, "sieht": 60})
    monkeypatch.setattr(auxiliaries, "USUAL", 0.12)
    assert find_auxiliaries(parser, read, by_heart()) == ("ist",)


def test_so_many_sentences_are_read_and_no_endless_ones(parser, by_heart, monkeypatch):
    monkeypatch.setattr(auxiliaries, "SENTENCES", 40)
    monkeypatch.setattr(auxiliaries, "LONGEST", 3)
    read = [Sentence.of_forms(["ist"] * 4, language="xx")] * 20 + text({"hat": 60}) + text({"ist": 60})
    seen: Counter[int] = Counter()

    def count(words, counts, expected):
        seen.update(counts)
        return ()

    monkeypatch.setattr(auxiliaries, "chosen_as_auxiliaries", count)
    find_auxiliaries(parser, read, by_heart())
    assert seen == {"hat": 60}
    assert find_auxiliaries(parser, [], by_heart()) == ()


def test_without_verbs_there_are_no_auxiliaries():
    assert chosen_as_auxiliaries(["haus"], Counter(haus=90), torch.zeros(1, 2)) == ()


def test_a_known_auxiliary_is_no_verb_in_any_case_and_takes_what_spoke_for_one(by_heart):
    torch.manual_seed(5)
    parser = Parser.untrained(
        ("root", "dep"), settings=ParserSettings(upos="predicted", layer="all", **SMALL), encoder=by_heart()
    )
    with torch.no_grad():  # a tagger that takes everything for a verb, and then for a noun
        assert parser.network.tagger is not None
        parser.network.tagger.tag.bias[TAG_IDS["VERB"]] = 50.0
        parser.network.tagger.tag.bias[TAG_IDS["NOUN"]] = 40.0
    sentence = Sentence.of_forms(["Hat", "er", "hat", "."], language="xx")

    def tags(known):
        return [word.upos for word in parser.parse([sentence], by_heart(), auxiliaries=known)[0].words]

    assert tags({})[:3] == ["VERB", "VERB", "VERB"]
    assert tags({"xx": ("hat",)})[:3] == ["AUX", "VERB", "AUX"]
    assert tags({"yy": ("hat",)})[:3] == ["VERB", "VERB", "VERB"]


def test_lists_and_texts_are_compared_composed_and_by_the_case_of_their_language(tmp_path: Path):
    (tmp_path / "list.txt").write_text("PUO\u0300\nIDI\n", encoding="utf-8")
    assert read_auxiliaries(tmp_path / "list.txt", language="it") == ("pu\u00f2", "idi")
    assert read_auxiliaries(tmp_path / "list.txt", language="tr") == ("pu\u00f2", "\u0131d\u0131")
    assert kind_id("Puo\u0300", ("pu\u00f2",), language="it") == AUXILIARY
    assert kind_id("\u0130di", ("idi",), language="tr") == AUXILIARY
    assert kind_id("puo", ("pu\u00f2",), language="it") != AUXILIARY


def test_a_list_of_auxiliaries_has_one_word_a_line(tmp_path: Path):
    (tmp_path / "list.txt").write_text("ist\n\nHAT \nist\n", encoding="utf-8")
    assert read_auxiliaries(tmp_path / "list.txt", language="xx") == ("ist", "hat")
    (tmp_path / "list.txt").write_text("ist\nhat gewesen\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_auxiliaries(tmp_path / "list.txt", language="xx")
    assert str(caught.value) == (
        f"{tmp_path / 'list.txt'}:2: found 'hat gewesen'. Expected one word a line, an auxiliary in one of its forms. "
        "Put each on a line of its own."
    )
    with pytest.raises(DataError, match=r"gone\.txt"):
        read_auxiliaries(tmp_path / "gone.txt", language="xx")

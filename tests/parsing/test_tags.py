"""What characters tell of a part of speech is never gainsaid by a tagger, and never by what is given."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.conllu import read_conllu
from isogloss.corpus.sentence import Sentence
from isogloss.parsing.features import extract_features
from isogloss.parsing.lanes import WORTHWHILE
from isogloss.parsing.network import ParserInputs, ParserNetwork
from isogloss.parsing.parser import Parser
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.tags import POSSIBLE, TAG_IDS, UNIVERSAL_TAGS, kind_id

SMALL = {"upos_width": 4, "lstm_layers": 1, "hidden_width": 6, "arc_width": 8, "relation_width": 5}


@pytest.fixture(scope="module")
def untrained(by_heart):
    """A tagger that knows nothing: without its characters a comma could be anything."""
    torch.manual_seed(3)
    return Parser.untrained(("root", "dep"), settings=ParserSettings(upos="predicted", **SMALL), encoder=by_heart())


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        (", . ! ? ; : … - -- ( ) « » “ ” „ ‹ › ¿ ¡", "PUNCT SYM"),
        ("، ؟ ؛ 。 、 「 」 ！ । ॥ ։ ༄ ။ ፡ ׳ ־", "PUNCT SYM"),
        ("% & @ # / § $ € + = < ° |", "ADP CCONJ NOUN PUNCT SYM X"),
        ("7 1914 3.5 -2 12:30 1, ٣ १२ ⅔ ² Ⅳ 1914-18", "ADJ NOUN NUM PROPN SYM X"),
    ],
)
def test_words_without_letters_are_few_things_in_every_script(words: str, tags: str):
    for word in words.split():
        possible = POSSIBLE[kind_id(word)].tolist()
        assert [tag for tag, may in zip(UNIVERSAL_TAGS, possible, strict=True) if may] == tags.split(), word


WITH_LETTERS = "a Haus қала ประเทศ 日本 बच्चे ʼn CO2 1er U.S. :D l' 한국 שלום"
ODD_TEXT = "Das kostet 7 , 50 € – ja , 10 % ! Ҳа 。 ٣ ... « 1914 »"


@pytest.mark.parametrize("word", WITH_LETTERS.split())
def test_what_has_a_letter_is_anything_but_punctuation(word: str):
    assert [tag for tag, may in zip(UNIVERSAL_TAGS, POSSIBLE[kind_id(word)], strict=True) if not may] == ["PUNCT"]


@given(st.text(max_size=6))
def test_whatever_stands_in_a_text_is_of_a_kind_that_may_be_something(form: str):
    assert POSSIBLE[kind_id(form)].any()


@pytest.mark.parametrize("copies", [1, WORTHWHILE])
def test_a_tagger_never_gainsays_characters(untrained, by_heart, copies: int):
    words = ODD_TEXT.split()
    sentences = [Sentence.of_forms(words, language="xx")] * copies
    for parsed in untrained.parse(sentences, by_heart()):
        assert all(POSSIBLE[kind_id(word.form), TAG_IDS[word.upos]] for word in parsed.words)
    told = extract_features(sentences, by_heart(), settings=untrained.settings)
    ignorant = untrained.trees(
        type(told)(told.vectors, told.upos, told.lengths), given=[False] * copies
    )  # the same without kinds, or the test could not fail
    assert not all(POSSIBLE[kind_id(word), TAG_IDS[tag]] for word, tag in zip(words, ignorant[0][2], strict=True))


def test_given_tags_are_kept_even_if_characters_deny_them(untrained, by_heart):
    odd = Sentence.of_forms(["Haus", ","], language="xx").with_upos(["PUNCT", "NOUN"])
    [parsed] = untrained.parse([odd], by_heart())
    assert [word.upos for word in parsed.words] == ["PUNCT", "NOUN"]


def test_a_slip_of_the_trees_does_not_cost_a_learning_tagger_more_than_another_error():
    torch.manual_seed(0)
    network = ParserNetwork(layers=1, width=5, tags=len(UNIVERSAL_TAGS) + 1, relations=3, tagger=True, **SMALL).train()
    inputs = ParserInputs(
        torch.randn(1, 2, 1, 5),
        torch.tensor([[TAG_IDS["NOUN"], TAG_IDS["VERB"]]]),
        torch.tensor([2]),
        kinds=torch.full((1, 2), kind_id(",")),
    )
    loss = network.loss(inputs, heads=torch.tensor([[0, 1]]), relations=torch.tensor([[0, 1]]))
    assert math.isfinite(float(loss.detach()))


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "it", "pt", "sv"])
def test_real_trees_hardly_ever_gainsay_characters(data: Path, language: str):
    words = [word for one in read_conllu(data / "ud" / language / "pud.conllu") for word in one.words]
    odd = [word for word in words if word.upos in TAG_IDS and not POSSIBLE[kind_id(word.form), TAG_IDS[word.upos]]]
    assert len(words) > 19_000
    assert len(odd) <= len(words) / 1000, odd[:5]

"""Trees become well-formed pictures in which no two arcs share a line and no label is lost."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.sentence import Sentence, Word
from isogloss.errors import DataError
from isogloss.visuals.dependency_tree import RED, draw_tree, text_width

SVG = "{http://www.w3.org/2000/svg}"


def sentence_of(*rows):
    return Sentence(tuple(Word(form, upos=upos, head=head, deprel=deprel) for form, upos, head, deprel in rows))


SENTENCE = sentence_of(
    ("the", "DET", 2, "det"),
    ("cat", "NOUN", 3, "nsubj"),
    ("sees", "VERB", 0, "root"),
    ("me", "PRON", 3, "obj"),
)


@st.composite
def head_lists(draw):
    """The heads of any tree over one to twelve words, crossing arcs and all."""
    order = draw(st.permutations(range(1, draw(st.integers(1, 12)) + 1)))
    heads = {order[0]: 0}
    for place in range(1, len(order)):
        heads[order[place]] = draw(st.sampled_from(order[:place]))
    return [heads[number] for number in sorted(order)]


def tree_of(heads):
    """A tree of words of several lengths with these heads."""
    rows = enumerate(heads)
    return sentence_of(*(("w" * (place % 5 + 1), "X", head, "dep" if head else "root") for place, head in rows))


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def levels(svg):
    """The span and the height of every arc but the root's: left end, right end, line."""
    found = []
    for path in re.findall(r'<path d="(M[^"]*Q[^"]*)"', svg):
        start, line, end = re.match(r"M(\S+) .*?Q\S+ (\S+) .*H.*Q(\S+) ", path).groups()
        found.append((*sorted((float(start), float(end))), float(line)))
    return found


def test_every_word_tag_and_relation_is_written_once():
    assert sorted(texts(draw_tree(SENTENCE))) == sorted(
        ["the", "cat", "sees", "me", "DET", "NOUN", "VERB", "PRON", "det", "nsubj", "root", "obj"]
    )


@given(heads=head_lists())
def test_arcs_on_one_line_do_not_overlap(heads):
    arcs = levels(draw_tree(tree_of(heads)))
    assert len(arcs) == len(heads) - 1
    for (left, right, line), (other_left, other_right, other_line) in combinations(arcs, 2):
        assert line != other_line or right <= other_left or other_right <= left


@given(heads=head_lists())
def test_arcs_that_nest_in_the_sentence_nest_in_the_picture(heads):
    # An arc within another lies lower and has its ends strictly inside, so their lines do not meet.
    arcs = sorted(levels(draw_tree(tree_of(heads))))
    for (left, right, line), (inner_left, inner_right, inner_line) in combinations(arcs, 2):
        if inner_right <= right:
            assert line < inner_line  # y grows downwards
        assert left != inner_left and right != inner_right


@given(heads=head_lists())
def test_everything_stands_within_the_picture(heads):
    # The gold tree differs in every word but the first, so there is much to write.
    others = len(heads) - 1
    gold = tree_of(heads).with_tree([0] + [1] * others, ["root"] + ["other"] * others)
    root = ElementTree.fromstring(draw_tree(tree_of(heads), gold=gold))
    width, height = (float(root.get(name)) for name in ("width", "height"))
    for element in root.iter(f"{SVG}text"):
        half = text_width(element.text, int(element.get("font-size"))) / 2
        assert float(element.get("x")) - half >= -0.5 and float(element.get("x")) + half <= width + 0.5
        assert 0 < float(element.get("y")) < height


@given(form=st.text(min_size=1), relation=st.text(min_size=1))
def test_any_text_makes_well_formed_xml(form, relation):
    svg = draw_tree(Sentence((Word(form, head=0, deprel=relation),), language='"<&'))
    svg.encode("utf-8")
    ElementTree.fromstring(svg)


def test_markup_in_a_word_is_shown_and_not_obeyed():
    assert "<b>&</b>" in texts(draw_tree(sentence_of(("<b>&</b>", "SYM", 0, "root"))))


def test_the_picture_tells_its_tree_to_those_who_do_not_see_it():
    root = ElementTree.fromstring(draw_tree(SENTENCE))
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
    assert title.text == "Dependency tree: the cat sees me"
    assert description.text == "the is det of cat. cat is nsubj of sees. sees is the root. me is obj of sees."


def test_two_trees_on_one_page_have_different_ids():
    other = SENTENCE.with_tree([2, 3, 0, 3], ["det", "obj", "root", "nsubj"])
    ids = [set(re.findall(r' id="([^"]+)"', draw_tree(sentence))) for sentence in (SENTENCE, other)]
    assert not ids[0] & ids[1]


def test_the_background_is_white_whatever_the_page():
    first = ElementTree.fromstring(draw_tree(SENTENCE)).find(f"{SVG}rect")
    assert first.get("fill") == "#ffffff"


def test_a_right_tree_shows_no_fault():
    assert draw_tree(SENTENCE, gold=SENTENCE) == draw_tree(SENTENCE)
    assert RED not in draw_tree(SENTENCE)


def test_a_wrong_relation_is_dashed_with_the_gold_one_below():
    svg = draw_tree(SENTENCE.with_tree([2, 3, 0, 3], ["det", "obj", "root", "obj"]), gold=SENTENCE)
    assert svg.count("stroke-dasharray") == 1 and RED in svg
    assert "gold: nsubj" in texts(svg)
    assert "cat is obj of sees (gold: nsubj)." in svg


def test_a_wrong_head_names_the_gold_head():
    svg = draw_tree(SENTENCE.with_tree([3, 3, 0, 3], ["det", "nsubj", "root", "obj"]), gold=SENTENCE)
    assert "gold: det of cat" in texts(svg)


def test_a_wrong_root_is_told_at_both_words():
    svg = draw_tree(SENTENCE.with_tree([2, 0, 2, 3], ["det", "root", "acl", "obj"]), gold=SENTENCE)
    assert {"gold: nsubj of sees", "gold: root"} <= set(texts(svg))
    assert svg.count("stroke-dasharray") == 2


def test_a_subtype_is_no_fault_as_in_las():
    system = SENTENCE.with_tree([2, 3, 0, 3], ["det", "nsubj:pass", "root", "obj"])
    assert "stroke-dasharray" not in draw_tree(system, gold=SENTENCE)


@pytest.mark.parametrize(("forms", "rightwards"), [(["ein", "Wort"], True), (["كتاب", "جديد"], False)])
def test_words_run_in_the_direction_of_their_script(forms, rightwards):
    svg = draw_tree(Sentence.of_forms(forms).with_tree([0, 1], ["root", "amod"]))
    places = {element.text: float(element.get("x")) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    assert (places[forms[0]] < places[forms[1]]) == rightwards


def test_marks_take_no_room_and_wide_letters_a_whole_em():
    assert text_width("e\u0301", 10) == text_width("e", 10)
    assert text_width("語", 10) == 10


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        (Sentence(()), r"the sentence has no words"),
        (Sentence.of_forms(["a"]), r"word 1 \('a'\) of the sentence has no head or no relation"),
        (sentence_of(("a", "X", 2, "dep")), r"has head 2\. Expected 0 \(root\) to 1"),
        (
            sentence_of(("a", "X", 1, "dep")),
            r"has head 1\. Expected 0 \(root\) to 1, and not the word itself",
        ),
    ],
)
def test_what_is_no_tree_is_refused(sentence, message):
    with pytest.raises(DataError, match=message):
        draw_tree(sentence)


def test_a_gold_tree_over_other_words_is_refused():
    with pytest.raises(DataError, match=r"gold sentence has the words 'a'\. Expected .* 'the cat sees me'"):
        draw_tree(SENTENCE, gold=sentence_of(("a", "X", 0, "root")))

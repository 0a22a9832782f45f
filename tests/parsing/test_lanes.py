"""Sentences dealt out to lanes are read as if each stood alone, within the digits of the products."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.corpus.sentence import Sentence
from isogloss.parsing.features import extract_features
from isogloss.parsing.lanes import FEWEST, WORTHWHILE, deal
from isogloss.parsing.network import ParserInputs, ParserNetwork
from isogloss.parsing.parser import Parser
from isogloss.parsing.recurrent import RecurrentStack
from isogloss.parsing.trees import decode_trees

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=40)
ONE_STEP = 2.0**-8
"""Between two numbers of bfloat16 just below 1; all states are smaller. Other kernels may round otherwise."""


def in_bfloat16(rounded: bool) -> torch.autocast:
    """Within it, products are made in bfloat16, or in float32 as ever."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=rounded)


@given(LENGTHS, st.integers(1, 40), st.booleans())
def test_every_word_is_read_once_in_each_direction_in_the_order_of_its_sentence(
    lengths: list[int], lanes: int, fill: bool
):
    dealt = deal(lengths, lanes=lanes, fill=fill)
    assert len(set(dealt.said.tolist())) == 2 * sum(lengths)
    assert dealt.read[dealt.said].equal(torch.arange(2 * sum(lengths)))
    starts = [2 * sum(dealt.sizes[:step]) for step in range(len(dealt.sizes))]
    place = {  # of each place: step, direction and lane
        starts[step] + direction * size + lane: (step, direction, lane)
        for step, size in enumerate(dealt.sizes)
        for direction in (0, 1)
        for lane in range(size)
    }
    begun = {(step, lane) for step, some in enumerate(dealt.begins) if some is not None for lane in some.tolist()}
    for sentence in dealt.said.view(-1, 2).split(lengths):
        ahead, back = ([place[one] for one in column] for column in sentence.T.tolist())
        step, _, lane = ahead[0]
        assert ahead == [(step + word, 0, lane) for word in range(len(sentence))]
        assert back[::-1] == [(step + word, 1, lane) for word in range(len(sentence))]
        assert step == 0 or (step, lane) in begun
    assert len(begun) == len(lengths) - min(lanes, len(lengths))


@given(LENGTHS, st.integers(1, 40))
def test_lanes_only_ever_end(lengths: list[int], lanes: int):
    sizes, filled = (deal(lengths, lanes=lanes, fill=fill).sizes for fill in (False, True))
    assert list(sizes) == sorted(sizes, reverse=True)
    assert sum(sizes) == sum(lengths), "nothing is read but words"
    assert all(size >= FEWEST and size.bit_count() == 1 for size in filled), "few shapes"
    assert all(least <= size < 2 * max(least, FEWEST) for least, size in zip(sizes, filled, strict=True))


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("lengths", [[1], [3, 1, 2], [1, 1], [5, 2, 7, 1] * 50])
def test_a_stack_reads_in_lanes_as_it_reads_side_by_side(lengths: list[int], rounded: bool):
    torch.manual_seed(3)
    stack = RecurrentStack(width=48, hidden_width=32, layers=2, dropout=0.5).eval()
    sentences = torch.randn(sum(lengths), 48).split(lengths)
    with torch.no_grad():
        side_by_side = stack(torch.nn.utils.rnn.pad_sequence(list(sentences), True), torch.tensor(lengths))
        expected = torch.cat([row[:length] for row, length in zip(side_by_side, lengths, strict=True)])
        with in_bfloat16(rounded):
            found = stack(torch.cat(sentences)[None], torch.tensor([sum(lengths)]), deal(lengths, fill=rounded))[0]
    assert found.dtype == (torch.bfloat16 if rounded else torch.float32)
    if rounded:  # bfloat16 keeps 8 bits: single numbers are off by up to 0.4 %, and their sums by about as much
        assert (found - expected).norm() < 0.01 * expected.norm()
    else:
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rounded", [False, True])
def test_a_sentence_read_in_lanes_has_the_same_states_alone_and_in_company(rounded: bool):
    torch.manual_seed(3)
    stack, lengths = RecurrentStack(width=48, hidden_width=32, layers=2, dropout=0.5).eval(), [5, 2, 7, 1] * 50
    words = torch.randn(sum(lengths), 48)
    with in_bfloat16(rounded):
        together = stack(words[None], torch.tensor([len(words)]), deal(lengths, fill=rounded))[0].split(lengths)
        for index, sentence in enumerate(words.split(lengths)[-4:], len(lengths) - 4):
            alone = stack(sentence[None], torch.tensor([len(sentence)]), deal([len(sentence)], fill=rounded))[0]
            torch.testing.assert_close(together[index], alone, atol=ONE_STEP if rounded else 1e-6, rtol=0)


@pytest.mark.parametrize(("rounded", "off"), [(False, 1e-6), (True, 0.02)])
@pytest.mark.parametrize("tagger", [False, True])
def test_a_network_scores_end_to_end_as_it_scores_side_by_side(tagger: bool, rounded: bool, off: float):
    torch.manual_seed(0)
    network = ParserNetwork(layers=2, width=48, tags=5, relations=7, hidden_width=32, tagger=tagger).eval()
    lengths = [4, 1, 6]
    vectors, upos = torch.randn(3, 6, 2, 48), torch.randint(4, (3, 6))
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    told = mask.new_tensor([[True], [False], [True]]) if tagger else None
    batch = ParserInputs(vectors, upos, torch.tensor(lengths), told)
    row = None if told is None else told.expand(3, 6)[mask][None]
    end_to_end = ParserInputs(vectors[mask][None], upos[mask][None], torch.tensor([11]), row)
    with torch.no_grad():
        states = network(batch)
        heads = torch.zeros(3, 6, dtype=torch.int64)
        arcs, relations = network.arc_scores(states), network.relation_scores(states, heads)[mask]
        with in_bfloat16(rounded):
            states = network(end_to_end, deal(lengths, fill=rounded))
            found = list(network.arc_scores_end_to_end(states, lengths))
            labels = network.relation_scores(states, torch.zeros(1, 11, dtype=torch.int64))[0]
    for scores, expected, length in zip(found, arcs, lengths, strict=True):
        expected = expected[:length, : length + 1]
        assert scores.isinf().equal(expected.isinf())
        difference = (scores - expected).nan_to_num()  # −inf − −inf
        assert difference.norm() < off * expected.clamp(min=-1e3).masked_fill(expected.isinf(), 0).norm()
    assert (labels - relations).norm() < off * relations.norm()


@pytest.fixture
def dealt(monkeypatch) -> list[tuple[int, bool]]:
    """How many sentences were dealt out to lanes each time, and whether lanes were filled up."""
    found = []

    def watched(lengths: list[int], fill: bool):
        found.append((len(lengths), fill))
        return deal(lengths, fill=fill)

    monkeypatch.setattr("isogloss.parsing.parser.deal", watched)
    return found


@pytest.mark.parametrize(("precision", "fill"), [("float32", False), ("bfloat16", True), (None, True)])
def test_lanes_are_filled_up_for_products_of_bfloat16(
    precision, fill: bool, by_heart, tiny_settings, toy_treebank, dealt
):
    encoder, sentences = by_heart(), toy_treebank(WORTHWHILE, seed=0).sentences
    parser = Parser.untrained(("det", "root"), settings=tiny_settings(precision="bfloat16"), encoder=encoder)
    parser.parse(sentences, encoder, precision=precision)
    assert dealt == [(WORTHWHILE, fill)]


def test_few_sentences_are_read_side_by_side_in_float32(by_heart, tiny_settings, toy_treebank, dealt):
    encoder, sentences = by_heart(), toy_treebank(WORTHWHILE - 1, seed=0).sentences
    parser = Parser.untrained(("det", "root"), settings=tiny_settings(), encoder=encoder)
    parser.parse(sentences, encoder, precision="float32")
    assert not dealt
    parser.parse(sentences, encoder, precision="bfloat16")
    assert dealt == [(WORTHWHILE - 1, True)]


def test_few_sentences_are_not_padded_to_the_length_of_a_far_longer_one(by_heart, tiny_settings, dealt):
    encoder = by_heart()
    parser = Parser.untrained(("det", "root"), settings=tiny_settings(), encoder=encoder)
    short, long = (Sentence.of_forms(["noun1"] * words, language="toy") for words in (2, 100))
    assert all(one.has_tree for one in parser.parse([short, short, long, short], encoder, precision="float32"))
    assert dealt == [(4, False)]


def test_a_parser_finds_the_same_trees_and_scores_end_to_end_and_side_by_side(by_heart, tiny_settings, toy_treebank):
    torch.manual_seed(5)
    encoder, sentences = by_heart(), toy_treebank(WORTHWHILE, seed=0).sentences
    settings = tiny_settings(upos="predicted")
    parser = Parser.untrained(("det", "root"), settings=settings, encoder=encoder)
    parser.network.eval()
    features = extract_features(sentences, encoder, settings=settings)
    told = torch.arange(len(sentences)) % 2 == 0
    with torch.no_grad():
        heads, scores, tags = parser._read_end_to_end(features, told, decode_trees, "float32")
        expected = parser._read_padded(features, told, decode_trees)
    assert heads.equal(expected[0])
    torch.testing.assert_close(scores, expected[1])
    torch.testing.assert_close(tags, expected[2])


def test_a_parser_finds_the_same_trees_in_bfloat16_but_for_near_ties(by_heart, tiny_settings, toy_treebank):
    torch.manual_seed(5)
    encoder, sentences = by_heart(), toy_treebank(60, seed=0).sentences
    parser = Parser.untrained(("det", "root"), settings=tiny_settings(), encoder=encoder)
    exact, rounded = (
        [word.head for sentence in parser.parse(sentences, encoder, precision=kind) for word in sentence.words]
        for kind in ("float32", "bfloat16")
    )
    same = sum(one == other for one, other in zip(exact, rounded, strict=True))
    assert same > 0.9 * len(exact), "an untrained parser has many near-ties"

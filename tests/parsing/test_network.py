"""The network: padding never matters."""

import pytest
import torch

from isogloss.parsing.network import IGNORED, ParserInputs, ParserNetwork

SMALL = {"upos_width": 4, "lstm_layers": 2, "hidden_width": 6, "arc_width": 8, "relation_width": 5}


def make(*, layers=2, width=7, tags=3, **changes):
    torch.manual_seed(0)
    return ParserNetwork(layers=layers, width=width, tags=tags, relations=4, **{**SMALL, **changes})


def inputs(lengths, *, layers=2, width=7, tags=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    words = max(lengths)
    return ParserInputs(
        vectors=torch.randn(len(lengths), words, layers, width, generator=generator),
        upos=torch.randint(tags, (len(lengths), words), generator=generator),
        lengths=torch.tensor(lengths),
    )


def only(batch, row):
    length = int(batch.lengths[row])
    return ParserInputs(
        batch.vectors[row : row + 1, :length],
        batch.upos[row : row + 1, :length],
        batch.lengths[row : row + 1],
    )


def test_a_sentence_has_the_same_scores_alone_and_in_company():
    network, batch = make().eval(), inputs([9, 1, 4, 6])
    states = network(batch)
    arcs, relations = network.arc_scores(states), network.relation_scores(states, torch.ones(4, 9).long())
    for row, length in enumerate(batch.lengths.tolist()):
        alone = network(only(batch, row))
        # float32 sums in another order
        torch.testing.assert_close(arcs[row, :length, : length + 1], network.arc_scores(alone)[0], atol=1e-5, rtol=1e-5)
        heads = torch.ones(1, length).long()
        torch.testing.assert_close(
            relations[row, :length], network.relation_scores(alone, heads)[0], atol=1e-5, rtol=1e-5
        )


def test_what_stands_in_the_padding_changes_nothing():
    network, batch = make().eval(), inputs([3, 5])
    filled = batch.vectors.clone()
    filled[0, 3:] = 1e6
    other = ParserInputs(filled, batch.upos, batch.lengths)
    before, after = (network.arc_scores(network(each))[0, :3] for each in (batch, other))
    torch.testing.assert_close(before, after, atol=0, rtol=0)


def test_no_word_is_its_own_head_and_no_padding_is_a_head():
    network = make().eval()
    scores = network.arc_scores(network(inputs([2, 3])))
    allowed = torch.isfinite(scores)
    assert allowed[0, :2].tolist() == [[True, False, True, False], [True, True, False, False]]
    assert allowed[1].tolist() == [
        [True, False, True, True],
        [True, True, False, True],
        [True, True, True, False],
    ]


def test_loss_is_the_negative_log_likelihood_of_arcs_and_relations():
    network, batch = make().eval(), inputs([3, 2])
    heads = torch.tensor([[2, 0, 2], [0, 1, IGNORED]])
    relations = torch.tensor([[1, 0, 3], [0, 2, IGNORED]])
    states = network(batch)
    arcs = network.arc_scores(states).log_softmax(-1)
    labels = network.relation_scores(states, heads.clamp(min=0)).log_softmax(-1)
    total = 0.0
    for row, length in enumerate([3, 2]):
        for word in range(length):
            total -= arcs[row, word, heads[row, word]].item() + labels[row, word, relations[row, word]].item()
    loss = network.loss(batch, heads=heads, relations=relations)
    assert loss.item() == pytest.approx(total / 5, abs=1e-5)  # float32


def test_gradients_are_finite_though_some_arcs_are_forbidden():
    network, batch = make(), inputs([3, 1])
    heads, relations = torch.tensor([[2, 0, 2], [0, IGNORED, IGNORED]]), torch.zeros(2, 3).long()
    network.loss(batch, heads=heads, relations=relations).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_parts_of_speech_alone_suffice():
    network, batch = make(width=0).eval(), inputs([4, 2])
    assert network.mix is None
    states = network(ParserInputs(None, batch.upos, batch.lengths))
    assert network.arc_scores(states).shape == (2, 4, 5)


def test_vectors_alone_suffice():
    network, batch = make(tags=0).eval(), inputs([4, 2])
    other_tags = ParserInputs(batch.vectors, batch.upos * 0, batch.lengths)
    assert torch.equal(network.arc_scores(network(batch)), network.arc_scores(network(other_tags)))


def test_a_single_layer_is_taken_as_it_is():
    assert make(layers=1).mix is None
    assert make(layers=2).mix is not None
    assert make(layers=2, mix=False).mix is None


@pytest.mark.parametrize("tagger", [False, True])
def test_layers_side_by_side_are_one_vector_as_long_as_all_of_them(tagger):
    batch = inputs([4, 2], layers=3)
    network, same = make(layers=3, mix=False, tagger=tagger), make(layers=1, width=21, tagger=tagger)
    same.load_state_dict({**network.state_dict(), "gains": same.gains})

    def scores(network, vectors):
        given = torch.zeros(2, 1, dtype=torch.bool) if tagger else None
        states = network.eval()(ParserInputs(vectors, batch.upos, batch.lengths, given))
        return [network.arc_scores(states), *([states.tag_scores] if tagger else [])]

    one_vector = batch.vectors.flatten(2).unsqueeze(2)
    for ours, theirs in zip(scores(network, batch.vectors), scores(same, one_vector), strict=True):
        assert torch.equal(ours, theirs)

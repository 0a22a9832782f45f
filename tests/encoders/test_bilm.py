"""The bidirectional language model: who may see what, and training and reading as one and the same model."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from isogloss.corpus.characters import character_ids
from isogloss.corpus.vocabulary import UNKNOWN_ID, Vocabulary
from isogloss.encoders.elmo.bilm import BiLM, StreamBatch
from isogloss.encoders.elmo.packing import pack
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.encoders.elmo.streams import TextFile, TextStreams, spellings

SENTENCE = ["el", "perro", "ve", "un", "pez", "."]
VOCABULARY = Vocabulary.count([SENTENCE, ["casa", "mar"]])


@pytest.fixture
def model(tiny) -> BiLM:
    torch.manual_seed(0)
    return BiLM(tiny, types=len(VOCABULARY), dropout=0.5).eval()


def read(model: BiLM, sentences: list[list[str]]) -> list[Tensor]:
    """Return, for each sentence, its vectors: layers directions steps width."""
    found = []
    for words in sentences:
        batch = pack([words])
        types = model.without_context(spellings(batch.types), torch.from_numpy(VOCABULARY.encode(batch.types)))
        sides = [
            torch.stack(list(model.read(types, batch.inputs[side], batch.active, batch.begins, direction=side)))
            for side in (0, 1)
        ]
        found.append(torch.stack(sides, dim=1))
    return found


def chunks(tmp_path: Path, *, unroll: int, count: int) -> list[StreamBatch]:
    """Return chunks of a text that is one sentence again and again."""
    path = tmp_path / "one.txt"
    path.write_text(" ".join(SENTENCE) + "\n")
    text = TextFile(path, "es", tokenised=True, held_out_every=99)
    return list(islice(TextStreams(text, VOCABULARY, rows=1, unroll=unroll, seed=1), count))


@pytest.mark.parametrize("changed", range(len(SENTENCE)))
def test_no_direction_sees_what_it_is_to_predict(model, changed):
    other = list(SENTENCE)
    other[changed] = "mar"
    one, two = read(model, [SENTENCE])[0], read(model, [other])[0]
    # Forward, step i has read <S> and i words; backward, step i has read </S> and the last i words.
    forward, backward = changed, len(SENTENCE) - 1 - changed
    assert torch.equal(one[:, 0, : forward + 1], two[:, 0, : forward + 1])
    assert torch.equal(one[:, 1, : backward + 1], two[:, 1, : backward + 1])
    assert not torch.equal(one[1:, 0, forward + 1], two[1:, 0, forward + 1])
    assert not torch.equal(one[1:, 1, backward + 1], two[1:, 1, backward + 1])
    assert not torch.equal(one[1:, 0, -1], two[1:, 0, -1]), "what was read is remembered to the end"


def test_the_directions_share_only_characters_and_softmax(model):
    mirrored = [SENTENCE, SENTENCE[::-1]]
    one, two = read(model, mirrored)
    assert torch.equal(one[0, 0, 1:], two[0, 1, 1:])
    assert not torch.allclose(one[1:, 0, 1:], two[1:, 1, 1:])


def test_the_loss_in_training_is_that_of_reading_the_sentence_and_predicting_each_next_word(model, tmp_path):
    vectors = read(model, [SENTENCE])[0][-1]  # directions steps width
    forward = VOCABULARY.encode([*SENTENCE, "</S>"])
    backward = VOCABULARY.encode([*reversed(SENTENCE), "<S>"])
    total = 0.0
    for direction, targets in enumerate((forward, backward)):
        for vector, target in zip(vectors[direction], targets.tolist(), strict=True):
            scores = model.softmax.weight @ vector + model.softmax.bias
            total += (scores.exp().sum().log() - scores[target]).item()
    (batch,) = chunks(tmp_path, unroll=len(SENTENCE) + 1, count=1)
    loss, _ = model.loss(batch, model.zero_states(1))
    assert loss.item() == pytest.approx(total / (2 * (len(SENTENCE) + 1)), rel=1e-5)


@pytest.mark.parametrize("unroll", [1, 2, 3, 4, 7])
def test_a_text_cut_into_chunks_has_the_loss_of_the_whole(model, tmp_path, unroll):
    whole, _ = model.loss(chunks(tmp_path, unroll=84, count=1)[0], model.zero_states(1))
    states, losses = model.zero_states(1), []
    for batch in chunks(tmp_path, unroll=unroll, count=84 // unroll):
        loss, states = model.loss(batch, states)
        losses.append(loss.item())
    assert sum(losses) / len(losses) == pytest.approx(whole.item(), rel=1e-5)


def test_the_state_before_makes_a_difference_in_the_middle_of_a_sentence_and_none_at_its_begin(model, tmp_path):
    first, second = chunks(tmp_path, unroll=7, count=2)
    middle = chunks(tmp_path, unroll=3, count=2)[1]
    _, states = model.loss(first, model.zero_states(1))
    zero = model.zero_states(1)
    assert model.loss(second, states)[0].item() == model.loss(second, zero)[0].item()
    assert model.loss(middle, states)[0].item() != model.loss(middle, zero)[0].item()


def test_states_carry_no_gradient_from_chunk_to_chunk(model, tmp_path):
    loss, states = model.loss(chunks(tmp_path, unroll=3, count=1)[0], model.zero_states(1))
    assert loss.requires_grad
    assert not any(part.requires_grad for state in states for part in state)


@pytest.mark.parametrize(("silenced", "expected"), [(1, 1), (0, None)], ids=["second layer", "first layer"])
def test_the_second_layer_adds_to_its_input_and_the_first_does_not(model, silenced, expected):
    with torch.no_grad():
        model.recurrent[silenced].projection.zero_()
    layers = read(model, [SENTENCE])[0]
    if expected is None:
        assert not layers[1].any()
        assert layers[0].any()
    else:
        assert torch.equal(layers[2], layers[expected])
        assert layers[2].any()


def test_training_has_the_residual_too(model, tmp_path):
    (batch,) = chunks(tmp_path, unroll=7, count=1)
    with torch.no_grad():
        model.recurrent[1].projection.zero_()
    one_layer = BiLM(BiLMSettings.model_validate({**settings_of(model), "layers": 1}), types=len(VOCABULARY)).eval()
    one_layer.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("recurrent.1")})
    both = [network.loss(batch, network.zero_states(1))[0].item() for network in (model, one_layer)]
    assert both[0] == pytest.approx(both[1], rel=1e-6)


def settings_of(model: BiLM) -> dict:
    characters, recurrent = model.characters, model.recurrent[0]
    return {
        "character_width": characters.embedding.embedding_dim,
        "filters": [
            [span, layer.out_features] for span, layer in zip(characters.spans, characters.convolutions, strict=True)
        ],
        "highways": len(characters.highways),
        "projection_width": recurrent.width,
        "cell_width": recurrent.cell_width,
    }


@pytest.mark.parametrize("word_types", [0, 5, 1000])
def test_frequent_words_have_a_vector_of_their_own_beside_their_characters(tiny, word_types):
    torch.manual_seed(0)
    shape = tiny.model_copy(update={"word_types": word_types})
    model = BiLM(shape, types=len(VOCABULARY))
    ids = torch.arange(len(VOCABULARY))
    spelt = torch.from_numpy(character_ids(VOCABULARY.words))
    with torch.no_grad():
        more = model.without_context(spelt, ids) - model.characters(spelt)
        for number in ids.tolist():
            if number < word_types and number != UNKNOWN_ID:
                torch.testing.assert_close(more[number], model.word_vectors.weight[number])
            else:
                assert not more[number].any()
    assert model.word_types == min(word_types, len(VOCABULARY))


def test_a_word_without_a_vector_trains_nobody_elses(tiny):
    model = BiLM(tiny.model_copy(update={"word_types": 5}), types=len(VOCABULARY))
    ids = torch.tensor([UNKNOWN_ID, 7])
    model.without_context(torch.from_numpy(character_ids(["ñu", "mar"])), ids).sum().backward()
    assert not model.word_vectors.weight.grad.any()


def test_every_parameter_learns(tiny, tmp_path):
    torch.manual_seed(0)
    model = BiLM(tiny.model_copy(update={"word_types": 20}), types=len(VOCABULARY))
    states = model.zero_states(1)
    for batch in chunks(tmp_path, unroll=7, count=1):
        loss, states = model.loss(batch, states)
    loss.backward()
    silent = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
    assert not silent


def test_dropout_is_for_training_alone(model, tmp_path):
    (batch,) = chunks(tmp_path, unroll=7, count=1)

    def losses() -> set[float]:
        return {model.loss(batch, model.zero_states(1))[0].item() for _ in range(4)}

    assert len(losses()) == 1
    model.train()
    assert len(losses()) > 1


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_the_named_sizes_can_be_built(size):
    from isogloss.encoders.elmo.settings import SIZES

    model = BiLM(SIZES[size], types=10)
    types = model.without_context(spellings(["<S>", "</S>", "pez"]), torch.tensor([0, 1, 5]))
    assert types.shape == (3, SIZES[size].projection_width)

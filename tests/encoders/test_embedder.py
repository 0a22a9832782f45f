"""A language model as an encoder: a sentence's vectors are its own, and files bring them back exactly."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isogloss.corpus.characters import PADDING
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo import embedder, remembered
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import SIZES
from isogloss.encoders.encoder import Encoder
from isogloss.errors import ArtifactError

WORDS = ["el", "perro", "ve", "un", "pez", ".", "ñu", "🐟", "desconocida", "x" * 60]
VOCABULARY = Vocabulary.count([WORDS[:7]])
forms = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7)


def make(tiny, **changes) -> ELMoEncoder:
    torch.manual_seed(0)
    shape = tiny.model_copy(update={"word_types": 6, **changes})
    model = BiLM(shape, types=len(VOCABULARY), dropout=0.5)
    return ELMoEncoder(model, settings=shape, vocabulary=VOCABULARY, language="es", card={"steps": 3})


@pytest.fixture
def encoder(tiny) -> ELMoEncoder:
    return make(tiny)


def test_it_is_an_encoder(encoder):
    assert isinstance(encoder, Encoder)
    assert (encoder.layers, encoder.width) == (3, 16)


@pytest.mark.parametrize("word_types", [0, 6])
def test_a_word_has_the_same_vectors_however_its_letters_are_put_together(tiny, word_types):
    encoder = make(tiny, word_types=word_types)
    composed, apart = (encoder.encode([Sentence.of_forms(["un", form])]).vectors for form in ("ñu", "n\u0303u"))
    assert torch.equal(composed, apart)


# Sums in another order differ by rounding: float32 and a handful of layers stay well under this.
NEARLY = {"rtol": 0, "atol": 1e-5}


@given(texts=st.lists(forms, min_size=1, max_size=6), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_sentence_does_not_depend_on_batch_or_order(encoder, texts, data):
    batch = [Sentence.of_forms(text) for text in texts]
    together = encoder.encode(batch)
    assert together.vectors.shape == (len(batch), max(map(len, batch)), 3, 16)
    order = data.draw(st.permutations(range(len(batch))))
    shuffled = encoder.encode([batch[index] for index in order])
    for place, index in enumerate(order):
        length = len(batch[index])
        alone = encoder.encode([batch[index]]).vectors[0]
        assert alone.abs().sum(dim=(1, 2)).all(), "every word has a vector"
        torch.testing.assert_close(together.vectors[index, :length], alone, **NEARLY)
        torch.testing.assert_close(shuffled.vectors[place, :length], alone, **NEARLY)
        assert together.mask[index].tolist() == [True] * length + [False] * (len(together.mask[0]) - length)
        assert not together.vectors[index, length:].any()


def test_remembered_vectors_change_nothing_even_when_memory_is_full(encoder, monkeypatch):
    batches = [[Sentence.of_forms(WORDS[start : start + 4])] for start in range(7)]
    fresh = [make_fresh(encoder).encode(batch).vectors for batch in batches]
    for room in (3, 6, 7):  # a batch has six word types
        monkeypatch.setattr(remembered, "REMEMBERED_BYTES", room * 4 * 8)
        forgetful = make_fresh(encoder)
        for _ in range(2):
            for batch, expected in zip(batches, fresh, strict=True):
                assert torch.equal(forgetful.encode(batch).vectors, expected)


@pytest.fixture(scope="module")
def as_trained() -> ELMoEncoder:
    """An encoder of the sizes of the small models, whose matrix products are large enough to be cut up by libraries."""
    shape = SIZES["small"].model_copy(update={"word_types": 6})
    torch.manual_seed(0)
    model = BiLM(shape, types=len(VOCABULARY), dropout=0.0, predicts=False)
    return ELMoEncoder(model, settings=shape, vocabulary=VOCABULARY, language="es")


def random_words(count: int) -> list[str]:
    """Distinct words of one to some sixty bytes, with letters of one byte and of two, most of them short."""
    generator = np.random.default_rng(7)
    words = list(WORDS)
    while len(words) < count:
        length = 1 + min(int(generator.exponential(6.0)), 59)
        words.append("".join(generator.choice(list("abcdefghijñßд"), size=length)))
    return sorted(set(words))


@pytest.mark.parametrize("together", [1, 7, 47, 48, 100, 333])
def test_a_word_has_the_same_bits_whatever_was_asked_before_and_beside_it(as_trained, together):
    words = random_words(900)
    expected = make_fresh(as_trained)._characters(words)
    order = np.random.default_rng(together).permutation(len(words)).tolist()[: 20 * together]
    characters = make_fresh(as_trained)._characters
    for first in range(0, len(order), together):
        places = order[first : first + together]
        assert torch.equal(characters([words[place] for place in places]), expected[places])


@pytest.mark.parametrize("length", remembered.LENGTHS)
def test_a_word_has_the_same_bits_in_every_row(as_trained, length):
    """What the even portions rest on: a kernel that treats all rows alike."""
    word, others = "ñ" * (length // 2), ["x" * length] * (remembered.ROWS - 1)
    rows = torch.stack(
        [as_trained.without_context([*others[:row], word, *others[row:]])[row] for row in range(remembered.ROWS)]
    )
    assert torch.equal(rows, rows[:1].expand_as(rows))


@given(words=st.lists(st.text(max_size=60), unique=True, max_size=200))
def test_every_portion_of_new_words_has_the_shape_of_its_length(words):
    dealt = list(remembered.portions(words))
    assert sorted(place for places, _ in dealt for place in places) == list(range(len(words)))
    for places, filler in dealt:
        assert 0 < len(places) < remembered.ROWS, "there is room for the filler"
        ids = embedder.spellings([*(words[place] for place in places), filler])
        lengths = (ids != PADDING).sum(dim=1)
        assert lengths.max() == lengths[-1] == len(filler) + 2


def make_fresh(encoder: ELMoEncoder) -> ELMoEncoder:
    return ELMoEncoder(encoder.model, settings=encoder.settings, vocabulary=VOCABULARY, language="es")


def test_the_layers_are_those_of_the_model_put_side_by_side(encoder):
    forms = ["el", "pez", "ve"]
    vectors = encoder.encode([Sentence.of_forms(forms)]).vectors[0]  # words layers width
    ids = torch.from_numpy(VOCABULARY.encode(["<S>", "</S>", *forms]))
    with torch.no_grad():
        types = encoder.model.without_context(embedder.spellings(["<S>", "</S>", *forms]), ids)
        inputs = torch.tensor([[0, 2, 3, 4], [1, 4, 3, 2]])
        layers = [list(encoder.model.read(types, inputs[side], [1, 1, 1, 1], direction=side)) for side in (0, 1)]
    for place in range(3):
        for layer in range(3):
            forward, backward = layers[0][layer][place + 1], layers[1][layer][3 - place]
            torch.testing.assert_close(vectors[place, layer], torch.cat([forward, backward]), **NEARLY)


def test_layer_0_is_said_twice_and_knows_no_context(encoder):
    found = encoder.encode([Sentence.of_forms(["pez", "ve", "pez"]), Sentence.of_forms(["pez"])])
    layer = found.layer(0)
    assert torch.equal(layer[0, :, :8], layer[0, :, 8:])
    assert torch.equal(layer[0, 0], layer[0, 2])
    assert torch.equal(layer[0, 0], layer[1, 0])
    assert not torch.equal(found.layer(1)[0, 0], found.layer(1)[0, 2])


def test_no_sentences_and_empty_sentences_are_allowed(encoder):
    nothing = encoder.encode([])
    assert nothing.vectors.shape == (0, 0, 3, 16)
    assert nothing.mask.shape == (0, 0)
    some = encoder.encode([Sentence(()), Sentence.of_forms(["pez"])])
    assert some.mask.tolist() == [[False], [True]]
    assert encoder.encode([Sentence(())]).vectors.shape == (1, 0, 3, 16)


def test_encoding_leaves_no_gradient_and_has_no_dropout(encoder):
    sentence = [Sentence.of_forms(WORDS)]
    one, other = encoder.encode(sentence).vectors, make_fresh(encoder).encode(sentence).vectors
    assert not one.requires_grad
    assert one.dtype == torch.float32
    assert torch.equal(one, other)


def test_saving_and_loading_gives_the_same_encoder_bit_for_bit(encoder, tmp_path):
    encoder.save(tmp_path)
    again = ELMoEncoder.load(tmp_path)
    sentence = [Sentence.of_forms(WORDS)]
    assert torch.equal(again.encode(sentence).vectors, encoder.encode(sentence).vectors)
    assert (again.settings, again.language, again.card) == (encoder.settings, "es", {"steps": 3})
    assert again.vocabulary == encoder.vocabulary
    (tmp_path / "second").mkdir()
    again.save(tmp_path / "second")
    names = ["card.json", "model.safetensors", "settings.json", "vocabulary.txt"]
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


FILES = ["settings.json", "card.json", "vocabulary.txt", "model.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(encoder, tmp_path, name):
    encoder.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}.* no such file"):
        ELMoEncoder.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-2], lambda data: b"", lambda data: b"\xff\xfe[1]"],
    ids=["cut", "empty", "other"],
)
def test_a_damaged_file_is_named(encoder, tmp_path, name, damage):
    encoder.save(tmp_path)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactError, match=rf"{name}:"):
        ELMoEncoder.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"language": ...}, {"model": ...}, {"model": 3}, {"model": {"layers": 0}}, {"model": {"colour": 1}}],
)
def test_settings_that_are_none_are_named(encoder, tmp_path, change):
    encoder.save(tmp_path)
    path = tmp_path / "settings.json"
    values = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))
    with pytest.raises(ArtifactError, match=r"settings\.json: not readable as part of a language model"):
        ELMoEncoder.load(tmp_path)


def test_weights_of_another_model_are_refused(encoder, tiny, tmp_path):
    encoder.save(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    make(tiny, cell_width=20).save(other)
    (other / "model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: not readable as part of a language model"):
        ELMoEncoder.load(tmp_path)


# Texts of any length


def one_by_one(encoder: ELMoEncoder, texts: list[list[str]]) -> list[torch.Tensor]:
    return [encoder.encode([Sentence.of_forms(text)]).vectors[0] for text in texts]


@given(texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=7), max_size=9), batch_words=st.integers(1, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_stream_gives_every_sentence_the_vectors_that_it_has_alone(encoder, texts, batch_words):
    stream = (Sentence.of_forms(text) for text in texts)
    found = list(encoder.iterate(stream, batch_words=batch_words))
    assert [tuple(vectors.shape) for vectors in found] == [(len(text), 3, 16) for text in texts]
    for vectors, alone in zip(found, one_by_one(encoder, texts), strict=True):
        torch.testing.assert_close(vectors, alone, **NEARLY)


def test_a_stream_is_read_no_further_than_the_next_batch_needs(encoder):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield Sentence.of_forms(["el", "pez"] if read % 2 else [])

    found = encoder.iterate(endless(), batch_words=20)
    assert read == 0
    for number in range(1, 200):
        next(found)
        assert read <= number + 12  # at most 20 words and sentences, and one sentence that did not fit


def test_more_sentences_than_rows_and_more_words_than_one_batch(encoder, monkeypatch):
    texts = [(WORDS * 3)[start % 7 : start % 7 + 1 + start % 13] for start in range(300)]
    monkeypatch.setattr(embedder, "BATCH_WORDS", 700)
    together = encoder.encode([Sentence.of_forms(text) for text in texts])
    for vectors, text, alone in zip(together.vectors, texts, one_by_one(encoder, texts), strict=True):
        torch.testing.assert_close(vectors[: len(text)], alone, **NEARLY)


def test_one_huge_sentence_is_read_whole(encoder):
    words = (WORDS * 2000)[:15_000]
    (vectors,) = encoder.iterate([Sentence.of_forms(words)], batch_words=100)
    begin, end = one_by_one(encoder, [words[:300], words[-300:]])
    assert vectors.shape == (15_000, 3, 16)
    assert vectors.isfinite().all()
    torch.testing.assert_close(vectors[:200, :, :8], begin[:200, :, :8], **NEARLY)  # forward, from the begin
    torch.testing.assert_close(vectors[-200:, :, 8:], end[-200:, :, 8:], **NEARLY)  # backward, from the end


@pytest.mark.parametrize("word", ["🐟🏳️‍🌈", "\ufffd\ufffd", "\udc80", "", "<S>", "x" * 5000])
def test_any_word_has_finite_vectors(encoder, word):
    vectors = encoder.encode([Sentence.of_forms(["el", word, "pez"])]).vectors
    assert vectors.isfinite().all()
    assert vectors[0, 1].any()


def test_vectors_can_take_part_in_training(encoder):
    vectors = encoder.encode([Sentence.of_forms(["el", "pez"])]).vectors
    scale = torch.ones(16, requires_grad=True)
    (vectors * scale).sum().backward()
    torch.testing.assert_close(scale.grad, vectors.sum(dim=(0, 1, 2)))


def test_bfloat16_agrees_to_two_digits_and_gives_float32(encoder, tmp_path):
    encoder.save(tmp_path)
    quick = ELMoEncoder.load(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in quick.model.parameters()} == {torch.bfloat16}
    found, expected = (each.encode([Sentence.of_forms(WORDS)]).vectors for each in (quick, encoder))
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.02 * expected.abs().max()


def test_loading_does_not_load_a_compiler(encoder, tmp_path):
    encoder.save(tmp_path, predicts=False)
    code = (
        "import sys; from pathlib import Path; from isogloss.encoders.elmo.embedder import ELMoEncoder; "
        f"ELMoEncoder.load(Path({str(tmp_path)!r})); print('torch._dynamo' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "False\n", found.stderr

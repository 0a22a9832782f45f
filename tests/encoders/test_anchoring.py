"""Anchoring: what the distance is, what the pull does to training, where words begin, what is refused."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.processes import Processes
from isogloss.compute.randomness import seeded_torch
from isogloss.corpus.vocabulary import RESERVED, UNKNOWN_ID, Vocabulary
from isogloss.encoders.elmo.anchoring import (
    AnchoredWords,
    RichLanguage,
    anchored_words,
    anchoring_loss,
    distance,
    start_at_translations,
)
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import AnchoringSettings, BiLMSettings
from isogloss.encoders.elmo.streams import spellings
from isogloss.encoders.elmo.training import train_bilm
from isogloss.errors import DictionaryError, TrainingError

SHAPE = BiLMSettings(
    character_width=4, filters=((1, 4), (3, 8)), highways=1, projection_width=8, cell_width=16, word_types=9
)
PAIRS = (("perro", "dog"), ("gato", "cat"), ("casa", "house"), ("casa", "home"), ("mar", "sea"), ("unicornio", "dog"))
"""Of Spanish and English words; the Spanish text knows no unicorn."""


def vocabulary_of(*words: str) -> Vocabulary:
    return Vocabulary((*RESERVED, *words), (9, 9, 9, *range(100, 100 - len(words), -1)))


def model_of(vocabulary: Vocabulary, *, seed: int, shape: BiLMSettings = SHAPE) -> BiLM:
    torch.manual_seed(seed)
    return BiLM(shape, types=len(vocabulary))


@pytest.fixture(scope="module")
def english() -> ELMoEncoder:
    """The rich language: random weights; it has no vector of its own for *sea*, the tenth word."""
    vocabulary = vocabulary_of("dog", "cat", "house", "home", "a", "the", "sea")
    return ELMoEncoder(model_of(vocabulary, seed=1), settings=SHAPE, vocabulary=vocabulary, language="en")


SPANISH = vocabulary_of("el", "casa", "perro", "un", "Gato", "la")


def words_of(english: ELMoEncoder, pairs: Sequence[tuple[str, str]] = PAIRS, **settings: Any) -> AnchoredWords:
    how = AnchoringSettings.model_validate(settings)
    return anchored_words(RichLanguage(english, pairs), vocabulary=SPANISH, width=8, settings=how)


def layer_0(encoder: ELMoEncoder, word: str) -> torch.Tensor:
    """The slow way: one word after another."""
    ids = torch.tensor([encoder.vocabulary.id_of(word)])
    return encoder.model.without_context(spellings([word]), ids)[0].detach()


# ---------------------------------------------------------------------------------------------- which words


def test_pairs_whose_translation_the_rich_model_knows_are_looked_up_in_any_case(english):
    words = words_of(english)
    ids = [SPANISH.id_of(word) for word in ("perro", "Gato", "casa", "casa")]
    assert words.ids.tolist() == [*ids, UNKNOWN_ID], "no sea; the unicorn has its characters only"
    assert torch.equal(words.spellings, spellings(["perro", "Gato", "casa", "casa", "unicornio"]))
    for place, other in zip(words.places, ["dog", "cat", "house", "home", "dog"], strict=True):
        torch.testing.assert_close(place, layer_0(english, other))


def test_of_several_translations_the_first_can_be_chosen(english):
    words = words_of(english, translations="first")
    assert len(words) == 4
    torch.testing.assert_close(words.places[2], layer_0(english, "house"))


@pytest.mark.parametrize("pairs", [(("unicornio", "dog"),), (("perro", "sea"),), (("dog", "perro"),)], ids=str)
def test_a_dictionary_without_a_word_of_both_is_refused(english, pairs):
    with pytest.raises(
        DictionaryError, match=r"into 'en': of 1 pairs none has a word of the text .* Check which column"
    ):
        words_of(english, pairs)


def test_a_rich_model_of_another_width_is_refused(english):
    with pytest.raises(
        TrainingError, match=r"'en' is 8 wide \(projection_width\), and the new one 32\. .* Choose a size"
    ):
        anchored_words(RichLanguage(english, PAIRS), vocabulary=SPANISH, width=32, settings=AnchoringSettings())


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_negative_or_not_finite_is_refused(weight):
    with pytest.raises(ValidationError, match="weight"):
        AnchoringSettings(weight=weight)


# --------------------------------------------------------------------------------------------- the distance


def planted(vectors: Sequence[Sequence[float]], places: Sequence[Sequence[float]]) -> tuple[BiLM, AnchoredWords]:
    """A model whose words have just these vectors, and where they should be."""
    shape = SHAPE.model_copy(update={"projection_width": len(vectors[0])})
    names = [f"w{number}" for number in range(len(vectors))]
    model = model_of(vocabulary_of(*names), seed=2, shape=shape.model_copy(update={"word_types": 99}))
    assert model.word_vectors is not None
    with torch.no_grad():
        spelt = model.characters(spellings(names))
        model.word_vectors.weight[3:] = torch.tensor(vectors) - spelt
    ids = torch.arange(3, 3 + len(vectors))
    return model, AnchoredWords(spellings=spellings(names), ids=ids, places=torch.tensor(places))


@torch.no_grad()
def test_the_distance_worked_by_hand():
    model, words = planted([[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [3.0, 1.0]])
    # Distances 4 and 9, lengths 5 and 10, squared: 6.5 / 7.5 of all, 9 / 7.5 of the second pair alone.
    assert float(distance(model, words)) == pytest.approx(6.5 / 7.5, rel=1e-5)
    assert float(distance(model, words, torch.tensor([1]))) == pytest.approx(9 / 7.5, rel=1e-5)


def test_the_distance_agrees_with_one_word_after_another(english):
    words, vocabulary = words_of(english), SPANISH
    encoder = ELMoEncoder(model_of(vocabulary, seed=3), settings=SHAPE, vocabulary=vocabulary, language="es")
    pairs = [("perro", "dog"), ("Gato", "cat"), ("casa", "house"), ("casa", "home"), ("unicornio", "dog")]
    away = sum(float((layer_0(encoder, word) - layer_0(english, other)).norm()) ** 2 for word, other in pairs)
    lengths = sum(float(layer_0(english, other).norm()) ** 2 for _, other in pairs)
    assert float(distance(encoder.model, words).detach()) == pytest.approx(away / lengths, rel=1e-5)


@given(seed=st.integers(0, 999), scale=st.floats(0.01, 100.0))
def test_the_distance_is_one_at_zero_and_zero_at_the_translations_whatever_the_scale(seed, scale):
    places = (torch.randn(5, 4, generator=torch.Generator().manual_seed(seed)) * scale).tolist()
    # A vector is a difference of float32 numbers of about 1 and of `scale`, and so off by 1e-6 of the larger one.
    near = 1e-4 * (1 + 1 / scale**2)
    with torch.no_grad():
        assert float(distance(*planted([[0.0] * 4] * 5, places))) == pytest.approx(1.0, abs=near)
        assert float(distance(*planted(places, places))) == pytest.approx(0.0, abs=near)


def test_the_loss_of_a_sample_is_on_average_that_of_all_pairs(english):
    words, model = words_of(english), model_of(SPANISH, seed=3)
    how = AnchoringSettings(weight=0.7, pairs_per_step=2)
    with torch.no_grad():
        drawn = torch.stack([anchoring_loss(model, words, how, done=0.0) for _ in range(600)])
        expected = 0.7 * distance(model, words)
    # Five standard errors of a mean of 600.
    assert float(drawn.mean()) == pytest.approx(float(expected), abs=5 * float(drawn.std()) / 600**0.5)


def test_the_weight_stays_or_falls_to_nothing(english):
    words, model = words_of(english), model_of(SPANISH, seed=3)

    def loss(schedule: str, done: float) -> float:
        torch.manual_seed(5)
        with torch.no_grad():
            return float(anchoring_loss(model, words, AnchoringSettings(schedule=schedule), done=done))

    assert loss("constant", 0.75) == loss("constant", 0.0) > 0
    assert loss("linear", 0.75) == pytest.approx(loss("constant", 0.0) / 4, rel=1e-6)


@pytest.mark.parametrize("world", [2, 3, 7])
def test_several_processes_have_together_the_loss_of_one(english, world):
    words, model = words_of(english), model_of(SPANISH, seed=3)
    how = AnchoringSettings(pairs_per_step=5)

    def loss(processes: Processes) -> torch.Tensor:
        torch.manual_seed(6)  # they all draw the same numbers
        return anchoring_loss(model, words, how, done=0.0, processes=processes)

    parts = torch.stack([loss(Processes(rank=rank, world=world)) for rank in range(world)])
    torch.testing.assert_close(parts.mean(), loss(Processes()))


# ------------------------------------------------------------------------------------------------- the start


def test_words_with_a_vector_of_their_own_begin_at_their_translations(english):
    words, model = words_of(english), model_of(SPANISH, seed=4)
    before = model.state_dict()["word_vectors.weight"].clone()
    start_at_translations(model, SPANISH, words)
    encoder = ELMoEncoder(model, settings=SHAPE, vocabulary=SPANISH, language="es")
    torch.testing.assert_close(layer_0(encoder, "perro"), layer_0(english, "dog"))
    mean = (layer_0(english, "house") + layer_0(english, "home")) / 2
    torch.testing.assert_close(layer_0(encoder, "casa"), mean)
    others = [SPANISH.id_of(word) for word in ("<S>", "<UNK>", "el", "un", "la")]
    assert torch.equal(model.state_dict()["word_vectors.weight"][others], before[others])


# ---------------------------------------------------------------------------------------------- the training


def same_weights(one: ELMoEncoder, other: ELMoEncoder) -> bool:
    weights = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def train(text, settings, **options: Any) -> ELMoEncoder:
    return train_bilm(text, language="es", settings=settings, tokenised=True, **options)


@pytest.fixture
def settings_with(training_settings):
    """Make settings of a model with word vectors; arguments are those of the anchoring."""

    def make(**anchoring: Any):
        return training_settings(model=SHAPE.model_dump(mode="json"), anchoring=anchoring)

    return make


def test_with_weight_0_it_is_plain_training_bit_for_bit(text, settings_with, english):
    plain = train(text, settings_with())
    anchored = train(text, settings_with(weight=0.0), beside=RichLanguage(english, PAIRS))
    assert same_weights(plain, anchored)
    assert "anchored_distance" not in anchored.card
    assert not same_weights(plain, train(text, settings_with(weight=0.5), beside=RichLanguage(english, PAIRS)))


def test_the_stronger_the_pull_the_nearer_words_come_and_the_rich_model_stays(text, settings_with, english):
    before = {name: value.clone() for name, value in english.model.state_dict().items()}
    beside = RichLanguage(english, PAIRS)
    distances = [
        train(text, settings_with(weight=weight, start_at_translations=False), beside=beside).card["anchored_distance"]
        for weight in (1e-6, 1.0, 30.0)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 2
    assert all(torch.equal(value, before[name]) for name, value in english.model.state_dict().items())


def test_the_card_tells_how_many_pairs_and_how_near(text, settings_with, english):
    encoder = train(text, settings_with(weight=2.0), beside=RichLanguage(english, PAIRS))
    words = anchored_words(
        RichLanguage(english, PAIRS), vocabulary=encoder.vocabulary, width=8, settings=AnchoringSettings()
    )
    assert encoder.card["anchored_pairs"] == len(words) == 5
    expected = float(distance(encoder.model, words).detach())
    assert encoder.card["anchored_distance"] == pytest.approx(expected, abs=1e-4)


def test_a_killed_training_goes_on_to_the_same_weights(text, settings_with, english, tmp_path):
    class Killed(Exception):
        pass

    def kill(step, planned):
        if step.number == 11:
            raise Killed

    settings = settings_with(weight=2.0, pairs_per_step=2, schedule="linear")
    options = {"beside": RichLanguage(english, PAIRS)}
    expected = train(text, settings, **options)
    checkpoints = Checkpoints(tmp_path / "checkpoints", fingerprint="x")
    with pytest.raises(Killed):
        train(text, settings, **options, checkpoints=checkpoints, on_step=kill)
    with seeded_torch(3, "something else"):
        found = train(text, settings, **options, checkpoints=checkpoints)
    assert same_weights(found, expected)

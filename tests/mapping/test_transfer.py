import pytest
import torch

from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.encoders.elmo.streams import spellings
from isogloss.errors import AlignmentError
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.transfer import start_from_model

SHAPE = BiLMSettings(character_width=4, filters=((1, 4), (2, 4)), word_types=400, projection_width=16, cell_width=24)
TYPES = 300
ALIKE = 100  # of these, every third word is spelt alike


def vocabulary_of(words: list[str]) -> Vocabulary:
    counts = [1000 - 3 * place for place in range(len(words))]
    return Vocabulary((*RESERVED, *words), (100, 100, 10, *counts))


@pytest.fixture
def reference() -> ELMoEncoder:
    """A model of random weights whose softmax bias follows the counts."""
    torch.manual_seed(1)
    vocabulary = vocabulary_of([f"word{place}" for place in range(TYPES)])
    model = BiLM(SHAPE, types=len(vocabulary))
    with torch.no_grad():
        assert model.softmax is not None
        model.softmax.bias.copy_(torch.log(torch.tensor(vocabulary.counts, dtype=torch.float32)))
    return ELMoEncoder(model, settings=SHAPE, vocabulary=vocabulary, language="aa")


def layer_0(model: BiLM, vocabulary: Vocabulary) -> torch.Tensor:
    return model.without_context(spellings(vocabulary.words), torch.arange(len(vocabulary))).detach()


def other_language(reference: ELMoEncoder, *, alike: bool = True) -> tuple[Vocabulary, torch.Tensor]:
    """The reference's words in another spelling, with their vectors turned round."""
    words = [f"word{place}" if alike and place % 3 == 0 else f"mot{place}x" for place in range(TYPES)]
    turn = torch.linalg.qr(torch.randn(16, 16)).Q
    vectors = layer_0(reference.model, reference.vocabulary) @ turn * 0.3
    vectors[:3] = 0.0
    return vocabulary_of(words), vectors


def test_words_find_their_places_without_a_dictionary(reference: ELMoEncoder) -> None:
    vocabulary, vectors = other_language(reference)
    torch.manual_seed(2)
    model = BiLM(SHAPE, types=len(vocabulary))
    details = start_from_model(model, vocabulary, vectors, reference=reference)
    ours, theirs = layer_0(model, vocabulary)[3:], layer_0(reference.model, reference.vocabulary)[3:]
    assert torch.allclose(ours, theirs, atol=1e-3)  # every word, though two in three are spelt otherwise
    pairs = details["pairs_by_round"]
    assert isinstance(pairs, list) and pairs[0] == ALIKE and pairs[-1] == TYPES


def test_recurrent_layers_and_characters_are_copied(reference: ELMoEncoder) -> None:
    vocabulary, vectors = other_language(reference)
    model = BiLM(SHAPE, types=len(vocabulary))
    start_from_model(model, vocabulary, vectors, reference=reference)
    for name, weight in reference.model.state_dict().items():
        if name.startswith(("recurrent.", "characters.")):
            assert torch.equal(model.state_dict()[name], weight), name


def test_the_softmax_follows_layer_0_and_counts(reference: ELMoEncoder) -> None:
    assert reference.model.softmax is not None
    with torch.no_grad():  # a softmax that is a linear map of layer 0 is found again
        seen = layer_0(reference.model, reference.vocabulary)
        reference.model.softmax.weight.copy_(seen @ torch.randn(16, 16))
    vocabulary, vectors = other_language(reference)
    model = BiLM(SHAPE, types=len(vocabulary))
    start_from_model(model, vocabulary, vectors, reference=reference)
    assert model.softmax is not None
    cosine = torch.cosine_similarity(model.softmax.weight[3:], reference.model.softmax.weight[3:], dim=1)
    assert cosine.min() > 0.99
    assert torch.allclose(model.softmax.bias, reference.model.softmax.bias, atol=0.01)
    assert torch.equal(model.softmax.weight[:3], reference.model.softmax.weight[:3])


def test_a_dictionary_takes_the_place_of_words_spelt_alike(reference: ELMoEncoder) -> None:
    vocabulary, vectors = other_language(reference, alike=False)
    model = BiLM(SHAPE, types=len(vocabulary))
    with pytest.raises(AlignmentError, match=r"Only 0 words are spelt alike .* and in 'aa'"):
        start_from_model(model, vocabulary, vectors, reference=reference)
    pairs = tuple((f"mot{place}x", f"word{place}") for place in range(0, TYPES, 5))
    dictionary = BilingualDictionary(source="bb", target="aa", pairs=pairs)
    details = start_from_model(model, vocabulary, vectors, reference=reference, dictionary=dictionary)
    pairs_by_round = details["pairs_by_round"]
    assert isinstance(pairs_by_round, list) and pairs_by_round[0] == TYPES // 5
    ours, theirs = layer_0(model, vocabulary)[3:], layer_0(reference.model, reference.vocabulary)[3:]
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_a_model_of_the_same_language_keeps_what_it_knows_of_words(reference: ELMoEncoder) -> None:
    # Known words in another order, and new ones among them, with vectors from counts that say something else.
    words = [f"word{place}" for place in reversed(range(0, TYPES, 2))] + [f"new{place}" for place in range(50)]
    vocabulary = vocabulary_of(words)
    model = BiLM(SHAPE, types=len(vocabulary))
    details = start_from_model(
        model, vocabulary, torch.randn(len(vocabulary), 16), reference=reference, same_language=True
    )
    assert details["words_kept"] == TYPES // 2
    ours, theirs = layer_0(model, vocabulary), layer_0(reference.model, reference.vocabulary)
    place = {word: index for index, word in enumerate(reference.vocabulary.words)}
    known = [place[word] for word in words[: TYPES // 2]]
    assert torch.equal(ours[3 : 3 + TYPES // 2], theirs[known])
    assert model.softmax is not None and reference.model.softmax is not None
    assert torch.equal(model.softmax.weight[3 : 3 + TYPES // 2], reference.model.softmax.weight[known])
    assert torch.equal(model.softmax.bias[3 : 3 + TYPES // 2], reference.model.softmax.bias[known])


def test_words_of_another_language_that_are_spelt_alike_keep_nothing(reference: ELMoEncoder) -> None:
    vocabulary, vectors = other_language(reference)
    model = BiLM(SHAPE, types=len(vocabulary))
    details = start_from_model(model, vocabulary, vectors, reference=reference)
    assert details["words_kept"] == 0
    assert not torch.equal(layer_0(model, vocabulary)[3], layer_0(reference.model, reference.vocabulary)[3])


def test_another_shape_is_refused(reference: ELMoEncoder) -> None:
    vocabulary, vectors = other_language(reference)
    model = BiLM(SHAPE.model_copy(update={"cell_width": 32}), types=len(vocabulary))
    with pytest.raises(AlignmentError, match=r"another shape: .* Train both with the same size"):
        start_from_model(model, vocabulary, vectors, reference=reference)


def test_a_model_without_softmax_lends_the_rest_and_the_softmax_starts_from_turned_counts(
    reference: ELMoEncoder,
) -> None:
    vocabulary, vectors = other_language(reference)
    bare = BiLM(SHAPE, types=len(reference.vocabulary), predicts=False)
    bare.load_state_dict(reference.model.state_dict(), strict=False)
    shrunk = ELMoEncoder(bare, settings=SHAPE, vocabulary=reference.vocabulary, language="aa")
    model = BiLM(SHAPE, types=len(vocabulary))
    start_from_model(model, vocabulary, vectors, reference=shrunk)
    ours, theirs = layer_0(model, vocabulary)[3:], layer_0(reference.model, reference.vocabulary)[3:]
    assert torch.allclose(ours, theirs, atol=1e-3)
    assert model.softmax is not None
    cosine = torch.cosine_similarity(model.softmax.weight[3:], theirs, dim=1)
    assert cosine.min() > 0.99, "the counts are turned as the places are"
    torch.testing.assert_close(model.softmax.weight.norm(dim=1), vectors.norm(dim=1) * 16**-0.5)


def test_a_text_with_hardly_a_word_is_refused(reference: ELMoEncoder) -> None:
    vocabulary = vocabulary_of([f"word{place}" for place in range(9)])
    with pytest.raises(
        AlignmentError, match=r"^The text has 9 different words that are .*\. Expected 10 or more, .*'aa'"
    ):
        start_from_model(
            BiLM(SHAPE, types=len(vocabulary)), vocabulary, torch.ones(len(vocabulary), 16), reference=reference
        )


def test_too_few_words_that_are_alike_are_refused(reference: ELMoEncoder) -> None:
    vocabulary, vectors = other_language(reference, alike=False)
    with pytest.raises(
        AlignmentError,
        match=r"^Only 0 words are spelt alike .*; at least 10 are needed, .* Give a dictionary of more words",
    ):
        start_from_model(BiLM(SHAPE, types=len(vocabulary)), vocabulary, vectors, reference=reference)


def test_a_model_without_word_vectors_is_refused(reference: ELMoEncoder) -> None:
    vocabulary, vectors = other_language(reference)
    shape = SHAPE.model_copy(update={"word_types": 0})
    bare = BiLM(shape, types=len(reference.vocabulary))
    encoder = ELMoEncoder(bare, settings=shape, vocabulary=reference.vocabulary, language="aa")
    with pytest.raises(AlignmentError, match=r"of 'aa' has no word vectors\. Expected .* word_types above 0"):
        start_from_model(BiLM(SHAPE, types=len(vocabulary)), vocabulary, vectors, reference=encoder)

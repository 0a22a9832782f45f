"""Start a language's model from another's: the LSTMs as they are, and every word at its place in the other's space.

What the recurrent layers of one language have learnt serves another, if its words come in as vectors that they
understand. Word vectors from counts (`encoders/static.py`) have much the same shape in two languages, so a rotation
brings one language's onto the other's layer 0. No dictionary is asked for: words spelt alike in both (names, loans,
numerals, punctuation) give a first rotation, and mutual nearest neighbours refine it.

    vector of word w      s · x_w W − characters(w)      so that layer 0 of w is its rotated vector
    softmax of word w     s · x_w W B                    B takes layer 0 of the other language's words to their
                                                         softmax weights (least squares)
    recurrent layers, characters                         copied

A shrunk model has no softmax. Then that of the new model begins with its own vectors from counts, x_w W / √width.

The two languages then also begin in one space, and after training their anchors lie closer to a mere rotation.

A model of the same language is gone on with: words that it knows keep their vectors, and their rows of the softmax.

Source: the refinement is that of Conneau et al. (2018); identical words as seed, Smith et al. (2017),
arXiv:1702.03859.
"""

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.counting import softmax_from_counts
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.softmax import WordSoftmax
from isogloss.encoders.elmo.streams import spellings
from isogloss.errors import AlignmentError
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.lexicon.seeds import SHORTEST_ALIKE
from isogloss.mapping.checks import MINIMUM_PAIRS
from isogloss.mapping.procrustes import completed_procrustes, refine

log = logging.getLogger(__name__)

FREQUENT = 5000
"""Word types of each language that may pair up in the refinement."""
ROUNDS = 10
"""Rounds of refinement."""
RIDGE = 1e-2
"""Keeps the least squares for the softmax tame, as a share of the mean square of layer 0."""


@torch.no_grad()
def start_from_model(
    model: BiLM,
    vocabulary: Vocabulary,
    vectors: Float[Tensor, "types width"],
    *,
    reference: ELMoEncoder,
    dictionary: BilingualDictionary | None = None,
    same_language: bool = False,
) -> dict[str, object]:
    """Give a fresh model the recurrent layers of a trained one, and its words their places in that space.

    Args:
        model: To be trained; of the reference's shape. Changed in place.
        vocabulary: Its words.
        vectors: From counts, one per word of the vocabulary; see `cooccurrence_vectors`.
        reference: A trained model of another language, with word vectors; a shrunk one will do.
        dictionary: Pairs from the new language to the reference's, to begin with in place of words spelt alike.
        same_language: The reference is of this very language, so what it knows of a word is kept.

    Returns:
        How it was done: pairs and closeness by round of refinement, which round was kept, and how many words kept
        their vectors.

    Raises:
        AlignmentError: The two models have different shapes, or too few words are alike.
    """
    others = reference.vocabulary
    trained = reference.model
    if trained.word_vectors is None:
        raise AlignmentError(
            f"The model of {reference.language!r} has no word vectors. Expected a model as train-lm makes it, with "
            f"word_types above 0. Give such a model."
        )
    if len(vocabulary) < len(RESERVED) + MINIMUM_PAIRS:
        raise AlignmentError(
            f"The text has {len(vocabulary) - len(RESERVED)} different words that are frequent enough for a model. "
            f"Expected {MINIMUM_PAIRS} or more, by which it finds its place beside that of {reference.language!r}. "
            "Give more text."
        )
    if model.word_vectors is None or min(model.word_types, trained.word_types) < len(RESERVED) + MINIMUM_PAIRS:
        raise AlignmentError(
            f"word_types: found {model.word_types} for the new model and {trained.word_types} for that of "
            f"{reference.language!r}. Expected {len(RESERVED) + MINIMUM_PAIRS} or more: words find their places by "
            f"their vectors. Raise it."
        )
    assert model.softmax is not None, "a model without a softmax cannot be trained"
    ours = {name: tuple(weight.shape) for name, weight in _shared(model).items()}
    theirs = {name: tuple(weight.shape) for name, weight in _shared(trained).items()}
    if ours != theirs:
        odd = next(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
        raise AlignmentError(
            f"The model of {reference.language!r} has another shape: {odd} is {theirs.get(odd)}, expected "
            f"{ours.get(odd)}. Train both with the same size."
        )
    first = len(RESERVED)
    words, other_words = vocabulary.words[first:], others.words[first : trained.word_types]
    other_ids = torch.arange(first, trained.word_types)
    layer_0 = trained.without_context(spellings(other_words), other_ids)
    found = vectors[first:]
    pairs = _pairs(words, other_words, dictionary)
    pairs = [pair for pair in pairs if float(found[pair[0]].abs().sum()) > 0.0]
    if len(pairs) < MINIMUM_PAIRS:
        what = "words are spelt alike" if dictionary is None else "pairs of the dictionary have frequent words both"
        raise AlignmentError(
            f"Only {len(pairs)} {what} in the new language and in {reference.language!r}; at least {MINIMUM_PAIRS} are "
            f"needed, by which words find their places. Give a dictionary of more words (--dictionary)."
        )
    source, target = _unit(found), _unit(layer_0)
    rows, columns = torch.tensor(pairs).unbind(dim=1)
    matrix, _ = completed_procrustes(source[rows], target[columns])
    refined = refine(source, target, matrix=matrix, pairs=pairs, rounds=ROUNDS, types=FREQUENT)
    places = vectors @ refined.matrix.to(vectors)
    places *= layer_0.norm(dim=1).mean() / places[first:].norm(dim=1).mean()

    model.load_state_dict(_shared(trained), strict=False)
    own = model.word_types
    spelt = model.characters(spellings(vocabulary.words[:own]))
    model.word_vectors.weight.copy_(places[:own] - spelt)
    model.word_vectors.weight[:first] = trained.word_vectors.weight[:first]

    if trained.softmax is None:
        softmax_from_counts(model, vocabulary, vectors @ refined.matrix.to(vectors))
    else:
        _softmax_from(trained.softmax, others, model.softmax, vocabulary, layer_0=layer_0, places=places)
    details: dict[str, object] = {
        "words_kept": _keep_words(model, vocabulary, trained, others) if same_language else 0,
        "pairs_by_round": list(refined.pairs_by_round),
        "closeness_by_round": [round(value, 4) for value in refined.closeness_by_round],
        "kept_round": refined.kept_round,
    }
    log.info("start from the model of %s: %s", reference.language, details)
    return details


def _keep_words(model: BiLM, vocabulary: Vocabulary, trained: BiLM, others: Vocabulary) -> int:
    """Give words that the trained model knows their vectors and rows of its softmax; return how many had a vector."""
    place = {word: index for index, word in enumerate(others.words)}
    both = [(ours, place[word]) for ours, word in enumerate(vocabulary.words) if word in place]
    vectors = [(ours, theirs) for ours, theirs in both if ours < model.word_types and theirs < trained.word_types]
    rows, other_rows = torch.tensor(vectors).unbind(dim=1)
    assert model.word_vectors is not None and trained.word_vectors is not None, "checked by the caller"
    model.word_vectors.weight[rows] = trained.word_vectors.weight[other_rows]
    if model.softmax is not None and trained.softmax is not None:
        rows, other_rows = torch.tensor(both).unbind(dim=1)
        model.softmax.weight[rows] = trained.softmax.weight[other_rows]
        model.softmax.bias[rows] = trained.softmax.bias[other_rows]
    return len(vectors) - len(RESERVED)


def _softmax_from(
    trained: WordSoftmax,
    others: Vocabulary,
    softmax: WordSoftmax,
    vocabulary: Vocabulary,
    *,
    layer_0: Float[Tensor, "other_types width"],
    places: Float[Tensor, "types width"],
) -> None:
    """Bring the new words' places to softmax weights as the trained model brings its layer 0 to its own."""
    first = len(RESERVED)
    weights = trained.weight[first : first + len(layer_0)]
    square = layer_0.T @ layer_0
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square))
    softmax.weight.copy_(places @ torch.linalg.solve(square + ridge, layer_0.T @ weights))
    softmax.weight[:first] = trained.weight[:first]
    softmax.bias.copy_(_bias_by_count(trained.bias, others, vocabulary))
    softmax.bias[:first] = trained.bias[:first]


def _shared(model: BiLM) -> dict[str, Tensor]:
    """Return the weights that have nothing to do with a vocabulary."""
    own = ("softmax.", "word_vectors.")
    return {name: weight for name, weight in model.state_dict().items() if not name.startswith(own)}


def _pairs(
    words: Sequence[str], other_words: Sequence[str], dictionary: BilingualDictionary | None
) -> list[tuple[int, int]]:
    """Return the pairs to begin with, as places in both lists."""
    place = {word: index for index, word in enumerate(words)}
    other_place = {word: index for index, word in enumerate(other_words)}
    if dictionary is not None:
        given = dictionary.pairs
        return [(place[word], other_place[other]) for word, other in given if word in place and other in other_place]
    return [
        (place[word], index)
        for word, index in other_place.items()
        if word in place and (len(word) >= SHORTEST_ALIKE or not word.isalpha())
    ]


def _unit(vectors: Float[Tensor, "types width"]) -> Float[Tensor, "types width"]:
    return torch.nn.functional.normalize(vectors, dim=1)


def _bias_by_count(
    bias: Float[Tensor, " other_types"], others: Vocabulary, vocabulary: Vocabulary
) -> Float[Tensor, " types"]:
    """Tell a word's softmax bias from its count, as a line through the other language's."""
    first = len(RESERVED)
    shares = torch.tensor(others.counts, dtype=torch.float32)[first:]
    known = torch.log((shares + 1) / shares.sum())
    slope = torch.cov(torch.stack([known, bias[first:]]))
    wanted = torch.tensor(vocabulary.counts, dtype=torch.float32)
    line = torch.log((wanted + 1) / wanted[first:].sum()) - known.mean()
    return bias[first:].mean() + slope[0, 1] / slope[0, 0].clamp(min=1e-12) * line

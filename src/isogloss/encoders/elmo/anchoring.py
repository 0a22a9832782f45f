"""Pull the words of a language with little text to where a rich language has their translations.

A language model that sees little text cannot find out what its words mean. A dictionary and the trained model of a rich
language know it of some words: what feeds the LSTMs, layer 0, should be much the same vector for a word v and for its
translation t. So training has a second goal beside the next word; the rich model is fixed:

    loss = nats per word + λ · mean over pairs ‖v − t‖² / mean over pairs ‖t‖²

The fraction is the share of the translations' mean square length that is still missing: 1 where all v are zero, 0 where
they have arrived. That makes λ a number of nats per word, which means the same for models of any width and dictionaries
of any size; the published sum Σ ‖v − t‖² has the weight λ / Σ ‖t‖².

    v = characters(w) + u_w, and the characters are shared: words without a pair are moved by those that have one.

Received: the rich model and pairs of words. Handed on: a loss to add, and word vectors to start from. The two models
then speak to their LSTMs in one language of vectors, and their anchors need little more than a rotation.

Source: Schuster et al. (2019), section 3.4, eq. 5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.compute.processes import ALONE, Processes
from isogloss.corpus.vocabulary import RESERVED, UNKNOWN_ID, Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.settings import AnchoringSettings
from isogloss.encoders.elmo.streams import spellings
from isogloss.errors import DictionaryError, TrainingError

WORDS_AT_ONCE = 4096
"""Words whose vectors are computed together; bounds memory."""


@dataclass(frozen=True)
class RichLanguage:
    """What a language with much text lends to one with little."""

    model: ELMoEncoder
    """Its trained model, which stays as it is. A shrunk one will do: its softmax has no part in this."""
    pairs: Sequence[tuple[str, str]]
    """Words of the language with little text, each with a translation into this one."""
    anchors: Mapping[str, Float[Tensor, " both_directions"]] | None = None
    """Anchors of its words in the first recurrent layer, for `AnchoringSettings.context_weight`."""


@dataclass(frozen=True)
class AnchoredWords:
    """Words of the new language that have a translation, and where the rich model has it."""

    spellings: Int[Tensor, "pairs characters"]
    ids: Int[Tensor, " pairs"]
    """In the new model's vocabulary; words that its text does not hold are `<UNK>`, and have their characters."""
    places: Float[Tensor, "pairs width"]
    """Layer 0 of the translations in the rich model, fixed."""

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> "AnchoredWords":
        """Return the words on a device."""
        return replace(
            self,
            spellings=self.spellings.to(device),
            ids=self.ids.to(device),
            places=self.places.to(device),
        )


def anchored_words(
    beside: RichLanguage, *, vocabulary: Vocabulary, width: int, settings: AnchoringSettings
) -> AnchoredWords:
    """Look up the pairs of a dictionary in the new text and in the rich model.

    Words are looked up as written, and if they are not there, in any case. A pair counts if the rich model knows its
    translation: has a vector of its own for it or, where no word has, saw it often enough for its softmax.

    Args:
        beside: The rich language.
        vocabulary: Of the new text.
        width: Of the new model's layer 0.
        settings: See `AnchoringSettings`.

    Raises:
        TrainingError: The rich model has another width.
        DictionaryError: No pair has a word of the text and a translation that the rich model knows.
    """
    rich = beside.model
    if rich.settings.projection_width != width:
        raise TrainingError(
            f"The model of {rich.language!r} is {rich.settings.projection_width} wide (projection_width), and the new "
            f"one {width}. Expected one width: their words are to have the same vectors. Choose a size of that width."
        )
    known = rich.model.word_types or len(rich.vocabulary)
    found = known_pairs(beside, rich.vocabulary.words[len(RESERVED) : known], vocabulary, settings)
    words = [word for word, _ in found]
    return AnchoredWords(
        spellings=spellings(words),
        ids=torch.from_numpy(vocabulary.encode(words)),
        places=_layer_0(rich, [other for _, other in found]),
    )


def known_pairs(
    beside: RichLanguage, translations: Sequence[str], vocabulary: Vocabulary, settings: AnchoringSettings
) -> list[tuple[str, str]]:
    """Look up a dictionary's pairs: words as the new text spells them, or the dictionary where it does not hold them.

    Args:
        beside: The rich language.
        translations: Its words that something is known of, most frequent first.
        vocabulary: Of the new text.
        settings: Whether a word has all its translations or the first.

    Raises:
        DictionaryError: No pair has a word of the text and one of the translations.
    """
    ours, theirs = _finder(vocabulary.words[len(RESERVED) :]), _finder(translations)
    spelt = ((ours(word) or word, theirs(other)) for word, other in beside.pairs)
    found = list(dict.fromkeys((word, other) for word, other in spelt if other is not None))
    if settings.translations == "first":
        found = list(dict(reversed(found)).items())[::-1]  # of several entries a dict keeps the last
    if not any(word in vocabulary for word, _ in found):
        language = beside.model.language
        raise DictionaryError(
            f"Dictionary into {language!r}: of {len(beside.pairs)} pairs none has a word of the text and a translation "
            f"that the model of {language!r} knows. Expected words of both. Check which column is which language, "
            f"or give another dictionary."
        )
    return found


def distance(model: BiLM, words: AnchoredWords, chosen: Int[Tensor, " chosen"] | None = None) -> Float[Tensor, ""]:
    """Return how far words are from their translations: 0 at their places, 1 where all vectors are zero.

    Args:
        model: The new model, on the device of the words.
        words: From `anchored_words`.
        chosen: Which pairs; all by default. Their mean is divided by what all translations measure, so a sample is
            expected to give what all give.
    """
    if chosen is None:
        chosen = torch.arange(len(words), device=words.ids.device)
    vectors = model.without_context(words.spellings[chosen], words.ids[chosen])
    away = (vectors - words.places[chosen]).square().sum(dim=1)
    return away.mean() / words.places.square().sum(dim=1).mean()


def anchoring_loss(
    model: BiLM, words: AnchoredWords, settings: AnchoringSettings, *, done: float, processes: Processes = ALONE
) -> Float[Tensor, ""]:
    """Return what is added to the loss of one step: λ times the distance of some pairs, drawn anew in each step.

    Args:
        model: The new model.
        words: From `anchored_words`.
        settings: λ, pairs a step, and whether λ decays.
        done: Share of all steps that lie behind.
        processes: Those that train together. All draw the same pairs, each computes its part, and the average of what
            they return is the loss.
    """
    weight = settings.weight * strength(settings, done=done)
    drawn = torch.randint(len(words), (min(settings.pairs_per_step, len(words)),))
    own = drawn[processes.rank :: processes.world].to(words.ids.device)
    if not len(own):
        return words.places.new_zeros(())
    return weight * distance(model, words, own) * (len(own) * processes.world / len(drawn))


def strength(settings: AnchoringSettings, *, done: float) -> float:
    """Return what all weights are multiplied with when a share `done` of all steps lies behind."""
    return 1.0 - done if settings.schedule == "linear" else 1.0


@torch.no_grad()
def start_at_translations(model: BiLM, vocabulary: Vocabulary, words: AnchoredWords) -> None:
    """Let every anchored word that has a vector of its own begin where its translation is, at the mean of several.

    Args:
        model: Fresh, on the CPU; its vectors of words are changed in place.
        vocabulary: Its words.
        words: From `anchored_words`.
    """
    if model.word_vectors is None:
        return
    own = (words.ids < model.word_types) & (words.ids != UNKNOWN_ID)
    ids, pairs = torch.unique(words.ids[own], return_inverse=True)
    sums = words.places.new_zeros(len(ids), words.places.shape[1]).index_add_(0, pairs, words.places[own])
    means = sums / torch.bincount(pairs)[:, None]
    spelt = model.characters(spellings([vocabulary.words[number] for number in ids.tolist()]))
    model.word_vectors.weight[ids] = means - spelt


def _finder(words: Sequence[str]) -> Callable[[str], str | None]:
    """Return what finds a word among others, most frequent first: as written, else in any case."""
    exact = set(words)
    in_lower_case = {word.lower(): word for word in reversed(words)}
    return lambda word: word if word in exact else in_lower_case.get(word.lower())


@torch.no_grad()
def _layer_0(encoder: ELMoEncoder, words: Sequence[str]) -> Float[Tensor, "words width"]:
    """Return layer 0 of some words, said once."""
    some = (words[start : start + WORDS_AT_ONCE] for start in range(0, len(words), WORDS_AT_ONCE))
    return torch.cat([encoder.without_context(part) for part in some])

"""What the parser sees of sentences: vectors and parts of speech, computed once and gathered into batches.

The encoder is frozen, so a training sentence has the same vectors in every pass. They are computed once and
stored one word after another without padding; a batch is cut out by its sentences' numbers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.parsing.network import ParserInputs
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.tags import TAG_IDS, UNKNOWN_TAG, kind_id
from isogloss.shapes import mask_of_lengths

Auxiliaries = Mapping[str, Collection[str]]
"""By language: words in lower case that are known to be auxiliaries, so that a tagger takes none of them for a verb."""
NO_AUXILIARIES: Auxiliaries = {}


@dataclass(frozen=True)
class Features:
    """Sentences as the network sees them, end to end."""

    vectors: Float[Tensor, "all_words layers width"] | None
    upos: Int[Tensor, " all_words"]
    lengths: Int[Tensor, " sentences"]
    kinds: Int[Tensor, " all_words"] | None = None
    """What characters tell of each word, see `isogloss.parsing.tags`; where there is no tagger, nothing is told."""

    def batch(self, indices: Sequence[int]) -> ParserInputs:
        """Cut out some sentences, padded with zeros to the longest of them."""
        lengths = self.lengths[list(indices)]
        places, mask = self.places(indices)
        vectors = None
        if self.vectors is not None:
            vectors = self.vectors[places].float() * mask[:, :, None, None]  # batch words layers width
        kinds = None if self.kinds is None else self.kinds[places] * mask
        return ParserInputs(vectors=vectors, upos=self.upos[places] * mask, lengths=lengths, kinds=kinds)

    def only(self, indices: Sequence[int]) -> "Features":
        """Take some sentences, end to end like all of them."""
        places, mask = self.places(indices)
        chosen = places[mask]
        vectors = None if self.vectors is None else self.vectors[chosen]
        kinds = None if self.kinds is None else self.kinds[chosen]
        return Features(vectors, self.upos[chosen], self.lengths[list(indices)], kinds)

    def end_to_end(self) -> ParserInputs:
        """Return all sentences as if they were one, without padding."""
        vectors = None if self.vectors is None else self.vectors[None].float()
        kinds = None if self.kinds is None else self.kinds[None]
        return ParserInputs(vectors, self.upos[None], self.lengths.sum()[None], kinds=kinds)

    def mean_squares(self) -> Float[Tensor, " layers"]:
        """Return the mean square of the numbers of each layer, over all words alike."""
        assert self.vectors is not None, "only vectors have a size"
        layers = self.vectors.unbind(1)  # words width
        return torch.stack([layer.float().square().mean(dtype=torch.float64) for layer in layers]).float()

    def places(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return where the words of some sentences stand, batch × words, and which of the places hold
        words."""
        chosen = list(indices)
        mask = mask_of_lengths(self.lengths[chosen])
        starts = (self.lengths.cumsum(0) - self.lengths)[chosen]
        return (starts[:, None] + torch.arange(mask.shape[1])) * mask, mask


def extract_features(
    sentences: Sequence[Sentence],
    encoder: Encoder | None,
    *,
    settings: ParserSettings,
    auxiliaries: Auxiliaries = NO_AUXILIARIES,
    kept_as: torch.dtype = torch.float32,
) -> Features:
    """Compute what the parser sees of some sentences.

    Args:
        sentences: Each with at least one word.
        encoder: Frozen; None where the settings want no vectors. Asked for one language at a time.
        settings: Which layer, and how many words are encoded at a time.
        auxiliaries: See `Auxiliaries`. Only a tagger asks for them.
        kept_as: How vectors are stored; batches are float32. With float16, which takes half the memory, a number is
            off by at most one part in 2048.
    """
    lengths = torch.tensor([len(sentence) for sentence in sentences], dtype=torch.int64)
    assert (lengths > 0).all(), "a sentence without words has no features"
    words = [word for sentence in sentences for word in sentence.words]
    tags = torch.tensor([TAG_IDS.get(word.upos, UNKNOWN_TAG) for word in words], dtype=torch.int64)
    kinds = None
    if settings.upos == "predicted":
        known = {language: frozenset(auxiliaries.get(language, ())) for language in {one.language for one in sentences}}
        told = [
            kind_id(word.form, known[each.language], language=each.language)
            for each in sentences
            for word in each.words
        ]
        kinds = torch.tensor(told, dtype=torch.int64)
    features = Features(None, tags, lengths, kinds)
    if not settings.vectors:
        return features
    assert encoder is not None, "a parser that sees vectors needs an encoder"
    layers = settings.layers_read(encoder.layers)
    vectors = torch.empty(int(lengths.sum()), len(layers), encoder.width, dtype=kept_as)
    for chosen in work_units(sentences, words=settings.encode_words):
        with torch.no_grad():
            found = encoder.encode([sentences[index] for index in chosen])
        wanted = found.vectors[:, :, layers.start : layers.stop]
        places, mask = features.places(chosen)
        assert bool((found.mask.cpu() == mask).all()), "an encoder returns one vector per word"
        vectors[places[mask]] = wanted[found.mask].to(kept_as).cpu()
    return Features(vectors, tags, lengths, kinds)


def has_universal_tags(sentence: Sentence) -> bool:
    """Whether every word of a sentence has a universal part of speech."""
    return all(word.upos in TAG_IDS for word in sentence.words)


def work_units(sentences: Sequence[Sentence], *, words: int, padded: bool = True) -> list[list[int]]:
    """Group sentences of one language and similar length, at most so many words at a time.

    Args:
        sentences: Any sentences; their numbers are returned.
        words: Limit of a group; a sentence that is longer goes alone.
        padded: Whether the padding counts.
    """
    order = sorted(range(len(sentences)), key=lambda index: (sentences[index].language, len(sentences[index])))
    units: list[list[int]] = []
    held = 0
    for index in order:
        unit, length = units[-1] if units else [], len(sentences[index])
        fits = ((len(unit) + 1) * length if padded else held + length) <= words
        if unit and fits and sentences[unit[0]].language == sentences[index].language:
            unit.append(index)
            held += length
        else:
            units.append([index])
            held = length
    return units

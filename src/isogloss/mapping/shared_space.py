"""One space for all languages: encoders and alignments together make one multilingual encoder.

Receives an encoder per language and an alignment per language and layer; hands on vectors that the parser
takes without knowing languages. Language codes end here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings, Encoder
from isogloss.errors import AlignmentError
from isogloss.mapping.alignment import Alignment
from isogloss.shapes import mask_of_lengths


@dataclass(frozen=True, eq=False)
class SharedSpace:
    """An `Encoder` of several languages, whose vectors meet in the space of the reference. Made with `of`."""

    reference: str
    encoders: Mapping[str, Encoder]
    """One per language."""
    alignments: Mapping[tuple[str, int], Alignment]
    """By language and layer, the reference's own among them."""

    @classmethod
    def of(cls, reference: str, *, encoders: Mapping[str, Encoder], alignments: Iterable[Alignment]) -> "SharedSpace":
        """Join encoders by alignments into the space of the reference.

        The reference itself needs none: its vectors stay, or are scaled as the alignments' `target_scale`
        says. An alignment from the reference to itself, if given, is used instead.

        Raises:
            AlignmentError: An alignment is missing, or leads elsewhere; or the encoders or scales differ.
        """
        if reference not in encoders:
            raise AlignmentError(
                f"Shared space of {reference}: there is no encoder of {reference}, only of "
                f"{', '.join(sorted(encoders))}. The reference needs one as well. Add it, or choose another "
                "reference."
            )
        given = list(alignments)
        layers, width = encoders[reference].layers, encoders[reference].width
        _check_encoders(reference, encoders)
        _check_alignments(reference, given, width=width)
        by_language_and_layer = {
            (reference, layer): _reference_alignment(reference, given, layer=layer, width=width)
            for layer in range(layers)
        } | {(alignment.source, alignment.layer): alignment for alignment in given}
        missing = [
            f"{language} in layer {layer}"
            for language in encoders
            for layer in range(layers)
            if (language, layer) not in by_language_and_layer
        ]
        if missing:
            raise AlignmentError(
                f"Shared space of {reference}: no alignment of {', '.join(missing)}. Every language needs "
                f"one to {reference} in each of the {layers} layers. Fit the missing ones, or leave the "
                "language out."
            )
        return cls(reference=reference, encoders=dict(encoders), alignments=by_language_and_layer)

    @classmethod
    def unaligned(cls, encoders: Mapping[str, Encoder]) -> "SharedSpace":
        """Put encoders side by side as they are: the baseline that shows what alignment is worth."""
        reference = next(iter(encoders))
        alignments = {
            (language, layer): Alignment.identity(language, layer=layer, width=encoder.width)
            for language, encoder in encoders.items()
            for layer in range(encoder.layers)
        }
        _check_encoders(reference, encoders)
        return cls(reference=reference, encoders=dict(encoders), alignments=alignments)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it can encode."""
        return tuple(self.encoders)

    @property
    def layers(self) -> int:
        """How many layers `encode` returns."""
        return self.encoders[self.reference].layers

    @property
    def width(self) -> int:
        """Length of every vector."""
        return self.encoders[self.reference].width

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        """Return the aligned vectors of sentences of any of the languages, even mixed, in their order.

        Raises:
            AlignmentError: A sentence is of a language that the space does not know.
        """
        places_by_language: dict[str, list[int]] = {}
        for place, sentence in enumerate(sentences):
            if sentence.language not in self.encoders:
                raise AlignmentError(
                    f"Shared space of {self.reference}, sentence {place + 1}: its language is "
                    f"{sentence.language!r}. Known are {', '.join(sorted(self.encoders))}. Name the language "
                    "when reading the file, or add an encoder and alignments for it."
                )
            places_by_language.setdefault(sentence.language, []).append(place)
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, self.layers, self.width)
        for language, places in places_by_language.items():
            aligned = self._encode_one_language(language, [sentences[place] for place in places])
            vectors, mask = vectors.to(aligned.device), mask.to(aligned.device)
            vectors[torch.tensor(places, device=aligned.device), : aligned.shape[1]] = aligned
        return ContextualEmbeddings(vectors=vectors, mask=mask)

    def _encode_one_language(
        self, language: str, sentences: Sequence[Sentence]
    ) -> Float[Tensor, "batch words layers width"]:
        """Encode and align; padding is set to zero again, for an alignment may move it."""
        embeddings = self.encoders[language].encode(sentences)
        aligned = [
            self.alignments[language, layer].apply(embeddings.layer(layer).float()) for layer in range(self.layers)
        ]
        return torch.stack(aligned, dim=2).masked_fill(~embeddings.mask[:, :, None, None], 0.0)


def _check_encoders(reference: str, encoders: Mapping[str, Encoder]) -> None:
    """All encoders must give as many layers, as wide."""
    expected = (encoders[reference].layers, encoders[reference].width)
    for language, encoder in encoders.items():
        if (encoder.layers, encoder.width) != expected:
            raise AlignmentError(
                f"Shared space of {reference}: the encoder of {language} has {encoder.layers} layers of "
                f"width {encoder.width}, that of {reference} {expected[0]} of width {expected[1]}. They must "
                "agree. Train the encoders with the same settings."
            )


def _check_alignments(reference: str, alignments: Sequence[Alignment], *, width: int) -> None:
    """Every alignment must lead to the reference, once per language and layer, in the right width."""
    seen: set[tuple[str, int]] = set()
    for alignment in alignments:
        place = (
            f"Shared space of {reference}: the alignment {alignment.source}→{alignment.target}, layer {alignment.layer}"
        )
        if alignment.target != reference:
            raise AlignmentError(
                f"{place}, does not lead to {reference}. Every alignment must. Chain it with then(), turn it "
                "round with inverse(), or choose another reference."
            )
        if alignment.width != width:
            raise AlignmentError(
                f"{place}, is for width {alignment.width}; the encoders have width {width}. They must agree. "
                "Fit it again."
            )
        if (alignment.source, alignment.layer) in seen:
            raise AlignmentError(f"{place}, is given twice. One per language and layer is expected. Leave one out.")
        seen.add((alignment.source, alignment.layer))


def _reference_alignment(reference: str, alignments: Sequence[Alignment], *, layer: int, width: int) -> Alignment:
    """Return what the reference's own vectors need to meet the aligned ones: nothing, or a scale."""
    scale_by_language = {each.source: each.target_scale for each in alignments if each.layer == layer}
    scales = set(scale_by_language.values()) or {1.0}
    if len(scales) > 1:
        listed = ", ".join(f"{language} {scale:.6g}" for language, scale in sorted(scale_by_language.items()))
        raise AlignmentError(
            f"Shared space of {reference}, layer {layer}: the alignments expect different scales of "
            f"{reference} ({listed}). The reference can have one only. Fit all with the same scale setting "
            f"and the same anchors of {reference}."
        )
    return Alignment.identity(reference, layer=layer, width=width, scale=scales.pop())

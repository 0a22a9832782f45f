"""SharedSpace: several encoders and their alignments are one encoder."""

from collections.abc import Sequence

import pytest
import torch

from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings, Encoder
from isogloss.errors import AlignmentError
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.shared_space import SharedSpace
from isogloss.shapes import mask_of_lengths


class CountingEncoder:
    """Layer by layer, the length of a word and its place in the sentence, times a factor."""

    width = 2

    def __init__(self, factor: float, *, layers: int = 2):
        self.factor, self.layers = factor, layers

    def encode(self, sentences: Sequence[Sentence]) -> ContextualEmbeddings:
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, self.layers, 2)
        for row, sentence in enumerate(sentences):
            for place, form in enumerate(sentence.forms):
                for layer in range(self.layers):
                    vectors[row, place, layer] = self.factor * torch.tensor([len(form), place + layer])
        return ContextualEmbeddings(vectors=vectors, mask=mask)


QUARTER_TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
CENTRE = torch.tensor([5.0, 7.0], dtype=torch.float64)
ENCODERS = {"es": CountingEncoder(1), "gl": CountingEncoder(2), "pt": CountingEncoder(3)}


def alignment_of(source: str, layer: int, **changes) -> Alignment:
    values = {"source": source, "target": "es", "layer": layer, "matrix": QUARTER_TURN} | changes
    return Alignment(**values)


ALIGNMENTS = [
    alignment_of("gl", 0, scale=0.5),
    alignment_of("gl", 1, target_centre=CENTRE),
    alignment_of("pt", 0),
    alignment_of("pt", 1, source_centre=CENTRE),
]
SPACE = SharedSpace.of("es", encoders=ENCODERS, alignments=ALIGNMENTS)
SENTENCES = [
    Sentence.of_forms(["o", "can"], language="gl"),
    Sentence.of_forms(["la", "casa", "azul"], language="es"),
    Sentence.of_forms([], language="pt"),
    Sentence.of_forms(["um"], language="gl"),
    Sentence.of_forms(["um", "dois", "três", "mil"], language="pt"),
]


def test_a_shared_space_is_an_encoder():
    assert isinstance(SPACE, Encoder)
    assert (SPACE.layers, SPACE.width, SPACE.languages) == (2, 2, ("es", "gl", "pt"))


def test_a_worked_example():
    vectors = SPACE.encode([SENTENCES[0]]).vectors
    # Layer 0: (3, 1) doubled is (6, 2), turned (−2, 6), halved (−1, 3).
    # Layer 1: (3, 2) doubled is (6, 4), turned (−4, 6), moved by (5, 7) is (1, 13).
    assert vectors[0, 1].tolist() == [[-1, 3], [1, 13]]


def test_the_reference_stays_as_it_is():
    assert torch.equal(SPACE.encode([SENTENCES[1]]).vectors, ENCODERS["es"].encode([SENTENCES[1]]).vectors)


def test_a_mixed_batch_agrees_with_one_sentence_at_a_time():
    embeddings = SPACE.encode(SENTENCES)
    assert embeddings.mask.sum(dim=1).tolist() == [2, 3, 0, 1, 4]
    for row, sentence in enumerate(SENTENCES):
        encoder, own = ENCODERS[sentence.language], embeddings.vectors[row, : len(sentence)]
        alone = encoder.encode([sentence]).vectors[0]
        for layer in range(2):
            alignment = SPACE.alignments[sentence.language, layer]
            assert torch.allclose(own[:, layer], alignment.apply(alone[:, layer]))


def test_padding_is_zero_even_where_alignments_move():
    embeddings = SPACE.encode(SENTENCES)
    assert not embeddings.vectors[~embeddings.mask].any()


def test_no_sentences_give_no_vectors():
    assert SPACE.encode([]).vectors.shape == (0, 0, 2, 2)


def test_the_reference_is_scaled_as_the_alignments_expect():
    alignments = [alignment_of("gl", layer, scale=0.1, target_scale=0.25) for layer in range(2)]
    encoders = {"es": ENCODERS["es"], "gl": ENCODERS["gl"]}
    space = SharedSpace.of("es", encoders=encoders, alignments=alignments)
    assert torch.equal(space.encode([SENTENCES[1]]).vectors, 0.25 * SPACE.encode([SENTENCES[1]]).vectors)


def test_an_alignment_of_the_reference_itself_is_used():
    own = [alignment_of("es", layer, scale=3.0) for layer in range(2)]
    space = SharedSpace.of("es", encoders={"es": ENCODERS["es"]}, alignments=own)
    assert space.alignments["es", 1] is own[1]


def test_unaligned_encoders_stand_side_by_side():
    space = SharedSpace.unaligned(ENCODERS)
    for sentence in SENTENCES:
        alone = ENCODERS[sentence.language].encode([sentence]).vectors
        assert torch.equal(space.encode([sentence]).vectors, alone)


@pytest.mark.parametrize("language", ["", "it"])
def test_an_unknown_language_is_named_with_the_known_ones(language):
    with pytest.raises(AlignmentError, match=rf"sentence 2: its language is '{language}'\. Known are es, gl, pt"):
        SPACE.encode([SENTENCES[0], Sentence.of_forms(["a"], language=language)])


@pytest.mark.parametrize(
    ("reference", "encoders", "alignments", "message"),
    [
        ("it", ENCODERS, ALIGNMENTS, r"there is no encoder of it, only of es, gl, pt"),
        ("es", ENCODERS, ALIGNMENTS[1:3], r"no alignment of gl in layer 0, pt in layer 1\."),
        ("es", ENCODERS, [*ALIGNMENTS, alignment_of("gl", 1)], r"gl→es, layer 1, is given twice"),
        ("es", ENCODERS, [alignment_of("gl", 0, target="pt")], r"gl→pt, layer 0, does not lead to es"),
        (
            "es",
            ENCODERS,
            [alignment_of("gl", 0, matrix=torch.eye(3, dtype=torch.float64))],
            r"gl→es, layer 0, is for width 3; the encoders have width 2",
        ),
        (
            "es",
            ENCODERS,
            [*ALIGNMENTS[:2], alignment_of("pt", 0, target_scale=0.5), ALIGNMENTS[3]],
            r"layer 0: the alignments expect different scales of es \(gl 1, pt 0.5\)",
        ),
        (
            "es",
            {"es": ENCODERS["es"], "gl": CountingEncoder(1, layers=3)},
            ALIGNMENTS[:2],
            r"the encoder of gl has 3 layers of width 2, that of es 2 of width 2",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(reference, encoders, alignments, message):
    with pytest.raises(AlignmentError, match=message):
        SharedSpace.of(reference, encoders=encoders, alignments=alignments)

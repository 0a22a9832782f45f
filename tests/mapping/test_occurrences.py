"""Words in context are looked up half way to their anchors, weighted and spelt as words were."""

import pytest
import torch

from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping import one_space
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.occurrences import towards_anchors, translate_occurrences
from isogloss.mapping.one_space import in_one_space
from isogloss.mapping.retrieval import nearest
from isogloss.mapping.settings import ProcrustesSettings

TYPES, WIDTH = 300, 12


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def languages() -> tuple[Anchors, Anchors, BilingualDictionary]:
    """Row means row; vectors tell part of it, and spelling, which differs by rule, another."""
    syllables = [first + middle for first in "bdfgklmnprst" for middle in "aeiou"]
    drawn = torch.randint(len(syllables), (TYPES, 3), generator=torch.Generator().manual_seed(3)).tolist()
    ours = [f"{''.join(syllables[place] for place in places)}{row % 10}" for row, places in enumerate(drawn)]
    theirs = [word.translate(str.maketrans("bdg", "ptk")) for word in ours]
    meanings = normal(1, TYPES, WIDTH) + 0.5
    turned = (meanings + 0.7 * normal(4, TYPES, WIDTH)) @ torch.linalg.qr(normal(2, WIDTH, WIDTH)).Q
    source = Anchors.of_vectors(ours, meanings, language="gl", layer=1)
    target = Anchors.of_vectors(theirs, turned, language="es", layer=1)
    return source, target, BilingualDictionary("gl", "es", tuple(zip(ours[:150], theirs[:150], strict=True)))


SETTINGS = {
    "a rotation": ProcrustesSettings(weighting=0.0),
    "centred": ProcrustesSettings(weighting=0.0, normalisation="unit_centre_unit"),
    "centre alone": ProcrustesSettings(weighting=0.0, normalisation="centre"),
    "weighted": ProcrustesSettings(weighting=0.3, normalisation="unit_centre_unit"),
    "spelt": ProcrustesSettings(weighting=0.3, spelling=0.5),
}
EVERY_MAP = pytest.mark.parametrize("name", SETTINGS)


def fitted(name: str) -> tuple[Alignment, Anchors, Anchors]:
    source, target, known = languages()
    return fit_alignment(source, target, dictionary=known, settings=SETTINGS[name]), source, target


def occurrences_of(source: Anchors, rows: list[int], *, seed: int = 7) -> tuple[torch.Tensor, list[str]]:
    noise = 0.8 * normal(seed, len(rows), source.width).float()
    return source.vectors[rows] + noise, [source.words[row] for row in rows]


@EVERY_MAP
def test_without_their_shift_occurrences_are_translated_as_their_words(name):
    alignment, source, target = fitted(name)
    rows = [5, 280, 5, 17]
    vectors, words = occurrences_of(source, rows)
    found = translate_occurrences(alignment, vectors, words, source=source, target=target, k=4, shift=0.0)
    ours, theirs = in_one_space(alignment, source, target)
    indices, scores = nearest(ours[rows], theirs, k=4, background=ours)
    assert [[word for word, _ in each] for each in found] == [[target.words[at] for at in row] for row in indices]
    assert torch.allclose(torch.tensor([[score for _, score in each] for each in found]), scores, atol=1e-5)


@EVERY_MAP
def test_an_occurrence_is_looked_up_where_an_anchor_half_way_would_be(name):
    """An anchor put in the place of a word's, half way to its vector, is the slow way to the same translations."""
    alignment, source, target = fitted(name)
    vectors, words = occurrences_of(source, [40, 41, 290])
    found = translate_occurrences(alignment, vectors, words, source=source, target=target, k=3)
    ours, theirs = in_one_space(alignment, source, target)
    for vector, word, row, told in zip(vectors, words, [40, 41, 290], found, strict=True):
        # The lengths of all anchors enter the centring, so the word is put beside them, not into them.
        half_way = (source.vectors[row] + vector) / 2
        lengths = torch.linalg.vector_norm(source.vectors.double(), dim=1)
        scaled = half_way.double()
        if alignment.source_centre is not None:
            by = 1.0 if name == "centre alone" else float(scaled.norm() / lengths.mean())
            scaled = scaled - by * alignment.source_centre
        if alignment.source_weighting is None:
            query = scaled @ alignment.matrix
        elif alignment.spelling:
            query = occurrences_spelt(scaled, word, alignment) @ alignment.source_weighting
        else:
            query = scaled @ alignment.source_weighting
        indices, _ = nearest(query[None].float(), theirs, k=3, background=ours)
        assert [each for each, _ in told] == [target.words[column] for column in indices[0].tolist()]


def occurrences_spelt(vector: torch.Tensor, word: str, alignment: Alignment) -> torch.Tensor:
    from isogloss.mapping.spelling import spelling_vectors

    return torch.cat([vector / vector.norm(), alignment.spelling * spelling_vectors([word])[0].double()])


def test_spelling_helps_words_in_context():
    source, target, _ = languages()
    rows = list(range(150, TYPES))
    vectors, words = occurrences_of(source, rows)
    right = {}
    for name in SETTINGS:
        found = translate_occurrences(fitted(name)[0], vectors, words, source=source, target=target, k=1)
        right[name] = sum(each[0][0] == target.words[row] for each, row in zip(found, rows, strict=True)) / len(rows)
    assert right["spelt"] > right["weighted"] + 0.2
    assert right["weighted"] > right["centred"] - 0.05


def test_a_word_without_an_anchor_is_looked_up_by_its_own_vector():
    alignment, source, target = fitted("spelt")
    vectors, _ = occurrences_of(source, [3])
    assert torch.equal(towards_anchors(vectors, ["unseen"], anchors=source, shift=0.5), vectors)
    (alone,) = translate_occurrences(alignment, vectors, ["unseen"], source=source, target=target, k=2)
    (whole,) = translate_occurrences(alignment, vectors, ["unseen"], source=source, target=target, k=2, shift=1.0)
    assert alone == whole


def test_a_word_in_another_case_has_the_anchor_that_a_look_up_finds():
    _, source, _ = fitted("a rotation")
    vectors, (word,) = occurrences_of(source, [3])
    assert torch.equal(towards_anchors(vectors, [word.upper()], anchors=source, shift=0.0), source.vectors[[3]].float())


def test_pieces_make_no_difference(monkeypatch):
    alignment, source, target = fitted("spelt")
    vectors, words = occurrences_of(source, list(range(50)))
    whole = translate_occurrences(alignment, vectors, words, source=source, target=target)
    monkeypatch.setattr(one_space, "AT_A_TIME", 7)
    pieces = translate_occurrences(alignment, vectors, words, source=source, target=target)
    assert [[word for word, _ in each] for each in pieces] == [[word for word, _ in each] for each in whole]
    assert translate_occurrences(alignment, vectors[:0], [], source=source, target=target) == []


def test_what_does_not_fit_is_refused():
    alignment, source, target = fitted("a rotation")
    vectors, words = occurrences_of(source, [1, 2])
    with pytest.raises(
        AlignmentError,
        match=r"^Translation in context es→gl: the anchors are of layers 1 and 1; the alignment gl→es, layer 1, needs "
        r"its own languages and layer\. Give the anchors from which it was found\.$",
    ):
        translate_occurrences(alignment, vectors, words, source=target, target=source)
    with pytest.raises(
        AlignmentError,
        match=r"^Translation in context gl→es: 2 vectors and 1 words were given\. Every occurrence has one of both\. "
        r"Give equally many\.$",
    ):
        translate_occurrences(alignment, vectors, words[:1], source=source, target=target)

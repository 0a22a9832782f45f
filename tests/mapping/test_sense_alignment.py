"""With senses, ambiguous words help alignment instead of bending it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import AlignmentError
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.lexicon.senses import SenseAnchors
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.sense_alignment import (
    SenseAlignmentSettings,
    around_centre,
    fit_sense_alignment,
    pair_senses,
    rows_in_context,
    translate_in_context,
    translate_vectors,
)
from isogloss.mapping.settings import ProcrustesSettings

WIDTH = 6
PLAIN = ProcrustesSettings(normalisation="none", scale="none")
CLEAR = 24
AMBIGUOUS = 4


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def sense_anchors(language: str, words: list[str], senses: list[int], vectors: torch.Tensor) -> SenseAnchors:
    shares = torch.cat([torch.full((number,), 1 / number, dtype=torch.float64) for number in senses])
    counts = torch.arange(10 * len(words), 0, -10)
    return SenseAnchors(language, 1, tuple(words), torch.tensor(senses), vectors.float(), shares, counts, 1.0)


def planted(seed: int):
    """Return senses of two languages, a dictionary and the rotation between them.

    24 words have one sense, and 4 words ``a0``… two, each of which has a word of its own in the other language.
    """
    rotation = torch.linalg.qr(normal(seed, WIDTH, WIDTH)).Q
    clear, meanings = normal(seed + 1, CLEAR, WIDTH), normal(seed + 2, AMBIGUOUS, 2, WIDTH)
    source = sense_anchors(
        "en",
        [f"s{n}" for n in range(CLEAR)] + [f"a{n}" for n in range(AMBIGUOUS)],
        [1] * CLEAR + [2] * AMBIGUOUS,
        torch.cat([clear, meanings.flatten(0, 1)]),
    )
    target = sense_anchors(
        "es",
        [f"t{n}" for n in range(CLEAR)] + [f"b{n}{m}" for n in range(AMBIGUOUS) for m in "xy"],
        [1] * (CLEAR + 2 * AMBIGUOUS),
        torch.cat([clear, meanings.flatten(0, 1)]) @ rotation,
    )
    pairs = [(f"s{n}", f"t{n}") for n in range(CLEAR)]
    pairs += [(f"a{n}", f"b{n}{m}") for n in range(AMBIGUOUS) for m in "xy"]
    return source, target, BilingualDictionary("en", "es", tuple(pairs)), rotation


@given(st.integers(0, 500), st.sampled_from(["pair", "drop"]))
def test_a_planted_rotation_is_recovered(seed, ambiguous):
    source, target, dictionary, rotation = planted(seed)
    settings = SenseAlignmentSettings(ambiguous=ambiguous, procrustes=PLAIN)
    alignment = fit_sense_alignment(source, target, dictionary=dictionary, settings=settings)
    assert torch.allclose(alignment.matrix, rotation, atol=1e-6)
    assert (alignment.source, alignment.target, alignment.layer) == ("en", "es", 1)
    assert alignment.details["clear_pairs"] == CLEAR
    assert alignment.details["ambiguous_pairs"] == 2 * AMBIGUOUS
    assert alignment.details["sense_pairs"] == (2 * AMBIGUOUS if ambiguous == "pair" else 0)
    assert alignment.details["ambiguous_words"] == [AMBIGUOUS, 0]


def test_the_pairs_that_were_used_are_told_in_a_line():
    source, target, dictionary, _ = planted(0)
    told = {
        ambiguous: fit_sense_alignment(
            source,
            target,
            dictionary=dictionary,
            settings=SenseAlignmentSettings(ambiguous=ambiguous, procrustes=PLAIN),
        ).details["pairs"]
        for ambiguous in ("pair", "drop")
    }
    begin = "24 pairs of words of one sense; 8 pairs with an ambiguous word were "
    assert told == {"pair": f"{begin}replaced by 8 pairs of senses", "drop": f"{begin}left out"}


def test_dropping_is_procrustes_on_the_clear_pairs():
    source, target, dictionary, _ = planted(3)
    noisy = sense_anchors("es", list(target.words), target.senses.tolist(), target.vectors + 0.3 * normal(9, 32, WIDTH))
    method = ProcrustesSettings(normalisation="unit_centre_unit")
    settings = SenseAlignmentSettings(ambiguous="drop", procrustes=method)
    found = fit_sense_alignment(source, noisy, dictionary=dictionary, settings=settings)
    clear = BilingualDictionary("en", "es", dictionary.pairs[:CLEAR])
    plain = fit_alignment(source.expand(), noisy.expand(), dictionary=clear, settings=method)
    for name in ("matrix", "source_centre", "target_centre"):
        assert torch.equal(getattr(found, name), getattr(plain, name))
    assert (found.scale, found.target_scale) == (plain.scale, plain.target_scale)


@given(st.integers(0, 500))
def test_pairs_of_senses_agree_with_a_plain_loop(seed):
    source, target, dictionary, _ = planted(seed)
    alignment = fit_sense_alignment(source, target, dictionary=dictionary)
    bent = normal(seed + 5, *target.vectors.shape)  # neighbours are no longer obvious
    target = sense_anchors("es", list(target.words), target.senses.tolist(), target.vectors + bent)
    links = [(source.rows_of(one), target.rows_of(other)) for one, other in dictionary.pairs[CLEAR - 3 :]]
    aligned, own = around_centre(alignment, source.vectors, target.vectors)

    def cosine(row: int, column: int) -> float:
        return float(torch.cosine_similarity(aligned[row].double(), own[column].double(), dim=0))

    expected = []
    for row in range(len(source.vectors)):
        columns = {column for rows, columns in links if row in rows for column in columns}
        for column in columns:
            rows = {each for one, others in links if column in others for each in one}
            best_of_row = all(cosine(row, column) >= cosine(row, other) for other in columns)
            best_of_column = all(cosine(row, column) >= cosine(other, column) for other in rows)
            if best_of_row and best_of_column:
                expected.append((row, column))
    assert pair_senses(alignment, source, target, links) == expected
    assert pair_senses(alignment, source, target, []) == []


def test_an_occurrence_is_translated_by_its_sense():
    source, target, dictionary, _ = planted(4)
    alignment = fit_sense_alignment(source, target, dictionary=dictionary)
    words, vectors, expected = [], [], []
    for number in range(AMBIGUOUS):
        for sense, name in enumerate("xy"):
            words.append(f"a{number}")
            vectors.append(source.vectors[source.rows_of(f"a{number}")[sense]] + 0.05 * normal(sense, WIDTH).float())
            expected.append(f"b{number}{name}")
    words, vectors, expected = [*words, "unseen"], [*vectors, source.vectors[5]], [*expected, "t5"]
    found = translate_in_context(alignment, torch.stack(vectors), words, source=source, target=target, k=3)
    assert [translations[0][0] for translations in found] == expected
    for translations in found:
        scores = [score for _, score in translations]
        assert len(translations) == 3 and scores == sorted(scores, reverse=True)
    assert translate_in_context(alignment, torch.zeros(0, WIDTH), [], source=source, target=target) == []


def test_translations_are_told_as_word_types_none_twice():
    source, target, dictionary, _ = planted(4)
    alignment = fit_sense_alignment(source, target, dictionary=dictionary)
    back = alignment.inverse()
    turned = [[word for word, _ in each] for each in translate_in_context(
        back, target.vectors[CLEAR : CLEAR + 2], ["b0x", "b0y"], source=target, target=source, k=28
    )]  # fmt: skip
    for words in turned:
        assert words[0] == "a0" and sorted(words) == sorted(source.words)


def test_what_does_not_fit_is_refused():
    source, target, dictionary, _ = planted(0)
    alignment = fit_sense_alignment(source, target, dictionary=dictionary)
    with pytest.raises(AlignmentError, match=r"Translation in context es→en: .* the alignment en→es, layer 1"):
        translate_in_context(alignment, torch.zeros(1, WIDTH), ["t0"], source=target, target=source)
    with pytest.raises(AlignmentError, match=r"2 vectors and 1 words were given"):
        translate_in_context(alignment, torch.zeros(2, WIDTH), ["s0"], source=source, target=target)
    few = BilingualDictionary("en", "es", dictionary.pairs[CLEAR - 3 :])
    with pytest.raises(AlignmentError, match=r"en→es has 3 usable dictionary pairs; at least 10 are needed"):
        fit_sense_alignment(source, target, dictionary=few)


@given(st.integers(0, 500))
def test_an_occurrence_has_the_row_of_its_nearest_sense(seed):
    source = planted(seed)[0]
    words = ["a1", "s3", "unseen", "a1", "a0"]
    vectors = normal(seed + 7, len(words), WIDTH)
    expected = [
        max(
            source.rows_of(word),
            key=lambda row: float(torch.cosine_similarity(vector, source.vectors[row].double(), 0)),
        )
        if source.rows_of(word)
        else None
        for word, vector in zip(words, vectors, strict=True)
    ]
    assert rows_in_context(source, vectors, words) == expected


def test_vectors_alone_are_translated_as_words_without_an_anchor():
    source, target, dictionary, _ = planted(2)
    alignment = fit_sense_alignment(source, target, dictionary=dictionary)
    vectors, sides = normal(8, 5, WIDTH).float(), {"source": source, "target": target, "k": 3}
    found = translate_vectors(alignment, vectors, **sides)
    assert found == translate_in_context(alignment, vectors, ["unseen"] * 5, **sides)
    assert [len(each) for each in found] == [3] * 5


def test_the_seed_draws_the_pairs_that_are_held_out():
    source, target, dictionary, _ = planted(4)
    bent = sense_anchors("es", list(target.words), target.senses.tolist(), target.vectors + normal(9, 32, WIDTH))
    method = ProcrustesSettings(refinements=2, selection="held_out")
    settings = SenseAlignmentSettings(ambiguous="drop", procrustes=method)

    def held_out(seed: int) -> list[float]:
        found = fit_sense_alignment(source, bent, dictionary=dictionary, settings=settings, seed=seed)
        return found.details["held_out_by_round"]

    assert held_out(1) == held_out(1)
    assert len({tuple(held_out(seed)) for seed in range(6)}) > 1

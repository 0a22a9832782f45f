"""Anchors: sums over tokens, and the means made of them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import VectorsError
from isogloss.lexicon.anchors import AnchorAccumulator, Anchors, AnchorSums

LAYERS, WIDTH = 2, 3


def sums_of(tokens: list[tuple[str, torch.Tensor]], **options) -> AnchorSums:
    accumulator = AnchorAccumulator(layers=LAYERS, width=WIDTH, **options)
    if tokens:
        accumulator.add([word for word, _ in tokens], torch.stack([vector for _, vector in tokens]))
    return accumulator.sums()


def anchors_of(words: tuple[str, ...], *, counts: list[int] | None = None) -> Anchors:
    return Anchors(
        language="de",
        layer=1,
        words=words,
        vectors=torch.arange(2.0 * len(words)).reshape(len(words), 2),
        counts=torch.tensor(counts or range(len(words), 0, -1), dtype=torch.int64),
        mean_norm=1.5,
    )


def same(one: AnchorSums, two: AnchorSums, *, tolerance: float) -> bool:
    return (
        one.words == two.words
        and one.tokens == two.tokens
        and torch.equal(one.counts, two.counts)
        and all(
            torch.allclose(getattr(one, name), getattr(two, name), rtol=tolerance, atol=tolerance)
            for name in ("totals", "type_norms", "squared_norms", "norms")
        )
    )


numbers = st.floats(-100, 100, width=32)
vectors = st.lists(numbers, min_size=LAYERS * WIDTH, max_size=LAYERS * WIDTH).map(
    lambda values: torch.tensor(values, dtype=torch.float32).reshape(LAYERS, WIDTH)
)
texts = st.lists(st.tuples(st.sampled_from(["a", "b", "ç", "D", "語"]), vectors), max_size=8)


def test_an_anchor_is_the_mean_of_its_tokens():
    tokens = [
        ("casa", torch.tensor([[3.0, 4.0, 0.0], [1.0, 0.0, 0.0]])),
        ("perro", torch.tensor([[0.0, 0.0, 2.0], [0.0, 1.0, 0.0]])),
        ("casa", torch.tensor([[1.0, 0.0, 0.0], [3.0, 0.0, 0.0]])),
    ]
    characters, recurrent = sums_of(tokens).anchors("es")
    assert characters.words == ("casa", "perro")
    assert characters.vectors.tolist() == [[2.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    assert recurrent.vectors.tolist() == [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert characters.counts.tolist() == [2, 1]
    assert characters.mean_norm == pytest.approx((5 + 2 + 1) / 3)
    assert (recurrent.language, recurrent.layer) == ("es", 1)


@given(texts)
@settings(deadline=None, max_examples=50)
def test_sums_agree_with_a_loop_over_tokens(tokens):
    sums = sums_of(tokens)
    for row, word in enumerate(sums.words):
        own = [vector.double() for other, vector in tokens if other == word]
        assert sums.counts[row] == len(own)
        for layer in range(LAYERS):
            assert torch.allclose(sums.totals[row, layer], sum(vector[layer] for vector in own), atol=1e-9)
            norms = [float((vector[layer] ** 2).sum()) ** 0.5 for vector in own]
            assert float(sums.type_norms[row, layer]) == pytest.approx(sum(norms))
            assert float(sums.squared_norms[row, layer]) == pytest.approx(sum(norm**2 for norm in norms))


@given(texts, texts, texts)
@settings(deadline=None, max_examples=50)
def test_sums_add_up_in_any_order(first, second, third):
    a, b, c = sums_of(first), sums_of(second), sums_of(third)
    # Float64 rounds each sum to 16 digits; the values stay below 1e6.
    assert same((a + b) + c, a + (b + c), tolerance=1e-12)
    assert same(a + b, b + a, tolerance=0.0)


@given(st.lists(texts, max_size=5), st.randoms())
@settings(deadline=None, max_examples=50)
def test_shares_merge_to_the_sums_of_the_whole_in_any_order(shares, random):
    whole = sums_of([token for tokens in shares for token in tokens])
    merged = sums_of([])
    for tokens in random.sample(shares, len(shares)):
        merged = merged + sums_of(tokens) if random.random() < 0.5 else sums_of(tokens) + merged
    assert same(merged, whole, tolerance=1e-12)


@given(texts.filter(len))
@settings(deadline=None, max_examples=50)
def test_anchors_keep_mean_norm_and_mean_squared_norm_of_their_tokens(tokens):
    for anchors in sums_of(tokens).anchors("es"):
        assert anchors.token_norms is not None and anchors.token_squares is not None
        for row, word in enumerate(anchors.words):
            own = [[float(x) for x in vector[anchors.layer]] for other, vector in tokens if other == word]
            squares = [sum(x * x for x in vector) for vector in own]
            mean_norm = sum(square**0.5 for square in squares) / len(own)
            assert float(anchors.token_norms[row]) == pytest.approx(mean_norm, rel=1e-12)
            assert float(anchors.token_squares[row]) == pytest.approx(sum(squares) / len(own), rel=1e-12)
            # A mean is no longer than the mean of the lengths, and that no longer than the root mean square.
            assert float(anchors.vectors[row].double().norm()) <= mean_norm * (1 + 1e-6) + 1e-30
            assert mean_norm**2 <= float(anchors.token_squares[row]) * (1 + 1e-12)


@given(texts.filter(len), st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None, max_examples=50)
def test_keep_keeps_the_norms_of_the_words_it_keeps(tokens, min_count, max_types):
    for anchors in sums_of(tokens).anchors("es"):
        kept = anchors.keep(min_count=min_count, max_types=max_types)
        assert anchors.token_norms is not None and kept.token_norms is not None
        assert anchors.token_squares is not None and kept.token_squares is not None
        rows = [anchors.words.index(word) for word in kept.words]
        assert kept.token_norms.tolist() == [float(anchors.token_norms[row]) for row in rows]
        assert kept.token_squares.tolist() == [float(anchors.token_squares[row]) for row in rows]


@given(texts, st.integers(0, 8))
@settings(deadline=None, max_examples=50)
def test_splitting_a_text_leaves_the_sums_the_same(tokens, place):
    assert same(sums_of(tokens[:place]) + sums_of(tokens[place:]), sums_of(tokens), tolerance=1e-12)


def test_accumulator_grows_beyond_its_first_room():
    accumulator = AnchorAccumulator(layers=LAYERS, width=WIDTH)
    words = [f"word{number}" for number in range(5000)]
    for batch in itertools.batched(words, 999) if hasattr(itertools, "batched") else [words[:7], words[7:]]:
        accumulator.add(list(batch), torch.ones(len(batch), LAYERS, WIDTH))
    sums = accumulator.sums()
    assert sums.words == tuple(sorted(words))
    assert sums.totals.sum() == 5000 * LAYERS * WIDTH


def test_accumulator_passes_over_words_that_are_not_wanted():
    tokens = [("a", torch.ones(LAYERS, WIDTH)), ("b", torch.ones(LAYERS, WIDTH))]
    assert sums_of(tokens, words={"b", "c"}).words == ("b",)


@given(texts, st.sets(st.sampled_from(["a", "b", "ç", "x"])))
@settings(deadline=None, max_examples=50)
def test_the_mean_norm_is_over_all_tokens_wanted_or_not(tokens, wanted):
    sums = sums_of(tokens, words=wanted)
    assert sums.tokens == len(tokens)
    for layer in range(LAYERS):
        assert float(sums.norms[layer]) == pytest.approx(sum(float(v[layer].double().norm()) for _, v in tokens))
    assert set(sums.words) == {word for word, _ in tokens} & wanted


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_accumulator_refuses_vectors_that_are_not_finite(bad):
    vector = torch.zeros(LAYERS, WIDTH)
    vector[1, 2] = bad
    with pytest.raises(VectorsError, match=r"Layer 1: the encoder's vector of 'perro' is not finite"):
        sums_of([("casa", torch.zeros(LAYERS, WIDTH)), ("perro", vector)])


def test_anchors_refuse_vectors_that_are_not_finite():
    with pytest.raises(VectorsError, match=r"Anchors of es, layer 0: the vector of 'b' is not finite"):
        Anchors.of_vectors(["a", "b"], torch.tensor([[1.0], [float("nan")]]), language="es")


def test_words_stand_by_falling_count_and_ties_by_code_point():
    tokens = [(word, torch.ones(LAYERS, WIDTH)) for word in ["z", "b", "z", "é", "B", "c", "c"]]
    assert sums_of(tokens).anchors("es")[0].words == ("c", "z", "B", "b", "é")


def test_rare_words_are_left_out_but_count_for_the_mean_norm():
    one = torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])
    anchors = sums_of([("a", one), ("a", one), ("b", 4 * one)]).anchors("es", min_count=2)[0]
    assert anchors.words == ("a",)
    assert anchors.mean_norm == pytest.approx(2.0)


def test_keep_takes_frequent_words_only():
    anchors = anchors_of(("a", "b", "c"), counts=[5, 3, 1])
    assert anchors.keep(min_count=3).words == ("a", "b")
    assert anchors.keep(max_types=1).words == ("a",)
    assert anchors.keep(min_count=3).mean_norm == anchors.mean_norm


@pytest.mark.parametrize(
    ("word", "index"),
    [("Haus", 0), ("haus", 0), ("HAUS", 0), ("der", 2), ("Der", 1), ("DER", 2), ("fehlt", None)],
)
def test_words_are_found_as_written_then_in_lower_case_then_in_any_case(word, index):
    anchors = anchors_of(("Haus", "Der", "der", "HaUs"))
    assert anchors.index_of(word) == index
    assert (word in anchors) == (index is not None)


@pytest.mark.parametrize(
    ("word", "index"),
    [
        ("istanbul", 0), ("i\u0307stanbul", 0), ("İSTANBUL", 0), ("ısparta", 1), ("Isparta", 1), ("ılık", 2),
        ("ilik", 3), ("ILIK", 3), ("caf\u00e9", 4), ("cafe\u0301", 4), ("CAFE\u0301", 4), ("cafe", None),
        ("U\u0308ber", 5), ("\u00fcber", 6), ("u\u0308ber", 6),
    ],
)  # fmt: skip
def test_words_are_found_however_they_are_encoded_and_by_turkish_rules_last(word, index):
    anchors = anchors_of(("İstanbul", "ISPARTA", "ılık", "ilik", "cafe\u0301", "\u00dcber", "u\u0308ber"))
    assert anchors.index_of(word) == index


def test_of_two_encodings_of_a_word_the_very_one_is_found_first():
    anchors = anchors_of(("caf\u00e9", "cafe\u0301"))
    assert [anchors.index_of(word) for word in ("caf\u00e9", "cafe\u0301")] == [0, 1]


def test_for_words_keeps_the_order_asked_for():
    anchors = anchors_of(("a", "b", "c"))
    assert anchors.for_words(["c", "A", "c"]).tolist() == [[4, 5], [0, 1], [4, 5]]


def test_for_words_names_the_words_without_anchor():
    with pytest.raises(VectorsError, match=r"Anchors of de, layer 1: 2 of 3 words have no anchor \(x, y\)"):
        anchors_of(("a", "b")).for_words(["a", "x", "y"])


def test_vectors_of_other_tools_become_anchors():
    anchors = Anchors.of_vectors(["a", "b"], torch.tensor([[3.0, 4.0], [0.0, 1.0]]), language="es", layer=2)
    assert anchors.mean_norm == pytest.approx(3.0)
    assert (anchors.layer, len(anchors), anchors.width, anchors.counts.tolist()) == (2, 2, 2, [1, 1])
    assert anchors.token_norms is None and anchors.token_squares is None
    assert anchors.keep(max_types=1).token_norms is None


def test_a_word_is_found_however_its_letters_are_put_together():
    anchors = anchors_of(("Ñu", "n\u0303andu\u0301"))
    found = [anchors.index_of(word) for word in ("N\u0303u", "n\u0303u", "n\u0303andu\u0301", "fe\u0301")]
    assert found == [0, 0, 1, None]

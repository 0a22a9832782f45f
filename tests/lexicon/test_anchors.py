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
            assert float(sums.squared_norms[row, layer]) == pytest.approx(sum(norm**2 for norm in norms))


@given(texts, texts, texts)
@settings(deadline=None, max_examples=50)
def test_sums_add_up_in_any_order(first, second, third):
    a, b, c = sums_of(first), sums_of(second), sums_of(third)
    # Float64 rounds each sum to 16 digits; the values stay below 1e6.
    assert same((a + b) + c, a + (b + c), tolerance=1e-12)
    assert same(a + b, b + a, tolerance=0.0)


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

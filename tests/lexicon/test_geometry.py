"""The numbers that geometry takes from sums are those that loops over tokens and pairs give."""

import itertools
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.errors import VectorsError
from isogloss.lexicon.anchors import AnchorAccumulator, Anchors
from isogloss.lexicon.geometry import Geometry, geometry, is_alphabetic, partition_isotropy
from isogloss.lexicon.homonyms import ENGLISH_HOMONYMS

WIDTH = 3
FLOAT32 = 1e-5
"""Anchors are stored with 24 bits, and the numbers judged here are quotients of about ten of them."""


def gathered(tokens: list[tuple[str, torch.Tensor]], **options) -> Anchors:
    accumulator = AnchorAccumulator(layers=1, width=WIDTH)
    accumulator.add([word for word, _ in tokens], torch.stack([vector for _, vector in tokens])[:, None])
    return accumulator.sums().anchors(options.pop("language", "es"))[0]


def of_loops(tokens: list[tuple[str, torch.Tensor]]) -> dict[str, float]:
    """Measure the same by loops over tokens and pairs of them, in plain Python."""

    def dot(one, other):
        return sum(a * b for a, b in zip(one, other, strict=True))

    def norm(vector):
        return math.sqrt(dot(vector, vector))

    def minus(one, other):
        return [a - b for a, b in zip(one, other, strict=True)]

    def mean(values):
        return sum(values) / len(values)

    def sd(values):
        return math.sqrt(mean([(value - mean(values)) ** 2 for value in values]))

    own: dict[str, list[list[float]]] = {}
    for word, vector in tokens:
        own.setdefault(word, []).append(vector.tolist())
    anchors = {word: [mean(column) for column in zip(*vectors, strict=True)] for word, vectors in own.items()}
    pairs = [
        1 - dot(anchors[one], anchors[other]) / norm(anchors[one]) / norm(anchors[other])
        for one, other in itertools.combinations(own, 2)
    ]
    to_anchor = {
        # Every token's cosine weighs as much as its norm.
        word: 1
        - sum(norm(t) * dot(t, anchors[word]) / norm(t) / norm(anchors[word]) for t in vectors)
        / sum(norm(t) for t in vectors)
        for word, vectors in own.items()
    }
    alike = [
        sum(dot(t, s) for t, s in itertools.combinations(vectors, 2))
        / sum(norm(t) * norm(s) for t, s in itertools.combinations(vectors, 2))
        for vectors in own.values()
        if len(vectors) > 1
    ]
    # A token of one type with a token of another: the mean over tokens of each type, then the sum over types.
    above = below = 0.0
    for one, other in itertools.combinations(own, 2):
        both = list(itertools.product(own[one], own[other]))
        above += mean([dot(t, s) for t, s in both])
        below += mean([norm(t) * norm(s) for t, s in both])
    everything = [t for vectors in own.values() for t in vectors]
    centre = [mean(column) for column in zip(*everything, strict=True)]
    total = sum(norm(minus(t, centre)) ** 2 for t in everything)
    within = sum(norm(minus(t, anchors[word])) ** 2 for word, vectors in own.items() for t in vectors)
    middle = [mean(column) for column in zip(*anchors.values(), strict=True)]
    found = {
        "anchor_distance_mean": mean(pairs),
        "anchor_distance_sd": sd(pairs),
        "token_distance_mean": mean(list(to_anchor.values())),
        "token_distance_sd": sd(list(to_anchor.values())),
        "token_distance_by_tokens": mean([to_anchor[word] for word, _ in tokens]),
        "random_similarity": above / below,
        "mean_share": norm(middle) ** 2 / mean([norm(anchor) ** 2 for anchor in anchors.values()]),
        "tokens": len(tokens),
        "words": len(own),
    }
    if alike:
        found |= {"self_similarity_mean": mean(alike), "self_similarity_sd": sd(alike)}
    if total > len(tokens):  # else it is small beside the squared norms, and a difference of those keeps few digits
        found["within_type_share"] = within / total
    return found


numbers = st.floats(-10, 10, width=16)
# Away from zero, where a cosine would be a quotient of rounding errors.
token_vectors = st.lists(numbers, min_size=WIDTH - 1, max_size=WIDTH - 1).map(lambda rest: torch.tensor([5.0, *rest]))
some_tokens = st.lists(st.tuples(st.sampled_from(["a", "b", "ç", "語"]), token_vectors), min_size=2, max_size=12)


@given(some_tokens.filter(lambda tokens: len({word for word, _ in tokens}) > 1))
@settings(max_examples=60)
def test_geometry_agrees_with_loops_over_tokens_and_pairs(tokens):
    row = geometry(gathered(tokens), min_count=1).to_row()
    expected = of_loops(tokens)
    for name, value in expected.items():
        # A standard deviation is the root of a difference: of two equal numbers it keeps half of their digits.
        tolerance = FLOAT32**0.5 if name.endswith("_sd") else FLOAT32
        assert row[name] == pytest.approx(value, abs=tolerance), name
    if "self_similarity_mean" not in expected:
        assert row["self_similarity_mean"] is None


@given(
    st.lists(st.lists(numbers, min_size=WIDTH, max_size=WIDTH), min_size=2, max_size=25),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_a_rotation_or_another_scale_changes_nothing(rows, seed):
    vectors = torch.tensor(rows, dtype=torch.float64) + torch.tensor([20.0, 0, 0])
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64))
    words = [chr(ord("a") + place) for place in range(len(rows))]
    one, other = (
        geometry(Anchors.of_vectors(words, each, language="es"), min_count=1).to_row()
        for each in (vectors, 7 * vectors @ turn)
    )
    for name in ("anchor_distance_mean", "mean_share"):
        assert one[name] == pytest.approx(other[name], abs=FLOAT32)
    spread = (vectors - vectors.mean(dim=0)).norm()
    if spread > 1:  # else the shares of variance are those of rounding errors
        for name in ("first_share", "first_ten_share"):
            assert one[name] == pytest.approx(other[name], abs=1e-4)


def test_distances_of_a_case_worked_by_hand():
    # Cosines: 0 of a and b, 0.6 of a and c, 0.8 of b and c. Their distances 1, 0.4 and 0.2 have mean 8/15.
    vectors = torch.tensor([[2.0, 0, 0], [0, 3.0, 0], [3.0, 4.0, 0]])
    found = geometry(Anchors.of_vectors(["a", "b", "c"], vectors, language="es"), min_count=1)
    assert found.anchor_distance.mean == pytest.approx(8 / 15)
    variance = ((1 - 8 / 15) ** 2 + (0.4 - 8 / 15) ** 2 + (0.2 - 8 / 15) ** 2) / 3
    assert found.anchor_distance.sd == pytest.approx(variance**0.5)


def test_a_token_at_right_angles_to_another_is_half_a_right_angle_from_their_anchor():
    tokens = [("a", torch.tensor([1.0, 0, 0])), ("a", torch.tensor([0, 1.0, 0])), ("b", torch.tensor([0, 0, 1.0]))]
    found = geometry(gathered(tokens), min_count=1)
    distance = 1 - 0.5**0.5
    assert found.token_distance is not None and found.self_similarity is not None
    assert found.token_distance.mean == pytest.approx(distance / 2)  # a's and that of b, which is 0
    assert found.token_distance_by_tokens == pytest.approx(2 * distance / 3)
    assert (found.self_similarity.mean, found.self_similarity.sd) == (pytest.approx(0), pytest.approx(0))
    assert found.random_similarity == pytest.approx(0)


def test_tokens_that_are_all_alike_lie_on_their_anchor():
    vector = torch.tensor([0.1, 0.7, -0.3])
    found = geometry(gathered([("a", vector)] * 7 + [("b", -3 * vector)] * 3), min_count=1)
    assert found.token_distance is not None and found.self_similarity is not None
    assert 0 <= found.token_distance.mean < 1e-6 and found.within_type_share == pytest.approx(0, abs=1e-6)
    assert found.self_similarity.mean == pytest.approx(1)
    assert found.anchor_distance.mean == pytest.approx(2)
    assert found.effective_rank == pytest.approx(1)
    assert found.first_share == pytest.approx(1)


@pytest.mark.parametrize("directions", [1, 2, 3])
def test_effective_rank_counts_directions_of_equal_variance(directions):
    axes = torch.eye(3)[:directions]
    vectors = torch.cat([axes, -axes]) + torch.tensor([0, 0, 5.0])
    words = list("abcdef")[: len(vectors)]
    found = geometry(Anchors.of_vectors(words, vectors, language="es"), min_count=1)
    assert found.effective_rank == pytest.approx(directions)
    assert found.first_share == pytest.approx(1 / directions)
    assert found.first_ten_share == pytest.approx(1)


def test_partition_isotropy_agrees_with_a_loop_over_directions():
    vectors = torch.tensor([[3.0, 0.5], [1.0, -0.5], [2.0, 1.0]], dtype=torch.float64)
    mean_norm = sum(math.hypot(*vector) for vector in vectors.tolist()) / 3
    scaled = vectors / mean_norm
    # The eigenvectors of a symmetric 2 × 2 matrix [[p, q], [q, r]] stand at half the angle of (p − r, 2q).
    (p, q), (_, r) = (scaled.mT @ scaled).tolist()
    angle = math.atan2(2 * q, p - r) / 2
    directions = [
        (math.cos(angle + quarter * math.pi / 2), math.sin(angle + quarter * math.pi / 2)) for quarter in range(4)
    ]
    sums = [sum(math.exp(x * a + y * b) for x, y in scaled.tolist()) for a, b in directions]
    assert partition_isotropy(vectors) == pytest.approx(min(sums) / max(sums))


def test_partition_isotropy_is_one_where_no_direction_is_preferred():
    axes = torch.eye(4, dtype=torch.float64)
    assert partition_isotropy(torch.cat([axes, -axes])) == pytest.approx(1)
    assert partition_isotropy(axes + 3) < 0.5


def test_partition_isotropy_bears_one_vector_far_longer_than_the_others():
    vectors = torch.cat([torch.eye(2, dtype=torch.float64).repeat(3000, 1), torch.tensor([[1e9, 0]]).double()])
    assert partition_isotropy(vectors) == 0.0  # e^-6001 and e^6001 are beyond float64


def test_rare_words_and_words_with_other_signs_are_left_out():
    words = ["casa", "perro", "l'", "1990", ",", "raro"]
    vectors = torch.eye(6)
    anchors = Anchors.of_vectors(words, vectors, language="es", counts=[500, 100, 300, 300, 900, 99])
    found = geometry(anchors)
    assert (found.words, found.tokens, found.min_count) == (2, 600, 100)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Bär", True),
        ("Ba\u0308r", True),
        ("हिन्दी", True),
        ("語", True),
        ("\u0308", False),
        ("B2", False),
        ("don't", False),
    ],
)
def test_letters_may_bear_marks_of_any_script(word, expected):
    assert is_alphabetic(word) is expected


def test_homonyms_are_found_as_written_then_in_lower_case():
    tokens = [
        *(("bank", torch.eye(3)[place]) for place in (0, 1)),
        *(("May", torch.eye(3)[place]) for place in (0, 0, 2)),
        ("the", torch.eye(3)[1]),
    ]
    found = geometry(gathered(tokens), min_count=1, homonyms=["bank", "BANK", "May", "may", "bear"])
    # BANK is found as bank, which is there already; may is not May, and bear not there at all.
    assert (found.homonyms_asked, found.homonyms_found) == (5, 2)
    assert found.homonym_distance is not None and found.token_distance is not None
    bank, may = 1 - 0.5**0.5, 1 - 5**0.5 / 3
    assert found.homonym_distance.mean == pytest.approx((bank + may) / 2)
    assert found.homonym_distance.sd == pytest.approx(abs(bank - may) / 2)
    assert found.token_distance.mean == pytest.approx((bank + may) / 3)


def test_english_homonyms_are_the_default_for_english_only():
    tokens = [("bank", torch.eye(3)[0]), ("bear", torch.eye(3)[1]), ("the", torch.eye(3)[2])]
    english = geometry(gathered(tokens, language="en"), min_count=1)
    assert (english.homonyms_asked, english.homonyms_found) == (len(ENGLISH_HOMONYMS), 2)
    spanish = geometry(gathered(tokens), min_count=1)
    assert (spanish.homonyms_asked, spanish.homonyms_found, spanish.homonym_distance) == (0, 0, None)
    assert geometry(gathered(tokens, language="en"), min_count=1, homonyms=()).homonyms_asked == 0


def test_the_list_of_homonyms_is_in_order_and_in_lower_case():
    assert list(ENGLISH_HOMONYMS) == sorted(set(ENGLISH_HOMONYMS))
    assert all(is_alphabetic(word) and word == word.lower() for word in ENGLISH_HOMONYMS)
    assert 150 <= len(ENGLISH_HOMONYMS) <= 250


def test_vectors_of_other_tools_have_no_tokens():
    found = geometry(Anchors.of_vectors(["bank", "bear"], torch.eye(2), language="en"), min_count=1)
    assert found.token_distance is found.token_distance_by_tokens is found.homonym_distance is None
    assert found.within_type_share is found.self_similarity is found.random_similarity is None
    assert found.homonyms_found == 2
    assert found.anchor_distance.mean == pytest.approx(1)


def test_zero_vectors_give_finite_numbers():
    found = geometry(gathered([(word, torch.zeros(3)) for word in "aab"]), min_count=1)
    json.dumps(found.to_row(), allow_nan=False)
    assert found.anchor_distance.mean == 1


def test_a_row_is_json_with_spreads_as_two_entries():
    tokens = [("a", torch.tensor([1.0, 0, 0])), ("b", torch.tensor([0, 1.0, 0]))]
    row = geometry(gathered(tokens), min_count=1).to_row()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["language"], row["layer"], row["anchor_distance_mean"], row["anchor_distance_sd"]) == ("es", 0, 1, 0)
    assert row["homonym_distance_mean"] is None and row["self_similarity_sd"] is None
    spreads = {name.removesuffix("_mean") for name in row if name.endswith("_mean")}
    assert {name.removesuffix("_mean").removesuffix("_sd") for name in row} == set(Geometry.__dataclass_fields__)
    assert spreads == {"anchor_distance", "token_distance", "homonym_distance", "self_similarity"}


def test_fewer_than_two_words_are_refused():
    anchors = Anchors.of_vectors(["a", "b", ","], torch.eye(3), language="es", layer=2, counts=[100, 99, 100])
    with pytest.raises(VectorsError, match=r"Anchors of es, layer 2: 1 of 3 word types .* occur 100 times"):
        geometry(anchors)


def test_counts_whose_sum_is_no_int64_are_still_summed_right():
    vectors, words = torch.eye(3), ["ab", "cd", "ef"]
    found = [
        geometry(Anchors.of_vectors(words, vectors, language="xx", counts=[count] * 3), min_count=1)
        for count in (2**62, 1)
    ]
    assert [each.tokens for each in found] == [3 * 2**62, 3]
    anchors = [Anchors.of_vectors(words, 2 * vectors, language="xx", counts=[count] * 3) for count in (2**62, 1)]
    assert [each.mean_norm for each in anchors] == pytest.approx([2.0, 2.0])

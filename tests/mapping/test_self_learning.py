"""Self-learning: a planted rotation is found from half-wrong pairs or none, and what cannot be found is told."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from isogloss.compute.interruption import stop_requested
from isogloss.mapping.retrieval import Neighbours
from isogloss.mapping.self_learning import _depth, _drawn, self_learn, similar_profiles
from isogloss.mapping.settings import SelfLearningSettings

TYPES, WIDTH = 600, 20
QUICK = SelfLearningSettings(
    seed_pairs="none", types=TYPES, patience=2, shown=0.3, growth=3.0, agreement_types=TYPES, final_types=TYPES
)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int, width: int) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)


def space(seed: int, types: int = TYPES) -> torch.Tensor:
    """Clusters of different sizes and shapes: unlike a ball of noise, a space in which words have a place."""
    generator = torch.Generator().manual_seed(seed)
    sizes = 0.7 ** torch.arange(12, dtype=torch.float64)
    cluster = torch.multinomial(sizes, types, replacement=True, generator=generator)
    spread = torch.rand(12, WIDTH, generator=generator, dtype=torch.float64)
    vectors = unit((2 * normal(seed + 1, 12, WIDTH))[cluster] + spread[cluster] * normal(seed + 2, types, WIDTH))
    return unit(vectors - vectors.mean(dim=0))


def noisy(vectors: torch.Tensor, share: float) -> torch.Tensor:
    return unit(vectors + share * normal(77, *vectors.shape))


def right(pairs: torch.Tensor) -> float:
    """The share of pairs that are translations, where row i of one side is row i of the other."""
    return float((pairs[:, 0] == pairs[:, 1]).double().mean())


def is_orthogonal(matrix: torch.Tensor) -> bool:
    return torch.allclose(matrix @ matrix.mT, torch.eye(len(matrix), dtype=matrix.dtype), atol=1e-10)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_planted_rotation_is_found_from_nothing(seed):
    source, planted = space(seed), rotation(9, WIDTH)
    found = self_learn(source, noisy(source @ planted, 0.02), settings=QUICK, seed=1)
    assert found.succeeded, found.diagnosis
    assert len(found.runs) == 2, "two runs that agree suffice"
    assert found.agreement > 0.95
    assert is_orthogonal(found.matrix)
    # Entries of W are off by noise / (√types · spread): 0.02 / (√600 · 0.02).
    assert torch.allclose(found.matrix, planted, atol=0.1)
    assert len(found.pairs) > 0.95 * TYPES
    assert right(found.pairs) > 0.99
    assert found.diagnosis.startswith(
        f"2 runs, two by two from halves that have nothing in common; the two that agree best translate "
        f"{100 * found.agreement:.0f} % of the {TYPES} most frequent words alike"
    )


def test_runs_begin_from_words_whose_translations_are_among_them():
    """Of a word and its translation only one is in a half of the words; shapes of halves would not do here."""
    source, order = space(1), torch.randperm(TYPES, generator=torch.Generator().manual_seed(1))
    found = self_learn(source, noisy(source @ rotation(9, WIDTH), 0.1)[order], settings=QUICK, seed=1)
    assert found.succeeded, found.diagnosis
    assert len(found.runs) == 2
    assert float((order[found.pairs[:, 1]] == found.pairs[:, 0]).double().mean()) > 0.8


def test_without_noise_the_map_is_exact():
    source, planted = space(1), rotation(9, WIDTH)
    found = self_learn(source, source @ planted, settings=QUICK, seed=1)
    assert torch.allclose(found.matrix, planted, atol=1e-6)  # neighbours and sums begin from float32
    assert found.pairs.tolist() == [[row, row] for row in range(TYPES)]
    assert found.closeness_by_round == pytest.approx([1.0] * QUICK.final_rounds, abs=1e-6)


def test_it_grows_from_few_pairs_of_which_a_third_is_wrong_where_nothing_else_would_do():
    source, planted = unit(normal(5, 400, WIDTH)), rotation(9, WIDTH)  # a ball of noise, whose shape tells nothing
    target = noisy(source @ planted, 0.15)
    pairs = [(row, row) for row in range(60)] + [(row, row + 1) for row in range(100, 130)]
    found = self_learn(source, target, settings=QUICK, seed=1, pairs=pairs)
    assert found.succeeded, found.diagnosis
    assert len(found.pairs) > 380
    assert right(found.pairs) > 0.99
    without = self_learn(source, target, settings=QUICK.model_copy(update={"runs": 2}), seed=1)
    assert not without.succeeded


def test_unrelated_spaces_are_not_believed():
    found = self_learn(space(1, 200), space(51, 200), settings=QUICK, seed=1)
    assert not found.succeeded
    assert len(found.runs) == QUICK.runs
    assert found.agreement < QUICK.agreement_needed
    shares = [
        float((one.translations == other.translations).double().mean())
        for number, one in enumerate(found.runs)
        for other in found.runs[:number]
        if number // 2 == found.runs.index(other) // 2
    ]
    assert max(shares) < 0.1, "so few are the same that they do not count"
    assert found.agreement == 0.0
    assert "translate 0 % of the 200 most frequent words alike" in found.diagnosis
    assert "right maps agree on more than 30 %" in found.diagnosis
    assert is_orthogonal(found.matrix)


def test_the_same_seed_gives_the_same_bits_whatever_others_draw_and_another_seed_other_runs():
    source, target = space(1, 150), space(51, 150)
    quick = QUICK.model_copy(update={"runs": 2})
    first = self_learn(source, target, settings=quick, seed=1)
    torch.rand(3)
    again = self_learn(source, target, settings=quick, seed=1)
    assert torch.equal(first.matrix, again.matrix)
    assert torch.equal(first.pairs, again.pairs)
    assert first.diagnosis == again.diagnosis
    other = self_learn(source, target, settings=quick, seed=2)
    assert not torch.equal(first.runs[0].matrix, other.runs[0].matrix)


def test_rare_words_take_no_part_but_in_the_last_rounds():
    source, planted = space(1), rotation(9, WIDTH)
    target = noisy(source @ planted, 0.02)
    few = QUICK.model_copy(update={"types": 400, "agreement_types": 100, "final_types": 500})
    found = self_learn(source, target, settings=few, seed=1)
    cut = self_learn(source[:500], target[:500], settings=few, seed=1)
    assert torch.equal(found.matrix, cut.matrix)
    assert [len(run.translations) for run in found.runs] == [100, 100]
    assert 450 < len(found.pairs) <= 500
    frequent = self_learn(source[:400], target[:400], settings=few, seed=1)
    assert torch.equal(frequent.runs[0].matrix, found.runs[0].matrix)
    assert not torch.equal(frequent.matrix, found.matrix)


def test_rounds_are_told_and_show_more_and_more():
    rounds = []
    source = space(1, 200)
    found = self_learn(
        source,
        source @ rotation(9, WIDTH),
        settings=QUICK.model_copy(update={"runs": 2}),
        seed=1,
        progress=lambda number, closeness, shown: rounds.append((number, closeness, shown)),
    )
    starts = [place for place, (number, _, _) in enumerate(rounds) if number == 1]
    assert len(starts) == 2
    for run, told in zip(found.runs, (rounds[: starts[1]], rounds[starts[1] :]), strict=True):
        assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
        assert run.rounds == len(told) + 3  # settling is not told
        shown = [share for _, _, share in told]
        assert list(dict.fromkeys(shown)) == [pytest.approx(0.3), pytest.approx(0.9), 1.0]
        assert shown == sorted(shown)
        assert all(-1 <= closeness <= 1 + 1e-6 for _, closeness, _ in told)


def test_a_request_to_stop_is_heard():
    stop_requested.ask()
    try:
        with pytest.raises(KeyboardInterrupt):
            self_learn(space(1, 100), space(51, 100), settings=QUICK, seed=1)
    finally:
        stop_requested.clear()


# The first pairs


def slow_profile(vectors: torch.Tensor) -> torch.Tensor:
    """Sorted rows of (X Xᵀ)^½, from the eigenvectors of the Gram matrix."""
    values, axes = torch.linalg.eigh(vectors @ vectors.mT)
    root = (axes * values.clamp(min=0).sqrt()) @ axes.mT
    rows = torch.stack([torch.tensor(sorted(row)) for row in root.tolist()]).double()
    rows = unit(rows)
    return rows - rows.mean(dim=0)


def test_profiles_agree_with_the_square_root_of_the_gram_matrix():
    source, target = space(1, 40), noisy(space(1, 40) @ rotation(9, WIDTH), 0.05)
    one, other = unit(slow_profile(source)), unit(slow_profile(target))
    cosines = one @ other.mT
    own = cosines.sort(dim=1, descending=True).values[:, :5].mean(dim=1)
    theirs = cosines.sort(dim=0, descending=True).values[:5].mean(dim=0)
    csls = 2 * cosines - own[:, None] - theirs
    expected = [[row, int(csls[row].argmax())] for row in range(40)]
    expected += [[int(csls[:, column].argmax()), column] for column in range(40)]
    assert similar_profiles(source, target, neighbourhood=5).tolist() == expected


def test_profiles_do_not_see_a_rotation():
    source = space(1, 60)
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(4))
    pairs = similar_profiles(source, (source @ rotation(9, WIDTH))[shuffled])
    assert all(int(shuffled[column]) == row for row, column in pairs.tolist())
    assert len(pairs) == 120


# What is hidden


@pytest.mark.parametrize(("shown", "depth"), [(1.0, 1), (0.9, 1), (0.5, 4), (0.1, 22)])
def test_so_many_neighbours_are_kept_that_one_is_seen_nine_times_in_ten(shown, depth):
    assert _depth(shown) == depth
    assert (1 - shown) ** depth <= 0.1 + 1e-12
    assert shown == 1.0 or depth == 1 or (1 - shown) ** (depth - 1) > 0.1


@given(st.sampled_from([0.1, 0.3, 0.6]), st.integers(0, 100))
@hypothesis_settings(max_examples=10)
def test_the_rank_of_the_neighbour_that_is_drawn_is_geometrically_distributed(shown, seed):
    depth, words = _depth(shown), 4000
    ranks = torch.arange(depth).expand(words, depth)
    found = Neighbours(ranks, ranks.double(), ranks, ranks.double())
    drawn = _drawn(found, shown, torch.Generator().manual_seed(seed))
    assert drawn.shape == (2 * words, 2)
    for chosen in (drawn[:words, 1], drawn[words:, 0]):
        shares = torch.bincount(chosen, minlength=depth).double() / words
        expected = [shown * (1 - shown) ** rank for rank in range(depth)]
        expected[-1] += (1 - shown) ** depth
        # Six standard deviations of a share of 4,000 draws, √(¼ / 4000) at most.
        assert shares.tolist() == pytest.approx(expected, abs=6 * 0.5 / words**0.5)


def test_with_nothing_hidden_every_word_takes_its_nearest():
    forward, backward = torch.tensor([[1, 0], [0, 1]]), torch.tensor([[1, 0], [1, 0], [0, 1]])
    found = Neighbours(forward, forward.double(), backward, backward.double())
    assert _drawn(found, 1.0, torch.Generator()).tolist() == [[0, 1], [1, 0], [1, 0], [1, 1], [0, 2]]

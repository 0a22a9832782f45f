"""Adversarial alignment: a planted rotation is found, nothing is called nothing, and a seed decides all chance."""

import dataclasses
import re

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from isogloss.compute.interruption import stop_requested
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import ContextualEmbeddings
from isogloss.errors import AlignmentError
from isogloss.mapping.adversarial import (
    Evidence,
    Restart,
    adversarial,
    diagnose,
    sample_contexts,
)
from isogloss.mapping.adversarial_game import Game, nearest_orthogonal, principal_axes_rotation, random_rotation
from isogloss.mapping.procrustes import refine
from isogloss.mapping.retrieval import nearest
from isogloss.mapping.settings import AdversarialSettings
from isogloss.shapes import mask_of_lengths

WIDTH, TYPES = 8, 300
QUICK = AdversarialSettings(
    epochs=6,
    epoch_words=6_400,
    batch_words=64,
    learning_rate=1.0,
    orthogonality=0.05,
    discriminator_width=64,
    discriminator_steps=2,
    discriminator_learning_rate=1.0,
    restarts=8,
    evidence_types=TYPES,
    random_rotations=2,
)
SHORT = QUICK.model_copy(update={"epochs": 1, "epoch_words": 640, "restarts": 2})


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def space(seed: int) -> torch.Tensor:
    """Clusters of different sizes and shapes, as words have and a ball of noise has not."""
    generator = torch.Generator().manual_seed(seed)
    sizes = 0.6 ** torch.arange(6, dtype=torch.float64)
    cluster = torch.multinomial(sizes, TYPES, replacement=True, generator=generator)
    spread = torch.rand(6, WIDTH, generator=generator, dtype=torch.float64)
    vectors = (2 * normal(seed + 1, 6, WIDTH))[cluster] + spread[cluster] * normal(seed + 2, TYPES, WIDTH)
    return vectors / vectors.norm(dim=1, keepdim=True)


def precision(source: torch.Tensor, target: torch.Tensor, matrix: torch.Tensor) -> float:
    """The share of words whose neighbour after refinement is the word of the same row."""
    refined = refine(source.float(), target.float(), matrix=matrix, pairs=[], rounds=5).matrix
    found, _ = nearest((source @ refined).float(), target.float(), k=1)
    return float((found[:, 0] == torch.arange(len(source))).double().mean())


def is_orthogonal(matrix: torch.Tensor) -> bool:
    return torch.allclose(matrix @ matrix.mT, torch.eye(len(matrix), dtype=matrix.dtype), atol=1e-6)


def test_a_planted_rotation_is_recovered_and_believed():
    source = space(3)
    target = source @ random_rotation(WIDTH, 5, "planted") + 0.01 * normal(6, TYPES, WIDTH)
    result = adversarial(source, target, settings=QUICK, seed=3)
    assert result.succeeded, result.diagnosis
    assert precision(source, target, result.matrix) > 0.95
    assert is_orthogonal(result.matrix)
    assert result.diagnosis.startswith("An alignment was found")
    assert result.agreement[result.kept_restart].sort().values[-2] > 0.5


def test_spaces_with_nothing_in_common_are_told():
    result = adversarial(space(3), space(40), settings=QUICK.model_copy(update={"restarts": 3}), seed=1)
    assert not result.succeeded
    assert result.diagnosis.startswith("No alignment was found")
    shared = max(
        float(share) for at, share in enumerate(result.agreement[result.kept_restart]) if at != result.kept_restart
    )
    assert f"the most similar of 2 other restarts translates {shared:.0%} of them alike" in result.diagnosis
    assert is_orthogonal(result.matrix)


def test_tokens_in_context_serve_in_place_of_anchors():
    source = space(3)
    planted = random_rotation(WIDTH, 5, "planted")
    tokens = source.repeat(4, 1) + 0.02 * normal(7, 4 * TYPES, WIDTH)
    more = source.repeat(3, 1) @ planted + 0.02 * normal(8, 3 * TYPES, WIDTH)
    result = adversarial(source, source @ planted, settings=QUICK, seed=3, source_samples=tokens, target_samples=more)
    assert result.succeeded, result.diagnosis
    assert precision(source, source @ planted, result.matrix) > 0.95


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads_and_another_seed_others():
    source, target = space(3), space(40)
    first = adversarial(source, target, settings=SHORT, seed=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.rand(3)  # what others draw from the global generator does not matter
    try:
        again = adversarial(source, target, settings=SHORT, seed=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(first.matrix, again.matrix)
    assert first.diagnosis == again.diagnosis
    for one, other in zip(first.restarts, again.restarts, strict=True):
        assert torch.equal(one.matrix, other.matrix)
        assert (one.criterion_by_epoch, one.accuracy_by_epoch) == (other.criterion_by_epoch, other.accuracy_by_epoch)
    different = adversarial(source, target, settings=SHORT, seed=2)
    assert not torch.equal(first.restarts[0].matrix, different.restarts[0].matrix)


def test_a_small_vocabulary_and_few_words_suffice_to_play():
    settings = SHORT.model_copy(update={"discriminator_types": 75_000, "evidence_types": 2_000})
    result = adversarial(space(3)[:5], space(40)[:3], settings=settings, seed=1)
    assert is_orthogonal(result.matrix)
    assert len(result.restarts[0].evidence.translations) == 5


def test_only_frequent_words_are_drawn():
    source, target = space(3), space(40)
    settings = SHORT.model_copy(update={"discriminator_types": 50, "criterion_types": 40, "evidence_types": 40})
    full = adversarial(source, target, settings=settings, seed=1)
    cut = adversarial(source[:50], target[:50], settings=settings, seed=1)
    assert torch.equal(full.matrix, cut.matrix)


def plain_steps(pools, *, matrix, settings, seed, steps):
    """The game in double loops' spirit: a whole-batch loss by the paper's formulas, differentiated by autograd."""
    game = Game(pools, matrix=matrix, settings=settings, seed=seed, restart=0)
    dice = game._dice
    weights = [weight.detach().clone().requires_grad_() for weight in game._discriminator.parameters()]
    W = matrix.float().clone().requires_grad_()
    batch = settings.batch_words

    def probability(vectors):
        hidden = vectors
        for layer in (0, 2):
            hidden = hidden @ weights[layer].T + weights[layer + 1]
            hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
        return torch.sigmoid(hidden @ weights[4].T + weights[5])[:, 0]

    def draw(pool):
        return pool[torch.randint(len(pool), (batch,), generator=dice)]

    def cross_entropy(probabilities, truth):
        return -(truth * probabilities.log() + (1 - truth) * (1 - probabilities).log()).mean()

    s = settings.label_smoothing
    truth = torch.tensor([1 - s] * batch + [s] * batch)
    for _ in range(steps):
        for _ in range(settings.discriminator_steps):
            vectors = torch.cat([draw(pools[0]) @ W.detach(), draw(pools[1])])
            shown = torch.rand(vectors.shape, generator=dice) >= settings.discriminator_dropout
            loss = cross_entropy(probability(vectors * shown / (1 - settings.discriminator_dropout)), truth)
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.data -= settings.discriminator_learning_rate * gradient
        # The map's loss is over both halves of a batch, with the labels turned round; the target's is a constant.
        mapped = probability(draw(pools[0]) @ W)
        constant = torch.full((batch,), 0.5)
        loss = cross_entropy(torch.cat([mapped, constant]), 1 - truth)
        (gradient,) = torch.autograd.grad(loss, [W])
        W.data -= settings.learning_rate * gradient
        b = settings.orthogonality
        W.data = (1 + b) * W.data - b * W.data @ W.data.T @ W.data
    return W.detach()


def test_a_few_steps_agree_with_the_formulas_of_the_paper():
    settings = AdversarialSettings(batch_words=8, discriminator_width=16, discriminator_steps=3, orthogonality=0.01)
    pools = (space(3).float(), space(40).float())
    start = random_rotation(WIDTH, 1, "start")
    game = Game(pools, matrix=start, settings=settings, seed=4, restart=0)
    for _ in range(5):
        for _ in range(settings.discriminator_steps):
            game.discriminator_step()
        game.mapping_step()
    expected = plain_steps(pools, matrix=start, settings=settings, seed=4, steps=5)
    assert torch.allclose(game.matrix, expected.double(), atol=1e-6)  # float32 sums in another order
    assert (game.matrix - start).norm() > 1e-4


def test_the_scaling_of_vectors_makes_their_mean_norm_what_was_asked():
    settings = SHORT.model_copy(update={"vector_norm": 3.0})
    game = Game(
        (7 * space(3).float(), space(40).float()),
        matrix=torch.eye(WIDTH).double(),
        settings=settings,
        seed=1,
        restart=0,
    )
    assert [float(pool.norm(dim=1).mean()) for pool in game._pools] == [pytest.approx(3.0)] * 2


def test_a_game_that_runs_away_is_broken_off_and_named():
    settings = SHORT.model_copy(update={"learning_rate": 1e6, "orthogonality": 0.4})
    result = adversarial(space(3), space(40), settings=settings, seed=1)
    assert all(restart.diverged for restart in result.restarts)
    assert not result.succeeded
    assert "2 of 2 restarts broke off as numbers grew beyond bounds" in result.diagnosis
    assert "a lower learning_rate" in result.diagnosis
    assert is_orthogonal(result.matrix)


def test_progress_counts_steps_and_ends_at_all_of_them():
    calls = []
    adversarial(
        space(3),
        space(40),
        settings=SHORT.model_copy(update={"epochs": 2}),
        seed=1,
        progress=lambda done, total, facts: calls.append((done, total, facts["restart"], facts["epoch"])),
    )
    assert calls == [(10, 40, 0, 0), (20, 40, 0, 1), (30, 40, 1, 0), (40, 40, 1, 1)]


def test_a_request_to_stop_is_heard():
    stop_requested.ask()
    try:
        with pytest.raises(KeyboardInterrupt):
            adversarial(space(3), space(40), settings=SHORT, seed=1)
    finally:
        stop_requested.clear()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.zeros(4, 3), r"the source has 4 vectors of width 3. .* one width \(8 in the target\)"),
        (torch.zeros(0, WIDTH), r"the source has 0 vectors"),
        (torch.full((4, WIDTH), float("nan")), r"row 0: the source vector is not finite"),
    ],
)
def test_what_cannot_be_played_with_is_refused(source, message):
    with pytest.raises(AlignmentError, match=message):
        adversarial(source, space(3), settings=SHORT, seed=1)


def restart(translations: list[int], *, closeness: float, mutual: float, accuracies: tuple[float, ...]) -> Restart:
    evidence = Evidence(torch.tensor(translations), closeness, mutual)
    return Restart(torch.eye(2, dtype=torch.float64), (closeness,), accuracies, False, evidence)


AGREE = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
DISAGREE = torch.tensor([[1.0, 0.05], [0.05, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("agreement", "mutual", "accuracies", "believed", "words"),
    [
        (AGREE, 0.5, (0.8, 0.7), True, "An alignment was found: of the 2 most frequent source words 50%"),
        (DISAGREE, 0.5, (0.8, 0.7), False, "No two restarts agree.*translates 5% of them alike, and 50% are needed"),
        (AGREE, 0.31, (0.8, 0.7), False, "hardly better than random rotations.*31%.*against at most 30%"),
        (DISAGREE, 0.5, (0.96, 0.99), False, "told the languages apart throughout .right in 96% or more"),
        (DISAGREE, 0.5, (0.51, 0.54), False, "hardly ever told the languages apart .right in 54% at most"),
    ],
)
def test_the_diagnosis_names_its_evidence(agreement, mutual, accuracies, believed, words):
    restarts = [restart([0, 1], closeness=0.7, mutual=mutual, accuracies=accuracies)] * 2
    random = [Evidence(torch.tensor([1, 0]), 0.6, 0.3)]
    succeeded, diagnosis = diagnose(restarts, agreement, random, kept=0, settings=AdversarialSettings())
    assert succeeded is believed
    assert re.search(words, diagnosis)


def test_a_restart_that_another_confirms_is_kept_before_one_that_merely_comes_closer(monkeypatch):
    games = [restart([0, 1], closeness=close, mutual=0.9, accuracies=(0.6,)) for close in (0.90, 0.91, 0.99)]
    alone = dataclasses.replace(games[2], evidence=Evidence(torch.tensor([1, 0]), 0.99, 0.9))
    played = iter([games[0], alone, games[1]])
    monkeypatch.setattr("isogloss.mapping.adversarial._restart", lambda *args, **kwargs: next(played))
    result = adversarial(space(3)[:2], space(40)[:2], settings=SHORT.model_copy(update={"restarts": 3}), seed=1)
    assert result.kept_restart == 2
    assert result.agreement.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


@given(st.integers(0, 10_000), st.integers(1, 9))
@hypothesis_settings(max_examples=20)
def test_the_nearest_orthogonal_matrix_is_orthogonal_and_no_other_is_nearer(seed, width):
    matrix = normal(seed, width, width)
    nearest_one = nearest_orthogonal(matrix)
    assert is_orthogonal(nearest_one)
    other = random_rotation(width, seed, "other")
    assert (matrix - nearest_one).norm() <= (matrix - other).norm() + 1e-9


def test_principal_axes_recover_a_rotation_of_skewed_vectors_of_distinct_variances():
    axes = normal(1, 500, 5).exp() * torch.tensor([1.0, 0.7, 0.5, 0.3, 0.2])
    planted = random_rotation(5, 2, "planted")
    source = axes @ random_rotation(5, 3, "turned")
    assert torch.allclose(principal_axes_rotation(source, source @ planted), planted, atol=1e-6)


class CountingEncoder:
    """Says of every token which sentence and place it has; remembers what it was asked to read."""

    layers, width = 2, 3

    def __init__(self, numbers: dict[tuple[str, ...], int]):
        self.numbers, self.read = numbers, 0

    def encode(self, sentences):
        self.read += len(sentences)
        mask = mask_of_lengths([len(sentence) for sentence in sentences])
        vectors = torch.zeros(*mask.shape, self.layers, self.width)
        for line, sentence in enumerate(sentences):
            for place in range(len(sentence)):
                for layer in range(self.layers):
                    vectors[line, place, layer] = torch.tensor([self.numbers[sentence.forms], place, layer])
        return ContextualEmbeddings(vectors=vectors, mask=mask)


def numbered_sentences(count: int) -> list[Sentence]:
    return [Sentence.of_forms([f"s{number}", "the", "a" if number % 2 else "the"]) for number in range(count)]


def places_of(word: str, sentences: list[Sentence]) -> set[tuple[int, int]]:
    """Every sentence and place where a word stands, by a plain loop."""
    return {
        (number, place)
        for number, sentence in enumerate(sentences)
        for place, form in enumerate(sentence.forms)
        if form == word
    }


@pytest.mark.parametrize("per_word", [1, 5, 1000])
def test_sampled_tokens_are_distinct_occurrences_of_their_words(per_word):
    sentences = numbered_sentences(60)
    encoder = CountingEncoder({sentence.forms: number for number, sentence in enumerate(sentences)})
    sample = sample_contexts(encoder, iter(sentences), ["the", "a", "absent"], per_word=per_word)
    assert sample.words == ("the", "a")
    for word, vectors in zip(sample.words, sample.vectors.split(sample.sizes.tolist()), strict=True):
        true = places_of(word, sentences)
        found = {(int(number), int(place)) for number, place, _ in vectors[:, 0].tolist()}
        assert len(found) == len(vectors) == min(per_word, len(true))
        assert found <= true
        assert vectors[:, 1, 2].tolist() == [1.0] * len(vectors)
    assert encoder.read <= len(sample.vectors)


def test_only_the_layers_asked_for_are_kept():
    sentences = numbered_sentences(6)
    encoder = CountingEncoder({sentence.forms: number for number, sentence in enumerate(sentences)})
    sample = sample_contexts(encoder, sentences, ["a"], per_word=9, layers=[1])
    assert sample.vectors[:, :, 2].tolist() == [[1.0]] * 3


def test_every_occurrence_is_as_likely_as_any_other():
    sentences = numbered_sentences(20)
    encoder = CountingEncoder({sentence.forms: number for number, sentence in enumerate(sentences)})
    times = torch.zeros(20)
    for seed in range(1000):
        sample = sample_contexts(encoder, sentences, ["a"], per_word=3, seed=seed)
        times[sample.vectors[:, 0, 0].long()] += 1
    # Ten sentences hold the word and three are drawn: 300 of 1000 times each, with a deviation of 14.5; five of
    # them happen by chance once in a million.
    assert times[::2].tolist() == [0.0] * 10
    assert (times[1::2] - 300).abs().max() < 5 * 14.5


def test_the_criterion_of_a_restart_is_that_of_its_best_epoch():
    first = restart([0, 1], closeness=0.7, mutual=0.5, accuracies=(0.6,))
    assert dataclasses.replace(first, criterion_by_epoch=(0.2, 0.4, 0.3)).criterion == 0.4

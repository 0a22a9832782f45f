"""Road d: two languages' vectors are laid over one another until a judge cannot tell them apart; no dictionary.

A *discriminator* learns to tell mapped source vectors from target vectors; the map W learns to deceive it, staying
near the orthogonal matrices. If both clouds of vectors have one shape, W ends as the rotation that lays word on
translation. Often enough it does not: the game may end in a wrong rotation that deceives just as well, or in none. So
it is played several times from different starts, the best is chosen by how close frequent words come to their
neighbours, and the result says whether it should be believed. Two signs tell, and neither needs a dictionary: right
rotations agree with one another while every wrong one is wrong in its own way; and a right one brings more words
together than random rotations do, all of them refined alike.

Receives vectors that are normalised already, anchors or also tokens in context; hands on an `AdversarialResult`, whose
W `mapping.procrustes.refine` can sharpen.

Source: Conneau et al. (2018), Word Translation Without Parallel Data, section 2.1. The restarts, their agreement and
the comparison with random rotations are ours. Tokens in context: Schuster et al. (2019), section 4.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.errors import AlignmentError
from isogloss.lexicon.sense_clusters import SenseSettings
from isogloss.lexicon.senses import OccurrenceSample, sample_occurrences
from isogloss.mapping.adversarial_game import Game, nearest_orthogonal, principal_axes_rotation, random_rotation
from isogloss.mapping.procrustes import refine
from isogloss.mapping.retrieval import nearest, nearest_both_ways
from isogloss.mapping.settings import AdversarialSettings

Progress = Callable[[int, int, Mapping[str, float | int]], None]
"""Called with the steps of the mapping done, those planned in all, and facts: restart, epoch, closeness, accuracy."""


EASY, BLIND = 0.95, 0.55
"""Shares of right guesses from which on the discriminator counts as never deceived, and up to which as blind."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a rotation does to the most frequent words, after the same rounds of refinement for every rotation."""

    translations: Int64[Tensor, " words"]
    """For each frequent source word its CSLS neighbour, a row of the target."""
    closeness: float
    """Mean cosine of these words and their neighbours."""
    mutual: float
    """The share of them that are in turn their neighbour's neighbour, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Restart:
    """One game from start to end."""

    matrix: Float64[Tensor, "width width"]
    """The orthogonal matrix nearest to W of the epoch whose criterion was best; epoch 0 is the start."""
    criterion_by_epoch: tuple[float, ...]
    """Mean cosine of the most frequent source words and their CSLS neighbours; the first is that of the start."""
    accuracy_by_epoch: tuple[float, ...]
    """The share of vectors whose language the discriminator told rightly while it learnt, from 0 to 1."""
    diverged: bool
    """Whether the game broke off because numbers grew beyond bounds."""
    evidence: Evidence

    @property
    def criterion(self) -> float:
        """The criterion of the epoch that was kept."""
        return max(self.criterion_by_epoch)


@dataclass(frozen=True, eq=False)
class AdversarialResult:
    """The best of all restarts, and whether it should be believed."""

    matrix: Float64[Tensor, "width width"]
    """W, for rows: ``aligned = vectors @ W``. Orthogonal."""
    restarts: tuple[Restart, ...]
    kept_restart: int
    """The one whose frequent words came closest to their neighbours, after refinement, among those with which another
    agrees; among all if none do."""
    agreement: Float64[Tensor, "restarts restarts"]
    """The share of frequent words that two restarts translate alike, after refinement."""
    random: tuple[Evidence, ...]
    """The same of rotations drawn at random: what refinement makes of nothing."""
    succeeded: bool
    diagnosis: str
    """In plain words, with the numbers that it rests on."""


def adversarial(
    source: Float[Tensor, "source_types source_width"],
    target: Float[Tensor, "target_types target_width"],
    *,
    settings: AdversarialSettings,
    seed: int,
    source_samples: Float[Tensor, "source_tokens source_samples_width"] | None = None,
    target_samples: Float[Tensor, "target_tokens target_samples_width"] | None = None,
    progress: Progress | None = None,
) -> AdversarialResult:
    """Play the game from several starts, keep the best, and say whether it found an alignment.

    Runs in float32 on one thread, so that a seed gives the same bits wherever the same libraries run.

    Args:
        source: Anchors, normalised, most frequent first.
        target: Likewise.
        settings: See `AdversarialSettings`. Where there are fewer word types than it names, all there are take part.
        seed: Of all that is drawn.
        source_samples: Tokens in context to play with instead of anchors, normalised likewise. Anchors remain what
            the game is judged by.
        target_samples: Likewise.
        progress: Called at the end of every epoch.

    Raises:
        AlignmentError: Widths differ, there are no vectors, or a number is not finite.
        KeyboardInterrupt: Somebody asked to stop.
    """
    pools = (
        source[: settings.discriminator_types] if source_samples is None else source_samples,
        target[: settings.discriminator_types] if target_samples is None else target_samples,
    )
    for side, vectors in zip(("source", "target", "source", "target"), (source, target, *pools), strict=True):
        _check(vectors, side=side, width=target.shape[1])
    anchors, drawn = (source.float(), target.float()), (pools[0].float(), pools[1].float())
    with _one_thread():
        random = tuple(
            judge(*anchors, matrix=random_rotation(target.shape[1], seed, "comparison", number), settings=settings)
            for number in range(settings.random_rotations)
        )
        restarts: list[Restart] = []
        for number in range(settings.restarts):
            restarts.append(_restart(anchors, drawn, number=number, settings=settings, seed=seed, progress=progress))
            agreement = _agreement(restarts)
            kept = _best(restarts, agreement, settings)
            succeeded, diagnosis = diagnose(restarts, agreement, random, kept=kept, settings=settings)
            if succeeded and settings.stop_when_sure:
                break
    return AdversarialResult(
        matrix=restarts[kept].matrix,
        restarts=tuple(restarts),
        kept_restart=kept,
        agreement=agreement,
        random=random,
        succeeded=succeeded,
        diagnosis=diagnosis,
    )


def judge(
    source: Float32[Tensor, "source_types width"],
    target: Float32[Tensor, "target_types width"],
    *,
    matrix: Float[Tensor, "width width"],
    settings: AdversarialSettings,
) -> Evidence:
    """Refine a rotation on the most frequent words and see what it then makes of them."""
    frequent, candidates = source[: settings.evidence_types], target[: settings.evidence_types]
    raise_if_stop_requested()
    matrix = refine(
        frequent,
        candidates,
        matrix=matrix.double(),
        pairs=[],
        rounds=settings.evidence_refinements,
        types=settings.evidence_types,
        neighbourhood=settings.neighbourhood,
    ).matrix
    aligned = frequent @ matrix.float()
    both = nearest_both_ways(aligned, candidates, neighbourhood=settings.neighbourhood)
    translations = both.forward[:, 0]
    return Evidence(
        translations=translations,
        closeness=_mean_cosine(aligned, candidates[translations]),
        mutual=len(both.mutual()) / len(translations),
    )


def diagnose(
    restarts: Sequence[Restart],
    agreement: Float64[Tensor, "restarts restarts"],
    random: Sequence[Evidence],
    *,
    kept: int,
    settings: AdversarialSettings,
) -> tuple[bool, str]:
    """Weigh the evidence: whether the kept restart should be believed, and why, in plain words.

    The comparison with random rotations alone would be too kind. Clouds that have nothing in common can be laid over
    one another as well, in many ways, and then more words are mutual neighbours than by chance. It is the second
    restart, begun elsewhere and ended in the same translations, that cannot be had by chance.
    """
    evidence = restarts[kept].evidence
    chance = max((each.mutual for each in random), default=0.0)
    ordinary = max((each.closeness for each in random), default=-1.0)
    shared = max((float(share) for other, share in enumerate(agreement[kept]) if other != kept), default=0.0)
    better_than_chance = evidence.mutual >= settings.mutual_ratio * chance and evidence.closeness > ordinary
    confirmed = shared >= settings.agreement_needed
    facts = [
        f"of the {len(evidence.translations)} most frequent source words {evidence.mutual:.0%} and their neighbours "
        f"choose one another, against at most {chance:.0%} for {len(random)} random rotations refined alike",
        f"their mean cosine is {evidence.closeness:.3f}, against at most {ordinary:.3f}",
        f"the most similar of {len(restarts) - 1} other restarts translates {shared:.0%} of them alike, and "
        f"{settings.agreement_needed:.0%} are needed",
    ]
    if better_than_chance and confirmed:
        return True, f"An alignment was found: {'; '.join(facts)}."
    accuracies = [accuracy for restart in restarts for accuracy in restart.accuracy_by_epoch]
    if accuracies and min(accuracies) >= EASY:
        facts.append(
            f"the discriminator told the languages apart throughout (right in {min(accuracies):.0%} or more), so the "
            "map never learnt to deceive it"
        )
    elif accuracies and max(accuracies) <= BLIND:
        facts.append(
            f"the discriminator hardly ever told the languages apart (right in {max(accuracies):.0%} at most), so the "
            "map had little to learn from"
        )
    if diverged := sum(restart.diverged for restart in restarts):
        facts.append(f"{diverged} of {len(restarts)} restarts broke off as numbers grew beyond bounds")
    reason = (
        "No two restarts agree, and wrong rotations are each wrong in their own way"
        if better_than_chance
        else "The game ended hardly better than random rotations do"
    )
    advice = "a lower learning_rate" if diverged else "more restarts or epochs"
    return False, (
        f"No alignment was found. {reason}: {'; '.join(facts)}. Give a dictionary, even a small one; or use anchors "
        f"from more text, or {advice}."
    )


def sample_contexts(
    encoder: Encoder,
    sentences: Iterable[Sentence],
    words: Sequence[str],
    *,
    per_word: int,
    layers: Sequence[int] | None = None,
    seed: int = 1,
) -> OccurrenceSample:
    """Draw tokens in context of the given word types, to play the game with instead of anchors.

    A word's occurrences are equally likely to be drawn. Since no word gives more than ``per_word`` tokens, frequent
    words do not crowd out the others. Only sentences that hold a drawn token are encoded.

    Args:
        encoder: The encoder of the language.
        sentences: Read once.
        words: The most frequent word types, as in ``anchors.words[:20_000]``.
        per_word: Tokens of a word at most.
        layers: Which layers to keep; all by default.
        seed: Of the choice.

    Raises:
        VectorsError: The encoder gave a vector that is not finite.

    Source: Schuster et al. (2019), section 4.2, do not tell how many tokens of a word they draw.
    """
    return sample_occurrences(
        encoder,
        sentences,
        words=words,
        layers=range(encoder.layers) if layers is None else layers,
        settings=SenseSettings(occurrences=per_word),
        seed=seed,
    )


def _restart(
    anchors: tuple[Tensor, Tensor],
    pools: tuple[Tensor, Tensor],
    *,
    number: int,
    settings: AdversarialSettings,
    seed: int,
    progress: Progress | None,
) -> Restart:
    """Play one game; keep W of the epoch whose criterion is best."""
    best = _start(anchors, number=number, settings=settings, seed=seed)
    game = Game(pools, matrix=best, settings=settings, seed=seed, restart=number)
    steps = -(-settings.epoch_words // settings.batch_words)
    criterion, accuracy = [_criterion(anchors, best, settings)], []
    has_fallen = diverged = False
    for epoch in range(settings.epochs):
        accuracy.append(_epoch(game, steps=steps, lessons=settings.discriminator_steps))
        if diverged := not bool(torch.isfinite(game.matrix).all()):
            break
        # A matrix that has left the rotations could bring all words together by mapping them to one place.
        matrix = nearest_orthogonal(game.matrix)
        criterion.append(_criterion(anchors, matrix, settings))
        game.learning_rate *= settings.learning_rate_decay
        if criterion[-1] > max(criterion[:-1]):
            best = matrix
        elif has_fallen:
            game.learning_rate *= settings.learning_rate_shrink
        else:
            has_fallen = True
        if progress is not None:
            facts = {"restart": number, "epoch": epoch, "closeness": criterion[-1], "accuracy": accuracy[-1]}
            done = (number * settings.epochs + epoch + 1) * steps
            progress(done, settings.restarts * settings.epochs * steps, facts)
        stale = len(criterion) - 1 - criterion.index(max(criterion))
        if game.learning_rate < settings.minimum_learning_rate or stale >= settings.patience:
            break
    return Restart(
        matrix=best,
        criterion_by_epoch=tuple(criterion),
        accuracy_by_epoch=tuple(accuracy),
        diverged=diverged,
        evidence=judge(*anchors, matrix=best, settings=settings),
    )


def _epoch(game: Game, *, steps: int, lessons: int) -> float:
    """Let both players move, the discriminator more often; return the share of its guesses that were right."""
    right = torch.zeros(())
    for _ in range(steps):
        raise_if_stop_requested()
        for _ in range(lessons):
            right += game.discriminator_step()
        game.mapping_step()
    return float(right) / (steps * lessons)


def _start(
    anchors: tuple[Tensor, Tensor], *, number: int, settings: AdversarialSettings, seed: int
) -> Float64[Tensor, "width width"]:
    """Say where W begins. Only the first restart begins at the named place, so that agreement means something."""
    width = anchors[0].shape[1]
    if number > 0 or settings.start == "random":
        return random_rotation(width, seed, "start", number)
    if settings.start == "principal_axes":
        return principal_axes_rotation(*(vectors[: settings.discriminator_types] for vectors in anchors))
    return torch.eye(width, dtype=torch.float64)


def _criterion(
    anchors: tuple[Tensor, Tensor], matrix: Float64[Tensor, "width width"], settings: AdversarialSettings
) -> float:
    """Return the mean cosine of the most frequent source words and their CSLS neighbours."""
    aligned = anchors[0][: settings.criterion_types] @ matrix.float()
    candidates = anchors[1][: settings.criterion_types]
    found, _ = nearest(aligned, candidates, k=1, neighbourhood=settings.neighbourhood)
    return _mean_cosine(aligned, candidates[found[:, 0]])


def _mean_cosine(one: Float32[Tensor, "words width"], other: Float32[Tensor, "words width"]) -> float:
    return float(torch.cosine_similarity(one, other, dim=1).double().mean())


def _agreement(restarts: Sequence[Restart]) -> Float64[Tensor, "restarts restarts"]:
    """Compare every two restarts: the share of frequent words that they translate alike."""
    translations = torch.stack([each.evidence.translations for each in restarts])  # restarts words
    return (translations[:, None] == translations).double().mean(dim=2)


def _best(restarts: Sequence[Restart], agreement: Float64[Tensor, "n n"], settings: AdversarialSettings) -> int:
    """Choose by closeness, and among those that another restart confirms if there are such."""
    confirmed = ((agreement >= settings.agreement_needed).sum(dim=1) > 1).nonzero()[:, 0].tolist()  # itself is one
    return max(confirmed or range(len(restarts)), key=lambda index: restarts[index].evidence.closeness)


def _check(vectors: Tensor, *, side: str, width: int) -> None:
    """Refuse what no game can be played with."""
    if not len(vectors) or vectors.shape[1] != width:
        raise AlignmentError(
            f"Adversarial alignment: the {side} has {len(vectors)} vectors of width {vectors.shape[1]}. Both "
            f"languages need vectors, of one width ({width} in the target). Check the anchors and what was sampled."
        )
    finite = torch.isfinite(vectors).all(dim=1)
    if not finite.all():
        raise AlignmentError(
            f"Adversarial alignment, row {int((~finite).nonzero()[0])}: the {side} vector is not finite. Rotations "
            "are found from finite numbers. Check the anchors."
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread within the block: sums that are split among threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

"""Road c: grow a dictionary from a small seed, or from none.

A map found from a few pairs brings a few more words to their translations; with these the map is found again, and so
on. Left to itself this settles soon on a poor map. So at first most of the neighbours of a word are hidden at random,
and it takes the nearest of those that it sees: the map moves on, as in simulated annealing. When rounds bring no more
gain, more neighbours are shown, until all are.

Models of which one began as the other need no such search: words that are each other's nearest before any map are seed
enough, and nothing is hidden. That their runs agree means little, so words spelt alike are asked, see `began_as_one`.

Without any seed the first pairs come from the shape of the two spaces. A word has a profile, the sorted cosines to
all other words of its language; words that mean the same have profiles that are alike.

Whether the end is right, no dictionary need tell. Two runs begin from two halves of the seed that have nothing in
common; without a seed, from the shape of all frequent words and of the more frequent half of them, and they grow on two
halves of the words that have nothing in common. (Shapes of halves would be of little use: of a word and its
translation only one is in a half as a rule, and profiles differ by whatever is missing.) There is one right map and
there are countless wrong ones, so runs that translate the frequent words alike are right, and runs that do not agree
are wrong, both or one of them.

Receives two matrices of anchors, normalised and most frequent first; hands on the map, the pairs and their story.

Source: Artetxe, Labaka and Agirre (2018), A robust self-learning method for fully unsupervised cross-lingual mappings
of word embeddings. Hiding a neighbour with probability 1 − p and taking the best of what is left is, in one draw,
taking the neighbour of a rank that is geometrically distributed; that is how it is done here. They keep 20,000 words
throughout; here the random part works on the most frequent few thousand, and only the last rounds on more. The halves
and their agreement are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from isogloss.compute.interruption import raise_if_stop_requested
from isogloss.compute.randomness import derive_seed
from isogloss.errors import NoAlignmentFound
from isogloss.mapping.procrustes import completed_procrustes
from isogloss.mapping.retrieval import Neighbours, nearest_both_ways
from isogloss.mapping.settings import SelfLearningSettings

Progress = Callable[[int, float, float], None]
"""Called after each round with its number, its closeness and the share of neighbours shown."""

FEWEST_WORDS = 50
"""Words of each language without which runs agree by chance."""
FEWEST_TRANSLATIONS = 20
"""Different translations that two runs must have in common, at least."""
SETTLING_ROUNDS = 3
"""Rounds with nothing hidden, on all frequent words, before two runs are compared."""
ALIKE_NEAR = 0.1
"""Share of the words spelt alike that are each other's nearest in two spaces that were one. By chance none is."""
SHOWN = 0.1
"""Share of the neighbours that a search is shown at first."""
UNSEEN = 0.1
"""How often a word may see none of the neighbours that are kept for it; it then takes the last."""


@dataclass(frozen=True, eq=False)
class Run:
    """One way from a seed to a map."""

    matrix: Float64[Tensor, "width width"]
    translations: Int64[Tensor, " words"]
    """For each frequent source word its CSLS neighbour, a row of the target."""
    closeness: float
    """Mean cosine of the frequent words of both languages and their neighbours."""
    rounds: int


@dataclass(frozen=True, eq=False)
class SelfLearning:
    """The map that several runs came to, and whether it should be believed."""

    matrix: Float64[Tensor, "width width"]
    """W, for rows: ``aligned = vectors @ W``; orthogonal."""
    pairs: Int64[Tensor, "pairs 2"]
    """The dictionary it was found from: rows of source and target that were each other's nearest."""
    runs: tuple[Run, ...]
    agreement: float
    """The share of frequent words that the two runs which agree best translate alike, from 0 to 1."""
    closeness_by_round: tuple[float, ...]
    """Of the last rounds, in which most words take part."""
    succeeded: bool
    diagnosis: str
    """In plain words, with the numbers that it rests on."""


def self_learn(
    source: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    *,
    settings: SelfLearningSettings,
    seed: int,
    pairs: Sequence[tuple[int, int]] = (),
    progress: Progress | None = None,
) -> SelfLearning:
    """Find a rotation and a dictionary together, twice or more, and see whether they agree.

    Args:
        source: Normalised anchors, most frequent first.
        target: Likewise.
        settings: See `SelfLearningSettings`.
        seed: Decides the halves, and which neighbours are hidden.
        pairs: What to grow from, as rows of ``source`` and ``target``. Without any, the spaces' shapes give some.
        progress: Called after every round.

    Raises:
        NoAlignmentFound: There are too few words for runs to agree otherwise than by chance.
    """
    fewest = min(len(source), len(target))
    if fewest < FEWEST_WORDS:
        raise NoAlignmentFound(
            f"Self-learning: one language has {fewest} words; at least {FEWEST_WORDS} are needed, for with fewer its "
            "runs agree by chance. Gather anchors from more text, or give a dictionary with --method procrustes."
        )
    X, Y = source.float(), target.float()
    runs: list[Run] = []
    best_two, agreement = (0, 0), 0.0
    begun: dict[int, Float64[Tensor, "width width"]] = {}  # without a seed, where runs begin; it draws no lots
    for number in range(settings.runs):
        generator = torch.Generator().manual_seed(derive_seed(seed, "self-learning", number))
        # Two runs that follow one another share out one shuffling between them.
        halves = torch.Generator().manual_seed(derive_seed(seed, "halves", number // 2))
        half = number % 2
        if len(pairs):
            words = list(dict.fromkeys(row for row, _ in pairs))  # a word's translations stay together
            order = torch.randperm(len(words), generator=halves)
            mine = {words[place] for place in order[half::2].tolist()}
            begin = torch.tensor([pair for pair in pairs if pair[0] in mine])
            few_X, few_Y = X[: settings.types // 2], Y[: settings.types // 2]
            matrix, _ = completed_procrustes(X[begin[:, 0]], Y[begin[:, 1]])
        else:
            count = min(settings.types, len(X), len(Y))
            rows = torch.randperm(count, generator=halves)[half::2].sort().values
            few_X, few_Y = X[rows], Y[rows]
            if half not in begun:
                shaped = max(count >> half, FEWEST_WORDS)
                begin = similar_profiles(X[:shaped], Y[:shaped], neighbourhood=settings.neighbourhood)
                begun[half], _ = completed_procrustes(X[begin[:, 0]], Y[begin[:, 1]])
            matrix = begun[half]
        matrix, rounds = _grow(few_X, few_Y, matrix, settings=settings, generator=generator, progress=progress)
        runs.append(_settled(X, Y, matrix, rounds, settings=settings))
        if half == 1:
            alike = _alike(runs[number - 1], runs[number])
            if alike >= agreement:
                best_two, agreement = (number - 1, number), alike
        if agreement >= settings.agreement_needed:
            break
    succeeded = agreement >= settings.agreement_needed
    among = best_two if succeeded else range(len(runs))
    chosen = max(among, key=lambda number: runs[number].closeness)
    matrix, dictionary, closeness = _finished(X, Y, runs[chosen].matrix, settings=settings)
    return SelfLearning(
        matrix=matrix,
        pairs=dictionary,
        runs=tuple(runs),
        agreement=agreement,
        closeness_by_round=closeness,
        succeeded=succeeded,
        diagnosis=_diagnosis(runs, agreement, settings),
    )


def near_already(
    source: Float[Tensor, "source_types width"],
    target: Float[Tensor, "target_types width"],
    *,
    settings: SelfLearningSettings,
) -> list[tuple[int, int]]:
    """Pair frequent words that are each other's nearest as the two spaces stand, for models that began as one."""
    few_X, few_Y = source[: settings.types].float(), target[: settings.types].float()
    mutual = nearest_both_ways(few_X, few_Y, neighbourhood=settings.neighbourhood).mutual()
    return [(row, column) for row, column in mutual.tolist()]


def began_as_one(
    near: Sequence[tuple[int, int]], alike: Sequence[tuple[int, int]], *, settings: SelfLearningSettings
) -> tuple[bool, str]:
    """Say whether two spaces are one already, from words spelt alike, which have no part in the search.

    Runs that begin where the spaces stand agree with one another though no word be near its translation: two clouds of
    one shape suffice. So what such runs come to is believed only if words, names and numbers that both languages have
    are each other's nearest before any map.

    Args:
        near: Rows of words that are each other's nearest, from `near_already`.
        alike: Rows of words that both write alike.
        settings: See `SelfLearningSettings`.

    Returns:
        Whether they are, and that in plain words.
    """
    frequent = [pair for pair in alike if max(pair) < settings.types]
    share = len(set(frequent) & set(near)) / max(1, len(frequent))
    told = (
        f"{len(frequent)} frequent words are spelt alike, and {100 * share:.0f} % of them are each other's nearest "
        f"before any map"
    )
    if len(frequent) < FEWEST_TRANSLATIONS:
        return False, f"{told}; fewer than {FEWEST_TRANSLATIONS} cannot tell whether the two spaces were one."
    if share < ALIKE_NEAR:
        return False, f"{told}; of spaces that were one more than {100 * ALIKE_NEAR:.0f} % are. So these were not."
    return True, f"{told}, so the two spaces were one, and are near it still."


def similar_profiles(
    source: Float[Tensor, "source_types width"], target: Float[Tensor, "target_types width"], *, neighbourhood: int = 10
) -> Int64[Tensor, "pairs 2"]:
    """Pair words whose sorted cosines to the words of their own language are alike; each finds one, in both directions.

    The cosines come from the square root of the Gram matrix, as in Artetxe et al. (2018), section 3.2.
    """
    count = min(len(source), len(target))
    profiles: list[Tensor] = []
    for vectors in (source[:count], target[:count]):
        left, values, _ = torch.linalg.svd(vectors.double(), full_matrices=False)
        sorted_cosines = ((left * values) @ left.mT).sort(dim=1).values
        unit = torch.nn.functional.normalize(sorted_cosines, dim=1)
        profiles.append((unit - unit.mean(dim=0)).float())
    found = nearest_both_ways(profiles[0], profiles[1], neighbourhood=neighbourhood)
    return _drawn(found, 1.0, torch.Generator())


def _alike(one: Run, other: Run) -> float:
    """The share of frequent words that two runs translate alike; 0 if these are too few to mean anything."""
    same = one.translations == other.translations
    return float(same.double().mean()) if len(one.translations[same].unique()) >= FEWEST_TRANSLATIONS else 0.0


def _grow(
    X: Float32[Tensor, "source_types width"],
    Y: Float32[Tensor, "target_types width"],
    matrix: Float64[Tensor, "width width"],
    *,
    settings: SelfLearningSettings,
    generator: torch.Generator,
    progress: Progress | None,
) -> tuple[Float64[Tensor, "width width"], int]:
    """Anneal from a first map; return the map whose words came closest, and the number of rounds."""
    shown, best, waited, rounds = _first_shown(settings), -1.0, 0, 0
    kept = matrix
    while True:
        raise_if_stop_requested()
        aligned = X @ matrix.float()
        found = nearest_both_ways(aligned, Y, k=_depth(shown), neighbourhood=settings.neighbourhood)
        closeness, rounds = _closeness(aligned, Y, found), rounds + 1
        if progress is not None:
            progress(rounds, closeness, shown)
        if closeness > best + settings.tolerance:
            best, waited, kept = closeness, 0, matrix
        else:
            waited += 1
        if waited > settings.patience:
            if shown >= 1.0:
                return kept, rounds
            shown, waited = min(1.0, shown * settings.growth), 0
        dictionary = _drawn(found, shown, generator)
        matrix, _ = completed_procrustes(X[dictionary[:, 0]], Y[dictionary[:, 1]])


def _settled(X: Tensor, Y: Tensor, matrix: Tensor, rounds: int, *, settings: SelfLearningSettings) -> Run:
    """Let all frequent words take part for a few rounds, so that runs can be compared word by word."""
    few_X, few_Y = X[: settings.types], Y[: settings.types]
    for step in range(SETTLING_ROUNDS + 1):
        raise_if_stop_requested()
        aligned = few_X @ matrix.float()
        found = nearest_both_ways(aligned, few_Y, neighbourhood=settings.neighbourhood)
        if step < SETTLING_ROUNDS:
            mutual = found.mutual()
            matrix, _ = completed_procrustes(few_X[mutual[:, 0]], few_Y[mutual[:, 1]])
    translations = found.forward[: settings.agreement_types, 0]
    return Run(matrix, translations, _closeness(aligned, few_Y, found), rounds + SETTLING_ROUNDS)


def _finished(
    X: Tensor, Y: Tensor, matrix: Tensor, *, settings: SelfLearningSettings
) -> tuple[Float64[Tensor, "width width"], Int64[Tensor, "pairs 2"], tuple[float, ...]]:
    """Let many words take part, in pairs that are each other's nearest."""
    many_X, many_Y = X[: settings.final_types], Y[: settings.final_types]
    closeness: list[float] = []
    mutual = torch.zeros(0, 2, dtype=torch.int64)
    for _ in range(settings.final_rounds):
        raise_if_stop_requested()
        aligned = many_X @ matrix.float()
        found = nearest_both_ways(aligned, many_Y, neighbourhood=settings.neighbourhood)
        closeness.append(_closeness(aligned, many_Y, found))
        mutual = found.mutual()
        matrix, _ = completed_procrustes(many_X[mutual[:, 0]], many_Y[mutual[:, 1]])
    return matrix, mutual, tuple(closeness)


def _first_shown(settings: SelfLearningSettings) -> float:
    """The share of neighbours that is shown at first."""
    if settings.shown is not None:
        return settings.shown
    return 1.0 if settings.seed_pairs == "neighbours" else SHOWN


def _depth(shown: float) -> int:
    """How many neighbours must be known so that, but for one time in ten, one of them is shown."""
    return 1 if shown >= 1.0 else ceil(log(UNSEEN) / log(1.0 - shown))


def _drawn(found: Neighbours, shown: float, generator: torch.Generator) -> Int64[Tensor, "pairs 2"]:
    """Pair every word with its nearest neighbour among those shown, in both directions."""

    def chosen(neighbours: Int64[Tensor, "words k"]) -> Int64[Tensor, " words"]:
        if shown >= 1.0:
            return neighbours[:, 0]
        visible = torch.rand(neighbours.shape, generator=generator) < shown
        visible[:, -1] = True
        return neighbours.gather(1, visible.int().argmax(dim=1, keepdim=True))[:, 0]

    forward, backward = chosen(found.forward), chosen(found.backward)
    there = torch.stack([torch.arange(len(forward)), forward], dim=1)
    back = torch.stack([backward, torch.arange(len(backward))], dim=1)
    return torch.cat([there, back])


def _closeness(
    aligned: Float[Tensor, "sources width"], target: Float[Tensor, "targets width"], found: Neighbours
) -> float:
    """Mean cosine of all words and their nearest, in both directions."""
    there = torch.cosine_similarity(aligned, target[found.forward[:, 0]], dim=1)
    back = torch.cosine_similarity(aligned[found.backward[:, 0]], target, dim=1)
    return float(torch.cat([there, back]).double().mean())


def _diagnosis(runs: Sequence[Run], agreement: float, settings: SelfLearningSettings) -> str:
    """Say what the runs came to, for people."""
    told = (
        f"{len(runs)} runs, two by two from halves that have nothing in common; the two that agree best translate "
        f"{100 * agreement:.0f} % of the {len(runs[0].translations)} most frequent words alike"
    )
    if agreement >= settings.agreement_needed:
        return f"{told}, so both found the same map, which wrong ones hardly do."
    return (
        f"{told}; right maps agree on more than {100 * settings.agreement_needed:.0f} %. So there is no reason to "
        f"believe any of them."
    )

"""Road f: from parallel sentences, with words paired in their contexts.

A dictionary knows word types; a translated sentence shows two words that say the same here and now. From such pairs
of vectors in context the rotation is found as from anchors: with M = Σ xᵀ y over the pairs, M = U S Vᵀ, W = U Vᵀ. Only
M is kept, width × width numbers in each layer, so one pass over any number of sentences is enough.

Receives two encoders, parallel sentences and the anchors of both languages, which know mean norms and centres; hands on
one `Alignment` per layer. The word pairs also make a dictionary (`dictionary_from_links`), for roads that want one.

Every vector is normalised by itself before it enters M, with what is known of its language beforehand:

====================  =================================================================================
``none``              x
``unit``              x / |x|
``centre``            x − c, where c is the mean of all anchors
``unit_centre_unit``  (x / |x| − c) / |x / |x| − c|, where c is the mean of all anchors of unit length
====================  =================================================================================

Centres come from the anchors, as on road 1, not from the pairs: the parallel text may be of one domain only, and what
is aligned later is not.

Sources: Aldarmaki and Diab (2019), Context-Aware Cross-Lingual Mapping; Wang et al. (2019), Cross-Lingual BERT
Transformation for Zero-Shot Dependency Parsing. Weighing down frequent types is ours.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from isogloss.corpus.parallel import Links, SentencePair
from isogloss.encoders.encoder import Encoder
from isogloss.errors import AlignmentError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.lexicon.word_alignment import WordAligner
from isogloss.mapping.alignment import Alignment
from isogloss.mapping.checks import MINIMUM_PAIRS
from isogloss.mapping.normalisation import mean_norm_scale, normalise
from isogloss.mapping.procrustes import completed_procrustes, prior_weight
from isogloss.mapping.settings import Normalisation, ParallelSettings

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called after each batch with the sentence pairs and the word pairs read so far."""


def fit_contextual(
    source_encoder: Encoder,
    target_encoder: Encoder,
    sentences: Sequence[SentencePair],
    *,
    source_anchors: Sequence[Anchors],
    target_anchors: Sequence[Anchors],
    settings: ParallelSettings | None = None,
    aligner: WordAligner | None = None,
    progress: Progress | None = None,
) -> tuple[Alignment, ...]:
    """Find the alignment of every layer from words in parallel sentences.

    Args:
        source_encoder: Of the language to be mapped.
        target_encoder: Of the language to be mapped into.
        sentences: Translations. Links are taken as they stand if every pair has them, else found by the aligner.
        source_anchors: One per layer of the encoder, in order, for norms and centres.
        target_anchors: Likewise.
        settings: Which pairs count, and how.
        aligner: Trained before, perhaps on more text; without it, one is trained on these sentences.
        progress: Called after each batch.

    Returns:
        One alignment per layer, with method ``parallel``.

    Raises:
        AlignmentError: Encoders and anchors do not fit together, there are too few pairs, or a vector is not finite.
    """
    settings = settings or ParallelSettings()
    place = f"Alignment {source_anchors[0].language}→{target_anchors[0].language}"
    if settings.normalisation == "iterative":
        raise AlignmentError(
            f"{place}: normalisation is iterative, which has no meaning for vectors in context one by one. Expected "
            "none, unit, centre or unit_centre_unit. Choose one."
        )
    _check_layers(source_encoder, target_encoder, source_anchors, target_anchors, place=place)
    sentences = sentences[: settings.max_sentences]
    linked = [pair for pair in link_words(sentences, settings=settings, aligner=aligner) if pair.links]
    kept = sum(len(pair.links or ()) for pair in linked)
    _check_pairs(kept, len(sentences), width=source_encoder.width, place=place, settings=settings)
    weights = type_weights(linked, max_per_type=settings.max_per_type)
    sides = [
        _Side(encoder, [_step(each, settings.normalisation) for each in anchors])
        for encoder, anchors in ((source_encoder, source_anchors), (target_encoder, target_anchors))
    ]
    width = source_encoder.width
    cross = torch.zeros(source_encoder.layers, width, width, dtype=torch.float64)
    squares = torch.zeros(2, source_encoder.layers, dtype=torch.float64)  # of the pairs' vectors, by side and layer
    sentences_read = pairs_read = 0
    for batch in _batches(linked, batch_words=settings.batch_words):
        links = [pair.links or () for pair in batch]
        sources = sides[0].vectors([pair.source for pair in batch], [[i for i, _ in some] for some in links], place)
        targets = sides[1].vectors([pair.target for pair in batch], [[j for _, j in some] for some in links], place)
        weight = weights[pairs_read : pairs_read + sources.shape[1], None]  # pairs 1
        cross += (weight * sources).mT @ targets  # layers width width
        squares[0] += (weight * sources.square()).sum(dim=(1, 2))
        squares[1] += (weight * targets.square()).sum(dim=(1, 2))
        sentences_read, pairs_read = sentences_read + len(batch), pairs_read + sources.shape[1]
        if progress is not None:
            progress(sentences_read, pairs_read)
    details = {
        "normalisation": settings.normalisation,
        "scale": settings.scale,
        "sentences": len(sentences),
        "linked_sentences": len(linked),
        "usable_pairs": kept,
        "kept_share": kept / sum(min(len(pair.source), len(pair.target)) for pair in sentences),
        "pair_weight": float(weights.sum()),
        "max_per_type": settings.max_per_type,
        "min_confidence": settings.min_confidence,
    }
    return tuple(
        _alignment(
            cross[layer],
            source_anchors[layer],
            target_anchors[layer],
            norms=float(squares[:, layer].prod().sqrt()),
            settings=settings,
            details=details,
        )
        for layer in range(len(cross))
    )


def link_words(
    sentences: Sequence[SentencePair], *, settings: ParallelSettings, aligner: WordAligner | None = None
) -> list[SentencePair]:
    """Give every sentence pair its links, without those that the settings leave out.

    Links are taken as they stand if every pair has them; else the aligner finds them, or one that is trained on these
    sentences.
    """
    if all(pair.links is not None for pair in sentences) and aligner is None:
        found = [pair.links or () for pair in sentences]
    else:
        forms = [pair.forms for pair in sentences]
        found = (aligner or WordAligner.fit(forms)).align(forms, min_confidence=settings.min_confidence)
    return [
        SentencePair(pair.source, pair.target, _wanted(pair, links, skip_punctuation=settings.skip_punctuation))
        for pair, links in zip(sentences, found, strict=True)
    ]


def type_weights(linked: Sequence[SentencePair], *, max_per_type: int | None) -> Float64[Tensor, " pairs"]:
    """Weigh each linked word pair, so that a word type weighs at most as much as ``max_per_type`` occurrences.

    With n and m the numbers of pairs in which the two types stand (in lower case), the weight is
    min(1, max_per_type / n, max_per_type / m). The order is that of the sentences and their links.
    """
    types = [
        (pair.source.words[i].form.lower(), pair.target.words[j].form.lower())
        for pair in linked
        for i, j in pair.links or ()
    ]
    if max_per_type is None:
        return torch.ones(len(types), dtype=torch.float64)
    sources, targets = Counter(one for one, _ in types), Counter(other for _, other in types)
    return torch.tensor(
        [min(1.0, max_per_type / sources[one], max_per_type / targets[other]) for one, other in types],
        dtype=torch.float64,
    )


def dictionary_from_links(
    linked: Sequence[SentencePair],
    *,
    source: str,
    target: str,
    min_count: int = 2,
    min_dice: float = 0.1,
    per_word: int = 3,
    lowercase: bool = True,
) -> BilingualDictionary:
    """Collect the word types that were linked often enough: the dictionary in parallel sentences.

    The Dice coefficient of a pair is 2 · count(pair) / (count(source word) + count(target word)), counted among links:
    1 if the two are always linked with each other.

    Args:
        linked: Sentence pairs with links, as `link_words` gives them.
        source: Language code of the first words.
        target: Language code of the second words.
        min_count: Times that a pair must be linked.
        min_dice: Least Dice coefficient, from 0 to 1.
        per_word: At most so many translations of a word, the most frequent.
        lowercase: Write all words in lower case, as dictionaries mostly do.

    Returns:
        The pairs, most frequent source word first, and of its translations the most frequent.
    """

    def form(word: str) -> str:
        return word.lower() if lowercase else word

    counts = Counter(
        (form(pair.source.words[i].form), form(pair.target.words[j].form))
        for pair in linked
        for i, j in pair.links or ()
    )
    sources: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    for (one, other), count in counts.items():
        sources[one] += count
        targets[other] += count
    order = sorted(counts, key=lambda pair: (-sources[pair[0]], pair[0], -counts[pair], pair[1]))
    kept: list[tuple[str, str]] = []
    taken: Counter[str] = Counter()
    for pair in order:
        dice = 2 * counts[pair] / (sources[pair[0]] + targets[pair[1]])
        if counts[pair] >= min_count and dice >= min_dice and taken[pair[0]] < per_word:
            kept.append(pair)
            taken[pair[0]] += 1
    return BilingualDictionary(source=source, target=target, pairs=tuple(kept))


Step = Callable[[Float64[Tensor, "pairs width"]], Float64[Tensor, "pairs width"]]


@dataclass(frozen=True, eq=False)
class _Side:
    """One language: its encoder, and what is done to the vectors of each layer."""

    encoder: Encoder
    steps: Sequence[Step]

    def vectors(
        self, sentences: Sequence, places: Sequence[Sequence[int]], place: str
    ) -> Float64[Tensor, "layers pairs width"]:
        """Encode sentences and return the normalised vectors of the words at some places."""
        with torch.no_grad():
            embeddings = self.encoder.encode(sentences).vectors  # batch words layers width
        rows = torch.tensor([row for row, some in enumerate(places) for _ in some])
        words = torch.tensor([word for some in places for word in some])
        vectors = embeddings[rows, words].to("cpu", torch.float64)  # pairs layers width
        if not torch.isfinite(vectors).all():
            pair = int((~torch.isfinite(vectors).all(dim=-1).all(dim=-1)).nonzero()[0])
            word = sentences[int(rows[pair])].words[int(words[pair])].form
            raise AlignmentError(
                f"{place}: the encoder's vector of {word!r} is not finite. Rotations are found from finite numbers. "
                "Check that the encoder's training did not diverge."
            )
        return torch.stack([step(vectors[:, layer]) for layer, step in enumerate(self.steps)])


def _step(anchors: Anchors, normalisation: Normalisation) -> Step:
    """Return the function that normalises vectors in context of one layer; see the top of this file."""
    if normalisation == "none":
        return lambda vectors: vectors
    if normalisation == "unit":
        return _unit
    if normalisation == "centre":
        centre = anchors.vectors.double().mean(dim=0)
        return lambda vectors: vectors - centre
    unit_centre = _unit(anchors.vectors.double()).mean(dim=0)
    return lambda vectors: _unit(_unit(vectors) - unit_centre)


def _unit(vectors: Float64[Tensor, "rows width"]) -> Float64[Tensor, "rows width"]:
    """Divide every vector by its length; zero vectors stay zero."""
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / lengths.masked_fill(lengths == 0, 1.0)


def _alignment(
    cross: Float64[Tensor, "width width"],
    source_anchors: Anchors,
    target_anchors: Anchors,
    *,
    norms: float,
    settings: ParallelSettings,
    details: dict[str, Any],
) -> Alignment:
    """Solve one layer, and gather what vectors in context need."""
    # XᵀY is all that Procrustes looks at, and with X = I it is Y.
    prior = settings.prior
    if prior == "auto":
        prior = prior_weight(cross, torch.linalg.svdvals(cross), norms)
    matrix, rank = completed_procrustes(torch.eye(len(cross), dtype=torch.float64), cross, prior=prior)
    if details["usable_pairs"] < len(cross):
        logger.warning(
            "Alignment %s→%s, layer %d: %d pairs determine %d of %d directions; "
            "the others change as little as possible.",
            source_anchors.language,
            target_anchors.language,
            source_anchors.layer,
            details["usable_pairs"],
            rank,
            len(cross),
        )
    by_mean_norm = settings.scale == "mean_norm"
    target_scale = mean_norm_scale(target_anchors) if by_mean_norm else 1.0
    target_centre = normalise(target_anchors, settings.normalisation).centre
    return Alignment(
        source=source_anchors.language,
        target=target_anchors.language,
        layer=source_anchors.layer,
        matrix=matrix,
        scale=mean_norm_scale(source_anchors) if by_mean_norm else 1.0,
        source_centre=normalise(source_anchors, settings.normalisation).centre,
        target_centre=None if target_centre is None else target_scale * target_centre,
        target_scale=target_scale,
        method="parallel",
        details=details | {"determined_directions": rank},
    )


def _wanted(pair: SentencePair, links: Links, *, skip_punctuation: bool) -> Links:
    """Leave out links of punctuation: of words without a letter or a digit."""
    if not skip_punctuation:
        return links
    says = [[any(map(str.isalnum, word.form)) for word in side.words] for side in (pair.source, pair.target)]
    return tuple((i, j) for i, j in links if says[0][i] and says[1][j])


def _batches(linked: Sequence[SentencePair], *, batch_words: int) -> Iterator[list[SentencePair]]:
    """Cut pairs, in their order, into batches of at most ``batch_words`` words with padding, or of one longer pair."""
    batch: list[SentencePair] = []
    longest = 0
    for pair in linked:
        length = max(len(pair.source), len(pair.target))
        if batch and max(longest, length) * (len(batch) + 1) > batch_words:
            yield batch
            batch, longest = [], 0
        batch.append(pair)
        longest = max(longest, length)
    if batch:
        yield batch


def _check_layers(
    source_encoder: Encoder,
    target_encoder: Encoder,
    source_anchors: Sequence[Anchors],
    target_anchors: Sequence[Anchors],
    *,
    place: str,
) -> None:
    """Refuse encoders and anchors of different shapes."""
    shapes = [(encoder.layers, encoder.width) for encoder in (source_encoder, target_encoder)]
    if shapes[0] != shapes[1]:
        raise AlignmentError(
            f"{place}: the encoders have {shapes[0][0]} and {shapes[1][0]} layers of width {shapes[0][1]} and "
            f"{shapes[1][1]}. A rotation keeps the width, layer by layer. Train both encoders with the same shape."
        )
    for anchors in (source_anchors, target_anchors):
        found = [(each.layer, each.width) for each in anchors]
        expected = [(layer, shapes[0][1]) for layer in range(shapes[0][0])]
        if found != expected:
            raise AlignmentError(
                f"{place}: the anchors of {anchors[0].language} have (layer, width) {found}, but the encoder "
                f"{expected}. Expected one Anchors for each layer, in order. Gather them with this encoder."
            )


def _check_pairs(pairs: int, sentences: int, *, width: int, place: str, settings: ParallelSettings) -> None:
    """Refuse too few pairs, and say where they may have got lost."""
    if pairs < MINIMUM_PAIRS:
        raise AlignmentError(
            f"{place} has {pairs} word pairs in {sentences} parallel sentences; at least {MINIMUM_PAIRS} are needed. "
            "Add sentences, lower min_confidence, or check that lines with equal numbers translate each other."
        )
    if pairs < width and settings.too_few_pairs == "error":
        raise AlignmentError(
            f"{place} has {pairs} word pairs in {sentences} parallel sentences; width {width} needs at least {width}. "
            "Add sentences, or let the other directions change as little as possible (--few-pairs, or too_few_pairs = "
            '"complete").'
        )

"""The shape of a space of contextual vectors: how far words lie apart, and how far their tokens lie from them.

Alignment by anchors rests on two facts: anchors of different words are far apart, and a word's vectors in context stay
close to its anchor. `geometry` measures both on finished anchors, without reading the text again, since anchors keep
the mean norm and the mean squared norm of their tokens. It also says how evenly the space is used, for vectors of
language models often crowd into a narrow cone, where everything is near to everything.

Receives the `Anchors` of one layer; hands on a `Geometry`. All means over pairs are over *all* pairs: they follow from
sums over words and from the words' second moments, so a large vocabulary needs no sampling.

Sources: Schuster et al. (2019), section 3.1 and Table 1; Mu & Viswanath (2018), All-but-the-Top, section 2.2;
Ethayarajh (2019), How Contextual are Contextualized Word Representations?, section 3; Roy & Vetterli (2007), The
Effective Rank.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from isogloss.errors import VectorsError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.homonyms import ENGLISH_HOMONYMS


@dataclass(frozen=True)
class Spread:
    """A mean with its standard deviation, that of the whole population (divided by its number)."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Geometry:
    """The shape of one language's space in one layer. Distances are 1 − cosine, from 0 to 2.

    What tells tokens from anchors is None where the anchors are vectors of other tools, which know no tokens.
    """

    language: str
    layer: int
    min_count: int
    """Words with fewer occurrences are left out of every number here."""
    words: int
    """Word types measured."""
    tokens: int
    """Their occurrences."""

    anchor_distance: Spread
    """Between the anchors of two different words, over all pairs. Its mean is 1 where anchors point everywhere, and
    near 0 where they crowd into a cone: 1 less this is the mean cosine of two random words, the plainest measure of
    anisotropy."""
    token_distance: Spread | None
    """Of tokens to their own anchor, over word types. Within a type every token weighs as much as its norm, which makes
    the mean exact without the tokens: 1 − |anchor| / mean norm."""
    token_distance_by_tokens: float | None
    """The same, each word type weighing as much as it has tokens."""
    homonym_distance: Spread | None
    """`token_distance` of the homonyms alone; None also where none was found."""
    homonyms_asked: int
    """Distinct words in the list of homonyms."""
    homonyms_found: int
    """Those among the words measured."""

    partition_isotropy: float
    """Least over largest Σ exp(c·v) over the principal directions c and −c, vectors v divided by their mean norm: 1
    where no direction is preferred."""
    mean_share: float
    """Share of the mean squared norm that lies in the mean vector, from 0 to 1: what centring takes away."""
    first_share: float
    """Share of the variance of the anchors around their mean that lies in the first principal direction."""
    first_ten_share: float
    """… in the first ten."""
    effective_rank: float
    """In how many directions the variance lies: exp of the entropy of its shares, from 1 to the width."""

    within_type_share: float | None
    """Share of the variance of tokens that lies within word types, from 0 to 1; the rest is between them."""
    self_similarity: Spread | None
    """Mean cosine of two tokens of one word type, over word types; a pair weighs as much as the product of norms."""
    random_similarity: float | None
    """Mean cosine of tokens of two different word types, weighed likewise: what `self_similarity` is to be seen
    against."""

    def to_row(self) -> dict[str, Any]:
        """Return the numbers for JSON: spreads as two entries, ``…_mean`` and ``…_sd``."""
        row: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name in _SPREADS:
                row |= {f"{name}_mean": value and value.mean, f"{name}_sd": value and value.sd}
            else:
                row[name] = value
        return row


_SPREADS = ("anchor_distance", "token_distance", "homonym_distance", "self_similarity")


def geometry(anchors: Anchors, *, min_count: int = 100, homonyms: Sequence[str] | None = None) -> Geometry:
    """Measure the shape of a space from its anchors.

    Only words made of letters count, as in the paper.

    Args:
        anchors: Of one layer.
        min_count: Occurrences that a word must have (100 in the paper).
        homonyms: Words to look at by themselves, found as written, else in lower case. Without a list, those of
            `ENGLISH_HOMONYMS` for English and none for other languages.

    Raises:
        VectorsError: There are fewer than two words to compare.
    """
    frequent = (anchors.counts >= min_count).tolist()
    rows = [row for row, word in enumerate(anchors.words) if frequent[row] and is_alphabetic(word)]
    if len(rows) < 2:
        raise VectorsError(
            f"Anchors of {anchors.language}, layer {anchors.layer}: {len(rows)} of {len(anchors)} word types are made "
            f"of letters and occur {min_count} times. Distances need two at least. Lower min_count, or gather anchors "
            "from more text."
        )
    kept = torch.tensor(rows)
    vectors, counts = anchors.vectors[kept].double(), anchors.counts[kept]
    norms = torch.linalg.vector_norm(vectors, dim=1)
    if homonyms is None:
        homonyms = ENGLISH_HOMONYMS if anchors.language == "en" else ()
    found = _find([anchors.words[row] for row in rows], homonyms)

    distances = within = itself = among = None
    if anchors.token_norms is not None:
        token_norms = anchors.token_norms[kept]
        # Vectors are stored in float32: where all tokens of a type are equal, rounding may leave the anchor longer.
        distances = (1 - norms / _positive(token_norms)).clamp(min=0)
        among = _cosine_between_tokens(vectors, token_norms)
        if anchors.token_squares is not None:
            token_squares = anchors.token_squares[kept]
            within = _share_within_types(vectors, counts, token_squares)
            itself = _spread(_cosine_within_types(norms, counts, token_norms, token_squares))
    shares = _shares_of_variance(vectors)
    return Geometry(
        language=anchors.language,
        layer=anchors.layer,
        min_count=min_count,
        words=len(rows),
        tokens=sum(counts.tolist()),  # which may be more than an int64 holds
        anchor_distance=_distances_of_pairs(vectors),
        token_distance=None if distances is None else _spread(distances),
        token_distance_by_tokens=None if distances is None else float(distances @ _shares(counts)),
        homonym_distance=None if distances is None or not found else _spread(distances[found]),
        homonyms_asked=len(set(homonyms)),
        homonyms_found=len(found),
        partition_isotropy=partition_isotropy(vectors),
        mean_share=float(vectors.mean(dim=0).square().sum() / _positive(norms.square().mean())),
        first_share=float(shares[0]),
        first_ten_share=float(shares[:10].sum()),
        effective_rank=float(torch.exp(-torch.xlogy(shares, shares).sum())),
        within_type_share=within,
        self_similarity=itself,
        random_similarity=among,
    )


def is_alphabetic(word: str) -> bool:
    """Whether a word is made of letters, with whatever marks its script puts on them.

    ``str.isalpha`` refuses the vowel signs of Hindi and the combining accents of any script; they are marks.

    >>> [is_alphabetic(word) for word in ("bear", "हिन्दी", "l'", "3rd", "")]
    [True, True, False, False, False]
    """
    return word[:1].isalpha() and all(unicodedata.category(letter)[0] in "LM" for letter in word)


def partition_isotropy(vectors: Float64[Tensor, "types width"]) -> float:
    """Tell how alike the directions of a space are: the least over the largest partition function.

    The partition function Z(c) = Σ exp(c·v) of a unit vector c is the same for all c in a space without preferred
    directions. Candidates for c are the eigenvectors of VᵀV, as in the paper. We divide vectors by their mean norm
    first, so that the number does not depend on an encoder's scale, and try both signs of every eigenvector, since the
    sign that a solver returns is chance.

    Source: Mu & Viswanath (2018), section 2.2, equation 4.
    """
    scaled = vectors / _positive(torch.linalg.vector_norm(vectors, dim=1).mean())
    directions = torch.linalg.eigh(scaled.mT @ scaled).eigenvectors  # width width, a direction per column
    products = scaled @ directions  # types width
    # Numbers can be large where one word's vector is far longer than the mean, so that sums are taken as logarithms.
    logarithms = torch.stack([torch.logsumexp(products, dim=0), torch.logsumexp(-products, dim=0)])
    return float(torch.exp(logarithms.min() - logarithms.max()))


def _find(words: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Find words as written, else in lower case; each row once."""
    row_by_word = {word: row for row, word in enumerate(words)}
    rows = (row_by_word.get(word, row_by_word.get(word.lower())) for word in wanted)
    return list(dict.fromkeys(row for row in rows if row is not None))


def _distances_of_pairs(vectors: Float64[Tensor, "types width"]) -> Spread:
    """Return mean and standard deviation of 1 − cosine over all pairs of different rows.

    With unit rows u, Σᵢⱼ uᵢ·uⱼ = |Σ u|², and Σᵢⱼ (uᵢ·uⱼ)² = ‖UᵀU‖² (Frobenius): the pairs need not be formed. A zero
    vector has cosine 0 with every other.
    """
    unit = torch.nn.functional.normalize(vectors, dim=1)
    own = unit.square().sum(dim=1)  # 1, or 0 for a zero vector
    pairs = len(unit) * (len(unit) - 1)  # each in both orders
    mean = float(unit.sum(dim=0).square().sum() - own.sum()) / pairs
    square = float((unit.mT @ unit).square().sum() - own.square().sum()) / pairs
    return Spread(1 - mean, max(square - mean**2, 0.0) ** 0.5)


def _shares_of_variance(vectors: Float64[Tensor, "types width"]) -> Float64[Tensor, " width"]:
    """Return the share of the variance around the mean in every principal direction, largest first."""
    centred = vectors - vectors.mean(dim=0)
    variances = torch.linalg.eigvalsh(centred.mT @ centred).flip(0).clamp(min=0)  # rounding leaves −1e-16
    return variances / _positive(variances.sum())


def _share_within_types(
    vectors: Float64[Tensor, "types width"], counts: Int64[Tensor, " types"], token_squares: Float64[Tensor, " types"]
) -> float:
    """Return the variance of tokens around their anchors over their variance around the mean of all tokens."""
    weights = _shares(counts)
    within = float(weights @ (token_squares - vectors.square().sum(dim=1)).clamp(min=0))
    centre = weights @ vectors
    between = float(weights @ (vectors - centre).square().sum(dim=1))
    return within / (within + between) if within + between else 0.0


def _cosine_within_types(
    norms: Float64[Tensor, " types"],
    counts: Int64[Tensor, " types"],
    token_norms: Float64[Tensor, " types"],
    token_squares: Float64[Tensor, " types"],
) -> Float64[Tensor, " repeated"]:
    """Return the mean cosine of two tokens t of one type, for every type seen twice: Σ tᵢ·tⱼ / Σ |tᵢ| |tⱼ|, i ≠ j.

    Both sums over pairs are a square of a sum, less the squares: |Σ t|² − Σ |t|² over (Σ |t|)² − Σ |t|².

    Source: Ethayarajh (2019), section 3.3, where all pairs weigh the same.
    """
    repeated = counts > 1
    number = counts[repeated].double()
    squares = token_squares[repeated] / number
    # Divided by the number of tokens squared. Tokens of norm 0 have no direction, and count as alike.
    above = norms[repeated].square() - squares
    below = token_norms[repeated].square() - squares
    return torch.where(below > 0, above / _positive(below), 1.0)


def _cosine_between_tokens(vectors: Float64[Tensor, "types width"], token_norms: Float64[Tensor, " types"]) -> float:
    """Return the mean cosine of two tokens of different types, each type weighing the same before norms do.

    Over the tokens t of one type and s of another, Σ t·s / Σ |t| |s| is the product of the anchors over that of the
    mean norms; so it is summed over all pairs of types.
    """
    above = vectors.sum(dim=0).square().sum() - vectors.square().sum()
    below = token_norms.sum().square() - token_norms.square().sum()
    return float(above / _positive(below))


def _shares(counts: Int64[Tensor, " types"]) -> Float64[Tensor, " types"]:
    """Return the share of the tokens that each type has."""
    return counts.double() / counts.double().sum()


def _spread(values: Float64[Tensor, " values"]) -> Spread | None:
    """Return mean and standard deviation; None of no values."""
    return Spread(float(values.mean()), float(values.std(correction=0))) if len(values) else None


def _positive(values: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
    """Replace zeros by ones where they divide zeros."""
    return values.masked_fill(values == 0, 1.0)

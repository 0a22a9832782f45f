"""What words look like, as vectors of their letter groups: a help in looking up translations.

*Nation* is *nación* and *Nation*; *night* is *Nacht*. Kindred languages share spellings, and where they do not share
them, they differ by rule. So for the look-up alone, a word is its vector (of length 1) and beside it the letter groups
that it is made of:

    unit(vector), spelling weight · unit(Σ signs of its letter groups)

A letter group is two or three neighbouring letters, ends of the word included, in lower case and without marks (é as
e). Each has signs ±1 of its own in `SPELLING_WIDTH` directions, drawn by a hash, so that words are the nearer the more
groups they share, in any script, and no list of groups need be kept. `weighting.symmetric_weighting` then finds from
a dictionary's pairs how both parts correspond: where languages are written with the same letters, which `same_letters`
sees, the identity stands for *the same group*, and pairs tell the rest, such as *-ation* and *-ación*.

Receives words; hands on vectors for the weighting. From a dictionary the map, and all vectors that it carries, know
nothing of spelling; without one it helps to find the pairs that the map is made of, see `spelling_rounds`.

Source: Riley and Gildea (2018), Orthographic Features for Bilingual Lexicon Induction, who put letter groups beside
word vectors. Random signs for groups: Achlioptas (2003), Database-friendly random projections. That correspondences of
groups are learnt with those of the vectors is ours.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from isogloss.lexicon.anchors import undotted, without_sense

SPELLING_WIDTH = 512
"""Numbers that describe the spelling of a word: the bits of one BLAKE2b hash. With 1,024 hardly more is found."""
LETTERS = (2, 3)
"""Lengths of letter groups. With one or four, less is found in the mean of three languages."""
SAME_LETTERS = 0.02
"""How well the identity must serve the pairs' spelling, beside the best rotation. English and Kazakh have 0.003, other
languages of Europe 0.15 (Turkish) to 0.66 (French), and 0.04 to 0.09 if pairs are dealt out anew."""


def spelling_vectors(words: Sequence[str]) -> Float32[Tensor, "words spelling"]:
    """Return a vector of length 1 for each word, of `SPELLING_WIDTH` numbers.

    Words that differ only in case, in marks on letters, or in the number of a sense are alike.
    """
    number_by_group: dict[str, int] = {}
    numbers: list[int] = []
    begins: list[int] = []
    for word in words:
        begins.append(len(numbers))
        numbers += [number_by_group.setdefault(group, len(number_by_group)) for group in letter_groups(word)]
    if not begins:
        return torch.zeros(0, SPELLING_WIDTH)
    hashes = b"".join(hashlib.blake2b(group.encode("utf-8", "surrogatepass")).digest() for group in number_by_group)
    bits = np.unpackbits(np.frombuffer(hashes, dtype=np.uint8)).reshape(-1, SPELLING_WIDTH)
    signs = torch.from_numpy(bits.astype(np.float32) * 2 - 1)
    sums = torch.nn.functional.embedding_bag(torch.tensor(numbers), signs, torch.tensor(begins), mode="sum")
    return torch.nn.functional.normalize(sums, dim=1)


def letter_groups(word: str) -> list[str]:
    """Return the letter groups of a word, blanks standing for its ends.

    >>> letter_groups("Été#2")
    [' e', 'et', 'te', 'e ', ' et', 'ete', 'te ']
    """
    apart = unicodedata.normalize("NFD", undotted(without_sense(word)))
    letters = "".join(letter for letter in apart if not unicodedata.combining(letter))
    whole = f" {letters} "
    return [whole[begin : begin + length] for length in LETTERS for begin in range(len(whole) - length + 1)]


def beside_spelling(
    vectors: Float[Tensor, "types width"], words: Sequence[str], *, weight: float
) -> Float[Tensor, "types width_and_spelling"]:
    """Return the vectors, of length 1, and the spelling of their words beside them, of length ``weight``."""
    spelling = weight * spelling_vectors(words).to(vectors)
    return torch.cat([torch.nn.functional.normalize(vectors, dim=1), spelling], dim=1)


def same_letters(source: Float[Tensor, "pairs spelling"], target: Float[Tensor, "pairs spelling"]) -> bool:
    """Whether two languages are written with the same letters, so that the identity means *the same group*.

    Args:
        source: Spelling of a dictionary's words.
        target: That of their translations.
    """
    M: Float64[Tensor, "spelling spelling"] = source.double().mT @ target.double()
    return float(M.trace()) > SAME_LETTERS * float(torch.linalg.svdvals(M).sum())

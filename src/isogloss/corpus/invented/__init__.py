"""A family of invented languages with raw text, gold trees, dictionaries and senses: nothing to download.

One grammar of events (`events`) in one world (`world`) is said (`realise`) in languages (`languages`)
that differ in word order, endings, sounds and script (`sounds`, `words`). `family` writes it all out.
What an aligner or a parser finds can be checked against the truth.
"""

from isogloss.corpus.invented.family import (
    FamilySettings,
    align,
    dictionary_pairs,
    parallel_sentences,
    senses,
    sentences,
    split_dictionary,
    text_lines,
    treebank,
    write_family,
)
from isogloss.corpus.invented.languages import LANGUAGES, REFERENCE, InventedLanguage
from isogloss.corpus.invented.words import ambiguous_forms

__all__ = [
    "LANGUAGES",
    "REFERENCE",
    "FamilySettings",
    "InventedLanguage",
    "align",
    "ambiguous_forms",
    "dictionary_pairs",
    "parallel_sentences",
    "senses",
    "sentences",
    "split_dictionary",
    "text_lines",
    "treebank",
    "write_family",
]

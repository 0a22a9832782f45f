"""isogloss: parse a language that has raw text but no treebank.

Train a bidirectional language model per language, find every word type's anchor, align the languages into one space,
train one parser on the languages that have treebanks, and parse those that have none. The public names load what they
need when they are first used, so that ``import isogloss`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogloss.bundle import Bundle, open_bundle
    from isogloss.corpus.cipher import make_cipher
    from isogloss.corpus.conllu import iterate_conllu, read_conllu, read_treebank, write_conllu
    from isogloss.corpus.invented.family import FamilySettings, write_family
    from isogloss.corpus.raw_text import read_text
    from isogloss.corpus.sentence import Sentence, Word
    from isogloss.corpus.treebank import Treebank
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.encoders.elmo.settings import BiLMSettings, BiLMTrainingSettings
    from isogloss.encoders.elmo.training import train_bilm
    from isogloss.encoders.encoder import ContextualEmbeddings, Encoder
    from isogloss.encoders.static import static_vectors
    from isogloss.errors import IsoglossError
    from isogloss.experiment import Run, run
    from isogloss.lexicon.anchor_encoder import AnchorEncoder
    from isogloss.lexicon.anchor_files import load_all_anchors, save_anchors
    from isogloss.lexicon.anchors import Anchors, AnchorSums
    from isogloss.lexicon.dictionary import BilingualDictionary, read_dictionary
    from isogloss.lexicon.extraction import extract_anchors
    from isogloss.lexicon.geometry import geometry
    from isogloss.lexicon.settings import AnchorSettings
    from isogloss.mapping.alignment import Alignment, load_alignment, save_alignment
    from isogloss.mapping.fit import fit_alignment
    from isogloss.mapping.retrieval import translation_precision
    from isogloss.mapping.settings import (
        AdversarialSettings,
        ProcrustesSettings,
        RCSLSSettings,
        SelfLearningSettings,
    )
    from isogloss.mapping.shared_space import SharedSpace
    from isogloss.parsing.attachment import AttachmentScores, attachment_scores
    from isogloss.parsing.parser import Parser
    from isogloss.parsing.settings import ParserSettings
    from isogloss.parsing.training import train_parser
    from isogloss.recipe import Recipe
    from isogloss.recipe_reading import load_recipe

_HOMES = {
    "corpus.cipher": ("make_cipher",),
    "corpus.conllu": ("iterate_conllu", "read_conllu", "read_treebank", "write_conllu"),
    "corpus.invented.family": ("FamilySettings", "write_family"),
    "corpus.raw_text": ("read_text",),
    "corpus.sentence": ("Sentence", "Word"),
    "corpus.treebank": ("Treebank",),
    "encoders.elmo.embedder": ("ELMoEncoder",),
    "encoders.elmo.settings": ("BiLMSettings", "BiLMTrainingSettings"),
    "encoders.elmo.training": ("train_bilm",),
    "encoders.encoder": ("ContextualEmbeddings", "Encoder"),
    "encoders.static": ("static_vectors",),
    "errors": ("IsoglossError",),
    "lexicon.anchor_encoder": ("AnchorEncoder",),
    "lexicon.anchor_files": ("load_all_anchors", "save_anchors"),
    "lexicon.anchors": ("AnchorSums", "Anchors"),
    "lexicon.dictionary": ("BilingualDictionary", "read_dictionary"),
    "lexicon.extraction": ("extract_anchors",),
    "lexicon.geometry": ("geometry",),
    "lexicon.settings": ("AnchorSettings",),
    "mapping.alignment": ("Alignment", "load_alignment", "save_alignment"),
    "mapping.fit": ("fit_alignment",),
    "mapping.retrieval": ("translation_precision",),
    "mapping.settings": ("AdversarialSettings", "ProcrustesSettings", "RCSLSSettings", "SelfLearningSettings"),
    "mapping.shared_space": ("SharedSpace",),
    "parsing.attachment": ("AttachmentScores", "attachment_scores"),
    "parsing.parser": ("Parser",),
    "parsing.settings": ("ParserSettings",),
    "parsing.training": ("train_parser",),
    "recipe": ("Recipe",),
    "recipe_reading": ("load_recipe",),
    "bundle": ("Bundle", "open_bundle"),
    "experiment": ("Run", "run"),
}
_HOME_BY_NAME = {name: f"isogloss.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [
    *_HOME_BY_NAME,
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home when it is first used (PEP 562)."""
    if name not in _HOME_BY_NAME:
        raise AttributeError(f"module 'isogloss' has no attribute {name!r}")
    value = getattr(import_module(_HOME_BY_NAME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOME_BY_NAME)

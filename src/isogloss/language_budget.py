"""How long, and how, the language model of a new language is trained: chosen by the size of its text.

Receives the size of a text; hands on settings. Nobody who brings in a language should have to know of epochs.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.corpus.word_kinds import is_sign
from isogloss.recipe import LanguageCorpus

if TYPE_CHECKING:
    from isogloss.encoders.elmo.settings import BiLMSettings, BiLMTrainingSettings

PLACES = 1_600_000
"""Words that a language model reads in all: a text is passed through until so many are read …"""
MOST_PLACES = 3_000_000
"""… but a large text is read once, at most so far."""
MOST_PASSES = 12
HELD = 0.5
"""Share of the steps for which recurrent layers stay those of the model that a language begins as: so words find their
places in a space that the parser knows. German gains by it; Turkish, which is far, loses, less than by more of it
(docs/results.md)."""
FEWEST_SIGNS = 5
"""Signs that are rarer are passed over: their anchors would be chance."""
ROOMY_TEXT = 1_000_000
"""Words from which on a text is large enough to be learned from with little dropout."""
FEW_SENTENCES = 10_000
"""Sentences below which a model is not only started from another's, but held to it while it learns."""
CONTEXT_WEIGHT = 1.0
"""How strongly words in context are held to it, beside words out of context, if there are so many pairs: …"""
PAIRS_IN_CONTEXT = 1000
"""… Spanish with 4,800 gains 1.4 LAS, Kazakh with 350 loses as much (docs/results.md)."""


@dataclass(frozen=True)
class TextSize:
    """How large a text is, counted as far as it matters: up to `MOST_PLACES` words."""

    words: int
    sentences: int
    signs: tuple[str, ...] = ()
    """Punctuation and symbols that stand in it `FEWEST_SIGNS` times or more, most frequent first."""


def size_of(corpus: LanguageCorpus, language: str) -> TextSize:
    """Count the training part of a text."""
    from isogloss.encoders.elmo.streams import TextFile

    text = TextFile(Path(corpus.text or ""), language, corpus.tokenised, max_sentences=corpus.max_sentences)
    words = sentences = 0
    signs: Counter[str] = Counter()
    for line in text.lines(held_out=False):
        found = text.words(line)
        words, sentences = words + len(found), sentences + 1
        signs.update(filter(is_sign, found))
        if words >= MOST_PLACES:
            break
    return TextSize(words, sentences, tuple(sign for sign, count in signs.most_common() if count >= FEWEST_SIGNS))


@dataclass(frozen=True)
class Training:
    """How a language model is trained."""

    settings: "BiLMTrainingSettings"
    anchored: bool
    """Whether its words are pulled to their translations, in context, too; see `encoders/elmo/pull.py`."""


def training_for(text: TextSize, shape: "BiLMSettings", *, pairs: int, of_kin: bool = False) -> Training:
    """Choose how a language model is trained from so much text: the one place where this is decided.

    All start from the model of the reference or of a kindred language, and at first keep its recurrent layers. A small
    text is read many times, with much dropout; of a large one a part will do. These are the budgets of the models that
    come with the project (docs/results.md). A very small text is too little to keep words near their translations, so a
    dictionary does it, if there is one.

    Args:
        text: How large it is.
        shape: Of that model.
        pairs: Of the dictionary; 0 without one.
        of_kin: Whether it is the model of a kindred language, in whose space the new one must stay since it takes over
            that one's map. There are no anchors of it, to which words could be pulled in context.
    """
    from isogloss.encoders.elmo.settings import AnchoringSettings, BiLMLoopSettings, BiLMTrainingSettings

    words = text.words
    settings = BiLMTrainingSettings(model=shape, start="reference", hold_recurrent=HELD)
    per_step = settings.rows * settings.unroll
    passes = max(1, min(MOST_PASSES, round(PLACES / max(1, words))))
    steps = max(1, min(MOST_PLACES, passes * words) // per_step)
    small = words < ROOMY_TEXT
    settings = settings.model_copy(
        update={
            "epochs": passes,
            "dropout": (0.3 if passes == MOST_PASSES else 0.2) if small else 0.1,
            "loop": BiLMLoopSettings(
                max_steps=steps,
                learning_rate=6e-3,
                evaluate_every=max(1, steps // 8),
                patience=3 if passes == MOST_PASSES else 0,
            ),
        }
    )
    anchored = pairs > 0 and (of_kin or text.sentences < FEW_SENTENCES)
    if anchored and not of_kin and pairs >= PAIRS_IN_CONTEXT:
        settings = settings.model_copy(update={"anchoring": AnchoringSettings(context_weight=CONTEXT_WEIGHT)})
    return Training(settings, anchored=anchored)

"""What a rich language's model lends to that of another language: its layers to start from, its words to be near to.

Receives the folder of a trained model and perhaps a dictionary; hands on what `train_bilm` is to be given. See
`mapping/transfer.py` for the start and `encoders/elmo/pull.py` for words that are pulled to their translations.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.errors import AlignmentError, RecipeError

if TYPE_CHECKING:
    from torch import Tensor

    from isogloss.encoders.elmo.anchoring import RichLanguage
    from isogloss.encoders.elmo.counting import Transfer
    from isogloss.encoders.elmo.settings import BiLMTrainingSettings
    from isogloss.lexicon.dictionary import BilingualDictionary

FIRST_RECURRENT = 1
"""Layer whose anchors pull words in context; layer 0 is before it."""


@dataclass(frozen=True)
class Lent:
    """What a training is given, and what the card tells of it."""

    transfer: "Transfer | None" = None
    beside: "RichLanguage | None" = None
    card: dict[str, Any] = field(default_factory=dict)


def lend(
    rich: Path,
    *,
    language: str,
    settings: "BiLMTrainingSettings",
    dictionary: Path | None,
    anchored: bool,
    anchors: Path | None = None,
) -> Lent:
    """Load a trained model and prepare what it lends.

    Args:
        rich: Its folder; a shrunk model will do.
        language: Code of the language to be trained.
        settings: With ``start = "reference"`` an anchored model starts from this one, too; others do in any case.
        dictionary: Of both languages, its columns in either order; without it a start takes words spelt alike.
        anchored: Whether words are pulled to their translations. Needs a dictionary.
        anchors: Of the rich language, for words that are pulled in context, too (`AnchoringSettings.context_weight`).
    """
    from isogloss.encoders.elmo.anchoring import RichLanguage
    from isogloss.encoders.elmo.embedder import ELMoEncoder
    from isogloss.mapping.transfer import start_from_model

    trained = ELMoEncoder.load(rich)
    pairs = None
    if dictionary is not None:
        words = trained.vocabulary.words[: trained.model.word_types or None]
        pairs = dictionary_towards(dictionary, source=language, target=trained.language, target_words=words)

    same = trained.language == language

    def transfer(model: Any, vocabulary: Any, vectors: Any) -> None:
        try:
            start_from_model(model, vocabulary, vectors, reference=trained, dictionary=pairs, same_language=same)
        except AlignmentError as error:
            raise AlignmentError(f"Language model of {language!r}: {error}") from error

    card: dict[str, Any] = {}
    starts = settings.start == "reference" or not anchored
    if starts:
        alike = "its own" if same else "spelt alike"
        card |= {"started_from": trained.language, "seed_pairs": alike if pairs is None else "dictionary"}
        card |= {"recurrent_held": settings.hold_recurrent} if settings.hold_recurrent else {}
    if not anchored:
        return Lent(transfer=transfer if starts else None, card=card)
    if pairs is None:
        raise RecipeError(
            f"The model of {language!r} is to be anchored to that of {trained.language!r}, and there is no dictionary. "
            f"Expected pairs of words: by them the two are held together. Give a dictionary."
        )
    card |= {"anchored_to": trained.language, "anchoring_weight": settings.anchoring.weight}
    if settings.anchoring.context_weight > 0:
        card["context_weight"] = settings.anchoring.context_weight
    if settings.anchoring.softmax_weight > 0:
        card["softmax_weight"] = settings.anchoring.softmax_weight
    in_context = None if anchors is None else _anchors_in_context(anchors, {other for _, other in pairs.pairs})
    return Lent(transfer if starts else None, RichLanguage(trained, pairs.pairs, in_context), card)


def _anchors_in_context(folder: Path, translations: Collection[str]) -> "dict[str, Tensor]":
    """Read the anchors of the first recurrent layer, of those words that may be asked for in some case."""
    from isogloss.lexicon.anchor_sources import open_anchors

    found = next((one for one in open_anchors(folder) if one.layer == FIRST_RECURRENT), None)
    if found is None:
        raise RecipeError(
            f"{folder}: holds no anchors of layer {FIRST_RECURRENT}. Expected those of the first recurrent layer. "
            f"Gather anchors of all layers with `isogloss anchors`."
        )
    wanted = {word.lower() for word in translations}
    return {word: found.vectors[row] for row, word in enumerate(found.words) if word.lower() in wanted}


def dictionary_towards(path: Path, *, source: str, target: str, target_words: Collection[str]) -> "BilingualDictionary":
    """Read a dictionary whose columns may come in either order.

    The column of which more words are known to the target language is its own.

    Args:
        path: Lines with a word of each language, a tab between.
        source: Code of the one language.
        target: Code of the other.
        target_words: What is known to be its words.
    """
    from isogloss.lexicon.dictionary import read_dictionary

    known = {word.lower() for word in target_words}
    found = read_dictionary(path, source=source, target=target)
    first, second = (sum(pair[side].lower() in known for pair in found.pairs) for side in (0, 1))
    return read_dictionary(path, source=target, target=source).reversed() if first > second else found

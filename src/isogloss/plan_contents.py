"""What of a recipe's data and settings goes into the keys of stages, see `isogloss.plan`."""

from pathlib import Path
from typing import Any

from isogloss.corpus.invented.family import FamilySettings
from isogloss.recipe import INVENTED_SPLITS, LanguageCorpus
from isogloss.settings import Settings

INVENTED_LICENCE = "CC0-1.0 (invented by isogloss)"
_TIME_AND_MEMORY = {"checkpoint_seconds"}
"""Settings that no artifact's content depends on."""
_LATER_WEIGHTS = ("context_weight", "softmax_weight")


def invented_corpora(family: FamilySettings, folder: Path) -> dict[str, LanguageCorpus]:
    """Return where the files of the invented languages will stand."""

    def at(language: str, name: str) -> str:
        return str(folder / "corpus" / language / name)

    return {
        language: LanguageCorpus(
            text=at(language, "text.txt"),
            treebank={split: at(language, f"{split}.conllu") for split in INVENTED_SPLITS},
            licence=INVENTED_LICENCE,
        )
        for language in family.languages
    }


def content_of(settings: Settings) -> dict[str, Any]:
    """Return settings as JSON, without those that steer time and memory only."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: kept(inner) for name, inner in value.items() if name not in _TIME_AND_MEMORY}
        return value

    return kept(settings.model_dump(mode="json"))


def training_of(settings: Settings, *, anchored: bool) -> dict[str, Any]:
    """Return the settings of a language model's training; those of anchoring only if it is anchored to another.

    Weights that may be left at 0 came later than others, and are left out there: models made before stay valid. So is
    `hold_recurrent`, where nothing is held.
    """
    content = content_of(settings)
    if not content["hold_recurrent"]:
        del content["hold_recurrent"]
    anchoring = {name: value for name, value in content.pop("anchoring").items() if value or name not in _LATER_WEIGHTS}
    return content | ({"anchoring": anchoring} if anchored else {})


def limits_of(corpus: LanguageCorpus, language: str) -> dict[str, Any]:
    """Return the settings that say how a raw text is read."""
    return {"language": language, "tokenised": corpus.tokenised, "max_sentences": corpus.max_sentences}

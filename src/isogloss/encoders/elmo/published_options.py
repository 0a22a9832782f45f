"""The options that accompany published ELMo weights: the shape of the network, as JSON.

bilm-tf could make other networks than `BiLM`: with tanh, without residual connections, without clipping. Those are
refused by name rather than read wrongly. Keys that say nothing of the shape are passed over.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.corpus.characters import CHARACTERS, LONGEST_WORD
from isogloss.encoders.elmo.settings import BiLMSettings
from isogloss.errors import ArtifactError


def read_options(path: Path) -> tuple[BiLMSettings, int]:
    """Read a model's shape, and the number of its character ids: 261 or 262.

    Raises:
        ArtifactError: The file is missing or is no JSON, a key is missing, or its value describes a network that
            `BiLM` is not. The message names the key.
    """
    options = _Options.read(path)
    options.expect("lstm.use_skip_connections", True, "layers above the first add their input to their output")
    options.expect("char_cnn.activation", "relu", "character filters and highway layers are followed by relu")
    options.expect("char_cnn.max_characters_per_token", LONGEST_WORD, "a word is read as so many characters")
    if options.has("bidirectional"):
        options.expect("bidirectional", True, "there are two directions")
    characters = options.whole("char_cnn.n_characters")
    if characters not in (CHARACTERS - 1, CHARACTERS):
        raise options.refusal(
            "char_cnn.n_characters", characters, f"{CHARACTERS - 1} (training) or {CHARACTERS} (reading)"
        )
    settings = BiLMSettings(
        character_width=options.whole("char_cnn.embedding.dim"),
        filters=options.filters("char_cnn.filters"),
        highways=options.whole("char_cnn.n_highway", least=0),
        word_types=0,
        projection_width=options.whole("lstm.projection_dim"),
        cell_width=options.whole("lstm.dim"),
        layers=options.whole("lstm.n_layers"),
        cell_clip=options.clip("lstm.cell_clip"),
        projection_clip=options.clip("lstm.proj_clip"),
    )
    return settings, characters


def options_of(settings: BiLMSettings) -> dict[str, Any]:
    """Say a model's shape as options."""
    return {
        "lstm": {
            "use_skip_connections": True,
            "projection_dim": settings.projection_width,
            "cell_clip": settings.cell_clip,
            "proj_clip": settings.projection_clip,
            "dim": settings.cell_width,
            "n_layers": settings.layers,
        },
        "char_cnn": {
            "activation": "relu",
            "filters": [list(pair) for pair in settings.filters],
            "n_highway": settings.highways,
            "embedding": {"dim": settings.character_width},
            "n_characters": CHARACTERS,
            "max_characters_per_token": LONGEST_WORD,
        },
    }


@dataclass(frozen=True)
class _Options:
    """The content of a file of options. A key is a path: ``lstm.dim``."""

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "_Options":
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ArtifactError(
                f"{path}: no such file. Expected the options of ELMo weights. Check the path."
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise ArtifactError(
                f"{path}: not readable as JSON ({error}). Expected the options of ELMo weights. Check that it is the "
                f"right file, or copy it again."
            ) from error
        if not isinstance(content, dict):
            raise ArtifactError(
                f"{path}: holds {_short(content)}. Expected the options of ELMo weights, a JSON object with lstm and "
                f"char_cnn. Check that it is the right file."
            )
        return cls(path, content)

    def has(self, key: str) -> bool:
        return self._look_up(key) is not _MISSING

    def value(self, key: str) -> Any:
        found = self._look_up(key)
        if found is _MISSING:
            raise ArtifactError(
                f"{self.path}, {key}: missing. Expected the options that the weights were trained with. Add the key, "
                f"or check that it is the right file."
            )
        return found

    def whole(self, key: str, *, least: int = 1) -> int:
        found = self.value(key)
        if not _is_whole(found, least):
            raise self.refusal(key, found, f"a whole number, {least} or more")
        return found

    def clip(self, key: str) -> float:
        found = self.value(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= sys.float_info.max:
            raise self.refusal(key, found, "a number above 0: models without clipping are not supported")
        return float(found)

    def filters(self, key: str) -> tuple[tuple[int, int], ...]:
        found = self.value(key)
        if not (
            isinstance(found, list)
            and found
            and all(isinstance(pair, list) and len(pair) == 2 for pair in found)
            and all(_is_whole(span, 1) and span <= LONGEST_WORD and _is_whole(number, 1) for span, number in found)
        ):
            raise self.refusal(key, found, f"a list of pairs [span, number] with spans from 1 to {LONGEST_WORD}")
        return tuple((span, number) for span, number in found)

    def expect(self, key: str, expected: Any, meaning: str) -> None:
        found = self.value(key)
        if found != expected or isinstance(found, bool) != isinstance(expected, bool):
            raise self.refusal(key, found, f"{json.dumps(expected)}: {meaning}")

    def refusal(self, key: str, found: Any, expected: str) -> ArtifactError:
        return ArtifactError(
            f"{self.path}, {key}: found {_short(found)}. Expected {expected}. Choose such a model, or "
            f"correct the options if they are not those of the weights."
        )

    def _look_up(self, key: str) -> Any:
        found: Any = self.content
        for part in key.split("."):
            found = found.get(part, _MISSING) if isinstance(found, dict) else _MISSING
        return found


_MISSING = object()


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"

"""The trained parser: sentences in, trees out; saved in a folder, loaded from it.

A parser folder holds `model.safetensors` (the weights), `relations.txt` (one relation per line, in the order
of the network's outputs) and `settings.json` (settings, what encoder it was trained with, how it was
trained).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from isogloss.artifacts import write_atomically, writing_to
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.errors import ArtifactError, RecipeError
from isogloss.parsing.features import UNIVERSAL_TAGS, Features, extract_features, has_universal_tags, work_units
from isogloss.parsing.network import ParserInputs, ParserNetwork
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.trees import decode_trees

FORMAT = 2
WEIGHTS, RELATIONS, SETTINGS = "model.safetensors", "relations.txt", "settings.json"

Tags = Literal["auto", "given", "predicted"]
"""Which parts of speech a parser with a tagger reads; see `Parser.parse`."""
Decoder = Callable[[Float[Tensor, "batch words heads"], Int[Tensor, " batch"]], Int[Tensor, "batch words"]]
"""From log-probabilities of heads and the lengths of the sentences to one head per word."""


@dataclass(frozen=True)
class Parser:
    """A network with the names of its relations and all that is needed to use it.

    It knows nothing of languages: it parses whatever its encoder can put into the space it was trained on.
    """

    network: ParserNetwork
    relations: tuple[str, ...]
    settings: ParserSettings
    encoder_layers: int = 0
    """Layers of the encoder it was trained with; 0 without one."""
    encoder_width: int = 0
    """Width of that encoder's vectors; 0 without one."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained: languages, seed, best score. JSON can say it."""

    @classmethod
    def untrained(
        cls, relations: Sequence[str], *, settings: ParserSettings, encoder: Encoder | None = None
    ) -> "Parser":
        """Make a parser with random weights, drawn from torch's global generator.

        Raises:
            RecipeError: The settings do not fit the encoder.
        """
        layers, width = _encoder_shape(encoder, settings)
        return cls(_network(settings, len(relations), layers, width), tuple(relations), settings, layers, width)

    def parse(
        self,
        sentences: Iterable[Sentence],
        encoder: Encoder | None = None,
        *,
        tags: Tags = "auto",
        batch_words: int | None = None,
        decode: Decoder = decode_trees,
    ) -> list[Sentence]:
        """Put a tree on every sentence; all else stays as it was.

        Args:
            sentences: Of any languages that the encoder knows. Their parts of speech are used if the parser
                was trained with them. Trees they may have are replaced, never looked at.
            encoder: The one it was trained with; None for a parser that sees parts of speech only.
            tags: Which parts of speech a parser with a tagger reads: those ``given`` in the input; its own,
                ``predicted`` ones, which then stand in the result; or ``auto``: the given ones of sentences
                whose every word has a universal tag, else its own. Other parsers do not ask.
            batch_words: Words parsed at a time, padding included; the default is `settings.encode_words`.
            decode: Finds the tree; by default the best one with a single root.

        Returns:
            The sentences in their order.

        Raises:
            RecipeError: The encoder is missing or of another shape than in training.
        """
        self._check_encoder(encoder)
        todo = tuple(sentences)
        parsed = list(todo)
        full = [index for index, sentence in enumerate(todo) if len(sentence)]
        words = self.settings.encode_words if batch_words is None else batch_words
        for unit in work_units([todo[index] for index in full], words=words):
            chosen = [full[place] for place in unit]
            features = extract_features([todo[index] for index in chosen], encoder, settings=self.settings)
            inputs = features.batch(range(len(chosen)))
            for index, annotated in zip(
                chosen, self._annotate([todo[index] for index in chosen], inputs, tags, decode), strict=True
            ):
                parsed[index] = annotated
        return parsed

    def parse_features(
        self, sentences: Sequence[Sentence], features: Features, *, tags: Tags = "auto"
    ) -> list[Sentence]:
        """Put trees on sentences whose features are already there."""
        parsed = list(sentences)
        for unit in work_units(sentences, words=self.settings.encode_words):
            chosen = [sentences[index] for index in unit]
            for index, annotated in zip(
                unit, self._annotate(chosen, features.batch(unit), tags, decode_trees), strict=True
            ):
                parsed[index] = annotated
        return parsed

    def _annotate(
        self, sentences: Sequence[Sentence], inputs: ParserInputs, tags: Tags, decode: Decoder
    ) -> Iterator[Sentence]:
        """Yield sentences with their trees, and with tags where those are the parser's own."""
        given = [True] * len(sentences)
        if self.tagger:
            given = [tags == "given" or (tags == "auto" and has_universal_tags(one)) for one in sentences]
            inputs = replace(inputs, given=torch.tensor(given))
        trees = self.trees(inputs, decode=decode)
        for sentence, kept, (heads, deprels, found) in zip(sentences, given, trees, strict=True):
            tagged = sentence if kept else sentence.with_upos(found)
            yield tagged.with_tree(heads, deprels)

    @property
    def tagger(self) -> bool:
        """Whether it finds parts of speech by itself."""
        return self.settings.upos == "predicted"

    def trees(
        self, inputs: ParserInputs, *, decode: Decoder = decode_trees
    ) -> list[tuple[list[int], list[str], list[str]]]:
        """Return heads, relations and, where the parser has a tagger, parts of speech of every sentence of a batch.

        First the best tree by the probabilities of its arcs, then the best relation of every arc. Only the
        root's word may be called ``root``, and it must be.
        """
        device = self.network.root.device
        was_training = self.network.training
        self.network.eval()
        with torch.no_grad():
            states = self.network(inputs.to(device))
            heads = decode(self.network.arc_scores(states).log_softmax(dim=-1), inputs.lengths)
            scores = self.network.relation_scores(states, heads.to(device)).cpu()  # batch words relations
        found = torch.zeros(*heads.shape, 0) if states.tag_scores is None else states.tag_scores
        tags = found.argmax(dim=-1).tolist() if found.shape[-1] else [[] for _ in heads]
        self.network.train(was_training)
        names_root = torch.tensor([name.partition(":")[0].lower() == "root" for name in self.relations])
        if names_root.any() and not names_root.all():
            scores = scores.masked_fill((heads == 0)[..., None] ^ names_root, -torch.inf)
        chosen = scores.argmax(dim=-1).tolist()
        return [
            (
                arcs[:length],
                [self.relations[index] for index in labels[:length]],
                [UNIVERSAL_TAGS[index] for index in words[:length]],
            )
            for arcs, labels, words, length in zip(heads.tolist(), chosen, tags, inputs.lengths.tolist(), strict=True)
        ]

    def save(self, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> None:
        """Write the parser into a folder, which is made if need be.

        Args:
            folder: Where to.
            dtype: How weights are stored; float16 takes half the space. They are float32 again when loaded.

        Raises:
            OutputError: The disk is full or the folder is not writable.
        """
        folder = Path(folder)
        about = {
            "kind": "parser",
            "format": FORMAT,
            "encoder": {"layers": self.encoder_layers, "width": self.encoder_width},
            "settings": self.settings.model_dump(mode="json"),
            "metadata": dict(self.metadata),
        }
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
        network = self.network.state_dict()
        weights = {name: value.detach().cpu().to(dtype).contiguous() for name, value in network.items()}
        write_atomically(folder / WEIGHTS, to_safetensors(weights))
        write_atomically(folder / RELATIONS, "".join(f"{name}\n" for name in self.relations))
        write_atomically(folder / SETTINGS, json.dumps(about, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path | str) -> "Parser":
        """Read a parser that `save` wrote.

        Raises:
            ArtifactError: A file is missing or damaged, or the files do not belong together.
        """
        folder = Path(folder)
        about = _read_settings(folder / SETTINGS)
        lines = _read(folder / RELATIONS).decode("utf-8", errors="replace")
        relations = tuple(lines.removesuffix("\n").split("\n"))
        try:
            weights = from_safetensors(_read(folder / WEIGHTS))
        except SafetensorError as error:
            raise ArtifactError(
                f"{folder / WEIGHTS}: not readable ({error}). Expected the weights of a parser. The file is "
                "damaged; copy the folder again or train the parser again."
            ) from error
        settings: ParserSettings = about["settings"]
        layers, width = about["encoder"]["layers"], about["encoder"]["width"]
        with torch.random.fork_rng(devices=[]):
            network = _network(settings, len(relations), layers, width)
        for name, expected in network.state_dict().items():
            shape = tuple(weights[name].shape) if name in weights else "nothing"
            if shape != tuple(expected.shape):
                raise ArtifactError(
                    f"{folder / WEIGHTS}, {name}: found {shape}. Expected {tuple(expected.shape)} by "
                    f"{SETTINGS} and the {len(relations)} lines of {RELATIONS}. The files do not belong "
                    "together; copy the folder again or train the parser again."
                )
        network.load_state_dict({name: weights[name].float() for name in network.state_dict()})
        return cls(network.eval(), relations, settings, layers, width, about["metadata"])

    def _check_encoder(self, encoder: Encoder | None) -> None:
        layers, width = _encoder_shape(encoder, self.settings)
        if (layers, width) != (self.encoder_layers, self.encoder_width):
            raise RecipeError(
                f"Encoder with {layers} layers of width {width}: this parser was trained on "
                f"{self.encoder_layers} layers of width {self.encoder_width}. Use the encoder of its "
                "training, or train a new parser."
            )


def _encoder_shape(encoder: Encoder | None, settings: ParserSettings) -> tuple[int, int]:
    """Return layers and width of the encoder, (0, 0) where no vectors are wanted."""
    if not settings.vectors:
        return 0, 0
    if encoder is None:
        raise RecipeError(
            "Parser with vectors = true: no encoder was given. Expected the one whose vectors it reads. "
            "Give the encoder, or train with vectors = false on parts of speech alone."
        )
    if settings.layer != "mix" and settings.layer >= encoder.layers:
        raise RecipeError(
            f"parsing.layer is {settings.layer}, but the encoder has {encoder.layers} layers. Layers run "
            "from 0 to "
            f'{encoder.layers - 1}. Set one of them, or layer = "mix".'
        )
    return encoder.layers, encoder.width


def _network(settings: ParserSettings, relations: int, layers: int, width: int) -> ParserNetwork:
    return ParserNetwork(
        layers=layers if settings.layer == "mix" else 1,
        width=width,
        tags=len(UNIVERSAL_TAGS) + 1 if settings.upos != "none" else 0,
        relations=relations,
        upos_width=settings.upos_width,
        lstm_layers=settings.lstm_layers,
        hidden_width=settings.hidden_width,
        arc_width=settings.arc_width,
        relation_width=settings.relation_width,
        vector_dropout=settings.vector_dropout,
        dropout=settings.dropout,
        tagger=settings.upos == "predicted",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error.strerror}). Expected a parser folder with {WEIGHTS}, "
            f"{RELATIONS} and {SETTINGS}. Check the path, or train the parser again."
        ) from error


def _read_settings(path: Path) -> dict[str, Any]:
    text = _read(path)
    try:
        about = json.loads(text)
        if about["kind"] != "parser" or about["format"] != FORMAT:
            raise ArtifactError(
                f"{path}: holds {about['kind']!r}, format {about['format']}. Expected 'parser', format "
                f"{FORMAT}. Check which folder you named, or use the version of isogloss that wrote it."
            )
        layers, width = int(about["encoder"]["layers"]), int(about["encoder"]["width"])
        settings = ParserSettings.model_validate(about["settings"])
        return {
            "encoder": {"layers": layers, "width": width},
            "settings": settings,
            "metadata": dict(about["metadata"]),
        }
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        what = " ".join(str(error).split())
        raise ArtifactError(
            f"{path}: not readable as the settings of a parser ({what}). Expected what isogloss wrote. "
            "The file is damaged; copy the folder again or train the parser again."
        ) from error

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
from jaxtyping import Bool, Float, Int
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from isogloss.artifacts import write_atomically, writing_to
from isogloss.compute.devices import fastest_precision, matrix_products_in
from isogloss.corpus.sentence import Sentence
from isogloss.encoders.encoder import Encoder
from isogloss.errors import ArtifactError, RecipeError
from isogloss.parsing.features import (
    NO_AUXILIARIES,
    Auxiliaries,
    Features,
    extract_features,
    has_universal_tags,
    work_units,
)
from isogloss.parsing.lanes import WORTHWHILE, deal
from isogloss.parsing.network import ParserNetwork
from isogloss.parsing.settings import ParserSettings
from isogloss.parsing.tags import UNIVERSAL_TAGS
from isogloss.parsing.trees import decode_trees
from isogloss.shapes import mask_of_lengths

FORMAT = 2
WEIGHTS, RELATIONS, SETTINGS = "model.safetensors", "relations.txt", "settings.json"

Tags = Literal["auto", "given", "predicted"]
"""Which parts of speech a parser with a tagger reads; see `Parser.parse`."""
Precision = Literal["float32", "bfloat16", "auto"]
"""Of matrix products; see `ParserSettings.precision`."""
Decoder = Callable[[Float[Tensor, "batch words heads"], Int[Tensor, " batch"]], Int[Tensor, "batch words"]]
"""From log-probabilities of heads and the lengths of the sentences to one head per word. Where sentences are read
without padding, each comes alone."""
_Read = tuple[
    Int[Tensor, " all_words"],
    Float[Tensor, "all_words relations"],
    Float[Tensor, "all_words tags"] | None,
]
"""Of all words: heads, scores of relations to them, and scores of tags."""


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
        auxiliaries: Auxiliaries = NO_AUXILIARIES,
        batch_words: int | None = None,
        decode: Decoder = decode_trees,
        precision: Precision | None = None,
    ) -> list[Sentence]:
        """Put a tree on every sentence; all else stays as it was.

        Args:
            sentences: Of any languages that the encoder knows. Their parts of speech are used if the parser
                was trained with them. Trees they may have are replaced, never looked at.
            encoder: The one it was trained with; None for a parser that sees parts of speech only.
            tags: Which parts of speech a parser with a tagger reads: those ``given`` in the input; its own,
                ``predicted`` ones, which then stand in the result; or ``auto``: the given ones of sentences
                whose every word has a universal tag, else its own. Other parsers do not ask.
            auxiliaries: Known ones by language, see `isogloss.parsing.features.Auxiliaries`.
            batch_words: Words parsed at a time, on an accelerator padding included; the default is
                `settings.encode_words`.
            decode: Finds the tree; by default the best one with a single root.
            precision: Of matrix products; the default is `settings.precision`.

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
        for unit in work_units([todo[index] for index in full], words=words, padded=not self._on_cpu):
            chosen = [full[place] for place in unit]
            some = [todo[index] for index in chosen]
            features = extract_features(some, encoder, settings=self.settings, auxiliaries=auxiliaries)
            for index, annotated in zip(chosen, self._annotate(some, features, tags, decode, precision), strict=True):
                parsed[index] = annotated
        return parsed

    def parse_features(
        self, sentences: Sequence[Sentence], features: Features, *, tags: Tags = "auto"
    ) -> list[Sentence]:
        """Put trees on sentences whose features are already there."""
        parsed = list(sentences)
        for unit in work_units(sentences, words=self.settings.encode_words, padded=not self._on_cpu):
            some = [sentences[index] for index in unit]
            annotated = self._annotate(some, features.only(unit), tags, decode_trees, None)
            for index, sentence in zip(unit, annotated, strict=True):
                parsed[index] = sentence
        return parsed

    @property
    def _on_cpu(self) -> bool:
        return self.network.root.device.type == "cpu"

    def _reads_end_to_end(self, lengths: Int[Tensor, " sentences"], precision: str) -> bool:
        """Whether sentences of such lengths are read without padding; see `isogloss.parsing.lanes`."""
        padded = len(lengths) * int(lengths.max())
        few = len(lengths) < WORTHWHILE and padded <= 2 * int(lengths.sum())  # else padding takes memory without bounds
        return self._on_cpu and (precision == "bfloat16" or not few)

    def _annotate(
        self,
        sentences: Sequence[Sentence],
        features: Features,
        tags: Tags,
        decode: Decoder,
        precision: Precision | None,
    ) -> Iterator[Sentence]:
        """Yield sentences with their trees, and with tags where those are the parser's own."""
        given = [True] * len(sentences)
        if self.tagger:
            given = [tags == "given" or (tags == "auto" and has_universal_tags(one)) for one in sentences]
        trees = self.trees(features, given=given, decode=decode, precision=precision)
        for sentence, kept, (heads, deprels, found) in zip(sentences, given, trees, strict=True):
            tagged = sentence if kept else sentence.with_upos(found)
            yield tagged.with_tree(heads, deprels)

    @property
    def tagger(self) -> bool:
        """Whether it finds parts of speech by itself."""
        return self.settings.upos == "predicted"

    def trees(
        self,
        features: Features,
        *,
        given: Sequence[bool],
        decode: Decoder = decode_trees,
        precision: Precision | None = None,
    ) -> list[tuple[list[int], list[str], list[str]]]:
        """Return heads, relations and, where the parser has a tagger, parts of speech of every sentence of a batch.

        First the best tree by the probabilities of its arcs, then the best relation of every arc. Only the
        root's word may be called ``root``, and it must be.

        Args:
            features: The sentences.
            given: Of which sentences a parser with a tagger reads the parts of speech in the features.
            decode: See `parse`.
            precision: See `parse`.
        """
        was_training = self.network.training
        self.network.eval()
        told = torch.tensor(given)
        kind = fastest_precision(precision or self.settings.precision, self.network.root.device)
        with torch.no_grad():
            if self._reads_end_to_end(features.lengths, kind):
                heads, scores, found = self._read_end_to_end(features, told, decode, kind)
            else:
                heads, scores, found = self._read_padded(features, told, decode)
        self.network.train(was_training)
        labels = self.labels(heads, scores)
        tags = [] if found is None else [UNIVERSAL_TAGS[index] for index in found.argmax(dim=-1).tolist()]
        ends = features.lengths.cumsum(0).tolist()
        each = [slice(end - length, end) for end, length in zip(ends, features.lengths.tolist(), strict=True)]
        arcs = heads.tolist()
        return [(arcs[words], labels[words], tags[words]) for words in each]

    def labels(self, heads: Int[Tensor, " words"], scores: Float[Tensor, "words relations"]) -> list[str]:
        """Return the best relation of every word to its head. Only the root's word may be called ``root``, and must be.

        Args:
            heads: Of all words.
            scores: Of every relation to that head; higher is better.
        """
        names_root = torch.tensor([name.partition(":")[0].lower() == "root" for name in self.relations])
        if names_root.any() and not names_root.all():
            scores = scores.masked_fill((heads == 0)[:, None] ^ names_root, -torch.inf)
        return [self.relations[index] for index in scores.argmax(dim=-1).tolist()]

    def _read_padded(self, features: Features, given: Bool[Tensor, " sentences"], decode: Decoder) -> _Read:
        """Read sentences side by side in float32: on an accelerator, and where there are few."""
        device, sentences = self.network.root.device, range(len(features.lengths))
        inputs = features.batch(sentences)
        mask = mask_of_lengths(inputs.lengths)
        if self.tagger:
            inputs = replace(inputs, given=given[:, None])
        states = self.network(inputs.to(device))
        heads = decode(self.network.arc_scores(states).log_softmax(dim=-1), inputs.lengths)
        scores = self.network.relation_scores(states, heads.to(device)).cpu()  # batch words relations
        tags = None if states.tag_scores is None else states.tag_scores.cpu()[mask]
        return heads[mask], scores[mask], tags

    def _read_end_to_end(
        self, features: Features, given: Bool[Tensor, " sentences"], decode: Decoder, precision: str
    ) -> _Read:
        """Read sentences as one row of words, with products in float32 or bfloat16."""
        inputs, lengths = features.end_to_end(), features.lengths
        if self.tagger:
            inputs = replace(inputs, given=given.repeat_interleave(lengths)[None])
        with matrix_products_in(precision, self.network.root.device):
            states = self.network(inputs, deal(lengths.tolist(), fill=precision == "bfloat16"))
            each = zip(self.network.arc_scores_end_to_end(states, lengths.tolist()), lengths.split(1), strict=True)
            heads = torch.cat([decode(scores.log_softmax(dim=-1)[None], length)[0] for scores, length in each])
            starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
            scores = self.network.relation_scores(states, (starts + heads).where(heads > 0, 0)[None])[0]
        return heads, scores, None if states.tag_scores is None else states.tag_scores[0]

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
    if not settings.layers_read(encoder.layers):
        raise RecipeError(
            f"parsing.layer is {settings.layer!r}, but the encoder has {encoder.layers} layers. Layers run "
            f'from 0 to {encoder.layers - 1}. Set one of them, or layer = "mix" or "all".'
        )
    return encoder.layers, encoder.width


def _network(settings: ParserSettings, relations: int, layers: int, width: int) -> ParserNetwork:
    return ParserNetwork(
        layers=len(settings.layers_read(layers)),
        width=width,
        mix=settings.layer == "mix",
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

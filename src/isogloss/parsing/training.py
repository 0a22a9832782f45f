"""Train a parser on treebanks of one or several languages, over an encoder that stays as it is.

All languages share all of the parser's weights and the parser is never told which language it reads. What it
learns about vectors of one language therefore holds for every language whose vectors lie in the same space,
also for those that it never saw (Schuster et al. 2019).
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.devices import fastest_precision, matrix_products_in
from isogloss.compute.loop import Step, optimise
from isogloss.compute.randomness import derive_seed, seeded_torch
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.treebank import Treebank
from isogloss.encoders.encoder import Encoder
from isogloss.errors import RecipeError, TrainingError
from isogloss.parsing.attachment import attachment_scores, universal_relation
from isogloss.parsing.batches import ParserBatches, SentenceBatch
from isogloss.parsing.features import Features, extract_features
from isogloss.parsing.network import IGNORED
from isogloss.parsing.parser import Parser, Tags
from isogloss.parsing.settings import ParserSettings

log = logging.getLogger(__name__)

MOST_UNKNOWN = 0.5
"""Share of a treebank's words whose relations a parser to start from may lack; with more, they are other relations."""
TOLD = 5
"""Relations that a message names of many."""


@dataclass(frozen=True)
class _Examples:
    """The training sentences of one language: what the parser sees, and what it should say."""

    features: Features
    heads: Int[Tensor, " all_words"]
    relations: Int[Tensor, " all_words"]

    def answers(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return gold heads and relations of some sentences, batch × words."""
        places, mask = self.features.places(indices)
        return self.heads[places].where(mask, IGNORED), self.relations[places].where(mask, IGNORED)


def train_parser(
    encoder: Encoder | None,
    treebanks: Sequence[Treebank],
    *,
    dev: Sequence[Treebank] = (),
    settings: ParserSettings,
    seed: int,
    start: Parser | None = None,
    turns: Mapping[str, float] | None = None,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    device: torch.device | str = "cpu",
) -> Parser:
    """Train a parser and return it with the weights that did best on the development trees.

    The score that chooses them is the mean LAS over the development treebanks, each counting the same. Those
    are of training languages: a language to be parsed unseen must not help to choose.

    Args:
        encoder: Turns the words of every training language into vectors; None if `settings.vectors` is false.
        treebanks: One for each training language.
        dev: Development treebanks of training languages; without any, the last weights are kept.
        settings: See `ParserSettings`.
        seed: Decides weights, dropout and the order of sentences.
        start: A trained parser to go on from, for example with the few trees that a language has. It stays as it is.
            Its relations are those that the new parser knows; from words with others only heads are learned, and the
            new parser's metadata say how many there were, by language and relation: ``ignored_relations``.
        turns: How often each language has its turn, in proportion; without it, all equally often.
        on_step: Called after each update, for a log or a progress bar.
        checkpoints: Where to save the run and to resume it from.
        device: Where the network computes.

    Raises:
        TrainingError: A treebank is empty or lacks trees, a language comes twice, `dev` holds another language, or
            most words of a treebank have relations that `start` does not know.
        RecipeError: The settings do not fit the encoder, or `start` was trained with others that shape the network.
    """
    _check(treebanks, dev)
    precision = fastest_precision(settings.precision, torch.device(device))
    relations = relations_of(treebanks, strip_subtypes=settings.strip_subtypes) if start is None else start.relations
    old = [] if start is None else treebanks  # what a new parser is trained on it knows
    ignored = {each.language: _unknown(each, relations, settings.strip_subtypes) for each in old}
    with seeded_torch(seed, "parser"):
        parser = Parser.untrained(relations, settings=settings, encoder=encoder)
        if start is not None:
            _go_on(parser, start)
        parser.network.to(device)
        ids = {name: index for index, name in enumerate(relations)}
        examples = {treebank.language: _examples(treebank, encoder, ids, settings) for treebank in treebanks}
        if settings.vectors and settings.scale_vectors and start is None:
            sizes = torch.stack([each.features.mean_squares() for each in examples.values()])  # languages layers
            parser.network.scale_to(sizes.mean(dim=0).to(device))
        judged = [_evenly_spaced(treebank, settings.dev_sentences) for treebank in dev]
        dev_features = [extract_features(sentences, encoder, settings=settings) for sentences in judged]

        def loss(batch: SentenceBatch) -> Tensor:
            of_language = examples[batch.language]
            heads, labels = of_language.answers(batch.indices)
            inputs = of_language.features.batch(batch.indices).to(device)
            with matrix_products_in(precision, torch.device(device)):
                return parser.network.loss(inputs, heads=heads.to(device), relations=labels.to(device))

        seen: Tags = "predicted" if parser.tagger else "given"

        def mean_las() -> float:
            scores = [
                attachment_scores(gold, parser.parse_features(gold, features, tags=seen)).las
                for gold, features in zip(judged, dev_features, strict=True)
            ]
            return sum(scores) / len(scores)

        batches = ParserBatches(
            {language: of_language.features.lengths.tolist() for language, of_language in examples.items()},
            batch_size=settings.batch_size,
            seed=derive_seed(seed, "parser batches"),
            turns=turns,
        )
        step = None
        for step in optimise(
            parser.network,
            batches,
            loss=loss,
            settings=settings.loop,
            evaluate=mean_las if judged else None,
            checkpoints=checkpoints,
            describe=lambda batch: f"The batch was {len(batch.indices)} sentences of {batch.language}.",
        ):
            if on_step is not None:
                on_step(step)
    metadata: dict[str, Any] = {"languages": sorted(examples), "seed": seed}
    if start is not None:
        metadata["started_from"] = dict(start.metadata)
        metadata["ignored_relations"] = {language: found for language, found in ignored.items() if found}
    if step is not None:
        metadata |= {"steps": step.number, "best_dev_las": step.best}
    return replace(parser, metadata=metadata)


def _go_on(parser: Parser, start: Parser) -> None:
    """Give an untrained parser the weights of a trained one."""
    ours, theirs = (
        {name: tuple(one.shape) for name, one in each.network.state_dict().items()} for each in (parser, start)
    )
    if ours != theirs:
        odd = next(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
        raise RecipeError(
            f"Parser to start from: its {odd} is {theirs.get(odd, 'not there')}, and the settings make it "
            f"{ours.get(odd, 'superfluous')}. Expected a parser of the same settings and encoder. Take them over."
        )
    parser.network.load_state_dict(start.network.state_dict())


def relations_of(treebanks: Sequence[Treebank], *, strip_subtypes: bool) -> tuple[str, ...]:
    """Return the relations of some treebanks, sorted."""
    names = {word.deprel for treebank in treebanks for sentence in treebank for word in sentence.words}
    return tuple(sorted({_label(name, strip_subtypes) for name in names if name is not None}))


def _unknown(treebank: Treebank, relations: Sequence[str], strip_subtypes: bool) -> dict[str, int]:
    """Count and log the words whose relations a parser does not know, by relation, the most frequent first.

    Raises:
        TrainingError: They are most of the words.
    """
    words = (word for sentence in treebank for word in sentence.words)
    counts = Counter(_label(word.deprel or "", strip_subtypes) for word in words)
    unknown = {name: number for name, number in counts.most_common() if name not in relations}
    number, total = sum(unknown.values()), counts.total()
    if not number:
        return {}
    told = ", ".join(f"{name} {count:,}" for name, count in list(unknown.items())[:TOLD])
    told += f" and {len(unknown) - TOLD} more" if len(unknown) > TOLD else ""
    found = f"{_title(treebank)}: {number:,} of {total:,} words have relations that the parser does not know ({told})."
    if number > MOST_UNKNOWN * total:
        raise TrainingError(
            f"{found} Expected those that it knows: {', '.join(relations)}. Rename them, or train a parser anew."
        )
    log.warning("%s Of these words only the heads are learned.", found)
    return unknown


def _label(deprel: str, strip_subtypes: bool) -> str:
    return universal_relation(deprel) if strip_subtypes else deprel


def _examples(treebank: Treebank, encoder: Encoder | None, ids: dict[str, int], settings: ParserSettings) -> _Examples:
    sentences = [sentence for sentence in treebank if len(sentence)]
    words = [word for sentence in sentences for word in sentence.words]
    labels = [ids.get(_label(word.deprel or "", settings.strip_subtypes), IGNORED) for word in words]
    return _Examples(
        features=extract_features(sentences, encoder, settings=settings, kept_as=torch.float16),
        heads=torch.tensor([word.head for word in words], dtype=torch.int64),
        relations=torch.tensor(labels, dtype=torch.int64),
    )


def _evenly_spaced(treebank: Treebank, most: int) -> list[Sentence]:
    """Take at most so many sentences, from all parts of the treebank."""
    sentences = [sentence for sentence in treebank if len(sentence)]
    most = min(most, len(sentences))
    return [sentences[index * len(sentences) // most] for index in range(most)]


def _check(treebanks: Sequence[Treebank], dev: Sequence[Treebank]) -> None:
    """Refuse treebanks that cannot be learned from."""
    if not treebanks:
        raise TrainingError(
            "Parser training: no treebank was given. Expected one for each training language. Name at least one."
        )
    languages = [treebank.language for treebank in treebanks]
    for language in languages:
        if languages.count(language) > 1:
            raise TrainingError(
                f"Parser training: {languages.count(language)} treebanks of language {language!r}. "
                "Expected one for each language. Join them into one treebank."
            )
    for treebank in dev:
        if treebank.language not in languages:
            raise TrainingError(
                f"{_title(treebank)}: a development treebank of {treebank.language!r}. Expected a training "
                f"language ({', '.join(sorted(languages))}), since an unseen language must not help to "
                "choose weights. Leave it out."
            )
    for treebank in (*treebanks, *dev):
        if treebank.word_count == 0:
            raise TrainingError(
                f"{_title(treebank)}: no words in {len(treebank)} sentences. Expected sentences with trees. "
                "Check which file it was read from."
            )
        for number, sentence in enumerate(treebank, 1):
            if not sentence.has_tree:
                raise TrainingError(
                    f"{_title(treebank)}, sentence {number}: a word without head or relation. Expected a "
                    "gold tree on every sentence. Leave the sentence out, or give an annotated file."
                )


def _title(treebank: Treebank) -> str:
    return f"Treebank {treebank.name or treebank.language}" + (f" ({treebank.split})" if treebank.split else "")

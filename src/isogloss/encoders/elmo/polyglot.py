"""One pair of recurrent networks for several languages: a polyglot language model.

Each language has its own characters, word vectors and softmax; what lies between, the recurrent layers of both
directions, is one and the same for all. Every step reads a chunk of each language, as much of one as of another, and
the loss is the mean of theirs. What comes out is an ordinary model for each language, so that everything after it is as
for languages that were trained apart; only that their recurrent layers are equal.

Several processes share the languages: each holds the models of its own, and the recurrent layers, whose gradients alone
travel. To share the rows of every batch would have every language's words and softmax travel, too.

Received: texts. Handed on: an encoder for each language.

Source: Mulcaire, Kasai and Smith (2019), "Polyglot Contextual Representations Improve Crosslingual Transfer",
arXiv:1902.09697, who share the characters as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.devices import matrix_products_in
from isogloss.compute.loop import Progress, Step, optimise
from isogloss.compute.processes import ALONE, Processes
from isogloss.compute.randomness import seeded_torch
from isogloss.encoders.elmo.bilm import StreamBatch
from isogloss.encoders.elmo.counting import Transfer
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.learner import Learner, TextToLearn
from isogloss.encoders.elmo.perplexity import Perplexity
from isogloss.encoders.elmo.settings import BiLMTrainingSettings
from isogloss.encoders.elmo.streams import TextFile
from isogloss.encoders.elmo.training import loop_of
from isogloss.errors import TrainingError
from isogloss.settings import is_code

FEWEST = 2
"""Languages of a polyglot model."""


@dataclass(frozen=True)
class PolyglotText:
    """What one language brings."""

    text: Path
    """One sentence a line; plain, gz, xz or zst."""
    language: str
    tokenised: bool = False
    """Words are already apart, with white space between them."""
    max_sentences: int | None = None
    """Lines after this many are not read."""
    transfer: Transfer | None = None
    """How its part starts from a trained model; see `mapping/transfer.py`."""


def train_polyglot(
    texts: Sequence[PolyglotText],
    *,
    settings: BiLMTrainingSettings = BiLMTrainingSettings(),  # noqa: B008 - frozen
    seed: int = 1,
    checkpoints: Checkpoints | None = None,
    on_step: Callable[[Step, int], None] = lambda step, steps: None,
    on_evaluation: Callable[[Mapping[str, Perplexity]], None] = lambda perplexities: None,
    precision: str = "float32",
    processes: Processes = ALONE,
) -> dict[str, ELMoEncoder]:
    """Train one language model for several languages, which share its recurrent layers.

    Args:
        texts: Of two languages or more, each once. All have a `transfer`, or none: the recurrent layers start as the
            mean of what these make of them.
        settings: Of each language; `rows` is how many streams each has. `epochs` counts passes over the shortest text,
            and of the others as many words are read. Nothing is pulled: `anchoring` is not used.
        seed: Of weights, dropout, samples and the order of lines.
        checkpoints: Where to save and to resume from.
        on_step: Called after every step with the step and their planned number.
        on_evaluation: Called with every measurement on held-out text, by language.
        precision: Of the matrix products of training, ``float32`` or ``bfloat16``.
        processes: Those that train together; each trains some of the languages. With more than one, `checkpoints` are
            to be this process's own (`apart`), and steps, measurements and stops come at the same time in all.

    Returns:
        An encoder for each language that this process trained, on the CPU.

    Raises:
        TextError: A file cannot be read or holds no words.
        TrainingError: There are not two languages, one comes twice, a code has odd characters, a text is too short,
            there are fewer languages than processes, the recurrent layers are to be held, or the loss became infinite.
    """
    languages = [one.language for one in texts]
    if len(set(languages)) < max(FEWEST, len(texts)):
        raise TrainingError(
            f"Texts: found those of {', '.join(languages) or 'no language'}. Expected two languages or more, each "
            f"once. Name another text, or train one language by train-lm."
        )
    for language in languages:
        if not is_code(language):
            raise TrainingError(
                f"Texts: found the language {language!r}. Expected a code of letters, digits, _ and -, such as en. "
                f"Rename it."
            )
    if len(texts) < processes.world:
        raise TrainingError(
            f"Texts: found those of {len(texts)} languages, to be shared by {processes.world} processes. Expected a "
            f"language or more for each. Start fewer processes."
        )
    if settings.hold_recurrent:
        raise TrainingError(
            f"hold_recurrent: found {settings.hold_recurrent} for languages that learn together. Expected 0: the "
            f"recurrent layers are what they learn together. Leave it out, or train each language by train-lm."
        )
    own = texts[processes.rank :: processes.world]
    to_learn = {
        one.language: TextToLearn.read(
            TextFile(one.text, one.language, one.tokenised, settings.held_out_every, one.max_sentences), settings
        )
        for one in own
    }
    steps = {language: [float(text.steps(settings))] for language, text in to_learn.items()}
    loop = loop_of(settings, min(int(number) for (number,) in _of_all(languages, steps, processes).values()))
    progress = Progress()
    with seeded_torch(seed, "polyglot language model", *to_learn):
        learners: dict[str, Learner] = {}
        recurrent: nn.ModuleList | None = None
        alone = Processes(device=processes.device)
        for language, text in to_learn.items():
            learner = Learner(text, settings, seed=seed, processes=alone, recurrent=recurrent)
            learners[language], recurrent = learner, learner.model.recurrent
        assert recurrent is not None
        if not (checkpoints is not None and checkpoints.any()):
            made = torch.zeros(sum(parameter.numel() for parameter in recurrent.parameters()))
            for one in own:
                learners[one.language].start(one.transfer)
                made += parameters_to_vector(recurrent.parameters()).detach()
            if all(one.transfer for one in texts):
                vector_to_parameters(processes.sum_of(made) / len(texts), recurrent.parameters())
        for learner in learners.values():
            learner.begin()
        models = _Models({f"of-{language}": learner.model for language, learner in learners.items()})

        def loss(batches: Mapping[str, StreamBatch]) -> Tensor:
            done = progress.step / loop.max_steps
            with matrix_products_in(precision, processes.device):
                losses = [learners[language].loss(batch, done=done) for language, batch in batches.items()]
            return sum(losses[1:], losses[0]) * processes.world / len(languages)

        def perplexities() -> dict[str, Perplexity]:
            measured = {language: learner.perplexity() for language, learner in learners.items()}
            numbers = {language: [float(number) for number in astuple(one)] for language, one in measured.items()}
            return {
                language: Perplexity(forward, backward, round(words))
                for language, (forward, backward, words) in _of_all(languages, numbers, processes).items()
            }

        def evaluate() -> float:
            found = perplexities()
            on_evaluation(found)
            return -sum(one.mean_nats for one in found.values()) / len(found)

        streams = _Streams(learners)
        for step in optimise(
            models,
            streams,
            loss=loss,
            evaluate=evaluate,
            settings=loop,
            carried=_Carried(learners),
            checkpoints=checkpoints,
            describe=streams.describe,
            progress=progress,
            processes=processes,
            shared=list(recurrent.parameters()),
        ):
            on_step(step, loop.max_steps)
    measured = perplexities()
    encoders = {}
    for language, learner in learners.items():
        facts = {"perplexity": measured[language], "steps": progress.step, "seconds": progress.seconds}
        encoders[language] = encoder = learner.encoder(**facts)
        encoder.card["beside"] = [other for other in languages if other != language]
    return encoders


def _of_all(
    languages: Sequence[str], own: Mapping[str, Sequence[float]], processes: Processes
) -> dict[str, list[float]]:
    """Tell every process the numbers of every language, as many of each, from those of its own languages."""
    count = len(next(iter(own.values())))
    numbers = [number for language in languages for number in own.get(language, [0.0] * count)]
    summed = processes.sums(numbers)
    return {language: summed[place * count :][:count] for place, language in enumerate(languages)}


class _Models(nn.ModuleDict):
    """The models of all languages. Weights that they share are stored once, by the name that the first one has."""

    def state_dict(self, *arguments: Any, **named: Any) -> dict[str, Tensor]:
        """Leave out the recurrent layers of all languages but the first."""
        _, *others = self
        again = tuple(f"{name}.recurrent." for name in others)
        found = super().state_dict(*arguments, **named)
        return {name: value for name, value in found.items() if not name.startswith(again)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what `state_dict` gave."""
        assert not strict or state_dict.keys() == self.state_dict().keys(), "weights of the same languages"
        return super().load_state_dict(state_dict, strict=False, assign=assign)


class _Streams:
    """The next batch of every language."""

    def __init__(self, learners: Mapping[str, Learner]) -> None:
        self._streams = {language: learner.streams for language, learner in learners.items()}

    def __next__(self) -> dict[str, StreamBatch]:
        return {language: next(streams) for language, streams in self._streams.items()}

    def state_dict(self) -> dict[str, Any]:
        return {language: streams.state_dict() for language, streams in self._streams.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for language, streams in self._streams.items():
            streams.load_state_dict(state[language])

    def describe(self, batches: Mapping[str, StreamBatch]) -> str:
        return " ".join(self._streams[language].describe(batch) for language, batch in batches.items())


class _Carried:
    """The recurrent states of every language's rows."""

    def __init__(self, learners: Mapping[str, Learner]) -> None:
        self._learners = learners

    def state_dict(self) -> dict[str, Tensor]:
        return {
            f"{language}/{name}": value
            for language, learner in self._learners.items()
            for name, value in learner.carried.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for language, learner in self._learners.items():
            start = f"{language}/"
            own = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
            learner.carried.load_state_dict(own)

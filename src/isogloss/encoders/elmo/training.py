"""Train a bidirectional language model on raw text."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.devices import matrix_products_in
from isogloss.compute.loop import Progress, Step, optimise
from isogloss.compute.processes import ALONE, Processes
from isogloss.compute.randomness import seeded_torch
from isogloss.compute.settings import LoopSettings
from isogloss.encoders.elmo.anchoring import RichLanguage
from isogloss.encoders.elmo.bilm import StreamBatch
from isogloss.encoders.elmo.counting import Transfer
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.learner import Learner, TextToLearn, shape_of
from isogloss.encoders.elmo.perplexity import Perplexity
from isogloss.encoders.elmo.pull import Pull
from isogloss.encoders.elmo.settings import BiLMTrainingSettings
from isogloss.encoders.elmo.streams import TextFile


def train_bilm(
    text: Path | str,
    *,
    language: str,
    settings: BiLMTrainingSettings = BiLMTrainingSettings(),  # noqa: B008 - frozen
    seed: int = 1,
    tokenised: bool = False,
    max_sentences: int | None = None,
    checkpoints: Checkpoints | None = None,
    on_step: Callable[[Step, int], None] = lambda step, steps: None,
    on_evaluation: Callable[[Perplexity], None] = lambda perplexity: None,
    precision: str = "float32",
    processes: Processes = ALONE,
    transfer: Transfer | None = None,
    beside: RichLanguage | None = None,
) -> ELMoEncoder:
    """Train a bidirectional language model on a file of raw text.

    Args:
        text: One sentence a line; plain, gz, xz or zst.
        language: Its code, which steers how words are split.
        settings: Size, passes, dropout and the rest.
        seed: Of weights, dropout, samples and the order of lines.
        tokenised: Words are already apart, with white space between them.
        max_sentences: Lines after this many are not read.
        checkpoints: Where to save and to resume from.
        on_step: Called after every step with the step and their planned number.
        on_evaluation: Called with every measurement on held-out text, before the step that it belongs to.
        precision: Of the matrix products of training, ``float32`` or ``bfloat16``. Evaluation is in float32.
        processes: Those that train together, and the device of this one; each trains its share of the rows.
        transfer: How the model starts from another one; see `mapping/transfer.py`.
        beside: A rich language, to whose words those of this one are pulled; see `pull.py`.

    Returns:
        An encoder, on the CPU. Its card tells tokens, perplexity on held-out lines, and time.

    Raises:
        TextError: The file cannot be read or holds no words.
        DictionaryError: There is a rich language, and no pair is of words that both know.
        TrainingError: The text is too short, the rows cannot be shared, the rich language's model has another width, or
            the loss became infinite.
    """
    processes.check_rows(settings.rows)
    corpus = TextFile(Path(text), language, tokenised, settings.held_out_every, max_sentences)
    to_learn = TextToLearn.read(corpus, settings)
    loop = loop_of(settings, to_learn.steps(settings))
    pull = None
    if beside is not None and settings.anchoring.pulls:
        pull = Pull.towards(
            beside,
            vocabulary=to_learn.counted.vocabulary,
            width=shape_of(settings).projection_width,
            settings=settings.anchoring,
            processes=processes,
        )
    progress = Progress()
    with seeded_torch(seed, "language model", language):
        learner = Learner(to_learn, settings, seed=seed, processes=processes, pull=pull)
        if not (checkpoints is not None and checkpoints.any()):
            learner.start(transfer)
        learner.begin(held=0.0 if transfer is None else settings.hold_recurrent)

        def loss(batch: StreamBatch) -> Tensor:
            with matrix_products_in(precision, processes.device):
                return learner.loss(batch, done=progress.step / loop.max_steps)

        def evaluate() -> float:
            found = learner.perplexity()
            on_evaluation(found)
            return -found.mean_nats

        for step in optimise(
            learner.model,
            learner.streams,
            loss=loss,
            evaluate=evaluate,
            settings=loop,
            carried=learner.carried,
            checkpoints=checkpoints,
            describe=learner.streams.describe,
            progress=progress,
            processes=processes,
        ):
            on_step(step, loop.max_steps)
    return learner.encoder(perplexity=learner.perplexity(), steps=progress.step, seconds=progress.seconds)


def loop_of(settings: BiLMTrainingSettings, steps: int) -> LoopSettings:
    """Return the loop of so many steps, unless the settings end it before, with a warm-up that fits in."""
    steps = min(settings.loop.max_steps, steps)
    return settings.loop.model_copy(
        update={"max_steps": steps, "warmup_steps": min(settings.loop.warmup_steps, steps // 10)}
    )

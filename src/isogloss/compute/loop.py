"""The one training loop: gradient steps, evaluation, early stop, exact resumption.

`optimise` is a generator. It yields a `Step` after each update; the caller writes the log line and moves the
progress bar. The language model and the parser differ only in the batches and functions that they pass.

A run that was killed and goes on from a checkpoint yields the very steps that an uninterrupted run would
have yielded: the checkpoint holds weights, Adam's moments, the position in the data, whatever state the loss
carries from batch to batch, and the random generator.

Several processes may run the loop together, see `processes`: the gradients are averaged, and all take the same steps,
evaluate, save and stop at the same moment. Parameters that only one of them holds do not travel.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from isogloss.compute.checkpoints import Checkpoints, TrainingState
from isogloss.compute.interruption import stop_requested
from isogloss.compute.processes import ALONE, Processes
from isogloss.compute.settings import LoopSettings
from isogloss.errors import TrainingError


@runtime_checkable
class Resumable(Protocol):
    """Something with a state that a checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state: tensors at the top level, or anything that JSON can say."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        ...


@runtime_checkable
class Batches(Resumable, Protocol):
    """An endless, resumable supply of batches."""

    def __next__(self) -> Any: ...


@dataclass(frozen=True)
class Step:
    """One update of the weights, as the caller sees it."""

    number: int
    """From 1."""
    loss: float
    """Of this step's batch, before the update."""
    learning_rate: float
    gradient_norm: float
    """Before scaling down."""
    score: float | None = None
    """Where this step ended with an evaluation; higher is better."""
    best: float | None = None
    """The best score so far."""
    seconds: float = 0.0
    """Since the loop began, earlier parts of an interrupted run included."""


@dataclass
class Progress:
    """What the loop must remember between steps, beside weights and moments."""

    step: int = 0
    """Steps taken so far, those before an interruption included."""
    best: float | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    evaluations_since_best: int = 0
    seconds: float = 0.0
    """Of training, those before an interruption included."""


def learning_rate_at(step: int, settings: LoopSettings) -> float:
    """Return the learning rate of a step, counted from 1."""
    if step <= settings.warmup_steps:
        return settings.learning_rate * step / settings.warmup_steps
    # The last step still learns: the fall ends one step after `max_steps`.
    done = (step - settings.warmup_steps - 1) / max(1, settings.max_steps - settings.warmup_steps)
    match settings.schedule:
        case "constant":
            return settings.learning_rate
        case "linear":
            return settings.learning_rate * (1.0 - done)
        case "cosine":
            return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def optimise(
    model: nn.Module,
    batches: Batches,
    *,
    loss: Callable[[Any], Tensor],
    settings: LoopSettings,
    evaluate: Callable[[], float] | None = None,
    carried: Resumable | None = None,
    checkpoints: Checkpoints | None = None,
    describe: Callable[[Any], str] = lambda batch: "",
    progress: Progress | None = None,
    processes: Processes = ALONE,
    shared: Sequence[nn.Parameter] | None = None,
) -> Iterator[Step]:
    """Train until the steps are used up or the score stops improving.

    At the end the model holds the weights with the best score, if there was any evaluation.

    Args:
        model: Its parameters that require a gradient are trained, in place.
        batches: Asked for one batch a step.
        loss: From a batch to a scalar.
        settings: See `LoopSettings`.
        evaluate: Called every `evaluate_every` steps and after the last one, with the model in evaluation
            mode; higher is better.
        carried: State that `loss` keeps from batch to batch, to be put into checkpoints.
        checkpoints: Where to save and to resume from; None keeps none.
        describe: Says which data a batch holds, for the message when its loss is not finite.
        progress: Kept up to date, for a caller who wants to know of a run that had nothing left to do.
        processes: Those that train together. `loss` gives the mean over this process's own share of the batch, all
            shares being of one size; `evaluate` must give the same number in all.
        shared: The parameters that all processes hold, in the same order; None if that is all of them. Others are this
            process's own. What is minimised is the mean of the processes' losses in either case.

    Raises:
        TrainingError: The loss or its gradient is not finite; the message holds `describe(batch)`. Or another process
            has ended.
        KeyboardInterrupt: Passed on after a checkpoint was saved.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    shared = parameters if shared is None else shared
    held = {id(parameter) for parameter in shared}
    own = [parameter for parameter in parameters if id(parameter) not in held]
    optimiser = torch.optim.Adam(
        parameters, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon, fused=True
    )
    progress = progress if progress is not None else Progress()
    state = TrainingState(model=model, optimiser=optimiser, batches=batches, carried=carried, progress=progress)
    if checkpoints is not None:
        checkpoints.resume(state)
    if processes.sums([float(progress.step)]) != [float(progress.step * processes.world)]:
        raise TrainingError(
            f"Process {processes.rank} goes on from step {progress.step}, and others from another. Expected all to see "
            f"the same checkpoints. Keep them in a folder that all machines share."
        )
    processes.copy_from_first(parameter.data for parameter in shared)
    together = processes.world > 1
    started = time.monotonic() - progress.seconds
    last_saved = time.monotonic()

    def save_is_due() -> bool:
        return time.monotonic() - last_saved >= settings.checkpoint_seconds

    while progress.step < settings.max_steps and not _out_of_patience(progress, settings):
        model.train()
        batch = next(batches)
        learning_rate = learning_rate_at(progress.step + 1, settings)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate
        optimiser.zero_grad(set_to_none=True)
        value = loss(batch)
        mean_loss, wishes = value.item(), [0.0, 0.0]
        if together:  # all must stop and save at the same step: the wishes of each travel with the gradients
            value.backward()
            wishes = [float(stop_requested()), float(processes.first and save_is_due())]
            total, *wishes = processes.average_gradients(shared, [mean_loss, *wishes])
            mean_loss = total / processes.world
            for parameter in shared:
                if not parameter.requires_grad:
                    parameter.grad = None  # held: nothing travelled for it but zeros
        if not math.isfinite(mean_loss):
            raise _not_finite("loss", mean_loss, progress, settings, describe(batch))
        if not together:
            value.backward()
        norm = _clip_gradients(shared, own, settings.gradient_norm, processes)
        if not torch.isfinite(norm):  # the weights are still as they were
            raise _not_finite("gradient's norm", norm.item(), progress, settings, describe(batch))
        optimiser.step()
        progress.step += 1
        progress.seconds = time.monotonic() - started

        score = None
        at_end = progress.step == settings.max_steps
        if evaluate is not None and (at_end or progress.step % settings.evaluate_every == 0):
            score = _evaluate(model, evaluate, progress)
        yield Step(
            number=progress.step,
            loss=mean_loss,
            learning_rate=learning_rate,
            gradient_norm=norm.item(),
            score=score,
            best=progress.best,
            seconds=progress.seconds,
        )
        stop, save = map(bool, wishes) if together else (stop_requested(), save_is_due())
        if checkpoints is not None and (stop or save):
            checkpoints.save(state)
            last_saved = time.monotonic()
        if stop:
            raise KeyboardInterrupt

    if progress.best_weights:
        model.load_state_dict(progress.best_weights)
    model.eval()


def _clip_gradients(
    shared: Sequence[nn.Parameter], own: Sequence[nn.Parameter], limit: float, processes: Processes
) -> Tensor:
    """Scale all gradients down to a norm, that of shared ones and of every process's own ones together; return it.

    Args:
        shared: Parameters that all processes hold, with the mean of their gradients.
        own: Those that this process alone holds, with the gradients of its own loss, of which its share is taken.
        limit: Of the norm.
        processes: Those that train together.
    """
    norm = _norm(shared)
    if own and processes.world > 1:
        for parameter in own:
            if parameter.grad is not None:
                parameter.grad /= processes.world
        (squares,) = processes.sums([float(_norm(own)) ** 2])
        norm = (norm**2 + squares) ** 0.5
    elif own:
        norm = _norm((*shared, *own))
    nn.utils.clip_grads_with_norm_((*shared, *own), limit, norm)
    return norm


def _norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    return nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


def _not_finite(name: str, value: float, progress: Progress, settings: LoopSettings, data: str) -> TrainingError:
    return TrainingError(
        f"Step {progress.step + 1}: the {name} is {value}. It must be a finite number. Lower "
        f"learning_rate (now {settings.learning_rate:g}) or look at the data. {data}".rstrip()
    )


def _out_of_patience(progress: Progress, settings: LoopSettings) -> bool:
    return settings.patience > 0 and progress.evaluations_since_best >= settings.patience


def _evaluate(model: nn.Module, evaluate: Callable[[], float], progress: Progress) -> float:
    """Score the model, remember it if it is the best so far, and return the score."""
    model.eval()
    with torch.no_grad():
        score = float(evaluate())
    if progress.best is None or score > progress.best:
        progress.best = score
        progress.evaluations_since_best = 0
        progress.best_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    else:
        progress.evaluations_since_best += 1
    return score

"""Settings of the training loop."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from isogloss.settings import Settings

Decay = Annotated[float, Field(ge=0.0, lt=1.0)]


class LoopSettings(Settings):
    """How long, how fast and how carefully a model is trained."""

    max_steps: PositiveInt = 10_000
    """Optimiser steps after which training stops."""
    evaluate_every: PositiveInt = 500
    """Steps between two evaluations on held-out data."""
    patience: NonNegativeInt = 0
    """Evaluations without a better score after which training stops early; 0 never stops early."""
    learning_rate: PositiveFloat = 1e-3
    """Largest learning rate of Adam, reached after the warm-up."""
    warmup_steps: NonNegativeInt = 0
    """Steps over which the learning rate rises linearly from 0."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What the learning rate does after the warm-up: stay, or fall to 0 at `max_steps`."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of Adam's running means of the gradient and of its square."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of Adam's second moment so that nothing is divided by zero."""
    gradient_norm: PositiveFloat = 5.0
    """Longest gradient allowed (L2 over all parameters); longer ones are scaled down to it."""
    checkpoint_seconds: PositiveFloat = 60.0
    """Seconds between two checkpoints, where checkpoints are kept at all."""


class ComputeSettings(Settings):
    """Processes and threads: the time that a run takes."""

    workers: NonNegativeInt = 2
    """Stages that run side by side, each in a process of its own; 0 runs them one by one in this process."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of each process. On a busy machine, two threads that wait for each other can be slower than one. Another
    number adds up sums in another order, so what was trained with one number is made anew for another."""

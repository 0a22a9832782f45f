"""A small training run whose every part has a state: dropout, random batches, and memory between batches."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.interruption import stop_requested
from isogloss.compute.loop import Step, optimise
from isogloss.compute.randomness import seeded_torch
from isogloss.compute.settings import LoopSettings


class RandomBatches:
    """Endless batches of numbers; their position is a count (for JSON) and a generator's state (a tensor)."""

    def __init__(self) -> None:
        self.drawn = 0
        self.generator = torch.Generator().manual_seed(5)

    def __next__(self) -> Tensor:
        self.drawn += 1
        return torch.randn(6, 4, generator=self.generator) + 0.01 * self.drawn

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn = state["drawn"]
        self.generator.set_state(state["generator"])


class Memory:
    """What the loss carries from batch to batch."""

    def __init__(self) -> None:
        self.value = torch.zeros(4)

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


class Run:
    """One training run that can be begun again and again, as if in a new process each time."""

    def __init__(self, **changes: Any) -> None:
        self.settings = LoopSettings(
            **{
                "max_steps": 30,
                "evaluate_every": 4,
                "learning_rate": 0.05,
                "warmup_steps": 5,
                "schedule": "cosine",
                "checkpoint_seconds": 1e-9,
                **changes,
            }
        )
        self.model: nn.Module = nn.Identity()

    def steps(self, checkpoints: Checkpoints | None = None, *, evaluated: bool = True) -> Iterator[Step]:
        """Train; the steps come without their times, so that runs can be compared."""
        with seeded_torch(1, "a run"):
            self.model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
            memory = Memory()
            held_out = torch.linspace(-1, 1, 20).view(5, 4)

            def loss(batch: Tensor) -> Tensor:
                memory.value = 0.9 * memory.value + 0.1 * batch.mean(dim=0)
                return (self.model(batch + memory.value).squeeze(1) - batch.sum(dim=1)).square().mean()

            def evaluate() -> float:
                return -float((self.model(held_out).squeeze(1) - held_out.sum(dim=1)).square().mean())

            for step in optimise(
                self.model,
                RandomBatches(),
                loss=loss,
                settings=self.settings,
                evaluate=evaluate if evaluated else None,
                carried=memory,
                checkpoints=checkpoints,
            ):
                yield replace(step, seconds=0.0)

    def weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}


@pytest.fixture
def make_run() -> Callable[..., Run]:
    return Run


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", fingerprint="this run")


@pytest.fixture(autouse=True)
def nobody_asks_to_stop() -> Iterator[None]:
    """Leave the process's stop flag as it was."""
    yield
    stop_requested.clear()
    stop_requested.watch(lambda: False)

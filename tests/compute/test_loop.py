"""The training loop: rates, stopping, clipping, and going on exactly where it stopped."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count, islice, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.interruption import stop_requested
from isogloss.compute.loop import Batches, Resumable, Step, learning_rate_at, optimise
from isogloss.compute.processes import Processes
from isogloss.compute.settings import LoopSettings
from isogloss.errors import TrainingError


class Counted:
    """Batches that are their own numbers: 1, 2, 3 …"""

    def __init__(self) -> None:
        self.drawn = 0

    def __next__(self) -> int:
        self.drawn += 1
        return self.drawn

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn = state["drawn"]


class Weights(nn.Module):
    """A model that is nothing but three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(3))


def train(model: Weights, loss: Callable[[int], Tensor], evaluate: Any = None, **settings: Any) -> list[Step]:
    return list(optimise(model, Counted(), loss=loss, evaluate=evaluate, settings=LoopSettings(**settings)))


# -------------------------------------------------------------------------------------------- learning rates


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [2, 2, 2, 2]),
        ("constant", 2, [1, 2, 2, 2]),
        ("linear", 0, [2, 1.5, 1, 0.5]),
        ("linear", 2, [1, 2, 2, 1]),
        ("cosine", 0, [2, 1 + math.sqrt(0.5), 1, 1 - math.sqrt(0.5)]),
        ("cosine", 3, [2 / 3, 4 / 3, 2, 2]),
        ("linear", 8, [0.25, 0.5, 0.75, 1]),
    ],
)
def test_the_learning_rate_follows_its_schedule_as_by_hand(schedule, warmup, expected):
    settings = LoopSettings(max_steps=4, learning_rate=2, warmup_steps=warmup, schedule=schedule)
    assert [learning_rate_at(step, settings) for step in range(1, 5)] == pytest.approx(expected)


@given(
    st.integers(1, 60),
    st.integers(0, 70),
    st.sampled_from(["constant", "linear", "cosine"]),
)
def test_the_learning_rate_rises_then_never_rises_again_and_is_never_zero(steps, warmup, schedule):
    settings = LoopSettings(max_steps=steps, warmup_steps=warmup, schedule=schedule, learning_rate=0.125)
    rates = [learning_rate_at(step, settings) for step in range(1, steps + 1)]
    assert all(0 < rate <= 0.125 for rate in rates)
    peak = min(max(warmup, 1), steps) - 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_each_step_uses_and_reports_the_rate_of_its_number():
    model = Weights()
    before = [0.0]
    steps = []
    settings = LoopSettings(max_steps=4, learning_rate=0.1, schedule="linear", warmup_steps=2)
    for step in optimise(model, Counted(), loss=lambda batch: model.value.sum(), settings=settings):
        steps.append(step)
        before.append(model.value[0].item())
    # With a gradient that never changes, Adam moves each weight by exactly the learning rate.
    moved = [one - other for one, other in pairwise(before)]
    assert moved == pytest.approx([0.05, 0.1, 0.1, 0.05], rel=1e-4)
    assert [step.learning_rate for step in steps] == pytest.approx([0.05, 0.1, 0.1, 0.05])


# ------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(("slope", "kept"), [(100.0, 5.0), (1.0, math.sqrt(3))], ids=["long", "short"])
def test_long_gradients_are_scaled_down_and_short_ones_are_not(slope, kept):
    model = Weights()
    settings = LoopSettings(max_steps=1, gradient_norm=5.0)
    for step in optimise(model, Counted(), loss=lambda batch: slope * model.value.sum(), settings=settings):
        assert step.gradient_norm == pytest.approx(slope * math.sqrt(3))
        assert model.value.grad.norm().item() == pytest.approx(kept, rel=1e-5)


def test_parameters_that_want_no_gradient_stay():
    model = Weights()
    model.fixed = nn.Parameter(torch.ones(2), requires_grad=False)
    train(model, lambda batch: (model.value.sum() + model.fixed.sum()).square(), max_steps=3)
    assert model.fixed.tolist() == [1, 1]
    assert all(model.value != 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_refused_and_its_data_named(bad):
    model = Weights()
    seen = []
    settings = LoopSettings(max_steps=9, learning_rate=0.25)
    steps = optimise(
        model,
        Counted(),
        loss=lambda batch: model.value.sum() * 0 + (bad if batch == 3 else 1.0),
        settings=settings,
        describe=lambda batch: f"Batch {batch} of the book.",
    )
    with pytest.raises(
        TrainingError, match=rf"^Step 3: the loss is {bad}\..*\(now 0\.25\).*data\. Batch 3 of the book\.$"
    ):
        for step in steps:
            seen.append(step.number)
    assert seen == [1, 2]


def test_a_gradient_that_is_not_finite_is_refused_before_it_reaches_the_weights():
    model = Weights()
    # √|x| at 0 is finite, its slope is not.
    with pytest.raises(TrainingError, match=r"^Step 1: the gradient's norm is (nan|inf)\..*Batch 1"):
        list(
            optimise(
                model,
                Counted(),
                loss=lambda batch: model.value.abs().sqrt().sum(),
                settings=LoopSettings(max_steps=2),
                describe=lambda batch: f"Batch {batch}",
            )
        )
    assert model.value.tolist() == [0, 0, 0]


# ------------------------------------------------------------------------------------ evaluation and its end


def scripted(*scores: float) -> Callable[[], float]:
    return iter(scores).__next__


@pytest.mark.parametrize(
    ("scores", "patience", "evaluated", "best"),
    [
        ([1, 3, 2, 2.5, 9, 9, 9], 2, 4, 2),
        ([1, 1, 1, 9, 9, 9, 9], 2, 3, 1),
        ([1, 0, 2, 0, 3, 0, 4], 2, 7, 7),
        ([5, 4, 3, 2, 1, 0, 0], 0, 7, 1),
        ([-5, -4, -3, -2, -1, -2, -3], 1, 6, 5),
    ],
)
def test_training_stops_out_of_patience_and_returns_to_the_best_weights(scores, patience, evaluated, best):
    model = Weights()
    settings = LoopSettings(max_steps=14, evaluate_every=2, patience=patience)
    after = {}
    for step in optimise(
        model,
        Counted(),
        loss=lambda batch: model.value.sum(),
        evaluate=scripted(*scores),
        settings=settings,
    ):
        after[step.number] = model.value.detach().clone()
        assert (step.score is not None) == (step.number % 2 == 0)
        known = scores[: step.number // 2]
        assert step.best == (max(known) if known else None)
    assert len(after) == 2 * evaluated
    assert torch.equal(model.value, after[2 * best])


def test_the_last_step_is_evaluated_too():
    model = Weights()
    steps = train(model, lambda batch: model.value.sum(), scripted(1, 2), max_steps=5, evaluate_every=4)
    assert [step.score for step in steps] == [None, None, None, 1, 2]


def test_without_evaluation_the_last_weights_stay():
    model = Weights()
    steps = train(model, lambda batch: model.value.sum(), max_steps=3, learning_rate=0.1)
    assert model.value.tolist() == pytest.approx([-0.3] * 3)
    assert [(step.score, step.best) for step in steps] == [(None, None)] * 3


def test_the_model_learns_in_training_mode_is_scored_in_evaluation_mode_and_is_left_there():
    model = Weights()
    modes = []

    def loss(batch: int) -> Tensor:
        modes.append(("loss", model.training, torch.is_grad_enabled()))
        return model.value.sum()

    def evaluate() -> float:
        modes.append(("score", model.training, torch.is_grad_enabled()))
        return 0.0

    train(model, loss, evaluate, max_steps=2, evaluate_every=1)
    assert modes == [("loss", True, True), ("score", False, False)] * 2
    assert not model.training


def test_evaluation_changes_nothing_in_what_follows(make_run):
    def without_scores(steps: Any) -> list[Step]:
        return [replace(step, score=None, best=None) for step in steps]

    evaluated = without_scores(make_run(evaluate_every=1).steps())
    assert evaluated == without_scores(make_run().steps(evaluated=False))


# -------------------------------------------------------------------------------------------------- resuming


class Killed(Exception):
    """Stands for a process that ends in the middle."""


def interrupt(run: Any, checkpoints: Checkpoints, at: int, how: str) -> list[Step]:
    """Run until a step, end there, and return the steps that were seen."""
    seen = []
    steps = run.steps(checkpoints)
    try:
        for step in steps:
            seen.append(step)
            if step.number == at:
                if how == "killed":
                    raise Killed
                if how == "closed":
                    steps.close()
                    break
                stop_requested.ask()
    except (Killed, KeyboardInterrupt) as error:
        assert isinstance(error, Killed) == (how == "killed")
    else:
        assert how == "closed"
    stop_requested.clear()
    return seen


@pytest.mark.parametrize("how", ["killed", "closed", "asked to stop"])
@pytest.mark.parametrize("stops", [[1], [2], [16], [30], [7, 8, 20], [1, 2, 3, 29]], ids=str)
def test_a_run_in_pieces_equals_an_uninterrupted_one_bit_for_bit(make_run, checkpoints, stops, how):
    whole = make_run()
    expected = list(whole.steps())
    pieces = make_run()
    seen = [step for at in stops for step in interrupt(pieces, checkpoints, at, how)]
    seen += pieces.steps(checkpoints)
    assert len(expected) == 30
    assert sorted({step.number for step in seen}) == list(range(1, 31))
    assert all(step == expected[step.number - 1] for step in seen)
    for name, value in whole.weights().items():
        assert torch.equal(pieces.weights()[name], value), name


def test_asked_to_stop_loses_no_step_and_a_kill_at_most_those_since_the_checkpoint(make_run, checkpoints):
    asked = interrupt(make_run(), checkpoints, 7, "asked to stop")
    assert [step.number for step in asked] == [1, 2, 3, 4, 5, 6, 7]
    assert next(make_run().steps(checkpoints)).number == 8


def test_checkpoints_are_as_far_apart_in_time_as_the_settings_say(make_run, checkpoints, monkeypatch):
    saved = []
    monkeypatch.setattr(Checkpoints, "save", lambda self, state: saved.append(state.progress.step))
    seconds = count()
    monkeypatch.setattr("isogloss.compute.loop.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    list(make_run(checkpoint_seconds=10).steps(checkpoints))
    # The clock is read twice a step and once more when saving: 10 seconds are 5 steps.
    assert saved == [5, 10, 15, 20, 25, 30]


def test_early_stopping_is_the_same_after_an_interruption(make_run, checkpoints):
    expected = list(make_run(patience=1, evaluate_every=2, learning_rate=0.5).steps())
    assert 4 <= len(expected) < 30, "the case is meant to stop early"
    run = make_run(patience=1, evaluate_every=2, learning_rate=0.5)
    seen = interrupt(run, checkpoints, len(expected) - 1, "asked to stop")
    assert [*seen, *run.steps(checkpoints)] == expected


def test_a_finished_run_yields_nothing_more_and_restores_the_best_weights(make_run, checkpoints):
    run = make_run(max_steps=8)
    list(run.steps(checkpoints))
    weights = run.weights()
    again = make_run(max_steps=8)
    assert list(again.steps(checkpoints)) == []
    for name, value in weights.items():
        assert torch.equal(again.weights()[name], value), name


def test_elapsed_seconds_go_on_from_the_interrupted_run(checkpoints):
    model, other = Weights(), Weights()
    settings = LoopSettings(max_steps=3, checkpoint_seconds=1e-9)

    def steps(of: Weights) -> Any:
        return optimise(of, Counted(), loss=lambda batch: of.value.sum(), settings=settings, checkpoints=checkpoints)

    first = list(islice(steps(model), 2))
    rest = list(steps(other))
    assert [step.number for step in rest] == [2, 3]  # the second was not saved when the loop was left
    assert 0 < first[0].seconds <= rest[0].seconds <= rest[1].seconds


def test_streams_and_memories_fit_the_protocols():
    assert isinstance(Counted(), Batches)
    assert isinstance(Counted(), Resumable)
    assert not isinstance(Weights(), Batches)


class TwoAlike(Processes):
    """Two processes that see the same, played by one."""

    def sums(self, numbers):
        return [2 * number for number in numbers]

    def average_gradients(self, parameters, numbers):
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return self.sums(numbers)

    def copy_from_first(self, values):
        pass


def test_weights_that_are_held_for_some_steps_then_move_as_if_they_had_just_begun_in_any_number_of_processes():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value, self.late = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def trained(processes: Processes) -> tuple[list[Tensor], Two]:
        model, path = Two(), []

        def loss(batch: int) -> Tensor:
            model.late.requires_grad_(batch > 4)
            return (model.value.square() + model.late.square()).sum()

        settings = LoopSettings(max_steps=6, learning_rate=0.1, warmup_steps=0, schedule="constant")
        for _ in optimise(model, Counted(), loss=loss, settings=settings, processes=processes):
            path.append(model.late.detach().clone())
        return path, model

    path, alone = trained(Processes())
    assert all(torch.equal(late, torch.ones(3)) for late in path[:4])
    torch.testing.assert_close(path[4], torch.full((3,), 0.9), rtol=0, atol=1e-6)  # the first step of Adam
    also, together = trained(TwoAlike(world=2))
    assert torch.equal(alone.value, together.value)
    assert all(map(torch.equal, path, also))

"""What a running experiment shows on standard error: progress bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from isogloss.compute.workers import Event

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def showing_progress(stream: TextIO | None = None) -> Iterator[Callable[[Event], None]]:
    """Within the block, show the events that are passed to the yielded function."""
    stream = stream or sys.stderr
    if stream is None:  # a process without standard streams
        yield lambda event: None
    elif stream.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines(stream)


class _Lines:
    """One line when a stage starts and ends, and one every few seconds between."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun: dict[str, float] = {}
        self._shown: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        task, now = event.get("task", ""), time.monotonic()
        match event["event"]:
            case "run":
                kept, stages = len(event["kept"]), len(event["stages"])
                already = f", {kept} of them already there" if kept else ""
                self._say(f"{event['recipe']}: {stages} stage{'' if stages == 1 else 's'}{already}")
            case "started":
                self._begun[task] = self._shown[task] = now
            case "progress" if "forward_perplexity" in event or self._is_due(task, now):
                self._shown[task] = now
                self._say(f"{task}: {describe(event)}")
            case "finished":
                self._say(f"{task}: done in {duration(now - self._begun.get(task, now))}")

    def _is_due(self, task: str, now: float) -> bool:
        return now - self._shown.get(task, 0.0) >= SECONDS_BETWEEN_LINES

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


@contextmanager
def _bars() -> Iterator[Callable[[Event], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bars:
        bars_by_task: dict[str, Any] = {}
        overall: dict[str, Any] = {}

        def show(event: Event) -> None:
            task = event.get("task", "")
            match event["event"]:
                case "run":
                    stages = len(event["stages"])
                    overall["bar"] = bars.add_task(
                        event["recipe"],
                        total=stages,
                        completed=len(event["kept"]),
                        note=f"{len(event['kept'])} of {stages} stages",
                    )
                case "started":
                    bars_by_task[task] = bars.add_task(task, total=None, note="")
                case "progress":
                    bars.update(
                        bars_by_task[task],
                        completed=event["done"],
                        total=event["total"],
                        note=_short(event),
                    )
                    if "forward_perplexity" in event:
                        console.print(f"{task}: {describe(event)}", highlight=False)
                case "finished":
                    bars.remove_task(bars_by_task.pop(task))
                    bar = overall["bar"]
                    bars.advance(bar)
                    done = next(item for item in bars.tasks if item.id == bar)
                    bars.update(bar, note=f"{done.completed:.0f} of {done.total:.0f} stages")
                    console.print(f"[green]✓[/green] {task}", highlight=False)

        yield show


def _short(event: Event) -> str:
    """Say rate and time left, which is what fits beside a bar in 80 columns."""
    left = f", {duration(event['seconds_left'])} left" if "seconds_left" in event else ""
    return f"{event['rate']:,} {event['unit']}/s{left}"


def describe(event: Event) -> str:
    """Say in words how far a stage is.

    >>> describe({"done": 500, "total": 1000, "rate": 12345, "unit": "words", "seconds_left": 61.0, "loss": 2.5})
    'step 500 of 1,000, loss 2.500, 12,345 words/s, 1:01 left'
    """
    done = f"{event['done']:,}"
    parts = [f"step {done} of {event['total']:,}" if event.get("total") else f"{done} {_counted(event)}"]
    if "loss" in event:
        parts.append(f"loss {event['loss']:.3f}")
    if "forward_perplexity" in event:
        forward, backward = event["forward_perplexity"], event["backward_perplexity"]
        parts.append(f"held-out perplexity {forward:.1f} forward, {backward:.1f} backward")
    elif "score" in event:
        parts.append(f"score {event['score']:.4f}")
    parts.append(f"{event['rate']:,} {event['unit']}/s")
    if "seconds_left" in event:
        parts.append(f"{duration(event['seconds_left'])} left")
    return ", ".join(parts)


def _counted(event: Event) -> str:
    """Name what is counted where the end is not known."""
    return "rounds" if event["unit"] == "rounds" else "sentences"


def duration(seconds: float) -> str:
    """Write a duration as people read it.

    >>> duration(75.0), duration(3675.0)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

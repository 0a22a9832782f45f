"""Stopping on request: Ctrl-C asks, the loop answers at its next whole step.

An interrupt in the middle of a weight update would leave half a step behind. So the first Ctrl-C only raises
a flag; the training loop sees it between two steps, saves a checkpoint and raises `KeyboardInterrupt` itself.
A second Ctrl-C interrupts at once. Not so in processes that train together: there `torchrun` passes on what each has
already heard from the terminal.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopFlag:
    """Whether somebody has asked this process to stop. Set by a signal or by another thread."""

    def __init__(self) -> None:
        self._asked = False
        self._also: Callable[[], bool] = lambda: False

    def __call__(self) -> bool:
        return self._asked or self._also()

    def ask(self) -> None:
        """Ask to stop at the next whole step."""
        self._asked = True

    def watch(self, condition: Callable[[], bool]) -> None:
        """Stop also when `condition()` becomes true, as when the parent process asks."""
        self._also = condition

    def clear(self) -> None:
        """Forget that anybody asked."""
        self._asked = False


stop_requested = StopFlag()
"""The flag of this process, which checkpoints watch."""


def raise_if_stop_requested() -> None:
    """Raise `KeyboardInterrupt` if somebody has asked to stop; for loops that have nothing to save."""
    if stop_requested():
        raise KeyboardInterrupt


@contextmanager
def graceful_interrupt() -> Iterator[None]:
    """Within the block, let the first Ctrl-C (or SIGTERM) raise the flag and the second one interrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop_requested() and int(os.environ.get("WORLD_SIZE") or 1) == 1:
            raise KeyboardInterrupt
        stop_requested.ask()

    previous = {kind: signal.signal(kind, on_signal) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        stop_requested.clear()
        for kind, handler in previous.items():
            signal.signal(kind, handler)

"""Run the stages of an experiment side by side, each when those that it needs are done.

A `Task` is a name, the names it waits for, and a function. Tasks run in processes of their own, or one after
another in this process. They report by calling `report`; the events arrive in the parent, in order of time.
If the parent dies, its workers end within a second; if somebody asks the parent to stop, each worker stops at
its next whole step, with a checkpoint.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from isogloss.compute.interruption import graceful_interrupt, stop_requested
from isogloss.errors import TrainingError

Event = dict[str, Any]
"""What a task says: at least `task` and `event` (`started`, `progress`, `finished`)."""

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 60.0


@dataclass(frozen=True)
class Task:
    """Something to run."""

    name: str
    function: Callable[..., None]
    """A function of a module (other processes must find it by its name)."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Names of the tasks that must be done before."""


def _say_nothing(event: Event) -> None:
    """Stand in where nobody listens."""


_send: Callable[[Event], None] = _say_nothing
_task_name = ""


def report(event: str, **values: Any) -> None:
    """Tell the parent something about the task that runs in this process."""
    _send({"time": time.time(), "task": _task_name, "event": event, **values})


def take_part(work: Callable[[], object], *, threads: int) -> None:
    """Do this process's share of what several do together, where another process speaks to people.

    Stopped, it ends without a word: the one that speaks tells.
    """
    import torch

    torch.set_num_threads(threads)
    with graceful_interrupt():
        try:
            work()
        except KeyboardInterrupt:
            os._exit(130)


def run_tasks(
    tasks: Sequence[Task],
    *,
    workers: int,
    threads: int,
    on_event: Callable[[Event], None] = lambda event: None,
) -> None:
    """Run all tasks; return when all are done.

    Args:
        tasks: Any order; what a task waits for must be among them.
        workers: Processes; 0 runs in this one.
        threads: Of each process.
        on_event: Called in this process with every event.

    Raises:
        KeyboardInterrupt: Somebody asked to stop; running tasks saved what they had.
        IsoglossError: From a task; the other running tasks are stopped.
    """
    with graceful_interrupt():
        if workers == 0:
            for task in _in_order(tasks):
                _run_here(task, threads, on_event)
                if stop_requested():
                    raise KeyboardInterrupt
        else:
            _run_in_processes(tasks, workers, threads, on_event)


def _in_order(tasks: Sequence[Task]) -> Iterator[Task]:
    """Yield tasks so that each comes after those it waits for."""
    waiting = {task.name: task for task in tasks}
    while waiting:
        ready = [task for task in waiting.values() if not any(name in waiting for name in task.after)]
        assert ready, f"the tasks {sorted(waiting)} wait for one another"
        for task in ready:
            yield waiting.pop(task.name)


def _run_here(task: Task, threads: int, on_event: Callable[[Event], None]) -> None:
    """Run one task in this process; afterwards nobody listens any more, whatever else is called here."""
    global _send
    _send = on_event
    try:
        _run(task, threads)
    finally:
        _send = _say_nothing


def _run(task: Task, threads: int) -> None:
    """Run one task in this process."""
    global _task_name
    import torch  # a parent that only waits need not load it

    torch.set_num_threads(threads)
    _task_name = task.name
    report("started")
    task.function(**task.arguments)
    report("finished")


def _run_in_processes(tasks: Sequence[Task], workers: int, threads: int, on_event: Callable[[Event], None]) -> None:
    context = multiprocessing.get_context("spawn")
    events: Any = context.SimpleQueue()
    stop = context.Event()
    pool = ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=_begin_worker,
        initargs=(os.getpid(), threads, events.put, stop),
    )
    waiting = {task.name: task for task in _in_order(tasks)}
    running: dict[Future[None], str] = {}
    try:
        while waiting or running:
            unfinished = {*waiting, *running.values()}
            for task in list(waiting.values()):
                if len(running) < workers and not unfinished.intersection(task.after):
                    with _without_main_module(), _interrupts_blocked():
                        running[pool.submit(_run, waiting.pop(task.name), threads)] = task.name
            done, _ = wait(running, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
            _pass_on(events, on_event)
            for future in done:
                name = running.pop(future)
                try:
                    future.result()
                except BrokenProcessPool as error:
                    if stop_requested():
                        raise KeyboardInterrupt from error
                    raise TrainingError(
                        f"{name}: its process was killed, perhaps for want of memory. Expected it to finish. "
                        f"Set compute.workers = 1, or make the model smaller, and run again: finished stages "
                        f"are kept."
                    ) from error
            if stop_requested():
                raise KeyboardInterrupt
    finally:
        stop.set()
        for future in running:
            future.cancel()
        _, unfinished_futures = wait(running, timeout=SECONDS_TO_STOP)
        # Unless somebody hangs, wait for the pool's own thread: Python's exit would meet it while it closes its pipe.
        pool.shutdown(wait=not unfinished_futures, cancel_futures=True)
        _pass_on(events, on_event)


def _pass_on(events: Any, on_event: Callable[[Event], None]) -> None:
    while not events.empty():
        on_event(events.get())


def _begin_worker(parent: int, threads: int, send: Callable[[Event], None], stop: Any) -> None:
    """Prepare a worker process."""
    global _send
    os.environ["OMP_NUM_THREADS"] = str(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and asks through `stop`
    _unblock_interrupts()
    _send = send
    stop_requested.watch(stop.is_set)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep new processes from running the caller's script again.

    A spawned process imports the parent's main module first, so a plain script that calls us would start
    itself over and over. Our workers need nothing from it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let new processes begin deaf to Ctrl-C, which else would end them before they can ignore it.

    A process inherits which signals are blocked. Here, a Ctrl-C within the block is heard at its end.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unblock_interrupts() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

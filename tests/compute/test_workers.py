"""Tasks side by side: their order, their errors, and how all of it ends when somebody ends it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from isogloss.compute.interruption import stop_requested
from isogloss.compute.workers import Event, Task, report, run_tasks
from isogloss.errors import AlignmentError, TrainingError

WORK = '''
"""What the tasks of these tests do. Workers find this module by its name."""

import os
import time
from pathlib import Path

from isogloss.compute.interruption import stop_requested
from isogloss.compute.workers import report
from isogloss.errors import AlignmentError


def say(**values):
    import torch

    report("progress", pid=os.getpid(), threads=getattr(torch, "threads", None), **values)


def refuse(message):
    raise AlignmentError(message)


def crash():
    raise ZeroDivisionError("a bug")


def die():
    os._exit(9)


def meet(folder, me, other):
    """Return when the other has come to the same place."""
    Path(folder, me).touch()
    for _ in range(2000):
        if Path(folder, other).exists():
            return
        time.sleep(0.01)
    raise TimeoutError(other)


def wait_to_be_asked(folder):
    """Do what a training loop does: look between two steps, save and stop."""
    Path(folder, "begun").touch()
    report("progress", pid=os.getpid())
    for _ in range(1000):
        if stop_requested():
            Path(folder, "saved").touch()
            raise KeyboardInterrupt
        time.sleep(0.01)
    raise TimeoutError("nobody asked")


def refuse_when(folder, name):
    while not Path(folder, name).exists():
        time.sleep(0.01)
    raise AlignmentError("too few pairs")


def ask(folder):
    stop_requested.ask()


def wait_for_ever():
    report("progress", pid=os.getpid())
    time.sleep(60)
'''
TORCH = '''"""Stands in for torch, which takes seconds to import and which these tasks do not need."""

threads = None


def set_num_threads(number):
    global threads
    threads = number
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules workers can import, and in which tasks leave marks."""
    (tmp_path / "work_to_do.py").write_text(WORK)
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "work_to_do", raising=False)
    return tmp_path


def run(*tasks: Task, workers: int) -> list[Event]:
    events: list[Event] = []
    run_tasks(tasks, workers=workers, threads=1, on_event=events.append)
    return events


def task(name: str, function: str = "say", /, *, after: tuple[str, ...] = (), **arguments: object) -> Task:
    import work_to_do

    return Task(name, getattr(work_to_do, function), arguments, after)


PROCESSES = pytest.mark.parametrize("workers", [0, 2], ids=["in this process", "in two processes"])


@PROCESSES
def test_tasks_run_when_those_they_need_are_done(folder, workers):
    events = run(
        task("d", after=("b", "c")),
        task("c", after=("a",)),
        task("b", after=("a",)),
        task("a", value=7),
        workers=workers,
    )
    when = {(event["task"], event["event"]): place for place, event in enumerate(events)}
    assert len(events) == len(when) == 12
    for name, needed in [("b", "a"), ("c", "a"), ("d", "b"), ("d", "c")]:
        assert when[name, "started"] > when[needed, "finished"]
    for name in "abcd":
        assert when[name, "started"] < when[name, "progress"] < when[name, "finished"]
    (said,) = (event for event in events if event["task"] == "a" and event["event"] == "progress")
    assert said["value"] == 7
    assert (said["pid"] == os.getpid()) == (workers == 0)
    assert said["threads"] == (None if workers == 0 else 1)  # the stand-in is not this process's torch
    assert said["time"] <= time.time()


def test_tasks_that_do_not_need_one_another_run_side_by_side(folder):
    here = str(folder)
    run(
        task("one", "meet", folder=here, me="a", other="b"),
        task("two", "meet", folder=here, me="b", other="a"),
        workers=2,
    )


@PROCESSES
def test_an_error_of_a_task_reaches_the_caller_and_nothing_that_needs_it_runs(folder, workers):
    events: list[Event] = []
    tasks = [task("align", "refuse", message="gl→es has 3 pairs."), task("parse", after=("align",))]
    with pytest.raises(AlignmentError, match=r"^gl→es has 3 pairs\.$"):
        run_tasks(tasks, workers=workers, threads=1, on_event=events.append)
    assert [(event["task"], event["event"]) for event in events] == [("align", "started")]


@PROCESSES
def test_a_bug_in_a_task_is_not_dressed_up(folder, workers):
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(task("align", "crash"), workers=workers)


def test_nothing_of_the_processes_is_left_after_an_error(folder):
    before = set(threading.enumerate())
    with pytest.raises(AlignmentError, match="too few pairs"):
        run(task("align", "refuse", message="too few pairs"), workers=1)
    assert set(threading.enumerate()) == before, "Python's exit would meet the pool's thread"
    assert not multiprocessing.active_children()


def test_an_error_lets_the_other_tasks_save_what_they_have(folder):
    with pytest.raises(AlignmentError, match="too few pairs"):
        run(
            task("lm", "wait_to_be_asked", folder=str(folder)),
            task("align", "refuse_when", folder=str(folder), name="begun"),
            workers=2,
        )
    assert (folder / "saved").exists()


def test_a_killed_worker_is_reported_with_the_name_of_its_task(folder):
    with pytest.raises(TrainingError, match=r"^lm es: its process was killed.*compute\.workers = 1"):
        run(task("lm es", "die"), workers=1)


def test_asking_this_process_stops_between_two_tasks(folder):
    events: list[Event] = []
    tasks = [task("one", "ask", folder=""), task("two", after=("one",))]
    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, workers=0, threads=1, on_event=events.append)
    assert {event["task"] for event in events} == {"one"}
    assert not stop_requested(), "the flag is down for the next run"


def test_after_its_tasks_nobody_listens_to_this_process():
    events: list[Event] = []
    run_tasks([Task("a", print, {})], workers=0, threads=1, on_event=events.append)
    told = len(events)
    report("progress")
    assert len(events) == told == 2


def test_tasks_that_wait_for_one_another_are_an_error_of_ours(folder):
    with pytest.raises(AssertionError, match=r"\['a', 'b'\] wait for one another"):
        run(task("a", after=("b",)), task("b", after=("a",)), workers=0)


# ------------------------------------------------------------------------- a script of somebody who calls us

SCRIPT = """
import sys

print("begun", flush=True)
from isogloss.compute.workers import Task, run_tasks
import work_to_do

def show(event):
    if event["event"] == "progress":
        print("pid", event["pid"], flush=True)

tasks = [Task("task", getattr(work_to_do, {function!r}), {arguments!r})]
try:
    run_tasks(tasks, workers=1, threads=1, on_event=show)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print("done", flush=True)
"""


def environment(folder: Path) -> dict[str, str]:
    source = Path(__file__).parents[2] / "src"
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(source)])}


def start(place: Path, function: str, /, **arguments: object) -> subprocess.Popen[str]:
    """Start a plain script, without a guard for its main part, at the head of its own process group."""
    path = place / "script.py"
    path.write_text(SCRIPT.format(function=function, arguments=arguments))
    return subprocess.Popen(
        [sys.executable, path],
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def worker_of(process: subprocess.Popen[str]) -> int:
    """Read what a script says until it names its worker."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("pid "):
            return int(line.split()[1])
    raise AssertionError(f"the script ended: {process.communicate()[1]}")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("how", ["from a file", "from standard input", "with -c"])
def test_a_plain_script_without_a_main_guard_may_call_us(folder, how):
    text = SCRIPT.format(function="say", arguments={})
    path = folder / "script.py"
    path.write_text(text)
    command = {"from a file": [path], "from standard input": ["-"], "with -c": ["-c", text]}[how]
    found = subprocess.run(
        [sys.executable, *command],
        input=text if how == "from standard input" else None,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.stderr == ""
    begun, said, done = found.stdout.splitlines()
    assert (begun, said.split()[0], done) == ("begun", "pid", "done")


def test_ctrl_c_stops_the_script_after_its_tasks_have_saved(folder):
    process = start(folder, "wait_to_be_asked", folder=str(folder))
    worker_of(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the script and to its workers
    output, errors = process.communicate(timeout=30)
    assert output.splitlines() == ["interrupted", "done"]
    assert errors == ""
    assert (folder / "saved").exists()


def test_ctrl_c_while_a_worker_starts_is_an_interruption_too(folder):
    (folder / "sitecustomize.py").write_text(
        "import pathlib, sys, time\n"
        "if '--multiprocessing-fork' in sys.orig_argv:\n"
        f"    pathlib.Path({str(folder)!r}, 'starting').touch()\n"
        "    time.sleep(0.5)\n"
    )
    process = start(folder, "wait_to_be_asked", folder=str(folder))
    while not (folder / "starting").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert output.splitlines()[-2:] == ["interrupted", "done"]
    assert errors == ""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_soon_after_their_parent_was_killed(folder):
    process = start(folder, "wait_for_ever")
    worker = worker_of(process)
    process.kill()
    process.wait()
    limit = time.monotonic() + 10
    try:
        while is_alive(worker):
            assert time.monotonic() < limit, "the worker lives on"
            time.sleep(0.02)
    finally:
        if is_alive(worker):
            os.kill(worker, signal.SIGKILL)
        process.communicate()

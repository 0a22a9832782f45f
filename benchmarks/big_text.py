"""A text of a gigabyte: seconds to the first step, and memory: ``python -m benchmarks.big_text FOLDER``.

FOLDER holds raw texts, ``en.txt.xz`` and others. They are unpacked one after another, over and over, into a file of the
wanted size in a temporary folder; `isogloss train-lm` is started on it as a person would, with one thread, and stopped
with Ctrl-C after some steps. Seconds are counted from the start of the command; both those of the wall clock and those
of CPU are printed, since on a busy machine only the latter say what the work takes. Linux only.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from isogloss.corpus.raw_text import open_bytes

HOOK = """
import os, resource, sys, time
import isogloss.compute.loop as loop
begun, wanted = float(sys.argv[1]), int(sys.argv[2])
original = loop.optimise
def optimise(*arguments, **options):
    for step in original(*arguments, **options):
        if step.number in (1, wanted):
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print("STEP", step.number, time.time() - begun, time.process_time(), memory, flush=True)
        yield step
loop.optimise = optimise
sys.argv = ["isogloss", *sys.argv[3:]]
from isogloss.__main__ import main
main()
"""


def write_text(path: Path, folder: Path, size: int) -> None:
    """Write a file of about `size` bytes by repeating the texts of a folder."""
    texts = sorted(folder.glob("*.txt.xz"))
    with path.open("wb") as out:
        for text in cycle(texts):
            with open_bytes(text) as file:
                while out.tell() < size and (block := file.read(min(1 << 20, size - out.tell()))):
                    out.write(block)
            if out.tell() >= size:
                return


def main() -> None:
    """Run the benchmark and print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds LANGUAGE.txt.xz")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--size", default="small")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(folder / "big.txt", options.folder, options.megabytes * 1_000_000)
        words = ["train-lm", str(folder / "big.txt"), "-l", "en", "-o", str(folder / "model"), "--size", options.size]
        words += ["--evaluate-every", str(max(options.steps // 2, 1))]
        command = [sys.executable, "-c", HOOK, str(time.time()), str(options.steps), *words]
        begun = time.time()
        command[3] = str(begun)
        found: dict[int, list[float]] = {}
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as run:
            assert run.stdout is not None and run.stderr is not None
            for line in run.stdout:
                if line.startswith("STEP"):
                    number, *values = line.split()[1:]
                    found[int(number)] = [float(value) for value in values]
                    if int(number) == options.steps:
                        run.send_signal(signal.SIGINT)
            said = run.stderr.read()
        checkpoints = list((folder / ".model.checkpoints").glob("step-*"))
        print(
            json.dumps(
                {
                    "file_bytes": options.megabytes * 1_000_000,
                    "size": options.size,
                    "seconds_to_first_step": round(found[1][0], 1),
                    "cpu_seconds_to_first_step": round(found[1][1], 1),
                    "steps": options.steps,
                    "seconds_to_last_step": round(found[options.steps][0], 1),
                    "peak_megabytes_training": round(found[options.steps][2]),
                    "peak_megabytes_with_checkpoint": round(
                        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
                    ),
                    "exit_status": run.returncode,
                    "checkpoints": [path.name for path in checkpoints],
                    "last_line": said.strip().splitlines()[-1] if said.strip() else "",
                },
                indent=2,
            )
        )


if __name__ == "__main__":
    main()

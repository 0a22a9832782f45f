"""Time and memory of a whole recipe, beside what the machine can do: ``python -m benchmarks.recipe RECIPE``.

Runs the recipe from nothing in a temporary folder, as the command line does, and prints wall and CPU seconds of the
whole process tree and its peak memory (PSS, so that pages shared by processes count once). The float32 matrix-product
rate of one thread, measured before and after, tells how busy the machine was. Linux only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def matrix_rate(*, size: int = 1024, seconds: float = 1.0) -> float:
    """Return the float32 matrix-product rate of one thread in GFLOP/s."""
    import torch

    torch.set_num_threads(1)
    left, right = torch.randn(size, size), torch.randn(size, size)
    _ = left @ right
    begun, products = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        _ = left @ right
        products += 1
    return 2 * size**3 * products / (time.perf_counter() - begun) / 1e9


def tree_of(process: int) -> list[int]:
    """Return a process and all its descendants that are alive."""
    found = [process]
    try:
        for task in os.listdir(f"/proc/{process}/task"):
            children = Path(f"/proc/{process}/task/{task}/children").read_text().split()
            for child in children:
                found += tree_of(int(child))
    except OSError:
        pass  # it has ended meanwhile
    return found


def memory_of(process: int) -> int:
    """Return a process's proportional share of memory in bytes; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def main() -> None:
    """Run the benchmark and print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], help="override a setting: KEY=VALUE")
    options = parser.parse_args()
    rate_before = matrix_rate()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "isogloss", "run", options.recipe, "-o", f"{folder}/run"]
        command += [word for override in options.set for word in ("--set", override)]
        begun, peak = time.perf_counter(), 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            while run.poll() is None:
                peak = max(peak, sum(map(memory_of, tree_of(run.pid))))
                time.sleep(0.3)
        wall = time.perf_counter() - begun
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cards = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("run/encoders/*/card.json"))]
    print(
        json.dumps(
            {
                "recipe": options.recipe,
                "exit_status": run.returncode,
                "wall_seconds": round(wall, 1),
                "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
                "peak_megabytes": round(peak / 1e6),
                "language_model_words_per_second": [card["words_per_second"] for card in cards],
                "matrix_gflops_before": round(rate_before, 1),
                "matrix_gflops_after": round(matrix_rate(), 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()

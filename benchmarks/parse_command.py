"""The command `isogloss parse`: start-up, speed and memory: ``python -m benchmarks.parse_command MODELS TREES -l es``.

MODELS is a bundle, TREES a CoNLL-U file of its language. A thousand sentences of just 20 words are made from it by
cutting and joining its sentences, without tags and trees, and parsed by the command as a person would start it; so tags
are found as well. Start-up is what the command takes for one such sentence: import, load, parse, write. What the other
999 take beyond that gives the speed. Two larger files of the same show how memory grows with the file.

Seconds are those of the wall clock and those of CPU, since on a busy machine only the latter say what the work takes.
Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from isogloss.corpus.conllu import iterate_conllu, write_conllu
from isogloss.corpus.sentence import Sentence

WORDS = 20
SENTENCES = 1_000


def sentences_of_20_words(trees: Path, language: str) -> Iterator[Sentence]:
    """Yield stretches of 20 words of a treebank, over and over, as sentences without annotation."""
    forms = list(chain.from_iterable(sentence.forms for sentence in iterate_conllu(trees)))
    start = 0
    while True:
        if start + WORDS > len(forms):
            start = 0
        yield Sentence.of_forms(forms[start : start + WORDS], language=language)
        start += WORDS


def measure(models: Path, file: Path, language: str, threads: int) -> dict[str, float]:
    """Run the command on a file; return seconds of clock and of CPU, and peak memory in megabytes."""
    words = [sys.executable, "-m", "isogloss", "parse", str(file), "-l", language, "--models", str(models)]
    words += ["--threads", str(threads)]
    begun = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as run:
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        sys.exit(f"isogloss parse ended with status {run.returncode}")
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_megabytes": used.ru_maxrss / 1024,
    }


def main() -> None:
    """Run the benchmark and print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("trees", type=Path)
    parser.add_argument("--language", "-l", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=3, help="the best of so many runs counts")
    parser.add_argument("--megabytes", type=float, nargs=2, default=(3.0, 12.0), help="sizes of the two larger files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "sentences.conllu"

        def best(sentences: int, times: int) -> dict[str, float]:
            write_conllu(islice(sentences_of_20_words(options.trees, options.language), sentences), file)
            runs = [measure(options.models, file, options.language, options.threads) for _ in range(times)]
            return {key: min(run[key] for run in runs) for key in runs[0]}

        start, whole = best(1, options.times), best(SENTENCES, options.times)
        bytes_per_sentence = file.stat().st_size / SENTENCES
        larger = [best(round(size * 1e6 / bytes_per_sentence), 1) for size in options.megabytes]
    growth = (larger[1]["peak_megabytes"] - larger[0]["peak_megabytes"]) / (options.megabytes[1] - options.megabytes[0])
    print(
        json.dumps(
            {
                "language": options.language,
                "threads": options.threads,
                "start_seconds": round(start["seconds"], 2),
                "start_cpu_seconds": round(start["cpu_seconds"], 2),
                "sentences": SENTENCES,
                "words_per_sentence": WORDS,
                "sentences_per_second": round((SENTENCES - 1) / (whole["seconds"] - start["seconds"]), 1),
                "sentences_per_cpu_second": round((SENTENCES - 1) / (whole["cpu_seconds"] - start["cpu_seconds"]), 1),
                "peak_megabytes": round(whole["peak_megabytes"]),
                "file_megabytes": list(options.megabytes),
                "peak_megabytes_of_files": [round(run["peak_megabytes"]) for run in larger],
                "megabytes_of_memory_per_megabyte_of_file": round(growth, 3),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()

"""The other tools of `benchmarks.align`: what MUSE and VecMap are given, how they are run, and what they hand back.

`write_case` lays the files out, the same for every tool: word2vec text with lower-cased words, as MUSE demands (of
several casings the most frequent stays), and dictionaries with one pair of known words per line. A `Tool` says how it
is started and where its mapped vectors will lie; `run` starts it in a process of its own, on one thread, and takes
its time and memory. Neither tool is changed: a few lines around its script (`HARNESS`) load its libraries before the
clock starts, take the time of its functions that read and write text, and turn the seconds that it prints into CPU
seconds.

Sources: Conneau et al. (2018), https://github.com/facebookresearch/MUSE; Artetxe, Labaka and Agirre (2018), ACL and
AAAI, https://github.com/artetxem/vecmap.
"""

import dataclasses
import json
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from isogloss.lexicon.anchor_files import save_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.lexicon.word2vec_text import write_word2vec_text

HARNESS = """
import importlib, json, os, runpy, sys, time
report, checkout, script, libraries, text_functions, *arguments = sys.argv[1:]
sys.path.insert(0, checkout)
for library in libraries.split(","):
    importlib.import_module(library)
clocks = {"wall": time.perf_counter, "cpu": time.process_time}
text = dict.fromkeys(clocks, 0.0)
def taken(function):
    def timed(*positional, **named):
        begun = {name: clock() for name, clock in clocks.items()}
        try:
            return function(*positional, **named)
        finally:
            for name, clock in clocks.items():
                text[name] += clock() - begun[name]
    return timed
for place in text_functions.split(","):
    module, name = place.split(":")
    module = importlib.import_module(module)
    setattr(module, name, taken(getattr(module, name)))
time.time = time.process_time
sys.argv = [script, *arguments]
begun = {name: clock() for name, clock in clocks.items()}
runpy.run_path(os.path.join(checkout, script), run_name="__main__")
spent = {name: clock() - begun[name] for name, clock in clocks.items()}
peak = 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
found = {"wall": spent["wall"], "cpu": spent["cpu"], "text_wall": text["wall"], "text_cpu": text["cpu"], "peak": peak}
json.dump(found, open(report, "w"))
"""
"""Runs a script of a checkout: REPORT CHECKOUT SCRIPT LIBRARIES TEXT_FUNCTIONS ARGUMENTS…"""

ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}
HELD_OUT = 0.1
"""Share of the training dictionary's source words by which MUSE chooses among its rounds. Left to itself it looks at
the test dictionary."""


@dataclass(frozen=True)
class Case:
    """Two languages' vectors and their dictionaries, and the files with both."""

    folder: Path
    source: Anchors
    target: Anchors
    train: BilingualDictionary
    test: BilingualDictionary

    def text(self, anchors: Anchors) -> Path:
        """Return where the vectors lie as word2vec text."""
        return self.folder / f"{anchors.language}.vec"

    def saved(self, anchors: Anchors) -> Path:
        """Return where they lie in our own form, with counts."""
        return self.folder / f"anchors-{anchors.language}"

    def pairs(self, name: str) -> Path:
        """Return where a dictionary lies: ``train``, or its two parts, ``most`` and ``held-out``."""
        return self.folder / f"{name}.txt"


@dataclass(frozen=True)
class Tool:
    """A way to align: how it is started, and where the mapped vectors will lie."""

    name: str
    given: str
    """What it knows beside the vectors: ``dictionary``, ``identical words`` or ``nothing``."""
    command: Callable[[Case, Path], list[str]]
    """From a case and an output folder, the command line. The output folder gets ``report.json``."""
    mapped: Callable[[Case, Path], tuple[Path, Path]] | None = None
    """The two files of mapped vectors; without it the output folder holds an alignment of ours."""


@dataclass(frozen=True)
class Run:
    """What one run of a tool took. Libraries were loaded before the clock started, but count for memory."""

    outcome: Literal["finished", "stopped", "failed"]
    """``stopped``: it was not ready within the limit."""
    wall: float
    cpu: float
    text_wall: float
    """Seconds of these spent on reading and writing text."""
    text_cpu: float
    peak: int
    """Bytes."""
    command: tuple[str, ...]
    log: str
    """All that it printed."""

    @property
    def finished(self) -> bool:
        """Whether it came to its end and left what was asked for."""
        return self.outcome == "finished"

    @property
    def last_words(self) -> str:
        """What it printed last, on one line."""
        return " | ".join(line.strip() for line in self.log.splitlines() if line.strip())[-300:]


def lower_cased(anchors: Anchors) -> Anchors:
    """Lower the case of all words; of words that become the same, the most frequent stays.

    Words with white space inside are left out: VecMap splits its dictionaries there.
    """
    row_by_word: dict[str, int] = {}
    for row, word in enumerate(anchors.words):
        if word.lower().split() == [word.lower()]:
            row_by_word.setdefault(word.lower(), row)
    rows = torch.tensor(list(row_by_word.values()), dtype=torch.int64)
    return Anchors(
        language=anchors.language,
        layer=anchors.layer,
        words=tuple(row_by_word),
        vectors=anchors.vectors[rows].contiguous(),
        counts=anchors.counts[rows],
        mean_norm=anchors.mean_norm,
        token_norms=None if anchors.token_norms is None else anchors.token_norms[rows],
        token_squares=None if anchors.token_squares is None else anchors.token_squares[rows],
    )


def write_case(
    folder: Path, source: Anchors, target: Anchors, train: BilingualDictionary, test: BilingualDictionary
) -> Case:
    """Lay out what all tools are given; words in lower case, pairs of words that have vectors, no half twice.

    Layer 0 of a bidirectional model is one vector set beside itself. Half of it has all cosines of the whole, and
    VecMap, which inverts covariances, would stop at the whole: "Singular matrix".
    """
    folder.mkdir(parents=True, exist_ok=True)
    source, target = lower_cased(source), lower_cased(target)
    if _repeats_itself(source) and _repeats_itself(target):
        source, target = (
            dataclasses.replace(side, vectors=side.vectors[:, : side.width // 2].contiguous())
            for side in (source, target)
        )
    known = [(source.words[row], target.words[column]) for row, column in train.usable(source, target)]
    train = BilingualDictionary(train.source, train.target, tuple(known))
    case = Case(folder=folder, source=source, target=target, train=train, test=test)
    for anchors in (source, target):
        write_word2vec_text(case.text(anchors), anchors.words, anchors.vectors)
        save_anchors(case.saved(anchors), [anchors])
    most, held_out = train.split(HELD_OUT, seed=1)
    for name, dictionary in (("train", train), ("most", most), ("held-out", held_out)):
        lines = "".join(f"{one}\t{other}\n" for one, other in dictionary.pairs)
        case.pairs(name).write_text(lines, encoding="utf-8")
    return case


def _repeats_itself(anchors: Anchors) -> bool:
    """Tell whether the second half of every vector is its first half once more."""
    first, second = anchors.vectors[:, : anchors.width // 2], anchors.vectors[:, anchors.width // 2 :]
    return torch.equal(first, second)  # which halves of unlike width are not


def vecmap_tools(checkout: Path, python: str, *, seed: int) -> list[Tool]:
    """VecMap with its recommended settings, at each of three levels of help."""

    def tool(name: str, given: str, how: Callable[[Case], list[str]]) -> Tool:
        def command(case: Case, out: Path) -> list[str]:
            files = [str(case.text(case.source)), str(case.text(case.target)), str(out / "source"), str(out / "target")]
            arguments = [*how(case), "--seed", str(seed), "--verbose", *files]
            names = "embeddings:read,embeddings:write"
            return _harnessed(python, checkout, "map_embeddings.py", "numpy", names, arguments, out)

        return Tool(name, given, command, lambda _, out: (out / "source", out / "target"))

    return [
        tool("VecMap supervised", "dictionary", lambda case: ["--supervised", str(case.pairs("train"))]),
        tool("VecMap semi-supervised", "dictionary", lambda case: ["--semi_supervised", str(case.pairs("train"))]),
        tool("VecMap identical", "identical words", lambda _: ["--identical"]),
        tool("VecMap unsupervised", "nothing", lambda _: ["--unsupervised"]),
    ]


def muse_tools(checkout: Path, python: str, *, seed: int, epochs: int, epoch_size: int) -> list[Tool]:
    """MUSE as it comes and with its vectors normalised; adversarial only if epochs are given, for it takes hours."""

    def tool(name: str, script: str, how: Callable[[Case], list[str]]) -> Tool:
        def command(case: Case, out: Path) -> list[str]:
            arguments = ["--src_lang", case.source.language, "--tgt_lang", case.target.language]
            arguments += ["--src_emb", str(case.text(case.source)), "--tgt_emb", str(case.text(case.target))]
            arguments += ["--emb_dim", str(case.source.width), "--cuda", "false", "--seed", str(seed)]
            arguments += ["--dico_eval", str(case.pairs("held-out")), *how(case)]
            arguments += ["--exp_path", str(out), "--exp_name", "muse", "--exp_id", "run"]
            names = "src.models:load_embeddings,src.trainer:load_embeddings,src.trainer:export_embeddings"
            return _harnessed(python, checkout, script, "numpy,torch,src.evaluation", names, arguments, out)

        def mapped(case: Case, out: Path) -> tuple[Path, Path]:
            folder = out / "muse" / "run"
            return folder / f"vectors-{case.source.language}.txt", folder / f"vectors-{case.target.language}.txt"

        return Tool(name, "dictionary" if script == "supervised.py" else "nothing", command, mapped)

    def supervised(case: Case) -> list[str]:
        return ["--dico_train", str(case.pairs("most")), "--n_refinement", "5"]

    def adversarial(case: Case) -> list[str]:
        # MUSE stops when a language has fewer types than the discriminator shall look at.
        frequent = min(75_000, len(case.source), len(case.target))
        size = ["--n_epochs", str(epochs), "--epoch_size", str(epoch_size)]
        return [*size, "--n_refinement", "5", "--dis_most_frequent", str(frequent)]

    normalised = ["--normalize_embeddings", "renorm,center,renorm"]
    tools = [
        tool("MUSE supervised", "supervised.py", supervised),
        tool("MUSE supervised, normalised", "supervised.py", lambda case: [*supervised(case), *normalised]),
    ]
    if epochs:
        tools += [
            tool("MUSE unsupervised", "unsupervised.py", adversarial),
            tool("MUSE unsupervised, normalised", "unsupervised.py", lambda case: [*adversarial(case), *normalised]),
        ]
    return tools


def run(tool: Tool, case: Case, out: Path, *, limit: float) -> Run:
    """Run a tool to its end, or until it has used so many seconds of CPU time (or ten times as many of any time).

    The output folder is emptied first: MUSE refuses one that it has used before.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = tool.command(case, out)
    environment = {**os.environ, **ONE_THREAD, "PYTHONDONTWRITEBYTECODE": "1"}
    report, log = out / "report.json", out / "log.txt"
    begun = time.perf_counter()
    cpu, peak, stopped = 0.0, 0, False
    with log.open("w", encoding="utf-8") as printed:
        process = subprocess.Popen(command, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                cpu, peak = _spent(process.pid, cpu, peak)
                if cpu > limit or time.perf_counter() - begun > 10 * limit:
                    stopped = True
                    break
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
    said = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode == 0 and not stopped and report.exists():
        found = json.loads(report.read_text())
        return Run(outcome="finished", command=tuple(command), log=said, **found)
    return Run(
        outcome="stopped" if stopped else "failed",
        wall=time.perf_counter() - begun,
        cpu=cpu,
        text_wall=0.0,  # not known
        text_cpu=0.0,
        peak=peak,
        command=tuple(command),
        log=said,
    )


def seconds_per_iteration(vecmap_log: str) -> float:
    """Return the middle of the CPU seconds that VecMap says its iterations took; NaN if it finished none.

    The first one is left out where there are more, for it touches its memory for the first time.
    """
    found = [float(seconds) for seconds in re.findall(r"^ITERATION \d+ \(([\d.]+)s\)", vecmap_log, re.MULTILINE)]
    return statistics.median(found[1:] or found) if found else float("nan")


def shown(command: Sequence[str]) -> str:
    """Write a command line without the lines of the harness."""
    kept = list(command)
    if "-c" in kept:
        place = kept.index("-c")
        report_to_names = 6  # the code, the report, the checkout, the script, libraries and names
        kept = [kept[0], str(Path(kept[place + 3]) / kept[place + 4]), *kept[place + 1 + report_to_names :]]
    return " ".join(kept)


def _harnessed(
    python: str, checkout: Path, script: str, libraries: str, names: str, arguments: Sequence[str], out: Path
) -> list[str]:
    """Return the command that runs a script of a checkout inside the harness."""
    return [python, "-c", HARNESS, str(out / "report.json"), str(checkout), script, libraries, names, *arguments]


def _spent(process: int, cpu: float, peak: int) -> tuple[float, int]:
    """Return a process's CPU seconds and greatest memory so far; the last known ones if it has just ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{process}/status").read_text()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        peak = 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    return cpu, peak

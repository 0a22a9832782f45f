"""Our side of `benchmarks.align`: the table of our roads, and what runs in a process of its own.

``python -m benchmarks.align_roads road …`` takes one road, ``neighbours`` finds CSLS neighbours of random vectors,
``rate`` multiplies matrices. Each leaves the same report as the harness of the peers does: seconds of wall clock and of
CPU, those spent on reading and writing among them, and the greatest memory. Libraries load before the clock starts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from benchmarks.align_peers import ONE_THREAD, Case, Tool

from isogloss.lexicon.anchor_files import load_all_anchors
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import identical_words, read_dictionary
from isogloss.lexicon.word2vec_text import read_word2vec_text, write_word2vec_text
from isogloss.mapping.alignment import save_alignment
from isogloss.mapping.fit import fit_alignment
from isogloss.mapping.retrieval import nearest
from isogloss.mapping.settings import ProcrustesSettings, RCSLSSettings, SelfLearningSettings


def our_roads() -> dict[str, tuple[Any, str]]:
    """Return, by the name of a road, its settings and what it is given beside the vectors.

    That is a ``dictionary``, ``identical words`` (a dictionary made of them) or ``nothing`` (no dictionary at all).
    """
    plain: dict[str, Any] = {"prior": 0.0, "weighting": 0.0}
    centred: dict[str, Any] = {"normalisation": "unit_centre_unit", "meeting": False}
    meeting: dict[str, Any] = {**centred, "meeting": True, "prior": "held_out"}
    found: dict[str, Any] = {"prior": 0.0, "weighting": 0.3, "meeting": False}
    best = {**centred, "refinements": 5, "weighting": 0.3}
    return {
        "procrustes": (ProcrustesSettings(**plain), "dictionary"),
        "procrustes, centred": (ProcrustesSettings(**centred, **plain), "dictionary"),
        "procrustes, iterative": (ProcrustesSettings(normalisation="iterative", meeting=False, **plain), "dictionary"),
        "procrustes, centred + refine": (ProcrustesSettings(**centred, refinements=5, **plain), "dictionary"),
        "procrustes, centred + refine, held out": (
            ProcrustesSettings(**centred, refinements=5, selection="held_out", **plain),
            "dictionary",
        ),
        "procrustes + refine": (ProcrustesSettings(refinements=5, **plain), "dictionary"),
        "procrustes + refine, held out": (
            ProcrustesSettings(refinements=5, selection="held_out", **plain),
            "dictionary",
        ),
        "procrustes + weighting": (ProcrustesSettings(**centred, weighting=0.3, prior=0.0), "dictionary"),
        "procrustes + weighting, 0.15": (ProcrustesSettings(**centred, weighting=0.15, prior=0.0), "dictionary"),
        "procrustes + weighting, 0.5": (ProcrustesSettings(**centred, weighting=0.5, prior=0.0), "dictionary"),
        "procrustes + weighting, held out": (ProcrustesSettings(**centred, prior=0.0), "dictionary"),
        "procrustes + refine + weighting": (ProcrustesSettings(**best, prior=0.0), "dictionary"),
        "procrustes + meeting": (ProcrustesSettings(**meeting, weighting=0.3), "dictionary"),
        "procrustes + meeting, 500": (
            ProcrustesSettings(**meeting, weighting=0.3, weighting_prior=500),
            "dictionary",
        ),
        "procrustes + meeting, 2000": (
            ProcrustesSettings(**meeting, weighting=0.3, weighting_prior=2000),
            "dictionary",
        ),
        "procrustes + meeting, held out": (ProcrustesSettings(**meeting), "dictionary"),
        "procrustes + spelling": (ProcrustesSettings(**meeting, weighting=0.3, spelling=0.5), "dictionary"),
        "procrustes + refine + meeting": (ProcrustesSettings(**meeting, weighting=0.3, refinements=5), "dictionary"),
        "procrustes, prior": (ProcrustesSettings(**centred, prior="auto", weighting=0.0), "dictionary"),
        "procrustes, prior + refine + weighting": (
            ProcrustesSettings(**best, prior="auto", weighting_prior=0),
            "dictionary",
        ),
        "rcsls": (RCSLSSettings(), "dictionary"),
        "self-learning, identical": (SelfLearningSettings(**found), "nothing"),
        "self-learning, dictionary": (
            SelfLearningSettings(seed_pairs="dictionary", **found),
            "dictionary",
        ),
        "self-learning, cognates": (SelfLearningSettings(seed_pairs="cognates", **found), "nothing"),
        "self-learning, numerals": (SelfLearningSettings(seed_pairs="numerals", **found), "nothing"),
        "self-learning, neighbours": (
            SelfLearningSettings(seed_pairs="neighbours", **found),
            "nothing",
        ),
        "self-learning, neighbours + meeting": (
            SelfLearningSettings(seed_pairs="neighbours", weighting=0.3),
            "nothing",
        ),
        "self-learning, neighbours + spelling": (
            SelfLearningSettings(seed_pairs="neighbours", weighting=0.3, spelling=0.7),
            "nothing",
        ),
        "self-learning, identical + spelling": (SelfLearningSettings(weighting=0.3, spelling=0.7), "nothing"),
        "self-learning, none": (SelfLearningSettings(seed_pairs="none", **found), "nothing"),
    }


def road_tools(*, text: bool) -> list[Tool]:
    """Return our roads as tools beside the others; ``text``: they read and write word2vec text as those do."""

    def tool(name: str, given: str) -> Tool:
        def command(case: Case, out: Path) -> list[str]:
            form = case.text if text else case.saved
            files = ["--dictionary", str(case.pairs("train")), "--out", str(out)]
            languages = ["--languages", case.source.language, case.target.language, *(["--text"] if text else [])]
            return [*OURSELVES, "road", name, str(form(case.source)), str(form(case.target)), *files, *languages]

        return Tool(name, given, command)

    return [tool(name, given) for name, (_, given) in our_roads().items()]


def neighbours_tool(*, types: int, width: int, queries: int) -> Tool:
    """Return the search for CSLS neighbours of random vectors as a tool; it looks at no case."""
    sizes = ["--types", str(types), "--width", str(width), "--queries", str(queries)]
    return Tool("nearest", "nothing", lambda _, out: [*OURSELVES, "neighbours", "--out", str(out), *sizes])


def measured_matrix_rate() -> float:
    """Return the float32 matrix-product rate of one thread in a process of its own, in FLOP per CPU second."""
    done = subprocess.run(
        [*OURSELVES, "rate"], env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


OURSELVES = [sys.executable, "-m", "benchmarks.align_roads"]

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Stopwatch:
    """Takes wall and CPU seconds from its making on, and those spent inside `text`."""

    def __init__(self) -> None:
        self.begun = {name: clock() for name, clock in CLOCKS.items()}
        self.text_seconds = dict.fromkeys(CLOCKS, 0.0)

    @contextmanager
    def text(self) -> Iterator[None]:
        """Count what happens inside as reading and writing."""
        since = {name: clock() for name, clock in CLOCKS.items()}
        yield
        for name, clock in CLOCKS.items():
            self.text_seconds[name] += clock() - since[name]

    def write_report(self, folder: Path) -> None:
        """Write what was taken, and the greatest memory of this process so far in bytes."""
        spent = {name: clock() - self.begun[name] for name, clock in CLOCKS.items()}
        text = {f"text_{name}": seconds for name, seconds in self.text_seconds.items()}
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        (folder / "report.json").write_text(json.dumps({**spent, **text, "peak": peak}))


def take_road(options: argparse.Namespace) -> None:
    """Take one of our roads and write its alignment, and with ``--text`` also the mapped vectors."""
    settings, given = our_roads()[options.name]
    watch = Stopwatch()
    with watch.text():
        source = _read(options.source, options.languages[0], text=options.text)
        target = _read(options.target, options.languages[1], text=options.text)
    alignment = fit_alignment(source, target, dictionary=_dictionary(options, given, source, target), settings=settings)
    with watch.text():
        save_alignment(options.out, alignment)
        if options.text:
            write_word2vec_text(options.out / "source", source.words, alignment.apply(source.vectors))
            write_word2vec_text(options.out / "target", target.words, target.vectors * alignment.target_scale)
    watch.write_report(options.out)


def _read(path: Path, language: str, *, text: bool) -> Anchors:
    if text:
        words, vectors = read_word2vec_text(path)
        return Anchors.of_vectors(words, vectors, language=language)
    (anchors,) = load_all_anchors(path)
    return anchors


def _dictionary(options: argparse.Namespace, given: str, source: Anchors, target: Anchors) -> Any:
    """Return what a road is given: some dictionary, or None."""
    if given == "dictionary":
        return read_dictionary(options.dictionary, source=source.language, target=target.language)
    return identical_words(source, target) if given == "identical words" else None


def find_neighbours(options: argparse.Namespace) -> None:
    """Find the ten CSLS neighbours of random vectors among as many others."""
    generator = torch.Generator().manual_seed(1)
    sources = torch.randn(options.types, options.width, generator=generator)
    targets = torch.randn(options.types, options.width, generator=generator)
    watch = Stopwatch()
    indices, _ = nearest(sources[: options.queries], targets, k=10, background=sources)
    assert indices.shape == (min(options.queries, options.types), 10), "ten neighbours for every query"
    watch.write_report(options.out)


def print_matrix_rate(_: argparse.Namespace) -> None:
    """Print what `measured_matrix_rate` reads."""
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    _unused = left @ right
    begun, products = time.process_time(), 0
    while time.process_time() - begun < 2.0:
        _unused = left @ right
        products += 1
    print(2 * 2048**3 * products / (time.process_time() - begun))


def main() -> None:
    """Do one of the three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = parser.add_subparsers(required=True)
    road = parts.add_parser("road")
    road.set_defaults(do=take_road)
    road.add_argument("name", choices=list(our_roads()))
    road.add_argument("source", type=Path)
    road.add_argument("target", type=Path)
    road.add_argument("--languages", nargs=2, required=True)
    road.add_argument("--dictionary", type=Path)
    road.add_argument("--out", type=Path, required=True)
    road.add_argument("--text", action="store_true")
    neighbours = parts.add_parser("neighbours")
    neighbours.set_defaults(do=find_neighbours)
    neighbours.add_argument("--out", type=Path, required=True)
    for name in ("--types", "--width", "--queries"):
        neighbours.add_argument(name, type=int, required=True)
    parts.add_parser("rate").set_defaults(do=print_matrix_rate)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.do(options)


if __name__ == "__main__":
    main()

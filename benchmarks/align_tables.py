"""The tables of `benchmarks.align`, in Markdown: from records of runs and scores to lines of text."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from isogloss.mapping.retrieval import Metric

METRICS: tuple[Metric, ...] = ("csls", "cosine")
KINDS = {"dictionary": "supervised", "identical words": "unsupervised", "nothing": "unsupervised"}
"""How what a tool is given counts when the best are compared."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def quality_table(records: Sequence[dict[str, Any]]) -> str:
    """Write precision in per cent, with 95 % intervals at 1, and what it took."""
    head = ["pair-layer", "tool", "given", "words", "CSLS P@1", "P@5", "cosine P@1", "P@5", "CPU s", "wall s", "MB"]
    rows = []
    for one in records:
        row = [one["case"], one["tool"], one["given"]]
        if "csls" in one:
            row.append(str(one["tested_words"]))
            for metric in METRICS:
                low, high = one[metric]["P@1 interval"]
                row.append(f"{100 * one[metric]['P@1']:.1f} ({100 * low:.1f}–{100 * high:.1f})")
                row.append(f"{100 * one[metric]['P@5']:.1f}")
        else:
            row += [_why_not(one), "", "", "", ""]
        rows.append([*row, f"{_middle(one, 'cpu'):.1f}", f"{_middle(one, 'wall'):.1f}", f"{one['peak'] / 1e6:,.0f}"])
    return table(head, rows)


def best_table(records: Sequence[dict[str, Any]]) -> str:
    """Compare our best with the best of the peers, by CSLS P@1 in per cent, for each case."""
    head = ["pair-layer", "", "our best", "P@1", "the peers' best", "P@1", "difference"]
    rows = []
    for case in dict.fromkeys(one["case"] for one in records):
        for kind in dict.fromkeys(KINDS.values()):
            sides = []
            for ours in (True, False):
                some = [one for one in records if "csls" in one and one["case"] == case and one["ours"] == ours]
                some = [one for one in some if KINDS[one["given"]] == kind]
                sides.append(max(some, key=lambda one: one["csls"]["P@1"], default=None))
            cells = [cell for one in sides for cell in ((one["tool"], _percent(one)) if one else ("none finished", ""))]
            both = [one["csls"]["P@1"] for one in sides if one]
            rows.append([case, kind, *cells, f"{100 * (both[0] - both[1]):+.1f}" if len(both) == 2 else ""])
    return table(head, rows)


def speed_table(records: Sequence[dict[str, Any]]) -> str:
    """Write seconds, least / middle / greatest of the rounds, with text and without, and P@1."""
    head = [
        "tool",
        "given",
        "CPU s without text",
        "CPU s of text",
        "wall s, all",
        "MB",
        "CSLS P@1",
        "CPU s per iteration",
    ]
    rows = []
    for one in records:
        work = [all_ - text for all_, text in zip(one["cpu"], one["text_cpu"], strict=True)]
        result = _percent(one) if "csls" in one else _why_not(one)
        iteration = f"{one['cpu_per_iteration']:.1f}" if "cpu_per_iteration" in one else ""
        spreads = [spread(work), spread(one["text_cpu"]), spread(one["wall"])]
        rows.append([one["tool"], one["given"], *spreads, f"{one['peak'] / 1e6:,.0f}", result, iteration])
    return table(head, rows)


def ratio_table(records: Sequence[dict[str, Any]]) -> str:
    """Divide our CPU seconds by theirs, without text and (with it); a peer that was stopped took longer still."""
    peers = [one for one in records if not one["ours"]]
    rows = []
    for ours in (one for one in records if one["ours"] and one["outcome"] == "finished"):
        row = [ours["tool"]]
        row += [_ratios(ours, peer) for peer in peers]
        rows.append(row)
    return table(["ours / theirs", *(peer["tool"] for peer in peers)], rows)


def _ratios(ours: dict[str, Any], peer: dict[str, Any]) -> str:
    """Write our CPU seconds over the peer's without text, (with it), and what is gained or lost in P@1."""
    if peer["outcome"] == "failed":
        return "failed"
    if peer["outcome"] == "stopped":  # then nobody knows how much of its time was text
        return f"< {_middle(ours, 'cpu') / _middle(peer, 'cpu'):.3f}"
    work, whole = (
        [_middle(one, "cpu") - without * _middle(one, "text_cpu") for one in (ours, peer)] for without in (1, 0)
    )
    gain = (
        f"; P@1 {100 * (ours['csls']['P@1'] - peer['csls']['P@1']):+.1f}" if "csls" in ours and "csls" in peer else ""
    )
    return f"{work[0] / work[1]:.3f} ({whole[0] / whole[1]:.3f}){gain}"


def _percent(one: dict[str, Any]) -> str:
    return f"{100 * one['csls']['P@1']:.1f}"


def _why_not(one: dict[str, Any]) -> str:
    """Say why there is no result, in a cell of a table."""
    if one["outcome"] == "finished":
        return one["error"].replace("|", "/")
    why = "not ready in time" if one["outcome"] == "stopped" else "failed"
    return f"{why}; last words: {one['last_words'].replace('|', '/')}"


def _middle(one: dict[str, Any], name: str) -> float:
    return statistics.median(one[name])


def spread(values: Sequence[float]) -> str:
    """Write the least, the middle and the greatest of some values."""
    return " / ".join(f"{value:.1f}" for value in (min(values), statistics.median(values), max(values)))

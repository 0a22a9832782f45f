"""What `benchmarks.align` does without any other tool: lay files out, end runs, judge, and print tables."""

import sys
from pathlib import Path

import pytest
import torch
from benchmarks.align import invented_vectors, scores_of
from benchmarks.align_peers import (
    Case,
    Tool,
    lower_cased,
    muse_tools,
    run,
    seconds_per_iteration,
    shown,
    vecmap_tools,
    write_case,
)
from benchmarks.align_tables import best_table, quality_table, ratio_table

from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.lexicon.word2vec_text import read_word2vec_text, write_word2vec_text
from isogloss.mapping.alignment import Alignment, save_alignment


def anchors(words: list[str], language: str, *, vectors: torch.Tensor | None = None) -> Anchors:
    """Return anchors with falling counts."""
    if vectors is None:
        vectors = torch.randn(len(words), 4, generator=torch.Generator().manual_seed(len(words)))
    return Anchors.of_vectors(words, vectors, language=language, counts=list(range(2 * len(words), len(words), -1)))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Forty words that differ by a rotation; half of them are tested."""
    source, target, train, test = invented_vectors(types=40, width=16)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(7)).double()).Q.float()
    target = anchors(list(target.words), target.language, vectors=source.vectors @ turn)
    save_alignment(tmp_path / "ours", Alignment("aa", "bb", 0, turn.double()))
    return write_case(tmp_path / "aa-bb-0", source, target, train, test)


def ours(case: Case) -> Tool:
    return Tool("ours", "dictionary", lambda *_: [])


def test_of_several_casings_the_most_frequent_keeps_its_vector():
    found = lower_cased(anchors(["US", "us", "House", "new york", "Us"], "en"))
    assert found.words == ("us", "house")
    assert found.vectors.equal(anchors(["US", "us", "House", "new york", "Us"], "en").vectors[[0, 2]])
    assert found.counts.tolist() == [10, 8]


def test_all_tools_are_given_the_same_vectors_and_only_pairs_of_known_words(tmp_path: Path):
    words = [f"W{number}" for number in range(20)]
    train = [(word.lower(), word.lower()) for word in words] + [("w1", "unknown"), ("w2", "w 3")]
    source, target = anchors(words, "en"), anchors(words, "de")
    case = write_case(
        tmp_path, source, target, BilingualDictionary("en", "de", tuple(train)), BilingualDictionary("en", "de", ())
    )
    for side in (case.source, case.target):
        read, vectors = read_word2vec_text(case.text(side))
        assert (read, vectors.tolist()) == (side.words, side.vectors.tolist())
    pairs = {name: case.pairs(name).read_text().splitlines() for name in ("train", "most", "held-out")}
    assert pairs["train"] == [f"w{number}\tw{number}" for number in range(20)]
    assert len(pairs["held-out"]) == 2
    assert sorted(pairs["most"] + pairs["held-out"]) == sorted(pairs["train"])


@pytest.mark.parametrize(("repeats", "width"), [((2, 2), 4), ((2, 1), 8), ((1, 1), 8)])
def test_vectors_set_beside_themselves_are_given_once_if_both_sides_are(
    tmp_path: Path, repeats: tuple[int, int], width: int
):
    sides = []
    for language, times in zip(("en", "de"), repeats, strict=True):
        vectors = torch.randn(40, 8 // times, generator=torch.Generator().manual_seed(times))
        words = [f"w{number}" for number in range(40)]
        sides.append(anchors(words, language, vectors=vectors.repeat(1, times)))
    pairs = BilingualDictionary("en", "de", tuple((f"w{number}", f"w{number}") for number in range(40)))
    found = write_case(tmp_path / "halves", sides[0], sides[1], pairs, pairs)
    for before, after in zip(sides, (found.source, found.target), strict=True):
        assert after.vectors.equal(before.vectors[:, :width])
        assert read_word2vec_text(found.text(after))[1].shape == (40, width)


def test_no_peer_is_given_a_test_pair(case: Case):
    tools = vecmap_tools(Path("v"), "python", seed=1) + muse_tools(Path("m"), "python", seed=1, epochs=1, epoch_size=32)
    told = {path for tool in tools for path in tool.command(case, Path("out")) if path.endswith(".txt")}
    assert told == {str(case.pairs(name)) for name in ("train", "most", "held-out")}
    tested = {word for word, _ in case.test.pairs}
    assert tested
    assert not any(line.split()[0] in tested for path in told for line in Path(path).read_text().splitlines())


def test_one_judge_finds_every_word_after_the_planted_rotation(case: Case):
    scores = scores_of(ours(case), case, case.folder.parent / "ours")
    assert (scores["csls"]["P@1"], scores["cosine"]["P@1"], scores["tested_words"]) == (1.0, 1.0, len(case.test))


def test_a_peer_that_maps_both_sides_is_judged_in_its_own_space_and_order(case: Case, tmp_path: Path):
    stretch = torch.diag(torch.linspace(1.0, 2.0, 16))
    turn = torch.linalg.lstsq(case.source.vectors, case.target.vectors).solution
    mapped = {"source": case.source.vectors @ turn @ stretch, "target": case.target.vectors @ stretch}
    for name, side in (("source", case.source), ("target", case.target)):
        write_word2vec_text(tmp_path / name, side.words[::-1], mapped[name].flip(0))
    peer = Tool("peer", "nothing", lambda *_: [], lambda *_: (tmp_path / "source", tmp_path / "target"))
    assert scores_of(peer, case, tmp_path)["csls"]["P@1"] == 1.0
    write_word2vec_text(tmp_path / "target", case.target.words, case.target.vectors.flip(1))
    assert scores_of(peer, case, tmp_path)["csls"]["P@1"] < 1.0


def test_vectors_that_are_not_numbers_are_reported_and_not_judged(case: Case, tmp_path: Path):
    for name, side in (("source", case.source), ("target", case.target)):
        write_word2vec_text(tmp_path / name, side.words, side.vectors * float("nan"))
    peer = Tool("peer", "nothing", lambda *_: [], lambda *_: (tmp_path / "source", tmp_path / "target"))
    assert "Finite numbers" in scores_of(peer, case, tmp_path)["error"]


@pytest.mark.parametrize(
    ("code", "limit", "outcome"),
    [
        ("print('half done', flush=True)\nwhile True: pass", 0.5, "stopped"),
        ("raise SystemExit('no such file')", 60.0, "failed"),
        ("print('leaves no report')", 60.0, "failed"),
    ],
)
def test_a_run_without_result_says_how_it_ended_and_its_last_words(case: Case, code: str, limit: float, outcome: str):
    tool = Tool("odd", "nothing", lambda *_: [sys.executable, "-c", code])
    found = run(tool, case, case.folder / "odd", limit=limit)
    assert found.outcome == outcome
    assert found.last_words in {"half done", "no such file", "leaves no report"}


def test_the_harness_runs_a_script_as_it_is_and_tells_text_from_work(case: Case, tmp_path: Path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "embeddings.py").write_text("def read():\n    return sum(range(10**6))\ndef write():\n    pass\n")
    script = "import embeddings, sys\nif __name__ == '__main__':\n    embeddings.read()\n    print(sys.argv[1:])\n"
    (checkout / "map_embeddings.py").write_text(script)
    (tool, *_) = vecmap_tools(checkout, sys.executable, seed=3)
    found = run(tool, case, case.folder / "out", limit=60.0)
    assert found.outcome == "finished"
    assert found.log.startswith(f"['--supervised', '{case.pairs('train')}', '--seed', '3'")
    assert 0 < found.text_cpu <= found.cpu
    assert found.peak > 10**6
    assert shown(found.command).startswith(f"{sys.executable} {checkout}/map_embeddings.py --supervised")


def test_seconds_per_iteration_are_read_from_what_vecmap_prints():
    log = "\nITERATION 1 (9.00s)\n\t- Objective:  1%\n"
    log += "\nITERATION 2 (3.00s)\n\nITERATION 3 (4.00s)\n\nITERATION 4 (3.50s)"
    assert seconds_per_iteration(log) == 3.5
    assert seconds_per_iteration("ITERATION 1 (9.00s)") == 9.0
    assert seconds_per_iteration("") != seconds_per_iteration("")  # not a number


def record(tool: str, *, ours: bool, given: str = "dictionary", precision: float | None, cpu: float) -> dict:
    """Return a record as `compare` makes it; without a precision the tool was stopped."""
    found = {"case": "en-es-1", "tool": tool, "given": given, "ours": ours, "peak": 10**8, "tested_words": 100}
    found |= {"cpu": [cpu], "wall": [cpu], "text_cpu": [1.0], "text_wall": [1.0], "outcome": "finished"}
    if precision is None:
        return {**found, "outcome": "stopped", "last_words": "iteration 3 | loss 1"}
    score = {"P@1": precision, "P@5": precision, "P@1 interval": (precision, precision)}
    return {**found, "csls": score, "cosine": score}


def test_tables_compare_the_best_with_the_best_and_name_what_was_stopped():
    records = [
        record("road", ours=True, precision=0.50, cpu=2.0),
        record("better road", ours=True, precision=0.75, cpu=3.0),
        record("VecMap", ours=False, precision=0.70, cpu=21.0),
        record("MUSE", ours=False, given="nothing", precision=None, cpu=100.0),
    ]
    best = best_table(records)
    assert "| en-es-1 | supervised | better road | 75.0 | VecMap | 70.0 | +5.0 |" in best
    assert "| en-es-1 | unsupervised | none finished |  | none finished |  |  |" in best
    ratios = ratio_table(records)
    assert "| road | 0.050 (0.095); P@1 -20.0 | < 0.020 |" in ratios
    assert "| not ready in time; last words: iteration 3 / loss 1 |" in quality_table(records)
    assert len({line.count("|") for line in quality_table(records).splitlines()}) == 1

"""What `benchmarks.parser` does without any peer: it prepares trees, reads them back, scores and tabulates them."""

import sys
from pathlib import Path

import pytest
from benchmarks.parser import bare, evenly_spaced, las_of, read_trees, run, tables

from isogloss.corpus.conllu import read_conllu, write_conllu
from isogloss.corpus.sentence import Sentence, Word

TREE = Sentence(
    (
        Word("She", lemma="she", upos="PRON", feats="Case=Nom", head=2, deprel="nsubj:pass"),
        Word("sings", upos="VERB", xpos="VBZ", head=0, deprel="root"),
        Word(".", upos="PUNCT", head=2, deprel="punct"),
    ),
    language="en",
)


def record(*, seconds: float, las: float) -> dict:
    """Return what a process reports: 1,000 words and 100 sentences."""
    clocks = {"wall": 2 * seconds, "cpu": seconds}
    return {
        "training": {**clocks, "words": 1000, "steps": 7},
        "parsing": {**clocks, "sentences": 100},
        "peak": 3e8,
        "las": {"dev": las, "test": las},
    }


def test_all_are_given_words_tags_and_trees_and_nothing_else(tmp_path: Path):
    write_conllu([bare(TREE)], tmp_path / "train.conllu")
    (found,) = read_conllu(tmp_path / "train.conllu", language="en", require_trees=True)
    assert found.words == (
        Word("She", upos="PRON", head=2, deprel="nsubj"),
        Word("sings", upos="VERB", head=0, deprel="root"),
        Word(".", upos="PUNCT", head=2, deprel="punct"),
    )


def test_sentences_come_from_all_parts_of_a_treebank():
    sentences = [Sentence.of_forms([str(number)]) for number in range(10)]
    assert [one.forms[0] for one in evenly_spaced(sentences, 4)] == ["0", "2", "5", "7"]
    assert evenly_spaced(sentences, 20) == sentences


def test_trees_of_others_are_read_though_they_break_the_rules():
    rows = ["# text = a b", "1\ta\t_\t_\t_\t_\t0\troot\t_\t_", "2\tb\t_\t_\t_\t_\t0\troot\t_\t_", "", ""]
    again = ["# text = c", "# more = 1", "1\tc\t_\t_\t_\t_\t0\troot\t_\t_", ""]
    assert read_trees([f"{row}\n" for row in (*rows, *again)]) == [([0, 0], ["root", "root"]), ([0], ["root"])]


def test_las_counts_words_with_the_right_head_and_relation(tmp_path: Path):
    gold = [bare(TREE)]
    write_conllu([gold[0].with_tree([2, 0, 2], ["obj", "root", "punct"])], tmp_path / "system.conllu")
    assert las_of(gold, tmp_path / "system.conllu") == pytest.approx(2 / 3)


def test_the_table_shows_speeds_and_how_many_times_as_fast_we_are():
    records = {
        "ours, float32": [record(seconds=1.0, las=0.8), record(seconds=2.0, las=0.9)],
        "SuPar": [record(seconds=10.0, las=0.5), record(seconds=10.0, las=0.6)],
    }
    lines = {
        line[:58].strip(): line[58:].strip() for line in tables(records, [{"cpu": 1e11}, {"cpu": 2e11}]).split("\n")
    }
    assert lines["matrix product, GFLOP/s of CPU time"] == "100 / 150 / 200"
    assert lines["ours, float32: training words per second of CPU time"].endswith("500 / 750 / 1,000")
    assert lines["SuPar: LAS on dev"] == "50.00 / 55.00 / 60.00"
    assert lines["ours, float32 / SuPar: speed of training"] == "5.0 / 7.5 / 10.0"
    assert lines["ours, float32 / SuPar: speed of parsing"] == "5.0 / 7.5 / 10.0"


def test_a_process_that_fails_ends_the_benchmark_with_its_message():
    assert run(sys.executable, "import json, sys; print(json.dumps(sys.argv[1:]))", 1, "a") == ["1", "a"]
    with pytest.raises(SystemExit, match="no such parser"):
        run(sys.executable, "raise ValueError('no such parser')")

"""Scores survive the way to a file and back; what is not a score is refused by name."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import ArtifactError, OutputError
from isogloss.reports.results import Score, gap_closed, read_scores, rows_with_gaps, write_scores

SCORE = Score(
    system="aligned",
    language="gl",
    split="test",
    pos="gold",
    uas=0.8125,
    las=1 / 3,
    words=1200,
    seed=1,
    las_low=0.3,
    las_high=0.4,
    unseen=True,
)
fractions = st.floats(0, 1)


def test_rows_have_the_names_that_other_tools_read():
    assert list(SCORE.to_row())[:8] == ["system", "language", "split", "pos", "uas", "las", "words", "seed"]


@given(uas=fractions, las=fractions, low=st.none() | fractions, words=st.integers(0), seed=st.integers())
def test_scores_survive_json_at_full_precision(uas, las, low, words, seed):
    score = replace(SCORE, uas=uas, las=las, las_low=low, words=words, seed=seed)
    assert Score.from_row(json.loads(json.dumps(score.to_row()))) == score


def test_a_file_gives_back_the_scores_that_were_written(tmp_path):
    scores = [SCORE, replace(SCORE, system="static", language="kk", las_low=None, las_high=None)]
    write_scores(tmp_path / "run" / "reports" / "scores.json", scores)
    assert read_scores([tmp_path / "run" / "reports" / "scores.json"]) == scores
    assert read_scores([tmp_path / "run", str(tmp_path / "run")]) == 2 * scores


def test_the_same_scores_give_the_same_bytes(tmp_path):
    write_scores(tmp_path / "a.json", [SCORE])
    write_scores(tmp_path / "b.json", read_scores([tmp_path / "a.json"]))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_extras_may_be_missing_and_whole_fractions_may_be_written_short():
    row = dict(list(SCORE.to_row().items())[:8]) | {"uas": 1}
    score = Score.from_row(row)
    assert score.las_low is None and not score.unseen and score.uas == 1.0 and isinstance(score.uas, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"las": 71.2}, r"row 2: las is 71\.2\. Expected a fraction from 0 to 1"),
        ({"las": float("nan")}, r"row 2: las is nan"),
        ({"las": "high"}, r"row 2: las is 'high'"),
        ({"words": -1}, r"row 2: words is -1\. Expected a whole number from 0"),
        ({"trees": 0}, r"row 2: trees is 0\. Expected a whole number from 1, or null"),
        ({"draw": None}, r"row 2: draw is None\. Expected a whole number from 1"),
        ({"seed": True}, r"row 2: seed is True\. Expected a whole number"),
        ({"system": "magic"}, r"row 2: system is 'magic'\. Expected one of pos-only, unaligned"),
        ({"system": ["aligned"]}, r"row 2: system is \['aligned'\]"),
        ({"pos": "silver"}, r"row 2: pos is 'silver'\. Expected one of none, predicted, gold"),
        ({"language": ""}, r"row 2: language is ''\. Expected a language code"),
        ({"LAS": 0.5}, r"row 2: the unknown key 'LAS'\. Expected the keys system, language"),
    ],
)
def test_a_row_that_is_no_score_is_refused_by_its_place(tmp_path, change, message):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps([SCORE.to_row(), SCORE.to_row() | change]), encoding="utf-8")
    with pytest.raises(ArtifactError, match=message):
        read_scores([path])


def test_a_missing_key_is_named(tmp_path):
    row = SCORE.to_row()
    del row["words"]
    (tmp_path / "scores.json").write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"scores\.json, row 1: no 'words'"):
        read_scores([tmp_path / "scores.json"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{", r"cannot be read as JSON \(JSONDecodeError"),
        (b"\xff\xfe", r"cannot be read as JSON \(UnicodeDecodeError"),
        (b"{}", r"holds an object\. Expected a JSON list"),
        (b"[1]", r"holds a list whose entries are not all objects"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content, message):
    (tmp_path / "scores.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        read_scores([tmp_path / "scores.json"])


def test_a_run_without_scores_is_told(tmp_path):
    with pytest.raises(ArtifactError, match=r"reports/scores\.json: no such file\. .*finish the run"):
        read_scores([tmp_path])


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path):
    (tmp_path / "reports").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot be written"):
        write_scores(tmp_path / "reports" / "scores.json", [SCORE])


@pytest.mark.parametrize(
    ("low", "score", "high", "share"),
    [
        (0.2, 0.5, 0.6, 0.75),
        (0.2, 0.1, 0.6, -0.25),
        (0.2, 0.6, 0.6, 1.0),
        (0.6, 0.5, 0.6, None),
        (0.7, 0.6, 0.5, None),
    ],
)
def test_the_gap_is_closed_by_the_way_already_come(low, score, high, share):
    assert gap_closed(low, score, high) == (share if share is None else pytest.approx(share))


def test_rows_of_json_tell_both_gaps_between_the_bounds_of_their_own_seed():
    scores = [
        replace(SCORE, system=system, las=las, seed=seed, pos=pos, las_low=None, las_high=None)
        for system, las, seed, pos in [
            ("unaligned", 0.2, 1, "gold"),
            ("static", 0.4, 1, "gold"),
            ("aligned", 0.5, 1, "gold"),
            ("supervised", 0.6, 1, "gold"),
            ("static", 0.1, 2, "gold"),
            ("aligned", 0.4, 2, "gold"),
            ("supervised", 0.7, 2, "gold"),
            ("aligned", 0.3, 1, "none"),
        ]
    ]
    rows = rows_with_gaps(scores)
    found = {(row["system"], row["seed"], row["pos"]): (row["gap_closed"], row["gap_over_static"]) for row in rows}
    assert found["aligned", 1, "gold"] == (pytest.approx(0.75), pytest.approx(0.5))
    assert found["aligned", 2, "gold"] == (None, pytest.approx(0.5))
    assert found["static", 1, "gold"] == (pytest.approx(0.5), None)
    assert (
        found["supervised", 1, "gold"] == found["unaligned", 1, "gold"] == found["aligned", 1, "none"] == (None, None)
    )
    assert [Score.from_row(row) for row in rows] == scores

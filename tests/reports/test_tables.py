"""Tables keep their order, average seeds, and say the same in every rendering."""

import csv
import io
import itertools
from dataclasses import replace

import pytest

from isogloss.errors import DataError
from isogloss.reports.results import Score
from isogloss.reports.tables import as_csv, as_markdown, as_rich, as_text, score_table


def score(system, las, *, language="gl", pos="gold", seed=1, words=1200, unseen=True, **more):
    uas = min(1.0, las + 0.1)
    return Score(system, language, "test", pos, uas, las, words, seed, unseen=unseen, **more)


SCORES = [
    score("supervised", 0.8, unseen=False),
    score("aligned", 0.7, las_low=0.68, las_high=0.7199),
    score("pos-only", 0.45),
    score("unaligned", 0.4),
    score("static", 0.6),
    score("anchors-only", 0.35),
    score("aligned-no-dictionary", 0.65),
]


def test_systems_stand_from_the_lower_bounds_to_the_upper_one_however_they_come():
    bounds = ["pos-only", "unaligned"]
    expected = [*bounds, "anchors-only", "static", "aligned-no-dictionary", "aligned", "supervised"]
    for order in itertools.islice(itertools.permutations(SCORES), 0, 5040, 500):
        (block,) = score_table(order)
        assert [row.system for row in block.rows] == expected


def test_the_gap_is_told_for_systems_between_the_bounds():
    (block,) = score_table(SCORES)
    shares = {row.system: row.gap_closed for row in block.rows}
    assert shares["aligned"] == pytest.approx(0.75)
    assert shares["anchors-only"] == pytest.approx(-0.125)
    assert shares["pos-only"] is shares["unaligned"] is shares["supervised"] is None


def test_the_gap_over_static_vectors_is_told_beside_it():
    (block,) = score_table(SCORES)
    shares = {row.system: row.gap_over_static for row in block.rows}
    assert shares["aligned"] == pytest.approx(0.5)
    assert shares["aligned-no-dictionary"] == pytest.approx(0.25)
    assert shares["anchors-only"] == pytest.approx(-1.25)
    assert shares["pos-only"] is shares["unaligned"] is shares["static"] is shares["supervised"] is None


def test_the_gap_over_static_vectors_needs_static_vectors():
    (block,) = score_table([each for each in SCORES if each.system != "static"])
    assert {row.gap_over_static for row in block.rows} == {None}


def test_every_rendering_tells_both_gaps_apart():
    table = score_table(SCORES)
    assert "| system | POS | LAS | UAS | gap closed | gap over static | words |" in as_markdown(table)
    assert "| 70.00 [68.00, 71.99] | 80.00 | 75.0 % | 50.0 % | 1,200 |" in as_markdown(table)
    note = (
        "gap closed: from unaligned to supervised, in LAS, with the same POS; gap over static: from static vectors to "
        "supervised, in LAS, with the same POS."
    )
    assert note in as_markdown(table) and note in as_text(table)
    heading, _, *_ = as_text(table).splitlines()[1:]
    assert heading.split("  ")[-3:] == ["gap closed", "gap over static", "words"]
    assert "80.00      75.0 %           50.0 %  1,200" in as_text(table)


def test_bounds_count_only_for_the_same_tags():
    (block,) = score_table([*SCORES, score("aligned", 0.5, pos="none"), score("unaligned", 0.1, pos="none")])
    by_row = {(row.system, row.pos): row.gap_closed for row in block.rows}
    assert by_row["aligned", "none"] is None
    assert by_row["aligned", "gold"] == pytest.approx(0.75)
    assert [row.pos for row in block.rows if row.system == "aligned"] == ["none", "gold"]


def test_few_trees_stand_after_none_and_before_all():
    few = [score("aligned", 0.75, trees=50, unseen=False), score("aligned", 0.72, trees=10, unseen=False)]
    few += [score("supervised", 0.3, trees=10, unseen=False), score("supervised", 0.5, trees=50, unseen=False)]
    (block,) = score_table([*few, *SCORES])
    found = [(row.label, row.trees) for row in block.rows if row.system in ("aligned", "supervised")]
    assert found == [
        ("aligned (zero-shot)", None),
        ("aligned, then 10 trees", 10),
        ("aligned, then 50 trees", 50),
        ("10 trees only", 10),
        ("50 trees only", 50),
        ("supervised (upper bound)", None),
    ]
    shares = {row.trees: row.gap_closed for row in block.rows if row.system == "aligned"}
    assert shares == {None: pytest.approx(0.75), 10: pytest.approx(0.8), 50: pytest.approx(0.875)}


def test_draws_are_averaged_as_seeds_are():
    scores = [score("aligned", las, trees=10, draw=draw) for draw, las in enumerate((0.70, 0.72, 0.74), 1)]
    ((row,),) = (block.rows for block in score_table(scores))
    assert (row.las.mean, row.las.deviation) == (pytest.approx(0.72), pytest.approx(0.02))
    assert "72.00 ± 2.00 (n = 3)" in as_text(score_table(scores))
    assert next(csv.DictReader(io.StringIO(as_csv(score_table(scores)))))["trees"] == "10"


def test_seeds_are_averaged_and_their_spread_is_told():
    scores = [score("aligned", las, seed=seed) for seed, las in enumerate((0.70, 0.72, 0.74), 1)]
    ((row,),) = (block.rows for block in score_table(scores))
    assert (row.las.mean, row.las.deviation) == (pytest.approx(0.72), pytest.approx(0.02))
    assert row.seeds == (1, 2, 3) and row.las_interval is None
    assert "72.00 ± 2.00 (n = 3)" in as_text(score_table(scores))


def test_an_interval_belongs_to_a_single_seed():
    assert "70.00 [68.00, 71.99]" in as_text(score_table(SCORES))
    more = score("aligned", 0.72, seed=2, las_low=0.7, las_high=0.74)
    assert "[" not in as_text(score_table([*SCORES, more]))


def test_the_same_score_read_twice_counts_once():
    assert score_table(SCORES * 2) == score_table(SCORES)


def test_two_different_scores_of_one_seed_are_refused():
    with pytest.raises(DataError, match=r"aligned on gl test, POS gold, seed 1: found LAS 70\.00% and 71\.00%"):
        score_table([SCORES[1], replace(SCORES[1], las=0.71)])


def test_each_test_set_has_a_block_in_the_order_of_first_appearance():
    scores = [score("aligned", 0.7, language=name, unseen=name != "es") for name in ("pt", "es", "pt", "gl")]
    blocks = score_table(scores)
    assert [block.title for block in blocks] == [
        "pt test, unseen language",
        "es test",
        "gl test, unseen language",
    ]
    assert [block.rows[0].label for block in blocks] == [
        "aligned (zero-shot)",
        "aligned",
        "aligned (zero-shot)",
    ]


def test_another_scope_is_another_block():
    blocks = score_table([SCORES[1], replace(SCORES[1], scope="no-punctuation")])
    assert [block.title for block in blocks] == [
        "gl test, unseen language",
        "gl test, no punctuation, unseen language",
    ]


def test_markdown_is_a_table_per_block():
    assert as_markdown(score_table(SCORES[:4])).splitlines() == [
        "### gl test, unseen language",
        "",
        "| system | POS | LAS | UAS | gap closed | words |",
        "| :-- | :-- | :-- | :-- | --: | --: |",
        "| parts of speech only | gold | 45.00 | 55.00 |  | 1,200 |",
        "| unaligned | gold | 40.00 | 50.00 |  | 1,200 |",
        "| aligned (zero-shot) | gold | 70.00 [68.00, 71.99] | 80.00 | 75.0 % | 1,200 |",
        "| supervised (upper bound) | gold | 80.00 | 90.00 |  | 1,200 |",
        "",
        "LAS and UAS in per cent; [95% interval over sentences]; gap closed: from unaligned to supervised, "
        "in LAS, with the same POS.",
    ]


def test_a_bar_in_a_name_does_not_break_markdown():
    assert "### a\\|b test" in as_markdown(score_table([score("aligned", 0.5, language="a|b")]))


def test_csv_reads_back_as_numbers():
    rows = list(csv.DictReader(io.StringIO(as_csv(score_table(SCORES)))))
    aligned = next(row for row in rows if row["system"] == "aligned")
    assert aligned == {
        "language": "gl",
        "split": "test",
        "scope": "ud",
        "unseen": "yes",
        "system": "aligned",
        "pos": "gold",
        "trees": "",
        "las_percent": "70.00",
        "las_low_percent": "68.00",
        "las_high_percent": "71.99",
        "las_sd_percent": "",
        "uas_percent": "80.00",
        "uas_sd_percent": "",
        "gap_closed_percent": "75.00",
        "gap_over_static_percent": "50.00",
        "words": "1200",
        "seeds": "1",
    }
    assert len(rows) == 7


def test_columns_of_plain_text_end_below_each_other():
    table = as_text(score_table([*SCORES, score("aligned", 0.051, language="語", words=12_345)]))
    lines = [line for line in table.splitlines() if "gold" in line]
    # Every row ends with its number of words, at the right edge.
    assert len({len(line) for line in lines}) == 1
    assert "12,345" in table and "   5.10" in table and "70.00 [68.00, 71.99]" in table


def test_the_terminal_table_fits_eighty_columns_and_holds_every_row():
    console = pytest.importorskip("rich.console", reason="rich is not installed")
    stream = io.StringIO()
    console.Console(file=stream, width=80, color_system=None).print(as_rich(score_table(SCORES)))
    shown = stream.getvalue()
    assert "70.00 [68.00, 71.99]" in shown and "supervised (upper bound)" in shown and "…" not in shown
    assert sum("gold" in line for line in shown.splitlines()) == 7
    assert "80.00  75.0 %   50.0 % 1,200" in shown


def test_a_score_below_the_lower_bound_closes_less_than_nothing():
    assert "−12.5 %" in as_text(score_table(SCORES))


def test_no_scores_make_an_empty_table():
    assert score_table([]) == ()
    assert as_markdown(()) == as_text(()) == "No scores.\n"
    assert len(as_csv(()).splitlines()) == 1
    assert as_rich(()).row_count == 0


def test_test_sets_of_several_sizes_show_their_range():
    scores = [score("aligned", 0.5, seed=seed, words=words) for seed, words in ((1, 1300), (2, 1200))]
    assert "1,200–1,300" in as_text(score_table(scores))

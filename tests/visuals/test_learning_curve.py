"""A learning curve shows the scores from few trees, and beside them what the same system reaches without any."""

from importlib.util import find_spec

import pytest

from isogloss.errors import DataError
from isogloss.reports.results import Score
from isogloss.reports.tables import score_table
from isogloss.visuals.learning_curve import draw_learning_curve

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib comes with isogloss[visuals]")


def score(system, las, trees=None, **more) -> Score:
    values = {"unseen": trees is None, "las_low": las - 0.02, "las_high": las + 0.03, "seed": 1, **more}
    return Score(system, "es", "test", "none", las + 0.1, las, 1000, trees=trees, **values)


@needs_matplotlib
def test_points_bars_and_the_line_without_trees_are_those_of_the_scores():
    scores = [score("aligned", 0.5), score("aligned", 0.6, 100), score("aligned", 0.55, 10)]
    (block,) = score_table([*scores, score("supervised", 0.3, 10), score("supervised", 0.9, unseen=False)])
    (axes,) = draw_learning_curve(block).axes
    [aligned, alone] = axes.containers
    line, _, (bars,) = aligned
    assert list(line.get_xdata()) == [10, 100]
    assert list(line.get_ydata()) == pytest.approx([55, 60])
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [
        pytest.approx([53, 58]),
        pytest.approx([58, 63]),
    ]
    assert list(alone[0].get_ydata()) == pytest.approx([30])
    [flat] = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert set(flat.get_ydata()) == {50}, "the upper bound, which saw all trees, is no such line"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["10", "100"]


@needs_matplotlib
def test_bars_over_draws_are_a_standard_deviation():
    (block,) = score_table([score("aligned", las, 10, draw=draw) for draw, las in enumerate((0.5, 0.6, 0.7), 1)])
    (axes,) = draw_learning_curve(block).axes
    _, _, (bars,) = axes.containers[0]
    assert bars.get_segments()[0][:, 1].tolist() == pytest.approx([50, 70])


def test_without_few_trees_there_is_no_curve():
    (block,) = score_table([score("aligned", 0.5)])
    with pytest.raises(DataError, match=r"Learning curve of es test, unseen language: no score from few trees"):
        draw_learning_curve(block)

"""Maps show what was given, the same each time; the projection keeps what it can."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import AlignmentError, OutputError
from isogloss.lexicon.anchors import Anchors
from isogloss.lexicon.dictionary import BilingualDictionary
from isogloss.mapping.alignment import Alignment
from isogloss.visuals import embedding_map
from isogloss.visuals.embedding_map import MapPanel, draw_anchor_map, draw_embedding_map, save_figure

needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None,
    reason="matplotlib is not installed; it comes with isogloss[visuals]",
)
WIDTH, TYPES = 6, 40


def planted(language, *, seed, letter):
    """A language whose space is that of English turned round, with the alignment that turns it back."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(TYPES, WIDTH, generator=generator, dtype=torch.float64) + 2
    turn, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator.manual_seed(seed), dtype=torch.float64))
    words = [f"{letter}{number}" for number in range(TYPES)]
    anchors = Anchors.of_vectors(words, vectors @ turn.mT, language=language, layer=1)
    dictionary = BilingualDictionary(language, "en", tuple((word, f"w{word[1:]}") for word in words[::2]))
    return anchors, Alignment(language, "en", 1, turn), dictionary


def english():
    vectors = torch.randn(TYPES, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 2
    return Anchors.of_vectors([f"w{number}" for number in range(TYPES)], vectors, language="en", layer=1)


@pytest.fixture(scope="module")
def figure():
    languages = [planted("el", seed=1, letter="ω"), planted("ja", seed=2, letter="語")]
    anchors, alignments, dictionaries = zip(*languages, strict=True)
    return draw_anchor_map(
        [english(), *anchors], alignments, dictionaries, precision_by_language={"el": 0.62, "ja": 0.5}
    )


def line_lengths(axes):
    """The lengths of the lines that join translations, as shares of the picture's width."""
    (lines,) = (found for found in axes.collections if found.get_label() == "translations")
    segments = np.array(lines.get_segments())
    return np.linalg.norm(segments[:, 0] - segments[:, 1], axis=1) / np.diff(axes.get_xlim())


@needs_matplotlib
def test_alignment_brings_translations_together(figure):
    before, after = figure.axes
    assert line_lengths(before).mean() > 0.05
    assert line_lengths(after).max() < 1e-3  # vectors are stored in float32
    assert len(line_lengths(before)) == len(line_lengths(after)) == 40


@needs_matplotlib
def test_the_titles_say_languages_layer_and_precision(figure):
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert figure.get_suptitle() == "Anchors of en, el, ja, layer 1"
    assert "before alignment" in titles[0]
    assert titles[1] == "after alignment: all in the space of en\nprecision@1: el 62 %, ja 50 %"


@needs_matplotlib
def test_every_language_has_its_colour_and_marker_in_the_legend(figure):
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["en", "el", "ja", "translations"]
    handles = legend.legend_handles[:3]
    assert len({tuple(handle.get_facecolor()[0]) for handle in handles}) == 3
    assert len({handle.get_paths()[0].vertices.tobytes() for handle in handles}) == 3


@needs_matplotlib
def test_both_panels_name_the_same_words_with_their_translations(figure):
    names = [sorted(text.get_text() for text in axes.texts) for axes in figure.axes]
    assert names[0] == names[1] and len(names[0]) == 18
    assert {name[1:] for name in names[0] if name[0] == "w"} == {name[1:] for name in names[0] if name[0] == "ω"}


@needs_matplotlib
def test_labels_stand_apart(figure):
    figure.draw_without_rendering()
    for axes in figure.axes[:1]:
        boxes = [text.get_window_extent() for text in axes.texts]
        pairs = [(one, other) for place, one in enumerate(boxes) for other in boxes[:place]]
        assert sum(embedding_map._overlap(one, other) > 0 for one, other in pairs) <= 1


@needs_matplotlib
@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_map_gives_the_same_bytes(tmp_path, ending):
    anchors, alignment, dictionary = planted("el", seed=1, letter="ω")
    for name in "ab":
        save_figure(draw_anchor_map([english(), anchors], [alignment], [dictionary]), tmp_path / f"{name}.{ending}")
    content = (tmp_path / f"a.{ending}").read_bytes()
    assert content == (tmp_path / f"b.{ending}").read_bytes()
    assert b"<svg" in content if ending == "svg" else content.startswith(b"\x89PNG")


@needs_matplotlib
def test_text_in_an_svg_stays_text_in_any_script(figure, tmp_path):
    save_figure(figure, tmp_path / "visuals" / "map.svg")
    content = (tmp_path / "visuals" / "map.svg").read_text(encoding="utf-8")
    assert "語" in content and "ω" in content and "<title>Anchors of en, el, ja, layer 1</title>" in content
    assert "dc:date" not in content


@needs_matplotlib
def test_drawing_leaves_matplotlib_as_it_was(figure, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    save_figure(figure, tmp_path / "map.svg")
    assert dict(matplotlib.rcParams) == before


@needs_matplotlib
def test_another_ending_is_refused(figure, tmp_path):
    with pytest.raises(OutputError, match=r"map\.jpg: a figure cannot be written with the ending '\.jpg'"):
        save_figure(figure, tmp_path / "map.jpg")


@needs_matplotlib
def test_dollars_in_words_are_no_formula(tmp_path):
    vectors = torch.eye(3)[:2]
    figure = draw_embedding_map(
        [MapPanel("only", {"en": vectors, "fr": vectors + 0.1})],
        words_by_language={"en": ["$^$", "a"], "fr": ["b$_$", "c"]},
        pairs_by_language={"fr": [(0, 0), (1, 1)]},
        reference="en",
        title="Prices",
    )
    save_figure(figure, tmp_path / "map.svg")
    assert "$^$" in (tmp_path / "map.svg").read_text(encoding="utf-8")


def test_a_missing_matplotlib_is_told_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    anchors, alignment, dictionary = planted("el", seed=1, letter="ω")
    with pytest.raises(OutputError, match=r'matplotlib is not installed\. .*pip install "isogloss\[visuals\]"'):
        draw_anchor_map([english(), anchors], [alignment], [dictionary])


def test_an_alignment_of_another_language_is_refused():
    anchors, _, dictionary = planted("el", seed=1, letter="ω")
    other = Alignment("ja", "en", 1, torch.eye(WIDTH, dtype=torch.float64))
    with pytest.raises(AlignmentError, match=r"anchors of el, layer 1, with the alignment ja→en, layer 1"):
        draw_anchor_map([english(), anchors], [other], [dictionary])


def test_a_dictionary_without_known_words_is_refused():
    anchors, alignment, _ = planted("el", seed=1, letter="ω")
    with pytest.raises(AlignmentError, match=r"layer 1: no dictionary pair has anchors in both languages"):
        draw_anchor_map([english(), anchors], [alignment], [BilingualDictionary("el", "en", (("x", "y"),))])


def test_words_that_every_language_translates_come_first():
    (one, _, full), (other, _, _) = planted("el", seed=1, letter="ω"), planted("ja", seed=2, letter="語")
    rare = BilingualDictionary("ja", "en", (("語30", "w30"), ("語31", "w31")))
    pairs = embedding_map._frequent_pairs(english(), [one, other], [full, rare], 4)
    assert pairs == {"el": [(30, 30), (0, 0)], "ja": [(30, 30)]}


@given(seed=st.integers(0, 1000))
def test_the_projection_of_a_plane_keeps_its_distances(seed):
    generator = torch.Generator().manual_seed(seed)
    flat = torch.randn(12, 2, generator=generator, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))
    turned = flat @ turn[:2] + 3
    points = embedding_map._project({"a": turned[:9], "b": turned[9:]})
    found = torch.cdist(*[torch.from_numpy(np.concatenate([points["a"], points["b"]]))] * 2)
    assert torch.allclose(found, torch.cdist(flat, flat), atol=1e-6)  # cdist takes roots of small differences


def test_languages_weigh_the_same_however_many_words_they_have():
    few = torch.tensor([[0.0, 0.0, -3.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    many = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]]).repeat(500, 1)
    points = embedding_map._project({"few": few, "many": many})
    # By weight the third dimension (variance 4.5) leads and the second (1) follows.
    assert np.abs(points["few"][:2]) == pytest.approx(np.array([[3, 0], [3, 0]]))
    assert np.abs(points["many"][0]) == pytest.approx(np.array([0, 1]))

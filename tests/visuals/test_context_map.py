"""Maps of words in context show every occurrence where it is, and anchors amid them."""

import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
import torch

from isogloss.errors import AlignmentError, OutputError, VectorsError
from isogloss.lexicon.anchors import Anchors
from isogloss.mapping.alignment import Alignment
from isogloss.visuals import context_map
from isogloss.visuals.context_map import draw_context_map
from isogloss.visuals.embedding_map import _overlap, save_figure

needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None,
    reason="matplotlib is not installed; it comes with isogloss[visuals]",
)
WIDTH = 6
EACH = 20


def clouds(*words: str) -> dict[str, torch.Tensor]:
    """Occurrences of words: each a cloud of its own, the same in every language for the first, second… word."""
    generator = torch.Generator().manual_seed(0)
    return {
        word: 4 * torch.eye(WIDTH)[place] + 0.4 * torch.randn(EACH, WIDTH, generator=generator)
        for place, word in enumerate(words)
    }


def anchors_of(occurrences: dict[str, torch.Tensor], language: str) -> Anchors:
    means = torch.stack([vectors.mean(dim=0) for vectors in occurrences.values()])
    return Anchors.of_vectors(list(occurrences), means, language=language, layer=1)


def turned(occurrences: dict[str, torch.Tensor], turn: torch.Tensor) -> dict[str, torch.Tensor]:
    return {word: vectors @ turn.mT.float() for word, vectors in occurrences.items()}


def turn_of(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64))[0]


def planted(**options):
    """Draw Greek words whose space is the English one turned round, and the alignment that turns it back."""
    turn = turn_of(3)
    english, greek = clouds("bear", "$bank$"), turned(clouds("αρκούδα", "τράπεζα"), turn)
    return draw_context_map(
        greek,
        english,
        Alignment("el", "en", 1, turn),
        source_anchors=anchors_of(greek, "el"),
        target_anchors=anchors_of(english, "en"),
        **options,
    )


@pytest.fixture(scope="module")
def figure():
    return planted()


def marks(axes) -> dict[str, np.ndarray]:
    """The dots of a panel: clouds in the order of drawing, then the anchors."""
    drawn = [np.asarray(found.get_offsets()) for found in axes.collections]
    return {"clouds": [dots for dots in drawn if len(dots) > 1], "anchors": [dots for dots in drawn if len(dots) == 1]}


@needs_matplotlib
def test_alignment_lays_translations_on_one_another(figure):
    before, after = (marks(axes)["clouds"] for axes in figure.axes)
    assert len(before) == len(after) == 4  # αρκούδα, τράπεζα, bear, bank
    spread = np.ptp(np.concatenate(after), axis=0).max()
    for source, target in ((0, 2), (1, 3)):
        assert np.abs(after[source] - after[target]).max() < 1e-5 * spread  # vectors come in float32
        assert np.abs(before[source] - before[target]).max() > 0.1 * spread


@needs_matplotlib
def test_an_anchor_stands_amid_its_occurrences(figure):
    for axes in figure.axes:
        drawn = marks(axes)
        for cloud, anchor in zip(drawn["clouds"], drawn["anchors"], strict=True):
            # The mean in which each counts by its norm; the norms here differ by about a tenth.
            assert np.linalg.norm(anchor[0] - cloud.mean(axis=0)) < 0.1 * np.linalg.norm(cloud.std(axis=0))


def test_an_anchor_is_the_mean_of_unit_occurrences_weighed_by_their_norms():
    occurrences = torch.tensor([[3.0, 4.0], [0.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
    cloud = context_map._Cloud("a", "en", True, torch.cat([occurrences, occurrences.mean(dim=0)[None]]), True)
    shown = context_map._comparable(cloud)
    weights = torch.tensor([5.0, 1.0, 2.0], dtype=torch.float64)
    assert torch.allclose(shown[:3], occurrences / weights[:, None])
    assert torch.allclose(shown[3], weights @ shown[:3] / weights.sum())


@needs_matplotlib
def test_where_an_alignment_centres_the_map_looks_from_the_centre():
    """Both languages are moved away from the origin; an alignment that knows the centres undoes it."""
    turn, here, there = turn_of(5), torch.arange(6.0), torch.arange(6.0).flip(0)
    english, greek = clouds("bear", "bank"), turned(clouds("αρκούδα", "τράπεζα"), turn)
    english = {word: 2 * vectors + there for word, vectors in english.items()}
    greek = {word: vectors + here for word, vectors in greek.items()}
    centred = Alignment("el", "en", 1, turn, scale=2.0, source_centre=here.double(), target_centre=there.double())
    found = draw_context_map(
        greek,
        english,
        centred,
        source_anchors=anchors_of(greek, "el"),
        target_anchors=anchors_of(english, "en"),
    )
    plain = planted()
    for one, other in zip(marks(found.axes[1])["clouds"], marks(plain.axes[1])["clouds"], strict=True):
        assert np.allclose(one, other, atol=1e-4)  # float32, and 2 x + 5 − 5


@needs_matplotlib
def test_titles_and_legend_say_what_is_shown(figure):
    assert figure.get_suptitle() == "αρκούδα, τράπεζα (el) and bear, $bank$ (en) in context, layer 1"
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["before alignment: each language in its own space", "after alignment: all in the space of en"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "el, in context",
        "el, anchor",
        "en, in context",
        "en, anchor",
    ]


@needs_matplotlib
def test_a_word_has_one_colour_and_a_language_one_mark(figure):
    for axes in figure.axes:
        dots = [found for found in axes.collections if len(found.get_offsets()) > 1]
        shapes = [found.get_paths()[0].vertices.tobytes() for found in dots]
        assert shapes[0] == shapes[1] != shapes[2] == shapes[3]
        assert all(len(found.get_facecolor()) == 1 for found in dots[:2]), "the source is filled"
        assert all(len(found.get_facecolor()) == 0 for found in dots[2:]), "the target is open"
        edges = [tuple(found.get_edgecolor()[0][:3]) for found in dots[2:]]
        fills = [tuple(found.get_facecolor()[0][:3]) for found in dots[:2]]
        assert len({*edges, *fills}) == 4


@needs_matplotlib
def test_every_word_is_written_beside_its_anchor_and_apart_from_the_others(figure):
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["αρκούδα", "τράπεζα", "bear", "$bank$"]
        boxes = [text.get_window_extent() for text in axes.texts]
        pairs = [(one, other) for place, one in enumerate(boxes) for other in boxes[:place]]
        assert all(_overlap(one, other) == 0 for one, other in pairs)
        anchors = axes.transData.transform(np.concatenate(marks(axes)["anchors"]))
        for box, anchor in zip(boxes, anchors, strict=True):
            gap = np.maximum(np.abs(box.corners().mean(axis=0) - anchor) - (box.width / 2, box.height / 2), 0)
            assert 0 < np.linalg.norm(gap) < 60  # pixels, of about 650
            assert not any(box.contains(*other) for other in anchors)


@needs_matplotlib
def test_a_word_without_an_anchor_of_its_spelling_is_shown_without():
    english = clouds("Bank", "bear")
    anchors = anchors_of({"bank": english["Bank"], "bear": english["bear"]}, "en")
    found = draw_context_map(
        {}, english, Alignment.identity("en", layer=1, width=WIDTH), source_anchors=anchors, target_anchors=anchors
    )
    for axes in found.axes:
        assert len(marks(axes)["clouds"]) == 2 and len(marks(axes)["anchors"]) == 1
        assert [text.get_text() for text in axes.texts] == ["Bank", "bear"]
    assert found.get_suptitle() == "Bank, bear (en) in context, layer 1"


@needs_matplotlib
def test_a_word_that_does_not_occur_is_left_out():
    english = clouds("bear", "bank")
    anchors = anchors_of(english, "en")
    found = draw_context_map(
        {"bat": torch.zeros(0, WIDTH)},
        english,
        Alignment.identity("en", layer=1, width=WIDTH),
        source_anchors=anchors,
        target_anchors=anchors,
    )
    assert len(marks(found.axes[0])["clouds"]) == 2


@needs_matplotlib
@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_map_gives_the_same_bytes(tmp_path, ending):
    for name in "ab":
        save_figure(planted(), tmp_path / f"{name}.{ending}")
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


@needs_matplotlib
def test_text_in_an_svg_stays_text_in_any_script(figure, tmp_path):
    save_figure(figure, tmp_path / "map.svg")
    content = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert "αρκούδα" in content and "$bank$" in content


class Plane:
    """Stands in for UMAP: takes the first two coordinates, and keeps what it was asked."""

    asked: dict = {}  # noqa: RUF012 - a test's notebook

    def __init__(self, **options):
        Plane.asked = options

    def fit_transform(self, rows):
        Plane.asked |= {"rows": len(rows)}
        return rows[:, :2].astype(np.float32)


@needs_matplotlib
def test_umap_sees_all_words_and_anchors_together_and_is_seeded(monkeypatch):
    module = ModuleType("umap")
    module.__dict__["UMAP"] = Plane
    monkeypatch.setitem(sys.modules, "umap", module)
    found = planted(projection="umap", seed=7)
    assert Plane.asked["rows"] == 4 * (EACH + 1)
    assert (Plane.asked["random_state"], Plane.asked["metric"]) == (7, "cosine")
    english = clouds("bear", "$bank$")["bear"]
    expected = (english / english.norm(dim=1, keepdim=True))[:, :2].numpy()
    for axes in found.axes:
        assert np.allclose(marks(axes)["clouds"][2], expected, atol=1e-6)


@needs_matplotlib
def test_a_missing_umap_is_told_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(OutputError, match=r"projection umap needs the package umap-learn.* pip install umap-learn"):
        planted(projection="umap")


def test_a_missing_matplotlib_is_told_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(OutputError, match=r'matplotlib is not installed\. .*pip install "isogloss\[visuals\]"'):
        planted()


def test_anchors_of_another_language_or_layer_are_refused():
    english = clouds("bear")
    anchors = anchors_of(english, "en")
    alignment = Alignment("el", "en", 2, torch.eye(WIDTH, dtype=torch.float64))
    with pytest.raises(AlignmentError, match=r"alignment el→en, layer 2, with anchors of en, layer 1 and en, layer 1"):
        draw_context_map(english, english, alignment, source_anchors=anchors, target_anchors=anchors)


def test_words_that_never_occur_are_refused():
    anchors = anchors_of(clouds("bear"), "en")
    nothing = {"unicorn": torch.zeros(0, WIDTH)}
    with pytest.raises(VectorsError, match=r"none of unicorn, unicorn occurs"):
        draw_context_map(
            nothing,
            nothing,
            Alignment.identity("en", layer=1, width=WIDTH),
            source_anchors=anchors,
            target_anchors=anchors,
        )

"""What pulls words in context and in the softmax: what it measures, what it does to training, what is refused."""

import pytest
import torch
from pydantic import ValidationError

from isogloss.compute.processes import Processes
from isogloss.corpus.sentence import Sentence
from isogloss.corpus.vocabulary import RESERVED, Vocabulary
from isogloss.encoders.elmo.anchoring import RichLanguage
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.pull import Places, Pull, context_distance, softmax_distance
from isogloss.encoders.elmo.settings import AnchoringSettings, BiLMSettings, BiLMTrainingSettings
from isogloss.encoders.elmo.training import train_bilm
from isogloss.errors import TrainingError

SHAPE = BiLMSettings(
    character_width=4, filters=((1, 4), (3, 8)), highways=1, projection_width=8, cell_width=16, word_types=9
)
PAIRS = (("perro", "dog"), ("casa", "house"), ("casa", "home"), ("mar", "sea"), ("unicornio", "dog"))


def vocabulary_of(*words):
    return Vocabulary((*RESERVED, *words), (9, 9, 9, *range(100, 100 - len(words), -1)))


ENGLISH = vocabulary_of("dog", "cat", "house", "home", "a", "the", "sea")
SPANISH = vocabulary_of("el", "casa", "perro", "un", "la")
ANCHORS = {word: torch.randn(16, generator=torch.Generator().manual_seed(len(word))) for word in ("dog", "house", "a")}


@pytest.fixture(scope="module")
def english():
    torch.manual_seed(1)
    return ELMoEncoder(BiLM(SHAPE, types=len(ENGLISH)), settings=SHAPE, vocabulary=ENGLISH, language="en")


def pull_of(english, *, anchors=None, processes=Processes(0, 1, torch.device("cpu")), **weights):  # noqa: B008 - frozen
    beside = RichLanguage(english, PAIRS, anchors)
    settings = AnchoringSettings(**weights)
    return Pull.towards(beside, vocabulary=SPANISH, width=8, settings=settings, processes=processes)


# ---------------------------------------------------------------------------------------------- in context


def test_the_distance_in_context_worked_by_hand():
    places = Places(torch.tensor([-1, -1, -1, 0, 1]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))  # one number a direction
    ids = torch.tensor([[[3, 3, 2]], [[4, 0, 0]]])  # forward: word 3 twice; backward: word 4 once
    states = torch.tensor([[[[0.0], [1.0], [9.0]]], [[[1.0], [7.0], [7.0]]]])
    # Forward: mean ½ against 1, over a mean square of ½. Backward: 1 against 2, over a mean square of 2.
    assert float(context_distance(states, ids, places)) == pytest.approx((0.25 / 0.5 + 1 / 2) / 2)


def test_the_distance_in_context_is_0_at_the_anchors_and_1_at_nothing():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 7, (2, 5, 4), generator=generator)
    places = Places(torch.tensor([-1, -1, -1, 0, 1, 2, 3]), torch.randn(4, 6, generator=generator))
    there = torch.stack(
        [part[ids_of_one - 3] for part, ids_of_one in zip(places.vectors.chunk(2, 1), ids, strict=True)]
    )
    assert float(context_distance(there, ids, places)) == pytest.approx(0, abs=1e-12)
    every = torch.arange(3, 7).expand(2, 1, 4)  # each word once, so that all places count
    assert float(context_distance(torch.zeros(2, 1, 4, 3), every, places)) == pytest.approx(1)


def test_a_text_without_any_word_of_the_dictionary_is_not_pulled():
    places = Places(torch.tensor([-1, -1, -1, 0]), torch.ones(1, 2))
    states = torch.ones(2, 3, 1, 1, requires_grad=True)
    assert float(context_distance(states, torch.full((2, 3, 1), 2), places).detach()) == 0


def test_words_go_to_the_mean_of_those_translations_that_have_an_anchor(english):
    pull = pull_of(english, anchors=ANCHORS, context_weight=1.0)
    assert pull.in_context is not None
    found = {word: pull.in_context.vectors[pull.in_context.row[SPANISH.id_of(word)]] for word in ("casa", "perro")}
    torch.testing.assert_close(found["casa"], ANCHORS["house"])  # *home* has no anchor
    torch.testing.assert_close(found["perro"], ANCHORS["dog"])
    assert int((pull.in_context.row >= 0).sum()) == 2


# ---------------------------------------------------------------------------------------------- softmax


def test_the_softmax_of_a_word_begins_at_the_mean_of_its_translations_and_is_pulled_there(english):
    pull = pull_of(english, softmax_weight=1.0, weight=0.0)
    torch.manual_seed(2)
    model = BiLM(SHAPE, types=len(SPANISH))
    assert model.softmax is not None and english.model.softmax is not None and pull.predicted is not None
    assert float(softmax_distance(model, pull.predicted).detach()) > 0
    pull.start(model, SPANISH)
    rows = english.model.softmax.weight.detach()
    wanted = (rows[ENGLISH.id_of("house")] + rows[ENGLISH.id_of("home")]) / 2
    torch.testing.assert_close(model.softmax.weight[SPANISH.id_of("casa")].detach(), wanted)
    assert float(softmax_distance(model, pull.predicted).detach()) == pytest.approx(0, abs=1e-12)


# ---------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def trained(tmp_path_factory, english):
    """Models of one text, with one weight each."""
    lines = ["el perro ve la casa", "un perro ve el mar", "la casa ve el perro", "el mar ve un perro"] * 10
    text = tmp_path_factory.mktemp("pull") / "es.txt"
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def train(**weights):
        settings = BiLMTrainingSettings.model_validate(
            {
                "model": SHAPE.model_dump(),
                "epochs": 15,
                "rows": 4,
                "unroll": 5,
                "min_count": 1,
                "dropout": 0.0,
                "held_out_every": 10,
                "loop": {"learning_rate": 3e-2, "evaluate_every": 1000},
                "anchoring": {"start_at_translations": False, **weights},
            }
        )
        return train_bilm(text, language="es", settings=settings, beside=RichLanguage(english, PAIRS, ANCHORS))

    return train


def test_the_stronger_the_pull_of_the_softmax_the_nearer_it_comes(trained):
    weak, strong = (trained(weight=0.0, softmax_weight=weight).card for weight in (0.1, 10.0))
    assert strong["anchored_softmax_distance"] < 0.5 * weak["anchored_softmax_distance"]
    assert strong["words_anchored_in_softmax"] == 3
    assert "anchored_distance" not in strong, "nothing pulls layer 0"


def test_words_in_context_come_nearer_to_the_anchors_they_are_pulled_to(trained):
    def away(encoder):
        """Mean squared distance of *perro* in context from the anchor of *dog*, in the first recurrent layer."""
        vectors = encoder.encode([Sentence.of_forms(["el", "perro", "ve", "la", "casa"])]).vectors[0, 1, 1]
        return float((vectors - ANCHORS["dog"]).square().mean())

    assert away(trained(weight=0.0, context_weight=20.0)) < 0.8 * away(trained(weight=0.0, softmax_weight=1e-9))


# ---------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("name", ["context_weight", "softmax_weight"])
@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_negative_or_not_finite_is_refused(name, weight):
    with pytest.raises(ValidationError, match=name):
        AnchoringSettings.model_validate({name: weight})


def test_words_in_context_need_anchors(english):
    with pytest.raises(TrainingError, match=r"context_weight.*no anchors.*isogloss anchors"):
        pull_of(english, context_weight=1.0)


def test_anchors_of_another_width_are_refused(english):
    with pytest.raises(TrainingError, match=r"'en': 5 wide\. Expected 16"):
        pull_of(english, anchors={"dog": torch.ones(5)}, context_weight=1.0)


def test_several_processes_do_not_pull_words_in_context(english):
    with pytest.raises(TrainingError, match=r"context_weight.*2 processes"):
        pull_of(english, anchors=ANCHORS, context_weight=1.0, processes=Processes(0, 2, torch.device("cpu")))


def test_a_shrunk_rich_model_cannot_pull_the_softmax(english):
    shrunk = ELMoEncoder(
        BiLM(SHAPE, types=len(ENGLISH), predicts=False), settings=SHAPE, vocabulary=ENGLISH, language="en"
    )
    with pytest.raises(TrainingError, match=r"softmax_weight.*'en' has no softmax"):
        pull_of(shrunk, softmax_weight=1.0)

"""One pair of recurrent layers for several languages: what is shared, what is learned, resumption, refusals."""

import random

import pytest
import torch

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.settings import LoopSettings
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.polyglot import PolyglotText, train_polyglot
from isogloss.encoders.elmo.settings import BiLMLoopSettings, BiLMSettings, BiLMTrainingSettings
from isogloss.encoders.elmo.training import loop_of, train_bilm
from isogloss.errors import TrainingError

SHAPE = BiLMSettings(
    character_width=4, filters=((1, 4), (3, 8)), highways=1, projection_width=8, cell_width=16, word_types=30
)
STEPS = 12


def settings_of(**updates):
    loop = {"max_steps": STEPS, "evaluate_every": 4, "learning_rate": 1e-2, **updates.pop("loop", {})}
    given = {"epochs": 50, "rows": 4, "unroll": 5, "dropout": 0.1, "softmax_samples": 16, "min_count": 1, **updates}
    return BiLMTrainingSettings(model=SHAPE, loop=BiLMLoopSettings(**loop), **given)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Two languages of one grammar: *a* words are followed by *b* words, and a sentence ends with a full stop."""
    folder = tmp_path_factory.mktemp("polyglot")
    found = []
    for language, ending, letters, lines in (("aa", "a", "bdfgklmnprst", 200), ("bb", "o", "dfg", 60)):
        draw = random.Random(language)
        text = folder / f"{language}.txt"
        words = [[f"{letter}{kind}{ending}" for letter in letters] for kind in "iu"]
        sentences = [" ".join([draw.choice(words[0]), draw.choice(words[1])] * 2) + " ." for _ in range(lines)]
        text.write_text("\n".join(sentences) + "\n", encoding="utf-8")
        found.append(PolyglotText(text, language, tokenised=True))
    return found


def weights_of(encoders):
    return {
        f"{language}.{name}": value
        for language, encoder in encoders.items()
        for name, value in encoder.model.state_dict().items()
    }


def test_the_recurrent_layers_are_one_and_words_are_each_language_s_own(texts):
    encoders = train_polyglot(texts, settings=settings_of())
    one, other = (encoders[language].model for language in ("aa", "bb"))
    for (name, ours), theirs in zip(
        one.recurrent.state_dict().items(), other.recurrent.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert encoders["aa"].vocabulary.words != encoders["bb"].vocabulary.words
    assert not torch.equal(
        one.characters.state_dict()["projection.weight"], other.characters.state_dict()["projection.weight"]
    )
    assert [encoder.card["beside"] for encoder in encoders.values()] == [["bb"], ["aa"]]


def test_every_language_learns(texts):
    before = train_polyglot(texts, settings=settings_of(start="random", loop={"max_steps": 1, "learning_rate": 1e-9}))
    after = train_polyglot(texts, settings=settings_of(start="random", loop={"max_steps": 60}))
    for language, encoder in after.items():
        assert encoder.card["forward_perplexity"] < 0.7 * before[language].card["forward_perplexity"], language
        assert encoder.card["backward_perplexity"] < 0.7 * before[language].card["backward_perplexity"], language


def test_the_loss_is_the_mean_of_the_languages(texts):
    alone = {}
    for text in texts:
        steps = []
        train_bilm(
            text.text,
            language=text.language,
            tokenised=True,
            settings=settings_of(dropout=0.0, start="random", softmax_samples=500, loop={"max_steps": 1}),
            on_step=lambda step, planned, steps=steps: steps.append(step.loss),
        )
        alone[text.language] = steps[0]
    together = []
    train_polyglot(
        texts,
        settings=settings_of(dropout=0.0, start="random", softmax_samples=500, loop={"max_steps": 1}),
        on_step=lambda step, planned: together.append(step.loss),
    )
    # Fresh weights say nearly nothing, whatever their draw: each language's loss is the logarithm of its vocabulary.
    assert together[0] == pytest.approx(sum(alone.values()) / 2, rel=0.05)


def test_passes_are_counted_over_the_shortest_text(texts):
    places = 57 * 6  # one line in twenty is held out; four words, a full stop and an end
    told = []
    train_polyglot(
        texts,
        settings=settings_of(epochs=2, loop={"max_steps": 1000}),
        on_step=lambda step, planned: told.append(planned),
    )
    assert told[0] == len(told) == -(-2 * places // 20)


class Killed(Exception):
    pass


def test_a_run_that_was_killed_goes_on_as_if_nothing_had_been(texts, tmp_path):
    settings = settings_of(loop={"checkpoint_seconds": 1e-6})
    expected, losses = {}, []
    expected = weights_of(
        train_polyglot(texts, settings=settings, on_step=lambda step, planned: losses.append(step.loss))
    )

    def kill(step, planned):
        if step.number == 7:
            raise Killed

    with pytest.raises(Killed):
        train_polyglot(texts, settings=settings, checkpoints=Checkpoints(tmp_path, fingerprint="x"), on_step=kill)
    rest = []
    found = weights_of(
        train_polyglot(
            texts,
            settings=settings,
            checkpoints=Checkpoints(tmp_path, fingerprint="x"),
            on_step=lambda step, planned: rest.append(step.loss),
        )
    )
    assert rest == losses[STEPS - len(rest) :]
    assert 0 < len(rest) < STEPS, "it went on from a checkpoint"
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_held_out_text_of_all_languages_decides(texts):
    found = []
    train_polyglot(texts, settings=settings_of(), on_evaluation=found.append)
    assert len(found) == STEPS // 4
    assert {*found[0]} == {"aa", "bb"}


@pytest.mark.parametrize(
    ("which", "named"), [((), "no language"), ((0,), "aa"), ((0, 0), "aa, aa"), ((0, 1, 1), "aa, bb, bb")]
)
def test_two_languages_are_needed_each_once(texts, which, named):
    with pytest.raises(
        TrainingError, match=f"^Texts: found those of {named}. Expected two languages or more, each once"
    ):
        train_polyglot([texts[index] for index in which], settings=settings_of())


@pytest.mark.parametrize("code", ["en.x", "a/b", "..", ""])
def test_a_code_that_names_no_folder_is_refused(texts, code):
    odd = PolyglotText(texts[1].text, code, tokenised=True)
    with pytest.raises(TrainingError, match=r"^Texts: found the language '.*'\. Expected a code of letters, digits, _"):
        train_polyglot([texts[0], odd], settings=settings_of())


@pytest.mark.parametrize("code", ["to", "cpu", "pop", "keys"])
def test_a_code_may_be_called_like_something_of_pytorch(texts, code):
    named = PolyglotText(texts[1].text, code, tokenised=True)
    assert {*train_polyglot([texts[0], named], settings=settings_of(loop={"max_steps": 1}))} == {"aa", code}


def test_all_are_measured_before_one_leaves_the_accelerator(texts, monkeypatch):
    # Moving to another type stands in for moving to the CPU: layers that are shared move for all languages at once.
    monkeypatch.setattr(BiLM, "cpu", lambda model: model.double())
    encoders = train_polyglot(texts, settings=settings_of(loop={"max_steps": 1}))
    assert {encoder.model.recurrent[0].projection.dtype for encoder in encoders.values()} == {torch.float64}


def test_what_languages_learn_together_cannot_be_held(texts):
    with pytest.raises(TrainingError, match=r"^hold_recurrent: found 0\.5 for languages that learn together"):
        train_polyglot(texts, settings=settings_of(hold_recurrent=0.5, start="reference"))


def test_a_loop_ends_with_the_passes_or_with_the_steps():
    settings = settings_of(loop={"max_steps": 50, "warmup_steps": 40})
    assert isinstance(loop_of(settings, 20), LoopSettings)
    assert (loop_of(settings, 20).max_steps, loop_of(settings, 20).warmup_steps) == (20, 2)
    assert (loop_of(settings, 500).max_steps, loop_of(settings, 500).warmup_steps) == (50, 5)

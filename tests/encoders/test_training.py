"""Training a language model: it learns, repeats itself exactly, and goes on exactly where it was killed."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.interruption import stop_requested
from isogloss.compute.loop import Step
from isogloss.corpus.vocabulary import Vocabulary
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.perplexity import Perplexity, measure_perplexity
from isogloss.encoders.elmo.streams import TextFile, spellings
from isogloss.encoders.elmo.training import train_bilm
from isogloss.errors import TextError, TrainingError

CPU_SECONDS = ("seconds", "words_per_second")


def train(path: Path, settings, **options) -> tuple[ELMoEncoder, list[Step]]:
    steps: list[Step] = []

    def on_step(step: Step, planned: int) -> None:
        steps.append(replace(step, seconds=0.0))
        if options.get("kill_at") == step.number:
            raise Killed

    given = {name: value for name, value in options.items() if name != "kill_at"}
    encoder = train_bilm(path, language="es", settings=settings, tokenised=True, on_step=on_step, **given)
    return encoder, steps


class Killed(Exception):
    """Stands for a process that ends in the middle."""


@pytest.fixture(scope="module")
def uninterrupted(text, training_settings) -> tuple[ELMoEncoder, list[Step]]:
    """What a run with the usual settings gives."""
    return train(text, training_settings())


def same_weights(one: ELMoEncoder, other: ELMoEncoder) -> bool:
    weights = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def held_out(path: Path) -> list[list[str]]:
    return [line.split() for line in TextFile(path, "es", tokenised=True).lines(held_out=True)]


def unigram_perplexity(path: Path) -> float:
    """Of held-out words, predicted from their share of the training text alone."""
    counts: Counter[str] = Counter()
    for line in TextFile(path, "es", tokenised=True).lines(held_out=False):
        counts.update([*line.split(), "</S>"])
    words = [word for sentence in held_out(path) for word in [*sentence, "</S>"]]
    return math.exp(-sum(math.log(counts[word] / counts.total()) for word in words) / len(words))


def test_a_model_learns_far_more_than_how_frequent_words_are(text, training_settings):
    settings = training_settings(dropout=0.0, rows=8, loop={"max_steps": 90, "evaluate_every": 90})
    encoder, steps = train(text, settings)
    unigram = unigram_perplexity(text)
    assert unigram > 8
    # The grammar leaves a choice of four nouns twice, four places and whether there is one: about 2 a word.
    assert 1.5 < encoder.card["forward_perplexity"] < unigram / 3
    assert 1.5 < encoder.card["backward_perplexity"] < unigram / 3
    assert steps[-1].loss < steps[0].loss / 2


def test_words_with_vectors_of_their_own_learn_too(text, training_settings, tiny):
    shape = tiny.model_copy(update={"word_types": 12}).model_dump(mode="json")
    settings = training_settings(model=shape, softmax_samples=10, loop={"max_steps": 60, "evaluate_every": 60})
    encoder, _ = train(text, settings)
    assert encoder.model.word_types == 12
    assert encoder.card["forward_perplexity"] < unigram_perplexity(text) / 2


def test_the_same_seed_gives_the_same_model_bit_for_bit(text, training_settings, uninterrupted):
    one, steps = uninterrupted
    torch.rand(3)  # what else is drawn in this process does not matter
    two, again = train(text, training_settings())
    assert steps == again
    assert same_weights(one, two)


@pytest.mark.parametrize("change", [{"seed": 2}, {"start": "random"}], ids=str)
def test_another_seed_or_start_gives_another_model(text, training_settings, uninterrupted, change):
    settings = training_settings(**{name: value for name, value in change.items() if name != "seed"})
    other, _ = train(text, settings, seed=change.get("seed", 1))
    assert not same_weights(uninterrupted[0], other)


@pytest.mark.parametrize("kill_at", [[1], [9], [18], [5, 6, 17]], ids=str)
def test_a_killed_run_goes_on_as_if_nothing_had_been(text, training_settings, uninterrupted, tmp_path, kill_at):
    settings = training_settings()
    expected, steps = uninterrupted
    checkpoints = Checkpoints(tmp_path / "checkpoints", fingerprint="x")
    for number in kill_at:
        with pytest.raises(Killed):
            train(text, settings, checkpoints=checkpoints, kill_at=number)
    found, rest = train(text, settings, checkpoints=checkpoints)
    assert len(steps) == 18
    assert rest == steps[kill_at[-1] - 1 :]
    assert same_weights(found, expected)
    assert {k: v for k, v in found.card.items() if k not in CPU_SECONDS} == {
        k: v for k, v in expected.card.items() if k not in CPU_SECONDS
    }


def test_a_run_that_was_asked_to_stop_goes_on_with_the_next_step(text, training_settings, uninterrupted, tmp_path):
    settings = training_settings(loop={"checkpoint_seconds": 1000.0})
    expected, steps = uninterrupted
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    try:
        with pytest.raises(KeyboardInterrupt):
            train_bilm(
                text,
                language="es",
                settings=settings,
                tokenised=True,
                checkpoints=checkpoints,
                on_step=lambda step, planned: stop_requested.ask() if step.number == 11 else None,
            )
    finally:
        stop_requested.clear()
    found, rest = train(text, settings, checkpoints=checkpoints)
    assert rest == steps[11:]
    assert same_weights(found, expected)


@pytest.mark.parametrize("how", ["damaged", "of another run"])
def test_a_checkpoint_that_cannot_be_used_leaves_the_run_as_if_there_were_none(
    text, training_settings, uninterrupted, tmp_path, how
):
    settings = training_settings()
    expected, _ = uninterrupted
    with pytest.raises(Killed):
        train(text, settings, checkpoints=Checkpoints(tmp_path / "c", fingerprint="x"), kill_at=9)
    if how == "damaged":
        for path in (tmp_path / "c").iterdir():
            path.write_bytes(b"nothing")
    fingerprint = "x" if how == "damaged" else "y"
    found, _ = train(text, settings, checkpoints=Checkpoints(tmp_path / "c", fingerprint=fingerprint))
    assert same_weights(found, expected)


def test_training_ends_after_the_epochs_or_the_steps_whichever_comes_first(text, training_settings):
    lines = [line.split() for line in TextFile(text, "es", tokenised=True).lines(held_out=False)]
    places = sum(len(words) + 1 for words in lines)
    planned = math.ceil(places / (16 * 20))
    settings = training_settings(epochs=1, rows=16, unroll=20, loop={"max_steps": 1000})
    told = []
    encoder = train_bilm(
        text,
        language="es",
        settings=settings,
        tokenised=True,
        on_step=lambda step, steps: told.append((step.number, steps)),
    )
    assert told == [(number, planned) for number in range(1, planned + 1)]
    assert encoder.card["steps"] == planned


def test_the_card_tells_what_was_trained(text, uninterrupted):
    encoder, _ = uninterrupted
    card = encoder.card
    lines = [line.split() for line in TextFile(text, "es", tokenised=True).lines(held_out=False)]
    assert card["language"] == encoder.language == "es"
    assert card["training_sentences"] == len(lines) == 380
    assert card["training_words"] == sum(map(len, lines))
    assert card["held_out_words"] == sum(len(words) + 1 for words in held_out(text))
    assert card["vocabulary"] == len(encoder.vocabulary)
    assert (card["steps"], card["seed"], card["share_unknown"]) == (18, 1, 0.0)
    assert card["seconds"] >= 0
    measured = measure_perplexity(encoder.model, encoder.vocabulary, held_out(text))
    assert card["forward_perplexity"] == pytest.approx(measured.forward, abs=1e-3)
    assert card["backward_perplexity"] == pytest.approx(measured.backward, abs=1e-3)


def test_the_share_of_unknown_held_out_words_is_told(text, training_settings):
    encoder, _ = train(text, training_settings(vocabulary_size=6))
    words = [word for sentence in held_out(text) for word in sentence]
    unknown = sum(word not in encoder.vocabulary for word in words)
    assert 0 < unknown < len(words)
    assert encoder.card["share_unknown"] == pytest.approx(unknown / len(words), abs=1e-5)


# ---------------------------------------------------------------------------------------------- perplexity


@torch.no_grad()
def slow_perplexity(model: BiLM, vocabulary: Vocabulary, sentences: list[list[str]]) -> list[float]:
    """Read every sentence alone, a word at a time; return the nats of either direction."""
    nats = [0.0, 0.0]
    for words in sentences:
        for direction, (begin, order, end) in enumerate([("<S>", words, "</S>"), ("</S>", words[::-1], "<S>")]):
            following = [*order, end]
            for place, target in enumerate(following):
                read = [begin, *order[:place]]
                ids = torch.from_numpy(vocabulary.encode(read))
                types = model.without_context(spellings(read), ids)
                layers = model.read(types, torch.arange(len(read)), [1] * len(read), direction=direction)
                vector = list(layers)[-1][-1]
                scores = model.softmax.weight @ vector + model.softmax.bias
                nats[direction] -= float(scores.log_softmax(dim=0)[vocabulary.id_of(target)])
    return nats


@pytest.mark.parametrize("words_per_batch", [1, 12, 1000])
def test_perplexity_agrees_with_a_loop_over_words(tiny, monkeypatch, words_per_batch):
    monkeypatch.setattr("isogloss.encoders.elmo.perplexity.WORDS_PER_EVALUATION_BATCH", words_per_batch)
    torch.manual_seed(0)
    sentences = [["el", "pez", "ve", "un", "ñu"], ["pez"], ["el", "ñu", "ve"], ["un"]]
    vocabulary = Vocabulary.count([["el", "pez", "ve", "un"]])
    model = BiLM(tiny.model_copy(update={"word_types": 5}), types=len(vocabulary)).eval()
    with torch.no_grad():
        model.softmax.bias.normal_()
    found = measure_perplexity(model, vocabulary, sentences)
    expected = slow_perplexity(model, vocabulary, sentences)
    assert (found.forward_nats, found.backward_nats) == pytest.approx(expected, rel=1e-5)
    assert found.words == sum(len(words) + 1 for words in sentences)


def test_perplexities_add_up_as_by_hand():
    total = Perplexity(2 * math.log(8), 0.0, 2) + Perplexity(math.log(8), 3 * math.log(2), 1)
    assert total.forward == pytest.approx(8)
    assert total.backward == pytest.approx(2)
    assert total.mean_nats == pytest.approx((math.log(8) + math.log(2)) / 2)
    assert total.words == 3


def test_the_perplexity_of_a_model_gone_astray_is_large_and_a_number():
    astray = Perplexity(10_000.0, 1e300, 2)
    assert 1e300 < astray.forward < math.inf
    assert 1e300 < astray.backward < math.inf


def test_a_model_that_knows_nothing_is_as_perplexed_as_the_vocabulary_is_large(tiny):
    vocabulary = Vocabulary.count([["el", "pez", "ve", "un"]])
    model = BiLM(tiny, types=len(vocabulary)).eval()
    with torch.no_grad():
        model.softmax.weight.zero_()
    found = measure_perplexity(model, vocabulary, [["el", "pez"], ["un"]])
    assert found.forward == pytest.approx(7, rel=1e-6)
    assert found.backward == pytest.approx(7, rel=1e-6)


# -------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (0, r"0 sentences with 0 words to train on"),
        (
            3,
            r"3 sentences with 9 words.*at least 20 sentences \(one in 20 is held out\) and 14 words",
        ),
        (19, r"19 sentences with 57 words to train on.*Add text\. \(In a recipe, encoders\.held_out_every"),
    ],
)
def test_a_text_that_is_too_short_is_refused(tmp_path, training_settings, lines, words):
    path = tmp_path / "short.txt"
    path.write_text("el pez .\n" * lines)
    with pytest.raises((TrainingError, TextError), match=rf"short\.txt.*{words}" if lines else r"short\.txt"):
        train(path, training_settings())


def test_a_text_of_very_few_words_is_refused(tmp_path, training_settings):
    path = tmp_path / "short.txt"
    path.write_text("pez\n" * 14)
    with pytest.raises(TrainingError, match=r"14 sentences with 13 words.*14 words"):
        train(path, training_settings(held_out_every=14))


def test_a_text_that_is_not_there_is_refused(tmp_path, training_settings):
    with pytest.raises(TextError, match=r"none\.txt: there is no such file"):
        train(tmp_path / "none.txt", training_settings())


def test_lines_after_the_limit_are_not_read(text, training_settings):
    encoder, _ = train(text, training_settings(), max_sentences=100)
    assert encoder.card["training_sentences"] == 95

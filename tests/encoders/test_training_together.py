"""Several processes train one model, or one of several languages: as one process would, and alike after any stop."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.processes import ALONE, Processes
from isogloss.encoders.elmo.counting import count_text
from isogloss.encoders.elmo.polyglot import PolyglotText, train_polyglot
from isogloss.encoders.elmo.streams import TextFile, TextStreams, rows_of
from isogloss.encoders.elmo.training import train_bilm
from isogloss.errors import TrainingError

SCRIPT = textwrap.dedent(
    """
    import json, os, signal, sys
    import torch
    torch.set_num_threads(1)
    from isogloss.compute.checkpoints import Checkpoints
    from isogloss.compute.interruption import graceful_interrupt
    from isogloss.compute.processes import joined_processes
    from isogloss.encoders.elmo.polyglot import PolyglotText, train_polyglot
    from isogloss.encoders.elmo.settings import BiLMTrainingSettings
    from isogloss.encoders.elmo.training import train_bilm
    from isogloss.errors import IsoglossError
    from pathlib import Path

    given = json.loads(sys.argv[1])
    rank = int(os.environ["RANK"])
    steps = []
    state = {}

    def weights_of(model, vocabulary, vectors):
        "Give a language weights that depend on nothing but its words."
        draw = torch.Generator().manual_seed(sum(vocabulary.words[5].encode()))
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(torch.randn(weight.shape, generator=draw) * 0.2)

    def on_step(step, planned):
        steps.append([step.number, step.loss, step.gradient_norm, step.score])
        for what in given.get("harm", []):
            if what["rank"] == rank and what["step"] == step.number:
                os.kill(os.getpid(), getattr(signal, what["signal"]))

    try:
        with joined_processes(torch.device("cpu")) as processes, graceful_interrupt():
            folder = given.get("checkpoints")
            texts = given.get("texts")
            if folder and texts:
                folder = f"{folder}/{rank}"
            how = {
                "settings": BiLMTrainingSettings.model_validate(given["settings"]),
                "checkpoints": Checkpoints(Path(folder), fingerprint="x", processes=processes, apart=bool(texts))
                if folder
                else None,
                "on_step": on_step,
                "processes": processes,
            }
            if texts:
                given_texts = [PolyglotText(Path(text), code, True, None, weights_of) for code, text in texts.items()]
                models = train_polyglot(given_texts, **how)
            else:
                models = {"": train_bilm(given["text"], language="es", tokenised=True, **how)}
            state = {
                f"{code}{name}": value.tolist()
                for code, encoder in models.items()
                for name, value in encoder.model.state_dict().items()
            }
        end = "finished"
    except KeyboardInterrupt:
        end = "stopped"
    except IsoglossError as error:
        end = str(error)
    print(json.dumps({"steps": steps, "end": end, "weights": state}))
    """
)
SECONDS = 120


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def train_together(world: int = 2, **given: Any) -> list[dict[str, Any] | None]:
    """Train in several processes; return what each of them says, None for one that was killed."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, json.dumps(given, default=str)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    said: list[dict[str, Any] | None] = []
    try:
        for run in runs:
            output, errors = run.communicate(timeout=SECONDS)
            assert "Traceback" not in errors, errors
            said.append(json.loads(output.splitlines()[-1]) if output else None)
    finally:
        for run in runs:
            run.kill()
            run.wait()
    return said


def settings_of(training_settings: Any, **changes: Any) -> dict[str, Any]:
    """Forty steps with dropout and sampled rivals."""
    loop = {"max_steps": 40, "evaluate_every": 10, "checkpoint_seconds": 1e9, **changes.pop("loop", {})}
    settings = training_settings(dropout=0.3, softmax_samples=8, rows=6, epochs=30, loop=loop, **changes)
    return settings.model_dump(mode="json")


@pytest.fixture(scope="module")
def alone(text: Path, training_settings: Any) -> list[list[float]]:
    """Number, loss, gradient and score of every step of one process."""
    steps: list[list[Any]] = []
    train_bilm(
        text,
        language="es",
        tokenised=True,
        settings=training_settings(
            dropout=0.3,
            softmax_samples=8,
            rows=6,
            epochs=30,
            loop={"max_steps": 40, "evaluate_every": 10, "checkpoint_seconds": 1e9},
        ),
        on_step=lambda step, planned: steps.append([step.number, step.loss, step.gradient_norm, step.score]),
    )
    return steps


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_processes_have_the_losses_of_one(text, training_settings, alone, world):
    told = train_together(world, text=text, settings=settings_of(training_settings))
    assert [one["end"] for one in told if one] == ["finished"] * world
    first, *others = told
    assert first is not None
    assert len(first["steps"]) == len(alone) == 40
    for ours, theirs in zip(first["steps"], alone, strict=True):
        # Sums in another order differ in the last of float32's seven digits; Adam lets that grow a little.
        assert ours[:3] == pytest.approx(theirs[:3], rel=1e-5)
        assert ours[3] == (None if theirs[3] is None else pytest.approx(theirs[3], rel=1e-5))
    for other in others:
        assert other is not None
        assert other["steps"] == first["steps"]
        assert other["weights"] == first["weights"], "all processes hold the same weights, bit for bit"


@pytest.fixture(scope="module")
def uninterrupted(text: Path, training_settings: Any) -> dict[str, Any]:
    """What the first of two processes tells of a run without a stop."""
    told = train_together(text=text, settings=settings_of(training_settings))
    assert told[0] is not None
    return told[0]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_all_stop_together_after_a_checkpoint_and_go_on_as_if_nothing_had_been(
    text, training_settings, uninterrupted, tmp_path, rank
):
    given = {"text": text, "settings": settings_of(training_settings)}
    harm = [{"rank": rank, "step": 12, "signal": "SIGTERM"}]
    stopped = train_together(**given, checkpoints=tmp_path / "c", harm=harm)
    assert [one["end"] for one in stopped if one] == ["stopped", "stopped"]
    (saved,) = (tmp_path / "c").iterdir()
    assert saved.name in ("step-00000012.safetensors", "step-00000013.safetensors")
    first, second = train_together(**given, checkpoints=tmp_path / "c")
    assert first is not None and second is not None
    begun = int(saved.stem.partition("-")[2])
    assert first["steps"] == second["steps"] == uninterrupted["steps"][begun:]
    assert first["weights"] == second["weights"] == uninterrupted["weights"]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_does_not_leave_the_other_waiting(text, training_settings, uninterrupted, tmp_path, rank):
    given = {"text": text, "settings": settings_of(training_settings, loop={"checkpoint_seconds": 1e-9})}
    harm = [{"rank": rank, "step": 15, "signal": "SIGKILL"}]
    told = train_together(**given, checkpoints=tmp_path / "c", harm=harm)
    assert told[rank] is None
    survivor = told[1 - rank]
    assert survivor is not None
    assert "the others cannot be reached" in survivor["end"]
    assert "the same command goes on from the last checkpoint" in survivor["end"]
    first, _ = train_together(**given, checkpoints=tmp_path / "c")
    assert first is not None
    assert 10 < first["steps"][0][0] <= 16
    assert first["weights"] == uninterrupted["weights"]


def test_a_checkpoint_of_two_processes_is_one_of_all_rows(text, training_settings, tmp_path):
    given = {"text": text, "settings": settings_of(training_settings)}
    harm = [{"rank": 0, "step": 20, "signal": "SIGTERM"}]
    train_together(**given, checkpoints=tmp_path / "c", harm=harm)
    _, tensors, values = next(Checkpoints(tmp_path / "c", fingerprint="x")._usable(print))
    assert values["step"] in (20, 21)
    assert {value.shape[1] for name, value in tensors.items() if name.startswith("carried/")} == {6}


def test_rows_that_cannot_be_shared_are_refused(text, training_settings):
    with pytest.raises(TrainingError, match=r"rows: found 4, to be shared by 3 processes\. Expected a multiple of 3"):
        train_bilm(text, language="es", settings=training_settings(), processes=Processes(rank=0, world=3))


def test_the_shares_of_a_batch_make_up_the_batch(text, training_settings):
    corpus = TextFile(text, "es", tokenised=True)
    vocabulary = count_text(corpus, training_settings()).vocabulary
    batch = next(TextStreams(corpus, vocabulary, rows=6, unroll=5, seed=1))
    shares = [rows_of(batch, Processes(rank=rank, world=3).share(6)) for rank in range(3)]
    assert torch.equal(torch.cat([share.targets for share in shares], dim=2), batch.targets)
    assert torch.equal(torch.cat([share.keep for share in shares], dim=1), batch.keep)
    for name in ("ids", "spellings"):
        read = torch.cat([getattr(share, name)[share.inputs] for share in shares], dim=2)
        assert torch.equal(read, getattr(batch, name)[batch.inputs])
    assert all(len(share.ids) == len(share.inputs.unique()) for share in shares)


def test_the_dropout_of_a_share_is_that_of_the_whole():
    values = torch.randn(2, 3, 6, 4)
    torch.manual_seed(3)
    whole = ALONE.dropout(values, 0.4, dim=2)
    parts = []
    for rank in range(2):
        processes = Processes(rank=rank, world=2)
        torch.manual_seed(3)
        parts.append(processes.dropout(values[:, :, processes.share(6)], 0.4, dim=2))
    assert torch.equal(torch.cat(parts, dim=2), whole)
    assert (whole == 0).any() and (whole != 0).any()


def test_one_process_alone_exchanges_nothing():
    parameter = torch.nn.Parameter(torch.zeros(2))
    assert ALONE.sums([1.5, 2.0]) == [1.5, 2.0]
    assert ALONE.average_gradients([parameter], [3.0]) == [3.0]
    assert parameter.grad is None
    assert ALONE.gather(parameter, dim=0) is parameter
    ALONE.copy_from_first([parameter])
    ALONE.wait_for_all()


# -------------------------------------------------------------------------------- several languages, see polyglot.py


@pytest.fixture(scope="module")
def texts(text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The toy text in three spellings."""
    folder, found = tmp_path_factory.mktemp("texts"), {}
    for language, ending in (("aa", "a"), ("bb", "o"), ("cc", "u")):
        path = folder / f"{language}.txt"
        path.write_text(text.read_text(encoding="utf-8").replace(" ", f"{ending} "), encoding="utf-8")
        found[language] = str(path)
    return found


def polyglot_settings(training_settings: Any, **changes: Any) -> dict[str, Any]:
    """Steps whose losses depend on no draw that processes share out among themselves: no dropout, all rivals."""
    loop = {"max_steps": 24, "evaluate_every": 8, "checkpoint_seconds": 1e9, "gradient_norm": 0.5, **changes}
    shape = training_settings().model.model_copy(update={"word_types": 30})
    settings = training_settings(dropout=0.0, softmax_samples=500, rows=4, epochs=30, loop=loop, model=shape)
    return settings.model_dump(mode="json")


def test_processes_that_share_languages_share_the_recurrent_layers_alone(texts, training_settings):
    told = train_together(texts=texts, settings=polyglot_settings(training_settings))
    first, second = told
    assert first is not None and second is not None
    assert [first["end"], second["end"]] == ["finished", "finished"]
    assert first["steps"] == second["steps"], "losses, norms and scores are of all languages"
    weights = {**first["weights"], **second["weights"]}
    assert {name[:2] for name in first["weights"]} == {"aa", "cc"}
    assert {name[:2] for name in second["weights"]} == {"bb"}
    shared = [name.removeprefix("aa") for name in weights if name.startswith("aarecurrent.")]
    assert shared
    assert all(weights[f"aa{name}"] == weights[f"bb{name}"] == weights[f"cc{name}"] for name in shared)


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_that_share_languages_have_the_losses_of_one(texts, training_settings, world):
    # Every language starts with weights of its own, so this is also about the mean with which the shared ones begin.
    given = {"texts": texts, "settings": polyglot_settings(training_settings)}
    (alone,), (first, *_) = train_together(1, **given), train_together(world, **given)
    assert alone is not None and first is not None
    assert len(first["steps"]) == len(alone["steps"]) == 24
    for ours, theirs in zip(first["steps"], alone["steps"], strict=True):
        assert ours[:3] == pytest.approx(theirs[:3], rel=1e-4)
        assert ours[3] == (None if theirs[3] is None else pytest.approx(theirs[3], rel=1e-4))
    for name, values in first["weights"].items():
        assert torch.allclose(torch.tensor(values), torch.tensor(alone["weights"][name]), atol=1e-4), name


def test_processes_that_share_languages_go_on_from_a_step_that_all_have(texts, training_settings, tmp_path):
    given = {"texts": texts, "settings": polyglot_settings(training_settings, checkpoint_seconds=1e-9)}
    undisturbed, _ = train_together(**given)
    harm = [{"rank": 0, "step": 12, "signal": "SIGTERM"}]
    stopped = train_together(**given, checkpoints=tmp_path, harm=harm)
    assert [one["end"] for one in stopped if one] == ["stopped", "stopped"]
    newest = max((tmp_path / "1").iterdir())  # as if this process had been killed before it could save
    newest.unlink()
    begun = int(max((tmp_path / "1").iterdir()).stem.partition("-")[2])
    first, second = train_together(**given, checkpoints=tmp_path)
    assert undisturbed is not None and first is not None and second is not None
    assert first["steps"] == second["steps"] == undisturbed["steps"][begun:]
    assert first["weights"] == undisturbed["weights"]


def test_more_processes_than_languages_are_refused(texts, training_settings):
    given = [PolyglotText(Path(text), code, tokenised=True) for code, text in texts.items()]
    message = r"^Texts: found those of 3 languages, to be shared by 4 processes\. Expected a language or more for each"
    with pytest.raises(TrainingError, match=message):
        train_polyglot(given, settings=training_settings(), processes=Processes(rank=3, world=4))

"""The command train-lm as people use it: options, stops of every kind, several processes, full disks, two at once."""

import errno
import fcntl
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from isogloss.artifacts import only_writer
from isogloss.compute.checkpoints import Checkpoints
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.errors import OutputError
from isogloss.language_models import train_lm

SECONDS = 120
QUICK = ("--size", "tiny", "--rows", 8, "--word-types", 50, "--count-words", 2000, "--evaluate-every", 20)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 1,900 sentences to train on, twelve thousand words: 80 steps of eight rows."""
    generator = random.Random(4)
    nouns, verbs = ["perro", "gato", "pez", "pájaro", "niño"], ["ve", "oye", "sigue"]
    path = tmp_path_factory.mktemp("text") / "toy.txt"
    lines = [
        f"el {generator.choice(nouns)} {generator.choice(verbs)} un {generator.choice(nouns)} ." for _ in range(2000)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def words_of(text: Path, out: Path, *more: object) -> list[str]:
    return [str(word) for word in ("train-lm", text, "-l", "es", "-o", out, *QUICK, *more)]


@contextmanager
def started(*words: str, launcher: tuple[str, ...] = (sys.executable,)) -> Iterator[subprocess.Popen[str]]:
    """Run the command line in a process group of its own; whatever happens, nothing of it outlives the block."""
    process = subprocess.Popen(
        [*launcher, "-m", "isogloss", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")  # torchrun gives each a group of its own
        pids = children.read_text().split() if process.poll() is None and children.exists() else []
        for pid in (process.pid, *map(int, pids)):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        process.communicate()


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the training does not get on"
        time.sleep(0.005)


def steps_saved(out: Path) -> int:
    folder = out.parent / f".{out.name}.checkpoints"
    return max((int(path.stem.partition("-")[2]) for path in folder.glob("step-*")), default=0)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture(scope="module")
def finished(text: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("finished") / "es"
    with started(*words_of(text, out)) as process:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
    assert leftovers(out.parent) == []
    return (out / "model.safetensors").read_bytes()


# ------------------------------------------------------------------------------------------------- options


def test_every_option_reaches_the_settings(command, text, tmp_path):
    words = ["train-lm", text, "-l", "es", "-o", tmp_path / "es", "--size", "tiny", "--json", "--epochs", 3]
    words += ["--count-words", 3000, "--vocabulary", 10, "--word-types", 7, "--rows", 16, "--dropout", 0.25]
    words += ["--learning-rate", 0.01, "--evaluate-every", 6, "--patience", 1, "--checkpoint-minutes", 5]
    words += ["--max-steps", 40]
    words += ["--precision", "bfloat16", "--device", "cpu", "--threads", 1, "--max-sentences", 1500]
    ended = command(*words)
    assert ended.status == 0, ended.errors
    assert json.loads(ended.output)["vocabulary"] == 10
    manifest = json.loads((tmp_path / "es" / "manifest.json").read_text())
    settings, training = manifest["settings"], manifest["settings"]["training"]
    assert (settings["precision"], settings["threads"], settings["max_sentences"]) == ("bfloat16", 1, 1500)
    assert "device" not in settings and "processes" not in settings, "the usual case is not told"
    found = {name: training[name] for name in ("epochs", "counted_words", "vocabulary_size", "rows", "dropout")}
    assert found == {"epochs": 3, "counted_words": 3000, "vocabulary_size": 10, "rows": 16, "dropout": 0.25}
    assert (training["model"]["word_types"], training["model"]["projection_width"]) == (7, 32)
    loop = {name: training["loop"][name] for name in ("learning_rate", "evaluate_every", "patience", "max_steps")}
    assert loop == {"learning_rate": 0.01, "evaluate_every": 6, "patience": 1, "max_steps": 40}
    assert "checkpoint_seconds" not in training["loop"], "nothing of the weights depends on it"


def test_another_time_between_checkpoints_makes_nothing_anew(command, text, tmp_path):
    words = words_of(text, tmp_path / "es", "--patience", 1, "--evaluate-every", 5)
    assert command(*words).status == 0
    again = command(*words, "--checkpoint-minutes", 9)
    assert (again.status, again.errors) == (0, "")


def test_out_of_patience_training_ends_early_and_keeps_the_best(command, text, tmp_path):
    # A learning rate this high only makes things worse after the first measurement.
    words = words_of(text, tmp_path / "es", "--learning-rate", 5, "--patience", 2, "--evaluate-every", 4, "--json")
    card = json.loads(command(*words).output)
    assert card["steps"] < 40


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rows", 0), r"rows: found 0. Expected a value greater than 0"),
        (("--dropout", 1), r"dropout: found 1.0. Expected a value less than 1"),
        (("--learning-rate", -1), r"learning_rate: found -1.0. Expected a value greater than 0"),
        (("--patience", -1), r"patience: found -1. Expected a value greater than or equal to 0"),
        (("--evaluate-every", 0), r"evaluate_every: found 0. Expected a value greater than 0"),
        (("--count-words", 0), r"counted_words: found 0. Expected a value greater than 0"),
        (("--vocabulary", 2), r"vocabulary_size: found 2. Expected a value greater than or equal to 4"),
        (("--word-types", -1), r"word_types: found -1. Expected a value greater than or equal to 0"),
        (("--checkpoint-minutes", 0), r"checkpoint_seconds: found 0.0. Expected a value greater than 0"),
        (("--device", "tpu"), r"device: found 'tpu'. Expected one of auto, cpu, cuda"),
        (("--precision", "half"), r"precision: found 'half'. Expected one of auto, float32, bfloat16"),
    ],
)
def test_a_senseless_value_is_refused_by_name(command, text, tmp_path, words, message):
    ended = command(*words_of(text, tmp_path / "es", *words))
    assert ended.status == 2
    assert re.search(message, ended.complaints[0])
    assert list(tmp_path.iterdir()) == []


def test_progress_tells_perplexity_of_both_directions_and_time_left(command, text, tmp_path):
    ended = command(*words_of(text, tmp_path / "es"))
    lines = [line for line in ended.errors.splitlines() if "perplexity" in line]
    said = (
        r"es: step 20 of \d+, loss [\d.]+, held-out perplexity [\d.]+ forward, [\d.]+ backward, [\d,]+ words/s, .* left"
    )
    assert re.fullmatch(said, lines[0])
    assert len(lines) >= 4


def test_the_help_says_why_one_thread(command):
    assert "two can take ten times as long as one" in re.sub(r"[\s│]+", " ", command("train-lm", "--help").output)


# --------------------------------------------------------------------------------------------------- stops


@pytest.mark.parametrize("kind", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_stop_saves_and_says_how_to_go_on(text, tmp_path, finished, kind):
    out = tmp_path / "es"
    words = words_of(text, out)
    with started(*words, "--checkpoint-minutes", "0.0001") as process:
        wait_for(lambda: steps_saved(out) >= 10, process)
        process.send_signal(kind)
        output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output) == (130, "")
    assert errors.splitlines()[-1] == (
        "isogloss: stopped. What is finished is kept; give the same command again to go on."
    )
    assert leftovers(tmp_path) == [".es.checkpoints"]
    assert steps_saved(out) >= 10
    with started(*words) as process:
        assert process.wait(timeout=SECONDS) == 0
    assert (out / "model.safetensors").read_bytes() == finished
    assert leftovers(tmp_path) == []


def test_a_run_that_was_killed_at_its_last_step_tells_its_time(text, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def killed(*arguments: Any) -> None:
        raise Killed

    options: dict[str, Any] = {"language": "es", "size": "tiny", "loop": {"checkpoint_seconds": 1e-9}}
    options["training"] = {"rows": 32, "counted_words": 2000}
    with monkeypatch.context() as patch:
        patch.setattr("isogloss.encoders.elmo.embedder.ELMoEncoder.save", killed)
        with pytest.raises(Killed):
            train_lm(text, tmp_path / "es", **options)
    assert steps_saved(tmp_path / "es") > 0, "the checkpoints stay until the model is in its place"
    card = train_lm(text, tmp_path / "es", **options)
    assert card["seconds"] > 0
    assert card["words_per_second"] > 0
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_byte(text, tmp_path, finished):
    generator = random.Random()
    out = tmp_path / "es"
    words = words_of(text, out, "--checkpoint-minutes", "0.00001")
    hits = 0
    for _ in range(20):
        before = steps_saved(out)
        with started(*words) as process:
            if generator.random() < 0.8:  # within training; else wherever it is by then
                wanted = before + generator.randint(1, 6)
                wait_for(lambda wanted=wanted: steps_saved(out) >= wanted or out.exists(), process)
                time.sleep(generator.uniform(0, 0.1))
            else:
                time.sleep(generator.uniform(0, 4))
            hits += process.poll() is None
            process.kill()
    assert hits >= 10
    with started(*words) as process:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
    assert (out / "model.safetensors").read_bytes() == finished
    assert leftovers(tmp_path) == []


# -------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 3], id="cut", marks=pytest.mark.slow),
        pytest.param(lambda data: b"", id="empty", marks=pytest.mark.slow),
        pytest.param(lambda data: data[:-5] + bytes([data[-5] ^ 16]) + data[-4:], id="one bit"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    text, tmp_path, finished, caplog, damage, monkeypatch
):
    class Killed(Exception):
        pass

    def kill_at_twelve(event: dict[str, Any]) -> None:
        if steps_saved(tmp_path / "es") >= 12:
            raise Killed

    options: dict[str, Any] = {"language": "es", "size": "tiny", "word_types": 50}
    options["training"] = {"rows": 8, "counted_words": 2000}
    options["loop"] = {"evaluate_every": 20, "checkpoint_seconds": 1e-9}
    monkeypatch.setattr("isogloss.stages.SECONDS_BETWEEN_REPORTS", 0.0)
    with pytest.raises(Killed):
        train_lm(text, tmp_path / "es", on_event=kill_at_twelve, **options)
    older, newest = sorted((tmp_path / ".es.checkpoints").iterdir())
    newest.write_bytes(damage(newest.read_bytes()))
    with caplog.at_level(logging.INFO):
        train_lm(text, tmp_path / "es", **options)
    assert f"{newest} is damaged" in caplog.text
    assert f"resumed from {older}" in caplog.text
    assert (tmp_path / "es" / "model.safetensors").read_bytes() == finished


def test_a_loss_that_is_not_finite_names_the_sentences_and_leaves_the_checkpoint(
    command, text, tmp_path, monkeypatch, finished
):
    honest, seen = BiLM.prediction_loss, []

    def poisoned(self: BiLM, batch: Any, last: Any, **options: Any) -> Any:
        value = honest(self, batch, last, **options)
        seen.append(batch)
        return value * float("nan") if len(seen) == 30 else value

    words = words_of(text, tmp_path / "es", "--checkpoint-minutes", 1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(BiLM, "prediction_loss", poisoned)
        ended = command(*words)
    assert ended.status == 2
    (complaint,) = ended.complaints
    assert "Step 30: the loss is nan. It must be a finite number. Lower learning_rate (now " in complaint
    rows = complaint.partition(f"{text}, epoch 1: ")[2].split(" | ")
    # Spelled out again from what the network was given at that step.
    spelled = [bytes(number - 1 for number in row if 0 < number <= 256).decode() for row in seen[-1].spellings.tolist()]
    assert len(rows) == 8
    for row, said in enumerate(rows):
        expected = [spelled[place] or "<S>" for place in seen[-1].inputs[0, :, row].tolist()]
        assert said.split() == expected
    assert steps_saved(tmp_path / "es") == 29
    assert command(*words).status == 0, "with what was saved, it goes on"
    assert (tmp_path / "es" / "model.safetensors").read_bytes() == finished


def test_a_full_disk_is_told_and_the_checkpoint_before_stays(command, text, tmp_path, monkeypatch, finished):
    honest, written = Checkpoints._write, []

    def fills_up(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def full_at_the_third(self: Checkpoints, *arguments: Any) -> None:
        written.append(1)
        with monkeypatch.context() as patch:
            if len(written) == 3:
                patch.setattr(os, "fsync", fills_up)
            honest(self, *arguments)

    words = words_of(text, tmp_path / "es", "--checkpoint-minutes", 1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_write", full_at_the_third)
        ended = command(*words)
    assert ended.status == 2
    assert re.search(r"step-00000003\.safetensors: cannot be written: the disk is full", ended.complaints[0])
    assert sorted(path.name for path in (tmp_path / ".es.checkpoints").iterdir()) == [
        "step-00000001.safetensors",
        "step-00000002.safetensors",
    ]
    assert leftovers(tmp_path) == [".es.checkpoints"]
    assert command(*words).status == 0
    assert (tmp_path / "es" / "model.safetensors").read_bytes() == finished


# ------------------------------------------------------------------------------------- two at once, drafts


def test_two_trainings_into_one_folder_do_not_mix(command, text, tmp_path):
    with only_writer(tmp_path / "es"):
        ended = command(*words_of(text, tmp_path / "es"))
    assert ended.status == 2
    assert ended.complaints == [
        f"isogloss: {tmp_path / 'es'}: another process is writing here. Expected to be alone. Wait for it, or choose "
        f"another folder."
    ]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_does_no_harm(tmp_path):
    (tmp_path / ".es.lock").touch()
    with only_writer(tmp_path / "es"):
        assert (tmp_path / ".es.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_meanwhile_is_not_taken_for_ours(tmp_path, monkeypatch):
    honest, taken = fcntl.flock, []

    def flock(file: Any, how: int) -> None:
        honest(file, how)
        taken.append(how)
        if len(taken) == 1:  # its holder ended between our opening and our locking
            (tmp_path / ".es.lock").unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        only_writer(tmp_path / "es"),
        pytest.raises(OutputError, match="another process"),
        only_writer(tmp_path / "es"),
    ):
        pass
    assert len(taken) >= 2


# ---------------------------------------------------------------------------------------- several processes


def torchrun(world: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world))


@pytest.mark.slow
def test_torchrun_trains_one_model_and_one_process_speaks(text, tmp_path, finished):
    out = tmp_path / "es"
    words = words_of(text, out, "--json")
    with started(*words, launcher=torchrun(2)) as process:
        output, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
    card = json.loads(output)
    assert errors.count("step 20 of") == 1
    assert errors.count("es: done in") == 1
    assert leftovers(tmp_path) == []
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["processes"] == 2
    from isogloss.encoders.elmo.embedder import ELMoEncoder

    (tmp_path / "alone").mkdir()
    alone = train_lm(text, tmp_path / "alone" / "es", language="es", size="tiny", word_types=50,
                     training={"rows": 8, "counted_words": 2000}, loop={"evaluate_every": 20})  # fmt: skip
    assert card["forward_perplexity"] == pytest.approx(alone["forward_perplexity"], rel=1e-3)
    ours, theirs = (ELMoEncoder.load(folder).model.state_dict() for folder in (out, tmp_path / "alone" / "es"))
    assert all(torch.allclose(value, theirs[name], atol=5e-3) for name, value in ours.items())
    with started(*words, launcher=torchrun(2)) as process:  # it is there already
        output, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
    assert json.loads(output) == card


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_torchrun_can_be_stopped_and_goes_on_with_the_same_bytes(text, tmp_path, kind):
    undisturbed, out = tmp_path / "undisturbed" / "es", tmp_path / "es"
    with started(*words_of(text, undisturbed), launcher=torchrun(2)) as process:
        assert process.wait(timeout=SECONDS) == 0
    with started(*words_of(text, out), "--checkpoint-minutes", "0.0001", launcher=torchrun(2)) as process:
        wait_for(lambda: steps_saved(out) >= 10, process)
        process.send_signal(kind)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert errors.count("isogloss: stopped.") == 1
    assert steps_saved(out) >= 10
    with started(*words_of(text, out), launcher=torchrun(2)) as process:
        assert process.wait(timeout=SECONDS) == 0
    assert (out / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_torchrun_with_rows_that_cannot_be_shared_is_refused(text, tmp_path):
    with started(*words_of(text, tmp_path / "es"), launcher=torchrun(3)) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert "isogloss: rows: found 8, to be shared by 3 processes. Expected a multiple of 3." in errors
    assert leftovers(tmp_path) == []

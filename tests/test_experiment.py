"""Running a recipe: everything is there, nothing is made twice, nothing is lost when the run is killed."""

import contextlib
import io
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from udtools import udeval

from isogloss.artifacts import check_files, read_manifest
from isogloss.errors import OutputError
from isogloss.experiment import Run, run
from isogloss.plan import plan_stages
from isogloss.recipe_reading import load_recipe

METHOD = ("parsing.systems=['unaligned', 'aligned']", "parsing.pos=['none']")
"""Overrides that leave as few stages as the method needs."""
SECONDS = 120


@pytest.fixture
def with_corpus(tiny_run: Run, tmp_path: Path) -> Path:
    """A run folder in which only the invented languages are written yet."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copytree(tiny_run.folder / "corpus", folder / "corpus")
    shutil.copy(tiny_run.folder / "recipe.json", folder)
    return folder


@pytest.fixture
def finished(tiny_run: Run, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return shutil.copytree(tiny_run.folder, tmp_path / "run")


def stages(names: str, of: Run) -> list[str]:
    return sorted(path.parent.relative_to(of.folder).as_posix() for path in of.folder.glob(f"{names}/manifest.json"))


def rows_of(done: Run | Path) -> list[dict[str, Any]]:
    folder = done.folder if isinstance(done, Run) else done
    return json.loads((folder / "reports" / "scores.json").read_text())


def method_rows(done: Run | Path) -> list[dict[str, Any]]:
    return [row for row in rows_of(done) if row["system"] in ("unaligned", "aligned") and row["pos"] == "none"]


def models(folder: Path) -> dict[str, bytes]:
    """Return the bytes of everything that was learned in a run of the method."""
    paths = [*folder.glob("encoders/*/*.safetensors"), *folder.glob("lexicon/*/*.safetensors")]
    paths += [*folder.glob("mapping/q??/layer-*/*"), *folder.glob("parsing/*aligned-none/*.safetensors")]
    paths += [*folder.glob("parsed/*aligned-none/*.conllu")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def leftovers(folder: Path) -> list[Path]:
    return [*folder.rglob("*.partial"), *folder.rglob("step-*"), *folder.rglob(".writing-*")]


# What a run leaves


def test_every_stage_has_a_whole_artifact(tiny_run, tiny_recipe):
    for stage in plan_stages(load_recipe(tiny_recipe), tiny_run.folder):
        manifest = read_manifest(tiny_run.folder / stage.name, kind=stage.kind)
        check_files(tiny_run.folder / stage.name, manifest)
        assert manifest.key == stage.key, "the key that was planned is the key that was made"
    assert leftovers(tiny_run.folder) == []


@pytest.mark.parametrize(
    "name",
    [
        "recipe.json",
        "log.jsonl",
        "reports/scores.json",
        "reports/scores.md",
        "reports/scores.csv",
        "reports/precision.json",
        "visuals/anchors-qel.svg",
        "visuals/tree-qel.svg",
        "corpus/qel/text.txt",
        "corpus/dictionaries/qel-qal.train.tsv",
        "encoders/qel/model.safetensors",
        "lexicon/qel/anchors.safetensors",
        "lexicon/qel/words.txt",
        "mapping/qel/layer-1/alignment.safetensors",
        "mapping/qel/precision.json",
        "parsing/aligned-none/manifest.json",
        "parsed/aligned-none/qel-test.conllu",
        "parsed/aligned-none/scores.json",
        "static/qel/manifest.json",
    ],
)
def test_the_files_of_a_run(tiny_run, name):
    assert (tiny_run.folder / name).stat().st_size > 0


def test_scores_have_the_agreed_keys(tiny_run):
    rows = rows_of(tiny_run)
    for row in rows:
        assert {"system", "language", "split", "pos", "uas", "las", "words", "seed"} <= set(row)
        assert (row["language"], row["split"], row["seed"]) == ("qel", "test", 1)
        assert 0 <= row["las"] <= row["uas"] <= 1
        assert row["las_low"] <= row["las"] <= row["las_high"]
        assert row["words"] == rows[0]["words"] > 0
        assert row["unseen"] is (row["system"] != "supervised")


def test_every_system_is_scored_with_and_without_tags(tiny_run):
    systems = ["unaligned", "anchors-only", "static", "aligned", "supervised"]
    expected = [("pos-only", "gold"), *((system, pos) for system in systems for pos in ("none", "gold"))]
    assert [(row["system"], row["pos"]) for row in rows_of(tiny_run)] == expected


def test_the_returned_scores_are_those_in_the_file(tiny_run):
    assert [score.to_row() for score in tiny_run.scores] == rows_of(tiny_run)


def test_a_row_of_precision_for_every_language_and_layer(tiny_run):
    found = [(row["source"], row["vectors"], row["layer"]) for row in tiny_run.precision]
    layers = [("layer", 0), ("layer", 1), ("layer", 2), ("static", 0)]
    assert sorted(found) == sorted((language, *layer) for language in ("qbe", "qel") for layer in layers)
    assert all(0 <= row["precision@1"] <= row["precision@5"] <= row["precision@10"] <= 1 for row in tiny_run.precision)
    assert json.loads((tiny_run.folder / "reports" / "precision.json").read_text()) == tiny_run.precision


@pytest.mark.parametrize(
    "stage", ["corpus", "encoders/qel", "mapping/qel", "parsing/aligned-none", "parsed/aligned-none"]
)
def test_a_manifest_says_how_the_artifact_came_about(tiny_run, stage):
    content = json.loads((tiny_run.folder / stage / "manifest.json").read_text())
    assert {"kind", "format", "key", "settings", "inputs", "files", "seed", "licences"} <= set(content)
    assert {"isogloss", "torch", "numpy", "python", "machine", "created", "seconds"} <= set(content)
    if stage in ("corpus", "encoders/qel", "parsing/aligned-none"):
        assert content["seed"] == 1
        assert content["licences"] == ["CC0-1.0 (invented by isogloss)"]


def test_a_manifest_names_the_keys_of_what_went_in(tiny_run):
    inputs = read_manifest(tiny_run.folder / "mapping" / "qel").content["inputs"]
    for name in ("lexicon/qel", "lexicon/qal"):
        assert inputs[name] == read_manifest(tiny_run.folder / name).key


def test_the_recipe_is_kept_with_all_defaults(tiny_run, tiny_recipe):
    kept = json.loads((tiny_run.folder / "recipe.json").read_text())
    assert kept == load_recipe(tiny_recipe).model_dump(mode="json")
    assert kept["encoders"]["dropout"] == 0.1


def test_the_log_tells_of_every_stage(tiny_run):
    events = [json.loads(line) for line in (tiny_run.folder / "log.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "run"
    assert (events[0]["seed"], events[0]["kept"]) == (1, [])
    for kind in ("started", "finished"):
        assert sorted(event["task"] for event in events if event["event"] == kind) == sorted(events[0]["stages"])
    losses = [event["loss"] for event in events if event.get("task") == "encoders/qel" and "loss" in event]
    assert losses, "the training loop says how it goes"
    assert all(event["time"] <= after["time"] for event, after in pairwise(events[1:]))


def test_scores_are_those_of_the_official_scorer_to_the_last_digit(tiny_run):
    def trees(path: Path) -> Any:
        return udeval.load_conllu(io.StringIO(path.read_text(encoding="utf-8")), path.name, {})

    gold = tiny_run.folder / "corpus" / "qel" / "test.conllu"
    for score in tiny_run.scores:
        name = f"{score.system}-{score.pos}" + ("-qel" if score.system == "supervised" else "")
        theirs = udeval.evaluate(trees(gold), trees(tiny_run.folder / "parsed" / name / "qel-test.conllu"))
        assert (score.uas, score.las) == (theirs["UAS"].f1, theirs["LAS"].f1), name
        assert score.words == theirs["UAS"].gold_total


# What is made, and what is kept


def test_a_second_run_makes_nothing_and_says_the_same(finished, tiny_run, tiny_recipe):
    again = run(tiny_recipe, finished)
    assert again.made == []
    assert again.scores == tiny_run.scores
    assert again.precision == tiny_run.precision
    events = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [event for event in events if event["event"] == "run"][1]["kept"] == events[0]["stages"]


def test_two_worker_processes_and_another_folder_give_the_same_bytes(with_corpus, tiny_run, tiny_recipe):
    done = run(tiny_recipe, with_corpus, overrides=(*METHOD, "compute.workers=2"))
    assert len(done.made) == 15
    assert rows_of(done) == method_rows(tiny_run)
    assert models(with_corpus) == models(tiny_run.folder)
    assert leftovers(with_corpus) == []


def test_another_seed_gives_another_result(with_corpus, tiny_run, tiny_recipe):
    overrides = ("parsing.systems=['unaligned']", "parsing.pos=['none']", "seed=2")
    done = run(tiny_recipe, with_corpus, overrides=overrides)
    assert "corpus" not in done.made, "the languages stay the same"
    ours, theirs = models(with_corpus), models(tiny_run.folder)
    for name in [name for name in ours if name.endswith("safetensors")]:
        assert ours[name] != theirs[name]
    assert rows_of(done)[0]["seed"] == 2


def test_a_changed_setting_of_the_parser_makes_only_parsers_anew(finished, tiny_recipe):
    done = run(tiny_recipe, finished, overrides=(*METHOD, "parsing.parser.dropout=0.1"))
    kinds = ("parsing", "parsed")
    assert sorted(done.made) == sorted(f"{kind}/{system}-none" for kind in kinds for system in ("unaligned", "aligned"))


def test_parsers_that_a_recipe_does_not_ask_for_stay_but_are_not_reported(finished, tiny_recipe):
    before = stages("parsing/*", run(tiny_recipe, finished))
    done = run(tiny_recipe, finished, overrides=("parsing.systems=['aligned']", "parsing.pos=['none']"))
    assert done.made == []
    assert stages("parsing/*", done) == before
    assert [row["system"] for row in rows_of(done)] == ["aligned"]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "name", "stage"),
    [
        (flip_a_byte, "lexicon/qel/anchors.safetensors", "lexicon/qel"),
        (flip_a_byte, "parsed/aligned-none/qel-test.conllu", "parsed/aligned-none"),
        (Path.unlink, "mapping/qel/precision.json", "mapping/qel"),
        (lambda path: path.write_text("{"), "encoders/qbe/manifest.json", "encoders/qbe"),
    ],
)
def test_a_damaged_artifact_is_made_anew(finished, tiny_run, tiny_recipe, harm, name, stage):
    harm(finished / name)
    done = run(tiny_recipe, finished, overrides=METHOD)
    assert done.made == [stage]
    assert models(finished) == models(tiny_run.folder)
    assert rows_of(done) == method_rows(tiny_run)


def test_what_a_killed_run_left_half_written_is_removed(finished, tiny_recipe):
    (finished / "encoders" / ".qel.x.partial").mkdir()
    (finished / ".recipe.json.x.partial").touch()
    run(tiny_recipe, finished, overrides=METHOD)
    assert leftovers(finished) == []


# Two at once, and folders of others


def test_two_runs_in_one_folder_do_not_mix(finished, tiny_recipe):
    refusals = []

    def begin_another(event: dict[str, Any]) -> None:
        with pytest.raises(OutputError) as caught:
            run(tiny_recipe, finished, overrides=METHOD)
        refusals.append(str(caught.value))

    run(tiny_recipe, finished, overrides=METHOD, on_event=begin_another)
    assert refusals == [
        f"{finished}: another process is writing here. Expected to be alone. Wait for it, or choose another folder."
    ]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, tiny_recipe):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / ".draft.partial").write_text("more work")
    message = r"holds thesis.tex, and is no run folder \(no recipe.json\). Expected a new or empty folder"
    with pytest.raises(OutputError, match=message):
        run(tiny_recipe, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".draft.partial", "thesis.tex"]


def test_a_run_goes_to_runs_by_default(finished, tiny_recipe, monkeypatch, tmp_path):
    (tmp_path / "runs").mkdir()
    finished.rename(tmp_path / "runs" / "tiny")
    monkeypatch.chdir(tmp_path)
    done = run(tiny_recipe, overrides=METHOD)
    assert (done.folder, done.made) == (tmp_path / "runs" / "tiny", [])


# Interruption


def test_an_interrupted_run_goes_on_within_a_language_model(with_corpus, tiny_run, tiny_recipe, caplog):
    def interrupt(event: dict[str, Any]) -> None:
        if event.get("task") == "encoders/qbe" and event["event"] == "progress":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tiny_recipe, with_corpus, overrides=METHOD, on_event=interrupt)
    checkpoint = next((with_corpus / "checkpoints" / "encoders" / "qbe").iterdir())
    with caplog.at_level(logging.INFO):
        done = run(tiny_recipe, with_corpus, overrides=METHOD)
    assert f"resumed from {checkpoint}" in caplog.messages
    assert "encoders/qal" not in done.made, "what was finished is kept"
    assert rows_of(done) == method_rows(tiny_run)
    assert models(with_corpus) == models(tiny_run.folder)
    assert leftovers(with_corpus) == []


def test_a_checkpoint_of_other_settings_does_not_touch_the_result(with_corpus, tiny_run, tiny_recipe):
    def interrupt(event: dict[str, Any]) -> None:
        if event.get("task") == "encoders/qal" and event["event"] == "progress":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tiny_recipe, with_corpus, overrides=(*METHOD, "encoders.dropout=0.2"), on_event=interrupt)
    assert list(with_corpus.rglob("step-*"))
    done = run(tiny_recipe, with_corpus, overrides=METHOD)
    assert models(with_corpus) == models(tiny_run.folder)
    assert rows_of(done) == method_rows(tiny_run)


@contextlib.contextmanager
def started(recipe: Path, folder: Path, *overrides: str) -> Iterator[subprocess.Popen[str]]:
    """Run a recipe in a process group of its own; whatever happens, nothing of it outlives the block."""
    words = [sys.executable, "-m", "isogloss", "run", str(recipe), "-o", str(folder)]
    words += [word for override in overrides for word in ("--set", override)]
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def wait_until(condition: Any, process: subprocess.Popen[str]) -> bool:
    """Wait for a condition, or for the end of the process; return whether the process still runs."""
    deadline = time.monotonic() + SECONDS
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.01)
    return process.poll() is None


def events_in(folder: Path) -> int:
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def members(group: int) -> list[int]:
    """Return the processes of a group that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def kill_at_random(recipe: Path, folder: Path, generator: random.Random, *, kills: int, events: int) -> int:
    """Start a run some times and kill its parent process at random moments; return how many kills hit it."""
    hits = 0
    for _ in range(kills):
        with started(recipe, folder, *METHOD, "compute.workers=2") as process:
            moment = events_in(folder) + generator.randint(1, events)
            wait_until(lambda moment=moment: events_in(folder) >= moment, process)
            time.sleep(generator.uniform(0, 0.3))
            hits += process.poll() is None
            process.kill()
            process.wait()
            if Path("/proc/self/stat").exists():
                deadline = time.monotonic() + 20
                while members(process.pid) and time.monotonic() < deadline:
                    time.sleep(0.05)
                assert members(process.pid) == [], "workers outlive their parent"
    return hits


def test_a_run_that_is_killed_ends_as_if_nothing_had_happened(with_corpus, tiny_run, tiny_recipe):
    hits = kill_at_random(tiny_recipe, with_corpus, random.Random(7), kills=2, events=8)
    assert hits
    done = run(tiny_recipe, with_corpus, overrides=METHOD)
    assert rows_of(done) == method_rows(tiny_run)
    assert models(with_corpus) == models(tiny_run.folder)
    assert leftovers(with_corpus) == []


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_ends_as_if_nothing_had_happened(tmp_path, tiny_run, tiny_recipe):
    generator = random.Random()
    hits = kill_at_random(tiny_recipe, tmp_path / "run", generator, kills=10, events=5)
    assert hits
    done = run(tiny_recipe, tmp_path / "run", overrides=METHOD)
    assert rows_of(done) == method_rows(tiny_run)
    assert models(done.folder) == models(tiny_run.folder)
    assert leftovers(done.folder) == []


def test_a_language_model_that_is_killed_goes_on_from_its_checkpoint(with_corpus, tiny_run, tiny_recipe, caplog):
    # Checkpoints as often as possible change the key, and nothing of the weights.
    overrides = ("parsing.systems=['unaligned']", "parsing.pos=['none']", "encoders.loop.checkpoint_seconds=1e-9")
    steps = with_corpus / "checkpoints" / "encoders" / "qal"
    with started(tiny_recipe, with_corpus, *overrides) as process:
        assert wait_until(lambda: list(steps.glob("step-0000000[3-9]*")), process), "killed too late"
        process.kill()
        process.wait()
    assert not (with_corpus / "encoders" / "qal").exists()
    with caplog.at_level(logging.INFO):
        run(tiny_recipe, with_corpus, overrides=overrides)
    resumed = [message for message in caplog.messages if message.startswith("resumed from")]
    assert any(message.startswith(f"resumed from {steps}/step-0000") for message in resumed)
    for language in ("qal", "qbe", "qel"):
        name = f"encoders/{language}/model.safetensors"
        assert (with_corpus / name).read_bytes() == (tiny_run.folder / name).read_bytes()


def test_control_c_ends_the_command_with_a_friendly_word(with_corpus, tiny_run, tiny_recipe):
    overrides = (*METHOD, "compute.workers=2")
    with started(tiny_recipe, with_corpus, *overrides) as process:
        assert wait_until(lambda: events_in(with_corpus) >= 3, process)
        os.killpg(process.pid, signal.SIGINT)  # a terminal tells the whole group
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
    last = errors.splitlines()[-1]
    assert last == "isogloss: stopped. What is finished is kept; give the same command again to go on."
    assert "Traceback" not in errors
    assert not list(with_corpus.rglob("*.partial"))
    done = run(tiny_recipe, with_corpus, overrides=METHOD)
    assert rows_of(done) == method_rows(tiny_run)
    assert models(with_corpus) == models(tiny_run.folder)

"""Checkpoints: two are kept, a damaged one is named and passed over, and nothing in them is code."""

import errno
import json
import logging
import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from isogloss.compute.checkpoints import Checkpoints
from isogloss.errors import OutputError


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(os.listdir(checkpoints.folder))


@pytest.fixture
def saved(make_run, checkpoints) -> Checkpoints:
    """The checkpoints of a run of six steps."""
    list(make_run(max_steps=6).steps(checkpoints))
    return checkpoints


def first_step_after_resuming(make_run, checkpoints: Checkpoints) -> int:
    return next(make_run(max_steps=9).steps(checkpoints)).number


def test_the_two_newest_are_kept(saved):
    assert names(saved) == ["step-00000005.safetensors", "step-00000006.safetensors"]
    assert saved.any()


def test_the_newest_is_resumed(make_run, saved, caplog):
    assert first_step_after_resuming(make_run, saved) == 7
    assert caplog.records == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut in half"),
        pytest.param(lambda data: data[:-1], id="last byte missing"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\0" * len(data), id="zeros"),
        pytest.param(lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], id="one bit flipped"),
        pytest.param(lambda data: data.replace(rb"\"step\": 6", rb"\"step\": 7"), id="another number of steps"),
        pytest.param(lambda data: data.replace(b"__metadata__", b"__metodata__"), id="no metadata"),
        pytest.param(lambda data: data + b"more", id="longer"),
    ],
)
def test_a_damaged_newest_is_named_and_the_one_before_it_is_used(make_run, saved, caplog, damage):
    path = saved.folder / "step-00000006.safetensors"
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    with caplog.at_level(logging.WARNING):
        assert first_step_after_resuming(make_run, saved) == 6
    (record,) = caplog.records
    assert f"{path} is damaged" in record.getMessage()


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_goes_unnoticed(make_run, saved, data):
    path = saved.folder / "step-00000006.safetensors"
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 1500))
    bit = data.draw(st.integers(0, 7))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    try:
        fresh = Checkpoints(saved.folder, fingerprint=saved.fingerprint)
        assert first_step_after_resuming(make_run, fresh) == 6
    finally:
        path.write_bytes(whole)


def test_when_all_are_damaged_the_run_begins_again(make_run, saved):
    for path in saved.folder.iterdir():
        path.write_bytes(b"nothing")
    assert not saved.any()
    assert first_step_after_resuming(make_run, saved) == 1


def test_a_checkpoint_of_another_run_is_not_used(make_run, saved, caplog):
    other = Checkpoints(saved.folder, fingerprint="another run")
    assert not other.any()
    with caplog.at_level(logging.WARNING):
        assert first_step_after_resuming(make_run, other) == 1
    assert "step-00000006.safetensors belongs to a run with other data or settings" in caplog.text


def test_a_checkpoint_is_plain_safetensors_and_json(saved, make_run, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    assert first_step_after_resuming(make_run, saved) == 7
    with safe_open(saved.folder / "step-00000006.safetensors", framework="pt") as file:
        state = json.loads(file.metadata()["state"])
        parts = {name.partition("/")[0] for name in file.keys()}  # noqa: SIM118
    assert parts == {"model", "best", "optimiser", "batches", "carried", "generator"}
    assert (state["step"], state["fingerprint"], state["batches"]) == (6, "this run", {"drawn": 6})


def test_removing_leaves_no_folder_even_where_a_kill_left_a_draft(saved):
    (saved.folder / ".step-00000007.safetensors.abc.partial").write_bytes(b"half")
    saved.remove()
    assert not saved.folder.exists()
    assert not saved.any()
    saved.remove()  # and once more does no harm


def test_removing_leaves_the_files_of_others(saved):
    (saved.folder / "notes.txt").write_text("mine")
    saved.remove()
    assert names(saved) == ["notes.txt"]


def test_a_full_disk_is_reported_and_the_older_checkpoints_stay(make_run, saved, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"step-00000007\.safetensors.*disk is full"):
        list(make_run(max_steps=9).steps(saved))
    assert names(saved) == ["step-00000005.safetensors", "step-00000006.safetensors"]


def test_a_folder_that_cannot_be_made_is_reported(make_run, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"checkpoints: cannot be written: a part of the path is a file"):
        list(make_run().steps(Checkpoints(tmp_path / "file" / "checkpoints")))


def test_another_run_takes_no_checkpoint_away_and_loses_none(make_run, saved):
    other = Checkpoints(saved.folder, fingerprint="other settings")
    list(make_run(max_steps=3).steps(other))
    assert names(saved) == [f"step-0000000{step}.safetensors" for step in (2, 3, 5, 6)]
    assert first_step_after_resuming(make_run, saved) == 7
    assert next(make_run(max_steps=9).steps(other)).number == 4


def test_removing_can_spare_other_runs(make_run, saved):
    other = Checkpoints(saved.folder, fingerprint="other settings")
    list(make_run(max_steps=3).steps(other))
    other.remove(others=False)
    assert names(saved) == ["step-00000005.safetensors", "step-00000006.safetensors"]

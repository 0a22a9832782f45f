"""Artifacts: either the old one or the new one, never half of one; and a manifest that says what they are."""

import errno
import hashlib
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss import artifacts
from isogloss.artifacts import (
    Manifest,
    artifact_key,
    build_artifact,
    check_files,
    hash_file,
    hash_json,
    read_manifest,
    up_to_date,
    write_atomically,
    writing_to,
)
from isogloss.errors import ArtifactError, OutputError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


def fail_with(number: int) -> Any:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def everything_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# ----------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"\x00\xff\r\n", b"\x00\xff\r\n"), ("ñ\n", b"\xc3\xb1\n"), ("", b"")],
    ids=["bytes", "text", "empty"],
)
def test_a_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path, content, expected):
    path = tmp_path / "file.txt"
    path.write_text("old, and longer than the new")
    write_atomically(path, content)
    assert path.read_bytes() == expected
    assert everything_in(tmp_path) == ["file.txt"]


def test_a_written_file_has_the_rights_that_any_new_file_has(tmp_path):
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "ours", "x")
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "ours")]
    assert rights[0] == rights[1]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod", "fdopen"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full. Free some space and run the same command again"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only. Choose another folder"),
    ],
)
def test_a_failed_write_is_explained_and_leaves_the_old_file_alone(tmp_path, monkeypatch, call, number, words):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with (
        monkeypatch.context() as patch,
        pytest.raises(OutputError, match=rf"file\.txt: cannot be written: {words}"),
    ):
        patch.setattr(os, call, fail_with(number))
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert everything_in(tmp_path) == ["file.txt"]


def test_an_interruption_leaves_the_old_file_alone(tmp_path, monkeypatch):
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert everything_in(tmp_path) == ["file.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied. Choose a folder that you may write to"),
        (errno.EPERM, "permission denied"),
        (errno.EEXIST, "a file of that name is in the way"),
        (errno.ENOTEMPTY, "something is in a folder of that name. Choose another name"),
        (errno.EISDIR, "it is a folder, not a file"),
    ],
)
def test_refusals_of_the_operating_system_become_one_sentence(number, words):
    with (
        pytest.raises(OutputError, match=rf"^here: cannot be written: {words}.*run the same command again\.$"),
        writing_to(Path("here")),
    ):
        fail_with(number)()


def test_an_error_that_we_cannot_explain_is_passed_on():
    with pytest.raises(OSError, match="Interrupted system call") as raised, writing_to(Path("here")):
        fail_with(errno.EINTR)()
    assert not isinstance(raised.value, OutputError)


def test_a_file_in_place_of_a_folder_is_explained(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OutputError, match=r"runs/x: cannot be written: a part of the path is a file"):
        write_atomically(tmp_path / "runs" / "x", "new")


def test_a_folder_in_place_of_a_file_is_explained(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match=r"x: cannot be written: it is a folder, not a file"):
        write_atomically(tmp_path / "x", "new")
    assert everything_in(tmp_path) == ["x"]


# ---------------------------------------------------------------------------------------------------- hashes


def test_a_file_is_hashed_by_its_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert hash_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_is_hashed_as_its_shortest_sorted_form():
    assert hash_json({"b": [1, 2.5], "a": "ñ"}) == hashlib.sha256('{"a":"ñ","b":[1,2.5]}'.encode()).hexdigest()


@given(st.dictionaries(st.text(), json_values, max_size=5), st.randoms())
def test_the_order_of_keys_does_not_matter(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert hash_json(dict(items)) == hash_json(value)
    assert hash_json(json.loads(json.dumps(value))) == hash_json(value)


def test_the_key_tells_kind_format_settings_and_inputs_apart():
    usual = {"kind": "anchors", "format": 1, "settings": {"min_count": 5}, "inputs": {"text": "ab"}}
    changes = [
        {},
        {"kind": "alignment"},
        {"format": 2},
        {"settings": {"min_count": 6}},
        {"settings": {"min_count": 5, "more": None}},
        {"inputs": {"text": "ac"}},
        {"inputs": {"other": "ab"}},
        {"inputs": {}},
    ]
    keys = [artifact_key(**{**usual, **change}) for change in changes]
    assert len(set(keys)) == len(changes)


# --------------------------------------------------------------------------------------------------- folders


def make_words(draft: Path) -> dict[str, Any]:
    (draft / "words.txt").write_text("casa\n")
    (draft / "layers").mkdir()
    (draft / "layers" / "one.bin").write_bytes(bytes(300))
    return {"words": 1}


def build(folder: Path, make: Any = make_words, **changes: Any) -> Manifest:
    options = {"settings": {"min_count": 5}, "inputs": {"text": "ab"}, **changes}
    return build_artifact(folder, "anchors", make, **options)


def test_the_manifest_tells_what_the_artifact_is(tmp_path):
    before = datetime.now(UTC) - timedelta(seconds=1)
    folder = tmp_path / "runs" / "lexicon" / "es"
    manifest = build(folder, seed=3, licences=["CC BY 4.0", "Apache-2.0", "CC BY 4.0"], format=2)
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert content == manifest.content == read_manifest(folder, kind="anchors").content
    assert everything_in(folder) == ["layers", "layers/one.bin", "manifest.json", "words.txt"]
    assert everything_in(folder.parent) == ["es", *(f"es/{name}" for name in everything_in(folder))]
    assert content["files"] == {
        "layers/one.bin": {"sha256": hashlib.sha256(bytes(300)).hexdigest(), "bytes": 300},
        "words.txt": {"sha256": hashlib.sha256(b"casa\n").hexdigest(), "bytes": 5},
    }
    assert (content["kind"], content["format"], content["seed"], content["words"]) == ("anchors", 2, 3, 1)
    assert content["licences"] == ["Apache-2.0", "CC BY 4.0"]
    assert content["settings"] == {"min_count": 5}
    assert content["inputs"] == {"text": "ab"}
    assert manifest.kind == "anchors"
    assert manifest.key == content["key"]
    assert manifest.key == artifact_key("anchors", format=2, settings={"min_count": 5}, inputs={"text": "ab"})
    assert before <= datetime.fromisoformat(content["created"]) <= datetime.now(UTC)
    assert content["seconds"] >= 0
    assert all(content[name] not in ("", "unknown") for name in ("isogloss", "torch", "numpy", "python", "machine"))


def test_the_folder_has_the_rights_that_any_new_folder_has(tmp_path):
    (tmp_path / "usual").mkdir()
    build(tmp_path / "es")
    assert (tmp_path / "es").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_stood_there_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "es"
    build(folder)

    def make(draft: Path) -> None:
        assert (folder / "words.txt").exists(), "the old one stays to the last moment"
        assert everything_in(draft) == []
        (draft / "other.txt").write_text("perro\n")

    build(folder, make)
    assert everything_in(tmp_path) == ["es", "es/manifest.json", "es/other.txt"]


class Failure(Exception):
    """Something that goes wrong in the making."""


@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("there_was_one", [False, True])
def test_when_making_fails_the_artifact_is_absent_or_the_old_one_whole(tmp_path, error, there_was_one):
    folder = tmp_path / "es"
    if there_was_one:
        key = build(folder).key

    def make(draft: Path) -> None:
        (draft / "words.txt").write_text("half")
        raise error

    with pytest.raises(error):
        build(folder, make)
    if there_was_one:
        assert up_to_date(folder, key)
        assert everything_in(tmp_path) == ["es", *(f"es/{name}" for name in everything_in(folder))]
    else:
        assert everything_in(tmp_path) == []


@pytest.mark.parametrize("call", ["rename", "fsync"])
def test_a_full_disk_leaves_no_trace(tmp_path, monkeypatch, call):
    with monkeypatch.context() as patch, pytest.raises(OutputError, match=r"disk is full\. Free some space"):
        patch.setattr(os, call, fail_with(errno.ENOSPC))
        build(tmp_path / "es")
    assert everything_in(tmp_path) == []


def test_when_the_last_rename_fails_the_old_artifact_comes_back(tmp_path, monkeypatch):
    folder = tmp_path / "es"
    key = build(folder).key
    rename, calls = os.rename, []

    def fail_second(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="disk is full"):
        patch.setattr(os, "rename", fail_second)
        build(folder, settings={"min_count": 6})
    assert up_to_date(folder, key)
    assert everything_in(tmp_path) == ["es", *(f"es/{name}" for name in everything_in(folder))]


def test_an_unwritable_place_is_explained(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OutputError, match=r"runs: cannot be written: a file of that name is in the way"):
        build(tmp_path / "runs" / "es")


def test_a_file_in_the_place_of_the_folder_is_not_replaced(tmp_path):
    (tmp_path / "es").write_text("somebody's notes")
    with pytest.raises(OutputError, match=r"es: is there already and is not an artifact of isogloss"):
        build(tmp_path / "es", lambda draft: pytest.fail("it should be refused before any work"))
    assert (tmp_path / "es").read_text() == "somebody's notes"
    assert everything_in(tmp_path) == ["es"]


def test_an_artifact_is_not_put_into_another_which_may_be_made_anew(tmp_path):
    build(tmp_path / "es")
    with pytest.raises(OutputError, match=r"es/more/fr: lies within .*/es, which holds "):
        build(tmp_path / "es" / "more" / "fr", lambda draft: pytest.fail("it should be refused before any work"))
    assert not (tmp_path / "es" / "more").exists()


def test_a_manifest_of_another_program_further_up_does_not_matter(tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    assert up_to_date(tmp_path / "es", build(tmp_path / "es").key)


def test_an_artifact_is_up_to_date_until_its_key_changes(tmp_path):
    key = build(tmp_path / "es").key
    assert up_to_date(tmp_path / "es", key)
    assert not up_to_date(tmp_path / "es", "another key")
    assert not up_to_date(tmp_path / "fr", key)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(bytes(299) + b"\1"), "differs from what was written"),
        (lambda path: path.write_bytes(bytes(299)), "differs from what was written"),
        (lambda path: path.unlink(), "missing, though the manifest lists it"),
    ],
    ids=["one byte differs", "cut", "gone"],
)
def test_a_damaged_file_is_noticed_and_named(tmp_path, damage, words):
    folder = tmp_path / "es"
    manifest = build(folder)
    check_files(folder, manifest)
    damage(folder / "layers" / "one.bin")
    assert not up_to_date(folder, manifest.key)
    with pytest.raises(ArtifactError, match=rf"es/layers/one\.bin: {words}.*Delete .*es and run again\."):
        check_files(folder, manifest)


def test_a_quick_check_looks_at_sizes_only(tmp_path):
    manifest = build(tmp_path / "es")
    path = tmp_path / "es" / "words.txt"
    path.write_text("CASA\n")
    check_files(tmp_path / "es", manifest, deep=False)
    path.write_text("casas\n")
    with pytest.raises(ArtifactError, match=r"words\.txt: differs"):
        check_files(tmp_path / "es", manifest, deep=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "manifest.json: not readable as a manifest .*The folder is damaged; delete it and run again"),
        ("[]", "manifest.json: not readable as a manifest"),
        ('{"kind": "anchors", "files": {}}', r"manifest.json: not readable as a manifest \('key'\)"),
        ('{"kind": "anchors", "key": "k", "files": [1]}', "manifest.json: not readable as a manifest"),
        ('{"kind": "anchors", "key": "k", "files": {"x": 1}}', "manifest.json: not readable as a manifest"),
        (
            '{"kind": "parser", "key": "k", "files": {}}',
            "es: holds 'parser'. Expected 'anchors'. Check which",
        ),
        (None, "es: no manifest.json. Expected a folder written by isogloss"),
    ],
)
def test_a_manifest_that_is_none_is_explained(tmp_path, text, words):
    folder = tmp_path / "es"
    folder.mkdir()
    if text is not None:
        (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=words):
        read_manifest(folder, kind="anchors")


def test_a_folder_that_is_not_there_is_explained(tmp_path):
    with pytest.raises(ArtifactError, match=r"es: no such folder\. Expected a folder written by isogloss\. Check the"):
        read_manifest(tmp_path / "es")


def test_bytes_that_are_no_text_are_no_manifest(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError, match="not readable as a manifest"):
        read_manifest(tmp_path)


def test_a_version_that_nobody_knows_is_called_unknown(monkeypatch):
    monkeypatch.setattr(artifacts.importlib.metadata, "version", lambda package: {"torch": "2.9"}[package])
    with pytest.raises(KeyError):
        artifacts.versions()
    missing = artifacts.importlib.metadata.PackageNotFoundError

    def version(package: str) -> str:
        if package == "isogloss":
            raise missing(package)
        return "2.9"

    monkeypatch.setattr(artifacts.importlib.metadata, "version", version)
    assert artifacts.versions()["isogloss"] == "unknown"
    assert artifacts.versions()["torch"] == "2.9"

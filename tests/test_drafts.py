"""A draft goes when nobody makes it any more, and not before."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isogloss.drafts import aside_of, is_draft, new_draft, remove_drafts

MAKES_ONE = """
import sys
from pathlib import Path
from isogloss.drafts import new_draft

with new_draft(Path(sys.argv[1])) as draft:
    (draft / "vectors").write_text("half")
    print(draft.name, flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_draft_stands_beside_its_place_until_it_is_moved(tmp_path):
    with new_draft(tmp_path / "es") as draft:
        assert draft.is_dir()
        assert is_draft(draft, ["es"])
        draft.rename(tmp_path / "es")
    assert names(tmp_path) == ["es"]


def test_after_a_failure_it_is_gone(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_draft(tmp_path / "es") as draft:
        (draft / "vectors").write_text("half")
        raise KeyboardInterrupt
    assert not names(tmp_path)


def test_what_a_killed_process_left_goes_when_the_same_is_made_and_what_lives_stays(tmp_path):
    command = [sys.executable, "-c", MAKES_ONE, str(tmp_path / "es")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        theirs = process.stdout.readline().strip()
        with new_draft(tmp_path / "es") as ours:
            assert names(tmp_path) == sorted([theirs, ours.name]), "somebody is still making it"
            ours.rmdir()
        process.send_signal(signal.SIGKILL)
    assert names(tmp_path) == [theirs]
    with new_draft(tmp_path / "fr") as other:
        assert names(tmp_path) == sorted([theirs, other.name]), "another name"
        other.rmdir()
    with new_draft(tmp_path / "es") as ours:
        assert names(tmp_path) == [ours.name]


def test_only_drafts_of_the_same_name_go(tmp_path):
    ours = [".es.abcd1234.partial", ".es.abcd1234.old.partial"]
    theirs = [".es.v2.abcd1234.partial", ".fr.abcd1234.partial", ".es.checkpoints", ".es-2.abcd1234.partial"]
    for name in (*ours, *theirs):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / ".es.file.partial").touch()  # a file is no draft of a folder
    with new_draft(tmp_path / "es") as draft:
        draft.rmdir()
    assert names(tmp_path) == sorted([*theirs, ".es.file.partial"])


def test_what_steps_aside_is_a_draft_too(tmp_path):
    aside = aside_of(tmp_path / ".es.a1.partial")
    assert aside.name == ".es.a1.old.partial"
    assert is_draft(aside, ["fr", "es"])
    assert not is_draft(aside, ["fr"])


def test_all_drafts_of_a_run_are_removed_and_nothing_else(tmp_path):
    kept = tmp_path / "lexicon" / "es" / "words.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("whole")
    (tmp_path / "lexicon" / ".es.a1.partial" / "inside").mkdir(parents=True)
    (tmp_path / "lexicon" / ".es.a1.old.partial").mkdir()
    (tmp_path / "lexicon" / "es" / ".words.txt.b2.partial").write_text("half")
    remove_drafts(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
    assert names(tmp_path / "lexicon") == ["es"]

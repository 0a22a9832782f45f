"""What several tests of commands ask of the end of one, and of the folders that it wrote."""

from pathlib import Path
from typing import Any


def refusal(ended: Any, *, status: int = 2) -> str:
    """Check that a command ended with one clear line, its last, and nothing on standard output; return the line."""
    assert ended.status == status, ended
    assert ended.output == ""
    assert "Traceback" not in ended.errors
    assert len(ended.complaints) == 1, ended.errors
    assert ended.errors.splitlines()[-1] == ended.complaints[0]
    return ended.complaints[0].removeprefix("isogloss: ")


def below(folder: Path) -> set[str]:
    """Return the paths of all that lies in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}

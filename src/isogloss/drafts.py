"""Drafts: folders and files that are being made stand under a temporary name beside the place that they will take.

A draft of `es` is called `.es.RANDOM.partial`. Whoever makes one holds it by a lock of the operating system, which
goes with the process, however that ends. So a draft that nobody holds is what a killed process left, and goes when the
same thing is made again.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

SUFFIX = ".partial"


@contextmanager
def new_draft(folder: Path) -> Iterator[Path]:
    """Make an empty folder beside another, and hold it; what killed processes left of the same name goes before.

    If the block fails, the draft goes. Else it is to be moved within the block.

    Args:
        folder: Whose draft it is; the folder that it lies in is there already.

    Raises:
        OSError: No folder can be made there.
    """
    with ExitStack() as until_done:
        for path in _drafts_beside(folder):
            with _held(path) as abandoned:
                if abandoned:
                    shutil.rmtree(path, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".new"))
        until_done.enter_context(_held(draft))
        try:
            draft = draft.rename(draft.with_suffix(SUFFIX))  # only now, when it is held, others may take it for a draft
            yield draft
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def aside_of(draft: Path) -> Path:
    """Return where an old folder steps aside while its draft takes its place; that goes as the draft does."""
    return draft.with_name(draft.name.removesuffix(SUFFIX) + ".old" + SUFFIX)


def is_draft(path: Path, names: Sequence[str]) -> bool:
    """Whether a path is called as drafts of some names are, and as what stepped aside for them."""
    # The middle part is random, without dots. A thing of which a name is the beginning has one dot more.
    either = "|".join(re.escape(name) for name in names)
    return re.fullmatch(rf"\.({either})\.[^.]+(\.old)?{re.escape(SUFFIX)}", path.name) is not None


def remove_drafts(folder: Path) -> None:
    """Remove all drafts in a folder and below; call it where nobody else writes."""
    for path in folder.rglob(f".*{SUFFIX}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _drafts_beside(folder: Path) -> list[Path]:
    beside = folder.parent.glob(f".*{SUFFIX}")
    return [path for path in beside if is_draft(path, [folder.name]) and path.is_dir() and not path.is_symlink()]


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder within the block; False if somebody else does, or if folders cannot be held here."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # gone, or not to be read
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except OSError:  # by somebody else; or a file system without locks
            held = False
        yield held
    finally:
        os.close(handle)

"""Artifacts: folders that hold the result of one stage, either absent or whole.

A folder is written under a temporary name and renamed when complete. Beside its content lies `manifest.json`:

    kind, format          what it is, and the version of its layout
    key                   SHA-256 over kind, format, settings and inputs; equal key means equal content
    settings              the settings that made it
    inputs                SHA-256 of each input file, key of each input artifact
    files                 SHA-256 and size of each file in the folder
    seed, licences        of the run and of the data
    isogloss, torch, …    versions, kind of machine
    created, seconds      when (UTC) and how long it took

A rerun compares the key to know what is up to date. Nothing needs to execute code to be opened.
"""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isogloss.drafts import SUFFIX, aside_of, new_draft
from isogloss.errors import ArtifactError, OutputError

MANIFEST = "manifest.json"


_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EDQUOT: "the disk quota is used up. Free some space",
    errno.EROFS: "the file system is read-only. Choose another folder",
}
_REFUSALS = _DISK_ERRORS | {
    errno.EACCES: "permission denied. Choose a folder that you may write to",
    errno.EPERM: "permission denied. Choose a folder that you may write to",
    errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another folder",
    errno.EEXIST: "a file of that name is in the way. Choose another name",
    errno.ENOTEMPTY: "something is in a folder of that name. Choose another name",
    errno.EISDIR: "it is a folder, not a file. Choose another name",
    errno.ENOENT: "its folder is not there, or takes no files. Choose another folder",
}


@contextmanager
def writing_to(path: Path, *, when: Mapping[int, str] = _REFUSALS) -> Iterator[None]:
    """Within the block, turn the operating system's refusals into one clear `OutputError` about `path`.

    Args:
        path: What is being written.
        when: The refusals meant, by their number, with what to say.
    """
    try:
        yield
    except OSError as error:
        reason = when.get(error.errno or 0)
        if reason is None:
            raise
        raise OutputError(f"{path}: cannot be written: {reason} and run the same command again.") from error


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that at any moment it is either the old one or the new one.

    Raises:
        OutputError: The disk is full or the folder is not writable; nothing is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing_to(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=SUFFIX)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can say; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """What lies in an artifact's `manifest.json`."""

    content: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Names kind, settings and inputs; equal key means equal content."""
        return self.content["key"]

    @property
    def kind(self) -> str:
        """What the artifact is, for example ``anchors``."""
        return self.content["kind"]


def artifact_key(kind: str, *, format: int, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the key of an artifact before it is made."""
    return hash_json({"kind": kind, "format": format, "settings": settings, "inputs": inputs})


def read_manifest(folder: Path, *, kind: str | None = None) -> Manifest:
    """Read an artifact's manifest.

    Raises:
        ArtifactError: There is none, it is damaged, or the artifact is of another kind.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content["kind"]
        _ = content["key"], [(file["sha256"], file["bytes"]) for file in content["files"].values()]
    except (FileNotFoundError, NotADirectoryError) as error:
        what = (
            "no manifest.json" if folder.is_dir() else "a file, not a folder" if folder.exists() else "no such folder"
        )
        raise ArtifactError(
            f"{folder}: {what}. Expected a folder written by isogloss. Check the path, or make it again."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}: not readable as a manifest ({error}). The folder is damaged; delete it and run again."
        ) from error
    if kind is not None and found != kind:
        raise ArtifactError(f"{folder}: holds {found!r}. Expected {kind!r}. Check which folder you named.")
    return Manifest(content)


def check_files(folder: Path, manifest: Manifest, *, deep: bool = True) -> None:
    """Check that an artifact's files are those that were written.

    Args:
        folder: The artifact.
        manifest: Its manifest.
        deep: Compare hashes, not only sizes.

    Raises:
        ArtifactError: A file is missing or differs; the message names it.
    """
    for name, expected in manifest.content["files"].items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{path}: missing, though the manifest lists it. Delete {folder} and run again.")
        if path.stat().st_size != expected["bytes"] or (deep and hash_file(path) != expected["sha256"]):
            raise ArtifactError(
                f"{path}: differs from what was written (size or SHA-256). Delete {folder} and run again."
            )


def up_to_date(folder: Path, key: str) -> bool:
    """Whether a folder holds a whole artifact with this key."""
    try:
        manifest = read_manifest(folder)
        check_files(folder, manifest)
    except ArtifactError:
        return False
    return manifest.key == key


def build_artifact(
    folder: Path,
    kind: str,
    make: Callable[[Path], Mapping[str, Any] | None],
    *,
    format: int = 1,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int | None = None,
    licences: Sequence[str] = (),
) -> Manifest:
    """Make an artifact: call `make` with an empty temporary folder, then put the folder in its place.

    Args:
        folder: Where the artifact shall stand. What stood there is replaced, in the last moment.
        kind: For example ``anchors``.
        make: Writes the files; may return further entries for the manifest.
        format: Version of the layout; raise it when the layout changes.
        settings: Everything that steers the content and JSON can say.
        inputs: SHA-256 of each input by its name.
        seed: The seed, if chance plays a part.
        licences: Of the data that went in.

    Raises:
        OutputError: The disk is full or the folder is not writable; nothing is left behind.
    """
    started = time.monotonic()
    with _draft_of(folder, kind) as draft:
        os.chmod(draft, 0o777 & ~_umask())
        with writing_to(folder, when=_DISK_ERRORS):  # other refusals may be about what `make` reads
            more = make(draft) or {}
        with writing_to(folder):
            content = {
                "kind": kind,
                "format": format,
                "key": artifact_key(kind, format=format, settings=settings, inputs=inputs),
                "settings": settings,
                "inputs": dict(inputs),
                "files": _files_in(draft),
                "seed": seed,
                "licences": sorted(set(licences)),
                **versions(),
                **more,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - started, 3),
            }
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            write_atomically(draft / MANIFEST, text)
            _replace_folder(draft, folder)
    return Manifest(content)


def check_place(folder: Path, kind: str) -> None:
    """Make sure that an artifact can be written, before long work for it begins.

    Raises:
        OutputError: It cannot, or would take the place of something else.
    """
    with _draft_of(folder, kind) as draft:
        draft.rmdir()


@contextmanager
def _draft_of(folder: Path, kind: str) -> Iterator[Path]:
    """Make the temporary folder in which an artifact is filled."""
    _refuse_to_replace(folder, kind)
    with writing_to(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as until_done:
        with writing_to(folder):
            draft = until_done.enter_context(new_draft(folder))
        yield draft


@contextmanager
def only_writer(folder: Path, *, lock: Path | None = None) -> Iterator[None]:
    """Within the block, be the only process that writes at `folder`.

    The operating system lets go of the lock when the process ends, however.

    Args:
        folder: An artifact or a run.
        lock: The file that is the lock; by default `.NAME.lock` beside the folder.

    Raises:
        OutputError: Another process is writing there, or the lock cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    path = lock or folder.parent / f".{folder.name}.lock"
    while True:
        with writing_to(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(
                    f"{folder}: another process is writing here. Expected to be alone. Wait for it, or choose another "
                    f"folder."
                ) from error
            # Whoever held the lock before removed the file at the end; then we hold what nobody else will see.
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def versions() -> dict[str, str]:
    """Return the versions and the kind of machine that a result should name."""
    found = {"isogloss": _version("isogloss"), "torch": _version("torch"), "numpy": _version("numpy")}
    return {
        **found,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _files_in(folder: Path) -> dict[str, dict[str, Any]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"sha256": hash_file(path), "bytes": path.stat().st_size} for path in paths
    }


def _refuse_to_replace(folder: Path, kind: str) -> None:
    """Make sure that nothing of value is overwritten, now or later: what is not an artifact of this kind stays."""
    for above in folder.absolute().parents:
        if (around := _kind_of(above)) is not None:
            raise OutputError(
                f"{folder}: lies within {above}, which holds {around}. Expected a folder apart from it, since all that "
                f"is in it goes when it is made anew. Choose another place."
            )
    if (folder.is_dir() and not any(folder.iterdir())) or not folder.exists():
        return
    found = "not an artifact of isogloss"
    if (folder / MANIFEST).is_file():
        found = _kind_of(folder)
        if found is None or found == kind:
            return  # one of ours; without a kind it is damaged
    raise OutputError(
        f"{folder}: is there already and is {found}. Expected a new or empty folder, or one that holds {kind}. Choose "
        f"another name, or remove it yourself."
    )


def _kind_of(folder: Path) -> str | None:
    """Return what kind of artifact a folder holds; None if it is none, or its manifest cannot be read."""
    try:
        return read_manifest(folder).kind
    except ArtifactError:
        return None


def _replace_folder(draft: Path, folder: Path) -> None:
    """Rename `draft` to `folder`; an old folder steps aside first, since a rename needs an empty target."""
    aside = aside_of(draft)
    if folder.exists():
        os.rename(folder, aside)
    try:
        os.rename(draft, folder)
    except BaseException:
        if aside.exists():
            os.rename(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    """Return the process's umask (which can only be read by setting it)."""
    value = os.umask(0o022)
    os.umask(value)
    return value

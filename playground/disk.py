"""Writing files so that a crash, a kill or a full disk leaves the old content or the new, never a part."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from playground.errors import EnvironmentFault


def owner_only(name: str, flags: int) -> int:
    """Open a file so that, if this creates it, only its owner can read it; for ``open(…, opener=owner_only)``."""
    return os.open(name, flags, 0o600)


def private_folder(path: Path) -> None:
    """Create a folder that only its owner can enter; refuse one that others made or can enter.

    Raises:
        EnvironmentFault: If it is not the user's own, or cannot be created.
    """
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700, parents=True)
        own = is_private(path)
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be created: {error.strerror or error}.", "Check its parent.") from error
    if not own:
        raise EnvironmentFault(
            f"{path} is not a folder that only you can enter.", "Remove it, or set XDG_RUNTIME_DIR to one of yours."
        )


def is_private(path: Path) -> bool:
    """Return whether `path` is a folder, not a link to one, of this user that no one else can enter."""
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def make_folder(path: Path) -> None:
    """Create a folder with its parents, and wait until their names are on the disk."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def write_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file and wait until it is on the disk; a private one can be read by its owner only."""
    with open(path, "wb", opener=owner_only if private else None) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file so that at any moment either the old or the new content is there."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        if private:
            temporary.unlink(missing_ok=True)  # one that was left might be open to others
        write_file(temporary, data, private=private)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


class DiskFull(EnvironmentFault):
    """There was no room for what a training has to write, for too long: the work failed, and can be continued."""

    exit_code = 1


def is_full(error: OSError) -> bool:
    """Return whether a write failed for want of room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def free_space(path: Path) -> int:
    """Return the bytes that can be written where `path` is or will be."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def disk_fault(error: OSError, path: Path, resume: str = "") -> EnvironmentFault:
    """Return the error to show to the user for a failed write; `resume` names the run, if it can be resumed."""
    if is_full(error):
        return DiskFull(
            f"The disk is full: {path} could not be written.",
            f"Free some space and continue with --resume {resume}; what its last checkpoint holds is kept."
            if resume
            else "Free some space and start again.",
        )
    return EnvironmentFault(f"{path} cannot be written: {error.strerror or error}.", "Check the folder's permissions.")

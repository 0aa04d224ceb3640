"""Writing files so that a crash, a kill or a full disk leaves the old content or the new, never a part."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from playground.errors import EnvironmentFault


def write_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file and wait until it is on the disk; a private one can be read by its owner only."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600 if private else 0o666)) as stream:
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


def disk_fault(error: OSError, path: Path) -> EnvironmentFault:
    """Return the error to show to the user for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentFault(
            f"The disk is full: {path} could not be written.",
            "Free some space and continue with --resume; everything up to the last checkpoint is kept.",
        )
    return EnvironmentFault(f"{path} cannot be written: {error.strerror or error}.", "Check the folder's permissions.")

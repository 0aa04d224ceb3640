"""Files that are old or new, and failed writes in words."""

import errno
import os

import pytest

from playground import disk
from playground.disk import disk_fault, replace_file


def test_replaced_file_is_old_or_new_with_no_leftovers(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    replace_file(path, b"old")
    assert (path.read_bytes(), [file.name for file in tmp_path.iterdir()]) == (b"old", ["run.json"])

    def half(path, data, *, private):
        path.write_bytes(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_file", half)
        with pytest.raises(OSError, match="No space"):
            replace_file(path, b"new")
    assert (path.read_bytes(), [file.name for file in tmp_path.iterdir()]) == (b"old", ["run.json"])
    replace_file(path, b"new")
    assert (path.read_bytes(), [file.name for file in tmp_path.iterdir()]) == (b"new", ["run.json"])


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "disk is full"), (errno.EACCES, "denied")]
)
def test_failed_write_is_an_environment_fault_with_a_reason(tmp_path, number, words):
    fault = disk_fault(OSError(number, os.strerror(number)), tmp_path)
    assert fault.exit_code == (3 if number == errno.EACCES else 1)
    assert words in fault.message
    assert str(tmp_path) in fault.message
    assert fault.hint

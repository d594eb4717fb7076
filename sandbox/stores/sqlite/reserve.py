"""Reserve of space on the database's disk for deletions, which free space on a full disk."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from twisted.logger import Logger

_log = Logger()

#: Bytes that a probe of free space allocates briefly.
_PROBE = 64 << 10
#: The errors of a full disk, or of an exhausted quota.
FULL = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """A file next to a database: the store releases its space when a deletion cannot be written, and allocates it again
    when there is space. All methods block.

    :param path: the database's path.
    :param size: bytes; 0 disables the reserve.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path = f"{path}-reserve"
        self._probe = f"{path}-probe"
        self._size = size

    def take(self) -> None:
        """Allocate the reserve; no effect when it is allocated already or the disk has too little space."""
        with suppress(FileNotFoundError):
            if os.stat(self._path).st_size == self._size:
                return
        if self._size:
            try:
                _allocate(self._path, self._size)
            except OSError as error:
                _log.warn("no room is kept for deletions: {path}: {error}", path=self._path, error=error.strerror)
                self._remove(self._path)

    def release(self) -> bool:
        """Release the reserve; whether there was one."""
        if not self._remove(self._path):
            return False
        _log.warn("the database's disk is full: the room that was kept for deletions is used now")
        return True

    def probe(self) -> bool:
        """Whether the disk has free space."""
        try:
            _allocate(self._probe, _PROBE)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return False
        finally:
            self._remove(self._probe)
        return True

    def _remove(self, path: str) -> bool:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True


def _allocate(path: str, size: int) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
    finally:
        os.close(file)

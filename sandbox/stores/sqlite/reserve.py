"""Room on the database's disk that is kept for deletions, so that a full one can be made empty again."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from twisted.logger import Logger

_log = Logger()

#: Bytes that a disk with room gives for a moment.
_PROBE = 64 << 10
#: What the system says when there is no room, or none for this user.
FULL = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """A file of some size beside a database; its room is given up when a deletion cannot be written, and taken again
    when there is room. All of its methods block.

    :param path: the database's.
    :param size: bytes; 0 keeps none.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path = f"{path}-reserve"
        self._probe = f"{path}-probe"
        self._size = size

    def take(self) -> None:
        """Keep the room; nothing happens when it is kept, or cannot be had now."""
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
        """Give the room up; whether there was any."""
        if not self._remove(self._path):
            return False
        _log.warn("the database's disk is full: the room that was kept for deletions is used now")
        return True

    def probe(self) -> bool:
        """Whether the disk has room for a little more."""
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

"""A disk of a few megabytes that a test may fill: a file system in a file, mounted by a loop device; needs root."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path

_LOOP_CONTROL = "/dev/loop-control"
# Loop devices are shared by all that run on the kernel; so many may be in use.
_LOOP_DEVICES = 64


def _make_loop_devices() -> None:
    """Have nodes of loop devices: a container has none."""
    for path, device in (
        (_LOOP_CONTROL, os.makedev(10, 237)),
        *((f"/dev/loop{number}", os.makedev(7, number)) for number in range(_LOOP_DEVICES)),
    ):
        with contextlib.suppress(FileExistsError):
            os.mknod(path, stat.S_IFCHR if path == _LOOP_CONTROL else stat.S_IFBLK, device)


class SmallDisk:
    """An ext4 of some size.

    :ivar root: where it is mounted.
    """

    def __init__(self, megabytes: int) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="disk-"))
        self.root = self._home / "root"
        self.root.mkdir()
        image = self._home / "image"
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _make_loop_devices()
        # No blocks that only root could still take.
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(self.root)], check=True)
        self._filler = self.root / "filler"

    def fill(self) -> None:
        """Leave not a byte; again after something was freed."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * (1 << 16))
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0")
        os.sync()

    def empty(self) -> None:
        """Take away what filled it."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove it."""
        subprocess.run(["umount", "-l", str(self.root)], check=True)
        (self._home / "image").unlink()
        self.root.rmdir()
        self._home.rmdir()

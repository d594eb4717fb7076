"""The service manager's side of the watchdog: how long the daemon sends it no message."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

#: Seconds between two messages that are asked for. etc/sandbox.service asks for one each 15 s: here they come often, so
#: that some seconds are enough to tell how long they stay away.
PERIOD = 0.05


class Watchdog:
    """Listens from the beginning of its context to its end.

    :param path: of the socket that is made.
    :ivar environment: variables for the daemon.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._moments: list[float] = []
        self._over = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._listen)
        self.environment: Mapping[str, str] = {
            "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(round(PERIOD * 2 * 1e6)),
        }

    def __enter__(self) -> Watchdog:
        self._socket.bind(str(self._path))
        self._socket.settimeout(0.2)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over = True
        self._thread.join()
        self._socket.close()
        self._path.unlink()

    def silence(self, begin: float, end: float) -> float:
        """The longest time between two messages that lies, in part, between two moments of ``time.monotonic``."""
        before = max((moment for moment in self._moments if moment <= begin), default=begin)
        after = min((moment for moment in self._moments if moment >= end), default=end)
        heard = [before, *(moment for moment in self._moments if begin < moment < end), after]
        return max(later - earlier for earlier, later in pairwise(heard))

    def _listen(self) -> None:
        while not self._over:
            try:
                message = self._socket.recv(4096)
            except TimeoutError:
                continue
            if message == b"WATCHDOG=1":
                self._moments.append(time.monotonic())

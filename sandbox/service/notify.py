"""Notifications to the service manager: sd_notify(3), one datagram per message."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sandbox.net.timers import Timer
from sandbox.scheduling.scheduler import Scheduler

_log = Logger()

#: Seconds until a message is retried that the service manager's socket did not accept, and maximum of queued messages.
_RETRY, _UNSENT = 0.1, 32


class Notify:
    """Sends status and watchdog notifications; no-op when the environment requests none.

    Watchdog notifications come from the reactor, so that they stop when it hangs and the service manager restarts the
    daemon.

    :param environment: with ``NOTIFY_SOCKET``, and with ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` for watchdog
        notifications (sd_watchdog_enabled(3)).
    """

    def __init__(self, clock: IReactorTime, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._period = _watchdog(environment) / 2
        self._ready = ""
        self._unsent: deque[str] = deque(maxlen=_UNSENT)
        self._retry = Timer(clock)

    def start(self, scheduler: Scheduler) -> None:
        """Start watchdog notifications, if enabled, at twice the required rate."""
        if self._address and self._period:
            scheduler.every(self._period, "watchdog", lambda: self._send("WATCHDOG=1"), now=True)

    def status(self, text: str) -> None:
        """Set the status line that ``systemctl status`` shows."""
        self._send(f"STATUS={_line(text)}")

    def ready(self, text: str) -> None:
        """Notify that the daemon is ready."""
        self._ready = text
        self._send(f"READY=1\nSTATUS={_line(text)}")

    def reloading(self) -> None:
        """Notify that a reload has started; no-op before the daemon is ready."""
        if self._ready:
            # Type=notify-reload requires the time of CLOCK_MONOTONIC.
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reloading settings")

    def reloaded(self) -> None:
        """Notify that the reload has ended."""
        if self._ready:
            self.ready(self._ready)

    def stopping(self, text: str) -> None:
        """Notify that the daemon is shutting down."""
        self._ready = ""
        self._send(f"STOPPING=1\nSTATUS={_line(text)}")

    def close(self) -> None:
        """Send no further notifications."""
        self._retry.stop()

    def _send(self, message: str) -> None:
        if self._address:
            self._unsent.append(message)
            if not self._retry.active:
                self._send_on()

    def _send_on(self) -> None:
        while self._unsent:
            if not self._sent(self._unsent[0]):
                # The service manager is busy: retry, since a lost message could make the daemon look dead or not ready.
                self._retry.start(_RETRY, self._send_on)
                return
            self._unsent.popleft()

    def _sent(self, message: str) -> bool:
        """Send a message; ``False`` when it must be retried."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except BlockingIOError:
            return False
        except OSError as error:
            what = message.partition("\n")[0]
            _log.warn("cannot notify the service manager of {what}: {error}", what=what, error=error.strerror)
        return True


def _line(text: str) -> str:
    return " ".join(text.split())


def _watchdog(environment: Mapping[str, str]) -> float:
    """The watchdog timeout in seconds; 0 when the watchdog is not enabled for this process."""
    wanted = environment.get("WATCHDOG_USEC", "")
    ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(wanted) / 1_000_000 if ours and wanted.isascii() and wanted.isdigit() else 0.0

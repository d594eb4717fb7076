"""SIGHUP: read the settings anew and put in force what a running daemon can take."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.settings import STRONG, SettingError, Settings, weak_secrets
from sandbox.settings.changes import change
from sandbox.settings.source import Source

_log = Logger()


class Reload:
    """Has a running daemon take new settings, all of them or none.

    :ivar settings: what is in force.
    """

    def __init__(self, reactor: Any, source: Source, settings: Settings) -> None:
        self._reactor = reactor
        self._source = source
        self.settings = settings
        self._changed: list[Callable[[Settings], None]] = []

    def on_change(self, use: Callable[[Settings], None]) -> None:
        """Have ``use`` called with the settings in force whenever some changed; it must not fail."""
        self._changed.append(use)

    async def run(self) -> None:
        """Read the settings anew and put in force what a running daemon can take; the log tells what came of it."""
        if self._source.file is None:
            _log.info("settings stay as they are: without --env-file there is nothing to read anew")
            return
        try:
            found = change(self.settings, await self._read())
        except SettingError as error:
            _log.error("settings stay as they are: {error}", error=str(error))
            return
        self.settings = found.settings
        if found.taken:
            for use in self._changed:
                use(found.settings)
        self.warn()
        for name in found.waiting:
            _log.warn("{name} has changed: that needs a restart", name=name)
        _log.info("settings read anew; changed: {names}", names=", ".join(found.taken) or "nothing")

    def warn(self) -> None:
        """Log what is probably a mistake in the settings in force, and where they were read from."""
        for each in self._source.unknown:
            _log.warn("{unknown}", unknown=str(each))
        for name in weak_secrets(self.settings):
            _log.warn("{name} is shorter than {strong} bytes: it can be guessed", name=name, strong=STRONG)

    def _read(self) -> Deferred[Settings]:
        # A file can be on a disk that does not answer. The thread is there for this once, and no end waits for it.
        reading: Deferred[Settings] = Deferred()

        def read() -> None:
            try:
                self._reactor.callFromThread(reading.callback, self._source.read())
            except Exception:
                self._reactor.callFromThread(reading.errback, Failure())

        Thread(target=read, name="reload", daemon=True).start()
        return reading

"""Reload of the settings at SIGHUP."""

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
    """Reads the settings again and applies those that are ``live``. A file with an error changes nothing.

    :ivar settings: the settings in force.
    """

    def __init__(self, reactor: Any, source: Source, settings: Settings) -> None:
        self._reactor = reactor
        self._source = source
        self.settings = settings
        self._changed: list[Callable[[Settings], None]] = []

    def on_change(self, use: Callable[[Settings], None]) -> None:
        """Call ``use`` with the new settings after each change; it must not raise."""
        self._changed.append(use)

    async def run(self) -> None:
        """Read the settings, apply the ``live`` ones that changed, and log the outcome."""
        if self._source.file is None:
            _log.info("settings not reloaded: there is no --env-file")
            return
        try:
            found = change(self.settings, await self._read())
        except SettingError as error:
            _log.error("settings not reloaded: {error}", error=str(error))
            return
        self.settings = found.settings
        if found.taken:
            for use in self._changed:
                use(found.settings)
        self.warn()
        for name in found.waiting:
            _log.warn("{name} has changed: restart to apply it", name=name)
        _log.info("settings reloaded; changed: {names}", names=", ".join(found.taken) or "nothing")

    def warn(self) -> None:
        """Log unknown variables in the file and weak secrets in the settings in force."""
        for each in self._source.unknown:
            _log.warn("{unknown}", unknown=str(each))
        for name in weak_secrets(self.settings):
            _log.warn("{name} is shorter than {strong} bytes: it can be guessed", name=name, strong=STRONG)

    def _read(self) -> Deferred[Settings]:
        # Reading may block, on a network file system for example. A daemon thread does not delay the shutdown.
        reading: Deferred[Settings] = Deferred()

        def read() -> None:
            try:
                self._reactor.callFromThread(reading.callback, self._source.read())
            except Exception:
                self._reactor.callFromThread(reading.errback, Failure())

        Thread(target=read, name="reload", daemon=True).start()
        return reading

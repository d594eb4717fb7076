"""The command line of ``twistd sandbox``: a few options, and the environment's variables explained."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from typing import Any

from twisted.python import usage

from sandbox.settings import REQUIRED, SettingError, Settings, Variable, variables
from sandbox.settings.source import Source
from sandbox.telemetry.logs.output import STDERR, STDOUT, Output


def _explain(variable: Variable) -> str:
    if variable.default is REQUIRED:
        default = "required"
    else:
        default = f"default {variable.default}" if variable.default else "unset by default"
    text = f"{variable.help} Accepts {variable.accepts}; {default}.{' Applied at SIGHUP.' if variable.live else ''}"
    indent = " " * 6
    return f"  {variable.name}\n" + textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent)


class Options(usage.Options):
    """The options of ``twistd sandbox``.

    :ivar source: the source of the settings, once the options are parsed.
    :ivar settings: the settings read from it.
    :ivar logs: the log's output; ``None`` when twistd's own ``--logger`` or ``--syslog`` choose it.
    """

    synopsis = "Usage: twistd [twistd options] sandbox [options]"
    longdesc = "Settings come from the environment, and from a file that overrides it:\n\n" + "\n".join(
        map(_explain, variables())
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["listen"] = []
        self["env-file"] = None

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted server endpoint to listen on (tcp:8080:interface=127.0.0.1, unix:/run/sandbox.sock, systemd:…);
        may be given several times; overrides HOST and PORT."""
        self["listen"].append(endpoint)

    def opt_env_file(self, path: str) -> None:
        """A file of variables in the form of systemd's EnvironmentFile=; it overrides the environment, and is read
        again at SIGHUP."""
        self["env-file"] = os.path.abspath(path)

    def getUsage(self, width: int | None = None) -> str:
        """The options, then every variable; ``usage.Options`` would join the variables into one paragraph."""
        text, self.longdesc = self.longdesc, ""
        try:
            return f"{super().getUsage(width)}\n{text}\n"
        finally:
            self.longdesc = text

    def postOptions(self) -> None:
        """Read the settings; an invalid one ends the start with an error of one line and exit status 1."""
        self.source = Source(os.environ, self["env-file"])
        try:
            self.settings = self.source.read()
        except SettingError as error:
            # twistd answers a UsageError with the whole help and exit status 0.
            raise SystemExit(f"sandbox: {error}") from None
        self.logs = _logs(self.parent or {}, self.settings)


def _logs(twistd: Mapping[str, Any], settings: Settings) -> Output | None:
    """The log's output according to twistd's options: its file, else standard error, or ``twistd.log`` for a daemon."""
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    foreground = twistd.get("nodaemon") or twistd.get("debug")
    name = twistd.get("logfile") or (None if foreground else "twistd.log")
    place = STDERR if name is None else STDOUT if name == "-" else name
    try:
        return Output(place, form=settings.log_format, level=settings.log_level)
    except OSError as error:
        raise SystemExit(f"sandbox: cannot write the log {name}: {error.strerror}") from None

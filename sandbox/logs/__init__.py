"""The log: one line an event, for people on a terminal and as JSON for everything else (docs/reference/logs.md).

Whoever has something to say uses a ``twisted.logger.Logger`` and knows nothing of this room, except of
:mod:`sandbox.net.log_context`, by which events tell for which request they happened. :class:`sandbox.logs.output.Output`
is the observer that twistd gets (:meth:`sandbox.daemon.Daemon.setServiceParent`); ``Options.logs`` is the one that a
daemon has, or ``None`` when twistd's ``--logger`` or ``--syslog`` ask for another. Two of its methods are there to be
called while the daemon runs:

- ``set_level(name)``: have less said, or more;
- ``reopen()``: begin the log file anew under its name, after it was moved away.
"""

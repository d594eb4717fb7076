"""``./quickstart --stop``: ends all that runs from this checkout, and removes the tour's session."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import docker.errors

from quickstart import daemon, engine, tour
from quickstart.console import Console, Failed
from quickstart.processes import recall
from quickstart.requirements import engine_url, why_silent

#: Seconds that each has to end: a tour ends its daemon and session, dockerd its containers.
_TOUR, _DOCKERD = 90.0, 40.0


def stop(state: Path, environment: Mapping[str, str], console: Console) -> None:
    """End tour, daemon, sessions and engine, as far as they were started from this checkout and run.

    The tour's session is removed. Other sessions of its daemon are stopped: their files are their user's.

    :raises Failed: when one of them does not end.
    """
    found = False
    if (running := recall(state / tour.RECORD)) is not None:
        found = True
        if not running.end(_TOUR, signal.SIGINT):
            raise Failed(f"The tour (process {running.pid}) does not end")
        console.done("the tour is ended")
    if (running := recall(state / daemon.RECORD)) is not None:
        found = True
        if not running.end(daemon.STOP_TIMEOUT):
            running.end(daemon.STOP_TIMEOUT, signal.SIGKILL)
        console.done("the daemon is ended")
    found |= _sessions(state, engine_url(environment), console)
    if (running := recall(state / engine.RECORD)) is not None:
        found = True
        if not running.end(_DOCKERD):
            raise Failed(f"dockerd (process {running.pid}) does not end")
        console.done("dockerd is ended")
    for name in (tour.KEPT, tour.RECORD, daemon.RECORD, engine.RECORD):
        (state / name).unlink(missing_ok=True)
    if not found:
        console.show("Nothing runs that was started from this checkout.")


def _instance(state: Path) -> str | None:
    """The label of what the checkout's daemon made on the engine."""
    try:
        with closing(sqlite3.connect(f"file:{state / 'sandbox.db'}?mode=ro", uri=True)) as database:
            (name,) = database.execute("SELECT name FROM sandbox_instance").fetchone()
    except sqlite3.Error:
        return None
    return str(name)


def _sessions(state: Path, url: str, console: Console) -> bool:
    """Remove the tour's containers and volumes, and stop the others; whether there were any."""
    instance = _instance(state)
    if instance is None or why_silent(url) is not None:
        return False
    names = tour.session_ids(state)
    found = False
    with closing(engine.client(url)) as client:
        ours = {"label": f"sandbox.instance={instance}"}
        for container in client.containers(all=True, filters=ours):
            session = container["Labels"].get("sandbox.session.id")
            if session in names:
                client.remove_container(container["Id"], force=True)
                console.done(f"session {session} is removed")
                found = True
            elif container["State"] == "running":
                client.stop(container["Id"], timeout=5)
                console.done(f"session {session} is stopped; its files stay")
                found = True
        for volume in client.volumes(filters=ours)["Volumes"] or []:
            if volume["Labels"].get("sandbox.session.id") in names:
                try:
                    client.remove_volume(volume["Name"])
                except docker.errors.APIError as error:
                    raise Failed(f"The engine keeps {volume['Name']}: {error.explanation}") from None
    return found

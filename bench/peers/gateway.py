"""This project's daemon, in the forms that are compared, on the simulated engine."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

import jwt

from bench.engine import container_id
from bench.peers import Peer, Place, Proxy
from bench.processes import MEASURED, free_port, running

_ROOT = Path(__file__).parents[2]
#: The service key of every daemon here.
KEY = "bench-service-key-" + "k" * 16
_SECRET = "bench-jwt-secret-" + "s" * 16
#: What is not at its default, and why: SSE and WebSockets open more connections to one session than one ever should.
_SETTINGS = {"PREVIEW_CONNECTIONS": "9000"}
#: What has it control access.
ACCESS = {"ENABLE_PREVIEW_ACCESS_CONTROL": "true", "JWT_SECRET": _SECRET}


def call(port: int, path: str, body: object = None, *, method: str = "POST") -> object:
    """A call of the daemon's API; gives the JSON that it answers.

    :raises OSError: when it is refused.
    """
    fields = {"X-Internal-Service-Key": KEY, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/internal/{path}", data, fields, method=method)
    with urllib.request.urlopen(asked, timeout=120) as response:
        content = response.read()
    return json.loads(content) if content else None


@contextmanager
def daemon(
    place: Place,
    settings: Mapping[str, str],
    program: Sequence[str] = ("python", "-m", "bench.daemon"),
    checkout: Path = _ROOT,
) -> Iterator[tuple[int, int, Path]]:
    """Run the daemon with some settings; gives its process id, its port and its state directory once it is ready.

    :param program: what is run, from this environment's programs.
    :param checkout: whose daemon is run.
    """
    port = free_port()
    state = Path(tempfile.mkdtemp(prefix="state-", dir=place.scratch))
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {
        "INTERNAL_SERVICE_KEY": KEY,
        "PORT": str(port),
        "DOCKER_HOST": f"unix://{place.engine}",
        "STATE_DIRECTORY": str(state),
        "PYTHONPATH": str(checkout),
        **settings,
    }
    command = [str(Path(sys.executable).with_name(program[0])), *program[1:]]
    log = place.scratch / f"daemon-{port}.log"
    with running(command, core=MEASURED, log=log, port=port, directory=checkout, environment=environment) as pid:
        wait_until_ready(port)
        yield pid, port, state


def wait_until_ready(port: int) -> None:
    """Wait until the daemon knows the engine's containers: until then it answers 503.

    :raises OSError: when it is not within three minutes.
    """
    end = time.monotonic() + 180
    while True:
        try:
            call(port, "sessions?limit=1", method="GET")
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def register(port: int, routes: Mapping[str, int]) -> None:
    """Tell the daemon the port of each session's application."""
    for session, target in routes.items():
        call(port, f"sessions/{session}/previews", {"port": target})


def own(state: Path, sessions: Iterable[str], user: str) -> None:
    """Put sessions that the simulated engine has containers of into the daemon's database, as one user's."""
    now = time.time_ns() // 1000
    rows = [
        (session, user, "simulated", "ready", now + number, now + number, container_id(number))
        for number, session in enumerate(sessions)
    ]
    with closing(sqlite3.connect(state / "sandbox.db")) as database, database:
        database.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def let_in(state: Path, sessions: Iterable[str]) -> list[str]:
    """Make the sessions one user's, where access is controlled; gives the fields that the user's requests have."""
    own(state, sessions, "alice")
    token = jwt.encode({"sub": "alice", "exp": int(time.time()) + 86_400}, _SECRET, "HS256")
    return [f"Authorization: Bearer {token}"]


@contextmanager
def _gateway(settings: Mapping[str, str], place: Place, checkout: Path = _ROOT) -> Iterator[Proxy]:
    with daemon(place, {**_SETTINGS, **settings}, checkout=checkout) as (pid, port, state):
        headers = let_in(state, place.routes) if settings is ACCESS else []
        register(port, place.routes)
        yield Proxy.single(pid, port, place, headers)


def _before(place: Place) -> AbstractContextManager[Proxy]:
    assert place.before is not None
    return _gateway({}, place, place.before)


#: The daemon of an earlier commit.
BEFORE = Peer("before", "gateway, before", _before)
GATEWAYS = (
    Peer("gateway", "gateway", partial(_gateway, {})),
    Peer("gateway-access", "gateway, access control", partial(_gateway, ACCESS)),
    Peer("gateway-logs", "gateway, every request logged", partial(_gateway, {"ACCESS_LOG": "1"})),
)

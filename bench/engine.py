"""A simulated Docker engine: ``python -m bench.engine SOCKET COUNT EVENTS NAME…``.

It knows ``COUNT`` running containers with session labels, all of them at the loopback address, and answers what the
daemon asks at its start and while it follows the engine; nothing can be done in them. To whoever follows it, it tells
first that some of them were started just now. So that previews can be measured
without an engine, and more sessions than fit on one machine.

:param SOCKET: path of the Unix socket to listen on.
:param EVENTS: of how many containers it tells that.
:param NAME: session ids of the first containers; the others are called ``session-N``.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

_MOMENT = "2026-01-25T12:00:00.5Z"
_LABEL = "sandbox.session.id"


def container_id(number: int) -> str:
    """The id of the container with that number, from 0."""
    return f"{number:064x}"


class SimulatedEngine:
    """The answers."""

    def __init__(self, names: Sequence[str], count: int, events: int) -> None:
        self._names = [*names, *(f"session-{number}" for number in range(count))][:count]
        self._list = json.dumps([self._row(number) for number in range(count)]).encode()
        self._inspections = {container_id(n): json.dumps(self._inspection(n)).encode() for n in range(count)}

        self._events = [json.dumps(self._event(number)).encode() + b"\n" for number in range(events)]

    def _event(self, number: int) -> dict[str, Any]:
        actor = {"ID": container_id(number), "Attributes": {_LABEL: self._names[number]}}
        return {"Type": "container", "Action": "start", "Actor": actor, "timeNano": time.time_ns()}

    def _row(self, number: int) -> dict[str, Any]:
        return {"Id": container_id(number), "Labels": {_LABEL: self._names[number]}, "State": "running"}

    def _inspection(self, number: int) -> dict[str, Any]:
        return {
            "Id": container_id(number),
            "Created": _MOMENT,
            "State": {"Status": "running", "StartedAt": _MOMENT},
            "Config": {"Image": "simulated", "User": "", "Labels": {_LABEL: self._names[number]}},
            "HostConfig": {"NetworkMode": "bridge", "Privileged": False},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "127.0.0.1"}}},
        }

    def answer(self, target: str) -> tuple[int, bytes]:
        """Status and JSON for a GET of a target without its version."""
        path = target.partition("?")[0]
        if path == "/_ping":
            return 200, b"OK"
        if path == "/version":
            return 200, b'{"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "simulated"}'
        if path == "/containers/json":
            return 200, self._list
        if path == "/volumes":
            return 200, b'{"Volumes": [], "Warnings": null}'
        found = re.fullmatch(r"/containers/([0-9a-f]{64})/json", path)
        if found is not None and found[1] in self._inspections:
            return 200, self._inspections[found[1]]
        return 404, b'{"message": "simulated"}'

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests; none of them has a body."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = re.sub(r"^/v1\.\d+", "", head.split(b" ", 2)[1].decode("latin-1"))
                date = f"Date: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
                if target.startswith("/events"):
                    writer.write(f"HTTP/1.1 200 OK\r\n{date}Transfer-Encoding: chunked\r\n\r\n".encode())
                    for event in self._events:
                        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                    await reader.read()  # nothing more happens; until the daemon goes
                    return
                status, body = self.answer(target)
                writer.write(f"HTTP/1.1 {status} -\r\n{date}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _main(path: str, count: int, events: int, names: Sequence[str]) -> None:
    engine = SimulatedEngine(names, count, events)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = await asyncio.start_unix_server(engine.serve, path)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))

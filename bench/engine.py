"""A simulated Docker engine: ``python -m bench.engine [--agents CONDUCT] [--oom RATE] SOCKET COUNT EVENTS NAME…``.

It knows ``COUNT`` running containers with session labels, all of them at the loopback address, and answers what the
daemon asks at its start and while it follows the engine. In them is nothing but what :mod:`bench.agents` simulates. To
whoever follows it, it tells first that some of them were started just now. So that previews can be measured
without an engine, and more sessions than fit on one machine.

:param SOCKET: path of the Unix socket to listen on.
:param EVENTS: of how many containers it tells that.
:param CONDUCT: of their agents (``honest``).
:param RATE: how many times a second one of the other containers, in turn, runs out of memory (0).
:param NAME: session ids of the first containers; the others are called ``session-N``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import signal
import sys
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

from bench.agents import CONDUCTS, Agent

_MOMENT = "2026-01-25T12:00:00.5Z"
_LABEL = "sandbox.session.id"
_STARTING = re.compile(r"/exec/\w+/start")
_UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
    b"Upgrade: tcp\r\n\r\n"
)


def container_id(number: int) -> str:
    """The id of the container with that number, from 0."""
    return f"{number:064x}"


class SimulatedEngine:
    """The answers."""

    def __init__(
        self, names: Sequence[str], count: int, events: int, *, agents: str = "honest", oom: float = 0.0
    ) -> None:
        self._agents = agents
        self._oom = oom
        self._exhausted = itertools.cycle(range(len(names), count))
        self._names = [*names, *(f"session-{number}" for number in range(count))][:count]
        self._list = json.dumps([self._row(number) for number in range(count)]).encode()
        self._inspections = {container_id(n): json.dumps(self._inspection(n)).encode() for n in range(count)}

        self._events = [self._event("start", number) for number in range(events)]

    def _event(self, action: str, number: int) -> bytes:
        """One event as a chunk of the stream."""
        actor = {"ID": container_id(number), "Attributes": {_LABEL: self._names[number]}}
        event = {"Type": "container", "Action": action, "Actor": actor, "timeNano": time.time_ns()}
        text = json.dumps(event).encode() + b"\n"
        return b"%x\r\n%b\r\n" % (len(text), text)

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
        """Status and JSON for a target without its version; no target needs more than one method."""
        path = target.partition("?")[0]
        if path == "/_ping":
            return 200, b"OK"
        if path == "/version":
            return 200, b'{"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "simulated"}'
        if path == "/containers/json":
            return 200, self._list
        if path == "/volumes":
            return 200, b'{"Volumes": [], "Warnings": null}'
        found = re.fullmatch(r"/containers/([0-9a-f]{64})/(json|exec)", path)
        if found is not None and found[1] in self._inspections:
            return (201, b'{"Id": "e"}') if found[2] == "exec" else (200, self._inspections[found[1]])
        return 404, b'{"message": "simulated"}'

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                target = re.sub(r"^/v1\.\d+", "", head.split(b" ", 2)[1].decode("latin-1"))
                date = f"Date: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
                if target.startswith("/events"):
                    writer.write(f"HTTP/1.1 200 OK\r\n{date}Transfer-Encoding: chunked\r\n\r\n".encode())
                    await self._tell(reader, writer)
                    return
                if _STARTING.fullmatch(target):
                    writer.write(_UPGRADED)
                    await Agent(writer, self._agents).run(reader)
                    return
                status, body = self.answer(target)
                writer.write(f"HTTP/1.1 {status} -\r\n{date}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The events, until the daemon goes."""
        writer.write(b"".join(self._events))
        while self._oom:
            # A few at a time: the clock's ticks are longer than what is between two.
            at_once = max(1, round(self._oom / 100))
            writer.write(b"".join(self._event("oom", next(self._exhausted)) for _ in range(at_once)))
            await writer.drain()
            await asyncio.sleep(at_once / self._oom)
        await reader.read()


async def _main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.engine")
    parser.add_argument("socket")
    parser.add_argument("count", type=int)
    parser.add_argument("events", type=int)
    parser.add_argument("--agents", choices=CONDUCTS, default="honest")
    parser.add_argument("--oom", type=float, default=0.0)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args(arguments)
    engine = SimulatedEngine(asked.names, asked.count, asked.events, agents=asked.agents, oom=asked.oom)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = await asyncio.start_unix_server(engine.serve, asked.socket)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))

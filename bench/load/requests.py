"""Requests in open and closed loops: ``requests.c``, compiled on first use."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import attrs

from bench.measurement import Failed
from bench.processes import run

_SOURCE = Path(__file__).with_suffix(".c")


@attrs.frozen
class Answered:
    """What was answered.

    :ivar seconds: from the start to the last answer.
    :ivar latencies: microseconds, each from the moment at which its request was due.
    """

    seconds: float
    latencies: Sequence[int]


def build(scratch: Path) -> Path:
    """Compile the load; gives the program."""
    program = scratch / "requests"
    subprocess.run(["cc", "-O2", "-o", program, _SOURCE], check=True)
    return program


def request(path: str, headers: Sequence[str] = (), body: bytes = b"") -> bytes:
    """A request as bytes: a POST when it has a body."""
    length = [f"Content-Length: {len(body)}"] if body else []
    fields = "".join(f"{field}\r\n" for field in ("Host: localhost", *length, *headers))
    return f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\n{fields}\r\n".encode() + body


@attrs.frozen
class Load:
    """The program, and where its requests are put down."""

    scratch: Path

    @classmethod
    def build(cls, scratch: Path) -> Load:
        """Compile it."""
        subprocess.run(["cc", "-O2", "-o", scratch / "requests", _SOURCE], check=True)
        return cls(scratch)

    def open(self, port: int, requests: Sequence[bytes], *, connections: int, rate: float, seconds: float) -> Answered:
        """Send these requests in turn at a rate a second; latencies count from when each was due.

        :raises Failed: when an answer is not a 200 with a length, or none comes for 20 s.
        """
        return self._run(requests, (port, connections, rate, round(rate * seconds), 0))

    def closed(
        self, port: int, requests: Sequence[bytes], *, connections: int, seconds: float = 0, count: int = 0
    ) -> Answered:
        """Send these requests in turn, each as soon as a connection is free, for a while or so many.

        :raises Failed: as :meth:`open`.
        """
        return self._run(requests, (port, connections, 0, count, seconds))

    def _run(self, requests: Sequence[bytes], numbers: Sequence[float]) -> Answered:
        listed = self.scratch / "requests.txt"
        listed.write_bytes(b"".join(b"%d\n%b" % (len(each), each) for each in requests))
        last, *latencies = run([self.scratch / "requests", *map(str, numbers), listed], timeout=120).split()
        if not latencies:
            raise Failed("nothing was answered")
        return Answered(float(last), [int(latency) for latency in latencies])

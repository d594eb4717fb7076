"""Slow clients, in a thread: heads and uploads that come a byte at a time, and readers of a few kilobytes a second."""

from __future__ import annotations

import heapq
import socket
import threading
import time
from collections.abc import Sequence

import attrs

from bench.load.requests import request
from bench.measurement import Failed
from bench.peers import Proxy

#: The sessions that uploads and downloads are spread over: a session's upstream connections have a limit.
SESSIONS = ("slow-0", "slow-1", "slow-2", "slow-3")
# More than anybody sends or reads in the time.
_LENGTH = 1 << 20
# A reader's receive buffer, so that the proxy feels how slow it is, and what it takes of it at a time.
_BUFFER, _TAKEN = 16_384, 4096


class Client:
    """One of the crowd.

    :cvar period: seconds from one of its turns to the next.
    """

    period = 1.0

    def __init__(self, proxy: Proxy, session: str) -> None:
        self._proxy = proxy
        self._session = session
        self._socket: socket.socket | None = None

    def turn(self) -> None:
        """Do the next little thing.

        :raises Failed: when it was not served as a slow client has to be.
        """
        if self._socket is None:
            self._socket = socket.socket()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.settimeout(20)
            self._socket.connect(("127.0.0.1", self._proxy.port(self._session)))
            self._socket.setblocking(False)
            self._begin(self._socket)
        else:
            self._go_on(self._socket)

    def leave(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _begin(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def _go_on(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def _request(self, path: str, fields: Sequence[str] = ()) -> bytes:
        return request(self._proxy.path(self._session, path), [*self._proxy.headers, *fields])


class Head(Client):
    """A head of which a byte comes each two seconds; refused, it begins anew on another connection.

    :ivar refused: how often it was.
    """

    period = 2.0
    refused = 0
    _sent = 0

    def _begin(self, connection: socket.socket) -> None:
        self._sent = 0
        self._send(connection)

    def _go_on(self, connection: socket.socket) -> None:
        answer = _received(connection)
        if answer is None:
            self._send(connection)
            return
        if answer and b" 408 " not in answer[:16]:
            raise Failed(f"a slow head was answered: {answer[:60]!r}")
        self.refused += 1
        self.leave()
        self.turn()

    def _send(self, connection: socket.socket) -> None:
        # It is far from its end when the crowd leaves.
        connection.send(self._request("/small")[self._sent : self._sent + 1])
        self._sent += 1


class Upload(Client):
    """An upload of a byte a second."""

    def _begin(self, connection: socket.socket) -> None:
        head = self._request("/post", [f"Content-Length: {_LENGTH}"])
        connection.sendall(head.replace(b"GET", b"POST", 1))

    def _go_on(self, connection: socket.socket) -> None:
        answer = _received(connection)
        if answer is not None:
            raise Failed(f"a slow upload was answered: {answer[:60]!r}")
        connection.send(b"x")


class Reader(Client):
    """A download of 1 GiB of which 4 KiB are read each second."""

    _begun = False

    def _begin(self, connection: socket.socket) -> None:
        connection.sendall(self._request("/huge"))

    def _go_on(self, connection: socket.socket) -> None:
        data = _received(connection)
        if data == b"" or (data and not self._begun and b" 200 " not in data[:16]):
            raise Failed(f"a slow reader was answered: {data[:60]!r}")
        self._begun = self._begun or data is not None


def _received(connection: socket.socket) -> bytes | None:
    """What there is to read, at most a slow reader's share; ``None``: nothing yet; nothing at all: the end."""
    try:
        return connection.recv(_TAKEN)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


@attrs.define(eq=False)
class Crowd:
    """Slow clients of a proxy. Entering the context has them come, one after the other; leaving it, go.

    :param seconds: from the first one's coming to the last one's.
    """

    proxy: Proxy
    heads: int
    uploads: int
    readers: int
    seconds: float
    _clients: list[Client] = attrs.field(init=False, factory=list)
    _leaving: threading.Event = attrs.field(init=False, factory=threading.Event)
    _thread: threading.Thread = attrs.field(init=False)
    _error: Exception | None = attrs.field(init=False, default=None)

    def __enter__(self) -> Crowd:
        turns = []
        for kind, number in ((Head, self.heads), (Upload, self.uploads), (Reader, self.readers)):
            clients = [kind(self.proxy, SESSIONS[each % len(SESSIONS)]) for each in range(number)]
            turns += [(each * self.seconds / number, client) for each, client in enumerate(clients)]
            self._clients += clients
        self._thread = threading.Thread(target=self._run, args=(turns,))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._leaving.set()
        self._thread.join()

    @property
    def refused(self) -> int:
        """How many heads were refused, and begun anew."""
        return sum(client.refused for client in self._clients if isinstance(client, Head))

    @property
    def failed(self) -> bool:
        """Whether one was turned away, and the others left."""
        return self._error is not None

    def check(self) -> None:
        """See that they are all there.

        :raises Failed: when one was turned away.
        """
        if self._error is not None:
            raise Failed(str(self._error))

    def _run(self, turns: Sequence[tuple[float, Client]]) -> None:
        """Give each its turn, evenly spread over the time: their load comes in no bursts."""
        start = time.monotonic()
        due = [(start + after, number, client) for number, (after, client) in enumerate(turns)]
        heapq.heapify(due)
        try:
            while not self._leaving.wait(max(0.0, due[0][0] - time.monotonic())):
                moment, number, client = due[0]
                client.turn()
                heapq.heapreplace(due, (moment + client.period, number, client))
        except (Failed, OSError) as error:
            self._error = error
        finally:
            for client in self._clients:
                client.leave()

"""However the bytes of a request and of its response are cut into pieces, both sides see the same."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.model import Destination, Preview, Target
from sandbox.gateway.resource import PreviewResource
from sandbox.gateway.upstream.pool import Pool
from sandbox.http.admission import STREAM
from sandbox.http.identity import RequestIds
from sandbox.http.site import Site
from sandbox.net.deadlines import Deadlines
from sandbox.protocols.http1.framing import ChunkedDecoder, last_chunk
from sandbox.protocols.http1.headers import TrustedProxies
from tests.gateway.stage import admit_all

REQUESTS = {
    "plain": b"GET /previews/s1/a?b HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n",
    "empty lines": b"\r\n\r\nGET /previews/s1/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "length": b"POST /previews/s1/ HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\nab\r\n\r\nc",
    "chunked": b"PUT /previews/s1/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;x\r\n\r\n\r\na\r\n0123456789\r\n0\r\nT: u\r\n\r\n",
    "old": b"GET /previews/s1/ HTTP/1.0\r\n\r\n",
    "refused": b"GET /previews/s1/ HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
    "smuggling": b"POST /previews/s1/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "bad chunk": b"POST /previews/s1/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "bare": b"GET /previews/s1/ HTTP/1.1\nHost: h\n\n",
    "redirected": b"GET /previews/s1 HTTP/1.1\r\nHost: h\r\n\r\n",
    "two": b"GET /previews/s1/1 HTTP/1.1\r\nHost: h\r\n\r\nGET /previews/s1?2 HTTP/1.1\r\nHost: h\r\n\r\n",
}
RESPONSES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nB: c\r\n\r\nab\r\nc",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    b"10;e\r\n0123456789abcdef\r\n0\r\nT: u\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\n\r\nto the end",
    "interim": b"HTTP/1.1 103 Hint\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n",
    "no http": b"SSH-2.0-OpenSSH\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "more": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n",
}
_DATE = re.compile(rb"\r\n[Dd]ate: [^\r]*")
_CHUNKED_HEAD = re.compile(rb"\r\nTransfer-Encoding: chunked\r\n(?:[^\r]+\r\n)*\r\n")


class Transport(StringTransport):
    """A transport that remembers how it was ended."""

    connected = True

    def __init__(self) -> None:
        super().__init__()
        self.ended = ""

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def loseConnection(self) -> None:
        self.ended = self.ended or "closed"

    def loseWriteConnection(self) -> None:
        self.ended = self.ended or "closed"

    def abortConnection(self) -> None:
        self.ended = self.ended or "aborted"


class Resolver:
    def resolve(self, session_id: str) -> Any:
        return Destination(Preview(session_id="s1", port=3000), Target("c", "t", "192.0.2.1", 3000))


class OneId(RequestIds):
    """Names all requests alike, so that what became of them can be compared."""

    def new(self) -> bytes:
        return b"the-request"

    def take(self, channel: Any, head: bytes) -> tuple[bytes, bytes]:
        return self.new(), head


def carry(requests: list[bytes], responses: list[bytes]) -> tuple[bytes, bytes, str]:
    """What the application and the client got, and how the client's connection stands.

    Chunk sizes that a streaming relay is free to choose are taken out; the data in them stays.
    """
    reactor: Any = MemoryReactorClock()
    pool = Pool(reactor, Deadlines(reactor))
    resource = PreviewResource(reactor, b"/previews/", Resolver(), pool, authorize=admit_all)
    site = Site(resource, reactor, admit=lambda request: STREAM, ids=OneId(TrustedProxies()))
    channel = site.buildProtocol(None)
    client = Transport()
    channel.makeConnection(client)
    applications: list[Transport] = []

    def connect() -> None:
        while len(applications) < len(reactor.tcpClients):
            upstream = reactor.tcpClients[len(applications)][2].buildProtocol(None)
            applications.append(Transport())
            upstream.makeConnection(applications[-1])
            upstreams.append(upstream)

    upstreams: list[Any] = []
    for piece in requests:
        if client.ended != "aborted":
            channel.dataReceived(piece)
            connect()
    for piece in responses:
        if upstreams and not applications[0].ended:
            upstreams[0].dataReceived(piece)
    if upstreams and not applications[0].ended and b"Content-Length" not in b"".join(responses):
        upstreams[0].connectionLost(Failure(ConnectionDone()))
    seen = b"|".join(transport.value() for transport in applications)
    answered = _DATE.sub(b"", client.value())
    return without_sizes(seen), without_sizes(answered), client.ended


def without_sizes(message: bytes) -> bytes:
    """A message with the data of its chunks instead of these, and with the end of its body, if that is there."""
    head = _CHUNKED_HEAD.search(message)
    if head is None:
        return message
    decoder = ChunkedDecoder()
    data = b"".join(decoder.feed(message[head.end() :]))
    end = b"\r\n" + last_chunk(decoder.trailers) + decoder.rest if decoder.done else b""
    return message[: head.end()] + data + end


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds) if end > start]


class Splitting(SynchronousTestCase):
    """Every cut, and any number of cuts."""

    def test_requests_at_every_byte(self) -> None:
        for name, request in REQUESTS.items():
            whole = carry([request], [RESPONSES["length"]])
            self.assertNotEqual(whole[1], b"", name)
            for place in range(1, len(request)):
                self.assert_same(name, carry(cut(request, [place]), [RESPONSES["length"]]), whole)
            self.assert_same(name, carry([bytes([b]) for b in request], [RESPONSES["length"]]), whole)

    def test_responses_at_every_byte(self) -> None:
        for name, response in RESPONSES.items():
            for kind in ("plain", "old"):
                whole = carry([REQUESTS[kind]], [response])
                self.assertNotEqual(whole[1], b"", name)
                for place in range(1, len(response)):
                    got = carry([REQUESTS[kind]], cut(response, [place]))
                    if name == "bad chunk" and whole[1].startswith(b"HTTP/1.1 502"):
                        # What was sent before the bad bytes came cannot be taken back; it never looks complete.
                        self.assertTrue(got == whole or (got[2] and b"\r\n0\r\n" not in got[1]), place)
                    else:
                        self.assertEqual(got, whole, (name, kind, place))

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from(sorted(REQUESTS)),
        st.sampled_from(sorted(set(RESPONSES) - {"bad chunk"})),
        st.lists(st.integers(0, 300), max_size=12),
        st.lists(st.integers(0, 300), max_size=12),
    )
    def test_any_number_of_cuts(self, request: str, response: str, first: list[int], second: list[int]) -> None:
        whole = carry([REQUESTS[request]], [RESPONSES[response]])
        cuts = carry(cut(REQUESTS[request], first), cut(RESPONSES[response], second))
        self.assert_same(request, cuts, whole)

    def assert_same(self, request: str, got: tuple[bytes, bytes, str], whole: tuple[bytes, bytes, str]) -> None:
        if request == "bad chunk":
            # The application sees as much of a body as came before the bad bytes, never its end.
            self.assertEqual(got[1:], whole[1:])
            self.assertNotIn(b"0\r\n\r\n", got[0])
        else:
            self.assertEqual(got, whole)

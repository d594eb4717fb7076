"""How two strict parsers that are not ours read HTTP/1.1: h11, and llhttp (httptools)."""

from __future__ import annotations

import re

import attrs
import h11
import httptools

#: RFC 9112 section 2.2 lets servers skip them before a request; h11 does not.
EMPTY_LINES = re.compile(rb"\A(?:\r\n)+")
_LIMIT = 1 << 20


@attrs.frozen
class Message:
    """A request as somebody read it.

    :ivar complete: whether its end was seen.
    """

    method: bytes
    target: bytes
    body: bytes
    complete: bool = True


@attrs.frozen
class Response:
    """An answer as somebody read it."""

    status: int
    body: bytes


class MindsTrailers(Exception):
    """h11 minds trailers that speak of framing. They mean nothing and are dropped (RFC 9110 section 6.5.1)."""


def _minds_framing(error: h11.RemoteProtocolError) -> bool:
    return "Transfer-Encoding" in str(error) or "Content-Length" in str(error)


def read_requests(data: bytes) -> tuple[list[Message], bytes, bool]:
    """The requests that h11 sees, what comes after the last whole one, and whether that may be the beginning of one.

    :raises MindsTrailers: nothing can be said.
    """
    found: list[Message] = []
    while data:
        data = EMPTY_LINES.sub(b"", data)
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=_LIMIT)
        reader.receive_data(data)
        request, body = None, b""
        try:
            while (event := reader.next_event()) is not h11.NEED_DATA and not isinstance(event, h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
        except h11.RemoteProtocolError as error:
            if request is not None and _minds_framing(error):
                raise MindsTrailers from error
            event = None
        complete = isinstance(event, h11.EndOfMessage)
        if request is not None:
            found.append(Message(request.method, request.target, body, complete))
        if not complete:
            return found, data, event is not None
        data = reader.trailing_data[0]
    return found, data, True


def read_response(data: bytes, method: bytes, *, closed: bool) -> Response | None:
    """The answer that h11 sees; ``None`` when there is no whole one.

    :param closed: whether the connection was closed, and not broken off, after these bytes.
    :raises MindsTrailers: nothing can be said.
    """
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LIMIT)
    reader.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"h")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    if closed:
        reader.receive_data(b"")
    status, body = 0, b""
    try:
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return None
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
    except h11.RemoteProtocolError as error:
        if status and _minds_framing(error):
            raise MindsTrailers from error
        return None
    return Response(status, body)


class Llhttp:
    """Requests as llhttp reads them when it is strict. It knows only some methods, so it is told of none."""

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self._target = self._body = b""
        self._begun = False
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Some more bytes.

        :raises httptools.HttpParserError: they are not HTTP.
        """
        if data and not self._begun:
            self._begun = True
            data = b"POST " + data.partition(b" ")[2]
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._target += url

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.found.append((self._target, self._body))

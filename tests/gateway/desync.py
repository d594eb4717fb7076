"""Hostile messages through the gateway, judged by strict parsers: ``python -m tests.gateway.desync 1000000``.

On each connection a client sends a hostile request and an ordinary one after it, cut into pieces anywhere; the
application's answers are hostile now and then. Connections to the application are kept between clients, as they are in
the daemon, so that what one leaves behind would be another's.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

import attrs
from twisted.internet.error import ConnectionDone, UserError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from sandbox.domain.errors import PreviewNotRegistered
from sandbox.domain.model import Destination
from sandbox.gateway.resource import PreviewResource
from sandbox.gateway.upstream.pool import Pool
from sandbox.http.admission import STREAM
from sandbox.http.site import Site
from sandbox.net.deadlines import Deadlines
from tests.gateway.hostile import Hostile
from tests.gateway.logged import LoggedErrors
from tests.gateway.readers import EMPTY_LINES, Llhttp, Message, MindsTrailers, Response, read_requests, read_response
from tests.gateway.soak import Resolver
from tests.gateway.stage import admit_all
from tests.gateway.test_splitting import Transport, cut
from tests.http.wire import Answer, read_answer

#: What the application does not get of a target.
_NOT_ITS = re.compile(rb"\A(?:https?://[^/]*)?/previews/s1(?=/)")


class OneSession(Resolver):
    """Knows ``s1`` and no other."""

    def resolve(self, session_id: str) -> Destination:
        if session_id != "s1":
            raise PreviewNotRegistered(session_id)
        return super().resolve(session_id)


class Quiet:
    """A socket on which nothing waits to be read."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """See :func:`sandbox.gateway.upstream.connection.Upstream.stale`."""
        raise BlockingIOError


@attrs.frozen
class Exchange:
    """A request as it went up, and what the application said to it.

    :ivar closed: whether it closed its connection after that.
    """

    request: Message
    said: bytes
    closed: bool

    def is_of(self, message: Message) -> bool:
        """Whether it is this message that went up, or its beginning when it was answered before its end."""
        request = self.request
        if (request.method, request.target) != (message.method, message.target):
            return False
        return request.body == message.body if request.complete else message.body.startswith(request.body)


class Application:
    """One connection of the application's: two parsers read what comes, and must agree.

    :param seen: where whole requests are put, with their answers.
    """

    def __init__(self, upstream: Any, dice: random.Random, hostile: Hostile, seen: list[Exchange]) -> None:
        self.transport: Any = Transport()
        self.transport.socket = Quiet()
        self.open = True
        self._upstream = upstream
        self._dice = dice
        self._hostile = hostile
        self._seen = seen
        self._taken = 0
        self._data = b""
        self._answered = False
        self._llhttp = Llhttp()
        upstream.makeConnection(self.transport)

    def pump(self) -> bool:
        """Read what has come and answer it, now and then before all of it is there; whether there was anything."""
        data = self.transport.value()[self._taken :]
        self._taken += len(data)
        self._llhttp.feed(data)
        self._data += data
        found, _, well_formed = read_requests(self._data)
        if not well_formed:
            raise AssertionError(f"h11 refuses what went up: {self._data!r}")
        whole = [message for message in found if message.complete]
        if self._llhttp.found != [(message.target, message.body) for message in whole]:
            raise AssertionError(f"read in two ways: {whole} and {self._llhttp.found}")
        if len(whole) > 1:
            raise AssertionError(f"a request before the answer to the last: {whole}")
        if found and not self._answered and (whole or self._dice.random() < 0.2):
            self._answered = True
            self._answer(found[0])
        if whole:
            self._data, self._llhttp, self._answered = b"", Llhttp(), False
        if self.transport.ended:
            self._end()
        return bool(data)

    def _answer(self, request: Message) -> None:
        answer, closed = _echo(request), False
        if self._dice.random() < 0.2:
            answer, closed = self._hostile.response(), self._dice.random() < 0.5
        self._seen.append(Exchange(request, answer, closed))
        for piece in _pieces(answer, self._dice, (0, 0, 2)):
            # What comes when the next request is on its way already would be its answer, in any proxy.
            if not self.transport.ended and self._taken == len(self.transport.value()):
                self._upstream.dataReceived(piece)
        if closed:
            self._end()

    def _end(self) -> None:
        if self.open:
            self.open = False
            self._upstream.connectionLost(Failure(ConnectionDone()))


class Reactor(MemoryReactorClock):
    """Makes the connections that are asked for when :class:`Desync` goes on, but for those that were given up."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[Connector] = []

    def connectTCP(self, host: str, port: int, factory: Any, *arguments: Any, **options: Any) -> Any:
        self.attempts.append(Connector(self.attempts, factory))
        return self.attempts[-1]


@attrs.frozen(eq=False)
class Connector:
    """One that was asked for and not made yet."""

    attempts: list[Connector]
    factory: Any

    def disconnect(self) -> None:
        self.attempts.remove(self)
        self.factory.clientConnectionFailed(self, Failure(UserError()))


def _pieces(data: bytes, dice: random.Random, cuts: Sequence[int]) -> list[bytes]:
    """The data cut at random places, of which there is one of these numbers."""
    return cut(data, [dice.randrange(1 << 16) for _ in range(dice.choice(cuts))])


def _echo(request: Message) -> bytes:
    content = request.target + b" " + request.body
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
    return head if request.method == b"HEAD" else head + content


class Desync:
    """The gateway between both.

    :ivar outcomes: how many pairs were answered how.
    """

    def __init__(self, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._hostile = Hostile(self._dice)
        self._reactor: Any = Reactor()
        self._pool = Pool(self._reactor, Deadlines(self._reactor))
        resource = PreviewResource(self._reactor, b"/previews/", OneSession(3000), self._pool, authorize=admit_all)
        self._site = Site(resource, self._reactor, admit=lambda request: STREAM)
        self._applications: list[Application] = []
        self._seen: list[Exchange] = []

    def run(self, count: int) -> None:
        """Try so many pairs.

        :raises AssertionError: with the bytes, at the first that is read in two ways, or that logs an error.
        """
        with closing(LoggedErrors()) as errors:
            for number in range(count):
                probe = b"GET /previews/s1/%d HTTP/1.1\r\nHost: h\r\n\r\n" % number
                self._pair(self._hostile.request() + probe, errors)

    def _pair(self, sent: bytes, errors: LoggedErrors) -> None:
        self._seen.clear()
        channel: Any = self._site.buildProtocol(None)
        client = Transport()
        channel.makeConnection(client)
        try:
            for piece in _pieces(sent, self._dice, (0, 0, 1, 3)):
                if not client.ended:
                    channel.dataReceived(piece)
                    self._pump()
            with suppress(MindsTrailers):
                self._judge(sent, client)
            channel.connectionLost(Failure(ConnectionDone()))
            self._pump()
            if errors:
                raise AssertionError(f"logged: {errors}")
        except Exception as error:
            raise AssertionError(f"{sent!r}, then {self._seen}, then {client.value()!r}: {error}") from error

    def _pump(self) -> None:
        busy = True
        while busy:
            attempts = self._reactor.attempts[:]
            self._reactor.attempts.clear()
            for attempt in attempts:
                upstream = attempt.factory.buildProtocol(None)
                self._applications.append(Application(upstream, self._dice, self._hostile, self._seen))
            busy = any([application.pump() for application in self._applications])
            self._applications = [application for application in self._applications if application.open]
        self._reactor.advance(0.001)

    def _judge(self, sent: bytes, client: Transport) -> None:
        """What went up is what the client said, in its order, and each answer is its own request's."""
        said, rest, _ = read_requests(sent)
        methods = [message.method for message in said if message.complete]
        methods.append(EMPTY_LINES.sub(b"", rest).partition(b" ")[0])
        answers, half = _answers(client.value(), methods, closed=client.ended == "closed")
        if half and not client.ended and _expected(self._seen[-1]) is not None:
            raise AssertionError("half an answer, and the other half does not come")
        exchanges = list(self._seen)
        for place, message in enumerate(said):
            if not exchanges:
                break
            own = attrs.evolve(message, target=_NOT_ITS.sub(b"", message.target))
            if exchanges[0].is_of(own):
                exchange = exchanges.pop(0)
                if place < len(answers):
                    self._judge_answer(exchange, answers[place])
        if exchanges:
            raise AssertionError(f"went up and was not said: {exchanges}")
        if len(answers) > len(said) + 1:
            raise AssertionError("more answers than requests")
        self.outcomes[", ".join(str(answer.status) for answer in answers) or "nothing"] += 1

    def _judge_answer(self, exchange: Exchange, answer: Answer) -> None:
        expected = _expected(exchange)
        # The application says neither of these.
        refused = answer.status == 502 or (answer.status == 400 and not exchange.request.complete)
        # These end with their heads, whatever else stands there; h11 minds that it does.
        bodiless = answer.status in {204, 304} and b"HTTP/1.1 %d " % answer.status in exchange.said
        if refused or bodiless:
            return
        if expected is None or (answer.status, answer.body) != (expected.status, expected.body):
            raise AssertionError(f"not the application's answer, which is {expected}")


def _expected(exchange: Exchange) -> Response | None:
    return read_response(exchange.said, exchange.request.method, closed=exchange.closed)


def _answers(data: bytes, methods: list[bytes], *, closed: bool) -> tuple[list[Answer], bytes]:
    """Every final answer that the client got whole, and what else it got."""
    answers: list[Answer] = []
    while data:
        method = methods[len(answers)] if len(answers) < len(methods) else b""
        answer = read_answer(data, closed=closed, head_only=method == b"HEAD")
        if answer is None or not answer.complete:
            break
        data = answer.rest
        if answer.status >= 200:
            answers.append(answer)
    return answers, data


def _main(count: str = "10000", seed: str = "1") -> None:
    began = time.monotonic()
    run = Desync(int(seed))
    run.run(int(count))
    print(f"{count} pairs in {time.monotonic() - began:.0f} s: {dict(run.outcomes.most_common())}")


if __name__ == "__main__":
    _main(*sys.argv[1:])

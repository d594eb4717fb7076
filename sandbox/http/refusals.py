"""Responses to malformed requests, at a limited rate."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sandbox.http.replies import error_reply
from sandbox.http.responses import JSON, reply_bytes
from sandbox.http.traffic import Traffic
from sandbox.net.fairness import Pacer
from sandbox.protocols.http1.grammar import Malformed
from sandbox.protocols.http1.headers import REQUEST_ID

_log = Logger()

# Malformed requests that are answered between two pauses of the pacer: some hundred per second. A client that connects
# again after each refusal looks like a new one each time.
_TOGETHER = 4
# Bytes of a malformed request that tell whether it begins as HEAD.
_BEGINNING = 64


class Refusing(Hashable, Protocol):
    """A connection that sent a malformed request.

    :ivar peer: address of the client; ``None`` on a UNIX socket.
    """

    @property
    def peer(self) -> str | None: ...

    def await_refusal(self) -> None:
        """Discard input until :meth:`refuse` is called."""

    def refuse(self, error: Malformed, head: bytes = b"") -> None:
        """Write the response and close."""


class Refusals:
    """Responses to malformed requests of a site.

    :param new_id: returns a request id.
    :param traffic: counts the responses.
    """

    def __init__(self, clock: IReactorTime, new_id: Callable[[], bytes], traffic: Traffic) -> None:
        self._pacer = Pacer(clock, together=_TOGETHER)
        self._new_id = new_id
        self._traffic = traffic

    def __len__(self) -> int:
        """Number of connections whose refusal is pending."""
        return len(self._pacer)

    def refuse(self, connection: Refusing, error: Malformed, head: bytes | bytearray) -> None:
        """Refuse a malformed request, now or, when many arrive, later.

        :param head: the request, or its beginning.
        """
        beginning = bytes(head[:_BEGINNING])
        if self._pacer.take():
            connection.refuse(error, beginning)
        else:
            connection.await_refusal()
            self._pacer.add(connection, partial(connection.refuse, error, beginning))

    def discard(self, connection: Refusing) -> None:
        """The connection ended: drop its pending refusal."""
        self._pacer.discard(connection)

    def response(self, connection: Refusing, error: Malformed, head: bytes) -> bytes:
        """Return the response to a malformed request.

        Without content when it starts like a HEAD request (RFC 9110 section 9.3.2).
        """
        reply = error_reply(error.status, error.code, error.reason)
        request_id = self._new_id()
        self._traffic.refused[reply.status] += 1
        self._traffic.errors[reply.error] += 1
        # Any client can send any number of them; the count shows that it happens.
        _log.debug(
            "malformed request from {peer}: {status} {error}",
            peer=connection.peer,
            status=reply.status,
            error=reply.error,
            request_id=request_id.decode("ascii"),
        )
        fields = [*reply.headers, (REQUEST_ID, request_id), (b"content-type", JSON)]
        head_only = head.lstrip(b"\r\n").startswith(b"HEAD ")
        return reply_bytes(reply.status, fields, reply.body(), head_only=head_only, close=True)

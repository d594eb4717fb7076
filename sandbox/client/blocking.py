"""Blocking client for scripts and threads: no reactor, one connection per request, nothing to close."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from ssl import SSLContext
from typing import Concatenate, ParamSpec, TypeVar

from sandbox.client import calls
from sandbox.client.errors import ClientError
from sandbox.client.origin import checked_key, parse_origin
from sandbox.client.protocol import ANSWER_LIMIT, TIMEOUT, Call
from sandbox.client.retrying import Attempts, Retries
from sandbox.client.signatures import signed
from sandbox.client.wire import exchange
from sandbox.domain.model import Session, SessionStatus

P = ParamSpec("P")
T = TypeVar("T")


def _carried(build: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(build)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(build(*args, **kwargs))

    return signed(method, build, "Client")


class Client:
    """Blocking client of a daemon. Thread-safe.

    Do not use it in a thread that runs a reactor or an event loop, which it would block: use
    :class:`sandbox.client.AsyncClient` there.

    :param url: ``http://HOST:PORT``, ``https://HOST`` or ``unix:/PATH`` of the internal API.
    :param key: the service key.
    :param public_url: URL of the public listener, which serves previews; default: the same as ``url``.
    :param timeout: timeout in seconds of a complete response, in addition to a command's own timeout.
    :param retries: retry policy.
    :param answer_limit: maximum bytes of a response.
    :param tls: TLS context for ``https``; default: the system's certificate authorities, or those of ``SSL_CERT_FILE``.
    :raises ConfigurationError: for an invalid URL or key.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        public_url: str | None = None,
        timeout: float = TIMEOUT,
        retries: Retries | None = None,
        answer_limit: int = ANSWER_LIMIT,
        tls: SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,  # noqa: TID251 - no reactor runs in the caller's thread
    ) -> None:
        self._origin = parse_origin(url)
        self._public = parse_origin(public_url) if public_url is not None else self._origin
        self._key = checked_key(key)
        self._timeout = timeout
        self._retries = Retries() if retries is None else retries
        self._answer_limit = answer_limit
        self._tls = tls
        self._sleep = sleep

    def send(self, call: Call[T]) -> T:
        """Send a call of :mod:`sandbox.client.calls` and return its result.

        :raises ClientError: see the classes of :mod:`sandbox.client.errors`.
        """
        attempts = Attempts(call, self._retries)
        while True:
            try:
                answer = exchange(
                    self._public if call.public else self._origin,
                    call,
                    call.fields(self._key, repeated=attempts.lost is not None),
                    timeout=self._timeout + call.work,
                    limit=self._answer_limit,
                    tls=self._tls,
                )
                return call.result(answer)
            except ClientError as error:
                self._sleep(attempts.pause_after(error))

    create_session = _carried(calls.create_session)
    list_sessions = _carried(calls.list_sessions)
    get_session = _carried(calls.get_session)
    start_session = _carried(calls.start_session)
    stop_session = _carried(calls.stop_session)
    delete_session = _carried(calls.delete_session)
    exec = _carried(calls.exec)
    read_file = _carried(calls.read_file)
    write_file = _carried(calls.write_file)
    list_directory = _carried(calls.list_directory)
    stat = _carried(calls.stat)
    register_preview = _carried(calls.register_preview)
    create_link = _carried(calls.create_link)
    revoke_link = _carried(calls.revoke_link)
    preview_health = _carried(calls.preview_health)
    api_description = _carried(calls.api_description)
    api_page = _carried(calls.api_page)

    def iterate_sessions(
        self, *, user_id: str | None = None, status: SessionStatus | str | None = None
    ) -> Iterator[Session]:
        """Iterate over all sessions, newest first, fetching page by page."""
        cursor = None
        while True:
            page = self.list_sessions(user_id=user_id, status=status, limit=200, cursor=cursor)
            yield from page.sessions
            cursor = page.next_cursor
            if cursor is None:
                return

"""What a WebSocket library and an echo server have to say to each other through a preview."""

from __future__ import annotations

from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

_SECONDS = 20


def _connect(url: str, **options: Any) -> ClientConnection:
    return connect(url, open_timeout=_SECONDS, close_timeout=_SECONDS, ping_interval=None, max_size=None, **options)


def _equal(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"expected {expected!r:.200}, got {found!r:.200}")


def converse(url: str) -> None:
    """Have the whole conversation; blocking.

    :param url: where the echo server's root is, ``ws://…/``.
    :raises AssertionError: at the first word that is not as it would be without a gateway.
    """
    _messages(url, compression="deflate")
    _messages(url, compression=None)
    _subprotocol_and_path(url)
    _closes(url)


def _messages(url: str, compression: str | None) -> None:
    with _connect(url, compression=compression) as client:
        names = [extension.name for extension in client.protocol.extensions]
        _equal(names, ["permessage-deflate"] if compression else [])
        for message in ("", "grüße", b"", bytes(range(256)), "x" * 70_000, bytes(3 << 20)):
            client.send(message)
            _equal(client.recv(_SECONDS), message)
        client.send(["in ", "three ", "fragments"])
        _equal(client.recv(_SECONDS), "in three fragments")
        if not client.ping(b"are you there").wait(_SECONDS):
            raise AssertionError("no pong")
        for number in range(500):
            client.send(str(number))
        _equal([client.recv(_SECONDS) for _ in range(500)], [str(number) for number in range(500)])


def _subprotocol_and_path(url: str) -> None:
    with _connect(url + "a%2Fb?c=d;e", subprotocols=[Subprotocol("one"), Subprotocol("two")]) as client:
        _equal(client.subprotocol, "one")
        client.send("url")
        _equal(client.recv(_SECONDS), "/a%2Fb?c=d;e")


def _closes(url: str) -> None:
    with _connect(url) as client:
        client.close(4000, "by the client")
        _equal((client.close_code, client.close_reason), (4000, "by the client"))
    for code in (1000, 1001, 1011, 3000, 4999):
        with _connect(url) as client:
            client.send(f"close {code}")
            _equal(_end(client), (code, "asked for"))
    with _connect(url) as client:
        client.send("terminate")
        _equal(_end(client), (1006, None))


def _end(client: ClientConnection) -> tuple[int, str | None]:
    try:
        message = client.recv(_SECONDS)
    except ConnectionClosed as end:
        return (end.rcvd.code, end.rcvd.reason) if end.rcvd is not None else (1006, None)
    raise AssertionError(f"expected the end, got {message!r:.200}")

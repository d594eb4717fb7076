"""What hostile peers send: :data:`ATTACKS`. Pure; :mod:`bench.load.hostile` sends it.

Each is the smallest form of a way to have one process do much work, or hold much, for little that is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from bench.peers.gateway import KEY

#: The session that hostile clients ask for, and whose application is hostile where an attack has one.
SESSION = "hostile"
#: Bytes that are sent in one piece where nothing paces them.
_BLOCK = 1 << 16


@attrs.frozen
class Script:
    """What one side sends.

    :ivar first: sent once.
    :ivar again: sent over and over from then on, in pieces of ``piece`` bytes, one each ``every`` seconds (0: as fast
        as they are taken).
    :ivar wait: whether a client sends nothing of it before it has read a head.
    """

    first: bytes = b""
    again: bytes = b""
    piece: int = _BLOCK
    every: float = 0.0
    wait: bool = False


@attrs.frozen(kw_only=True)
class Attack:
    """One way.

    :ivar name: of a row in a table.
    :ivar client: what each hostile client sends; none: there are none.
    :ivar application: what the application sends to each request that it gets; none: there is none.
    :ivar slow: the application is an ordinary one whose ``/`` takes so many seconds, and it is the neighbour's, too.
    :ivar access: whether the daemon controls access.
    :ivar engine: options of the simulated engine (:mod:`bench.engine`), which has a session for each client.
    :ivar most: connections at most.
    """

    name: str
    client: Script | None = None
    application: Script | None = None
    slow: float = 0.0
    access: bool = False
    engine: Sequence[str] = ()
    most: int = 1000


def _block(unit: bytes) -> bytes:
    """The unit so often that a piece is full of it."""
    return unit * (_BLOCK // len(unit))


def _get(path: str, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def _frames(mask: bool) -> bytes:
    """Empty binary messages (RFC 6455 section 5.2)."""
    return _block(b"\x82\x80\0\0\0\0" if mask else b"\x82\0")


_PREVIEW = f"/previews/{SESSION}/"
_ASKING = Script(again=_block(_get(_PREVIEW)))
#: A head of 60 kB, and its next byte each 2 ms: 64 KiB are allowed.
_LONG = f"X: {'x' * (60_000 - 200)}"
_TRICKLE = {"again": b"x", "piece": 1, "every": 0.002}
_UPGRADE = _get(
    _PREVIEW,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
_GRANTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
#: As many fields as a head may have, in as many bytes: what is remembered of heads does not help.
_REQUEST_FIELDS = [f"X-{number}: {'y' * 250}" for number in range(195)]
_RESPONSE_FIELDS = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 100) for number in range(490))

#: A request to each client's own session, one after the other on its connection, as often as there is time for.
_COMMANDS = 64


def _calls(request: bytes) -> Script:
    return Script(first=request * _COMMANDS)


_KEYED = f"X-Internal-Service-Key: {KEY}"
_BODY = b'{"command": "x"}'
_COMMAND = (
    _get("/api/internal/sessions/session-@@@/exec", _KEYED, f"Content-Length: {len(_BODY)}").replace(b"GET", b"POST")
    + _BODY
)
_LISTING = _get("/api/internal/sessions/session-@@@/dirs?path=.", _KEYED)

ATTACKS = (
    Attack(name="pipelined requests", client=Script(again=_block(_get("/")))),
    Attack(name="pipelined previews that are not", client=Script(again=_block(_get("/previews/none/")))),
    Attack(
        name="pipelined bad tokens",
        client=Script(again=_block(_get(_PREVIEW, "Authorization: Bearer e30.e30.AAAA"))),
        access=True,
    ),
    Attack(name="pipelined large heads", client=Script(again=_get("/", *_REQUEST_FIELDS))),
    Attack(name="CR LF", client=Script(again=_block(b"\r\n"))),
    Attack(
        name="a head byte by byte",
        client=Script(first=_get("/", _LONG)[:-4], **_TRICKLE),  # type: ignore[arg-type]
    ),
    Attack(
        name="an upload in chunks of a byte",
        client=Script(first=_get(_PREVIEW)[:-2].replace(b"GET", b"POST") + _CHUNKED, again=_block(b"1\r\nx\r\n")),
        application=Script(),
    ),
    Attack(
        name="a client's empty frames",
        client=Script(first=_UPGRADE, again=_frames(mask=True), wait=True),
        application=Script(first=_GRANTED, again=b"\x8a\0", piece=2, every=0.5),
    ),
    Attack(
        name="an application's empty frames",
        client=Script(first=_UPGRADE),
        application=Script(first=_GRANTED, again=_frames(mask=False)),
    ),
    Attack(
        name="an answer in chunks of a byte",
        client=_ASKING,
        application=Script(first=b"HTTP/1.1 200 OK\r\n" + _CHUNKED, again=_block(b"1\r\nx\r\n")),
    ),
    Attack(
        name="an answer's head byte by byte",
        client=_ASKING,
        application=Script(first=b"HTTP/1.1 200 OK\r\n" + _LONG.encode(), **_TRICKLE),  # type: ignore[arg-type]
    ),
    Attack(
        name="interim answers",
        client=_ASKING,
        application=Script(again=_block(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")),
    ),
    Attack(
        name="answers with large heads",
        client=_ASKING,
        application=Script(first=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + _RESPONSE_FIELDS + b"\r\n"),
    ),
    Attack(name="an agent's empty replies", client=_calls(_COMMAND), engine=("--agents", "empty")),
    Attack(name="an agent's single bytes", client=_calls(_COMMAND), engine=("--agents", "single")),
    # Each of them is held several times over: more of them need more memory than a machine has.
    Attack(name="commands with 10 MiB of output", client=_calls(_COMMAND), engine=("--agents", "honest"), most=16),
    Attack(name="listings as long as they may be", client=_calls(_LISTING), engine=("--agents", "honest"), most=16),
    Attack(
        name="probes of a slow preview",
        client=Script(again=_block(_get(f"{_PREVIEW}health"))),
        slow=3.0,
        access=True,
    ),
    Attack(name="containers without memory", engine=("--oom", "1000")),
)

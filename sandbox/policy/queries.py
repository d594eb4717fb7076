"""Parsing of query parameters of the daemon's own endpoints, and refusal of unknown ones (contract section 1)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from urllib.parse import unquote_to_bytes

from sandbox.domain.errors import InvalidRequest

#: Names and values in order.
Query = Sequence[tuple[bytes, bytes]]

#: Maximum characters of a name in an error message.
_SHOWN = 100


def read_query(target: bytes) -> Query:
    """The parameters in a request's target; one without ``=`` has an empty value.

    >>> read_query(b"/files?path=a%2Fb+c;d&x&&")
    [(b'path', b'a/b c;d'), (b'x', b'')]
    """
    pairs = (part.replace(b"+", b" ").partition(b"=") for part in target.partition(b"?")[2].split(b"&") if part)
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]


def unknown_parameter(query: Query, known: Container[bytes] = ()) -> str | None:
    """The name of the first parameter that an endpoint does not define, for an error message.

    >>> unknown_parameter([(b"path", b"a"), (b"pth", b"")], {b"path"})
    'pth'
    """
    name = next((name for name, _ in query if name not in known), None)
    return None if name is None else name.decode("utf-8", "replace")[:_SHOWN]


def refuse_parameters(target: bytes) -> None:
    """Refuse any query parameter.

    :raises InvalidRequest: naming the first one.
    """
    unknown = unknown_parameter(read_query(target))
    if unknown is not None:
        raise InvalidRequest(f"Query parameter '{unknown}' is unknown")

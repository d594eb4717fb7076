"""Queries of requests to our own endpoints: what is in them, and that nothing else is (contract section 1)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from urllib.parse import unquote_to_bytes

from sandbox.domain.errors import InvalidRequest

#: Names and values, in their order.
Query = Sequence[tuple[bytes, bytes]]

#: Characters of a name that a refusal shows.
_SHOWN = 100


def read_query(target: bytes) -> Query:
    """The parameters in a request's target; one without ``=`` has an empty value.

    >>> read_query(b"/files?path=a%2Fb+c;d&x&&")
    [(b'path', b'a/b c;d'), (b'x', b'')]
    """
    pairs = (part.replace(b"+", b" ").partition(b"=") for part in target.partition(b"?")[2].split(b"&") if part)
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]


def unknown_parameter(query: Query, known: Container[bytes] = ()) -> str | None:
    """The name of the first parameter that an endpoint does not know, as a refusal shows it.

    >>> unknown_parameter([(b"path", b"a"), (b"pth", b"")], {b"path"})
    'pth'
    """
    name = next((name for name, _ in query if name not in known), None)
    return None if name is None else name.decode("utf-8", "replace")[:_SHOWN]


def refuse_parameters(target: bytes) -> None:
    """Refuse a query where none is known.

    :raises InvalidRequest: naming the first parameter.
    """
    unknown = unknown_parameter(read_query(target))
    if unknown is not None:
        raise InvalidRequest(f"Query parameter '{unknown}' is unknown")

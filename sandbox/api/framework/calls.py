"""A request as an endpoint sees it, and what an endpoint gives back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import attrs

from sandbox.api.framework.messages import Message
from sandbox.api.framework.operation import Buffered, Operation, Parameter, Streamed
from sandbox.api.framework.schemas import Schema
from sandbox.api.framework.validation import compiled, load, read
from sandbox.domain.errors import AnswerMemoryExhausted, InvalidRequest
from sandbox.domain.principals import Principal
from sandbox.http.bodies import StreamedBody
from sandbox.http.replies import Fields, Reply
from sandbox.http.request import Request
from sandbox.policy.budget import STEP, Share
from sandbox.policy.queries import Query, read_query, unknown_parameter


@attrs.frozen
class Call:
    """A request as an endpoint sees it.

    :ivar principal: who calls.
    :ivar in_path: the path's parameters, checked.
    :ivar given: the other parameters by name, checked; ``None`` for one that is not given.
    :ivar body: the message that a buffered body was decoded to, or a :class:`StreamedBody` to iterate over; ``None``
        where the endpoint takes none.
    :ivar raw: a buffered body's bytes.
    :ivar share: what the request holds of the memory for outputs and files, until its answer is written.
    """

    principal: Principal
    in_path: Mapping[str, str]
    given: Mapping[str, Any]
    body: Any
    raw: bytes
    share: Share


@attrs.frozen
class Page:
    """An answer that is no JSON.

    :ivar headers: fields beside Content-Type and Content-Length.
    """

    content: bytes
    media_type: bytes
    headers: Fields = ()
    status: int = 200


@attrs.frozen
class Streaming:
    """An answer that is made while the client reads it: as fast as it does, and no further when it leaves.

    :ivar pieces: closed in any case; when the client leaves while the next piece is awaited, that is cancelled. What
        may fail with an error of its own is done before, by the endpoint: the answer has begun when the first is asked
        for, and a failure can only break it off.
    """

    pieces: AsyncGenerator[bytes, None]
    media_type: bytes = b"application/octet-stream"
    headers: Fields = ()
    status: int = 200


#: What an endpoint gives back. A message, and ``None`` for an answer without a body, have the status of the operation's
#: first :class:`Answer`.
Result = Message | Reply | Page | Streaming | None


class Checks:
    """An operation's schemas, compiled.

    :param in_path: the schemas of the path's parameters.
    """

    def __init__(self, operation: Operation, in_path: Mapping[str, Schema]) -> None:
        self._in_path = {name: compiled(schema) for name, schema in in_path.items()}
        self._parameters = [(parameter, compiled(parameter.schema)) for parameter in operation.parameters]
        self._in_query = {one.name.encode("ascii") for one in operation.parameters if one.place == "query"}
        self._body = operation.body
        self._message = compiled(operation.body.message.schema) if isinstance(operation.body, Buffered) else None

    def call(self, request: Request, in_path: Mapping[str, str], share: Share) -> Call:
        """A request's call.

        :raises InvalidRequest: naming what is wrong.
        :raises AnswerMemoryExhausted: when there is no memory for a body of that size.
        """
        for name, validator in self._in_path.items():
            read(name, [in_path[name].encode("utf-8")], validator)
        given = self._given(request)
        raw = b"" if request.content is None else request.content.read()
        # What is made of it is as large as itself, which its buffer holds already.
        if len(raw) > STEP and not share.take(len(raw)):
            raise AnswerMemoryExhausted
        assert request.principal is not None
        return Call(request.principal, in_path, given, self._taken(request, raw), raw, share)

    def _taken(self, request: Request, raw: bytes) -> Message | StreamedBody | None:
        if isinstance(self._body, Streamed):
            return StreamedBody(request, self._body.limit)
        return None if self._body is None else self._body.message.decode(load(raw, self._message))

    def _given(self, request: Request) -> dict[str, Any]:
        query = read_query(request.uri)
        given = {}
        for parameter, validator in self._parameters:
            values = _values(request, query, parameter)
            # What is required and missing is as wrong as what is empty.
            values = values or ([b""] if parameter.required else [])
            given[parameter.name] = read(parameter.label, values, validator)
        unknown = unknown_parameter(query, self._in_query)
        if unknown is not None:
            raise InvalidRequest(f"Query parameter '{unknown}' is unknown")
        return given


def _values(request: Request, query: Query, parameter: Parameter) -> list[bytes]:
    name = parameter.name.encode("ascii")
    if parameter.place == "query":
        return [value for known, value in query if known == name]
    return list(request.requestHeaders.getRawHeaders(name, []))

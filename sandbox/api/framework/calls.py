"""A request as an endpoint sees it, and the results that an endpoint may return."""

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

    :ivar principal: the authenticated caller.
    :ivar in_path: the path's parameters, validated.
    :ivar given: the other parameters by name, validated; ``None`` for a missing one.
    :ivar body: the message decoded from a buffered body, or a :class:`StreamedBody` to iterate over; ``None`` where the
        endpoint takes none.
    :ivar raw: a buffered body's bytes.
    :ivar share: the request's share of the memory budget for outputs and files, until its response is written.
    """

    principal: Principal
    in_path: Mapping[str, str]
    given: Mapping[str, Any]
    body: Any
    raw: bytes
    share: Share


@attrs.frozen
class Page:
    """A response other than JSON.

    :ivar headers: fields beside Content-Type and Content-Length.
    """

    content: bytes
    media_type: bytes
    headers: Fields = ()
    status: int = 200


@attrs.frozen
class Streaming:
    """A response produced while the client reads it, with back-pressure, until the client disconnects.

    :ivar pieces: closed in any case; a disconnect cancels the wait for the next piece. The response begins before the
        first piece, so a failure of the pieces can only abort it: the endpoint does beforehand what may fail with an
        error response.
    """

    pieces: AsyncGenerator[bytes, None]
    media_type: bytes = b"application/octet-stream"
    headers: Fields = ()
    status: int = 200


#: The result of an endpoint. A message, and ``None`` for a response without a body, get the status of the operation's
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
        """The validated call of a request.

        :raises InvalidRequest: naming the invalid parameter or field.
        :raises AnswerMemoryExhausted: when the memory budget has no room for the body.
        """
        for name, validator in self._in_path.items():
            read(name, [in_path[name].encode("utf-8")], validator)
        given = self._given(request)
        raw = b"" if request.content is None else request.content.read()
        # The decoded body is about as large as its bytes, which the buffer's budget covers already.
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
            # A missing required parameter is refused like an empty one.
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

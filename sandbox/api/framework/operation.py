"""The declaration of an endpoint as a value, used for validation and for the API's description."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from sandbox.api.framework.errors import CommonErrors, ErrorResponse, ErrorResponses
from sandbox.api.framework.messages import Message
from sandbox.api.framework.schemas import Schema

JSON = "application/json"


class Auth(enum.Enum):
    """Whether an operation requires, uses or ignores credentials."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@attrs.frozen
class Parameter:
    """A parameter outside the path.

    :ivar place: ``"query"`` or ``"header"``.
    """

    place: str
    name: str
    schema: Schema
    required: bool = False

    @property
    def label(self) -> str:
        """Its name in error messages."""
        return f"Query parameter '{self.name}'" if self.place == "query" else f"Header {self.name}"


@attrs.frozen
class Buffered:
    """A JSON body that is read whole and validated before the endpoint is called.

    :ivar message: the type that it is decoded to.
    :ivar limit: maximum bytes; ``None`` for the API's own limit.
    """

    message: type[Message]
    limit: int | None = None


@attrs.frozen
class Streamed:
    """A body that the endpoint reads piece by piece, with back-pressure.

    :ivar limit: maximum bytes; ``None`` for no limit.
    """

    media_type: str = "application/octet-stream"
    limit: int | None = None


def _schema(value: type[Message] | Schema | None) -> Schema | None:
    return value.schema if isinstance(value, type) else value


@attrs.frozen
class Answer:
    """A successful response of an operation.

    :ivar schema: the schema of its JSON; ``None`` without a JSON body.
    :ivar text_type: the media type of another body.
    :ivar links: the operations that take this response's ``id``, each with the name of the path parameter for it.
    """

    status: int
    meaning: str
    schema: Schema | None = attrs.field(default=None, converter=_schema)
    text_type: str | None = None
    links: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Operation:
    """An endpoint.

    :ivar name: the name of its function here and of the clients' method.
    :ivar text: a one-sentence summary, then after an empty line the details.
    :ivar path: with parameters as ``{name}``.
    :ivar body: how a request's body is read; ``None``: it is neither read nor awaited.
    :ivar answers: its successful responses; none when the application responds.
    :ivar own_errors: the errors that do not follow from the other fields.
    :ivar auth: whether credentials are required, or add details to the response.
    :ivar always: the errors that are independent of the request; ``None``: those of the API.
    """

    name: str
    text: str
    tag: str
    method: str
    path: str
    parameters: tuple[Parameter, ...] = ()
    body: Buffered | Streamed | None = None
    answers: tuple[Answer, ...] = ()
    own_errors: ErrorResponses = ()
    auth: Auth = Auth.REQUIRED
    always: ErrorResponses | None = None

    def in_path(self, known: Mapping[str, Schema]) -> Mapping[str, Schema]:
        """The schemas of the parameters in its path."""
        return {name: schema for name, schema in known.items() if f"{{{name}}}" in self.path}

    def errors(self, common: CommonErrors) -> ErrorResponses:
        """All errors that it may raise."""
        # Where an application responds, the query is its own; everywhere else unknown parameters are refused.
        found: list[ErrorResponse] = [
            *(common.input if self.answers else ()),
            *(common.authentication if self.auth is Auth.REQUIRED else ()),
            *(common.body if self.body is not None else ()),
        ]
        return (*found, *self.own_errors, *(common.always if self.always is None else self.always))


def documented(function: Callable[..., Any]) -> tuple[str, str]:
    """The operation's name and text, from a function's name and docstring."""
    return function.__name__, inspect.getdoc(function) or ""

"""An endpoint as a value: what is checked by it, and what the API's description is made from."""

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
    """What credentials are to an operation."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@attrs.frozen
class Parameter:
    """A parameter beside the path's.

    :ivar place: ``"query"`` or ``"header"``.
    """

    place: str
    name: str
    schema: Schema
    required: bool = False

    @property
    def label(self) -> str:
        """What a refusal calls it."""
        return f"Query parameter '{self.name}'" if self.place == "query" else f"Header {self.name}"


@attrs.frozen
class Buffered:
    """A JSON body that is read whole and checked before the endpoint is called.

    :ivar message: what it is decoded to.
    :ivar limit: bytes; ``None`` for the API's own limit.
    """

    message: type[Message]
    limit: int | None = None


@attrs.frozen
class Streamed:
    """A body that the endpoint reads itself, piece by piece, as fast as it takes them.

    :ivar limit: bytes; ``None`` for none.
    """

    media_type: str = "application/octet-stream"
    limit: int | None = None


def _schema(value: type[Message] | Schema | None) -> Schema | None:
    return value.schema if isinstance(value, type) else value


@attrs.frozen
class Answer:
    """What an operation answers with when it succeeds.

    :ivar schema: of its JSON; ``None`` when it has none.
    :ivar text_type: the media type of a body that is no JSON.
    :ivar links: the operations that take this answer's ``id``, each with the name of the path parameter that it is.
    """

    status: int
    meaning: str
    schema: Schema | None = attrs.field(default=None, converter=_schema)
    text_type: str | None = None
    links: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Operation:
    """An endpoint.

    :ivar name: that of its function here, and of the clients' method.
    :ivar text: a sentence, and after an empty line what else is to be said.
    :ivar path: with parameters as ``{name}``.
    :ivar body: what is done with a request's body; ``None``: it is neither read nor awaited.
    :ivar answers: of a success; none when whatever a container says is the answer.
    :ivar own_errors: the errors that are not plain from the rest.
    :ivar auth: whether it needs credentials, or tells more to those who have them.
    :ivar always: the errors that have nothing to do with what is asked; ``None``: those of the API.
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
        """The parameters in its path, of those that the API knows."""
        return {name: schema for name, schema in known.items() if f"{{{name}}}" in self.path}

    def errors(self, common: CommonErrors) -> ErrorResponses:
        """All errors that it may end with."""
        # Where an application answers, the query is its own; everywhere else one that is unknown is refused.
        found: list[ErrorResponse] = [
            *(common.input if self.answers else ()),
            *(common.authentication if self.auth is Auth.REQUIRED else ()),
            *(common.body if self.body is not None else ()),
        ]
        return (*found, *self.own_errors, *(common.always if self.always is None else self.always))


def documented(function: Callable[..., Any]) -> tuple[str, str]:
    """A function's name and its docstring, as an operation has them."""
    return function.__name__, inspect.getdoc(function) or ""

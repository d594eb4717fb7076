"""An endpoint as a value: what is checked by it, and what the API's description is made from."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from sandbox.api.framework import error_responses
from sandbox.api.framework.error_responses import ErrorResponse, ErrorResponses
from sandbox.api.internal.schemas import LINK_ID, SESSION_ID, Schema

JSON = "application/json"
#: Where the endpoints are whose parameters and bodies are checked by their schemas.
PREFIX = "/api/internal"
#: The parameters that a path may have, by the names that stand in it in braces.
IN_PATH: Mapping[str, Schema] = {"sessionId": SESSION_ID, "linkId": LINK_ID}


class Auth(enum.Enum):
    """What the service key is to an operation."""

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
class Answer:
    """What an operation answers with when it succeeds.

    :ivar schema: of its JSON; ``None`` when it has none.
    :ivar text_type: the media type of a body that is no JSON.
    :ivar links: the operations that take this answer's ``id``, each with the name of the path parameter that it is.
    """

    status: int
    meaning: str
    schema: Schema | None = None
    text_type: str | None = None
    links: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Operation:
    """An endpoint.

    :ivar name: that of its function here, and of the clients' method.
    :ivar text: a sentence, and after an empty line what else is to be said.
    :ivar path: with ``{names}`` of :data:`IN_PATH`.
    :ivar body: the schema of its JSON body, when it takes one.
    :ivar answer: of a success; ``None`` when whatever a container says is the answer.
    :ivar own_errors: the errors that are not plain from the rest.
    :ivar key: whether it needs the service key, or tells more to those who have it.
    :ivar always: the errors that have nothing to do with what is asked.
    """

    name: str
    text: str
    tag: str
    method: str
    path: str
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    answers: tuple[Answer, ...] = ()
    own_errors: ErrorResponses = ()
    auth: Auth = Auth.REQUIRED
    always: ErrorResponses = error_responses.ANY

    @property
    def in_path(self) -> Mapping[str, Schema]:
        """The parameters in its path."""
        return {name: schema for name, schema in IN_PATH.items() if f"{{{name}}}" in self.path}

    @property
    def errors(self) -> ErrorResponses:
        """All errors that it may end with."""
        # Where an application answers, the query is its own; everywhere else one that is unknown is refused.
        found: list[ErrorResponse] = [
            *(error_responses.INPUT if self.answers else ()),
            *(error_responses.KEY if self.auth is Auth.REQUIRED else ()),
        ]
        return (*found, *(error_responses.BODY if self.body is not None else ()), *self.own_errors, *self.always)


def documented(function: Callable[..., Any]) -> tuple[str, str]:
    """A function's name and its docstring, as an operation has them."""
    return function.__name__, inspect.getdoc(function) or ""

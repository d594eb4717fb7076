"""The decorator of endpoints. It only attaches the operation: :class:`Api` routes, validates and describes by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from sandbox.api.framework.calls import Call, Result
from sandbox.api.framework.errors import ErrorResponses
from sandbox.api.framework.messages import Message
from sandbox.api.framework.operation import Answer, Buffered, Operation, Parameter, Streamed, documented

Endpoint = Callable[[Any, Call], Awaitable[Result]]
E = TypeVar("E", bound=Endpoint)

_MARK = "__operation__"


def endpoint(
    method: str,
    path: str,
    *answers: Answer,
    tag: str,
    parameters: tuple[Parameter, ...] = (),
    body: type[Message] | Buffered | Streamed | None = None,
    errors: ErrorResponses = (),
) -> Callable[[E], E]:
    """Make a coroutine method ``(self, call) -> Result`` the endpoint of a method and path, below its API's prefix.

    Requests are validated by these arguments; together with the method's name and docstring they form the operation in
    the API's description.

    :param body: a message stands for a buffered body.
    """

    def mark(function: E) -> E:
        name, text = documented(function)
        operation = Operation(
            name=name,
            text=text,
            tag=tag,
            method=method,
            path=path,
            parameters=parameters,
            body=Buffered(body) if isinstance(body, type) else body,
            answers=answers,
            own_errors=errors,
        )
        setattr(function, _MARK, operation)
        return function

    return mark


def marked(endpoints: type) -> Iterator[tuple[Operation, Endpoint]]:
    """The operations of a class of endpoints, each with its function, in the order of the source."""
    for function in vars(endpoints).values():
        operation = getattr(function, _MARK, None)
        if operation is not None:
            yield operation, function

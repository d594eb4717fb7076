"""The clients' methods as tools see them at run time: ``inspect.signature``, ``help()``, editors, Sphinx."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

M = TypeVar("M", bound=Callable[..., Any])


def signed(method: M, build: Callable[..., Any], face: str, given: Any = None) -> M:
    """Give a method the signature of the call that it carries, with what the client gives for the call.

    :param method: takes ``self`` and what ``build`` takes; :func:`functools.wraps` was applied.
    :param build: the function of :mod:`sandbox.client.calls`; it returns ``Call[T]``.
    :param face: the client class's name.
    :param given: a generic class in which the client gives the ``T``; ``None``: as it is.
    """
    hints = get_type_hints(build)
    (kind,) = get_args(hints["return"])
    kind = None if kind is type(None) else kind
    returns = kind if given is None else given[kind]
    taken = [each.replace(annotation=hints[name]) for name, each in inspect.signature(build).parameters.items()]
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    described: Any = method
    described.__signature__ = inspect.Signature([this, *taken], return_annotation=returns)
    described.__annotations__ = {**hints, "return": returns}
    described.__qualname__ = f"{face}.{build.__name__}"
    described.__module__ = method.__globals__["__name__"]
    return method

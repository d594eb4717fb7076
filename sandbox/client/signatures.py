"""Signatures of the clients' methods for run-time tools: ``inspect.signature``, ``help()``, editors, Sphinx."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

M = TypeVar("M", bound=Callable[..., Any])


def signed(method: M, build: Callable[..., Any], face: str, given: Any = None) -> M:
    """Set a method's signature from its call's, with the client's result type.

    :param method: takes ``self`` and the parameters of ``build``; :func:`functools.wraps` was applied.
    :param build: the function of :mod:`sandbox.client.calls`, which returns ``Call[T]``.
    :param face: name of the client class.
    :param given: generic class that wraps the ``T``; ``None``: no wrapper.
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

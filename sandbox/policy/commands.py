"""What a command's arguments and environment may be, beyond what a schema can say: the kernel's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.domain.errors import InvalidRequest

#: The kernel's limit on one argument or one ``NAME=value``, its NUL included (``MAX_ARG_STRLEN``).
ARGUMENT_LIMIT = 131_072
#: Bytes of one environment; arguments and environment together may have 2 MiB (a quarter of the usual stack limit).
ENVIRONMENT_LIMIT = 1 << 20


def encoded(field: str, text: str) -> bytes:
    """A text as bytes for a container; ``\\udcXX`` stands for a byte that is not UTF-8, as in names that are listed.

    :raises InvalidRequest: naming the field, for any other half of a surrogate pair.

    >>> encoded("command", "a\\udcff")
    b'a\\xff'
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidRequest(f"Request body field '{field[:100]}' holds half of a surrogate pair") from None


def plain(field: str, text: str) -> str:
    """A text that goes where only UTF-8 can: into the store, or to the engine.

    :raises InvalidRequest: naming the field, for half of a surrogate pair.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(f"Request body field '{field[:100]}' holds half of a surrogate pair") from None
    return text


def checked_arguments(words: Sequence[str]) -> list[bytes]:
    """The words of a command.

    :raises InvalidRequest: for one that no kernel would take.
    """
    arguments = [encoded("command", word) for word in words]
    if any(len(argument) >= ARGUMENT_LIMIT for argument in arguments):
        raise InvalidRequest(f"Request body field 'command' must be under {ARGUMENT_LIMIT} bytes an argument")
    return arguments


def checked_environment(env: Mapping[str, str]) -> Mapping[str, str]:
    """The variables, when a kernel would take them.

    :raises InvalidRequest: naming the variable that is too long, or the field when all of them are.
    """
    total = 0
    for name, value in env.items():
        size = len(encoded("env", name)) + len(encoded(f"env.{name}", value)) + 2
        if size > ARGUMENT_LIMIT:
            raise InvalidRequest(f"Request body field 'env.{name[:100]}' must be under {ARGUMENT_LIMIT} bytes")
        total += size
    if total > ENVIRONMENT_LIMIT:
        raise InvalidRequest(f"Request body field 'env' must be under {ENVIRONMENT_LIMIT} bytes in all")
    return env


def plain_environment(env: Mapping[str, str]) -> Mapping[str, str]:
    """The variables of a container, when a kernel would take them and the engine's JSON can say them.

    :raises InvalidRequest: as :func:`checked_environment` and :func:`plain` do.
    """
    return {plain("env", name): plain(f"env.{name}", value) for name, value in checked_environment(env).items()}

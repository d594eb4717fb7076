"""Validation of a command's arguments and environment against the kernel's limits, which schemas cannot express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.domain.errors import InvalidRequest

#: The kernel's limit in bytes on one argument or one ``NAME=value``, its NUL included (``MAX_ARG_STRLEN``).
ARGUMENT_LIMIT = 131_072
#: Maximum bytes of one environment; the kernel allows arguments and environment 2 MiB together (a quarter of the usual
#: stack limit).
ENVIRONMENT_LIMIT = 1 << 20


def encoded(field: str, text: str) -> bytes:
    """Encode a text for a container; ``\\udcXX`` encodes a byte that is not UTF-8, as in the names of a listing.

    :raises InvalidRequest: naming the field, for any other lone surrogate.

    >>> encoded("command", "a\\udcff")
    b'a\\xff'
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidRequest(f"Request body field '{field[:100]}' holds half of a surrogate pair") from None


def plain(field: str, text: str) -> str:
    """Check that a text is valid UTF-8, as the store and the engine require.

    :raises InvalidRequest: naming the field, for a lone surrogate.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(f"Request body field '{field[:100]}' holds half of a surrogate pair") from None
    return text


def checked_arguments(words: Sequence[str]) -> list[bytes]:
    """The encoded arguments of a command.

    :raises InvalidRequest: when an argument exceeds the kernel's limit.
    """
    arguments = [encoded("command", word) for word in words]
    if any(len(argument) >= ARGUMENT_LIMIT for argument in arguments):
        raise InvalidRequest(f"Request body field 'command' must be under {ARGUMENT_LIMIT} bytes an argument")
    return arguments


def checked_environment(env: Mapping[str, str]) -> Mapping[str, str]:
    """Check an environment against the kernel's limits.

    :raises InvalidRequest: naming the variable that is too long, or the field when they are together.
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
    """Check a container's environment against the kernel's limits, and for valid UTF-8 as the engine's JSON requires.

    :raises InvalidRequest: as :func:`checked_environment` and :func:`plain` do.
    """
    return {plain("env", name): plain(f"env.{name}", value) for name, value in checked_environment(env).items()}

"""Kinds of variables: a parser, and a description of the accepted values.

Each parser converts a variable's text to its value, and raises ``ValueError`` on invalid text.
"""

from __future__ import annotations

import ipaddress
import math
import re
import shlex
from collections.abc import Callable

from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm

#: Minimum bytes of an HS256 secret (RFC 7518 section 3.2).
STRONG = 32


def text(value: str) -> str:
    if not value.strip():
        raise ValueError
    return value


def key(value: str) -> str:
    # HTTP strips white space around a field's value (RFC 9110 section 5.5), so that such a key would never match.
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError
    return value


def flag(value: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if value.strip().lower() not in known:
        raise ValueError
    return known[value.strip().lower()]


def whole(low: int, high: int) -> tuple[Callable[[str], int], str]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise ValueError
        return int(value)

    return parse, f"an integer from {low} to {high}"


def number(low: float, high: float) -> tuple[Callable[[str], float], str]:
    def parse(value: str) -> float:
        number = float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError
        return number

    return parse, f"a number from {low:g} to {high:g}"


def choice(*names: str) -> tuple[Callable[[str], str], str]:
    def parse(value: str) -> str:
        if value not in names:
            raise ValueError
        return value

    return parse, "one of " + ", ".join(names)


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def address(value: str) -> str:
    return str(ipaddress.ip_address("127.0.0.1" if value == "localhost" else value))


def is_loopback(host: str) -> bool:
    """Whether an address is reachable only from this machine.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "192.0.2.1")]
    [True, True, True, False, False, False]
    """
    found = ipaddress.ip_address(host)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def peers(value: str) -> tuple[str, ...]:
    names = _words(value)
    for word in names:
        if word != "unix":
            ipaddress.ip_network(word, strict=False)
    return names


def database(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if scheme == "sqlite":
        # A query or :memory: would be used as a file name.
        wrong = not rest.startswith("/") or rest == "/" or "?" in rest or rest.endswith((":memory:", "/"))
    else:
        wrong = scheme not in {"postgresql", "postgres"} or not mark
    if wrong:
        raise ValueError
    return value


def split_secrets(value: str) -> tuple[bytes, ...]:
    """Split ``JWT_SECRET`` into secrets, newest first. A single secret is used unchanged.

    >>> split_secrets("one")
    (b'one',)
    >>> split_secrets("n" * 32 + ", " + "o" * 32) == (b"n" * 32, b"o" * 32)
    True
    """
    parts = value.split(",")
    return tuple((part.strip() if len(parts) > 1 else part).encode("utf-8", "surrogateescape") for part in parts)


def jwt_secret(value: str) -> str:
    secrets = split_secrets(text(value))
    # A comma within one strong secret must not split it into weak ones.
    if len(secrets) > 1 and any(len(secret) < STRONG for secret in secrets):
        raise ValueError
    for secret in secrets:
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
        except InvalidKeyError:
            raise ValueError from None
    return value


def engine(value: str) -> str:
    if not value.startswith(("unix:///", "tcp://")):
        raise ValueError
    return value


def network(value: str) -> str:
    # Docker's other modes, host and container:ID, would attach sessions to a foreign network.
    if value in ("host", "default") or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError
    return value


def domain(value: str) -> str:
    # 110 bytes leave room within DNS's 253 for the longest prefix (sandbox.protocols.hostnames).
    label = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
    if len(value) > 110 or not re.fullmatch(rf"{label}(\.{label})*", value.lower()):
        raise ValueError
    return value.lower()


def origin(value: str) -> str:
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?", value):
        raise ValueError
    return value.rstrip("/")


def command(value: str) -> tuple[str, ...]:
    return tuple(shlex.split(value))


def label(value: str) -> str:
    if not value or not all(c.isascii() and (c.isalnum() or c in "._-/") for c in value):
        raise ValueError
    return value


TEXT = (text, "a text that is not empty")
FLAG = (flag, "true or false")
SECONDS = number(0, 86_400)

"""Parsing of a daemon's URL."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import attrs

from sandbox.client.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:4002"
_PORTS = {"http": 80, "https": 443}


@attrs.frozen(str=False)
class Origin:
    """Address of a daemon.

    :ivar scheme: ``http``, ``https`` or ``unix``.
    :ivar host: a name, or an address without brackets; ``localhost`` for a socket.
    :ivar prefix: path prefix of the daemon, without a trailing slash.
    :ivar socket: the path of a UNIX socket, for ``unix``.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    socket: str = ""

    def __str__(self) -> str:
        """The address, for messages."""
        return f"unix:{self.socket}" if self.socket else self.url("")

    @property
    def secure(self) -> bool:
        """Whether traffic is protected from eavesdropping: by TLS, or because it does not leave the machine."""
        return self.scheme != "http" or self.host in ("localhost", "::1") or self.host.startswith("127.")

    def url(self, target: str) -> str:
        """Return the URL of a target; for a UNIX socket with the host ``localhost``."""
        scheme = "http" if self.scheme == "unix" else self.scheme
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.prefix}{target}"


def parse_origin(text: str) -> Origin:
    """Parse a URL: ``http://HOST:PORT`` or ``https://HOST``, with or without a path, or ``unix:PATH``.

    >>> parse_origin("https://sandbox.example.com/api/")
    Origin(scheme='https', host='sandbox.example.com', port=443, prefix='/api', socket='')
    >>> parse_origin("unix:/run/sandbox.sock").socket
    '/run/sandbox.sock'

    :raises ConfigurationError: for anything else.
    """
    if text.startswith("unix:"):
        path = unquote(text.removeprefix("unix:").removeprefix("//"))
        if not path.startswith("/") or "\0" in path:
            raise ConfigurationError(f"{text!r} must be unix:/PATH")
        return Origin("unix", "localhost", 80, socket=path)
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        parts, port, host = urlsplit(""), None, None
    known = parts.scheme in _PORTS and host and port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
    if not known or not re.fullmatch(r"[!-~]+", text):
        raise ConfigurationError(f"{text!r} must be http://HOST:PORT, https://HOST:PORT or unix:/PATH")
    return Origin(parts.scheme, str(host), port or _PORTS[parts.scheme], parts.path.rstrip("/"))


def checked_key(key: str) -> str:
    """Check that a header field can carry the service key, and return it.

    :raises ConfigurationError: without the key in the message.
    """
    if not key or key != key.strip() or re.search(r"[\x00-\x1f\x7f]", key):
        raise ConfigurationError("The service key is empty, or has spaces around it or control characters in it")
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError("The service key is not UTF-8") from None
    return key

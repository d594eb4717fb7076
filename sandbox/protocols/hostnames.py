"""Encoding and decoding of preview hosts, ``<port>-<session>.<PREVIEW_DOMAIN>`` (docs/previews.md)."""

from __future__ import annotations

import re

import attrs

#: Maximum bytes of one DNS label (RFC 1035 section 2.3.4).
MAX_LABEL = 63
#: Maximum bytes of a preview domain: the longest name in front leaves this much of DNS's 253 (RFC 1035 section 2.3.4).
MAX_DOMAIN = 110

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Joins the labels of one name. With the digits, no label begins or ends with a hyphen, which registries and certificate
# authorities refuse, or begins with "xn--", which browsers decode as an internationalised name.
_JOINT = "0.0"
_PLAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NAME = re.compile(r"([1-9][0-9]{3,4})-(-?)([a-z0-9-]+)")
_PORT = re.compile(r":[0-9]*$")
_UNSAFE = re.compile(r"[A-Z_-]")
_ESCAPE = re.compile(r"-(.)")
_HYPHEN, _UNDERSCORE = "0", "1"


@attrs.frozen
class PreviewHost:
    """The port and the session in a preview host."""

    port: int
    session_id: str


def write_name(port: int, session_id: str) -> str:
    """The part of a preview host in front of its domain.

    An id of lower-case letters, digits and inner hyphens is used unchanged. Any other id is escaped, because host names
    are case-insensitive: it follows a second hyphen, with ``-x`` for ``X``, ``-0`` for a hyphen and ``-1`` for an
    underscore. Nearly every name is one DNS label. A name of over 63 bytes (a plain id of over 57) takes two or three
    labels, which browsers and DNS wildcards accept but a wildcard certificate does not cover.

    >>> write_name(3000, "abc")
    '3000-abc'
    >>> write_name(3000, "9f1c-7d")
    '3000-9f1c-7d'
    >>> write_name(3000, "Team_a-B")
    '3000---team-1a-0-b'
    >>> write_name(8080, 20 * "abc")
    '8080-abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc0.0abc'

    :param port: 1024 to 65535.
    :param session_id: any that contract section 1 allows.
    """
    plain = _PLAIN.fullmatch(session_id)
    text = f"{port}-{session_id}" if plain else f"{port}--{_UNSAFE.sub(_escape, session_id)}"
    if len(text) <= MAX_LABEL:
        return text
    first, inner = MAX_LABEL - 1, MAX_LABEL - 2
    return _JOINT.join([text[:first], *(text[at : at + inner] for at in range(first, len(text), inner))])


def read_name(name: str) -> PreviewHost | None:
    """The inverse of :func:`write_name`; ``None`` for a name that it does not write, so that a preview has one host.

    >>> read_name("3000---team-1a-0-b")
    PreviewHost(port=3000, session_id='Team_a-B')
    >>> read_name("03000-abc"), read_name("3000--abc"), read_name("www")
    (None, None, None)
    """
    match = _NAME.fullmatch(name.replace(_JOINT, ""))
    if match is None:
        return None
    port, escaped, text = int(match[1]), match[2], match[3]
    session_id = _ESCAPE.sub(_unescape, text) if escaped else text
    known = 1024 <= port <= 65535 and _SESSION_ID.fullmatch(session_id) and write_name(port, session_id) == name
    return PreviewHost(port, session_id) if known else None


@attrs.frozen
class Addresses:
    """The public addresses of previews.

    :ivar public_url: the daemon's own origin as browsers reach it, such as ``https://sandbox.example.com``.
    :ivar domain: the parent domain of preview hosts, in lower case, without a leading dot.
    :ivar path_form: whether previews also have an address under ``/previews/<id>/``.
    """

    public_url: str
    domain: str
    path_form: bool = True

    def url(self, port: int, session_id: str) -> str:
        """The URL of a preview: its path form when it is enabled, else its host form."""
        return self.path_url(session_id) if self.path_form else self.host_url(port, session_id)

    def path_url(self, session_id: str) -> str:
        """The URL of a preview's path form.

        >>> Addresses("https://sandbox.example.com", "preview.example.com").path_url("abc")
        'https://sandbox.example.com/previews/abc/'
        """
        return f"{self.public_url}/previews/{session_id}/"

    def host_url(self, port: int, session_id: str) -> str:
        """The URL of a preview's host form, with the scheme and port of the public URL.

        >>> Addresses("http://localhost:4002", "localhost").host_url(3000, "abc")
        'http://3000-abc.localhost:4002/'
        """
        scheme = self.public_url.partition("://")[0]
        return f"{scheme}://{self.host_authority(port, session_id)}/"

    @property
    def path_authority(self) -> str:
        """The authority of the path form, shared by all previews."""
        return self.public_url.partition("://")[2]

    def host_authority(self, port: int, session_id: str) -> str:
        """The authority of a preview's host form."""
        port_part = _PORT.search(self.path_authority)
        return f"{write_name(port, session_id)}.{self.domain}{port_part[0] if port_part else ''}"

    def read_host(self, host: bytes) -> PreviewHost | None:
        """The preview in a Host field, or ``None``; any port, any case, and one trailing dot are accepted.

        >>> Addresses("http://localhost:4002", "localhost").read_host(b"3000-ABC.localhost.:80")
        PreviewHost(port=3000, session_id='abc')
        """
        text = _name(host)
        name = text.removesuffix(self.domain)
        return read_name(name[:-1]) if name != text and name.endswith(".") else None

    def is_below(self, host: bytes) -> bool:
        """Whether a Host field is a name under the preview domain, other than the daemon's own public name.

        >>> addresses = Addresses("https://sandbox.example.com", "example.com")
        >>> [addresses.is_below(host) for host in (b"www.Example.com:443", b"example.com", b"sandbox.example.com")]
        [True, False, False]
        """
        text = _name(host)
        return text.endswith("." + self.domain) and text != _name(self.public_url.partition("://")[2].encode("latin-1"))


def _name(host: bytes) -> str:
    return _PORT.sub("", host.decode("latin-1").lower()).removesuffix(".")


def _escape(found: re.Match[str]) -> str:
    return "-" + {"-": _HYPHEN, "_": _UNDERSCORE}.get(found[0], found[0].lower())


def _unescape(found: re.Match[str]) -> str:
    return {_HYPHEN: "-", _UNDERSCORE: "_"}.get(found[1], found[1].upper())

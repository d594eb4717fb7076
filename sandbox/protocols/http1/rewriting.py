"""Rewriting of a preview's addresses in requests and responses (contract section 5).

The rules for responses are those of nginx's ``proxy_redirect``, ``proxy_cookie_path`` and ``proxy_cookie_domain``.
"""

from __future__ import annotations

import re

import attrs

from sandbox.protocols.http1.origins import canonical_authority

_ABSOLUTE = re.compile(rb"(?:(https?):)?//([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_REFRESH = re.compile(rb"(\s*[0-9.]+\s*[;,]\s*(?:url\s*=\s*)?)(['\"]?)(.*)", re.IGNORECASE | re.DOTALL)
# A dot segment by the URL Standard (URL parsing); and a dot segment, or characters whose removal by browsers could make
# one.
_DOT_SEGMENT = re.compile(rb"[/\\](?:\.|%2e){1,2}(?:[/\\?#]|$)", re.IGNORECASE)
_WANDERING = re.compile(rb"[\x00-\x20]|" + _DOT_SEGMENT.pattern, re.IGNORECASE)
_PATH = re.compile(rb"([^?#]*)(.*)", re.DOTALL)
_SLASH = re.compile(rb"[/\\]")

#: Response fields that :meth:`Rewriter.response_field` rewrites.
REWRITTEN = frozenset({b"location", b"content-location", b"refresh", b"set-cookie", b"service-worker-allowed"})


def without_dots(path: bytes) -> bytes:
    """A path with its dot segments resolved (RFC 3986 section 5.2.4; dot segments as in the URL Standard).

    >>> without_dots(b"/a/../../b/%2E?c=/../d"), without_dots(b"/.."), without_dots(b"/a%2f/\\\\b")
    (b'/b/?c=/../d', b'/', b'/a%2f/\\\\b')
    """
    if not _DOT_SEGMENT.search(path):
        return path
    way, rest = _PATH.fullmatch(path).groups()  # type: ignore[union-attr]
    kept: list[bytes] = []
    dots = b""
    for segment in _SLASH.split(way)[1:]:
        dots = segment.lower().replace(b"%2e", b".")
        if dots == b"..":
            del kept[-1:]
        elif dots != b".":
            kept.append(segment)
    if dots in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept) + rest


@attrs.frozen(kw_only=True, eq=False)
class Rewriter:
    """Translates addresses between a browser and the application of one preview.

    >>> names = {"public": b"x.org", "upstream": b"localhost:3", "address": b"10.1.1.1:3"}
    >>> rewriter = Rewriter(prefix=b"/p/a", stripped=True, **names)
    >>> rewriter.target(b"/p/a/b;c?d"), rewriter.location(b"/login")
    (b'/b;c?d', b'/p/a/login')
    >>> rewriter.location(b"http://localhost:3/login?x"), rewriter.location(b"http://x.org/login")
    (b'/p/a/login?x', b'http://x.org/p/a/login')
    >>> local = attrs.evolve(rewriter, local=True)
    >>> local.request_field(b"referer", b"http://x.org/p/a/b?c"), local.request_field(b"origin", b"http://x.org")
    (b'http://localhost:3/b?c', b'http://localhost:3')
    >>> local.location(b"http://elsewhere.org/"), local.request_field(b"origin", b"http://elsewhere.org")
    (b'http://elsewhere.org/', b'http://elsewhere.org')

    :ivar prefix: the public path prefix, ``/previews/<id>`` or ``/internal-previews/proxy/<id>``; empty on the
        preview's own host.
    :ivar stripped: whether the prefix is removed from targets, and so added to paths in responses.
    :ivar public: the browser's authority, without its scheme's default port; ``b""``: unknown.
    :ivar scheme: the browser's scheme.
    :ivar certain: whether the scheme is known, see :class:`sandbox.protocols.http1.forwarding.Source`.
    :ivar local: whether the application gets ``upstream`` as its Host, and neither ``scheme`` nor ``public``.
    :ivar upstream: the application's own local authority, ``localhost:<port>``.
    :ivar address: ``address:port`` of the application.
    """

    prefix: bytes
    stripped: bool
    public: bytes
    scheme: bytes = b"http"
    certain: bool = False
    local: bool = False
    upstream: bytes
    address: bytes

    @property
    def host(self) -> bytes:
        """The Host field for the application."""
        return self.upstream if self.local else self.public

    def target(self, target: bytes) -> bytes:
        """The target for the application: without the prefix where it is stripped, otherwise byte for byte.

        :param target: in origin-form, with the prefix.
        """
        return target[len(self.prefix) :] if self.stripped else target

    def location(self, value: bytes) -> bytes:
        """Translate a URI reference of the application for the browser."""
        if value.startswith(b"/") and not value.startswith(b"//"):
            return self._followed(value)
        absolute = _ABSOLUTE.fullmatch(value)
        if absolute is None:
            return value
        scheme, authority, path = absolute.groups()
        if not path.startswith(b"/"):
            path = b"/" + path
        scheme = scheme or self.scheme
        named = canonical_authority(scheme, authority)
        if named in {self.upstream.lower(), self.address}:
            return self._followed(path)
        # An application may combine the forwarded port with the scheme of its own connection.
        if self.local or not (self._is_public(scheme, authority) or self._is_public(self.scheme, authority)):
            return value
        begin = value[: absolute.start(3)]
        if scheme.lower() == b"http" and self.scheme == b"https":
            begin = b"https://" + self.public
        return begin + (self._followed(path) if self.stripped else absolute[3])

    def response_field(self, lower: bytes, value: bytes) -> bytes:
        """Translate the value of a response field whose lower-case name is in :data:`REWRITTEN`."""
        if lower == b"set-cookie":
            return self._cookie(value)
        if lower == b"refresh":
            refresh = _REFRESH.fullmatch(value)
            if refresh is None:
                return value
            delay, quote, url = refresh.groups()
            return delay + quote + self.location(url)
        return self._scope(value) if lower == b"service-worker-allowed" else self.location(value)

    def request_field(self, lower: bytes, value: bytes) -> bytes:
        """Translate an ``Origin`` or ``Referer`` of the preview's own, to match the forwarded Host and scheme."""
        absolute = _ABSOLUTE.fullmatch(value)
        if absolute is None or not absolute[1] or not self.public:
            return value
        scheme, authority, path = absolute.groups()
        same = scheme.lower() == self.scheme
        if (self.certain and not same) or not self._is_public(scheme, authority):
            return value
        if not self.local:
            return value if same else self.scheme + b"://" + self.public + path
        if self.stripped and path.startswith(self.prefix + b"/"):
            path = path[len(self.prefix) :]
        return b"http://" + self.upstream + path

    def _is_public(self, scheme: bytes, authority: bytes) -> bool:
        return canonical_authority(scheme, authority) == canonical_authority(scheme, self.public)

    def _scope(self, value: bytes) -> bytes:
        """Restrict the maximum scope of a service worker to its own preview."""
        if not self.prefix:
            return value
        scope = self.location(value)
        inside = scope.startswith(self.prefix + b"/") and not _WANDERING.search(scope)
        return scope if inside else self.prefix + b"/"

    def _followed(self, path: bytes) -> bytes:
        """Prefix a path that a browser follows; its dot segments cannot escape the application's root."""
        return path if self._prefixed(path) == path else self._prefixed(without_dots(path))

    def _prefixed(self, path: bytes) -> bytes:
        if not self.stripped or path == self.prefix or path.startswith((self.prefix + b"/", self.prefix + b"?")):
            return path  # The application honours X-Forwarded-Prefix and added the prefix itself.
        return self.prefix + path

    def _cookie(self, value: bytes) -> bytes:
        first, *attributes = value.split(b";")
        kept = [first]
        for attribute in attributes:
            name, equals, text = attribute.partition(b"=")
            lower = name.strip().lower()
            if lower == b"domain":
                continue
            if lower == b"path" and text.strip().startswith(b"/"):
                attribute = name + equals + self._prefixed(text.strip())  # noqa: PLW2901
            kept.append(attribute)
        return b";".join(kept)

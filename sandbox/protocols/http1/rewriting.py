"""What an application behind a path prefix says of its own addresses, and what browsers must be told instead.

Contract section 5. The rules are those of nginx's ``proxy_redirect``, ``proxy_cookie_path`` and
``proxy_cookie_domain``, applied to the one place that a preview has.
"""

from __future__ import annotations

import re

import attrs

_ABSOLUTE = re.compile(rb"(?:(https?):)?//([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_REFRESH = re.compile(rb"(\s*[0-9.]+\s*[;,]\s*(?:url\s*=\s*)?)(['\"]?)(.*)", re.IGNORECASE | re.DOTALL)
# A dot segment as browsers know it (URL Standard, URL parsing); and that, or what they drop and could make one of it.
_DOT_SEGMENT = re.compile(rb"[/\\](?:\.|%2e){1,2}(?:[/\\?#]|$)", re.IGNORECASE)
_WANDERING = re.compile(rb"[\x00-\x20]|" + _DOT_SEGMENT.pattern, re.IGNORECASE)
_PATH = re.compile(rb"([^?#]*)(.*)", re.DOTALL)
_SLASH = re.compile(rb"[/\\]")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}

#: Response fields that :meth:`Rewriter.response_field` looks at.
REWRITTEN = frozenset({b"location", b"content-location", b"refresh", b"set-cookie", b"service-worker-allowed"})


def canonical_authority(scheme: bytes, authority: bytes) -> bytes:
    """An authority in lower case without its scheme's default port.

    >>> canonical_authority(b"http", b"Example.org:80")
    b'example.org'
    """
    return authority.lower().removesuffix(_DEFAULT_PORTS.get(scheme.lower(), b":"))


def without_dots(path: bytes) -> bytes:
    """A path as browsers follow it, without dot segments (RFC 3986 section 5.2.4; spelled as the URL Standard has it).

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
    """One preview's names on both sides.

    >>> names = {"public": b"x.org", "upstream": b"localhost:3", "address": b"10.1.1.1:3"}
    >>> rewriter = Rewriter(prefix=b"/p/a", stripped=True, **names)
    >>> rewriter.target(b"/p/a/b;c?d"), rewriter.location(b"/login")
    (b'/b;c?d', b'/p/a/login')
    >>> rewriter.location(b"http://localhost:3/login?x"), rewriter.location(b"http://x.org/login")
    (b'/p/a/login?x', b'http://x.org/p/a/login')
    >>> rewriter.request_field(b"referer", b"https://x.org/p/a/b?c"), rewriter.request_field(b"origin", b"http://x.org")
    (b'http://localhost:3/b?c', b'http://localhost:3')
    >>> rewriter.location(b"http://elsewhere.org/"), rewriter.request_field(b"origin", b"http://elsewhere.org")
    (b'http://elsewhere.org/', b'http://elsewhere.org')

    :ivar prefix: where browsers find it, ``/previews/<id>`` or ``/internal-previews/proxy/<id>``; empty where it has an
        origin of its own.
    :ivar stripped: whether the application is not told of the prefix, so that it has to be put before its paths.
    :ivar public: the authority by which the browser came, as in its Host field.
    :ivar upstream: the authority that the application is asked for.
    :ivar address: ``address:port`` of the application.
    """

    prefix: bytes
    stripped: bool
    public: bytes
    upstream: bytes
    address: bytes

    def target(self, target: bytes) -> bytes:
        """The target that the application sees: the prefix gone, not a byte else changed.

        :param target: in origin-form, with the prefix.
        """
        return target[len(self.prefix) :] if self.stripped else target

    def location(self, value: bytes) -> bytes:
        """A URI reference of the application's, as the browser must see it."""
        if value.startswith(b"/") and not value.startswith(b"//"):
            return self._followed(value)
        absolute = _ABSOLUTE.fullmatch(value)
        if absolute is None:
            return value
        scheme, authority, path = absolute.groups()
        if not path.startswith(b"/"):
            path = b"/" + path
        named = canonical_authority(scheme or b"http", authority)
        if named in {self.upstream.lower(), self.address}:
            return self._followed(path)
        if self.stripped and self.public and named == canonical_authority(scheme or b"http", self.public):
            # It made its own address of X-Forwarded-Host, or of the Host field that the registration preserves.
            return value[: absolute.start(3)] + self._followed(path)
        return value

    def response_field(self, lower: bytes, value: bytes) -> bytes:
        """The value of a response field whose lower-case name is in :data:`REWRITTEN`."""
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
        """The value of an ``Origin`` or ``Referer`` field: the preview's own address becomes the application's."""
        absolute = _ABSOLUTE.fullmatch(value)
        if absolute is None or not absolute[1] or not self.public:
            return value
        scheme, authority, path = absolute.groups()
        if canonical_authority(scheme, authority) != canonical_authority(scheme, self.public):
            return value
        if self.stripped and path.startswith(self.prefix + b"/"):
            path = path[len(self.prefix) :]
        return b"http://" + self.upstream + path

    def _scope(self, value: bytes) -> bytes:
        """How far a worker may reach: where it could be beyond its own preview, all of that and no more."""
        if not self.prefix:
            return value
        scope = self.location(value)
        inside = scope.startswith(self.prefix + b"/") and not _WANDERING.search(scope)
        return scope if inside else self.prefix + b"/"

    def _followed(self, path: bytes) -> bytes:
        """A path that a browser follows. Dot segments end at the application's root, with a prefix as without one."""
        return path if self._prefixed(path) == path else self._prefixed(without_dots(path))

    def _prefixed(self, path: bytes) -> bytes:
        if not self.stripped or path == self.prefix or path.startswith((self.prefix + b"/", self.prefix + b"?")):
            return path  # An application that honours X-Forwarded-Prefix has put it there itself.
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

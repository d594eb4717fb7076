"""One site, opened in a browser in every way there is to a preview: what it is told of where it is must agree (F4, F5).

A site's page has a form with a field ``word``, ``#address`` for the address that the site takes for its own (with the
scheme, unless it knows http only), and ``#ready`` for when its scripts run, if it has any. Frameworks refuse the form
when they see fields that do not agree; what was sent is kept in a cookie, and shown as ``#word`` by the page that the
browser is redirected to.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from itertools import product
from types import MappingProxyType
from urllib.parse import urlsplit

import attrs

from tests.browser.chromium import Chromium, NetworkChanged
from tests.browser.stage import ATTEMPTS, PreviewCase
from tests.browser.tls import ADDRESS, Certificate, TlsProxy
from tests.daemon import Daemon

#: A domain that browsers of the tests resolve, with the default ports of either scheme.
DOMAIN = "example.test"
_OPTIONS = {
    "localhost": {"TRUSTED_PROXIES": ADDRESS},
    "domain": {
        "TRUSTED_PROXIES": ADDRESS,
        "PREVIEW_DOMAIN": f"preview.{DOMAIN}",
        "PUBLIC_URL": f"http://sandbox.{DOMAIN}",
    },
}


@attrs.frozen
class Way:
    """How a browser comes to a site, and what the registration says.

    :ivar host: of the registration: ``auto``, ``public`` or ``local``.
    :ivar form: ``host`` or ``path``.
    :ivar scheme: ``https`` where a TLS proxy is in front.
    :ivar domain: ``localhost``, or ``domain`` for :data:`DOMAIN`.
    """

    host: str
    form: str
    scheme: str
    domain: str

    def __str__(self) -> str:
        return f"{self.host}, by {self.form}, {self.scheme}, {self.domain}"


#: Each way.
WAYS = tuple(Way(*way) for way in product(("auto", "public", "local"), ("host", "path"), ("http", "https"), _OPTIONS))
#: So few that any two of their four properties come together in one of them, for sites that take their time.
PAIRS = (
    Way("auto", "host", "https", "domain"),
    Way("auto", "path", "http", "localhost"),
    Way("public", "host", "http", "localhost"),
    Way("public", "path", "https", "domain"),
    Way("local", "host", "https", "localhost"),
    Way("local", "path", "http", "domain"),
)

#: Which story a site has to be told, ``public`` or ``local``; ``None`` where it can be told none that it accepts.
Story = Callable[[Way], str | None]


def public(way: Way) -> str | None:
    """Of a site that takes any host."""
    return "local" if way.host == "local" else "public"


def local_on(*domains: str) -> Story:
    """Of a site that refuses hosts on such domains."""

    def story(way: Way) -> str | None:
        if way.domain not in domains:
            return public(way)
        return None if way.host == "public" else "local"

    return story


def only(story: str) -> Story:
    """Of a site that is set up for one story."""
    return lambda way: story if public(way) == story else None


def plain(story: Story) -> Story:
    """Of a site that does not read which scheme proxies name: over TLS it can be told the local story only."""
    return lambda way: None if story(way) == "public" and way.scheme == "https" else story(way)


@attrs.frozen(kw_only=True)
class Site:
    """One site in the container.

    :ivar port: where it listens.
    :ivar story: which it has to be told.
    :ivar ways: by which it is opened.
    :ivar base: its path, ``""`` when that is the root; with one the prefix is not stripped.
    :ivar form: whether it has one.
    :ivar scripts: whether its page tells by ``#ready`` that its scripts run.
    :ivar hot: a file of its page that is edited while a browser shows it; ``""`` when it is not to be seen at once.
    """

    port: int
    story: Story = public
    ways: Sequence[Way] = WAYS
    base: str = ""
    form: bool = True
    scripts: bool = False
    hot: str = ""


class StoryCase(PreviewCase):
    """A browser that comes to sites by all their ways."""

    timeout = 600
    environment = MappingProxyType(_OPTIONS["localhost"])

    def setUp(self) -> None:
        super().setUp()
        self.daemons = {"localhost": self.daemon, "domain": Daemon(self.directory / "domain", _OPTIONS["domain"])}
        self.daemons["domain"].start()
        self.addCleanup(self.daemons["domain"].stop)
        certificate = Certificate(self.directory)
        self.proxies = {name: TlsProxy(certificate, daemon.port) for name, daemon in self.daemons.items()}
        for proxy in self.proxies.values():
            self.addCleanup(proxy.close)
        rules = {80: self.daemons["domain"].port, 443: self.proxies["domain"].port}
        mapped = ",".join(f"MAP *.{DOMAIN}:{port} 127.0.0.1:{to}" for port, to in rules.items())
        self.flags = (f"--host-resolver-rules={mapped}", f"--ignore-certificate-errors-spki-list={certificate.pin}")

    def tell(self, image: str, command: Sequence[str], sites: str, *each: Site) -> None:
        """Run sites of ``tests/browser/sites`` in one container, and see that each works by each of its ways."""
        self.start_application(image, command, each[0].port, sites=sites)
        for site in each:
            self.register(self.daemon, site, "local")
            self.await_application()
        self.in_browser(lambda browser: self.come_by_each(browser, each), *self.flags)

    def register(self, daemon: Daemon, site: Site, host: str) -> dict[str, str]:
        """Register a site's port; the answer."""
        body = {"port": site.port, "host": host, "stripPrefix": not site.base}
        registered: dict[str, str] = daemon.call("POST", f"sessions/{self.session_id}/previews", body, status=201)
        return registered

    def come_by_each(self, browser: Chromium, sites: Sequence[Site]) -> None:
        """Open sites by each of their ways, and tell of all that do not work."""
        failed = []
        for site, way in ((one, way) for one in sites for way in one.ways if one.story(way) is not None):
            for attempt in range(ATTEMPTS):
                browser.forget()
                try:
                    self.come(browser, site, way)
                    break
                except NetworkChanged:
                    if attempt == ATTEMPTS - 1:
                        raise
                except AssertionError as error:
                    failed.append(f"port {site.port}, {way}: {error}")
                    break
        if failed:
            self.fail("\n\n".join(failed))

    def come(self, browser: Chromium, site: Site, way: Way) -> None:
        """Open a site by one way: send its form, and edit its page."""
        found = self.register(self.daemons[way.domain], site, way.host)
        url = urlsplit(found["hostUrl" if way.form == "host" else "url"])
        if way.scheme == "https":
            authority = url.netloc
            if way.domain == "localhost":
                authority = f"{url.hostname}:{self.proxies['localhost'].port}"
            url = url._replace(scheme="https", netloc=authority)
        if way.form == "host":
            url = url._replace(path=f"{site.base}/")
        browser.open(url.geturl())
        if site.form:
            authority, scheme = url.netloc, url.scheme
            if site.story(way) == "local":
                authority, scheme = f"localhost:{site.port}", "http"
            self.assertIn(browser.answer("#address"), (authority, f"{scheme}://{authority}"))
        if site.scripts:
            browser.see("#ready", "yes")
        if site.hot:
            browser.mark()
            self.edit_until_seen(browser, site.hot, "h1", browser.text("h1"), "Hot")
            self.assertTrue(browser.marked, "the page was loaded anew")
        self.look(browser, site, way)
        if site.form:
            word = secrets.token_hex(4)
            browser.type("input[name=word]", word)
            browser.click("form button")
            self.assertEqual(browser.answer("#word"), word)
            self.assertEqual(browser.run("return location.href").rstrip("/"), f"{url.geturl()}saved")

    def look(self, browser: Chromium, site: Site, way: Way) -> None:
        """See what else the page shows."""

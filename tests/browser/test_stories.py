"""Sites of Python's and Ruby's frameworks, opened by every way to a preview."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.browser.chromium import Chromium
from tests.browser.projects import PYTHON
from tests.browser.stories import PAIRS, WAYS, Site, StoryCase, Way, local_on, plain, public
from tests.browser.tls import ADDRESS, VISITOR
from tests.deployment.server import ensure_image

# The first run makes the images.
pytestmark = pytest.mark.timeout(900)

_ANY = {"ALLOWED_HOSTS": ["*"]}
_SSL = {"SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"]}
_HOST = {"USE_X_FORWARDED_HOST": True}


class DjangoTests(StoryCase):
    """Django's CSRF protection, with the settings for proxies that it has: none of them, each, and all."""

    #: Port, settings, the story, the ways. In development it takes localhost and what is below for its own.
    SITES = (
        (8001, {}, plain(local_on("domain")), WAYS),
        (8002, {**_ANY, **_HOST}, plain(public), PAIRS),
        (8003, {**_ANY, **_SSL}, public, PAIRS),
        (8004, {**_ANY, **_SSL, **_HOST}, public, PAIRS),
        (8005, {**_ANY, **_SSL, **_HOST, "USE_X_FORWARDED_PORT": True}, public, WAYS),
    )

    def test_f4_f5_forms(self) -> None:
        def started(port: int, settings: Mapping[str, Any]) -> str:
            return f"SITE='{json.dumps(settings)}' python3 django_site.py runserver --noreload 0.0.0.0:{port} & "

        script = "export PYTHONPATH=packages; " + "".join(started(port, how) for port, how, _, _ in self.SITES) + "wait"
        sites = [Site(port=port, story=story, ways=ways) for port, _, story, ways in self.SITES]
        self.tell(PYTHON.ensure(), ["sh", "-c", script], "python", *sites)


class FlaskTests(StoryCase):
    """Flask-WTF, whose protection looks at the Referer of what came by https, behind werkzeug's ProxyFix."""

    def test_f4_f5_forms(self) -> None:
        script = "PYTHONPATH=packages exec python3 -m flask --app flask_site run --host 0.0.0.0 --port 8000"
        self.tell(PYTHON.ensure(), ["sh", "-c", script], "python", Site(port=8000))


def _without_port(way: Way) -> str | None:
    """hypercorn keeps the quotes in which ``Forwarded`` has a host with a port (RFC 7239 section 4)."""
    return None if public(way) == "public" and way.domain == "localhost" else public(way)


class HypercornTests(StoryCase):
    """hypercorn's ProxyFixMiddleware in its mode ``modern``: it reads ``Forwarded``, others ``X-Forwarded-*``.

    It is told how many proxies there are: the daemon alone, or one in front of it, too.
    """

    def test_f4_f5_forms(self) -> None:
        serve = "python3 -m hypercorn hypercorn_site:"
        one, two = (f"{serve}behind_one --bind 0.0.0.0:8001", f"{serve}behind_two --bind 0.0.0.0:8002")
        sites = (Site(port=8001, story=_without_port), Site(port=8002, story=_without_port, ways=PAIRS))
        self.tell(PYTHON.ensure(), ["sh", "-c", f"export PYTHONPATH=packages; {one} & {two}"], "python", *sites)

    def look(self, browser: Chromium, site: Site, way: Way) -> None:
        if way.scheme == "https":
            self.assertEqual(browser.text("#client"), ADDRESS if site.port == 8001 else VISITOR.decode())


class RailsTests(StoryCase):
    """Rails's protection from forgery, in development where it knows few hosts, and where it knows all."""

    def test_f4_f5_forms(self) -> None:
        serve = "puma --quiet --threads 1:2 --bind tcp://0.0.0.0:"
        script = f"cd /workspace; {serve}3000 & ANY_HOST=yes {serve}3001"
        sites = (Site(port=3000, story=local_on("domain"), ways=PAIRS), Site(port=3001, ways=PAIRS))
        self.tell(ensure_image(), ["sh", "-c", script], "rails", *sites)

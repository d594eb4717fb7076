"""Access control in Chromium: links, cookies, what other pages may not do, and revocation (docs/security.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser import guarded
from tests.browser.chromium import Chromium
from tests.browser.stage import PreviewCase
from tests.daemon import KEY
from tests.policy.jwts import SECRET, token
from tests.postgres import server
from tests.session_image import ensure_session_image

# The first run makes the image.
pytestmark = pytest.mark.timeout(900)

#: What a script in the page gets of a URL: the status, or that it gets nothing.
FETCH = """const [url, options, done] = arguments;
fetch(url, {credentials: 'include', ...options}).then(answer => done(answer.status), () => done('nothing'));"""
#: How a WebSocket that a script in the page opens ends, or the first that it hears, with the protocol that was chosen.
SPEAK = """const [url, protocols, done] = arguments;
const socket = new WebSocket(url, protocols);
socket.onmessage = event => done([event.data, socket.protocol]);
socket.onerror = () => done(['refused', '']);"""


class GuardedCase(PreviewCase):
    """A session of ``alice``'s, made by the platform, with :mod:`tests.browser.guarded` in it; access control is on."""

    @cached_property
    def environment(self) -> Mapping[str, str]:  # type: ignore[override]
        """Previews of one domain are one site to browsers, also below ``localhost``."""
        return {
            "ENABLE_PREVIEW_ACCESS_CONTROL": "true",
            "JWT_SECRET": SECRET.decode(),
            "SESSION_IMAGE": ensure_session_image(),
            "PREVIEW_DOMAIN": "preview.localhost",
        }

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.assert_silent)
        self.urls = self.preview(self.session_id)

    def preview(self, session_id: str, **registration: str) -> dict[str, str]:
        """Make a session with the application in it, and register it."""
        call = self.daemon.call
        self.addCleanup(self.lab.remove_session, session_id)
        call("POST", "sessions", {"userId": "alice", "id": session_id}, status=201)
        self.container = session_id
        code = Path(guarded.__file__).read_text("utf-8")
        call("POST", f"sessions/{session_id}/files", {"path": "guarded.py", "content": code}, status=201)
        started = "python3 guarded.py >/dev/null 2>&1 & until bash -c ': </dev/tcp/127.0.0.1/8000'; do sleep 0.1; done"
        ran = call("POST", f"sessions/{session_id}/exec", {"command": started, "timeoutMs": 60_000})
        self.assertEqual(ran["exitCode"], 0, ran)
        urls: dict[str, str] = call(
            "POST", f"sessions/{session_id}/previews", {"port": 8000, **registration}, status=201
        )
        return urls

    def assert_silent(self) -> None:
        """After all of it, nothing in the daemon's log lets anybody in."""
        log = self.daemon.log.read_text("utf-8", "replace")
        self.assertIn("preview registered", log)
        for secret in (SECRET.decode(), KEY, "access_token", "link.", "cookie.", "eyJ", "Bearer"):
            self.assertNotIn(secret, log)

    def link(self, **body: Any) -> dict[str, str]:
        made: dict[str, str] = self.daemon.call("POST", f"sessions/{self.session_id}/previews/links", body, status=201)
        return made

    def revoke(self, made: Mapping[str, str]) -> None:
        path = f"sessions/{self.session_id}/previews/links/{made['id']}"
        self.daemon.call("DELETE", path, status=204)

    def seen(self) -> list[str]:
        """The request lines that the application has seen."""
        status, body = self.daemon.request("GET", f"/internal-previews/proxy/{self.session_id}/seen")
        self.assertEqual(status, 200)
        return list(json.loads(body))

    def fetch(self, browser: Chromium, url: str, **options: Any) -> Any:
        return browser.driver.execute_async_script(FETCH, url, options)

    def speak(self, browser: Chromium, url: str, *protocols: str) -> Any:
        return browser.driver.execute_async_script(SPEAK, url.replace("http", "ws", 1), list(protocols))

    def open_link(self, browser: Chromium, url: str) -> None:
        """Open a link and see everything that the page is made of."""
        browser.open(url)
        browser.see("h1", "guarded")
        browser.see("#socket", "hello")
        self.assertIn("1, 2, 3", browser.style("h1", "color"))
        browser.until(lambda: browser.run("return document.querySelector('#image').naturalWidth") == 7, "the image")

    def assert_clean(self, browser: Chromium, url: str, user: str | None) -> None:
        """The token is nowhere, the cookie out of scripts' reach, and the application is told whom the link is for."""
        self.assertEqual(browser.driver.current_url, url.partition("?")[0])
        self.assertEqual(browser.run("return [document.referrer, document.cookie]"), ["", ""])
        names = browser.run("return performance.getEntries().map(entry => entry.name).join()")
        self.assertNotIn("access_token", names)
        (cookie,) = browser.driver.get_cookies()
        self.assertEqual((cookie["httpOnly"], cookie["sameSite"], cookie["path"]), (True, "Lax", self.cookie_path(url)))
        who = browser.driver.execute_async_script(
            "const [done] = arguments; fetch('who').then(answer => answer.json()).then(done)"
        )
        fields = {name.lower(): value for name, value in who}
        self.assertEqual((fields.get("cookie"), fields.get("x-sandbox-user")), (None, user))
        self.assertNotIn("access_token", str(self.seen()))

    def cookie_path(self, url: str) -> str:
        path = urlsplit(url).path.rstrip("/")
        return path or "/"


class Stories:
    """From the link to its end, by either form of the preview's address."""

    def test_a_link_opens_the_page_with_its_parts_and_its_socket_until_it_is_revoked(self: Any) -> None:
        for form in ("hostUrl", "url"):
            made = self.link(userId="carol")

            def check(browser: Chromium, url: str = made[form], form: str = form) -> None:
                browser.open(self.urls[form])
                browser.see("h1", "You need a link to see this preview")
                self.open_link(browser, url)
                self.assert_clean(browser, url, "carol")
                browser.driver.refresh()
                browser.see("#socket", "hello")

            self.in_browser(check)

            def revoked(browser: Chromium, form: str = form) -> None:
                made = self.link()
                self.open_link(browser, made[form])
                self.revoke(made)
                self.assertTrue(browser.soon(lambda: browser.text("#end") == "ended 1008", 5.0), browser.text("#end"))
                browser.driver.refresh()
                browser.see("h1", "This link does not work")
                browser.open(made[form])
                browser.see("h1", "This link does not work")

            self.in_browser(revoked)

    def test_a_token_of_the_owners_in_the_url_opens_it_too(self: Any) -> None:
        def check(browser: Chromium) -> None:
            url = f"{self.urls['hostUrl']}?access_token={token(sub='alice').decode()}"
            self.open_link(browser, url)
            self.assert_clean(browser, url, "alice")

        self.in_browser(check)


class OnSqlite(Stories, GuardedCase):
    """With the embedded database."""


class OnPostgres(Stories, GuardedCase):
    """With a server."""

    @cached_property
    def environment(self) -> Mapping[str, str]:  # type: ignore[override]
        """The same, and a new database."""
        return {**super().environment, "DATABASE_URL": server().url(server().make_database())}


class OtherPages(GuardedCase):
    """What pages of others can make a browser do that holds a preview's cookie."""

    def test_another_preview_of_the_domain_gets_nothing(self) -> None:
        host = self.urls["hostUrl"]
        other = self.preview(f"O_{self.lab.token}")
        status, answer = self.daemon.request("POST", f"sessions/O_{self.lab.token}/previews/links", {})
        self.assertEqual(status, 201)
        link = json.loads(answer)["hostUrl"]
        mine = self.link()["hostUrl"]

        def check(browser: Chromium) -> None:
            self.open_link(browser, mine)
            self.assertEqual(self.fetch(browser, host + "mine"), 200)
            browser.open(link)
            browser.see("#socket", "hello")
            self.assertTrue(browser.driver.current_url.startswith(other["hostUrl"]))
            before = self.seen()
            for options in ({}, {"mode": "no-cors"}, {"method": "POST"}, {"method": "POST", "mode": "no-cors"}):
                # The gateway's refusal grants no page of another origin a look at it; an opaque answer has status 0.
                expected = 0 if options.get("mode") == "no-cors" else "nothing"
                self.assertEqual(self.fetch(browser, host + "theirs", **options), expected)
            self.assertEqual(self.speak(browser, host + "ws"), ["refused", ""])
            browser.run(
                "document.body.innerHTML = `<img src='${arguments[0]}theirs.svg'><form method=post id=form "
                "action='${arguments[0]}theirs'></form>`; document.querySelector('#form').submit()",
                host,
            )
            browser.see("body", "You do not have permission to access this preview")
            # The browser itself may ask for the icon of the page with the refusal, which is the preview's own.
            self.assertLessEqual(set(self.seen()[len(before) :]), {"GET /seen", "GET /favicon.ico"})
            # A person who follows a link from there gets there.
            browser.open(other["hostUrl"])
            browser.run("location.href = arguments[0]", host)
            browser.see("#socket", "hello")

        self.in_browser(check)

    def test_a_script_of_another_page_that_has_a_token_may_speak(self) -> None:
        elsewhere = self.preview(f"O_{self.lab.token}", access="public")

        def check(browser: Chromium) -> None:
            browser.open(elsewhere["hostUrl"])
            browser.see("#socket", "hello")
            good = token(sub="alice").decode()
            self.assertEqual(self.speak(browser, self.urls["hostUrl"] + "ws", "bearer", good), ["hello", "bearer"])
            bad = token(sub="bob").decode()
            self.assertEqual(self.speak(browser, self.urls["hostUrl"] + "ws", "bearer", bad), ["refused", ""])

        self.in_browser(check)

    def test_a_link_with_a_strange_path_leads_nowhere_else(self) -> None:
        link = urlsplit(self.link()["hostUrl"])

        def check(browser: Chromium) -> None:
            browser.open(f"http://{link.netloc}//elsewhere.localhost/x?{link.query}")
            browser.see("h1", "guarded")
            self.assertEqual(browser.driver.current_url, f"http://{link.netloc}//elsewhere.localhost/x")

        self.in_browser(check)

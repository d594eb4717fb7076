"""``preview add``, ``open``, ``link``, ``revoke`` and ``health``."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from tests.cli.command import CommandCase
from tests.engine import BUSYBOX, client

PAGE = "<h1>from the container</h1>\n"


class Previews(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.good("up", "demo")

    def serve(self) -> None:
        self.write("www/index.html", PAGE)
        self.shell("httpd -p 3000 -h /workspace/www")

    def fetch(self, url: str, cookie: str = "") -> tuple[int, bytes, str]:
        """What a browser would get; without following redirects."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=30)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}", headers={"Host": parts.netloc, "Cookie": cookie})
            response = connection.getresponse()
            return response.status, response.read(), (response.getheader("Set-Cookie") or "").partition(";")[0]
        finally:
            connection.close()

    def test_f4_what_the_application_is_told_can_be_chosen(self) -> None:
        for options, host in (
            ((), "auto"),
            (("--host", "local"), "local"),
            (("--host", "public"), "public"),
            (("--preserve-host",), "public"),
        ):
            self.assertEqual(json.loads(self.good("--json", "preview", "add", "demo", "3000", *options))["host"], host)

    def visit(self, url: str) -> tuple[int, bytes]:
        """Open a link, and then the page with the cookie that it gave."""
        status, _, cookie = self.fetch(url)
        if status >= 400:
            return status, b""
        return self.fetch(url.partition("?")[0], cookie)[:2]

    def test_a_preview_is_added_waited_for_opened_and_closed(self) -> None:
        self.assertIn("preview add ID PORT", self.bad("preview", "health", "demo"))
        self.assertIn("preview add ID PORT", self.bad("preview", "open", "demo", "--no-browser"))
        own, url = self.good("preview", "add", "demo", "3000", "--access", "link").splitlines()
        self.assertRegex(own, r"\Ahttp://3000-demo\.localhost:[0-9]+/\Z", "F25: the host form comes first")
        self.assertTrue(url.endswith("/previews/demo/"))
        done = self.run_it("preview", "health", "demo")
        self.assertEqual((done.returncode, done.stdout), (1, b"not healthy: port 3000: Connection refused\n"))
        self.shell("(sleep 1; httpd -p 3000 -h /workspace/www) >/dev/null 2>&1 &")
        self.write("www/index.html", PAGE)
        self.assertEqual(
            self.good("preview", "health", "demo", "--wait", "20"), "healthy: port 3000 answers with HTTP 200\n"
        )
        self.assertEqual(self.fetch(url)[0], 401, "only who has a link may see it")
        linked = self.run_it("preview", "link", "demo", "--ttl", "5m", "--user", "guest")
        self.assertEqual(linked.returncode, 0)
        link = linked.stdout.decode().strip()
        self.assertTrue(link.startswith(f"{own}?access_token="), link)
        self.assertEqual(self.visit(link), (200, PAGE.encode()))
        link_id = linked.stderr.decode().split()[1]
        self.good("preview", "revoke", "demo", link_id)
        self.assertEqual(self.visit(link)[0], 401)
        self.assertIn("id", self.bad("preview", "revoke", "demo", "a/b", status=2))

    def test_open_starts_the_browser_with_a_link_to_the_previews_own_host(self) -> None:
        self.serve()
        self.good("preview", "add", "demo", "3000")
        browser = self.work / "browser"
        browser.write_text(f'#!/bin/sh\nprintf %s "$1" >"{self.work}/opened"\n')
        browser.chmod(0o700)
        url = self.good("preview", "open", "demo", BROWSER=str(browser)).strip()
        self.assertEqual((self.work / "opened").read_text(), url)
        self.assertRegex(url, r"^http://3000-demo\.localhost:[0-9]+/\?access_token=")
        self.assertEqual(self.visit(url), (200, PAGE.encode()))

    def test_f15_open_and_link_get_in_where_only_the_owner_may(self) -> None:
        self.good("up", "owned", "--user", "alice")
        self.write("www/index.html", PAGE, "owned")
        self.shell("httpd -p 3000 -h /workspace/www", "owned")
        self.good("preview", "add", "owned", "3000", "--access", "owner")
        url = self.good("preview", "open", "owned", "--no-browser").strip()
        self.assertEqual(self.visit(url), (200, PAGE.encode()))
        other = self.good("preview", "open", "owned", "--no-browser", "--user", "bob").strip()
        self.assertEqual(self.visit(other)[0], 403)
        linked = self.run_it("preview", "link", "owned", "--user", "alice").stdout.decode().strip()
        self.assertEqual(self.visit(linked), (200, PAGE.encode()))

    def test_f15_a_container_of_another_program_has_no_user_and_opens(self) -> None:
        engine = client()
        self.addCleanup(engine.close)
        label = {self.daemon.environment["SESSION_LABEL"]: "other"}
        command = ["httpd", "-f", "-p", "3000", "-h", "/etc"]
        made = engine.create_container(BUSYBOX, command, labels=label)["Id"]
        self.addCleanup(engine.remove_container, made, force=True)
        engine.start(made)
        self.good("preview", "add", "other", "3000")
        url = self.good("preview", "open", "other", "--no-browser").strip()
        self.assertRegex(url, r"^http://3000-other\.localhost:[0-9]+/\?access_token=")

    def test_json(self) -> None:
        self.serve()
        made = self.values("preview", "add", "demo", "3000")
        self.assertEqual((made["sessionId"], made["port"]), ("demo", 3000))
        self.assertEqual(
            self.values("preview", "health", "demo"),
            {"healthy": True, "sessionId": "demo", "port": 3000, "statusCode": 200},
        )
        link = self.values("preview", "link", "demo")
        self.assertEqual(set(link), {"id", "url", "hostUrl", "expiresAt"})
        self.assertEqual(self.values("preview", "revoke", "demo", link["id"]), {"id": link["id"], "revoked": True})
        self.good("stop", "demo")
        error = json.loads(self.bad("preview", "add", "--json", "demo", "3000"))["error"]
        self.assertEqual(error["code"], "CONTAINER_NOT_RUNNING")

    def test_wrong_values_are_told(self) -> None:
        self.assertIn("1024", self.bad("preview", "add", "demo", "80", status=2))
        for ttl in ("0", "2d", "x", "", "-1", "1w"):
            self.assertIn("15m", self.bad("preview", "link", "demo", "--ttl", ttl, status=2))

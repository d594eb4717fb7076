"""Preview links over HTTP: made and revoked by the platform, opened by a browser; and who may see a preview."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlsplit

from tests.api.stage import Answer, ApiCase
from tests.policy.jwts import SECRET, token

DENIED = "You do not have permission to access this preview"


class LinksCase(ApiCase):
    """The daemon's own port stands for an application: it answers 404 JSON to whatever it is asked."""

    async def preview(self, access: str | None = None) -> None:
        """Register a preview of the session ``s1``, which is ``alice``'s."""
        self.runtime.containers.place(await self.session("s1", "alice"), "127.0.0.1")
        # By any other host the daemon would take what it gets for a request to the preview, and so on.
        body: dict[str, object] = {"port": self.port.getHost().port, "host": "local"}
        if access is not None:
            body["access"] = access
        self.assertEqual((await self.call("POST", "sessions/s1/previews", body)).status, 201)

    async def link(self, **body: object) -> dict[str, str]:
        answer = await self.call("POST", "sessions/s1/previews/links", body)
        self.assertEqual(answer.status, 201, answer.body)
        return dict(answer.json)

    def target(self, url: str) -> str:
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}"

    async def open(self, url: str) -> tuple[Answer, str]:
        """Visit a link; the answer, and the cookie."""
        answer = await self.call("GET", self.target(url), key=None)
        return answer, answer.headers.get(b"set-cookie", b"").partition(b";")[0].decode()

    def assert_reached(self, answer: Answer) -> None:
        # The application is the daemon itself, which says at its root what it is.
        self.assertEqual((answer.status, answer.json["name"]), (200, "sandbox"))


class Making(LinksCase):
    environment: ClassVar[Mapping[str, str]] = {"JWT_SECRET": SECRET.decode()}

    async def test_a_link_has_an_id_urls_and_an_end(self) -> None:
        made = await self.link()
        self.assertEqual(set(made), {"id", "url", "hostUrl", "expiresAt"})
        self.assertRegex(made["id"], r"\A[0-9a-f]{22}\Z")
        self.assertRegex(made["url"], r"\Ahttp://[^/]+/previews/s1/\?access_token=link\.[A-Za-z0-9._-]+\Z")
        self.assertIsNone(made["hostUrl"], "the host names the port, and none is registered")
        self.assertRegex(made["expiresAt"], r"\A[0-9-]{10}T[0-9:]{8}\.000Z\Z")
        self.assertApproximates(datetime.fromisoformat(made["expiresAt"]).timestamp(), time.time() + 3600, 30)

    async def test_with_a_preview_it_has_the_preview_hosts_url_too(self) -> None:
        await self.preview()
        made = await self.link()
        port = self.port.getHost().port
        self.assertRegex(made["hostUrl"], rf"\Ahttp://{port}-s1\.localhost:[0-9]+/\?access_token=link\.")
        self.assertEqual(made["hostUrl"].partition("?")[2], made["url"].partition("?")[2])

    async def test_its_time_is_1_to_86400_seconds(self) -> None:
        for seconds in (1, 86_400):
            made = await self.link(ttlSeconds=seconds)
            ends = datetime.fromisoformat(made["expiresAt"]).timestamp()
            self.assertApproximates(ends, time.time() + seconds, 30)
        for wrong in (0, -1, 86_401, 1.5, "60", True, None):
            answer = await self.call("POST", "sessions/s1/previews/links", {"ttlSeconds": wrong})
            self.assertEqual((answer.status, "ttlSeconds" in answer.json["message"]), (400, True), wrong)

    async def test_its_user_is_a_text(self) -> None:
        await self.link(userId="carol")
        for wrong in ("", 1, None, "a\0b", "x" * 257, "\ud800", ["carol"]):
            answer = await self.call("POST", "sessions/s1/previews/links", {"userId": wrong})
            self.assertEqual((answer.status, "userId" in answer.json["message"]), (400, True), wrong)

    async def test_unknown_fields_bad_ids_and_no_key_are_refused(self) -> None:
        answer = await self.call("POST", "sessions/s1/previews/links", {"ttl": 1})
        self.assertEqual(answer.status, 400)
        answer = await self.call("POST", "sessions/a.b/previews/links", {})
        self.assertEqual(answer.status, 400)
        for method, path in (("POST", "sessions/s1/previews/links"), ("DELETE", "sessions/s1/previews/links/x")):
            self.assert_refused(await self.call(method, path, {}, key=None), 403, "Forbidden")

    async def test_revoking_is_idempotent(self) -> None:
        made = await self.link()
        for name in (made["id"], made["id"], "unknown", "%00", "x" * 2000):
            answer = await self.call("DELETE", f"sessions/s1/previews/links/{name}")
            self.assertIn(answer.status, {204} if name in {made["id"], "unknown"} else {204, 400})


class Opening(LinksCase):
    environment: ClassVar[Mapping[str, str]] = {
        "JWT_SECRET": SECRET.decode(),
        "ENABLE_PREVIEW_ACCESS_CONTROL": "true",
        "PUBLIC_URL": "https://sandbox.example",
    }

    async def test_a_link_opens_the_preview_until_it_is_revoked(self) -> None:
        await self.preview()
        made = await self.link(userId="carol")
        self.assertTrue(made["url"].startswith("https://sandbox.example/previews/s1/?"))
        opened, cookie = await self.open(made["url"])
        self.assertEqual((opened.status, opened.headers[b"location"]), (303, b"/previews/s1/"))
        self.assertIn(b"; Secure", opened.headers[b"set-cookie"])
        self.assert_reached(await self.call("GET", "/previews/s1/", key=None, headers={"Cookie": cookie}))
        await self.call("DELETE", f"sessions/s1/previews/links/{made['id']}")
        answer = await self.call("GET", "/previews/s1/", key=None, headers={"Cookie": cookie})
        self.assert_refused(answer, 401, "Invalid token", "TOKEN_INVALID")
        again, _ = await self.open(made["url"])
        self.assert_refused(again, 401, "Invalid token", "TOKEN_INVALID")

    async def test_a_token_of_the_owners_and_no_other(self) -> None:
        await self.preview()
        for user, reached in (("alice", True), ("bob", False)):
            headers = {"Authorization": f"Bearer {token(sub=user).decode()}"}
            answer = await self.call("GET", "/previews/s1/", key=None, headers=headers)
            if reached:
                self.assert_reached(answer)
            else:
                self.assert_refused(answer, 403, DENIED, "ACCESS_DENIED")

    async def test_a_session_is_its_owners_from_the_first_moment_to_the_last(self) -> None:
        headers = {"Authorization": f"Bearer {token(sub='alice').decode()}"}
        self.assert_refused(await self.call("GET", "/previews/s1/", key=None, headers=headers), 403, DENIED)
        await self.preview()
        self.assert_reached(await self.call("GET", "/previews/s1/", key=None, headers=headers))
        await self.call("DELETE", "sessions/s1")
        self.assert_refused(await self.call("GET", "/previews/s1/", key=None, headers=headers), 403, DENIED)

    async def test_a_new_session_of_an_old_id_knows_no_old_links(self) -> None:
        await self.preview()
        made = await self.link()
        _, cookie = await self.open(made["url"])
        await self.call("DELETE", "sessions/s1")
        await self.preview()
        answer = await self.call("GET", "/previews/s1/", key=None, headers={"Cookie": cookie})
        self.assert_refused(answer, 401, "Invalid token")

    async def test_health_is_public(self) -> None:
        await self.preview()
        health = await self.call("GET", "/previews/s1/health", key=None)
        self.assertEqual((health.status, health.json["healthy"]), (200, True))

    async def test_the_internal_twin_ignores_it_and_needs_the_key(self) -> None:
        await self.preview()
        self.assert_reached(await self.call("GET", "/internal-previews/proxy/s1/"))
        self.assert_refused(await self.call("GET", "/internal-previews/proxy/s1/", key=None), 403, "Forbidden")

    async def test_a_registration_may_make_it_public(self) -> None:
        await self.preview("public")
        self.assert_reached(await self.call("GET", "/previews/s1/", key=None))

    async def test_the_preview_host_asks_too(self) -> None:
        await self.preview()
        made = await self.link()
        host = {"Host": urlsplit(made["hostUrl"]).netloc}
        self.assertEqual((await self.call("GET", "/", key=None, headers=host)).status, 401)
        opened = await self.call("GET", self.target(made["hostUrl"]), key=None, headers=host)
        self.assertEqual((opened.status, opened.headers[b"location"]), (303, b"/"))
        self.assertRegex(
            opened.headers[b"set-cookie"],
            rb"\A__Host-sandbox-preview=[^;]+; Path=/; Max-Age=[0-9]+; HttpOnly; SameSite=Lax; Secure\Z",
        )
        cookie = opened.headers[b"set-cookie"].partition(b";")[0].decode()
        reached = await self.call("GET", "/", key=None, headers={**host, "Cookie": cookie})
        self.assert_reached(reached)

    async def test_a_visit_to_a_strange_path_stays_on_its_host(self) -> None:
        await self.preview()
        made = await self.link()
        host = {"Host": urlsplit(made["hostUrl"]).netloc}
        query = urlsplit(made["hostUrl"]).query
        opened = await self.call("GET", f"//evil.example/?{query}", key=None, headers=host)
        self.assertEqual((opened.status, opened.headers[b"location"]), (303, b"/.//evil.example/"))


class ByRegistration(LinksCase):
    """Without the environment's word, and without a secret, a registration's own word counts."""

    async def test_unset_it_is_public(self) -> None:
        await self.preview()
        self.assert_reached(await self.call("GET", "/previews/s1/", key=None))

    async def test_a_preview_for_holders_of_links(self) -> None:
        await self.preview("link")
        answer = await self.call("GET", "/previews/s1/", key=None)
        self.assert_refused(answer, 401, "Missing or invalid authorization token", "TOKEN_MISSING")
        self.assertEqual(answer.headers[b"www-authenticate"], b"Bearer")
        _, cookie = await self.open((await self.link())["url"])
        self.assert_reached(await self.call("GET", "/previews/s1/", key=None, headers={"Cookie": cookie}))

    async def test_a_preview_for_the_owner_alone(self) -> None:
        await self.preview("owner")
        for user, status in ((None, 403), ("carol", 403), ("alice", 303)):
            made = await self.link(**({} if user is None else {"userId": user}))
            self.assertEqual((await self.open(made["url"]))[0].status, status)

    async def test_another_word_is_400(self) -> None:
        await self.session("s1")
        for wrong in ("everybody", "", None, True, ["public"]):
            answer = await self.call("POST", "sessions/s1/previews", {"port": 3000, "access": wrong})
            self.assertEqual((answer.status, "access" in answer.json["message"]), (400, True), wrong)


class WithoutPathForm(LinksCase):
    environment: ClassVar[Mapping[str, str]] = {"PREVIEW_PATH_FORM": "off"}

    async def test_previews_are_on_their_own_hosts_only(self) -> None:
        await self.preview()
        for path in ("/previews/s1/", "/previews/s1", "/previews/s1/x?y"):
            self.assert_refused(await self.call("GET", path, key=None), 404, "There is nothing here")
        referer = {"Referer": f"{self.base}/previews/s1/"}
        self.assertEqual((await self.call("GET", "/asset.js", key=None, headers=referer)).status, 404)
        made = await self.link()
        self.assertEqual(made["url"], made["hostUrl"])
        host = {"Host": urlsplit(made["hostUrl"]).netloc}
        self.assert_reached(await self.call("GET", "/", key=None, headers=host))

    async def test_health_is_where_it_was(self) -> None:
        await self.preview()
        self.assertEqual((await self.call("GET", "/previews/s1/health", key=None)).status, 200)

    async def test_a_registrations_url_is_its_host(self) -> None:
        await self.session("s1")
        answer = await self.call("POST", "sessions/s1/previews", {"port": 3000})
        self.assertEqual(answer.json["url"], answer.json["hostUrl"])
        self.assertTrue(re.match(r"http://3000-s1\.localhost", answer.json["url"]))

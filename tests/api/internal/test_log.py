"""No token, cookie, key, environment value or file content in a log line, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, fail
from twisted.logger import LogEvent, eventAsText, globalLogPublisher

from sandbox.domain.errors import StoreUnavailable
from sandbox.domain.events import SessionCreated
from sandbox.domain.principals import ROOT
from tests.api.stage import KEY, ApiCase
from tests.policy.jwts import SECRET, attacks, token


class Silence(ApiCase):
    environment: ClassVar[Mapping[str, str]] = {
        "JWT_SECRET": SECRET.decode(),
        "ENABLE_PREVIEW_ACCESS_CONTROL": "true",
        "PREVIEW_COOKIE_SECONDS": "10",
    }

    async def setUp(self) -> None:
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        await super().setUp()

    async def test_after_a_full_run_of_good_bad_and_failing_requests(self) -> None:
        secrets = {"key": KEY, "wrong key": "wrong-" + KEY, "JWT_SECRET": SECRET.decode()}
        good, expired, others = token(exp=int(time.time()) + 600), token(exp=1), token(sub="bob")
        forged = token(key=b"x" * 32)
        for name, text in {"good": good, "expired": expired, "other's": others, "forged": forged}.items():
            secrets[name] = text.decode()
            secrets[f"signature of the {name} token"] = text.rpartition(b".")[2].decode()
        await self.work(secrets)
        cookie = await self.visit(secrets)
        tried: list[tuple[str, dict[str, str]]] = [("", {}), ("", {"Cookie": cookie})]
        for text in (good, expired, others, forged, *(attacks()[name] for name in ("crit", "HS512", "a NUL", "huge"))):
            shown = text.decode().replace("\0", "%00")
            tried.append((f"?access_token={shown}", {}))
            if "%" not in shown:
                tried.append(("", {"Authorization": f"Bearer {shown}"}))
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": f"bearer, {forged.decode()}",
        }
        tried += [("", upgrade), ("", {**upgrade, "Sec-WebSocket-Protocol": f"bearer, {others.decode()}"})]
        tried += [("", {"Cookie": cookie, "Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"})]
        for query, headers in tried:
            for method in ("GET", "POST"):
                await self.call(method, f"/previews/s1/{query}", key=None, headers=headers)
        await self.call("GET", "sessions", key="wrong-" + KEY)
        await self.break_things(cookie, good)
        lines = [eventAsText(event, includeTraceback=True) + repr(event) for event in self.events]
        self.assertGreater(len(lines), 5)
        self.assertTrue(any("incident" in line for line in lines), "an unforeseen error was among it")
        for name, secret in secrets.items():
            found = [line for line in lines if secret in line]
            self.assertEqual(found, [], f"the {name} is in the log")

    async def work(self, secrets: dict[str, str]) -> None:
        """What the platform does, with an environment and a file that nobody else should read."""
        secrets.update(
            {"environment": "hunter2-of-the-session", "of exec": "hunter2-of-exec", "file": "hunter2-in-file"}
        )
        body = {"userId": "alice", "id": "s1", "env": {"PASSWORD": secrets["environment"]}}
        created = await self.call("POST", "sessions", body)
        self.runtime.containers.place(created.json["containerId"], "127.0.0.1")
        await self.call("POST", "sessions/s1/exec", {"command": "env", "env": {"PASSWORD": secrets["of exec"]}})
        await self.call("POST", "sessions/s1/files", {"path": "x", "content": secrets["file"]})
        await self.call("POST", "sessions/s1/files", {"path": "../x", "content": secrets["file"]})
        await self.call("POST", "sessions/s1/previews", {"port": self.port.getHost().port})

    async def visit(self, secrets: dict[str, str]) -> str:
        """Make a link, open it, revoke another; the cookie."""
        revoked = (await self.call("POST", "sessions/s1/previews/links", {})).json
        await self.call("DELETE", f"sessions/s1/previews/links/{revoked['id']}")
        made = (await self.call("POST", "sessions/s1/previews/links", {"userId": "carol"})).json
        for name, link in (("revoked link", revoked), ("link", made)):
            secrets[name] = link["url"].partition("access_token=")[2]
            secrets[f"signature of the {name}"] = secrets[name].rpartition(".")[2]
            url = urlsplit(link["url"])
            opened = await self.call("GET", f"{url.path}?{url.query}", key=None)
        pair = opened.headers[b"set-cookie"].partition(b";")[0].decode()
        secrets["cookie"] = pair.partition("=")[2]
        secrets["signature of the cookie"] = pair.rpartition(".")[2]
        return pair

    async def break_things(self, cookie: str, good: bytes) -> None:
        """Have the database fail as foreseen and as not, while somebody shows what should not be logged."""
        headers = {"Cookie": cookie, "Authorization": f"Bearer {good.decode()}"}
        for failing in (self.unforeseen, self.away):
            self.store._call = failing  # type: ignore[method-assign]
            self.application.events.publish(SessionCreated("s1", "u1", by=ROOT))
            answer = await self.call("GET", f"/previews/s1/?access_token={good.decode()}", key=None, headers=headers)
            self.assertIn(answer.status, (500, 503))
        self.flushLoggedErrors(ZeroDivisionError)

    def unforeseen(self, *arguments: Any) -> Deferred[Any]:
        return fail(ZeroDivisionError("the inside"))

    def away(self, *arguments: Any) -> Deferred[Any]:
        return fail(StoreUnavailable("away"))

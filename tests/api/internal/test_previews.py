"""Contract section 4, row by row, over HTTP, and section 7 as far as it needs no application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.api.stage import ApiCase

RANGE = "Port must be an integer between 1024 and 65535"


class Registration(ApiCase):
    async def test_a_port_is_registered_with_201(self) -> None:
        await self.session()
        answer = await self.call("POST", "sessions/s1/previews", {"port": 3000})
        self.assertEqual(answer.status, 201)
        self.assertLessEqual({"sessionId": "s1", "port": 3000, "registered": True}.items(), answer.json.items())

    async def test_the_answer_says_where_a_browser_finds_it(self) -> None:
        await self.session("Team_1")
        answer = await self.call("POST", "sessions/Team_1/previews", {"port": 3000})
        port = self.port.getHost().port
        self.assertEqual(answer.json["url"], f"http://localhost:{port}/previews/Team_1/")
        self.assertEqual(answer.json["hostUrl"], f"http://3000---team-11.localhost:{port}/")

    async def test_the_last_write_wins(self) -> None:
        self.runtime.containers.place(await self.session(), "127.0.0.1")
        closed = await self.closed_port()
        for port in (self.port.getHost().port, closed):
            await self.call("POST", "sessions/s1/previews", {"port": port})
        health = await self.call("GET", "/previews/s1/health")
        self.assertEqual(
            health.json, {"healthy": False, "sessionId": "s1", "port": closed, "error": "Connection refused"}
        )

    async def test_f4_host_is_auto_unless_it_says_otherwise(self) -> None:
        await self.session()
        for said, mode, told in (
            (None, "auto", None),
            ("auto", "auto", None),
            ("public", "public", "public"),
            ("preserve", "public", "public"),
            ("local", "local", "local"),
            ("rewrite", "local", "local"),
        ):
            body = {"port": 3000} | ({} if said is None else {"host": said})
            answer = await self.call("POST", "sessions/s1/previews", body)
            self.assertEqual((answer.status, answer.json["host"]), (201, mode))
            self.assertEqual(answer.json["state"], {"host": {"host": told, "path": told}})
        answer = await self.call("POST", "sessions/s1/previews", {"port": 3000, "host": "else"})
        self.assertEqual(answer.status, 400)

    async def test_f4_its_state_tells_what_was_found_in_this_life_of_the_container(self) -> None:
        self.runtime.containers.place(await self.session(), "127.0.0.1")
        application = reactor.listenTCP(0, Site(Resource()), interface="127.0.0.1")
        self.addCleanup(application.stopListening)
        port = application.getHost().port

        async def found() -> object:
            return (await self.call("POST", "sessions/s1/previews", {"port": port})).json["state"]["host"]

        self.assertEqual(await found(), {"host": None, "path": None})
        self.assertEqual((await self.call("GET", "/previews/s1/x", key=None)).status, 404)
        self.assertEqual(await found(), {"host": None, "path": "public"})
        host = {"Host": f"{port}-s1.localhost"}
        self.assertEqual((await self.call("GET", "/x", key=None, headers=host)).status, 404)
        self.assertEqual(await found(), {"host": "public", "path": "public"})
        await self.call("POST", "sessions/s1/stop")
        await self.call("POST", "sessions/s1/start")
        self.assertEqual(await found(), {"host": None, "path": None})

    async def test_a_missing_port_is_400(self) -> None:
        await self.session()
        for raw in (b"", b"{}"):
            answer = await self.call("POST", "sessions/s1/previews", raw=raw)
            self.assert_refused(answer, 400, "Request body field 'port' is required")

    async def test_a_port_that_is_no_integer_in_range_is_400(self) -> None:
        await self.session()
        for port in (1023, 65536, 0, -1, 3000.5, 3000.0, "3000", "+3000", True, None, [3000]):
            answer = await self.call("POST", "sessions/s1/previews", {"port": port})
            self.assert_refused(answer, 400, RANGE)
        for port in (1024, 65535):
            self.assertEqual((await self.call("POST", "sessions/s1/previews", {"port": port})).status, 201)

    async def test_no_key_is_403(self) -> None:
        self.assert_refused(await self.call("POST", "sessions/s1/previews", {"port": 3000}, key=None), 403, "Forbidden")

    async def test_no_container_and_one_that_does_not_run_are_500(self) -> None:
        missing = await self.call("POST", "sessions/s1/previews", {"port": 3000})
        self.assert_refused(missing, 500, "Failed to find container for session s1")
        await self.session()
        await self.call("POST", "sessions/s1/stop")
        stopped = await self.call("POST", "sessions/s1/previews", {"port": 3000})
        self.assert_refused(stopped, 500, "Container for session s1 is not running")

    async def test_stop_and_delete_drop_the_registration(self) -> None:
        for end in ("stop", "delete"):
            await self.session(end)
            await self.call("POST", f"sessions/{end}/previews", {"port": 3000})
            if end == "stop":
                await self.call("POST", "sessions/stop/stop")
            else:
                await self.call("DELETE", "sessions/delete")
            answer = await self.call("GET", f"/previews/{end}/")
            self.assert_refused(answer, 404, f"No preview port registered for session {end}", "PREVIEW_NOT_REGISTERED")

    async def test_a_container_that_died_or_is_gone_is_500_not_404(self) -> None:
        container = await self.session()
        await self.call("POST", "sessions/s1/previews", {"port": 3000})
        self.runtime.containers.die(container)
        for path in ("/previews/s1/", "/previews/s1/health"):
            self.assert_refused(await self.call("GET", path), 500, "Container for session s1 is not running")
        self.runtime.containers.vanish(container)
        for path in ("/previews/s1/", "/previews/s1/health"):
            self.assert_refused(await self.call("GET", path), 500, "Failed to find container for session s1")

    async def test_a_container_without_an_address_is_500(self) -> None:
        container = await self.session()
        self.runtime.containers.place(container, None)
        await self.call("POST", "sessions/s1/previews", {"port": 3000})
        for path in ("/previews/s1/", "/previews/s1/health"):
            self.assert_refused(await self.call("GET", path), 500, "Container for session s1 has no IP address")

    async def test_health_is_any_status_or_the_reason(self) -> None:
        self.runtime.containers.place(await self.session(), "127.0.0.1")
        port = self.port.getHost().port
        await self.call("POST", "sessions/s1/previews", {"port": port})
        # The daemon's own port stands for an application: it says what it is, and any status is healthy.
        health = await self.call("GET", "/previews/s1/health", key=None)
        self.assertEqual(health.json, {"healthy": True, "sessionId": "s1", "port": port, "statusCode": 200})

    async def test_a_refused_connection_is_502(self) -> None:
        self.runtime.containers.place(await self.session(), "127.0.0.1")
        await self.call("POST", "sessions/s1/previews", {"port": await self.closed_port()})
        self.assert_refused(await self.call("GET", "/previews/s1/"), 502, "Failed to connect to preview server")


class Full(ApiCase):
    environment: ClassVar[Mapping[str, str]] = {"MAX_PREVIEWS": "1"}

    async def test_registrations_are_bounded(self) -> None:
        for name in ("a", "b"):
            await self.session(name)
        self.assertEqual((await self.call("POST", "sessions/a/previews", {"port": 3000})).status, 201)
        self.assertEqual((await self.call("POST", "sessions/a/previews", {"port": 3001})).status, 201)
        answer = await self.call("POST", "sessions/b/previews", {"port": 3000})
        self.assertEqual((answer.status, answer.json["code"]), (503, "TOO_MANY_PREVIEWS"))

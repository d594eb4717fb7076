"""Contract section 8, row by row, over HTTP."""

from __future__ import annotations

from sandbox.domain.model import ContainerState
from tests.api.stage import IMAGE, ApiCase


class Sessions(ApiCase):
    async def test_create_answers_201_with_the_session_running(self) -> None:
        answer = await self.call("POST", "sessions", {"userId": "u1", "id": "My_session-1"})
        self.assertEqual(answer.status, 201)
        session = answer.json
        self.assertEqual(set(session), {"id", "userId", "status", "image", "containerId", "createdAt", "updatedAt"})
        self.assertEqual(
            (session["id"], session["userId"], session["status"], session["image"]),
            ("My_session-1", "u1", "running", IMAGE),
        )
        self.assertRegex(session["createdAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    async def test_an_id_is_made_when_none_is_given(self) -> None:
        answer = await self.call("POST", "sessions", {"userId": "u1"})
        self.assertRegex(answer.json["id"], "^[0-9a-f]{16}$")

    async def test_an_id_that_is_taken_is_409(self) -> None:
        await self.session()
        again = await self.call("POST", "sessions", {"userId": "u2", "id": "s1"})
        self.assert_refused(again, 409, "Session s1 already exists", "SESSION_EXISTS")

    async def test_an_unknown_image_is_400(self) -> None:
        answer = await self.call("POST", "sessions", {"userId": "u1", "image": "no/such:thing"})
        self.assertEqual((answer.status, answer.json["code"]), (400, "IMAGE_UNKNOWN"))
        self.assertEqual((await self.call("GET", "sessions")).json["sessions"], [])

    async def test_what_no_image_can_be_called_is_an_unknown_image(self) -> None:
        for image in (".", "..", "../containers/x", "x/../../containers/y", "UPPER/", "a b", "image:1?x"):
            answer = await self.call("POST", "sessions", {"userId": "u1", "image": image})
            self.assertEqual((answer.status, answer.json["code"]), (400, "IMAGE_UNKNOWN"), image)

    async def test_an_environment_that_no_kernel_takes_names_the_field(self) -> None:
        for env, named in (
            ({"A": "x" * 200_000}, "'env.A'"),
            ({f"A{number}": "x" * 100_000 for number in range(12)}, "'env'"),
            ({"A": "\udcff"}, "'env.A'"),
        ):
            answer = await self.call("POST", "sessions", {"userId": "u1", "env": env})
            self.assertEqual(answer.status, 400)
            self.assertIn(named, answer.json["message"])

    async def test_a_bad_body_names_the_field(self) -> None:
        for body, named in (
            ({}, "'userId' is required"),
            ({"userId": 1}, "'userId'"),
            ({"userId": ""}, "'userId'"),
            ({"userId": "\udcff"}, "'userId'"),
            ({"userId": "u", "id": "a/b"}, "'id'"),
            ({"userId": "u", "id": "x" * 65}, "'id'"),
            ({"userId": "u", "memoryMb": 1 << 30}, "memoryMb"),
            ({"userId": "u", "cpus": 0}, "'cpus'"),
            ({"userId": "u", "cpus": 10_000}, "cpus"),
            ({"userId": "u", "env": []}, "'env'"),
            ({"userId": "u", "privileged": True}, "'privileged' is unknown"),
        ):
            answer = await self.call("POST", "sessions", body)
            self.assertEqual(answer.status, 400, body)
            self.assertIn(named, answer.json["message"])

    async def test_get_one_and_404(self) -> None:
        await self.session()
        self.assertEqual((await self.call("GET", "sessions/s1")).json["id"], "s1")
        self.assert_refused(await self.call("GET", "sessions/nope"), 404, "Session nope not found", "SESSION_NOT_FOUND")

    async def test_status_is_what_the_engine_says(self) -> None:
        container = await self.session()
        self.runtime.containers.die(container)
        self.assertEqual((await self.call("GET", "sessions/s1")).json["status"], "stopped")
        self.runtime.containers.vanish(container)
        self.assertEqual((await self.call("GET", "sessions/s1")).json["status"], "failed")

    async def test_list_filters_and_pages(self) -> None:
        for number in range(5):
            await self.session(f"s{number}", "even" if number % 2 == 0 else "odd")
        everything = (await self.call("GET", "sessions")).json
        self.assertEqual([one["id"] for one in everything["sessions"]], ["s4", "s3", "s2", "s1", "s0"])
        self.assertIsNone(everything["nextCursor"])
        even = (await self.call("GET", "sessions?userId=even")).json["sessions"]
        self.assertEqual([one["id"] for one in even], ["s4", "s2", "s0"])
        first = (await self.call("GET", "sessions?limit=2")).json
        await self.session("s5", "odd")
        second = (await self.call("GET", f"sessions?limit=2&cursor={first['nextCursor']}")).json
        self.assertEqual([one["id"] for one in first["sessions"] + second["sessions"]], ["s4", "s3", "s2", "s1"])
        await self.call("POST", "sessions/s3/stop")
        stopped = (await self.call("GET", "sessions?status=stopped")).json["sessions"]
        self.assertEqual([one["id"] for one in stopped], ["s3"])

    async def test_a_bad_query_names_the_parameter(self) -> None:
        for query, named in (
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("status=gone", "status"),
            ("cursor=!", "cursor"),
            ("userId=%ff", "userId"),
        ):
            answer = await self.call("GET", f"sessions?{query}")
            self.assertEqual(answer.status, 400, query)
            self.assertIn(named, answer.json["message"])

    async def test_stop_and_start_are_idempotent(self) -> None:
        await self.session()
        for _ in range(2):
            answer = await self.call("POST", "sessions/s1/stop")
            self.assertEqual((answer.status, answer.json["status"]), (200, "stopped"))
        for _ in range(2):
            answer = await self.call("POST", "sessions/s1/start")
            self.assertEqual((answer.status, answer.json["status"]), (200, "running"))
        self.assert_refused(await self.call("POST", "sessions/x/start"), 404, "Session x not found")

    async def test_the_workspace_outlives_stop_and_start(self) -> None:
        await self.session()
        await self.call("POST", "sessions/s1/files", {"path": "kept", "content": "yes"})
        await self.call("POST", "sessions/s1/stop")
        await self.call("POST", "sessions/s1/start")
        self.assertEqual((await self.call("GET", "sessions/s1/files?path=kept")).json["content"], "yes")

    async def test_delete_is_204_and_idempotent(self) -> None:
        await self.session()
        for _ in range(2):
            answer = await self.call("DELETE", "sessions/s1")
            self.assertEqual((answer.status, answer.body), (204, b""))
        self.assert_refused(await self.call("GET", "sessions/s1"), 404, "Session s1 not found")
        self.assertEqual(self.runtime.containers.every(), [])

    async def test_containers_of_another_program_are_served(self) -> None:
        self.runtime.containers.add("theirs", state=ContainerState.RUNNING)
        answer = await self.call("POST", "sessions/theirs/exec", {"command": "echo x"})
        self.assertEqual(answer.json["stdout"], "x\n")


class Door(ApiCase):
    async def test_every_internal_path_needs_the_key_before_its_route_is_looked_up(self) -> None:
        for method, path in (
            ("GET", "sessions"),
            ("POST", "sessions/x/exec"),
            ("DELETE", "sessions/x"),
            ("GET", "no/such/route"),
            ("PUT", "sessions"),
            ("GET", "/internal-previews/proxy/s1/"),
        ):
            self.assert_refused(await self.call(method, path, key=None), 403, "Forbidden", "FORBIDDEN")

    async def test_a_key_in_the_query_or_under_an_alias_is_no_key(self) -> None:
        query = await self.call("GET", "sessions?X-Internal-Service-Key=the-service-key", key=None)
        alias = await self.call("GET", "sessions", key=None, headers={"X_Internal_Service_Key": "the-service-key"})
        self.assertEqual((query.status, alias.status), (403, 403))

    async def test_a_key_that_is_not_ascii_is_403(self) -> None:
        self.assertEqual((await self.call("GET", "sessions", key="schlüssel")).status, 403)

    async def test_a_wrong_key_is_refused_before_the_body_is_read(self) -> None:
        answer = await self.call("POST", "sessions", key="wrong", raw=b"x" * 11_000_000)
        self.assert_refused(answer, 403, "Forbidden")

    async def test_ways_around_the_prefix_lead_nowhere(self) -> None:
        for path in ("/api/%69nternal/sessions", "//api/internal/sessions", "/previews/../api/internal/sessions"):
            self.assertEqual((await self.call("GET", path)).status, 404, path)

    async def test_an_unknown_route_is_a_404_in_our_shape(self) -> None:
        self.assert_refused(await self.call("GET", "nothing"), 404, "No such endpoint", "NOT_FOUND")
        self.assert_refused(await self.call("GET", "sessions//files"), 404, "No such endpoint", "NOT_FOUND")

    async def test_a_wrong_method_is_405_and_says_which_are_right(self) -> None:
        answer = await self.call("PUT", "sessions")
        self.assert_refused(answer, 405, "Method not allowed", "METHOD_NOT_ALLOWED")
        self.assertEqual(answer.headers[b"allow"], b"GET, HEAD, POST")

    async def test_a_bad_session_id_is_400(self) -> None:
        for session_id in ("a.b", "a%20b", "x" * 65, "%C3%BC", "a%0a"):
            answer = await self.call("GET", f"sessions/{session_id}")
            self.assert_refused(answer, 400, "Session id must match [A-Za-z0-9_-]{1,64}", "INVALID_REQUEST")

    async def test_a_path_that_is_not_utf8_is_400(self) -> None:
        self.assertEqual((await self.call("GET", "sessions/%ff")).status, 400)

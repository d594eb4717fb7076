"""F3, F18: what an endpoint does not know is refused by its name."""

from __future__ import annotations

from sandbox.api.internal.api import description
from tests.api.stage import ApiCase


class Parameters(ApiCase):
    async def test_f3_no_operation_takes_a_parameter_that_it_does_not_know(self) -> None:
        for path, item in description()["paths"].items():
            for method in set(item) - {"parameters"}:
                operation = item[method]
                if "default" in operation["responses"]:  # an application's
                    continue
                known = [one for one in operation.get("parameters", ()) if one["in"] == "query" and one["required"]]
                query = "".join(f"{one['name']}={one['schema']['examples'][0]}&" for one in known)
                target = path.format(sessionId="s1", linkId="l1") + f"?{query}user=alice"
                body = {} if "requestBody" in operation else None
                answer = await self.call(method.upper(), target, body)
                self.assert_refused(answer, 400, "Query parameter 'user' is unknown", "INVALID_REQUEST")

    async def test_f3_forms_of_unknown_parameters(self) -> None:
        for query, name in (("x", "x"), ("%78=1", "x"), ("=1", ""), ("limit=5&Limit=6", "Limit"), ("a+b=1", "a b")):
            answer = await self.call("GET", f"sessions?{query}")
            self.assert_refused(answer, 400, f"Query parameter '{name}' is unknown")
        for query in ("", "&", "limit=5&&"):
            self.assertEqual((await self.call("GET", f"sessions?{query}")).status, 200)

    async def test_f3_a_parameter_that_comes_twice(self) -> None:
        answer = await self.call("GET", "sessions?userId=alice&userId=bob")
        self.assert_refused(answer, 400, "Query parameter 'userId' is given more than once")

    async def test_f3_what_is_missing_is_named_first_in_the_contracts_words(self) -> None:
        await self.session()
        answer = await self.call("GET", "sessions/s1/files?pth=a")
        self.assert_refused(answer, 400, "Query parameter 'path' is required")

    async def test_f3_a_semicolon_is_part_of_a_value(self) -> None:
        await self.session()
        await self.call("POST", "sessions/s1/files", {"path": "a;b", "content": "x"})
        self.assertEqual((await self.call("GET", "sessions/s1/files?path=a;b")).json["path"], "a;b")


class Fields(ApiCase):
    async def test_f18_what_is_missing_and_what_is_unknown_are_both_named(self) -> None:
        answer = await self.call("POST", "sessions", {"userID": "alice"})
        self.assert_refused(answer, 400, "Request body field 'userId' is required; unknown field 'userID'")
        answer = await self.call("POST", "sessions", {"userID": "alice", "Image": "x"})
        self.assert_refused(answer, 400, "Request body field 'userId' is required; unknown fields 'Image', 'userID'")

    async def test_f18_messages_without_both_are_as_they_were(self) -> None:
        await self.session()
        for path, body, message in (
            ("sessions", {}, "Request body field 'userId' is required"),
            ("sessions", {"userId": "u", "x": 1}, "Request body field 'x' is unknown"),
            ("sessions/s1/previews", {}, "Request body field 'port' is required"),
        ):
            self.assert_refused(await self.call("POST", path, body), 400, message)

    async def test_f18_names_are_shown_in_part_and_in_number(self) -> None:
        body = {f"{number:0200d}": 1 for number in range(50)}
        message = (await self.call("POST", "sessions", body)).json["message"]
        self.assertEqual(message.count("'0000"), 5)
        self.assertLess(len(message), 700)

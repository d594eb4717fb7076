"""Issue 15: two APIs side by side, each with its own prefix, authentication, errors, admission and streams."""

from __future__ import annotations

import json
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from sandbox.http.routes import Route, Routes
from tests.api.framework.shelf import UPLOAD_LIMIT, ShelfEndpoints, description, shelf
from tests.api.stage import Answer, ApiCase
from tests.http.wire import Wire, connect

READER = {"X-Reader": "alice"}
HEAD = b"%b /shelf/v2/%b HTTP/1.1\r\nHost: x\r\nX-Reader: alice\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
#: Bytes that no client and no server takes into its buffers at once.
MUCH = 30_000_000


class ShelfCase(ApiCase):
    """The shelf beside the internal API, on one site."""

    async def setUp(self) -> None:
        await super().setUp()
        self.shelf = ShelfEndpoints()
        api = shelf(self.shelf)
        inner: Any = self.site.resource
        root = Routes([Route(b"/shelf/v2/", api.admit, api.resource, "shelf"), Route(b"", inner.admit, inner)])
        self.site.resource, self.site.admit = root, root.admit
        self.wires: list[Wire] = []

    async def tearDown(self) -> None:
        for wire in self.wires:
            wire.abort()
            await wire.closed()
        await super().tearDown()

    async def wire(self) -> Wire:
        wire = await connect(self.port.getHost().port)
        self.wires.append(wire)
        return wire

    async def shelved(self, method: str, path: str, body: object = None, **how: Any) -> Answer:
        """A request to the shelf, of alice's."""
        how.setdefault("headers", READER)
        return await self.call(method, f"/shelf/v2/{path}", body, key=None, **how)

    def fault(self, answer: Answer) -> tuple[int, str, str]:
        """What an error says; fails when it has another shape."""
        self.assertLessEqual(set(answer.json), {"fault", "says", "book", "incident"})
        return answer.status, answer.json["fault"], answer.json["says"]

    async def until(self, condition: Any) -> None:
        """Wait for something that comes about in other turns of the reactor."""
        while not condition():
            await deferLater(reactor, 0.01)


class SideBySide(ShelfCase):
    async def test_each_knows_its_own_credentials_and_says_its_own_errors(self) -> None:
        refused = (401, "token_missing", "Who are you?")
        self.assertEqual(self.fault(await self.shelved("GET", "books", headers={})), refused)
        keyed = {"X-Internal-Service-Key": "the-service-key"}
        self.assertEqual(self.fault(await self.shelved("GET", "books", headers=keyed)), refused)
        self.assert_refused(await self.call("GET", "sessions", key=None, headers=READER), 403, "Forbidden")
        self.assertEqual((await self.shelved("GET", "books")).json, ["emma", "persuasion"])
        self.assertEqual((await self.call("GET", "sessions")).json["sessions"], [])

    async def test_the_endpoint_is_told_whose_call_it_is(self) -> None:
        for name in ("alice", "bob"):
            made = await self.shelved("POST", "books", {"bookTitle": "Emma"}, headers={"X-Reader": name})
            self.assertEqual((made.status, made.json["by"]), (201, f"user:{name}"))

    async def test_messages_are_decoded_with_their_defaults_and_encoded_without_what_is_absent(self) -> None:
        made = await self.shelved("POST", "books", {"bookTitle": "Emma"})
        self.assertEqual(made.json, {"bookTitle": "Emma", "copies": 1, "by": "user:alice"})
        made = await self.shelved("POST", "books", {"bookTitle": "Emma", "copies": 0})
        self.assertEqual(made.json["copies"], 0)

    async def test_every_refusal_has_the_shape_of_its_api(self) -> None:
        for method, path, body, expected in (
            ("GET", "nothing", None, (404, "not_found", "No such endpoint")),
            ("DELETE", "books", None, (405, "method_not_allowed", "Method not allowed")),
            ("GET", "%ff", None, (422, "invalid_request", "The path must be percent-encoded UTF-8")),
            ("GET", "books?x=1", None, (422, "invalid_request", "Query parameter 'x' is unknown")),
            ("POST", "books/EMMA/lend", None, (422, "invalid_request", "no such name")),
            ("POST", "books", {}, (422, "invalid_request", "Request body field 'bookTitle' is required")),
            (
                "POST",
                "books",
                {"bookTitle": "x" * 2000},
                (413, "body_too_large", "Request body is larger than 1000 bytes"),
            ),
            (
                "POST",
                "notes",
                {"bookTitle": "x" * 200},
                (413, "body_too_large", "Request body is larger than 100 bytes"),
            ),
            ("POST", "books/lost/lend", None, (404, "session_not_found", "Session lost not found")),
            ("POST", "books/burnt/lend", None, (500, "internal", "Internal server error")),
        ):
            answer = await self.shelved(method, path, body)
            self.assertEqual(self.fault(answer), expected, path)
            if expected[0] == 405:
                self.assertEqual(answer.headers[b"allow"], b"GET, HEAD, POST")
            if expected[0] == 500:
                self.assertIn("incident", answer.json)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((await self.shelved("POST", "books/lost/lend")).json["book"], "unknown")
        self.assert_refused(await self.call("GET", "nothing"), 404, "No such endpoint")

    async def test_what_is_logged_and_counted_is_the_stable_code(self) -> None:
        await self.shelved("GET", "nothing")
        self.assertEqual(self.site.traffic.errors["NOT_FOUND"], 1)

    async def test_each_has_a_description(self) -> None:
        OpenAPIV31SpecValidator(description()).validate()
        paths = description()["paths"]
        self.assertEqual(paths["/shelf/v2/books/{bookId}/text"]["put"]["requestBody"]["content"], {"text/plain": {}})
        self.assertEqual(set(paths["/shelf/v2/books"]["post"]["responses"]), {"201", "401", "422"})


class Admission(ShelfCase):
    async def test_credentials_come_before_the_route_and_the_body(self) -> None:
        wire = await self.wire()
        head = b"POST /shelf/v2/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        answer = await wire.ask(head)
        self.assertEqual((answer.status, answer.get(b"connection")), (401, b"close"))

    async def test_the_body_of_a_request_without_an_operation_is_not_awaited(self) -> None:
        answer = await (await self.wire()).ask(HEAD % (b"POST", b"nothing") + b"Content-Length: 5\r\n\r\n")
        self.assertEqual((answer.status, answer.get(b"connection")), (404, b"close"))

    async def test_a_body_that_its_operation_does_not_take_is_read_and_the_connection_persists(self) -> None:
        wire = await self.wire()
        wire.send(HEAD % (b"POST", b"books/emma/lend") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        await wire.bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.received = b""
        answer = await wire.ask(b"hello")
        self.assertEqual((answer.status, answer.get(b"connection")), (200, None))

    async def test_such_a_body_that_came_along_is_dropped_and_the_connection_goes_on(self) -> None:
        wire = await self.wire()
        for _ in range(2):
            answer = await wire.ask(HEAD % (b"POST", b"books/emma/lend") + b"Content-Length: 5\r\n\r\nhello")
            self.assertEqual((answer.status, answer.get(b"connection")), (200, None))

    async def test_a_buffered_body_is_there_before_the_endpoint_is_called(self) -> None:
        wire = await self.wire()
        body = b'{"bookTitle": "Emma"}'
        wire.send(HEAD % (b"POST", b"books") + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        await wire.bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(self.shelf.called, [])
        wire.received = b""
        self.assertEqual((await wire.ask(body)).status, 201)

    async def test_a_streamed_body_is_asked_for_by_the_endpoint(self) -> None:
        wire = await self.wire()
        wire.send(HEAD % (b"PUT", b"books/emma/text") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        await wire.bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(self.shelf.called, ["write_book"])
        wire.received = b""
        self.assertEqual(json.loads((await wire.ask(b"hello")).body)["size"], 5)

    async def test_no_body_is_asked_for_that_is_refused(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(HEAD % (b"POST", b"nothing") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(answer.status, 404)


class Uploads(ShelfCase):
    async def test_a_body_arrives_whole_whatever_its_framing(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(HEAD % (b"PUT", b"books/emma/text") + CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        self.assertEqual((json.loads(answer.body)["size"], answer.get(b"connection")), (5, None))
        answer = await wire.ask(HEAD % (b"PUT", b"books/emma/text") + b"Content-Length: 0\r\n\r\n")
        self.assertEqual(json.loads(answer.body)["size"], 0)
        answer = await wire.ask(
            HEAD % (b"PUT", b"books/emma/text") + b"Content-Length: %d\r\n\r\n" % MUCH + b"x" * MUCH
        )
        self.assertEqual((json.loads(answer.body)["size"], self.shelf.taken), (MUCH, MUCH + 5))

    async def test_no_more_is_read_than_the_endpoint_takes(self) -> None:
        self.shelf.gate = Deferred()
        wire = await self.wire()
        wire.send(HEAD % (b"PUT", b"books/emma/text") + b"Content-Length: %d\r\n\r\n" % MUCH + b"x" * MUCH)
        await self.until(lambda: self.shelf.taken)
        (connection,) = self.site._connections
        # What may come meanwhile has had its time to.
        await self.pause(0.3)
        self.assertLess(connection.bytes_in, 1_000_000)
        self.shelf.gate.callback(None)
        self.assertEqual(json.loads((await wire.answer()).body)["size"], MUCH)

    async def test_a_body_over_the_operations_own_limit_is_refused_by_its_length(self) -> None:
        size = UPLOAD_LIMIT + 1
        answer = await (await self.wire()).ask(
            HEAD % (b"PUT", b"books/emma/text") + b"Content-Length: %d\r\n\r\n" % size
        )
        self.assertEqual((answer.status, json.loads(answer.body)["fault"]), (413, "body_too_large"))
        self.assertEqual(self.shelf.called, [])

    async def test_a_chunked_body_over_that_limit_is_refused_when_it_is_there(self) -> None:
        wire = await self.wire()
        wire.send(HEAD % (b"PUT", b"books/emma/text") + CHUNKED)
        wire.send(b"%x\r\n" % UPLOAD_LIMIT + b"x" * UPLOAD_LIMIT + b"\r\n1\r\nx\r\n")
        answer = await wire.answer()
        self.assertEqual((answer.status, json.loads(answer.body)["fault"]), (413, "body_too_large"))
        self.assertEqual(self.shelf.ended, ["BodyTooLarge"])
        self.assertLessEqual(self.shelf.taken, UPLOAD_LIMIT)

    async def test_a_broken_body_is_refused_in_the_shape_of_its_api(self) -> None:
        wire = await self.wire()
        wire.send(HEAD % (b"PUT", b"books/emma/text") + CHUNKED + b"3\r\nabc\r\n")
        await self.until(lambda: self.shelf.taken)
        answer = await wire.ask(b"nonsense\r\n")
        self.assertEqual((answer.status, json.loads(answer.body)["fault"]), (400, "malformed_request"))

    async def test_a_client_that_leaves_cancels_the_endpoint(self) -> None:
        wire = await self.wire()
        wire.send(HEAD % (b"PUT", b"books/emma/text") + CHUNKED + b"3\r\nabc\r\n")
        await self.until(lambda: self.shelf.taken)
        wire.abort()
        await self.until(lambda: self.shelf.ended)
        self.assertEqual(self.shelf.ended, ["CancelledError"])


class Downloads(ShelfCase):
    async def test_pieces_leave_as_they_are_made(self) -> None:
        self.shelf.gate = Deferred()
        wire = await self.wire()
        wire.send(HEAD % (b"GET", b"books/emma/text") + b"\r\n")
        await wire.bytes(b"\r\n\r\n")
        self.assertNotIn(b"page", wire.received)
        gate, self.shelf.gate = self.shelf.gate, Deferred()
        gate.callback(None)
        await wire.bytes(b"page 0")
        self.assertEqual(self.shelf.made, 1)
        self.shelf.gate.callback(None)
        answer = await wire.answer()
        self.assertEqual((answer.body, answer.complete), (b"page 0\npage 1\npage 2\n", True))
        self.assertEqual(answer.get(b"content-type"), b"text/plain")
        self.assertEqual(self.shelf.ended, ["closed"])

    async def test_the_connection_serves_the_next_request(self) -> None:
        wire = await self.wire()
        for _ in range(2):
            answer = await wire.ask(HEAD % (b"GET", b"books/emma/text") + b"\r\n")
            self.assertEqual((answer.status, answer.complete), (200, True))

    async def test_no_more_is_made_than_the_client_reads(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(HEAD % (b"GET", b"books/long/text") + b"\r\n")
        made = -1
        while made != self.shelf.made:
            made = self.shelf.made
            await self.pause(0.3)
        self.assertGreater(made, 0)
        self.assertLess(made, 10_000)
        wire.transport.resumeProducing()
        await self.until(lambda: self.shelf.made > made)

    async def test_a_client_that_leaves_between_two_pieces_closes_them(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(HEAD % (b"GET", b"books/long/text") + b"\r\n")
        await self.until(lambda: self.shelf.made)
        await self.pause(0.3)
        wire.abort()
        await self.until(lambda: self.shelf.ended)
        self.assertEqual(self.shelf.ended, ["GeneratorExit", "closed"])

    async def test_a_client_that_leaves_while_a_piece_is_awaited_cancels_that(self) -> None:
        self.shelf.gate = Deferred()
        wire = await self.wire()
        wire.send(HEAD % (b"GET", b"books/emma/text") + b"\r\n")
        await wire.bytes(b"\r\n\r\n")
        await self.pause(0.05)
        wire.abort()
        await self.until(lambda: self.shelf.ended)
        self.assertEqual(self.shelf.ended, ["CancelledError", "closed"])

    async def test_pieces_that_fail_make_an_answer_that_is_visibly_incomplete(self) -> None:
        wire = await self.wire()
        wire.send(HEAD % (b"GET", b"books/torn/text") + b"\r\n")
        await wire.closed()
        self.assertIn(b"page 1", wire.received)
        self.assertFalse(wire.received.endswith(b"0\r\n\r\n"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_head_has_the_head_and_makes_nothing(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(HEAD % (b"HEAD", b"books/long/text") + b"\r\n")
        self.assertEqual((answer.status, answer.get(b"transfer-encoding"), answer.body), (200, b"chunked", b""))
        self.assertEqual(self.shelf.made, 0)
        self.assertEqual((await wire.ask(HEAD % (b"GET", b"books/emma/text") + b"\r\n")).status, 200)

    async def test_before_http_1_1_the_connections_end_is_the_bodys(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(b"GET /shelf/v2/books/emma/text HTTP/1.0\r\nX-Reader: alice\r\n\r\n")
        self.assertEqual((answer.body, answer.get(b"connection")), (b"page 0\npage 1\npage 2\n", b"close"))

    async def test_what_pieces_log_names_the_request_and_its_session(self) -> None:
        answer = await self.shelved("GET", "books/emma/text")
        self.assertEqual(set(self.shelf.origins), {(answer.headers[b"x-request-id"], "emma")})

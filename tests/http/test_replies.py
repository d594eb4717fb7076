"""Errors become the contract's one shape (section 1)."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from sandbox.api.internal.errors import ERRORS
from sandbox.domain import errors
from sandbox.domain.model import ExecResult
from sandbox.http.replies import Reply, reply_to


class Shape(SynchronousTestCase):
    def test_a_known_error_has_status_error_code_and_message(self) -> None:
        reply = reply_to(errors.PreviewNotRegistered("abc"))
        self.assertEqual(
            json.loads(reply.body()),
            {
                "statusCode": 404,
                "error": "Not Found",
                "code": "PREVIEW_NOT_REGISTERED",
                "message": "No preview port registered for session abc",
            },
        )

    def test_a_subclass_takes_its_parents_row(self) -> None:
        class Narrower(errors.SessionExists):
            code = "NARROWER"

        reply = reply_to(Narrower("abc"))
        self.assertEqual((reply.status, (reply.payload or {})["code"]), (409, "NARROWER"))

    def test_the_tables_rows(self) -> None:
        for error, status, message in (
            (errors.ServiceKeyRejected(), 403, "Forbidden"),
            (errors.InvalidPath("empty"), 400, "Invalid path: empty"),
            (errors.ContainerNotFound("s"), 500, "Failed to find container for session s"),
            (errors.ContainerNotRunning("s"), 500, "Container for session s is not running"),
            (errors.ContainerWithoutAddress("s"), 500, "Container for session s has no IP address"),
            (errors.ExecutionFailed("x"), 500, "Execution failed: x"),
            (errors.ExecutionTimeout(5, ExecResult(exit_code=137)), 500, "Execution timeout after 5ms"),
            (errors.PreviewUnreachable(), 502, "Failed to connect to preview server"),
            (errors.PreviewMisbehaved(), 502, "Bad Gateway"),
            (errors.PreviewTimedOut(), 504, "Preview server timed out"),
            (errors.SessionNotFound("s"), 404, "Session s not found"),
            (errors.AccessDenied(), 403, "You do not have permission to access this preview"),
            (errors.StoreUnavailable("away"), 503, "away"),
            (errors.BodyTooLarge(5), 413, "Request body is larger than 5 bytes"),
        ):
            with self.subTest(type(error).__name__):
                reply = reply_to(error)
                self.assertEqual((reply.status, (reply.payload or {})["message"]), (status, message))

    def test_further_fields_follow_the_shape(self) -> None:
        """Issue 15: errors carry values; their names on the wire are the encoder's."""
        self.assertEqual(json.loads(reply_to(errors.PreviewNotRegistered("abc", 3000)).body())["port"], 3000)
        late = errors.ExecutionTimeout(5, ExecResult(exit_code=137, stdout=b"part", duration_ms=6))
        self.assertNotIn("stdout", json.loads(reply_to(late).body()))
        payload = json.loads(ERRORS.encode(late).body())
        self.assertEqual((payload["stdout"], payload["durationMs"], payload["survivors"]), ("part", 6, 0))

    def test_an_unforeseen_error_shows_an_incident_and_nothing_of_the_inside(self) -> None:
        reply = reply_to(RuntimeError("the inside"))
        (logged,) = self.flushLoggedErrors(RuntimeError)
        self.assertIn("the inside", str(logged.value))
        payload = reply.payload or {}
        self.assertEqual((reply.status, payload["message"]), (500, "Internal server error"))
        self.assertRegex(payload["incident"], "^[0-9a-f]{16}$")
        self.assertNotIn(b"inside", reply.body())

    def test_a_name_that_is_no_text_survives_as_an_escape(self) -> None:
        self.assertEqual(json.loads(Reply(200, {"name": "a\udcff"}).body()), {"name": "a\udcff"})

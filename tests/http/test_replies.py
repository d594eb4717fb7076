"""Errors become the contract's one shape (section 1)."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain import errors
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
            (errors.ExecutionTimeout(5, {}), 500, "Execution timeout after 5ms"),
            (errors.PreviewUnreachable(), 502, "Failed to connect to preview server"),
            (errors.PreviewMisbehaved(), 502, "Bad Gateway"),
            (errors.PreviewTimedOut(), 504, "Preview server timed out"),
            (errors.SessionNotFound("s"), 404, "Session s not found"),
            (errors.AccessDenied(), 403, "You do not have permission to access this preview"),
            (errors.StoreUnavailable("away"), 503, "away"),
            (errors.BodyTooLarge("big"), 413, "big"),
        ):
            with self.subTest(type(error).__name__):
                reply = reply_to(error)
                self.assertEqual((reply.status, (reply.payload or {})["message"]), (status, message))

    def test_details_follow_the_shape(self) -> None:
        payload = reply_to(errors.ExecutionTimeout(5, {"stdout": "part"})).payload or {}
        self.assertEqual(payload["stdout"], "part")

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

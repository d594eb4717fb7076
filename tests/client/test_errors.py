"""Which exception a refusal becomes, held against every error that the daemon has."""

from __future__ import annotations

import inspect
import json

from twisted.trial.unittest import SynchronousTestCase

import sandbox.domain.errors as daemon
from sandbox.api.internal.errors import ERRORS
from sandbox.client import errors
from sandbox.client.protocol import Answer, Call
from sandbox.domain.model import ExecResult
from sandbox.operations.idempotency import IdempotencyKeyUnknown, IdempotencyMismatch
from sandbox.runtimes.docker import agent_errors

#: Each of the daemon's errors, and what a client's caller catches.
MEANT = {
    daemon.InvalidRequest("x"): errors.InvalidRequest,
    daemon.InvalidPath("x"): errors.InvalidPath,
    daemon.BodyTooLarge(5): errors.BodyTooLarge,
    daemon.Conflict("x"): errors.Conflict,
    daemon.SessionExists("x"): errors.SessionExists,
    daemon.SessionsReadOnly(): errors.SessionsReadOnly,
    daemon.SessionNotFound("x"): errors.SessionNotFound,
    daemon.ImageUnknown("x"): errors.ImageUnknown,
    daemon.ImageUnusable("x", "y"): errors.InvalidRequest,
    daemon.ContainerNotFound("x"): errors.ContainerNotFound,
    daemon.ContainerNotRunning("x"): errors.ContainerNotRunning,
    daemon.ContainerNotRunning("x", "paused"): errors.ContainerNotRunning,
    daemon.ContainerWithoutAddress("x"): errors.ContainerError,
    daemon.PreviewRefused("x", "y"): errors.PreviewRefused,
    daemon.EngineUnavailable("x"): errors.EngineUnavailable,
    daemon.ContainerUnresponsive("x"): errors.EngineUnavailable,
    daemon.StoreUnavailable("x"): errors.StoreUnavailable,
    daemon.AccessUnavailable(): errors.Unavailable,
    daemon.Overloaded("x"): errors.Unavailable,
    daemon.Overloaded("x", code="CONTAINER_BUSY"): errors.Unavailable,
    daemon.AnswerMemoryExhausted(): errors.Unavailable,
    daemon.ExecutionTimeout(1, ExecResult(exit_code=137)): errors.ExecutionTimeout,
    daemon.ExecutionTimeout(1, ExecResult(exit_code=137, survivors=1)): errors.ExecutionTimeout,
    daemon.PreviewNotRegistered("x"): errors.PreviewNotRegistered,
    daemon.ServiceKeyRejected(): errors.Forbidden,
    IdempotencyMismatch(): errors.IdempotencyKeyReused,
    IdempotencyKeyUnknown(): errors.OutcomeUnknown,
}
#: Those whose meaning is the call's that failed, or that no call of the API answers with.
UNDECORATED = {
    daemon.SandboxError,
    daemon.EngineError,
    daemon.UnknownPath,
    daemon.ExecutionFailed,
    daemon.DirectoryUnusable,
    daemon.WorkspaceError,
    daemon.PreviewUnreachable,
    daemon.PreviewMisbehaved,
    daemon.PreviewTimedOut,
    daemon.TokenRejected,
    daemon.AccessDenied,
    daemon.CrossOriginDenied,
}


class ErrorsTests(SynchronousTestCase):
    def caught(self, error: BaseException, family: type[errors.ApiError] = errors.ApiError) -> errors.ApiError:
        """What a client makes of the daemon's answer for an error."""
        reply = ERRORS.encode(error)
        headers = {name.decode(): value.decode() for name, value in reply.headers}
        call = Call(method="GET", target="/", parse=lambda payload: payload, family=family)
        return self.assertRaises(errors.ApiError, call.result, Answer(reply.status, headers, reply.body()))

    def test_each_error_of_the_daemon_has_its_exception(self) -> None:
        for error, kind in MEANT.items():
            with self.subTest(error=repr(error)):
                found = self.caught(error)
                self.assertIs(type(found), kind)
                self.assertEqual((found.code, str(found)), (error.reason_code, error.message))

    def test_no_error_of_the_daemon_was_forgotten(self) -> None:
        every = dict(inspect.getmembers(daemon, inspect.isclass)).values()
        classes = {kind for kind in every if kind.__module__.startswith(daemon.__name__)}
        self.assertEqual(classes, {type(error) for error in MEANT if type(error) in classes} | UNDECORATED)

    def test_why_a_file_operation_failed_is_a_file_error(self) -> None:
        special = {
            "FILE_NOT_FOUND": errors.FileNotFound,
            "IS_A_DIRECTORY": errors.IsADirectory,
            "NOT_A_DIRECTORY": errors.NotADirectory,
            "NOT_UTF8": errors.NotText,
            "NO_SPACE": errors.NoSpace,
        }
        for code in {*agent_errors._FILE_CODES.values(), "NOT_UTF8", "IO_ERROR", "TIMEOUT", "PROCESS_LIMIT"}:
            found = self.caught(daemon.WorkspaceError("no", code=code), errors.FileError)
            self.assertIs(type(found), special.get(code, errors.FileError), code)

    def test_why_a_command_could_not_be_run_is_a_failed_execution(self) -> None:
        special = {"COMMAND_NOT_FOUND": errors.CommandNotFound, "COMMAND_NOT_EXECUTABLE": errors.CommandNotExecutable}
        codes = {
            *agent_errors._PROGRAM_CODES.values(),
            *agent_errors._OWN_CODES.values(),
            "CWD_UNUSABLE",
            "PROCESS_LIMIT",
        }
        for code in codes:
            found = self.caught(daemon.ExecutionFailed("no", code), errors.ExecutionFailed)
            self.assertIs(type(found), special.get(code, errors.ExecutionFailed), code)

    def test_details_and_the_wait_that_is_asked_for_come_along(self) -> None:
        late = self.caught(daemon.ExecutionTimeout(1, ExecResult(exit_code=137, stdout=b"part", duration_ms=6)))
        self.assertEqual((late.details["stdout"], late.details["durationMs"]), ("part", 6))
        busy = self.caught(daemon.Overloaded("x"))
        self.assertEqual((busy.retry_after, busy.status), (2.0, 503))

    def test_a_body_in_another_shape_is_still_an_error(self) -> None:
        for body in (b"", b"[]", b"null", b"no", json.dumps({"message": None}).encode()):
            call = Call(method="GET", target="/", parse=lambda payload: payload)
            found = self.assertRaises(errors.NotFound, call.result, Answer(404, {"retry-after": "soon"}, body))
            self.assertEqual((found.status, found.retry_after), (404, None))

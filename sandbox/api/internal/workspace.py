"""The endpoints of what goes on in a session's container: commands and files (contract sections 2 and 3)."""

from __future__ import annotations

import hashlib

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sandbox.api.framework import error_responses
from sandbox.api.framework.endpoint import SESSION, Call, endpoint
from sandbox.api.framework.error_responses import error_response
from sandbox.api.framework.operation import Answer, Parameter
from sandbox.api.internal import response_schemas, schemas
from sandbox.api.internal.views import exec_spec, metadata_view, result_view
from sandbox.domain.errors import AnswerMemoryExhausted, InvalidRequest
from sandbox.domain.model import ExecResult, ExecSpec, iso_ns
from sandbox.domain.principals import Principal
from sandbox.http.replies import Reply
from sandbox.operations.execution import Execution, output_size
from sandbox.operations.files import Files
from sandbox.operations.idempotency import IdempotencyCache, IdempotencyKeyUnknown, IdempotencyMismatch
from sandbox.policy.budget import Budget, Share
from sandbox.policy.paths import display_name

_PATH = (Parameter("query", "path", schemas.WORKSPACE_PATH, required=True),)
_DIRECTORY_PATH = (Parameter("query", "path", schemas.DIRECTORY_PATH, required=True),)


def _hold(outcome: ExecResult | Failure, share: Share) -> ExecResult | Failure:
    """Have a request hold an outcome that is not its own."""
    size = output_size(outcome)
    if size and not share.take(size):
        raise AnswerMemoryExhausted
    return outcome


class WorkspaceEndpoints:
    """Of :class:`sandbox.api.internal.api.InternalApi`."""

    _execution: Execution
    _files: Files
    _idempotency: IdempotencyCache[ExecResult]
    _output_limit: int
    memory: Budget

    @endpoint(
        "POST",
        SESSION + "/exec",
        Answer(200, "The command ended, with whatever exit code.", response_schemas.RESULT),
        tag="commands",
        parameters=(
            Parameter("header", "Idempotency-Key", schemas.IDEMPOTENCY_KEY),
            Parameter("header", "Idempotency-Replay", schemas.IDEMPOTENCY_REPLAY),
        ),
        body=schemas.COMMAND,
        errors=(*error_responses.COMMAND, error_response(IdempotencyKeyUnknown), error_response(IdempotencyMismatch)),
    )
    async def exec(self, call: Call) -> Reply:
        """Run a command in a session's container and wait for its end.

        When its time is up, or when the client hangs up, it and every process that it started are killed. It has no
        standard input; its output comes when it has ended.
        """
        spec = exec_spec(call.body, self._output_limit)
        key, replay = call.given["Idempotency-Key"], call.given["Idempotency-Replay"]
        if key is None:
            if replay is not None:
                raise InvalidRequest("Header Idempotency-Replay needs an Idempotency-Key")
            return Reply(200, result_view(await self._execution.run(call.principal, call.session_id, spec, call.share)))
        known = call.session_id, key, hashlib.sha256(call.raw).digest()
        if replay is None:
            outcome = self._idempotency.run(*known, lambda: self._run_for_many(call.principal, call.session_id, spec))
        else:
            outcome = self._idempotency.replay(*known)
        return Reply(200, result_view(await outcome.addBoth(_hold, call.share)))

    def _run_for_many(self, by: Principal, session_id: str, spec: ExecSpec) -> Deferred[ExecResult]:
        """Run a command whose caller may leave while others wait for it: its output is not one request's."""
        share = self.memory.share()

        def ended(outcome: ExecResult | Failure) -> ExecResult | Failure:
            # The requests that get it hold it from now on, before anything else can.
            share.close()
            return outcome

        return self._execution.run(by, session_id, spec, share).addBoth(ended)

    @endpoint(
        "GET",
        SESSION + "/files",
        Answer(200, "The file.", response_schemas.FILE),
        tag="files",
        parameters=_PATH,
        errors=error_responses.FILE,
    )
    async def read_file(self, call: Call) -> Reply:
        """Read a UTF-8 text file."""
        path = call.given["path"]
        found = await self._files.read(call.principal, call.session_id, path, call.share)
        return Reply(
            200, {"path": path, "content": found.content, "size": found.size, "modifiedAt": iso_ns(found.modified_ns)}
        )

    @endpoint(
        "POST",
        SESSION + "/files",
        Answer(201, "It is written.", response_schemas.WRITTEN_FILE),
        tag="files",
        body=schemas.NEW_FILE,
        errors=error_responses.FILE,
    )
    async def write_file(self, call: Call) -> Reply:
        """Create or atomically replace a text file; parents are made.

        A reader sees the old bytes or the new ones, never a part. An existing file keeps its mode, owner, extended
        attributes and access control lists.

        Each write makes a new file under the old name. A program that has the old file open keeps that one: `tail -f`,
        `node --watch` and `fs.watch` of a file do not see the new one. Let it watch the directory, or follow the name
        (`tail -F`).

        Where a file may be written but not replaced (its directory may not be changed, or is sticky and the file
        another user's; the file is a mount) it is rewritten in place, as a shell's redirection does: a reader may then
        see a part, and a failure may leave one.
        """
        path = call.body["path"]
        try:
            content = call.body["content"].encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest("Request body field 'content' holds half of a surrogate pair") from None
        return Reply(
            201, {"path": path, "size": await self._files.write(call.principal, call.session_id, path, content)}
        )

    @endpoint(
        "GET",
        SESSION + "/dirs",
        Answer(200, "The directory.", response_schemas.DIRECTORY),
        tag="files",
        parameters=_DIRECTORY_PATH,
        errors=error_responses.FILE,
    )
    async def list_directory(self, call: Call) -> Reply:
        """List a directory, hidden entries included, sorted by name."""
        path = call.given["path"]
        entries = await self._files.list(call.principal, call.session_id, path, call.share)
        shown = ({"name": display_name(entry.name), **metadata_view(entry)} for entry in entries)
        return Reply(200, {"path": path, "entries": shown})

    @endpoint(
        "GET",
        SESSION + "/stat",
        Answer(200, "What it is, or that there is nothing.", response_schemas.METADATA),
        tag="files",
        parameters=_PATH,
        errors=error_responses.FILE,
    )
    async def stat(self, call: Call) -> Reply:
        """Whether a path exists, and what it is."""
        entry = await self._files.stat(call.principal, call.session_id, call.given["path"])
        return Reply(200, {"exists": False} if entry is None else {"exists": True, **metadata_view(entry)})

"""The endpoints of what goes on in a session's container: commands and files (contract sections 2 and 3)."""

from __future__ import annotations

import hashlib

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sandbox.api.framework.calls import Call
from sandbox.api.framework.endpoint import endpoint
from sandbox.api.framework.operation import Answer, Parameter
from sandbox.api.internal import errors
from sandbox.api.internal.errors import error_response
from sandbox.api.internal.wire import parameters
from sandbox.api.internal.wire import workspace as wire
from sandbox.api.internal.wire.parameters import SESSION
from sandbox.domain.errors import AnswerMemoryExhausted, InvalidRequest
from sandbox.domain.model import ExecResult, ExecSpec
from sandbox.domain.principals import Principal
from sandbox.operations.execution import Execution, output_size
from sandbox.operations.files import Files
from sandbox.operations.idempotency import IdempotencyCache, IdempotencyKeyUnknown, IdempotencyMismatch
from sandbox.policy.budget import Budget, Share

_PATH = (Parameter("query", "path", parameters.WORKSPACE_PATH, required=True),)
_DIRECTORY_PATH = (Parameter("query", "path", parameters.DIRECTORY_PATH, required=True),)


def _hold(outcome: ExecResult | Failure, share: Share) -> ExecResult | Failure:
    """Have a request hold an outcome that is not its own."""
    size = output_size(outcome)
    if size and not share.take(size):
        raise AnswerMemoryExhausted
    return outcome


class WorkspaceEndpoints:
    """Of :class:`sandbox.api.internal.api.InternalApi`.

    :param output_limit: bytes kept of each output stream of a command.
    :param memory: holds the output of commands that more than one request waits for.
    """

    def __init__(
        self,
        execution: Execution,
        files: Files,
        idempotency: IdempotencyCache[ExecResult],
        *,
        output_limit: int,
        memory: Budget,
    ) -> None:
        self._execution = execution
        self._files = files
        self._idempotency = idempotency
        self._output_limit = output_limit
        self._memory = memory

    @endpoint(
        "POST",
        SESSION + "/exec",
        Answer(200, "The command ended, with whatever exit code.", wire.ExecResult),
        tag="commands",
        parameters=(
            Parameter("header", "Idempotency-Key", parameters.IDEMPOTENCY_KEY),
            Parameter("header", "Idempotency-Replay", parameters.IDEMPOTENCY_REPLAY),
        ),
        body=wire.Command,
        errors=(*errors.COMMAND, error_response(IdempotencyKeyUnknown), error_response(IdempotencyMismatch)),
    )
    async def exec(self, call: Call) -> wire.ExecResult:
        """Run a command in a session's container and wait for its end.

        When its time is up, or when the client hangs up, it and every process that it started are killed. It has no
        standard input; its output comes when it has ended.
        """
        body: wire.Command = call.body
        session_id, spec = call.in_path["sessionId"], body.spec(self._output_limit)
        key, replay = call.given["Idempotency-Key"], call.given["Idempotency-Replay"]
        if key is None:
            if replay is not None:
                raise InvalidRequest("Header Idempotency-Replay needs an Idempotency-Key")
            return wire.ExecResult.of(await self._execution.run(call.principal, session_id, spec, call.share))
        known = session_id, key, hashlib.sha256(call.raw).digest()
        if replay is None:
            outcome = self._idempotency.run(*known, lambda: self._run_for_many(call.principal, session_id, spec))
        else:
            outcome = self._idempotency.replay(*known)
        return wire.ExecResult.of(await outcome.addBoth(_hold, call.share))

    def _run_for_many(self, by: Principal, session_id: str, spec: ExecSpec) -> Deferred[ExecResult]:
        """Run a command whose caller may leave while others wait for it: its output is not one request's."""
        share = self._memory.share()

        def ended(outcome: ExecResult | Failure) -> ExecResult | Failure:
            # The requests that get it hold it from now on, before anything else can.
            share.close()
            return outcome

        return self._execution.run(by, session_id, spec, share).addBoth(ended)

    @endpoint(
        "GET",
        SESSION + "/files",
        Answer(200, "The file.", wire.File),
        tag="files",
        parameters=_PATH,
        errors=errors.FILE,
    )
    async def read_file(self, call: Call) -> wire.File:
        """Read a UTF-8 text file."""
        path = call.given["path"]
        found = await self._files.read(call.principal, call.in_path["sessionId"], path, call.share)
        return wire.File.of(path, found)

    @endpoint(
        "POST",
        SESSION + "/files",
        Answer(201, "It is written.", wire.WrittenFile),
        tag="files",
        body=wire.NewFile,
        errors=errors.FILE,
    )
    async def write_file(self, call: Call) -> wire.WrittenFile:
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
        body: wire.NewFile = call.body
        size = await self._files.write(call.principal, call.in_path["sessionId"], body.path, body.content)
        return wire.WrittenFile(path=body.path, size=size)

    @endpoint(
        "GET",
        SESSION + "/dirs",
        Answer(200, "The directory.", wire.Directory),
        tag="files",
        parameters=_DIRECTORY_PATH,
        errors=errors.FILE,
    )
    async def list_directory(self, call: Call) -> wire.Directory:
        """List a directory, hidden entries included, sorted by name."""
        path = call.given["path"]
        entries = await self._files.list(call.principal, call.in_path["sessionId"], path, call.share)
        return wire.Directory(path=path, entries=map(wire.Entry.of, entries))

    @endpoint(
        "GET",
        SESSION + "/stat",
        Answer(200, "What it is, or that there is nothing.", wire.METADATA),
        tag="files",
        parameters=_PATH,
        errors=errors.FILE,
    )
    async def stat(self, call: Call) -> wire.Existing | wire.Missing:
        """Whether a path exists, and what it is."""
        entry = await self._files.stat(call.principal, call.in_path["sessionId"], call.given["path"])
        return wire.Missing(exists=False) if entry is None else wire.Existing.of(entry)

"""Read, write, list and stat files under ``/workspace`` (contract section 3)."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger, LogLevel

from sandbox.domain.errors import EngineError, SandboxError, WorkspaceError, is_own_fault
from sandbox.domain.model import Container, Entry, FileContent
from sandbox.domain.principals import Principal
from sandbox.policy.budget import Share
from sandbox.policy.paths import workspace_path
from sandbox.runtimes.interface import IContainers, IFiles
from sandbox.runtimes.lookup import running_container

#: Characters of a path that are logged; longer paths are rejected anyway.
_SHOWN = 4096
#: Bytes of a file that are decoded at once.
_PIECE = 64 * 1024

_log = Logger()
T = TypeVar("T")


@attrs.frozen
class Files:
    """The use cases on a session's files. Paths are the text of a request; see :func:`workspace_path` for the rules.
    The first parameter of every method is the caller, for the log.

    Every method fails with ``InvalidPath``, ``ContainerNotFound`` or ``ContainerNotRunning``, and with
    ``WorkspaceError`` (the contract's message) when the engine or the file system reports an error.

    :ivar size_limit: bytes of the largest file that :meth:`read` returns.
    :ivar outcomes: finished operations by verb and outcome.
    """

    containers: IContainers
    files: IFiles
    size_limit: int
    outcomes: Counter[tuple[str, str]] = attrs.field(factory=Counter)

    def read(self, by: Principal, session_id: str, path: str, share: Share) -> Deferred[FileContent]:
        """A file's bytes, which are UTF-8.

        :param share: memory budget charged for the content.
        :raises WorkspaceError: with NOT_UTF8 when the content is not UTF-8.
        :raises AnswerMemoryExhausted: when the content exceeds the remaining budget.
        """

        async def act(container: Container, raw: bytes) -> FileContent:
            found = await self.files.read_file(container, raw, self.size_limit, share)
            if not is_utf8(found.content):
                raise WorkspaceError("the file is not UTF-8 text", code="NOT_UTF8")
            return found

        return self._do(by, "read file", session_id, path, act)

    def write(self, by: Principal, session_id: str, path: str, content: bytes) -> Deferred[int]:
        """Create or atomically replace a file; its size in bytes."""
        return self._do(by, "write file", session_id, path, lambda c, raw: self.files.write_file(c, raw, content))

    def list(self, by: Principal, session_id: str, path: str, share: Share) -> Deferred[Sequence[Entry]]:
        """A directory's entries, sorted by name.

        :param share: memory budget charged for the entries.
        :raises AnswerMemoryExhausted: when the entries exceed the remaining budget.
        """

        async def act(container: Container, raw: bytes) -> Sequence[Entry]:
            found = await self.files.list_directory(container, raw, share)
            return sorted(found, key=lambda entry: entry.name)

        return self._do(by, "list directory", session_id, path, act)

    def stat(self, by: Principal, session_id: str, path: str) -> Deferred[Entry | None]:
        """A path's metadata, or ``None`` when it does not exist."""
        return self._do(by, "stat path", session_id, path, self.files.stat)

    def _do(
        self, by: Principal, verb: str, session_id: str, path: str, act: Callable[[Container, bytes], Awaitable[T]]
    ) -> Deferred[T]:
        told = {"verb": verb, "session": session_id, "path": path[:_SHOWN], "by": str(by)}

        async def run() -> T:
            try:
                raw = workspace_path(path)
                container = await running_container(self.containers, session_id)
                result = await act(container, raw)
            except CancelledError:
                self.outcomes[verb, "cancelled"] += 1
                _log.info(
                    "{verb} session={session} path={path!r} by={by} was given up: its caller hung up",
                    **told,
                )
                raise
            except SandboxError as error:
                self.outcomes[verb, "failed"] += 1
                _log.emit(
                    LogLevel.warn if is_own_fault(error) else LogLevel.info,
                    "{verb} session={session} path={path!r} by={by}: {code}",
                    **told,
                    code=error.reason_code,
                )
                if not isinstance(error, EngineError | WorkspaceError):
                    raise
                # An engine error does not concern the path: leave the path out of the message.
                about = f": {path}" if isinstance(error, WorkspaceError) else ""
                raise WorkspaceError(
                    f"Failed to {verb}: {error.message}{about}", code=error.reason_code, path=path
                ) from error
            self.outcomes[verb, "done"] += 1
            _log.info(
                "{verb} session={session} path={path!r} size={size} by={by}",
                **told,
                size=_size(result),
            )
            return result

        return Deferred.fromCoroutine(run())


def is_utf8(content: bytes) -> bool:
    """Whether content is valid UTF-8. Decoded in pieces, so that the whole text is never held in memory.

    >>> is_utf8("x€".encode()), is_utf8("x€".encode()[:-1]), is_utf8(b"\\xff")
    (True, False, False)
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), _PIECE):
            decoder.decode(content[start : start + _PIECE])
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _size(result: object) -> int | None:
    """The size of a result for the log: bytes of a file, entries of a directory."""
    if isinstance(result, FileContent | Entry):
        return result.size
    if isinstance(result, int):
        return result
    return len(result) if isinstance(result, Sequence) else None

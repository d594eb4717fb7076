"""The seam to where containers live, in four: containers, processes, files and engine events.

A use case takes the interfaces that it needs; one object implements all of them. The ``runtime_*.py`` suites of
``tests/contracts/`` hold every implementation to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Interface

from sandbox.domain.model import Container, ContainerSpec, ContainerSummary, Entry, ExecResult, ExecSpec, FileContent
from sandbox.policy.budget import Share

#: Called with a session id and its container now, or ``None`` when the last one is gone.
Listener = Callable[[str, Container | None], None]


class IContainers(Interface):
    """Containers, each known by the session label that it carries.

    Every method returns at once and never raises synchronously; those that return a ``Deferred`` fail it with
    :class:`sandbox.domain.errors.EngineError` (or the narrower error that is named), and survive its being cancelled.
    """

    def cached(session_id: str) -> Container | None:
        """The session's container from the cache that the event stream keeps current; costs no I/O.

        ``None`` when it is not in the cache, or when the cache may be stale: ask :meth:`find`.
        """

    def find(session_id: str) -> Deferred[Container]:
        """The session's container: of several the newest that runs, else the newest.

        :raises ContainerNotFound: when no container carries the label.
        """

    def route(session_id: str) -> Deferred[Container]:
        """The session's container for carrying something to its address: :meth:`find`'s or, for a while after the
        engine went away, the one that was certain then. Nothing else may be concluded from that one.

        :raises ContainerNotFound: when no container carries the label.
        """

    def list() -> Deferred[Sequence[ContainerSummary]]:
        """Every container that carries the session label, in one look that waits for none of them."""

    def create(spec: ContainerSpec) -> Deferred[Container]:
        """Make a workspace and a container for a session and start it. When it fails or is cancelled, neither stays.

        :raises ImageUnknown: when the engine lacks the image.
        :raises SessionExists: when a container carries the session's label already.
        """

    def start(container_id: str) -> Deferred[Container]:
        """Start it (unpause it when it is paused); nothing happens when it runs."""

    def stop(container_id: str) -> Deferred[Container]:
        """Stop it; nothing happens when it does not run."""

    def remove(session_id: str) -> Deferred[None]:
        """Remove the session's managed containers and workspace; fires when nothing of them is left."""

    def workspaces() -> Deferred[Sequence[str]]:
        """The session ids whose workspace volumes this instance made."""


class IProcesses(Interface):
    """Commands in containers. The rules of :class:`IContainers` hold."""

    def execute(container: Container, spec: ExecSpec, share: Share | None = None) -> Deferred[ExecResult]:
        """Run a command; fires when it ended, or was killed because its time was up (``timed_out``).

        Cancelling kills it and everything it started, then fails with ``CancelledError``.

        :param share: what holds the output: a step of the budget for each stream already, the rest as it comes. A
            stream for which nothing is left is truncated.
        :raises ExecutionFailed: when it could not be started or its end cannot be known.
        :raises ContainerNotRunning: when the container stopped running meanwhile.
        """


class IFiles(Interface):
    """Files under ``/workspace`` of containers. The rules of :class:`IContainers` hold."""

    def read_file(container: Container, path: bytes, limit: int, share: Share | None = None) -> Deferred[FileContent]:
        """Read a regular file under ``/workspace``.

        :param share: what holds the content, as it comes.
        :raises Overloaded: with ANSWER_MEMORY when that has not enough left.
        :raises WorkspaceError: with FILE_TOO_LARGE when it holds more than ``limit`` bytes.
        :raises InvalidPath: when a link leads out of the workspace.
        """

    def write_file(container: Container, path: bytes, content: bytes) -> Deferred[int]:
        """Replace or create a file atomically, parents too; fires with its size in bytes.

        :raises WorkspaceError: as the file system says; the old file is then untouched.
        :raises InvalidPath: when a link leads out of the workspace.
        """

    def list_directory(container: Container, path: bytes, share: Share | None = None) -> Deferred[Sequence[Entry]]:
        """The entries of a directory, without ``.`` and ``..``, in no order; links are not followed.

        :param share: what holds the entries, as they come.
        :raises Overloaded: with ANSWER_MEMORY when that has not enough left.
        """

    def stat(container: Container, path: bytes) -> Deferred[Entry | None]:
        """Metadata of a path, its last link followed inside the workspace (a dangling one is itself, a symlink);
        ``None`` when it does not exist. Costs no process start."""


class IEngineEvents(Interface):
    """What the engine reports of containers."""

    def watch(listener: Listener) -> Callable[[], None]:
        """Have ``listener`` called after each change to a session's container, and for each session when the
        engine was away. The answer ends the watching."""

    def on_return(listener: Callable[[], None]) -> Callable[[], None]:
        """Have ``listener`` called each time the engine is followed again after it was away. The answer ends that."""


class IRuntime(IContainers, IProcesses, IFiles, IEngineEvents):
    """All of a runtime, with its lifecycle."""

    def open() -> Deferred[None]:
        """Follow the engine. Fires when its containers are listed for the first time, or when it does not answer."""

    def close() -> Deferred[None]:
        """Kill the commands that run, as a timeout would, and release everything. Fires when that is done."""

    def ping() -> Deferred[None]:
        """Ping the engine.

        :raises EngineUnavailable: when it does not answer.
        """

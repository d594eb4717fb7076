"""Commands and files in containers, carried out by the agents that run there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.logger import Logger

from sandbox.domain.errors import (
    AnswerMemoryExhausted,
    ContainerNotRunning,
    EngineError,
    EngineUnavailable,
    ExecutionFailed,
    Overloaded,
    WorkspaceError,
)
from sandbox.domain.model import Container, Entry, ExecResult, ExecSpec, FileContent
from sandbox.net.cancellation import delay_cancellation
from sandbox.net.instruments import CallStats, PoolUsage
from sandbox.net.timers import timer
from sandbox.policy.budget import Share
from sandbox.runtimes.docker import program, protocol
from sandbox.runtimes.docker.agent_errors import execution_error
from sandbox.runtimes.docker.agent_link import AgentLink, Exchange, LinkLost
from sandbox.runtimes.docker.agent_pool import AgentPool, AgentSlot
from sandbox.runtimes.docker.agent_starter import AgentStarter
from sandbox.runtimes.docker.agent_watch import LinkWatch
from sandbox.runtimes.docker.container_calls import ContainerCalls
from sandbox.runtimes.docker.engine import Engine
from sandbox.runtimes.docker.execution import Command
from sandbox.runtimes.docker.files import Listing, Read, Stat, Write
from sandbox.runtimes.docker.protocol import Exit, ProtocolError, Refusal
from sandbox.runtimes.docker.reactor_calls import ReactorCalls
from sandbox.settings import Settings

T = TypeVar("T")
_log = Logger()

#: Seconds on top of every deadline that the agent keeps itself, for its answer to arrive from a busy machine.
_SLACK = 2.0
#: Seconds within which an engine that works answers a ping.
_PROMPT = 1.0


def calls_of(reactor: Any, settings: Settings) -> ContainerCalls:
    """What keeps the calls about one container apart."""
    prompt = ReactorCalls(reactor, settings.docker_host, timeout=_PROMPT)
    limit = settings.max_container_requests
    return ContainerCalls(reactor, prompt.ping, backoff=settings.engine_container_backoff, limit=limit)


class Agents:
    """``IProcesses`` and ``IFiles``, which happen inside containers, and the placing of agents there.

    :param calls: where calls of the engine are counted.
    :param container_calls: keeps calls about one container apart, those of others on the same engine included.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        calls: defaultdict[str, CallStats] | None = None,
        container_calls: ContainerCalls | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        start_timeout = min(settings.agent_start_timeout, settings.engine_timeout)
        self._calls = calls_of(reactor, settings) if container_calls is None else container_calls
        rescue = ReactorCalls(reactor, settings.docker_host, timeout=start_timeout)
        # Threads of their own: starting agents must not wait for containers that are being created or removed.
        self._engine = Engine(
            reactor,
            settings.docker_host,
            threads=settings.engine_threads,
            queue=settings.engine_queue,
            timeout=settings.engine_timeout,
            calls=calls,
        )
        self._engine.open()
        self._starter = AgentStarter(
            reactor,
            self._engine,
            self._calls,
            rescue,
            # Should our end of a stream vanish unnoticed, its agent ends by itself some time after we would have.
            lease=round(settings.agent_idle_timeout * 2 + 60) if settings.agent_idle_timeout else 0,
            timeout=start_timeout,
        )
        self._pool = AgentPool(
            reactor,
            self._starter,
            idle=settings.agent_idle_timeout,
            limit=settings.max_container_requests,
            backoff=settings.engine_container_backoff,
        )
        patience = settings.exec_kill_timeout + _SLACK
        self._watch = LinkWatch(reactor, self._pool, rescue.state, patience=patience)
        self._pool.stalled = self._watch.stalled
        self._commands: set[_Running] = set()
        self._executions = 0
        self._closing = False

    @property
    def workers(self) -> PoolUsage:
        """How much is in use of the threads that start agents."""
        return self._engine.workers

    def install(self, container_id: str) -> Deferred[None]:
        """Copy the agent into a container that was created, so that its first command does not wait for that."""
        return self._engine.call(lambda client: program.install(client, container_id), "install agent")

    @property
    def links(self) -> int:
        """Links to containers' agents that are open or being opened."""
        return len(self._pool)

    def drop(self, container_id: str) -> None:
        """The container stopped, or is about to: kill what runs in it on our behalf."""
        self._pool.drop(container_id)

    def close(self) -> Deferred[None]:
        """Kill the commands that run and wait for the confirmations, then end all agents."""

        async def run() -> None:
            self._closing = True
            ending = [command.end(self._settings.exec_kill_timeout + _SLACK) for command in self._commands]
            await DeferredList(ending, consumeErrors=True)
            self._watch.close()
            self._pool.close()
            self._starter.close()
            self._calls.close()
            await self._engine.close()

        return Deferred.fromCoroutine(run())

    def execute(self, container: Container, spec: ExecSpec, share: Share | None = None) -> Deferred[ExecResult]:
        """As ``IProcesses.execute``."""
        return Deferred.fromCoroutine(self._execute(container, spec, share))

    def read_file(
        self, container: Container, path: bytes, limit: int, share: Share | None = None
    ) -> Deferred[FileContent]:
        """As ``IFiles.read_file``."""
        return self._file(container, Read(limit, share), protocol.READ, protocol.read(path, limit))

    def list_directory(
        self, container: Container, path: bytes, share: Share | None = None
    ) -> Deferred[Sequence[Entry]]:
        """As ``IFiles.list_directory``."""
        limit = self._settings.directory_limit
        return self._file(container, Listing(limit, share), protocol.LIST, protocol.listing(path, limit))

    def stat(self, container: Container, path: bytes) -> Deferred[Entry | None]:
        """As ``IFiles.stat``."""
        return self._file(container, Stat(), protocol.STAT, protocol.stat(path))

    def write_file(self, container: Container, path: bytes, content: bytes) -> Deferred[int]:
        """As ``IFiles.write_file``."""

        async def run() -> int:
            async with self._pool.acquire(container) as (slot, link):
                await slot.uploads.acquire()
                try:
                    write = Write(len(content))
                    frames = lambda request_id: protocol.write(request_id, path, content)  # noqa: E731
                    return await self._exchange(container, slot, link, write, frames)
                finally:
                    slot.uploads.release()

        return Deferred.fromCoroutine(run())

    # -- commands --------------------------------------------------------------------------------------------------

    async def _execute(self, container: Container, spec: ExecSpec, share: Share | None) -> ExecResult:
        if self._closing:
            raise _stopping()
        if self._executions >= self._settings.max_execs:
            raise Overloaded("Too many commands run at once", code="TOO_MANY_EXECS")
        self._executions += 1
        try:
            async with self._pool.acquire(container) as (slot, link):
                return await self._run(container, slot, link, spec, share)
        except EngineUnavailable:
            if self._closing:
                raise _stopping() from None
            raise
        finally:
            self._executions -= 1

    async def _run(
        self, container: Container, slot: AgentSlot, link: AgentLink, spec: ExecSpec, share: Share | None
    ) -> ExecResult:
        begun = self._reactor.seconds()
        running = _Running(self._reactor, link, spec, self._settings, share)
        self._commands.add(running)
        try:
            outcome = await running.outcome()
            if isinstance(outcome, Exit):
                if outcome.killed and not outcome.timed_out:
                    if self._closing:
                        raise _stopping()
                    # Nobody asked for that: its agent is dying, and the end of the link on its way.
                    self._pool.abandon(slot)
                    raise _lost("so the command was killed")
                if outcome.survivors:
                    _log.warn(
                        "container={container}: {count} processes of a command outlived their kill",
                        container=container.id[:12],
                        count=outcome.survivors,
                    )
                return running.command.result(outcome, self._elapsed_ms(begun))
            if isinstance(outcome, Refusal):
                raise execution_error(outcome, spec)
            # Time is up and nothing was heard: the container was frozen, or is too busy to say.
            await self._starter.state(container, allowed=("running", "paused"))
            return running.command.result_unconfirmed(self._elapsed_ms(begun))
        except LinkLost:
            if self._closing:
                raise _stopping() from None
            await self._explain(container, slot, link)
            raise _lost("so the command's end cannot be known") from None
        finally:
            self._commands.discard(running)
            self._watch.kill(slot, link, running.let_go())

    def _elapsed_ms(self, begun: float) -> int:
        elapsed: float = self._reactor.seconds() - begun
        return max(0, ceil(elapsed * 1000))

    # -- files -----------------------------------------------------------------------------------------------------

    def _file(self, container: Container, exchange: Exchange[T], kind: int, payload: bytes) -> Deferred[T]:
        async def run() -> T:
            async with self._pool.acquire(container) as (slot, link):
                frames = lambda request_id: [protocol.frame(request_id, kind, payload)]  # noqa: E731
                return await self._exchange(container, slot, link, exchange, frames)

        return Deferred.fromCoroutine(run())

    async def _exchange(
        self,
        container: Container,
        slot: AgentSlot,
        link: AgentLink,
        exchange: Exchange[T],
        frames: Callable[[int], Iterable[bytes]],
    ) -> T:
        request_id = link.begin(exchange, frames)
        try:
            return await exchange.wait().addTimeout(self._settings.file_timeout, self._reactor)
        except LinkLost:
            await self._explain(container, slot, link)
            raise EngineError("the container's agent ended", code="AGENT_LOST") from None
        except TimeoutError:
            self._watch.kill(slot, link, request_id)
            await self._starter.state(container, allowed=("running",))
            raise WorkspaceError(f"no answer within {self._settings.file_timeout:g} s", code="TIMEOUT") from None
        except (CancelledError, AnswerMemoryExhausted):
            self._watch.kill(slot, link, request_id)
            raise

    async def _explain(self, container: Container, slot: AgentSlot, link: AgentLink) -> None:
        if slot.dropped:
            raise ContainerNotRunning(container.session_id)
        await self._starter.explain(container, link)


class _Running:
    """A command under way, with the deadline by which something must have been heard of it."""

    def __init__(self, reactor: Any, link: AgentLink, spec: ExecSpec, settings: Settings, share: Share | None) -> None:
        self.command = Command(spec.output_limit, share)
        self._link = link
        self._patience = settings.exec_kill_timeout + _SLACK
        payload = protocol.execution(
            spec.argv,
            spec.cwd,
            [f"{name}={value}".encode("utf-8", "surrogateescape") for name, value in spec.env.items()],
            timeout_ms=spec.timeout_ms,
            grace_ms=round(settings.exec_output_grace * 1000),
            kill_ms=round(settings.exec_kill_timeout * 1000),
            output_limit=spec.output_limit,
        )
        try:
            self._id = link.begin(self.command, lambda number: [protocol.frame(number, protocol.EXEC, payload)])
        except ProtocolError:
            raise ExecutionFailed("the arguments and variables are too long", "ARGUMENTS_TOO_LONG") from None
        patience = spec.timeout_ms / 1000 + settings.exec_output_grace + self._patience
        self._overdue = timer(reactor, patience, self.command.finish, None)

    async def outcome(self) -> Exit | Refusal | None:
        """How it ended; ``None`` when that was not heard in time. Cancelling kills it and waits for its end.

        :raises LinkLost: when the agent is gone.
        """
        try:
            return await self.command.wait()
        except CancelledError:
            await delay_cancellation(self.end(self._patience))
            raise

    def end(self, patience: float) -> Deferred[None]:
        """Kill it; fires when its end is confirmed, or after ``patience`` seconds."""
        self._link.kill(self._id)
        if self._overdue.active:
            self._overdue.start(patience, self.command.finish, None)
        return self.command.wait().addBoth(lambda _: None)

    def let_go(self) -> int:
        """Nothing waits for it any more; its request's id, for what still runs of it is to be killed."""
        self._overdue.stop()
        return self._id


def _lost(consequence: str) -> ExecutionFailed:
    return ExecutionFailed(f"the container's agent was ended from inside, {consequence}", "SUPERVISOR_LOST")


def _stopping() -> ExecutionFailed:
    return ExecutionFailed("the daemon is stopping", "STOPPING")

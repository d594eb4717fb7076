"""Starting an agent in a container and getting hold of its stream."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import docker
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from sandbox.domain.errors import ContainerNotFound, ContainerNotRunning, EngineError
from sandbox.domain.model import Container
from sandbox.net.cancellation import delay_cancellation
from sandbox.net.timers import sleep
from sandbox.runtimes.docker import agent_errors, program, protocol
from sandbox.runtimes.docker.agent_link import AgentLink, Greeting, LinkLost
from sandbox.runtimes.docker.container_calls import ContainerCalls
from sandbox.runtimes.docker.engine import Engine, EngineRefused
from sandbox.runtimes.docker.reactor_calls import ReactorCalls
from sandbox.runtimes.docker.start_guard import StartGuard, unavailable

T = TypeVar("T")
_log = Logger()

#: How often a container that should run is looked at again after its agent's stream ended: the engine learns of the
#: end of a container a moment after its processes are gone, a busy one more than a second.
_LOOKS = (0.0, 0.1, 0.3, 0.6, 1.0, 1.0)


@attrs.frozen
class Started:
    """An agent's process, its stream not yet spoken on.

    :ivar early: what docker-py had read of the stream already.
    """

    connection: socket.socket
    early: bytes
    user: str
    set_home: bool
    groups: tuple[str, ...]


def start(client: docker.APIClient, container: Container, *, as_root: bool) -> Started:
    """Start the agent's program with the engine's exec; blocks.

    :raises ContainerNotRunning: when the container does not run.
    """
    described = client.inspect_container(container.id)
    state = described["State"]["Status"]
    if state != "running":
        raise ContainerNotRunning(container.session_id, state)
    config, host = described["Config"], described["HostConfig"]
    created = client.exec_create(
        container.id,
        [program.path()],
        stdin=True,
        stdout=True,
        stderr=True,
        user="0:0" if as_root else "",
        # The container's own may be gone.
        workdir="/",
    )
    connection, early = _take_over(client.exec_start(created["Id"], socket=True))
    return Started(
        connection=connection,
        early=early,
        user=config.get("User") or "",
        # The engine, too, takes an empty HOME for none.
        set_home=not any(variable.startswith("HOME=") and variable != "HOME=" for variable in config.get("Env") or ()),
        groups=tuple(map(str, host.get("GroupAdd") or ())),
    )


def _take_over(stream: Any) -> tuple[socket.socket, bytes]:
    # docker-py hands out the connection's raw side. What its buffered side has read beyond the response's head is
    # the beginning of the stream: nothing of the agent's, which speaks only when spoken to, but perhaps the engine's
    # word on why it could not start it.
    connection: socket.socket = stream._sock
    response = stream._response
    try:
        if isinstance(connection, ssl.SSLSocket):
            raise EngineError("the engine's connection uses TLS, which commands cannot be run over", code="ENGINE_TLS")
        connection.setblocking(False)
        early: bytes = response.raw._fp.fp.peek()
        return connection.dup(), early
    finally:
        response.close()
        stream.close()


class AgentStarter:
    """Opens links.

    :param engine: runs the blocking calls.
    :param calls: keeps calls about one container apart.
    :param rescue: makes the calls that work although the engine hangs.
    :param lease: seconds of silence after which an idle agent ends by itself; 0 is never.
    :param timeout: seconds until an agent that was started has to have greeted; see :class:`StartGuard`.
    """

    def __init__(
        self,
        reactor: Any,
        engine: Engine,
        calls: ContainerCalls,
        rescue: ReactorCalls,
        *,
        lease: int,
        timeout: float,
    ) -> None:
        self._reactor = reactor
        self._engine = engine
        self._calls = calls
        self._rescue = rescue
        self._lease = lease
        self._guard = StartGuard(reactor, calls, rescue, timeout=timeout)
        self._waits: set[Deferred[None]] = set()

    def close(self) -> None:
        """Give up the starts that hang, and look after none any more."""
        self._rescue.close()
        self._guard.close()
        for wait in list(self._waits):
            wait.cancel()

    async def open(self, container: Container, new_link: Callable[[], AgentLink]) -> AgentLink:
        """Start an agent in a running container and greet it; installs it first where it is missing.

        :param new_link: makes the link for each attempt; closing that ends the attempt.
        :raises ContainerNotRunning: when the container does not run.
        :raises EngineError: with AGENT_UNAVAILABLE when the container gives the agent nothing to work with.
        """
        as_root, installed = True, False
        while True:
            link, refusal = await self._try(container, new_link(), as_root=as_root)
            if refusal is None:
                return link
            link.close()
            if isinstance(refusal, protocol.Refusal):
                if refusal.error == agent_errors.NO_RIGHTS and as_root:
                    # Without these capabilities the commands' user is the agent's too; docs/exec-and-files.md says
                    # what that weakens.
                    as_root = False
                    continue
                raise unavailable(agent_errors.words(refusal.error))
            if not installed and _is_missing(refusal):
                await self._install(container)
                installed = True
                continue
            await self.explain(container, link)
            raise unavailable(_plain(refusal) or "it ended without a word")

    async def _try(
        self, container: Container, link: AgentLink, *, as_root: bool
    ) -> tuple[AgentLink, protocol.Refusal | str | None]:
        async def attempt(begun: Callable[[], None]) -> protocol.Refusal | str | None:
            def work(client: docker.APIClient) -> Started:
                self._reactor.callFromThread(begun)
                return start(client, container, as_root=as_root)

            try:
                started = await self._engine.call(work, "start agent")
            except EngineRefused as error:
                # Newer engines refuse at once what older ones say on the stream.
                if error.status in (400, 500):
                    return error.message
                raise
            return await self._greet(link, started)

        return link, await self._explained(container, self._guard.run(container, attempt, link.close))

    async def _greet(self, link: AgentLink, started: Started) -> protocol.Refusal | str | None:
        factory = Factory.forProtocol(lambda: link)
        try:
            self._reactor.adoptStreamConnection(started.connection.fileno(), started.connection.family, factory)
        finally:
            started.connection.close()
        if started.early:
            link.dataReceived(started.early)
        greeting = Greeting()
        hello = protocol.hello(started.user, lease=self._lease, set_home=started.set_home, groups=started.groups)
        link.begin(greeting, lambda request_id: [protocol.frame(request_id, protocol.HELLO, hello)])
        try:
            return await greeting.wait()
        except LinkLost as error:
            return error.words

    async def _install(self, container: Container) -> None:
        try:
            await self.call(container, lambda client: program.install(client, container.id), "install agent")
        except EngineRefused as error:
            raise unavailable(f"it cannot be copied into it: {error.message}") from error

    async def explain(self, container: Container, link: AgentLink) -> None:
        """Look why an agent's stream ended; returns when the container runs on as if nothing had happened.

        :raises ContainerNotRunning: when the container stopped, was paused or was started anew.
        :raises ContainerNotFound: when it is gone.
        :raises EngineUnavailable: when the engine is.
        """
        if link.broken:
            return  # The reason is known.
        for delay in _LOOKS:
            if delay:
                await self._wait(delay)
            await self.state(container, allowed=("running",))

    async def _wait(self, seconds: float) -> None:
        wait = sleep(self._reactor, seconds)
        self._waits.add(wait)
        try:
            await wait
        finally:
            self._waits.discard(wait)

    async def state(self, container: Container, allowed: Sequence[str]) -> str:
        """What the engine says that the container is; in the same life as ``container`` shows.

        :raises ContainerNotRunning: when that is not among ``allowed``, or it was started anew.
        """
        listed = await self._rescue.state(container.id)
        if listed is not None and listed not in allowed:
            # An inspection would say no more, and might hang.
            raise ContainerNotRunning(container.session_id, listed)
        state = await self.call(container, lambda client: client.inspect_container(container.id)["State"], "inspect")
        now: str = state["Status"]
        if now not in allowed or (container.started_at and state["StartedAt"] != container.started_at):
            raise ContainerNotRunning(container.session_id, now)
        return now

    async def call(self, container: Container, work: Callable[[docker.APIClient], Any], operation: str) -> Any:
        """An engine call about a container, which must come to its end once begun.

        :param operation: as :meth:`Engine.call` takes it.
        :raises ContainerNotFound: when the engine knows no such container.
        :raises ContainerNotRunning: when it refuses because of the container's state.
        """
        run = self._calls.run(container.id, lambda: self._engine.call(work, operation))
        return await self._explained(container, delay_cancellation(run))

    async def _explained(self, container: Container, call: Deferred[T]) -> T:
        try:
            return await call
        except EngineRefused as error:
            if error.status == 404:
                raise ContainerNotFound(container.session_id) from error
            if error.status == 409:
                state = "paused" if "paused" in error.message else None
                raise ContainerNotRunning(container.session_id, state) from error
            raise


def _is_missing(words: str) -> bool:
    return "no such file" in words.lower() or "executable file not found" in words.lower()


def _plain(words: str) -> str:
    # The engine's text is long and nested; the last part says what happened.
    return words.splitlines()[0][:500] if words else ""

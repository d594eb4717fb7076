"""A container that makes the engine hang: root in it stops the engine's ``runc init`` while a command is started (F34).

On an engine of our own, which may be left with locks that nothing opens any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import ContainerUnresponsive, EngineError, EngineUnavailable
from sandbox.domain.model import Container, ContainerSpec, ContainerState, ExecSpec
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from tests.contracts.runtime_lifecycle import until
from tests.engine import BUSYBOX
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.site import Site

#: Stops what is about to become a command, the moment that it comes into the container.
STOPPER = """
while :; do
  for name in /proc/[0-9]*/comm; do
    read -r text < $name && case $text in runc*) id=${name#/proc/}; kill -STOP ${id%/comm};; esac
  done 2> /dev/null
done
"""
TRUE = ExecSpec(argv=[b"/bin/true"])


def stopped_starts(container_id: str) -> list[str]:
    """The processes of a container that were stopped before they became a command.

    By their PID namespace: some are stopped before they join the container's control group.
    """
    stopped: list[tuple[str, str]] = []
    inside: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            namespace = str((process / "ns" / "pid").readlink())
            if container_id in (process / "cgroup").read_text():
                inside.add(namespace)
            if "runc" in (process / "comm").read_text() and "State:\tT" in (process / "status").read_text():
                stopped.append((process.name, namespace))
    return [name for name, namespace in stopped if namespace in inside]


class HangingTests(TestCase):
    """One engine for all of them."""

    timeout = 180
    engine: PrivateEngine

    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = PrivateEngine()
        cls.addClassCleanup(cls.engine.close)
        cls.engine.start()

    async def setUp(self) -> None:
        self.site = Site(self.engine.url)
        self.addCleanup(deferToThread, self.site.close)
        self.settings = self.site.settings(
            SESSION_NETWORK="none", AGENT_START_TIMEOUT="5", ENGINE_TIMEOUT="30", ENGINE_THREADS="2"
        )
        self.runtime = DockerRuntime(reactor, self.settings, self.site.instance, Scheduler(reactor))
        self.addCleanup(self.runtime.close)
        await self.runtime.open()

    async def session(self) -> Container:
        """A session that behaves."""
        container = await self.runtime.create(ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX))
        await until(lambda: self.runtime.cached(container.session_id))
        return container

    async def hostile(self) -> Container:
        """A session that stops whatever is started in it."""
        container = await self.session()

        def begin() -> None:
            exec_id = self.site.engine.exec_create(container.id, ["/bin/sh", "-c", STOPPER], user="0")["Id"]
            self.site.engine.exec_start(exec_id, detach=True)

        await deferToThread(begin)
        return container

    async def wedged(self) -> tuple[Container, Deferred[Any]]:
        """A session whose agent hangs at its start, and the command that waits for it."""
        while True:
            container = await self.hostile()
            running = self.runtime.execute(container, TRUE)
            running.addErrback(lambda failure: failure)
            await until(lambda container=container, running=running: running.called or stopped_starts(container.id))
            if not running.called:
                return container, running
            # The start was quicker than the one that stops it, which the machine gave no time.
            await DeferredList([running], consumeErrors=True)
            await self.runtime.remove(container.session_id)

    @contextlib.contextmanager
    def inspections(self) -> Iterator[list[str]]:
        """The containers that are inspected meanwhile."""
        seen: list[str] = []
        inspection = self.runtime._lookup.inspection

        def noting(client: Any, container_id: str) -> Container | None:
            seen.append(container_id)
            return inspection(client, container_id)

        self.patch(self.runtime._lookup, "inspection", noting)
        yield seen

    async def test_f34_the_start_is_bounded_and_the_container_killed_before_anything_inspects_it(self) -> None:
        with self.inspections() as inspected:
            container, running = await self.wedged()
            inspected.clear()
            found = self.runtime.find(container.session_id)
            with self.assertRaisesRegex(EngineError, "did not start within 5 s, so the container is killed"):
                await running
            self.assertEqual((await found).state, ContainerState.EXITED)
        self.assertTrue(inspected)
        started = await self.runtime.start(container.id)
        self.assertEqual((await self.runtime.execute(started, TRUE)).exit_code, 0)
        await self.runtime.remove(container.session_id)
        self.assertEqual(await deferToThread(self.site.traces, container.session_id), [])

    async def test_f34_it_is_removed_at_once_while_the_start_hangs(self) -> None:
        container, running = await self.wedged()
        await self.runtime.remove(container.session_id)
        self.assertEqual(await deferToThread(self.site.traces, container.session_id), [])
        with self.assertRaises(Exception):  # noqa: B017 - gone, refused or killed, by how far it had come
            await running

    async def test_f34_neighbours_are_served_meanwhile(self) -> None:
        neighbour = await self.session()
        hostile, running = zip(*[await self.wedged() for _ in range(2)], strict=True)
        self.assertEqual((await self.runtime.find(neighbour.session_id)).id, neighbour.id)
        other = await self.session()
        self.assertEqual((await self.runtime.execute(other, TRUE)).exit_code, 0)
        await DeferredList(running, consumeErrors=True)
        for container in hostile:
            await self.runtime.remove(container.session_id)
        self.assertEqual((await self.runtime.execute(neighbour, TRUE)).exit_code, 0)

    async def test_f34_one_that_the_engine_cannot_tell_about_fails_at_once_and_the_others_do_not(self) -> None:
        """An operator's own exec hangs, of which we know nothing: our inspection makes it final."""
        neighbour = await self.session()
        container = await self.hostile()

        def hang() -> None:
            exec_id = self.site.engine.exec_create(container.id, ["/bin/true"])["Id"]
            self.site.engine.exec_start(exec_id, detach=True)

        while not stopped_starts(container.id):
            hanging = deferToThread(hang)
            hanging.addErrback(lambda _: None)
            await until(lambda hanging=hanging: hanging.called or stopped_starts(container.id))
        runtime = DockerRuntime(
            reactor,
            self.site.settings(SESSION_NETWORK="none", ENGINE_TIMEOUT="1", ENGINE_HEARTBEAT="1"),
            self.site.instance,
            Scheduler(reactor),
        )
        self.addCleanup(runtime.close)
        await runtime.open()
        self.assertEqual(runtime.cached(neighbour.session_id), await runtime.find(neighbour.session_id))
        with self.assertRaises(EngineUnavailable):
            await runtime.find(container.session_id)
        for call in (runtime.find(container.session_id), runtime.start(container.id), runtime.stop(container.id)):
            with self.assertRaises(ContainerUnresponsive):
                await call
        listed = {one.session_id: one.state for one in await runtime.list()}
        self.assertEqual(listed[container.session_id], ContainerState.RUNNING)
        self.assertEqual((await runtime.execute(neighbour, TRUE)).exit_code, 0)
        await runtime.close()
        await deferToThread(self.engine.restart)

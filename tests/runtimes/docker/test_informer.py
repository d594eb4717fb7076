"""The picture through every absence of the engine: a private one that is killed, frozen and started again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import ContainerNotFound, EngineUnavailable
from sandbox.domain.model import Container, ContainerSpec, ContainerState
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from tests.engine import BUSYBOX
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.site import Site
from tests.waiting import pause, until


class FollowingTests(TestCase):
    """One engine of our own for all of them: starting one takes seconds."""

    timeout = 180
    engine: PrivateEngine

    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = PrivateEngine()
        cls.addClassCleanup(cls.engine.close)
        cls.engine.start()

    async def setUp(self) -> None:
        await deferToThread(self.engine.ensure_running)
        self.site = Site(self.engine.url)
        self.addCleanup(self.clean_up)
        self.heard: list[tuple[str, Container | None]] = []
        self.returned: list[None] = []
        self.runtime = await self.opened()

    async def clean_up(self) -> None:
        """Leave the engine running and empty."""
        await deferToThread(self.engine.ensure_running)
        await deferToThread(self.site.close)

    async def opened(self, **changes: str) -> DockerRuntime:
        """A runtime that notices soon, and works with one thread of each kind: the stream takes none."""
        soon = {"ENGINE_HEARTBEAT": "0.5", "ENGINE_RETRY_MAX": "0.2", "ENGINE_TIMEOUT": "20"}
        one = {"ENGINE_THREADS": "1", "ENGINE_QUERY_THREADS": "1", "SESSION_NETWORK": "none"}
        settings = self.site.settings(**{**soon, **one, **changes})
        runtime = DockerRuntime(reactor, settings, self.site.instance, Scheduler(reactor))
        self.addCleanup(runtime.close)
        runtime.watch(lambda session_id, container: self.heard.append((session_id, container)))
        runtime.on_return(lambda: self.returned.append(None))
        await runtime.open()
        return runtime

    async def create(self) -> Container:
        """A session's container, in the picture."""
        container = await self.runtime.create(ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX))
        await until(lambda: self.runtime.cached(container.session_id))
        return container

    def shows(self, session_id: str, state: ContainerState) -> Callable[[], Any]:
        """Whether the picture shows a session's container in a state."""
        return lambda: getattr(self.runtime.cached(session_id), "state", None) is state

    async def fails(self, call: Callable[[], Deferred[Any]]) -> None:
        """The engine is found away."""
        try:
            await call()
        except EngineUnavailable:
            return
        self.fail("the engine answers")

    async def test_an_engine_that_is_killed_and_comes_back(self) -> None:
        container = await self.create()
        session_id = container.session_id
        await deferToThread(self.engine.stop, signal.SIGKILL)
        await until(lambda: self.runtime.cached(session_id) is None)
        for call in (self.runtime.ping, self.runtime.list, lambda: self.runtime.find(session_id)):
            await self.fails(call)
        self.assertEqual(self.returned, [])
        self.heard.clear()
        await deferToThread(self.engine.start)
        # An engine without live-restore ends, when it starts, what outlived it.
        await until(self.shows(session_id, ContainerState.EXITED))
        self.assertEqual(len(self.returned), 1)
        self.assertIn((session_id, self.runtime.cached(session_id)), self.heard)
        started = await self.runtime.start(container.id)
        await until(self.shows(session_id, ContainerState.RUNNING))
        self.assertEqual(self.runtime.cached(session_id), started)

    async def test_an_engine_that_is_stopped_and_comes_back_again_and_again(self) -> None:
        container = await self.create()
        for times in (1, 2, 3):
            await deferToThread(self.engine.restart)
            await until(lambda times=times: len(self.returned) == times)
            await until(self.shows(container.session_id, ContainerState.EXITED))
            await self.runtime.start(container.id)
            await until(self.shows(container.session_id, ContainerState.RUNNING))

    async def test_what_was_removed_while_we_were_not_looking_is_forgotten(self) -> None:
        container = await self.create()
        await deferToThread(self.engine.stop)
        await until(lambda: self.runtime.cached(container.session_id) is None)
        self.heard.clear()
        # Straight after the start, faster than the informer, or not: either way it is gone in the end.
        await deferToThread(self.engine.start)
        await deferToThread(self.site.engine.remove_container, container.id, force=True)
        await until(lambda: (container.session_id, None) in self.heard)
        self.assertIsNone(self.runtime.cached(container.session_id))

    async def test_every_session_is_told_of_when_the_engine_was_away_changed_or_not(self) -> None:
        stopped = await self.create()
        await self.runtime.stop(stopped.id)
        await until(self.shows(stopped.session_id, ContainerState.EXITED))
        self.heard.clear()
        await deferToThread(self.engine.restart)
        await until(lambda: self.returned)
        self.assertIn((stopped.session_id, self.runtime.cached(stopped.session_id)), self.heard)

    async def test_a_frozen_engine_is_not_believed_and_then_believed_again(self) -> None:
        container = await self.create()
        self.engine.send(signal.SIGSTOP)
        await until(lambda: self.runtime.cached(container.session_id) is None)
        await self.fails(self.runtime.ping)
        self.engine.send(signal.SIGCONT)
        await until(self.shows(container.session_id, ContainerState.RUNNING))
        self.assertEqual(len(self.returned), 1)

    async def test_f47_previews_go_on_while_the_engine_is_away_and_ask_it_again_when_it_answers(self) -> None:
        container = await self.create()
        session_id = container.session_id
        known = self.runtime.cached(session_id)
        await deferToThread(self.engine.stop, signal.SIGKILL)
        await until(lambda: self.runtime.cached(session_id) is None)
        self.assertEqual(await self.runtime.route(session_id), known)
        await self.fails(lambda: self.runtime.find(session_id))
        # Whatever the informer knows by then: the address may be another's from the engine's first answer on.
        self.runtime._informer._delay = 60
        await deferToThread(self.engine.start)
        await deferToThread(self.site.engine.remove_container, container.id, force=True)
        with self.assertRaises(ContainerNotFound):
            await self.runtime.route(session_id)

    async def test_f47_a_frozen_engine_is_away_until_it_goes_on(self) -> None:
        container = await self.create()
        known = self.runtime.cached(container.session_id)
        self.engine.send(signal.SIGSTOP)
        await until(lambda: self.runtime.cached(container.session_id) is None)
        for _ in range(3):
            self.assertEqual(await self.runtime.route(container.session_id), known)
        self.engine.send(signal.SIGCONT)
        await deferToThread(self.site.engine.remove_container, container.id, force=True)
        with self.assertRaises(ContainerNotFound):
            await self.runtime.route(container.session_id)

    async def test_f47_the_grace_ends_and_there_may_be_none(self) -> None:
        container = await self.create()
        short, none = await self.opened(ENGINE_GRACE="0.1"), await self.opened(ENGINE_GRACE="0")
        await deferToThread(self.engine.stop)
        for runtime in (short, none):
            await until(lambda runtime=runtime: runtime.cached(container.session_id) is None)
        await pause(0.2)
        for runtime in (short, none):
            await self.fails(lambda runtime=runtime: runtime.route(container.session_id))

    async def test_f47_what_was_not_certain_is_not_gone_on_with(self) -> None:
        container = await self.create()
        self.runtime._informer._cache.mark_dirty(container.id, container.session_id)
        await deferToThread(self.engine.stop, signal.SIGKILL)
        await self.fails(lambda: self.runtime.route(container.session_id))

    async def test_f47_a_creation_with_a_frozen_engine_waits_for_it_once(self) -> None:
        await self.create()
        runtime = await self.opened(ENGINE_TIMEOUT="1")
        self.engine.send(signal.SIGSTOP)
        spec = ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX)
        await self.fails(lambda: runtime.create(spec))
        self.assertEqual({name for name, calls in runtime.calls.items() if calls.errors} - {"ping"}, {"look at image"})

    async def test_an_engine_that_is_away_at_the_start(self) -> None:
        container = await self.create()
        await self.runtime.close()
        await deferToThread(self.engine.stop)
        self.runtime = await self.opened()
        self.assertIsNone(self.runtime.cached(container.session_id))
        await self.fails(self.runtime.ping)
        await deferToThread(self.engine.start)
        await until(self.shows(container.session_id, ContainerState.EXITED))

    async def test_closing_ends_following_whatever_the_engine_does(self) -> None:
        await self.create()
        self.engine.send(signal.SIGSTOP)
        await self.runtime._informer.close()
        self.engine.send(signal.SIGCONT)
        self.heard.clear()
        await pause(0.3)
        self.assertEqual(self.heard, [])


class LiveRestoreTests(TestCase):
    """An engine whose containers run on while it is away."""

    timeout = 120

    async def test_f47_a_restart_of_the_engine_cuts_nothing(self) -> None:
        engine = PrivateEngine(live_restore=True)
        self.addCleanup(deferToThread, engine.close)
        await deferToThread(engine.start)
        site = Site(engine.url)
        self.addCleanup(deferToThread, site.close)
        settings = site.settings(SESSION_NETWORK="none", ENGINE_HEARTBEAT="0.5", ENGINE_RETRY_MAX="0.2")
        runtime = DockerRuntime(reactor, settings, site.instance, Scheduler(reactor))
        self.addCleanup(runtime.close)
        await runtime.open()
        container = await runtime.create(ContainerSpec(session_id=site.session_id(), image=BUSYBOX))
        await until(lambda: runtime.cached(container.session_id))
        heard: list[Container | None] = []
        runtime.watch(lambda session_id, container: heard.append(container))
        await deferToThread(engine.stop)
        await until(lambda: runtime.cached(container.session_id) is None)
        self.assertEqual(await runtime.route(container.session_id), container)
        await deferToThread(engine.start)
        self.assertEqual(await runtime.route(container.session_id), container)
        await until(lambda: runtime.cached(container.session_id))
        self.assertEqual([one for one in heard if one is None or not one.running], [])

"""Sessions on a real engine with SQLite: what only shows where calls take time and engines die."""

from __future__ import annotations

import random
import signal
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import SandboxError, SessionExists, SessionNotFound
from sandbox.domain.model import SessionStatus
from sandbox.domain.principals import ROOT
from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.operations.reconciliation import Reconciliation
from sandbox.operations.sessions import Sessions
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.stores.sqlite.store import SqliteStore
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.site import Site
from tests.stores.aggregates import using
from tests.waiting import pause, until


class DockerSessionsTestCase(TestCase):
    """Sessions, as service.py puts them together."""

    timeout = 180

    async def open(self, site: Site, **environment: str) -> None:
        """Everything, closed when the test ends."""
        self.site = site
        self.settings = site.settings(**environment)
        self.store = SqliteStore(reactor, f"{self.mktemp()}.db")
        self.addCleanup(self.store.close)
        await self.store.open()
        self.runtime = DockerRuntime(reactor, self.settings, await self.store.instance(), Scheduler(reactor))
        self.addCleanup(self.runtime.close)
        await self.runtime.open()
        locks = KeyedLocks(self.settings.session_queue)
        self.sessions = Sessions(self.runtime, self.store, self.settings, locks=locks, events=EventBus())
        self.reconciliation = Reconciliation(self.runtime, self.store, locks, events=EventBus())
        await self.reconciliation.run()

    async def rows(self) -> dict[str, str]:
        """Phases by id."""
        return {row.id: row.phase.value for row in await using(self.store).page(None, None, 1000)}

    async def traces(self, session_id: str | None = None) -> list[str]:
        """What the engine has."""
        found: list[str] = await deferToThread(self.site.traces, session_id)
        return found

    async def outcome(self, call: Deferred[Any]) -> Any:
        """The result of a call, or its error."""
        ((success, result),) = await DeferredList([call], consumeErrors=True)
        return result if success else result.value


class DockerSessionsTests(DockerSessionsTestCase):
    """On the engine that all tests share."""

    async def setUp(self) -> None:
        site = Site()
        self.addCleanup(deferToThread, site.close)
        await self.open(site)

    async def test_a_whole_life(self) -> None:
        session = await self.sessions.create(ROOT, user_id="u", env={"A": "b"}, memory_mb=32, cpus=0.5)
        self.assertIs(session.status, SessionStatus.RUNNING)
        self.assertEqual(await self.sessions.get(ROOT, session.id), session)
        self.assertIs((await self.sessions.stop(ROOT, session.id)).status, SessionStatus.STOPPED)
        self.assertIs((await self.sessions.start(ROOT, session.id)).status, SessionStatus.RUNNING)
        running, _ = await self.sessions.list(ROOT, status=SessionStatus.RUNNING)
        self.assertEqual(running, [await self.sessions.get(ROOT, session.id)])
        await self.sessions.delete(ROOT, session.id)
        self.assertIsInstance(await self.outcome(self.sessions.get(ROOT, session.id)), SessionNotFound)
        self.assertEqual((await self.traces(), await self.rows()), ([], {}))

    async def test_the_status_follows_what_others_do_to_the_container(self) -> None:
        session = await self.sessions.create(ROOT, user_id="u")

        async def status() -> SessionStatus:
            return (await self.sessions.get(ROOT, session.id)).status

        async def becomes(expected: SessionStatus) -> None:
            for _ in range(500):
                if await status() is expected:
                    return
                await pause(0.02)
            self.fail(f"it does not become {expected}")

        await deferToThread(self.site.engine.pause, session.container_id)
        await becomes(SessionStatus.STOPPED)
        await self.sessions.start(ROOT, session.id)
        await becomes(SessionStatus.RUNNING)
        await deferToThread(self.site.engine.kill, session.container_id)
        await becomes(SessionStatus.STOPPED)
        await deferToThread(self.site.engine.remove_container, session.container_id)
        await becomes(SessionStatus.FAILED)
        await self.sessions.delete(ROOT, session.id)
        self.assertEqual((await self.traces(), await self.rows()), ([], {}))

    async def test_of_two_creations_at_once_one_succeeds(self) -> None:
        calls = [self.sessions.create(ROOT, user_id=f"u{number}", session_id="s") for number in range(3)]
        outcomes = [await self.outcome(call) for call in calls]
        self.assertEqual(sum(isinstance(one, SessionExists) for one in outcomes), 2)
        self.assertEqual(await self.rows(), {"s": "ready"})
        self.assertEqual(len(await self.traces("s")), 2)

    async def test_clients_that_hang_up_leave_nothing(self) -> None:
        seed = random.randrange(2**32)
        moments = random.Random(seed)
        creations = [self.sessions.create(ROOT, user_id="u") for _ in range(8)]
        for creation in creations:
            reactor.callLater(moments.uniform(0, 1.5), creation.cancel)
        made = []
        for creation in creations:
            outcome = await self.outcome(creation)
            if not isinstance(outcome, CancelledError):
                made.append(outcome.id)
        self.assertEqual(sorted(await self.rows()), sorted(made), f"seed {seed}")
        self.assertEqual(len(await self.traces()), 2 * len(made), f"seed {seed}")
        self.assertEqual(await self.reconciliation.run(), [])

    async def test_a_deletion_goes_on_without_its_client(self) -> None:
        session = await self.sessions.create(ROOT, user_id="u")
        deletion = self.sessions.delete(ROOT, session.id)
        deletion.cancel()
        await self.outcome(deletion)
        self.assertEqual((await self.traces(), await self.rows()), ([], {}))

    async def test_everything_at_once_about_one_session_ends_in_something_whole(self) -> None:
        seed = random.randrange(2**32)
        choices = random.Random(seed)
        calls = []
        for _ in range(12):
            name = choices.choice(("create", "start", "stop", "delete"))
            call = getattr(self.sessions, name)
            calls.append(call(ROOT, user_id="u", session_id="s") if name == "create" else call(ROOT, "s"))
        for call in calls:
            outcome = await self.outcome(call)
            self.assertTrue(not isinstance(outcome, Exception) or isinstance(outcome, SandboxError), f"seed {seed}")
        rows = await self.rows()
        self.assertEqual(len(await self.traces("s")), 2 if rows else 0, f"seed {seed}")
        self.assertEqual(await self.reconciliation.run(), [], f"seed {seed}")


class DyingEngineTests(DockerSessionsTestCase):
    """An engine of our own that is killed in the midst of things."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = PrivateEngine()
        cls.addClassCleanup(cls.engine.close)
        cls.engine.start()

    async def setUp(self) -> None:
        site = Site(self.engine.url)
        self.addCleanup(self.clean_up, site)
        await self.open(site, SESSION_NETWORK="none", ENGINE_HEARTBEAT="0.5", ENGINE_TIMEOUT="20")

    async def clean_up(self, site: Site) -> None:
        """Leave the engine running and empty."""
        await deferToThread(self.engine.ensure_running)
        await deferToThread(site.close)

    async def test_what_an_engine_that_died_left_is_put_right_when_it_returns(self) -> None:
        seed = random.randrange(2**32)
        moments = random.Random(seed)
        kept = await self.sessions.create(ROOT, user_id="u", session_id="kept")
        for number in range(3):
            gone = await self.sessions.create(ROOT, user_id="u", session_id=f"gone{number}")
            calls = [self.sessions.create(ROOT, user_id="u", session_id=f"s{number}-{one}") for one in range(2)]
            await pause(moments.uniform(0, 0.8))
            calls.append(self.sessions.delete(ROOT, gone.id))
            await pause(moments.uniform(0, 0.1))
            await deferToThread(self.engine.stop, signal.SIGKILL)
            for call in calls:
                await self.outcome(call)
            await deferToThread(self.engine.start)
            await until(lambda: self.runtime.cached(kept.id) is not None)

            # Reconciliation is under way by itself; asked for once more, it comes after that.
            await self.reconciliation.run()
            rows = await self.rows()
            self.assertEqual(set(rows.values()), {"ready"}, f"seed {seed}")
            self.assertIn("kept", rows)
            self.assertEqual(len(await self.traces()), 2 * len(rows), f"seed {seed}")
            self.assertEqual(await self.reconciliation.run(), [], f"seed {seed}")

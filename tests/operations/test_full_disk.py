"""A session that fills the disk which engine and database share is deleted, and so are its neighbours (F35)."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import SessionNotFound, StoreUnavailable
from sandbox.domain.model import ExecSpec, Session
from sandbox.domain.principals import ROOT
from sandbox.events.bus import EventBus
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.sessions import SessionsSubsystem
from sandbox.stores.sqlite.store import SqliteStore
from tests.contracts.runtime_lifecycle import until
from tests.engine import BUSYBOX
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.site import Site
from tests.small_disk import SmallDisk
from tests.stores.aggregates import using

#: Takes every byte, and each that is freed.
HOG = "while :; do cat /dev/zero >> /workspace/hog; done 2> /dev/null"


class SharedDiskTests(TestCase):
    """An engine, a database and a disk of their own."""

    timeout = 180

    async def setUp(self) -> None:
        self.disk = await deferToThread(SmallDisk, 160)
        self.addCleanup(deferToThread, self.disk.close)
        self.engine = PrivateEngine(data_root=self.disk.root / "docker")
        self.addCleanup(deferToThread, self.engine.close)
        await deferToThread(self.engine.start)
        self.site = await deferToThread(Site, self.engine.url)
        settings = self.site.settings(SESSION_NETWORK="none", SESSION_STOP_TIMEOUT="0")
        self.store = SqliteStore(reactor, str(self.disk.root / "sandbox.db"), reserve=8 << 20, write_check=0)
        self.addCleanup(self.store.close)
        await self.store.open()
        await self.store.acquire_lease()
        self.runtime = DockerRuntime(reactor, settings, self.site.instance, Scheduler(reactor))
        self.addCleanup(self.runtime.close)
        await self.runtime.open()
        subsystem = SessionsSubsystem(Scheduler(reactor), settings, self.runtime, self.store, EventBus())
        self.addCleanup(lambda: Deferred.fromCoroutine(subsystem.close()))
        self.sessions, self.reconcile = subsystem.sessions, subsystem._reconciliation.run

    async def create(self) -> Session:
        """A session."""
        return await self.sessions.create(ROOT, user_id="u", session_id=self.site.session_id(), image=BUSYBOX)

    async def fill(self, session: Session) -> None:
        """Have a session fill the disk until the database has no room, either."""
        container = await self.runtime.find(session.id)
        hog = ExecSpec(argv=[b"/bin/sh", b"-c", HOG.encode()], timeout_ms=600_000)
        self.runtime.execute(container, hog).addErrback(lambda _: None)

        async def refused() -> bool:
            try:
                await self.store.ping()
            except StoreUnavailable:
                return True
            return False

        while not await refused():
            await until(lambda: True)

    async def gone(self, session: Session) -> None:
        """Nothing of a session is left."""
        with self.assertRaises(SessionNotFound):
            await self.sessions.get(ROOT, session.id)
        self.assertIsNone(await using(self.store).get(session.id))
        self.assertEqual(await deferToThread(self.site.traces, session.id), [])

    async def test_f35_neighbours_and_the_session_itself_are_deleted(self) -> None:
        neighbour, hog = await self.create(), await self.create()
        await self.fill(hog)
        for session in (neighbour, hog):
            await self.sessions.delete(ROOT, session.id)
            self.assertEqual(await deferToThread(self.site.traces, session.id), [])
            with self.assertRaises(SessionNotFound):
                await self.sessions.get(ROOT, session.id)
        await self.reconcile()
        for session in (neighbour, hog):
            await self.gone(session)
        await self.store.ping()
        await self.gone(await self.deleted(await self.create()))

    async def deleted(self, session: Session) -> Session:
        """A session, deleted."""
        await self.sessions.delete(ROOT, session.id)
        return session

"""A daemon's session layer that creates and deletes until it is killed; ``test_kill.py`` starts and kills it.

``python -m tests.operations.killed work`` prints a line for everything it begins and everything that is acknowledged;
``check`` reconciles and prints what there is as JSON.
"""

from __future__ import annotations

import json
import os
import random
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from sandbox.domain.errors import SandboxError
from sandbox.domain.model import SessionStatus
from sandbox.domain.principals import ROOT
from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.operations.reconciliation import Reconciliation
from sandbox.operations.sessions import Sessions
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.settings import parse
from sandbox.stores.factory import make_store
from tests.stores.aggregates import using

#: Sessions that are created and deleted at the same time.
WORKERS = 3


def say(*words: object) -> None:
    """A line for the test, which may be the last."""
    try:
        print(*words, flush=True)
    except OSError:
        # The test is gone.
        os._exit(1)


class Daemon:
    """Store, engine, sessions and reconciliation, as service.py puts them together."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.settings = parse(os.environ)
        self.store = make_store(self.settings, reactor)

    async def open(self) -> None:
        """Open everything and reconcile."""
        await self.store.open()
        self.runtime = DockerRuntime(self.reactor, self.settings, await self.store.instance(), Scheduler(self.reactor))
        await self.runtime.open()
        locks = KeyedLocks(self.settings.session_queue)
        self.sessions = Sessions(self.runtime, self.store, self.settings, locks=locks, events=EventBus())
        self.reconciliation = Reconciliation(self.runtime, self.store, locks, events=EventBus())
        await self.reconciliation.run()
        say("open")

    async def work(self) -> None:
        """Create and delete for ever."""
        waiting = [Deferred.fromCoroutine(self.one()) for _ in range(WORKERS)]
        for one in waiting:
            await one

    async def one(self) -> None:
        """One worker: create, perhaps keep, perhaps delete one of those that there are."""
        while True:
            session_id = random.randbytes(8).hex()
            say("create", session_id)
            try:
                await self.sessions.create(ROOT, user_id="u", session_id=session_id)
                say("created", session_id)
                page, _ = await self.sessions.list(ROOT, limit=200)
                for session in random.sample(page, k=min(len(page), random.randint(0, 2))):
                    say("delete", session.id)
                    await self.sessions.delete(ROOT, session.id)
                    say("deleted", session.id)
            except SandboxError as error:
                say("failed", session_id, error.message)

    async def check(self) -> None:
        """Say what there is, after reconciliation."""
        records = await using(self.store).page(None, None, 100_000)
        sessions, cursor = await self.sessions.list(ROOT, limit=200)
        assert cursor is None
        again = await self.reconciliation.run()
        say(
            json.dumps(
                {
                    "rows": {record.id: record.phase.value for record in records},
                    "running": [one.id for one in sessions if one.status is SessionStatus.RUNNING],
                    "containers": [one.session_id for one in await self.runtime.list()],
                    "workspaces": list(await self.runtime.workspaces()),
                    "differed": [one.session_id for one in again],
                }
            )
        )
        await self.runtime.close()
        await self.store.close()


async def main(reactor: Any, task: str) -> None:
    """Do a task."""
    daemon = Daemon(reactor)
    await daemon.open()
    await getattr(daemon, task)()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, sys.argv[1])))

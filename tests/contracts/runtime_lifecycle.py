"""What every runtime must do with containers as a whole. Mix it into a ``TestCase`` that says how to make one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from zope.interface.verify import verifyObject

from sandbox.domain.errors import ContainerNotFound, EngineError, ImageUnknown, SessionExists
from sandbox.domain.model import Container, ContainerSpec, ContainerState
from sandbox.runtimes.interface import IRuntime
from tests.waiting import pause, until


class LifecycleContract:
    """The suite. A subclass gives, before each test,

    - ``runtime``: open, closed when the test ends;
    - ``image``: one that the engine has;
    - ``session_id()``: an id that nobody has;
    - ``foreign(session_id, running=True)``: a container of another program's with that label; fires with its id;
    - ``kill(container_id)``, ``freeze(container_id)``, ``vanish(container_id)``: what happens on the engine without us;
    - ``traces(session_id)``: what there is of a session on the engine, containers and volumes, seen from outside.
    """

    timeout = 120
    runtime: Any
    image: str

    def spec(self, session_id: str | None = None, **changes: Any) -> ContainerSpec:
        """What to create."""
        return ContainerSpec(session_id=session_id or self.session_id(), image=self.image, **changes)

    async def peeked(self, session_id: str, state: ContainerState = ContainerState.RUNNING) -> Container:
        """The session's container, once the picture shows it in a state."""

        def shown() -> Container | None:
            found = self.runtime.cached(session_id)
            return found if found is not None and found.state is state else None

        found: Container = await until(shown)
        return found

    # -- the seam --------------------------------------------------------------------------------------------------

    def test_provides_the_interface(self) -> None:
        self.assertTrue(verifyObject(IRuntime, self.runtime))

    async def test_no_method_raises_synchronously(self) -> None:
        calls = [
            self.runtime.find("no-such-session"),
            self.runtime.create(ContainerSpec(session_id="x", image="no such image")),
            self.runtime.create(ContainerSpec(session_id="x", image="")),
            self.runtime.start("no-such-container"),
            self.runtime.stop("no-such-container"),
            self.runtime.remove("no-such-session"),
        ]
        for call in calls:
            self.assertIsInstance(call, Deferred)
        await DeferredList(calls, consumeErrors=True)

    async def test_ping(self) -> None:
        self.assertIsNone(await self.runtime.ping())

    # -- create ----------------------------------------------------------------------------------------------------

    async def test_a_created_container_runs_and_has_an_address(self) -> None:
        container = await self.runtime.create(self.spec())
        self.assertEqual(
            (container.state, container.managed, container.image), (ContainerState.RUNNING, True, self.image)
        )
        self.assertTrue(container.address)
        self.assertIsNone(container.refusal)
        self.assertTrue(container.started_at)

    async def test_a_created_container_is_found_listed_and_peeked_the_same(self) -> None:
        spec = self.spec()
        container = await self.runtime.create(spec)
        self.assertEqual(await self.runtime.find(spec.session_id), container)
        (listed,) = [one for one in await self.runtime.list() if one.session_id == spec.session_id]
        self.assertEqual((listed.id, listed.state, listed.managed), (container.id, container.state, True))
        self.assertEqual(listed.created_at[:19], container.created_at[:19])
        self.assertIn(spec.session_id, await self.runtime.workspaces())
        self.assertEqual(await self.peeked(spec.session_id), container)

    async def test_an_image_that_the_engine_lacks_leaves_nothing(self) -> None:
        for image in ("sandbox-test-no-such-image:1", "NO such Image", "", "a//b", "x" * 300):
            spec = ContainerSpec(session_id=self.session_id(), image=image)
            error = await self.failure_of(self.runtime.create(spec), ImageUnknown)
            self.assertEqual(error.code, "IMAGE_UNKNOWN")
            self.assertEqual(self.traces(spec.session_id), [])

    async def test_a_session_that_has_a_container_keeps_it(self) -> None:
        container = await self.runtime.create(self.spec())
        await self.failure_of(self.runtime.create(self.spec(container.session_id)), SessionExists)
        self.assertEqual(await self.runtime.find(container.session_id), container)

    async def test_a_session_that_has_another_programs_container_is_not_created(self) -> None:
        session_id = self.session_id()
        container_id = await self.foreign(session_id)
        await self.failure_of(self.runtime.create(self.spec(session_id)), SessionExists)
        self.assertEqual((await self.runtime.find(session_id)).id, container_id)

    async def test_of_two_creations_at_once_one_succeeds(self) -> None:
        spec = self.spec()
        results = await DeferredList([self.runtime.create(spec) for _ in range(3)], consumeErrors=True)
        made = [result for success, result in results if success]
        self.assertEqual(len(made), 1)
        for success, result in results:
            if not success:
                self.assertIsInstance(result.value, SessionExists)
        self.assertEqual(await self.runtime.find(spec.session_id), made[0])

    async def test_a_cancelled_creation_leaves_nothing_however_far_it_was(self) -> None:
        for delay in (0.0, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4):
            spec = self.spec()
            creation = self.runtime.create(spec)
            await pause(delay)
            creation.cancel()
            outcome = await creation.addErrback(lambda failure: failure.trap(CancelledError))
            if outcome is CancelledError:
                self.assertEqual(self.traces(spec.session_id), [], f"cancelled after {delay} s")
                await self.failure_of(self.runtime.find(spec.session_id), ContainerNotFound)
            else:
                await self.runtime.remove(spec.session_id)

    async def test_a_creation_that_is_cancelled_twice_leaves_nothing(self) -> None:
        spec = self.spec()
        creation = self.runtime.create(spec)
        for _ in range(20):
            await pause(0.01)
            creation.cancel()
        await creation.addErrback(lambda failure: failure.trap(CancelledError))
        await self.runtime.remove(spec.session_id)
        self.assertEqual(self.traces(spec.session_id), [])

    # -- start and stop --------------------------------------------------------------------------------------------

    async def test_stop_and_start(self) -> None:
        container = await self.runtime.create(self.spec())
        stopped = await self.runtime.stop(container.id)
        self.assertEqual((stopped.id, stopped.state, stopped.address), (container.id, ContainerState.EXITED, None))
        started = await self.runtime.start(container.id)
        self.assertEqual((started.id, started.state), (container.id, ContainerState.RUNNING))
        self.assertTrue(started.address)
        self.assertGreater(started.started_at, container.started_at, "it is another life")

    async def test_start_of_one_that_runs_does_nothing(self) -> None:
        container = await self.runtime.create(self.spec())
        self.assertEqual(await self.runtime.start(container.id), container)

    async def test_stop_of_one_that_does_not_run_does_nothing(self) -> None:
        container = await self.runtime.create(self.spec())
        stopped = await self.runtime.stop(container.id)
        self.assertEqual(await self.runtime.stop(container.id), stopped)

    async def test_start_unpauses(self) -> None:
        container = await self.runtime.create(self.spec())
        await self.freeze(container.id)
        self.assertIs((await self.runtime.find(container.session_id)).state, ContainerState.PAUSED)
        self.assertEqual(await self.runtime.start(container.id), container)

    async def test_stop_ends_a_paused_one(self) -> None:
        container = await self.runtime.create(self.spec())
        await self.freeze(container.id)
        self.assertIs((await self.runtime.stop(container.id)).state, ContainerState.EXITED)

    async def test_a_container_that_is_not_there_is_an_error_of_the_engine(self) -> None:
        await self.failure_of(self.runtime.start("0" * 64), EngineError)
        await self.failure_of(self.runtime.stop("0" * 64), EngineError)

    async def test_the_workspace_outlives_stop_and_start(self) -> None:
        container = await self.runtime.create(self.spec())
        await self.runtime.write_file(container, b"kept", b"content")
        await self.runtime.stop(container.id)
        started = await self.runtime.start(container.id)
        self.assertEqual((await self.runtime.read_file(started, b"kept", 100)).content, b"content")

    # -- remove ----------------------------------------------------------------------------------------------------

    async def test_remove_leaves_nothing(self) -> None:
        container = await self.runtime.create(self.spec())
        self.assertNotEqual(self.traces(container.session_id), [])
        await self.runtime.remove(container.session_id)
        self.assertEqual(self.traces(container.session_id), [])
        self.assertNotIn(container.session_id, await self.runtime.workspaces())
        await self.failure_of(self.runtime.find(container.session_id), ContainerNotFound)
        await until(lambda: self.runtime.cached(container.session_id) is None)

    async def test_remove_of_nothing_does_nothing(self) -> None:
        await self.runtime.remove(self.session_id())

    async def test_removes_at_once_all_succeed(self) -> None:
        container = await self.runtime.create(self.spec())
        await DeferredList([self.runtime.remove(container.session_id) for _ in range(3)], fireOnOneErrback=True)
        self.assertEqual(self.traces(container.session_id), [])

    async def test_remove_takes_a_workspace_whose_container_vanished(self) -> None:
        container = await self.runtime.create(self.spec())
        await self.vanish(container.id)
        self.assertIn(container.session_id, await self.runtime.workspaces())
        await self.runtime.remove(container.session_id)
        self.assertEqual(self.traces(container.session_id), [])

    async def test_a_new_session_never_finds_the_files_of_an_old_one(self) -> None:
        container = await self.runtime.create(self.spec())
        await self.runtime.write_file(container, b"secret", b"content")
        await self.vanish(container.id)
        again = await self.runtime.create(self.spec(container.session_id))
        self.assertIsNone(await self.runtime.stat(again, b"secret"))

    async def test_remove_leaves_another_programs_containers_alone(self) -> None:
        session_id = self.session_id()
        container_id = await self.foreign(session_id)
        await self.runtime.remove(session_id)
        self.assertEqual((await self.runtime.find(session_id)).id, container_id)

    # -- find, list and cached ---------------------------------------------------------------------------------------

    async def test_no_container(self) -> None:
        session_id = self.session_id()
        error = await self.failure_of(self.runtime.find(session_id), ContainerNotFound)
        self.assertEqual(error.message, f"Failed to find container for session {session_id}")
        self.assertIsNone(self.runtime.cached(session_id))

    async def test_another_programs_container_is_served_and_not_managed(self) -> None:
        session_id = self.session_id()
        container_id = await self.foreign(session_id)
        found = await self.runtime.find(session_id)
        self.assertEqual((found.id, found.running, found.managed), (container_id, True, False))
        self.assertEqual(await self.peeked(session_id), found)
        self.assertNotIn(session_id, await self.runtime.workspaces())

    async def test_of_several_the_newest_that_runs(self) -> None:
        session_id = self.session_id()
        first = await self.foreign(session_id)
        second = await self.foreign(session_id)
        await self.foreign(session_id, running=False)
        self.assertEqual((await self.runtime.find(session_id)).id, second)
        await until(lambda: (self.runtime.cached(session_id) or first) and self.peeked_id(session_id) == second)
        await self.kill(second)
        self.assertEqual((await self.runtime.find(session_id)).id, first)
        await until(lambda: self.peeked_id(session_id) == first)

    async def test_of_several_that_do_not_run_the_newest(self) -> None:
        session_id = self.session_id()
        await self.foreign(session_id, running=False)
        second = await self.foreign(session_id, running=False)
        self.assertEqual((await self.runtime.find(session_id)).id, second)
        await until(lambda: self.peeked_id(session_id) == second)

    def peeked_id(self, session_id: str) -> str | None:
        """The id of what the picture shows."""
        found = self.runtime.cached(session_id)
        return found.id if found is not None else None

    async def test_the_picture_follows_what_happens_on_the_engine(self) -> None:
        container = await self.runtime.create(self.spec())
        session_id = container.session_id
        await self.peeked(session_id)
        await self.freeze(container.id)
        await self.peeked(session_id, ContainerState.PAUSED)
        await self.runtime.start(container.id)
        await self.peeked(session_id)
        await self.kill(container.id)
        self.assertIsNone((await self.peeked(session_id, ContainerState.EXITED)).address)
        await self.vanish(container.id)
        await until(lambda: self.runtime.cached(session_id) is None)

    # -- watch -----------------------------------------------------------------------------------------------------

    async def test_watchers_hear_of_every_change(self) -> None:
        heard: list[tuple[str, Container | None]] = []
        self.runtime.watch(lambda session_id, container: heard.append((session_id, container)))
        container = await self.runtime.create(self.spec())

        def told(state: ContainerState | None) -> Callable[[], bool]:
            def last() -> bool:
                found = [one for session_id, one in heard if session_id == container.session_id]
                return bool(found) and (found[-1].state if found[-1] is not None else None) is state

            return last

        await until(told(ContainerState.RUNNING))
        await self.freeze(container.id)
        await until(told(ContainerState.PAUSED))
        await self.runtime.start(container.id)
        await until(told(ContainerState.RUNNING))
        await self.kill(container.id)
        await until(told(ContainerState.EXITED))
        await self.runtime.remove(container.session_id)
        await until(told(None))

    async def test_a_watcher_that_fails_does_not_hurt_the_others(self) -> None:
        heard: list[str] = []

        def fail(session_id: str, container: Container | None) -> None:
            raise ValueError("a watcher of the test's")

        self.runtime.watch(fail)
        self.runtime.watch(lambda session_id, container: heard.append(session_id))
        container = await self.runtime.create(self.spec())
        await until(lambda: container.session_id in heard)
        await self.peeked(container.session_id)
        self.assertTrue(self.flushLoggedErrors(ValueError))

    async def test_who_stops_watching_hears_no_more(self) -> None:
        heard: list[str] = []
        others: list[str] = []
        end = self.runtime.watch(lambda session_id, container: heard.append(session_id))
        self.runtime.watch(lambda session_id, container: others.append(session_id))
        end()
        end()
        container = await self.runtime.create(self.spec())
        await until(lambda: container.session_id in others)
        self.assertEqual(heard, [])

    # -- for the suite ---------------------------------------------------------------------------------------------

    async def failure_of(self, call: Deferred[Any], *kinds: type[Exception]) -> Any:
        """The error that a call fails with, which is one of these."""
        ((success, outcome),) = await DeferredList([call], consumeErrors=True)
        assert not success, f"it did not fail: {outcome!r}"
        self.assertIsInstance(outcome.value, kinds, outcome.getTraceback())
        return outcome.value

    def session_id(self) -> str:
        raise NotImplementedError

    async def foreign(self, session_id: str, running: bool = True) -> str:
        raise NotImplementedError

    async def kill(self, container_id: str) -> None:
        raise NotImplementedError

    async def freeze(self, container_id: str) -> None:
        raise NotImplementedError

    async def vanish(self, container_id: str) -> None:
        raise NotImplementedError

    def traces(self, session_id: str) -> Sequence[str]:
        raise NotImplementedError

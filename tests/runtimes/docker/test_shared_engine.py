"""An engine that others work on, too: another installation's daemon, an operator who prunes, an engine that hangs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import monotonic
from typing import Any
from unittest import mock

import docker
import requests.exceptions
from twisted.internet.defer import DeferredList
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import ContainerNotFound, EngineError, SessionExists
from sandbox.domain.model import Container, ContainerSpec
from sandbox.runtimes.docker.containers import _remove_container
from sandbox.runtimes.docker.isolation import resource_name
from tests.contracts.runtime_lifecycle import until
from tests.engine import BUSYBOX
from tests.runtimes.docker.site import SiteTestCase


class SharedEngineTests(SiteTestCase):
    """On the real engine."""

    def spec(self) -> ContainerSpec:
        """A session that nobody has."""
        return ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX)

    async def test_two_installations_never_both_make_a_container_for_one_session(self) -> None:
        """Where they serve each other's sessions."""
        settings = self.site.settings(SERVE_FOREIGN_SESSIONS="true")
        one, other = await self.opened(settings), await self.opened(settings, instance="0123456789ab")
        for _ in range(3):
            spec = self.spec()
            tries = [runtime.create(spec) for runtime in (one, other)]
            results = await DeferredList(tries, consumeErrors=True)
            made = [result for succeeded, result in results if succeeded]
            for succeeded, result in results:
                self.assertTrue(succeeded or result.check(SessionExists), result)
            self.assertLessEqual(len(made), 1)
            traces = await self.outside(self.site.traces, spec.session_id)
            self.assertEqual(len(traces), 2 * len(made), traces)
            for runtime in (one, other):
                await runtime.remove(spec.session_id)
            self.assertTrue((await one.create(spec)).running)

    async def test_f2_another_installations_container_is_no_session_here(self) -> None:
        theirs = await self.opened(instance="0123456789ab")
        spec = self.spec()
        container = await theirs.create(spec)
        await until(lambda: theirs.cached(spec.session_id))
        with self.assertRaisesRegex(ContainerNotFound, f"^Failed to find container for session {spec.session_id}$"):
            await self.runtime.find(spec.session_id)
        self.assertIsNone(self.runtime.cached(spec.session_id))
        self.assertEqual(await self.runtime.list(), [])
        await self.runtime.remove(spec.session_id)
        self.assertEqual(await theirs.find(spec.session_id), container)

    async def test_f2_two_installations_may_have_a_session_of_the_same_id(self) -> None:
        theirs = await self.opened(instance="0123456789ab")
        spec = self.spec()
        made = [await runtime.create(spec) for runtime in (theirs, self.runtime)]
        found = [await runtime.find(spec.session_id) for runtime in (theirs, self.runtime)]
        self.assertEqual(found, made)
        self.assertNotEqual(made[0].id, made[1].id)
        await self.runtime.remove(spec.session_id)
        self.assertEqual(await theirs.find(spec.session_id), made[0])

    async def test_f2_another_installations_container_is_served_where_the_settings_say_so(self) -> None:
        theirs = await self.opened(instance="0123456789ab")
        container = await theirs.create(self.spec())
        serving = await self.opened(self.site.settings(SERVE_FOREIGN_SESSIONS="true"))
        found = await serving.find(container.session_id)
        self.assertEqual((found.id, found.managed), (container.id, False))
        self.assertEqual(serving.cached(container.session_id), found)
        await serving.remove(container.session_id)
        self.assertTrue((await serving.find(container.session_id)).running)

    async def test_a_volume_that_is_pruned_while_its_container_is_made_comes_and_goes_with_it(self) -> None:
        spec = self.spec()
        name = resource_name(self.site.instance, spec.session_id)

        class Pruned(docker.APIClient):  # type: ignore[misc]
            """Somebody prunes volumes just before a container is made."""

            def create_container_from_config(self, *arguments: Any) -> Any:
                """As the engine does."""
                with contextlib.suppress(docker.errors.NotFound):
                    self.remove_volume(name)
                return super().create_container_from_config(*arguments)

        with mock.patch.object(docker, "APIClient", Pruned):
            runtime = await self.opened()
        await runtime.create(spec)
        self.assertEqual(await runtime.workspaces(), [spec.session_id])
        await runtime.remove(spec.session_id)
        left = await self.outside(self.site.engine.volumes, filters={"name": name})
        self.assertEqual(left["Volumes"] or [], [])

    async def test_a_volume_of_that_name_that_is_not_ours_is_no_workspace(self) -> None:
        spec = self.spec()
        name = resource_name(self.site.instance, spec.session_id)
        await self.outside(self.site.engine.create_volume, name)
        self.addCleanup(self.site.engine.remove_volume, name)
        with self.assertRaisesRegex(EngineError, f"volume {name} is there"):
            await self.runtime.create(spec)
        self.assertEqual(await self.outside(self.site.traces, spec.session_id), [])

    async def stopped_without_network(self) -> Container:
        """A session's container, stopped, whose network was removed meanwhile."""
        container = await self.runtime.create(self.spec())
        await self.runtime.stop(container.id)
        await self.outside(self.site.engine.remove_network, self.site.network)
        return container

    async def test_a_container_whose_network_was_removed_starts_on_that_of_today(self) -> None:
        container = await self.stopped_without_network()
        again = await self.runtime.start(container.id)
        self.assertTrue(again.running)
        self.assertIsNotNone(again.address)

    async def test_the_network_may_have_been_made_anew_by_then(self) -> None:
        container = await self.stopped_without_network()
        other = await self.runtime.create(self.spec())
        again = await self.runtime.start(container.id)
        self.assertNotIn(again.address, (None, other.address))

    async def test_a_network_that_is_not_safe_is_not_taken_instead(self) -> None:
        container = await self.stopped_without_network()
        await self.outside(self.site.engine.create_network, self.site.network)
        with self.assertRaisesRegex(EngineError, "lets containers reach each other"):
            await self.runtime.start(container.id)

    async def test_another_programs_container_is_left_on_its_network(self) -> None:
        await self.outside(self.site.engine.create_network, self.site.network)
        container_id = await self.outside(
            self.site.foreign, self.site.session_id(), start=False, network_mode=self.site.network
        )
        await self.outside(self.site.engine.start, container_id)
        await self.outside(self.site.engine.kill, container_id)
        await self.outside(self.site.engine.wait, container_id)
        await self.outside(self.site.engine.remove_network, self.site.network)
        with self.assertRaisesRegex(EngineError, "network .* not found"):
            await self.runtime.start(container_id)
        self.assertEqual(await self.outside(self.site.engine.networks, names=[self.site.network]), [])


class HangingTests(SynchronousTestCase):
    """An engine that says that it removes a container already, and then nothing more."""

    @contextlib.contextmanager
    def engine(self) -> Iterator[docker.APIClient]:
        """Its client."""
        over = Event()

        class Handler(BaseHTTPRequestHandler):
            """The engine."""

            def do_DELETE(self) -> None:
                """It is at it."""
                self.send_response(409)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                """It does not come to its end."""
                over.wait(10)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever)
        thread.start()
        client = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41", timeout=0.2)
        try:
            yield client
        finally:
            over.set()
            client.close()
            server.shutdown()
            thread.join()
            server.server_close()

    def test_it_is_not_waited_for_longer_than_for_any_call(self) -> None:
        begun = monotonic()
        with self.engine() as engine, self.assertRaises(requests.exceptions.RequestException):
            _remove_container(engine, "c")
        self.assertLess(monotonic() - begun, 5)

"""``sandbox.runtimes.docker.engine``: calls bounded in number, in queue and in time, and their failures."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from typing import Any

import docker
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.trial.unittest import TestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from sandbox.domain.errors import EngineUnavailable, Overloaded
from sandbox.runtimes.docker.engine import Engine, EngineRefused
from tests.waiting import until


class Api(Resource):
    """An engine's API, played.

    :ivar about: the answer of ``GET /version``.
    :ivar paths: what else was asked for.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.about: dict[str, Any] = {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}
        self.paths: list[bytes] = []
        self.status = 200
        self.silent = False

    def render_GET(self, request: Request) -> Any:
        """Answer, or not."""
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"connection", b"close")
        if request.path == b"/version":
            return json.dumps(self.about).encode()
        self.paths.append(request.path)
        if self.silent:
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        return b"[]" if self.status == 200 else json.dumps({"message": "the engine's words"}).encode()


class EngineTests(TestCase):
    """On a Unix socket."""

    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="engine-")
        self.addCleanup(os.rmdir, directory)
        self.path = f"{directory}/socket"
        self.api = Api()
        self.site = Site(self.api)
        self.port = reactor.listenUNIX(self.path, self.site)
        self.addCleanup(self.stop_listening)
        self.engine = self.make()

    def stop_listening(self) -> Deferred[None] | None:
        """Be no engine any more."""
        stopping: Deferred[None] | None = self.port.stopListening()
        return stopping

    def make(self, threads: int = 2, queue: int = 1, timeout: float = 20) -> Engine:
        """An open engine, closed when the test ends."""
        engine = Engine(reactor, f"unix://{self.path}", threads=threads, queue=queue, timeout=timeout)
        engine.open()
        self.addCleanup(engine.close)
        return engine

    def containers(self) -> Deferred[Any]:
        """A call."""
        return self.engine.call(lambda client: client.containers())

    async def failure_of(self, call: Deferred[Any]) -> Any:
        """The error of a call."""
        ((success, outcome),) = await DeferredList([call], consumeErrors=True)
        self.assertFalse(success)
        return outcome.value

    async def test_a_call(self) -> None:
        self.assertEqual(await self.containers(), [])

    async def test_the_oldest_version_that_the_engine_speaks_or_ours(self) -> None:
        for oldest, spoken in (("1.12", b"1.41"), ("1.41", b"1.41"), ("1.44", b"1.44"), (None, b"1.41")):
            self.api.about = {"ApiVersion": "1.52", "MinAPIVersion": oldest}
            self.engine = self.make()
            await self.containers()
            self.assertEqual(self.api.paths[-1], b"/v" + spoken + b"/containers/json")

    async def test_an_engine_that_comes_back_as_another_version(self) -> None:
        await self.containers()
        await self.stop_listening()
        self.assertIsInstance(await self.failure_of(self.containers()), EngineUnavailable)
        self.api.about["MinAPIVersion"] = "1.44"
        self.port = reactor.listenUNIX(self.path, self.site)
        await self.containers()
        self.assertEqual(self.api.paths[-1], b"/v1.44/containers/json")

    async def test_what_the_engine_refuses(self) -> None:
        for status in (400, 404, 409, 500, 503):
            self.api.status = status
            error = await self.failure_of(self.containers())
            self.assertIsInstance(error, EngineRefused)
            self.assertEqual((error.status, error.message), (status, "the engine's words"))

    async def test_an_engine_that_does_not_answer_in_time(self) -> None:
        self.engine = self.make(timeout=0.2)
        self.api.silent = True
        self.assertIsInstance(await self.failure_of(self.containers()), EngineUnavailable)

    async def test_what_is_no_engine(self) -> None:
        await self.stop_listening()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen()

            def answer() -> None:
                for _ in range(8):
                    with listener.accept()[0] as peer:
                        peer.recv(1000)
                        peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
            self.assertIsInstance(await self.failure_of(self.containers()), EngineUnavailable)
        os.unlink(self.path)
        self.assertIsInstance(await self.failure_of(self.containers()), EngineUnavailable)
        self.port = reactor.listenUNIX(self.path, self.site)

    async def test_a_fault_of_ours_is_not_the_engines(self) -> None:
        def faulty(client: docker.APIClient) -> None:
            raise ZeroDivisionError

        self.assertIsInstance(await self.failure_of(self.engine.call(faulty)), ZeroDivisionError)

    async def test_more_calls_than_threads_wait_and_more_than_the_queue_are_refused(self) -> None:
        go = threading.Event()
        self.addCleanup(go.set)
        running: list[str] = []

        def work(client: docker.APIClient) -> str:
            running.append(threading.current_thread().name)
            go.wait(30)
            return "done"

        calls = [self.engine.call(work) for _ in range(3)]
        await until(lambda: len(running) == 2)
        self.assertIsInstance(await self.failure_of(self.engine.call(work)), Overloaded)
        go.set()
        self.assertEqual([await call for call in calls], ["done"] * 3)
        self.assertEqual(await self.engine.call(work), "done")

    async def test_a_cancelled_call_counts_until_its_thread_is_free(self) -> None:
        go = threading.Event()
        self.addCleanup(go.set)
        ended: list[None] = []

        def work(client: docker.APIClient) -> None:
            go.wait(30)
            ended.append(None)

        calls = [self.engine.call(work) for _ in range(3)]
        for call in calls:
            call.cancel()
            self.assertIsInstance(await self.failure_of(call), CancelledError)
        self.assertIsInstance(await self.failure_of(self.containers()), Overloaded)
        go.set()
        await until(lambda: len(ended) == 3)

        def accepted() -> bool:
            call = self.containers()
            call.addErrback(lambda failure: failure.trap(Overloaded))
            return not call.called

        await until(accepted)

    async def test_closed(self) -> None:
        engine = self.make()
        await engine.close()
        self.assertIsInstance(await self.failure_of(engine.call(lambda client: None)), EngineUnavailable)
        await engine.close()

    async def test_never_opened(self) -> None:
        engine = Engine(reactor, f"unix://{self.path}", threads=1, queue=1, timeout=1)
        self.assertIsInstance(await self.failure_of(engine.call(lambda client: None)), EngineUnavailable)
        await engine.close()

    async def test_closing_waits_for_what_runs(self) -> None:
        go, began = threading.Event(), threading.Event()

        def work(client: docker.APIClient) -> str:
            began.set()
            go.wait(30)
            return "done"

        engine = self.make()
        call = engine.call(work)
        await until(began.is_set)
        closing = engine.close()
        self.assertFalse(closing.called)
        go.set()
        await closing
        self.assertEqual(await call, "done")

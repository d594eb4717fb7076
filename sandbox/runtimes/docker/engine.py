"""The engine's control calls: docker-py in a dedicated thread pool with bounded threads, queue and call time."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

import docker
import docker.errors
import requests.exceptions  # noqa: TID251 - only its exceptions: docker-py raises them
import urllib3.exceptions
from docker.utils import version_lt
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from sandbox.domain.errors import EngineError, EngineUnavailable, Overloaded
from sandbox.net.instruments import CallStats, PoolUsage

T = TypeVar("T")

#: The engine API version that is used (Docker 20.10), unless the engine's minimum is newer.
API_VERSION = "1.41"


class EngineRefused(EngineError):
    """The engine answered a call with an HTTP error.

    :ivar status: its HTTP status (404: no such thing, 409: a conflict with its state …).
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """One Docker engine. The pool's threads hold at most one control call each; no call waits for a command.

    :param url: ``unix:///PATH`` or ``tcp://HOST:PORT``.
    :param threads: calls at once.
    :param queue: calls that may wait for a thread before more are refused with ``Overloaded``.
    :param timeout: seconds until a call that gets no answer fails with ``EngineUnavailable``.
    :param calls: call statistics by operation; several engines may share them.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        url: str,
        *,
        threads: int,
        queue: int,
        timeout: float,
        calls: defaultdict[str, CallStats] | None = None,
    ) -> None:
        self.url = url
        self.calls = defaultdict(CallStats) if calls is None else calls
        self._reactor = reactor
        self._threads = threads
        self._limit = threads + queue
        self._pending = 0
        self._open = False
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name="engine")
        self._options = {"base_url": url, "timeout": timeout, "max_pool_size": threads}
        self._asking = docker.APIClient(version=API_VERSION, **self._options)
        self._client: docker.APIClient | None = None

    def open(self) -> None:
        """Start the thread pool."""
        self._pool.start()
        self._open = True

    def close(self) -> Deferred[None]:
        """Refuse new calls, wait for the running ones and stop the pool."""
        finished: Deferred[None] = Deferred()
        if not self._open:
            self._asking.close()
            finished.callback(None)
            return finished
        self._open = False

        def stop() -> None:
            self._pool.stop()
            for client in {self._asking, self._client} - {None}:
                client.close()
            self._reactor.callFromThread(finished.callback, None)

        # ThreadPool.stop joins its threads: the reactor must not block on a slow engine.
        threading.Thread(target=stop, name="engine-close", daemon=True).start()
        return finished

    @property
    def workers(self) -> PoolUsage:
        """Usage of the thread pool."""
        busy = min(self._pending, self._threads)
        return PoolUsage(self._threads, busy, self._pending - busy)

    def call(self, work: Callable[[docker.APIClient], T], operation: str = "other") -> Deferred[T]:
        """Run ``work`` with the client in a thread.

        Cancelling does not interrupt the call; its outcome is then dropped, so callers that create things wait
        for it with :func:`sandbox.net.cancellation.delay_cancellation`.

        :param operation: the call's name in the statistics, from a small fixed set.
        :raises Overloaded: when too many calls wait already.
        :raises EngineRefused: when the engine answers with an error.
        :raises EngineUnavailable: when it does not answer.
        """
        if not self._open:
            return fail(EngineUnavailable("The connection to the Docker engine is closed"))
        calls = self.calls[operation]
        if self._pending >= self._limit:
            calls.errors["too many"] += 1
            return fail(Overloaded("The engine has too many calls waiting", code="ENGINE_BUSY"))
        self._pending += 1
        # Pending counts threads in use; a cancelled caller must not decrease it: each gets a Deferred of its own.
        begun: list[float] = []

        def work_in_thread() -> T:
            begun.append(monotonic())  # excludes the wait for a thread
            return work(self._ready())

        running: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work_in_thread)
        outcome: Deferred[T] = Deferred(lambda _: None)

        def done(result: Any) -> None:
            self._pending -= 1
            calls.durations.add(monotonic() - begun[0] if begun else 0.0)
            if isinstance(result, Failure):
                result = _translate(result)
                calls.errors[_kind(result)] += 1
                if result.check(EngineUnavailable):
                    # The engine may return as another version: negotiate anew.
                    self._client = None
            if not outcome.called:
                outcome.callback(result)

        running.addBoth(done)
        return outcome

    def _ready(self) -> docker.APIClient:
        """The client, for an API version that the engine supports; the first call asks the engine and blocks."""
        client = self._client
        if client is None:
            oldest = self._asking.version(api_version=False).get("MinAPIVersion") or API_VERSION
            client = self._asking
            if version_lt(API_VERSION, oldest):
                client = docker.APIClient(version=oldest, **self._options)
            self._client = client
        return client


def _kind(failure: Failure) -> str:
    if failure.check(EngineUnavailable):
        return "unavailable"
    return "refused" if failure.check(EngineRefused) else "other"


def _translate(failure: Failure) -> Failure:
    error = failure.value
    if isinstance(error, docker.errors.APIError) and error.response is not None:
        explanation = error.explanation
        text = explanation.decode("utf-8", "replace") if isinstance(explanation, bytes) else str(explanation or error)
        return Failure(EngineRefused(text, error.response.status_code))
    unavailable = (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
    )
    if isinstance(error, unavailable):
        return Failure(EngineUnavailable("The Docker engine does not answer"))
    return failure

"""The engine's control calls: docker-py in threads of our own, bounded in number, in queue and in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import docker
import docker.errors
import requests.exceptions  # noqa: TID251 - only its exceptions: docker-py raises them
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from sandbox.errors import EngineError, EngineUnavailable, Overloaded

T = TypeVar("T")


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
    """

    def __init__(self, reactor: IReactorFromThreads, url: str, *, threads: int, queue: int, timeout: float) -> None:
        self.url = url
        self._reactor = reactor
        self._limit = threads + queue
        self._pending = 0
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name="engine")
        self._client = docker.APIClient(base_url=url, version="1.41", timeout=timeout, max_pool_size=threads)

    def open(self) -> None:
        """Start the thread pool."""
        self._pool.start()

    def close(self) -> Deferred[None]:
        """Wait for the calls that run, in a thread of the reactor's own pool's making, and end the pool."""
        finished: Deferred[None] = Deferred()
        # ThreadPool.stop joins its threads: it must not be the reactor that waits for a slow engine.
        import threading

        def stop() -> None:
            self._pool.stop()
            self._client.close()
            self._reactor.callFromThread(finished.callback, None)

        threading.Thread(target=stop, name="engine-close", daemon=True).start()
        return finished

    def call(self, work: Callable[[docker.APIClient], T]) -> Deferred[T]:
        """Run ``work`` with the client in a thread.

        Cancelling does not interrupt the call; its outcome is then dropped, so callers that create things must
        not cancel but wait.

        :raises Overloaded: when too many calls wait already.
        :raises EngineRefused: when the engine answers with an error.
        :raises EngineUnavailable: when it does not answer.
        """
        if self._pending >= self._limit:
            return fail(Overloaded("The engine has too many calls waiting", code="ENGINE_BUSY"))
        self._pending += 1
        deferred: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work, self._client)

        def done(result: Any) -> Any:
            self._pending -= 1
            return _translate(result) if isinstance(result, Failure) else result

        return deferred.addBoth(done)


def _translate(failure: Failure) -> Failure:
    error = failure.value
    if isinstance(error, docker.errors.APIError) and error.response is not None:
        return Failure(EngineRefused(str(error.explanation or error), error.response.status_code))
    if isinstance(error, docker.errors.DockerException | requests.exceptions.RequestException | OSError):
        return Failure(EngineUnavailable("The Docker engine does not answer", details={}))
    return failure

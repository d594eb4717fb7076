"""Engine calls for recovery from hung ones: made by the reactor, so that a full thread pool does not delay them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.iweb import IResponse

from sandbox.domain.errors import EngineUnavailable
from sandbox.runtimes.docker.events import EngineEndpoints

# Without a version, as in events.py: these calls are the same in all.
_BASE = b"http://engine"


#: Bytes of an answer: a list of one container, with its labels.
_BODY_LIMIT = 1 << 20


class _Body(Protocol):
    """Collects a response body.

    :ivar complete: fires with the body, also with a truncated one: the JSON decoder rejects that.
    """

    def __init__(self) -> None:
        self.complete: Deferred[bytes] = Deferred()
        self._content = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """Buffer the data, up to the limit."""
        self._content += data[: _BODY_LIMIT - len(self._content)]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fire :attr:`complete`."""
        if not self.complete.called:
            self.complete.callback(bytes(self._content))


class ReactorCalls:
    """Calls that work while the engine holds a container's lock: only :meth:`kill` takes that lock, and a hung exec
    does not block it.

    :param timeout: seconds that a call may take.
    """

    def __init__(self, reactor: Any, url: str, *, timeout: float) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._agent = Agent.usingEndpointFactory(reactor, EngineEndpoints(reactor, url))
        self._running: set[Deferred[Any]] = set()
        self._closed = False

    def close(self) -> None:
        """Cancel the running calls and refuse new ones."""
        self._closed = True
        for call in list(self._running):
            call.cancel()

    def ping(self) -> Deferred[None]:
        """Ping the engine.

        :raises EngineUnavailable: when the engine does not answer.
        """

        async def run() -> None:
            await self._ask(b"GET", b"/_ping")

        return self._bounded(run())

    def state(self, container_id: str) -> Deferred[str | None]:
        """A container's state as the engine's list of containers names it; ``None`` when the container is gone.

        :raises EngineUnavailable: when the engine does not answer.
        """

        async def run() -> str | None:
            query = urlencode({"all": "1", "filters": json.dumps({"id": [container_id]})}).encode()
            rows = json.loads(await self._ask(b"GET", b"/containers/json?" + query))
            return next((str(row["State"]) for row in rows if row["Id"] == container_id), None)

        return self._bounded(run())

    def kill(self, container_id: str) -> Deferred[None]:
        """Kill a container; no effect when it does not run or is gone.

        :raises EngineUnavailable: when the engine does not answer.
        """

        async def run() -> None:
            await self._ask(b"POST", f"/containers/{quote(container_id, safe='')}/kill".encode(), fine=(404, 409))

        return self._bounded(run())

    async def _ask(self, method: bytes, target: bytes, fine: tuple[int, ...] = ()) -> bytes:
        if self._closed:
            raise EngineUnavailable("The connection to the Docker engine is closed")
        response: IResponse = await self._agent.request(method, _BASE + target)
        body = _Body()
        response.deliverBody(body)
        content = await body.complete
        if response.code >= 400 and response.code not in fine:
            raise EngineUnavailable(f"The Docker engine answers {response.code}")
        return content

    def _bounded(self, work: Any) -> Deferred[Any]:
        def ended(result: Any) -> Any:
            self._running.discard(call)
            if not isinstance(result, Failure) or result.check(EngineUnavailable):
                return result
            return Failure(EngineUnavailable(f"The Docker engine does not answer ({type(result.value).__name__})"))

        call: Deferred[Any] = Deferred.fromCoroutine(work)
        self._running.add(call)
        return call.addTimeout(self._timeout, self._reactor).addBoth(ended)

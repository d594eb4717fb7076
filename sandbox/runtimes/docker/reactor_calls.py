"""The few engine calls that help when others do not come back: by the reactor, so that no busy thread delays them."""

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
    """Takes an answer's body in.

    :ivar complete: fires with it, also when it was cut off: what is then no JSON says so.
    """

    def __init__(self) -> None:
        self.complete: Deferred[bytes] = Deferred()
        self._content = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """Keep it, up to the limit."""
        self._content += data[: _BODY_LIMIT - len(self._content)]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        if not self.complete.called:
            self.complete.callback(bytes(self._content))


class ReactorCalls:
    """Calls that work although the engine has locked a container: none of them waits for that lock but :meth:`kill`,
    which an exec that hangs does not hold up.

    :param timeout: seconds that a call may take.
    """

    def __init__(self, reactor: Any, url: str, *, timeout: float) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._agent = Agent.usingEndpointFactory(reactor, EngineEndpoints(reactor, url))
        self._running: set[Deferred[Any]] = set()
        self._closed = False

    def close(self) -> None:
        """Give up the calls that run, and make no more."""
        self._closed = True
        for call in list(self._running):
            call.cancel()

    def ping(self) -> Deferred[None]:
        """Whether the engine answers.

        :raises EngineUnavailable: when it does not.
        """

        async def run() -> None:
            await self._ask(b"GET", b"/_ping")

        return self._bounded(run())

    def state(self, container_id: str) -> Deferred[str | None]:
        """A container's state in the engine's word, as the list of containers tells it; ``None`` when it is gone.

        :raises EngineUnavailable: when the engine does not answer.
        """

        async def run() -> str | None:
            query = urlencode({"all": "1", "filters": json.dumps({"id": [container_id]})}).encode()
            rows = json.loads(await self._ask(b"GET", b"/containers/json?" + query))
            return next((str(row["State"]) for row in rows if row["Id"] == container_id), None)

        return self._bounded(run())

    def kill(self, container_id: str) -> Deferred[None]:
        """Kill all that runs in a container; nothing happens when it does not run or is gone.

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

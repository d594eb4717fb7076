"""The daemon's whole upper half on a loopback port, on the in-memory runtime and store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource

from sandbox.http.authentication import ServiceKey
from sandbox.http.site import Site
from sandbox.runtimes.memory.programs import MemoryAgents, Process
from sandbox.runtimes.memory.runtime import MemoryRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.application import Application
from sandbox.settings import Settings, parse
from sandbox.stores.memory.store import MemoryStore
from sandbox.telemetry.monitoring import Monitoring
from tests.api import conformity

KEY = "the-service-key"
IMAGE = "image:1"


async def shell(process: Process) -> int:
    """Stands for /bin/sh: a few scripts by their text."""
    script = process.spec.argv[-1].decode("utf-8", "surrogateescape")
    words = script.split()
    if words[0] == "echo":
        process.write(" ".join(words[1:]).encode("utf-8", "surrogateescape") + b"\n")
    elif words[0] == "exit":
        return int(words[1])
    elif words[0] == "env":
        process.write(json.dumps(dict(process.spec.env)).encode())
    elif words[0] == "bytes":
        process.write(bytes.fromhex(words[1]))
    elif words[0] == "sleep":
        process.write(b"begun\n")
        process.write(b"warned\n", 2)
        await deferLater(process.clock, float(words[1]))
    elif words[0] == "kill":
        return -int(words[1])
    return 0


@attrs.frozen
class Answer:
    """A response, read to its end."""

    status: int
    body: bytes
    headers: Mapping[bytes, bytes]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class ApiCase(TestCase):
    """A test with a daemon of its own; ``runtime`` and ``store`` are where it sets scenes.

    :cvar environment: variables beside the key.
    """

    timeout = 120
    environment: ClassVar[Mapping[str, str]] = {}

    async def setUp(self) -> None:
        self.settings: Settings = parse({"INTERNAL_SERVICE_KEY": KEY, "SESSION_IMAGE": IMAGE, **self.environment})
        self.agents = MemoryAgents(reactor, {b"/bin/sh": shell})
        self.runtime = MemoryRuntime({IMAGE: ""}, self.agents)
        self.store = MemoryStore()
        await self.store.open()
        self.monitoring = Monitoring(reactor, self.settings, ServiceKey(KEY.encode()), None)
        self.site = self.monitoring.site("public", inside=False)
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        public_url = self.settings.public_url or f"http://localhost:{self.port.getHost().port}"
        self.scheduler = Scheduler(reactor)
        self.application = Application(
            reactor,
            self.settings,
            self.store,
            self.runtime,
            public_url,
            scheduler=self.scheduler,
            monitoring=self.monitoring,
        )
        await self.application.open()
        root = self.application.root(public=True, internal=True)
        self.site.resource, self.site.admit = root, root.admit
        self.monitoring.health.ready(self.application.checks())
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.base = f"http://127.0.0.1:{self.port.getHost().port}"

    async def tearDown(self) -> None:
        await self.port.stopListening()
        await self.application.close()
        self.site.abort()
        await self.pool.closeCachedConnections()
        await self.store.close()
        await self.scheduler.close()

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = KEY,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request to ``path``, of the API when it does not begin with a slash."""
        url = self.base + (path if path.startswith("/") else f"/api/internal/{path}")
        fields = {**({"X-Internal-Service-Key": key} if key is not None else {}), **(headers or {})}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        response = await treq.request(
            method, url, data=data, headers=fields, agent=Agent(reactor, pool=self.pool), allow_redirects=False
        )
        content = await response.content()
        found = {name.lower(): values[-1] for name, values in response.headers.getAllRawHeaders()}
        described = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.items()}
        if not {"Host", "Referer"} & set(headers or {}):  # By these a path may be an application's.
            conformity.check(method, url.removeprefix(self.base), response.code, described, content)
        return Answer(response.code, content, found)

    async def session(self, session_id: str = "s1", user_id: str = "u1") -> str:
        """A running session; gives its container's id."""
        answer = await self.call("POST", "sessions", {"userId": user_id, "id": session_id})
        self.assertEqual(answer.status, 201, answer.body)
        return str(answer.json["containerId"])

    def assert_refused(self, answer: Answer, status: int, message: str, code: str | None = None) -> None:
        """The answer is an error in the contract's shape, with exactly this message."""
        self.assertEqual((answer.status, answer.json["message"]), (status, message))
        self.assertEqual(answer.json["statusCode"], status)
        self.assertLessEqual({"statusCode", "error", "code", "message"}, set(answer.json))
        if code is not None:
            self.assertEqual(answer.json["code"], code)

    async def closed_port(self) -> int:
        """A port of loopback on which nobody listens."""
        port = reactor.listenTCP(0, Site(Resource(), reactor), interface="127.0.0.1")
        number: int = port.getHost().port
        await port.stopListening()
        return number

    def pause(self, seconds: float) -> Deferred[None]:
        """Let the reactor go on for a while."""
        return deferLater(reactor, seconds, lambda: None)

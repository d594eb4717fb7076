"""The blocking client, in a thread beside the daemon that it speaks to."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.client import Client
from tests.api.stage import KEY, ApiCase
from tests.contracts.client_endpoints import ClientEndpointsMixin
from tests.contracts.client_wire import ClientWireMixin


class _Face:
    """Calls in a thread."""

    def client(self, url: str, key: str = KEY, **options: Any) -> Client:
        self.urls = [*getattr(self, "urls", []), url]
        return Client(url, key, **options)

    def do(self, name: str, *args: Any, client: Client | None = None, **kwargs: Any) -> Deferred[Any]:
        method = getattr(client or self.client(self.base), name)
        return deferToThread(method, *args, **kwargs)


class Endpoints(_Face, ClientEndpointsMixin, ApiCase):
    def every(self, **how: Any) -> Deferred[list[Any]]:
        return deferToThread(lambda: list(self.client(self.base).iterate_sessions(**how)))


class Wire(_Face, ClientWireMixin, TestCase):
    timeout = 120

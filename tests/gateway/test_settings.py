"""Every variable of the gateway reaches what it is for, and no other."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from sandbox.gateway.resource import GatewayOptions
from sandbox.gateway.upstream.pool import Pool
from sandbox.net.deadlines import Deadlines
from sandbox.policy.pooling import PoolLimits
from sandbox.settings import parse

KEY = {"INTERNAL_SERVICE_KEY": "k" * 32}


class Wiring(SynchronousTestCase):
    def test_the_pool(self) -> None:
        told = parse({
            **KEY, "PREVIEW_CONNECTIONS": "101", "PREVIEW_IDLE_CONNECTIONS": "12", "PREVIEW_IDLE_TIMEOUT": "3",
            "PREVIEW_CONNECT_TIMEOUT": "4", "PREVIEW_RESPONSE_TIMEOUT": "5",
        })  # fmt: skip
        for settings, limits, connect, response in (
            (told, PoolLimits(open=101, idle=12, idle_seconds=3.0), 4.0, 5.0),
            (parse(KEY), PoolLimits(open=256, idle=256, idle_seconds=4.0), 5.0, 120.0),
        ):
            pool = Pool.of(reactor, Deadlines(reactor), settings)  # type: ignore[arg-type]
            self.assertEqual(pool._limits, limits)
            self.assertEqual((pool._connect_timeout, pool._response_timeout), (connect, response))

    def test_options(self) -> None:
        told = parse({
            **KEY, "TRUSTED_PROXIES": "192.0.2.1", "PREVIEW_HEALTH_TIMEOUT": "3", "PREVIEW_CONTINUE_TIMEOUT": "4"
        })  # fmt: skip
        options = GatewayOptions.of(told)
        self.assertEqual((options.health_timeout, options.continue_timeout), (3.0, 4.0))
        self.assertTrue(options.trusted.trusts("192.0.2.1"))
        usual = GatewayOptions.of(parse(KEY))
        self.assertEqual((usual.health_timeout, usual.continue_timeout, bool(usual.trusted)), (5.0, 1.0, False))

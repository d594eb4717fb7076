"""Every variable of the gateway reaches what it is for, and no other."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from sandbox.gateway.resource import GatewayOptions
from sandbox.gateway.upstream.pool import Pool
from sandbox.http.limits import Limits
from sandbox.net.deadlines import Deadlines
from sandbox.policy.pooling import PoolLimits
from sandbox.settings import parse

KEY = {"INTERNAL_SERVICE_KEY": "k" * 32}


class Wiring(SynchronousTestCase):
    def test_limits(self) -> None:
        told = parse({
            **KEY, "HTTP_LINE_LIMIT": "2001", "HTTP_HEAD_LIMIT": "2002", "HTTP_FIELD_LIMIT": "23", "BODY_LIMIT": "2004",
            "HTTP_HEAD_TIMEOUT": "5", "HTTP_IDLE_TIMEOUT": "6", "HTTP_UPLOAD_TIMEOUT": "7",
        })  # fmt: skip
        wanted = Limits(
            line=2001, head=2002, fields=23, body=2004, head_timeout=5.0, idle_timeout=6.0, upload_timeout=7.0
        )
        self.assertEqual(Limits.of(told), wanted)
        self.assertEqual(Limits.of(parse(KEY)), Limits())

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

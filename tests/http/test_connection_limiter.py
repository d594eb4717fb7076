"""How many connections clients may have open, and which go for others (F42)."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sandbox.http.admission import STREAM
from sandbox.http.connection_limiter import ConnectionLimiter
from sandbox.http.site import Site
from sandbox.policy.connections import ConnectionLimits, counted_as
from sandbox.protocols.http1.headers import TrustedProxies
from tests.http.test_budget import TINY, Bodies, Client
from tests.turns import TurningClock

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


def v4(host: str) -> IPv4Address:
    return IPv4Address("TCP", host, 1)


def v6(host: str) -> IPv6Address:
    return IPv6Address("TCP", host, 1)


class Rules(SynchronousTestCase):
    def test_f42_the_usual_limits_leave_descriptors_for_all_else(self) -> None:
        for descriptors, total, per_peer in (
            (65536, 65280, 16320), (1024, 768, 192), (256, 128, 32), (-1, (1 << 20) - 256, (1 << 18) - 64), (1, 1, 1),
        ):  # fmt: skip
            self.assertEqual(
                ConnectionLimits.of(None, None, descriptors), ConnectionLimits(total=total, per_peer=per_peer)
            )
        self.assertEqual(ConnectionLimits.of(100, None, 1024), ConnectionLimits(total=100, per_peer=25))
        self.assertEqual(ConnectionLimits.of(None, 7, 1024), ConnectionLimits(total=768, per_peer=7))

    def test_f42_whom_a_connection_is_counted_as(self) -> None:
        for address, peer in (
            ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:0:1:2::3", "2001:db8:0:1::/64"),
            ("fe80::1%eth0", "fe80::/64"), ("127.1.2.3", None), ("::1", None), ("::ffff:127.0.0.1", None), ("", None),
        ):  # fmt: skip
            self.assertEqual(counted_as(address), peer, address)


class Limiting(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TurningClock()
        limits = ConnectionLimits(total=6, per_peer=3)
        self.limiter = ConnectionLimiter(self.clock, limits, TrustedProxies(["198.51.100.0/24", "unix"]))  # type: ignore[arg-type]
        self.site = Site(Bodies(), self.clock, admit=lambda request: STREAM, limiter=self.limiter)  # type: ignore[arg-type]
        self.channels: list[Any] = []

    def connect(self, address: IAddress, data: bytes = b"") -> Client | None:
        """Open a connection, a second after the one before, and send something over it."""
        self.clock.rightNow += 1
        channel = self.site.buildProtocol(address)
        if channel is None:
            return None
        client = Client(peerAddress=address)
        channel.makeConnection(client)
        client.protocol = channel  # type: ignore[attr-defined]
        if data:
            channel.dataReceived(data)
        self.channels.append(channel)
        return client

    def go(self) -> None:
        """Have what was closed be gone."""
        for channel in list(self.channels):
            if channel.transport.ended:
                self.channels.remove(channel)
                channel.connectionLost(Failure(ConnectionDone()))

    def open(self, *addresses: IAddress, data: bytes = b"") -> list[Client]:
        clients = [self.connect(address, data) for address in addresses]
        assert None not in clients
        return clients  # type: ignore[return-value]

    def test_f42_the_one_that_is_idle_for_longest_goes_for_another(self) -> None:
        clients = self.open(*(v4(f"192.0.2.{number}") for number in range(6)))
        # The first one has had a request since; of a request that is not over nothing is taken away.
        self.clock.rightNow += 1
        clients[0].protocol.dataReceived(TINY)  # type: ignore[attr-defined]
        clients[1].protocol.dataReceived(POST)  # type: ignore[attr-defined]
        for number, gone in ((10, 2), (11, 3), (12, 4), (13, 5), (14, 0)):
            self.assertIsNotNone(self.connect(v4(f"192.0.2.{number}")))
            self.assertEqual([index for index, each in enumerate(clients) if each.ended], [gone])
            clients[gone].ended = ""
            self.channels.remove(clients[gone].protocol)  # type: ignore[attr-defined]
            clients[gone].protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]
        self.assertEqual((self.limiter.refused, self.limiter.closed, self.site.counters.connections), (0, 5, 6))

    def test_f42_a_head_that_is_not_whole_is_no_request(self) -> None:
        slow = self.open(*(v4(f"192.0.2.{number}") for number in range(6)), data=TINY[:-2])
        self.assertIsNotNone(self.connect(v4("192.0.2.10")))
        self.assertEqual([each.ended for each in slow], ["closed"] + [""] * 5)

    def test_f42_where_none_is_idle_the_new_one_is_refused(self) -> None:
        busy = self.open(*(v4(f"192.0.2.{number}") for number in range(6)), data=POST)
        self.assertIsNone(self.connect(v4("192.0.2.10")))
        self.assertEqual(({each.ended for each in busy}, self.limiter.refused), ({""}, 1))
        busy[5].protocol.dataReceived(b"abcde")  # type: ignore[attr-defined]
        self.assertIsNotNone(self.connect(v4("192.0.2.10")))
        self.assertEqual(busy[5].ended, "closed")

    def test_f42_a_flood_of_new_ones_is_no_flood_of_searches(self) -> None:
        self.open(*(v4(f"192.0.2.{number}") for number in range(6)), data=POST)
        looked = 0

        class Member:
            peer, transport = "192.0.2.99", None

            @property
            def timer(self) -> Any:
                return self

            @property
            def idle_since(self) -> None:
                nonlocal looked
                looked += 1

        self.limiter.opened(Member())
        for _ in range(1000):
            self.assertFalse(self.limiter.admit("192.0.2.10"))
        self.assertEqual(looked, 1)

    def test_f42_one_peer_has_a_share_of_its_own(self) -> None:
        own = self.open(*[v4("192.0.2.1")] * 3)
        other = self.open(v4("192.0.2.2"))
        self.assertIsNotNone(self.connect(v4("192.0.2.1")))
        self.assertEqual([each.ended for each in own], ["closed", "", ""])
        self.assertIsNotNone(self.connect(v6("::ffff:192.0.2.1")))
        self.assertEqual([each.ended for each in own], ["closed", "closed", ""])
        self.go()
        for channel in self.channels:
            if channel.peer != "192.0.2.2":
                channel.dataReceived(POST)
        self.assertIsNone(self.connect(v4("192.0.2.1")))
        self.assertEqual((other[0].ended, self.limiter.refused), ("", 1))

    def test_f42_a_network_of_ipv6_is_one_peer(self) -> None:
        own = self.open(*(v6(f"2001:db8::{number}") for number in range(1, 4)))
        self.assertIsNotNone(self.connect(v6("2001:db8::9")))
        self.assertEqual(own[0].ended, "closed")

    def test_f42_this_machine_and_trusted_peers_have_no_share(self) -> None:
        for address in (v4("127.0.0.1"), v6("::1"), v4("198.51.100.7"), UNIXAddress("/run/x")):
            self.setUp()
            clients = self.open(*[address] * 6)
            self.assertEqual({each.ended for each in clients}, {""})
            # But all together they have no more descriptors than there are.
            self.open(address)
            self.assertEqual([each.ended for each in clients], ["closed"] + [""] * 5)

    def test_f42_what_is_gone_is_forgotten(self) -> None:
        self.open(v4("192.0.2.1"), v4("192.0.2.1"), v4("127.0.0.1"))
        for channel in self.channels:
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.limiter._all.members, self.limiter._peers), (set(), {}))

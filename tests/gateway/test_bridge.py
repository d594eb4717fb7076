"""The bridge between two raw peers: what passes, what it says itself, and how each end of it comes about."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from sandbox.gateway.bridge import Bridge, Timing
from sandbox.net import write_coalescing
from sandbox.net.deadlines import Deadlines
from tests.gateway.wires import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    HalfWire,
    close_payload,
    expect,
    expect_end,
    fill,
    frame,
    masked,
)
from tests.turns import SteppedClock
from tests.waiting import pause, until

KEY = b"\x12\x34\xab\xcd"
#: No pings, and no news to wait for. The rest takes as long as in the daemon, by a clock that only tests move.
PATIENT = Timing(ping=0, grace=0)


class BridgeTestCase(TestCase):
    """A bridge over real sockets; ``browser`` and ``application`` are the peers beyond it."""

    timeout = 240

    async def bridge(self, timing: Timing = PATIENT) -> Bridge:
        self.ended: list[Bridge] = []
        self.clock = SteppedClock()
        deadlines = Deadlines(self.clock, interval=0.02)  # type: ignore[arg-type]
        self.browser, near_browser = await self.pair()
        self.application, near_application = await self.pair()
        bridge = self.under_test = Bridge(deadlines, timing, self.ended.append)
        bridge.browser.makeConnection(near_browser.transport)
        bridge.application.makeConnection(near_application.transport)
        bridge.open()
        self.formers = [near_browser, near_application]
        self.addCleanup(self.finish)
        return bridge

    async def pair(self) -> tuple[HalfWire, HalfWire]:
        accepted: list[HalfWire] = []
        factory = Factory.forProtocol(HalfWire)
        factory.noisy = False
        factory.buildProtocol = lambda addr: accepted.append(HalfWire()) or accepted[-1]  # type: ignore[assignment]
        port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        far: HalfWire = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), HalfWire())
        await until(lambda: accepted and accepted[0].transport is not None)
        await port.stopListening()
        return far, accepted[0]

    async def finish(self) -> None:
        """Both connections go with a bridge's end, and who had them before has heard of it."""
        for wire in (self.browser, self.application):
            if wire.lost is None:
                wire.transport.abortConnection()
        await until(lambda: self.ended == [self.under_test], "for the bridge's end")
        self.assertTrue(all(former.lost is not None for former in self.formers))


#: What a WebSocket library would refuse, decode, join or reorder. Each row arrives as it was sent.
ROWS = {
    "text": frame(TEXT, "grüße".encode()),
    "binary": frame(BINARY, bytes(range(256))),
    "empty": frame(TEXT),
    "fragments": frame(0x01, b"a") + frame(0x00, b"b") + frame(0x80, b"c"),
    "control frames between fragments": frame(0x01, b"a") + frame(PING, b"1") + frame(PONG, b"2") + frame(0x80, b"c"),
    "compressed": frame(0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
    "all reserved bits": frame(0xF1, b"x"),
    "reserved opcodes": frame(0x83, b"x") + frame(0x8B, b"y"),
    "text that is not UTF-8": frame(TEXT, b"\xff\xfe"),
    "16 bit length": frame(BINARY, bytes(126)) + frame(BINARY, bytes(65535)),
    "64 bit length": frame(BINARY, bytes(65536)),
    "a length field longer than needed": b"\x82\x7e\x00\x01x" + b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01y",
    "a control frame that is too long": frame(PING, bytes(126)),
    "a fragmented control frame": frame(0x09, b"x"),
    "a continuation of nothing": frame(0x80, b"x"),
    "an unasked pong": frame(PONG, b"unasked"),
    "a ping with all it may carry": frame(PING, bytes(125)),
}
CLOSES = {
    "close without a code": b"",
    "close 1000": close_payload(1000, "done"),
    "close 1001": close_payload(1001),
    "close 3000": close_payload(3000, "ünï" * 20),
    "close 4999": close_payload(4999, "x" * 123),
    "close with a code that must not be sent": close_payload(1006),
    "close with half a code": b"\x03",
    "close with a reason that is not UTF-8": close_payload(1000) + b"\xff\xff",
}


class PassingTests(BridgeTestCase):
    """Every byte arrives as sent, in order, both ways."""

    async def test_frames_arrive_as_sent(self) -> None:
        await self.bridge()
        for name, row in ROWS.items():
            self.application.send(row)
            self.browser.send(row)
            try:
                await expect(self.browser, row)
                await expect(self.application, row)
            except AssertionError as error:
                raise AssertionError(name) from error

    async def test_masked_frames_keep_their_masking_keys(self) -> None:
        await self.bridge()
        sent = frame(TEXT, b"hello", KEY) + frame(0xC2, bytes(70000), b"\0\0\0\0") + frame(PONG, b"12345678", KEY)
        self.browser.send(sent)
        await expect(self.application, sent)

    async def test_frames_in_many_pieces(self) -> None:
        await self.bridge()
        sent = b"".join(ROWS.values())[:4000]
        for at in range(0, len(sent), 3):
            self.browser.send(sent[at : at + 3])
            if at % 60 == 0:
                await pause(0.001)
        await expect(self.application, sent)

    async def test_part_of_a_frame_goes_on_at_once(self) -> None:
        await self.bridge()
        whole = frame(BINARY, bytes(1000))
        self.application.send(whole[:600])
        await expect(self.browser, whole[:600])
        self.application.send(whole[600:])
        await expect(self.browser, whole[600:])

    async def test_no_size_is_too_large(self) -> None:
        await self.bridge()
        head = frame(BINARY, announced=1 << 40)
        self.application.send(head + bytes(1 << 20))
        await expect(self.browser, head + bytes(1 << 20))

    async def test_a_slow_reader_slows_the_writer_and_loses_nothing(self) -> None:
        await self.bridge()
        for reader, writer in ((self.browser, self.application), (self.application, self.browser)):
            reader.transport.pauseProducing()
            chunk = frame(BINARY, bytes(65536 - 10))
            # The sockets of two connections hold some megabytes; the bridge must not hold more on top.
            sent = await fill(writer, chunk)
            ends = (self.under_test.browser, self.under_test.application)
            self.assertLess(sum(write_coalescing.unsent(end.transport) for end in ends), 1 << 20)
            reader.transport.resumeProducing()
            await until(lambda: len(reader.received) == sent * len(chunk))  # noqa: B023 - awaited in its own turn
            await expect(reader, chunk * sent)


class ClosingTests(BridgeTestCase):
    """How each side's end reaches the other."""

    async def test_close_frames_travel_both_ways(self) -> None:
        for name, payload in CLOSES.items():
            for first in ("browser", "application"):
                await self.bridge()
                one = getattr(self, first)
                other = self.browser if one is self.application else self.application
                one.send(frame(CLOSE, payload))
                try:
                    await expect(other, frame(CLOSE, payload))
                    other.send(frame(CLOSE, payload))
                    await expect(one, frame(CLOSE, payload))
                except AssertionError as error:
                    raise AssertionError(name) from error
                self.application.transport.loseConnection()
                await expect_end(self.browser)
                self.browser.transport.loseConnection()
                await until(lambda: len(self.ended) == 1)

    async def test_bytes_before_a_half_close_and_answers_after_it_arrive(self) -> None:
        await self.bridge()
        self.browser.send(frame(TEXT, b"last words"))
        self.browser.transport.loseWriteConnection()
        await expect(self.application, frame(TEXT, b"last words"))
        await until(lambda: self.application.ended)
        self.application.send(frame(TEXT, b"answer"))
        await expect(self.browser, frame(TEXT, b"answer"))
        self.application.transport.loseConnection()
        await until(lambda: bool(self.ended))
        self.assertTrue(self.browser.lost is None or self.browser.lost.check(ConnectionDone))

    async def test_the_application_half_closes(self) -> None:
        await self.bridge()
        self.application.send(frame(TEXT, b"last words"))
        self.application.transport.loseWriteConnection()
        await expect(self.browser, frame(TEXT, b"last words"))
        await until(lambda: self.browser.ended)
        self.browser.send(frame(TEXT, b"answer", KEY))
        await expect(self.application, frame(TEXT, b"answer", KEY))
        self.browser.transport.loseConnection()
        await until(lambda: bool(self.ended))

    async def test_a_frame_header_cut_by_the_end_still_arrives(self) -> None:
        await self.bridge()
        self.application.send(b"\x82\x7e\x01")
        self.application.transport.loseWriteConnection()
        await expect(self.browser, b"\x82\x7e\x01")
        await expect_end(self.browser)

    async def test_an_abrupt_loss_is_abrupt_on_the_other_side(self) -> None:
        for lost in ("browser", "application"):
            for begun in (b"", frame(BINARY, bytes(10), announced=100)):
                await self.bridge()
                one = getattr(self, lost)
                other = self.browser if one is self.application else self.application
                one.send(begun)
                await expect(other, begun)
                one.transport.abortConnection()
                await until(lambda: other.lost is not None)  # noqa: B023 - awaited in its own turn
                self.assertTrue(other.lost.check(ConnectionLost), other.lost)
                self.assertEqual(other.received, b"")
                await until(lambda: len(self.ended) == 1)

    async def test_who_closes_on_neither_side_is_closed(self) -> None:
        await self.bridge()
        self.browser.send(frame(CLOSE, b"", KEY))
        await expect(self.application, frame(CLOSE, b"", KEY))
        self.application.send(frame(CLOSE))
        await expect(self.browser, frame(CLOSE))
        await self.clock.pass_until(lambda: bool(self.ended))
        await expect_end(self.browser)
        await expect_end(self.application)

    async def test_who_answers_a_half_close_with_silence_is_closed(self) -> None:
        await self.bridge()
        self.browser.transport.loseWriteConnection()
        await until(lambda: self.application.ended)
        await self.clock.pass_until(lambda: bool(self.ended))


class OurCloseTests(BridgeTestCase):
    """The gateway's own Close frames."""

    async def answered(self, code: int, reason: str) -> None:
        expected = frame(CLOSE, close_payload(code, reason))
        await expect(self.browser, expected)
        self.browser.send(frame(CLOSE, close_payload(code), KEY))
        await until(lambda: len(self.application.received) >= 6 + 2 + len(reason))
        head, key, payload = (
            self.application.received[:2],
            self.application.received[2:6],
            self.application.received[6:],
        )
        self.assertEqual(head, bytes([CLOSE, 0x80 | 2 + len(reason)]))
        self.assertEqual(masked(payload, key), close_payload(1001, reason))
        self.application.send(frame(CLOSE, close_payload(1001)))
        await expect_end(self.browser)
        await until(lambda: bool(self.ended))
        for wire in (self.browser, self.application):
            await until(lambda: wire.ended)  # noqa: B023 - awaited in its own turn

    async def test_both_ends_are_told_and_their_answers_stay_here(self) -> None:
        (await self.bridge()).close(1012, "Service restart")
        await self.answered(1012, "Service restart")

    async def test_it_waits_for_the_frame_under_way(self) -> None:
        bridge = await self.bridge()
        down, up = frame(BINARY, bytes(1000)), frame(BINARY, bytes(1000), KEY)
        self.application.send(frame(TEXT, b"before") + down[:500])
        self.browser.send(up[:500])
        await expect(self.browser, frame(TEXT, b"before") + down[:500])
        await expect(self.application, up[:500])
        bridge.close(1001, "gone")
        await pause()
        self.assertEqual((self.browser.received, self.application.received), (b"", b""))
        self.application.send(down[500:] + frame(TEXT, b"another")[:5])
        self.browser.send(up[500:] + frame(TEXT, b"another", KEY)[:8])
        await expect(self.browser, down[500:])
        await expect(self.application, up[500:])
        self.application.send(frame(TEXT, b"another")[5:])
        self.browser.send(frame(TEXT, b"another", KEY)[8:])
        await self.answered(1001, "gone")

    async def test_nothing_follows_a_close_of_the_application(self) -> None:
        bridge = await self.bridge()
        self.application.send(frame(CLOSE, close_payload(4000, "mine")))
        await expect(self.browser, frame(CLOSE, close_payload(4000, "mine")))
        bridge.close(1012, "Service restart")
        self.browser.send(frame(CLOSE, close_payload(4000), KEY))
        await expect_end(self.browser)

    async def test_who_does_not_answer_is_dropped(self) -> None:
        bridge = await self.bridge()
        bridge.close(1008, "revoked")
        await expect(self.browser, frame(CLOSE, close_payload(1008, "revoked")))
        await self.clock.pass_until(lambda: bool(self.ended))
        await expect_end(self.browser)

    async def test_who_reads_nothing_is_dropped(self) -> None:
        bridge = await self.bridge()
        self.browser.transport.pauseProducing()
        await fill(self.application, frame(BINARY, bytes(65536)))
        bridge.close(1001, "gone")
        await self.clock.pass_until(lambda: bool(self.ended))
        self.browser.transport.resumeProducing()

    async def test_a_second_close_is_none(self) -> None:
        bridge = await self.bridge()
        bridge.close(1012, "first")
        bridge.close(1001, "second")
        await self.answered(1012, "first")


class ContainerTests(BridgeTestCase):
    """The application's sudden end, and the news that its container ended, which comes a moment later."""

    TIMING = Timing(ping=0)

    async def test_with_the_news_the_browser_is_told(self) -> None:
        for end in ("loseConnection", "abortConnection", "loseWriteConnection"):
            bridge = await self.bridge(self.TIMING)
            getattr(self.application.transport, end)()
            await until(lambda: bridge.application.finished)  # noqa: B023 - awaited in its own turn
            self.assertFalse(self.browser.ended)
            bridge.close(1001, "The container ended")
            await expect(self.browser, frame(CLOSE, close_payload(1001, "The container ended")))
            self.browser.send(frame(CLOSE, close_payload(1001), KEY))
            await expect_end(self.browser)

    async def test_without_it_a_reset_is_passed_on(self) -> None:
        bridge = await self.bridge(self.TIMING)
        self.application.transport.abortConnection()
        await until(lambda: bridge.application.finished)
        self.assertIsNone(self.browser.lost)
        await self.clock.pass_until(lambda: self.browser.lost is not None)
        self.assertTrue(self.browser.lost.check(ConnectionLost))
        self.assertEqual(self.browser.received, b"")

    async def test_without_it_an_end_is_passed_on(self) -> None:
        bridge = await self.bridge(self.TIMING)
        self.application.transport.loseConnection()
        await until(lambda: bridge.application.finished)
        self.assertFalse(self.browser.ended)
        await self.clock.pass_until(lambda: self.browser.ended)
        await expect_end(self.browser)

    async def test_after_a_close_there_is_nothing_to_wait_for(self) -> None:
        await self.bridge(self.TIMING)
        self.application.send(frame(CLOSE))
        self.application.transport.loseConnection()
        await expect(self.browser, frame(CLOSE))
        await expect_end(self.browser)

    async def test_a_frame_that_was_broken_off_is_passed_on_as_that(self) -> None:
        await self.bridge(self.TIMING)
        self.application.send(frame(BINARY, bytes(10), announced=100))
        await expect(self.browser, frame(BINARY, bytes(10), announced=100))
        self.application.transport.abortConnection()
        await until(lambda: self.browser.lost is not None)


class KeepAliveTests(BridgeTestCase):
    """Pings towards a browser that has heard nothing for a while, by a clock that the test moves."""

    #: What pings are to be seen, and their answers to count.
    timing = Timing(ping=30, pong=20, close=5, grace=0)

    async def pinged(self) -> bytes:
        await self.clock.pass_until(lambda: len(self.browser.received) >= 10)
        received, self.browser.received = self.browser.received, b""
        self.assertEqual(received[:2], bytes([PING, 8]))
        return received[2:]

    async def test_the_pong_goes_no_further_and_all_else_does(self) -> None:
        await self.bridge(self.timing)
        token = await self.pinged()
        around = frame(PONG, b"12345678", KEY), frame(TEXT, b"hi", KEY)
        self.browser.send(around[0] + frame(PONG, token, KEY) + around[1])
        await expect(self.application, b"".join(around))

    async def test_pings_go_on_as_long_as_they_are_answered(self) -> None:
        bridge = await self.bridge(self.timing)
        for _ in range(6):
            self.browser.send(frame(PONG, await self.pinged(), KEY))
            await until(lambda: bridge.browser.heard == self.clock.seconds(), "for the pong")
        self.assertEqual((self.ended, self.application.received), ([], b""))

    async def test_who_does_not_answer_is_dropped(self) -> None:
        await self.bridge(self.timing)
        await self.pinged()
        await self.clock.pass_time(self.timing.pong - 1)
        self.assertEqual(self.ended, [])
        await self.clock.pass_time(2)
        await until(lambda: bool(self.ended))
        await until(lambda: self.application.lost is not None)
        self.assertTrue(self.application.lost.check(ConnectionLost))

    async def test_any_sign_of_life_counts(self) -> None:
        await self.bridge(self.timing)
        for _ in range(3):
            await self.pinged()
            self.browser.send(frame(TEXT, b"busy", KEY))
            await expect(self.application, frame(TEXT, b"busy", KEY))

    async def test_traffic_keeps_pings_away(self) -> None:
        await self.bridge(self.timing)
        for _ in range(15):
            self.application.send(frame(TEXT, b"tick"))
            await expect(self.browser, frame(TEXT, b"tick"))
            await self.clock.pass_time(self.timing.ping - 1)
        self.assertEqual(self.browser.received, b"")

    async def test_no_ping_within_a_frame(self) -> None:
        await self.bridge(self.timing)
        whole = frame(BINARY, bytes(100))
        self.application.send(whole[:50])
        await expect(self.browser, whole[:50])
        await self.clock.pass_time(3 * self.timing.ping)
        self.application.send(whole[50:])
        await expect(self.browser, whole[50:])
        await self.pinged()

    async def test_a_browser_is_not_dropped_while_the_application_takes_nothing(self) -> None:
        await self.bridge(self.timing)
        self.application.transport.pauseProducing()
        await fill(self.browser, frame(BINARY, bytes(65536), KEY))
        await self.clock.pass_time(10 * self.timing.ping)
        self.assertEqual(self.ended, [])
        self.application.transport.resumeProducing()

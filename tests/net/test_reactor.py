"""The reactor that ``twistd sandbox`` runs on."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

import sandbox.net.reactor
from sandbox.net.fairness import charge_to
from sandbox.net.reactor import Reactor


@implementer(IReadDescriptor)
class Reader:
    """One end of a pair of sockets, readable at once."""

    def __init__(self) -> None:
        self.socket, self.peer = socket.socketpair()
        self.peer.send(b"x")
        self.reads = 0

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "reader"

    def doRead(self) -> None:
        self.reads += 1
        self.socket.recv(10)

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()
        self.peer.close()


class Failing(Reader):
    """A reader whose reading fails, and whose end does, too."""

    def doRead(self) -> None:
        super().doRead()
        raise RuntimeError("read")

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        raise RuntimeError("lost")


class Answering(Reader):
    """A reader whose reading has something sent to it, as soon as the batch sends."""

    def __init__(self, reactor: Any, sent: list[Answering]) -> None:
        super().__init__()
        self._reactor, self._sent = reactor, sent
        self.sent_before = -1
        # What the batch knows a transport by.
        self.connected, self.dataBuffer, self._writeDisconnected = True, b"", False

    def doRead(self) -> None:
        super().doRead()
        self.sent_before = len(self._sent)
        self._reactor.batch.held[self] = None

    @property
    def _tempDataBuffer(self) -> list[bytes]:
        self._sent.append(self)
        return []


class Unread(Reader):
    """A reader that is ready again at once."""

    def doRead(self) -> None:
        self.reads += 1


class Pausing(Reader):
    """A reader that has no other read any more, but written to, when it is read."""

    def __init__(self, reactor: Any, others: list[Reader]) -> None:
        super().__init__()
        self._reactor, self._others = reactor, others

    def doRead(self) -> None:
        super().doRead()
        for other in self._others:
            if other is not self:
                self._reactor.addWriter(other)
                self._reactor.removeReader(other)


class Removing(Reader):
    """A reader that takes all others off the reactor when it is read."""

    def __init__(self, reactor: Any, others: list[Reader]) -> None:
        super().__init__()
        self._reactor, self._others = reactor, others

    def doRead(self) -> None:
        super().doRead()
        for other in self._others:
            if other is not self:
                self._reactor.removeReader(other)


class Events(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = Reactor()  # type: ignore[no-untyped-call]
        self.readers: list[Reader] = []
        self.addCleanup(self._close)
        # A turn takes no time, but where a test says so.
        self.patch(sandbox.net.reactor, "monotonic", lambda: 0.0)

    def _close(self) -> None:
        self.reactor.removeAll()
        for reader in self.readers:
            reader.close()
        for inside in list(self.reactor._internalReaders):
            inside.connectionLost(None)
        self.reactor._poller.close()

    def read(self, *readers: Reader) -> list[int]:
        self.readers.extend(readers)
        for reader in readers:
            self.reactor.addReader(reader)
        self.reactor.doIteration(5)
        return [reader.reads for reader in readers]

    def test_all_that_have_something_to_say_are_read(self) -> None:
        self.assertEqual(self.read(Reader(), Reader(), Reader()), [1, 1, 1])

    def test_timed_calls_wait_for_some_hundreds_of_events_at_most(self) -> None:
        """Thousands of clients may leave in the same moment."""
        readers = [Reader() for _ in range(400)]
        read = sum(self.read(*readers))
        self.assertTrue(200 < read < 300, read)
        self.reactor.doIteration(5)
        self.assertEqual([reader.reads for reader in readers], [1] * 400)

    def test_f32_timed_calls_come_after_some_milliseconds_and_then_those_that_had_to_wait(self) -> None:
        times = itertools.count()  # Two milliseconds an event.
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.002)
        readers = [Unread() for _ in range(10)]
        for turn in range(1, 11):
            reads = self.read(*([] if self.readers else readers)) or [reader.reads for reader in readers]
            # All are ready all the time, and behind the first turn none is read twice before all were read once.
            self.assertEqual(sum(reads), turn * 2)
            self.assertLessEqual(max(reads) - min(reads), 2, reads)

    def test_f32_one_that_comes_new_waits_for_none_that_have_had_their_time(self) -> None:
        """However many are ready all the time, and however long each of them takes."""
        times = itertools.count()
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.010)
        readers = [Unread() for _ in range(20)]
        self.read(*readers)
        for _ in range(30):
            self.reactor.doIteration(5)
        self.assertEqual(sum(reader.reads for reader in readers), 31)
        new = Reader()
        self.assertEqual(self.read(new), [1])

    def test_f32_one_that_has_begun_does_not_wait_for_all_that_come_new(self) -> None:
        """There are clients that come anew for each request; a preview's takes four events or five."""
        times = itertools.count()
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.0009)
        self.read(*(Unread() for _ in range(20)))
        self.reactor.doIteration(5)
        begun = Unread()
        self.read(begun)
        turns = 0
        while begun.reads < 3:
            turns += 1
            new = [Unread() for _ in range(3)]
            self.read(*new)
            for one in new:
                self.reactor.removeReader(one)
        self.assertLess(turns, 25)

    def test_f32_one_on_anothers_account_waits_as_that_one_does(self) -> None:
        """An application's connection is new for each request of a client that has had its time."""
        times = itertools.count()
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.010)
        readers = [Unread() for _ in range(20)]
        self.read(*readers)
        for _ in range(60):
            self.reactor.doIteration(5)
        charged = Reader()
        charge_to(max(readers, key=lambda reader: reader.reads), charged)
        self.assertEqual(self.read(charged), [0])

    def test_f32_time_that_was_taken_while_there_was_time_for_all_is_not_counted(self) -> None:
        first, second = Unread(), Unread()
        times = itertools.count()
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.001)
        self.read(first)
        for _ in range(20):
            self.reactor.doIteration(5)
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.010)
        before = first.reads
        self.read(second)
        for _ in range(20):
            self.reactor.doIteration(5)
        self.assertLessEqual(abs(first.reads - before - second.reads), 1)

    def test_f32_listening_sockets_come_first_however_long_they_took(self) -> None:
        """Their clients have had no time of the reactor's yet."""
        times = itertools.count()
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.010)
        accepted = []

        class Noting(Factory):
            def buildProtocol(self, address: object) -> None:
                accepted.append(address)

        port = self.reactor.listenTCP(0, Noting(), interface="127.0.0.1")
        self.read(*(Unread() for _ in range(20)))
        for _ in range(30):
            self.reactor.doIteration(5)
        for count in range(1, 4):
            with socket.create_connection(("127.0.0.1", port.getHost().port), timeout=10):
                self.reactor.doIteration(5)
            self.assertEqual(len(accepted), count)
        port.connectionLost(None)

    def test_f32_one_that_is_not_to_be_read_any_more_is_not_read_in_the_same_turn(self) -> None:
        """Though it is to be written to, so that the reactor still knows it."""
        readers: list[Reader] = []
        readers.extend(Pausing(self.reactor, readers) for _ in range(5))
        self.assertEqual(sum(self.read(*readers)), 1)

    def test_what_one_does_wrong_is_logged_and_harms_no_other(self) -> None:
        self.assertEqual(self.read(Failing(), Reader(), Failing(), Reader()), [1, 1, 1, 1])
        errors = sorted(str(failure.value) for failure in self.flushLoggedErrors(RuntimeError))
        self.assertEqual(errors, ["lost", "lost", "read", "read"])
        left = [reader for reader in self.reactor.getReaders() if isinstance(reader, Reader)]
        self.assertCountEqual(left, self.readers[1::2])

    def test_who_was_taken_off_in_the_same_turn_is_not_read(self) -> None:
        readers: list[Reader] = []
        readers.extend(Removing(self.reactor, readers) for _ in range(5))
        self.assertEqual(sum(self.read(*readers)), 1)

    def test_answers_are_sent_when_all_have_been_read(self) -> None:
        sent: list[Answering] = []
        readers = [Answering(self.reactor, sent) for _ in range(10)]
        self.read(*readers)
        self.assertEqual([reader.sent_before for reader in readers], [0] * 10)
        self.assertCountEqual(sent, readers)

    def test_or_when_that_takes_long(self) -> None:
        sent: list[Answering] = []
        readers = [Answering(self.reactor, sent) for _ in range(12)]
        times = itertools.count()  # A millisecond for four events.
        self.patch(sandbox.net.reactor, "monotonic", lambda: next(times) * 0.00025)
        self.read(*readers)
        self.assertEqual(sorted(reader.sent_before for reader in readers), [at // 4 * 4 for at in range(12)])
        self.assertCountEqual(sent, readers)

    def test_what_a_timed_call_writes_is_sent_before_the_reactor_waits(self) -> None:
        sent: list[Answering] = []
        reader = Answering(self.reactor, sent)
        self.readers.append(reader)
        self.reactor.batch.held[reader] = None
        self.reactor.doIteration(0.01)
        self.assertEqual(sent, [reader])

    def test_it_waits_no_longer_than_it_is_told(self) -> None:
        reader = Reader()
        reader.socket.recv(10)
        self.assertEqual(self.read(), [])
        self.readers.append(reader)
        self.reactor.addReader(reader)
        self.reactor.doIteration(0.01)
        self.assertEqual(reader.reads, 0)


class Choice(TestCase):
    def test_f31_its_clock_is_the_monotonic_one_and_so_is_that_of_twisteds_own(self) -> None:
        """Where what ours uses of Twisted's is not there any more, Twisted's is taken."""
        self.assertIs(Reactor.seconds, time.monotonic)
        program = (
            "import time, sandbox.net.reactor as ours\n"
            "ours.Reactor = type('Reactor', (), {})\n"
            "ours.install()\n"
            "from twisted.internet import reactor\n"
            "print(type(reactor).__name__, reactor.seconds is time.monotonic)\n"
        )
        out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        self.assertEqual(out.stdout.split(), ["EPollReactor", "True"])

    def test_where_there_is_a_reactor_it_stays(self) -> None:
        program = "from twisted.internet import reactor; import sandbox.plugin; print(type(reactor).__module__)"
        out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        self.assertEqual(out.stdout.strip(), "twisted.internet.epollreactor")

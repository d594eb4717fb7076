"""Hostile peers, the neighbour and the watchdog: they do what they say, and end by themselves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from bench.load.attacks import ATTACKS, Script
from bench.load.hostile import Hostile
from bench.load.watchdog import Watchdog
from bench.measurement import Failed

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server(threading.Thread):
    """Keeps what each connection sent, and answers heads.

    :param close_after: bytes after which it closes a connection without an answer.
    :param answer: to each head, after which the connection is closed; none: it is left unanswered.
    """

    def __init__(self, close_after: int = 1 << 30, answer: bytes = b"") -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._listener.settimeout(0.1)
        self.port: int = self._listener.getsockname()[1]
        self._close_after, self._answer = close_after, answer
        self._over = False
        self.received: list[bytearray] = []

    def run(self) -> None:
        """Serve until told to stop, a thread a connection."""
        with self._listener:
            while not self._over:
                try:
                    connection = self._listener.accept()[0]
                except TimeoutError:
                    continue
                data = bytearray()
                self.received.append(data)
                threading.Thread(target=self._take, args=(connection, data), daemon=True).start()

    def _take(self, connection: socket.socket, data: bytearray) -> None:
        connection.settimeout(20)
        with connection:
            try:
                while len(data) < self._close_after and (piece := connection.recv(65536)):
                    data += piece
                    if self._answer and data.endswith(b"\r\n\r\n"):
                        connection.sendall(self._answer)
                        return
            except ConnectionResetError:
                pass

    def stop(self) -> None:
        """End."""
        self._over = True
        self.join(10)


class HostileTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="bench-hostile-")
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)

    def start(self, server: Server) -> Server:
        """Serve until the test ends."""
        server.start()
        self.addCleanup(server.stop)
        return server


class Clients(HostileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.hostile = Hostile.build(self.scratch)

    def test_each_sends_its_own_first_and_then_the_rest_over_and_over(self) -> None:
        server = self.start(Server())
        script = Script(first=b"number @@@.", again=b"abc", piece=2, every=0.01)
        with self.hostile.clients(server.port, 12, 0.6, script) as crew:
            done = crew.done()
        self.assertEqual(done.connections, 12)
        begun = {bytes(data.partition(b".")[0]) for data in server.received}
        self.assertEqual(begun, {b"number %d" % number for number in range(12)})
        for data in server.received:
            rest = bytes(data.partition(b".")[2])
            self.assertGreater(len(rest), 3)
            self.assertTrue((b"abc" * len(rest)).startswith(rest), rest)
        # At most two bytes each hundredth of a second.
        self.assertLessEqual(max(map(len, server.received)), len(b"number 11.") + 2 * 61)

    def test_whoever_is_closed_comes_again(self) -> None:
        server = self.start(Server(close_after=1000))
        with self.hostile.clients(server.port, 3, 0.5, Script(again=b"x" * 1000)) as crew:
            done = crew.done()
        self.assertGreater(done.connections, 10)
        self.assertGreater(done.sent, 10_000)

    def test_one_that_waits_sends_the_rest_only_behind_a_head(self) -> None:
        server = self.start(Server())
        with self.hostile.clients(server.port, 2, 0.3, Script(first=b"head", again=b"x", wait=True)) as crew:
            crew.done()
        self.assertEqual([bytes(data) for data in server.received], [b"head"] * 2)

    def test_those_that_can_do_nothing_are_a_failure(self) -> None:
        server = self.start(Server())
        with self.hostile.clients(server.port, 1, 0.2, Script()) as crew:
            self.assertRaises(Failed, crew.done)


class Applications(HostileTestCase):
    def connected(self, port: int) -> socket.socket:
        """A client's connection."""
        return socket.create_connection(("127.0.0.1", port), timeout=10)

    def test_it_answers_heads_with_its_script(self) -> None:
        hostile = Hostile.build(self.scratch)
        script = Script(first=b"first", again=b"ab")
        with hostile.application(5, script) as port, self.connected(port) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            client.settimeout(0.2)
            self.assertRaises(TimeoutError, client.recv, 1)
            client.settimeout(10)
            client.sendall(b"\r\n")
            data = b""
            while len(data) < 1000:
                data += client.recv(1000)
            self.assertTrue(data.startswith(b"firstabab"), data[:20])

    def test_one_without_an_end_answers_each_head(self) -> None:
        hostile = Hostile.build(self.scratch)
        with hostile.application(5, Script(first=ANSWER)) as port, self.connected(port) as client:
            for _ in range(3):
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                self.assertEqual(client.recv(1000), ANSWER)

    def test_it_ends_by_itself(self) -> None:
        hostile = Hostile.build(self.scratch)
        with hostile.application(0.5, Script(first=ANSWER)) as port:
            end = time.monotonic() + 20
            while time.monotonic() < end:
                try:
                    self.connected(port).close()
                except ConnectionRefusedError:
                    return
                time.sleep(0.05)
        self.fail("it goes on")


class Neighbours(HostileTestCase):
    def ask(self, server: Server) -> list[dict[str, object]]:
        """What a neighbour says of it: about ``/healthz``, and about a path."""
        command = [sys.executable, "-m", "bench.load.neighbour", str(server.port), "0.4", "/path", "A: b"]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
        return [json.loads(line) for line in said.splitlines()]

    def test_each_request_has_a_connection_of_its_own(self) -> None:
        server = self.start(Server(answer=ANSWER))
        health, path = self.ask(server)
        self.assertEqual((health["failed"], path["failed"]), (0, 0))
        self.assertEqual([len(each["latencies"]) for each in (health, path)], [20, 20])  # type: ignore[arg-type]
        asked = sorted(bytes(data).split(b" ")[1] for data in server.received)
        self.assertEqual(asked, [b"/healthz"] * 20 + [b"/path"] * 20)
        self.assertTrue(all(b"\r\nConnection: close\r\n" in data for data in server.received))

    def test_refusals_and_silence_are_failures(self) -> None:
        refusing = self.start(Server(answer=ANSWER.replace(b"200", b"503")))
        self.assertEqual([each["failed"] for each in self.ask(refusing)], [20, 20])
        silent = self.start(Server())
        found = self.ask(silent)
        self.assertEqual([each["failed"] for each in found], [20, 20])
        # Each has waited at least until it was given up.
        self.assertGreater(min(min(each["latencies"]) for each in found), 4_900_000)  # type: ignore[call-overload]


class Watchdogs(HostileTestCase):
    def test_silence_is_the_longest_that_touches_the_time(self) -> None:
        watchdog = Watchdog(self.scratch / "notify")
        watchdog._moments = [10.0, 10.5, 12.0, 12.5, 20.0]
        self.assertEqual(watchdog.silence(10.6, 12.2), 1.5)
        self.assertEqual(watchdog.silence(12.1, 13.0), 7.5)
        self.assertEqual(watchdog.silence(21.0, 30.0), 10.0)
        self.assertEqual(Watchdog(self.scratch / "other").silence(1.0, 2.0), 1.0)

    def test_signs_of_life_are_heard(self) -> None:
        with Watchdog(self.scratch / "notify") as watchdog:
            begin = time.monotonic()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
                for message in (b"READY=1", b"WATCHDOG=1"):
                    daemon.sendto(message, watchdog.environment["NOTIFY_SOCKET"])
            end = time.monotonic() + 20
            while not watchdog._moments and time.monotonic() < end:
                time.sleep(0.01)
        self.assertEqual(len(watchdog._moments), 1)
        self.assertGreaterEqual(watchdog._moments[0], begin)


class Catalogue(SynchronousTestCase):
    def test_names_are_unique_and_each_attacks(self) -> None:
        self.assertEqual(len({attack.name for attack in ATTACKS}), len(ATTACKS))
        for attack in ATTACKS:
            self.assertTrue(attack.client or attack.engine, attack.name)
            self.assertFalse(attack.slow and attack.application, attack.name)

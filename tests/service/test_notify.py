"""What the service manager is told, as it hears it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.notify import Notify


class Told(SynchronousTestCase):
    def listen(self, address: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(address)
        listener.settimeout(10)
        return listener

    def heard(self, listener: socket.socket) -> dict[str, str]:
        return dict(line.split("=", 1) for line in listener.recv(4096).decode().splitlines())

    def silent(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self.assertRaises(BlockingIOError, listener.recv, 1)
        listener.settimeout(10)

    def setUp(self) -> None:
        self.clock = Clock()
        path = f"/tmp/notify-{secrets.token_hex(6)}"
        self.listener = self.listen(path)
        self.addCleanup(Path(path).unlink)
        self.environment = {"NOTIFY_SOCKET": path}

    def test_from_start_to_end(self) -> None:
        notify = Notify(self.clock, self.environment)
        notify.status("waiting for\nthe store")
        self.assertEqual(self.heard(self.listener), {"STATUS": "waiting for the store"})
        notify.ready("ready on tcp:1")
        self.assertEqual(self.heard(self.listener), {"READY": "1", "STATUS": "ready on tcp:1"})
        notify.reloading()
        heard = self.heard(self.listener)
        self.assertEqual(heard["RELOADING"], "1")
        self.assertGreater(int(heard["MONOTONIC_USEC"]), 0)
        notify.reloaded()
        self.assertEqual(self.heard(self.listener), {"READY": "1", "STATUS": "ready on tcp:1"})
        notify.stopping("ending")
        self.assertEqual(self.heard(self.listener), {"STOPPING": "1", "STATUS": "ending"})
        notify.reloading()
        notify.reloaded()
        self.silent(self.listener)

    def test_a_reload_before_it_is_ready_does_not_make_it_ready(self) -> None:
        notify = Notify(self.clock, self.environment)
        notify.reloading()
        notify.reloaded()
        self.silent(self.listener)

    def test_one_that_is_busy_is_told_all_in_order_when_it_is_not(self) -> None:
        notify = Notify(self.clock, self.environment)
        filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(filler.close)
        filler.setblocking(False)
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.sendto(b"FILLER=1", self.environment["NOTIFY_SOCKET"])
                filled += 1
        notify.ready("now")
        notify.stopping("ending")
        self.clock.advance(1)
        for _ in range(filled):
            self.assertEqual(self.heard(self.listener), {"FILLER": "1"})
        self.silent(self.listener)
        self.clock.advance(1)
        self.assertEqual([self.heard(self.listener).popitem()[1] for _ in range(2)], ["now", "ending"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        notify.close()

    def test_an_abstract_address(self) -> None:
        name = f"notify-{secrets.token_hex(6)}"
        listener = self.listen(f"\0{name}")
        Notify(self.clock, {"NOTIFY_SOCKET": f"@{name}"}).ready("x")
        self.assertEqual(self.heard(listener)["READY"], "1")

    def test_signs_of_life_come_twice_as_often_as_they_have_to(self) -> None:
        notify = Notify(self.clock, {**self.environment, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())})
        scheduler = Scheduler(self.clock)
        notify.start(scheduler)
        for _ in range(3):
            self.assertEqual(self.heard(self.listener), {"WATCHDOG": "1"})
            self.silent(self.listener)
            self.clock.advance(5)
        self.successResultOf(scheduler.close())
        notify.close()
        notify.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_none_are_given_that_nobody_wants(self) -> None:
        for unwanted in (
            {},
            {"WATCHDOG_USEC": ""},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"},
        ):
            notify = Notify(self.clock, {**self.environment, **unwanted})
            notify.start(Scheduler(self.clock))
            self.silent(self.listener)
            notify.close()
        quiet = Notify(self.clock, {"WATCHDOG_USEC": "10000000"})
        quiet.start(Scheduler(self.clock))
        quiet.ready("x")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_service_manager_that_does_not_listen_is_no_reason_to_fail(self) -> None:
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        Notify(self.clock, {"NOTIFY_SOCKET": "/nonexistent/notify"}).ready("x")
        (event,) = [each for each in events if each["log_namespace"] == "sandbox.service.notify"]
        self.assertEqual((event["what"], event["log_level"].name), ("READY=1", "warn"))

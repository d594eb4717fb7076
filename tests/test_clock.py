"""A daemon whose wall clock steps while it works (F31, F36): durations are measured by the monotonic clock."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.daemon import Daemon
from tests.engine import Lab
from tests.waiting import PATIENCE, until_seen

HOUR = 3600
#: Python imports it at its start: before anything takes ``time.time`` for itself, it adds what stands in a file.
STEPPING = """
import os, time
def step(wall, file=os.open({path!r}, os.O_RDONLY)):
    return wall() + float(os.pread(file, 20, 0))
def step_ns(wall, file=os.open({path!r}, os.O_RDONLY)):
    return wall() + int(float(os.pread(file, 20, 0)) * 1e9)
from functools import partial
time.time, time.time_ns = partial(step, time.time), partial(step_ns, time.time_ns)
"""


class SteppedClock(SynchronousTestCase):
    """One daemon for each test, and a wall clock of its own for it."""

    timeout = 120
    twistd_options: tuple[str, ...] = ()

    def setUp(self) -> None:
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        self.offset = directory / "offset"
        self.step(0)
        (directory / "sitecustomize.py").write_text(STEPPING.format(path=str(self.offset)))
        address = f"/tmp/notify-{secrets.token_hex(6)}"
        self.signs = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.signs.close)
        self.signs.bind(address)
        self.addCleanup(Path(address).unlink)
        self.signs.settimeout(PATIENCE)
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.id = self.lab.session_id()
        self.addCleanup(self.lab.remove_session, self.id)
        self.daemon = Daemon(
            directory,
            {
                "NOTIFY_SOCKET": address,
                "WATCHDOG_USEC": "400000",
                "HEALTH_TIMEOUT": "5",
                "PYTHONPATH": f"{directory}:{Path(__file__).parents[1]}",
            },
        )
        self.daemon.twistd_options = self.twistd_options
        self.daemon.start()
        self.addCleanup(self.daemon.stop)

    def step(self, seconds: float) -> None:
        """Set the daemon's wall clock that far from the true one."""
        # In one write, and never shorter than it was: the daemon reads it at any time.
        with self.offset.open("r+b" if self.offset.exists() else "wb") as file:
            file.write(f"{seconds:<19}\n".encode())

    def hear_signs_of_life(self, number: int = 3) -> None:
        """Wait for the watchdog's signs, those left out that were sent before."""
        self.signs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.signs.recv(4096):
                pass
        self.signs.settimeout(20)
        while number:
            number -= self.signs.recv(4096) == b"WATCHDOG=1"

    def test_f36_a_clock_that_steps_back_does_not_silence_the_watchdog_nor_keep_an_old_verdict(self) -> None:
        self.hear_signs_of_life()
        before = self.verdict()
        self.step(-HOUR)
        self.hear_signs_of_life()
        # A second later engine and store are asked anew, not an hour later.
        until_seen(lambda: self.verdict() != before)

    def verdict(self) -> object:
        """What /readyz says, with how long the engine and the store took to answer."""
        status, content = self.daemon.request("GET", "/readyz")
        self.assertEqual(status, 200, content)
        return json.loads(content)["checks"]

    def test_f36_a_clock_that_steps_forward_kills_no_command(self) -> None:
        call = self.daemon.call
        call("POST", "sessions", {"userId": "u1", "id": self.id}, status=201)
        answers: list[tuple[int, bytes]] = []
        body = {"command": "touch begun; while [ ! -e enough ]; do sleep 0.1; done; echo done", "timeoutMs": 60_000}
        caller = threading.Thread(
            target=lambda: answers.append(self.daemon.request("POST", f"sessions/{self.id}/exec", body))
        )
        caller.start()
        until_seen(lambda: call("GET", f"sessions/{self.id}/stat?path=begun")["exists"])
        self.step(HOUR)
        self.hear_signs_of_life()
        call("POST", f"sessions/{self.id}/files", {"path": "enough", "content": ""}, status=201)
        caller.join(60)
        ((status, content),) = answers
        self.assertEqual((status, json.loads(content).get("stdout")), (200, "done\n"), content)
        # Dates are the wall clock's all the same.
        created = call("GET", f"sessions/{self.id}")["createdAt"]
        self.assertTrue(created.startswith(time.strftime("%Y-", time.gmtime())), created)


class OnAnotherReactor(SteppedClock):
    """The same on a reactor that ``--reactor`` brings."""

    twistd_options = ("--reactor", "poll")

"""F38: honest commands that print a lot, all at once, as the daemon's process feels them."""

from __future__ import annotations

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import parse
from tests.daemon import KEY, Daemon
from tests.engine import Lab

MIB = 1 << 20
COMMANDS, BUDGET = 16, 48 * MIB
#: What the daemon takes by itself, and what is on its way from the containers and to the clients.
REST = 200 * MIB


class Crowd(SynchronousTestCase):
    def setUp(self) -> None:
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.daemon = Daemon(Path(self.mktemp()), {"ANSWER_MEMORY": str(BUDGET)})
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.session_id = self.lab.session_id()
        self.addCleanup(self.lab.remove_session, self.session_id)

    def execute(self, number: int) -> bytes:
        """The end of the answer of a command that prints 10 MiB of NUL; it is far too long to be kept."""
        body = json.dumps({"command": f"head -c {10 * MIB} /dev/zero; exit {number}"})
        with socket.create_connection(("127.0.0.1", self.daemon.port), timeout=120) as client:
            head = f"POST /api/internal/sessions/{self.session_id}/exec HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            fields = f"X-Internal-Service-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall((head + fields + body).encode())
            end = b""
            while data := client.recv(1 << 20):
                end = (end + data)[-200:]
            return end

    def test_f38_their_outputs_stay_within_the_budget(self) -> None:
        self.daemon.call("POST", "sessions", {"userId": "u", "id": self.session_id}, status=201)
        with ThreadPoolExecutor(COMMANDS) as pool:
            ends = list(pool.map(self.execute, range(COMMANDS)))
        truncated = [b'"truncated": true' in end for end in ends]
        self.assertTrue(all(end.endswith(b"0\r\n\r\n") or b'"truncated"' in end for end in ends), ends)
        self.assertIn(True, truncated)
        assert self.daemon.process is not None
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text("ascii")
        peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) << 10
        self.assertLess(peak, BUDGET + REST, f"{peak >> 20} MiB")
        _, metrics = self.daemon.request("GET", "/metrics")
        self.assertIn(b"\nsandbox_answer_memory_bytes 0.0\n", metrics)


class Unit(SynchronousTestCase):
    def test_f38_the_units_limits_leave_room_for_the_budget(self) -> None:
        unit = Path(__file__).parents[1].joinpath("etc", "sandbox.service").read_text("utf-8")
        found = dict(re.findall(r"^Memory(High|Max)=(\d+[MG])$", unit, re.MULTILINE))
        sizes = {name: int(text[:-1]) * {"M": MIB, "G": MIB << 10}[text[-1]] for name, text in found.items()}
        budget = parse({"INTERNAL_SERVICE_KEY": "k"}).answer_memory
        self.assertLess(budget + 2 * REST, sizes["High"])
        self.assertLess(sizes["High"], sizes["Max"])

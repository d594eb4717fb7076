"""SIGHUP: what a running daemon takes of a changed file, and that a wrong one changes nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import SettingError
from sandbox.settings.source import Source
from tests.daemon import KEY, Daemon, twistd
from tests.engine import Lab
from tests.policy.jwts import token
from tests.waiting import until_seen

FIRST, SECOND = "first-key-" + "1" * 32, "second-key-" + "2" * 32


class Sources(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())

    def test_what_the_file_named_is_looked_for_there_only(self) -> None:
        """systemd's EnvironmentFile= has put it into the environment, too."""
        self.file.write_text("INTERNAL_SERVICE_KEY=k\nJWT_SECRET=s\n")
        source = Source({"INTERNAL_SERVICE_KEY": "k", "JWT_SECRET": "s", "PORT": "1"}, str(self.file))
        self.assertEqual((source.read().jwt_secret, source.read().port), ("s", 1))
        self.file.write_text("INTERNAL_SERVICE_KEY=k\n")
        self.assertEqual((source.read().jwt_secret, source.read().port), (None, 1))
        self.file.write_text("")
        self.assertRaisesRegex(SettingError, "INTERNAL_SERVICE_KEY", source.read)

    def test_a_file_that_cannot_be_read_is_named(self) -> None:
        for content, words in ((None, "No such file"), (b"A=\xff", "is not UTF-8"), (b"A=1\nB\n", "line 2 is not")):
            if content is not None:
                self.file.write_bytes(content)
            with self.assertRaises(SettingError) as caught:
                Source({"INTERNAL_SERVICE_KEY": "k"}, str(self.file)).read()
            self.assertIn(str(self.file), str(caught.exception))
            self.assertIn(words, str(caught.exception))

    def test_f17_names_that_are_no_variable_are_known_with_what_was_meant(self) -> None:
        self.file.write_text("INTERNAL_SERVICE_KEY=k\n\nSESION_IMAGE=x\nNONSENSE=y\nPGHOST=z\nport=1\n")
        # systemd's EnvironmentFile= has put the file's names into the environment, too.
        source = Source({"SESION_IMAGE": "x", "DATABASE_URI": "z", "SESSION_MANAGER": "m"}, str(self.file))
        source.read()
        wanted = [
            f"{self.file}: line 3: unknown variable SESION_IMAGE: did you mean SESSION_IMAGE?",
            f"{self.file}: line 4: unknown variable NONSENSE",
            f"{self.file}: line 6: unknown variable port: did you mean PORT?",
            "unknown variable DATABASE_URI: did you mean DATABASE_URL?",
        ]
        self.assertEqual([str(each) for each in source.unknown], wanted)
        self.file.write_text("INTERNAL_SERVICE_KEY=k\n")
        source.read()
        self.assertEqual([each.name for each in source.unknown], ["DATABASE_URI"])
        self.file.write_text("INTERNAL_SERVICE_KEY=k\n" + "".join(f"X{n}=1\n" for n in range(1000)))
        source.read()
        self.assertEqual(len(source.unknown), 21)

    def test_f17_what_is_missing_may_be_mistyped(self) -> None:
        self.file.write_text("INTERNAL_SERVCE_KEY=k\n")
        with self.assertRaises(SettingError) as caught:
            Source({}, str(self.file)).read()
        self.assertRegex(str(caught.exception), "INTERNAL_SERVICE_KEY is required.*line 1: unknown variable")

    def test_without_a_file_there_is_the_environment(self) -> None:
        self.assertEqual(Source({"INTERNAL_SERVICE_KEY": "k"}).read().internal_service_key, "k")


class Start(SynchronousTestCase):
    def test_a_wrong_file_stops_the_start_with_one_line(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / "env").write_text("\nPORT=many\n")
        arguments = ["-n", "sandbox", "--env-file", "env"]
        environment = {"INTERNAL_SERVICE_KEY": "k", "STATE_DIRECTORY": str(directory)}
        started = twistd(arguments, environment, directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = started.communicate(timeout=30)[0].decode()
        self.assertEqual((started.returncode, len(output.splitlines())), (1, 1), output)
        self.assertIn(f"{directory / 'env'}: line 2: PORT must be", output)


class Running(SynchronousTestCase):
    """One daemon, with a service manager that listens, reloaded again and again."""

    def setUp(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.file = directory / "env"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        path = f"/tmp/notify-{secrets.token_hex(6)}"
        self.manager.bind(path)
        self.addCleanup(os.unlink, path)
        self.manager.settimeout(30)
        self.daemon = Daemon(directory, {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000", "LOG_FORMAT": "text"})
        self.write(f"INTERNAL_SERVICE_KEY={FIRST}\n")

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def start(self) -> None:
        self.daemon.start("--env-file", str(self.file))
        self.addCleanup(self.daemon.stop)
        self.told("READY=1")

    def told(self, what: str) -> list[str]:
        """Wait until the service manager is told so; all that it is told then."""
        while True:
            lines = self.manager.recv(4096).decode().splitlines()
            if what in lines:
                return lines

    def reload(self) -> str:
        """Have it reload to the end; what it logged of that."""
        before = len(self.daemon.log.read_text("utf-8"))
        assert self.daemon.process is not None
        self.daemon.process.send_signal(signal.SIGHUP)
        self.told("RELOADING=1")
        self.told("READY=1")
        return self.daemon.log.read_text("utf-8")[before:]

    def status(self, key: str, path: str = "/api/internal/sessions") -> int:
        return self.daemon.request("GET", path, headers={"X-Internal-Service-Key": key})[0]

    def test_the_life_that_a_service_manager_sees(self) -> None:
        self.start()
        self.told("WATCHDOG=1")
        self.assertEqual([self.status(key) for key in (FIRST, SECOND, KEY)], [200, 403, 403])
        self.write(f"INTERNAL_SERVICE_KEY={SECOND}\nLOG_LEVEL=debug\nMAX_EXECS=7\nSESION_IMAGE=x\n")
        log = self.reload()
        self.assertIn(f"{self.file}: line 4: unknown variable SESION_IMAGE: did you mean SESSION_IMAGE?", log, "F17")
        self.assertEqual([self.status(key) for key in (FIRST, SECOND)], [403, 200])
        self.assertIn("changed: INTERNAL_SERVICE_KEY, LOG_LEVEL", log)
        self.assertIn("MAX_EXECS has changed: restart to apply it", log)
        for wrong, words in (
            (f"INTERNAL_SERVICE_KEY={FIRST}\nPORT=many\n", "line 2: PORT must be"),
            (f"INTERNAL_SERVICE_KEY={FIRST}\nnonsense\n", "line 2 is not NAME=VALUE"),
            ("", "INTERNAL_SERVICE_KEY is required"),
        ):
            self.write(wrong)
            log = self.reload()
            self.assertIn("settings not reloaded", log)
            self.assertIn(words, log)
            self.assertEqual([self.status(key) for key in (FIRST, SECOND)], [403, 200])
        self.write(f"INTERNAL_SERVICE_KEY={SECOND}\nLOG_LEVEL=error\n")
        self.reload()
        self.assertEqual(self.reload(), "")
        self.assertEqual(self.daemon.stop(), 0)
        self.told("STOPPING=1")
        for key in (FIRST, SECOND):
            self.assertNotIn(key, self.daemon.log.read_text("utf-8"))

    def test_a_dropped_jwt_secret_is_good_no_longer(self) -> None:
        old, new = "o" * 40, "n" * 40
        lab = Lab()
        self.addCleanup(lab.close)
        session = lab.session_id()
        self.addCleanup(lab.remove_session, session)
        fixed = f"INTERNAL_SERVICE_KEY={KEY}\nENABLE_PREVIEW_ACCESS_CONTROL=on\nDRAIN_SECONDS=8\n"
        self.write(f"{fixed}JWT_SECRET={old}\n")
        self.start()
        self.daemon.call("POST", "sessions", {"userId": "alice", "id": session}, status=201)

        def seen() -> list[int]:
            tokens = [token(key=key.encode(), sub="alice", exp=time.time() + 600).decode() for key in (old, new)]
            return [
                self.daemon.request("GET", f"/previews/{session}/", headers={"Authorization": f"Bearer {text}"})[0]
                for text in tokens
            ]

        self.assertEqual(seen(), [404, 401])
        for secrets_, found in ((f"{new},{old}", [404, 404]), (new, [401, 404])):
            self.write(f"{fixed}JWT_SECRET={secrets_}\n")
            self.reload()
            self.assertEqual(seen(), found)
        self.write(fixed)
        self.assertIn("JWT_SECRET is required", self.reload())
        self.assertEqual(seen(), [401, 404])

    def test_a_log_file_that_was_moved_away_is_let_go_of(self) -> None:
        log = self.daemon.log.with_name("file.log")
        with self.daemon.log.open("ab") as output:
            arguments = ["-n", "--logfile", str(log), "sandbox", "--env-file", str(self.file)]
            environment = self.daemon.environment
            process = twistd(arguments, environment, self.daemon.directory, stdout=output, stderr=output)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.told("READY=1")
        log.rename(log.with_suffix(".1"))
        process.send_signal(signal.SIGHUP)
        self.told("READY=1")
        self.assertIn("settings reloaded", log.read_text("utf-8"))


class Ending(SynchronousTestCase):
    def test_with_nothing_in_flight_it_does_not_wait(self) -> None:
        """The default would be 30 seconds; stop() gives it 20."""
        daemon = Daemon(Path(self.mktemp()))
        del daemon.environment["DRAIN_SECONDS"]
        daemon.start()
        idle = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        self.addCleanup(idle.close)
        idle.request("GET", "/previews/x/")
        self.assertEqual(idle.getresponse().read()[:1], b"{")
        self.assertEqual(daemon.stop(), 0)

    def test_whoever_asks_twice_does_not_wait(self) -> None:
        lab = Lab()
        self.addCleanup(lab.close)
        session = lab.session_id()
        self.addCleanup(lab.remove_session, session)
        daemon = Daemon(Path(self.mktemp()), {"DRAIN_SECONDS": "600"})
        daemon.start()
        container = daemon.call("POST", "sessions", {"userId": "u1", "id": session}, status=201)["containerId"]
        busy = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        self.addCleanup(busy.close)
        body = '{"command": "sleep 4321"}'
        busy.request("POST", f"/api/internal/sessions/{session}/exec", body, {"X-Internal-Service-Key": KEY})
        until_seen(lambda: any("sleep 4321" in line for line in lab.processes(container)))
        assert daemon.process is not None
        daemon.process.terminate()
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                socket.create_connection(("127.0.0.1", daemon.port), 1).close()
                time.sleep(0.05)
        self.assertIsNone(daemon.process.poll())
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn("Traceback", daemon.log.read_text("utf-8"))
        self.assertFalse(any("sleep 4321" in line for line in lab.processes(container)))
